/* A command that is run by another process than the one that asks. */
#include "sidecar/token_helper.h"

#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

struct asked {
    struct token_helper *helper;
    struct buffer token;
    struct err_text why;
    enum err result;
};

static struct token_source_options options_of(const char *const *command)
{
    return (struct token_source_options){.command = command, .command_timeout_ms = 60000};
}

static struct token_helper *start(const char *script)
{
    const char *const command[] = {"/bin/sh", "-c", script, NULL};
    const struct token_source_options options = options_of(command);
    struct token_helper *helper = NULL;
    assert_int_equal(token_helper_start(&options, &helper, NULL), OK);
    return helper;
}

static void *ask(void *context)
{
    struct asked *a = context;
    buffer_init(&a->token, TOKEN_MAX);
    a->result = token_helper_read(a->helper, &a->token, &a->why);
    return NULL;
}

static void test_it_runs_its_command_each_time(void **state)
{
    (void)state;
    struct token_helper *helper = start("echo \" $PPID \"");
    struct asked first = {.helper = helper}, second = {.helper = helper};
    (void)ask(&first);
    (void)ask(&second);
    assert_int_equal(first.result, OK);
    assert_int_equal(second.result, OK);
    /* Run by a process that is not this one, nor the same twice. */
    char own[16];
    (void)snprintf(own, sizeof(own), "%d", (int)getpid());
    assert_false(bytes_equal_string(buffer_bytes(&first.token), own));
    assert_false(bytes_equal(buffer_bytes(&first.token), buffer_bytes(&second.token)));
    assert_true(first.token.data[first.token.start] > ' '); /* without white space around it */
    buffer_wipe(&first.token);
    buffer_wipe(&second.token);
    token_helper_release(helper);
}

static void test_a_failure_is_told_as_without_it(void **state)
{
    (void)state;
    struct token_helper *helper = start("echo secret; exit 3");
    struct asked a = {.helper = helper};
    (void)ask(&a);
    assert_int_equal(a.result, ERR_DENIED);
    assert_int_equal(buffer_size(&a.token), 0);
    assert_string_equal(a.why.text,
                        "the agent's token command /bin/sh failed: its exit code is not 0");
    token_helper_release(helper);
}

static void test_a_token_of_the_largest_size(void **state)
{
    (void)state;
    struct token_helper *helper = start("head -c 16384 /dev/zero | tr '\\0' x");
    struct asked a = {.helper = helper};
    (void)ask(&a);
    assert_int_equal(a.result, OK);
    assert_int_equal(buffer_size(&a.token), TOKEN_MAX);
    buffer_wipe(&a.token);
    token_helper_release(helper);
}

static void test_many_ask_at_a_time(void **state)
{
    enum { MANY = 8 };
    struct asked asked[MANY];
    pthread_t threads[MANY];
    (void)state;
    struct token_helper *helper = start("echo token-$PPID");
    for (size_t i = 0; i < MANY; i++) {
        asked[i] = (struct asked){.helper = helper};
        assert_int_equal(pthread_create(&threads[i], NULL, ask, &asked[i]), 0);
    }
    for (size_t i = 0; i < MANY; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        assert_int_equal(asked[i].result, OK);
        for (size_t j = 0; j < i; j++) { /* none gets another's answer */
            assert_false(bytes_equal(buffer_bytes(&asked[i].token), buffer_bytes(&asked[j].token)));
        }
    }
    for (size_t i = 0; i < MANY; i++) {
        buffer_wipe(&asked[i].token);
    }
    token_helper_release(helper);
}

static void test_a_helper_that_was_killed(void **state)
{
    (void)state;
    struct token_helper *helper = start("kill -9 $(cut -d' ' -f4 /proc/$PPID/stat)");
    struct asked first = {.helper = helper}, then = {.helper = helper};
    (void)ask(&first); /* the command killed the helper, not who waits for this answer */
    assert_int_equal(waitpid(-1, NULL, 0) > 0, 1);
    (void)ask(&then);
    assert_int_equal(then.result, ERR_CLOSED);
    assert_non_null(strstr(then.why.text, "restart the sidecar"));
    buffer_wipe(&first.token);
    token_helper_release(helper);
}

static void test_it_ends_with_who_asks(void **state)
{
    (void)state;
    token_helper_release(start("true"));
    assert_true(waitpid(-1, NULL, 0) > 0);
}

static void test_only_its_own_command(void **state)
{
    static const char *const same[] = {"/bin/sh", "-c", "true", NULL};
    static const char *const longer[] = {"/bin/sh", "-c", "true", "x", NULL};
    static const char *const other[] = {"/bin/sh", "-c", "false", NULL};
    (void)state;
    struct token_source_options options = options_of(same);
    struct err_text why = {0};
    assert_int_equal(token_helper_check(&options, &why), ERR_INVALID); /* nobody runs it */
    assert_non_null(strstr(why.text, "at the next start only"));
    options.helper = start("true");
    assert_int_equal(token_helper_check(&options, NULL), OK);
    options.command = longer;
    assert_int_equal(token_helper_check(&options, NULL), ERR_INVALID);
    options.command = other;
    assert_int_equal(token_helper_check(&options, NULL), ERR_INVALID);
    options.command = NULL;
    assert_int_equal(token_helper_check(&options, NULL), OK);
    token_helper_release(options.helper);
    assert_true(waitpid(-1, NULL, 0) > 0);
}

/* Each waits for its own children only: those of the tests before are there until they end. */
static int reap_all(void **state)
{
    (void)state;
    while (waitpid(-1, NULL, 0) > 0) {
    }
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_it_runs_its_command_each_time, reap_all),
        cmocka_unit_test_teardown(test_a_failure_is_told_as_without_it, reap_all),
        cmocka_unit_test_teardown(test_a_token_of_the_largest_size, reap_all),
        cmocka_unit_test_teardown(test_many_ask_at_a_time, reap_all),
        cmocka_unit_test_teardown(test_a_helper_that_was_killed, reap_all),
        cmocka_unit_test_teardown(test_it_ends_with_who_asks, reap_all),
        cmocka_unit_test_teardown(test_only_its_own_command, reap_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
