#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "sidecar/operation/operation_http.h"

static int set_up(void **state)
{
    *state = arena_create(1 << 12, 32 << 20);
    return *state == NULL;
}

static int tear_down(void **state)
{
    arena_destroy(*state);
    return 0;
}

static enum err fill_path(struct arena *a, const char *path, struct policy_http *out)
{
    Chaperone__V1__HttpRequest m = CHAPERONE__V1__HTTP_REQUEST__INIT;
    m.method = "GET";
    m.authority = "api.internal";
    m.path = (char *)(uintptr_t)path;
    return operation_http_fill(a, &m, out);
}

struct typed {
    const char *type, *coding;
};

static void fill_body(struct arena *a, struct typed typed, struct bytes body,
                      struct policy_http *out)
{
    Chaperone__V1__HttpRequest m = CHAPERONE__V1__HTTP_REQUEST__INIT;
    Chaperone__V1__HttpField fields[2];
    Chaperone__V1__HttpField *list[] = {&fields[0], &fields[1]};
    const char *const names[] = {"content-type", "content-encoding"};
    const char *const values[] = {typed.type, typed.coding};
    m.method = "POST";
    m.path = "/";
    m.fields = list;
    for (size_t i = 0; i < 2; i++) {
        if (values[i] != NULL) {
            Chaperone__V1__HttpField *f = list[m.n_fields++];
            *f = (Chaperone__V1__HttpField)CHAPERONE__V1__HTTP_FIELD__INIT;
            f->name = (char *)(uintptr_t)names[i];
            f->value = (ProtobufCBinaryData){strlen(values[i]), (uint8_t *)(uintptr_t)values[i]};
        }
    }
    m.body = (ProtobufCBinaryData){body.size, (uint8_t *)(uintptr_t)body.data};
    m.body_size = body.size;
    assert_int_equal(operation_http_fill(a, &m, out), OK);
}

/* "/a=1 /b=2" */
static const char *pairs_text(const struct policy_pair *pairs, size_t count)
{
    static char text[4096];
    size_t at = 0;
    text[0] = '\0';
    for (size_t i = 0; i < count && at < sizeof(text); i++) {
        at += (size_t)snprintf(text + at, sizeof(text) - at, "%s%s=%s", i == 0 ? "" : " ",
                               pairs[i].name, pairs[i].value);
    }
    return text;
}

static void test_a_path_is_decoded_once_and_cut_from_its_query(void **state)
{
    static const struct {
        const char *path, *wanted, *query;
    } cases[] = {
        {"/customers/42", "/customers/42", ""},
        {"/a%20b/%C3%A4?x=1", "/a b/\xc3\xa4", "x=1"},
        {"/%2541?", "/%41", ""},
        {"/a?b?c=/d", "/a", "b?c=/d"},
        {"/a?x=1&x=2&&y&=z&a+b=c%2Bd%26", "/a", "x=1 x=2 y= =z a b=c+d&"},
        {"*", "*", ""},
        {"/a+b", "/a+b", ""},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct policy_http http = {0};
        assert_int_equal(fill_path(*state, cases[i].path, &http), OK);
        assert_string_equal(http.path, cases[i].wanted);
        assert_string_equal(pairs_text(http.query, http.query_count), cases[i].query);
        assert_int_equal(http.body_state, POLICY_BODY_NONE);
    }
}

static void test_what_has_two_meanings_is_refused(void **state)
{
    static const char *const paths[] = {
        "/a%2fb", "/a%2Fb",   "/a%00",      "/a?x=%00", "/a%",    "/a%4",   "/a%zz",
        "/a?x=%", "/a?x=%g1", "/a b",       "/a\tb",    "/a#b",   "/a?b#c", "/%c0%af",
        "/%ff",   "/\xff",    "/%ed%a0%80", "/a\x7f",   "/a?x y",
    };
    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
        struct policy_http http = {.method = "untouched"};
        if (fill_path(*state, paths[i], &http) != ERR_INVALID) {
            fail_msg("%s was taken", paths[i]);
        }
        assert_string_equal(http.method, "untouched");
    }
}

static void test_too_many_parameters_are_refused(void **state)
{
    struct policy_http http = {0};
    char path[2 * OPERATION_HTTP_PAIRS_MAX + 8] = "/?a";
    for (size_t i = 1; i < OPERATION_HTTP_PAIRS_MAX; i++) {
        strcat(path, "&a");
    }
    assert_int_equal(fill_path(*state, path, &http), OK);
    assert_int_equal(http.query_count, OPERATION_HTTP_PAIRS_MAX);
    strcat(path, "&a");
    assert_int_equal(fill_path(*state, path, &http), ERR_LIMIT);
}

