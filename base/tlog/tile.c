#include "base/tlog/tile.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/cursor.h"

/* Whether a tree of TLOG_SIZE_MAX leaves has it: nothing below can wrap then. */
static bool tile_is_possible(const struct tlog_tile *tile)
{
    if (tile->level >= TLOG_TILE_LEVELS || tile->width < 1 || tile->width > TLOG_TILE_WIDTH ||
        (tile->kind == TLOG_TILE_ENTRIES && tile->level != 0)) {
        return false;
    }
    uint64_t hashes = TLOG_SIZE_MAX >> (tile->level * TLOG_TILE_HEIGHT);
    return tile->index < hashes / TLOG_TILE_WIDTH + 1 &&
           tile->index * TLOG_TILE_WIDTH + tile->width <= hashes;
}

enum err tlog_tile_format_path(const struct tlog_tile *tile, char out[TLOG_TILE_PATH_SIZE])
{
    if (!tile_is_possible(tile)) {
        return ERR_INVALID;
    }
    uint64_t unit = 1;
    while (tile->index / unit >= 1000) {
        unit *= 1000;
    }
    char *at = out, *end = out + TLOG_TILE_PATH_SIZE;
    if (tile->kind == TLOG_TILE_ENTRIES) {
        at += snprintf(at, (size_t)(end - at), "tile/entries");
    } else {
        at += snprintf(at, (size_t)(end - at), "tile/%u", tile->level);
    }
    for (; unit > 0; unit /= 1000) {
        at += snprintf(at, (size_t)(end - at), "/%s%03u", unit > 1 ? "x" : "",
                       (unsigned)(tile->index / unit % 1000));
    }
    if (tile->width < TLOG_TILE_WIDTH) {
        (void)snprintf(at, (size_t)(end - at), ".p/%u", tile->width);
    }
    return OK;
}

static bool path_skip(struct bytes *path, const char *text)
{
    size_t size = strlen(text);
    if (path->size < size || memcmp(path->data, text, size) != 0) {
        return false;
    }
    *path = bytes_of(path->data + size, path->size - size);
    return true;
}

/* Reads at most `most` digits; how many there were. */
static unsigned path_number(struct bytes *path, unsigned most, uint64_t *out)
{
    unsigned digits = 0;
    uint64_t value = 0;
    while (digits < most && path->size > 0 && path->data[0] >= '0' && path->data[0] <= '9') {
        value = value * 10 + (uint64_t)(path->data[0] - '0');
        *path = bytes_of(path->data + 1, path->size - 1);
        digits++;
    }
    *out = value;
    return digits;
}

static bool path_index(struct bytes *path, uint64_t *out)
{
    uint64_t index = 0, group;
    bool more;
    do {
        if (index > TLOG_SIZE_MAX / 1000 || !path_skip(path, "/")) {
            return false;
        }
        more = path_skip(path, "x");
        if (path_number(path, 3, &group) != 3) {
            return false;
        }
        index = index * 1000 + group;
    } while (more);
    *out = index;
    return true;
}

enum err tlog_tile_parse_path(struct bytes path, struct tlog_tile *out)
{
    struct tlog_tile tile = {.kind = TLOG_TILE_HASHES, .width = TLOG_TILE_WIDTH};
    struct bytes rest = path;
    uint64_t number = 0;
    if (path_skip(&rest, "tile/entries")) {
        tile.kind = TLOG_TILE_ENTRIES;
    } else if (!path_skip(&rest, "tile/") || path_number(&rest, 2, &number) == 0) {
        return ERR_INVALID;
    }
    tile.level = (unsigned)number;
    if (!path_index(&rest, &tile.index)) {
        return ERR_INVALID;
    }
    if (path_skip(&rest, ".p/")) {
        if (path_number(&rest, 3, &number) == 0 || number >= TLOG_TILE_WIDTH) {
            return ERR_INVALID;
        }
        tile.width = (unsigned)number;
    }
    /* Leading zeros, an empty first group and the like: one tile has one path. */
    char again[TLOG_TILE_PATH_SIZE];
    if (rest.size > 0 || tlog_tile_format_path(&tile, again) != OK ||
        !bytes_equal_string(path, again)) {
        return ERR_INVALID;
    }
    *out = tile;
    return OK;
}

