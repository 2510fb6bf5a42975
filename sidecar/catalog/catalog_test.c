/* Rows made by hand. What a real server gives is in e2e/tests/test_catalog.py. */
#include "sidecar/catalog/catalog.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

#include "base/testing/alloc_fail.h"

#define FINGERPRINT CATALOG_QUERY_FINGERPRINT
#define PATH CATALOG_QUERY_PATH
#define RELATIONS CATALOG_QUERY_RELATIONS
#define COLUMNS CATALOG_QUERY_COLUMNS
#define VIEWS CATALOG_QUERY_VIEWS
#define PARENTS CATALOG_QUERY_PARENTS
#define NAMES CATALOG_QUERY_NAMES

struct row {
    enum catalog_query query;
    /* The first NULL that is followed by nothing else ends it; "NULL" is SQL's. */
    const char *values[CATALOG_VALUES_MAX];
};

/* A session with a temporary schema, and its search path: itself, pg_catalog, a, public. */
static const struct row rows[] = {
    {FINGERPRINT, {"{o ne} 1:2"}},
    {PATH, {"pg_temp_3", "true"}},
    {PATH, {"pg_catalog", "false"}},
    {PATH, {"a", "false"}},
    {PATH, {"public", "false"}},
    {RELATIONS, {"30", "public", "t", "r", "false", "false", "false", "true"}},
    {RELATIONS, {"10", "a", "t", "p", "false", "false", "true", "true"}},
    {RELATIONS, {"20", "elsewhere", "t", "f", "false", "false", "false", "true"}},
    {RELATIONS, {"40", "public", "v", "v", "false", "false", "false", "true"}},
    {RELATIONS, {"41", "public", "m", "m", "false", "false", "false", "true"}},
    {RELATIONS, {"42", "public", "s", "S", "false", "false", "false", "false"}},
    {RELATIONS, {"43", "a", "i", "i", "false", "false", "false", "false"}},
    {RELATIONS, {"44", "public", "i", "r", "false", "false", "false", "true"}},
    {RELATIONS, {"50", "pg_temp_3", "v", "r", "false", "true", "false", "true"}},
    {RELATIONS, {"1259", "pg_catalog", "pg_class", "r", "true", "false", "false", "true"}},
    {RELATIONS, {"60", "public", "pg_class", "r", "false", "false", "false", "true"}},
    {RELATIONS, {"61", "elsewhere", "only", "r", "false", "false", "false", "true"}},
    {COLUMNS, {"30", "3", "third", "25", "text", "false"}},
    {COLUMNS, {"10", "1", "x", "23", "integer", "false"}},
    {COLUMNS, {"30", "1", "first", "23", "integer", "false"}},
    {COLUMNS, {"30", "1600", "last", "25", "text", "true"}},
    {COLUMNS, {"40", "1", "x", "25", "text", "false"}},
    {VIEWS, {"40", " SELECT third AS x FROM t;"}},
    {VIEWS, {"41", "NULL"}},
    {PARENTS, {"30", "61"}},
    {PARENTS, {"30", "10"}},
    {NAMES, {"f", "a", "lower", "NULL", "NULL"}},
    {NAMES, {"f", "elsewhere", "upper", "NULL", "NULL"}},
    {NAMES, {"f", "pg_temp_3", "temporary", "NULL", "NULL"}},
    {NAMES, {"f", "pg_catalog", "planted", "NULL", "NULL"}},
    {NAMES, {"f", "public", "planted", "NULL", "NULL"}},
    {NAMES, {"f", "public", "deep", "NULL", "NULL"}},
    {NAMES, {"f", "elsewhere", "deep", "NULL", "NULL"}},
    {NAMES, {"o", "public", "=", "NULL", "NULL"}},
    {NAMES, {"t", "pg_temp_3", "int4", "NULL", "NULL"}},
    {NAMES, {"t", "public", "_mood", "NULL", "NULL"}},
    {NAMES, {"t", "public", "color", "NULL", "enum"}},
    {NAMES, {"p", "public", "||", "NULL", "NULL"}},
    {NAMES, {"p", "elsewhere", "->", "NULL", "NULL"}},
    {NAMES, {"c", "public", "to_person", "500", "person"}},
    {NAMES, {"c", "NULL", "NULL", "NULL", "NULL"}},
    {NAMES, {"w", "public", "stamp", "30", "NULL"}},
    {NAMES, {"w", "a", "audit", "10", "NULL"}},
    {NAMES, {"w", "a", "audit", "30", "NULL"}},
};

