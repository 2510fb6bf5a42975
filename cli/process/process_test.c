#include "cli/process/process.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "cli/process/service.h"

static struct process start(const char *script, bool background, const char *log_file)
{
    char *argv[] = {(char *)(uintptr_t) "sh", (char *)(uintptr_t) "-c", (char *)(uintptr_t)script,
                    NULL};
    struct process_options options = {.argv = argv, .background = background, .log_file = log_file};
    struct process p;
    struct err_text error = {0};
    assert_int_equal(process_start(&options, &p, &error), OK);
    return p;
}

static void test_exit_codes_are_those_of_a_shell(void **state)
{
    (void)state;
    char end[PROCESS_END_SIZE];
    struct process p = start("exit 7", false, NULL);
    assert_true(process_wait(&p, -1));
    assert_int_equal(process_exit_code(&p), 7);
    process_describe_end(&p, end);
    assert_string_equal(end, "exit code 7");
    p = start("kill -9 $$", false, NULL);
    assert_true(process_wait(&p, -1));
    assert_int_equal(process_exit_code(&p), 128 + SIGKILL);
    process_describe_end(&p, end);
    assert_string_equal(end, "signal 9 (Killed)");
}

static void test_what_cannot_be_started(void **state)
{
    (void)state;
    struct process p;
    struct err_text error = {0};
    char *missing[] = {(char *)(uintptr_t) "/nowhere/at-all", NULL};
    char *directory[] = {(char *)(uintptr_t) "/tmp", NULL};
    struct process_options options = {.argv = missing};
    assert_int_equal(process_start(&options, &p, &error), ERR_NOT_FOUND);
    assert_non_null(strstr(error.text, "/nowhere/at-all"));
    options.argv = directory;
    assert_int_equal(process_start(&options, &p, &error), ERR_DENIED);
    assert_int_equal(p.fd, -1);
}

static void test_stop_is_gentle_first(void **state)
{
    (void)state;
    int ready[2];
    int hurry[2];
    char byte = 0;
    assert_int_equal(pipe(ready), 0);
    assert_int_equal(pipe(hurry), 0);
    char script[128];
    (void)snprintf(script, sizeof(script),
                   "trap 'exit 3' TERM; echo >&%d; while :; do sleep 0.01; done", ready[1]);
    struct process p = start(script, true, NULL);
    assert_int_equal(read(ready[0], &byte, 1), 1);
    assert_false(process_wait(&p, 0));
    assert_true(process_stop(&p, 60000, -1));
    assert_int_equal(process_exit_code(&p), 3);
    assert_true(process_stop(&p, 60000, -1)); /* again does nothing */
    /* Told to hurry, it is asked again before it is killed. */
    (void)snprintf(
        script, sizeof(script),
        "trap 'trap \"exit 4\" TERM; echo >&%d' TERM; echo >&%d; while :; do sleep 0.01; done",
        hurry[1], ready[1]);
    p = start(script, true, NULL);
    assert_int_equal(read(ready[0], &byte, 1), 1);
    assert_true(process_stop(&p, 60000, hurry[0]));
    assert_int_equal(process_exit_code(&p), 4);
    (void)snprintf(script, sizeof(script), "trap '' TERM; echo >&%d; while :; do sleep 0.01; done",
                   ready[1]);
    p = start(script, true, NULL);
    assert_int_equal(read(ready[0], &byte, 1), 1);
    assert_false(process_stop(&p, 50, -1));
    assert_int_equal(process_exit_code(&p), 128 + SIGKILL);
    (void)close(ready[0]);
    (void)close(ready[1]);
    (void)close(hurry[0]);
    (void)close(hurry[1]);
}

static char *log_name(void)
{
    const char *directory = getenv("TEST_TMPDIR");
    char path[PATH_MAX];
    (void)snprintf(path, sizeof(path), "%s/log.XXXXXX", directory == NULL ? "/tmp" : directory);
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    (void)close(fd);
    return strdup(path);
}

static void test_the_end_of_a_log(void **state)
{
    (void)state;
    char *log = log_name();
    struct process p = start("for i in 1 2 3; do echo before $i; done", true, log);
    assert_true(process_wait(&p, -1));
    long offset = service_log_size(log);
    p = start("for i in $(seq 20); do printf 'line \\033 %d\\n' $i; done", true, log);
    assert_true(process_wait(&p, -1));
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    service_print_log_tail(out, log, offset);
    assert_int_equal(fclose(out), 0);
    assert_null(strstr(text, "before"));
    assert_null(strstr(text, "\x1b"));
    assert_int_equal(strncmp(text, "  line \\x1b 9\n", 14), 0);
    assert_non_null(strstr(text, "line \\x1b 20\n"));
    free(text);
    (void)unlink(log);
    free(log);
}

static void test_ports(void **state)
{
    (void)state;
    uint16_t port = 0;
    uint16_t again = 0;
    char reason[SERVICE_REASON_SIZE];
    struct err_text error = {0};
    assert_int_equal(service_free_port(0, &port), OK);
    assert_true(port > 0);
    assert_int_equal(service_free_port(port, &again), OK);
    assert_int_not_equal(again, port); /* nobody listens there yet, but somebody was given it */
    assert_int_equal(service_check_listen("127.0.0.1", port, &error), OK);
    assert_int_equal(service_check_listen("203.0.113.7", port, &error), ERR_IO);
    assert_false(service_accepts("127.0.0.1", port, 1000));
    char address[32];
    (void)snprintf(address, sizeof(address), "127.0.0.1:%u", port);
    assert_int_equal(service_ask_ready(address, reason), SERVICE_NO_ANSWER);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_exit_codes_are_those_of_a_shell),
        cmocka_unit_test(test_what_cannot_be_started),
        cmocka_unit_test(test_stop_is_gentle_first),
        cmocka_unit_test(test_the_end_of_a_log),
        cmocka_unit_test(test_ports),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
