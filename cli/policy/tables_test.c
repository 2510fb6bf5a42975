#include "cli/policy/tables.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

static enum err read_text(const char *text, struct catalog **out, struct err_text *why)
{
    struct conf *c = NULL;
    assert_int_equal(conf_load_text("t.yaml", bytes_of_string(text), &c, why), OK);
    enum err e = tables_read(conf_root(c), out, why);
    conf_destroy(c);
    return e;
}

static void tables_are_found_as_a_server_finds_them(void **state)
{
    (void)state;
    struct catalog *c = NULL;
    struct err_text why = {0};
    assert_int_equal(read_text("public.people: {id: int4, tags: 'varchar[]', at: timestamptz}\n"
                               "Sales.Order Lines: {amount: decimal}\n"
                               "public.empty: {}\n",
                               &c, &why),
                     OK);
    assert_int_equal(catalog_relation_count(c), 3);
    const struct catalog_relation *r = catalog_relation_find(c, NULL, "people");
    assert_non_null(r);
    assert_ptr_equal(catalog_relation_find(c, "public", "people"), r);
    assert_int_equal(r->column_count, 3);
    assert_string_equal(r->columns[0].type_name, "integer");
    assert_string_equal(r->columns[1].name, "tags");
    assert_string_equal(r->columns[1].type_name, "character varying[]");
    assert_int_equal(r->columns[1].type, 1015);
    assert_string_equal(r->columns[2].type_name, "timestamp with time zone");
    assert_int_equal(r->columns[2].number, 3);
    assert_null(catalog_relation_find(c, NULL, "Order Lines"));
    assert_non_null(catalog_relation_find(c, "Sales", "Order Lines"));
    assert_int_equal(catalog_relation_find(c, "public", "empty")->column_count, 0);
    catalog_unref(c);
}

static void mistakes_are_named_where_they_were_made(void **state)
{
    (void)state;
    static const struct {
        const char *text, *sentence;
    } cases[] = {
        {"[a]\n", "t.yaml:1:1: expected a map of tables: public.customers: {...}"},
        {"people: {id: int4}\n", "t.yaml:1:1: people: expected SCHEMA.TABLE such as "
                                 "public.customers, without quotes, found \"people\""},
        {"a.b.c: {id: int4}\n", "t.yaml:1:1: a.b.c: expected SCHEMA.TABLE such as "
                                "public.customers, without quotes, found \"a.b.c\""},
        {"public.: {id: int4}\n", "t.yaml:1:1: public.: expected SCHEMA.TABLE such as "
                                  "public.customers, without quotes, found \"public.\""},
        {"'public.\"a\"': {id: int4}\n",
         "t.yaml:1:1: public.\"a\": expected SCHEMA.TABLE such as public.customers, without "
         "quotes, found \"public.\"a\"\""},
        {"public.a: [id]\n", "t.yaml:1:1: public.a: expected a map of columns and their types"},
        {"public.a: {id: txt}\n",
         "t.yaml:1:16: public.a.id: expected a type of PostgreSQL's own without its length, such "
         "as int4, varchar or text[], found \"txt\"; did you mean \"text\"?"},
        {"public.a: {id: varchar(3)}\n",
         "t.yaml:1:16: public.a.id: expected a type of PostgreSQL's own without its length, such "
         "as int4, varchar or text[], found \"varchar(3)\"; did you mean \"varchar\"?"},
        {"public.a: {id: '[]'}\n",
         "t.yaml:1:16: public.a.id: expected a type of PostgreSQL's own without its length, such "
         "as int4, varchar or text[], found \"[]\""},
        {"public.a: {id: {type: int4}}\n",
         "t.yaml:1:12: public.a.id: expected a string, found a map"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct catalog *c = NULL;
        struct err_text why = {0};
        assert_int_equal(read_text(cases[i].text, &c, &why), ERR_INVALID);
        assert_string_equal(why.text, cases[i].sentence);
        assert_null(c);
    }
}

static void more_than_can_be_followed_is_a_limit(void **state)
{
    (void)state;
    struct buffer b;
    struct catalog *c = NULL;
    struct err_text why = {0};
    buffer_init(&b, 1 << 20);
    for (int table = 0; table < 3; table++) {
        assert_int_equal(buffer_append_format(&b, "public.t%d:\n", table), OK);
        for (int i = 0; i < 1500; i++) {
            assert_int_equal(buffer_append_format(&b, "  c%d: int4\n", i), OK);
        }
    }
    assert_int_equal(buffer_append(&b, bytes_of("", 1)), OK);
    assert_int_equal(read_text((const char *)b.data, &c, &why), ERR_LIMIT);
    assert_non_null(strstr(why.text, "4032 in all tables"));
    assert_null(c);
    buffer_finish(&b);
}

static void a_file_of_golden_cases_will_do(void **state)
{
    (void)state;
    char path[] = "/tmp/tables-XXXXXX";
    static const char text[] = "policy: x.yaml\ncatalog: {public.a: {id: int4}}\ncases: []\n";
    struct catalog *c = NULL;
    struct err_text why = {0};
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, sizeof(text) - 1), sizeof(text) - 1);
    assert_int_equal(close(fd), 0);
    enum err e = tables_load(path, &c, &why);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(e, OK);
    assert_non_null(catalog_relation_find(c, NULL, "a"));
    catalog_unref(c);
    assert_int_equal(tables_load(path, &c, &why), ERR_NOT_FOUND);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tables_are_found_as_a_server_finds_them),
        cmocka_unit_test(mistakes_are_named_where_they_were_made),
        cmocka_unit_test(more_than_can_be_followed_is_a_limit),
        cmocka_unit_test(a_file_of_golden_cases_will_do),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
