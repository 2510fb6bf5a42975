/* How many rows a plan expects to touch, of PostgreSQL's EXPLAIN (FORMAT JSON). Pure.
 *
 * The node that changes a table (ModifyTable) says how many rows it returns, not how many it
 * changes: that is what comes from below it. */
#ifndef CHAPERONE_SIDECAR_OPERATION_PLAN_ROWS_H
#define CHAPERONE_SIDECAR_OPERATION_PLAN_ROWS_H

#include "base/bytes.h"

/* False: it is no such plan. */
bool plan_rows_estimate(struct bytes json, double *out_rows);

#endif
