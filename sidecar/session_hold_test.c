/* Operations that people decide about: what is asked, what is recorded and in which order, and that
 * nothing leaves but what was approved, once. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/socket.h>

#include <cmocka.h>

#include "sidecar/control/control.h"
#include "sidecar/session_fixture.h"

enum { KEPT = 64 << 10 }; /* of what the agent sends while people think */

static void push(struct fixture *f, Chaperone__V1__ApprovalState state)
{
    fixture_push_decision(f, state);
}

static void approve(struct fixture *f)
{
    push(f, CHAPERONE__V1__APPROVAL_STATE__APPROVED);
}

/* "do hold 1" waits: the agent knows, people are asked. */
static void hold(struct fixture *f)
{
    fixture_open_session(f);
    fixture_say(&f->agent, "do hold 1\n");
    UNTIL(f, fixture_heard(&f->agent, "held\n") && f->hold.asked == 1);
    fixture_step(f);
    assert_string_equal(f->target.got, "");
}

static void expect_refused(struct fixture *f, const char *why)
{
    UNTIL(f, fixture_heard(&f->agent, why));
    fixture_say(&f->agent, "do process 2\n");
    UNTIL(f, fixture_heard(&f->target, "do process 2\n"));
    assert_string_equal(f->target.got, "do process 2\n");
}

/* ---- the way of one ----------------------------------------------------------------------- */

static void test_held_asked_approved_sent(void **state)
{
    struct fixture *f = *state;
    hold(f);
    assert_string_equal(f->hold.shape, "shape");
    assert_true(f->hold.lifetime_ms > 50000 && f->hold.lifetime_ms <= 60000);
    assert_true(f->hold.rows > 2.5 && f->hold.rows < 3.5);
    assert_string_equal(session_awaited_approval(fixture_session(f)), f->hold.id);
    fixture_expect_records(f, "opened allow; intent do hold 1 #1; approval requested #1");
    approve(f);
    UNTIL(f, fixture_heard(&f->target, "do hold 1\n"));
    assert_null(session_awaited_approval(fixture_session(f)));
    fixture_expect_records(f, "opened allow; intent do hold 1 #1; approval requested #1; "
                              "approval approved #1");
    assert_string_equal(f->hold.ends, "used");
    fixture_say(&f->target, "ok\n");
    UNTIL(f, fixture_heard(&f->agent, "ok\n"));
    fixture_expect_records(f, "opened allow; intent do hold 1 #1; approval requested #1; "
                              "approval approved #1; outcome success #1");
    assert_int_equal(f->metrics.operations_held, 1);
    assert_int_equal(f->metrics.operations_allowed, 1);
}

/* It leaves when the record of its approval is on the disk. */
static void test_nothing_leaves_before_the_approval_is_recorded(void **state)
{
    struct fixture *f = *state;
    hold(f);
    fixture_settle(f);
    fixture_block_disk(f, true);
    approve(f);
    fixture_settle(f);
    assert_string_equal(f->hold.ends, "used");
    assert_string_equal(f->target.got, "");
    fixture_block_disk(f, false);
    UNTIL(f, fixture_heard(&f->target, "do hold 1\n"));
}

static void test_denied_and_the_session_goes_on(void **state)
{
    struct fixture *f = *state;
    hold(f);
    push(f, CHAPERONE__V1__APPROVAL_STATE__DENIED);
    expect_refused(f, "refused: denied by somebody\n");
    fixture_expect_records(f, "opened allow; intent do hold 1 #1; approval requested #1; "
                              "approval denied #1; outcome refused #1; intent do process 2");
    assert_string_equal(f->hold.ends, ""); /* the control plane said so itself */
    assert_int_equal(f->metrics.operations_refused, 1);
}

static void test_nobody_decides(void **state)
{
    struct fixture *f = *state;
    f->hold.terms.lifetime_s = 3;
    hold(f);
    expect_refused(f, "refused: nobody decided in time\n");
    fixture_expect_records(f, "opened allow; intent do hold 1 #1; approval requested #1; "
                              "approval expired #1; outcome refused #1; intent do process 2");
    assert_string_equal(f->hold.ends, "expired (nobody decided in time)");
    approve(f); /* too late */
    fixture_settle(f);
    assert_string_equal(f->target.got, "do process 2\n");
}

