/* Operations of sessions: counted, and whether one in between is missing. */
#include <inttypes.h>
#include <stdlib.h>

#include "cli/verify/records_internal.h"

static int compare_operations(const void *left, const void *right, void *context)
{
    const struct record_fact *items = context;
    const struct record_fact *a = &items[*(const uint32_t *)left];
    const struct record_fact *b = &items[*(const uint32_t *)right];
    if (a->session != b->session) {
        return a->session < b->session ? -1 : 1;
    }
    if (a->operation != b->operation) {
        return a->operation < b->operation ? -1 : 1;
    }
    return a->kind < b->kind ? -1 : a->kind > b->kind ? 1 : 0;
}

/* Operations count 1, 2, 3: a record of each one between two others must be there. */
static void check_gap(struct records *r, const struct record_fact *a, const struct record_fact *b)
{
    if (b->operation <= a->operation + 1) {
        return;
    }
    report_add(r->report, REPORT_REMOVED, b->position,
               "session %.64s: operations %" PRIu64 " to %" PRIu64
               " are missing, before the record at position %" PRIu64,
               name_table_get(r->sessions, b->session), a->operation + 1, b->operation - 1,
               b->position);
}

/* Which sessions have erased records: what is missing in them may be those. */
static uint8_t *find_erased(const struct records *r)
{
    uint8_t *erased = calloc((size_t)name_table_count(r->sessions) + 1, 1);
    for (size_t i = 0; erased != NULL && i < r->count; i++) {
        if (r->items[i].is_erased) {
            erased[r->items[i].session] = 1;
        }
    }
    return erased;
}

/* The operation that begins at `begin` of `order`: what it has, and the next one's place. */
static size_t take_operation(const struct records *r, size_t begin, size_t count,
                             struct records_summary *out, const struct record_fact **out_intent)
{
    const struct record_fact *first = &r->items[r->order[begin]];
    bool has_outcome = false;
    size_t i = begin;
    *out_intent = NULL;
    for (; i < count; i++) {
        const struct record_fact *f = &r->items[r->order[i]];
        if (f->session != first->session || f->operation != first->operation) {
            break;
        }
        *out_intent = f->kind == SCAN_INTENT ? f : *out_intent;
        has_outcome = has_outcome || f->kind == SCAN_OUTCOME;
    }
    out->operations += *out_intent != NULL ? 1 : 0;
    out->unanswered += *out_intent != NULL && !has_outcome ? 1 : 0;
    return i;
}

static size_t list_operations(struct records *r)
{
    size_t count = 0;
    for (uint32_t i = 0; i < r->count; i++) {
        const struct record_fact *f = &r->items[i];
        bool is_operation = f->kind == SCAN_INTENT || f->kind == SCAN_OUTCOME;
        if (!f->is_erased && f->session != 0 && is_operation && f->operation != 0) {
            r->order[count++] = i;
        }
    }
    qsort_r(r->order, count, sizeof(*r->order), compare_operations, r->items);
    return count;
}

void records_check_sessions(struct records *r, struct records_summary *out)
{
    uint8_t *erased = find_erased(r);
    if (erased == NULL) {
        report_add(r->report, REPORT_UNCHECKED, 0, "the sessions: out of memory");
        return;
    }
    size_t count = list_operations(r);
    const struct record_fact *before = NULL, *intent = NULL;
    for (size_t i = 0; i < count;) {
        i = take_operation(r, i, count, out, &intent);
        if (intent == NULL) {
            continue; /* began before the time that the package is about */
        }
        if (before != NULL && before->session == intent->session && erased[intent->session] == 0) {
            check_gap(r, before, intent);
        }
        before = intent;
    }
    out->sessions = name_table_count(r->sessions);
    free(erased);
}
