#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "controlplane/store/contract.h"

static const struct store_approval_limits limits = {.waiting_max = 4, .session_max = 2};

static struct store_approval approval_make(const char *id, const char *session)
{
    struct store_approval a = {.id = id,
                               .state = STORE_APPROVAL_WAITING,
                               .version = 1,
                               .sidecar = "s1",
                               .session = session,
                               .issuer = "iss",
                               .identity = "bot",
                               .resource = "orders",
                               .requested_ns = 10,
                               .due_ns = 100,
                               .held = bytes_of("he\0ld", 5)};
    records_hash(1, 1, a.digest);
    return a;
}

static uint64_t add(struct test *t, const struct store_approval *a)
{
    uint64_t cursor = 0;
    assert_int_equal(store_approval_add(t->store, a, &limits, NULL, NULL, &cursor), OK);
    return cursor;
}

static uint64_t change(struct test *t, const struct store_approval *a,
                       const struct store_decision *decision, enum err expected)
{
    uint64_t cursor = 0;
    const struct store_approval_change c = {.approval = a, .decision = decision};
    assert_int_equal(store_approval_change(t->store, &c, &cursor), expected);
    return cursor;
}

/* ---- held operations --------------------------------------------------------------------- */

static void test_a_held_operation_is_kept(void **state)
{
    struct test *t = *state;
    struct store_approval a = approval_make("abc1", "A"), got;
    struct store_approval b = approval_make("abd2", "A");
    uint64_t cursor = add(t, &a);
    assert_int_equal(store_approval_add(t->store, &a, &limits, NULL, NULL, &cursor), ERR_EXISTS);
    (void)add(t, &b);
    contract_reopen(t);
    assert_int_equal(store_approval_get(t->store, "abc", t->arena, &got), OK);
    assert_string_equal(got.id, "abc1");
    assert_string_equal(got.identity, "bot");
    assert_int_equal(got.due_ns, 100);
    assert_true(bytes_equal(got.held, a.held));
    assert_memory_equal(got.digest, a.digest, STORE_HASH_SIZE);
    assert_int_equal(store_approval_get(t->store, "ab", t->arena, &got), ERR_EXISTS);
    assert_int_equal(store_approval_get(t->store, "abc12", t->arena, &got), ERR_NOT_FOUND);
    assert_int_equal(store_approval_get(t->store, "", t->arena, &got), ERR_NOT_FOUND);
}

static void test_too_many_are_refused(void **state)
{
    struct test *t = *state;
    static const char *const ids[] = {"1", "2", "3", "4", "5"}, *const sessions[] = {"A", "B", "C"};
    uint64_t cursor = 0;
    for (size_t i = 0; i < 4; i++) {
        struct store_approval a = approval_make(ids[i], sessions[i / 2]);
        if (i == 2) { /* A has its two */
            a.session = "A";
            assert_int_equal(store_approval_add(t->store, &a, &limits, NULL, NULL, &cursor),
                             ERR_LIMIT);
            a.session = "B";
        }
        (void)add(t, &a);
    }
    struct store_approval a = approval_make("5", "C");
    assert_int_equal(store_approval_add(t->store, &a, &limits, NULL, NULL, &cursor), ERR_LIMIT);
    struct store_approval ended = approval_make("1", "A");
    ended.version = 2;
    ended.state = STORE_APPROVAL_DENIED;
    ended.ended_ns = 20;
    (void)change(t, &ended, NULL, OK);
    (void)add(t, &a);
}

static void test_a_change_needs_the_version_before_it(void **state)
{
    struct test *t = *state;
    struct store_approval a = approval_make("1", "A"), got;
    const struct store_decision ann = {.issuer = "iss", .subject = "ann", .key = "k"};
    struct bytes answer;
    (void)add(t, &a);
    a.version = 2;
    a.held = bytes_of_string("second");
    uint64_t cursor = change(t, &a, &ann, OK);
    assert_int_equal(cursor, 2);
    (void)change(t, &a, NULL, ERR_EXISTS);
    a.version = 4;
    (void)change(t, &a, NULL, ERR_EXISTS);
    a.version = 3;
    a.held = bytes_of_string("third");
    (void)change(t, &a, &ann, ERR_EXISTS); /* that key was there: all is as it was */
    assert_int_equal(store_approval_get(t->store, "1", t->arena, &got), OK);
    assert_true(bytes_equal_string(got.held, "second"));
    assert_int_equal(store_approval_answer(t->store, "1", &ann, t->arena, &answer), OK);
    assert_true(bytes_equal_string(answer, "second"));
    const struct store_decision bob = {.issuer = "iss", .subject = "bob", .key = "k"};
    assert_int_equal(store_approval_answer(t->store, "1", &bob, t->arena, &answer), ERR_NOT_FOUND);
    assert_int_equal(store_approval_cursor(t->store, &cursor), OK);
    assert_int_equal(cursor, 2);
}

