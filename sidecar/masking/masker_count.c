/* How often each rule changed what. */
#include "sidecar/masking/masker_internal.h"

#include <stdlib.h>

enum { COUNTS_FIRST = 16 };

size_t masker_counts(const struct masker *m, const struct masker_count **out)
{
    *out = m->counts;
    return m->count_count;
}

void masker_counts_reset(struct masker *m)
{
    m->count_count = 0;
    m->count_next = 0;
}

static bool is_of(const struct masker_count *c, uint8_t rule, uint16_t column, bool by_content)
{
    return c->column == column && c->rule == rule && c->by_content == by_content;
}

static enum err grow(struct masker *m)
{
    if (m->count_count < m->count_capacity) {
        return OK;
    }
    size_t capacity = m->count_capacity == 0 ? COUNTS_FIRST : 2 * m->count_capacity;
    struct masker_count *counts = realloc(m->counts, capacity * sizeof(*counts));
    if (counts == NULL) {
        return ERR_NO_MEMORY;
    }
    m->counts = counts;
    m->count_capacity = capacity;
    return OK;
}

enum err masker_count_one(struct masker *m, uint8_t rule, size_t column, bool by_content)
{
    /* Rows have their masked columns in the same order: the next one is where it was. */
    size_t at = m->count_next < m->count_count ? m->count_next : 0;
    for (size_t tried = 0; tried < m->count_count; tried++) {
        if (is_of(&m->counts[at], rule, (uint16_t)column, by_content)) {
            m->counts[at].rows++;
            m->count_next = at + 1;
            return OK;
        }
        at = at + 1 < m->count_count ? at + 1 : 0;
    }
    enum err e = grow(m);
    if (e == OK) {
        m->counts[m->count_count++] = (struct masker_count){
            .rule = rule, .column = (uint16_t)column, .by_content = by_content, .rows = 1};
    }
    return e;
}
