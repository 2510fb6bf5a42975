/* Orders to end a session, and the second connection, which stops what runs on the target. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <unistd.h>

#include <cmocka.h>

#include "sidecar/control/control.h"
#include "sidecar/session_fixture.h"

static void kill_session(struct session *s, const char *by, const char *reason)
{
    const struct control_kill order = {.order = "0199e9a2-0000-7000-8000-000000000009",
                                       .session = session_id(s),
                                       .identity = "",
                                       .resource = "",
                                       .ordered_by = by,
                                       .reason = reason,
                                       .ordered_unix_ns = 1700000000000000000};
    session_kill(s, &order);
}

static void test_a_kill_stops_what_runs(void **state)
{
    struct fixture *f = *state;
    f->shared->times.second = 10000;
    fixture_start_running(f);
    struct session *s = fixture_session(f);
    kill_session(s, "alice", "enough");
    kill_session(s, "bob", "again"); /* it is over already */
    UNTIL(f, f->agent.closed);
    assert_string_equal(f->agent.got,
                        "ready\nterminated: the session was ended by alice: enough\n");
    UNTIL(f, f->target.closed);
    UNTIL(f, fixture_heard(&f->second, "cancel\n"));
    /* The session is over, but for its second connection. */
    fixture_settle(f);
    assert_int_equal(fixture_sessions(f), 1);
    assert_int_equal(f->destroyed, 0);
    assert_false(f->second.closed);
    f->shared->times.stop_again = 1;
    for (int i = 0; i < SESSION_STOP_AGAIN; i++) { /* what runs may have begun after it */
        f->second.got[0] = '\0';
        fixture_hang_up(&f->second); /* as a server does when it has the request */
        UNTIL(f, fixture_heard(&f->second, "cancel\n"));
        assert_int_equal(fixture_sessions(f), 1);
    }
    fixture_hang_up(&f->second);
    UNTIL(f, fixture_sessions(f) == 0);
    assert_int_equal(f->metrics.cancels, 1 + SESSION_STOP_AGAIN);
    assert_int_equal(f->metrics.sessions_killed, 1);
    fixture_expect_records(f, "opened allow; intent do process 1; outcome unknown; "
                              "closed killed by alice");
}

static bool is_meant(struct session *s, const char *id, const char *identity, const char *resource,
                     bool all)
{
    const struct control_kill order = {.order = "",
                                       .session = id,
                                       .identity = identity,
                                       .resource = resource,
                                       .all = all,
                                       .ordered_by = "alice",
                                       .reason = ""};
    return session_is_meant(s, &order);
}

static void test_an_order_before_the_grant(void **state)
{
    struct fixture *f = *state;
    f->control.silent = true;
    fixture_log_in(f);
    UNTIL(f, f->control.asked == 1);
    struct session *s = fixture_session(f);
    /* Who the agent is, is not known yet. */
    assert_false(is_meant(s, "", "agent-7", "", false));
    assert_true(is_meant(s, "", "", "shop", false));
    assert_true(is_meant(s, "", "", "", true));
    kill_session(s, "alice", "");
    UNTIL(f, fixture_sessions(f) == 0);
}

static void test_whom_an_order_is_about(void **state)
{
    struct fixture *f = *state;
    f->shared->times.second = 30;
    fixture_start_running(f);
    struct session *s = fixture_session(f);
    assert_true(is_meant(s, "", "agent-7", "", false));
    assert_true(is_meant(s, session_id(s), "", "", false));
    assert_false(is_meant(s, "", "agent-70", "", false));
    assert_false(is_meant(s, "", "agent", "", false));
    assert_false(is_meant(s, "", "", "another", false));
    assert_false(is_meant(s, "another", "", "", false));
    assert_false(is_meant(s, "", "", "", false));
    kill_session(s, "alice", "");
    assert_false(is_meant(s, "", "", "", true)); /* it has ended */
    UNTIL(f, fixture_sessions(f) == 0);
}

static void test_a_second_connection_has_an_end(void **state)
{
    struct fixture *f = *state;
    f->shared->times.second = 30;
    fixture_start_running(f);
    kill_session(fixture_session(f), "alice", "");
    UNTIL(f, fixture_sessions(f) == 0); /* the target never closes it */
    UNTIL(f, f->second.closed);
}

static void test_a_second_connection_beside_the_first(void **state)
{
    struct fixture *f = *state;
    fixture_start_running(f);
    for (int i = 0; i < 3; i++) {
        fixture_say(&f->agent, "second\nsecond\n"); /* one at a time */
        UNTIL(f, fixture_heard(&f->second, "cancel\n"));
        fixture_hang_up(&f->second);
        f->second.got[0] = '\0';
        fixture_settle(f);
    }
    assert_int_equal(f->metrics.cancels, 3);
    fixture_say(&f->target, "ok\n");
    UNTIL(f, fixture_heard(&f->agent, "ok\n"));
}

/* The target does not accept it (no answer at all, or a refusal): the session goes on. */
static void test_a_second_connection_that_fails(void **state)
{
    struct fixture *f = *state;
    fixture_start_running(f);
    (void)close(f->listening);
    f->listening = open("/dev/null", O_RDONLY | O_CLOEXEC);
    fixture_say(&f->agent, "second\n");
    fixture_settle(f);
    assert_int_equal(f->failed, 0);
    fixture_say(&f->target, "ok\n");
    UNTIL(f, fixture_heard(&f->agent, "ok\n"));
}

static void test_a_kill_during_the_login(void **state)
{
    struct fixture *f = *state;
    f->control.silent = true;
    fixture_log_in(f);
    UNTIL(f, f->control.asked == 1);
    kill_session(fixture_session(f), "alice", "");
    UNTIL(f, f->agent.closed);
    assert_string_equal(f->agent.got, "terminated: the session was ended by alice\n");
    assert_int_equal(f->control.cancelled, 1);
    UNTIL(f, fixture_sessions(f) == 0);
    fixture_expect_records(f, "opened deny killed");
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_a_kill_stops_what_runs),
        CASE(test_a_second_connection_has_an_end),
        CASE(test_whom_an_order_is_about),
        CASE(test_an_order_before_the_grant),
        CASE(test_a_second_connection_beside_the_first),
        CASE(test_a_second_connection_that_fails),
        CASE(test_a_kill_during_the_login),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
