#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "sidecar/sql/sql_shape.h"

static bool are_alike(const char *a, const char *b)
{
    char one[SQL_SHAPE_SIZE], other[SQL_SHAPE_SIZE];
    sql_shape(bytes_of_string(a), one);
    sql_shape(bytes_of_string(b), other);
    assert_int_equal(strlen(one), SQL_SHAPE_SIZE - 1);
    assert_int_equal(strlen(other), SQL_SHAPE_SIZE - 1);
    return strcmp(one, other) == 0;
}

static void test_values_do_not_count(void **state)
{
    (void)state;
    assert_true(are_alike("DELETE FROM t WHERE id = 1", "DELETE FROM t WHERE id = 22"));
    assert_true(
        are_alike("UPDATE t SET a = 'x' WHERE id = 1", "UPDATE t SET a = 'y' WHERE id = 2"));
}

static void test_all_else_does(void **state)
{
    (void)state;
    assert_false(are_alike("DELETE FROM t WHERE id = 1", "DELETE FROM t WHERE id = 1 OR true"));
    assert_false(are_alike("DELETE FROM t WHERE id = 1", "DELETE FROM u WHERE id = 1"));
    assert_false(are_alike("DELETE FROM t WHERE id = 1", "DELETE FROM t WHERE id > 1"));
    assert_false(are_alike("DELETE FROM t WHERE id = 1", "DELETE FROM t WHERE id IN (1, 2)"));
    assert_false(are_alike("DELETE FROM t WHERE id = 1", "DELETE FROM t"));
}

static void test_what_is_no_statement_has_none(void **state)
{
    char out[SQL_SHAPE_SIZE] = "x";
    (void)state;
    sql_shape(bytes_of_string("DELETE FRM t"), out);
    assert_string_equal(out, "");
    sql_shape(bytes_of("SELECT 1\0 2", 11), out);
    assert_string_equal(out, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values_do_not_count),
        cmocka_unit_test(test_all_else_does),
        cmocka_unit_test(test_what_is_no_statement_has_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
