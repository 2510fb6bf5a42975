/* Standing approvals: who sees them, who takes them back, and what that ends. */
#include <stdio.h>
#include <stdlib.h>

#include "controlplane/testing/held.h"

#define STANDS CHAPERONE__V1__STANDING_STATE__STANDS
#define REVOKED CHAPERONE__V1__STANDING_STATE__STANDING_REVOKED
#define USED_UP CHAPERONE__V1__STANDING_STATE__STANDING_USED_UP
#define ENDED CHAPERONE__V1__STANDING_STATE__STANDING_ENDED

static const struct held_asking asking = {.number = 1, .shape = "delete-1", .has_standing = true};

/* Ann of `group` approves number 1 for later, too. */
static void approve(struct fixture *f, struct sidecar *s, struct held_asking what,
                    const char *group)
{
    held_asks(s, what, WAITS, what.number);
    held_says(f,
              (struct held_word){.who = "ann",
                                 .group = group,
                                 .number = what.number,
                                 .reason = "as planned",
                                 .standing_s = 600,
                                 .uses = 5},
              APPROVED);
}

static void asks(struct sidecar *s, unsigned number, Chaperone__V1__ApprovalState state)
{
    struct held_asking what = asking;
    what.number = number;
    held_asks(s, what, state, number);
}

static void expect_state(struct fixture *f, const char *group, Chaperone__V1__StandingState state)
{
    struct answer a = held_standing(f, group, true);
    assert_int_equal(a.status.code, RPC_OK);
    const Chaperone__V1__ListStandingResponse *list =
        (const Chaperone__V1__ListStandingResponse *)a.reply;
    assert_int_equal(list->n_standing, 1);
    assert_int_equal(list->standing[0]->state, state);
    answer_finish(&a);
}

static void expect_count(struct fixture *f, const char *group, bool include_ended, size_t count)
{
    struct answer a = held_standing(f, group, include_ended);
    assert_int_equal(a.status.code, RPC_OK);
    assert_int_equal(((const Chaperone__V1__ListStandingResponse *)a.reply)->n_standing, count);
    answer_finish(&a);
}

static void expect_revoked(struct fixture *f, const char *who, const char *group, const char *id,
                           bool revoked, const char *by)
{
    struct answer a = held_revoke(f, who, group, id, NULL);
    if (a.status.code != RPC_OK) {
        fail_msg("%s", a.status.message);
    }
    const Chaperone__V1__RevokeStandingResponse *r =
        (const Chaperone__V1__RevokeStandingResponse *)a.reply;
    assert_true(r->revoked == revoked);
    assert_int_equal(r->standing->state, REVOKED);
    assert_string_equal(r->standing->revoked_by, by);
    assert_string_equal(r->standing->revoke_reason, "a mistake");
    assert_int_equal(r->standing->approval->intent->text.len, 0); /* that is for who reads it */
    assert_string_equal(r->standing->approval->intent->rule, "deletes");
    answer_finish(&a);
}

static void what_stands_is_listed(void **state)
{
    struct fixture *f = *state;
    struct sidecar s = fixture_sidecar(f);
    struct held_asking what = asking;
    char id[37];
    what.group = "approvers";
    expect_count(f, "auditors", true, 0);
    approve(f, &s, what, "approvers");
    what.number = 2;
    held_asks(&s, what, APPROVED, 2);
    struct answer a = held_standing(f, "approvers", false);
    assert_int_equal(a.status.code, RPC_OK);
    const Chaperone__V1__ListStandingResponse *list =
        (const Chaperone__V1__ListStandingResponse *)a.reply;
    assert_int_equal(list->n_standing, 1);
    assert_string_equal(list->next, "");
    const Chaperone__V1__StandingApproval *one = list->standing[0];
    assert_int_equal(one->state, STANDS);
    assert_int_equal(one->uses, 1);
    assert_int_equal(one->uses_max, 5);
    assert_true(one->until_unix_ns > one->created_unix_ns);
    assert_string_equal(one->revoked_by, "");
    assert_string_equal(one->approval->identity->subject, "bot");
    assert_string_equal(one->approval->intent->rule, "deletes");
    assert_memory_equal(one->approval->intent->text.data, "DELETE FROM orders", 18);
    assert_string_equal(one->approval->decisions[0]->by->subject, "ann");
    assert_string_equal(one->approval->stands_as, one->id);
    (void)snprintf(id, sizeof(id), "%s", one->id);
    answer_finish(&a);
    char held[37];
    a = held_get(f, held_id(1, held), "auditors");
    assert_string_equal(((const Chaperone__V1__HeldOperation *)a.reply)->stands_as, id);
    answer_finish(&a);
    expect_count(f, "bots", false, 1);
    expect_count(f, "admins", false, 1);
    assert_answer(held_standing(f, "agents", false), RPC_PERMISSION_DENIED, "no role");
    for (what.number = 3; what.number < 7; what.number++) {
        held_asks(&s, what, APPROVED, what.number);
    }
    expect_count(f, "approvers", false, 0);
    expect_state(f, "approvers", USED_UP);
    sidecar_finish(&s);
}

