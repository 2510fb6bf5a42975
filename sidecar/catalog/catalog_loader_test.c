/* What a loader refuses, and how much it takes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

#include "base/testing/alloc_fail.h"
#include "sidecar/catalog/catalog_fixture.h"

static void assert_row(enum err expected, struct catalog_row row)
{
    struct catalog *c = NULL;
    assert_int_equal(catalog_load(CATALOG_ROWS, &row, &c), expected);
    assert_null(c);
}

static void malformed_rows_are_refused(void **state)
{
    (void)state;
    static const struct catalog_row malformed[] = {
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
        {NAMES, {"d", "NULL", "NULL", "500", "NULL"}},
        {NAMES, {"d", "a", "f", "NULL", "NULL"}},
        {NAMES, {"d", "a", "f", "0", "NULL"}},
        {NAMES, {"d", "a", "f", "500", "person"}},
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
        if (catalog_load(CATALOG_ROWS, &malformed[i], &c) != ERR_INVALID) {
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
    assert_row(ERR_UNAVAILABLE,
               (struct catalog_row){COLUMNS, {"99", "1", "x", "25", "text", "false"}});
    assert_row(ERR_UNAVAILABLE,
               (struct catalog_row){COLUMNS, {"5", "1", "x", "25", "text", "false"}});
    assert_row(ERR_UNAVAILABLE, (struct catalog_row){VIEWS, {"99", "SELECT 1"}});
    assert_row(ERR_UNAVAILABLE, (struct catalog_row){PARENTS, {"99", "10"}});
    assert_row(ERR_UNAVAILABLE, (struct catalog_row){PARENTS, {"10", "99"}});
    assert_row(ERR_UNAVAILABLE, (struct catalog_row){NAMES, {"w", "a", "f", "99", "NULL"}});
    assert_row(ERR_UNAVAILABLE, (struct catalog_row){FINGERPRINT, {"NULL"}});
}

static void without_fingerprint_or_path_there_is_no_snapshot(void **state)
{
    (void)state;
    struct catalog *c = NULL;
    struct catalog_loader *empty = catalog_loader_create();
    assert_int_equal(catalog_loader_finish(empty, &c), ERR_INVALID);
    catalog_loader_destroy(empty);
    assert_int_equal(catalog_load(0, NULL, &c), ERR_INVALID);
    assert_int_equal(catalog_load(1, NULL, &c),
                     ERR_INVALID); /* a temporary relation, but no such schema */
    assert_int_equal(catalog_load(2, NULL, &c), ERR_INVALID); /* pg_catalog */
    assert_null(c);
}

static void nothing_comes_after_the_end(void **state)
{
    (void)state;
    struct catalog *c = NULL, *second = NULL;
    struct catalog_loader *l = catalog_loader_create();
    assert_int_equal(catalog_feed(l, &catalog_rows[0]), OK);
    assert_int_equal(catalog_feed(l, &catalog_rows[2]), OK);
    assert_int_equal(catalog_loader_finish(l, &c), OK);
    assert_int_equal(catalog_feed(l, &catalog_rows[6]), ERR_INVALID);
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
    assert_row(ERR_LIMIT, (struct catalog_row){PATH, {name, "false"}});
    assert_row(ERR_LIMIT,
               (struct catalog_row){
                   RELATIONS, {"70", "public", name, "r", "false", "false", "false", "true"}});
    assert_row(ERR_LIMIT, (struct catalog_row){NAMES, {"f", "public", name, "NULL", "NULL"}});
    struct catalog_loader *l = catalog_loader_create();
    assert_int_equal(catalog_feed(l, &(struct catalog_row){FINGERPRINT, {fingerprint}}), ERR_LIMIT);

    char schema[32];
    enum err e = OK;
    size_t schemas = 0;
    while (e == OK && schemas < 10000) {
        (void)snprintf(schema, sizeof(schema), "s%zu", schemas++);
        e = catalog_feed(l, &(struct catalog_row){PATH, {schema, "false"}});
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
        e = catalog_feed(l, &(struct catalog_row){VIEWS, {"40", large}});
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
    const struct catalog_row relation = {
        RELATIONS, {oid, "public", name, "v", "false", "false", "false", "true"}};
    const struct catalog_row columns[] = {{COLUMNS, {oid, "1", "id", "23", "integer", "false"}},
                                          {COLUMNS, {oid, "2", "a", "25", "text", "false"}},
                                          {COLUMNS, {oid, "3", name, "25", "text", "false"}}};
    assert_int_equal(catalog_feed(l, &relation), OK);
    for (size_t j = 0; j < 3; j++) {
        assert_int_equal(catalog_feed(l, &columns[j]), OK);
    }
    assert_int_equal(catalog_feed(l, &(struct catalog_row){VIEWS, {oid, view}}), OK);
}

static void a_hundred_thousand_relations(void **state)
{
    (void)state;
    struct catalog_loader *l = catalog_loader_create();
    struct catalog *c = NULL;
    int64_t began = now_ms();
    assert_int_equal(catalog_feed(l, &catalog_rows[0]), OK);
    assert_int_equal(catalog_feed(l, &(struct catalog_row){PATH, {"pg_catalog", "false"}}), OK);
    assert_int_equal(catalog_feed(l, &(struct catalog_row){PATH, {"public", "false"}}), OK);
    for (unsigned i = 0; i < CATALOG_RELATIONS_MAX; i++) {
        feed_relation(l, i);
    }
    const struct catalog_row more = {
        RELATIONS, {"1", "public", "more", "r", "false", "false", "false", "true"}};
    assert_int_equal(catalog_feed(l, &more), ERR_LIMIT);
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
    enum err e = catalog_load(CATALOG_ROWS, NULL, &c);
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
