/* Growing a log that is stored as tiles: leaf hashes in, new and changed tiles out.
 *
 * Only the right edge is held: at most 255 hashes of each level, 72 KiB together, whatever the size
 * of the log. A leaf costs one hash of two blocks (its share of the levels above). Full tiles are
 * written as soon as they are full, partial ones when the caller flushes, which is before it signs
 * a checkpoint of that size.
 *
 * Order of a safe append, for the caller: write the entries, append, flush, make the tiles durable,
 * then sign. Tiles are a function of the leaves alone: after a crash in between, growing again from
 * the size of the last signed checkpoint with the same leaves writes the same bytes again. */
#ifndef CHAPERONE_BASE_TLOG_GROW_H
#define CHAPERONE_BASE_TLOG_GROW_H

#include "base/tlog/tile.h"

struct tlog_grow;

/* Where tiles go. */
struct tlog_tile_sink {
    /* `data` is valid during the call. A partial tile comes again, wider, until it is full. */
    enum err (*store)(void *context, const struct tlog_tile *tile, struct bytes data);
    void *context; /* borrows */
};

/* Goes on from a tree of `size` leaves, loading the partial tiles of its edge; from an empty one
 * nothing is loaded. Check the root against the signed one before appending: the source is not
 * trusted otherwise. Returns owned. */
enum err tlog_grow_create(struct tlog_tile_source source, uint64_t size,
                          struct tlog_grow **out) MUST_USE;
void tlog_grow_destroy(struct tlog_grow *grow); /* takes NULL */

/* Appends leaves; the sink gets every tile that becomes full. After an error (of the sink, or
 * ERR_LIMIT: more than TLOG_SIZE_MAX) the object has a part of the leaves, and every later call
 * fails with the same error: destroy it and create it anew from what is stored. */
enum err tlog_grow_append(struct tlog_grow *grow, const struct tlog_hash *leaves, size_t count,
                          struct tlog_tile_sink sink) MUST_USE;

/* Gives the sink the partial tiles that changed since the last flush. Errors as in append. */
enum err tlog_grow_flush(struct tlog_grow *grow, struct tlog_tile_sink sink) MUST_USE;

uint64_t tlog_grow_size(const struct tlog_grow *grow);
/* Fails only as the calls before it did. */
enum err tlog_grow_root(const struct tlog_grow *grow, struct tlog_hash *out) MUST_USE;

#endif
