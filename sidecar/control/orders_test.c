/* Orders to end sessions, and the grants that cross them. */
#include <stdio.h>
#include <stdlib.h>

#include "sidecar/control/control_fixture.h"

static const Chaperone__V1__KillSession no_order = CHAPERONE__V1__KILL_SESSION__INIT;

static Chaperone__V1__KillSession order_of(const char *id)
{
    Chaperone__V1__KillSession order = no_order;
    order.order = (char *)(uintptr_t)id;
    order.ordered_by = "alice";
    order.reason = "it went too far";
    order.ordered_unix_ns = 1700000000000000000;
    return order;
}

static bool has_answered_order(struct control_fixture *f)
{
    return f->fake.dones == 1;
}

static void order_by_identity_names_what_it_ended(void **state)
{
    struct control_fixture *f = *state;
    Chaperone__V1__KillSession order = order_of("order-1");
    order.identity = "agent-7";
    f->kill_finds = true;
    control_fixture_start(f);
    UNTIL(f, is_connected);
    assert_true(fake_push_order(&f->fake, &order));
    UNTIL(f, has_answered_order);
    assert_string_equal(f->killed_identity, "agent-7");
    assert_string_equal(f->killed, "");
    assert_false(f->killed_all);
    assert_int_equal(f->killed_ordered_ns, 1700000000000000000);
    assert_int_equal(f->fake.done_sessions, 1);
    assert_string_equal(f->fake.done_session, "session-9");
    assert_string_equal(f->fake.done_error, "");
    assert_true(f->fake.done_ns > 1700000000000000000);
}

static void order_that_ends_nothing_is_done(void **state)
{
    struct control_fixture *f = *state;
    Chaperone__V1__KillSession order = order_of("order-1");
    order.all = true;
    control_fixture_start(f);
    UNTIL(f, is_connected);
    assert_true(fake_push_order(&f->fake, &order));
    UNTIL(f, has_answered_order);
    assert_true(f->killed_all);
    assert_int_equal(f->fake.done_sessions, 0);
    assert_string_equal(f->fake.done_error, "");
}

/* What is not understood is not carried out in part. */
static void order_that_says_two_things_is_not_carried_out(void **state)
{
    struct control_fixture *f = *state;
    Chaperone__V1__KillSession both = order_of("order-1"), none = order_of("order-2");
    both.identity = "agent-7";
    both.resource = "orders";
    control_fixture_start(f);
    UNTIL(f, is_connected);
    assert_true(fake_push_order(&f->fake, &both));
    UNTIL(f, has_answered_order);
    assert_non_null(strstr(f->fake.done_error, "one way"));
    f->fake.dones = 0;
    assert_true(fake_push_order(&f->fake, &none));
    UNTIL(f, has_answered_order);
    assert_non_null(strstr(f->fake.done_error, "one way"));
    assert_int_equal(f->kills, 0);
}

/* ---- grants that cross an order ---- */

struct grant {
    int replies;
    enum rpc_code code;
    char message[RPC_MESSAGE_SIZE];
};

static void on_grant(void *context, const struct rpc_status *status,
                     const Chaperone__V1__OpenSessionResponse *r)
{
    struct grant *g = context;
    g->replies++;
    g->code = status->code;
    (void)snprintf(g->message, sizeof(g->message), "%s", status->message);
    assert_true((r != NULL) == (status->code == RPC_OK));
}

static bool has_been_asked(struct control_fixture *f)
{
    return f->fake.opened > 0;
}

static void let_open(struct control_fixture *f, bool hangs)
{
    (void)pthread_mutex_lock(&f->fake.lock);
    f->fake.open_hangs = hangs;
    (void)pthread_mutex_unlock(&f->fake.lock);
}

/* The control plane has the request, gives the order, and then answers the request: the grant was
 * given without knowledge of the order. */
