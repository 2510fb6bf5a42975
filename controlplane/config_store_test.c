#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "controlplane/config.h"

static struct config *load(const char *text)
{
    struct config *c = NULL;
    struct err_text why = {0};
    if (config_load_text("/etc/chaperone/cp.yaml", bytes_of_string(text), &c, &why) != OK) {
        fail_msg("%s", why.text);
    }
    return c;
}

static void test_it_is_sqlite_unless_it_is_said(void **state)
{
    (void)state;
    static const char *const texts[] = {"data: d\n", "data: d\nstore: {sqlite: {}}\n"};
    for (size_t i = 0; i < 2; i++) {
        struct config *c = load(texts[i]);
        assert_int_equal(c->store.kind, CONFIG_STORE_SQLITE);
        config_release(c);
    }
}

static void test_postgres_is_read(void **state)
{
    (void)state;
    struct config *c =
        load("data: d\nstore: {postgres: {url: 'postgres://u@h/d', connections: 12}}\n");
    assert_int_equal(c->store.kind, CONFIG_STORE_POSTGRES);
    assert_string_equal(c->store.url, "postgres://u@h/d");
    assert_int_equal(c->store.connections, 12);
    assert_int_equal(c->store.ingest_niceness, CONFIG_INGEST_NICENESS);
    config_release(c);
    c = load("data: d\nstore: {postgres: {url: {file: store.url}}}\n");
    assert_null(c->store.url);
    assert_int_equal(c->store.url_secret.source, CONFIG_SECRET_FILE);
    assert_string_equal(c->store.url_secret.at, "/etc/chaperone/store.url");
    config_release(c);
}

static void test_mistakes_are_named(void **state)
{
    (void)state;
    static const struct {
        const char *text, *words;
    } cases[] = {
        {"store: {}", "exactly one of `sqlite` and `postgres`"},
        {"store: {sqlite: {}, postgres: {url: x}}", "exactly one of"},
        {"store: {mysql: {}}", "mysql"},
        {"store: {sqlite: {file: x}}", "file"},
        {"store: {sqlite: {}, ingest_niceness: -1}", "ingest_niceness"},
        {"store: {sqlite: {}, ingest_niceness: 20}", "ingest_niceness"},
        {"store: {postgres: {}}", "url"},
        {"store: {postgres: {url: ''}}", "found an empty one"},
        {"store: {postgres: {url: {store: x}}}", "found {store: ...}"},
        {"store: {postgres: {url: x, connections: 1}}", "connections"},
        {"store: {postgres: {url: x, pool: 1}}", "pool"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char text[256];
        struct config *c = NULL;
        struct err_text why = {0};
        (void)snprintf(text, sizeof(text), "data: d\n%s\n", cases[i].text);
        assert_int_equal(config_load_text("cp.yaml", bytes_of_string(text), &c, &why), ERR_INVALID);
        if (strstr(why.text, cases[i].words) == NULL) {
            fail_msg("%s: %s", cases[i].text, why.text);
        }
    }
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
