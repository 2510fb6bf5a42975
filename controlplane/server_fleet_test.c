/* Connected sidecars: policy, records, searches, kill orders, the fleet's status. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "controlplane/testing/fixture.h"

/* Any policy but the default one. */
#define POLICY_TEXT                                                                                \
    "version: 1\n"                                                                                 \
    "rules:\n"                                                                                     \
    "  - {name: reading, effect: allow, match: {sql: {commands: [read]}}}\n"

static const char session[] = "0199e9a2-0000-7000-8000-00000000000a";

static struct listening *watch(struct sidecar *s)
{
    Chaperone__V1__WatchRequest request = CHAPERONE__V1__WATCH_REQUEST__INIT;
    Chaperone__V1__Hello hello = CHAPERONE__V1__HELLO__INIT;
    struct listening *l = listen_to(s->channel, &chaperone__v1__sidecar__descriptor, "Watch", NULL);
    request.hello = &hello;
    listening_send(l, &request.base);
    return l;
}

static const Chaperone__V1__PolicyBundle *policy_of(const ProtobufCMessage *message)
{
    const Chaperone__V1__WatchResponse *push = (const Chaperone__V1__WatchResponse *)message;
    assert_int_equal(push->push_case, CHAPERONE__V1__WATCH_RESPONSE__PUSH_POLICY);
    return push->policy;
}

/* --- policy ------------------------------------------------------------------------------------
 */

static void a_watch_gets_the_policy_at_once_and_when_it_changes(void **state)
{
    struct fixture *f = *state;
    struct sidecar s = fixture_sidecar(f);
    struct listening *l = watch(&s);
    struct err_text why = {0};
    const Chaperone__V1__PolicyBundle *first = policy_of(listening_await(l, 0));
    assert_int_equal(first->revision, 1);
    assert_int_equal(first->signature.len, 64);
    assert_int_equal(strlen(first->hash), 64);
    /* The same again is no news. */
    assert_int_equal(server_reload(f->server, &why), OK);
    char path[128];
    (void)snprintf(path, sizeof(path), "%s/policy.yaml", f->directory);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_true(fputs(POLICY_TEXT, file) > 0);
    assert_int_equal(fclose(file), 0);
    fixture_write_config(f, &(struct fixture_config){.extra = "policy: {file: policy.yaml}\n"});
    if (server_reload(f->server, &why) != OK) {
        fail_msg("%s", why.text);
    }
    const Chaperone__V1__PolicyBundle *second = policy_of(listening_await(l, 1));
    assert_int_equal(second->revision, 2);
    assert_string_not_equal(second->hash, first->hash);
    listening_finish(l);
    sidecar_finish(&s);
}

static Chaperone__V1__StatusResponse *status_of(struct fixture *f, struct answer *out)
{
    Chaperone__V1__StatusRequest request = CHAPERONE__V1__STATUS_REQUEST__INIT;
    char *admin = fixture_token(f, "root", "admins");
    *out = fixture_call(f->channel, &chaperone__v1__administration__descriptor, "Status",
                        &request.base, admin, 0);
    free(admin);
    assert_int_equal(out->status.code, RPC_OK);
    return (Chaperone__V1__StatusResponse *)out->reply;
}

/* Acknowledgements have no answer of their own; a kill's error comes after it on the same stream.
 */
static void the_status_shows_who_runs_which_policy(void **state)
{
    struct fixture *f = *state;
    struct sidecar s = fixture_sidecar(f);
    struct answer a;
    struct listening *l = watch(&s);
    (void)listening_await(l, 0);
    Chaperone__V1__WatchRequest request = CHAPERONE__V1__WATCH_REQUEST__INIT;
    Chaperone__V1__PolicyAck ack = CHAPERONE__V1__POLICY_ACK__INIT;
    ack.revision = 1;
    ack.error = (char *)(uintptr_t) "no such rule";
    request.policy = &ack;
    listening_send(l, &request.base);
    listening_half_close(l);
    assert_int_equal(listening_end(l).code, RPC_OK);
    const Chaperone__V1__StatusResponse *r = status_of(f, &a);
    assert_string_equal(r->version, "test");
    assert_int_equal(r->policy_revision, 1);
    assert_int_equal(r->n_sidecars, 1);
    assert_string_equal(r->sidecars[0]->sidecar, s.id);
    assert_string_equal(r->sidecars[0]->name, "node-1");
    assert_string_equal(r->sidecars[0]->policy_state, "rejected: no such rule");
    answer_finish(&a);
    listening_finish(l);
    l = watch(&s);
    (void)listening_await(l, 0);
    r = status_of(f, &a);
    assert_true(r->sidecars[0]->connected);
    assert_string_equal(r->sidecars[0]->policy_state, "delivered");
    answer_finish(&a);
    listening_finish(l);
    sidecar_finish(&s);
}

