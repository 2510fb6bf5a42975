#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "controlplane/store/sqlite_cover.h"

static const struct section_record even[] = {{.at = 0}, {.at = 2}}, odd[] = {{.at = 1}, {.at = 3}};

static void test_each_record_is_in_one_section(void **state)
{
    (void)state;
    struct cover cover = {0};
    assert_true(cover_begin(&cover, 7, 4));
    assert_int_equal(cover_missing(&cover, 0), 0);
    cover_add(&cover, even, 2);
    assert_int_equal(cover_missing(&cover, 0), 1);
    assert_int_equal(cover_missing(&cover, 2), 3);
    cover_add(&cover, odd, 2);
    assert_int_equal(cover_missing(&cover, 0), 4);
    /* The next batch begins anew. */
    assert_true(cover_begin(&cover, 11, 4));
    assert_int_equal(cover_missing(&cover, 0), 0);
}

static void test_a_record_in_two_sections_is_in_none(void **state)
{
    (void)state;
    struct cover cover = {0};
    assert_true(cover_begin(&cover, 7, 4));
    cover_add(&cover, even, 2);
    cover_add(&cover, odd, 2);
    for (int i = 0; i < 300; i++) { /* however often */
        cover_add(&cover, odd, 1);
        assert_int_equal(cover_missing(&cover, 0), 1);
    }
}

static void test_what_no_batch_says_is_refused(void **state)
{
    (void)state;
    static const struct section_record beyond[] = {{.at = 4}, {.at = UINT32_MAX}};
    struct cover cover = {0};
    assert_false(cover_begin(&cover, 0, 4));
    assert_false(cover_begin(&cover, -1, 4));
    assert_false(cover_begin(&cover, 7, 0));
    assert_false(cover_begin(&cover, 7, BATCH_RECORDS_MAX + 1));
    assert_true(cover_begin(&cover, 7, BATCH_RECORDS_MAX));
    assert_true(cover_begin(&cover, 7, 4));
    cover_add(&cover, beyond, 2);
    assert_int_equal(cover_missing(&cover, 0), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_record_is_in_one_section),
        cmocka_unit_test(test_a_record_in_two_sections_is_in_none),
        cmocka_unit_test(test_what_no_batch_says_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
