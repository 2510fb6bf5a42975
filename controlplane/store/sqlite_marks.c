#include "controlplane/store/sqlite_marks.h"

#include <stdlib.h>

#include "controlplane/store/sqlite_marks_bits.h"

enum {
    PLACES_MAX = 1 << 16,   /* words of one text */
    WORDS_MAX = UINT16_MAX, /* of a section */
    RUNS_MAX = 1 << 18,     /* of all of its words */
    ROOM_FIRST = 1024,
    LONG_WORD = 5,
};

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

/* Room for one more item, or so many; false, and no marks: there is none. */
static bool room_make(struct marks *m, struct list *list, size_t count, size_t size, size_t max)
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

static struct word *word_of(struct marks *m, size_t number)
{
    return (struct word *)m->words.items + number;
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
    if (room_make(m, &m->runs, m->runs.count + 1, sizeof(struct run), RUNS_MAX)) {
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
    } else if (room_make(m, &m->words, number + 1, sizeof(struct word), WORDS_MAX)) {
        *word_of(m, m->words.count++) =
            (struct word){.run = {.from = (uint16_t)(m->texts - 1)}, .count = 1};
    }
}

/* Behind its own words come those that it has in common with the end of the one before it. */
static void text_end(struct marks *m)
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
    text_end(m);
    if (m->is_off || m->texts == SECTION_RECORDS_MAX || front + end > m->size) {
        m->is_off = true;
        return;
    }
    m->old = places_before(&m->places, front);
    m->tail = end == 0 ? m->places.count : places_before(&m->places, m->size - end);
    m->tail_shift = size - m->size; /* where it is negative, modulo the size of the number */
    /* Words are a byte at least, and parted by one. */
    m->own_max = m->old + (size - front - end) / 2 + 1;
    if (!room_make(m, &m->next, m->own_max + m->places.count - m->tail, sizeof(struct place),
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

/* ---- the marks of them ----------------------------------------------------------------------- */

static void bits_set(uint64_t *bits, size_t from, size_t until)
{
    for (; from < until; from++) {
        bits[from / 64] |= UINT64_C(1) << from % 64;
    }
}

static bool bit_get(const uint64_t *bits, size_t n)
{
    return (bits[n / 64] >> n % 64 & 1) != 0;
}

static struct run run_last(struct marks *m, size_t number)
{
    struct run run = word_of(m, number)->run;
    run.until = word_of(m, number)->count > 0 ? (uint16_t)m->texts : run.until;
    return run;
}

/* A number, an id: mostly there are many of them, and each is in one text. */
static bool is_passed(const struct word *word, size_t texts, struct bytes bytes)
{
    const size_t until = word->count > 0 ? texts : word->run.until;
    if (bytes.size < LONG_WORD || word->run.before != 0 || until - word->run.from != 1) {
        return false;
    }
    for (size_t i = 0; i < bytes.size; i++) {
        if (bytes.data[i] <= '9') {
            return true;
        }
    }
    return false;
}

static void keep(struct marks *m, size_t number, uint16_t print)
{
    ((uint32_t *)m->kept.items)[m->kept.count++] = (uint32_t)print << 16 | (uint32_t)number;
    m->seen[print / 64] |= UINT64_C(1) << print % 64;
}

/* Those that are passed and as one with a word that is kept are kept, too: the marks of the one are
 * asked for the other. */
static void words_choose(struct marks *m, struct bytes words)
{
    const uint8_t *at = words.data, *end = words.data + words.size;
    const struct word *all = m->words.items;
    uint32_t *passed = m->passed.items;
    m->kept.count = m->passed.count = 0;
    for (size_t n = 0; n < m->words.count; n++) {
        const uint8_t *space = memchr(at, ' ', (size_t)(end - at));
        struct bytes word = bytes_of(at, (size_t)(space - at));
        size_t beginning = marks_beginning(word);
        uint16_t print = marks_print(word, (size_t)(end - at));
        m->beginnings[beginning / 64] |= UINT64_C(1) << beginning % 64;
        if (is_passed(&all[n], m->texts, word)) {
            passed[m->passed.count++] = (uint32_t)print << 16 | (uint32_t)n;
        } else {
            keep(m, n, print);
        }
        at = space + 1;
    }
    for (size_t i = 0; i < m->passed.count; i++) {
        if (bit_get(m->seen, passed[i] >> 16)) {
            keep(m, passed[i] & UINT16_MAX, (uint16_t)(passed[i] >> 16));
        }
    }
}

static int kept_compare(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

static void put_number(uint8_t **at, size_t number)
{
    for (; number >= 0x80; number >>= 7) {
        *(*at)++ = (uint8_t)(number | 0x80);
    }
    *(*at)++ = (uint8_t)number;
}

/* From `from` on, the first that is as `value`; `count`: there is none. */
static size_t bit_find(const uint64_t *bits, size_t from, size_t count, bool value)
{
    while (from < count) {
        uint64_t left = (value ? bits[from / 64] : ~bits[from / 64]) >> from % 64;
        if (left != 0) {
            from += (size_t)__builtin_ctzll(left);
            return from < count ? from : count;
        }
        from = (from / 64 + 1) * 64;
    }
    return count;
}

/* Their size; 0: they take as much as a bit for each text. */
static size_t put_runs(uint8_t *out, const uint64_t *bits, size_t texts)
{
    uint8_t *at = out;
    size_t last = 0;
    while (last < texts) {
        size_t from = bit_find(bits, last, texts, true);
        if (from == texts) {
            break;
        }
        size_t until = bit_find(bits, from, texts, false);
        if ((size_t)(at - out) + MARKS_RUN_SIZE_MAX >= (texts + 7) / 8) {
            return 0;
        }
        put_number(&at, (from - last) << 1 | (until - from > 1 ? 1 : 0));
        if (until - from > 1) {
            put_number(&at, until - from - 2);
        }
        last = until;
    }
    return (size_t)(at - out);
}

static void texts_of(struct marks *m, struct run run, uint64_t *bits)
{
    memset(bits, 0, SECTION_RECORDS_MAX / 8);
    bits_set(bits, run.from, run.until);
    while (run.before != 0) {
        run = ((const struct run *)m->runs.items)[run.before - 1];
        bits_set(bits, run.from, run.until);
    }
}

static void put_texts(struct marks *m, size_t number, uint8_t **at)
{
    uint64_t bits[SECTION_RECORDS_MAX / 64];
    const struct run run = run_last(m, number);
    const size_t bytes = (m->texts + 7) / 8;
    if (run.from == 0 && run.until == m->texts) {
        *(*at)++ = MARKS_ALL;
        return;
    }
    texts_of(m, run, bits);
    size_t size = put_runs(*at + 1, bits, m->texts);
    **at = size == 0 ? MARKS_BITS : (uint8_t)size;
    for (size_t i = 0; size == 0 && i < bytes; i++) {
        (*at)[1 + i] = (uint8_t)(bits[i / 8] >> i % 8 * 8);
    }
    *at += 1 + (size == 0 ? bytes : size);
}

static uint8_t *put_beginnings(const struct marks *m, uint8_t *at)
{
    size_t last = 0;
    uint8_t *size = at;
    at += 2;
    for (size_t n = 0; (n = bit_find(m->beginnings, n, MARKS_BEGINNINGS, true)) < MARKS_BEGINNINGS;
         n++) {
        put_number(&at, n - last);
        last = n;
    }
    size[0] = (uint8_t)((size_t)(at - size - 2) >> 8);
    size[1] = (uint8_t)(at - size - 2);
    return at;
}

/* Its size; 0: they are too large. */
static size_t put_marks(struct marks *m, uint8_t *out)
{
    uint8_t *at = out;
    size_t last = 0;
    *at++ = MARKS_VERSION;
    *at++ = (uint8_t)(m->texts >> 8);
    *at++ = (uint8_t)m->texts;
    at = put_beginnings(m, at);
    for (size_t i = 0; i < m->kept.count; i++) {
        const uint32_t kept = ((const uint32_t *)m->kept.items)[i];
        if ((size_t)(at - out) > MARKS_SIZE_MAX - MARKS_WORD_SIZE_MAX) {
            return 0;
        }
        put_number(&at, (kept >> 16) - last);
        put_texts(m, kept & UINT16_MAX, &at);
        last = kept >> 16;
    }
    return (size_t)(at - out);
}

static enum err marks_make(struct marks *m, struct bytes words, struct buffer *out)
{
    const size_t count = m->words.count;
    if (!room_make(m, &m->passed, count, sizeof(uint32_t), WORDS_MAX) ||
        !room_make(m, &m->kept, count, sizeof(uint32_t), WORDS_MAX)) {
        return OK;
    }
    uint8_t *at = buffer_reserve(out, MARKS_SIZE_MAX);
    if (at == NULL) {
        return ERR_NO_MEMORY;
    }
    memset(m->beginnings, 0, sizeof(m->beginnings));
    words_choose(m, words);
    qsort(m->kept.items, m->kept.count, sizeof(uint32_t), kept_compare);
    buffer_commit(out, put_marks(m, at));
    for (size_t i = 0; i < m->kept.count; i++) {
        m->seen[((uint32_t *)m->kept.items)[i] >> 16 >> 6] = 0;
    }
    return OK;
}

enum err marks_end(struct marks *marks, struct bytes words, struct buffer *out)
{
    buffer_clear(out);
    text_end(marks);
    return marks->is_off || marks->texts < MARKS_TEXTS_MIN || marks->words.count == 0
               ? OK
               : marks_make(marks, words, out);
}
