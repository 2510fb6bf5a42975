/* The recorded answer of an outcome: what the agent saw. */
#ifndef CHAPERONE_FORMATS_ANSWER_H
#define CHAPERONE_FORMATS_ANSWER_H

#include "formats/record.h"
#include "formats/rows.h"

/* Starts reading it; the columns are the outcome's until the answer has its own. Borrows. */
void answer_init(struct rows *r, const Chaperone__V1__Outcome *outcome);

#endif