static void an_approver_sees_what_is_for_their_groups(void **state)
{
    struct fixture *f = *state;
    struct sidecar s = fixture_sidecar(f);
    approve(f, &s, asking, "dba");
    expect_count(f, "approvers", true, 0);
    expect_count(f, "auditors", true, 1);
    fixture_set_clock(f, INT64_C(601) * 1000000000);
    expect_count(f, "auditors", false, 0);
    expect_state(f, "auditors", ENDED);
    fixture_set_clock(f, 0);
    sidecar_finish(&s);
}

/* One page of one: its number, 0: the last one, which has none. */
static unsigned read_page(struct fixture *f, const char *token, char before[64])
{
    Chaperone__V1__ListStandingRequest request = CHAPERONE__V1__LIST_STANDING_REQUEST__INIT;
    request.limit = 1;
    request.before = before;
    struct answer a = fixture_call(f->channel, &chaperone__v1__approvals__descriptor,
                                   "ListStanding", &request.base, token, 0);
    assert_int_equal(a.status.code, RPC_OK);
    const Chaperone__V1__ListStandingResponse *list =
        (const Chaperone__V1__ListStandingResponse *)a.reply;
    unsigned number = 0;
    if (list->n_standing > 0) {
        const char *id = list->standing[0]->approval->id;
        number = (unsigned)strtoul(id + strlen(id) - 4, NULL, 10);
    }
    (void)snprintf(before, 64, "%s", list->next);
    answer_finish(&a);
    return number;
}

static void a_long_list_is_read_by_pages(void **state)
{
    struct fixture *f = *state;
    struct sidecar s = fixture_sidecar(f);
    static const char *const shapes[] = {"a", "b", "c"};
    static const char *const groups[] = {"approvers", "dba", "approvers"};
    struct held_asking what = asking;
    char before[64] = "";
    for (unsigned i = 0; i < 3; i++) {
        what.number = i + 1;
        what.shape = shapes[i];
        what.group = groups[i];
        approve(f, &s, what, groups[i]);
    }
    char *token = fixture_token(f, "someone", "approvers");
    assert_int_equal(read_page(f, token, before), 3);
    assert_string_not_equal(before, "");
    assert_int_equal(read_page(f, token, before), 0); /* not for this group; there is more */
    assert_string_not_equal(before, "");
    assert_int_equal(read_page(f, token, before), 1);
    assert_int_equal(read_page(f, token, before), 0);
    assert_string_equal(before, "");
    free(token);
    sidecar_finish(&s);
}

static void what_is_revoked_lets_nothing_through(void **state)
{
    struct fixture *f = *state;
    struct sidecar s = fixture_sidecar(f);
    char id[37];
    approve(f, &s, asking, "dba");
    asks(&s, 2, APPROVED);
    assert_answer(held_end(&s, 2, USED), RPC_OK, "");
    (void)held_standing_id(f, id);
    expect_revoked(f, "ann", "dba", id, true, "ann");
    asks(&s, 3, WAITS);
    expect_revoked(f, "bob", "ops", id, false, "ann"); /* it stays as it was */
    expect_count(f, "auditors", false, 0);
    rpc_channel_destroy(s.channel);
    fixture_restart(f);
    s.channel = fixture_channel(f, buffer_bytes(&s.certificate_pem), s.key);
    asks(&s, 4, WAITS);
    expect_state(f, "auditors", REVOKED);
    /* People may agree to the same for later again. */
    held_says(
        f,
        (struct held_word){.who = "ann", .group = "dba", .number = 3, .standing_s = 600, .uses = 5},
        APPROVED);
    asks(&s, 5, APPROVED);
    sidecar_finish(&s);
}

