/* The recorded answer of an outcome: what the agent saw. */
#ifndef CHAPERONE_CLI_OUTPUT_ANSWER_H
#define CHAPERONE_CLI_OUTPUT_ANSWER_H

#include "cli/output/record.h"
#include "cli/output/rows.h"
#include "cli/output/terminal.h"

/* Starts reading it; the columns are the outcome's until the answer has its own. Borrows. */
void answer_init(struct rows *r, const Chaperone__V1__Outcome *outcome);

/* The first rows of each result as tables, indented; says how many more there were. */
void answer_print(const struct terminal *t, const Chaperone__V1__Outcome *outcome, size_t max_rows,
                  size_t indent);

#endif
