/* Whether the records of each stream follow each other: numbers and back-hashes. */
#include <inttypes.h>
#include <stdlib.h>

#include "cli/verify/records_internal.h"

static int compare_streams(const void *left, const void *right, void *context)
{
    const struct record_fact *items = context;
    const struct record_fact *a = &items[*(const uint32_t *)left];
    const struct record_fact *b = &items[*(const uint32_t *)right];
    if (a->stream != b->stream) {
        return a->stream < b->stream ? -1 : 1;
    }
    if (a->sequence != b->sequence) {
        return a->sequence < b->sequence ? -1 : 1;
    }
    return a->position < b->position ? -1 : a->position > b->position ? 1 : 0;
}

static bool is_said_lost(const struct records *r, uint32_t stream, uint64_t first, uint64_t last)
{
    for (size_t i = 0; i < r->loss_count; i++) {
        const struct loss *l = &r->losses[i];
        if (l->stream == stream && l->first <= first && l->last >= last) {
            return true;
        }
    }
    return false;
}

static int compare_hashes(const void *left, const void *right)
{
    return memcmp(left, right, TLOG_HASH_SIZE);
}

/* Hashes of erased records: a stream goes on over them. */
struct erased {
    struct tlog_hash *hashes; /* owned, sorted */
    size_t count;
    size_t bad; /* records whose bytes are not the logged ones */
};

static bool erased_has(const struct erased *e, const struct tlog_hash *hash)
{
    return e->count > 0 &&
           bsearch(hash, e->hashes, e->count, sizeof(*e->hashes), compare_hashes) != NULL;
}

static void check_pair(struct records *r, const struct record_fact *a, const struct record_fact *b,
                       const struct records_expectation *x, const struct erased *erased,
                       struct records_summary *out)
{
    const char *stream = name_table_get(r->streams, b->stream);
    if (b->sequence == a->sequence) {
        report_add(r->report, REPORT_DUPLICATED, b->position,
                   "record at position %" PRIu64 ": number %" PRIu64
                   " of sidecar %.64s is also at position %" PRIu64,
                   b->position, b->sequence, stream, a->position);
    } else if (b->position < a->position) {
        report_add(r->report, REPORT_REORDERED, b->position,
                   "record at position %" PRIu64 ": number %" PRIu64
                   " of sidecar %.64s stands before number %" PRIu64 ", at position %" PRIu64,
                   b->position, b->sequence, stream, a->sequence, a->position);
    }
    if (b->sequence == a->sequence + 1) {
        out->links++;
        if (!tlog_hash_equal(&b->previous, &a->hash)) {
            report_add(r->report, REPORT_CHANGED, b->position,
                       "record at position %" PRIu64 ": number %" PRIu64
                       " of sidecar %.64s does not carry the hash of number %" PRIu64
                       ", at position %" PRIu64,
                       b->position, b->sequence, stream, a->sequence, a->position);
        }
        return;
    }
    if (erased_has(erased, &b->previous)) {
        out->links++;
        return;
    }
    /* A record in between may be there, with wrong bytes: that was said. */
    if (b->sequence > a->sequence && x->is_contiguous &&
        b->sequence - a->sequence - 1 > erased->bad &&
        !is_said_lost(r, b->stream, a->sequence + 1, b->sequence - 1)) {
        report_add(r->report, REPORT_REMOVED, b->position,
                   "numbers %" PRIu64 " to %" PRIu64
                   " of sidecar %.64s are missing, before the record at position %" PRIu64,
                   a->sequence + 1, b->sequence - 1, stream, b->position);
    }
}

static void check_beginning(struct records *r, const struct record_fact *f)
{
    static const struct tlog_hash zeros = {{0}};
    if (f->sequence == 1 && !tlog_hash_equal(&f->previous, &zeros)) {
        report_add(r->report, REPORT_CHANGED, f->position,
                   "record at position %" PRIu64 ": the first one of sidecar %.64s carries the "
                   "hash of another",
                   f->position, name_table_get(r->streams, f->stream));
    }
}

static bool collect_erased(struct records *r, size_t count, struct erased *out)
{
    out->hashes = count == 0 ? NULL : calloc(count, sizeof(*out->hashes));
    if (count > 0 && out->hashes == NULL) {
        return false;
    }
    for (size_t i = 0; i < r->count; i++) {
        if (r->items[i].is_erased) {
            out->hashes[out->count++] = r->items[i].hash;
        }
        out->bad += r->bad[i];
    }
    if (count > 0) {
        qsort(out->hashes, out->count, sizeof(*out->hashes), compare_hashes);
    }
    return true;
}

void records_check_streams(struct records *r, const struct records_expectation *x,
                           struct records_summary *out)
{
    struct erased erased = {0};
    size_t count = 0;
    if (!collect_erased(r, out->erased, &erased)) {
        report_add(r->report, REPORT_UNCHECKED, 0, "the streams: out of memory");
        return;
    }
    for (uint32_t i = 0; i < r->count; i++) {
        /* A record that was found to be wrong is reported once. */
        if (r->items[i].stream != 0 && r->bad[i] == 0) {
            r->order[count++] = i;
        }
    }
    qsort_r(r->order, count, sizeof(*r->order), compare_streams, r->items);
    for (size_t i = 0; i < count; i++) {
        const struct record_fact *f = &r->items[r->order[i]];
        const struct record_fact *before = i == 0 ? NULL : &r->items[r->order[i - 1]];
        check_beginning(r, f);
        if (before == NULL || before->stream != f->stream) {
            out->streams++;
        } else {
            check_pair(r, before, f, x, &erased, out);
        }
    }
    free(erased.hashes);
}