static void who_may_not_revoke(void **state)
{
    struct fixture *f = *state;
    struct sidecar s = fixture_sidecar(f);
    struct held_asking what = asking;
    char id[37];
    what.needs_reason = true;
    approve(f, &s, what, "dba");
    (void)held_standing_id(f, id);
    what.number = 2;
    what.shape = "delete-2";
    approve(f, &s, what, "dba");
    const struct {
        const char *who, *group, *words;
    } table[] = {
        {"eve", "guests", "in none of them"},     {"audrey", "auditors", "in none of them"},
        {"eve", "approvers", "in none of them"},  {"bot", "dba", "excludes who asks"},
        {"alice", "dba", "excludes who asks"},    {"ann", NULL, "a group"},
        {"slackbot", "bots", "decides only for"},
    };
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        assert_answer(held_revoke(f, table[i].who, table[i].group, id, NULL), RPC_PERMISSION_DENIED,
                      table[i].words);
    }
    assert_answer(held_revoke(f, "ann", "dba", id, "T/U"), RPC_PERMISSION_DENIED, "only a bot");
    assert_answer(held_revoke(f, "ann", "dba", "0", NULL), RPC_INVALID_ARGUMENT, "several");
    assert_answer(held_revoke(f, "ann", "dba", "f", NULL), RPC_NOT_FOUND, "no standing approval");
    assert_answer(held_revoke(f, "ann", "dba", "", NULL), RPC_NOT_FOUND, "no standing approval");
    expect_count(f, "auditors", false, 2);
    id[35] = '\0'; /* a beginning of it */
    expect_revoked(f, "root", "admins", id, true, "root");
    expect_count(f, "auditors", false, 1);
    sidecar_finish(&s);
}

static void another_one_like_it_is_named(void **state)
{
    struct fixture *f = *state;
    struct sidecar s = fixture_sidecar(f);
    struct held_word word = {.who = "ann", .group = "dba", .standing_s = 600, .uses = 5};
    char first[37], second[37];
    asks(&s, 1, WAITS);
    asks(&s, 2, WAITS);
    word.number = 1;
    held_says(f, word, APPROVED);
    (void)held_standing_id(f, first);
    word.number = 2;
    held_says(f, word, APPROVED);
    struct answer a = held_revoke(f, "ann", "dba", first, NULL);
    assert_int_equal(a.status.code, RPC_OK);
    (void)snprintf(second, sizeof(second), "%s",
                   ((const Chaperone__V1__RevokeStandingResponse *)a.reply)->another);
    answer_finish(&a);
    asks(&s, 3, APPROVED);
    a = held_revoke(f, "ann", "dba", second, NULL);
    assert_int_equal(a.status.code, RPC_OK);
    assert_string_equal(((const Chaperone__V1__RevokeStandingResponse *)a.reply)->another, "");
    answer_finish(&a);
    asks(&s, 4, WAITS);
    sidecar_finish(&s);
}

/* It was let through, but its sidecar has not heard so: it asks again. */
static void what_was_not_told_yet_is_not_let_through(void **state)
{
    struct fixture *f = *state;
    struct sidecar s = fixture_sidecar(f);
    struct held_asking retry = asking;
    char id[37];
    retry.is_retry = true;
    retry.number = 11;
    retry.shape = "retried";
    approve(f, &s, asking, "dba");
    asks(&s, 2, APPROVED);
    expect_revoked(f, "ann", "dba", held_standing_id(f, id), true, "ann");
    asks(&s, 2, WITHDRAWN);
    assert_answer(held_end(&s, 2, USED), RPC_FAILED_PRECONDITION, "not approved");
    approve(f, &s, retry, "dba");
    retry.number = 12;
    retry.digest = 50;
    held_asks(&s, retry, APPROVED, 12);
    expect_revoked(f, "ann", "dba", held_standing_id(f, id), true, "ann");
    retry.number = 13; /* the same again */
    held_asks(&s, retry, WAITS, 13);
    assert_int_equal(held_state(f, 12), WITHDRAWN);
    /* The same, where an operation that nobody released is taken up by another one. */
    retry.shape = "retried again";
    retry.number = retry.digest = 21;
    approve(f, &s, retry, "dba");
    retry.number = 22;
    retry.digest = 60;
    held_asks(&s, retry, APPROVED, 22);
    retry.number = 23;
    held_asks(&s, retry, APPROVED, 22); /* uses it up; and again, as the answer may have got lost */
    held_asks(&s, retry, APPROVED, 22);
    expect_revoked(f, "ann", "dba", held_standing_id(f, id), true, "ann");
    held_asks(&s, retry, WITHDRAWN, 22);
    /* Nor is it told on a connection that is made anew. */
    struct listening *l = held_connect(&s, 2);
    assert_int_equal(held_told(l, 1)->state, WITHDRAWN);
    listening_finish(l);
    sidecar_finish(&s);
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, fixture_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        CASE(what_stands_is_listed),
        CASE(an_approver_sees_what_is_for_their_groups),
        CASE(a_long_list_is_read_by_pages),
        CASE(what_is_revoked_lets_nothing_through),
        CASE(who_may_not_revoke),
        CASE(another_one_like_it_is_named),
        CASE(what_was_not_told_yet_is_not_let_through),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
