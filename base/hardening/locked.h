/* Memory for a key that a process keeps for as long as it lives: never in swap, in no dump, not in
 * a forked process, with pages that cannot be touched before and behind it, and wiped at its end.
 *
 * Not for secrets that pass through: the limit of locked memory (RLIMIT_MEMLOCK) is low. */
#ifndef CHAPERONE_BASE_HARDENING_LOCKED_H
#define CHAPERONE_BASE_HARDENING_LOCKED_H

#include <stddef.h>

#include "base/err.h"

/* Zeroed, aligned for any type; returns owned: locked_free with the same size. NULL: no memory, or
 * not allowed to lock that much. Costs three pages at least. */
void *locked_alloc(size_t size) MUST_USE;
void locked_free(void *block, size_t size); /* wipes; takes NULL */

#endif
