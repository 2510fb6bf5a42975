#include "base/tlog/grow.h"

#include <stdlib.h>

struct tlog_grow {
    uint64_t size;
    uint64_t flushed; /* the size at the last flush */
    enum err failed;
    /* Of each level the tile that is not full: floor(size / 256^level) mod 256 hashes. */
    uint8_t edge[TLOG_TILE_LEVELS][TLOG_TILE_BYTES];
};

static uint64_t level_count(uint64_t size, unsigned level)
{
    return size >> level * TLOG_TILE_HEIGHT;
}

enum err tlog_grow_create(struct tlog_tile_source source, uint64_t size, struct tlog_grow **out)
{
    if (size > TLOG_SIZE_MAX) {
        return ERR_LIMIT;
    }
    struct tlog_grow *grow = calloc(1, sizeof(*grow));
    if (grow == NULL) {
        return ERR_NO_MEMORY;
    }
    grow->size = grow->flushed = size;
    for (unsigned level = 0; level < TLOG_TILE_LEVELS; level++) {
        uint64_t count = level_count(size, level);
        struct tlog_tile tile = {.level = level,
                                 .index = count / TLOG_TILE_WIDTH,
                                 .width = (unsigned)(count % TLOG_TILE_WIDTH)};
        enum err e = tile.width == 0 ? OK : source.load(source.context, &tile, grow->edge[level]);
        if (e != OK) {
            free(grow);
            return e;
        }
    }
    *out = grow;
    return OK;
}

void tlog_grow_destroy(struct tlog_grow *grow)
{
    free(grow);
}

/* A tile that became full goes to the sink, and its head one level up, and so on. */
static enum err grow_push(struct tlog_grow *grow, const struct tlog_hash *leaf,
                          struct tlog_tile_sink sink)
{
    if (grow->size >= TLOG_SIZE_MAX) {
        return ERR_LIMIT;
    }
    struct tlog_hash hash = *leaf;
    for (unsigned level = 0; level < TLOG_TILE_LEVELS; level++) {
        uint64_t count = level_count(grow->size, level);
        size_t place = (size_t)(count % TLOG_TILE_WIDTH);
        uint8_t *data = grow->edge[level];
        memcpy(data + place * TLOG_HASH_SIZE, hash.bytes, TLOG_HASH_SIZE);
        if (place + 1 < TLOG_TILE_WIDTH) {
            break;
        }
        struct tlog_tile tile = {
            .level = level, .index = count / TLOG_TILE_WIDTH, .width = TLOG_TILE_WIDTH};
        struct bytes full = bytes_of(data, TLOG_TILE_BYTES);
        enum err e = sink.store(sink.context, &tile, full);
        if (e != OK) {
            return e;
        }
        /* The head of a full tile: of its two halves. */
        struct tlog_hash left, right;
        unsigned top = level * TLOG_TILE_HEIGHT + TLOG_TILE_HEIGHT - 1;
        if ((e = tlog_tile_read_hash(&tile, full, top, 2 * tile.index, &left)) != OK ||
            (e = tlog_tile_read_hash(&tile, full, top, 2 * tile.index + 1, &right)) != OK) {
            return e;
        }
        tlog_hash_node(&left, &right, &hash);
    }
    grow->size++;
    return OK;
}

enum err tlog_grow_append(struct tlog_grow *grow, const struct tlog_hash *leaves, size_t count,
                          struct tlog_tile_sink sink)
{
    for (size_t i = 0; i < count && grow->failed == OK; i++) {
        grow->failed = grow_push(grow, &leaves[i], sink);
    }
    return grow->failed;
}

enum err tlog_grow_flush(struct tlog_grow *grow, struct tlog_tile_sink sink)
{
    for (unsigned level = 0; level < TLOG_TILE_LEVELS && grow->failed == OK; level++) {
        uint64_t count = level_count(grow->size, level);
        struct tlog_tile tile = {.level = level,
                                 .index = count / TLOG_TILE_WIDTH,
                                 .width = (unsigned)(count % TLOG_TILE_WIDTH)};
        if (tile.width == 0 || count == level_count(grow->flushed, level)) {
            continue;
        }
        grow->failed = sink.store(sink.context, &tile,
                                  bytes_of(grow->edge[level], (size_t)tile.width * TLOG_HASH_SIZE));
    }
    if (grow->failed == OK) {
        grow->flushed = grow->size;
    }
    return grow->failed;
}

uint64_t tlog_grow_size(const struct tlog_grow *grow)
{
    return grow->size;
}

/* The complete subtrees that a head is made of all lie in partial tiles: a bit of the size at
 * 8 * level + k is a subtree within the edge of `level`. */
static enum err edge_read(void *context, unsigned level, uint64_t index, struct tlog_hash *out)
{
    const struct tlog_grow *grow = context;
    struct tlog_tile tile;
    enum err e = tlog_tile_find(grow->size, level, index, &tile);
    if (e != OK) {
        return e;
    }
    const uint8_t *data = grow->edge[tile.level];
    return tlog_tile_read_hash(&tile, bytes_of(data, (size_t)tile.width * TLOG_HASH_SIZE), level,
                               index, out);
}

enum err tlog_grow_root(const struct tlog_grow *grow, struct tlog_hash *out)
{
    if (grow->failed != OK) {
        return grow->failed;
    }
    /* The callback reads only; a reader's context is not const for the sake of caches. */
    struct tlog_reader reader = {.read = edge_read, .context = (void *)(uintptr_t)grow};
    return tlog_tree_root(&reader, grow->size, out);
}
