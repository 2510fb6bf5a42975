/* What must be recorded first: the gate, what lasts by a later operation, a full spool. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "sidecar/session_fixture.h"

/* ---- the gate ----------------------------------------------------------------------------- */

static void test_what_is_not_durable_does_not_leave(void **state)
{
    struct fixture *f = *state;
    fixture_open_session(f);
    fixture_block_disk(f, true);
    fixture_say(&f->agent, "before\ndo process 1\ndo host 2\nbehind\ndo process 3\n");
    UNTIL(f, fixture_heard(&f->target, "do process 1\n"));
    fixture_say(&f->agent, "do host 4\nlast\n");
    fixture_settle(f);
    assert_string_equal(f->target.got, "before\ndo process 1\n");
    /* Answers to what has left come meanwhile. */
    fixture_say(&f->target, "ok\n");
    UNTIL(f, fixture_heard(&f->agent, "ok\n"));
    assert_string_equal(f->target.got, "before\ndo process 1\n");
    fixture_block_disk(f, false);
    UNTIL(f, fixture_heard(&f->target, "last\n"));
    assert_string_equal(f->target.got, "before\ndo process 1\ndo host 2\nbehind\ndo process 3\n"
                                       "do host 4\nlast\n");
}

static void test_the_fleet_must_have_it(void **state)
{
    struct fixture *f = *state;
    fixture_open_session(f);
    fixture_say(&f->agent, "do fleet 1\n");
    UNTIL(f, f->metrics.operations_allowed == 1);
    fixture_settle(f);
    assert_string_equal(f->target.got, "");
    recorder_acknowledge(f->recorder, recorder_last_sequence(f->recorder), NULL);
    UNTIL(f, fixture_heard(&f->target, "do fleet 1\n"));
}

/* The stronger level counts for all that is behind it, whichever came first. */
static void test_levels_that_follow_each_other(void **state)
{
    struct fixture *f = *state;
    fixture_open_session(f);
    fixture_block_disk(f, true);
    fixture_say(&f->agent, "do host 1\ndo fleet 2\ndo host 3\n");
    UNTIL(f, f->metrics.operations_allowed == 3);
    fixture_block_disk(f, false);
    fixture_settle(f);
    assert_string_equal(f->target.got, "");
    recorder_acknowledge(f->recorder, recorder_last_sequence(f->recorder), NULL);
    UNTIL(f, fixture_heard(&f->target, "do host 3\n"));
    assert_string_equal(f->target.got, "do host 1\ndo fleet 2\ndo host 3\n");
}

static void test_a_disk_that_fails_lets_nothing_through(void **state)
{
    struct fixture *f = *state;
    fixture_open_session(f);
    fixture_fail_disk(f, EIO);
    fixture_say(&f->agent, "do host 1\nbehind\n");
    UNTIL(f, f->agent.closed);
    assert_true(
        fixture_heard(&f->agent, "terminated: the operation could not be recorded durably\n"));
    assert_int_equal(f->terminate_code, ERR_FULL);
    UNTIL(f, f->target.closed);
    assert_string_equal(f->target.got, "");
    UNTIL(f, fixture_sessions(f) == 0);
}

/* An hour later the agent has long given up: it must not happen then. */
static void test_what_is_not_durable_in_time_never_leaves(void **state)
{
    struct fixture *f = *state;
    f->shared->times.durable = 50;
    fixture_open_session(f);
    fixture_say(&f->agent, "do fleet 1\n");
    UNTIL(f, f->agent.closed);
    assert_int_equal(f->terminate_code, ERR_FULL);
    UNTIL(f, f->target.closed);
    assert_string_equal(f->target.got, "");
    UNTIL(f, fixture_sessions(f) == 0);
    fixture_expect_records(f, "opened allow; intent do fleet 1; outcome unknown; "
                              "closed recording_failed");
}

