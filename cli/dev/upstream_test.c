#include "cli/dev/upstream.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static struct upstream parse(const char *url)
{
    struct upstream u = {0};
    struct err_text note = {0};
    struct err_text error = {0};
    if (upstream_parse(url, &u, &note, &error) != OK) {
        fail_msg("%s: %s", url, error.text);
    }
    return u;
}

static void test_a_whole_url(void **state)
{
    (void)state;
    struct upstream u = parse("postgres://app%40x:s3%2Fcr%3At%40@db.example:5433/my%20shop");
    assert_string_equal(u.user, "app@x");
    assert_string_equal(u.password, "s3/cr:t@");
    assert_string_equal(u.host, "db.example");
    assert_int_equal(u.port, 5433);
    assert_string_equal(u.database, "my shop");
    assert_string_equal(u.tls, "verify-full");
    assert_true(u.tls_by_default);
    char *name = upstream_resource_name(&u);
    assert_string_equal(name, "my-shop");
    free(name);
    upstream_finish(&u);
}

static void test_defaults(void **state)
{
    (void)state;
    (void)setenv("PGPASSWORD", "from-the-environment", 1);
    struct upstream u = parse("postgresql://app@localhost");
    assert_int_equal(u.port, 5432);
    assert_string_equal(u.database, "app");
    assert_string_equal(u.password, "from-the-environment");
    upstream_finish(&u);
    (void)unsetenv("PGPASSWORD");
    u = parse("postgresql://app@localhost");
    assert_null(u.password);
    upstream_finish(&u);
}

static void expect_tls(const char *url, const char *host, const char *mode)
{
    struct upstream u = parse(url);
    assert_string_equal(u.host, host);
    assert_string_equal(u.tls, mode);
    upstream_finish(&u);
}

static void test_hosts_and_tls(void **state)
{
    (void)state;
    expect_tls("postgres://u@127.0.0.1/d", "127.0.0.1", "prefer");
    expect_tls("postgres://u@localhost/d", "localhost", "prefer");
    expect_tls("postgres://u@[::1]:5432/d", "::1", "prefer");
    expect_tls("postgres://u@[2001:db8::7]/d", "2001:db8::7", "verify-full");
    expect_tls("postgres://u@127.example.com/d", "127.example.com", "verify-full");
    expect_tls("postgres://u@10.0.0.7/d", "10.0.0.7", "verify-full");
    expect_tls("postgres://u@/d?host=/run/postgresql", "/run/postgresql", "disable");
    expect_tls("postgres://u@%2Frun%2Fpostgresql/d?sslmode=require", "/run/postgresql", "disable");
    expect_tls("postgres://u@h/d?sslmode=require", "h", "require");
    expect_tls("postgres://u@h/d?sslmode=allow", "h", "prefer");
    expect_tls("postgres://u@localhost/d?sslmode=verify-ca", "localhost", "verify-ca");
    expect_tls("host=h user=u dbname=d sslmode=disable", "h", "disable");
}

static void test_what_is_ignored_is_said(void **state)
{
    (void)state;
    struct upstream u = {0};
    struct err_text note = {0};
    struct err_text error = {0};
    assert_int_equal(
        upstream_parse("postgres://u@h/d?connect_timeout=5&application_name=x", &u, &note, &error),
        OK);
    assert_non_null(strstr(note.text, "connect_timeout"));
    assert_non_null(strstr(note.text, "application_name"));
    upstream_finish(&u);
}

static void test_refused_without_the_password(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "mysql://u:hunter2@h/d",
        "postgres://u:hunter2@h:port/d",
        "postgres://u:hunter2@h:70000/d",
        "postgres://u:hunter2@h1,h2/d",
        "postgres://u:hunter2@h/d?sslmode=maybe",
        "postgres://u:hunter2@h/d?sslrootcert=/nowhere/ca.pem",
        "postgres://u:hunter2@h/d?nonsense=1",
        "postgres://u:hunter2%@h/d",
        "postgres://u:hunter2@[::1/d",
        "postgres://u:hunter2@/d",
        "postgres://u:hunter2@%40abstract/d",
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct upstream u = {0};
        struct err_text note = {0};
        struct err_text error = {0};
        assert_int_equal(upstream_parse(bad[i], &u, &note, &error), ERR_INVALID);
        assert_non_null(strstr(error.text, "--upstream"));
        assert_null(strstr(error.text, "hunter"));
        assert_null(u.host);
    }
}

static void expect_hidden(const char *url, const char *hidden)
{
    char *copy = strdup(url);
    upstream_hide_password(copy);
    assert_string_equal(copy, hidden);
    free(copy);
}

static void test_the_password_is_hidden_in_place(void **state)
{
    (void)state;
    expect_hidden("postgres://u:secret@h:1/d", "postgres://u:xxxxxx@h:1/d");
    expect_hidden("postgres://u:p@ss:w@h/d", "postgres://u:xxxxxx@h/d");
    expect_hidden("postgres://u@h:5432/d", "postgres://u@h:5432/d");
    expect_hidden("postgres://h/d?password=secret&user=u", "postgres://h/d?password=xxxxxx&user=u");
    expect_hidden("postgres://h/a:b@c", "postgres://h/a:b@c");
    expect_hidden("postgres://", "postgres://");
    expect_hidden("host=h password=secret", "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_whole_url),
        cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_hosts_and_tls),
        cmocka_unit_test(test_what_is_ignored_is_said),
        cmocka_unit_test(test_refused_without_the_password),
        cmocka_unit_test(test_the_password_is_hidden_in_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
