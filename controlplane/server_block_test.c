/* The kill switch: what runs ends, what is new is refused, until it is lifted. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "controlplane/testing/fixture.h"

static const char session[] = "0199e9a2-0000-7000-8000-00000000000a";

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

/* The n-th message (the policy is 0): must be an order. */
static const Chaperone__V1__KillSession *await_order(struct listening *l, size_t n)
{
    const Chaperone__V1__WatchResponse *push =
        (const Chaperone__V1__WatchResponse *)listening_await(l, n);
    assert_int_equal(push->push_case, CHAPERONE__V1__WATCH_RESPONSE__PUSH_KILL);
    return push->kill;
}

static void say_done(struct listening *l, const char *order, const char *ended, const char *error)
{
    Chaperone__V1__WatchRequest request = CHAPERONE__V1__WATCH_REQUEST__INIT;
    Chaperone__V1__OrderDone done = CHAPERONE__V1__ORDER_DONE__INIT;
    char *sessions[] = {(char *)(uintptr_t)ended};
    done.order = (char *)(uintptr_t)order;
    done.error = (char *)(uintptr_t)error;
    done.sessions = sessions;
    done.n_sessions = ended == NULL ? 0 : 1;
    request.done = &done;
    listening_send(l, &request.base);
}

static void assert_opens(struct fixture *f, struct sidecar *s, const char *subject,
                         const char *principal, enum rpc_code code, const char *words)
{
    const char *agents = "agents";
    const struct issuer_token token = {.subject = subject,
                                       .groups = &agents,
                                       .group_count = 1,
                                       .on_behalf_of = &principal,
                                       .on_behalf_of_count = principal == NULL ? 0 : 1};
    char *text = fixture_special_token(f, &token);
    Chaperone__V1__OpenSessionRequest request = CHAPERONE__V1__OPEN_SESSION_REQUEST__INIT;
    request.session = (char *)(uintptr_t)session;
    request.resource = "orders";
    request.protocol = "postgres";
    request.user = "me";
    request.token.data = (uint8_t *)text;
    request.token.len = strlen(text);
    assert_answer(fixture_call(s->channel, &chaperone__v1__sidecar__descriptor, "OpenSession",
                               &request.base, NULL, 0),
                  code, words);
    free(text);
}

/* --- an operator -------------------------------------------------------------------------------
 */

static struct answer call_as(struct fixture *f, const char *group, const char *method,
                             const ProtobufCMessage *request)
{
    char *token = fixture_token(f, "root", group);
    struct answer a =
        fixture_call(f->channel, &chaperone__v1__sessions__descriptor, method, request, token, 0);
    free(token);
    return a;
}

struct what {
    const char *identity, *resource, *reason;
    bool everything, allow_new;
};

static struct answer block(struct fixture *f, struct what w)
{
    Chaperone__V1__BlockRequest request = CHAPERONE__V1__BLOCK_REQUEST__INIT;
    request.identity = (char *)(uintptr_t)(w.identity == NULL ? "" : w.identity);
    request.resource = (char *)(uintptr_t)(w.resource == NULL ? "" : w.resource);
    request.reason = (char *)(uintptr_t)(w.reason == NULL ? "" : w.reason);
    request.everything = w.everything;
    request.allow_new = w.allow_new;
    return call_as(f, "admins", "Block", &request.base);
}

static const Chaperone__V1__BlockResponse *blocked(const struct answer *a)
{
    if (a->status.code != RPC_OK) {
        fail_msg("%s: %s", rpc_code_name(a->status.code), a->status.message);
    }
    return (const Chaperone__V1__BlockResponse *)a->reply;
}

static struct answer lift(struct fixture *f, const char *id, struct what w)
{
    Chaperone__V1__LiftRequest request = CHAPERONE__V1__LIFT_REQUEST__INIT;
    request.id = (char *)(uintptr_t)id;
    request.identity = (char *)(uintptr_t)(w.identity == NULL ? "" : w.identity);
    request.resource = (char *)(uintptr_t)(w.resource == NULL ? "" : w.resource);
    request.everything = w.everything;
    return call_as(f, "admins", "Lift", &request.base);
}

static size_t lifted(struct answer a)
{
    assert_int_equal(a.status.code, RPC_OK);
    size_t n = ((const Chaperone__V1__LiftResponse *)a.reply)->n_lifted;
    answer_finish(&a);
    return n;
}

