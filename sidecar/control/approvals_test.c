/* Held operations: asking, what is pushed, and that their ends are told. */
#include <stdio.h>
#include <stdlib.h>

#include "sidecar/control/control_fixture.h"

static const char approval[] = "0193a3c2-7a1b-7cc3-98c4-dc0c0c070001";

struct reply {
    int count;
    enum rpc_code code;
    char message[RPC_MESSAGE_SIZE];
    char id[64];
    Chaperone__V1__ApprovalState state;
};

static void on_reply(void *context, const struct rpc_status *status,
                     const Chaperone__V1__ApprovalDecided *decided)
{
    struct reply *r = context;
    r->count++;
    r->code = status->code;
    (void)snprintf(r->message, sizeof(r->message), "%s", status->message);
    assert_true((decided != NULL) == (status->code == RPC_OK));
    if (decided != NULL) {
        (void)snprintf(r->id, sizeof(r->id), "%s", decided->id);
        r->state = decided->state;
    }
}

static struct control_call *ask(struct control_fixture *f, struct reply *r)
{
    Chaperone__V1__RequestApprovalRequest request = CHAPERONE__V1__REQUEST_APPROVAL_REQUEST__INIT;
    Chaperone__V1__HeldOperation held = CHAPERONE__V1__HELD_OPERATION__INIT;
    struct control_call *call = NULL;
    held.id = (char *)(uintptr_t)approval;
    request.held = &held;
    request.lifetime_ms = 60000;
    *r = (struct reply){.count = 0};
    assert_int_equal(control_request_approval(f->control, &request, on_reply, r, &call), OK);
    assert_int_equal(r->count, 0); /* never from inside */
    return call;
}

static void wait_for_reply(struct control_fixture *f, struct reply *r)
{
    for (int i = 0; i < 6000 && r->count == 0; i++) {
        control_fixture_run_ms(f, 10);
    }
    assert_int_equal(r->count, 1);
}

static void start(struct control_fixture *f)
{
    control_fixture_start(f);
    UNTIL(f, is_connected);
}

static void set_end_code(struct control_fixture *f, enum rpc_code code)
{
    (void)pthread_mutex_lock(&f->fake.lock);
    f->fake.end_code = code;
    (void)pthread_mutex_unlock(&f->fake.lock);
}

static bool is_decided(struct control_fixture *f)
{
    return f->decisions > 0;
}

static void request_waits_and_its_decision_is_pushed(void **state)
{
    struct control_fixture *f = *state;
    struct reply r;
    start(f);
    (void)ask(f, &r);
    wait_for_reply(f, &r);
    assert_int_equal(r.code, RPC_OK);
    assert_string_equal(r.id, approval);
    assert_int_equal(r.state, CHAPERONE__V1__APPROVAL_STATE__WAITING);
    assert_string_equal(f->fake.seen_approval, approval);
    assert_true(fake_push_decided(&f->fake, approval, CHAPERONE__V1__APPROVAL_STATE__APPROVED));
    UNTIL(f, is_decided);
    assert_string_equal(f->decided, approval);
    assert_int_equal(f->decided_state, CHAPERONE__V1__APPROVAL_STATE__APPROVED);
}

static void refusal_says_why(void **state)
{
    struct control_fixture *f = *state;
    struct reply r;
    start(f);
    f->fake.approval_code = RPC_INVALID_ARGUMENT;
    (void)ask(f, &r);
    wait_for_reply(f, &r);
    assert_int_equal(r.code, RPC_INVALID_ARGUMENT);
    assert_string_equal(r.message, "not now");
}

static void before_enrolment_it_is_unavailable(void **state)
{
    struct control_fixture *f = *state;
    struct reply r;
    fake_door_cut(f->fake.door, true);
    control_fixture_start(f);
    (void)ask(f, &r);
    wait_for_reply(f, &r);
    assert_int_equal(r.code, RPC_UNAVAILABLE);
}

static bool has_been_asked(struct control_fixture *f)
{
    return f->fake.approvals > 0;
}

static void cancelled_request_gives_no_reply(void **state)
{
    struct control_fixture *f = *state;
    struct reply r;
    start(f);
    f->fake.approval_hangs = true;
    struct control_call *call = ask(f, &r);
    UNTIL(f, has_been_asked);
    control_call_cancel(call);
    control_fixture_run_ms(f, 50);
    assert_int_equal(r.count, 0);
    /* And one that is under way when the control stops: neither. */
    (void)ask(f, &r);
    control_fixture_run_ms(f, 50);
    control_fixture_stop(f);
    assert_int_equal(r.count, 0);
}

static bool has_named_it(struct control_fixture *f)
{
    return f->fake.hellos >= 2 && strcmp(f->fake.hello_held, approval) == 0;
}

static void reconnection_names_what_is_waited_for(void **state)
{
    struct control_fixture *f = *state;
    start(f);
    assert_string_equal(f->fake.hello_held, "");
    f->held = approval;
    fake_door_cut(f->fake.door, false);
    UNTIL(f, has_named_it);
}

