#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "controlplane/store/contract.h"

/* ---- legal holds ---- */

static struct store_legal_hold hold_make(const char *id, const char *resource, const char *identity,
                                         const char *session)
{
    return (struct store_legal_hold){.id = id,
                                     .resource = resource,
                                     .identity = identity,
                                     .session = session,
                                     .reason = "case 7",
                                     .created_by = "ann",
                                     .created_ns = 5};
}

static void test_holds_are_placed_and_lifted(void **state)
{
    struct test *t = *state;
    struct store_legal_hold hold = hold_make("h2", "db1", "", ""), *items = NULL;
    size_t count = 9;
    assert_int_equal(store_legal_hold_list(t->store, true, t->arena, &items, &count), OK);
    assert_int_equal(count, 0);
    assert_int_equal(store_legal_hold_add(t->store, &hold), OK);
    assert_int_equal(store_legal_hold_add(t->store, &hold), ERR_EXISTS);
    hold = hold_make("h1", "", "alice", "");
    hold.created_ns = 4;
    assert_int_equal(store_legal_hold_add(t->store, &hold), OK);
    hold = hold_make("h3", "db1", "alice", ""); /* which of both? */
    assert_int_equal(store_legal_hold_add(t->store, &hold), ERR_INVALID);
    hold = hold_make("h3", "", "", "");
    assert_int_equal(store_legal_hold_add(t->store, &hold), ERR_INVALID);
    contract_reopen(t);
    assert_int_equal(store_legal_hold_list(t->store, false, t->arena, &items, &count), OK);
    assert_int_equal(count, 2);
    assert_string_equal(items[0].id, "h1");
    assert_string_equal(items[0].identity, "alice");
    assert_string_equal(items[1].resource, "db1");
    assert_string_equal(items[1].session, "");
    assert_string_equal(items[1].reason, "case 7");
    assert_string_equal(items[1].created_by, "ann");
    assert_int_equal(items[1].created_ns, 5);
    assert_int_equal(items[1].lifted_ns, 0);
    assert_int_equal(store_legal_hold_lift(t->store, "h9", "bob", 8), ERR_NOT_FOUND);
    assert_int_equal(store_legal_hold_lift(t->store, "h1", "bob", 8), OK);
    assert_int_equal(store_legal_hold_lift(t->store, "h1", "eve", 9), ERR_NOT_FOUND);
    assert_int_equal(store_legal_hold_list(t->store, false, t->arena, &items, &count), OK);
    assert_int_equal(count, 1);
    assert_int_equal(store_legal_hold_list(t->store, true, t->arena, &items, &count), OK);
    assert_int_equal(count, 2);
    assert_int_equal(items[0].lifted_ns, 8);
    assert_string_equal(items[0].lifted_by, "bob");
}

static void test_resources_are_those_of_sessions(void **state)
{
    struct test *t = *state;
    const char **names = NULL;
    size_t count = 9;
    assert_int_equal(store_audit_resources(t->store, t->arena, &names, &count), OK);
    assert_int_equal(count, 0);
    contract_fill(t);
    assert_int_equal(store_audit_resources(t->store, t->arena, &names, &count), OK);
    assert_int_equal(count, 2);
    assert_string_equal(names[0], "db1");
    assert_string_equal(names[1], "db2");
}

/* ---- erasing ---- */

static const int64_t later_ns = INT64_C(1900000000000000000);

/* The sessions that were erased (or would be): "A C". */
static const char *erase(struct test *t, struct store_erase what)
{
    struct buffer text;
    const char **sessions = NULL;
    size_t count = 0;
    buffer_init(&text, 4096);
    what.closed_before_ns = what.closed_before_ns == 0 ? later_ns : what.closed_before_ns;
    what.max = what.max == 0 ? 100 : what.max;
    assert_int_equal(store_audit_erase(t->store, &what, later_ns, t->arena, &sessions, &count), OK);
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(buffer_append_format(&text, i == 0 ? "%s" : " %s", sessions[i]), OK);
    }
    const char *copy = arena_copy_string(t->arena, buffer_bytes(&text));
    buffer_finish(&text);
    return copy;
}

