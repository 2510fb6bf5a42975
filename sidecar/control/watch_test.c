/* Sessions' grants, policies and orders. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "sidecar/control/control_fixture.h"

/* ---- grants ---- */

struct grant {
    int replies;
    enum rpc_code code;
    char message[RPC_MESSAGE_SIZE];
    char host[64], password[64], name[64];
};

static void on_grant(void *context, const struct rpc_status *status,
                     const Chaperone__V1__OpenSessionResponse *r)
{
    struct grant *g = context;
    g->replies++;
    g->code = status->code;
    (void)snprintf(g->message, sizeof(g->message), "%s", status->message);
    assert_true((r != NULL) == (status->code == RPC_OK));
    if (r != NULL) {
        (void)snprintf(g->host, sizeof(g->host), "%s:%u", r->target->host, r->target->port);
        (void)snprintf(g->password, sizeof(g->password), "%.*s", (int)r->credential->password.len,
                       (char *)r->credential->password.data);
        (void)snprintf(g->name, sizeof(g->name), "%s", r->grant);
    }
}

static struct control_call *ask(struct control_fixture *f, struct grant *g)
{
    Chaperone__V1__OpenSessionRequest request = CHAPERONE__V1__OPEN_SESSION_REQUEST__INIT;
    struct control_call *call = NULL;
    request.session = "0193a3c2-7a1b-7cc3-98c4-dc0c0c07398f";
    request.resource = "orders";
    request.token = (ProtobufCBinaryData){.data = (uint8_t *)"eyJ.x.y", .len = 7};
    *g = (struct grant){.replies = 0};
    assert_int_equal(control_open_session(f->control, &request, on_grant, g, &call), OK);
    assert_int_equal(g->replies, 0); /* never from inside */
    assert_non_null(call);
    return call;
}

static void wait_for_grant(struct control_fixture *f, struct grant *g)
{
    for (int i = 0; i < 6000 && g->replies == 0; i++) {
        control_fixture_run_ms(f, 10);
    }
    assert_int_equal(g->replies, 1);
}

static void session_is_granted(void **state)
{
    struct control_fixture *f = *state;
    struct grant g;
    control_fixture_start(f);
    UNTIL(f, is_connected);
    (void)ask(f, &g);
    wait_for_grant(f, &g);
    assert_int_equal(g.code, RPC_OK);
    assert_string_equal(g.host, "db.internal:5432");
    assert_string_equal(g.password, "hunter2");
    assert_string_equal(g.name, "orders");
    assert_string_equal(f->fake.seen_token, "eyJ.x.y");
}

static void refusal_says_why(void **state)
{
    struct control_fixture *f = *state;
    struct grant g;
    control_fixture_start(f);
    UNTIL(f, is_connected);
    f->fake.open_code = RPC_PERMISSION_DENIED;
    (void)ask(f, &g);
    wait_for_grant(f, &g);
    assert_int_equal(g.code, RPC_PERMISSION_DENIED);
    assert_string_equal(g.message, "no grant covers this");
}

static void before_enrolment_it_is_unavailable(void **state)
{
    struct control_fixture *f = *state;
    struct grant g;
    fake_door_cut(f->fake.door, true);
    control_fixture_start(f);
    (void)ask(f, &g);
    wait_for_grant(f, &g);
    assert_int_equal(g.code, RPC_UNAVAILABLE);
    assert_non_null(strstr(g.message, "not enrolled"));
}

static void without_a_control_plane_it_is_refused_soon(void **state)
{
    struct control_fixture *f = *state;
    struct grant g;
    control_fixture_start(f);
    UNTIL(f, is_connected);
    fake_door_cut(f->fake.door, true);
    UNTIL(f, is_disconnected);
    (void)ask(f, &g);
    wait_for_grant(f, &g);
    assert_non_null(strstr(g.message, "control plane cannot be reached"));
    control_fixture_run_ms(f, 300); /* until it has tried to come back */
    int64_t before = clock_monotonic(&f->clock);
    (void)ask(f, &g);
    wait_for_grant(f, &g);
    assert_true(clock_monotonic(&f->clock) - before < 3000000000);
    assert_true(g.code == RPC_UNAVAILABLE || g.code == RPC_DEADLINE_EXCEEDED);
    assert_non_null(strstr(g.message, "control plane cannot be reached"));
    /* And granted again when it is back. */
    fake_door_reopen(f->fake.door);
    UNTIL(f, is_connected);
    (void)ask(f, &g);
    wait_for_grant(f, &g);
    assert_int_equal(g.code, RPC_OK);
}

static bool says_connected(struct control_fixture *f)
{
    return !is_disconnected(f);
}