static size_t count_blocks(struct fixture *f)
{
    Chaperone__V1__ListBlocksRequest request = CHAPERONE__V1__LIST_BLOCKS_REQUEST__INIT;
    struct answer a = call_as(f, "auditors", "ListBlocks", &request.base);
    assert_int_equal(a.status.code, RPC_OK);
    size_t n = ((const Chaperone__V1__ListBlocksResponse *)a.reply)->n_blocks;
    answer_finish(&a);
    return n;
}

/* A Block that is under way. */
struct blocking {
    struct fixture *fixture;
    struct what what;
    struct answer answer;
    pthread_t thread;
};

static void *run_block(void *context)
{
    struct blocking *b = context;
    b->answer = block(b->fixture, b->what);
    return NULL;
}

static void begin_block(struct blocking *b, struct fixture *f, struct what w)
{
    *b = (struct blocking){.fixture = f, .what = w};
    assert_int_equal(pthread_create(&b->thread, NULL, run_block, b), 0);
}

static const Chaperone__V1__BlockResponse *end_block(struct blocking *b)
{
    assert_int_equal(pthread_join(b->thread, NULL), 0);
    return blocked(&b->answer);
}

static void let_orders_time_out(struct fixture *f)
{
    struct err_text why = {0};
    fixture_write_config(f, &(struct fixture_config){.extra = "session: {kill_timeout: 3s}\n"});
    assert_int_equal(server_reload(f->server, &why), OK);
}

static void ship_open_session(struct sidecar *s, struct records *r)
{
    *r = (struct records){.sidecar = s->id};
    ProtobufCBinaryData opened = records_opened(r, session, "bot");
    fixture_ship(s, &opened, 1);
}

static struct listening *follow_actions(struct fixture *f)
{
    Chaperone__V1__SearchRequest request = CHAPERONE__V1__SEARCH_REQUEST__INIT;
    char *kinds[] = {"action"}, *token = fixture_token(f, "eve", "auditors");
    request.kinds = kinds;
    request.n_kinds = 1;
    struct listening *l = listen_to(f->channel, &chaperone__v1__audit__descriptor, "Tail", token);
    listening_send(l, &request.base);
    free(token);
    return l;
}

/* Logins and searches are actions, too. */
static bool is_order(const Chaperone__V1__Record *record)
{
    return strcmp(record->action->action, "kill") == 0 ||
           strcmp(record->action->action, "lift") == 0;
}

static Chaperone__V1__Record *unpack_entry(const Chaperone__V1__Entry *entry)
{
    Chaperone__V1__Record *record =
        chaperone__v1__record__unpack(NULL, entry->record.len, entry->record.data);
    assert_non_null(record);
    assert_int_equal(record->event_case, CHAPERONE__V1__RECORD__EVENT_ACTION);
    return record;
}

/* The n-th order from the beginning on, in however many messages they come. Owned. */
static Chaperone__V1__Record *await_recorded(struct listening *l, size_t n)
{
    for (size_t m = 0;; m++) {
        const Chaperone__V1__SearchResponse *r =
            (const Chaperone__V1__SearchResponse *)listening_await(l, m);
        for (size_t i = 0; i < r->n_entries; i++) {
            Chaperone__V1__Record *record = unpack_entry(r->entries[i]);
            if (is_order(record) && n-- == 0) {
                return record;
            }
            chaperone__v1__record__free_unpacked(record, NULL);
        }
    }
}

static void assert_recorded(struct listening *l, size_t n, const char *order, size_t sessions,
                            bool is_done)
{
    Chaperone__V1__Record *record = await_recorded(l, n);
    assert_string_equal(record->action->action, "kill");
    assert_string_equal(record->action->object, "identity bot");
    assert_string_equal(record->action->by->subject, "root");
    assert_string_equal(record->action->order, order);
    assert_int_equal(record->action->n_sessions, sessions);
    assert_int_equal(record->action->done_unix_ns != 0, is_done);
    chaperone__v1__record__free_unpacked(record, NULL);
}

/* --- what a block does -------------------------------------------------------------------------
 */

