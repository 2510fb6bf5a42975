#include "cli/options.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static const char *const verdicts[] = {"allow", "deny", NULL};
static const struct option_spec own[] = {
    {"identity", 'i', OPTION_TEXT, "S", "", NULL},
    {"verdict", 0, OPTION_TEXT, "V", "", verdicts},
    {"limit", 'n', OPTION_TEXT, "N", "", NULL},
    {"json", 0, OPTION_FLAG, NULL, "", NULL},
    {0},
};
static const struct option_spec common[] = {{"help", 'h', OPTION_FLAG, NULL, "", NULL}, {0}};

static enum err parse(struct options *o, bool stop, struct err_text *error, char **argv)
{
    *o = (struct options){.tables = {common, NULL, own}};
    *error = (struct err_text){0};
    return options_parse(o, argv, stop, error);
}

#define ARGV(...) ((char *[]){__VA_ARGS__, NULL})

static void test_forms(void **state)
{
    (void)state;
    struct options o;
    struct err_text error;
    assert_int_equal(parse(&o, false, &error,
                           ARGV("one", "--identity=a=b", "-n5", "--json", "--verdict", "deny", "-",
                                "--", "--json")),
                     OK);
    assert_string_equal(options_value(&o, "identity"), "a=b");
    assert_string_equal(options_value(&o, "limit"), "5");
    assert_string_equal(options_value(&o, "verdict"), "deny");
    assert_true(options_flag(&o, "json"));
    assert_false(options_flag(&o, "help"));
    assert_int_equal(o.argument_count, 3);
    assert_string_equal(o.arguments[1], "-");
    assert_string_equal(o.arguments[2], "--json");
    assert_null(options_value(&o, "no-such-option"));
    /* An empty value is a value. */
    assert_int_equal(parse(&o, false, &error, ARGV("--identity=", "-i", "x", "-i", "")), OK);
    assert_string_equal(options_value(&o, "identity"), "");
}

static void test_given_more_than_once(void **state)
{
    (void)state;
    struct options o;
    struct err_text error;
    static char option[] = "-i", last[] = "--limit=1";
    char *many[2 * OPTIONS_GIVEN_MAX + 2] = {0};
    assert_int_equal(
        parse(&o, false, &error, ARGV("--identity", "a", "-n", "1", "-ib", "--identity=c")), OK);
    assert_string_equal(options_each(&o, "identity", 0), "a");
    assert_string_equal(options_each(&o, "identity", 1), "b");
    assert_string_equal(options_each(&o, "identity", 2), "c");
    assert_null(options_each(&o, "identity", 3));
    assert_null(options_each(&o, "verdict", 0));
    assert_string_equal(options_value(&o, "identity"), "c");
    for (size_t i = 0; i < 2 * OPTIONS_GIVEN_MAX; i++) {
        many[i] = option;
    }
    assert_int_equal(parse(&o, false, &error, many), OK);
    many[2 * OPTIONS_GIVEN_MAX] = last;
    assert_int_equal(parse(&o, false, &error, many), ERR_INVALID);
}

static void test_the_rest_is_left_alone(void **state)
{
    (void)state;
    struct options o;
    struct err_text error;
    char **argv = ARGV("--json", "--", "psql", "--json", "--", "-x");
    assert_int_equal(parse(&o, true, &error, argv), OK);
    assert_ptr_equal(o.rest, argv + 2);
    argv = ARGV("-n", "1", "psql", "--nonsense");
    assert_int_equal(parse(&o, true, &error, argv), OK);
    assert_ptr_equal(o.rest, argv + 2);
    argv = ARGV("--json");
    assert_int_equal(parse(&o, true, &error, argv), OK);
    assert_null(o.rest[0]);
}

static void expect_refused(char **argv, const char *said)
{
    struct options o;
    struct err_text error;
    assert_int_equal(parse(&o, false, &error, argv), ERR_INVALID);
    assert_string_equal(error.text, said);
}

static void test_refused(void **state)
{
    (void)state;
    expect_refused(ARGV("--idenity", "x"), "unknown option --idenity; did you mean --identity?");
    expect_refused(ARGV("--vredict=x"), "unknown option --vredict; did you mean --verdict?");
    expect_refused(ARGV("--ident", "x"), "unknown option --ident; did you mean --identity?");
    expect_refused(ARGV("--color"), "unknown option --color");
    expect_refused(ARGV("-x"), "unknown option -x");
    expect_refused(ARGV("--identity"), "--identity needs a value: --identity S");
    expect_refused(ARGV("--json=yes"), "--json takes no value");
    expect_refused(ARGV("--verdict", "denied"),
                   "--verdict: expected one of allow, deny, found \"denied\"");
    expect_refused(ARGV("1", "2", "3", "4", "5"), "too many arguments: \"5\"");
}

static void test_numbers(void **state)
{
    (void)state;
    struct options o;
    struct err_text error;
    uint32_t n = 7;
    assert_int_equal(parse(&o, false, &error, ARGV("x")), OK);
    assert_int_equal(options_number(&o, "limit", 3, 10, &n, &error), OK);
    assert_int_equal(n, 3);
    assert_int_equal(parse(&o, false, &error, ARGV("-n", "10")), OK);
    assert_int_equal(options_number(&o, "limit", 3, 10, &n, &error), OK);
    assert_int_equal(n, 10);
    static const char *const bad[] = {"11", "-1", "", "1x", " 1", "99999999999999999999999", "0x5"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_int_equal(parse(&o, false, &error, ARGV("-n", (char *)(uintptr_t)bad[i])), OK);
        assert_int_equal(options_number(&o, "limit", 3, 10, &n, &error), ERR_INVALID);
        assert_int_equal(n, 10);
    }
}

static void test_suggestions(void **state)
{
    (void)state;
    static const char *const words[] = {"audit", "session", "status", "dev", "run", NULL};
    assert_string_equal(options_suggest("adit", words), "audit");
    assert_string_equal(options_suggest("sesion", words), "session");
    assert_string_equal(options_suggest("stauts", words), "status");
    assert_string_equal(options_suggest("dve", words), "dev");
    assert_null(options_suggest("kubernetes", words));
    assert_null(options_suggest("", words));
    assert_null(options_suggest("a-word-that-is-longer-than-any-command-could-ever-be", words));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_forms),
        cmocka_unit_test(test_given_more_than_once),
        cmocka_unit_test(test_the_rest_is_left_alone),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_suggestions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
