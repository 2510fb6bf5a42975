/* A sidecar that was revoked: its certificate counts for nothing, its stream has ended, for good.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "controlplane/testing/held.h"

static const char session[] = "0199e9a2-0000-7000-8000-00000000000a";
static const char told[] = "this sidecar has been revoked";

/* --- a sidecar ---------------------------------------------------------------------------------
 */

static struct listening *watch(struct sidecar *s)
{
    Chaperone__V1__WatchRequest request = CHAPERONE__V1__WATCH_REQUEST__INIT;
    Chaperone__V1__Hello hello = CHAPERONE__V1__HELLO__INIT;
    struct listening *l = listen_to(s->channel, &chaperone__v1__sidecar__descriptor, "Watch", NULL);
    (void)listening_await(l, 0); /* the policy: it is connected */
    request.hello = &hello;
    listening_send(l, &request.base);
    return l;
}

static void say_done(struct listening *l, const char *order)
{
    Chaperone__V1__WatchRequest request = CHAPERONE__V1__WATCH_REQUEST__INIT;
    Chaperone__V1__OrderDone done = CHAPERONE__V1__ORDER_DONE__INIT;
    char *sessions[] = {(char *)(uintptr_t)session};
    done.order = (char *)(uintptr_t)order;
    done.sessions = sessions;
    done.n_sessions = 1;
    request.done = &done;
    listening_send(l, &request.base);
}

static struct answer call_sidecar(struct sidecar *s, const ProtobufCServiceDescriptor *service,
                                  const char *method, const ProtobufCMessage *request)
{
    return fixture_call(s->channel, service, method, request, NULL, 0);
}

static struct answer renew(struct sidecar *s)
{
    Chaperone__V1__RenewRequest request = CHAPERONE__V1__RENEW_REQUEST__INIT;
    request.csr = make_csr(s->key);
    struct answer a =
        call_sidecar(s, &chaperone__v1__enrolment__descriptor, "Renew", &request.base);
    OPENSSL_free(request.csr.data);
    return a;
}

static struct answer open_session(struct fixture *f, struct sidecar *s)
{
    char *token = fixture_token(f, "bot", "agents");
    Chaperone__V1__OpenSessionRequest request = CHAPERONE__V1__OPEN_SESSION_REQUEST__INIT;
    request.session = (char *)(uintptr_t)session;
    request.resource = "orders";
    request.protocol = "postgres";
    request.user = "me";
    request.token = (ProtobufCBinaryData){.data = (uint8_t *)token, .len = strlen(token)};
    struct answer a =
        call_sidecar(s, &chaperone__v1__sidecar__descriptor, "OpenSession", &request.base);
    free(token);
    return a;
}

/* Every call that a sidecar may make. */
static void assert_counts_for_nothing(struct fixture *f, struct sidecar *s)
{
    Chaperone__V1__ResumeRequest resume = CHAPERONE__V1__RESUME_REQUEST__INIT;
    Chaperone__V1__RequestApprovalRequest ask = CHAPERONE__V1__REQUEST_APPROVAL_REQUEST__INIT;
    Chaperone__V1__EndApprovalRequest end = CHAPERONE__V1__END_APPROVAL_REQUEST__INIT;
    const ProtobufCServiceDescriptor *sidecar = &chaperone__v1__sidecar__descriptor;
    const ProtobufCServiceDescriptor *ingest = &chaperone__v1__audit_ingest__descriptor;
    assert_answer(renew(s), RPC_PERMISSION_DENIED, told);
    assert_answer(open_session(f, s), RPC_PERMISSION_DENIED, told);
    assert_answer(call_sidecar(s, ingest, "Resume", &resume.base), RPC_PERMISSION_DENIED, told);
    assert_answer(call_sidecar(s, sidecar, "RequestApproval", &ask.base), RPC_PERMISSION_DENIED,
                  told);
    assert_answer(call_sidecar(s, sidecar, "EndApproval", &end.base), RPC_PERMISSION_DENIED, told);
    struct listening *streams[] = {listen_to(s->channel, sidecar, "Watch", NULL),
                                   listen_to(s->channel, ingest, "Ship", NULL)};
    for (size_t i = 0; i < 2; i++) {
        struct rpc_status ended = listening_end(streams[i]);
        assert_int_equal(ended.code, RPC_PERMISSION_DENIED);
        assert_non_null(strstr(ended.message, told));
        listening_finish(streams[i]);
    }
}

/* --- an operator -------------------------------------------------------------------------------
 */

static struct answer call_as(struct fixture *f, const char *group, const char *method,
                             const ProtobufCMessage *request)
{
    char *token = fixture_token(f, "root", group);
    struct answer a = fixture_call(f->channel, &chaperone__v1__administration__descriptor, method,
                                   request, token, 0);
    free(token);
    return a;
}

