/* The hash tiles of a package or a log, and whether they lead to a root.
 *
 * Checked is everything that is there: each full tile is one hash of the tile above it, and what
 * stands at the right edge makes the root. So every leaf of a tile that is there is proved. */
#ifndef CHAPERONE_CLI_VERIFY_KNOWN_TILES_H
#define CHAPERONE_CLI_VERIFY_KNOWN_TILES_H

#include "base/tlog/tile.h"
#include "cli/verify/report.h"

/* 1 GiB of tiles: 33 million records with all of theirs. */
enum { KNOWN_TILES_MAX = 131072 };

struct known_tiles;

struct known_tiles *known_tiles_create(void) MUST_USE; /* returns owned */
void known_tiles_destroy(struct known_tiles *t);       /* takes NULL */

/* Copies the data. ERR_INVALID: it is no hash tile, or the data is not as long as the tile is wide;
 * ERR_EXISTS: it is there already; ERR_LIMIT: KNOWN_TILES_MAX. */
enum err known_tiles_add(struct known_tiles *t, const struct tlog_tile *tile,
                         struct bytes data) MUST_USE;
size_t known_tiles_count(const struct known_tiles *t);

/* Checks all tiles for the tree of `size` leaves with this root, and reports what is wrong. OK when
 * they lead to the root; ERR_DENIED when they do not. */
enum err known_tiles_check(struct known_tiles *t, uint64_t size, const struct tlog_hash *root,
                           struct report *report) MUST_USE;

/* The leaf with this index, after known_tiles_check; NULL: its tile is not there. Borrows. */
const struct tlog_hash *known_tiles_leaf(const struct known_tiles *t, uint64_t index);
/* The index of a leaf with this hash, by looking at all; false: none. */
bool known_tiles_find_leaf(const struct known_tiles *t, const struct tlog_hash *leaf,
                           uint64_t *out);

/* For proofs. Borrows. */
struct tlog_tile_source known_tiles_source(struct known_tiles *t);

#endif
