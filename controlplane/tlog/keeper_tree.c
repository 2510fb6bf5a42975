/* The tree here: from the store's records to tiles and entry bundles. */
#include "controlplane/tlog/keeper_internal.h"

#include <stdlib.h>

enum {
    CHUNKS_MAX = 64,  /* of KEEPER_READ_MAX in one turn: a checkpoint comes between */
    SCRUB_TILES = 64, /* in one turn */
};

static const int64_t scrub_interval_ns = INT64_C(24) * 3600 * 1000000000;

typedef uint8_t stored_hash[STORE_HASH_SIZE];

/* --- reading the store -------------------------------------------------------------------------
 */

/* The next hashes beyond `after`, none beyond `until`; in the arena's memory that `room` is. */
static enum err read_hashes(struct keeper *k, uint64_t after, uint64_t until, stored_hash *room,
                            size_t *out_count, struct err_text *why)
{
    uint64_t left = until - after;
    size_t max = left < KEEPER_READ_MAX ? (size_t)left : KEEPER_READ_MAX;
    *out_count = 0;
    if (max == 0) {
        return OK;
    }
    enum err e = store_log_read(k->with.store, after, max, room, out_count);
    return e == OK ? OK : err_set(why, e, "the store's hashes cannot be read: %s", err_name(e));
}

/* --- entry bundles -----------------------------------------------------------------------------
 */

static void bundle_set(struct keeper *k, uint64_t index, const stored_hash hash)
{
    uint8_t *at = k->bundle + (size_t)(index % TLOG_TILE_WIDTH) * KEEPER_BUNDLE_ENTRY;
    at[0] = 0;
    at[1] = STORE_HASH_SIZE;
    memcpy(at + 2, hash, STORE_HASH_SIZE);
}

static enum err bundle_put(struct keeper *k, uint64_t size, struct err_text *why)
{
    uint64_t last = size - 1;
    const struct tlog_tile tile = {.kind = TLOG_TILE_ENTRIES,
                                   .index = last / TLOG_TILE_WIDTH,
                                   .width = (unsigned)(last % TLOG_TILE_WIDTH) + 1};
    return tile_directory_put(k->directory, &tile,
                              bytes_of(k->bundle, (size_t)tile.width * KEEPER_BUNDLE_ENTRY), why);
}

/* --- growing -----------------------------------------------------------------------------------
 */

static enum err append(struct keeper *k, const stored_hash *hashes, size_t count,
                       struct tlog_hash *leaves, struct err_text *why)
{
    uint64_t size = tlog_grow_size(k->grow);
    enum err e = OK;
    for (size_t i = 0; e == OK && i < count; i++) {
        bundle_set(k, size + i, hashes[i]);
        tlog_hash_leaf(bytes_of(hashes[i], STORE_HASH_SIZE), &leaves[i]);
        if ((size + i + 1) % TLOG_TILE_WIDTH == 0) {
            e = bundle_put(k, size + i + 1, why);
        }
    }
    if (e == OK) {
        keeper_step(k, "append");
        e = tlog_grow_append(k->grow, leaves, count, tile_directory_sink(k->directory));
        if (e != OK) {
            (void)err_set(why, e, "a tile cannot be written: %s", err_name(e));
        }
    }
    return e;
}

/* Up to `until`, or as far as the store goes. */
static enum err extend(struct keeper *k, uint64_t until, size_t chunks, struct err_text *why)
{
    stored_hash *hashes = malloc(KEEPER_READ_MAX * sizeof(*hashes));
    struct tlog_hash *leaves = malloc(KEEPER_READ_MAX * sizeof(*leaves));
    enum err e = hashes == NULL || leaves == NULL ? ERR_NO_MEMORY : OK;
    size_t count = 1;
    for (size_t i = 0; e == OK && count > 0 && i < chunks; i++) {
        e = read_hashes(k, tlog_grow_size(k->grow), until, hashes, &count, why);
        if (e == OK && count > 0) {
            e = append(k, hashes, count, leaves, why);
        }
    }
    free(hashes);
    free(leaves);
    return e;
}

enum err keeper_tree_follow(struct keeper *k, struct err_text *why)
{
    return extend(k, TLOG_SIZE_MAX, CHUNKS_MAX, why);
}