static struct answer revoke_as(struct fixture *f, const char *group, const char *id)
{
    Chaperone__V1__RevokeSidecarRequest request = CHAPERONE__V1__REVOKE_SIDECAR_REQUEST__INIT;
    request.sidecar = (char *)(uintptr_t)id;
    request.reason = "stolen";
    return call_as(f, group, "RevokeSidecar", &request.base);
}

static const Chaperone__V1__RevokeSidecarResponse *revoked(const struct answer *a)
{
    if (a->status.code != RPC_OK) {
        fail_msg("%s: %s", rpc_code_name(a->status.code), a->status.message);
    }
    return (const Chaperone__V1__RevokeSidecarResponse *)a->reply;
}

/* One that is under way. */
struct revoking {
    struct fixture *fixture;
    const char *id;
    struct answer answer;
    pthread_t thread;
};

static void *run_revoke(void *context)
{
    struct revoking *r = context;
    r->answer = revoke_as(r->fixture, "admins", r->id);
    return NULL;
}

static void revoke_now(struct fixture *f, const char *id)
{
    struct answer a = revoke_as(f, "admins", id);
    assert_true(revoked(&a)->revoked);
    assert_string_equal(revoked(&a)->not_confirmed, "");
    answer_finish(&a);
}

static void ship_open_session(struct sidecar *s, struct records *r)
{
    *r = (struct records){.sidecar = s->id};
    ProtobufCBinaryData opened = records_opened(r, session, "bot");
    fixture_ship(s, &opened, 1);
}

/* --- the tests ---------------------------------------------------------------------------------
 */

static void what_runs_is_ended_and_its_connection_closed(void **state)
{
    struct fixture *f = *state;
    struct sidecar s = fixture_sidecar(f);
    struct records records;
    struct listening *l = watch(&s);
    struct listening *ship =
        listen_to(s.channel, &chaperone__v1__audit_ingest__descriptor, "Ship", NULL);
    ship_open_session(&s, &records);
    struct revoking r = {.fixture = f, .id = s.id};
    assert_int_equal(pthread_create(&r.thread, NULL, run_revoke, &r), 0);
    const Chaperone__V1__WatchResponse *push =
        (const Chaperone__V1__WatchResponse *)listening_await(l, 1);
    assert_int_equal(push->push_case, CHAPERONE__V1__WATCH_RESPONSE__PUSH_KILL);
    assert_true(push->kill->all);
    assert_string_equal(push->kill->reason, told); /* nor why, nor by whom */
    assert_string_equal(push->kill->ordered_by, "the control plane");
    /* Already while it is at it. */
    assert_answer(open_session(f, &s), RPC_PERMISSION_DENIED, told);
    say_done(l, push->kill->order);
    assert_int_equal(pthread_join(r.thread, NULL), 0);
    const Chaperone__V1__RevokeSidecarResponse *answer = revoked(&r.answer);
    assert_true(answer->revoked);
    assert_string_equal(answer->revoked_by, "root");
    assert_string_equal(answer->reason, "stolen");
    assert_int_equal(answer->last_sequence, 1);
    assert_int_equal(answer->n_sessions, 1);
    assert_string_equal(answer->sessions[0], session);
    assert_string_equal(answer->not_confirmed, "");
    assert_int_equal(listening_end(l).code, RPC_PERMISSION_DENIED);
    assert_int_equal(listening_end(ship).code, RPC_PERMISSION_DENIED);
    assert_counts_for_nothing(f, &s);
    answer_finish(&r.answer);
    listening_finish(ship);
    listening_finish(l);
    sidecar_finish(&s);
}

static void one_that_does_not_answer_is_revoked_all_the_same(void **state)
{
    struct fixture *f = *state;
    struct err_text why = {0};
    struct sidecar s = fixture_sidecar(f);
    struct listening *l = watch(&s);
    fixture_write_config(f, &(struct fixture_config){.extra = "session: {kill_timeout: 1s}\n"});
    assert_int_equal(server_reload(f->server, &why), OK);
    struct answer a = revoke_as(f, "admins", s.id);
    assert_true(revoked(&a)->revoked);
    assert_non_null(strstr(revoked(&a)->not_confirmed, "did not confirm in time"));
    assert_int_equal(listening_end(l).code, RPC_PERMISSION_DENIED);
    assert_counts_for_nothing(f, &s);
    answer_finish(&a);
    listening_finish(l);
    sidecar_finish(&s);
}

