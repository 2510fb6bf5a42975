/* Names and their numbers: 1, 2, 3, ... in the order in which they first came. A balanced tree:
 * nobody can choose names that make it slow. */
#ifndef CHAPERONE_CLI_VERIFY_NAME_TABLE_H
#define CHAPERONE_CLI_VERIFY_NAME_TABLE_H

#include "base/bytes.h"

/* A stream, a session, a policy: 16 million of each. */
enum { NAME_TABLE_MAX = 1 << 24 };

struct name_table;

struct name_table *name_table_create(void) MUST_USE; /* returns owned */
void name_table_destroy(struct name_table *n);       /* takes NULL */

/* No bytes have the number 0. ERR_LIMIT: NAME_TABLE_MAX. */
enum err name_table_put(struct name_table *n, struct bytes name, uint32_t *out) MUST_USE;
/* 0: not there. */
uint32_t name_table_find(const struct name_table *n, struct bytes name);
uint32_t name_table_count(const struct name_table *n);
/* Borrows; "" for 0. */
const char *name_table_get(const struct name_table *n, uint32_t number);

#endif
