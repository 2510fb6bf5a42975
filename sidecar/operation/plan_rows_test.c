#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "sidecar/operation/plan_rows.h"

static void check(const char *json, bool found, double rows)
{
    double got = -1;
    assert_int_equal(plan_rows_estimate(bytes_of_string(json), &got), found);
    assert_true(got == (found ? rows : -1));
}

static void test_a_read_says_what_it_returns(void **state)
{
    (void)state;
    check("[{\"Plan\": {\"Node Type\": \"Seq Scan\", \"Plan Rows\": 850}}]", true, 850);
}

/* As PostgreSQL 15 writes it: the node itself returns nothing. */
static void test_a_write_says_what_it_changes(void **state)
{
    (void)state;
    check(
        "[{\"Plan\": {\"Node Type\": \"ModifyTable\", \"Operation\": \"Delete\", \"Plan Rows\": 0,"
        " \"Plans\": [{\"Node Type\": \"Seq Scan\", \"Parent Relationship\": \"Outer\","
        " \"Plan Rows\": 6}]}}]",
        true, 6);
    check(
        "[{\"Plan\": {\"Node Type\": \"ModifyTable\", \"Plan Rows\": 0, \"Plans\": ["
        "{\"Node Type\": \"Seq Scan\", \"Parent Relationship\": \"Member\", \"Plan Rows\": 6},"
        "{\"Node Type\": \"Result\", \"Parent Relationship\": \"InitPlan\", \"Plan Rows\": 100},"
        "{\"Node Type\": \"Seq Scan\", \"Parent Relationship\": \"Member\", \"Plan Rows\": 7}]}}]",
        true, 13);
}

static void test_anything_else_says_nothing(void **state)
{
    static const char *const texts[] = {"",
                                        "[]",
                                        "{}",
                                        "[{\"Plan\": 1}]",
                                        "[{\"Plan\": {\"Node Type\": 1, \"Plan Rows\": 2}}]",
                                        "[{\"Plan\": {\"Node Type\": \"Result\"}}]",
                                        "[{\"Plan\": {\"Node Type\": \"ModifyTable\"}}]"};
    (void)state;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        check(texts[i], false, 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_read_says_what_it_returns),
        cmocka_unit_test(test_a_write_says_what_it_changes),
        cmocka_unit_test(test_anything_else_says_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