enum err keeper_tree_flush(struct keeper *k, struct err_text *why)
{
    uint64_t size = tlog_grow_size(k->grow);
    enum err e = OK;
    if (size == k->flushed) {
        return OK;
    }
    if (size % TLOG_TILE_WIDTH != 0) {
        e = bundle_put(k, size, why);
    }
    if (e == OK) {
        keeper_step(k, "flush");
        e = tlog_grow_flush(k->grow, tile_directory_sink(k->directory));
        if (e != OK) {
            (void)err_set(why, e, "a tile cannot be written: %s", err_name(e));
        }
    }
    if (e == OK) {
        e = tile_directory_sync(k->directory, why);
    }
    k->flushed = e == OK ? size : k->flushed;
    return e;
}

/* A tile as a tree of `size` has it, of what is there in a wider one. */
static enum err put_narrower(struct keeper *k, const struct tlog_tile *tile, struct err_text *why)
{
    struct buffer data;
    buffer_init(&data, TILE_DIRECTORY_BUNDLE_MAX);
    enum err e = tile_directory_read(k->directory, tile, &data);
    e = e == OK ? tile_directory_put(k->directory, tile, buffer_bytes(&data), why)
                : err_set(why, e, "a tile cannot be read: %s", err_name(e));
    buffer_finish(&data);
    return e;
}

enum err keeper_tree_put_edge(struct keeper *k, uint64_t size, struct err_text *why)
{
    enum err e = OK;
    if (size == k->flushed) {
        return OK;
    }
    for (unsigned level = 0; e == OK && level < TLOG_TILE_LEVELS; level++) {
        uint64_t count = size >> (TLOG_TILE_HEIGHT * level);
        struct tlog_tile tile = {.kind = TLOG_TILE_HASHES,
                                 .level = level,
                                 .index = count / TLOG_TILE_WIDTH,
                                 .width = (unsigned)(count % TLOG_TILE_WIDTH)};
        e = tile.width == 0 ? OK : put_narrower(k, &tile, why);
        if (e == OK && level == 0 && tile.width > 0) {
            tile.kind = TLOG_TILE_ENTRIES;
            e = put_narrower(k, &tile, why);
        }
    }
    return e == OK ? tile_directory_sync(k->directory, why) : e;
}

enum err keeper_tree_root(struct keeper *k, uint64_t size, struct tlog_hash *out)
{
    struct tlog_tile_reader *tiles = NULL;
    enum err e = tlog_tile_reader_create(tile_directory_source(k->directory), k->flushed, &tiles);
    if (e == OK) {
        struct tlog_reader reader = tlog_tile_reader_as_reader(tiles);
        e = tlog_tree_root(&reader, size, out);
    }
    tlog_tile_reader_destroy(tiles);
    return e;
}

void keeper_tree_close(struct keeper *k)
{
    tlog_grow_destroy(k->grow);
    k->grow = NULL;
    k->flushed = 0;
}

/* --- beginning ---------------------------------------------------------------------------------
 */

static enum err load_bundle(struct keeper *k, uint64_t size, struct err_text *why)
{
    stored_hash hashes[TLOG_TILE_WIDTH];
    uint64_t first = size - size % TLOG_TILE_WIDTH;
    size_t count = 0;
    enum err e = read_hashes(k, first, size, hashes, &count, why);
    if (e == OK && count != size - first) {
        e = err_set(why, ERR_DENIED, "there are fewer records than were signed");
    }
    for (size_t i = 0; e == OK && i < count; i++) {
        bundle_set(k, first + i, hashes[i]);
    }
    return e;
}

/* The hashes of the store at the edge are those of the tile there, which makes the signed root:
 * they are published beside it, and no tile that is full compares them yet. */
