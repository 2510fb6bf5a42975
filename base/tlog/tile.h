/* C2SP tlog-tiles (https://c2sp.org/tlog-tiles): where the hashes and the entries of a log lie.
 *
 * A tile is 1 to 256 consecutive hashes of 32 bytes at one level; a full one (256) is one hash of
 * the level above. Level n here is the specification's <L>, which is binary level 8 * n of tree.h.
 * An entry bundle has the records themselves, as many as the level 0 tile of its index.
 *
 * Pure. Tile data is borrowed from the caller and checked for its size only: whose it is, a proof
 * against a signed root says. */
#ifndef CHAPERONE_BASE_TLOG_TILE_H
#define CHAPERONE_BASE_TLOG_TILE_H

#include "base/tlog/tree.h"

enum {
    TLOG_TILE_WIDTH = 256, /* hashes in a full tile */
    TLOG_TILE_HEIGHT = 8,  /* binary levels of a tile */
    TLOG_TILE_BYTES = TLOG_TILE_WIDTH * TLOG_HASH_SIZE,
    /* Tile levels of the largest tree (TLOG_SIZE_MAX); the specification allows 64. */
    TLOG_TILE_LEVELS = TLOG_LEVELS / TLOG_TILE_HEIGHT + 1,
    /* "tile/entries/" and an index of 7 groups (at most 62 bits) and ".p/255" and a NUL. */
    TLOG_TILE_PATH_SIZE = 64,
    /* The length before an entry of a bundle has 16 bits. */
    TLOG_ENTRY_SIZE_MAX = 65535,
};

enum tlog_tile_kind {
    TLOG_TILE_HASHES,
    TLOG_TILE_ENTRIES, /* level is 0 */
};

struct tlog_tile {
    enum tlog_tile_kind kind;
    unsigned level; /* below TLOG_TILE_LEVELS */
    uint64_t index;
    unsigned width; /* 1 to TLOG_TILE_WIDTH */
};

/* "tile/1/x001/x234/067.p/17", with a NUL. The tile must be one of a tree of at most TLOG_SIZE_MAX
 * leaves, else ERR_INVALID. */
enum err tlog_tile_format_path(const struct tlog_tile *tile,
                               char out[TLOG_TILE_PATH_SIZE]) MUST_USE;

/* Exactly the paths that tlog_tile_format_path makes, each in its one spelling; else ERR_INVALID:
 * what is served or written by such a path cannot be outside of the log's own directory. */
enum err tlog_tile_parse_path(struct bytes path, struct tlog_tile *out) MUST_USE;

/* The tile that has the hash (level, index) of tree.h, as wide as it is in a tree of `size` leaves.
 * ERR_INVALID when that subtree is not wholly in the tree. */
enum err tlog_tile_find(uint64_t size, unsigned level, uint64_t index,
                        struct tlog_tile *out) MUST_USE;

/* The hash (level, index) of tree.h from the tile's data. ERR_INVALID when it is not in there, or
 * when the data is not exactly width * TLOG_HASH_SIZE bytes. */
enum err tlog_tile_read_hash(const struct tlog_tile *tile, struct bytes data, unsigned level,
                             uint64_t index, struct tlog_hash *out) MUST_USE;

/* Calls visit for every hash tile that a tree of `after` leaves has and one of `before` did not,
 * level 0 first: new ones, and partial ones that became wider. With before = 0 all of a tree's.
 * Stops at an error of visit and hands it on. ERR_INVALID when before > after, ERR_LIMIT above
 * TLOG_SIZE_MAX. */
enum err tlog_tile_each_new(uint64_t before, uint64_t after,
                            enum err (*visit)(void *context, const struct tlog_tile *tile),
                            void *context) MUST_USE;

/* ---- Reading a tree from tiles ------------------------------------------------------------------
 */

/* Where tiles come from. */
struct tlog_tile_source {
    /* Fills `out` with the tile's width * TLOG_HASH_SIZE bytes. ERR_NOT_FOUND when it is not there;
     * any error is handed on. */
    enum err (*load)(void *context, const struct tlog_tile *tile, uint8_t *out);
    void *context; /* borrows */
};

/* Reads the hashes of one tree; keeps the tile that was used last on each level (64 KiB). */
struct tlog_tile_reader;

/* For a tree of `size` leaves, whose tiles the source has. Returns owned. */
enum err tlog_tile_reader_create(struct tlog_tile_source source, uint64_t size,
                                 struct tlog_tile_reader **out) MUST_USE;
void tlog_tile_reader_destroy(struct tlog_tile_reader *reader); /* takes NULL */
/* Borrows the reader; valid until its destruction. */
struct tlog_reader tlog_tile_reader_as_reader(struct tlog_tile_reader *reader);

/* ---- Entry bundles ------------------------------------------------------------------------------
 */

/* Appends an entry with its length. ERR_LIMIT above TLOG_ENTRY_SIZE_MAX, or the buffer's cap. */
enum err tlog_bundle_append(struct buffer *out, struct bytes entry) MUST_USE;

/* Takes the first entry off `rest`. ERR_NOT_FOUND at the end, ERR_INVALID when it is cut off.
 * `out` borrows from rest's bytes. */
enum err tlog_bundle_next(struct bytes *rest, struct bytes *out) MUST_USE;

/* That the bundle has exactly the entries of a level 0 tile, in its order: `hashes` is the tile's
 * data. ERR_INVALID when the sizes or a bundle's form are wrong; ERR_DENIED when an entry is
 * another than was logged. `out_at` (may be NULL) is set on these two: the place in the tile, from
 * 0, that is wrong first. */
enum err tlog_bundle_check(struct bytes bundle, struct bytes hashes, unsigned *out_at) MUST_USE;

#endif
