/* The login: who gets a session, and who hears why not. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "sidecar/session_fixture.h"

static void expect_refused(struct fixture *f, enum err code, const char *why)
{
    UNTIL(f, f->agent.closed);
    assert_true(fixture_heard(&f->agent, "not granted\n"));
    assert_int_equal(f->refused_code, code);
    assert_string_equal(f->refused_why, why);
    UNTIL(f, fixture_sessions(f) == 0);
    assert_int_equal(f->metrics.sessions_refused, 1);
    assert_int_equal(f->metrics.sessions_opened, 0);
    assert_int_equal(f->target.fd, -1);
}

static void test_who_is_refused_hears_why(void **state)
{
    struct fixture *f = *state;
    f->control.code = RPC_PERMISSION_DENIED;
    fixture_log_in(f);
    expect_refused(f, ERR_DENIED, "not you");
    fixture_expect_records(f, "opened deny denied");
}

static void test_a_control_plane_that_cannot_be_asked(void **state)
{
    struct fixture *f = *state;
    f->control.start = ERR_LIMIT;
    fixture_log_in(f);
    expect_refused(f, ERR_UNAVAILABLE, "the sidecar cannot ask for the session now");
    fixture_expect_records(f, "opened deny unavailable");
}

static void test_a_grant_that_cannot_be_used(void **state)
{
    struct fixture *f = *state;
    f->control.incomplete = true;
    fixture_log_in(f);
    expect_refused(f, ERR_INTERNAL, "the control plane's grant is incomplete");
}

/* It would be cut, and the agent connected to another host than was granted. */
static void test_a_target_with_too_long_a_name(void **state)
{
    struct fixture *f = *state;
    char host[300];
    memset(host, 'h', sizeof(host) - 1);
    host[sizeof(host) - 1] = '\0';
    f->control.host = host;
    fixture_log_in(f);
    expect_refused(f, ERR_INTERNAL, "the target's name in the grant is too long");
}

static void test_no_token_no_session(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(unsetenv("SESSION_TEST_TOKEN"), 0);
    fixture_log_in(f);
    expect_refused(f, ERR_DENIED, "the environment variable SESSION_TEST_TOKEN holds no token");
    assert_int_equal(f->control.asked, 0);
}

static void test_a_token_in_band(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(unsetenv("SESSION_TEST_TOKEN"), 0);
    assert_int_equal(fixture_start(f), OK);
    fixture_say(&f->agent, "login in-band\n");
    UNTIL(f, fixture_heard(&f->agent, "ready\n"));
    assert_string_equal(f->control.token, "in-band");
}

static void test_an_agent_that_says_nothing(void **state)
{
    struct fixture *f = *state;
    f->shared->times.login = 30;
    assert_int_equal(fixture_start(f), OK);
    UNTIL(f, f->agent.closed);
    assert_string_equal(f->agent.got, "terminated: the login took too long\n");
    assert_int_equal(f->terminate_code, ERR_TIMEOUT);
    UNTIL(f, fixture_sessions(f) == 0);
    fixture_expect_records(f, "opened deny login_timeout");
}

static void test_a_control_plane_that_says_nothing(void **state)
{
    struct fixture *f = *state;
    f->shared->times.login = 2000; /* the token is read meanwhile */
    f->control.silent = true;
    fixture_log_in(f);
    UNTIL(f, f->agent.closed);
    assert_int_equal(f->control.cancelled, 1);
    assert_int_equal(f->terminate_code, ERR_TIMEOUT);
}

static void test_an_open_session_has_no_login_timeout(void **state)
{
    struct fixture *f = *state;
    f->shared->times.login = 1500;
    fixture_open_session(f);
    int64_t end = fixture_now() + 2000;
    UNTIL(f, fixture_now() > end);
    assert_int_equal(fixture_sessions(f), 1);
    assert_int_equal(f->terminated, 0);
}

static void test_a_target_that_is_not_there(void **state)
{
    struct fixture *f = *state;
    (void)close(f->listening);
    f->listening = open("/dev/null", O_RDONLY | O_CLOEXEC);
    fixture_log_in(f);
    UNTIL(f, f->agent.closed);
    assert_string_equal(f->agent.got, "failed\n");
    assert_int_equal(f->failed_side, SIDE_TARGET);
    assert_int_equal(f->failed_code, ERR_UNAVAILABLE);
    assert_int_equal(f->terminated, 0);
}

static void test_no_session_without_room_for_its_record(void **state)
{
    struct fixture *f = *state;
    fixture_fill_spool(f);
    /* Fill what is left with the smallest records of that kind. */
    for (enum err e = OK; e == OK;) {
        Chaperone__V1__Intent intent = CHAPERONE__V1__INTENT__INIT;
        Chaperone__V1__Record record = CHAPERONE__V1__RECORD__INIT;
        record.event_case = CHAPERONE__V1__RECORD__EVENT_INTENT;
        record.intent = &intent;
        e = recorder_write(f->recorder, &record, NULL);
    }
    fixture_log_in(f);
    expect_refused(f, ERR_FULL, "the session cannot be recorded");
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_who_is_refused_hears_why),
        CASE(test_a_control_plane_that_cannot_be_asked),
        CASE(test_a_grant_that_cannot_be_used),
        CASE(test_a_target_with_too_long_a_name),
        CASE(test_no_token_no_session),
        CASE(test_a_token_in_band),
        CASE(test_an_agent_that_says_nothing),
        CASE(test_a_control_plane_that_says_nothing),
        CASE(test_an_open_session_has_no_login_timeout),
        CASE(test_a_target_that_is_not_there),
        CASE(test_no_session_without_room_for_its_record),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