static bool bundle_fits(struct keeper *k, uint64_t size)
{
    struct tlog_tile_source source = tile_directory_source(k->directory);
    struct tlog_tile tile = {.kind = TLOG_TILE_HASHES,
                             .index = size / TLOG_TILE_WIDTH,
                             .width = (unsigned)(size % TLOG_TILE_WIDTH)};
    uint8_t data[TLOG_TILE_BYTES];
    stored_hash hashes[TLOG_TILE_WIDTH];
    size_t count = 0;
    if (tile.width == 0) {
        return true;
    }
    bool fits = source.load(source.context, &tile, data) == OK &&
                read_hashes(k, size - tile.width, size, hashes, &count, NULL) == OK &&
                count == tile.width;
    for (size_t i = 0; fits && i < count; i++) {
        struct tlog_hash leaf;
        tlog_hash_leaf(bytes_of(hashes[i], STORE_HASH_SIZE), &leaf);
        fits = memcmp(leaf.bytes, data + i * TLOG_HASH_SIZE, TLOG_HASH_SIZE) == 0;
    }
    return fits;
}

static bool edge_fits(struct keeper *k, const struct keeper_head *head)
{
    struct tlog_hash root;
    return tlog_grow_create(tile_directory_source(k->directory), head->size, &k->grow) == OK &&
           tlog_grow_root(k->grow, &root) == OK && tlog_hash_equal(&root, &head->root);
}

enum err keeper_tree_open(struct keeper *k, const struct keeper_head *head, struct err_text *why)
{
    struct tlog_hash empty;
    struct keeper_head from = *head;
    if (from.size == 0) {
        const struct tlog_reader none = {.read = NULL};
        enum err e = tlog_tree_root(&none, 0, &empty);
        if (e != OK) {
            return e;
        }
        from.root = empty;
    }
    keeper_tree_close(k);
    enum err e = tile_directory_trim(k->directory, from.size, why);
    if (e == OK && !edge_fits(k, &from)) {
        e = keeper_tree_repair(k, &from, why);
    }
    if (e == OK) {
        e = load_bundle(k, from.size, why);
    }
    if (e == OK && !bundle_fits(k, from.size)) {
        e = keeper_tree_repair(k, &from, why);
    }
    if (e != OK) {
        keeper_tree_close(k);
        return e;
    }
    k->flushed = from.size;
    k->swept = from.size;
    k->scrubbed = 0;
    k->scrub_at_ns = 0;
    return OK;
}

/* --- making it anew ----------------------------------------------------------------------------
 */

/* The root that the records in the store make, with no file in between. */
static enum err root_of_records(struct keeper *k, uint64_t size, struct tlog_hash *out,
                                struct err_text *why)
{
    struct tlog_edge edge = {.size = 0};
    stored_hash *hashes = malloc(KEEPER_READ_MAX * sizeof(*hashes));
    enum err e = hashes == NULL ? ERR_NO_MEMORY : OK;
    while (e == OK && edge.size < size) {
        size_t count = 0;
        e = read_hashes(k, edge.size, size, hashes, &count, why);
        if (e == OK && count == 0) {
            e = err_set(why, ERR_DENIED, "there are fewer records than were signed");
        }
        for (size_t i = 0; e == OK && i < count; i++) {
            struct tlog_hash leaf;
            tlog_hash_leaf(bytes_of(hashes[i], STORE_HASH_SIZE), &leaf);
            e = tlog_edge_append(&edge, &leaf);
        }
    }
    if (e == OK) {
        tlog_edge_root(&edge, out);
    }
    free(hashes);
    return e;
}

enum err keeper_tree_repair(struct keeper *k, const struct keeper_head *head, struct err_text *why)
{
    struct tlog_hash root;
    keeper_tree_close(k);
    enum err e = root_of_records(k, head->size, &root, why);
    if (e == OK && head->size > 0 && !tlog_hash_equal(&root, &head->root)) {
        e = err_set(why, ERR_DENIED, "the first %llu records are not those that were signed",
                    (unsigned long long)head->size);
    }
    if (e != OK) {
        return e;
    }
    log_event(k->with.log, LOG_WARN, "log_directory_rebuilt",
              log_number("records", (int64_t)head->size));
    tile_directory_set_repairing(k->directory, true);
    e = tlog_grow_create(tile_directory_source(k->directory), 0, &k->grow);
    if (e == OK) {
        e = extend(k, head->size, SIZE_MAX, why);
    }
    if (e == OK) {
        e = keeper_tree_flush(k, why);
    }
    tile_directory_set_repairing(k->directory, false);
    return e;
}

/* --- looking for damage ------------------------------------------------------------------------
 */

