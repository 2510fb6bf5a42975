#include "base/hardening/locked.h"

#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { SIZE_LIMIT = 1 << 20 }; /* bytes; a key has 32 */

static size_t page_size(void)
{
    return (size_t)sysconf(_SC_PAGESIZE);
}

static size_t whole_pages(size_t size)
{
    size_t page = page_size();
    return (size + page - 1) / page * page;
}

void *locked_alloc(size_t size)
{
    if (size == 0 || size > SIZE_LIMIT) {
        return NULL;
    }
    size_t page = page_size(), inside = whole_pages(size);
    uint8_t *all = mmap(NULL, inside + 2 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (all == MAP_FAILED) {
        return NULL;
    }
    uint8_t *block = all + page;
    if (mprotect(block, inside, PROT_READ | PROT_WRITE) != 0 || mlock(block, inside) != 0 ||
        madvise(block, inside, MADV_DONTDUMP) != 0 ||
        madvise(block, inside, MADV_WIPEONFORK) != 0) {
        (void)munmap(all, inside + 2 * page);
        return NULL;
    }
    return block;
}

void locked_free(void *block, size_t size)
{
    if (block != NULL) {
        size_t page = page_size(), inside = whole_pages(size);
        explicit_bzero(block, size);
        (void)munmap((uint8_t *)block - page, inside + 2 * page);
    }
}