enum err tlog_tile_find(uint64_t size, unsigned level, uint64_t index, struct tlog_tile *out)
{
    if (size > TLOG_SIZE_MAX || level > TLOG_LEVELS || index >= size >> level) {
        return ERR_INVALID;
    }
    unsigned tile_level = level / TLOG_TILE_HEIGHT;
    uint64_t first = index << level % TLOG_TILE_HEIGHT; /* of the tile level's hashes */
    uint64_t held = size >> tile_level * TLOG_TILE_HEIGHT;
    struct tlog_tile tile = {.level = tile_level, .index = first / TLOG_TILE_WIDTH};
    uint64_t left = held - tile.index * TLOG_TILE_WIDTH;
    tile.width = left < TLOG_TILE_WIDTH ? (unsigned)left : TLOG_TILE_WIDTH;
    *out = tile;
    return OK;
}

/* The head of 2^height hashes. `work` has room for half of them. */
static void tile_fold(const uint8_t *data, unsigned height, struct tlog_hash *work,
                      struct tlog_hash *out)
{
    struct tlog_hash left, right;
    size_t count = (size_t)1 << height;
    if (count == 1) {
        memcpy(out->bytes, data, TLOG_HASH_SIZE);
        return;
    }
    for (size_t i = 0; i < count / 2; i++) {
        memcpy(left.bytes, data + 2 * i * TLOG_HASH_SIZE, TLOG_HASH_SIZE);
        memcpy(right.bytes, data + (2 * i + 1) * TLOG_HASH_SIZE, TLOG_HASH_SIZE);
        tlog_hash_node(&left, &right, &work[i]);
    }
    for (count /= 2; count > 1; count /= 2) {
        for (size_t i = 0; i < count / 2; i++) {
            tlog_hash_node(&work[2 * i], &work[2 * i + 1], &work[i]);
        }
    }
    *out = work[0];
}

enum err tlog_tile_read_hash(const struct tlog_tile *tile, struct bytes data, unsigned level,
                             uint64_t index, struct tlog_hash *out)
{
    unsigned bottom = tile->level * TLOG_TILE_HEIGHT;
    if (!tile_is_possible(tile) || tile->kind != TLOG_TILE_HASHES ||
        data.size != (size_t)tile->width * TLOG_HASH_SIZE || level < bottom ||
        level >= bottom + TLOG_TILE_HEIGHT) {
        return ERR_INVALID;
    }
    unsigned height = level - bottom;
    if (index >> (TLOG_TILE_HEIGHT - height) != tile->index) {
        return ERR_INVALID;
    }
    unsigned first = (unsigned)(index << height) % TLOG_TILE_WIDTH;
    if (first + (1U << height) > tile->width) {
        return ERR_INVALID;
    }
    struct tlog_hash work[TLOG_TILE_WIDTH / 2];
    tile_fold(data.data + (size_t)first * TLOG_HASH_SIZE, height, work, out);
    return OK;
}

enum err tlog_tile_each_new(uint64_t before, uint64_t after,
                            enum err (*visit)(void *context, const struct tlog_tile *tile),
                            void *context)
{
    if (after > TLOG_SIZE_MAX) {
        return ERR_LIMIT;
    }
    if (before > after) {
        return ERR_INVALID;
    }
    for (unsigned level = 0; level < TLOG_TILE_LEVELS; level++) {
        uint64_t old = before >> level * TLOG_TILE_HEIGHT;
        uint64_t now = after >> level * TLOG_TILE_HEIGHT;
        for (uint64_t at = old / TLOG_TILE_WIDTH; old < now && at * TLOG_TILE_WIDTH < now; at++) {
            uint64_t left = now - at * TLOG_TILE_WIDTH;
            struct tlog_tile tile = {.level = level, .index = at};
            tile.width = left < TLOG_TILE_WIDTH ? (unsigned)left : TLOG_TILE_WIDTH;
            enum err e = visit(context, &tile);
            if (e != OK) {
                return e;
            }
        }
    }
    return OK;
}

struct tlog_tile_reader {
    struct tlog_tile_source source;
    uint64_t size;
    struct {
        struct tlog_tile tile; /* width 0: none yet */
        uint8_t data[TLOG_TILE_BYTES];
    } kept[TLOG_TILE_LEVELS];
};

