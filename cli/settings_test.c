#include "cli/settings.h"

#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static const struct option_spec specs[] = {
    {"dir", 0, OPTION_DIRECTORY, "DIR", "", NULL},
    {"server", 0, OPTION_TEXT, "S", "", NULL},
    {"ca", 0, OPTION_FILE, "FILE", "", NULL},
    {"token-file", 0, OPTION_FILE, "FILE", "", NULL},
    {0},
};

#define ARGV(...) ((char *[]){__VA_ARGS__, NULL})

/* A directory of its own for each test, which is HOME too. */
static char home[PATH_MAX];

static const char *write_file(const char *name, const char *text)
{
    static char path[PATH_MAX + 64];
    (void)snprintf(path, sizeof(path), "%s/%s", home, name);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
    return path;
}

static void make_directory(const char *name)
{
    char path[PATH_MAX + 64];
    (void)snprintf(path, sizeof(path), "%s/%s", home, name);
    assert_int_equal(mkdir(path, 0700), 0);
}

static int setup(void **state)
{
    (void)state;
    static const char *const names[] = {"CHAPERONE_SERVER", "CHAPERONE_CA",
                                        "CHAPERONE_TOKEN",  "CHAPERONE_TOKEN_FILE",
                                        "XDG_CONFIG_HOME",  "XDG_STATE_HOME"};
    const char *base = getenv("TEST_TMPDIR");
    (void)snprintf(home, sizeof(home), "%s/settings.XXXXXX", base == NULL ? "/tmp" : base);
    if (mkdtemp(home) == NULL) {
        return -1;
    }
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        (void)unsetenv(names[i]);
    }
    return setenv("HOME", home, 1);
}

static enum err find(struct settings *out, struct err_text *error, char **argv)
{
    struct options o = {.tables = {specs}};
    *error = (struct err_text){0};
    *out = (struct settings){0};
    assert_int_equal(options_parse(&o, argv, false, error), OK);
    struct clock clock = clock_system();
    return settings_find(&o, &clock, out, error);
}

static void test_a_development_stack(void **state)
{
    (void)state;
    struct settings s;
    struct err_text error;
    char ca[PATH_MAX + 64];
    (void)write_file("cli.json", "{\"server\": \"127.0.0.1:7443\", \"ca_file\": \"cp/ca.pem\", "
                                 "\"token_file\": \"operator.token\"}");
    (void)write_file("operator.token", "abc.def.ghi\n");
    /* The environment's server is another one. */
    (void)setenv("CHAPERONE_SERVER", "elsewhere:1", 1);
    (void)setenv("CHAPERONE_TOKEN", "other", 1);
    assert_int_equal(find(&s, &error, ARGV("--dir", home)), OK);
    (void)snprintf(ca, sizeof(ca), "%s/cp/ca.pem", home);
    assert_string_equal(s.server, "127.0.0.1:7443");
    assert_string_equal(s.ca_file, ca);
    assert_string_equal(s.token, "abc.def.ghi");
    assert_non_null(strstr(s.hint, "chaperone dev --dir"));
    settings_finish(&s);
    assert_int_equal(find(&s, &error, ARGV("--dir", home, "--server", "x:1")), ERR_INVALID);
    assert_int_equal(find(&s, &error, ARGV("--dir", "/nowhere/at/all")), ERR_INVALID);
    assert_non_null(strstr(error.text, "chaperone dev --dir /nowhere/at/all"));
    (void)write_file("cli.json", "{\"server\": 5}");
    assert_int_equal(find(&s, &error, ARGV("--dir", home)), ERR_INVALID);
}

