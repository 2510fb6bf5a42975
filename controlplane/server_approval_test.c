/* Held operations: sidecars ask, people decide, sidecars are told; what nobody may do is refused.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "controlplane/testing/fixture.h"

#define SESSION "0199e9a2-0000-7000-8000-00000000000a"

static const ProtobufCServiceDescriptor *const approvals = &chaperone__v1__approvals__descriptor;

static char *text_of(const char *s)
{
    return (char *)(uintptr_t)s;
}

/* What differs from a usual one. */
struct asking {
    unsigned number;     /* of its id and, unless `digest` is set, of what is asked */
    unsigned digest;     /* 0: as the number */
    const char *session; /* NULL: SESSION */
    const char *agent;   /* NULL: "bot" */
    const char *issuer;  /* of the agent; NULL: not the one of the people */
    const char *shape, *database;
    unsigned people; /* 0: 1 */
    int64_t lifetime_ms;
    bool needs_reason, is_retry, forbids_linked, has_standing;
    const char *group; /* NULL: "dba" and "ops" */
};

static const char *id_of(unsigned number, char out[37])
{
    (void)snprintf(out, 37, "0199e9a2-0000-7000-8000-%012x", number);
    return out;
}

static struct answer ask(struct sidecar *s, struct asking what)
{
    char id[37];
    uint8_t digest[32] = {0};
    char *groups[] = {text_of("dba"), text_of("ops")};
    Chaperone__V1__RequestApprovalRequest request = CHAPERONE__V1__REQUEST_APPROVAL_REQUEST__INIT;
    Chaperone__V1__HeldOperation held = CHAPERONE__V1__HELD_OPERATION__INIT;
    Chaperone__V1__Identity identity = CHAPERONE__V1__IDENTITY__INIT;
    Chaperone__V1__Delegate alice = CHAPERONE__V1__DELEGATE__INIT, *chain[] = {&alice};
    Chaperone__V1__Intent intent = CHAPERONE__V1__INTENT__INIT;
    Chaperone__V1__HoldTerms terms = CHAPERONE__V1__HOLD_TERMS__INIT;
    Chaperone__V1__StandingTerms standing = CHAPERONE__V1__STANDING_TERMS__INIT;
    unsigned number = what.digest == 0 ? what.number : what.digest;
    memcpy(digest, &number, sizeof(number));
    identity.issuer = text_of(what.issuer == NULL ? "https://agents.example" : what.issuer);
    identity.subject = text_of(what.agent == NULL ? "bot" : what.agent);
    alice.subject = text_of("alice");
    alice.assurance = CHAPERONE__V1__ASSURANCE__DECLARED;
    intent.rule = text_of("deletes");
    intent.text =
        (ProtobufCBinaryData){.data = (uint8_t *)text_of("DELETE FROM orders"), .len = 18};
    terms.groups = groups;
    terms.n_groups = what.group == NULL ? 2 : 1;
    groups[0] = text_of(what.group == NULL ? "dba" : what.group);
    terms.people = what.people == 0 ? 1 : what.people;
    terms.excludes_requester = true;
    terms.needs_reason = what.needs_reason;
    terms.is_retry = what.is_retry;
    terms.retry_window_s = what.is_retry ? 600 : 0;
    terms.forbids_linked = what.forbids_linked;
    standing.seconds_max = 3600;
    standing.uses_max = 5;
    terms.standing = what.has_standing ? &standing : NULL;
    held.id = text_of(id_of(what.number, id));
    held.session = text_of(what.session == NULL ? SESSION : what.session);
    held.operation = 7;
    held.identity = &identity;
    held.on_behalf_of = chain;
    held.n_on_behalf_of = 1;
    held.resource = text_of("orders");
    held.protocol = text_of("postgres");
    held.database = text_of(what.database == NULL ? "shop" : what.database);
    held.intent = &intent;
    held.terms = &terms;
    held.digest = (ProtobufCBinaryData){.data = digest, .len = sizeof(digest)};
    held.shape = text_of(what.shape == NULL ? "" : what.shape);
    /* A sidecar that claims what is not its to say. */
    held.state = CHAPERONE__V1__APPROVAL_STATE__APPROVED;
    held.version = 9;
    held.sidecar = text_of("another");
    request.held = &held;
    request.lifetime_ms = what.lifetime_ms == 0 ? 60000 : what.lifetime_ms;
    return fixture_call(s->channel, &chaperone__v1__sidecar__descriptor, "RequestApproval",
                        &request.base, NULL, 0);
}

/* Asks, and expects this state of this id. */
static void asks(struct sidecar *s, struct asking what, Chaperone__V1__ApprovalState state,
                 unsigned number)
{
    char id[37];
    struct answer a = ask(s, what);
    if (a.status.code != RPC_OK) {
        fail_msg("%s", a.status.message);
    }
    const Chaperone__V1__ApprovalDecided *d =
        ((const Chaperone__V1__RequestApprovalResponse *)a.reply)->decided;
    assert_int_equal(d->state, state);
    assert_string_equal(d->id, id_of(number, id));
    answer_finish(&a);
}

