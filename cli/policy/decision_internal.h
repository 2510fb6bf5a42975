/* A decision's inside; for this folder only. */
#ifndef CHAPERONE_CLI_POLICY_DECISION_INTERNAL_H
#define CHAPERONE_CLI_POLICY_DECISION_INTERNAL_H

#include "api/audit.pb-c.h"
#include "base/arena.h"
#include "cli/policy/decision.h"

struct decision {
    struct arena *arena;
    struct sql_analysis *analysis; /* NULL: not understood, or no SQL */
    struct sql_error error;
    struct policy_verdict verdict;
    struct decision_part *parts;
    size_t part_count;
    struct masking_result masking;
};

/* Returns owned; NULL when memory is short. */
struct decision *decision_create(void) MUST_USE;
/* What a session of this identity would record of itself. False: no memory. */
bool decision_describe_session(struct arena *arena, const struct identity_option *as,
                               const char *resource, const char *protocol,
                               Chaperone__V1__SessionOpened *out) MUST_USE;

#endif
