#include "sidecar/protocol/http/http2/http2_memory.h"

#include <malloc.h>
#include <stdlib.h>
#include <string.h>

static void *memory_allocate(size_t size, void *context)
{
    (void)context;
    return malloc(size);
}

static void *memory_allocate_zeroed(size_t count, size_t size, void *context)
{
    (void)context;
    return calloc(count, size);
}

static void memory_free(void *at, void *context)
{
    (void)context;
    if (at != NULL) {
        explicit_bzero(at, malloc_usable_size(at));
        free(at);
    }
}

/* Not realloc(): it would leave a copy behind where it has to move. */
static void *memory_grow(void *at, size_t size, void *context)
{
    void *grown = malloc(size);
    if (grown == NULL || at == NULL) {
        return grown;
    }
    size_t held = malloc_usable_size(at);
    memcpy(grown, at, held < size ? held : size);
    memory_free(at, context);
    return grown;
}

nghttp2_mem http2_memory(void)
{
    return (nghttp2_mem){
        .malloc = memory_allocate,
        .free = memory_free,
        .calloc = memory_allocate_zeroed,
        .realloc = memory_grow,
    };
}