/* gRPC itself learns a moment later that there is a connection again. */
static void session_is_granted_as_soon_as_it_says_connected(void **state)
{
    struct control_fixture *f = *state;
    struct grant g;
    control_fixture_start(f);
    UNTIL(f, is_connected);
    fake_door_cut(f->fake.door, true);
    UNTIL(f, is_disconnected);
    control_fixture_run_ms(f, 1000); /* the watch waits for a connection by now */
    (void)ask(f, &g);
    wait_for_grant(f, &g);
    assert_non_null(strstr(g.message, "control plane cannot be reached"));
    fake_door_reopen(f->fake.door);
    UNTIL(f, says_connected);
    (void)ask(f, &g);
    wait_for_grant(f, &g);
    assert_string_equal(g.message, "");
    assert_int_equal(g.code, RPC_OK);
}

static void deadline_ends_a_call_that_hangs(void **state)
{
    struct control_fixture *f = *state;
    struct grant g;
    f->options.open_timeout_ms = 1000;
    control_fixture_start(f);
    UNTIL(f, is_connected);
    f->fake.open_hangs = true;
    (void)ask(f, &g);
    wait_for_grant(f, &g);
    assert_int_equal(g.code, RPC_DEADLINE_EXCEEDED);
    assert_string_equal(g.message, "the control plane cannot be reached: it does not answer");
}

static bool has_been_asked(struct control_fixture *f)
{
    return f->fake.opened > 0;
}

static void cancelled_call_gives_no_reply(void **state)
{
    struct control_fixture *f = *state;
    struct grant g;
    struct grant other;
    control_fixture_start(f);
    UNTIL(f, is_connected);
    f->fake.open_hangs = true;
    struct control_call *call = ask(f, &g);
    UNTIL(f, has_been_asked);
    control_call_cancel(call);
    (void)pthread_mutex_lock(&f->fake.lock);
    f->fake.open_hangs = false;
    (void)pthread_mutex_unlock(&f->fake.lock);
    (void)ask(f, &other);
    wait_for_grant(f, &other);
    control_fixture_run_ms(f, 50);
    assert_int_equal(g.replies, 0);
    /* And one that is under way when the control stops: neither. */
    f->fake.open_hangs = true;
    (void)ask(f, &g);
    control_fixture_run_ms(f, 50);
    control_fixture_stop(f);
    assert_int_equal(g.replies, 0);
}

/* ---- policies ---- */

static const char other_policy[] =
    "{\"version\":1,\"rules\":[{\"name\":\"all\",\"effect\":\"allow\"}]}";

static bool has_one_ack(struct control_fixture *f)
{
    return f->fake.acks == 1;
}

static bool has_two_acks(struct control_fixture *f)
{
    return f->fake.acks == 2;
}

static bool has_three_acks(struct control_fixture *f)
{
    return f->fake.acks == 3;
}

static void start_with_policy(struct control_fixture *f, uint64_t revision)
{
    control_fixture_start(f);
    UNTIL(f, is_connected);
    assert_true(fake_push_policy(&f->fake, revision, policy_allow_all()));
    UNTIL(f, has_one_ack);
    assert_true(f->fake.ack_active);
    assert_int_equal(f->fake.ack_revision, revision);
}

static void policy_becomes_active_and_is_acknowledged(void **state)
{
    struct control_fixture *f = *state;
    uint8_t hash[CRYPTO_SHA256_SIZE];
    char hex[2 * CRYPTO_SHA256_SIZE + 1];
    start_with_policy(f, 7);
    assert_int_equal(f->policies, 1);
    assert_int_equal(f->policy_revision, 7);
    crypto_sha256_of(bytes_of_string(policy_allow_all()), hash);
    crypto_hex_encode(bytes_of(hash, sizeof(hash)), hex);
    assert_string_equal(f->policy_hash, hex);
    /* The same again: acknowledged, and not handed out twice. */
    assert_true(fake_push_policy(&f->fake, 7, policy_allow_all()));
    UNTIL(f, has_two_acks);
    assert_true(f->fake.ack_active);
    assert_int_equal(f->policies, 1);
    struct control_status status;
    control_status(f->control, &status);
    assert_int_equal(status.policy_revision, 7);
}

static void rejected(struct control_fixture *f, const char *why)
{
    UNTIL(f, has_two_acks);
    assert_false(f->fake.ack_active);
    if (strstr(f->fake.ack_error, why) == NULL) {
        fail_msg("%s", f->fake.ack_error);
    }
    assert_int_equal(f->policies, 1);
    /* The good one stays, and the next good one is taken. */
    assert_true(fake_push_policy(&f->fake, 9, policy_allow_all()));
    UNTIL(f, has_three_acks);
    assert_true(f->fake.ack_active);
    assert_int_equal(f->policy_revision, 9);
}

static void older_revision_is_rejected(void **state)
{
    struct control_fixture *f = *state;
    start_with_policy(f, 7);
    assert_true(fake_push_policy(&f->fake, 6, policy_allow_all()));
    rejected(f, "older");
}

