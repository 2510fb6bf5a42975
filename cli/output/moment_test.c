#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "cli/output/moment.h"

static const int64_t SECOND = 1000000000;
/* 2026-11-21T08:43:00Z */
static const int64_t NOW = 1795250580LL * 1000000000;

static int64_t parse(const char *text)
{
    int64_t at = -1;
    struct err_text error = {0};
    assert_int_equal(moment_parse(text, NOW, &at, &error), OK);
    return at;
}

static void test_rfc3339(void **state)
{
    (void)state;
    assert_int_equal(parse("2026-11-21T08:43:00Z"), NOW);
    assert_int_equal(parse("2026-11-21t08:43:00z"), NOW);
    assert_int_equal(parse("2026-11-21 09:43:00+01:00"), NOW);
    assert_int_equal(parse("2026-11-21T03:13:00-05:30"), NOW);
    assert_int_equal(parse("2026-11-21T08:43:00.5Z"), NOW + SECOND / 2);
    assert_int_equal(parse("2026-11-21T08:43:00.123456789Z"), NOW + 123456789);
    assert_int_equal(parse("2026-11-21T08:43:00.1234567899Z"), NOW + 123456789);
    assert_int_equal(parse("2026-11-21"), NOW - 31380 * SECOND);
    assert_int_equal(parse("2024-02-29T00:00:00Z"), 1709164800LL * SECOND);
}

static void test_how_long_ago(void **state)
{
    (void)state;
    assert_int_equal(parse("now"), NOW);
    assert_int_equal(parse("30s"), NOW - 30 * SECOND);
    assert_int_equal(parse("15m"), NOW - 900 * SECOND);
    assert_int_equal(parse("2h"), NOW - 7200 * SECOND);
    assert_int_equal(parse("1h30m"), NOW - 5400 * SECOND);
    assert_int_equal(parse("7d"), NOW - 604800 * SECOND);
    assert_int_equal(parse("2w"), NOW - 1209600 * SECOND);
    /* Before 1970 there is nothing; 0 would mean "not limited". */
    assert_int_equal(parse("36500d"), 1);
}

static void test_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "yesterday",
        "15",
        "m",
        "-15m",
        "15 m",
        "15M",
        "99999999999999999999d",
        "106752d9223372036854775807s",
        "2026-13-01",
        "2026-02-29",
        "2026-11-31",
        "2026-11-21T08:43:00",
        "2026-11-21T24:00:00Z",
        "2026-11-21T08:43:61Z",
        "2026-11-21T08:43:00.Z",
        "2026-11-21T08:43:00Zx",
        "2026-11-21T08:43:00+1:00",
        "2026-11-21T08:43:00+24:00",
        "2026-11-2",
        "2500-01-01",
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        int64_t at = -1;
        struct err_text error = {0};
        assert_int_equal(moment_parse(bad[i], NOW, &at, &error), ERR_INVALID);
        assert_int_equal(at, -1);
        assert_non_null(strstr(error.text, bad[i]));
        assert_non_null(strstr(error.text, "15m"));
    }
}

static void test_formats(void **state)
{
    (void)state;
    char text[MOMENT_SIZE];
    moment_format(NOW + 7 * SECOND / 1000, text);
    assert_string_equal(text, "2026-11-21T08:43:00.007Z");
    moment_format_duration(42, text);
    assert_string_equal(text, "0.042 ms");
    moment_format_duration(123456, text);
    assert_string_equal(text, "123.5 ms");
    moment_format_duration(1250000, text);
    assert_string_equal(text, "1.25 s");
    moment_format_duration(200000000, text);
    assert_string_equal(text, "3 min 20 s");
    moment_format_offset(3723004 * (SECOND / 1000), text);
    assert_string_equal(text, "+01:02:03.004");
    moment_format_offset(-5 * (SECOND / 1000), text);
    assert_string_equal(text, "-00:00:00.005");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rfc3339),
        cmocka_unit_test(test_how_long_ago),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_formats),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
