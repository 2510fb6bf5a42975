/* How often identities do what rules let through: the counts behind a policy's `rate`.
 *
 * Of any time of `per_s` seconds never more than `requests` were taken. Time is counted in slots of
 * a 60th of it, and a slot counts until all of it is over: who asks as fast as it may gets at
 * most a 60th less. Counts are of this process alone.
 *
 * Memory is bounded: at most RATE_ENTRIES_MAX pairs of identity and rule. When it is full, the one
 * that was not used for the longest time and counts nothing any more makes room; where all of them
 * count, a new one is refused. */
#ifndef CHAPERONE_SIDECAR_RATE_H
#define CHAPERONE_SIDECAR_RATE_H

#include "policies/policy.h"

enum {
    /* Some 400 bytes each, of identities that have passed authentication. */
    RATE_ENTRIES_MAX = 8192,
    RATE_SUBJECT_SIZE_MAX = 4096,
};

enum rate_result {
    RATE_TAKEN,
    RATE_EXCEEDED,
    RATE_FULL, /* no room for another identity or rule, or no memory: it is to be refused, too */
};

struct rate_table;
/* Returns owned; NULL: no memory. `entries_max` 0: RATE_ENTRIES_MAX. */
struct rate_table *rate_table_create(size_t entries_max) MUST_USE;
void rate_table_destroy(struct rate_table *t); /* takes NULL */

/* Takes one request of each of the rates, or of none of them. `now_ns` is monotonic. Unless it was
 * taken `*out_retry_ms` (at least 1) is after how long it may be tried again; nothing else may have
 * been taken until then for it to succeed. */
enum rate_result rate_take(struct rate_table *t, const char *subject,
                           const struct policy_rate *rates, size_t count, int64_t now_ns,
                           int64_t *out_retry_ms) MUST_USE;

#endif
