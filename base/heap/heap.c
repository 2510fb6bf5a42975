#include "base/heap/heap.h"

#include <malloc.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/sanitized.h"

#ifdef IS_SANITIZED

bool heap_is_wiped(void)
{
    return false;
}

#else

bool heap_is_wiped(void)
{
    return true;
}

/* glibc's own free(), under the name that it keeps for programs that replace it. */
void __libc_free(void *block); /* NOLINT(bugprone-reserved-identifier,cert-dcl37-c) */

void free(void *block)
{
    if (block != NULL) {
        explicit_bzero(block, malloc_usable_size(block));
        __libc_free(block);
    }
}

/* glibc's would move a block and leave the old one as it is. */
void *realloc(void *block, size_t size)
{
    if (block == NULL) {
        return malloc(size);
    }
    if (size == 0) {
        free(block);
        return NULL;
    }
    size_t usable = malloc_usable_size(block);
    if (size <= usable && size > usable / 2) {
        return block;
    }
    void *moved = malloc(size);
    if (moved != NULL) {
        memcpy(moved, block, size < usable ? size : usable);
        free(block);
    }
    return moved;
}

#endif