static void an_identity_is_ended_and_refused(void **state)
{
    struct fixture *f = *state;
    struct sidecar s = fixture_sidecar(f);
    struct listening *l = watch(&s);
    struct blocking b;
    begin_block(&b, f, (struct what){.identity = "bot", .reason = "runs wild"});
    const Chaperone__V1__KillSession *order = await_order(l, 1);
    assert_string_equal(order->identity, "bot");
    assert_string_equal(order->session, "");
    assert_string_equal(order->resource, "");
    assert_false(order->all);
    assert_string_equal(order->ordered_by, "root");
    assert_string_equal(order->reason, "runs wild");
    assert_true(order->ordered_unix_ns > 0);
    /* Already while the sidecar is at it: an order never goes out before its block is stored. */
    assert_opens(f, &s, "bot", NULL, RPC_PERMISSION_DENIED,
                 "new sessions of \"bot\" are blocked: runs wild");
    say_done(l, order->order, session, "");
    const Chaperone__V1__BlockResponse *r = end_block(&b);
    assert_int_equal(r->n_sessions, 1);
    assert_string_equal(r->sessions[0], session);
    assert_int_equal(r->n_not_confirmed, 0);
    assert_true(r->took_us > 0);
    assert_string_equal(r->block->identity, "bot");
    assert_string_equal(r->block->created_by, "root");
    assert_string_equal(r->block->id, order->order);
    assert_opens(f, &s, "bot2", NULL, RPC_OK, "");
    assert_opens(f, &s, "bot2", "bot", RPC_PERMISSION_DENIED, "\"bot\" are blocked");
    assert_int_equal(lifted(lift(f, r->block->id, (struct what){0})), 1);
    assert_opens(f, &s, "bot", NULL, RPC_OK, "");
    assert_int_equal(lifted(lift(f, r->block->id, (struct what){0})), 0);
    answer_finish(&b.answer);
    listening_finish(l);
    sidecar_finish(&s);
}

static void a_resource_is_refused_to_everybody(void **state)
{
    struct fixture *f = *state;
    struct sidecar s = fixture_sidecar(f);
    struct answer a = block(f, (struct what){.resource = "broken"});
    assert_string_equal(blocked(&a)->block->resource, "broken");
    answer_finish(&a);
    assert_opens(f, &s, "bot", NULL, RPC_OK, "");
    a = block(f, (struct what){.resource = "orders"});
    answer_finish(&a);
    assert_opens(f, &s, "bot", NULL, RPC_PERMISSION_DENIED,
                 "new sessions for the resource \"orders\" are blocked: no reason was given");
    /* Lifted by what it was made for, and nothing else with it. */
    assert_int_equal(lifted(lift(f, "", (struct what){.resource = "orders"})), 1);
    assert_int_equal(count_blocks(f), 1);
    assert_opens(f, &s, "bot", NULL, RPC_OK, "");
    sidecar_finish(&s);
}

static void everything_is_refused_also_after_a_restart(void **state)
{
    struct fixture *f = *state;
    struct sidecar s = fixture_sidecar(f);
    struct answer a = block(f, (struct what){.everything = true, .reason = "incident 7"});
    assert_true(blocked(&a)->block->everything);
    answer_finish(&a);
    assert_opens(f, &s, "bot", NULL, RPC_PERMISSION_DENIED,
                 "all new sessions are blocked: incident");
    sidecar_finish(&s);
    fixture_restart(f);
    s = fixture_sidecar(f);
    assert_opens(f, &s, "bot", NULL, RPC_PERMISSION_DENIED, "all new sessions are blocked");
    assert_int_equal(count_blocks(f), 1);
    assert_int_equal(lifted(lift(f, "", (struct what){.everything = true})), 1);
    assert_opens(f, &s, "bot", NULL, RPC_OK, "");
    sidecar_finish(&s);
}

static void only_what_runs_can_be_ended(void **state)
{
    struct fixture *f = *state;
    struct sidecar s = fixture_sidecar(f);
    struct listening *l = watch(&s);
    struct blocking b;
    begin_block(&b, f, (struct what){.everything = true, .allow_new = true});
    const Chaperone__V1__KillSession *order = await_order(l, 1);
    assert_true(order->all);
    say_done(l, order->order, session, "");
    const Chaperone__V1__BlockResponse *r = end_block(&b);
    assert_null(r->block);
    assert_int_equal(r->n_sessions, 1);
    answer_finish(&b.answer);
    assert_int_equal(count_blocks(f), 0);
    assert_opens(f, &s, "bot", NULL, RPC_OK, "");
    listening_finish(l);
    sidecar_finish(&s);
}

/* --- who does not answer -----------------------------------------------------------------------
 */