enum { RACERS = 8 };

struct racer {
    struct store *store;
    enum err result;
};

static void *racer_main(void *argument)
{
    struct racer *r = argument;
    struct store_approval a = approval_make("1", "A");
    const struct store_approval_change c = {.approval = &a};
    uint64_t cursor = 0;
    a.version = 2;
    a.state = STORE_APPROVAL_APPROVED;
    r->result = store_approval_change(r->store, &c, &cursor);
    return NULL;
}

static void test_of_changes_at_once_one_wins(void **state)
{
    struct test *t = *state;
    struct racer racers[RACERS];
    pthread_t threads[RACERS];
    struct store_approval a = approval_make("1", "A");
    int winners = 0;
    (void)add(t, &a);
    for (int i = 0; i < RACERS; i++) {
        racers[i].store = t->store;
        assert_int_equal(pthread_create(&threads[i], NULL, racer_main, &racers[i]), 0);
    }
    for (int i = 0; i < RACERS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        winners += racers[i].result == OK;
        assert_true(racers[i].result == OK || racers[i].result == ERR_EXISTS);
    }
    assert_int_equal(winners, 1);
}

static void test_held_operations_are_found(void **state)
{
    struct test *t = *state;
    struct store_approval a = approval_make("1", "A"), b = approval_make("2", "B"), got, *items;
    struct store_approval_filter filter = {.limit = 10, .max_bytes = SIZE_MAX};
    int64_t due = 0;
    size_t count = 0;
    assert_int_equal(store_approval_next_due(t->store, &due), ERR_NOT_FOUND);
    b.requested_ns = 11;
    b.due_ns = 50;
    b.resource = "stock";
    (void)add(t, &a);
    (void)add(t, &b);
    assert_int_equal(store_approval_list(t->store, &filter, t->arena, &items, &count), OK);
    assert_int_equal(count, 2);
    assert_string_equal(items[0].id, "2");
    filter.resource = "orders";
    assert_int_equal(store_approval_list(t->store, &filter, t->arena, &items, &count), OK);
    assert_int_equal(count, 1);
    filter.sidecar = a.sidecar;
    assert_int_equal(store_approval_list(t->store, &filter, t->arena, &items, &count), OK);
    assert_int_equal(count, 1);
    filter.sidecar = "another";
    assert_int_equal(store_approval_list(t->store, &filter, t->arena, &items, &count), OK);
    assert_int_equal(count, 0);
    assert_int_equal(store_approval_next_due(t->store, &due), OK);
    assert_int_equal(due, 50);
    assert_int_equal(store_approval_list_due(t->store, 49, 10, t->arena, &items, &count), OK);
    assert_int_equal(count, 0);
    assert_int_equal(store_approval_list_due(t->store, 100, 10, t->arena, &items, &count), OK);
    assert_int_equal(count, 2);
    assert_string_equal(items[0].id, "2");
    assert_int_equal(store_approval_same(t->store, a.digest, "iss", "bot", "stock", t->arena, &got),
                     OK);
    assert_string_equal(got.id, "2");
    assert_int_equal(store_approval_same(t->store, a.digest, "iss", "eve", "stock", t->arena, &got),
                     ERR_NOT_FOUND);
    b.version = 2;
    b.state = STORE_APPROVAL_USED;
    b.ended_ns = 12;
    b.due_ns = 0;
    b.used_by = "later";
    (void)change(t, &b, NULL, OK);
    assert_int_equal(store_approval_same(t->store, a.digest, "iss", "bot", "stock", t->arena, &got),
                     ERR_NOT_FOUND);
    assert_int_equal(store_approval_used_by(t->store, "later", t->arena, &got), OK);
    assert_string_equal(got.id, "2");
    assert_int_equal(store_approval_used_by(t->store, "", t->arena, &got), ERR_NOT_FOUND);
    assert_int_equal(store_approval_events(t->store, 1, 10, SIZE_MAX, t->arena, &items, &count),
                     OK);
    assert_int_equal(count, 2);
    assert_int_equal(items[0].cursor, 2);
    assert_int_equal(items[0].version, 2); /* as it is now */
    assert_int_equal(items[1].cursor, 3);
}

