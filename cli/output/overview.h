/* A session as a list of its operations: a line for each, with what was decided and what became of
 * it. Memory grows with their number. */
#ifndef CHAPERONE_CLI_OUTPUT_OVERVIEW_H
#define CHAPERONE_CLI_OUTPUT_OVERVIEW_H

#include "cli/output/terminal.h"
#include "formats/record.h"

struct overview;

/* Returns owned; NULL when memory is short. */
struct overview *overview_create(void) MUST_USE;
void overview_destroy(struct overview *o); /* takes NULL */

/* In the order of the records; those that are about no operation are passed over. */
enum err overview_add(struct overview *o, const struct record_view *v) MUST_USE;
/* TIME, OPERATION, VERDICT, RULE, STATUS (of HTTP its code), BYTES, DURATION, WHAT. */
enum err overview_print(const struct overview *o, const struct terminal *t) MUST_USE;

#endif