static enum err root_of_tile(const uint8_t *data, struct tlog_hash *out)
{
    struct tlog_edge edge = {.size = 0};
    enum err e = OK;
    for (size_t i = 0; e == OK && i < TLOG_TILE_WIDTH; i++) {
        struct tlog_hash leaf;
        memcpy(leaf.bytes, data + i * TLOG_HASH_SIZE, TLOG_HASH_SIZE);
        e = tlog_edge_append(&edge, &leaf);
    }
    if (e == OK) {
        tlog_edge_root(&edge, out);
    }
    return e;
}

/* That the tiles above have this node, up to the first that has more behind it. */
static enum err check_above(struct keeper *k, uint64_t index, struct tlog_hash node)
{
    struct tlog_tile_source source = tile_directory_source(k->directory);
    for (unsigned level = 1;; level++) {
        struct tlog_tile tile;
        uint8_t data[TLOG_TILE_BYTES];
        enum err e = tlog_tile_find(k->flushed, level * TLOG_TILE_HEIGHT, index, &tile);
        if (e == OK) {
            e = source.load(source.context, &tile, data);
        }
        size_t place = (size_t)(index % TLOG_TILE_WIDTH) * TLOG_HASH_SIZE;
        if (e == OK && memcmp(data + place, node.bytes, TLOG_HASH_SIZE) != 0) {
            e = ERR_INVALID;
        }
        if (e == OK && index % TLOG_TILE_WIDTH == TLOG_TILE_WIDTH - 1) {
            e = root_of_tile(data, &node);
        } else {
            return e;
        }
        if (e != OK) {
            return e;
        }
        index /= TLOG_TILE_WIDTH;
    }
}

static enum err check_tile(struct keeper *k, uint64_t index, struct err_text *why)
{
    struct tlog_tile tile = {.index = index, .width = TLOG_TILE_WIDTH};
    stored_hash hashes[TLOG_TILE_WIDTH];
    uint8_t data[TLOG_TILE_BYTES];
    struct buffer bundle;
    struct tlog_hash leaf, node;
    size_t count = 0;
    uint64_t first = index * TLOG_TILE_WIDTH;
    buffer_init(&bundle, KEEPER_BUNDLE_SIZE);
    struct tlog_tile_source source = tile_directory_source(k->directory);
    enum err e = read_hashes(k, first, first + TLOG_TILE_WIDTH, hashes, &count, why);
    if (e != OK) {
        return e;
    }
    e = count == TLOG_TILE_WIDTH ? source.load(source.context, &tile, data) : ERR_INVALID;
    for (size_t i = 0; e == OK && i < TLOG_TILE_WIDTH; i++) {
        tlog_hash_leaf(bytes_of(hashes[i], STORE_HASH_SIZE), &leaf);
        e = memcmp(data + i * TLOG_HASH_SIZE, leaf.bytes, TLOG_HASH_SIZE) == 0 ? OK : ERR_INVALID;
    }
    tile.kind = TLOG_TILE_ENTRIES;
    if (e == OK) {
        e = tile_directory_read(k->directory, &tile, &bundle);
    }
    if (e == OK) {
        e = tlog_bundle_check(buffer_bytes(&bundle), bytes_of(data, sizeof(data)), NULL);
    }
    if (e == OK) {
        e = root_of_tile(data, &node);
    }
    if (e == OK) {
        e = check_above(k, index, node);
    }
    buffer_finish(&bundle);
    return e == OK ? OK
                   : err_set(why, ERR_INVALID, "tile %llu is not what the records make",
                             (unsigned long long)index);
}

enum err keeper_tree_scrub(struct keeper *k, struct err_text *why)
{
    int64_t now = clock_monotonic(&k->with.clock);
    uint64_t tiles = k->flushed / TLOG_TILE_WIDTH;
    if (k->scrubbed >= tiles && now < k->scrub_at_ns) {
        return OK;
    }
    k->scrubbed = k->scrubbed >= tiles ? 0 : k->scrubbed;
    for (size_t i = 0; i < SCRUB_TILES && k->scrubbed < tiles; i++) {
        enum err e = check_tile(k, k->scrubbed, why);
        if (e != OK) {
            return e;
        }
        k->scrubbed++;
    }
    if (k->scrubbed >= tiles) {
        k->scrub_at_ns = now + scrub_interval_ns;
    }
    return OK;
}
