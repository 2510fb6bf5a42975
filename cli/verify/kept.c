#include "cli/verify/kept.h"

#include <stdlib.h>

void kept_finish(struct kept *k)
{
    for (size_t i = 0; i < k->count; i++) {
        free(k->items[i].name);
        buffer_finish(&k->items[i].data);
    }
    free(k->items);
    *k = (struct kept){0};
}

enum err kept_begin(struct kept *k, const char *name, size_t cap)
{
    if (k->count == KEPT_FILES_MAX) {
        return ERR_LIMIT;
    }
    if (k->count == k->capacity) {
        size_t capacity = k->capacity == 0 ? 32 : 2 * k->capacity;
        struct kept_file *items = realloc(k->items, capacity * sizeof(*items));
        if (items == NULL) {
            return ERR_NO_MEMORY;
        }
        k->items = items;
        k->capacity = capacity;
    }
    char *copy = strdup(name);
    if (copy == NULL) {
        return ERR_NO_MEMORY;
    }
    k->items[k->count].name = copy;
    buffer_init(&k->items[k->count].data, cap);
    k->count++;
    return OK;
}

enum err kept_append(struct kept *k, struct bytes more)
{
    if (more.size > KEPT_MAX - k->size) {
        return ERR_LIMIT;
    }
    enum err e = buffer_append(&k->items[k->count - 1].data, more);
    k->size += e == OK ? more.size : 0;
    return e;
}

bool kept_find(const struct kept *k, const char *name, struct bytes *out)
{
    for (size_t i = 0; i < k->count; i++) {
        if (strcmp(k->items[i].name, name) == 0) {
            *out = buffer_bytes(&k->items[i].data);
            return true;
        }
    }
    return false;
}
