#include "base/arena.h"

#include <stdalign.h>
#include <stdlib.h>

struct block {
    struct block *next;
    size_t size, used;
    alignas(max_align_t) uint8_t data[];
};

struct arena {
    struct block *first, *current;
    size_t block_size, cap, used;
};

struct arena *arena_create(size_t block_size, size_t cap)
{
    struct arena *a = calloc(1, sizeof(*a));
    if (a != NULL) {
        a->block_size = block_size;
        a->cap = cap;
    }
    return a;
}

static void blocks_free(struct block *b)
{
    while (b != NULL) {
        struct block *next = b->next;
        free(b);
        b = next;
    }
}

void arena_destroy(struct arena *a)
{
    if (a != NULL) {
        blocks_free(a->first);
        free(a);
    }
}

void arena_reset(struct arena *a)
{
    if (a->first != NULL) {
        blocks_free(a->first->next);
        a->first->next = NULL;
        a->first->used = 0;
    }
    a->current = a->first;
    a->used = 0;
}

static struct block *block_add(struct arena *a, size_t size)
{
    size_t wanted = size > a->block_size ? size : a->block_size;
    struct block *b = malloc(sizeof(*b) + wanted);
    if (b == NULL) {
        return NULL;
    }
    b->next = NULL;
    b->size = wanted;
    b->used = 0;
    if (a->current == NULL) {
        a->first = b;
    } else {
        a->current->next = b;
    }
    a->current = b;
    return b;
}

void *arena_alloc(struct arena *a, size_t size)
{
    const size_t alignment = alignof(max_align_t);
    if (size > a->cap || size > SIZE_MAX - alignment) {
        return NULL;
    }
    size_t rounded = (size + alignment - 1) / alignment * alignment;
    if (rounded > a->cap - a->used) {
        return NULL;
    }
    struct block *b = a->current;
    if (b == NULL || rounded > b->size - b->used) {
        b = block_add(a, rounded);
        if (b == NULL) {
            return NULL;
        }
    }
    void *memory = b->data + b->used;
    b->used += rounded;
    a->used += rounded;
    memset(memory, 0, rounded);
    return memory;
}

char *arena_copy_string(struct arena *a, struct bytes text)
{
    if (text.size == SIZE_MAX) {
        return NULL;
    }
    char *copy = arena_alloc(a, text.size + 1);
    if (copy != NULL && text.size > 0) {
        memcpy(copy, text.data, text.size);
    }
    return copy;
}

enum err arena_copy_bytes(struct arena *a, struct bytes from, struct bytes *out)
{
    const char *copy = arena_copy_string(a, from);
    if (copy == NULL) {
        return ERR_NO_MEMORY;
    }
    *out = bytes_of(copy, from.size);
    return OK;
}

size_t arena_used(const struct arena *a)
{
    return a->used;
}
