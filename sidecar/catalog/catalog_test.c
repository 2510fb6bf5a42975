/* What is found in a snapshot. What a real server gives is in e2e/tests/test_catalog.py. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "sidecar/catalog/catalog_fixture.h"

static int set_up(void **state)
{
    struct catalog *c = NULL;
    enum err e = catalog_load(CATALOG_ROWS, NULL, &c);
    *state = c;
    return e == OK ? 0 : -1;
}

static int tear_down(void **state)
{
    catalog_unref(*state);
    return 0;
}

static uint32_t find(const struct catalog *c, const char *schema, const char *name)
{
    const struct catalog_relation *r = catalog_relation_find(c, schema, name);
    return r == NULL ? 0 : r->oid;
}

static void finds_by_name_as_the_path_says(void **state)
{
    const struct catalog *c = *state;
    assert_int_equal(find(c, NULL, "t"), 10);
    assert_int_equal(find(c, "", "t"), 10);
    assert_int_equal(find(c, "public", "t"), 30);
    assert_int_equal(find(c, "elsewhere", "t"), 20);
    assert_int_equal(find(c, NULL, "v"), 50);
    assert_int_equal(find(c, "pg_temp", "v"), 50);
    assert_int_equal(find(c, "pg_temp_3", "v"), 50);
    assert_int_equal(find(c, "public", "v"), 40);
    assert_int_equal(find(c, NULL, "pg_class"), 1259);
    assert_int_equal(find(c, NULL, "i"), 43); /* in the way, though nothing can be selected of it */
    assert_int_equal(find(c, NULL, "only"), 0);
    assert_int_equal(find(c, "pg_temp", "t"), 0);
    assert_int_equal(find(c, "a", "v"), 0);
    assert_int_equal(find(c, "zzz", "t"), 0);
    assert_int_equal(find(c, NULL, ""), 0);
    assert_int_equal(find(c, NULL, "T"), 0);
    assert_int_equal(find(c, NULL, "zzz"), 0);
}

static void finds_by_oid(void **state)
{
    const struct catalog *c = *state;
    uint32_t before = 0;
    assert_int_equal(catalog_relation_count(c), 12);
    for (size_t i = 0; i < catalog_relation_count(c); i++) {
        const struct catalog_relation *r = catalog_relation_at(c, i);
        assert_true(r->oid > before);
        assert_ptr_equal(catalog_relation_by_oid(c, r->oid), r);
        before = r->oid;
    }
    assert_null(catalog_relation_by_oid(c, 0));
    assert_null(catalog_relation_by_oid(c, 11));
    assert_null(catalog_relation_by_oid(c, UINT32_MAX));
}

static void says_what_a_relation_is(void **state)
{
    const struct catalog *c = *state;
    assert_int_equal(catalog_relation_by_oid(c, 10)->kind, CATALOG_TABLE);
    assert_int_equal(catalog_relation_by_oid(c, 20)->kind, CATALOG_TABLE);
    assert_int_equal(catalog_relation_by_oid(c, 30)->kind, CATALOG_TABLE);
    assert_int_equal(catalog_relation_by_oid(c, 40)->kind, CATALOG_VIEW);
    assert_int_equal(catalog_relation_by_oid(c, 41)->kind, CATALOG_MATERIALIZED_VIEW);
    assert_int_equal(catalog_relation_by_oid(c, 42)->kind, CATALOG_SEQUENCE);
    assert_int_equal(catalog_relation_by_oid(c, 43)->kind, CATALOG_OTHER);
    assert_true(catalog_relation_by_oid(c, 10)->has_rules);
    assert_false(catalog_relation_by_oid(c, 30)->has_rules);
    assert_true(catalog_relation_by_oid(c, 50)->is_temporary);
    assert_false(catalog_relation_by_oid(c, 40)->is_temporary);
    assert_true(catalog_relation_by_oid(c, 1259)->is_system);
    assert_false(catalog_relation_by_oid(c, 60)->is_system);
    assert_string_equal(catalog_relation_by_oid(c, 40)->definition, " SELECT third AS x FROM t;");
    assert_null(catalog_relation_by_oid(c, 41)->definition);
    assert_null(catalog_relation_by_oid(c, 30)->definition);
}

static void says_whose_rows_are_elsewhere(void **state)
{
    const struct catalog *c = *state;
    assert_true(catalog_relation_by_oid(c, 20)->is_foreign);
    assert_false(catalog_relation_by_oid(c, 30)->is_foreign);
    const struct catalog_row heir = {PARENTS, {"20", "30"}};
    struct catalog *more = NULL;
    assert_int_equal(catalog_load(CATALOG_ROWS, &heir, &more), OK);
    static const uint32_t foreign[] = {20, 30, 10, 61}; /* and what its parent inherits from */
    for (size_t i = 0; i < sizeof(foreign) / sizeof(foreign[0]); i++) {
        assert_true(catalog_relation_by_oid(more, foreign[i])->is_foreign);
    }
    assert_false(catalog_relation_by_oid(more, 44)->is_foreign);
    assert_false(catalog_relation_by_oid(more, 40)->is_foreign);
    catalog_unref(more);
}

