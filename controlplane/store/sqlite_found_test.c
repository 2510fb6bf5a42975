#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "controlplane/store/sqlite_found.h"

/* Every order from 0 to `count`, each once, mixed. */
static int64_t mixed(int64_t i, int64_t count)
{
    return i * 7919 % count; /* a prime */
}

static void add(struct found *found, int64_t order, uint32_t size)
{
    const struct found_record record = {.order = order, .section = order / 10, .size = size};
    assert_int_equal(found_add(found, record, INT64_MIN), OK);
}

static void test_the_first_ones_are_kept_in_order(void **state)
{
    (void)state;
    struct found found;
    found_init(&found, 100, SIZE_MAX);
    for (int64_t i = 0; i < 1000; i++) {
        add(&found, mixed(i, 1000), 0);
        assert_true(found.count <= 100);
    }
    assert_true(found.has_more);
    found_sort(&found);
    assert_int_equal(found.count, 100);
    for (size_t i = 0; i < 100; i++) {
        assert_int_equal(found.items[i].order, i);
        assert_int_equal(found.items[i].section, i / 10);
    }
    found_finish(&found);
}

static void test_all_is_kept_where_there_is_room(void **state)
{
    (void)state;
    struct found found;
    found_init(&found, 10, SIZE_MAX);
    for (int64_t i = 9; i >= 0; i--) {
        assert_false(found_is_beyond(&found, INT64_MAX));
        add(&found, i, 0);
    }
    assert_false(found.has_more);
    assert_true(found_is_beyond(&found, 10));
    assert_false(found_is_beyond(&found, 9));
    assert_false(found_is_beyond(&found, 0));
    add(&found, 10, 0);
    assert_true(found.has_more);
    found_finish(&found);
}

/* A record is in the answer when those before it are smaller together than the most. */
static void test_the_answer_ends_with_its_size(void **state)
{
    (void)state;
    static const int64_t orders[] = {5, 3, 1, 4, 2};
    struct found found;
    found_init(&found, 100, 25);
    for (size_t i = 0; i < 5; i++) {
        add(&found, orders[i], 10);
    }
    found_sort(&found);
    assert_int_equal(found.count, 3);
    assert_int_equal(found.items[2].order, 3);
    assert_true(found.has_more);
    found_finish(&found);
    /* The first one is, whatever its size. */
    found_init(&found, 100, 0);
    add(&found, 2, 1000);
    add(&found, 1, 1000);
    assert_int_equal(found.count, 1);
    assert_int_equal(found.items[0].order, 1);
    assert_true(found.has_more);
    found_finish(&found);
}

/* The last of very many: those that nothing comes before any more are only counted. */
static void test_many_are_counted_and_not_kept(void **state)
{
    enum { MANY = 3 * FOUND_KEPT_MAX, BLOCK = 1000 };
    (void)state;
    struct found found;
    found_init(&found, MANY / 2 + 7, SIZE_MAX);
    for (int64_t block = 0; block < MANY / BLOCK; block++) {
        for (int64_t i = 0; i < BLOCK; i++) {
            const struct found_record record = {.order = block * BLOCK + mixed(i, BLOCK)};
            assert_int_equal(found_add(&found, record, block * BLOCK), OK);
        }
    }
    assert_true(found.room < 10 * BLOCK);
    assert_int_equal(found.items[0].order, MANY / 2 + 6);
    found_finish(&found);
}

static void test_too_many_of_one_time_are_refused(void **state)
{
    (void)state;
    struct found found;
    enum err err = OK;
    int64_t kept = 0;
    found_init(&found, UINT64_MAX, SIZE_MAX);
    for (; err == OK && kept <= FOUND_KEPT_MAX; kept += err == OK) {
        err = found_add(&found, (struct found_record){.order = kept}, INT64_MIN);
    }
    assert_int_equal(err, ERR_LIMIT);
    assert_int_equal(kept, FOUND_KEPT_MAX);
    found_finish(&found);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_first_ones_are_kept_in_order),
        cmocka_unit_test(test_all_is_kept_where_there_is_room),
        cmocka_unit_test(test_the_answer_ends_with_its_size),
        cmocka_unit_test(test_many_are_counted_and_not_kept),
        cmocka_unit_test(test_too_many_of_one_time_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
