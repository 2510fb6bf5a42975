#include "sidecar/protocol/http/http1/http1_filter.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static enum http1_filter_result scan(enum http1_lines lines, struct bytes in,
                                     struct http1_filter *f)
{
    http1_filter_init(f, lines);
    return http1_filter_scan(f, in);
}

static void test_finds_the_end_of_a_head(void **state)
{
    (void)state;
    static const struct {
        enum http1_lines lines;
        const char *head;
        size_t skipped, fields;
    } cases[] = {
        {HTTP1_REQUEST_LINES, "GET / HTTP/1.1\r\n\r\n", 0, 0},
        {HTTP1_REQUEST_LINES, "\r\nGET / HTTP/1.0\r\na:\r\nb: c\r\n\r\n", 2, 2},
        {HTTP1_RESPONSE_LINES, "HTTP/1.1 200 OK\r\na: \tb\t \r\n\r\n", 0, 1},
        {HTTP1_RESPONSE_LINES, "HTTP/1.0 404\r\n\r\n", 0, 0},
        {HTTP1_TRAILER_LINES, "\r\n", 0, 0},
        {HTTP1_TRAILER_LINES, "a: b\r\n\r\n", 0, 1},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char text[128];
        struct http1_filter f;
        size_t size = strlen(cases[i].head);
        (void)snprintf(text, sizeof(text), "%s%s", cases[i].head, "\r\n\0behind");
        assert_int_equal(scan(cases[i].lines, bytes_of(text, size + 9), &f), HTTP1_FILTER_WHOLE);
        assert_int_equal(f.scanned, size);
        assert_int_equal(f.skipped, cases[i].skipped);
        assert_int_equal(f.fields, cases[i].fields);
        assert_true(http1_filter_has_begun(&f));
        for (size_t at = 0; at < size; at++) {
            http1_filter_init(&f, cases[i].lines);
            assert_int_equal(http1_filter_scan(&f, bytes_of(text, at)), HTTP1_FILTER_MORE);
            assert_int_equal(http1_filter_scan(&f, bytes_of(text, size)), HTTP1_FILTER_WHOLE);
            assert_int_equal(f.scanned, size);
        }
    }
}

/* Of all 256 bytes, which may be where. */
static void test_knows_what_a_byte_may_be(void **state)
{
    (void)state;
    static const char others[] = "!#$%&'*+-.^_`|~";
    for (unsigned b = 0; b < 256; b++) {
        bool is_token = (b >= '0' && b <= '9') || (b >= 'a' && b <= 'z') ||
                        (b >= 'A' && b <= 'Z') || (b != 0 && strchr(others, (int)b) != NULL);
        bool is_text = b == '\t' || (b >= ' ' && b != 0x7f);
        char name[] = "GET / HTTP/1.1\r\na?b: c\r\n\r\n",
             value[] = "GET / HTTP/1.1\r\na: b?c\r\n\r\n";
        struct http1_filter f;
        name[17] = (char)b;
        value[20] = (char)b;
        assert_int_equal(http1_is_token_byte((uint8_t)b), is_token);
        assert_int_equal(scan(HTTP1_REQUEST_LINES, bytes_of(name, sizeof(name) - 1), &f),
                         is_token || b == ':' ? HTTP1_FILTER_WHOLE : HTTP1_FILTER_REFUSED);
        assert_int_equal(scan(HTTP1_REQUEST_LINES, bytes_of(value, sizeof(value) - 1), &f),
                         is_text ? HTTP1_FILTER_WHOLE : HTTP1_FILTER_REFUSED);
    }
}

static void test_stays_refused(void **state)
{
    (void)state;
    struct http1_filter f;
    http1_filter_init(&f, HTTP1_REQUEST_LINES);
    assert_int_equal(http1_filter_scan(&f, bytes_of_string("GET /\n")), HTTP1_FILTER_REFUSED);
    assert_int_equal(f.problem, HTTP_PROBLEM_MALFORMED);
    assert_string_equal(f.why, "a line ends in a bare LF");
    assert_int_equal(http1_filter_scan(&f, bytes_of_string("GET / HTTP/1.1\r\n\r\n")),
                     HTTP1_FILTER_REFUSED);
}

static void test_measures_chunk_lines(void **state)
{
    (void)state;
    static const struct {
        const char *line;
        enum http1_filter_result result;
    } cases[] = {
        {"", HTTP1_FILTER_MORE},
        {"5", HTTP1_FILTER_MORE},
        {"5\r", HTTP1_FILTER_MORE},
        {"5\r\n", HTTP1_FILTER_WHOLE},
        {"0123456789abcDE\r\n", HTTP1_FILTER_WHOLE},
        {"0123456789abcDEF", HTTP1_FILTER_REFUSED},
        {"5;", HTTP1_FILTER_MORE},
        {"5;chunk-signature=0a1b\r\n", HTTP1_FILTER_WHOLE},
        {"5;a;b=c;d\r\n", HTTP1_FILTER_WHOLE},
        {"5;;\r\n", HTTP1_FILTER_REFUSED},
        {"5;=a\r\n", HTTP1_FILTER_REFUSED},
        {"5;a=b=c\r\n", HTTP1_FILTER_REFUSED},
        {"5;a=\"b\"\r\n", HTTP1_FILTER_REFUSED},
        {"5;\xc3\xa9\r\n", HTTP1_FILTER_REFUSED},
        {"5;a\n", HTTP1_FILTER_REFUSED},
        {"5\n", HTTP1_FILTER_REFUSED},
        {"5\r5", HTTP1_FILTER_REFUSED},
        {"\r\n", HTTP1_FILTER_REFUSED},
        {";a\r\n", HTTP1_FILTER_REFUSED},
        {"5 \r\n", HTTP1_FILTER_REFUSED},
        {"x", HTTP1_FILTER_REFUSED},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        size_t size = 0;
        const char *why = NULL;
        assert_int_equal(http1_filter_chunk_line(bytes_of_string(cases[i].line), &size, &why),
                         cases[i].result);
        assert_int_equal(size, cases[i].result == HTTP1_FILTER_WHOLE ? strlen(cases[i].line) : 0);
        assert_int_equal(why != NULL, cases[i].result == HTTP1_FILTER_REFUSED);
    }
}

static void test_caps_extensions(void **state)
{
    (void)state;
    for (size_t more = 0; more < 2; more++) {
        char line[HTTP1_CHUNK_LINE_MAX + 8];
        size_t size = 0, extensions = HTTP1_CHUNK_EXTENSIONS_MAX + more;
        const char *why = NULL;
        memset(line, 'a', sizeof(line));
        line[15] = ';';
        memcpy(line + 15 + extensions, "\r\n", 2);
        assert_int_equal(http1_filter_chunk_line(bytes_of(line, 17 + extensions), &size, &why),
                         more == 0 ? HTTP1_FILTER_WHOLE : HTTP1_FILTER_REFUSED);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_finds_the_end_of_a_head),
        cmocka_unit_test(test_knows_what_a_byte_may_be),
        cmocka_unit_test(test_stays_refused),
        cmocka_unit_test(test_measures_chunk_lines),
        cmocka_unit_test(test_caps_extensions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
