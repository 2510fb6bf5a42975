/* The ends of a session: the protocol's word, a side that goes, a shutdown. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/socket.h>

#include <cmocka.h>

#include "sidecar/session_fixture.h"

static void test_the_protocol_may_close_in_every_callback(void **state)
{
    struct fixture *f = *state;
    static const int callbacks[] = {CALL_AGENT_BYTES, CALL_TARGET_BYTES, CALL_GRANTED,
                                    CALL_CONNECTED, CALL_END};
    for (size_t i = 0; i < sizeof(callbacks) / sizeof(callbacks[0]); i++) {
        f->close_in = callbacks[i];
        fixture_log_in(f);
        fixture_hang_up(&f->target);
        for (int64_t end = fixture_now() + 50; fixture_now() < end && !f->agent.closed;) {
            fixture_step(f);
        }
        if (f->target.fd >= 0 && !f->agent.closed) {
            fixture_say(&f->target, "a line\n");
        }
        for (int64_t end = fixture_now() + 50; fixture_now() < end && !f->agent.closed;) {
            fixture_step(f);
        }
        fixture_hang_up(&f->agent);
        UNTIL(f, fixture_sessions(f) == 0);
        assert_int_equal(f->created, f->destroyed);
    }
    assert_int_equal(f->terminated, 0);
}

static void test_close_flushes_what_was_written(void **state)
{
    struct fixture *f = *state;
    fixture_open_session(f);
    fixture_say(&f->agent, "one\nclose\nnever\n");
    UNTIL(f, f->agent.closed);
    UNTIL(f, f->target.closed);
    assert_string_equal(f->target.got, "one\n");
}

static void test_a_target_that_goes(void **state)
{
    struct fixture *f = *state;
    fixture_open_session(f);
    fixture_say(&f->agent, "do process 1\n");
    UNTIL(f, fixture_heard(&f->target, "do process 1\n"));
    fixture_hang_up(&f->target);
    UNTIL(f, f->agent.closed);
    UNTIL(f, fixture_sessions(f) == 0);
    fixture_expect_records(f, "opened allow; intent do process 1; outcome unknown; "
                              "closed agent_disconnected");
}

/* What had not left for the first connection is not for the other one. */
static void test_another_connection_to_the_target(void **state)
{
    struct fixture *f = *state;
    fixture_open_session(f);
    fixture_say(&f->agent, "one\n");
    UNTIL(f, fixture_heard(&f->target, "one\n"));
    fixture_say(&f->target, "half a line");
    fixture_settle(f);
    fixture_say(&f->agent, "do host 1\nagain\n");
    UNTIL(f, f->target.closed);
    struct fixture_end *other = &f->second;
    UNTIL(f, other->fd >= 0);
    fixture_say(&f->agent, "two\n");
    UNTIL(f, fixture_heard(other, "two\n"));
    assert_false(fixture_heard(other, "do host 1\n"));
    fixture_say(other, "three\n");
    UNTIL(f, fixture_heard(&f->agent, "three\n"));
    assert_false(fixture_heard(&f->agent, "half a line"));
    assert_int_equal(f->failed, 0);
}

static void test_answers_are_awaited_when_the_agent_has_gone(void **state)
{
    struct fixture *f = *state;
    f->shared->times.answer = 10000;
    fixture_open_session(f);
    fixture_say(&f->agent, "do process 1\n");
    fixture_hang_up(&f->agent);
    UNTIL(f, fixture_heard(&f->target, "do process 1\n"));
    fixture_settle(f);
    assert_int_equal(fixture_sessions(f), 1);
    fixture_say(&f->target, "ok\nclose\n");
    UNTIL(f, fixture_sessions(f) == 0);
    fixture_expect_records(f, "opened allow; intent do process 1; outcome success; "
                              "closed agent_disconnected");
}

