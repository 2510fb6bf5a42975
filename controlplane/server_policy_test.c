/* Policies by API: published, handed out, read, rolled back. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "api/policy.pb-c.h"
#include "controlplane/testing/fixture.h"

#define POLICY(name)                                                                               \
    "version: 1 # " name "\nrules:\n  - {name: " name                                              \
    ", effect: allow, match: {sql: {commands: [read]}}}\n"

static struct answer call(struct fixture *f, const char *method, const ProtobufCMessage *request,
                          const char *group)
{
    char *token = fixture_token(f, "ann", group);
    struct answer a =
        fixture_call(f->channel, &chaperone__v1__policies__descriptor, method, request, token, 0);
    free(token);
    return a;
}

static struct answer push_as(struct fixture *f, const char *text, uint64_t expect,
                             const char *group)
{
    Chaperone__V1__PushPolicyRequest request = CHAPERONE__V1__PUSH_POLICY_REQUEST__INIT;
    request.source.data = (uint8_t *)(uintptr_t)text;
    request.source.len = strlen(text);
    request.name = (char *)(uintptr_t) "shop.yaml";
    request.message = (char *)(uintptr_t) "because";
    request.expect_revision = expect;
    return call(f, "Push", &request.base, group);
}

static uint64_t push(struct fixture *f, const char *text)
{
    struct answer a = push_as(f, text, 0, "admins");
    assert_int_equal(a.status.code, RPC_OK);
    uint64_t revision = ((const Chaperone__V1__PushPolicyResponse *)a.reply)->revision;
    answer_finish(&a);
    return revision;
}

static void assert_in_force(struct fixture *f, uint64_t revision, const char *source)
{
    Chaperone__V1__GetPolicyRequest request = CHAPERONE__V1__GET_POLICY_REQUEST__INIT;
    struct answer a = call(f, "Get", &request.base, "auditors");
    assert_int_equal(a.status.code, RPC_OK);
    const Chaperone__V1__GetPolicyResponse *r = (const Chaperone__V1__GetPolicyResponse *)a.reply;
    assert_int_equal(r->policy->revision, revision);
    if (source != NULL) {
        assert_true(bytes_equal_string(bytes_of(r->source.data, r->source.len), source));
    }
    answer_finish(&a);
}

static struct listening *watch(struct sidecar *s)
{
    Chaperone__V1__WatchRequest request = CHAPERONE__V1__WATCH_REQUEST__INIT;
    Chaperone__V1__Hello hello = CHAPERONE__V1__HELLO__INIT;
    struct listening *l = listen_to(s->channel, &chaperone__v1__sidecar__descriptor, "Watch", NULL);
    request.hello = &hello;
    listening_send(l, &request.base);
    (void)listening_await(l, 0);
    return l;
}

static void a_push_reaches_a_sidecar_that_watches(void **state)
{
    struct fixture *f = *state;
    struct sidecar s = fixture_sidecar(f);
    struct listening *l = watch(&s);
    assert_int_equal(push(f, POLICY("one")), 2);
    const Chaperone__V1__WatchResponse *second =
        (const Chaperone__V1__WatchResponse *)listening_await(l, 1);
    assert_int_equal(second->policy->revision, 2);
    assert_in_force(f, 2, POLICY("one"));
    listening_finish(l);
    sidecar_finish(&s);
}

/* `error` NULL: it is in use. */
static void acknowledge(struct listening *l, uint64_t revision, const char *error)
{
    Chaperone__V1__WatchRequest request = CHAPERONE__V1__WATCH_REQUEST__INIT;
    Chaperone__V1__PolicyAck ack = CHAPERONE__V1__POLICY_ACK__INIT;
    ack.revision = revision;
    ack.active = error == NULL;
    ack.error = (char *)(uintptr_t)(error == NULL ? "" : error);
    request.policy = &ack;
    listening_send(l, &request.base);
}

/* Asks until the one sidecar is there; what it says of itself arrives by itself. */
static void await_status(struct fixture *f, uint64_t revision, const char *state)
{
    Chaperone__V1__StatusRequest request = CHAPERONE__V1__STATUS_REQUEST__INIT;
    char *token = fixture_token(f, "ann", "admins");
    for (int tries = 0;; tries++) {
        struct answer a = fixture_call(f->channel, &chaperone__v1__administration__descriptor,
                                       "Status", &request.base, token, 0);
        assert_int_equal(a.status.code, RPC_OK);
        const Chaperone__V1__StatusResponse *r = (const Chaperone__V1__StatusResponse *)a.reply;
        assert_int_equal(r->n_sidecars, 1);
        bool there = r->sidecars[0]->policy_revision == revision &&
                     strcmp(r->sidecars[0]->policy_state, state) == 0;
        if (!there && tries == 1000) {
            fail_msg("it is %s", r->sidecars[0]->policy_state);
        }
        answer_finish(&a);
        if (there) {
            break;
        }
    }
    free(token);
}