static void test_a_standing_approval_is_used_up(void **state)
{
    struct test *t = *state;
    struct store_approval a = approval_make("1", "A"), next = approval_make("2", "B");
    struct store_standing standing = {
        .id = "st", .approval = "1", .created_ns = 10, .until_ns = 100, .uses_max = 2};
    struct store_standing got;
    const struct store_approval_change c = {.approval = &a, .standing = &standing};
    uint64_t cursor = 0;
    records_hash(2, 2, standing.key);
    (void)add(t, &a);
    a.version = 2;
    a.state = STORE_APPROVAL_APPROVED;
    assert_int_equal(store_approval_change(t->store, &c, &cursor), OK);
    assert_int_equal(store_standing_find(t->store, standing.key, 100, t->arena, &got),
                     ERR_NOT_FOUND); /* it has ended */
    assert_int_equal(store_standing_find(t->store, a.digest, 50, t->arena, &got), ERR_NOT_FOUND);
    next.state = STORE_APPROVAL_APPROVED;
    static const char *const ids[] = {"2", "3", "4"};
    for (size_t i = 0; i < 3; i++) {
        next.id = ids[i];
        enum err e = store_approval_add(t->store, &next, &limits, "st", NULL, &cursor);
        assert_int_equal(e, i < 2 ? OK : ERR_DENIED);
    }
    assert_int_equal(store_standing_find(t->store, standing.key, 50, t->arena, &got),
                     ERR_NOT_FOUND); /* it was used up */
    assert_int_equal(store_approval_get(t->store, "4", t->arena, &next), ERR_NOT_FOUND);
}

static void add_standing(struct test *t, const char *approval, const char *id, int64_t until_ns)
{
    struct store_approval a = approval_make(approval, approval);
    struct store_standing standing = {
        .id = id, .approval = approval, .created_ns = 10, .until_ns = until_ns, .uses_max = 5};
    const struct store_approval_change c = {.approval = &a, .standing = &standing};
    uint64_t cursor = 0;
    records_hash(2, 2, standing.key);
    (void)add(t, &a);
    a.version = 2;
    a.state = STORE_APPROVAL_APPROVED;
    a.held = bytes_of_string(approval);
    assert_int_equal(store_approval_change(t->store, &c, &cursor), OK);
}

static void test_a_standing_approval_is_revoked_once(void **state)
{
    struct test *t = *state;
    struct store_approval next = approval_make("9", "B");
    struct store_audit_record record = records_make(9, 1, STORE_APPROVAL, "A");
    struct store_audit_appended done;
    const struct store_audit_write audit = {.sidecar = "controlplane",
                                            .records = &record,
                                            .count = 1,
                                            .received_ns = records_received_ns,
                                            .out = &done};
    const struct store_standing revoked = {
        .id = "abc1", .revoked_ns = 50, .revoked_by = "ann", .revoked_because = "a mistake"};
    const struct store_standing unknown = {.id = "abc", .revoked_ns = 50, .revoked_by = "ann"};
    struct store_standing found;
    struct store_standing_item got;
    uint8_t key[STORE_HASH_SIZE];
    uint64_t cursor = 0;
    records_hash(2, 2, key);
    add_standing(t, "1", "abc1", 100);
    assert_int_equal(store_standing_revoke(t->store, &unknown, NULL), ERR_NOT_FOUND);
    assert_int_equal(store_standing_find(t->store, key, 50, t->arena, &found), OK);
    assert_int_equal(found.revoked_ns, 0);
    assert_int_equal(store_standing_revoke(t->store, &revoked, &audit), OK);
    assert_int_equal(store_standing_find(t->store, key, 50, t->arena, &found), ERR_NOT_FOUND);
    next.state = STORE_APPROVAL_APPROVED;
    assert_int_equal(store_approval_add(t->store, &next, &limits, found.id, NULL, &cursor),
                     ERR_DENIED); /* found before, and used after */
    record = records_make(9, 2, STORE_APPROVAL, "A");
    assert_int_equal(store_standing_revoke(t->store, &revoked, &audit), ERR_NOT_FOUND);
    contract_reopen(t);
    assert_int_equal(store_standing_get(t->store, "ab", t->arena, &got), OK);
    assert_string_equal(got.standing.id, "abc1");
    assert_string_equal(got.standing.approval, "1");
    assert_int_equal(got.standing.revoked_ns, 50);
    assert_string_equal(got.standing.revoked_by, "ann");
    assert_string_equal(got.standing.revoked_because, "a mistake");
    assert_int_equal(got.standing.uses, 0);
    assert_true(bytes_equal_string(got.held, "1"));
    assert_int_equal(store_standing_find(t->store, key, 50, t->arena, &found), ERR_NOT_FOUND);
}

