#include "base/heap/heap.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

enum {
    SIZE = 4000,
    LINKS = 32, /* glibc links freed blocks by their first bytes */
};

static uint8_t *make_secret(void)
{
    uint8_t *block = malloc(SIZE);
    assert_non_null(block);
    memset(block, 's', SIZE);
    return block;
}

/* As a debugger sees it: to read a freed block through its pointer would be undefined. */
static size_t count_remains(uintptr_t at)
{
    static uint8_t seen[SIZE];
    int fd = open("/proc/self/mem", O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(pread(fd, seen, SIZE, (off_t)at), SIZE);
    (void)close(fd);
    size_t count = 0;
    for (size_t i = LINKS; i < SIZE; i++) {
        count += seen[i] == 's';
    }
    return count;
}

static void test_a_freed_block_is_wiped(void **state)
{
    (void)state;
    uint8_t *block = make_secret();
    uintptr_t at = (uintptr_t)block;
    assert_int_equal(count_remains(at), SIZE - LINKS);
    free(block);
    assert_int_equal(count_remains(at), 0);
}

static void test_a_block_that_moved_is_wiped(void **state)
{
    (void)state;
    uint8_t *block = make_secret();
    uintptr_t at = (uintptr_t)block;
    uint8_t *moved = realloc(block, 16 * SIZE);
    assert_non_null(moved);
    assert_true((uintptr_t)moved != at);
    for (size_t i = 0; i < SIZE; i++) {
        assert_int_equal(moved[i], 's');
    }
    assert_int_equal(count_remains(at), 0);
    free(moved);
}

static void test_a_block_that_shrank_is_wiped(void **state)
{
    (void)state;
    uint8_t *block = make_secret();
    uintptr_t at = (uintptr_t)block;
    uint8_t *smaller = realloc(block, 10);
    assert_non_null(smaller);
    assert_memory_equal(smaller, "ssssssssss", 10);
    assert_int_equal(count_remains(at), 0);
    free(smaller);
}

static void test_a_block_that_cannot_grow_stays(void **state)
{
    (void)state;
    volatile size_t too_much = SIZE_MAX / 4; /* the compiler would rather not */
    uint8_t *block = make_secret();
    void *grown = realloc(block, too_much);
    if (grown == NULL) {
        assert_int_equal(block[SIZE - 1], 's');
        free(block);
        return;
    }
    free(grown);
    fail();
}

static void test_realloc_is_malloc_and_free(void **state)
{
    (void)state;
    uint8_t *block = realloc(NULL, SIZE);
    assert_non_null(block);
    memset(block, 's', SIZE);
    uintptr_t at = (uintptr_t)block;
    assert_null(realloc(block, 0));
    assert_int_equal(count_remains(at), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_freed_block_is_wiped),
        cmocka_unit_test(test_a_block_that_moved_is_wiped),
        cmocka_unit_test(test_a_block_that_shrank_is_wiped),
        cmocka_unit_test(test_a_block_that_cannot_grow_stays),
        cmocka_unit_test(test_realloc_is_malloc_and_free),
    };
    if (!heap_is_wiped()) {
        return 0;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