static void columns_are_in_order(void **state)
{
    const struct catalog *c = *state;
    const struct catalog_relation *r = catalog_relation_by_oid(c, 30);
    assert_int_equal(r->column_count, 3);
    assert_int_equal(r->columns[0].number, 1);
    assert_int_equal(r->columns[1].number, 3);
    assert_int_equal(r->columns[2].number, 1600);
    const struct catalog_column *third = catalog_column_find(r, "third");
    assert_ptr_equal(third, &r->columns[1]);
    assert_int_equal(third->type, 25);
    assert_string_equal(third->type_name, "text");
    assert_false(third->is_generated);
    assert_true(catalog_column_find(r, "last")->is_generated);
    assert_null(catalog_column_find(r, "x"));
    assert_null(catalog_column_find(r, ""));
    assert_int_equal(catalog_relation_by_oid(c, 41)->column_count, 0);
    assert_string_equal(catalog_relation_by_oid(c, 10)->columns[0].name, "x");
}

static void parents_are_known(void **state)
{
    const struct catalog *c = *state;
    const struct catalog_relation *r = catalog_relation_by_oid(c, 30);
    assert_int_equal(r->parent_count, 2);
    assert_int_equal(r->parents[0], 10);
    assert_int_equal(r->parents[1], 61);
    assert_int_equal(catalog_relation_by_oid(c, 10)->parent_count, 0);
}

static void knows_what_is_not_builtin(void **state)
{
    const struct catalog *c = *state;
    assert_false(catalog_function_is_builtin(c, NULL, "lower"));
    assert_false(catalog_function_is_builtin(c, "", "lower"));
    assert_true(catalog_function_is_builtin(c, "pg_catalog", "lower"));
    assert_false(catalog_function_is_builtin(c, "a", "lower"));
    assert_true(catalog_function_is_builtin(c, "public", "length")); /* as good, if there is one */
    assert_false(catalog_function_is_builtin(c, "public", "planted"));
    assert_false(catalog_function_is_builtin(c, "elsewhere", "upper"));
    assert_true(catalog_function_is_builtin(c, "a", "upper"));
    assert_false(catalog_function_is_builtin(c, "pg_temp_3", "temporary"));
    assert_false(catalog_function_is_builtin(c, "pg_temp", "whatever"));
    assert_true(catalog_function_is_builtin(c, NULL, "upper")); /* not in the path */
    assert_true(catalog_function_is_builtin(c, NULL, "length"));
    assert_true(catalog_function_is_builtin(c, NULL, "temporary")); /* never searched for one */
    assert_false(catalog_function_is_builtin(c, "pg_temp", "temporary"));
    assert_false(catalog_function_is_builtin(c, NULL, "planted"));
    assert_false(catalog_function_is_builtin(c, "pg_catalog", "planted"));
    assert_false(catalog_function_is_builtin(c, NULL, "deep"));
    assert_true(catalog_function_is_builtin(c, "pg_catalog", "deep"));
    assert_true(catalog_function_is_builtin(c, NULL, "="));

    assert_false(catalog_operator_is_builtin(c, NULL, "="));
    assert_true(catalog_operator_is_builtin(c, "pg_catalog", "="));
    assert_true(catalog_operator_is_builtin(c, NULL, "<"));
    assert_true(catalog_operator_is_builtin(c, NULL, "lower"));

    assert_false(catalog_type_is_builtin(c, NULL, "int4"));
    assert_true(catalog_type_is_builtin(c, "pg_catalog", "int4"));
    assert_true(catalog_type_is_builtin(c, NULL, "text"));
    assert_false(catalog_type_is_builtin(c, NULL, "_mood"));
    assert_false(catalog_type_is_builtin(c, NULL, "t"));       /* a row type */
    assert_false(catalog_type_is_builtin(c, NULL, "i"));       /* not the index: the table behind */
    assert_true(catalog_type_is_builtin(c, NULL, "s"));        /* a sequence has none */
    assert_true(catalog_type_is_builtin(c, NULL, "pg_class")); /* pg_catalog's comes first */
    assert_true(catalog_type_is_builtin(c, "pg_catalog", "pg_class"));
    assert_false(catalog_type_is_builtin(c, "public", "pg_class"));
}

