#include "sidecar/masking/masker_json_heap.h"

#include <stdlib.h>

#include "base/bytes.h"

struct masker_json_block {
    struct masker_json_block *before, *after;
    size_t size;
    max_align_t memory[];
};

static struct masker_json_block *block_of(void *memory)
{
    return (struct masker_json_block *)((char *)memory -
                                        offsetof(struct masker_json_block, memory));
}

static void *allocate(void *context, size_t size)
{
    struct masker_json_heap *h = context;
    struct masker_json_block *b =
        size > h->most - h->used ? NULL : malloc(sizeof(*b) + (size > 0 ? size : 1));
    if (b == NULL) {
        longjmp(h->failed, 1);
    }
    *b = (struct masker_json_block){.after = h->blocks, .size = size};
    if (h->blocks != NULL) {
        h->blocks->before = b;
    }
    h->blocks = b;
    h->used += size;
    return b->memory;
}

static void release(void *context, void *memory)
{
    struct masker_json_heap *h = context;
    if (memory == NULL) {
        return;
    }
    struct masker_json_block *b = block_of(memory);
    if (b->before != NULL) {
        b->before->after = b->after;
    } else {
        h->blocks = b->after;
    }
    if (b->after != NULL) {
        b->after->before = b->before;
    }
    h->used -= b->size;
    bytes_wipe(b->memory, b->size);
    free(b);
}

static void *reallocate(void *context, void *memory, size_t size)
{
    void *moved = allocate(context, size);
    if (memory != NULL) {
        size_t before = block_of(memory)->size;
        memcpy(moved, memory, before < size ? before : size);
        release(context, memory);
    }
    return moved;
}

yajl_alloc_funcs masker_json_heap_functions(struct masker_json_heap *h)
{
    return (yajl_alloc_funcs){.malloc = allocate, .realloc = reallocate, .free = release, .ctx = h};
}

void masker_json_heap_finish(struct masker_json_heap *h)
{
    while (h->blocks != NULL) {
        release(h, h->blocks->memory);
    }
}