/* A record that does not follow its stream's end. */
static void test_a_revocation_is_recorded_or_not_made(void **state)
{
    struct test *t = *state;
    struct store_audit_record record = records_make(9, 7, STORE_APPROVAL, "A");
    struct store_audit_appended done;
    const struct store_audit_write audit = {.sidecar = "controlplane",
                                            .records = &record,
                                            .count = 1,
                                            .received_ns = records_received_ns,
                                            .out = &done};
    const struct store_standing revoked = {.id = "st", .revoked_ns = 50, .revoked_by = "ann"};
    struct store_standing_item got;
    add_standing(t, "1", "st", 100);
    assert_int_not_equal(store_standing_revoke(t->store, &revoked, &audit), OK);
    assert_int_equal(store_standing_get(t->store, "st", t->arena, &got), OK);
    assert_int_equal(got.standing.revoked_ns, 0);
    assert_string_equal(got.standing.revoked_by, "");
}

static void expect_standing(struct test *t, const struct store_standing_filter *filter,
                            const char *expected)
{
    struct store_standing_item *items = NULL;
    size_t count = 0;
    char ids[64] = "";
    assert_int_equal(store_standing_list(t->store, filter, t->arena, &items, &count), OK);
    for (size_t i = 0; i < count; i++) {
        (void)strcat(ids, items[i].standing.id);
        assert_true(bytes_equal_string(items[i].held, items[i].standing.approval));
    }
    assert_string_equal(ids, expected);
}

static void test_standing_approvals_are_listed(void **state)
{
    struct test *t = *state;
    const struct store_standing revoked = {.id = "c", .revoked_ns = 50, .revoked_by = "ann"};
    struct store_standing_filter filter = {.now_ns = 60, .limit = 10, .max_bytes = SIZE_MAX};
    struct store_standing_item got;
    struct store_approval use = approval_make("9", "Z");
    uint64_t cursor = 0;
    static const char *const ids[] = {"a", "b", "c", "d"};
    expect_standing(t, &filter, "");
    for (size_t i = 0; i < 4; i++) {
        char approval[2] = {(char)('1' + i), '\0'};
        add_standing(t, approval, ids[i], i == 1 ? 60 : 100);
    }
    assert_int_equal(store_standing_revoke(t->store, &revoked, NULL), OK);
    expect_standing(t, &filter, "da"); /* one has ended, one was revoked */
    use.state = STORE_APPROVAL_APPROVED;
    for (int i = 0; i < 5; i++) {
        char id[2] = {(char)('5' + i), '\0'};
        use.id = id;
        assert_int_equal(store_approval_add(t->store, &use, &limits, "d", NULL, &cursor), OK);
    }
    expect_standing(t, &filter, "a");
    assert_int_equal(store_standing_get(t->store, "d", t->arena, &got), OK);
    assert_int_equal(got.standing.uses, 5);
    filter.include_ended = true;
    expect_standing(t, &filter, "dcba");
    filter.limit = 3;
    expect_standing(t, &filter, "dcb");
    filter.before = "b";
    expect_standing(t, &filter, "a");
    filter.before = "";
    filter.max_bytes = 2; /* ends behind the row that has the second one */
    expect_standing(t, &filter, "dc");
    filter.resource = "stock";
    expect_standing(t, &filter, "");
    filter.resource = "orders";
    filter.identity = "eve";
    expect_standing(t, &filter, "");
    filter.identity = "bot";
    expect_standing(t, &filter, "dc");
}

