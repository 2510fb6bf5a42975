/* The words of texts as they come: in which texts each of them is. */
#include "controlplane/store/sqlite_marks.h"

#include <stdlib.h>

#include "controlplane/store/sqlite_marks_parts.h"

enum {
    PLACES_MAX = 1 << 16, /* words of one text */
    RUNS_MAX = 1 << 18,   /* of all of its words */
    ROOM_FIRST = 1024,
};

bool marks_room(struct marks *m, struct list *list, size_t count, size_t size, size_t max)
{
    size_t room = list->room == 0 ? ROOM_FIRST : list->room;
    if (count <= list->room) {
        return true;
    }
    while (room < count) {
        room *= 2;
    }
    void *grown = count > max ? NULL : realloc(list->items, room * size);
    if (grown == NULL) {
        m->is_off = true;
        return false;
    }
    list->items = grown;
    list->room = room;
    return true;
}

static struct place *places_of(struct list *list)
{
    return list->items;
}

enum err marks_create(struct marks **out)
{
    struct marks *m = calloc(1, sizeof(*m));
    if (m == NULL) {
        return ERR_NO_MEMORY;
    }
    *out = m;
    return OK;
}

void marks_destroy(struct marks *marks)
{
    if (marks == NULL) {
        return;
    }
    struct list *lists[] = {&marks->words, &marks->runs,   &marks->places,
                            &marks->next,  &marks->passed, &marks->kept};
    for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
        free(lists[i]->items);
    }
    bytes_wipe(marks, sizeof(*marks));
    free(marks);
}

void marks_begin(struct marks *marks)
{
    marks->is_off = false;
    marks->texts = marks->size = 0;
    marks->words.count = marks->runs.count = 0;
    marks->places.count = marks->next.count = 0;
    marks->old = marks->tail = marks->tail_shift = 0;
}

/* ---- the texts ------------------------------------------------------------------------------- */

static void word_remove(struct marks *m, size_t number)
{
    struct word *word = word_of(m, number);
    word->count--;
    word->run.until = (uint16_t)(m->texts - 1);
}

/* In this text for the first time, but for what was taken out of it just before. */
static void run_begin(struct marks *m, struct word *word)
{
    const uint16_t text = (uint16_t)(m->texts - 1);
    if (word->run.until == text) {
        return;
    }
    if (marks_room(m, &m->runs, m->runs.count + 1, sizeof(struct run), RUNS_MAX)) {
        ((struct run *)m->runs.items)[m->runs.count++] = word->run;
        word->run = (struct run){.before = (uint32_t)m->runs.count, .from = text};
    }
}

static void word_add(struct marks *m, size_t number)
{
    if (number < m->words.count) {
        struct word *word = word_of(m, number);
        if (word->count++ == 0) {
            run_begin(m, word);
        }
    } else if (marks_room(m, &m->words, number + 1, sizeof(struct word), WORDS_MAX)) {
        *word_of(m, m->words.count++) =
            (struct word){.run = {.from = (uint16_t)(m->texts - 1)}, .count = 1};
    }
}

void marks_text_end(struct marks *m)
{
    if (m->is_off) {
        return;
    }
    const struct place *from = places_of(&m->places);
    struct place *to = places_of(&m->next);
    for (; m->old < m->tail; m->old++) {
        word_remove(m, from[m->old].word);
    }
    for (size_t i = m->tail; i < m->places.count; i++) {
        to[m->next.count++] =
            (struct place){.at = (uint32_t)(from[i].at + m->tail_shift), .word = from[i].word};
    }
    struct list before = m->places;
    m->places = m->next;
    m->next = before;
    m->old = m->tail = m->places.count;
}

/* How many of its words are before `at`. */
static size_t places_before(struct list *list, size_t at)
{
    const struct place *places = places_of(list);
    size_t from = 0, to = list->count;
    while (from < to) {
        size_t middle = from + (to - from) / 2;
        if (places[middle].at < at) {
            from = middle + 1;
        } else {
            to = middle;
        }
    }
    return from;
}

void marks_text(struct marks *marks, size_t size, size_t front, size_t end)
{
    struct marks *m = marks;
    marks_text_end(m);
    if (m->is_off || m->texts == SECTION_RECORDS_MAX || front + end > m->size) {
        m->is_off = true;
        return;
    }
    m->old = places_before(&m->places, front);
    m->tail = end == 0 ? m->places.count : places_before(&m->places, m->size - end);
    m->tail_shift = size - m->size; /* where it is negative, modulo the size of the number */
    /* Words are a byte at least, and parted by one. */
    m->own_max = m->old + (size - front - end) / 2 + 1;
    if (!marks_room(m, &m->next, m->own_max + m->places.count - m->tail, sizeof(struct place),
                    PLACES_MAX)) {
        return;
    }
    if (m->old > 0) {
        memcpy(m->next.items, m->places.items, m->old * sizeof(struct place));
    }
    m->next.count = m->old;
    m->size = size;
    m->texts++;
}

/* Apart, so that the common case is short. */
static __attribute__((noinline)) void word_change(struct marks *m, const struct place *old,
                                                  size_t number)
{
    if (old != NULL) {
        word_remove(m, old->word);
    }
    word_add(m, number);
}

/* Mostly it is in the place of the same word. */
void marks_word(struct marks *marks, size_t at, size_t number)
{
    struct marks *m = marks;
    if (m->is_off || m->next.count == m->own_max) {
        m->is_off = true;
        return;
    }
    const struct place *old = m->old < m->tail ? places_of(&m->places) + m->old++ : NULL;
    places_of(&m->next)[m->next.count++] =
        (struct place){.at = (uint32_t)at, .word = (uint32_t)number};
    if (old == NULL || old->word != number) {
        word_change(m, old, number);
    }
}