static void test_in_a_transaction_it_ends_sooner(void **state)
{
    struct fixture *f = *state;
    fixture_open_session(f);
    fixture_say(&f->agent, "do hold locks\n");
    UNTIL(f, f->hold.asked == 1);
    assert_true(f->hold.lifetime_ms <= 1000);
    expect_refused(f, "refused: nobody decided in the time that an open transaction may wait\n");
}

static void test_it_ends_before_anybody_was_asked(void **state)
{
    struct fixture *f = *state;
    f->hold.terms.lifetime_s = 1;
    fixture_open_session(f);
    fixture_say(&f->agent, "do hold plan\n");
    expect_refused(f, "refused: nobody decided in time\n");
    fixture_say(&f->target, "planned\n");
    fixture_settle(f);
    assert_int_equal(f->hold.asked, 0);
    fixture_expect_records(f, "opened allow; intent do hold plan #1; approval expired #1; "
                              "outcome refused #1; intent do process 2");
}

static void test_what_cannot_wait_is_refused(void **state)
{
    struct fixture *f = *state;
    fixture_open_session(f);
    fixture_say(&f->agent, "do hold big\n");
    expect_refused(f, "refused\n");
    assert_int_equal(f->hold.asked, 0);
    fixture_expect_records(f, "opened allow; intent do hold big; intent do process 2");
}

/* ---- the control plane -------------------------------------------------------------------- */

static void test_a_control_plane_that_comes_back(void **state)
{
    struct fixture *f = *state;
    f->hold.code = RPC_UNAVAILABLE;
    hold(f);
    f->hold.code = RPC_OK;
    UNTIL(f, f->hold.asked == 2);
    assert_true(f->hold.lifetime_ms < 59500); /* its clock went on */
    approve(f);
    UNTIL(f, fixture_heard(&f->target, "do hold 1\n"));
    fixture_expect_records(f, "opened allow; intent do hold 1 #1; approval requested #1; "
                              "approval approved #1");
}

static void test_a_control_plane_that_does_not_take_it(void **state)
{
    struct fixture *f = *state;
    f->hold.code = RPC_PERMISSION_DENIED;
    hold(f);
    expect_refused(f, "refused: nobody can be asked for approval: nobody there\n");
    assert_int_equal(f->hold.asked, 1);
}

static void test_a_request_that_cannot_be_sent(void **state)
{
    struct fixture *f = *state;
    f->hold.start = ERR_LIMIT;
    hold(f);
    expect_refused(f, "refused: the request for approval could not be sent\n");
}

static void test_a_decision_before_the_reply(void **state)
{
    struct fixture *f = *state;
    f->hold.silent = true;
    hold(f);
    int cancelled = f->control.cancelled;
    approve(f);
    UNTIL(f, fixture_heard(&f->target, "do hold 1\n"));
    assert_int_equal(f->control.cancelled, cancelled + 1);
}

static void test_an_approval_of_another_operation(void **state)
{
    struct fixture *f = *state;
    hold(f);
    f->hold.has_another_digest = true;
    approve(f);
    expect_refused(f, "refused: the approval is for another operation\n");
    fixture_expect_records(f, "opened allow; intent do hold 1 #1; approval requested #1; "
                              "approval withdrawn #1; outcome refused #1; intent do process 2");
}

static void test_a_decision_for_somebody_else(void **state)
{
    struct fixture *f = *state;
    hold(f);
    f->hold.answer_id = "0193a3c2-0000-7000-8000-000000000009";
    approve(f);
    fixture_settle(f);
    assert_string_equal(f->target.got, "");
    f->hold.answer_id = NULL;
    push(f, CHAPERONE__V1__APPROVAL_STATE__WAITING); /* says nothing */
    fixture_settle(f);
    assert_string_equal(f->target.got, "");
}