static void test_the_command_line_comes_first(void **state)
{
    (void)state;
    struct settings s;
    struct err_text error;
    make_directory(".config");
    make_directory(".config/chaperone");
    (void)write_file(".config/chaperone/config.yaml",
                     "server: file.example:1\nca: ca.pem\ntoken_file: token\n");
    (void)write_file(".config/chaperone/token", "from.the.file");
    assert_int_equal(find(&s, &error, ARGV("x")), OK);
    assert_string_equal(s.server, "file.example:1");
    assert_non_null(strstr(s.ca_file, "/.config/chaperone/ca.pem"));
    assert_string_equal(s.token, "from.the.file");
    settings_finish(&s);
    (void)setenv("CHAPERONE_SERVER", "environment.example:2", 1);
    (void)setenv("CHAPERONE_TOKEN", " from.the.environment\n", 1);
    assert_int_equal(find(&s, &error, ARGV("x")), OK);
    assert_string_equal(s.server, "environment.example:2");
    assert_string_equal(s.token, "from.the.environment");
    settings_finish(&s);
    char *token = strdup(write_file("token", "\n from.an.option \n"));
    assert_int_equal(
        find(&s, &error, ARGV("--server", "[::1]:3", "--ca", "/o.pem", "--token-file", token)), OK);
    assert_string_equal(s.server, "[::1]:3");
    assert_string_equal(s.ca_file, "/o.pem");
    assert_string_equal(s.token, "from.an.option");
    settings_finish(&s);
    free(token);
}

static void test_the_configuration_directory(void **state)
{
    (void)state;
    struct settings s;
    struct err_text error;
    make_directory("chaperone");
    (void)write_file("chaperone/config.yaml", "server: here:1\n");
    (void)setenv("XDG_CONFIG_HOME", home, 1);
    (void)setenv("CHAPERONE_TOKEN", "t", 1);
    assert_int_equal(find(&s, &error, ARGV("x")), OK);
    assert_string_equal(s.server, "here:1");
    assert_null(s.ca_file);
    settings_finish(&s);
    (void)write_file("chaperone/config.yaml", "server: here:1\nserfer: there:1\n");
    assert_int_equal(find(&s, &error, ARGV("x")), ERR_INVALID);
    assert_non_null(strstr(error.text, "config.yaml:2"));
}

static void expect_sentence(char **argv, const char *said)
{
    struct settings s;
    struct err_text error;
    assert_int_equal(find(&s, &error, argv), ERR_INVALID);
    assert_non_null(strstr(error.text, said));
}

static void test_what_is_missing_or_wrong_is_said(void **state)
{
    (void)state;
    static const char *const bad[] = {"host", ":1", "host:", "host:0", "host:65536", "host:1x"};
    expect_sentence(ARGV("x"), "CHAPERONE_SERVER");
    expect_sentence(ARGV("--server", "h:1"), "CHAPERONE_TOKEN");
    (void)setenv("CHAPERONE_TOKEN", "t", 1);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        expect_sentence(ARGV("--server", (char *)(uintptr_t)bad[i]), "expected HOST:PORT");
    }
    (void)setenv("CHAPERONE_TOKEN", "two words", 1);
    expect_sentence(ARGV("--server", "h:1"), "expected a token");
    char *empty = strdup(write_file("empty", "\n"));
    expect_sentence(ARGV("--server", "h:1", "--token-file", empty), "expected one line");
    free(empty);
}

static void test_a_token_file_that_is_not_there(void **state)
{
    (void)state;
    struct settings s;
    struct err_text error;
    assert_int_equal(find(&s, &error, ARGV("--server", "h:1", "--token-file", "/nowhere/token")),
                     ERR_NOT_FOUND);
    assert_non_null(strstr(error.text, "/nowhere/token"));
    char *large = strdup(write_file("large", ""));
    assert_int_equal(truncate(large, 1 << 20), 0);
    assert_int_equal(find(&s, &error, ARGV("--server", "h:1", "--token-file", large)), ERR_LIMIT);
    free(large);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_a_development_stack, setup),
        cmocka_unit_test_setup(test_the_command_line_comes_first, setup),
        cmocka_unit_test_setup(test_the_configuration_directory, setup),
        cmocka_unit_test_setup(test_what_is_missing_or_wrong_is_said, setup),
        cmocka_unit_test_setup(test_a_token_file_that_is_not_there, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
