#include "sidecar/protocol/http/http_rules.h"

#include <ctype.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static const char *const names[] = {
    "accept",
    "accept-encoding",
    "age",
    "authorization",
    "cache-control",
    "connection",
    "content-encoding",
    "content-length",
    "content-range",
    "content-type",
    "cookie",
    "date",
    "expect",
    "expires",
    "forwarded",
    "host",
    "http2-settings",
    "if-match",
    "if-modified-since",
    "if-none-match",
    "if-range",
    "if-unmodified-since",
    "keep-alive",
    "location",
    "max-forwards",
    "origin",
    "pragma",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "range",
    "retry-after",
    "sec-websocket-accept",
    "sec-websocket-extensions",
    "sec-websocket-key",
    "sec-websocket-protocol",
    "sec-websocket-version",
    "set-cookie",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "vary",
    "via",
    "www-authenticate",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-proto",
    "x-http-method-override",
};

enum { NAMES = sizeof(names) / sizeof(names[0]) };

static void finds_each_name_in_either_case(void **state)
{
    (void)state;
    for (size_t i = 0; i < NAMES; i++) {
        char upper[32];
        size_t size = strlen(names[i]);
        for (size_t k = 0; k < size; k++) {
            upper[k] = (char)toupper((unsigned char)names[i][k]);
        }
        assert_int_equal(http_rules_find(bytes_of_string(names[i])), i);
        assert_int_equal(http_rules_find(bytes_of(upper, size)), i);
        assert_int_not_equal(http_rules_at(i), 0);
    }
    assert_int_equal(http_rules_at(NAMES), 0); /* they are all there are */
}

static void finds_no_other_name(void **state)
{
    (void)state;
    static const char *const others[] = {
        "",          "a", "accepts",         "hos", "host ", "zeta",
        "x-request", "b", "content\x0dtype", "1st", "_te",   "t\xc5"};
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        assert_int_equal(http_rules_find(bytes_of_string(others[i])), HTTP_RULES_NONE);
    }
    assert_int_equal(http_rules_find(bytes_of("te\0", 3)), HTTP_RULES_NONE);
}

/* RFC 9110 section 5.6.2. */
static void knows_the_bytes_of_a_token(void **state)
{
    (void)state;
    for (unsigned b = 0; b < 256; b++) {
        bool is = b != 0 && b < 0x80 &&
                  (isalnum((int)b) != 0 || strchr("!#$%&'*+-.^_`|~", (int)b) != NULL);
        assert_int_equal(http_rules_is_token_byte((uint8_t)b), is);
    }
}

/* It may stop early only at the end, and never late. */
static void skips_text_and_nothing_else(void **state)
{
    (void)state;
    uint8_t text[24];
    for (unsigned b = 0; b < 256; b++) {
        bool is_text = b >= 0x20 && b != 0x7f;
        for (size_t at = 0; at < sizeof(text); at++) {
            memset(text, at % 2 == 0 ? ' ' : 0xff, sizeof(text));
            text[at] = (uint8_t)b;
            for (size_t from = 0; from <= at; from++) {
                size_t end = http_rules_skip_text(bytes_of(text, sizeof(text)), from);
                size_t last = from + (sizeof(text) - from) / 8 * 8; /* what is looked at */
                assert_int_equal(end, is_text || at >= last ? last : at);
            }
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_each_name_in_either_case),
        cmocka_unit_test(finds_no_other_name),
        cmocka_unit_test(knows_the_bytes_of_a_token),
        cmocka_unit_test(skips_text_and_nothing_else),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