static void test_a_decision_that_comes_twice(void **state)
{
    struct fixture *f = *state;
    hold(f);
    approve(f);
    push(f, CHAPERONE__V1__APPROVAL_STATE__DENIED);
    approve(f);
    UNTIL(f, fixture_heard(&f->target, "do hold 1\n"));
    approve(f);
    fixture_say(&f->agent, "do hold 1\n"); /* the same once more: another approval */
    UNTIL(f, f->hold.asked == 2);
    fixture_settle(f);
    assert_string_equal(f->target.got, "do hold 1\n");
    assert_string_equal(f->hold.ends, "used");
}

static void test_a_standing_approval(void **state)
{
    struct fixture *f = *state;
    f->hold.answer = CHAPERONE__V1__APPROVAL_STATE__APPROVED;
    f->hold.is_standing = true;
    fixture_open_session(f);
    fixture_say(&f->agent, "do hold 1\n");
    UNTIL(f, fixture_heard(&f->target, "do hold 1\n"));
    fixture_expect_records(f, "opened allow; intent do hold 1 #1; approval requested #1; "
                              "approval approved #1");
    assert_string_equal(f->hold.ends, "used");
}

/* ---- retry -------------------------------------------------------------------------------- */

static void test_sent_away_and_back_again(void **state)
{
    struct fixture *f = *state;
    f->hold.terms.is_retry = true;
    fixture_open_session(f);
    fixture_say(&f->agent, "do hold 1\n");
    UNTIL(f, fixture_heard(&f->agent,
                           "refused: it waits for approval by one of dba; run it again then\n"));
    assert_false(fixture_heard(&f->agent, "held\n"));
    assert_string_equal(f->hold.ends, ""); /* it goes on there */
    fixture_expect_records(f, "opened allow; intent do hold 1 #1; approval requested #1; "
                              "outcome refused #1");
    approve(f); /* is not for a session that waits */
    fixture_settle(f);
    assert_string_equal(f->target.got, "");
    char first[UUID_TEXT_SIZE];
    memcpy(first, f->hold.id, sizeof(first));
    f->hold.answer = CHAPERONE__V1__APPROVAL_STATE__APPROVED;
    f->hold.answer_id = first;
    fixture_say(&f->agent, "do hold 1\n");
    UNTIL(f, fixture_heard(&f->target, "do hold 1\n"));
    fixture_say(&f->target, "ok\n");
    UNTIL(f, fixture_heard(&f->agent, "ok\n"));
    fixture_expect_records(f, "opened allow; intent do hold 1 #1; approval requested #1; "
                              "outcome refused #1; intent do hold 1 #2; approval requested #2; "
                              "approval approved #1; outcome success #1");
    assert_string_equal(f->hold.ends, ""); /* that it came again has used it up */
}

static void test_sent_away_while_nobody_can_be_asked(void **state)
{
    struct fixture *f = *state;
    f->hold.terms.is_retry = true;
    f->hold.code = RPC_UNAVAILABLE;
    fixture_open_session(f);
    fixture_say(&f->agent, "do hold 1\n");
    expect_refused(f, "refused: nobody can be asked for approval: nobody there\n");
}

/* ---- the policy changes ------------------------------------------------------------------- */

static void change_policy(struct fixture *f, const char *hash, enum policy_effect effect)
{
    f->hold.hash = hash;
    f->hold.effect = effect;
    session_look_again(fixture_session(f));
}

static void test_a_policy_that_denies_it_now(void **state)
{
    struct fixture *f = *state;
    hold(f);
    change_policy(f, "another", POLICY_DENY);
    expect_refused(f, "refused\n");
    fixture_expect_records(f, "opened allow; intent do hold 1 #1; approval requested #1; "
                              "approval withdrawn #1; outcome not executed #1; "
                              "intent do hold 1; intent do process 2");
    assert_string_equal(f->hold.ends, "withdrawn (the policy has changed)");
}