static void it_stays_so_and_others_go_on(void **state)
{
    struct fixture *f = *state;
    struct sidecar s = fixture_sidecar(f), other = fixture_sidecar(f);
    revoke_now(f, s.id);
    struct answer a = revoke_as(f, "admins", s.id); /* once more */
    assert_false(revoked(&a)->revoked);
    assert_string_equal(revoked(&a)->revoked_by, "root");
    assert_true(revoked(&a)->revoked_unix_ns > 0);
    answer_finish(&a);
    assert_answer(open_session(f, &other), RPC_OK, "");
    assert_answer(renew(&other), RPC_OK, "");
    struct buffer pem = s.certificate_pem, other_pem = other.certificate_pem;
    rpc_channel_destroy(s.channel);
    rpc_channel_destroy(other.channel);
    fixture_restart(f);
    s.channel = fixture_channel(f, buffer_bytes(&pem), s.key);
    other.channel = fixture_channel(f, buffer_bytes(&other_pem), other.key);
    assert_counts_for_nothing(f, &s);
    assert_answer(renew(&other), RPC_OK, "");
    sidecar_finish(&s);
    sidecar_finish(&other);
}

static void its_key_is_enrolled_no_more(void **state)
{
    struct fixture *f = *state;
    struct sidecar s = fixture_sidecar(f);
    EVP_PKEY *fresh = make_key("ED25519");
    char *token = fixture_join_token(f), *node = fixture_token(f, "node-1", "nodes");
    revoke_now(f, s.id);
    const char *const ids[] = {NULL, s.id, "0199e9a2-0000-7000-8000-000000000001"};
    for (size_t i = 0; i < 3; i++) {
        assert_answer(fixture_enrol(f, s.key, token, NULL, ids[i]), RPC_PERMISSION_DENIED, told);
        assert_answer(fixture_enrol(f, s.key, NULL, node, ids[i]), RPC_PERMISSION_DENIED, told);
    }
    /* The token was not used up by that; a new key is a new sidecar. */
    struct answer a = fixture_enrol(f, fresh, token, NULL, s.id);
    assert_int_equal(a.status.code, RPC_OK);
    assert_string_not_equal(((const Chaperone__V1__EnrolResponse *)a.reply)->sidecar, s.id);
    answer_finish(&a);
    EVP_PKEY_free(fresh);
    free(token);
    free(node);
    sidecar_finish(&s);
}

/* Whoever has the key may have enrolled it a second time. The key is the first one's. */
static struct sidecar enrol_twin(struct fixture *f, struct sidecar *s)
{
    char *token = fixture_join_token(f);
    struct answer a = fixture_enrol(f, s->key, token, NULL, NULL);
    assert_int_equal(a.status.code, RPC_OK);
    const Chaperone__V1__EnrolResponse *r = (const Chaperone__V1__EnrolResponse *)a.reply;
    assert_string_not_equal(r->sidecar, s->id);
    struct sidecar twin = {
        .key = s->key,
        .id = strdup(r->sidecar),
        .channel =
            fixture_channel(f, bytes_of(r->certificate_pem.data, r->certificate_pem.len), s->key)};
    answer_finish(&a);
    free(token);
    return twin;
}

static void twin_finish(struct sidecar *twin)
{
    rpc_channel_destroy(twin->channel);
    free(twin->id);
}

static void the_same_key_under_another_id_is_revoked_too(void **state)
{
    struct fixture *f = *state;
    struct sidecar s = fixture_sidecar(f), twin = enrol_twin(f, &s);
    struct records records;
    ship_open_session(&twin, &records);
    struct answer answer = revoke_as(f, "admins", s.id);
    assert_int_equal(revoked(&answer)->n_also, 1);
    assert_string_equal(revoked(&answer)->also[0], twin.id);
    /* It is away, with a session: that is not certain, whichever id was named. */
    assert_non_null(strstr(revoked(&answer)->not_confirmed, twin.id));
    assert_counts_for_nothing(f, &twin);
    answer_finish(&answer);
    twin_finish(&twin);
    sidecar_finish(&s);
}

/* Nobody goes on under the other id while the first one keeps who revokes it waiting. */
static void the_same_key_is_revoked_before_anybody_is_waited_for(void **state)
{
    struct fixture *f = *state;
    struct sidecar s = fixture_sidecar(f), twin = enrol_twin(f, &s);
    struct listening *l = watch(&s);
    struct revoking r = {.fixture = f, .id = s.id};
    assert_int_equal(pthread_create(&r.thread, NULL, run_revoke, &r), 0);
    const Chaperone__V1__WatchResponse *push =
        (const Chaperone__V1__WatchResponse *)listening_await(l, 1);
    assert_counts_for_nothing(f, &twin);
    say_done(l, push->kill->order);
    assert_int_equal(pthread_join(r.thread, NULL), 0);
    assert_string_equal(revoked(&r.answer)->not_confirmed, "");
    assert_int_equal(revoked(&r.answer)->n_also, 1);
    answer_finish(&r.answer);
    listening_finish(l);
    twin_finish(&twin);
    sidecar_finish(&s);
}

