#include "sidecar/protocol/http/http2/http2_memory.h"

#include <stdalign.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

struct http2_block {
    struct http2_block *previous, *next;
    size_t size;
    alignas(max_align_t) unsigned char bytes[];
};

void http2_memory_init(struct http2_memory *m)
{
    *m = (struct http2_memory){0};
}

static struct http2_block *block_of(void *at)
{
    return (struct http2_block *)(void *)((unsigned char *)at -
                                          offsetof(struct http2_block, bytes));
}

static void block_destroy(struct http2_memory *m, struct http2_block *b)
{
    *(b->previous != NULL ? &b->previous->next : &m->first) = b->next;
    if (b->next != NULL) {
        b->next->previous = b->previous;
    }
    explicit_bzero(b->bytes, b->size);
    free(b);
}

void http2_memory_finish(struct http2_memory *m)
{
    while (m->first != NULL) {
        block_destroy(m, m->first);
    }
}

static void *memory_allocate(size_t size, void *context)
{
    struct http2_memory *m = context;
    struct http2_block *b =
        size > SIZE_MAX - sizeof(*b) || m->is_exhausted ? NULL : malloc(sizeof(*b) + size);
    if (b == NULL) {
        m->is_exhausted = true;
        return NULL;
    }
    b->size = size;
    b->previous = NULL;
    b->next = m->first;
    if (m->first != NULL) {
        m->first->previous = b;
    }
    m->first = b;
    return b->bytes;
}

static void *memory_allocate_zeroed(size_t count, size_t size, void *context)
{
    size_t all = 0;
    if (__builtin_mul_overflow(count, size, &all)) {
        return NULL;
    }
    void *at = memory_allocate(all, context);
    return at == NULL ? NULL : memset(at, 0, all);
}

static void memory_free(void *at, void *context)
{
    struct http2_memory *m = context;
    if (at != NULL && !m->is_exhausted) {
        block_destroy(m, block_of(at));
    }
}

/* Not realloc(): it would leave a copy behind where it has to move. */
static void *memory_grow(void *at, size_t size, void *context)
{
    void *grown = memory_allocate(size, context);
    if (grown == NULL || at == NULL) {
        return grown;
    }
    size_t held = block_of(at)->size;
    memcpy(grown, at, held < size ? held : size);
    memory_free(at, context);
    return grown;
}

nghttp2_mem http2_memory_functions(struct http2_memory *m)
{
    return (nghttp2_mem){
        .mem_user_data = m,
        .malloc = memory_allocate,
        .free = memory_free,
        .calloc = memory_allocate_zeroed,
        .realloc = memory_grow,
    };
}