#define ERASED(t, expected, ...)                                                                   \
    assert_string_equal(erase((t), (struct store_erase){__VA_ARGS__}), (expected))

static bool is_erased(struct test *t, uint64_t position)
{
    struct store_audit_entry e;
    assert_int_equal(store_audit_at(t->store, position, t->arena, &e), OK);
    assert_true(e.is_erased == (e.canonical.size == 0));
    assert_true(e.is_erased == (e.erased_ns != 0));
    return e.is_erased;
}

static void test_content_goes_and_its_place_stays(void **state)
{
    struct test *t = *state;
    uint8_t before[CONTRACT_RECORDS][STORE_HASH_SIZE], after[CONTRACT_RECORDS][STORE_HASH_SIZE];
    struct store_audit_entry e;
    struct store_session session;
    size_t count = 0;
    contract_fill(t);
    assert_int_equal(store_log_read(t->store, 0, CONTRACT_RECORDS, before, &count), OK);
    ERASED(t, "A", .resource = "db1", .is_preview = true);
    assert_false(is_erased(t, 3));
    ERASED(t, "A", .resource = "db1");
    ERASED(t, "", .resource = "db1");
    contract_reopen(t);
    /* Of the session: all of it, and nothing else. */
    for (uint64_t position = 1; position <= CONTRACT_RECORDS; position++) {
        assert_true(is_erased(t, position) == (strchr("13568", '0' + (char)position) != NULL));
    }
    assert_int_equal(store_audit_at(t->store, 3, t->arena, &e), OK);
    assert_int_equal(e.kind, STORE_INTENT);
    assert_int_equal(e.erased_ns, later_ns);
    assert_string_equal(e.session, "A");
    assert_string_equal(e.identity, "alice");
    assert_string_equal(e.resource, "db1");
    assert_memory_equal(e.hash, before[2], STORE_HASH_SIZE);
    assert_int_equal(store_log_read(t->store, 0, CONTRACT_RECORDS, after, &count), OK);
    assert_int_equal(count, CONTRACT_RECORDS);
    assert_memory_equal(after, before, sizeof(after));
    /* It is still found by who and where, not by what it said. */
    assert_int_equal(contract_count(t, (struct store_audit_filter){.identity = "alice"}), 5);
    assert_int_equal(contract_count(t, (struct store_audit_filter){.session = "A"}), 5);
    assert_int_equal(contract_count(t, (struct store_audit_filter){.text = "customer_id"}), 0);
    assert_int_equal(contract_count(t, (struct store_audit_filter){.text = "select"}), 1);
    assert_int_equal(contract_count(t, (struct store_audit_filter){.table = "customers"}), 0);
    assert_int_equal(contract_count(t, (struct store_audit_filter){.table = "orders"}), 1);
    assert_int_equal(store_session_get(t->store, "A", t->arena, &session), OK);
    assert_int_equal(session.operations, 3);
    /* The stream goes on, and what was sent before is known. */
    struct store_audit_record next = records_make(1, CONTRACT_RECORDS + 1, STORE_HEARTBEAT, "");
    contract_append(t, "s1", &next, 1);
    struct store_audit_record old = records_make(1, 3, STORE_INTENT, "A");
    contract_append(t, "s1", &old, 1);
    assert_true(is_erased(t, 3));
}

static void test_only_sessions_that_ended_are_erased(void **state)
{
    struct test *t = *state;
    const int64_t closed_ns = records_start_ns + (CONTRACT_RECORDS - 1) * INT64_C(1000000000);
    contract_fill(t);
    ERASED(t, "", .resource = "db2"); /* B is open */
    ERASED(t, "", .resource = "db3");
    ERASED(t, "", .resource = "db1", .closed_before_ns = closed_ns);
    ERASED(t, "A", .resource = "db1", .closed_before_ns = closed_ns + 1);
}

