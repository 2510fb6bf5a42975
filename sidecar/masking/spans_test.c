/* From a text to the text that may be shown. */
#include "sidecar/masking/spans.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

/* NULL: the whole value is given up. */
static void assert_redacts(struct redactor_config config, const char *in, bool is_json,
                           const char *expected)
{
    const struct detector_custom custom = {"wide", "begin[^#]{0,40}end", false};
    const struct detector_config detectors = {.built_in = 1u << DETECTOR_EMAIL |
                                                          1u << DETECTOR_CARD | 1u << DETECTOR_SSN,
                                              .custom = &custom,
                                              .custom_count = 1};
    struct detector *d = NULL;
    struct detector_stream *s = NULL;
    struct redactor *r = NULL, *by_detector[DETECTOR_BUILT_IN + 1];
    struct detector_result found;
    struct buffer out;
    buffer_init(&out, 4096);
    assert_int_equal(detector_create(&detectors, &d, NULL), OK);
    assert_int_equal(detector_stream_create(d, &s), OK);
    assert_int_equal(redactor_create(&config, &r, NULL), OK);
    for (size_t i = 0; i <= DETECTOR_BUILT_IN; i++) {
        by_detector[i] = r;
    }
    assert_int_equal(detector_scan(s, bytes_of_string(in), is_json, &found), OK);
    assert_int_equal(spans_redact(by_detector, bytes_of_string(in), &found, is_json, &out),
                     expected == NULL ? REDACTOR_NULL_INSTEAD : REDACTOR_VALUE);
    char *text = bytes_to_string(buffer_bytes(&out));
    assert_string_equal(text, expected == NULL ? "" : expected);
    free(text);
    buffer_finish(&out);
    redactor_destroy(r);
    detector_stream_destroy(s);
    detector_destroy(d);
}

static const struct redactor_config last_four = {
    .kind = REDACTOR_TO_PARTIAL, .keep_last = 4, .keep_separators = true};
static const struct redactor_config quoted = {.kind = REDACTOR_TO_FIXED,
                                              .text = {(const uint8_t *)"\"x\"", 3}};

static void text(void **state)
{
    (void)state;
    assert_redacts(last_four, "ssn 123-45-6789, card 4111111111111111.", false,
                   "ssn ***-**-6789, card ************1111.");
    assert_redacts(last_four, "nothing", false, "nothing");
    assert_redacts((struct redactor_config){0}, "<a@b.co>", false, "<>");
    assert_redacts(quoted, "begin a@b.co end", false, "\"x\"");
}

static void json(void **state)
{
    (void)state;
    assert_redacts(quoted, "{\"m\": \"to a\\u0040b.co\"}", true, "{\"m\": \"to \\\"x\\\"\"}");
    assert_redacts(last_four, "[4111111111111111, 1]", true, "[\"************1111\", 1]");
    assert_redacts(last_four, "[-4111111111111111]", true, NULL);
    assert_redacts(quoted, "{\"begin\": \"end\"}", true, NULL); /* from one string to another */
    assert_redacts(quoted, "{\"a\": \"\\\\begin\\\"end\"}", true, "{\"a\": \"\\\\\\\"x\\\"\"}");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text),
        cmocka_unit_test(json),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
