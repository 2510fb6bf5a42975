/* The sidecar's counters, in Prometheus' text format. Plain numbers of the loop's thread. */
#ifndef CHAPERONE_SIDECAR_METRICS_H
#define CHAPERONE_SIDECAR_METRICS_H

#include <stdint.h>

#include "base/bytes.h"

struct metrics {
    uint64_t sessions_opened, sessions_refused, sessions_closed, sessions_killed;
    uint64_t sessions_active;
    uint64_t operations_allowed, operations_refused, operations_held;
    uint64_t outcomes_failed, outcomes_unknown;
    uint64_t bytes_from_agents, bytes_to_agents;
    uint64_t record_failures;
    uint64_t cancels;
    uint64_t connections_rejected;
};

/* What others know, at the time of writing. */
struct metrics_gauges {
    uint64_t spool_bytes, spool_cap, records, records_acknowledged, records_lost;
    uint64_t policy_revision;
    int connected; /* to the control plane */
    int64_t certificate_not_after_s;
    double uptime_s;
};

/* Prometheus' text exposition format 0.0.4. */
enum err metrics_write(const struct metrics *m, const struct metrics_gauges *g,
                       struct buffer *out) MUST_USE;

#endif