enum { ROWS = sizeof(rows) / sizeof(rows[0]) };

static enum err feed(struct catalog_loader *l, const struct row *row)
{
    struct bytes values[CATALOG_VALUES_MAX];
    size_t count = 0;
    while (count < CATALOG_VALUES_MAX && row->values[count] != NULL) {
        const char *text = row->values[count];
        values[count++] = strcmp(text, "NULL") == 0 ? bytes_of(NULL, 0) : bytes_of_string(text);
    }
    return catalog_loader_row(l, row->query, values, count);
}

/* The rows above without number `left_out`, and one more at the end, if any. */
static enum err load(size_t left_out, const struct row *more, struct catalog **out)
{
    struct catalog_loader *l = catalog_loader_create();
    if (l == NULL) {
        return ERR_NO_MEMORY;
    }
    enum err e = OK;
    for (size_t i = 0; i < ROWS && e == OK; i++) {
        e = i == left_out ? OK : feed(l, &rows[i]);
    }
    if (e == OK && more != NULL) {
        e = feed(l, more);
    }
    if (e == OK) {
        e = catalog_loader_finish(l, out);
    }
    catalog_loader_destroy(l);
    return e;
}

static int set_up(void **state)
{
    struct catalog *c = NULL;
    enum err e = load(ROWS, NULL, &c);
    *state = c;
    return e == OK ? 0 : -1;
}

static int tear_down(void **state)
{
    catalog_unref(*state);
    return 0;
}

/* ---- what is found ------------------------------------------------------------------------- */

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
    const struct row heir = {PARENTS, {"20", "30"}};
    struct catalog *more = NULL;
    assert_int_equal(load(ROWS, &heir, &more), OK);
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
    assert_int_equal(load(ROWS, NULL, &other), OK);
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

/* ---- what is refused ----------------------------------------------------------------------- */

static void assert_row(enum err expected, struct row row)
{
    struct catalog *c = NULL;
    assert_int_equal(load(ROWS, &row, &c), expected);
    assert_null(c);
}