static void test_a_gate_that_opens_in_time_has_no_late_effect(void **state)
{
    struct fixture *f = *state;
    f->shared->times.durable = 1500;
    fixture_open_session(f);
    fixture_say(&f->agent, "do fleet 1\n");
    UNTIL(f, f->metrics.operations_allowed == 1);
    recorder_acknowledge(f->recorder, recorder_last_sequence(f->recorder), NULL);
    UNTIL(f, fixture_heard(&f->target, "do fleet 1\n"));
    int64_t end = fixture_now() + 2000;
    UNTIL(f, fixture_now() > end);
    assert_int_equal(f->terminated, 0);
    assert_int_equal(fixture_sessions(f), 1);
}

static void test_an_agent_that_goes_while_the_gate_is_closed(void **state)
{
    struct fixture *f = *state;
    f->shared->times.answer = 10000;
    fixture_open_session(f);
    fixture_block_disk(f, true);
    fixture_say(&f->agent, "do host 1\n");
    UNTIL(f, f->metrics.operations_allowed == 1);
    fixture_hang_up(&f->agent);
    fixture_settle(f);
    fixture_block_disk(f, false);
    UNTIL(f, fixture_heard(&f->target, "do host 1\n"));
    fixture_say(&f->target, "ok\n");
    UNTIL(f, fixture_sessions(f) == 0);
    fixture_expect_records(f, "opened allow; intent do host 1; outcome success; "
                              "closed agent_disconnected");
}

/* ---- what lasts by a later operation ------------------------------------------------------ */

static void test_what_is_provisional_does_not_wait(void **state)
{
    struct fixture *f = *state;
    fixture_open_session(f);
    fixture_block_disk(f, true);
    fixture_say(&f->agent, "do default provisional 1\ndo process provisional 2\n"
                           "do default provisional 3\n");
    UNTIL(f, fixture_heard(&f->target, "do default provisional 3\n"));
    fixture_say(&f->target, "ok\nok\nok\n");
    UNTIL(f, fixture_heard(&f->agent, "ok\nok\nok\n"));
    fixture_block_disk(f, false);
}

/* Whatever it is and whatever its own level: it may make the others last. */
static void test_what_follows_it_waits_for_all_of_it(void **state)
{
    static const char *const enders[] = {"do process commit\n", "do host commit\n",
                                         "do default commit\n", "do host provisional\n",
                                         "prepare\n",           "settle\n"};
    struct fixture *f = *state;
    fixture_open_session(f);
    for (size_t i = 0; i < sizeof(enders) / sizeof(enders[0]); i++) {
        char expected[256];
        f->target.size = 0;
        f->target.got[0] = '\0';
        fixture_block_disk(f, true);
        fixture_say(&f->agent, "do default provisional\n");
        fixture_say(&f->agent, enders[i]);
        fixture_say(&f->agent, "behind\n");
        UNTIL(f, fixture_heard(&f->target, "do default provisional\n"));
        fixture_settle(f);
        assert_string_equal(f->target.got, "do default provisional\n");
        fixture_block_disk(f, false);
        UNTIL(f, fixture_heard(&f->target, "behind\n"));
        (void)snprintf(expected, sizeof(expected), "do default provisional\n%sbehind\n", enders[i]);
        assert_string_equal(f->target.got, expected);
    }
}

/* Once they are on the disk nothing has to wait for them, and with none nothing waits at all. */
static void test_what_is_settled_is_waited_for_once(void **state)
{
    struct fixture *f = *state;
    fixture_open_session(f);
    fixture_say(&f->agent, "do default provisional 1\ndo process commit\n");
    UNTIL(f, fixture_heard(&f->target, "do process commit\n"));
    fixture_block_disk(f, true);
    fixture_say(&f->agent, "do process 2\nsettle\ndo process provisional 3\ndo process 4\n");
    UNTIL(f, fixture_heard(&f->target, "do process 4\n"));
    fixture_block_disk(f, false);
}

static void test_behind_a_gate_provisional_operations_wait_too(void **state)
{
    struct fixture *f = *state;
    fixture_open_session(f);
    fixture_block_disk(f, true);
    fixture_say(&f->agent, "do host 1\ndo default provisional 2\ndo process commit\n");
    UNTIL(f, f->metrics.operations_allowed == 3);
    fixture_settle(f);
    assert_string_equal(f->target.got, "");
    fixture_block_disk(f, false);
    UNTIL(f, fixture_heard(&f->target, "do process commit\n"));
    assert_string_equal(f->target.got, "do host 1\ndo default provisional 2\ndo process commit\n");
}

