/* Names and their numbers: 0, 1, 2, ... in the order in which they first came. The names may be
 * anybody's: their places in the table come from SHA-256, so that nobody makes them collide. */
#ifndef CHAPERONE_CLI_EVIDENCE_NAME_TABLE_H
#define CHAPERONE_CLI_EVIDENCE_NAME_TABLE_H

#include "base/arena.h"

struct name_table;

/* Borrows the arena, which keeps the names. Returns owned; NULL when memory is short. */
struct name_table *name_table_create(struct arena *arena) MUST_USE;
void name_table_destroy(struct name_table *n); /* takes NULL */

/* The number of the name, which is added where it is new. ERR_LIMIT: 2^31 of them. */
enum err name_table_put(struct name_table *n, struct bytes name, uint32_t *out,
                        bool *out_is_new) MUST_USE;
uint32_t name_table_count(const struct name_table *n);
/* Borrows; NUL-terminated. */
const char *name_table_get(const struct name_table *n, uint32_t number);

#endif