static void malformed_rows_are_refused(void **state)
{
    (void)state;
    static const struct row malformed[] = {
        {FINGERPRINT, {"two"}}, /* a second one */
        {FINGERPRINT, {NULL}},
        {FINGERPRINT, {"", NULL}},
        {FINGERPRINT, {"a", "b"}},
        {PATH, {"b"}},
        {PATH, {"b", "false", "x"}},
        {PATH, {"b", "f"}},
        {PATH, {"b", ""}},
        {PATH, {"", "false"}},
        {PATH, {"NULL", "false"}},
        {PATH, {"b", "NULL"}},
        {PATH, {"a", "false"}},        /* twice */
        {PATH, {"pg_temp_4", "true"}}, /* a second one */
        {RELATIONS, {"70", "public", "x", "r", "false", "false", "false"}},
        {RELATIONS, {"0", "public", "x", "r", "false", "false", "false", "true"}},
        {RELATIONS, {"-1", "public", "x", "r", "false", "false", "false", "true"}},
        {RELATIONS, {"+1", "public", "x", "r", "false", "false", "false", "true"}},
        {RELATIONS, {" 70", "public", "x", "r", "false", "false", "false", "true"}},
        {RELATIONS, {"70x", "public", "x", "r", "false", "false", "false", "true"}},
        {RELATIONS, {"", "public", "x", "r", "false", "false", "false", "true"}},
        {RELATIONS, {"4294967296", "public", "x", "r", "false", "false", "false", "true"}},
        {RELATIONS,
         {"99999999999999999999", "public", "x", "r", "false", "false", "false", "true"}},
        {RELATIONS, {"30", "public", "x", "r", "false", "false", "false", "true"}}, /* oid twice */
        {RELATIONS, {"70", "public", "t", "r", "false", "false", "false", "true"}}, /* name twice */
        {RELATIONS, {"70", "", "x", "r", "false", "false", "false", "true"}},
        {RELATIONS, {"70", "public", "", "r", "false", "false", "false", "true"}},
        {RELATIONS, {"70", "public", "NULL", "r", "false", "false", "false", "true"}},
        {RELATIONS, {"70", "public", "x", "", "false", "false", "false", "true"}},
        {RELATIONS, {"70", "public", "x", "rr", "false", "false", "false", "true"}},
        {RELATIONS, {"70", "public", "x", "r", "no", "false", "false", "true"}},
        {RELATIONS, {"70", "public", "x", "r", "false", "", "false", "true"}},
        {RELATIONS, {"70", "public", "x", "r", "false", "false", "NULL", "true"}},
        {RELATIONS, {"70", "public", "x", "r", "false", "true", "false", "true"}},
        {RELATIONS, {"70", "pg_temp_3", "x", "r", "false", "false", "false", "true"}},
        {COLUMNS, {"30", "2", "x", "25", "text"}},
        {COLUMNS, {"0", "2", "x", "25", "text", "false"}},
        {COLUMNS, {"30", "0", "x", "25", "text", "false"}},
        {COLUMNS, {"30", "-1", "ctid", "27", "tid", "false"}},
        {COLUMNS, {"30", "1601", "x", "25", "text", "false"}},
        {COLUMNS, {"30", "65537", "x", "25", "text", "false"}},
        {COLUMNS, {"30", "3", "x", "25", "text", "false"}}, /* number twice */
        {COLUMNS, {"30", "2", "", "25", "text", "false"}},
        {COLUMNS, {"30", "2", "x", "0", "text", "false"}},
        {COLUMNS, {"30", "2", "x", "text", "text", "false"}},
        {COLUMNS, {"30", "2", "x", "25", "NULL", "false"}},
        {COLUMNS, {"30", "2", "x", "25", "text", "FALSE"}},
        {VIEWS, {"40"}},
        {VIEWS, {"NULL", "SELECT"}},
        {VIEWS, {"x", "SELECT"}},
        {VIEWS, {"40", "SELECT 2"}}, /* a second one */
        {VIEWS, {"30", "SELECT 2"}}, /* of a table */
        {PARENTS, {"30"}},
        {PARENTS, {"30", "30"}},
        {PARENTS, {"30", "10"}}, /* twice */
        {PARENTS, {"30", "0"}},
        {PARENTS, {"NULL", "30"}},
        {NAMES, {"f", "a"}},
        {NAMES, {"f", "a", "b"}},
        {NAMES, {"f", "a", "b", "30", "NULL"}},
        {NAMES, {"f", "a", "b", "NULL", "enum"}},
        {NAMES, {"t", "a", "b", "NULL", "x"}},
        {NAMES, {"f", "NULL", "b", "NULL", "NULL"}},
        {NAMES, {"c", "a", "NULL", "500", "person"}},
        {NAMES, {"c", "a", "f", "500", "NULL"}},
        {NAMES, {"c", "a", "f", "NULL", "person"}},
        {NAMES, {"c", "a", "f", "0", "person"}},
        {NAMES, {"w", "a", "f", "NULL", "NULL"}},
        {NAMES, {"w", "NULL", "NULL", "30", "NULL"}},
        {NAMES, {"NULL", "a", "f", "NULL", "NULL"}},
        {NAMES, {"x", "a", "b", "NULL", "NULL"}},
        {NAMES, {"", "a", "b", "NULL", "NULL"}},
        {NAMES, {"ff", "a", "b", "NULL", "NULL"}},
        {NAMES, {"f", "", "b", "NULL", "NULL"}},
        {NAMES, {"f", "a", "NULL", "NULL", "NULL"}},
        {CATALOG_QUERY_COUNT, {"a"}},
        {(enum catalog_query)1000, {"a"}},
    };
    for (size_t i = 0; i < sizeof(malformed) / sizeof(malformed[0]); i++) {
        struct catalog *c = NULL;
        if (load(ROWS, &malformed[i], &c) != ERR_INVALID) {
            fail_msg("row %zu: query %d, %s", i, (int)malformed[i].query, malformed[i].values[0]);
        }
        assert_null(c);
    }
}

static void a_zero_byte_is_no_name(void **state)
{
    (void)state;
    struct catalog_loader *l = catalog_loader_create();
    const struct bytes values[] = {bytes_of_string("f"), bytes_of_string("a"),
                                   bytes_of("lo\0er", 5), bytes_of(NULL, 0), bytes_of(NULL, 0)};
    assert_int_equal(catalog_loader_row(l, NAMES, values, 5), ERR_INVALID);
    catalog_loader_destroy(l);
}

static void what_changed_meanwhile_is_to_be_loaded_again(void **state)
{
    (void)state;
    assert_row(ERR_UNAVAILABLE, (struct row){COLUMNS, {"99", "1", "x", "25", "text", "false"}});
    assert_row(ERR_UNAVAILABLE, (struct row){COLUMNS, {"5", "1", "x", "25", "text", "false"}});
    assert_row(ERR_UNAVAILABLE, (struct row){VIEWS, {"99", "SELECT 1"}});
    assert_row(ERR_UNAVAILABLE, (struct row){PARENTS, {"99", "10"}});
    assert_row(ERR_UNAVAILABLE, (struct row){PARENTS, {"10", "99"}});
    assert_row(ERR_UNAVAILABLE, (struct row){NAMES, {"w", "a", "f", "99", "NULL"}});
    assert_row(ERR_UNAVAILABLE, (struct row){FINGERPRINT, {"NULL"}});
}

