/* What an analysed text is in an intent: its commands and what each touches. Pure. */
#ifndef CHAPERONE_SIDECAR_OPERATION_STATEMENTS_H
#define CHAPERONE_SIDECAR_OPERATION_STATEMENTS_H

#include "api/audit.pb-c.h"
#include "base/arena.h"
#include "sidecar/sql/sql.h"

/* Fills commands, objects (with their columns), accesses and without_where; they borrow from the
 * analysis and the arena. False: no memory. */
bool statements_describe(struct arena *arena, const struct sql_analysis *analysis,
                         Chaperone__V1__Intent *intent) MUST_USE;

#endif
