/* The recorded answer of an outcome, shown. */
#ifndef CHAPERONE_CLI_OUTPUT_ANSWER_H
#define CHAPERONE_CLI_OUTPUT_ANSWER_H

#include "cli/output/terminal.h"
#include "formats/answer.h"

/* The first rows of each result as tables, indented; says how many more there were. */
void answer_print(const struct terminal *t, const Chaperone__V1__Outcome *outcome, size_t max_rows,
                  size_t indent);

#endif
