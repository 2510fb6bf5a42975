/* Where a token comes from, and what is said when it does not come: never the token itself. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/testing/alloc_fail.h"
#include "sidecar/token_source.h"

#define SECRET "eyJhbGciOi.secret.part"

struct answer {
    enum err result;
    struct buffer token;
    struct err_text why;
};

static void forget(struct answer *a)
{
    buffer_wipe(&a->token);
}

static struct answer read_from(struct token_source *source)
{
    struct answer a = {0};
    buffer_init(&a.token, TOKEN_MAX);
    a.result = token_source_read(source, &a.token, &a.why);
    if (a.result == OK) {
        assert_string_equal(a.why.text, "");
    } else {
        assert_int_equal(buffer_size(&a.token), 0);
        assert_string_not_equal(a.why.text, "");
    }
    assert_null(strstr(a.why.text, "secret"));
    return a;
}

static struct token_source *create(const struct token_source_options *options)
{
    struct token_source *source = NULL;
    assert_int_equal(token_source_create(options, &source), OK);
    return source;
}

static void expect(struct token_source *source, enum err result, const char *token_or_why)
{
    struct answer a = read_from(source);
    assert_int_equal(a.result, result);
    if (result == OK) {
        assert_true(bytes_equal_string(buffer_bytes(&a.token), token_or_why));
    } else if (strstr(a.why.text, token_or_why) == NULL) {
        fail_msg("expected \"%s\" in \"%s\"", token_or_why, a.why.text);
    }
    forget(&a);
}

/* ---- a file ------------------------------------------------------------------------------- */

static const char *path(void)
{
    static char text[512];
    const char *dir = getenv("TEST_TMPDIR");
    (void)snprintf(text, sizeof(text), "%s/token", dir == NULL ? "/tmp" : dir);
    return text;
}

static void write_token(const char *text)
{
    FILE *f = fopen(path(), "wb");
    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
}

static void test_a_file_is_read_each_time(void **state)
{
    (void)state;
    struct token_source *s = create(&(struct token_source_options){.file = path()});
    assert_true(token_source_is_quick(s));
    (void)unlink(path());
    expect(s, ERR_NOT_FOUND, "token cannot be read: No such file or directory");
    write_token("first");
    expect(s, OK, "first");
    write_token(" \t\r\n" SECRET "\n\n"); /* as editors and `echo` write it */
    expect(s, OK, SECRET);
    write_token(" \n");
    expect(s, ERR_NOT_FOUND, "the agent's token is empty");
    token_source_release(s);
}

static void test_a_token_has_a_size(void **state)
{
    (void)state;
    struct token_source *s = create(&(struct token_source_options){.file = path()});
    char *text = malloc(TOKEN_MAX + 4000);
    assert_non_null(text);
    memset(text, 'x', TOKEN_MAX);
    memcpy(text + TOKEN_MAX, "\n", 2);
    write_token(text);
    struct answer a = read_from(s);
    assert_int_equal(a.result, OK);
    assert_int_equal(buffer_size(&a.token), TOKEN_MAX);
    forget(&a);
    memcpy(text + TOKEN_MAX, "x", 2);
    write_token(text);
    expect(s, ERR_LIMIT, "longer than 16 KiB");
    memset(text, 'x', TOKEN_MAX + 3999);
    text[TOKEN_MAX + 3999] = '\0';
    write_token(text);
    expect(s, ERR_LIMIT, "longer than 16 KiB");
    assert_int_equal(setenv("SIDECAR_TEST_TOKEN", text, 1), 0);
    struct token_source *e =
        create(&(struct token_source_options){.environment = "SIDECAR_TEST_TOKEN"});
    expect(e, ERR_LIMIT, "SIDECAR_TEST_TOKEN cannot be used: it is longer than 16 KiB");
    token_source_release(e);
    token_source_release(s);
    free(text);
}

/* Nobody writes to it: the loop's thread must not wait. */
static void test_a_pipe_in_its_place_does_not_block(void **state)
{
    (void)state;
    (void)unlink(path());
    assert_int_equal(mkfifo(path(), 0600), 0);
    struct token_source *s = create(&(struct token_source_options){.file = path()});
    expect(s, ERR_NOT_FOUND, "empty");
    token_source_release(s);
    assert_int_equal(unlink(path()), 0);
}

/* ---- the environment ---------------------------------------------------------------------- */

static void test_the_environment(void **state)
{
    (void)state;
    struct token_source *s =
        create(&(struct token_source_options){.environment = "SIDECAR_TEST_TOKEN"});
    assert_true(token_source_is_quick(s));
    assert_int_equal(unsetenv("SIDECAR_TEST_TOKEN"), 0);
    expect(s, ERR_NOT_FOUND, "the environment variable SIDECAR_TEST_TOKEN holds no token");
    assert_int_equal(setenv("SIDECAR_TEST_TOKEN", SECRET " ", 1), 0);
    expect(s, OK, SECRET);
    assert_int_equal(setenv("SIDECAR_TEST_TOKEN", "", 1), 0);
    expect(s, ERR_NOT_FOUND, "SIDECAR_TEST_TOKEN");
    token_source_release(s);
}

static void test_no_source_at_all(void **state)
{
    (void)state;
    struct token_source *s = create(&(struct token_source_options){0});
    expect(s, ERR_NOT_FOUND, "no source of the agent's token is configured");
    token_source_release(s);
    token_source_release(NULL);
}

/* ---- a command ---------------------------------------------------------------------------- */