#define WAITS CHAPERONE__V1__APPROVAL_STATE__WAITING
#define APPROVED CHAPERONE__V1__APPROVAL_STATE__APPROVED
#define DENIED CHAPERONE__V1__APPROVAL_STATE__DENIED
#define EXPIRED CHAPERONE__V1__APPROVAL_STATE__EXPIRED
#define WITHDRAWN CHAPERONE__V1__APPROVAL_STATE__WITHDRAWN
#define USED CHAPERONE__V1__APPROVAL_STATE__USED

static struct answer end(struct sidecar *s, unsigned number, Chaperone__V1__ApprovalState state)
{
    char id[37];
    Chaperone__V1__EndApprovalRequest request = CHAPERONE__V1__END_APPROVAL_REQUEST__INIT;
    request.id = text_of(id_of(number, id));
    request.state = state;
    request.reason = text_of("the agent disconnected");
    return fixture_call(s->channel, &chaperone__v1__sidecar__descriptor, "EndApproval",
                        &request.base, NULL, 0);
}

/* --- people ------------------------------------------------------------------------------------
 */

struct word {
    const char *who, *group; /* of the token */
    unsigned number;
    bool denies;
    const char *reason, *key;
    uint64_t version;
    const char *account; /* of a bot, at "slack" */
    int64_t standing_s;  /* 0: none */
    uint32_t uses;
};

static struct answer say(struct fixture *f, struct word word)
{
    char id[37];
    const struct clock clock = clock_system();
    Chaperone__V1__DecideRequest request = CHAPERONE__V1__DECIDE_REQUEST__INIT;
    Chaperone__V1__ChatAccount account = CHAPERONE__V1__CHAT_ACCOUNT__INIT;
    Chaperone__V1__Standing standing = CHAPERONE__V1__STANDING__INIT;
    request.id = text_of(id_of(word.number, id));
    request.approve = !word.denies;
    request.reason = text_of(word.reason == NULL ? "" : word.reason);
    request.idempotency_key = text_of(word.key == NULL ? "" : word.key);
    request.expect_version = word.version;
    account.provider = text_of("slack");
    account.account = text_of(word.account);
    request.account = word.account == NULL ? NULL : &account;
    standing.until_unix_ns = clock_wall(&clock) + word.standing_s * 1000000000;
    standing.uses = word.uses;
    request.standing = word.standing_s == 0 ? NULL : &standing;
    char *token = fixture_token(f, word.who, word.group);
    struct answer a = fixture_call(f->channel, approvals, "Decide", &request.base, token, 0);
    free(token);
    return a;
}

/* Says it, and expects this state after it. */
static void says(struct fixture *f, struct word word, Chaperone__V1__ApprovalState state)
{
    struct answer a = say(f, word);
    if (a.status.code != RPC_OK) {
        fail_msg("%s", a.status.message);
    }
    assert_int_equal(((const Chaperone__V1__DecideResponse *)a.reply)->approval->state, state);
    answer_finish(&a);
}

static struct answer get(struct fixture *f, const char *id, const char *group)
{
    Chaperone__V1__GetApprovalRequest request = CHAPERONE__V1__GET_APPROVAL_REQUEST__INIT;
    request.id = text_of(id);
    char *token = fixture_token(f, "someone", group);
    struct answer a = fixture_call(f->channel, approvals, "Get", &request.base, token, 0);
    free(token);
    return a;
}

static Chaperone__V1__ApprovalState state_of(struct fixture *f, unsigned number)
{
    char id[37];
    struct answer a = get(f, id_of(number, id), "auditors");
    assert_int_equal(a.status.code, RPC_OK);
    Chaperone__V1__ApprovalState state = ((const Chaperone__V1__HeldOperation *)a.reply)->state;
    answer_finish(&a);
    return state;
}

/* --- streams -----------------------------------------------------------------------------------
 */

/* A sidecar's Watch that says what it waits for; number 0: nothing. */
static struct listening *connect(struct sidecar *s, unsigned number)
{
    char id[37], *held[] = {text_of(id_of(number, id))};
    Chaperone__V1__WatchRequest request = CHAPERONE__V1__WATCH_REQUEST__INIT;
    Chaperone__V1__Hello hello = CHAPERONE__V1__HELLO__INIT;
    struct listening *l = listen_to(s->channel, &chaperone__v1__sidecar__descriptor, "Watch", NULL);
    hello.held = held;
    hello.n_held = number == 0 ? 0 : 1;
    request.hello = &hello;
    listening_send(l, &request.base);
    (void)listening_await(l, 0); /* the policy */
    return l;
}

static const Chaperone__V1__ApprovalDecided *told(struct listening *l, size_t n)
{
    const Chaperone__V1__WatchResponse *push =
        (const Chaperone__V1__WatchResponse *)listening_await(l, n);
    assert_int_equal(push->push_case, CHAPERONE__V1__WATCH_RESPONSE__PUSH_DECIDED);
    return push->decided;
}

static struct listening *follow(struct fixture *f, const char *group, uint64_t after,
                                bool only_waiting)
{
    Chaperone__V1__WatchApprovalsRequest request = CHAPERONE__V1__WATCH_APPROVALS_REQUEST__INIT;
    char *token = fixture_token(f, "someone", group);
    struct listening *l = listen_to(f->channel, approvals, "Watch", token);
    request.after = after;
    request.only_waiting = only_waiting;
    listening_send(l, &request.base);
    listening_half_close(l);
    free(token);
    return l;
}