static void same_revision_of_another_document_is_rejected(void **state)
{
    struct control_fixture *f = *state;
    start_with_policy(f, 7);
    assert_true(fake_push_policy(&f->fake, 7, other_policy));
    rejected(f, "another document");
}

static void broken_signature_is_rejected(void **state)
{
    struct control_fixture *f = *state;
    start_with_policy(f, 7);
    assert_true(fake_push_policy_by(&f->fake, 8, policy_allow_all(), f->fake.policy_key, true));
    rejected(f, "signature");
}

static void other_key_is_rejected(void **state)
{
    struct control_fixture *f = *state;
    struct crypto_ed25519 *other = NULL;
    assert_int_equal(crypto_ed25519_generate(&other), OK);
    start_with_policy(f, 7);
    assert_true(fake_push_policy_by(&f->fake, 8, policy_allow_all(), other, false));
    crypto_ed25519_destroy(other);
    rejected(f, "pinned");
}

static void document_that_does_not_compile_is_rejected(void **state)
{
    struct control_fixture *f = *state;
    start_with_policy(f, 7);
    assert_true(fake_push_policy(&f->fake, 8, "{\"no\": \"policy\"}"));
    rejected(f, "");
    assert_true(strlen(f->fake.ack_error) == 0); /* of the third, which is active */
}

static bool has_policy(struct control_fixture *f)
{
    return f->policies > 0;
}

static bool has_said_hello(struct control_fixture *f)
{
    return f->fake.hellos > 0;
}

static void policy_on_the_disk_is_used_without_a_control_plane(void **state)
{
    struct control_fixture *f = *state;
    start_with_policy(f, 7);
    control_fixture_stop(f);
    f->policies = 0;
    f->fake.hellos = 0;
    fake_door_cut(f->fake.door, true);
    control_fixture_start(f);
    UNTIL(f, has_policy);
    assert_int_equal(f->policy_revision, 7);
    fake_door_reopen(f->fake.door);
    UNTIL(f, has_said_hello);
    assert_int_equal(f->fake.hello_revision, 7);
    /* Nor may an older one come back that way. */
    UNTIL(f, is_connected);
    assert_true(fake_push_policy(&f->fake, 3, policy_allow_all()));
    UNTIL(f, has_two_acks);
    assert_false(f->fake.ack_active);
}

static void damaged_policy_on_the_disk_is_not_used(void **state)
{
    struct control_fixture *f = *state;
    char path[512];
    start_with_policy(f, 7);
    control_fixture_stop(f);
    f->policies = 0;
    f->fake.hellos = 0;
    (void)snprintf(path, sizeof(path), "%s/policy.bundle", f->state_dir);
    FILE *file = fopen(path, "r+b");
    assert_non_null(file);
    assert_int_equal(fseek(file, 20, SEEK_SET), 0);
    assert_int_equal(fputc('#', file), '#');
    assert_int_equal(fclose(file), 0);
    control_fixture_start(f);
    UNTIL(f, has_said_hello);
    assert_int_equal(f->policies, 0);
    assert_int_equal(f->fake.hello_revision, 0);
}

/* ---- orders ---- */

static bool has_answered_order(struct control_fixture *f)
{
    return f->fake.dones == 1;
}

static void kill_is_carried_out_and_answered(void **state)
{
    struct control_fixture *f = *state;
    f->kill_finds = true;
    control_fixture_start(f);
    UNTIL(f, is_connected);
    assert_true(fake_push_kill(&f->fake, "order-1", "session-1"));
    UNTIL(f, has_answered_order);
    assert_int_equal(f->kills, 1);
    assert_string_equal(f->killed, "session-1");
    assert_string_equal(f->killed_by, "alice");
    assert_string_equal(f->kill_reason, "it went too far");
    assert_string_equal(f->fake.done_order, "order-1");
    assert_string_equal(f->fake.done_session, "session-1");
    assert_string_equal(f->fake.done_error, "");
}

static void kill_of_an_unknown_session_says_so(void **state)
{
    struct control_fixture *f = *state;
    control_fixture_start(f);
    UNTIL(f, is_connected);
    assert_true(fake_push_kill(&f->fake, "order-2", "session-2"));
    UNTIL(f, has_answered_order);
    assert_string_equal(f->fake.done_session, "");
    assert_true(strlen(f->fake.done_error) > 0);
}

static void push_without_content_does_no_harm(void **state)
{
    struct control_fixture *f = *state;
    control_fixture_start(f);
    UNTIL(f, is_connected);
    assert_true(fake_push_nothing(&f->fake));
    assert_true(fake_push_kill(&f->fake, "order-3", "session-3"));
    UNTIL(f, has_answered_order);
}

/* ---- revoked ---- */

