/* The marks of a section's texts, of the words that they have. */
#include "controlplane/store/sqlite_marks.h"

#include <stdlib.h>

#include "controlplane/store/sqlite_marks_parts.h"

enum { LONG_WORD = 5 };

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
    if (!marks_room(m, &m->passed, count, sizeof(uint32_t), WORDS_MAX) ||
        !marks_room(m, &m->kept, count, sizeof(uint32_t), WORDS_MAX)) {
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
    marks_text_end(marks);
    return marks->is_off || marks->texts < MARKS_TEXTS_MIN || marks->words.count == 0
               ? OK
               : marks_make(marks, words, out);
}