static bool has_line(const Chaperone__V1__BlockResponse *r, const char *sidecar, const char *words)
{
    for (size_t i = 0; i < r->n_not_confirmed; i++) {
        if (strstr(r->not_confirmed[i], sidecar) != NULL &&
            strstr(r->not_confirmed[i], words) != NULL) {
            return true;
        }
    }
    return false;
}

static void all_sidecars_are_ordered_at_once(void **state)
{
    enum { SIDECARS = 4 };
    struct fixture *f = *state;
    struct sidecar s[SIDECARS];
    struct listening *l[SIDECARS];
    struct blocking b;
    for (size_t i = 0; i < SIDECARS; i++) {
        s[i] = fixture_sidecar(f);
        l[i] = watch(&s[i]);
    }
    let_orders_time_out(f);
    begin_block(&b, f, (struct what){.everything = true});
    /* All have the order before the first one answers. */
    const char *order = await_order(l[0], 1)->order;
    for (size_t i = 1; i < SIDECARS; i++) {
        assert_string_equal(await_order(l[i], 1)->order, order);
    }
    say_done(l[1], order, session, "");
    say_done(l[2], order, "no id of a session", "");
    say_done(l[3], order, NULL, "out of\xff memory\n");
    const Chaperone__V1__BlockResponse *r = end_block(&b); /* 0 says nothing */
    assert_int_equal(r->n_sessions, 1);
    assert_int_equal(r->n_not_confirmed, 2);
    assert_true(has_line(r, s[0].id, "did not confirm in time"));
    assert_true(has_line(r, s[3].id, "out of? memory?"));
    assert_true(r->took_us >= 3000000 && r->took_us < 60000000);
    answer_finish(&b.answer);
    for (size_t i = 0; i < SIDECARS; i++) {
        listening_finish(l[i]);
        sidecar_finish(&s[i]);
    }
}

static void another_sidecars_answer_counts_for_nothing(void **state)
{
    struct fixture *f = *state;
    struct sidecar s = fixture_sidecar(f), other = fixture_sidecar(f);
    struct listening *l = watch(&s), *m = watch(&other);
    struct blocking b;
    let_orders_time_out(f);
    begin_block(&b, f, (struct what){.everything = true});
    const char *order = await_order(l, 1)->order;
    say_done(l, order, session, "");
    say_done(l, order, session, ""); /* twice is not for the other one */
    say_done(m, "another order", NULL, "");
    const Chaperone__V1__BlockResponse *r = end_block(&b);
    assert_int_equal(r->n_sessions, 1);
    assert_int_equal(r->n_not_confirmed, 1);
    assert_true(has_line(r, other.id, "did not confirm"));
    answer_finish(&b.answer);
    listening_finish(l);
    listening_finish(m);
    sidecar_finish(&s);
    sidecar_finish(&other);
}

static void a_sidecar_that_was_away_is_ordered_when_it_is_back(void **state)
{
    struct fixture *f = *state;
    struct sidecar s = fixture_sidecar(f), idle = fixture_sidecar(f);
    struct records r;
    ship_open_session(&s, &r);
    struct answer a = block(f, (struct what){.identity = "bot", .reason = "runs wild"});
    const Chaperone__V1__BlockResponse *response = blocked(&a);
    assert_int_equal(response->n_not_confirmed, 1);
    assert_true(has_line(response, s.id, "away, with 1 session; ended when it is back"));
    struct listening *l = watch(&s);
    const Chaperone__V1__KillSession *order = await_order(l, 1);
    assert_string_equal(order->identity, "bot");
    assert_string_equal(order->order, response->block->id);
    assert_string_equal(order->reason, "runs wild");
    assert_int_equal(order->ordered_unix_ns, response->block->created_unix_ns);
    /* Nobody waits for it any more; what it has ended is recorded, and nothing else. */
    say_done(l, "another order", session, "");
    say_done(l, order->order, NULL, "");
    say_done(l, order->order, session, "");
    struct listening *tail = follow_actions(f);
    assert_recorded(tail, 0, response->block->id, 0, false);
    assert_recorded(tail, 1, response->block->id, 1, true);
    listening_finish(tail);
    answer_finish(&a);
    assert_int_equal(lifted(lift(f, "", (struct what){.identity = "bot"})), 1);
    listening_finish(l);
    sidecar_finish(&s);
    sidecar_finish(&idle);
}

/* --- who may, and what is no request -----------------------------------------------------------
 */

