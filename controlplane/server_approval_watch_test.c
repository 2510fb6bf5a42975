/* Held operations: who sees them, chat accounts, the record, and a thousand at once. */
#include <stdio.h>
#include <stdlib.h>

#include "controlplane/testing/held.h"

/* --- who watches -------------------------------------------------------------------------------
 */

static void a_cursor_misses_nothing(void **state)
{
    struct fixture *f = *state;
    struct sidecar s = fixture_sidecar(f);
    struct listening *all = held_follow(f, "auditors", 0, false);
    held_asks(&s, (struct held_asking){.number = 1}, WAITS, 1);
    held_asks(&s, (struct held_asking){.number = 2, .group = "approvers"}, WAITS, 2);
    assert_int_equal(held_event(all, 1)->cursor, 2);
    listening_finish(all);
    held_says(f, (struct held_word){.who = "ann", .group = "dba", .number = 1}, APPROVED);
    all = held_follow(f, "bots", 2, false);
    assert_int_equal(held_event(all, 0)->cursor, 3);
    assert_int_equal(held_event(all, 0)->approval->state, APPROVED);
    /* First what waits, then what happens; an approver sees what its groups may decide. */
    struct listening *waiting = held_follow(f, "approvers", 0, true);
    char id[37];
    assert_string_equal(held_event(waiting, 0)->approval->id, held_id(2, id));
    assert_answer(held_end(&s, 1, USED), RPC_OK, "");
    held_says(f, (struct held_word){.who = "bob", .group = "approvers", .number = 2}, APPROVED);
    assert_int_equal(held_event(waiting, 1)->approval->state, APPROVED);
    assert_string_equal(held_event(waiting, 1)->approval->id, held_id(2, id));
    struct listening *lost = held_follow(f, "auditors", 999, false);
    assert_int_equal(listening_end(lost).code, RPC_OUT_OF_RANGE);
    listening_finish(lost);
    listening_finish(waiting);
    server_stop(f->server, 1000);
    f->server = NULL;
    assert_int_equal(listening_end(all).code, RPC_UNAVAILABLE);
    listening_finish(all);
    sidecar_finish(&s);
}

/* Who has seen nothing yet can go on from there, too. */
static void who_is_sent_nothing_has_a_cursor(void **state)
{
    struct fixture *f = *state;
    struct sidecar s = fixture_sidecar(f);
    struct listening *nothing = held_follow(f, "auditors", 0, true);
    assert_null(held_event(nothing, 0)->approval);
    assert_int_equal(held_event(nothing, 0)->cursor, 0);
    held_asks(&s, (struct held_asking){.number = 1}, WAITS, 1);
    assert_int_equal(held_event(nothing, 1)->cursor, 1);
    struct listening *others = held_follow(f, "approvers", 0, true);
    assert_null(held_event(others, 0)->approval);
    assert_int_equal(held_event(others, 0)->cursor, 1);
    listening_finish(others);
    listening_finish(nothing);
    sidecar_finish(&s);
}

static size_t count_listed(struct fixture *f, const char *group, bool include_ended)
{
    Chaperone__V1__ListApprovalsRequest request = CHAPERONE__V1__LIST_APPROVALS_REQUEST__INIT;
    request.include_ended = include_ended;
    char *token = fixture_token(f, "someone", group);
    struct answer a = fixture_call(f->channel, &chaperone__v1__approvals__descriptor, "List",
                                   &request.base, token, 0);
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
    held_asks(&s, (struct held_asking){.number = 1}, WAITS, 1);
    held_asks(&s, (struct held_asking){.number = 0x2222, .group = "approvers"}, WAITS, 0x2222);
    held_says(f, (struct held_word){.who = "ann", .group = "dba", .number = 1, .denies = true},
              DENIED);
    assert_int_equal(count_listed(f, "auditors", false), 1);
    assert_int_equal(count_listed(f, "auditors", true), 2);
    assert_int_equal(count_listed(f, "approvers", true), 1);
    assert_answer(held_get(f, held_id(1, id), "approvers"), RPC_NOT_FOUND, "");
    assert_answer(held_get(f, held_id(0x2222, id), "approvers"), RPC_OK, "");
    assert_answer(held_get(f, "0199e9a2-0000-7000-8000-000000002", "admins"), RPC_OK, "");
    assert_answer(held_get(f, "0199e9a2", "admins"), RPC_INVALID_ARGUMENT, "several");
    assert_answer(held_get(f, held_id(1, id), "agents"), RPC_PERMISSION_DENIED, "");
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
    struct answer a = fixture_call(f->channel, &chaperone__v1__approvals__descriptor,
                                   "CreateLinkCode", &request.base, token, 0);
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
    struct answer a = fixture_call(f->channel, &chaperone__v1__approvals__descriptor, "ConfirmLink",
                                   &request.base, token, 0);
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
    struct answer a = fixture_call(f->channel, &chaperone__v1__approvals__descriptor, "RemoveLink",
                                   &request.base, token, 0);
    free(token);
    return a;
}

