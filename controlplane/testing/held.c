#include "controlplane/testing/held.h"

#include <stdio.h>
#include <stdlib.h>

const char *held_id(unsigned number, char out[37])
{
    (void)snprintf(out, 37, "0199e9a2-0000-7000-8000-%012x", number);
    return out;
}

struct answer held_ask(struct sidecar *s, struct held_asking what)
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
    held.id = text_of(held_id(what.number, id));
    held.session = text_of(what.session == NULL ? HELD_SESSION : what.session);
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

void held_asks(struct sidecar *s, struct held_asking what, Chaperone__V1__ApprovalState state,
               unsigned number)
{
    char id[37];
    struct answer a = held_ask(s, what);
    if (a.status.code != RPC_OK) {
        fail_msg("%s", a.status.message);
    }
    const Chaperone__V1__ApprovalDecided *d =
        ((const Chaperone__V1__RequestApprovalResponse *)a.reply)->decided;
    assert_int_equal(d->state, state);
    assert_string_equal(d->id, held_id(number, id));
    answer_finish(&a);
}

struct answer held_end(struct sidecar *s, unsigned number, Chaperone__V1__ApprovalState state)
{
    char id[37];
    Chaperone__V1__EndApprovalRequest request = CHAPERONE__V1__END_APPROVAL_REQUEST__INIT;
    request.id = text_of(held_id(number, id));
    request.state = state;
    request.reason = text_of("the agent disconnected");
    return fixture_call(s->channel, &chaperone__v1__sidecar__descriptor, "EndApproval",
                        &request.base, NULL, 0);
}

/* --- people ------------------------------------------------------------------------------------
 */

struct answer held_say(struct fixture *f, struct held_word word)
{
    char id[37];
    const struct clock clock = clock_system();
    Chaperone__V1__DecideRequest request = CHAPERONE__V1__DECIDE_REQUEST__INIT;
    Chaperone__V1__ChatAccount account = CHAPERONE__V1__CHAT_ACCOUNT__INIT;
    Chaperone__V1__Standing standing = CHAPERONE__V1__STANDING__INIT;
    request.id = text_of(held_id(word.number, id));
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
    struct answer a = fixture_call(f->channel, &chaperone__v1__approvals__descriptor, "Decide",
                                   &request.base, token, 0);
    free(token);
    return a;
}

void held_says(struct fixture *f, struct held_word word, Chaperone__V1__ApprovalState state)
{
    struct answer a = held_say(f, word);
    if (a.status.code != RPC_OK) {
        fail_msg("%s", a.status.message);
    }
    assert_int_equal(((const Chaperone__V1__DecideResponse *)a.reply)->approval->state, state);
    answer_finish(&a);
}

struct answer held_get(struct fixture *f, const char *id, const char *group)
{
    Chaperone__V1__GetApprovalRequest request = CHAPERONE__V1__GET_APPROVAL_REQUEST__INIT;
    request.id = text_of(id);
    char *token = fixture_token(f, "someone", group);
    struct answer a = fixture_call(f->channel, &chaperone__v1__approvals__descriptor, "Get",
                                   &request.base, token, 0);
    free(token);
    return a;
}

Chaperone__V1__ApprovalState held_state(struct fixture *f, unsigned number)
{
    char id[37];
    struct answer a = held_get(f, held_id(number, id), "auditors");
    assert_int_equal(a.status.code, RPC_OK);
    Chaperone__V1__ApprovalState state = ((const Chaperone__V1__HeldOperation *)a.reply)->state;
    answer_finish(&a);
    return state;
}

struct answer held_standing(struct fixture *f, const char *group, bool include_ended)
{
    Chaperone__V1__ListStandingRequest request = CHAPERONE__V1__LIST_STANDING_REQUEST__INIT;
    request.include_ended = include_ended;
    char *token = fixture_token(f, "someone", group);
    struct answer a = fixture_call(f->channel, &chaperone__v1__approvals__descriptor,
                                   "ListStanding", &request.base, token, 0);
    free(token);
    return a;
}

const char *held_standing_id(struct fixture *f, char out[37])
{
    struct answer a = held_standing(f, "auditors", false);
    assert_int_equal(a.status.code, RPC_OK);
    const Chaperone__V1__ListStandingResponse *list =
        (const Chaperone__V1__ListStandingResponse *)a.reply;
    assert_int_equal(list->n_standing, 1);
    (void)snprintf(out, 37, "%s", list->standing[0]->id);
    answer_finish(&a);
    return out;
}

struct answer held_revoke(struct fixture *f, const char *who, const char *group, const char *id,
                          const char *account)
{
    Chaperone__V1__RevokeStandingRequest request = CHAPERONE__V1__REVOKE_STANDING_REQUEST__INIT;
    Chaperone__V1__ChatAccount of = CHAPERONE__V1__CHAT_ACCOUNT__INIT;
    request.id = text_of(id);
    request.reason = text_of("a mistake");
    of.provider = text_of("slack");
    of.account = text_of(account);
    request.account = account == NULL ? NULL : &of;
    char *token = fixture_token(f, who, group);
    struct answer a = fixture_call(f->channel, &chaperone__v1__approvals__descriptor,
                                   "RevokeStanding", &request.base, token, 0);
    free(token);
    return a;
}

/* --- streams -----------------------------------------------------------------------------------
 */

struct listening *held_connect(struct sidecar *s, unsigned number)
{
    return held_connect_all(s, &number, number == 0 ? 0 : 1);
}

struct listening *held_connect_all(struct sidecar *s, const unsigned *numbers, size_t count)
{
    char ids[HELD_CONNECT_MAX][37], *held[HELD_CONNECT_MAX];
    Chaperone__V1__WatchRequest request = CHAPERONE__V1__WATCH_REQUEST__INIT;
    Chaperone__V1__Hello hello = CHAPERONE__V1__HELLO__INIT;
    struct listening *l = listen_to(s->channel, &chaperone__v1__sidecar__descriptor, "Watch", NULL);
    assert_in_range(count, 0, HELD_CONNECT_MAX);
    for (size_t i = 0; i < count; i++) {
        held[i] = text_of(held_id(numbers[i], ids[i]));
    }
    hello.held = held;
    hello.n_held = count;
    request.hello = &hello;
    listening_send(l, &request.base);
    (void)listening_await(l, 0); /* the policy */
    return l;
}

const Chaperone__V1__ApprovalDecided *held_told(struct listening *l, size_t n)
{
    const Chaperone__V1__WatchResponse *push =
        (const Chaperone__V1__WatchResponse *)listening_await(l, n);
    assert_int_equal(push->push_case, CHAPERONE__V1__WATCH_RESPONSE__PUSH_DECIDED);
    return push->decided;
}

struct listening *held_follow(struct fixture *f, const char *group, uint64_t after,
                              bool only_waiting)
{
    Chaperone__V1__WatchApprovalsRequest request = CHAPERONE__V1__WATCH_APPROVALS_REQUEST__INIT;
    char *token = fixture_token(f, "someone", group);
    struct listening *l =
        listen_to(f->channel, &chaperone__v1__approvals__descriptor, "Watch", token);
    request.after = after;
    request.only_waiting = only_waiting;
    listening_send(l, &request.base);
    listening_half_close(l);
    free(token);
    return l;
}

const Chaperone__V1__ApprovalEvent *held_event(struct listening *l, size_t n)
{
    return (const Chaperone__V1__ApprovalEvent *)listening_await(l, n);
}
