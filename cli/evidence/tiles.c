#include "cli/evidence/tiles.h"

#include <stdlib.h>

struct kept {
    struct tlog_tile tile;
    struct spool_item item;
};

struct tiles {
    struct spool *spool;
    struct kept *items;
    size_t count, capacity;
};

struct tiles *tiles_create(struct spool *spool)
{
    struct tiles *t = calloc(1, sizeof(*t));
    if (t != NULL) {
        t->spool = spool;
    }
    return t;
}

void tiles_destroy(struct tiles *t)
{
    if (t != NULL) {
        free(t->items);
        free(t);
    }
}

enum err tiles_add(struct tiles *t, const char *path, struct bytes data, struct err_text *why)
{
    struct kept kept = {.item = {0}};
    if (tlog_tile_parse_path(bytes_of_string(path), &kept.tile) != OK ||
        kept.tile.kind != TLOG_TILE_HASHES) {
        return err_set(why, ERR_INVALID, "the control plane sent a tile without a tile's path");
    }
    if (data.size != (size_t)kept.tile.width * TLOG_HASH_SIZE) {
        return err_set(why, ERR_INVALID, "the control plane sent %zu bytes as %s", data.size, path);
    }
    if (t->count == t->capacity) {
        size_t capacity = t->capacity == 0 ? 64 : t->capacity * 2;
        struct kept *items = realloc(t->items, capacity * sizeof(*items));
        if (items == NULL) {
            return ERR_NO_MEMORY;
        }
        t->items = items;
        t->capacity = capacity;
    }
    enum err e = spool_put(t->spool, data, &kept.item);
    if (e == OK) {
        t->items[t->count++] = kept;
    }
    return e;
}

size_t tiles_count(const struct tiles *t)
{
    return t->count;
}

static int compare(const void *a, const void *b)
{
    const struct tlog_tile *x = &((const struct kept *)a)->tile;
    const struct tlog_tile *y = &((const struct kept *)b)->tile;
    if (x->level != y->level) {
        return x->level < y->level ? -1 : 1;
    }
    return (x->index > y->index) - (x->index < y->index);
}

enum err tiles_sort(struct tiles *t, struct err_text *why)
{
    if (t->count > 0) {
        qsort(t->items, t->count, sizeof(*t->items), compare);
    }
    for (size_t i = 1; i < t->count; i++) {
        if (compare(&t->items[i - 1], &t->items[i]) == 0) {
            return err_set(why, ERR_INVALID, "the control plane sent a tile twice");
        }
    }
    return OK;
}

static enum err load(void *context, const struct tlog_tile *tile, uint8_t *out)
{
    struct tiles *t = context;
    const struct kept wanted = {.tile = *tile};
    struct bytes data;
    const struct kept *found =
        t->count == 0 ? NULL : bsearch(&wanted, t->items, t->count, sizeof(*t->items), compare);
    if (found == NULL || found->tile.width != tile->width) {
        return ERR_NOT_FOUND;
    }
    enum err e = spool_get(t->spool, found->item, &data);
    if (e == OK) {
        memcpy(out, data.data, data.size);
    }
    return e;
}

struct tlog_tile_source tiles_source(struct tiles *t)
{
    return (struct tlog_tile_source){.load = load, .context = t};
}

enum err tiles_write(struct tiles *t, size_t n, struct zip *zip)
{
    static const char folder[] = "tiles/";
    char name[sizeof(folder) + TLOG_TILE_PATH_SIZE];
    struct bytes data;
    memcpy(name, folder, sizeof(folder));
    enum err e = tlog_tile_format_path(&t->items[n].tile, name + sizeof(folder) - 1);
    e = e == OK ? spool_get(t->spool, t->items[n].item, &data) : e;
    return e == OK ? zip_add(zip, name, data) : e;
}
