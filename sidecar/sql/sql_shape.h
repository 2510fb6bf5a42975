/* What is the same in two statements that differ in their values only. Pure. */
#ifndef CHAPERONE_SIDECAR_SQL_SQL_SHAPE_H
#define CHAPERONE_SIDECAR_SQL_SQL_SHAPE_H

#include "base/bytes.h"

enum { SQL_SHAPE_SIZE = 64 + 1 };

/* Hex; "" for a text that cannot be parsed. Two texts of one shape have the same parse tree but for
 * constants and the places in the text. */
void sql_shape(struct bytes text, char out[SQL_SHAPE_SIZE]);

#endif