static void only_admins_may(void **state)
{
    struct fixture *f = *state;
    Chaperone__V1__BlockRequest request = CHAPERONE__V1__BLOCK_REQUEST__INIT;
    Chaperone__V1__LiftRequest lifting = CHAPERONE__V1__LIFT_REQUEST__INIT;
    static const char *const groups[] = {"approvers", "auditors", "agents", NULL};
    request.everything = true;
    lifting.everything = true;
    for (size_t i = 0; i < 4; i++) {
        assert_answer(call_as(f, groups[i], "Block", &request.base), RPC_PERMISSION_DENIED, "");
        assert_answer(call_as(f, groups[i], "Lift", &lifting.base), RPC_PERMISSION_DENIED, "");
    }
    assert_int_equal(count_blocks(f), 0);
}

static void what_is_blocked_is_said_in_one_way(void **state)
{
    struct fixture *f = *state;
    static char long_text[2000];
    memset(long_text, 'x', sizeof(long_text) - 1);
    const struct what table[] = {
        {0},
        {.identity = "bot", .resource = "orders"},
        {.identity = "bot", .everything = true},
        {.resource = "orders", .everything = true},
        {.identity = long_text},
        {.identity = "bot", .reason = long_text},
    };
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        assert_answer(block(f, table[i]), RPC_INVALID_ARGUMENT, "one of identity");
    }
    assert_answer(lift(f, "", (struct what){0}), RPC_INVALID_ARGUMENT, "one of id");
    assert_answer(lift(f, session, (struct what){.everything = true}), RPC_INVALID_ARGUMENT,
                  "one of id");
    assert_int_equal(count_blocks(f), 0);
}

/* --- the record --------------------------------------------------------------------------------
 */

static void orders_are_recorded_with_their_times(void **state)
{
    struct fixture *f = *state;
    struct sidecar s = fixture_sidecar(f);
    struct listening *l = watch(&s);
    struct blocking b;
    begin_block(&b, f, (struct what){.identity = "bot", .reason = "runs wild"});
    say_done(l, await_order(l, 1)->order, session, "");
    const Chaperone__V1__BlockResponse *blocking = end_block(&b);
    assert_int_equal(lifted(lift(f, "", (struct what){.identity = "bot"})), 1);

    Chaperone__V1__SearchRequest request = CHAPERONE__V1__SEARCH_REQUEST__INIT;
    char *kinds[] = {"action"}, *token = fixture_token(f, "eve", "auditors");
    request.kinds = kinds;
    request.n_kinds = 1;
    struct listening *found =
        listen_to(f->channel, &chaperone__v1__audit__descriptor, "Search", token);
    listening_send(found, &request.base);
    listening_half_close(found);
    assert_int_equal(listening_end(found).code, RPC_OK);
    Chaperone__V1__Record *first = await_recorded(found, 0), *second = await_recorded(found, 1);
    const Chaperone__V1__Action *kill = first->action, *lifting = second->action;
    assert_string_equal(kill->action, "kill");
    assert_string_equal(kill->object, "identity bot");
    assert_string_equal(kill->by->subject, "root");
    assert_string_equal(kill->reason, "runs wild");
    assert_string_equal(kill->order, blocking->block->id);
    assert_int_equal(kill->ordered_unix_ns, blocking->block->created_unix_ns);
    assert_true(kill->done_unix_ns >= kill->ordered_unix_ns);
    assert_int_equal(kill->n_sessions, 1);
    assert_string_equal(kill->error, "");
    assert_non_null(strstr(kill->from, "127.0.0.1"));
    assert_string_equal(lifting->action, "lift");
    assert_string_equal(lifting->order, blocking->block->id);
    chaperone__v1__record__free_unpacked(first, NULL);
    chaperone__v1__record__free_unpacked(second, NULL);
    answer_finish(&b.answer);
    free(token);
    listening_finish(found);
    listening_finish(l);
    sidecar_finish(&s);
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, fixture_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        CASE(an_identity_is_ended_and_refused),
        CASE(a_resource_is_refused_to_everybody),
        CASE(everything_is_refused_also_after_a_restart),
        CASE(only_what_runs_can_be_ended),
        CASE(all_sidecars_are_ordered_at_once),
        CASE(another_sidecars_answer_counts_for_nothing),
        CASE(a_sidecar_that_was_away_is_ordered_when_it_is_back),
        CASE(only_admins_may),
        CASE(what_is_blocked_is_said_in_one_way),
        CASE(orders_are_recorded_with_their_times),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
