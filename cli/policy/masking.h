/* What the masks of a policy would do to the results of a text: the way a sidecar plans it, with a
 * catalog that was written down. What detectors find is not known before there are values. */
#ifndef CHAPERONE_CLI_POLICY_MASKING_H
#define CHAPERONE_CLI_POLICY_MASKING_H

#include "base/arena.h"
#include "policies/policy.h"
#include "sidecar/catalog/catalog.h"
#include "sidecar/sql/sql.h"

struct masking;

/* Takes a reference to the catalog. Returns owned; NULL when memory is short. */
struct masking *masking_create(struct catalog *catalog) MUST_USE;
void masking_destroy(struct masking *m); /* takes NULL */

/* A column of a result that an agent would not see as it is. */
struct masking_column {
    size_t statement, number; /* from 1; number 0: all of them, whichever there are */
    const char *name;         /* as the result has it; "*": all */
    const char *origin;       /* "public.customers.ssn"; NULL: it is no column's own value */
    const char *rule;
    bool is_null; /* NULL comes in its place; else it is redacted as the rule says */
};

struct masking_result {
    /* The text is refused: by this rule, for this reason. NULL: it is not. */
    const char *refused_by, *refusal;
    const struct masking_column *columns;
    size_t column_count;
};

/* `text` is NUL-terminated and what `analysis` was made of; `who` as for policy_masks. The result
 * is the arena's. ERR_NO_MEMORY. */
enum err masking_plan(struct masking *m, const struct policy *policy,
                      const struct policy_request *who, const char *text,
                      const struct sql_analysis *analysis, struct arena *arena,
                      struct masking_result *out) MUST_USE;

#endif
