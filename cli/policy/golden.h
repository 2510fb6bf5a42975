/* Golden cases of a policy: who says which SQL, and what must come of it.
 *
 *   policy: ../read-only-analyst.yaml      # relative to this file
 *   cases:
 *     - name: reads a table                # optional; else the SQL
 *       as: sub=ann,groups=analysts
 *       resource: shop                     # optional
 *       sql: SELECT * FROM orders
 *       verdict: allow
 *       rule: analysts-read                # optional: which rule decides
 */
#ifndef CHAPERONE_CLI_POLICY_GOLDEN_H
#define CHAPERONE_CLI_POLICY_GOLDEN_H

#include "base/bytes.h"

struct golden_result {
    const char *file, *name;
    bool passed;
    const char *expected, *found; /* "deny by no-salaries"; of one that failed */
};

/* Called for each case, in the order of the file; valid only during the call. */
typedef void golden_report(void *context, const struct golden_result *result);

/* ERR_INVALID and the others of reading: `error` names file, line and what was expected. Cases
 * that fail are no error. */
enum err golden_run(const char *path, golden_report *report, void *context,
                    struct err_text *error) MUST_USE;

#endif