static void cross(struct control_fixture *f, const Chaperone__V1__KillSession *order,
                  struct grant *g)
{
    Chaperone__V1__OpenSessionRequest request = CHAPERONE__V1__OPEN_SESSION_REQUEST__INIT;
    struct control_call *call = NULL;
    request.resource = "orders";
    *g = (struct grant){.replies = 0};
    let_open(f, true);
    control_fixture_start(f);
    UNTIL(f, is_connected);
    assert_int_equal(control_open_session(f->control, &request, on_grant, g, &call), OK);
    UNTIL(f, has_been_asked);
    assert_true(fake_push_order(&f->fake, order));
    UNTIL(f, has_answered_order);
    assert_int_equal(g->replies, 0);
    let_open(f, false);
    for (int i = 0; i < 6000 && g->replies == 0; i++) {
        control_fixture_run_ms(f, 10);
    }
    assert_int_equal(g->replies, 1);
}

static void assert_crossed(struct control_fixture *f, const Chaperone__V1__KillSession *order)
{
    struct grant g;
    cross(f, order, &g);
    assert_int_equal(g.code, RPC_PERMISSION_DENIED);
    assert_string_equal(g.message, "the session was ended by alice: it went too far");
}

static void grant_that_crosses_an_order_by_identity(void **state)
{
    Chaperone__V1__KillSession order = order_of("order-1");
    order.identity = "agent-7";
    assert_crossed(*state, &order);
}

static void grant_that_crosses_an_order_by_principal(void **state)
{
    Chaperone__V1__KillSession order = order_of("order-1");
    order.identity = "alice"; /* on whose behalf it acts */
    assert_crossed(*state, &order);
}

static void grant_that_crosses_an_order_by_resource(void **state)
{
    Chaperone__V1__KillSession order = order_of("order-1");
    order.resource = "orders";
    assert_crossed(*state, &order);
}

static void grant_that_crosses_an_order_for_all(void **state)
{
    Chaperone__V1__KillSession order = order_of("order-1");
    order.all = true;
    assert_crossed(*state, &order);
}

static void others_grants_are_not_touched(void **state)
{
    struct control_fixture *f = *state;
    struct grant g;
    Chaperone__V1__KillSession order = order_of("order-1");
    order.identity = "agent-8";
    cross(f, &order, &g);
    assert_int_equal(g.code, RPC_OK);
}

static bool has_answered_sixty_six(struct control_fixture *f)
{
    return f->fake.dones == 66;
}

/* An order before the request is the control plane's to know. Many of them are not kept. */
static void grant_after_an_order_is_given(void **state)
{
    struct control_fixture *f = *state;
    Chaperone__V1__OpenSessionRequest request = CHAPERONE__V1__OPEN_SESSION_REQUEST__INIT;
    struct control_call *call = NULL;
    struct grant g = {.replies = 0};
    Chaperone__V1__KillSession order = order_of("order-1");
    order.identity = "agent-7";
    request.resource = "orders";
    control_fixture_start(f);
    UNTIL(f, is_connected);
    for (int i = 0; i < 66; i++) {
        assert_true(fake_push_order(&f->fake, &order));
    }
    UNTIL(f, has_answered_sixty_six);
    assert_int_equal(control_open_session(f->control, &request, on_grant, &g, &call), OK);
    for (int i = 0; i < 6000 && g.replies == 0; i++) {
        control_fixture_run_ms(f, 10);
    }
    assert_int_equal(g.code, RPC_OK);
}

#define WITH_FIXTURE(test)                                                                         \
    cmocka_unit_test_setup_teardown(test, control_fixture_setup, control_fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_FIXTURE(order_by_identity_names_what_it_ended),
        WITH_FIXTURE(order_that_ends_nothing_is_done),
        WITH_FIXTURE(order_that_says_two_things_is_not_carried_out),
        WITH_FIXTURE(grant_that_crosses_an_order_by_identity),
        WITH_FIXTURE(grant_that_crosses_an_order_by_principal),
        WITH_FIXTURE(grant_that_crosses_an_order_by_resource),
        WITH_FIXTURE(grant_that_crosses_an_order_for_all),
        WITH_FIXTURE(others_grants_are_not_touched),
        WITH_FIXTURE(grant_after_an_order_is_given),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