static bool is_revoked(struct control_fixture *f)
{
    struct control_status status;
    control_status(f->control, &status);
    return status.revoked;
}

static void revoked_sidecar_ends_all_and_asks_no_more(void **state)
{
    struct control_fixture *f = *state;
    struct grant under_way, later;
    struct control_status status;
    control_fixture_start(f);
    UNTIL(f, is_connected);
    control_fixture_open_recorder(f);
    control_fixture_write(f, 1);
    UNTIL(f, has_shipped_all);
    f->fake.open_hangs = true;
    (void)ask(f, &under_way);
    assert_true(fake_revoke(&f->fake, "this sidecar has been revoked (s1, today)"));
    UNTIL(f, is_revoked);
    assert_int_equal(f->kills, 1);
    assert_true(f->killed_all);
    assert_string_equal(f->killed_by, "the control plane");
    wait_for_grant(f, &under_way);
    assert_int_equal(under_way.code, RPC_PERMISSION_DENIED);
    (void)ask(f, &later);
    wait_for_grant(f, &later);
    assert_int_equal(later.code, RPC_PERMISSION_DENIED);
    assert_string_equal(later.message, "this sidecar has been revoked (s1, today)");
    control_status(f->control, &status);
    assert_false(status.connected);
    /* Neither the watch nor the uplink come back, though there is something to ship. */
    int watches = f->fake.watches, resumes = f->fake.resumes, connections = 0;
    connections = fake_door_count(f->fake.door);
    control_fixture_write(f, 1);
    control_fixture_run_ms(f, 1500);
    assert_int_equal(f->fake.watches, watches);
    assert_int_equal(f->fake.resumes, resumes);
    assert_int_equal(fake_door_count(f->fake.door), connections);
    assert_int_equal(f->fake.records, 1);
}

/* ---- the connection ---- */

static bool has_watched_again(struct control_fixture *f)
{
    return f->fake.watches >= 2 && f->fake.hellos >= 2;
}

static void watch_comes_back(void **state)
{
    struct control_fixture *f = *state;
    control_fixture_start(f);
    UNTIL(f, is_connected);
    fake_door_cut(f->fake.door, false);
    UNTIL(f, has_watched_again);
    UNTIL(f, is_connected);
}

static bool has_tried_thrice(struct control_fixture *f)
{
    return fake_door_count(f->fake.door) >= 4;
}

static void noise_inside_tls_does_no_harm(void **state)
{
    struct control_fixture *f = *state;
    struct grant g;
    f->options.open_timeout_ms = 5000; /* the noise is no answer */
    control_fixture_start(f);
    UNTIL(f, is_connected);
    fake_door_set_mood(f->fake.door, DOOR_GARBAGE);
    fake_door_cut(f->fake.door, false);
    UNTIL(f, has_tried_thrice);
    (void)ask(f, &g);
    wait_for_grant(f, &g);
    assert_int_not_equal(g.code, RPC_OK);
    fake_door_set_mood(f->fake.door, DOOR_HONEST);
    UNTIL(f, is_connected);
    (void)ask(f, &g);
    wait_for_grant(f, &g);
    assert_int_equal(g.code, RPC_OK);
}

#define WITH_FIXTURE(test)                                                                         \
    cmocka_unit_test_setup_teardown(test, control_fixture_setup, control_fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_FIXTURE(session_is_granted),
        WITH_FIXTURE(refusal_says_why),
        WITH_FIXTURE(before_enrolment_it_is_unavailable),
        WITH_FIXTURE(without_a_control_plane_it_is_refused_soon),
        WITH_FIXTURE(session_is_granted_as_soon_as_it_says_connected),
        WITH_FIXTURE(deadline_ends_a_call_that_hangs),
        WITH_FIXTURE(cancelled_call_gives_no_reply),
        WITH_FIXTURE(policy_becomes_active_and_is_acknowledged),
        WITH_FIXTURE(older_revision_is_rejected),
        WITH_FIXTURE(same_revision_of_another_document_is_rejected),
        WITH_FIXTURE(broken_signature_is_rejected),
        WITH_FIXTURE(other_key_is_rejected),
        WITH_FIXTURE(document_that_does_not_compile_is_rejected),
        WITH_FIXTURE(policy_on_the_disk_is_used_without_a_control_plane),
        WITH_FIXTURE(damaged_policy_on_the_disk_is_not_used),
        WITH_FIXTURE(kill_is_carried_out_and_answered),
        WITH_FIXTURE(kill_of_an_unknown_session_says_so),
        WITH_FIXTURE(push_without_content_does_no_harm),
        WITH_FIXTURE(revoked_sidecar_ends_all_and_asks_no_more),
        WITH_FIXTURE(watch_comes_back),
        WITH_FIXTURE(noise_inside_tls_does_no_harm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