static const Chaperone__V1__ApprovalEvent *event(struct listening *l, size_t n)
{
    return (const Chaperone__V1__ApprovalEvent *)listening_await(l, n);
}

/* --- one person --------------------------------------------------------------------------------
 */

static void what_is_approved_is_released_once(void **state)
{
    struct fixture *f = *state;
    struct sidecar s = fixture_sidecar(f);
    struct listening *l = connect(&s, 0);
    asks(&s, (struct asking){.number = 1}, WAITS, 1);
    asks(&s, (struct asking){.number = 1}, WAITS, 1); /* the same again */
    assert_answer(ask(&s, (struct asking){.number = 1, .digest = 2}), RPC_ABORTED, "another");
    assert_answer(end(&s, 1, USED), RPC_FAILED_PRECONDITION, "not approved");
    says(f, (struct word){.who = "ann", .group = "dba", .number = 1, .reason = "as planned"},
         APPROVED);
    const Chaperone__V1__ApprovalDecided *d = told(l, 1);
    assert_int_equal(d->state, APPROVED);
    assert_int_equal(d->digest.len, 32);
    assert_int_equal(d->digest.data[0], 1);
    assert_string_equal(d->decision->by->subject, "ann");
    assert_answer(end(&s, 1, USED), RPC_OK, "");
    assert_answer(end(&s, 1, WITHDRAWN), RPC_OK, ""); /* too late: it stays as it is */
    asks(&s, (struct asking){.number = 1}, USED, 1);
    char id[37];
    struct answer a = get(f, id_of(1, id), "auditors");
    const Chaperone__V1__HeldOperation *held = (const Chaperone__V1__HeldOperation *)a.reply;
    assert_int_equal(held->state, USED);
    assert_int_equal(held->version, 3);
    assert_string_equal(held->sidecar, s.id);
    assert_int_equal(held->n_decisions, 1);
    assert_string_equal(held->decisions[0]->reason, "as planned");
    assert_non_null(strstr(held->decisions[0]->from, "127.0.0.1"));
    assert_true(held->ended_unix_ns >= held->requested_unix_ns);
    answer_finish(&a);
    listening_finish(l);
    sidecar_finish(&s);
}

static void one_no_ends_it(void **state)
{
    struct fixture *f = *state;
    struct sidecar s = fixture_sidecar(f);
    struct listening *l = connect(&s, 0);
    asks(&s, (struct asking){.number = 1, .people = 2}, WAITS, 1);
    says(f, (struct word){.who = "ann", .group = "dba", .number = 1}, WAITS);
    says(f, (struct word){.who = "bob", .group = "ops", .number = 1, .denies = true}, DENIED);
    assert_int_equal(told(l, 1)->state, DENIED);
    assert_answer(say(f, (struct word){.who = "cyd", .group = "dba", .number = 1}),
                  RPC_FAILED_PRECONDITION, "denied already");
    assert_answer(end(&s, 1, USED), RPC_FAILED_PRECONDITION, "not approved");
    assert_int_equal(state_of(f, 1), DENIED);
    listening_finish(l);
    sidecar_finish(&s);
}

/* --- who may -----------------------------------------------------------------------------------
 */

static void one_person_under_two_groups_is_one(void **state)
{
    struct fixture *f = *state;
    struct sidecar s = fixture_sidecar(f);
    asks(&s, (struct asking){.number = 1, .people = 2}, WAITS, 1);
    says(f, (struct word){.who = "ann", .group = "dba", .number = 1}, WAITS);
    assert_answer(say(f, (struct word){.who = "ann", .group = "ops", .number = 1}),
                  RPC_PERMISSION_DENIED, "counts once");
    assert_int_equal(state_of(f, 1), WAITS);
    says(f, (struct word){.who = "bob", .group = "dba", .number = 1}, APPROVED);
    sidecar_finish(&s);
}

static void who_may_not_decide_is_told_why(void **state)
{
    struct fixture *f = *state;
    struct sidecar s = fixture_sidecar(f);
    const struct {
        struct word word;
        enum rpc_code code;
        const char *words;
    } table[] = {
        {{.who = "eve", .group = "admins", .number = 1}, RPC_PERMISSION_DENIED, "\"dba\""},
        {{.who = "eve", .group = "approvers", .number = 1}, RPC_PERMISSION_DENIED, "\"dba\""},
        {{.who = "eve", .number = 1}, RPC_PERMISSION_DENIED, ""},
        {{.who = "alice", .group = "dba", .number = 1}, RPC_PERMISSION_DENIED, "excludes"},
        {{.who = "alice", .group = "dba", .number = 1, .denies = true},
         RPC_PERMISSION_DENIED,
         "excludes"},
        {{.who = "ann", .group = "dba", .number = 1}, RPC_INVALID_ARGUMENT, "a reason"},
        {{.who = "ann", .group = "dba", .number = 1, .reason = " \n"},
         RPC_INVALID_ARGUMENT,
         "a reason"},
        {{.who = "ann", .group = "dba", .number = 2}, RPC_NOT_FOUND, "no held operation"},
        {{.who = "ann", .group = "dba", .number = 1, .reason = "x", .version = 7},
         RPC_ABORTED,
         "version is 1"},
        {{.who = "ann", .group = "dba", .number = 1, .reason = "x", .account = "T/U"},
         RPC_PERMISSION_DENIED,
         "only a bot"},
        {{.who = "ann", .group = "dba", .number = 1, .reason = "x", .standing_s = 60, .uses = 1},
         RPC_PERMISSION_DENIED,
         "no standing"},
    };
    asks(&s, (struct asking){.number = 1, .needs_reason = true}, WAITS, 1);
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        assert_answer(say(f, table[i].word), table[i].code, table[i].words);
    }
    assert_int_equal(state_of(f, 1), WAITS);
    char *log = fixture_read_log(f);
    assert_non_null(strstr(log, "\"subject\":\"eve\"")); /* every attempt */
    free(log);
    says(f, (struct word){.who = "ann", .group = "dba", .number = 1, .reason = "x", .version = 1},
         APPROVED);
    sidecar_finish(&s);
}

