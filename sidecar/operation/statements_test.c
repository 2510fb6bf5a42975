#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "sidecar/operation/statements.h"

struct described {
    struct arena *arena;
    struct sql_analysis *analysis;
    Chaperone__V1__Intent intent;
};

static void describe(struct described *d, const char *text)
{
    *d = (struct described){.arena = arena_create(1 << 12, 1 << 20)};
    struct sql_error error;
    assert_non_null(d->arena);
    assert_int_equal(sql_analyse(bytes_of_string(text), 1 << 16, &d->analysis, &error), OK);
    chaperone__v1__intent__init(&d->intent);
    assert_true(statements_describe(d->arena, d->analysis, &d->intent));
}

static void described_finish(struct described *d)
{
    sql_analysis_destroy(d->analysis);
    arena_destroy(d->arena);
}

static bool has_access(const Chaperone__V1__Intent *m, const char *name)
{
    size_t found = 0;
    for (size_t i = 0; i < m->n_accesses; i++) {
        found += strcmp(m->accesses[i], name) == 0;
    }
    assert_true(found <= 1);
    return found == 1;
}

static void test_commands_and_objects_of_all_statements(void **state)
{
    (void)state;
    struct described d;
    describe(&d, "SELECT a, b FROM s.t; INSERT INTO u DEFAULT VALUES");
    assert_int_equal(d.intent.n_commands, 2);
    assert_string_equal(d.intent.commands[1], "INSERT");
    assert_int_equal(d.intent.n_objects, 2);
    const Chaperone__V1__Object *o = d.intent.objects[0];
    assert_string_equal(o->kind, "table");
    assert_string_equal(o->name, "s.t");
    assert_string_equal(o->access, "read");
    assert_int_equal(o->n_columns, 2);
    assert_string_equal(o->columns[1], "b");
    assert_string_equal(d.intent.objects[1]->columns[0], "*");
    /* What the record and the policy's question are made of can be packed. */
    assert_true(chaperone__v1__intent__get_packed_size(&d.intent) > 0);
    described_finish(&d);
}

static void test_accesses_without_an_object_are_there_once(void **state)
{
    (void)state;
    struct described d;
    describe(&d, "COPY t TO STDOUT; COPY u TO STDOUT; BEGIN");
    assert_true(has_access(&d.intent, "export"));
    assert_true(has_access(&d.intent, "read"));
    assert_true(has_access(&d.intent, "transaction"));
    assert_false(has_access(&d.intent, "insert"));
    described_finish(&d);
}

static void test_one_statement_without_where_is_enough(void **state)
{
    (void)state;
    struct described d;
    describe(&d, "DELETE FROM t WHERE id = 1; UPDATE t SET x = 1");
    assert_true(d.intent.without_where);
    described_finish(&d);
    describe(&d, "DELETE FROM t WHERE id = 1");
    assert_false(d.intent.without_where);
    described_finish(&d);
}

static void test_short_memory_is_said(void **state)
{
    (void)state;
    struct described d;
    describe(&d, "SELECT a FROM t");
    struct arena *little = arena_create(16, 64);
    assert_non_null(little);
    Chaperone__V1__Intent intent = CHAPERONE__V1__INTENT__INIT;
    assert_false(statements_describe(little, d.analysis, &intent));
    arena_destroy(little);
    described_finish(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_commands_and_objects_of_all_statements),
        cmocka_unit_test(test_accesses_without_an_object_are_there_once),
        cmocka_unit_test(test_one_statement_without_where_is_enough),
        cmocka_unit_test(test_short_memory_is_said),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