static void test_a_change_is_recorded_or_not_made(void **state)
{
    struct test *t = *state;
    struct store_approval a = approval_make("1", "A"), got;
    struct store_audit_opened about = {.identity = bytes_of_string("bot"),
                                       .resource = bytes_of_string("orders")};
    struct store_audit_record record = records_make(9, 1, STORE_APPROVAL, "A");
    struct store_audit_appended done;
    struct store_session *sessions = NULL;
    size_t count = 0;
    const struct store_audit_write audit = {.sidecar = "controlplane",
                                            .records = &record,
                                            .count = 1,
                                            .received_ns = records_received_ns,
                                            .out = &done};
    const struct store_approval_change c = {.approval = &a, .audit = &audit};
    uint64_t cursor = 0;
    record.index.about = &about;
    (void)add(t, &a);
    a.version = 2;
    assert_int_equal(store_approval_change(t->store, &c, &cursor), OK);
    assert_int_equal(done.last.sequence, 1);
    a.version = 3;
    record = records_make(9, 3, STORE_APPROVAL, "A"); /* a gap */
    assert_int_equal(store_approval_change(t->store, &c, &cursor), ERR_INTERNAL);
    assert_int_equal(store_approval_get(t->store, "1", t->arena, &got), OK);
    assert_int_equal(got.version, 2);
    /* It is found with the agent's session, which is not listed for it. */
    assert_int_equal(contract_count(t, (struct store_audit_filter){.session = "A"}), 1);
    assert_int_equal(contract_count(t, (struct store_audit_filter){.identity = "bot"}), 1);
    assert_int_equal(store_session_list(t->store, true, 0, t->arena, &sessions, &count), OK);
    assert_int_equal(count, 0);
}

/* ---- chat accounts ------------------------------------------------------------------------- */

static void test_a_code_links_one_account(void **state)
{
    struct test *t = *state;
    uint8_t hash[STORE_HASH_SIZE], other[STORE_HASH_SIZE];
    const struct store_link ann = {.issuer = "iss",
                                   .subject = "ann",
                                   .name = "Ann",
                                   .groups = "dba\nops",
                                   .created_ns = 20,
                                   .expires_ns = 500};
    struct store_link got;
    records_hash(1, 1, hash);
    records_hash(1, 2, other);
    assert_int_equal(store_link_code_add(t->store, hash, "slack", "T/U", 10, 30), OK);
    assert_int_equal(store_link_confirm(t->store, other, &ann, t->arena, &got), ERR_NOT_FOUND);
    assert_int_equal(store_link_confirm(t->store, hash, &ann, t->arena, &got), OK);
    assert_string_equal(got.account, "T/U");
    assert_int_equal(store_link_confirm(t->store, hash, &ann, t->arena, &got), ERR_EXISTS);
    assert_int_equal(store_link_code_add(t->store, other, "slack", "T/V", 10, 20), OK);
    assert_int_equal(store_link_confirm(t->store, other, &ann, t->arena, &got), ERR_TIMEOUT);
    contract_reopen(t);
    assert_int_equal(store_link_get(t->store, "slack", "T/U", t->arena, &got), OK);
    assert_string_equal(got.subject, "ann");
    assert_string_equal(got.groups, "dba\nops");
    assert_int_equal(store_link_get(t->store, "slack", "T/V", t->arena, &got), ERR_NOT_FOUND);
    assert_int_equal(store_link_remove(t->store, "slack", "T/U"), OK);
    assert_int_equal(store_link_remove(t->store, "slack", "T/U"), ERR_NOT_FOUND);
}

/* ---- the kill switch ------------------------------------------------------------------------ */

