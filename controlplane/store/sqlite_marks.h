/* Which words the texts of a section have together: its marks.
 *
 * The index of words knows that a section has two words, not whether one of its records has both,
 * nor quickly how the words of a section begin. Marks say so in few bytes, and a search passes over
 * a section without reading its content. They say no only of what is not there, and yes too often:
 * words that are alike to them count as one, and of long words with a digit, of which a section
 * mostly has many in one text each, it is not kept which text has them.
 *
 * What they are, before they are sealed (content.h; records are not told by their words):
 *   u8 version, u16 number of texts, u16 size of the beginnings
 *   each beginning, ascending, as a number of its own beyond the one before it
 *   for each word, by its print ascending: the print as a number beyond the one before it,
 *     u8 form: 0, all texts have it; 1 to 63, so many bytes of runs; 64, a bit for each text
 *   a run: how many texts are between it and the last one, twice, + 1 when it is longer than one
 *     text; then its length less two
 * Numbers have seven bits in a byte, the lowest first, and the eighth where another byte follows.
 * Pure: the bytes may have been changed by anybody. */
#ifndef CHAPERONE_CONTROLPLANE_STORE_SQLITE_MARKS_H
#define CHAPERONE_CONTROLPLANE_STORE_SQLITE_MARKS_H

#include "controlplane/store/sqlite_section.h"

enum {
    MARKS_TEXTS_MIN = 4, /* fewer are read as soon as their marks */
    MARKS_SIZE_MAX = 16 << 10,
};

/* ---- making them ---------------------------------------------------------------------------- */

/* Of one section after the other; keeps its memory. Where it is short, or a section has too many
 * words, that section has no marks: nothing is missed without them. */
struct marks;
enum err marks_create(struct marks **out) MUST_USE;
void marks_destroy(struct marks *marks); /* takes NULL; wipes what it has seen */
void marks_begin(struct marks *marks);
/* The next text, of `size` bytes. The first `front` and the last `end` of them are those of the
 * text before it, with the same words; the words between follow, in their order. */
void marks_text(struct marks *marks, size_t size, size_t front, size_t end);
/* At `at` in the text. Words are numbered as they come first, from 0 without a gap. */
void marks_word(struct marks *marks, size_t at, size_t number);
/* `words`: all of them by their numbers, folded, each with a space behind it. Replaces what is in
 * `out`. Empty: it has none. */
enum err marks_end(struct marks *marks, struct bytes words, struct buffer *out) MUST_USE;

/* ---- asking them ---------------------------------------------------------------------------- */

enum { MARKS_ASKED_MAX = 64 /* words; the others are looked for in the texts only */ };

struct marks_query {
    uint16_t prints[MARKS_ASKED_MAX]; /* ascending */
    size_t print_count;
    struct {
        uint16_t first, last;
    } beginnings[MARKS_ASKED_MAX];
    size_t beginning_count;
};
void marks_query_init(struct marks_query *query);
/* A folded word that a text must have, or how one begins. */
void marks_query_add(struct marks_query *query, struct bytes word, bool is_beginning);
/* False: no text of the section has all of the words, or no word of it begins so. Also true where
 * these are no marks. */
bool marks_may_have(const struct marks_query *query, struct bytes marks);

#endif
