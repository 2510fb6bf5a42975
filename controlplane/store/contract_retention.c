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

int contract_retention_run(const struct store_contract *contract)
{
    const struct CMUnitTest tests[] = {
        CONTRACT_TEST(test_holds_are_placed_and_lifted),
        CONTRACT_TEST(test_resources_are_those_of_sessions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