static void held_check(struct test *t, const char *resource, const char *identity,
                       const char *session)
{
    struct store_legal_hold hold = hold_make("h", resource, identity, session);
    contract_fill(t);
    struct store_audit_record end =
        records_make(1, CONTRACT_RECORDS + 1, STORE_SESSION_CLOSED, "B");
    contract_append(t, "s1", &end, 1);
    assert_int_equal(store_legal_hold_add(t->store, &hold), OK);
    ERASED(t, "", .resource = "db2", .is_preview = true);
    ERASED(t, "", .resource = "db2");
    ERASED(t, "A", .resource = "db1");
    assert_false(is_erased(t, 2));
    assert_int_equal(store_legal_hold_lift(t->store, "h", "ann", 9), OK);
    ERASED(t, "B", .resource = "db2");
    assert_true(is_erased(t, 2));
}

static void test_a_hold_of_the_resource_keeps(void **state)
{
    held_check(*state, "db2", "", "");
}

static void test_a_hold_of_the_identity_keeps(void **state)
{
    held_check(*state, "", "bob", "");
}

static void test_a_hold_of_whom_it_acts_for_keeps(void **state)
{
    held_check(*state, "", "carol", "");
}

static void test_a_hold_of_the_session_keeps(void **state)
{
    held_check(*state, "", "", "B");
}

/* Sessions s0, s1, ... of db1, each of two records, that end one after the other. */
static void sessions_fill(struct test *t, uint64_t count)
{
    struct store_audit_opened opened = {.identity = bytes_of_string("alice"),
                                        .resource = bytes_of_string("db1")};
    for (uint64_t i = 0; i < count; i++) {
        char name[16];
        (void)snprintf(name, sizeof(name), "s%d", (int)i);
        struct store_audit_record records[2] = {
            records_make(1, 2 * i + 1, STORE_SESSION_OPENED, name),
            records_make(1, 2 * i + 2, STORE_SESSION_CLOSED, name)};
        records[0].index.opened = &opened;
        contract_append(t, "s1", records, 2);
    }
}

static void test_erasing_goes_in_steps_from_the_oldest(void **state)
{
    struct test *t = *state;
    static const char *const only[] = {"s4", "s1", "nothing"};
    sessions_fill(t, 6);
    ERASED(t, "s0 s1 s2 s3", .resource = "db1", .max = 4, .is_preview = true);
    ERASED(t, "s0", .resource = "db1", .max = 1);
    ERASED(t, "s1 s4", .resource = "db1", .only = only, .only_count = 3);
    ERASED(t, "", .resource = "db1", .only = only, .only_count = 3);
    ERASED(t, "", .resource = "db1", .only = only, .only_count = 0);
    ERASED(t, "s2 s3 s5", .resource = "db1");
}

static void test_many_records_of_one_session_are_erased(void **state)
{
    enum { RECORDS = 1700 };
    struct test *t = *state;
    struct store_audit_record *records = calloc(RECORDS, sizeof(*records));
    struct store_audit_opened opened = {.identity = bytes_of_string("alice"),
                                        .resource = bytes_of_string("db1")};
    assert_non_null(records);
    for (uint64_t i = 0; i < RECORDS; i++) {
        records[i] = records_make(1, i + 1, STORE_INTENT, "A");
        records[i].index.text = bytes_of_string("select pebble");
    }
    records[0].index.kind = STORE_SESSION_OPENED;
    records[0].index.opened = &opened;
    records[RECORDS - 1].index.kind = STORE_SESSION_CLOSED;
    contract_append(t, "s1", records, RECORDS);
    free(records);
    ERASED(t, "A", .resource = "db1");
    assert_int_equal(contract_count(t, (struct store_audit_filter){.text = "pebble"}), 0);
    assert_true(is_erased(t, 1));
    assert_true(is_erased(t, RECORDS / 2));
    assert_true(is_erased(t, RECORDS));
}