static void the_agent_itself_may_not_decide(void **state)
{
    struct fixture *f = *state;
    struct sidecar s = fixture_sidecar(f);
    const struct word word = {.who = "bot", .group = "dba", .number = 1};
    asks(&s, (struct asking){.number = 1, .issuer = issuer_url(f->issuer)}, WAITS, 1);
    assert_answer(say(f, word), RPC_PERMISSION_DENIED, "excludes");
    /* Who has the same name elsewhere is somebody else. */
    asks(&s, (struct asking){.number = 2}, WAITS, 2);
    says(f, (struct word){.who = "bot", .group = "dba", .number = 2}, APPROVED);
    sidecar_finish(&s);
}

static void a_sidecar_names_its_own_only(void **state)
{
    struct fixture *f = *state;
    struct sidecar s = fixture_sidecar(f), other = fixture_sidecar(f);
    asks(&s, (struct asking){.number = 1}, WAITS, 1);
    assert_answer(end(&other, 1, WITHDRAWN), RPC_PERMISSION_DENIED, "another sidecar");
    assert_answer(ask(&other, (struct asking){.number = 1}), RPC_ABORTED, "another");
    assert_answer(end(&s, 2, USED), RPC_NOT_FOUND, "");
    assert_answer(end(&s, 1, APPROVED), RPC_INVALID_ARGUMENT, "");
    assert_answer(end(&s, 1, WITHDRAWN), RPC_OK, "");
    assert_int_equal(state_of(f, 1), WITHDRAWN);
    assert_answer(say(f, (struct word){.who = "ann", .group = "dba", .number = 1}),
                  RPC_FAILED_PRECONDITION, "withdrawn");
    sidecar_finish(&s);
    sidecar_finish(&other);
}

static void what_cannot_be_decided_is_not_held(void **state)
{
    struct fixture *f = *state;
    struct sidecar s = fixture_sidecar(f);
    assert_answer(ask(&s, (struct asking){.number = 1, .people = 99}), RPC_INVALID_ARGUMENT,
                  "how many people");
    assert_answer(ask(&s, (struct asking){.number = 1, .group = ""}), RPC_INVALID_ARGUMENT,
                  "empty group");
    assert_answer(ask(&s, (struct asking){.number = 1, .lifetime_ms = -1}), RPC_INVALID_ARGUMENT,
                  "lifetime");
    assert_answer(ask(&s, (struct asking){.number = 1, .session = ""}), RPC_INVALID_ARGUMENT,
                  "session");
    for (unsigned i = 0; i < 200; i++) {
        asks(&s, (struct asking){.number = 100 + i}, WAITS, 100 + i);
    }
    assert_answer(ask(&s, (struct asking){.number = 300}), RPC_RESOURCE_EXHAUSTED, "too many");
    asks(&s, (struct asking){.number = 300, .session = "another"}, WAITS, 300);
    sidecar_finish(&s);
}

/* --- at once, and again ------------------------------------------------------------------------
 */

enum { RACERS = 6 };

struct racer {
    struct fixture *f;
    struct word word;
    enum rpc_code code;
};

static void *race(void *context)
{
    struct racer *r = context;
    struct answer a = say(r->f, r->word);
    r->code = a.status.code;
    answer_finish(&a);
    return NULL;
}

static void of_decisions_at_once_one_wins(void **state)
{
    struct fixture *f = *state;
    struct sidecar s = fixture_sidecar(f);
    static const char *const who[RACERS] = {"a", "b", "c", "d", "e", "f"};
    struct racer racers[RACERS];
    pthread_t threads[RACERS];
    int winners = 0, winner = 0;
    asks(&s, (struct asking){.number = 1}, WAITS, 1);
    for (int i = 0; i < RACERS; i++) {
        racers[i] = (struct racer){
            .f = f, .word = {.who = who[i], .group = "dba", .number = 1, .denies = i % 2 == 1}};
        assert_int_equal(pthread_create(&threads[i], NULL, race, &racers[i]), 0);
    }
    for (int i = 0; i < RACERS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        winners += racers[i].code == RPC_OK;
        winner = racers[i].code == RPC_OK ? i : winner;
        assert_true(racers[i].code == RPC_OK || racers[i].code == RPC_FAILED_PRECONDITION);
    }
    assert_int_equal(winners, 1);
    assert_int_equal(state_of(f, 1), racers[winner].word.denies ? DENIED : APPROVED);
    sidecar_finish(&s);
}

