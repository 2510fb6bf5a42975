#include "sidecar/headroom/reserve.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cmocka.h>

enum {
    SMALL = RESERVE_BLOCK_MAX,
    BLOCKS_MAX = 4096,
};

struct blocks {
    void *items[BLOCKS_MAX];
    size_t count;
};

static size_t address_space(void)
{
    size_t pages = 0;
    FILE *f = fopen("/proc/self/statm", "re");
    assert_non_null(f);
    assert_int_equal(fscanf(f, "%zu", &pages), 1);
    (void)fclose(f);
    return pages * (size_t)sysconf(_SC_PAGESIZE);
}

static void limit(rlim_t soft)
{
    struct rlimit r;
    assert_int_equal(getrlimit(RLIMIT_AS, &r), 0);
    r.rlim_cur = soft;
    assert_int_equal(setrlimit(RLIMIT_AS, &r), 0);
}

/* Takes blocks of this size until there are no more. */
static void exhaust(struct blocks *b, size_t size)
{
    for (b->count = 0; b->count < BLOCKS_MAX; b->count++) {
        b->items[b->count] = malloc(size);
        if (b->items[b->count] == NULL) {
            return;
        }
    }
    fail();
}

static void give_back(struct blocks *b)
{
    while (b->count > 0) {
        free(b->items[--b->count]);
    }
}

static void test_large_blocks_leave_room_for_small_ones(void **state)
{
    (void)state;
    static struct blocks large, small;
    void *volatile block = NULL;
    assert_true(reserve_is_held());
    limit(address_space() + (2 << 20));
    exhaust(&large, 200 << 10); /* each a mapping of its own */
    exhaust(&large, 100 << 10); /* the heap's rest */
    assert_true(reserve_is_held());

    exhaust(&small, SMALL);
    assert_false(reserve_is_held());
    /* Of RESERVE_SIZE at least a half, whatever glibc itself keeps of it. */
    assert_true(small.count * SMALL > RESERVE_SIZE / 2);
    give_back(&small);

    /* There is room, but it is not for large ones; small ones get it, zeroed ones too. */
    limit(RLIM_INFINITY);
    limit(address_space() + (1 << 20));
    block = malloc(4 << 20);
    assert_null(block);
    block = calloc(1, 4 << 20);
    assert_null(block);
    block = calloc(1, SMALL);
    assert_non_null(block);
    free(block);

    /* When the reserve can be had again, all is as before. */
    limit(RLIM_INFINITY);
    block = malloc(4 << 20);
    assert_non_null(block);
    free(block);
    assert_true(reserve_is_held());
    give_back(&large);
}

static void test_small_zeroed_blocks_come_from_the_reserve(void **state)
{
    (void)state;
    static struct blocks large;
    limit(address_space() + (1 << 20));
    exhaust(&large, 200 << 10);
    static uint8_t *zeroed[BLOCKS_MAX];
    size_t count = 0;
    while (reserve_is_held()) {
        assert_true(count < BLOCKS_MAX);
        zeroed[count] = calloc(16, SMALL / 16);
        assert_non_null(zeroed[count]);
        assert_int_equal(zeroed[count][SMALL - 1], 0);
        count++;
    }
    limit(RLIM_INFINITY);
    while (count > 0) {
        free(zeroed[--count]);
    }
    give_back(&large);
}

static void test_it_is_given_up_before_anything_failed(void **state)
{
    (void)state;
    const size_t stack = RESERVE_SIZE;
    void *volatile block = malloc(1 << 20);
    assert_non_null(block);
    free(block);
    assert_true(reserve_is_held());
    limit(address_space() + (1 << 20));
    void *room = mmap(NULL, stack, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_ptr_equal(room, MAP_FAILED);
    reserve_give_up();
    reserve_give_up();
    block = malloc(1 << 20); /* is not what takes it */
    assert_null(block);
    room = mmap(NULL, stack, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(room, MAP_FAILED);
    limit(RLIM_INFINITY);
    (void)munmap(room, stack);
    block = malloc(1 << 20);
    assert_non_null(block);
    free(block);
    assert_true(reserve_is_held());
}

static void test_a_product_that_overflows_is_refused(void **state)
{
    (void)state;
    volatile size_t much = SIZE_MAX / 2;
    void *volatile block = calloc(much, 3);
    assert_null(block);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_large_blocks_leave_room_for_small_ones),
        cmocka_unit_test(test_small_zeroed_blocks_come_from_the_reserve),
        cmocka_unit_test(test_it_is_given_up_before_anything_failed),
        cmocka_unit_test(test_a_product_that_overflows_is_refused),
    };
    if (!reserve_is_held()) {
        return 0; /* a sanitizer's heap */
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
