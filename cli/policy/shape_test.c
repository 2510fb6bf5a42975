#include "cli/policy/shape.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

static void assert_shape(const char *text, bool is_sql, size_t max, const char *expected)
{
    char *shape = shape_of(bytes_of_string(text), is_sql, max);
    assert_non_null(shape);
    assert_string_equal(shape, expected);
    assert_true(strlen(shape) <= max);
    free(shape);
}

static void constants_comments_and_spaces_do_not_count(void **state)
{
    (void)state;
    const char *expected = "SELECT * FROM orders WHERE id = $1 AND name = $2";
    assert_shape("SELECT * FROM orders WHERE id = 17 AND name = 'x'", true, 100, expected);
    assert_shape("/* reason: a */ SELECT *\n\tFROM orders -- b\n WHERE id = 4 AND name = 'y -- z'",
                 true, 100, expected);
    assert_shape("select 1;select   'a  b'", true, 100, "select $1;select $2");
    assert_shape("SELECT \"a  b\" FROM t", true, 100, "SELECT \"a  b\" FROM t");
}

static void what_is_no_sql_keeps_its_words(void **state)
{
    (void)state;
    assert_shape("  SELEC\n 'x'  ", false, 100, "SELEC 'x'");
    assert_shape("SELECT 'open", true, 100, "SELECT 'open");
    assert_shape("", false, 100, "");
    assert_shape("   ", true, 100, "");
}

static void a_long_one_is_cut_between_characters(void **state)
{
    (void)state;
    assert_shape("abcdefghij", false, 10, "abcdefghij");
    assert_shape("abcdefghijk", false, 10, "abcdefg...");
    assert_shape("abcdef\xc3\xa9ijk", false, 10, "abcdef...");
    assert_shape("SELECT a, b, c, d FROM t", true, 10, "SELECT ...");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(constants_comments_and_spaces_do_not_count),
        cmocka_unit_test(what_is_no_sql_keeps_its_words),
        cmocka_unit_test(a_long_one_is_cut_between_characters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