static void test_the_host_is_that_of_the_authority(void **state)
{
    static const char *const cases[][2] = {
        {"API.Internal:8443", "api.internal"},
        {"[::1]:80", "::1"},
        {"[FE80::1]", "fe80::1"},
        {"api.internal.", "api.internal"},
        {"", ""},
        {"a:b:c", "a"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct policy_http http = {0};
        Chaperone__V1__HttpRequest m = CHAPERONE__V1__HTTP_REQUEST__INIT;
        m.path = "/";
        m.authority = (char *)(uintptr_t)cases[i][0];
        assert_int_equal(operation_http_fill(*state, &m, &http), OK);
        assert_string_equal(http.host, cases[i][1]);
    }
}

static void test_headers_and_upgrades(void **state)
{
    struct policy_http http = {0};
    Chaperone__V1__HttpRequest m = CHAPERONE__V1__HTTP_REQUEST__INIT;
    Chaperone__V1__HttpField fields[2] = {CHAPERONE__V1__HTTP_FIELD__INIT,
                                          CHAPERONE__V1__HTTP_FIELD__INIT};
    Chaperone__V1__HttpField *list[] = {&fields[0], &fields[1]};
    fields[0].name = fields[1].name = "x-team";
    fields[0].value = (ProtobufCBinaryData){4, (uint8_t *)"care"};
    m.path = "/";
    m.fields = list;
    m.n_fields = 2;
    m.upgrade = "WebSocket";
    assert_int_equal(operation_http_fill(*state, &m, &http), OK);
    assert_true(http.is_websocket);
    assert_string_equal(pairs_text(http.headers, http.header_count), "x-team=care x-team=");
    m.upgrade = "h2c";
    assert_int_equal(operation_http_fill(*state, &m, &http), ERR_INVALID);
    m.upgrade = "";
    fields[1].value = (ProtobufCBinaryData){3, (uint8_t *)"a\0b"};
    assert_int_equal(operation_http_fill(*state, &m, &http), ERR_INVALID);
}

static void test_json_becomes_scalars_as_they_were_written(void **state)
{
    static const struct {
        const char *json, *wanted;
    } cases[] = {
        {"{\"amount\":12.50,\"ok\":true,\"no\":false,\"nil\":null}",
         "/amount=12.50 /ok=true /no=false /nil=null"},
        {"{\"items\":[{\"sku\":\"A-1\"},{\"sku\":\"A-2\",\"n\":-1e2}]}",
         "/items/0/sku=A-1 /items/1/sku=A-2 /items/1/n=-1e2"},
        /* Beyond what doubles hold. */
        {"{\"id\":9007199254740993,\"x\":0.1000000000000000055511151231257827}",
         "/id=9007199254740993 /x=0.1000000000000000055511151231257827"},
        {"{\"a/b\":{\"c~d\":\"5 \\\"6\\\" \\\\\"},\"n\":7}", "/a~1b/c~0d=5 \"6\" \\ /n=7"},
        {"{\"1\":\"2\",\"-3\":[4,\"5\",6]}", "/1=2 /-3/0=4 /-3/1=5 /-3/2=6"},
        {"\"\\u00e4\\ud83d\\ude00\"", "=\xc3\xa4\xf0\x9f\x98\x80"},
        {" [ ] ", ""},
        {"{\"a\":{},\"b\":[]}", ""},
        {"17", "=17"},
        {"{\"id\":1,\"ID\":2}\r\n", "/id=1 /ID=2"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct policy_http http = {0};
        fill_body(*state, (struct typed){.type = "application/json"},
                  bytes_of_string(cases[i].json), &http);
        assert_int_equal(http.body_state, POLICY_BODY_READ);
        assert_string_equal(pairs_text(http.body, http.body_count), cases[i].wanted);
    }
}

static void test_json_that_readers_see_differently_is_not_read(void **state)
{
    static const char *const cases[] = {
        "{\"a\":1,\"a\":2}",
        "{\"a\":{\"b\":1,\"b\":1}}",
        "{\"a\":1,\"\\u0061\":2}",
        "{\"currency\":\"EUR\\u0000USD\"}",
        "{\"a\\u0000b\":1}",
        "{\"currency\":\"EUR\\uZZZZUSD\"}",
        "{\"a\\u00.1\":1.5}",
        "\"\\ud8d\\ude01\"",
        "\"\\u12",
        "{\"a\":01}",
        "{\"a\":1.}",
        "{\"a\":-}",
        "{\"a\":.5}",
        "{\"a\":1e}",
        "{\"a\":NaN}",
        "{\"a\":0x10}",
        "{\"a\":1,}",
        "{a:1}",
        "{'a':1}",
        "{\"a\":1}{\"a\":2}",
        "{\"a\":1} x",
        "{\"a\":1}\x0b",
        "{\"a\":\"b\nc\"}",
        "{\"a\":\"\xff\"}",
        "{\"a\":\"\\ud800\"}",
        "{\"a\":\"\\x41\"}",
        "{\"a\":1",
        "// comment\n{\"a\":1}",
        " ",
        "{\"a\":1/**/}",
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct policy_http http = {0};
        fill_body(*state, (struct typed){.type = "application/json"}, bytes_of_string(cases[i]),
                  &http);
        if (http.body_state != POLICY_BODY_UNREAD || http.body_count != 0) {
            fail_msg("%s was read as %s", cases[i], pairs_text(http.body, http.body_count));
        }
    }
    struct policy_http http = {0};
    fill_body(*state, (struct typed){.type = "application/json"}, bytes_of("{\"a\":\"b\0c\"}", 11),
              &http);
    assert_int_equal(http.body_state, POLICY_BODY_UNREAD);
}

/* `count` times `item` between brackets. */
static struct bytes repeated(struct arena *a, const char *open, const char *item, size_t count,
                             const char *close)
{
    size_t size = strlen(item), open_size = strlen(open), close_size = strlen(close);
    char *text = arena_alloc(a, open_size + size * count + close_size + 1);
    assert_non_null(text);
    memcpy(text, open, open_size);
    for (size_t i = 0; i < count; i++) {
        memcpy(text + open_size + i * size, item, size);
    }
    memcpy(text + open_size + count * size, close, close_size);
    return bytes_of_string(text);
}

static enum policy_body state_of(struct arena *a, const char *type, struct bytes body)
{
    struct policy_http http = {0};
    fill_body(a, (struct typed){.type = type}, body, &http);
    return http.body_state;
}

static void test_the_limits_of_bodies(void **state)
{
    struct arena *a = *state;
    static const char json[] = "application/json";
    static const char form[] = "application/x-www-form-urlencoded";
    assert_int_equal(state_of(a, json, repeated(a, "[", "1,", 999, "1]")), POLICY_BODY_READ);
    assert_int_equal(state_of(a, json, repeated(a, "[", "1,", 1000, "1]")), POLICY_BODY_UNREAD);
    assert_int_equal(state_of(a, json, repeated(a, "[", "{},", 100000, "1]")), POLICY_BODY_UNREAD);
    struct bytes open = repeated(a, "", "[", 64, "");
    assert_int_equal(state_of(a, json, repeated(a, (const char *)open.data, "]", 64, "")),
                     POLICY_BODY_READ);
    open = repeated(a, "", "[", 65, "");
    assert_int_equal(state_of(a, json, repeated(a, (const char *)open.data, "]", 65, "")),
                     POLICY_BODY_UNREAD);
    /* A megabyte of brackets; one long name above many values; one too large. */
    assert_int_equal(state_of(a, json, repeated(a, "", "[", 1 << 20, "")), POLICY_BODY_UNREAD);
    struct bytes name = repeated(a, "{\"", "x", 1000, "\":[");
    assert_int_equal(state_of(a, json, repeated(a, (const char *)name.data, "1,", 900, "1]}")),
                     POLICY_BODY_UNREAD);
    assert_int_equal(state_of(a, json, repeated(a, "\"", "x", (1 << 20) - 2, "\"")),
                     POLICY_BODY_READ);
    assert_int_equal(state_of(a, json, repeated(a, "\"", "x", (1 << 20) - 1, "\"")),
                     POLICY_BODY_UNREAD);
    assert_int_equal(state_of(a, form, repeated(a, "a=1", "&a=1", 999, "")), POLICY_BODY_READ);
    assert_int_equal(state_of(a, form, repeated(a, "a=1", "&a=1", 1000, "")), POLICY_BODY_UNREAD);
}

static void test_only_known_types_are_read(void **state)
{
    static const struct {
        struct typed typed;
        bool is_read;
    } cases[] = {
        {{"application/json", NULL}, true},
        {{"Application/JSON; charset=UTF-8", NULL}, true},
        {{"application/json;charset=\"utf-8\"", NULL}, true},
        {{"application/vnd.api+json", NULL}, true},
        {{"application/json", "identity"}, true},
        {{"application/json", "gzip"}, false},
        {{"application/json", "identity, gzip"}, false},
        {{"application/json; charset=utf-16", NULL}, false},
        {{"application/json; charset=utf-7; charset=utf-8", NULL}, false},
        {{"application/json, text/plain", NULL}, false},
        {{"application/jsonx", NULL}, false},
        {{"text/plain", NULL}, false},
        {{"multipart/form-data; boundary=x", NULL}, false},
        {{"", NULL}, false},
        {{NULL, NULL}, false},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct policy_http http = {0};
        fill_body(*state, cases[i].typed, bytes_of_string("{\"a\":1}"), &http);
        assert_int_equal(http.body_state, cases[i].is_read ? POLICY_BODY_READ : POLICY_BODY_UNREAD);
    }
}

static void test_forms(void **state)
{
    static const struct {
        const char *form, *wanted; /* NULL: not read */
    } cases[] = {
        {"amount=5&currency=EUR&amount=6", "/amount=5 /currency=EUR /amount=6"},
        {"a%2Fb=x+y&%7E=%C3%A4", "/a~1b=x y /~0=\xc3\xa4"},
        {"a=%00", NULL},
        {"a=%4", NULL},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct policy_http http = {0};
        fill_body(*state, (struct typed){.type = "application/x-www-form-urlencoded"},
                  bytes_of_string(cases[i].form), &http);
        assert_int_equal(http.body_state,
                         cases[i].wanted == NULL ? POLICY_BODY_UNREAD : POLICY_BODY_READ);
        assert_string_equal(pairs_text(http.body, http.body_count),
                            cases[i].wanted == NULL ? "" : cases[i].wanted);
    }
}

static void test_a_body_that_is_not_there_whole_is_not_read(void **state)
{
    static const struct {
        bool truncated, follows;
        uint64_t size;
        const char *body;
    } cases[] = {
        {true, false, 7, "{\"a\":1}"}, {false, true, 7, "{\"a\":1}"}, {false, false, 7, ""},
        {true, false, 0, ""},          {false, true, 0, ""},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct policy_http http = {0};
        Chaperone__V1__HttpRequest m = CHAPERONE__V1__HTTP_REQUEST__INIT;
        Chaperone__V1__HttpField field = CHAPERONE__V1__HTTP_FIELD__INIT, *list[] = {&field};
        field.name = "content-type";
        field.value = (ProtobufCBinaryData){16, (uint8_t *)"application/json"};
        m.path = "/";
        m.fields = list;
        m.n_fields = 1;
        m.body_truncated = cases[i].truncated;
        m.body_follows = cases[i].follows;
        m.body_size = cases[i].size;
        m.body = (ProtobufCBinaryData){strlen(cases[i].body), (uint8_t *)(uintptr_t)cases[i].body};
        assert_int_equal(operation_http_fill(*state, &m, &http), OK);
        assert_int_equal(http.body_state, POLICY_BODY_UNREAD);
    }
}

static void test_short_memory_never_reads_wrongly(void **state)
{
    (void)state;
    size_t read = 0;
    for (size_t cap = 0; cap < (96 << 10); cap += 256) {
        struct arena *a = arena_create(64, cap);
        struct policy_http http = {0};
        Chaperone__V1__HttpRequest m = CHAPERONE__V1__HTTP_REQUEST__INIT;
        Chaperone__V1__HttpField field = CHAPERONE__V1__HTTP_FIELD__INIT, *list[] = {&field};
        field.name = "content-type";
        field.value = (ProtobufCBinaryData){16, (uint8_t *)"application/json"};
        m.path = "/a?b=c";
        m.fields = list;
        m.n_fields = 1;
        m.body = (ProtobufCBinaryData){15, (uint8_t *)"{\"a\":1,\"b\":[2]}"};
        assert_non_null(a);
        enum err e = operation_http_fill(a, &m, &http);
        assert_true(e == OK || e == ERR_NO_MEMORY);
        if (e == OK && http.body_state == POLICY_BODY_READ) {
            assert_string_equal(pairs_text(http.body, http.body_count), "/a=1 /b/0=2");
            read++;
        }
        arena_destroy(a);
    }
    assert_true(read > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_a_path_is_decoded_once_and_cut_from_its_query, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_what_has_two_meanings_is_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_too_many_parameters_are_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_the_host_is_that_of_the_authority, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_headers_and_upgrades, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_json_becomes_scalars_as_they_were_written, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_json_that_readers_see_differently_is_not_read, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_the_limits_of_bodies, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_only_known_types_are_read, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_forms, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_body_that_is_not_there_whole_is_not_read, set_up,
                                        tear_down),
        cmocka_unit_test(test_short_memory_never_reads_wrongly),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