static void test_a_policy_that_allows_it_now(void **state)
{
    struct fixture *f = *state;
    hold(f);
    change_policy(f, "another", POLICY_ALLOW);
    UNTIL(f, fixture_heard(&f->target, "do hold 1\n"));
    fixture_say(&f->target, "ok\n");
    UNTIL(f, fixture_heard(&f->agent, "ok\n"));
    fixture_expect_records(f, "opened allow; intent do hold 1 #1; approval requested #1; "
                              "approval withdrawn #1; outcome not executed #1; "
                              "intent do hold 1; outcome success");
}

static void test_a_policy_with_other_terms(void **state)
{
    struct fixture *f = *state;
    hold(f);
    uint8_t digest[32];
    memcpy(digest, f->hold.digest, sizeof(digest));
    change_policy(f, "another", POLICY_HOLD);
    UNTIL(f, f->hold.asked == 2);
    assert_memory_not_equal(digest, f->hold.digest, sizeof(digest));
    fixture_expect_records(f, "opened allow; intent do hold 1 #1; approval requested #1; "
                              "approval withdrawn #1; outcome not executed #1; "
                              "intent do hold 1 #2; approval requested #2");
    approve(f);
    UNTIL(f, fixture_heard(&f->target, "do hold 1\n"));
}

/* Between the decision and the release. */
static void test_a_policy_that_changes_after_the_approval(void **state)
{
    struct fixture *f = *state;
    hold(f);
    approve(f);
    f->hold.hash = "another";
    UNTIL(f, f->hold.asked == 2);
    fixture_settle(f);
    assert_string_equal(f->target.got, "");
    assert_string_equal(f->hold.ends, "withdrawn (the policy has changed)");
}

/* The same policy, whose rules have hours. */
static void test_another_rule_has_other_approvers(void **state)
{
    struct fixture *f = *state;
    hold(f);
    f->hold.rule = "at night";
    approve(f);
    UNTIL(f, f->hold.asked == 2);
    fixture_settle(f);
    assert_string_equal(f->target.got, "");
    approve(f);
    UNTIL(f, fixture_heard(&f->target, "do hold 1\n"));
}

static void test_a_rule_that_denies_at_release(void **state)
{
    struct fixture *f = *state;
    hold(f);
    f->hold.effect = POLICY_DENY;
    approve(f);
    expect_refused(f, "refused: the policy denies it now\n");
    assert_string_equal(f->hold.ends, "withdrawn (the policy denies it now)");
    fixture_expect_records(f, "opened allow; intent do hold 1 #1; approval requested #1; "
                              "approval withdrawn #1; outcome refused #1; intent do process 2");
}

/* ---- the agent meanwhile ------------------------------------------------------------------ */

static void test_an_agent_that_goes_away(void **state)
{
    struct fixture *f = *state;
    hold(f);
    fixture_hang_up(&f->agent);
    UNTIL(f, directory_count(f->shared->directory) == 0);
    fixture_expect_records(f, "opened allow; intent do hold 1 #1; approval requested #1; "
                              "approval withdrawn #1; outcome not executed #1; "
                              "closed agent_disconnected");
    assert_string_equal(f->hold.ends, "withdrawn (the agent went away)");
    assert_string_equal(f->target.got, "");
}

/* With an answer under way the session stays a little; what was held is not asked about again. */
static void test_an_agent_that_goes_away_with_an_answer_under_way(void **state)
{
    struct fixture *f = *state;
    fixture_open_session(f);
    fixture_say(&f->agent, "do process 1\ndo hold 2\n");
    UNTIL(f, f->hold.asked == 1);
    fixture_hang_up(&f->agent);
    UNTIL(f, directory_count(f->shared->directory) == 0);
    assert_int_equal(f->hold.asked, 1);
    assert_string_equal(f->target.got, "do process 1\n");
    fixture_expect_records(f, "opened allow; intent do process 1; intent do hold 2 #1; "
                              "approval requested #1; approval withdrawn #1; "
                              "outcome not executed #1; outcome unknown; "
                              "closed agent_disconnected");
}