/* ---- ends ---- */

static bool is_told(struct control_fixture *f)
{
    return f->fake.ends == 1;
}

static void end_is_told(void **state)
{
    struct control_fixture *f = *state;
    start(f);
    control_end_approval(f->control, approval, CHAPERONE__V1__APPROVAL_STATE__WITHDRAWN,
                         "the agent disconnected");
    UNTIL(f, is_told);
    assert_string_equal(f->fake.seen_end, approval);
    assert_string_equal(f->fake.seen_end_reason, "the agent disconnected");
    assert_int_equal(f->fake.seen_end_state, CHAPERONE__V1__APPROVAL_STATE__WITHDRAWN);
}

static bool has_tried_twice(struct control_fixture *f)
{
    return f->fake.end_attempts >= 2;
}

static void end_is_told_until_it_is_heard(void **state)
{
    struct control_fixture *f = *state;
    start(f);
    set_end_code(f, RPC_UNAVAILABLE);
    control_end_approval(f->control, approval, CHAPERONE__V1__APPROVAL_STATE__USED, "");
    UNTIL(f, has_tried_twice);
    assert_int_equal(f->fake.ends, 0);
    set_end_code(f, RPC_OK);
    UNTIL(f, is_told);
    control_fixture_run_ms(f, 300);
    assert_int_equal(f->fake.ends, 1); /* not again */
}

static bool has_tried_once(struct control_fixture *f)
{
    return f->fake.end_attempts == 1;
}

static void end_of_an_unknown_approval_is_told_once(void **state)
{
    struct control_fixture *f = *state;
    start(f);
    set_end_code(f, RPC_NOT_FOUND);
    control_end_approval(f->control, approval, CHAPERONE__V1__APPROVAL_STATE__EXPIRED, "");
    UNTIL(f, has_tried_once);
    control_fixture_run_ms(f, 600); /* longer than the first pause */
    assert_int_equal(f->fake.end_attempts, 1);
}

static bool has_all_of_two_hundred(struct control_fixture *f)
{
    return f->fake.ends == 200;
}

static void ends_outlive_a_control_plane_that_is_away(void **state)
{
    struct control_fixture *f = *state;
    start(f);
    fake_door_cut(f->fake.door, true);
    UNTIL(f, is_disconnected);
    for (int i = 0; i < 200; i++) {
        control_end_approval(f->control, approval, CHAPERONE__V1__APPROVAL_STATE__EXPIRED, "late");
    }
    control_fixture_run_ms(f, 300);
    assert_int_equal(f->fake.ends, 0);
    fake_door_reopen(f->fake.door);
    UNTIL(f, has_all_of_two_hundred);
}

static bool has_all_that_fit(struct control_fixture *f)
{
    return f->fake.ends == CONTROL_ENDS_MAX;
}

static void ends_that_wait_are_bounded(void **state)
{
    struct control_fixture *f = *state;
    start(f);
    fake_door_cut(f->fake.door, true);
    UNTIL(f, is_disconnected);
    for (int i = 0; i < CONTROL_ENDS_MAX + 100; i++) {
        control_end_approval(f->control, approval, CHAPERONE__V1__APPROVAL_STATE__EXPIRED, "late");
    }
    fake_door_reopen(f->fake.door);
    UNTIL(f, has_all_that_fit);
    control_fixture_run_ms(f, 200);
    assert_int_equal(f->fake.ends, CONTROL_ENDS_MAX);
}

static void stop_with_ends_that_wait(void **state)
{
    struct control_fixture *f = *state;
    start(f);
    set_end_code(f, RPC_UNAVAILABLE);
    for (int i = 0; i < 40; i++) {
        control_end_approval(f->control, approval, CHAPERONE__V1__APPROVAL_STATE__EXPIRED, "late");
    }
    UNTIL(f, has_tried_twice);
    control_fixture_stop(f); /* the sanitizers see what is left */
}

#define WITH_FIXTURE(test)                                                                         \
    cmocka_unit_test_setup_teardown(test, control_fixture_setup, control_fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_FIXTURE(request_waits_and_its_decision_is_pushed),
        WITH_FIXTURE(refusal_says_why),
        WITH_FIXTURE(before_enrolment_it_is_unavailable),
        WITH_FIXTURE(cancelled_request_gives_no_reply),
        WITH_FIXTURE(reconnection_names_what_is_waited_for),
        WITH_FIXTURE(end_is_told),
        WITH_FIXTURE(end_is_told_until_it_is_heard),
        WITH_FIXTURE(end_of_an_unknown_approval_is_told_once),
        WITH_FIXTURE(ends_outlive_a_control_plane_that_is_away),
        WITH_FIXTURE(ends_that_wait_are_bounded),
        WITH_FIXTURE(stop_with_ends_that_wait),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