/* --- records -----------------------------------------------------------------------------------
 */

static struct listening *search(struct fixture *f, const char *method, const char *text)
{
    char *auditor = fixture_token(f, "auditor", "auditors");
    Chaperone__V1__SearchRequest request = CHAPERONE__V1__SEARCH_REQUEST__INIT;
    struct listening *l = listen_to(f->channel, &chaperone__v1__audit__descriptor, method, auditor);
    request.text = (char *)(uintptr_t)text;
    request.session = (char *)(uintptr_t)session; /* who searches is recorded, too */
    listening_send(l, &request.base);
    listening_half_close(l);
    free(auditor);
    return l;
}

static size_t count_entries(struct listening *l)
{
    size_t count = 0;
    assert_int_equal(listening_end(l).code, RPC_OK);
    for (size_t i = 0; i < listening_count(l); i++) {
        count += ((const Chaperone__V1__SearchResponse *)listening_await(l, i))->n_entries;
    }
    return count;
}

static void what_was_shipped_is_found(void **state)
{
    struct fixture *f = *state;
    struct sidecar s = fixture_sidecar(f);
    struct records r = {.sidecar = s.id};
    ProtobufCBinaryData batch[] = {
        records_opened(&r, session, "bot"),
        records_intent(&r, session, "SELECT 1 FROM customers"),
        records_intent(&r, session, "SELECT 2 FROM orders"),
    };
    fixture_ship(&s, batch, 3);
    struct listening *all = search(f, "Search", ""), *some = search(f, "Search", "customers");
    assert_int_equal(count_entries(all), 3);
    assert_int_equal(count_entries(some), 1);
    const Chaperone__V1__SearchResponse *found =
        (const Chaperone__V1__SearchResponse *)listening_await(some, 0);
    assert_string_equal(found->entries[0]->identity, "bot");
    assert_string_equal(found->entries[0]->resource, "orders");
    listening_finish(all);
    listening_finish(some);
    Chaperone__V1__ResumeRequest resume = CHAPERONE__V1__RESUME_REQUEST__INIT;
    struct answer a = fixture_call(s.channel, &chaperone__v1__audit_ingest__descriptor, "Resume",
                                   &resume.base, NULL, 0);
    const Chaperone__V1__ResumeResponse *last = (const Chaperone__V1__ResumeResponse *)a.reply;
    assert_int_equal(last->sequence, 3);
    assert_memory_equal(last->hash.data, r.hash, 32);
    answer_finish(&a);
    sidecar_finish(&s);
}

static struct rpc_status ship_one(struct sidecar *s, ProtobufCBinaryData record)
{
    Chaperone__V1__ShipRequest request = CHAPERONE__V1__SHIP_REQUEST__INIT;
    request.records = &record;
    request.n_records = 1;
    struct listening *l =
        listen_to(s->channel, &chaperone__v1__audit_ingest__descriptor, "Ship", NULL);
    listening_send(l, &request.base);
    struct rpc_status status = listening_end(l);
    listening_finish(l);
    free(record.data);
    return status;
}

static void a_record_that_breaks_the_chain_is_refused(void **state)
{
    struct fixture *f = *state;
    struct sidecar s = fixture_sidecar(f), other = fixture_sidecar(f);
    struct records gap = {.sidecar = s.id, .sequence = 4};
    assert_int_equal(ship_one(&s, records_opened(&gap, session, "bot")).code, RPC_INVALID_ARGUMENT);
    struct records stolen = {.sidecar = s.id};
    assert_int_equal(ship_one(&other, records_opened(&stolen, session, "bot")).code,
                     RPC_PERMISSION_DENIED);
    struct records honest = {.sidecar = s.id}, rewritten = {.sidecar = s.id};
    ProtobufCBinaryData first = records_opened(&honest, session, "bot");
    fixture_ship(&s, &first, 1);
    assert_int_equal(ship_one(&s, records_opened(&rewritten, session, "someone-else")).code,
                     RPC_DATA_LOSS);
    sidecar_finish(&s);
    sidecar_finish(&other);
}

