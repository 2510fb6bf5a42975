/* The shape of a statement: its text with the constants replaced, on one line. Pure. */
#ifndef CHAPERONE_CLI_POLICY_SHAPE_H
#define CHAPERONE_CLI_POLICY_SHAPE_H

#include "base/bytes.h"

/* `is_sql`: sql_analyse took it; else nothing can be replaced. Without comments where they can be
 * told from the rest. At most `max` bytes; what was cut ends in "...". Returns owned,
 * NUL-terminated; NULL when memory is short. */
char *shape_of(struct bytes text, bool is_sql, size_t max) MUST_USE;

#endif