static void test_blocks_are_lifted_once(void **state)
{
    struct test *t = *state;
    const struct store_block one = {
        .id = "b1", .identity = "bot", .reason = "runs wild", .created_by = "ann", .created_ns = 1};
    const struct store_block all = {.id = "b2", .everything = true, .created_ns = 2};
    struct store_block *items = NULL;
    size_t count = 0;
    assert_int_equal(store_block_add(t->store, &one), OK);
    assert_int_equal(store_block_add(t->store, &one), ERR_EXISTS);
    assert_int_equal(store_block_add(t->store, &all), OK);
    contract_reopen(t);
    assert_int_equal(store_block_list(t->store, t->arena, &items, &count), OK);
    assert_int_equal(count, 2);
    assert_string_equal(items[0].reason, "runs wild");
    assert_true(items[1].everything);
    const struct store_block_what nothing = {.id = ""}, bot = {.identity = "bot"},
                                  second = {.id = "b2"};
    assert_int_equal(store_block_lift(t->store, &nothing, "ann", 5, t->arena, &items, &count), OK);
    assert_int_equal(count, 0);
    assert_int_equal(store_block_lift(t->store, &bot, "ann", 5, t->arena, &items, &count), OK);
    assert_int_equal(count, 1);
    assert_string_equal(items[0].id, "b1");
    assert_int_equal(items[0].lifted_ns, 5);
    assert_int_equal(store_block_lift(t->store, &bot, "ann", 6, t->arena, &items, &count), OK);
    assert_int_equal(count, 0);
    assert_int_equal(store_block_lift(t->store, &second, "ann", 7, t->arena, &items, &count), OK);
    assert_int_equal(count, 1);
    assert_int_equal(store_block_list(t->store, t->arena, &items, &count), OK);
    assert_int_equal(count, 0);
}

/* It is of the same identity as a block, and goes by its id only. */
static void test_an_order_is_kept_beside_the_blocks(void **state)
{
    struct test *t = *state;
    const struct store_block block = {.id = "b1", .identity = "bot", .created_ns = 1};
    const struct store_block order = {
        .id = "o1", .identity = "bot", .is_order = true, .created_by = "ann", .created_ns = 2};
    const struct store_block one = {
        .id = "o2", .session = "0192-7", .is_order = true, .created_ns = 3};
    const struct store_block_what bot = {.identity = "bot"}, its_id = {.id = "o1"};
    struct store_block *items = NULL;
    size_t count = 0;
    assert_int_equal(store_block_add(t->store, &block), OK);
    assert_int_equal(store_block_add(t->store, &order), OK);
    assert_int_equal(store_block_add(t->store, &one), OK);
    assert_int_equal(store_block_lift(t->store, &bot, "ann", 5, t->arena, &items, &count), OK);
    assert_int_equal(count, 1);
    assert_string_equal(items[0].id, "b1");
    assert_int_equal(store_block_list(t->store, t->arena, &items, &count), OK);
    assert_int_equal(count, 2);
    assert_true(items[0].is_order);
    assert_string_equal(items[0].session, "");
    assert_string_equal(items[1].session, "0192-7");
    assert_int_equal(store_block_lift(t->store, &its_id, "ann", 6, t->arena, &items, &count), OK);
    assert_int_equal(count, 1);
    assert_true(items[0].is_order);
}

int contract_approvals_run(const struct store_contract *contract)
{
    const struct CMUnitTest tests[] = {
        CONTRACT_TEST(test_a_held_operation_is_kept),
        CONTRACT_TEST(test_too_many_are_refused),
        CONTRACT_TEST(test_a_change_needs_the_version_before_it),
        CONTRACT_TEST(test_of_changes_at_once_one_wins),
        CONTRACT_TEST(test_held_operations_are_found),
        CONTRACT_TEST(test_a_standing_approval_is_used_up),
        CONTRACT_TEST(test_a_standing_approval_is_revoked_once),
        CONTRACT_TEST(test_a_revocation_is_recorded_or_not_made),
        CONTRACT_TEST(test_standing_approvals_are_listed),
        CONTRACT_TEST(test_a_change_is_recorded_or_not_made),
        CONTRACT_TEST(test_a_code_links_one_account),
        CONTRACT_TEST(test_blocks_are_lifted_once),
        CONTRACT_TEST(test_an_order_is_kept_beside_the_blocks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