static void a_bot_decides_for_linked_people_only(void **state)
{
    struct fixture *f = *state;
    struct sidecar s = fixture_sidecar(f);
    const struct held_word word = {
        .who = "slackbot", .group = "bots", .number = 1, .account = "T/U"};
    held_asks(&s, (struct held_asking){.number = 1}, WAITS, 1);
    held_asks(&s, (struct held_asking){.number = 2, .forbids_linked = true}, WAITS, 2);
    assert_answer(held_say(f, word), RPC_PERMISSION_DENIED, "not linked");
    assert_answer(held_say(f, (struct held_word){.who = "slackbot", .group = "bots", .number = 1}),
                  RPC_PERMISSION_DENIED, "a bot decides only for");
    char *code = make_code(f, "T/U");
    assert_answer(confirm(f, code, "slackbot", "bots"), RPC_PERMISSION_DENIED, "a bot cannot");
    assert_answer(confirm(f, code, "ann", NULL), RPC_PERMISSION_DENIED, "");
    assert_answer(confirm(f, "0000-0000-0000-0000", "ann", "dba"), RPC_NOT_FOUND, "unknown");
    assert_answer(confirm(f, "nonsense", "ann", "dba"), RPC_NOT_FOUND, "unknown");
    assert_answer(confirm(f, code, "ann", "dba"), RPC_OK, "");
    assert_answer(confirm(f, code, "eve", "dba"), RPC_FAILED_PRECONDITION, "used before");
    struct answer a = held_say(f, word);
    assert_int_equal(a.status.code, RPC_OK);
    const Chaperone__V1__Decision *d =
        ((const Chaperone__V1__DecideResponse *)a.reply)->approval->decisions[0];
    assert_string_equal(d->by->subject, "ann");
    assert_true(d->is_linked);
    assert_non_null(strstr(d->from, "slack:T/U by "));
    answer_finish(&a);
    assert_answer(held_say(f,
                           (struct held_word){
                               .who = "slackbot", .group = "bots", .number = 2, .account = "T/U"}),
                  RPC_PERMISSION_DENIED, "forbids");
    assert_answer(unlink_account(f, "eve", "dba"), RPC_PERMISSION_DENIED, "somebody else");
    assert_answer(unlink_account(f, "ann", "dba"), RPC_OK, "");
    held_asks(&s, (struct held_asking){.number = 3}, WAITS, 3);
    assert_answer(held_say(f,
                           (struct held_word){
                               .who = "slackbot", .group = "bots", .number = 3, .account = "T/U"}),
                  RPC_PERMISSION_DENIED, "not linked");
    free(code);
    sidecar_finish(&s);
}

static void a_bot_revokes_for_linked_people_only(void **state)
{
    struct fixture *f = *state;
    struct sidecar s = fixture_sidecar(f);
    char id[37];
    held_asks(&s, (struct held_asking){.number = 1, .shape = "d", .has_standing = true}, WAITS, 1);
    held_says(
        f,
        (struct held_word){.who = "bob", .group = "ops", .number = 1, .standing_s = 60, .uses = 2},
        APPROVED);
    (void)held_standing_id(f, id);
    assert_answer(held_revoke(f, "slackbot", "bots", id, "T/U"), RPC_PERMISSION_DENIED,
                  "not linked");
    char *code = make_code(f, "T/U");
    assert_answer(confirm(f, code, "ann", "dba"), RPC_OK, "");
    struct answer a = held_revoke(f, "slackbot", "bots", id, "T/U");
    assert_int_equal(a.status.code, RPC_OK);
    assert_string_equal(
        ((const Chaperone__V1__RevokeStandingResponse *)a.reply)->standing->revoked_by, "ann");
    answer_finish(&a);
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
    held_asks(&s, (struct held_asking){.number = 1}, WAITS, 1);
    assert_answer(held_say(f,
                           (struct held_word){
                               .who = "slackbot", .group = "bots", .number = 1, .account = "T/U"}),
                  RPC_PERMISSION_DENIED, "longer than 30 days");
    sidecar_finish(&s);
}