static void without_fingerprint_or_path_there_is_no_snapshot(void **state)
{
    (void)state;
    struct catalog *c = NULL;
    struct catalog_loader *empty = catalog_loader_create();
    assert_int_equal(catalog_loader_finish(empty, &c), ERR_INVALID);
    catalog_loader_destroy(empty);
    assert_int_equal(load(0, NULL, &c), ERR_INVALID);
    assert_int_equal(load(1, NULL, &c), ERR_INVALID); /* a temporary relation, but no such schema */
    assert_int_equal(load(2, NULL, &c), ERR_INVALID); /* pg_catalog */
    assert_null(c);
}

static void nothing_comes_after_the_end(void **state)
{
    (void)state;
    struct catalog *c = NULL, *second = NULL;
    struct catalog_loader *l = catalog_loader_create();
    assert_int_equal(feed(l, &rows[0]), OK);
    assert_int_equal(feed(l, &rows[2]), OK);
    assert_int_equal(catalog_loader_finish(l, &c), OK);
    assert_int_equal(feed(l, &rows[6]), ERR_INVALID);
    assert_int_equal(catalog_loader_finish(l, &second), ERR_INVALID);
    catalog_loader_destroy(l);
    assert_int_equal(catalog_relation_count(c), 0);
    assert_null(catalog_relation_find(c, NULL, "t"));
    assert_null(catalog_relation_find(c, "pg_temp", "t"));
    assert_true(catalog_type_is_builtin(c, NULL, "t"));
    catalog_unref(c);
}

static char *text_of(size_t size)
{
    char *text = malloc(size + 1);
    assert_non_null(text);
    memset(text, 'x', size);
    text[size] = '\0';
    return text;
}

static void what_is_too_large_is_refused(void **state)
{
    (void)state;
    char *name = text_of(1025), *fingerprint = text_of((64 << 10) + 1);
    assert_row(ERR_LIMIT, (struct row){PATH, {name, "false"}});
    assert_row(
        ERR_LIMIT,
        (struct row){RELATIONS, {"70", "public", name, "r", "false", "false", "false", "true"}});
    assert_row(ERR_LIMIT, (struct row){NAMES, {"f", "public", name, "NULL", "NULL"}});
    struct catalog_loader *l = catalog_loader_create();
    assert_int_equal(feed(l, &(struct row){FINGERPRINT, {fingerprint}}), ERR_LIMIT);

    char schema[32];
    enum err e = OK;
    size_t schemas = 0;
    while (e == OK && schemas < 10000) {
        (void)snprintf(schema, sizeof(schema), "s%zu", schemas++);
        e = feed(l, &(struct row){PATH, {schema, "false"}});
    }
    assert_int_equal(e, ERR_LIMIT);
    catalog_loader_destroy(l);
    free(name);
    free(fingerprint);
}

/* 256 MB of definitions end it, however few rows they come in. */
static void memory_is_bounded(void **state)
{
    (void)state;
    struct catalog_loader *l = catalog_loader_create();
    char *large = text_of(30 << 20);
    enum err e = OK;
    size_t count = 0;
    while (e == OK && count < 100) {
        e = feed(l, &(struct row){VIEWS, {"40", large}});
        count++;
    }
    assert_int_equal(e, ERR_LIMIT);
    assert_int_equal(count, 9);
    free(large);
    catalog_loader_destroy(l);
}

/* ---- many ---------------------------------------------------------------------------------- */

static int64_t now_ms(void)
{
    struct timespec t;
    assert_int_equal(clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t), 0);
    return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void feed_relation(struct catalog_loader *l, unsigned i)
{
    char oid[16], name[32], view[80];
    (void)snprintf(oid, sizeof(oid), "%u", 1000000 - i);
    (void)snprintf(name, sizeof(name), "table_number_%u", i * 7919 % CATALOG_RELATIONS_MAX);
    (void)snprintf(view, sizeof(view), "SELECT a FROM %s", name);
    const struct row relation = {RELATIONS,
                                 {oid, "public", name, "v", "false", "false", "false", "true"}};
    const struct row columns[] = {{COLUMNS, {oid, "1", "id", "23", "integer", "false"}},
                                  {COLUMNS, {oid, "2", "a", "25", "text", "false"}},
                                  {COLUMNS, {oid, "3", name, "25", "text", "false"}}};
    assert_int_equal(feed(l, &relation), OK);
    for (size_t j = 0; j < 3; j++) {
        assert_int_equal(feed(l, &columns[j]), OK);
    }
    assert_int_equal(feed(l, &(struct row){VIEWS, {oid, view}}), OK);
}

