/* A standing approval, as people read it: a line, JSON. Texts of agents are made safe (text.h). */
#ifndef CHAPERONE_CLI_OUTPUT_STANDING_H
#define CHAPERONE_CLI_OUTPUT_STANDING_H

#include "api/approvals.pb-c.h"
#include "cli/output/table.h"

/* "stands", "revoked", "used up", "ended"; "unknown" for a state that is newer than this command.
 */
const char *standing_state_name(Chaperone__V1__StandingState state);

/* For lists: which, since when, until when, uses left, whose, where, by which rule and whom, what;
 * ends with NULL. */
extern const char *const standing_headings[];
enum err standing_add_row(struct table *t, const Chaperone__V1__StandingApproval *s,
                          int64_t now_ns) MUST_USE;

/* One line without its end: whose, where, under which rule, how often it was used. */
void standing_print_summary(const struct terminal *t, const Chaperone__V1__StandingApproval *s);

/* As one JSON object on a line; docs/cli.md lists its keys. */
enum err standing_json_write(FILE *out, const Chaperone__V1__StandingApproval *s) MUST_USE;

#endif