/* --- the record --------------------------------------------------------------------------------
 */

static void decisions_are_in_the_audit_log(void **state)
{
    struct fixture *f = *state;
    struct sidecar s = fixture_sidecar(f);
    struct held_asking what = {.number = 1, .shape = "d", .has_standing = true};
    Chaperone__V1__SearchRequest request = CHAPERONE__V1__SEARCH_REQUEST__INIT;
    held_asks(&s, what, WAITS, 1);
    held_says(f,
              (struct held_word){.who = "ann",
                                 .group = "dba",
                                 .number = 1,
                                 .reason = "as planned",
                                 .standing_s = 60,
                                 .uses = 2},
              APPROVED);
    what.number = 2;
    held_asks(&s, what, APPROVED, 2);
    char id[37];
    assert_answer(held_revoke(f, "bob", "ops", held_standing_id(f, id), NULL), RPC_OK, "");
    assert_answer(held_revoke(f, "eve", "ops", id, NULL), RPC_OK, ""); /* changes nothing */
    char *token = fixture_token(f, "auditor", "auditors");
    struct listening *l = listen_to(f->channel, &chaperone__v1__audit__descriptor, "Search", token);
    request.session = text_of(HELD_SESSION);
    listening_send(l, &request.base);
    listening_half_close(l);
    assert_int_equal(listening_end(l).code, RPC_OK);
    static const char *const states[] = {"decided", "standing", "standing_used",
                                         "standing_revoked"};
    const Chaperone__V1__SearchResponse *found =
        (const Chaperone__V1__SearchResponse *)listening_await(l, 0);
    assert_int_equal(found->n_entries, 4);
    uint64_t last = 0;
    for (size_t i = 0; i < 4; i++) {
        const Chaperone__V1__Entry *e = found->entries[i];
        Chaperone__V1__Record *r =
            chaperone__v1__record__unpack(NULL, e->record.len, e->record.data);
        assert_string_equal(r->sidecar, "controlplane");
        assert_true(r->sequence > last);
        last = r->sequence;
        assert_string_equal(r->approval->state, states[i]);
        assert_string_equal(e->identity, "bot");
        assert_string_equal(e->resource, "orders");
        if (i == 0) {
            assert_string_equal(r->approval->decided_by->subject, "ann");
            assert_string_equal(r->approval->reason, "as planned");
            assert_true(r->approval->approve);
            assert_int_equal(r->approval->digest.data[0], 1);
        }
        if (i == 3) {
            assert_string_equal(r->approval->decided_by->subject, "bob");
            assert_string_equal(r->approval->decided_by->groups[0], "ops");
            assert_string_equal(r->approval->reason, "a mistake");
            assert_string_equal(r->approval->standing, id);
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
    struct listening *l = held_connect(&s, 0);
    static const char *const sessions[] = {"a", "b", "c", "d", "e"};
    for (unsigned i = 0; i < ALL; i++) {
        held_asks(&s,
                  (struct held_asking){
                      .number = 1 + i, .session = sessions[i / EACH], .lifetime_ms = 600000},
                  WAITS, 1 + i);
    }
    struct listening *waiting = held_follow(f, "auditors", 0, true);
    (void)held_event(waiting, ALL - 1);
    for (unsigned i = 0; i < ALL; i++) {
        held_says(f, (struct held_word){.who = "ann", .group = "dba", .number = 1 + i}, APPROVED);
    }
    char id[37];
    for (unsigned i = 0; i < ALL; i++) {
        const Chaperone__V1__ApprovalDecided *d = held_told(l, 1 + i);
        assert_string_equal(d->id, held_id(1 + i, id));
        assert_int_equal(d->state, APPROVED);
        assert_int_equal(held_event(waiting, ALL + i)->approval->state, APPROVED);
    }
    listening_finish(waiting);
    listening_finish(l);
    sidecar_finish(&s);
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, fixture_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        CASE(a_cursor_misses_nothing),
        CASE(who_is_sent_nothing_has_a_cursor),
        CASE(each_sees_what_is_its_own),
        CASE(a_bot_decides_for_linked_people_only),
        CASE(a_bot_revokes_for_linked_people_only),
        CASE(a_link_is_good_for_30_days),
        CASE(decisions_are_in_the_audit_log),
        CASE(a_thousand_wait_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