static void a_hundred_thousand_relations(void **state)
{
    (void)state;
    struct catalog_loader *l = catalog_loader_create();
    struct catalog *c = NULL;
    int64_t began = now_ms();
    assert_int_equal(feed(l, &rows[0]), OK);
    assert_int_equal(feed(l, &(struct row){PATH, {"pg_catalog", "false"}}), OK);
    assert_int_equal(feed(l, &(struct row){PATH, {"public", "false"}}), OK);
    for (unsigned i = 0; i < CATALOG_RELATIONS_MAX; i++) {
        feed_relation(l, i);
    }
    const struct row more = {RELATIONS,
                             {"1", "public", "more", "r", "false", "false", "false", "true"}};
    assert_int_equal(feed(l, &more), ERR_LIMIT);
    assert_int_equal(catalog_loader_finish(l, &c), OK);
    catalog_loader_destroy(l);
    int64_t took = now_ms() - began;
    print_message("%d ms\n", (int)took);
    /* A second; under a sanitizer it may be several. */
    assert_true(took < (getenv("ASAN_OPTIONS") == NULL ? 1000 : 10000));
    assert_int_equal(catalog_relation_count(c), CATALOG_RELATIONS_MAX);
    char name[32];
    for (unsigned i = 0; i < CATALOG_RELATIONS_MAX; i += 997) {
        (void)snprintf(name, sizeof(name), "table_number_%u", i);
        const struct catalog_relation *r = catalog_relation_find(c, NULL, name);
        assert_non_null(r);
        assert_string_equal(r->name, name);
        assert_ptr_equal(catalog_relation_find(c, "public", name), r);
        assert_int_equal(r->column_count, 3);
        assert_string_equal(r->columns[2].name, name);
        assert_string_equal(r->definition + strlen("SELECT a FROM "), name);
    }
    catalog_unref(c);
}

static void load_once(void *context)
{
    struct catalog *c = NULL;
    (void)context;
    enum err e = load(ROWS, NULL, &c);
    assert_true(e == OK || (e == ERR_NO_MEMORY && alloc_fail_happened() && c == NULL));
    catalog_unref(c);
}

static void failing_allocations_are_errors(void **state)
{
    (void)state;
    assert_true(alloc_fail_each(load_once, NULL) > 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(finds_by_name_as_the_path_says, set_up, tear_down),
        cmocka_unit_test_setup_teardown(finds_by_oid, set_up, tear_down),
        cmocka_unit_test_setup_teardown(says_what_a_relation_is, set_up, tear_down),
        cmocka_unit_test_setup_teardown(says_whose_rows_are_elsewhere, set_up, tear_down),
        cmocka_unit_test_setup_teardown(columns_are_in_order, set_up, tear_down),
        cmocka_unit_test_setup_teardown(parents_are_known, set_up, tear_down),
        cmocka_unit_test_setup_teardown(knows_what_is_not_builtin, set_up, tear_down),
        cmocka_unit_test_setup_teardown(knows_what_is_as_good_but_not_the_same, set_up, tear_down),
        cmocka_unit_test_setup_teardown(knows_what_runs_unnamed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(is_current_by_its_fingerprint, set_up, tear_down),
        cmocka_unit_test_setup_teardown(is_of_one_moment_when_nothing_has_another_version, set_up,
                                        tear_down),
        cmocka_unit_test(queries_are_texts),
        cmocka_unit_test(malformed_rows_are_refused),
        cmocka_unit_test(a_zero_byte_is_no_name),
        cmocka_unit_test(what_changed_meanwhile_is_to_be_loaded_again),
        cmocka_unit_test(without_fingerprint_or_path_there_is_no_snapshot),
        cmocka_unit_test(nothing_comes_after_the_end),
        cmocka_unit_test(what_is_too_large_is_refused),
        cmocka_unit_test(memory_is_bounded),
        cmocka_unit_test(a_hundred_thousand_relations),
        cmocka_unit_test(failing_allocations_are_errors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
