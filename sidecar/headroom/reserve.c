#include "sidecar/headroom/reserve.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "base/sanitized.h"

#ifdef IS_SANITIZED

void reserve_give_up(void)
{
}

bool reserve_is_held(void)
{
    return false;
}

#else

/* glibc's own, under the names that it keeps for programs that replace them. */
void *__libc_malloc(size_t size);               /* NOLINT(bugprone-reserved-identifier) */
void *__libc_calloc(size_t count, size_t size); /* NOLINT(bugprone-reserved-identifier) */

/* Of the heap, which there is one of and which has no argument to hand it over with. */
static _Atomic(void *) held;
static atomic_bool is_spent;

/* Of a room of this size, the first RESERVE_SIZE. */
static bool take(size_t room)
{
    char *block = mmap(NULL, room, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (block == MAP_FAILED) {
        return false;
    }
    if (room > RESERVE_SIZE) {
        (void)munmap(block + RESERVE_SIZE, room - RESERVE_SIZE);
    }
    void *none = NULL;
    if (!atomic_compare_exchange_strong(&held, &none, block)) {
        (void)munmap(block, RESERVE_SIZE); /* another thread was sooner */
    }
    atomic_store(&is_spent, false);
    return true;
}

void reserve_give_up(void)
{
    void *block = atomic_exchange(&held, NULL);
    if (block != NULL) {
        atomic_store(&is_spent, true);
        (void)munmap(block, RESERVE_SIZE);
    }
}

/* Whether to try again: another thread may just have given it up. */
static bool is_worth_another_try(size_t size)
{
    if (size > RESERVE_BLOCK_MAX) {
        return false;
    }
    reserve_give_up();
    return atomic_load(&is_spent);
}

static bool is_withheld(size_t size)
{
    return size > RESERVE_BLOCK_MAX && atomic_load_explicit(&is_spent, memory_order_relaxed) &&
           !take((size_t)2 * RESERVE_SIZE); /* not what was just given up */
}

__attribute__((constructor)) static void take_first(void)
{
    (void)take(RESERVE_SIZE);
}

bool reserve_is_held(void)
{
    return atomic_load(&held) != NULL;
}

void *malloc(size_t size)
{
    if (is_withheld(size)) {
        errno = ENOMEM;
        return NULL;
    }
    void *block = __libc_malloc(size);
    return block != NULL || !is_worth_another_try(size) ? block : __libc_malloc(size);
}

void *calloc(size_t count, size_t size)
{
    size_t all = 0;
    if (__builtin_mul_overflow(count, size, &all) || is_withheld(all)) {
        errno = ENOMEM;
        return NULL;
    }
    void *block = __libc_calloc(count, size);
    return block != NULL || !is_worth_another_try(all) ? block : __libc_calloc(count, size);
}

#endif
