/* A held operation, as an approver reads it: a line, a page, JSON.
 *
 * Most of its texts are the agent's own: all of them are made safe for a terminal (text.h). */
#ifndef CHAPERONE_CLI_OUTPUT_HELD_H
#define CHAPERONE_CLI_OUTPUT_HELD_H

#include "api/approvals.pb-c.h"
#include "base/bytes.h"
#include "cli/output/table.h"
#include "cli/output/terminal.h"

/* "waiting", "approved", ...; "unknown" for a state that is newer than this command. */
const char *held_state_name(Chaperone__V1__ApprovalState state);

/* How many people must still agree; 0 when it does not wait. */
uint32_t held_missing(const Chaperone__V1__HeldOperation *h);

/* "in 4 min 12 s", "3 min 20 s ago", or why and when it ended. `out` has HELD_WHEN_SIZE bytes. */
enum { HELD_WHEN_SIZE = 96 };
void held_format_when(int64_t moment_ns, int64_t now_ns, char *out);

/* For lists: ID, STATE, EXPIRES, AGENT, RESOURCE, APPROVALS, STATEMENT; ends with NULL. */
extern const char *const held_headings[];
enum err held_add_row(struct table *t, const Chaperone__V1__HeldOperation *h,
                      int64_t now_ns) MUST_USE;

/* One line without its end: who wants what, where. The statement is cut to `columns`. */
void held_print_summary(const struct terminal *t, const Chaperone__V1__HeldOperation *h,
                        size_t columns);

/* Everything that a decision needs. */
void held_print(const struct terminal *t, const Chaperone__V1__HeldOperation *h, int64_t now_ns);

#endif
