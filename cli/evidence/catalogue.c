#include "cli/evidence/catalogue.h"

#include <stdlib.h>

#include "base/crypto/crypto.h"

enum { FIRST_CAPACITY = 256 };

struct name {
    char *text; /* in the arena, with a NUL behind `size` bytes */
    size_t size;
    uint64_t hash;
};

struct catalogue {
    struct arena *arena;
    struct name *items;
    uint32_t *table; /* number + 1; 0: free. At most half full */
    uint32_t count, capacity;
};

struct catalogue *catalogue_create(struct arena *arena)
{
    struct catalogue *n = calloc(1, sizeof(*n));
    if (n != NULL) {
        n->arena = arena;
    }
    return n;
}

void catalogue_destroy(struct catalogue *n)
{
    if (n != NULL) {
        free(n->items);
        free(n->table);
        free(n);
    }
}

static uint64_t hash_of(struct bytes name)
{
    uint8_t digest[CRYPTO_SHA256_SIZE];
    uint64_t hash = 0;
    crypto_sha256_of(name, digest);
    memcpy(&hash, digest, sizeof(hash));
    return hash;
}

/* Where the name is, or would be. The capacity is a power of two. */
static uint32_t *find(const struct catalogue *n, uint64_t hash, struct bytes name)
{
    uint32_t mask = n->capacity * 2 - 1;
    for (uint32_t at = (uint32_t)hash & mask;; at = (at + 1) & mask) {
        uint32_t *slot = &n->table[at];
        if (*slot == 0) {
            return slot;
        }
        const struct name *item = &n->items[*slot - 1];
        if (item->hash == hash && bytes_equal(bytes_of(item->text, item->size), name)) {
            return slot;
        }
    }
}

static enum err grow(struct catalogue *n)
{
    if (n->capacity >= UINT32_C(1) << 30) {
        return ERR_LIMIT;
    }
    uint32_t capacity = n->capacity == 0 ? FIRST_CAPACITY : n->capacity * 2;
    struct name *items = realloc(n->items, capacity * sizeof(*items));
    if (items == NULL) {
        return ERR_NO_MEMORY;
    }
    n->items = items;
    uint32_t *table = calloc((size_t)capacity * 2, sizeof(*table));
    if (table == NULL) {
        return ERR_NO_MEMORY;
    }
    free(n->table);
    n->table = table;
    n->capacity = capacity;
    for (uint32_t i = 0; i < n->count; i++) {
        *find(n, items[i].hash, bytes_of(items[i].text, items[i].size)) = i + 1;
    }
    return OK;
}

enum err catalogue_put(struct catalogue *n, struct bytes name, uint32_t *out, bool *out_is_new)
{
    uint64_t hash = hash_of(name);
    enum err e = n->count == n->capacity ? grow(n) : OK;
    if (e != OK) {
        return e;
    }
    uint32_t *slot = find(n, hash, name);
    *out_is_new = *slot == 0;
    if (*slot == 0) {
        char *text = arena_copy_string(n->arena, name);
        if (text == NULL) {
            return ERR_NO_MEMORY;
        }
        n->items[n->count++] = (struct name){.text = text, .size = name.size, .hash = hash};
        *slot = n->count;
    }
    *out = *slot - 1;
    return OK;
}

uint32_t catalogue_count(const struct catalogue *n)
{
    return n->count;
}

const char *catalogue_get(const struct catalogue *n, uint32_t number)
{
    return n->items[number].text;
}