static void the_same_key_gives_the_first_answer(void **state)
{
    struct fixture *f = *state;
    struct sidecar s = fixture_sidecar(f);
    const struct word word = {.who = "ann", .group = "dba", .number = 1, .key = "k1"};
    asks(&s, (struct asking){.number = 1, .people = 2}, WAITS, 1);
    says(f, word, WAITS);
    says(f, (struct word){.who = "bob", .group = "dba", .number = 1, .key = "k1"}, APPROVED);
    says(f, word, WAITS); /* as it was then */
    assert_int_equal(state_of(f, 1), APPROVED);
    char id[37];
    struct answer a = get(f, id_of(1, id), "auditors");
    assert_int_equal(((const Chaperone__V1__HeldOperation *)a.reply)->n_decisions, 2);
    answer_finish(&a);
    sidecar_finish(&s);
}

/* --- time --------------------------------------------------------------------------------------
 */

static void time_ends_what_nobody_decides(void **state)
{
    struct fixture *f = *state;
    struct sidecar s = fixture_sidecar(f);
    struct listening *l = connect(&s, 0);
    asks(&s, (struct asking){.number = 1, .lifetime_ms = 50}, WAITS, 1);
    assert_int_equal(told(l, 1)->state, EXPIRED);
    assert_answer(say(f, (struct word){.who = "ann", .group = "dba", .number = 1}),
                  RPC_FAILED_PRECONDITION, "time has passed");
    asks(&s, (struct asking){.number = 1, .lifetime_ms = 50}, EXPIRED, 1);
    listening_finish(l);
    sidecar_finish(&s);
}

static void reconnect(struct fixture *f, struct sidecar *s)
{
    rpc_channel_destroy(s->channel);
    fixture_restart(f);
    s->channel = fixture_channel(f, buffer_bytes(&s->certificate_pem), s->key);
}

static void what_is_held_survives_a_restart(void **state)
{
    struct fixture *f = *state;
    struct sidecar s = fixture_sidecar(f);
    asks(&s, (struct asking){.number = 1}, WAITS, 1);
    asks(&s, (struct asking){.number = 2}, WAITS, 2);
    reconnect(f, &s);
    asks(&s, (struct asking){.number = 1}, WAITS, 1);
    says(f, (struct word){.who = "ann", .group = "dba", .number = 1}, APPROVED);
    struct listening *l = connect(&s, 1); /* it was away when that was decided */
    assert_int_equal(told(l, 1)->state, APPROVED);
    listening_finish(l);
    /* The clock goes on while nobody is there. */
    fixture_set_clock(f, INT64_C(61) * 1000000000);
    reconnect(f, &s);
    struct listening *events = follow(f, "auditors", 3, false);
    assert_int_equal(event(events, 0)->approval->state, EXPIRED);
    assert_int_equal(state_of(f, 2), EXPIRED);
    listening_finish(events);
    fixture_set_clock(f, 0);
    sidecar_finish(&s);
}

/* --- retry mode --------------------------------------------------------------------------------
 */

static void who_comes_again_gets_what_was_decided(void **state)
{
    struct fixture *f = *state;
    struct sidecar s = fixture_sidecar(f), other = fixture_sidecar(f);
    struct asking what = {.number = 1, .digest = 50, .is_retry = true};
    asks(&s, what, WAITS, 1);
    what.number = 2;
    asks(&s, what, WAITS, 1); /* no second ticket */
    says(f, (struct word){.who = "ann", .group = "dba", .number = 1}, APPROVED);
    asks(&s, (struct asking){.number = 3, .digest = 51, .is_retry = true}, WAITS, 3);
    what.agent = "eve";
    asks(&s, (struct asking){.number = 9, .digest = 50, .is_retry = true, .agent = "eve"}, WAITS,
         9);
    what = (struct asking){.number = 4, .digest = 50, .is_retry = true};
    asks(&other, what, APPROVED, 1); /* the agent may have another sidecar by now */
    asks(&other, what, APPROVED, 1); /* the answer got lost */
    assert_answer(end(&other, 1, USED), RPC_OK, "");
    assert_int_equal(state_of(f, 1), USED);
    what.number = 5;
    asks(&s, what, WAITS, 5); /* it was used once */
    says(f, (struct word){.who = "ann", .group = "dba", .number = 5, .denies = true}, DENIED);
    what.number = 6;
    asks(&s, what, DENIED, 5);
    sidecar_finish(&s);
    sidecar_finish(&other);
}

/* --- standing approvals ------------------------------------------------------------------------
 */