static void test_what_comes_behind_it_waits(void **state)
{
    struct fixture *f = *state;
    hold(f);
    fixture_say(&f->agent, "do process 2\nplain\ndo deny 3\n");
    fixture_settle(f);
    assert_string_equal(f->target.got, "");
    approve(f);
    UNTIL(f, fixture_heard(&f->target, "plain\n"));
    assert_string_equal(f->target.got, "do hold 1\ndo process 2\nplain\n");
    UNTIL(f, fixture_heard(&f->agent, "refused\n"));
}

/* No more is read than is kept, and all of it is there afterwards. */
static void test_an_agent_that_goes_on_sending(void **state)
{
    struct fixture *f = *state;
    static char block[1024];
    memset(block, 'x', sizeof(block) - 1);
    block[sizeof(block) - 1] = '\n';
    hold(f);
    size_t before = f->metrics.bytes_from_agents, sent = 0;
    for (int quiet = 0; quiet < 20; fixture_step(f)) {
        ssize_t n = send(f->agent.fd, block, sizeof(block), MSG_NOSIGNAL);
        sent += n > 0 ? (size_t)n : 0;
        quiet = n > 0 ? 0 : quiet + 1;
    }
    size_t kept = f->metrics.bytes_from_agents - before;
    assert_true(kept >= KEPT && kept <= KEPT + SESSION_READ_CHUNK);
    assert_true(sent > kept);
    push(f, CHAPERONE__V1__APPROVAL_STATE__DENIED);
    f->target.size = 0;
    size_t arrived = 0;
    UNTIL(f, (arrived += f->target.size, f->target.size = 0, arrived >= sent - sizeof(block)));
    assert_true(fixture_heard(&f->agent, "refused: denied"));
}

static void test_a_cancel(void **state)
{
    struct fixture *f = *state;
    fixture_open_session(f);
    fixture_say(&f->agent, "key k\ndo hold 1\n");
    UNTIL(f, f->hold.asked == 1);
    int first = f->agent.fd;
    f->agent.fd = -1;
    assert_int_equal(fixture_start(f), OK);
    fixture_say(&f->agent, "signal k\n");
    UNTIL(f, fixture_heard(&f->agent, "done\n"));
    fixture_hang_up(&f->agent);
    f->agent.fd = first;
    f->agent.size = 0;
    f->agent.closed = false;
    expect_refused(f, "refused: cancelled, the agent cancelled it\n");
    assert_string_equal(f->hold.ends, "withdrawn (the agent cancelled it)");
}

/* After the decision, before it left: the agent is heard; after a denial nothing changes. */
static void cancel_after(struct fixture *f, Chaperone__V1__ApprovalState decision,
                         const char *expected)
{
    fixture_open_session(f);
    fixture_say(&f->agent, "key k\ndo hold 1\n");
    UNTIL(f, f->hold.asked == 1);
    fixture_step(f);
    struct session *s = directory_find_key(f->shared->directory, bytes_of("k", 1));
    assert_non_null(s);
    push(f, decision);
    f->origin.protocol->on_signal(fixture_protocol(f));
    expect_refused(f, expected);
}

static void test_a_cancel_after_the_approval(void **state)
{
    cancel_after(*state, CHAPERONE__V1__APPROVAL_STATE__APPROVED,
                 "refused: cancelled, the agent cancelled it\n");
}

static void test_a_cancel_after_the_denial(void **state)
{
    cancel_after(*state, CHAPERONE__V1__APPROVAL_STATE__DENIED, "refused: denied by somebody\n");
}

static void test_a_kill(void **state)
{
    struct fixture *f = *state;
    const struct control_kill order = {.order = "o",
                                       .session = "",
                                       .identity = "",
                                       .resource = "",
                                       .ordered_by = "ann",
                                       .reason = "",
                                       .all = true};
    hold(f);
    session_kill(fixture_session(f), &order);
    UNTIL(f, f->agent.closed);
    UNTIL(f, directory_count(f->shared->directory) == 0);
    assert_string_equal(f->hold.ends, "withdrawn (killed)");
    fixture_expect_records(f, "opened allow; intent do hold 1 #1; approval requested #1; "
                              "approval withdrawn #1; outcome not executed #1; "
                              "closed killed by ann");
}