static void the_status_says_how_far_a_sidecar_is(void **state)
{
    struct fixture *f = *state;
    struct sidecar s = fixture_sidecar(f);
    struct listening *l = watch(&s);
    assert_int_equal(push(f, POLICY("one")), 2);
    (void)listening_await(l, 1);
    await_status(f, 2, "delivered");
    acknowledge(l, 2, NULL);
    await_status(f, 2, "active");
    assert_int_equal(push(f, POLICY("two")), 3);
    (void)listening_await(l, 2);
    acknowledge(l, 3, "rules[0]: too new");
    await_status(f, 3, "rejected: rules[0]: too new");
    listening_finish(l);
    fixture_restart(f);
    await_status(f, 3, "rejected: rules[0]: too new");
    sidecar_finish(&s);
}

static void what_was_never_published_cannot_be_in_use(void **state)
{
    struct fixture *f = *state;
    static const uint64_t revisions[] = {2, UINT64_MAX};
    struct sidecar s = fixture_sidecar(f);
    for (size_t i = 0; i < sizeof(revisions) / sizeof(revisions[0]); i++) {
        struct listening *l = watch(&s);
        acknowledge(l, revisions[i], NULL);
        assert_int_equal(listening_end(l).code, RPC_INVALID_ARGUMENT);
        listening_finish(l);
    }
    await_status(f, 1, "delivered");
    sidecar_finish(&s);
}

static void a_push_outlives_a_restart(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(push(f, POLICY("one")), 2);
    fixture_restart(f);
    assert_in_force(f, 2, POLICY("one"));
}

static void the_same_again_is_no_revision(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(push(f, POLICY("one")), 2);
    assert_int_equal(push(f, "# another comment\n" POLICY("one")), 2);
}

static void a_rollback_is_a_new_revision(void **state)
{
    struct fixture *f = *state;
    Chaperone__V1__RollbackPolicyRequest request = CHAPERONE__V1__ROLLBACK_POLICY_REQUEST__INIT;
    assert_int_equal(push(f, POLICY("one")), 2);
    assert_int_equal(push(f, POLICY("two")), 3);
    request.revision = 2;
    assert_answer(call(f, "Rollback", &request.base, "admins"), RPC_OK, "");
    assert_in_force(f, 4, POLICY("one"));
    request.revision = 1; /* the default, of which nobody wrote a source */
    assert_answer(call(f, "Rollback", &request.base, "admins"), RPC_OK, "");
    assert_in_force(f, 5, NULL);
    request.revision = 9;
    assert_answer(call(f, "Rollback", &request.base, "admins"), RPC_NOT_FOUND,
                  "no policy revision 9");
    assert_in_force(f, 5, NULL);
}

static void the_list_says_who_and_why(void **state)
{
    struct fixture *f = *state;
    Chaperone__V1__ListPoliciesRequest request = CHAPERONE__V1__LIST_POLICIES_REQUEST__INIT;
    (void)push(f, POLICY("one"));
    struct answer a = call(f, "List", &request.base, "auditors");
    assert_int_equal(a.status.code, RPC_OK);
    const Chaperone__V1__ListPoliciesResponse *r =
        (const Chaperone__V1__ListPoliciesResponse *)a.reply;
    assert_int_equal(r->n_policies, 2);
    assert_int_equal(r->policies[0]->revision, 2);
    assert_string_equal(r->policies[0]->message, "because");
    assert_int_equal(strncmp(r->policies[0]->created_by, "ann (http", 9), 0);
    assert_string_equal(r->policies[1]->created_by, "default");
    answer_finish(&a);
}

static void what_is_no_policy_is_refused_with_its_line(void **state)
{
    struct fixture *f = *state;
    assert_answer(push_as(f, "version: 1\nrules:\n  - {name: a, effect: alow}\n", 0, "admins"),
                  RPC_INVALID_ARGUMENT, "shop.yaml:3:23: rules[0].effect: ");
    assert_answer(push_as(f, "version: 1\nrules:\n  - {name: a, effect: hold}\n", 0, "admins"),
                  RPC_INVALID_ARGUMENT, "shop.yaml:3:5: rules[0].hold: required");
    assert_answer(push_as(f, "", 0, "admins"), RPC_INVALID_ARGUMENT, "shop.yaml");
    assert_in_force(f, 1, NULL);
}

