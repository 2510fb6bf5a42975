#include "sidecar/protocol/http/http_target.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static int start(void **state)
{
    *state = arena_create(4096, 1 << 20);
    return *state == NULL ? -1 : 0;
}

static int stop(void **state)
{
    arena_destroy(*state);
    return 0;
}

static void understood(void **state)
{
    static const struct {
        const char *target, *forwarded, *path, *query;
    } cases[] = {
        {"/", "/", "/", NULL},
        {"/customers/42", "/customers/42", "/customers/42", NULL},
        {"/customers/42/", "/customers/42/", "/customers/42/", NULL},
        {"/%63ustomers/%34%32", "/customers/42", "/customers/42", NULL},
        {"/a%20b", "/a%20b", "/a b", NULL},
        {"/a%c3%a9", "/a%C3%A9", "/a\xc3\xa9", NULL},
        {"/a/./b/../c", "/a/c", "/a/c", NULL},
        {"/a/%2e%2E/c", "/c", "/c", NULL},
        {"/a/b/..", "/a/", "/a/", NULL},
        {"/a/.", "/a/", "/a/", NULL},
        {"/a|b\"<>{}^`", "/a%7Cb%22%3C%3E%7B%7D%5E%60", "/a|b\"<>{}^`", NULL},
        {"/a:b@c!$&'()*+,=", "/a:b@c!$&'()*+,=", "/a:b@c!$&'()*+,=", NULL},
        {"/100%25", "/100%25", "/100%", NULL},
        {"/x?", "/x?", "/x", ""},
        {"/x?a=1&b=%2F;c/d?e", "/x?a=1&b=%2F;c/d?e", "/x", "a=1&b=%2F;c/d?e"},
        {"/x?%61=%7e&q=%c3%a9", "/x?a=~&q=%C3%A9", "/x", "a=~&q=%C3%A9"},
        {"/x?..//..", "/x?..//..", "/x", "..//.."},
        {"*", "*", "*", NULL},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct http_target t;
        struct err_text why;
        arena_reset(*state);
        assert_int_equal(http_target_read(*state, bytes_of_string(cases[i].target), &t, &why), OK);
        assert_true(bytes_equal_string(t.forwarded, cases[i].forwarded));
        assert_string_equal(t.path, cases[i].path);
        assert_int_equal(t.has_query, cases[i].query != NULL);
        assert_true(cases[i].query == NULL || bytes_equal_string(t.query, cases[i].query));
    }
}

/* What was normalised stays as it is: the target that is given the result reads the same. */
static void normal_form_is_stable(void **state)
{
    static const char *const targets[] = {"/a%20b/%7Ec/../d?x=%41%2f", "/%e2%82%ac/.", "/a|b?{}"};
    for (size_t i = 0; i < sizeof(targets) / sizeof(targets[0]); i++) {
        struct http_target once, twice;
        struct err_text why;
        arena_reset(*state);
        assert_int_equal(http_target_read(*state, bytes_of_string(targets[i]), &once, &why), OK);
        assert_int_equal(http_target_read(*state, once.forwarded, &twice, &why), OK);
        assert_true(bytes_equal(once.forwarded, twice.forwarded));
        assert_string_equal(once.path, twice.path);
    }
}

static void refused(void **state)
{
    static const char *const targets[] = {
        "",
        "customers",
        "http://x/",
        "?a=1",
        "/..",
        "/a/../..",
        "/%2e%2e",
        "/a/%2e%2e/%2E%2e/",
        "//",
        "/a//b",
        "//a",
        "/a/.//b",
        "/a%2fb",
        "/a%2Fb",
        "/a%5cb",
        "/a\\b",
        "/a%00b",
        "/a%0ab",
        "/a%0d%0a",
        "/a%7f",
        "/a%",
        "/a%2",
        "/a%zz",
        "/a%252fb",
        "/%252e%252e/",
        "/%25%32e%25%32e/", /* the digit is an escape itself */
        "/%252%65%25%32%65/",
        "/a%25%41%63",
        "/a;b",
        "/..;/a",
        "/a%3bb",
        "/a b",
        "/a\tb",
        "/a#b",
        "/a\xc3\xa9",
        "/x?a b",
        "/x?a%",
        "/x?a%zz",
        "/x?a\\b",
        "/x?a#b",
        "/x?\x01",
        "**",
        "/x?a\xff",
    };
    for (size_t i = 0; i < sizeof(targets) / sizeof(targets[0]); i++) {
        struct http_target t;
        struct err_text why = {0};
        arena_reset(*state);
        if (http_target_read(*state, bytes_of_string(targets[i]), &t, &why) != ERR_INVALID) {
            fail_msg("%s was understood", targets[i]);
        }
        assert_true(why.text[0] != '\0');
    }
}

static void authorities(void **state)
{
    static const struct {
        const char *text, *host;
        uint16_t port;
    } cases[] = {
        {"Api.Internal", "api.internal", 0},   {"api:8443", "api", 8443},
        {"127.0.0.1:1", "127.0.0.1", 1},       {"[::1]", "::1", 0},
        {"[FE80::1]:65535", "fe80::1", 65535},
    };
    static const char *const wrong[] = {"",      ":80",   "a:",    "a:0", "a:65536", "a:8x",
                                        "u@a",   "a/b",   "[::1",  "[]",  "::1",     "a b",
                                        "a:80:", "[a]80", "a:+80", "a,b", "a%41"};
    char host[HTTP_HOST_SIZE];
    uint16_t port;
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_int_equal(http_authority_read(bytes_of_string(cases[i].text), host, &port), OK);
        assert_string_equal(host, cases[i].host);
        assert_int_equal(port, cases[i].port);
    }
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        if (http_authority_read(bytes_of_string(wrong[i]), host, &port) != ERR_INVALID) {
            fail_msg("%s was understood", wrong[i]);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(understood, start, stop),
        cmocka_unit_test_setup_teardown(normal_form_is_stable, start, stop),
        cmocka_unit_test_setup_teardown(refused, start, stop),
        cmocka_unit_test(authorities),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