/* It is still there, but takes nothing more: as good as gone, but for what it asked already. */
static void test_an_agent_that_stops_reading_for_good(void **state)
{
    struct fixture *f = *state;
    f->shared->times.answer = 10000;
    fixture_open_session(f);
    fixture_say(&f->agent, "do process 1\ndo process 2\n");
    UNTIL(f, fixture_heard(&f->target, "do process 2\n"));
    assert_int_equal(shutdown(f->agent.fd, SHUT_RD), 0);
    f->agent.deaf = true;
    fixture_say(&f->target, "ok\n");
    fixture_settle(f);
    fixture_say(&f->target, "ok\nclose\n");
    UNTIL(f, fixture_sessions(f) == 0);
    fixture_expect_records(f, "opened allow; intent do process 1; intent do process 2; "
                              "outcome success; outcome success; closed agent_disconnected");
}

static void test_answers_are_not_awaited_for_ever(void **state)
{
    struct fixture *f = *state;
    f->shared->times.answer = 30;
    fixture_open_session(f);
    fixture_say(&f->agent, "do process 1\n");
    UNTIL(f, fixture_heard(&f->target, "do process 1\n"));
    fixture_hang_up(&f->agent);
    UNTIL(f, fixture_sessions(f) == 0);
    fixture_expect_records(f, "opened allow; intent do process 1; outcome unknown; "
                              "closed agent_disconnected");
}

/* ---- a shutdown --------------------------------------------------------------------------- */

static void test_a_shutdown_ends_idle_sessions_at_once(void **state)
{
    struct fixture *f = *state;
    fixture_open_session(f);
    f->shared->draining = true;
    session_drain(fixture_session(f));
    UNTIL(f, f->agent.closed);
    assert_int_equal(f->terminate_code, ERR_CLOSED);
    UNTIL(f, f->empties == 1);
    fixture_expect_records(f, "opened allow; closed shutdown");
}

static void test_a_shutdown_lets_an_operation_end(void **state)
{
    struct fixture *f = *state;
    fixture_start_running(f);
    f->shared->draining = true;
    session_drain(fixture_session(f));
    fixture_settle(f);
    assert_int_equal(fixture_sessions(f), 1);
    assert_int_equal(f->terminated, 0);
    fixture_say(&f->target, "ok\n");
    UNTIL(f, f->agent.closed);
    assert_true(fixture_heard(&f->agent, "ok\nterminated: the sidecar is shutting down\n"));
    UNTIL(f, f->empties == 1);
    fixture_expect_records(f, "opened allow; intent do process 1; outcome success; "
                              "closed shutdown");
}

static void test_a_shutdown_ends_logins_at_once(void **state)
{
    struct fixture *f = *state;
    f->control.silent = true;
    fixture_log_in(f);
    UNTIL(f, f->control.asked == 1);
    f->shared->draining = true;
    session_drain(fixture_session(f));
    UNTIL(f, f->empties == 1);
    assert_int_equal(f->terminate_code, ERR_CLOSED);
}

static void test_an_abort_does_not_wait(void **state)
{
    struct fixture *f = *state;
    fixture_start_running(f);
    f->shared->draining = true;
    session_drain(fixture_session(f));
    session_abort(fixture_session(f));
    UNTIL(f, f->agent.closed);
    UNTIL(f, fixture_heard(&f->second, "cancel\n"));
    fixture_hang_up(&f->second);
    UNTIL(f, f->empties == 1);
    fixture_expect_records(f, "opened allow; intent do process 1; outcome unknown; "
                              "closed shutdown");
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_the_protocol_may_close_in_every_callback),
        CASE(test_close_flushes_what_was_written),
        CASE(test_a_target_that_goes),
        CASE(test_another_connection_to_the_target),
        CASE(test_answers_are_awaited_when_the_agent_has_gone),
        CASE(test_an_agent_that_stops_reading_for_good),
        CASE(test_answers_are_not_awaited_for_ever),
        CASE(test_a_shutdown_ends_idle_sessions_at_once),
        CASE(test_a_shutdown_lets_an_operation_end),
        CASE(test_a_shutdown_ends_logins_at_once),
        CASE(test_an_abort_does_not_wait),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
