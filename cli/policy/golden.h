/* Golden cases of a policy: who says which SQL or asks for which request, and what must come of it.
 *
 *   policy: ../read-only-analyst.yaml      # relative to this file
 *   catalog:                               # optional: of the target, for `masked`
 *     public.orders: {id: int4, note: text}
 *   cases:
 *     - name: reads a table                # optional; else the SQL
 *       as: sub=ann,groups=analysts
 *       resource: shop                     # optional
 *       sql: SELECT * FROM orders
 *       verdict: allow                     # deny, hold
 *       rule: analysts-read                # optional: which rule decides
 *       masked: {note: analysts-read}      # optional: exactly these columns of the result, by name
 *                                          # or number, are masked, and by which rule; {}: none
 *     - as: sub=bob
 *       sql: DELETE FROM orders
 *       verdict: hold
 *       groups: [dba]                      # optional, of `hold`: exactly these may approve
 *       people: 2                          # optional, of `hold`: so many of them must
 *     - as: sub=ann,groups=api-clients
 *       http: POST https://api.internal/orders?dry=1   # instead of `sql`
 *       headers: ["x-team: care"]          # optional, of `http`
 *       body: '{"amount": 5}'              # optional, of `http`; JSON unless `headers` say
 * otherwise websocket: true                    # optional, of `http` verdict: allow path: "/orders"
 * # optional, of `http`: the pattern that let it through
 *
 * With a catalog, what the masks refuse is refused, too, by the rule that masks. */
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
