/* A statement's analysis as a line of text; of tests and tools. testdata/statements.txt has the
 * form.
 */
#ifndef CHAPERONE_SIDECAR_SQL_DESCRIBE_H
#define CHAPERONE_SIDECAR_SQL_DESCRIBE_H

#include "sidecar/sql/sql.h"

/* Appends "-> SELECT: read table orders(id, total) [flags]" and a line end. The buffer's errors. */
enum err sql_describe(struct buffer *into, const struct sql_statement *s) MUST_USE;

#endif