static void knows_what_is_as_good_but_not_the_same(void **state)
{
    const struct catalog *c = *state;
    assert_true(catalog_operator_is_builtin(c, NULL, "||"));
    assert_true(catalog_operator_may_fail(c, NULL, "||"));
    assert_true(catalog_operator_may_fail(c, "public", "||"));
    assert_false(catalog_operator_may_fail(c, "pg_catalog", "||"));
    assert_false(catalog_operator_may_fail(c, NULL, "->")); /* not in the path */
    assert_true(catalog_operator_may_fail(c, "elsewhere", "->"));
    assert_false(catalog_operator_may_fail(c, NULL, "="));
    assert_true(catalog_type_is_enum(c, NULL, "color"));
    assert_true(catalog_type_is_enum(c, "public", "color"));
    assert_false(catalog_type_is_builtin(c, NULL, "color"));
    assert_false(catalog_type_is_enum(c, "a", "color"));
    assert_false(catalog_type_is_enum(c, NULL, "_mood"));
    assert_false(catalog_type_is_enum(c, NULL, "text"));
}

static void knows_what_runs_unnamed(void **state)
{
    const struct catalog *c = *state;
    size_t count = 0;
    const struct catalog_cast *casts = catalog_casts(c, &count);
    assert_int_equal(count, 2);
    assert_int_equal(casts[0].type, 0);
    assert_null(casts[0].code.name);
    assert_int_equal(casts[1].type, 500);
    assert_string_equal(casts[1].type_name, "person");
    assert_string_equal(casts[1].code.schema, "public");
    assert_string_equal(casts[1].code.name, "to_person");
    const struct catalog_relation *r = catalog_relation_by_oid(c, 30);
    assert_int_equal(r->writing_count, 2);
    assert_true(strcmp(r->writing[0].name, r->writing[1].name) != 0);
    r = catalog_relation_by_oid(c, 10);
    assert_int_equal(r->writing_count, 1);
    assert_string_equal(r->writing[0].schema, "a");
    assert_string_equal(r->writing[0].name, "audit");
    assert_int_equal(catalog_relation_by_oid(c, 20)->writing_count, 0);
}

static void is_current_by_its_fingerprint(void **state)
{
    struct catalog *c = *state, *other = NULL;
    assert_true(catalog_is_current(c, bytes_of_string("{o ne} 1:2")));
    assert_false(catalog_is_current(c, bytes_of_string("{o n 1:2")));
    assert_false(catalog_is_current(c, bytes_of_string("{O ne} 1:2")));
    assert_false(catalog_is_current(c, bytes_of(NULL, 0)));
    assert_int_equal(catalog_load(CATALOG_ROWS, NULL, &other), OK);
    assert_true(catalog_generation(c) != catalog_generation(other));
    catalog_unref(other);
    catalog_ref(c);
    catalog_unref(c);
    assert_int_equal(find(c, NULL, "t"), 10);
    catalog_unref(NULL);
}

static void is_of_one_moment_when_nothing_has_another_version(void **state)
{
    const struct catalog *c = *state;
    assert_true(catalog_is_of_one_moment(c, bytes_of_string("{o ne} 1:2")));
    assert_false(catalog_is_of_one_moment(c, bytes_of_string("{o ne} 1:3")));
    assert_true(catalog_is_current(c, bytes_of_string("{o ne} 1:3")));
    assert_false(catalog_is_current(c, bytes_of_string("{o nf} 1:2")));
    assert_false(catalog_is_current(c, bytes_of_string("{o")));
    assert_false(catalog_is_of_one_moment(c, bytes_of_string("{o ne}")));
}

static void queries_are_texts(void **state)
{
    (void)state;
    for (int q = 0; q < CATALOG_QUERY_COUNT; q++) {
        const char *text = catalog_query_text((enum catalog_query)q);
        assert_null(strchr(text, ';'));
        assert_null(strchr(text, '\\'));
        assert_null(strchr(text, '\n'));
    }
}

int main(void)
{
#define CATALOG_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        CATALOG_TEST(finds_by_name_as_the_path_says),
        CATALOG_TEST(finds_by_oid),
        CATALOG_TEST(says_what_a_relation_is),
        CATALOG_TEST(says_whose_rows_are_elsewhere),
        CATALOG_TEST(columns_are_in_order),
        CATALOG_TEST(parents_are_known),
        CATALOG_TEST(knows_what_is_not_builtin),
        CATALOG_TEST(knows_what_is_as_good_but_not_the_same),
        CATALOG_TEST(knows_what_runs_unnamed),
        CATALOG_TEST(is_current_by_its_fingerprint),
        CATALOG_TEST(is_of_one_moment_when_nothing_has_another_version),
        cmocka_unit_test(queries_are_texts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
