#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "controlplane/config_fixture.h"

static void test_it_is_sqlite_unless_it_is_said(void **state)
{
    (void)state;
    static const char *const texts[] = {"data: d\n", "data: d\nstore: {sqlite: {}}\n"};
    for (size_t i = 0; i < 2; i++) {
        struct config *c = config_fixture_load(texts[i]);
        assert_int_equal(c->store.kind, CONFIG_STORE_SQLITE);
        config_release(c);
    }
}

static void test_postgres_is_read(void **state)
{
    (void)state;
    struct config *c = config_fixture_load(
        "data: d\nstore: {postgres: {url: 'postgres://u@h/d', connections: 12}}\n");
    assert_int_equal(c->store.kind, CONFIG_STORE_POSTGRES);
    assert_string_equal(c->store.url, "postgres://u@h/d");
    assert_int_equal(c->store.connections, 12);
    assert_int_equal(c->store.ingest_niceness, CONFIG_INGEST_NICENESS);
    config_release(c);
    c = config_fixture_load("data: d\nstore: {postgres: {url: {file: store.url}}}\n");
    assert_null(c->store.url);
    assert_int_equal(c->store.url_secret.source, CONFIG_SECRET_FILE);
    assert_string_equal(c->store.url_secret.at, "/etc/chaperone/store.url");
    config_release(c);
}

static void test_mistakes_are_named(void **state)
{
    (void)state;
    static const struct config_mistake cases[] = {
        {"data: d\nstore: {}", "exactly one of `sqlite` and `postgres`"},
        {"data: d\nstore: {sqlite: {}, postgres: {url: x}}", "exactly one of"},
        {"data: d\nstore: {mysql: {}}", "mysql"},
        {"data: d\nstore: {sqlite: {file: x}}", "file"},
        {"data: d\nstore: {sqlite: {}, ingest_niceness: -1}", "ingest_niceness"},
        {"data: d\nstore: {sqlite: {}, ingest_niceness: 20}", "ingest_niceness"},
        {"data: d\nstore: {postgres: {}}", "url"},
        {"data: d\nstore: {postgres: {url: ''}}", "found an empty one"},
        {"data: d\nstore: {postgres: {url: {store: x}}}", "found {store: ...}"},
        {"data: d\nstore: {postgres: {url: x, connections: 1}}", "connections"},
        {"data: d\nstore: {postgres: {url: x, pool: 1}}", "pool"},
    };
    config_fixture_refuse_each(cases, sizeof(cases) / sizeof(cases[0]), "", NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_it_is_sqlite_unless_it_is_said),
        cmocka_unit_test(test_postgres_is_read),
        cmocka_unit_test(test_mistakes_are_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