static void a_tail_sees_what_arrives(void **state)
{
    struct fixture *f = *state;
    struct sidecar s = fixture_sidecar(f);
    struct records r = {.sidecar = s.id};
    ProtobufCBinaryData first = records_opened(&r, session, "bot");
    fixture_ship(&s, &first, 1);
    struct listening *l = search(f, "Tail", "");
    (void)listening_await(l, 0);
    ProtobufCBinaryData second = records_intent(&r, session, "SELECT 1");
    fixture_ship(&s, &second, 1);
    const Chaperone__V1__SearchResponse *arrived =
        (const Chaperone__V1__SearchResponse *)listening_await(l, 1);
    assert_int_equal(arrived->n_entries, 1);
    listening_finish(l);
    sidecar_finish(&s);
}

static void a_search_that_makes_no_sense_is_told(void **state)
{
    struct listening *l = search(*state, "Search", "***");
    assert_int_equal(listening_end(l).code, RPC_INVALID_ARGUMENT);
    listening_finish(l);
}

/* --- kill --------------------------------------------------------------------------------------
 */

static struct answer kill_session(struct fixture *f)
{
    Chaperone__V1__KillSessionRequest request = CHAPERONE__V1__KILL_SESSION_REQUEST__INIT;
    char *admin = fixture_token(f, "root", "admins");
    request.session = (char *)(uintptr_t)session;
    request.reason = (char *)(uintptr_t) "runs wild";
    struct answer a = fixture_call(f->channel, &chaperone__v1__sessions__descriptor, "Kill",
                                   &request.base, admin, 0);
    free(admin);
    return a;
}

struct killing {
    struct fixture *fixture;
    struct answer answer;
};

static void *run_kill(void *context)
{
    struct killing *k = context;
    k->answer = kill_session(k->fixture);
    return NULL;
}

static void open_session(struct sidecar *s, struct records *r)
{
    *r = (struct records){.sidecar = s->id};
    ProtobufCBinaryData opened = records_opened(r, session, "bot");
    fixture_ship(s, &opened, 1);
}

/* The order reaches the sidecar; what it answers is what the operator gets. */
static struct answer kill_and_answer(struct fixture *f, struct listening *l, size_t n,
                                     const char *error)
{
    struct killing killing = {.fixture = f};
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, run_kill, &killing), 0);
    const Chaperone__V1__WatchResponse *push =
        (const Chaperone__V1__WatchResponse *)listening_await(l, n);
    assert_int_equal(push->push_case, CHAPERONE__V1__WATCH_RESPONSE__PUSH_KILL);
    assert_string_equal(push->kill->session, session);
    assert_string_equal(push->kill->ordered_by, "root");
    assert_string_equal(push->kill->reason, "runs wild");
    Chaperone__V1__WatchRequest request = CHAPERONE__V1__WATCH_REQUEST__INIT;
    Chaperone__V1__OrderDone done = CHAPERONE__V1__ORDER_DONE__INIT;
    done.order = push->kill->order;
    done.error = (char *)(uintptr_t)error;
    request.done = &done;
    listening_send(l, &request.base);
    assert_int_equal(pthread_join(thread, NULL), 0);
    return killing.answer;
}

static void a_kill_returns_when_the_sidecar_has_done_it(void **state)
{
    struct fixture *f = *state;
    struct sidecar s = fixture_sidecar(f);
    struct records r;
    open_session(&s, &r);
    struct listening *l = watch(&s);
    (void)listening_await(l, 0);
    struct answer a = kill_and_answer(f, l, 1, "");
    assert_int_equal(a.status.code, RPC_OK);
    assert_true(((const Chaperone__V1__KillSessionResponse *)a.reply)->killed);
    answer_finish(&a);
    assert_answer(kill_and_answer(f, l, 2, "no such session"), RPC_FAILED_PRECONDITION,
                  "no such session");
    char *log = fixture_read_log(f);
    assert_non_null(strstr(log, "\"action\":\"session_kill\""));
    free(log);
    listening_finish(l);
    sidecar_finish(&s);
}

