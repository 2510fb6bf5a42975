/* The log's directory: C2SP tlog-tiles as files, which any static file server can serve.
 *
 *   checkpoint            the newest signed note
 *   tile/0/x001/067       hashes; tile/0/x001/067.p/17 where there are 17 of them yet
 *   tile/entries/000      entry bundles
 *
 * A file has its name only when it is whole, and is never half replaced. A full tile with
 * other bytes is refused: tiles are a function of the leaves. What was put is durable after
 * tile_directory_sync, which comes before a checkpoint of that size is signed.
 *
 * One thread writes; any may read meanwhile. Files are 0644, directories 0755. */
#ifndef CHAPERONE_CONTROLPLANE_TLOG_TILE_DIRECTORY_H
#define CHAPERONE_CONTROLPLANE_TLOG_TILE_DIRECTORY_H

#include "base/tlog/grow.h"

struct tile_directory;

/* Called before each step that changes the disk, with its name: for tests, which die there. */
typedef void tile_directory_step_fn(void *context, const char *step);

struct tile_directory_options {
    const char *path;                /* made where it is missing; copied */
    tile_directory_step_fn *on_step; /* may be NULL */
    void *step_context;
};

enum {
    /* Of a full bundle of the largest entries. */
    TILE_DIRECTORY_BUNDLE_MAX = TLOG_TILE_WIDTH * (TLOG_ENTRY_SIZE_MAX + 2),
};

/* Returns owned. */
enum err tile_directory_open(const struct tile_directory_options *options,
                             struct tile_directory **out, struct err_text *why) MUST_USE;
void tile_directory_close(struct tile_directory *directory); /* takes NULL */

/* ERR_EXISTS: a full tile is there with other bytes (and it is not being repaired). */
enum err tile_directory_put(struct tile_directory *directory, const struct tlog_tile *tile,
                            struct bytes data, struct err_text *why) MUST_USE;
/* Full tiles with other bytes are replaced from here on: by bytes that were checked against a
 * signed root. */
void tile_directory_set_repairing(struct tile_directory *directory, bool repairing);
/* All that was put is on the disk. */
enum err tile_directory_sync(struct tile_directory *directory, struct err_text *why) MUST_USE;

/* Appends the tile's data, also where only a wider one is there (a bundle is given as wide as it
 * is asked for). ERR_NOT_FOUND; ERR_INVALID: the file has another size than it must. */
enum err tile_directory_read(const struct tile_directory *directory, const struct tlog_tile *tile,
                             struct buffer *out) MUST_USE;

/* For tlog_grow and tlog_tile_reader; both borrow the directory. */
struct tlog_tile_sink tile_directory_sink(struct tile_directory *directory);
struct tlog_tile_source tile_directory_source(const struct tile_directory *directory);

/* Removes what a tree of `size` leaves does not have, and partial tiles beside their full one. */
enum err tile_directory_trim(struct tile_directory *directory, uint64_t size,
                             struct err_text *why) MUST_USE;
/* Removes the partial tiles at the edge of a tree of `before` leaves that are full in one of
 * `after`. What cannot be removed stays: trim finds it. */
void tile_directory_sweep(struct tile_directory *directory, uint64_t before, uint64_t after);

/* The file `checkpoint`: replaced, and on the disk when it returns. */
enum err tile_directory_publish(struct tile_directory *directory, struct bytes note,
                                struct err_text *why) MUST_USE;
/* Appends it. ERR_NOT_FOUND. */
enum err tile_directory_published(const struct tile_directory *directory,
                                  struct buffer *out) MUST_USE;

/* Whether a tree of `size` leaves has all of this tile. */
bool tile_directory_has(uint64_t size, const struct tlog_tile *tile);

#endif