static void which_one_is_said_in_short_and_by_admins_only(void **state)
{
    struct fixture *f = *state;
    struct sidecar s = fixture_sidecar(f), other = fixture_sidecar(f);
    char shorter[29] = "";
    const char *const groups[] = {"auditors", "approvers", "agents", NULL};
    for (size_t i = 0; i < 4; i++) {
        assert_answer(revoke_as(f, groups[i], s.id), RPC_PERMISSION_DENIED, "no role");
    }
    assert_answer(renew(&s), RPC_OK, "");
    assert_answer(revoke_as(f, "admins", ""), RPC_INVALID_ARGUMENT, "a sidecar is needed");
    assert_answer(revoke_as(f, "admins", "ffff"), RPC_NOT_FOUND, "no sidecar \"ffff\"");
    assert_answer(revoke_as(f, "admins", "0"), RPC_INVALID_ARGUMENT, "more than one sidecar");
    /* Of ids that were made one after the other the random end tells them apart. */
    (void)snprintf(shorter, sizeof(shorter), "%.28s", s.id);
    assert_string_not_equal(s.id, other.id);
    struct answer a = revoke_as(f, "admins", shorter);
    assert_string_equal(revoked(&a)->sidecar, s.id);
    answer_finish(&a);
    assert_answer(renew(&other), RPC_OK, "");
    sidecar_finish(&s);
    sidecar_finish(&other);
}

/* In retry mode the agent may come again through another sidecar. */
static void nobody_decides_for_it_any_more(void **state)
{
    struct fixture *f = *state;
    struct sidecar s = fixture_sidecar(f), other = fixture_sidecar(f);
    held_asks(&s, (struct held_asking){.number = 1}, WAITS, 1);
    held_asks(&s, (struct held_asking){.number = 2, .is_retry = true}, WAITS, 2);
    held_asks(&other, (struct held_asking){.number = 3}, WAITS, 3);
    revoke_now(f, s.id);
    assert_int_equal(held_state(f, 1), WITHDRAWN);
    assert_int_equal(held_state(f, 2), WAITS);
    assert_int_equal(held_state(f, 3), WAITS);
    sidecar_finish(&s);
    sidecar_finish(&other);
}

static void the_status_and_the_sessions_show_it(void **state)
{
    struct fixture *f = *state;
    struct sidecar s = fixture_sidecar(f);
    struct records records;
    ship_open_session(&s, &records);
    struct answer a = revoke_as(f, "admins", s.id);
    assert_int_equal(revoked(&a)->n_sessions, 1);
    assert_non_null(strstr(revoked(&a)->not_confirmed, "away"));
    answer_finish(&a);
    Chaperone__V1__StatusRequest status = CHAPERONE__V1__STATUS_REQUEST__INIT;
    a = call_as(f, "auditors", "Status", &status.base);
    assert_int_equal(a.status.code, RPC_OK);
    const Chaperone__V1__StatusResponse__Sidecar *shown =
        ((const Chaperone__V1__StatusResponse *)a.reply)->sidecars[0];
    assert_string_equal(shown->revoked_by, "root");
    assert_string_equal(shown->revoke_reason, "stolen");
    assert_true(shown->revoked_unix_ns > 0);
    assert_true(shown->certificate_not_after_unix_ns > shown->enrolled_unix_ns);
    assert_string_equal(shown->enrolled_by, "join token of root");
    assert_int_equal(shown->open_sessions, 0);
    assert_false(shown->connected);
    answer_finish(&a);
    Chaperone__V1__ListSessionsRequest list = CHAPERONE__V1__LIST_SESSIONS_REQUEST__INIT;
    char *auditor = fixture_token(f, "eve", "auditors");
    list.include_closed = true;
    a = fixture_call(f->channel, &chaperone__v1__sessions__descriptor, "List", &list.base, auditor,
                     0);
    assert_int_equal(a.status.code, RPC_OK);
    const Chaperone__V1__ListSessionsResponse *sessions =
        (const Chaperone__V1__ListSessionsResponse *)a.reply;
    assert_int_equal(sessions->n_sessions, 1);
    assert_string_equal(sessions->sessions[0]->state, "closed");
    assert_string_equal(sessions->sessions[0]->close_reason, "revoked");
    answer_finish(&a);
    free(auditor);
    sidecar_finish(&s);
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, fixture_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        CASE(what_runs_is_ended_and_its_connection_closed),
        CASE(one_that_does_not_answer_is_revoked_all_the_same),
        CASE(it_stays_so_and_others_go_on),
        CASE(its_key_is_enrolled_no_more),
        CASE(the_same_key_under_another_id_is_revoked_too),
        CASE(the_same_key_is_revoked_before_anybody_is_waited_for),
        CASE(which_one_is_said_in_short_and_by_admins_only),
        CASE(nobody_decides_for_it_any_more),
        CASE(the_status_and_the_sessions_show_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
