/* Names and their numbers: 0, 1, 2, ... in the order in which they first came. The names may be
 * anybody's: their places in the table come from SHA-256, so that nobody makes them collide. */
#ifndef CHAPERONE_CLI_EVIDENCE_NAMES_H
#define CHAPERONE_CLI_EVIDENCE_NAMES_H

#include "base/arena.h"

struct names;

/* Borrows the arena, which keeps the names. Returns owned; NULL when memory is short. */
struct names *names_create(struct arena *arena) MUST_USE;
void names_destroy(struct names *n); /* takes NULL */

/* The number of the name, which is added where it is new. ERR_LIMIT: 2^31 of them. */
enum err names_put(struct names *n, struct bytes name, uint32_t *out, bool *out_is_new) MUST_USE;
uint32_t names_count(const struct names *n);
/* Borrows; NUL-terminated. */
const char *names_get(const struct names *n, uint32_t number);

#endif
