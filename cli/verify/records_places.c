/* Whether each record is the one that was logged at its position, and none is missing or too much.
 */
#include <inttypes.h>
#include <stdlib.h>

#include "cli/verify/records_internal.h"

/* Looking a wrong record up among all leaves is for people who look at the first ones. */
enum { SEARCHED_MAX = 64 };

static int compare_positions(const void *left, const void *right, void *context)
{
    const struct record_fact *items = context;
    uint32_t a = *(const uint32_t *)left, b = *(const uint32_t *)right;
    if (items[a].position != items[b].position) {
        return items[a].position < items[b].position ? -1 : 1;
    }
    return a < b ? -1 : 1;
}

static void leaf_of(const struct record_fact *f, struct tlog_hash *out)
{
    tlog_hash_leaf(bytes_of(f->hash.bytes, sizeof(f->hash.bytes)), out);
}

/* Not the leaf at its position: what it is then. */
static void explain(struct records *r, const struct record_fact *f, const struct tlog_hash *leaf,
                    const struct known_tiles *tiles, unsigned *searched)
{
    char who[RECORDS_WHO_SIZE];
    uint64_t index = 0;
    if ((*searched)++ < SEARCHED_MAX && known_tiles_find_leaf(tiles, leaf, &index)) {
        report_add(r->report, REPORT_REORDERED, f->position,
                   "record at position %" PRIu64
                   "%s: it is the record that was logged at position %" PRIu64,
                   f->position, records_who(r, f, who), index + 1);
    } else if (f->is_erased) {
        report_add(
            r->report, REPORT_CHANGED, f->position,
            "record at position %" PRIu64
            ": its content is said to be erased, but its hash is not the one that was logged",
            f->position);
    } else {
        report_add(r->report, REPORT_CHANGED, f->position,
                   "record at position %" PRIu64 "%s: its bytes were changed after it was logged",
                   f->position, records_who(r, f, who));
    }
}

static bool is_logged(const struct record_fact *f, const struct known_tiles *tiles)
{
    struct tlog_hash leaf;
    const struct tlog_hash *logged = known_tiles_leaf(tiles, f->position - 1);
    leaf_of(f, &leaf);
    return logged != NULL && tlog_hash_equal(&leaf, logged);
}

static void check_leaf(struct records *r, uint32_t n, uint64_t size,
                       const struct known_tiles *tiles, unsigned *searched)
{
    const struct record_fact *f = &r->items[n];
    char who[RECORDS_WHO_SIZE];
    struct tlog_hash leaf;
    const struct tlog_hash *logged = known_tiles_leaf(tiles, f->position - 1);
    leaf_of(f, &leaf);
    r->bad[n] = logged == NULL || !tlog_hash_equal(&leaf, logged);
    if (f->position > size) {
        report_add(r->report, REPORT_INSERTED, f->position,
                   "record at position %" PRIu64 "%s: the log has only %" PRIu64 " records",
                   f->position, records_who(r, f, who), size);
    } else if (logged == NULL) {
        report_add(r->report, REPORT_REMOVED, f->position,
                   "record at position %" PRIu64 "%s: the tile that proves it is missing",
                   f->position, records_who(r, f, who));
    } else if (r->bad[n]) {
        explain(r, f, &leaf, tiles, searched);
    }
}

/* Two records of one position: the second of the file is too much, unless only it was logged. */
static void explain_double(struct records *r, uint32_t first, uint32_t second,
                           const struct known_tiles *tiles)
{
    const struct record_fact *a = &r->items[first], *b = &r->items[second];
    char who[RECORDS_WHO_SIZE];
    bool same = tlog_hash_equal(&a->hash, &b->hash);
    uint32_t wrong = !same && tiles != NULL && is_logged(b, tiles) ? first : second;
    r->bad[wrong] = 1;
    report_add(r->report, same ? REPORT_DUPLICATED : REPORT_INSERTED, a->position,
               same ? "record at position %" PRIu64 "%s: it is there twice"
                    : "record at position %" PRIu64 "%s: another record is there besides the one "
                      "of this position",
               a->position, records_who(r, &r->items[wrong], who));
}

/* Positions from `first` to `last` have no record; nothing to say where first > last. */
static void expect_none_missing(struct records *r, uint64_t first, uint64_t last, uint64_t size)
{
    enum report_kind kind = last == size ? REPORT_TRUNCATED : REPORT_REMOVED;
    const char *where = last == size ? ", at the end of the log" : "";
    if (first == last) {
        report_add(r->report, kind, first, "record at position %" PRIu64 ": it is missing%s", first,
                   where);
    } else if (first < last) {
        report_add(r->report, kind, first,
                   "records at positions %" PRIu64 " to %" PRIu64 ": they are missing%s", first,
                   last, where);
    }
}

/* The file is in the order of time. */
static void check_times(struct records *r, const struct records_expectation *x)
{
    const struct record_fact *before = NULL;
    for (size_t i = 0; i < r->count; i++) {
        const struct record_fact *f = &r->items[i];
        char who[RECORDS_WHO_SIZE];
        if (f->is_erased || f->stream == 0) {
            continue;
        }
        bool is_outside = (x->since_ns != 0 && f->time_ns < x->since_ns) ||
                          (x->until_ns != 0 && f->time_ns > x->until_ns);
        if (is_outside) {
            report_add(r->report, REPORT_INSERTED, f->position,
                       "record at position %" PRIu64 "%s: it is not of the time that the package "
                       "is about",
                       f->position, records_who(r, f, who));
        }
        if (before != NULL && f->time_ns < before->time_ns) {
            report_add(r->report, REPORT_REORDERED, f->position,
                       "record at position %" PRIu64 "%s: it stands behind a later one",
                       f->position, records_who(r, f, who));
        }
        before = f;
    }
}

void records_check_places(struct records *r, const struct records_expectation *x,
                          const struct known_tiles *tiles)
{
    uint64_t next = 1;
    unsigned searched = 0;
    for (uint32_t i = 0; i < r->count; i++) {
        r->order[i] = i;
    }
    qsort_r(r->order, r->count, sizeof(*r->order), compare_positions, r->items);
    for (size_t i = 0; i < r->count; i++) {
        uint32_t n = r->order[i];
        const struct record_fact *f = &r->items[n];
        if (i > 0 && r->items[r->order[i - 1]].position == f->position) {
            explain_double(r, r->order[i - 1], n, tiles);
            continue;
        }
        /* Of two, the one that was logged is the one to look at. */
        bool is_doubled = i + 1 < r->count && r->items[r->order[i + 1]].position == f->position;
        if (tiles != NULL && !is_doubled) {
            check_leaf(r, n, x->size, tiles, &searched);
        } else if (tiles != NULL && !is_logged(f, tiles) &&
                   !is_logged(&r->items[r->order[i + 1]], tiles)) {
            check_leaf(r, n, x->size, tiles, &searched);
        }
        if (x->is_whole && f->position <= x->size) {
            expect_none_missing(r, next, f->position - 1, x->size);
        }
        next = f->position + 1;
    }
    if (x->is_whole) {
        expect_none_missing(r, next, x->size, x->size);
    }
    check_times(r, x);
}
