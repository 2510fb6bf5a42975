#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "sidecar/protocol/http/body/http_content.h"

static void tells_what_a_body_is(void **state)
{
    (void)state;
    static const struct {
        const char *field;
        enum http_content content;
    } good[] = {
        {"", HTTP_CONTENT_UNTYPED},
        {" ", HTTP_CONTENT_UNTYPED},
        {"application/json", HTTP_CONTENT_JSON},
        {"Application/JSON; charset=UTF-8", HTTP_CONTENT_JSON},
        {"application/problem+json", HTTP_CONTENT_JSON},
        {"application/vnd.api+json;version=\"1;2\"", HTTP_CONTENT_JSON},
        {"application/x-ndjson", HTTP_CONTENT_JSON},
        {"application/json-seq", HTTP_CONTENT_JSON},
        {"text/json", HTTP_CONTENT_JSON},
        {"application/x-www-form-urlencoded", HTTP_CONTENT_FORM},
        {"text/plain", HTTP_CONTENT_TEXT},
        {"text/html;charset=\"iso-8859-1\" ; ;", HTTP_CONTENT_TEXT},
        {"text/event-stream", HTTP_CONTENT_TEXT},
        {"text/csv; header=present; charset=us-ascii", HTTP_CONTENT_TEXT},
        {"application/xml", HTTP_CONTENT_TEXT},
        {"image/svg+xml", HTTP_CONTENT_TEXT},
        {"application/javascript", HTTP_CONTENT_TEXT},
        {"application/graphql", HTTP_CONTENT_TEXT},
        {"image/png", HTTP_CONTENT_OPAQUE},
        {"image/json", HTTP_CONTENT_OPAQUE},
        {"multipart/form-data; boundary=x", HTTP_CONTENT_OPAQUE},
        {"application/octet-stream", HTTP_CONTENT_OPAQUE},
        {"application/grpc+proto", HTTP_CONTENT_OPAQUE},
        {"application/pdf; charset=utf-16", HTTP_CONTENT_OPAQUE},
        {"application/+json", HTTP_CONTENT_OPAQUE},
        {"application/jso", HTTP_CONTENT_OPAQUE},
    };
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        enum http_content content = HTTP_CONTENT_OPAQUE;
        assert_int_equal(http_content_parse(bytes_of_string(good[i].field), &content, NULL), OK);
        assert_int_equal(content, good[i].content);
        assert_int_equal(http_content_is_json(bytes_of_string(good[i].field)),
                         content == HTTP_CONTENT_JSON);
    }
    enum http_content absent = HTTP_CONTENT_OPAQUE;
    assert_int_equal(http_content_parse((struct bytes){0}, &absent, NULL), OK);
    assert_int_equal(absent, HTTP_CONTENT_UNTYPED);
    assert_false(http_content_is_json((struct bytes){0}));
}

static void refuses_what_is_not_understood(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "json",
        "/json",
        "application/",
        "application json",
        "application/json, text/plain",
        "application/json charset=utf-8",
        "application/json; charset",
        "application/json; charset=",
        "application/json; charset=\"utf-8",
        "application/json; charset=\"utf-8\\",
        "application/json; charset=utf-16",
        "text/plain; charset=utf-7",
        "text/plain; charset=utf-8; charset=utf-16",
        "text/plain; charset=utf-8; CHARSET=utf-8",
        "text/plain; charset = utf-8",
        "text/plain; charset=\"utf-\\16\"",
        "application/x-www-form-urlencoded; charset=ibm037",
        "text/plain; charset=windows-1252",
        "text/plain; charset=utf-8-and-a-name-that-is-much-too-long-for-it",
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        enum http_content content = HTTP_CONTENT_OPAQUE;
        struct err_text why = {""};
        assert_int_equal(http_content_parse(bytes_of_string(bad[i]), &content, &why), ERR_DENIED);
        assert_int_equal(content, HTTP_CONTENT_OPAQUE);
        assert_true(why.text[0] != '\0');
    }
}

static void knows_bytes_that_no_text_has(void **state)
{
    (void)state;
    assert_false(http_content_is_binary(bytes_of_string("plain\r\n\ttext \x1b[0m\f \xc3\xa9\xff")));
    assert_true(http_content_is_binary(bytes_of("a\0b", 3)));
    assert_true(http_content_is_binary(bytes_of_string("\x89PNG\r\n\x1a\n")));
    assert_false(http_content_is_binary((struct bytes){0}));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tells_what_a_body_is),
        cmocka_unit_test(refuses_what_is_not_understood),
        cmocka_unit_test(knows_bytes_that_no_text_has),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
