#include "base/cursor.h"
#include "controlplane/store/sqlite_marks.h"
#include "controlplane/store/sqlite_marks_bits.h"

enum { LANES = SECTION_RECORDS_MAX / 64 };

void marks_query_init(struct marks_query *query)
{
    query->print_count = query->beginning_count = 0;
}

static void print_add(struct marks_query *q, uint16_t print)
{
    size_t at = q->print_count;
    if (at == MARKS_ASKED_MAX) {
        return;
    }
    for (; at > 0 && q->prints[at - 1] > print; at--) {
        q->prints[at] = q->prints[at - 1];
    }
    q->prints[at] = print;
    q->print_count++;
}

void marks_query_add(struct marks_query *query, struct bytes word, bool is_beginning)
{
    if (!is_beginning) {
        print_add(query, marks_print(word, word.size));
    } else if (query->beginning_count < MARKS_ASKED_MAX && word.size > 0) {
        size_t first = marks_beginning(word);
        bool is_letter = word.size == 1 && first < MARKS_BEGINNINGS - 1;
        query->beginnings[query->beginning_count].first = (uint16_t)first;
        query->beginnings[query->beginning_count++].last =
            (uint16_t)(is_letter ? first + MARKS_SECOND - 1 : first);
    }
}

/* ---- reading marks --------------------------------------------------------------------------- */

static size_t read_number(struct cursor *c)
{
    size_t number = cursor_read_u8(c);
    if (number >= 0x80) {
        number = (number & 0x7f) | (size_t)cursor_read_u8(c) << 7;
        if (number >= 0x80 << 7) {
            number = (number & 0x3fff) | (size_t)cursor_read_u8(c) << 14;
        }
    }
    return number;
}

static bool beginning_has(struct bytes beginnings, uint16_t first, uint16_t last)
{
    struct cursor c = cursor_of(beginnings);
    size_t number = 0;
    while (c.remaining > 0) {
        number += read_number(&c);
        if (number >= first) {
            return c.failed || number <= last;
        }
    }
    return c.failed;
}

/* False: no word begins as one that is asked for. */
static bool beginnings_have(const struct marks_query *q, struct bytes beginnings)
{
    bool all = true;
    for (size_t i = 0; all && i < q->beginning_count; i++) {
        all = beginning_has(beginnings, q->beginnings[i].first, q->beginnings[i].last);
    }
    return all;
}

static void runs_read(struct bytes packed, size_t texts, uint64_t *bits, bool *failed)
{
    struct cursor c = cursor_of(packed);
    size_t text = 0;
    while (!c.failed && c.remaining > 0) {
        size_t gap = read_number(&c);
        size_t length = 1 + ((gap & 1) != 0 ? 1 + read_number(&c) : 0);
        text += gap >> 1;
        if (c.failed || text > texts || length > texts - text) {
            *failed = true;
            return;
        }
        for (size_t end = text + length; text < end; text++) {
            bits[text / 64] |= UINT64_C(1) << text % 64;
        }
    }
    *failed = *failed || c.failed;
}

/* Adds the texts that have the word. */
static void texts_read(uint8_t form, struct bytes packed, size_t texts, uint64_t *bits,
                       bool *failed)
{
    if (form == MARKS_ALL) {
        memset(bits, 0xff, LANES * sizeof(*bits));
    } else if (form == MARKS_BITS) {
        for (size_t i = 0; i < packed.size; i++) {
            bits[i / 8] |= (uint64_t)packed.data[i] << i % 8 * 8;
        }
    } else {
        runs_read(packed, texts, bits, failed);
    }
}

struct meeting {
    uint64_t all[LANES]; /* texts that have every word so far */
    uint64_t one[LANES]; /* that have the one which is read */
    size_t at;           /* in the query: the first print that was not passed */
};

static bool is_any(const uint64_t *bits)
{
    uint64_t any = 0;
    for (size_t i = 0; i < LANES; i++) {
        any |= bits[i];
    }
    return any != 0;
}

/* All that is as the word was read. */
static void word_end(struct meeting *m, bool *is_open)
{
    for (size_t i = 0; *is_open && i < LANES; i++) {
        m->all[i] &= m->one[i];
        m->one[i] = 0;
    }
    *is_open = false;
}

/* A word that has no marks may be in any text. */
static bool words_meet(const struct marks_query *q, struct cursor *c, size_t texts)
{
    struct meeting m = {.at = 0};
    size_t print = 0;
    bool is_open = false;
    memset(m.all, 0xff, sizeof(m.all));
    for (bool is_first = true; c->remaining > 0 && m.at < q->print_count; is_first = false) {
        size_t more = read_number(c);
        uint8_t form = cursor_read_u8(c);
        struct bytes packed = cursor_read_bytes(c, form == MARKS_BITS ? (texts + 7) / 8 : form);
        if (c->failed || form > MARKS_BITS) {
            return true;
        }
        if (more > 0 || is_first) {
            word_end(&m, &is_open);
        }
        print += more;
        while (m.at < q->print_count && q->prints[m.at] < print) {
            m.at++;
        }
        if (m.at < q->print_count && q->prints[m.at] == print) {
            is_open = true;
            texts_read(form, packed, texts, m.one, &c->failed);
        }
    }
    word_end(&m, &is_open);
    return c->failed || is_any(m.all);
}

bool marks_may_have(const struct marks_query *query, struct bytes marks)
{
    struct cursor c = cursor_of(marks);
    uint8_t version = cursor_read_u8(&c);
    size_t texts = cursor_read_u16(&c);
    struct bytes beginnings = cursor_read_bytes(&c, cursor_read_u16(&c));
    if (c.failed || version != MARKS_VERSION || texts == 0 || texts > SECTION_RECORDS_MAX) {
        return true;
    }
    return beginnings_have(query, beginnings) && words_meet(query, &c, texts);
}
