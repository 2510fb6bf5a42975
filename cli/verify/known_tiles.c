#include "cli/verify/known_tiles.h"

#include <inttypes.h>
#include <stdlib.h>

struct kept {
    unsigned level, width;
    uint64_t index;
    struct tlog_hash *hashes; /* owned */
};

struct known_tiles {
    struct kept *items; /* after sorting by level, index, width */
    size_t count, capacity;
    bool is_sorted;
    bool is_bad; /* reported once */
};

struct known_tiles *known_tiles_create(void)
{
    return calloc(1, sizeof(struct known_tiles));
}

void known_tiles_destroy(struct known_tiles *t)
{
    for (size_t i = 0; t != NULL && i < t->count; i++) {
        free(t->items[i].hashes);
    }
    if (t != NULL) {
        free(t->items);
    }
    free(t);
}

size_t known_tiles_count(const struct known_tiles *t)
{
    return t->count;
}

static int compare(const void *left, const void *right)
{
    const struct kept *a = left, *b = right;
    if (a->level != b->level) {
        return a->level < b->level ? -1 : 1;
    }
    if (a->index != b->index) {
        return a->index < b->index ? -1 : 1;
    }
    return a->width < b->width ? -1 : a->width > b->width ? 1 : 0;
}

enum err known_tiles_add(struct known_tiles *t, const struct tlog_tile *tile, struct bytes data)
{
    if (tile->kind != TLOG_TILE_HASHES || data.size != (size_t)tile->width * TLOG_HASH_SIZE) {
        return ERR_INVALID;
    }
    if (t->count == KNOWN_TILES_MAX) {
        return ERR_LIMIT;
    }
    if (t->count == t->capacity) {
        size_t capacity = t->capacity == 0 ? 64 : 2 * t->capacity;
        struct kept *items = realloc(t->items, capacity * sizeof(*items));
        if (items == NULL) {
            return ERR_NO_MEMORY;
        }
        t->items = items;
        t->capacity = capacity;
    }
    struct tlog_hash *hashes = malloc(data.size);
    if (hashes == NULL) {
        return ERR_NO_MEMORY;
    }
    memcpy(hashes, data.data, data.size);
    t->items[t->count++] = (struct kept){
        .level = tile->level, .width = tile->width, .index = tile->index, .hashes = hashes};
    t->is_sorted = false;
    return OK;
}

static void sort(struct known_tiles *t)
{
    if (!t->is_sorted && t->count > 0) {
        qsort(t->items, t->count, sizeof(*t->items), compare);
    }
    t->is_sorted = true;
}

/* Of any width; each place has one tile after the check for doubles. */
static const struct kept *find(const struct known_tiles *t, unsigned level, uint64_t index)
{
    size_t low = 0, high = t->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const struct kept *k = &t->items[middle];
        if (k->level < level || (k->level == level && k->index < index)) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    bool found = low < t->count && t->items[low].level == level && t->items[low].index == index;
    return found ? &t->items[low] : NULL;
}

/* The root of a full tile, which is one hash of the tile above. */
static void fold(const struct kept *k, struct tlog_hash *out)
{
    struct tlog_hash row[TLOG_TILE_WIDTH];
    memcpy(row, k->hashes, sizeof(row));
    for (size_t n = TLOG_TILE_WIDTH; n > 1; n /= 2) {
        for (size_t i = 0; i < n / 2; i++) {
            tlog_hash_node(&row[2 * i], &row[2 * i + 1], &row[i]);
        }
    }
    *out = row[0];
}

static void say(struct known_tiles *t, const struct kept *k, struct report *report,
                enum report_kind kind, const char *what)
{
    char path[TLOG_TILE_PATH_SIZE];
    struct tlog_tile tile = {
        .kind = TLOG_TILE_HASHES, .level = k->level, .index = k->index, .width = k->width};
    report_add(report, kind, 0, "tile %s: %s",
               tlog_tile_format_path(&tile, path) == OK ? path : "?", what);
    t->is_bad = true;
}

/* As wide as it is in a tree of this size. */
static unsigned width_of(uint64_t size, const struct kept *k)
{
    unsigned shift = k->level * TLOG_TILE_HEIGHT;
    uint64_t hashes = shift < 64 ? size >> shift : 0;
    uint64_t before =
        k->index > UINT64_MAX / TLOG_TILE_WIDTH ? UINT64_MAX : k->index * TLOG_TILE_WIDTH;
    if (before >= hashes) {
        return 0;
    }
    return hashes - before < TLOG_TILE_WIDTH ? (unsigned)(hashes - before)
                                             : (unsigned)TLOG_TILE_WIDTH;
}

