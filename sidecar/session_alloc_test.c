/* A failed allocation ends a session, not the process: each allocation of a whole session fails in
 * turn. Nothing leaks, nothing hangs, and no operation leaves that was not recorded. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/testing/alloc_fail.h"
#include "sidecar/session_fixture.h"

struct run {
    struct fixture *f;
    const char *script; /* behind the login */
    const char *end;    /* of what the agent hears when all went well */
    size_t whole;
};

static void answer_target(struct fixture *f, size_t *answered)
{
    const char *line = f->target.got + *answered;
    const char *end = strchr(line, '\n');
    while (f->target.fd >= 0 && end != NULL) {
        if (strncmp(line, "do ", 3) == 0) {
            (void)send(f->target.fd, "ok\n", 3, MSG_NOSIGNAL);
        } else if (strncmp(line, "end\n", 4) == 0) {
            (void)send(f->target.fd, "done\n", 5, MSG_NOSIGNAL);
        }
        line = end + 1;
        end = strchr(line, '\n');
    }
    *answered = (size_t)(line - f->target.got);
}

/* Until the script has had its answers, or the session its end. */
static void run_session(void *context)
{
    struct run *run = context;
    struct fixture *f = run->f;
    size_t answered = 0;
    fixture_hang_up(&f->target);
    fixture_hang_up(&f->second);
    f->target.size = 0;
    f->target.got[0] = '\0';
    if (fixture_start(f) == OK) {
        fixture_say(&f->agent, "login\n");
        bool asked = false;
        while (!f->agent.closed && !fixture_heard(&f->agent, run->end)) {
            if (!asked && fixture_heard(&f->agent, "ready\n")) {
                asked = true;
                (void)send(f->agent.fd, run->script, strlen(run->script), MSG_NOSIGNAL);
            }
            fixture_step(f);
            answer_target(f, &answered);
        }
        run->whole += fixture_heard(&f->agent, run->end);
        assert_true(fixture_heard(&f->agent, run->end) || alloc_fail_happened());
    } else {
        assert_true(alloc_fail_happened());
    }
    fixture_hang_up(&f->agent);
    UNTIL(f, directory_count(f->shared->directory) == 0);
    assert_int_equal(f->created, f->destroyed);
    assert_int_equal(f->metrics.sessions_active, 0);
    recorder_acknowledge(f->recorder, recorder_last_sequence(f->recorder), NULL);
}

static size_t check(struct fixture *f, const char *script, const char *end)
{
    struct run run = {.f = f, .script = script, .end = end};
    f->shared->times =
        (struct session_times){.login = 5000, .answer = 30, .second = 30, .durable = 5000};
    /* Their first use takes memory that stays: the next runs are alike. */
    run_session(&run);
    size_t count = alloc_fail_each(run_session, &run);
    assert_true(run.whole >= 2);
    return count;
}

static void test_an_operation(void **state)
{
    struct fixture *f = *state;
    assert_true(check(f, "do process 1\n", "ok\n") >= 6);
}

/* What is kept, waits and follows. */
static void test_pieces_and_pauses(void **state)
{
    struct fixture *f = *state;
    assert_true(check(f, "do deny 1\nplain\ndo process 2\nkey k\nsecond\ndo process 3\nhalf a li",
                      "ok\nok\n") >= 8);
}

static void test_a_durable_operation(void **state)
{
    struct fixture *f = *state;
    assert_true(check(f, "before\ndo host 1\nbehind\n", "ok\n") >= 7);
}

/* Refused or released: what is behind it goes on. */
static void test_a_held_operation(void **state)
{
    struct fixture *f = *state;
    f->hold.terms.lifetime_s = 5;
    f->hold.answer = CHAPERONE__V1__APPROVAL_STATE__APPROVED;
    assert_true(check(f, "do hold 1\nend\n", "done\n") >= 15);
}

static void test_a_held_operation_that_is_denied(void **state)
{
    struct fixture *f = *state;
    f->hold.terms.lifetime_s = 5;
    f->hold.answer = CHAPERONE__V1__APPROVAL_STATE__DENIED;
    assert_true(check(f, "do hold 1\ndo hold 2\nend\n", "done\n") >= 15);
}

static void test_a_refusal(void **state)
{
    struct fixture *f = *state;
    f->control.code = RPC_PERMISSION_DENIED;
    assert_true(check(f, "", "not granted\n") >= 4);
}

/* Far more than the sockets hold, to an agent that reads slowly: the queue itself cannot grow. */
static void test_a_queue_that_cannot_grow(void **state)
{
    struct fixture *f = *state;
    static char block[4096];
    memset(block, 'x', sizeof(block) - 1);
    block[sizeof(block) - 1] = '\n';
    for (size_t n = 1; n <= 6; n++) {
        f->target.size = 0;
        fixture_open_session(f);
        fixture_say(&f->agent, "do process 1\n");
        UNTIL(f, fixture_heard(&f->target, "do process 1\n"));
        f->agent.deaf = true;
        alloc_fail_start_from(n);
        for (int i = 0; i < 500 && !f->target.closed; i++) {
            (void)send(f->target.fd, block, sizeof(block), MSG_NOSIGNAL);
            fixture_step(f);
        }
        fixture_settle(f);
        (void)alloc_fail_stop();
        if (n == 1) {
            assert_true(alloc_fail_happened());
        }
        f->agent.deaf = false;
        fixture_hang_up(&f->agent);
        fixture_hang_up(&f->target);
        UNTIL(f, directory_count(f->shared->directory) == 0);
    }
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_an_operation),
        CASE(test_pieces_and_pauses),
        CASE(test_a_durable_operation),
        CASE(test_a_held_operation),
        CASE(test_a_held_operation_that_is_denied),
        CASE(test_a_refusal),
        CASE(test_a_queue_that_cannot_grow),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