static void a_standing_approval_lets_the_same_shape_through(void **state)
{
    struct fixture *f = *state;
    struct sidecar s = fixture_sidecar(f);
    struct asking what = {.number = 1, .shape = "delete-1", .has_standing = true};
    struct word word = {.who = "ann", .group = "dba", .number = 1, .standing_s = 7200, .uses = 2};
    asks(&s, what, WAITS, 1);
    assert_answer(say(f, word), RPC_PERMISSION_DENIED, "at most 3600 seconds");
    word.standing_s = 600;
    word.uses = 6;
    assert_answer(say(f, word), RPC_PERMISSION_DENIED, "at most 5 uses");
    word.uses = 0;
    assert_answer(say(f, word), RPC_PERMISSION_DENIED, "at most 5 uses");
    word.uses = 2;
    says(f, word, APPROVED);
    const struct asking others[] = {
        {.number = 2, .shape = "delete-2", .has_standing = true},
        {.number = 3, .shape = "delete-1", .has_standing = true, .agent = "eve"},
        {.number = 4, .shape = "delete-1", .has_standing = true, .database = "stock"},
        {.number = 5, .shape = "delete-1"},                                   /* not allowed now */
        {.number = 6, .shape = "delete-1", .has_standing = true, .people = 2} /* other terms */
    };
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        asks(&s, others[i], WAITS, others[i].number);
    }
    what.number = 10;
    asks(&s, what, APPROVED, 10);
    assert_answer(end(&s, 10, USED), RPC_OK, "");
    what.number = 11;
    asks(&s, what, APPROVED, 11);
    what.number = 12;
    asks(&s, what, WAITS, 12); /* used up */
    char id[37];
    struct answer a = get(f, id_of(11, id), "auditors");
    assert_string_not_equal(((const Chaperone__V1__HeldOperation *)a.reply)->standing, "");
    answer_finish(&a);
    sidecar_finish(&s);
}

static void a_standing_approval_ends(void **state)
{
    struct fixture *f = *state;
    struct sidecar s = fixture_sidecar(f);
    struct asking what = {.number = 1, .shape = "delete-1", .has_standing = true};
    asks(&s, what, WAITS, 1);
    says(f, (struct word){.who = "ann", .group = "dba", .number = 1, .standing_s = 600, .uses = 5},
         APPROVED);
    what.number = 2;
    asks(&s, what, APPROVED, 2);
    fixture_set_clock(f, INT64_C(601) * 1000000000);
    what.number = 3;
    asks(&s, what, WAITS, 3);
    fixture_set_clock(f, 0);
    sidecar_finish(&s);
}

/* --- who watches -------------------------------------------------------------------------------
 */

static void a_cursor_misses_nothing(void **state)
{
    struct fixture *f = *state;
    struct sidecar s = fixture_sidecar(f);
    struct listening *all = follow(f, "auditors", 0, false);
    asks(&s, (struct asking){.number = 1}, WAITS, 1);
    asks(&s, (struct asking){.number = 2, .group = "approvers"}, WAITS, 2);
    assert_int_equal(event(all, 1)->cursor, 2);
    listening_finish(all);
    says(f, (struct word){.who = "ann", .group = "dba", .number = 1}, APPROVED);
    all = follow(f, "bots", 2, false);
    assert_int_equal(event(all, 0)->cursor, 3);
    assert_int_equal(event(all, 0)->approval->state, APPROVED);
    /* First what waits, then what happens; an approver sees what its groups may decide. */
    struct listening *waiting = follow(f, "approvers", 0, true);
    char id[37];
    assert_string_equal(event(waiting, 0)->approval->id, id_of(2, id));
    assert_answer(end(&s, 1, USED), RPC_OK, "");
    says(f, (struct word){.who = "bob", .group = "approvers", .number = 2}, APPROVED);
    assert_int_equal(event(waiting, 1)->approval->state, APPROVED);
    assert_string_equal(event(waiting, 1)->approval->id, id_of(2, id));
    struct listening *lost = follow(f, "auditors", 999, false);
    assert_int_equal(listening_end(lost).code, RPC_OUT_OF_RANGE);
    listening_finish(lost);
    listening_finish(waiting);
    server_stop(f->server, 1000);
    f->server = NULL;
    assert_int_equal(listening_end(all).code, RPC_UNAVAILABLE);
    listening_finish(all);
    sidecar_finish(&s);
}

static size_t count_listed(struct fixture *f, const char *group, bool include_ended)
{
    Chaperone__V1__ListApprovalsRequest request = CHAPERONE__V1__LIST_APPROVALS_REQUEST__INIT;
    request.include_ended = include_ended;
    char *token = fixture_token(f, "someone", group);
    struct answer a = fixture_call(f->channel, approvals, "List", &request.base, token, 0);
    free(token);
    assert_int_equal(a.status.code, RPC_OK);
    size_t count = ((const Chaperone__V1__ListApprovalsResponse *)a.reply)->n_approvals;
    answer_finish(&a);
    return count;
}

static void each_sees_what_is_its_own(void **state)
{
    struct fixture *f = *state;
    struct sidecar s = fixture_sidecar(f);
    char id[37];
    asks(&s, (struct asking){.number = 1}, WAITS, 1);
    asks(&s, (struct asking){.number = 0x2222, .group = "approvers"}, WAITS, 0x2222);
    says(f, (struct word){.who = "ann", .group = "dba", .number = 1, .denies = true}, DENIED);
    assert_int_equal(count_listed(f, "auditors", false), 1);
    assert_int_equal(count_listed(f, "auditors", true), 2);
    assert_int_equal(count_listed(f, "approvers", true), 1);
    assert_answer(get(f, id_of(1, id), "approvers"), RPC_NOT_FOUND, "");
    assert_answer(get(f, id_of(0x2222, id), "approvers"), RPC_OK, "");
    assert_answer(get(f, "0199e9a2-0000-7000-8000-000000002", "admins"), RPC_OK, "");
    assert_answer(get(f, "0199e9a2", "admins"), RPC_INVALID_ARGUMENT, "several");
    assert_answer(get(f, id_of(1, id), "agents"), RPC_PERMISSION_DENIED, "");
    sidecar_finish(&s);
}