static void only_an_admin_publishes(void **state)
{
    struct fixture *f = *state;
    Chaperone__V1__RollbackPolicyRequest back = CHAPERONE__V1__ROLLBACK_POLICY_REQUEST__INIT;
    Chaperone__V1__ListPoliciesRequest list = CHAPERONE__V1__LIST_POLICIES_REQUEST__INIT;
    back.revision = 1;
    assert_answer(push_as(f, POLICY("one"), 0, "auditors"), RPC_PERMISSION_DENIED, "no role");
    assert_answer(push_as(f, POLICY("one"), 0, "approvers"), RPC_PERMISSION_DENIED, "no role");
    assert_answer(call(f, "Rollback", &back.base, "auditors"), RPC_PERMISSION_DENIED, "no role");
    assert_answer(call(f, "List", &list.base, "approvers"), RPC_PERMISSION_DENIED, "no role");
    assert_in_force(f, 1, NULL);
}

/* --- at the same time --------------------------------------------------------------------------
 */

enum { PUSHERS = 4 };

struct pusher {
    struct fixture *f;
    const char *text;
    char *token;
    struct answer answer;
    uint64_t expect;
};

static void *run_pusher(void *context)
{
    struct pusher *p = context;
    Chaperone__V1__PushPolicyRequest request = CHAPERONE__V1__PUSH_POLICY_REQUEST__INIT;
    request.source.data = (uint8_t *)(uintptr_t)p->text;
    request.source.len = strlen(p->text);
    request.expect_revision = p->expect;
    p->answer = fixture_call(p->f->channel, &chaperone__v1__policies__descriptor, "Push",
                             &request.base, p->token, 0);
    return NULL;
}

/* The revisions that were given, as bits; how many were ABORTED. */
static unsigned push_together(struct fixture *f, uint64_t expect, int *out_aborted)
{
    static const char *const texts[PUSHERS] = {POLICY("a"), POLICY("b"), POLICY("c"), POLICY("d")};
    struct pusher pushers[PUSHERS];
    pthread_t threads[PUSHERS];
    unsigned revisions = 0;
    for (int i = 0; i < PUSHERS; i++) {
        pushers[i] = (struct pusher){
            .f = f, .text = texts[i], .token = fixture_token(f, "ann", "admins"), .expect = expect};
        assert_int_equal(pthread_create(&threads[i], NULL, run_pusher, &pushers[i]), 0);
    }
    *out_aborted = 0;
    for (int i = 0; i < PUSHERS; i++) {
        (void)pthread_join(threads[i], NULL);
        free(pushers[i].token);
        if (pushers[i].answer.status.code == RPC_OK) {
            revisions |= 1u << ((const Chaperone__V1__PushPolicyResponse *)pushers[i].answer.reply)
                                   ->revision;
        } else {
            assert_int_equal(pushers[i].answer.status.code, RPC_ABORTED);
            (*out_aborted)++;
        }
        answer_finish(&pushers[i].answer);
    }
    return revisions;
}

static void pushes_at_once_get_revisions_of_their_own(void **state)
{
    int aborted = 0;
    assert_int_equal(push_together(*state, 0, &aborted), 1u << 2 | 1u << 3 | 1u << 4 | 1u << 5);
    assert_int_equal(aborted, 0);
}

static void of_those_that_expect_a_revision_one_wins(void **state)
{
    int aborted = 0;
    assert_int_equal(push_together(*state, 1, &aborted), 1u << 2);
    assert_int_equal(aborted, PUSHERS - 1);
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, fixture_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        CASE(a_push_reaches_a_sidecar_that_watches),
        CASE(the_status_says_how_far_a_sidecar_is),
        CASE(what_was_never_published_cannot_be_in_use),
        CASE(a_push_outlives_a_restart),
        CASE(the_same_again_is_no_revision),
        CASE(a_rollback_is_a_new_revision),
        CASE(the_list_says_who_and_why),
        CASE(what_is_no_policy_is_refused_with_its_line),
        CASE(only_an_admin_publishes),
        CASE(pushes_at_once_get_revisions_of_their_own),
        CASE(of_those_that_expect_a_revision_one_wins),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
