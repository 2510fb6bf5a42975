#include "cli/verify/name_table.h"

#include <search.h>
#include <stdlib.h>

struct name {
    size_t size;
    uint32_t number;
    char text[]; /* NUL-terminated */
};

/* What is looked for, without a copy. */
struct key {
    struct bytes bytes;
    uint32_t number;
    struct name *name; /* NULL while it is only looked for */
};

struct name_table {
    void *tree; /* of struct key */
    struct key **items;
    uint32_t count, capacity;
    const struct key *last; /* neighbours mostly have the same */
};

static int compare(const void *left, const void *right)
{
    const struct key *a = left, *b = right;
    size_t n = a->bytes.size < b->bytes.size ? a->bytes.size : b->bytes.size;
    int order = n == 0 ? 0 : memcmp(a->bytes.data, b->bytes.data, n);
    if (order != 0 || a->bytes.size == b->bytes.size) {
        return order;
    }
    return a->bytes.size < b->bytes.size ? -1 : 1;
}

struct name_table *name_table_create(void)
{
    return calloc(1, sizeof(struct name_table));
}

static void key_destroy(void *node)
{
    struct key *key = node;
    free(key->name);
    free(key);
}

void name_table_destroy(struct name_table *n)
{
    if (n == NULL) {
        return;
    }
    tdestroy(n->tree, key_destroy);
    free(n->items);
    free(n);
}

static struct key *key_create(struct bytes name, uint32_t number)
{
    struct key *key = calloc(1, sizeof(*key));
    struct name *copy = key == NULL ? NULL : malloc(sizeof(*copy) + name.size + 1);
    if (copy == NULL) {
        free(key);
        return NULL;
    }
    memcpy(copy->text, name.data, name.size);
    copy->text[name.size] = '\0';
    *key = (struct key){.bytes = bytes_of(copy->text, name.size), .number = number, .name = copy};
    return key;
}

static enum err add(struct name_table *n, struct bytes name, uint32_t *out)
{
    if (n->count == NAME_TABLE_MAX) {
        return ERR_LIMIT;
    }
    if (n->count == n->capacity) {
        uint32_t capacity = n->capacity == 0 ? 64 : 2 * n->capacity;
        struct key **items = realloc(n->items, capacity * sizeof(*items));
        if (items == NULL) {
            return ERR_NO_MEMORY;
        }
        n->items = items;
        n->capacity = capacity;
    }
    struct key *key = key_create(name, n->count + 1);
    if (key == NULL || tsearch(key, &n->tree, compare) == NULL) {
        if (key != NULL) {
            key_destroy(key);
        }
        return ERR_NO_MEMORY;
    }
    n->items[n->count++] = key;
    n->last = key;
    *out = key->number;
    return OK;
}

enum err name_table_put(struct name_table *n, struct bytes name, uint32_t *out)
{
    if (n->last != NULL && bytes_equal(n->last->bytes, name)) {
        *out = n->last->number;
        return OK;
    }
    struct key wanted = {.bytes = name};
    if (name.size == 0) {
        *out = 0;
        return OK;
    }
    struct key **found = tfind(&wanted, &n->tree, compare);
    if (found == NULL) {
        return add(n, name, out);
    }
    n->last = *found;
    *out = (*found)->number;
    return OK;
}

uint32_t name_table_find(const struct name_table *n, struct bytes name)
{
    struct key wanted = {.bytes = name};
    struct key **found = name.size == 0 ? NULL : tfind(&wanted, &n->tree, compare);
    return found == NULL ? 0 : (*found)->number;
}

uint32_t name_table_count(const struct name_table *n)
{
    return n->count;
}

const char *name_table_get(const struct name_table *n, uint32_t number)
{
    return number == 0 || number > n->count ? "" : n->items[number - 1]->name->text;
}
