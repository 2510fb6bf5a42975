#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include <cjson/cJSON.h>

#include "formats/body.h"

static void test_what_a_body_is(void **state)
{
    (void)state;
    static const struct {
        const char *body;
        size_t size;
        bool is_truncated;
        enum body_form form;
    } cases[] = {
        {"", 0, false, BODY_EMPTY},
        {"hello\r\n\tworld", 13, false, BODY_TEXT},
        {" {\"a\":1}\n", 9, false, BODY_JSON},
        {"[]", 2, false, BODY_JSON},
        {"[1,", 3, false, BODY_TEXT},
        {"[1,", 3, true, BODY_JSON},
        {"{]", 2, false, BODY_TEXT},
        {"a=1&b=2", 7, false, BODY_TEXT},
        {"\x89PNG\r\n\x1a\n", 8, false, BODY_BINARY},
        {"a\0b", 3, false, BODY_BINARY},
        {"a\x1b[2J", 5, false, BODY_TEXT},
        {"caf\xc3\xa9", 5, false, BODY_TEXT},
        {"caf\xc3", 4, false, BODY_BINARY},
        {"caf\xc3", 4, true, BODY_TEXT},
        {"caf\xff", 4, true, BODY_TEXT}, /* at the very end it cannot be told */
        {"\xff caf", 5, true, BODY_BINARY},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        if (body_form_of(bytes_of(cases[i].body, cases[i].size), cases[i].is_truncated) !=
            cases[i].form) {
            fail_msg("case %zu", i);
        }
    }
}

static char *indented(const char *json)
{
    struct buffer out;
    buffer_init(&out, 1 << 20);
    assert_int_equal(body_append_indented(bytes_of_string(json), &out), OK);
    char *text = bytes_to_string(buffer_bytes(&out));
    buffer_finish(&out);
    return text;
}

static void assert_indented(const char *json, const char *expected)
{
    char *text = indented(json);
    assert_string_equal(text, expected);
    free(text);
}

static void test_json_is_laid_out_and_not_changed(void **state)
{
    (void)state;
    assert_indented("{}", "{}");
    assert_indented(" { } ", "{}");
    assert_indented("[[],{}]", "[\n  [],\n  {}\n]");
    /* Digits that no double has, and both members of the same name. */
    assert_indented("{\"n\":12345678901234567890.10,\"n\":1e400}",
                    "{\n  \"n\": 12345678901234567890.10,\n  \"n\": 1e400\n}");
    assert_indented("{\"a\":{\"b\":[1, true,null,\"x,{}[]:\\\"y\\\\\"]}}",
                    "{\n  \"a\": {\n    \"b\": [\n      1,\n      true,\n      null,\n"
                    "      \"x,{}[]:\\\"y\\\\\"\n    ]\n  }\n}");
    assert_indented("{\"a\":1}\n{\"a\":2}\n", "{\n  \"a\": 1\n}\n{\n  \"a\": 2\n}");
}

static void test_what_is_cut_or_broken_is_shown_as_far_as_it_goes(void **state)
{
    (void)state;
    assert_indented("{\"a\":[1,\"x", "{\n  \"a\": [\n    1,\n    \"x");
    assert_indented("{\"a\\", "{\n  \"a\\");
    assert_indented("{1 2}", "{\n  1 2\n}");
    assert_indented("]]}", "]\n]\n}");
    assert_indented("", "");
    struct buffer out;
    buffer_init(&out, 4);
    assert_int_equal(body_append_indented(bytes_of_string("[1,2,3]"), &out), ERR_LIMIT);
    buffer_finish(&out);
}

/* Whatever it is, the same tokens come out: without white space both are the same. */
static void test_every_cut_keeps_its_bytes(void **state)
{
    (void)state;
    static const char json[] = "{\"a\":[1,{\"b\":\"c\\\"d\"},[]],\"e\":{},\"f\":-1.5e3}";
    for (size_t size = 0; size < sizeof(json); size++) {
        char cut[sizeof(json)] = "";
        memcpy(cut, json, size);
        char *text = indented(cut);
        char bare[sizeof(json)] = "";
        size_t n = 0;
        for (const char *c = text; *c != '\0'; c++) {
            if (*c != ' ' && *c != '\n') {
                assert_true(n + 1 < sizeof(bare));
                bare[n++] = *c;
            }
        }
        assert_string_equal(bare, cut);
        free(text);
    }
    char *text = indented(json);
    cJSON *read = cJSON_Parse(text);
    assert_non_null(read);
    cJSON_Delete(read);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_a_body_is),
        cmocka_unit_test(test_json_is_laid_out_and_not_changed),
        cmocka_unit_test(test_what_is_cut_or_broken_is_shown_as_far_as_it_goes),
        cmocka_unit_test(test_every_cut_keeps_its_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