/* --- chat accounts -----------------------------------------------------------------------------
 */

static char *make_code(struct fixture *f, const char *name)
{
    Chaperone__V1__CreateLinkCodeRequest request = CHAPERONE__V1__CREATE_LINK_CODE_REQUEST__INIT;
    Chaperone__V1__ChatAccount account = CHAPERONE__V1__CHAT_ACCOUNT__INIT;
    account.provider = text_of("slack");
    account.account = text_of(name);
    request.account = &account;
    char *token = fixture_token(f, "slackbot", "bots");
    struct answer a =
        fixture_call(f->channel, approvals, "CreateLinkCode", &request.base, token, 0);
    assert_int_equal(a.status.code, RPC_OK);
    char *code = strdup(((const Chaperone__V1__CreateLinkCodeResponse *)a.reply)->code);
    answer_finish(&a);
    free(token);
    return code;
}

static struct answer confirm(struct fixture *f, const char *code, const char *who,
                             const char *group)
{
    Chaperone__V1__ConfirmLinkRequest request = CHAPERONE__V1__CONFIRM_LINK_REQUEST__INIT;
    request.code = text_of(code);
    char *token = fixture_token(f, who, group);
    struct answer a = fixture_call(f->channel, approvals, "ConfirmLink", &request.base, token, 0);
    free(token);
    return a;
}

static struct answer unlink_account(struct fixture *f, const char *who, const char *group)
{
    Chaperone__V1__RemoveLinkRequest request = CHAPERONE__V1__REMOVE_LINK_REQUEST__INIT;
    Chaperone__V1__ChatAccount account = CHAPERONE__V1__CHAT_ACCOUNT__INIT;
    account.provider = text_of("slack");
    account.account = text_of("T/U");
    request.account = &account;
    char *token = fixture_token(f, who, group);
    struct answer a = fixture_call(f->channel, approvals, "RemoveLink", &request.base, token, 0);
    free(token);
    return a;
}

static void a_bot_decides_for_linked_people_only(void **state)
{
    struct fixture *f = *state;
    struct sidecar s = fixture_sidecar(f);
    const struct word word = {.who = "slackbot", .group = "bots", .number = 1, .account = "T/U"};
    asks(&s, (struct asking){.number = 1}, WAITS, 1);
    asks(&s, (struct asking){.number = 2, .forbids_linked = true}, WAITS, 2);
    assert_answer(say(f, word), RPC_PERMISSION_DENIED, "not linked");
    assert_answer(say(f, (struct word){.who = "slackbot", .group = "bots", .number = 1}),
                  RPC_PERMISSION_DENIED, "a bot decides only for");
    char *code = make_code(f, "T/U");
    assert_answer(confirm(f, code, "slackbot", "bots"), RPC_PERMISSION_DENIED, "a bot cannot");
    assert_answer(confirm(f, code, "ann", NULL), RPC_PERMISSION_DENIED, "");
    assert_answer(confirm(f, "0000-0000-0000-0000", "ann", "dba"), RPC_NOT_FOUND, "unknown");
    assert_answer(confirm(f, "nonsense", "ann", "dba"), RPC_NOT_FOUND, "unknown");
    assert_answer(confirm(f, code, "ann", "dba"), RPC_OK, "");
    assert_answer(confirm(f, code, "eve", "dba"), RPC_FAILED_PRECONDITION, "used before");
    struct answer a = say(f, word);
    assert_int_equal(a.status.code, RPC_OK);
    const Chaperone__V1__Decision *d =
        ((const Chaperone__V1__DecideResponse *)a.reply)->approval->decisions[0];
    assert_string_equal(d->by->subject, "ann");
    assert_true(d->is_linked);
    assert_non_null(strstr(d->from, "slack:T/U by "));
    answer_finish(&a);
    assert_answer(
        say(f, (struct word){.who = "slackbot", .group = "bots", .number = 2, .account = "T/U"}),
        RPC_PERMISSION_DENIED, "forbids");
    assert_answer(unlink_account(f, "eve", "dba"), RPC_PERMISSION_DENIED, "somebody else");
    assert_answer(unlink_account(f, "ann", "dba"), RPC_OK, "");
    asks(&s, (struct asking){.number = 3}, WAITS, 3);
    assert_answer(
        say(f, (struct word){.who = "slackbot", .group = "bots", .number = 3, .account = "T/U"}),
        RPC_PERMISSION_DENIED, "not linked");
    free(code);
    sidecar_finish(&s);
}