static void check_tile(struct known_tiles *t, size_t n, uint64_t size, struct report *report)
{
    const struct kept *k = &t->items[n];
    if (n > 0 && t->items[n - 1].level == k->level && t->items[n - 1].index == k->index) {
        say(t, k, report, REPORT_DUPLICATED, "is there twice");
        return;
    }
    unsigned width = width_of(size, k);
    if (width != k->width) {
        say(t, k, report, width == 0 ? REPORT_INSERTED : REPORT_CHANGED,
            width == 0 ? "a log of this size has no such tile"
                       : "has another width than in a log of this size");
        return;
    }
    if (width < TLOG_TILE_WIDTH) {
        return; /* at the edge: it goes into the root itself */
    }
    const struct kept *above = find(t, k->level + 1, k->index / TLOG_TILE_WIDTH);
    unsigned at = (unsigned)(k->index % TLOG_TILE_WIDTH);
    struct tlog_hash folded;
    if (above == NULL || above->width <= at) {
        say(t, k, report, REPORT_REMOVED, "the tile above it is missing");
        return;
    }
    fold(k, &folded);
    if (!tlog_hash_equal(&folded, &above->hashes[at])) {
        say(t, k, report, REPORT_CHANGED,
            "its hashes are not those that the tile above it stands for");
    }
}

static enum err load(void *context, const struct tlog_tile *tile, uint8_t *out)
{
    const struct kept *k = find(context, tile->level, tile->index);
    if (tile->kind != TLOG_TILE_HASHES || k == NULL || k->width < tile->width) {
        return ERR_NOT_FOUND;
    }
    memcpy(out, k->hashes, (size_t)tile->width * TLOG_HASH_SIZE);
    return OK;
}

struct tlog_tile_source known_tiles_source(struct known_tiles *t)
{
    sort(t);
    return (struct tlog_tile_source){.load = load, .context = t};
}

static void check_root(struct known_tiles *t, uint64_t size, const struct tlog_hash *root,
                       struct report *report)
{
    struct tlog_tile_reader *reader = NULL;
    struct tlog_hash computed;
    enum err e = tlog_tile_reader_create(known_tiles_source(t), size, &reader);
    if (e == OK) {
        struct tlog_reader hashes = tlog_tile_reader_as_reader(reader);
        e = tlog_tree_root(&hashes, size, &computed);
    }
    tlog_tile_reader_destroy(reader);
    if (e == ERR_NOT_FOUND) {
        report_add(report, REPORT_TRUNCATED, 0,
                   "hash tiles at the end of the log of %" PRIu64 " records are missing", size);
    } else if (e != OK) {
        report_add(report, REPORT_UNCHECKED, 0, "the root cannot be computed: %s", err_name(e));
    } else if (!tlog_hash_equal(&computed, root)) {
        report_add(report, REPORT_FORKED, 0,
                   "the tiles make another root than the checkpoint has: they are of another log, "
                   "or a hash at the end was changed");
    }
    t->is_bad = t->is_bad || e != OK || !tlog_hash_equal(&computed, root);
}

enum err known_tiles_check(struct known_tiles *t, uint64_t size, const struct tlog_hash *root,
                           struct report *report)
{
    sort(t);
    t->is_bad = false;
    for (size_t i = 0; i < t->count; i++) {
        check_tile(t, i, size, report);
    }
    check_root(t, size, root, report);
    return t->is_bad ? ERR_DENIED : OK;
}

const struct tlog_hash *known_tiles_leaf(const struct known_tiles *t, uint64_t index)
{
    const struct kept *k = find(t, 0, index / TLOG_TILE_WIDTH);
    unsigned at = (unsigned)(index % TLOG_TILE_WIDTH);
    return k == NULL || k->width <= at ? NULL : &k->hashes[at];
}

bool known_tiles_find_leaf(const struct known_tiles *t, const struct tlog_hash *leaf, uint64_t *out)
{
    for (size_t i = 0; i < t->count && t->items[i].level == 0; i++) {
        for (unsigned n = 0; n < t->items[i].width; n++) {
            if (tlog_hash_equal(&t->items[i].hashes[n], leaf)) {
                *out = t->items[i].index * TLOG_TILE_WIDTH + n;
                return true;
            }
        }
    }
    return false;
}