static struct token_source *shell(const char *script, int timeout_ms)
{
    const char *const command[] = {"/bin/sh", "-c", script, NULL};
    return create(
        &(struct token_source_options){.command = command, .command_timeout_ms = timeout_ms});
}

static void expect_of_shell(const char *script, enum err result, const char *token_or_why)
{
    struct token_source *s = shell(script, 60000);
    assert_false(token_source_is_quick(s));
    expect(s, result, token_or_why);
    token_source_release(s);
}

static void test_a_command(void **state)
{
    (void)state;
    expect_of_shell("echo ' " SECRET "'", OK, SECRET);
    expect_of_shell("printf abc; printf def", OK, "abcdef");
    expect_of_shell("cat", ERR_NOT_FOUND, "the agent's token is empty"); /* its input is empty */
    expect_of_shell("echo " SECRET "; exit 3", ERR_DENIED,
                    "the agent's token command /bin/sh failed: its exit code is not 0");
    expect_of_shell("kill -9 $$", ERR_DENIED, "exit code");
    expect_of_shell("head -c 100000 /dev/zero | tr '\\0' x", ERR_LIMIT, "longer than 16 KiB");
    /* A writer whose reader has gone ends by SIGPIPE, as everywhere. */
    expect_of_shell("yes | head -n 1", OK, "y");
}

static void test_a_command_that_is_not_there(void **state)
{
    (void)state;
    const char *const command[] = {"/nonexistent/get-token", SECRET, NULL};
    struct token_source *s = create(&(struct token_source_options){.command = command});
    expect(s, ERR_NOT_FOUND, "the agent's token command /nonexistent/get-token cannot be run");
    token_source_release(s);
}

static int64_t now_ms(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* Its process id, which is its group's; 0: it has not said it. */
static pid_t group_of_shell(void)
{
    char text[32] = "";
    FILE *f = fopen(path(), "rb");
    bool is_said = f != NULL && fgets(text, sizeof(text), f) != NULL;
    if (f != NULL) {
        (void)fclose(f);
    }
    return is_said ? (pid_t)strtol(text, NULL, 10) : 0;
}

/* Returns the group of what was killed. Where the machine is so busy that the command had not even
 * begun, it gets more time. */
static pid_t run_out_of_time(const char *script)
{
    pid_t group = 0;
    for (int limit_ms = 300; group == 0 && limit_ms < 60000; limit_ms *= 4) {
        (void)unlink(path());
        int64_t start = now_ms();
        struct token_source *s = shell(script, limit_ms);
        expect(s, ERR_TIMEOUT, "failed: it took too long");
        token_source_release(s);
        assert_true(now_ms() - start < limit_ms + 30000);
        group = group_of_shell();
    }
    return group;
}

/* One that says nothing, one that says a little, one that closes its output and goes on; and in
 * each case nothing of it is left running. */
static void test_a_command_that_hangs_is_killed(void **state)
{
    (void)state;
    static const char *const scripts[] = {
        "sleep 1000",
        "printf secret; sleep 1000; true",
        "exec 1>&-; sleep 1000",
        "(sleep 1000; true) | cat",
    };
    for (size_t i = 0; i < sizeof(scripts) / sizeof(scripts[0]); i++) {
        char script[800];
        (void)snprintf(script, sizeof(script), "echo $$ > '%s'; %s", path(), scripts[i]);
        pid_t group = run_out_of_time(script);
        assert_true(group > 1);
        /* Its orphans are dead, and gone as soon as init has reaped them. */
        int64_t start = now_ms();
        while (kill(-group, 0) == 0 && now_ms() - start < 30000) {
            (void)usleep(10000);
        }
        assert_int_equal(kill(-group, 0), -1);
    }
}

/* ---- memory ------------------------------------------------------------------------------- */

static void create_and_read(void *context)
{
    size_t *whole = context;
    const char *const command[] = {"/bin/echo", "one", "two", NULL};
    struct token_source *source = NULL;
    if (token_source_create(&(struct token_source_options){.command = command}, &source) != OK) {
        assert_true(alloc_fail_happened());
        return;
    }
    struct answer a = read_from(source);
    assert_true(a.result == OK || alloc_fail_happened());
    *whole += a.result == OK;
    forget(&a);
    token_source_release(source);
}

static void test_short_memory_is_an_error(void **state)
{
    (void)state;
    size_t whole = 0;
    assert_true(alloc_fail_each(create_and_read, &whole) >= 7);
    assert_int_equal(whole, 1);
}

static void test_who_holds_it_may_still_read(void **state)
{
    (void)state;
    struct token_source *s =
        create(&(struct token_source_options){.environment = "SIDECAR_TEST_TOKEN"});
    assert_int_equal(setenv("SIDECAR_TEST_TOKEN", "held", 1), 0);
    struct token_source *held = token_source_hold(s);
    token_source_release(s);
    expect(held, OK, "held");
    token_source_release(held);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_file_is_read_each_time),
        cmocka_unit_test(test_a_token_has_a_size),
        cmocka_unit_test(test_a_pipe_in_its_place_does_not_block),
        cmocka_unit_test(test_the_environment),
        cmocka_unit_test(test_no_source_at_all),
        cmocka_unit_test(test_a_command),
        cmocka_unit_test(test_a_command_that_is_not_there),
        cmocka_unit_test(test_a_command_that_hangs_is_killed),
        cmocka_unit_test(test_short_memory_is_an_error),
        cmocka_unit_test(test_who_holds_it_may_still_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
