#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "sidecar/sql/sql_naming.h"

static struct sql_namings read_text(const char *text)
{
    struct sql_namings n = {0};
    assert_int_equal(sql_namings_read(bytes_of_string(text), &n), OK);
    return n;
}

static void expect_query(const char *text, enum sql_naming_kind kind, const char *name,
                         const char *query)
{
    struct sql_namings n = read_text(text);
    assert_int_equal(n.count, 1);
    assert_int_equal(n.items[0].kind, kind);
    assert_string_equal(n.items[0].name, name);
    assert_true(bytes_equal_string(n.items[0].query, query));
    sql_namings_finish(&n);
}

static void test_the_inner_query_is_what_runs(void **state)
{
    (void)state;
    expect_query("PREPARE p AS SELECT 1", SQL_NAMING_PREPARE, "p", " SELECT 1");
    expect_query("PREPARE P (int, text) AS DELETE FROM t WHERE a = $1", SQL_NAMING_PREPARE, "p",
                 " DELETE FROM t WHERE a = $1");
    expect_query("DECLARE c SCROLL CURSOR WITH HOLD FOR SELECT a AS b FROM t FOR UPDATE",
                 SQL_NAMING_DECLARE, "c", " SELECT a AS b FROM t FOR UPDATE");
}

/* Words in names, comments and types that look like the one that is looked for. */
static void test_a_trap_is_no_beginning(void **state)
{
    (void)state;
    expect_query("PREPARE \"x AS select 1; --\" AS DELETE FROM t", SQL_NAMING_PREPARE,
                 "x AS select 1; --", " DELETE FROM t");
    expect_query("PREPARE x /* AS select 1; */ AS DELETE FROM t", SQL_NAMING_PREPARE, "x",
                 " DELETE FROM t");
    expect_query("PREPARE x (\"AS\") -- AS select 1\n AS DELETE FROM t", SQL_NAMING_PREPARE, "x",
                 " DELETE FROM t");
    expect_query("DECLARE \"FOR select 1\" CURSOR FOR SELECT 2", SQL_NAMING_DECLARE, "FOR select 1",
                 " SELECT 2");
}

static void test_each_statement_of_a_text(void **state)
{
    (void)state;
    struct sql_namings n = read_text(
        "SELECT 1; PREPARE a AS SELECT 2; EXECUTE a; DEALLOCATE ALL; FETCH ALL FROM \"C\"; "
        "CLOSE ALL; DISCARD ALL; DISCARD TEMP; EXPLAIN ANALYZE EXECUTE b; MOVE c");
    static const struct {
        enum sql_naming_kind kind;
        size_t statement;
        const char *name;
    } expected[] = {
        {SQL_NAMING_PREPARE, 1, "a"},     {SQL_NAMING_EXECUTE, 2, "a"},
        {SQL_NAMING_DEALLOCATE, 3, NULL}, {SQL_NAMING_FETCH, 4, "C"},
        {SQL_NAMING_CLOSE, 5, NULL},      {SQL_NAMING_DISCARD_ALL, 6, NULL},
        {SQL_NAMING_EXECUTE, 8, "b"},     {SQL_NAMING_FETCH, 9, "c"},
    };
    assert_int_equal(n.count, sizeof(expected) / sizeof(expected[0]));
    for (size_t i = 0; i < n.count; i++) {
        assert_int_equal(n.items[i].kind, expected[i].kind);
        assert_int_equal(n.items[i].statement, expected[i].statement);
        if (expected[i].name == NULL) {
            assert_null(n.items[i].name);
        } else {
            assert_string_equal(n.items[i].name, expected[i].name);
        }
    }
    assert_true(bytes_equal_string(n.items[0].query, " SELECT 2"));
    sql_namings_finish(&n);
}

static void test_only_such_statements_are_read(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool has;
    } cases[] = {
        {"SELECT 1", false}, {"UPDATE t SET a = 1; COMMIT", false},   {"BEGIN; FETCH c", true},
        {"EXECUTE p", true}, {"DECLARE c CURSOR FOR SELECT 1", true}, {"DISCARD ALL", true},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct sql_analysis *a = NULL;
        assert_int_equal(sql_analyse(bytes_of_string(cases[i].text), 1000, &a, NULL), OK);
        assert_int_equal(sql_has_namings(a), cases[i].has);
        sql_analysis_destroy(a);
    }
}

static void test_what_is_no_sql_is_refused(void **state)
{
    (void)state;
    struct sql_namings n = {0};
    assert_int_equal(sql_namings_read(bytes_of_string("PREPARE p AS"), &n), ERR_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_inner_query_is_what_runs),
        cmocka_unit_test(test_a_trap_is_no_beginning),
        cmocka_unit_test(test_each_statement_of_a_text),
        cmocka_unit_test(test_only_such_statements_are_read),
        cmocka_unit_test(test_what_is_no_sql_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
