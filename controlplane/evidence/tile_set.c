#include "controlplane/evidence/tile_set.h"

#include <stdlib.h>

enum { BITS = 64 };

struct tile_set {
    uint64_t size;
    uint64_t *bits; /* of the tiles of one level: of level 0 until tile_set_each */
};

/* Hashes on a tile level: one for each complete subtree of 256^level leaves. */
static uint64_t hashes_on(uint64_t size, unsigned level)
{
    return level < TLOG_TILE_LEVELS ? size >> (TLOG_TILE_HEIGHT * level) : 0;
}

static size_t words_for(uint64_t hashes)
{
    uint64_t tiles = (hashes + TLOG_TILE_WIDTH - 1) / TLOG_TILE_WIDTH;
    return (size_t)((tiles + BITS - 1) / BITS);
}

enum err tile_set_create(uint64_t size, struct tile_set **out)
{
    if (size > TLOG_SIZE_MAX) {
        return ERR_LIMIT;
    }
    struct tile_set *set = calloc(1, sizeof(*set));
    if (set == NULL) {
        return ERR_NO_MEMORY;
    }
    set->size = size;
    set->bits = calloc(words_for(size) + 1, sizeof(*set->bits));
    if (set->bits == NULL) {
        free(set);
        return ERR_NO_MEMORY;
    }
    *out = set;
    return OK;
}

void tile_set_destroy(struct tile_set *set)
{
    if (set != NULL) {
        free(set->bits);
        free(set);
    }
}

static void set_bit(uint64_t *bits, uint64_t n)
{
    bits[n / BITS] |= UINT64_C(1) << n % BITS;
}

static bool has_bit(const uint64_t *bits, uint64_t n)
{
    return (bits[n / BITS] >> n % BITS & 1) != 0;
}

void tile_set_add(struct tile_set *set, uint64_t leaf)
{
    if (leaf < set->size) {
        set_bit(set->bits, leaf / TLOG_TILE_WIDTH);
    }
}

/* Visits the tiles of a level; marks those above the full ones in `above`. */
static enum err each_on_level(struct tile_set *set, unsigned level, uint64_t *above,
                              enum err (*visit)(void *context, const struct tlog_tile *tile),
                              void *context)
{
    uint64_t hashes = hashes_on(set->size, level);
    uint64_t full = hashes / TLOG_TILE_WIDTH;
    unsigned rest = (unsigned)(hashes % TLOG_TILE_WIDTH);
    enum err e = OK;
    for (uint64_t n = 0; e == OK && n < full; n++) {
        if (has_bit(set->bits, n)) {
            const struct tlog_tile tile = {.level = level, .index = n, .width = TLOG_TILE_WIDTH};
            set_bit(above, n / TLOG_TILE_WIDTH);
            e = visit(context, &tile);
        }
    }
    if (e == OK && rest > 0) {
        const struct tlog_tile tile = {.level = level, .index = full, .width = rest};
        e = visit(context, &tile);
    }
    return e;
}

enum err tile_set_each(struct tile_set *set,
                       enum err (*visit)(void *context, const struct tlog_tile *tile),
                       void *context)
{
    enum err e = OK;
    for (unsigned level = 0; e == OK && hashes_on(set->size, level) > 0; level++) {
        size_t words = words_for(hashes_on(set->size, level + 1));
        uint64_t *above = calloc(words + 1, sizeof(*above));
        if (above == NULL) {
            return ERR_NO_MEMORY;
        }
        e = each_on_level(set, level, above, visit, context);
        free(set->bits);
        set->bits = above;
    }
    return e;
}
