/* Inside of sqlite_marks: the words of a section while its marks are made. */
#ifndef CHAPERONE_CONTROLPLANE_STORE_SQLITE_MARKS_PARTS_H
#define CHAPERONE_CONTROLPLANE_STORE_SQLITE_MARKS_PARTS_H

#include "controlplane/store/sqlite_marks.h"
#include "controlplane/store/sqlite_marks_bits.h"

enum { WORDS_MAX = UINT16_MAX /* of a section */ };

/* In the texts from `from` up to `until`, and where it was before: the place of a run + 1. */
struct run {
    uint32_t before;
    uint16_t from, until;
};

struct word {
    uint32_t count; /* in this text; 0: in none since `run.until` */
    struct run run; /* the last one */
};

struct place {
    uint32_t at, word;
};

struct list {
    void *items; /* owned */
    size_t count, room;
};

struct marks {
    bool is_off;              /* this section has none */
    size_t texts, size;       /* of the last one */
    struct list words, runs;  /* struct word, struct run: those before the last one */
    struct list places, next; /* struct place: of the text before, and of this one */
    size_t old;               /* of `places`: those before it were gone through */
    size_t tail, tail_shift;  /* of `places`: from there on it is in this text, too */
    size_t own_max;           /* of `next`, before these */
    struct list passed, kept; /* uint32_t: the print and the number of a word */
    uint64_t seen[MARKS_PRINTS / 64];
    uint64_t beginnings[MARKS_BEGINNINGS / 64 + 1];
};

static inline struct word *word_of(struct marks *m, size_t number)
{
    return (struct word *)m->words.items + number;
}

/* Room for one more item, or so many; false, and no marks: there is none. */
bool marks_room(struct marks *m, struct list *list, size_t count, size_t size, size_t max);
/* The text that came last is whole: behind its own words come those that it has in common with the
 * end of the one before it. */
void marks_text_end(struct marks *m);

#endif