static void a_kill_of_what_is_not_there_says_so(void **state)
{
    struct fixture *f = *state;
    struct sidecar s = fixture_sidecar(f);
    struct records r;
    assert_answer(kill_session(f), RPC_NOT_FOUND, "no session");
    open_session(&s, &r);
    assert_answer(kill_session(f), RPC_FAILED_PRECONDITION, "is not connected");
    ProtobufCBinaryData closed = records_closed(&r, session);
    fixture_ship(&s, &closed, 1);
    struct answer a = kill_session(f);
    assert_int_equal(a.status.code, RPC_OK);
    assert_false(((const Chaperone__V1__KillSessionResponse *)a.reply)->killed);
    answer_finish(&a);
    sidecar_finish(&s);
}

static void limit_kills(struct fixture *f, const char *extra)
{
    struct err_text why = {0};
    fixture_write_config(f, &(struct fixture_config){.extra = extra});
    assert_int_equal(server_reload(f->server, &why), OK);
}

static void a_sidecar_that_does_not_answer_is_not_waited_for(void **state)
{
    struct fixture *f = *state;
    struct sidecar s = fixture_sidecar(f);
    struct records r;
    limit_kills(f, "session: {kill_timeout: 1s}\n");
    open_session(&s, &r);
    struct listening *l = watch(&s);
    (void)listening_await(l, 0);
    assert_answer(kill_session(f), RPC_DEADLINE_EXCEEDED, "did not confirm in time");
    /* One that goes away meanwhile ends the waiting at once. */
    limit_kills(f, "session: {kill_timeout: 60s}\n");
    struct killing killing = {.fixture = f};
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, run_kill, &killing), 0);
    (void)listening_await(l, 2);
    listening_half_close(l);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_answer(killing.answer, RPC_FAILED_PRECONDITION, "went away");
    listening_finish(l);
    sidecar_finish(&s);
}

static char *state_of(struct fixture *f)
{
    Chaperone__V1__ListSessionsRequest request = CHAPERONE__V1__LIST_SESSIONS_REQUEST__INIT;
    char *admin = fixture_token(f, "root", "admins");
    request.include_closed = true;
    struct answer a = fixture_call(f->channel, &chaperone__v1__sessions__descriptor, "List",
                                   &request.base, admin, 0);
    assert_int_equal(a.status.code, RPC_OK);
    const Chaperone__V1__ListSessionsResponse *r =
        (const Chaperone__V1__ListSessionsResponse *)a.reply;
    assert_int_equal(r->n_sessions, 1);
    char *text = strdup(r->sessions[0]->state);
    answer_finish(&a);
    free(admin);
    return text;
}

static void assert_state(struct fixture *f, const char *expected)
{
    char *text = state_of(f);
    assert_string_equal(text, expected);
    free(text);
}

static void a_session_whose_sidecar_is_away_is_lost(void **state)
{
    struct fixture *f = *state;
    struct sidecar s = fixture_sidecar(f);
    struct records r;
    open_session(&s, &r);
    assert_state(f, "lost");
    struct listening *l = watch(&s);
    (void)listening_await(l, 0);
    assert_state(f, "open");
    ProtobufCBinaryData closed = records_closed(&r, session);
    fixture_ship(&s, &closed, 1);
    assert_state(f, "closed");
    listening_finish(l);
    sidecar_finish(&s);
}

/* --- shutdown ----------------------------------------------------------------------------------
 */

static void a_stop_ends_the_streams_and_says_why(void **state)
{
    struct fixture *f = *state;
    struct sidecar s = fixture_sidecar(f);
    struct listening *l = watch(&s), *tail = search(f, "Tail", "");
    (void)listening_await(l, 0);
    server_stop(f->server, 5000);
    f->server = NULL;
    assert_int_equal(listening_end(l).code, RPC_UNAVAILABLE);
    assert_int_equal(listening_end(tail).code, RPC_UNAVAILABLE);
    listening_finish(tail);
    listening_finish(l);
    sidecar_finish(&s);
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, fixture_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        CASE(a_watch_gets_the_policy_at_once_and_when_it_changes),
        CASE(the_status_shows_who_runs_which_policy),
        CASE(what_was_shipped_is_found),
        CASE(a_record_that_breaks_the_chain_is_refused),
        CASE(a_tail_sees_what_arrives),
        CASE(a_search_that_makes_no_sense_is_told),
        CASE(a_kill_returns_when_the_sidecar_has_done_it),
        CASE(a_kill_of_what_is_not_there_says_so),
        CASE(a_sidecar_that_does_not_answer_is_not_waited_for),
        CASE(a_session_whose_sidecar_is_away_is_lost),
        CASE(a_stop_ends_the_streams_and_says_why),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