/* ---- several ------------------------------------------------------------------------------ */

/* Each outcome names its own approval, also while another is refused behind it. */
static void test_several_under_way(void **state)
{
    struct fixture *f = *state;
    f->hold.answer = CHAPERONE__V1__APPROVAL_STATE__APPROVED;
    fixture_open_session(f);
    fixture_say(&f->agent, "do hold 1\ndo hold 2\n");
    UNTIL(f, fixture_heard(&f->target, "do hold 2\n"));
    f->hold.answer = CHAPERONE__V1__APPROVAL_STATE__DENIED;
    fixture_say(&f->agent, "do hold 3\ndo process 4\n");
    UNTIL(f, fixture_heard(&f->target, "do process 4\n"));
    fixture_say(&f->target, "ok\nok\nok\n");
    UNTIL(f, fixture_heard(&f->agent, "ok\nok\nok\n"));
    fixture_expect_records(f, "opened allow; intent do hold 1 #1; approval requested #1; "
                              "approval approved #1; intent do hold 2 #2; approval requested #2; "
                              "approval approved #2; intent do hold 3 #3; approval requested #3; "
                              "approval denied #3; outcome refused #3; intent do process 4; "
                              "outcome success #1; outcome success #2; outcome success");
}

/* Its name means something else when it is offered again: the first hold does not stay. */
static void test_what_is_another_operation_when_it_comes_again(void **state)
{
    struct fixture *f = *state;
    fixture_open_session(f);
    fixture_say(&f->agent, "do hold shift\n");
    UNTIL(f, f->hold.asked == 1);
    fixture_step(f);
    f->hold.shift = 1;
    approve(f);
    UNTIL(f, f->hold.asked == 2);
    assert_string_equal(f->hold.ends, "withdrawn (it is another operation now)");
    fixture_settle(f);
    assert_string_equal(f->target.got, "");
    fixture_expect_records(f, "opened allow; intent do hold shift #1; approval requested #1; "
                              "approval withdrawn #1; outcome not executed #1; "
                              "intent do hold shift #2; approval requested #2");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_held_asked_approved_sent),
        TEST(test_nothing_leaves_before_the_approval_is_recorded),
        TEST(test_denied_and_the_session_goes_on),
        TEST(test_nobody_decides),
        TEST(test_in_a_transaction_it_ends_sooner),
        TEST(test_it_ends_before_anybody_was_asked),
        TEST(test_what_cannot_wait_is_refused),
        TEST(test_a_control_plane_that_comes_back),
        TEST(test_a_control_plane_that_does_not_take_it),
        TEST(test_a_request_that_cannot_be_sent),
        TEST(test_a_decision_before_the_reply),
        TEST(test_an_approval_of_another_operation),
        TEST(test_a_decision_for_somebody_else),
        TEST(test_a_decision_that_comes_twice),
        TEST(test_a_standing_approval),
        TEST(test_sent_away_and_back_again),
        TEST(test_sent_away_while_nobody_can_be_asked),
        TEST(test_a_policy_that_denies_it_now),
        TEST(test_a_policy_that_allows_it_now),
        TEST(test_a_policy_with_other_terms),
        TEST(test_a_policy_that_changes_after_the_approval),
        TEST(test_another_rule_has_other_approvers),
        TEST(test_a_rule_that_denies_at_release),
        TEST(test_an_agent_that_goes_away),
        TEST(test_an_agent_that_goes_away_with_an_answer_under_way),
        TEST(test_what_comes_behind_it_waits),
        TEST(test_an_agent_that_goes_on_sending),
        TEST(test_a_cancel),
        TEST(test_a_cancel_after_the_approval),
        TEST(test_a_cancel_after_the_denial),
        TEST(test_a_kill),
        TEST(test_several_under_way),
        TEST(test_what_is_another_operation_when_it_comes_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