/* A sidecar that was away sends the rest. */
static void test_what_comes_after_erasing_is_erased_too(void **state)
{
    struct test *t = *state;
    contract_fill(t);
    ERASED(t, "A", .resource = "db1");
    struct store_audit_record late = records_make(1, CONTRACT_RECORDS + 1, STORE_INTENT, "A");
    late.index.text = bytes_of_string("select straggler");
    contract_append(t, "s1", &late, 1);
    assert_int_equal(contract_count(t, (struct store_audit_filter){.text = "straggler"}), 1);
    assert_false(is_erased(t, CONTRACT_RECORDS + 1));
    ERASED(t, "A", .resource = "db1");
    assert_int_equal(contract_count(t, (struct store_audit_filter){.text = "straggler"}), 0);
    assert_true(is_erased(t, CONTRACT_RECORDS + 1));
    assert_true(is_erased(t, 3));
}

/* Who decided, and who ended it, is not the agent's content. */
static void test_what_people_did_about_a_session_stays(void **state)
{
    struct test *t = *state;
    const struct store_audit_opened about = {.identity = bytes_of_string("alice"),
                                             .resource = bytes_of_string("db1")};
    contract_fill(t);
    struct store_audit_record action = records_make(2, 1, STORE_ACTION, "A");
    action.index.about = &about;
    contract_append(t, "controlplane", &action, 1);
    ERASED(t, "A", .resource = "db1");
    assert_true(is_erased(t, 1));
    assert_false(is_erased(t, CONTRACT_RECORDS + 1));
    assert_int_equal(contract_count(t, (struct store_audit_filter){.session = "A"}), 6);
}

static void test_a_held_operation_of_the_session_waits_or_is_reduced(void **state)
{
    static const struct store_approval_limits limits = {.waiting_max = 9, .session_max = 9};
    struct test *t = *state;
    struct store_approval approval = {.id = "a1",
                                      .state = STORE_APPROVAL_WAITING,
                                      .version = 1,
                                      .sidecar = "s1",
                                      .session = "A",
                                      .identity = "alice",
                                      .resource = "db1",
                                      .requested_ns = 5,
                                      .held = bytes_of_string("\xff the statement")};
    struct store_decision decision = {.subject = "ann", .key = "once", .time_ns = 6};
    struct store_approval out;
    struct bytes answer;
    uint64_t cursor = 0;
    memset(approval.digest, 7, sizeof(approval.digest));
    contract_fill(t);
    assert_int_equal(store_approval_add(t->store, &approval, &limits, NULL, NULL, &cursor), OK);
    ERASED(t, "", .resource = "db1");
    approval.state = STORE_APPROVAL_DENIED;
    approval.version = 2;
    approval.ended_ns = 6;
    const struct store_approval_change change = {.approval = &approval, .decision = &decision};
    assert_int_equal(store_approval_change(t->store, &change, &cursor), OK);
    ERASED(t, "A", .resource = "db1");
    assert_int_equal(store_approval_get(t->store, "a1", t->arena, &out), OK);
    assert_int_equal(out.state, STORE_APPROVAL_DENIED);
    assert_int_equal(out.digest[0], 7);
    assert_int_equal(out.held.size, 0);
    assert_int_equal(store_approval_answer(t->store, "a1", &decision, t->arena, &answer), OK);
    assert_int_equal(answer.size, 0);
}

int contract_retention_run(const struct store_contract *contract)
{
    const struct CMUnitTest tests[] = {
        CONTRACT_TEST(test_holds_are_placed_and_lifted),
        CONTRACT_TEST(test_resources_are_those_of_sessions),
        CONTRACT_TEST(test_content_goes_and_its_place_stays),
        CONTRACT_TEST(test_only_sessions_that_ended_are_erased),
        CONTRACT_TEST(test_a_hold_of_the_resource_keeps),
        CONTRACT_TEST(test_a_hold_of_the_identity_keeps),
        CONTRACT_TEST(test_a_hold_of_whom_it_acts_for_keeps),
        CONTRACT_TEST(test_a_hold_of_the_session_keeps),
        CONTRACT_TEST(test_erasing_goes_in_steps_from_the_oldest),
        CONTRACT_TEST(test_many_records_of_one_session_are_erased),
        CONTRACT_TEST(test_what_comes_after_erasing_is_erased_too),
        CONTRACT_TEST(test_what_people_did_about_a_session_stays),
        CONTRACT_TEST(test_a_held_operation_of_the_session_waits_or_is_reduced),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
