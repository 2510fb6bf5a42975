/* Which hash tiles prove a set of records: those of level 0 that have one of them, the one above
 * each full one, and the partial ones at the right edge of the tree. With these the root and every
 * inclusion proof can be computed (RFC 6962 section 2.1.1). One bit for each tile of level 0. */
#ifndef CHAPERONE_CONTROLPLANE_EVIDENCE_TILE_SET_H
#define CHAPERONE_CONTROLPLANE_EVIDENCE_TILE_SET_H

#include "base/tlog/tile.h"

struct tile_set;

/* Of a tree of `size` leaves. ERR_LIMIT above TLOG_SIZE_MAX. Returns owned. */
enum err tile_set_create(uint64_t size, struct tile_set **out) MUST_USE;
void tile_set_destroy(struct tile_set *set); /* takes NULL */

/* The leaf, below the size. */
void tile_set_add(struct tile_set *set, uint64_t leaf);

/* Each tile once, level 0 first; nothing may be added after it. Stops at an error of visit and
 * hands it on. */
enum err tile_set_each(struct tile_set *set,
                       enum err (*visit)(void *context, const struct tlog_tile *tile),
                       void *context) MUST_USE;

#endif
