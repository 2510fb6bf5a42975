/* Memory that is freed all at once: one arena per session, a scratch one per message.
 *
 * Invariant: an arena never holds more than its cap; `arena_reset` keeps its first block, so
 * that a scratch arena in steady use does not call malloc. */
#ifndef CHAPERONE_BASE_ARENA_H
#define CHAPERONE_BASE_ARENA_H

#include "base/bytes.h"

struct arena;

/* Returns owned; NULL when memory is short. No block is allocated before the first use. */
struct arena *arena_create(size_t block_size, size_t cap) MUST_USE;
void arena_destroy(struct arena *a); /* takes NULL */
void arena_reset(struct arena *a);

/* Zeroed, aligned for any type; valid until reset or destroy. NULL: no memory, or the cap. */
void *arena_alloc(struct arena *a, size_t size) MUST_USE;
char *arena_copy_string(struct arena *a, struct bytes text) MUST_USE; /* NUL-terminated */
/* Never NULL, also of none. ERR_NO_MEMORY: `*out` is not written. */
enum err arena_copy_bytes(struct arena *a, struct bytes from, struct bytes *out) MUST_USE;

/* Bytes handed out since the last reset. */
size_t arena_used(const struct arena *a);

#endif