enum err tlog_tile_reader_create(struct tlog_tile_source source, uint64_t size,
                                 struct tlog_tile_reader **out)
{
    if (size > TLOG_SIZE_MAX) {
        return ERR_LIMIT;
    }
    struct tlog_tile_reader *reader = malloc(sizeof(*reader));
    if (reader == NULL) {
        return ERR_NO_MEMORY;
    }
    reader->source = source;
    reader->size = size;
    for (size_t i = 0; i < TLOG_TILE_LEVELS; i++) {
        reader->kept[i].tile.width = 0;
    }
    *out = reader;
    return OK;
}

void tlog_tile_reader_destroy(struct tlog_tile_reader *reader)
{
    free(reader);
}

static enum err reader_read(void *context, unsigned level, uint64_t index, struct tlog_hash *out)
{
    struct tlog_tile_reader *reader = context;
    struct tlog_tile tile;
    enum err e = tlog_tile_find(reader->size, level, index, &tile);
    if (e != OK) {
        return e;
    }
    struct tlog_tile *kept = &reader->kept[tile.level].tile;
    uint8_t *data = reader->kept[tile.level].data;
    if (kept->width == 0 || kept->index != tile.index) {
        kept->width = 0; /* a failed load leaves half a tile */
        e = reader->source.load(reader->source.context, &tile, data);
        if (e != OK) {
            return e;
        }
        *kept = tile;
    }
    return tlog_tile_read_hash(&tile, bytes_of(data, (size_t)tile.width * TLOG_HASH_SIZE), level,
                               index, out);
}

struct tlog_reader tlog_tile_reader_as_reader(struct tlog_tile_reader *reader)
{
    return (struct tlog_reader){.read = reader_read, .context = reader};
}

enum err tlog_bundle_append(struct buffer *out, struct bytes entry)
{
    if (entry.size > TLOG_ENTRY_SIZE_MAX || buffer_size(out) > out->cap ||
        entry.size + 2 > out->cap - buffer_size(out)) {
        return ERR_LIMIT;
    }
    uint8_t *at = buffer_reserve(out, entry.size + 2);
    if (at == NULL) {
        return ERR_NO_MEMORY;
    }
    at[0] = (uint8_t)(entry.size >> 8);
    at[1] = (uint8_t)entry.size;
    if (entry.size > 0) {
        memcpy(at + 2, entry.data, entry.size);
    }
    buffer_commit(out, entry.size + 2);
    return OK;
}

enum err tlog_bundle_next(struct bytes *rest, struct bytes *out)
{
    if (rest->size == 0) {
        return ERR_NOT_FOUND;
    }
    struct cursor c = cursor_of(*rest);
    uint16_t size = cursor_read_u16(&c);
    struct bytes entry = cursor_read_bytes(&c, size);
    if (c.failed) {
        return ERR_INVALID;
    }
    *out = entry;
    *rest = bytes_of(c.at, c.remaining);
    return OK;
}

static enum err bundle_refuse(enum err e, unsigned at, unsigned *out_at)
{
    if (out_at != NULL) {
        *out_at = at;
    }
    return e;
}

enum err tlog_bundle_check(struct bytes bundle, struct bytes hashes, unsigned *out_at)
{
    size_t width = hashes.size / TLOG_HASH_SIZE;
    if (hashes.size % TLOG_HASH_SIZE != 0 || width < 1 || width > TLOG_TILE_WIDTH) {
        return bundle_refuse(ERR_INVALID, 0, out_at);
    }
    for (unsigned i = 0; i < width; i++) {
        struct bytes entry;
        struct tlog_hash hash;
        if (tlog_bundle_next(&bundle, &entry) != OK) {
            return bundle_refuse(ERR_INVALID, i, out_at);
        }
        tlog_hash_leaf(entry, &hash);
        if (memcmp(hash.bytes, hashes.data + (size_t)i * TLOG_HASH_SIZE, TLOG_HASH_SIZE) != 0) {
            return bundle_refuse(ERR_DENIED, i, out_at);
        }
    }
    return bundle.size == 0 ? OK : bundle_refuse(ERR_INVALID, (unsigned)width, out_at);
}
