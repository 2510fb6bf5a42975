/* A token that is read beside the loop: the answer, and no answer after a cancel or the loop's
 * end. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/testing/alloc_fail.h"
#include "sidecar/token_read.h"

struct test {
    struct loop *loop;
    struct token_source *source;
    enum err result;
    char token[64], why[256];
    int calls;
};

static int setup(void **state)
{
    struct test *t = calloc(1, sizeof(*t));
    assert_non_null(t);
    assert_int_equal(loop_create(&t->loop), OK);
    *state = t;
    return 0;
}

static int teardown(void **state)
{
    struct test *t = *state;
    token_source_release(t->source);
    loop_destroy(t->loop);
    free(t);
    return 0;
}

static void use_command(struct test *t, const char *script)
{
    const char *const command[] = {"/bin/sh", "-c", script, NULL};
    assert_int_equal(
        token_source_create(&(struct token_source_options){.command = command}, &t->source), OK);
}

static void use_environment(struct test *t, const char *value)
{
    const struct token_source_options options = {.environment = "SIDECAR_TEST_TOKEN"};
    assert_int_equal(setenv("SIDECAR_TEST_TOKEN", value, 1), 0);
    assert_int_equal(token_source_create(&options, &t->source), OK);
}

static void on_token(void *context, enum err result, struct bytes token, const char *why)
{
    struct test *t = context;
    t->calls++;
    t->result = result;
    (void)snprintf(t->token, sizeof(t->token), "%.*s", (int)token.size,
                   token.size == 0 ? "" : (const char *)token.data);
    (void)snprintf(t->why, sizeof(t->why), "%s", why == NULL ? "(none)" : why);
    loop_stop(t->loop);
}

static struct token_read *start(struct test *t)
{
    struct token_read *read = NULL;
    assert_int_equal(token_read_start(t->loop, t->source, on_token, t, &read), OK);
    assert_int_equal(t->calls, 0); /* never from inside */
    return read;
}

static void test_the_token_comes_later(void **state)
{
    struct test *t = *state;
    use_environment(t, "from the environment");
    (void)start(t);
    loop_run(t->loop);
    assert_int_equal(t->calls, 1);
    assert_int_equal(t->result, OK);
    assert_string_equal(t->token, "from the environment");
    assert_string_equal(t->why, "(none)");
}

static void test_a_command_runs_beside_the_loop(void **state)
{
    struct test *t = *state;
    use_command(t, "echo from a command");
    (void)start(t);
    token_source_release(t->source); /* a reload, meanwhile */
    t->source = NULL;
    loop_run(t->loop);
    assert_int_equal(t->result, OK);
    assert_string_equal(t->token, "from a command");
}

static void test_a_failure_says_why(void **state)
{
    struct test *t = *state;
    use_command(t, "exit 1");
    (void)start(t);
    loop_run(t->loop);
    assert_int_equal(t->result, ERR_DENIED);
    assert_string_equal(t->token, "");
    assert_non_null(strstr(t->why, "its exit code is not 0"));
}

static void stop_loop(void *context)
{
    loop_stop(((struct test *)context)->loop);
}

static void test_no_answer_after_a_cancel(void **state)
{
    struct test *t = *state;
    use_environment(t, "never given");
    token_read_cancel(start(t));
    assert_int_equal(loop_post(t->loop, stop_loop, t), OK); /* behind the answer */
    loop_run(t->loop);
    assert_int_equal(t->calls, 0);
    token_read_cancel(NULL);
}

/* The command ends when the test lets it, after the loop. The thread that waits for it finds the
 * loop closed, and frees what is its own (LeakSanitizer and AddressSanitizer look on). */
static void test_the_loop_may_end_first(void **state)
{
    struct test *t = *state;
    char script[700], go[512];
    const char *dir = getenv("TEST_TMPDIR");
    (void)snprintf(go, sizeof(go), "%s/go", dir == NULL ? "/tmp" : dir);
    (void)unlink(go);
    assert_int_equal(mkfifo(go, 0600), 0);
    (void)snprintf(script, sizeof(script), "cat '%s'", go);
    use_command(t, script);
    struct token_read *read = start(t);
    token_read_cancel(read);
    loop_destroy(t->loop);
    t->loop = NULL;
    FILE *f = fopen(go, "wb"); /* waits until the command reads */
    assert_non_null(f);
    assert_true(fputs("late", f) >= 0);
    assert_int_equal(fclose(f), 0);
    assert_int_equal(unlink(go), 0);
    /* The thread is detached, so its end can only be seen: our own reference is the last one. */
    char tasks[64];
    (void)snprintf(tasks, sizeof(tasks), "/proc/self/task");
    struct stat status;
    for (int i = 0; i < 6000; i++) {
        assert_int_equal(stat(tasks, &status), 0);
        if (status.st_nlink <= 3) { /* ".", "..", and the one thread */
            break;
        }
        (void)usleep(10000);
    }
    assert_int_equal(status.st_nlink, 3);
    assert_int_equal(t->calls, 0);
}

static void start_once(void *context)
{
    struct test *t = context;
    struct token_read *read = NULL;
    t->calls = 0;
    enum err e = token_read_start(t->loop, t->source, on_token, t, &read);
    if (e != OK) {
        assert_true(alloc_fail_happened());
        assert_null(read);
        return;
    }
    loop_run(t->loop);
    assert_int_equal(t->calls, 1);
    assert_true(t->result == OK || alloc_fail_happened());
}

static void test_short_memory_is_an_error(void **state)
{
    struct test *t = *state;
    use_environment(t, "x");
    assert_true(alloc_fail_each(start_once, t) >= 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_the_token_comes_later, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_command_runs_beside_the_loop, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_failure_says_why, setup, teardown),
        cmocka_unit_test_setup_teardown(test_no_answer_after_a_cancel, setup, teardown),
        cmocka_unit_test_setup_teardown(test_the_loop_may_end_first, setup, teardown),
        cmocka_unit_test_setup_teardown(test_short_memory_is_an_error, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
