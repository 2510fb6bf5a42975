/* Held operations: who may decide them, and what of several words counts. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "controlplane/testing/held.h"

/* --- one person --------------------------------------------------------------------------------
 */

static void what_is_approved_is_released_once(void **state)
{
    struct fixture *f = *state;
    struct sidecar s = fixture_sidecar(f);
    struct listening *l = held_connect(&s, 0);
    held_asks(&s, (struct held_asking){.number = 1}, WAITS, 1);
    held_asks(&s, (struct held_asking){.number = 1}, WAITS, 1); /* the same again */
    assert_answer(held_ask(&s, (struct held_asking){.number = 1, .digest = 2}), RPC_ABORTED,
                  "another");
    assert_answer(held_end(&s, 1, USED), RPC_FAILED_PRECONDITION, "not approved");
    held_says(f,
              (struct held_word){.who = "ann", .group = "dba", .number = 1, .reason = "as planned"},
              APPROVED);
    const Chaperone__V1__ApprovalDecided *d = held_told(l, 1);
    assert_int_equal(d->state, APPROVED);
    assert_int_equal(d->digest.len, 32);
    assert_int_equal(d->digest.data[0], 1);
    assert_string_equal(d->decision->by->subject, "ann");
    assert_answer(held_end(&s, 1, USED), RPC_OK, "");
    assert_answer(held_end(&s, 1, WITHDRAWN), RPC_OK, ""); /* too late: it stays as it is */
    held_asks(&s, (struct held_asking){.number = 1}, USED, 1);
    char id[37];
    struct answer a = held_get(f, held_id(1, id), "auditors");
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
    struct listening *l = held_connect(&s, 0);
    held_asks(&s, (struct held_asking){.number = 1, .people = 2}, WAITS, 1);
    held_says(f, (struct held_word){.who = "ann", .group = "dba", .number = 1}, WAITS);
    held_says(f, (struct held_word){.who = "bob", .group = "ops", .number = 1, .denies = true},
              DENIED);
    assert_int_equal(held_told(l, 1)->state, DENIED);
    assert_answer(held_say(f, (struct held_word){.who = "cyd", .group = "dba", .number = 1}),
                  RPC_FAILED_PRECONDITION, "denied already");
    assert_answer(held_end(&s, 1, USED), RPC_FAILED_PRECONDITION, "not approved");
    assert_int_equal(held_state(f, 1), DENIED);
    listening_finish(l);
    sidecar_finish(&s);
}

/* --- who may -----------------------------------------------------------------------------------
 */

static void one_person_under_two_groups_is_one(void **state)
{
    struct fixture *f = *state;
    struct sidecar s = fixture_sidecar(f);
    held_asks(&s, (struct held_asking){.number = 1, .people = 2}, WAITS, 1);
    held_says(f, (struct held_word){.who = "ann", .group = "dba", .number = 1}, WAITS);
    assert_answer(held_say(f, (struct held_word){.who = "ann", .group = "ops", .number = 1}),
                  RPC_PERMISSION_DENIED, "counts once");
    assert_int_equal(held_state(f, 1), WAITS);
    held_says(f, (struct held_word){.who = "bob", .group = "dba", .number = 1}, APPROVED);
    sidecar_finish(&s);
}

static void who_may_not_decide_is_told_why(void **state)
{
    struct fixture *f = *state;
    struct sidecar s = fixture_sidecar(f);
    const struct {
        struct held_word word;
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
    held_asks(&s, (struct held_asking){.number = 1, .needs_reason = true}, WAITS, 1);
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        assert_answer(held_say(f, table[i].word), table[i].code, table[i].words);
    }
    assert_int_equal(held_state(f, 1), WAITS);
    char *log = fixture_read_log(f);
    assert_non_null(strstr(log, "\"subject\":\"eve\"")); /* every attempt */
    free(log);
    held_says(
        f,
        (struct held_word){.who = "ann", .group = "dba", .number = 1, .reason = "x", .version = 1},
        APPROVED);
    sidecar_finish(&s);
}

static void the_agent_itself_may_not_decide(void **state)
{
    struct fixture *f = *state;
    struct sidecar s = fixture_sidecar(f);
    const struct held_word word = {.who = "bot", .group = "dba", .number = 1};
    held_asks(&s, (struct held_asking){.number = 1, .issuer = issuer_url(f->issuer)}, WAITS, 1);
    assert_answer(held_say(f, word), RPC_PERMISSION_DENIED, "excludes");
    /* Nor with a login elsewhere. */
    held_asks(&s, (struct held_asking){.number = 2}, WAITS, 2);
    assert_answer(held_say(f, (struct held_word){.who = "bot", .group = "dba", .number = 2}),
                  RPC_PERMISSION_DENIED, "excludes");
    sidecar_finish(&s);
}