static void a_link_is_good_for_30_days(void **state)
{
    struct fixture *f = *state;
    struct sidecar s = fixture_sidecar(f);
    char *code = make_code(f, "T/U");
    const int64_t minute = INT64_C(60) * 1000000000;
    fixture_set_clock(f, 11 * minute);
    assert_answer(confirm(f, code, "ann", "dba"), RPC_FAILED_PRECONDITION, "expired");
    free(code);
    fixture_set_clock(f, -31 * 24 * 60 * minute); /* a login of 31 days ago */
    code = make_code(f, "T/U");
    assert_answer(confirm(f, code, "ann", "dba"), RPC_OK, "");
    free(code);
    fixture_set_clock(f, 0);
    asks(&s, (struct asking){.number = 1}, WAITS, 1);
    assert_answer(
        say(f, (struct word){.who = "slackbot", .group = "bots", .number = 1, .account = "T/U"}),
        RPC_PERMISSION_DENIED, "longer than 30 days");
    sidecar_finish(&s);
}

/* --- the record --------------------------------------------------------------------------------
 */

static void decisions_are_in_the_audit_log(void **state)
{
    struct fixture *f = *state;
    struct sidecar s = fixture_sidecar(f);
    struct asking what = {.number = 1, .shape = "d", .has_standing = true};
    Chaperone__V1__SearchRequest request = CHAPERONE__V1__SEARCH_REQUEST__INIT;
    asks(&s, what, WAITS, 1);
    says(f,
         (struct word){.who = "ann",
                       .group = "dba",
                       .number = 1,
                       .reason = "as planned",
                       .standing_s = 60,
                       .uses = 1},
         APPROVED);
    what.number = 2;
    asks(&s, what, APPROVED, 2);
    char *token = fixture_token(f, "auditor", "auditors");
    struct listening *l = listen_to(f->channel, &chaperone__v1__audit__descriptor, "Search", token);
    request.session = text_of(SESSION);
    listening_send(l, &request.base);
    listening_half_close(l);
    assert_int_equal(listening_end(l).code, RPC_OK);
    static const char *const states[] = {"decided", "standing", "standing_used"};
    const Chaperone__V1__SearchResponse *found =
        (const Chaperone__V1__SearchResponse *)listening_await(l, 0);
    assert_int_equal(found->n_entries, 3);
    for (size_t i = 0; i < 3; i++) {
        const Chaperone__V1__Entry *e = found->entries[i];
        Chaperone__V1__Record *r =
            chaperone__v1__record__unpack(NULL, e->record.len, e->record.data);
        assert_string_equal(r->sidecar, "controlplane");
        assert_int_equal(r->sequence, i + 1);
        assert_string_equal(r->approval->state, states[i]);
        assert_string_equal(e->identity, "bot");
        assert_string_equal(e->resource, "orders");
        if (i == 0) {
            assert_string_equal(r->approval->decided_by->subject, "ann");
            assert_string_equal(r->approval->reason, "as planned");
            assert_true(r->approval->approve);
            assert_int_equal(r->approval->digest.data[0], 1);
        }
        chaperone__v1__record__free_unpacked(r, NULL);
    }
    listening_finish(l);
    free(token);
    sidecar_finish(&s);
}

/* --- many --------------------------------------------------------------------------------------
 */

static void a_thousand_wait_at_once(void **state)
{
    enum { ALL = 1000, EACH = 200 };
    struct fixture *f = *state;
    struct sidecar s = fixture_sidecar(f);
    struct listening *l = connect(&s, 0);
    static const char *const sessions[] = {"a", "b", "c", "d", "e"};
    for (unsigned i = 0; i < ALL; i++) {
        asks(&s,
             (struct asking){.number = 1 + i, .session = sessions[i / EACH], .lifetime_ms = 600000},
             WAITS, 1 + i);
    }
    struct listening *waiting = follow(f, "auditors", 0, true);
    (void)event(waiting, ALL - 1);
    for (unsigned i = 0; i < ALL; i++) {
        says(f, (struct word){.who = "ann", .group = "dba", .number = 1 + i}, APPROVED);
    }
    char id[37];
    for (unsigned i = 0; i < ALL; i++) {
        const Chaperone__V1__ApprovalDecided *d = told(l, 1 + i);
        assert_string_equal(d->id, id_of(1 + i, id));
        assert_int_equal(d->state, APPROVED);
        assert_int_equal(event(waiting, ALL + i)->approval->state, APPROVED);
    }
    listening_finish(waiting);
    listening_finish(l);
    sidecar_finish(&s);
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, fixture_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        CASE(what_is_approved_is_released_once),
        CASE(one_no_ends_it),
        CASE(one_person_under_two_groups_is_one),
        CASE(who_may_not_decide_is_told_why),
        CASE(the_agent_itself_may_not_decide),
        CASE(a_sidecar_names_its_own_only),
        CASE(what_cannot_be_decided_is_not_held),
        CASE(of_decisions_at_once_one_wins),
        CASE(the_same_key_gives_the_first_answer),
        CASE(time_ends_what_nobody_decides),
        CASE(what_is_held_survives_a_restart),
        CASE(who_comes_again_gets_what_was_decided),
        CASE(a_standing_approval_lets_the_same_shape_through),
        CASE(a_standing_approval_ends),
        CASE(a_cursor_misses_nothing),
        CASE(each_sees_what_is_its_own),
        CASE(a_bot_decides_for_linked_people_only),
        CASE(a_link_is_good_for_30_days),
        CASE(decisions_are_in_the_audit_log),
        CASE(a_thousand_wait_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
