/* Names and their numbers: 0, 1, 2, ... in the order in which they first came. The names may be
 * anybody's: their places in the table come from SHA-256, so that nobody makes them collide. */
#ifndef CHAPERONE_CLI_EVIDENCE_CATALOGUE_H
#define CHAPERONE_CLI_EVIDENCE_CATALOGUE_H

#include "base/arena.h"

struct catalogue;

/* Borrows the arena, which keeps the names. Returns owned; NULL when memory is short. */
struct catalogue *catalogue_create(struct arena *arena) MUST_USE;
void catalogue_destroy(struct catalogue *n); /* takes NULL */

/* The number of the name, which is added where it is new. ERR_LIMIT: 2^31 of them. */
enum err catalogue_put(struct catalogue *n, struct bytes name, uint32_t *out,
                       bool *out_is_new) MUST_USE;
uint32_t catalogue_count(const struct catalogue *n);
/* Borrows; NUL-terminated. */
const char *catalogue_get(const struct catalogue *n, uint32_t number);

#endif