/* Its token has the groups of the one that it acts for. */
static void who_acts_for_an_approver_is_none(void **state)
{
    struct fixture *f = *state;
    struct sidecar s = fixture_sidecar(f);
    const char *group = "dba", *chain[] = {"ann"};
    const struct issuer_token delegated = {.subject = "agent-2",
                                           .groups = &group,
                                           .group_count = 1,
                                           .on_behalf_of = chain,
                                           .on_behalf_of_count = 1};
    char id[37], *token = fixture_special_token(f, &delegated);
    Chaperone__V1__DecideRequest request = CHAPERONE__V1__DECIDE_REQUEST__INIT;
    held_asks(&s, (struct held_asking){.number = 1}, WAITS, 1);
    request.id = text_of(held_id(1, id));
    request.approve = true;
    assert_answer(fixture_call(f->channel, &chaperone__v1__approvals__descriptor, "Decide",
                               &request.base, token, 0),
                  RPC_PERMISSION_DENIED, "a person's own login");
    assert_int_equal(held_state(f, 1), WAITS);
    free(token);
    sidecar_finish(&s);
}

static void a_sidecar_names_its_own_only(void **state)
{
    struct fixture *f = *state;
    struct sidecar s = fixture_sidecar(f), other = fixture_sidecar(f);
    held_asks(&s, (struct held_asking){.number = 1}, WAITS, 1);
    assert_answer(held_end(&other, 1, WITHDRAWN), RPC_PERMISSION_DENIED, "another sidecar");
    assert_answer(held_ask(&other, (struct held_asking){.number = 1}), RPC_ABORTED, "another");
    assert_answer(held_end(&s, 2, USED), RPC_NOT_FOUND, "");
    assert_answer(held_end(&s, 1, APPROVED), RPC_INVALID_ARGUMENT, "");
    assert_answer(held_end(&s, 1, WITHDRAWN), RPC_OK, "");
    assert_int_equal(held_state(f, 1), WITHDRAWN);
    assert_answer(held_say(f, (struct held_word){.who = "ann", .group = "dba", .number = 1}),
                  RPC_FAILED_PRECONDITION, "withdrawn");
    sidecar_finish(&s);
    sidecar_finish(&other);
}

static void what_cannot_be_decided_is_not_held(void **state)
{
    struct fixture *f = *state;
    struct sidecar s = fixture_sidecar(f);
    assert_answer(held_ask(&s, (struct held_asking){.number = 1, .people = 99}),
                  RPC_INVALID_ARGUMENT, "how many people");
    assert_answer(held_ask(&s, (struct held_asking){.number = 1, .group = ""}),
                  RPC_INVALID_ARGUMENT, "empty group");
    assert_answer(held_ask(&s, (struct held_asking){.number = 1, .lifetime_ms = -1}),
                  RPC_INVALID_ARGUMENT, "lifetime");
    assert_answer(held_ask(&s, (struct held_asking){.number = 1, .session = ""}),
                  RPC_INVALID_ARGUMENT, "session");
    for (unsigned i = 0; i < 200; i++) {
        held_asks(&s, (struct held_asking){.number = 100 + i}, WAITS, 100 + i);
    }
    assert_answer(held_ask(&s, (struct held_asking){.number = 300}), RPC_RESOURCE_EXHAUSTED,
                  "too many");
    held_asks(&s, (struct held_asking){.number = 300, .session = "another"}, WAITS, 300);
    sidecar_finish(&s);
}

/* --- at once, and again ------------------------------------------------------------------------
 */

enum { RACERS = 6 };

struct racer {
    struct fixture *f;
    struct held_word word;
    enum rpc_code code;
};

static void *race(void *context)
{
    struct racer *r = context;
    struct answer a = held_say(r->f, r->word);
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
    held_asks(&s, (struct held_asking){.number = 1}, WAITS, 1);
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
    assert_int_equal(held_state(f, 1), racers[winner].word.denies ? DENIED : APPROVED);
    sidecar_finish(&s);
}

static void the_same_key_gives_the_first_answer(void **state)
{
    struct fixture *f = *state;
    struct sidecar s = fixture_sidecar(f);
    const struct held_word word = {.who = "ann", .group = "dba", .number = 1, .key = "k1"};
    held_asks(&s, (struct held_asking){.number = 1, .people = 2}, WAITS, 1);
    held_says(f, word, WAITS);
    held_says(f, (struct held_word){.who = "bob", .group = "dba", .number = 1, .key = "k1"},
              APPROVED);
    held_says(f, word, WAITS); /* as it was then */
    assert_int_equal(held_state(f, 1), APPROVED);
    char id[37];
    struct answer a = held_get(f, held_id(1, id), "auditors");
    assert_int_equal(((const Chaperone__V1__HeldOperation *)a.reply)->n_decisions, 2);
    answer_finish(&a);
    sidecar_finish(&s);
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, fixture_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        CASE(what_is_approved_is_released_once),  CASE(one_no_ends_it),
        CASE(one_person_under_two_groups_is_one), CASE(who_may_not_decide_is_told_why),
        CASE(the_agent_itself_may_not_decide),    CASE(who_acts_for_an_approver_is_none),
        CASE(a_sidecar_names_its_own_only),       CASE(what_cannot_be_decided_is_not_held),
        CASE(of_decisions_at_once_one_wins),      CASE(the_same_key_gives_the_first_answer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