static void test_what_a_rule_asks_for_counts_for_each(void **state)
{
    struct fixture *f = *state;
    fixture_open_session(f);
    fixture_block_disk(f, true);
    fixture_say(&f->agent, "do host provisional 1\n");
    UNTIL(f, f->metrics.operations_allowed == 1);
    fixture_settle(f);
    assert_string_equal(f->target.got, "");
    fixture_block_disk(f, false);
    UNTIL(f, fixture_heard(&f->target, "do host provisional 1\n"));
    fixture_say(&f->agent, "do fleet provisional 2\n");
    UNTIL(f, f->metrics.operations_allowed == 2);
    fixture_settle(f);
    assert_string_equal(f->target.got, "do host provisional 1\n");
    recorder_acknowledge(f->recorder, recorder_last_sequence(f->recorder), NULL);
    UNTIL(f, fixture_heard(&f->target, "do fleet provisional 2\n"));
}

/* The target undoes what it was given: it has lost its client. */
static void test_a_disk_that_fails_ends_what_is_provisional(void **state)
{
    struct fixture *f = *state;
    fixture_open_session(f);
    fixture_block_disk(f, true);
    fixture_say(&f->agent, "do default provisional\ndo process commit\n");
    UNTIL(f, f->metrics.operations_allowed == 2);
    fixture_fail_disk(f, EIO);
    fixture_block_disk(f, false);
    UNTIL(f, f->agent.closed);
    assert_true(
        fixture_heard(&f->agent, "terminated: the operation could not be recorded durably\n"));
    UNTIL(f, f->target.closed);
    assert_string_equal(f->target.got, "do default provisional\n");
    UNTIL(f, fixture_sessions(f) == 0);
}

static void test_a_held_operation_waits_for_what_is_provisional(void **state)
{
    struct fixture *f = *state;
    fixture_open_session(f);
    fixture_block_disk(f, true);
    fixture_say(&f->agent, "do default provisional\ndo hold provisional too\n");
    UNTIL(f, f->hold.asked == 1);
    fixture_push_decision(f, CHAPERONE__V1__APPROVAL_STATE__APPROVED);
    fixture_settle(f);
    assert_string_equal(f->target.got, "do default provisional\n");
    fixture_block_disk(f, false);
    UNTIL(f, fixture_heard(&f->target, "do hold provisional too\n"));
}

/* ---- a full spool ------------------------------------------------------------------------- */

static void test_what_cannot_be_recorded_does_not_happen(void **state)
{
    struct fixture *f = *state;
    fixture_open_session(f);
    fixture_fill_spool(f);
    char line[5000];
    (void)snprintf(line, sizeof(line), "do process %04000d\n", 0);
    fixture_say(&f->agent, line);
    UNTIL(f, fixture_heard(&f->agent, "refused\n"));
    fixture_settle(f);
    assert_string_equal(f->target.got, "");
    assert_int_equal(f->metrics.operations_refused, 1);
    assert_true(f->metrics.record_failures > 0);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_what_is_not_durable_does_not_leave),
        CASE(test_the_fleet_must_have_it),
        CASE(test_levels_that_follow_each_other),
        CASE(test_a_disk_that_fails_lets_nothing_through),
        CASE(test_what_is_not_durable_in_time_never_leaves),
        CASE(test_a_gate_that_opens_in_time_has_no_late_effect),
        CASE(test_an_agent_that_goes_while_the_gate_is_closed),
        CASE(test_what_is_provisional_does_not_wait),
        CASE(test_what_follows_it_waits_for_all_of_it),
        CASE(test_what_is_settled_is_waited_for_once),
        CASE(test_behind_a_gate_provisional_operations_wait_too),
        CASE(test_what_a_rule_asks_for_counts_for_each),
        CASE(test_a_disk_that_fails_ends_what_is_provisional),
        CASE(test_a_held_operation_waits_for_what_is_provisional),
        CASE(test_what_cannot_be_recorded_does_not_happen),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
