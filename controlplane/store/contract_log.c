#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "controlplane/store/contract.h"

/* ---- hashes ---- */

static void test_the_log_gives_the_hashes_by_position(void **state)
{
    struct test *t = *state;
    uint8_t hashes[CONTRACT_RECORDS + 2][STORE_HASH_SIZE], expected[STORE_HASH_SIZE];
    size_t count = 9;
    assert_int_equal(store_log_read(t->store, 0, 5, hashes, &count), OK);
    assert_int_equal(count, 0);
    contract_fill(t);
    struct store_audit_record late = records_make(2, 1, STORE_HEARTBEAT, "");
    late.index.time_ns = 5; /* found first, but in the log the last one */
    contract_append(t, "s2", &late, 1);
    assert_int_equal(store_log_read(t->store, 0, CONTRACT_RECORDS + 2, hashes, &count), OK);
    assert_int_equal(count, CONTRACT_RECORDS + 1);
    for (uint64_t i = 0; i < CONTRACT_RECORDS; i++) {
        records_hash(1, i + 1, expected);
        assert_memory_equal(hashes[i], expected, STORE_HASH_SIZE);
    }
    assert_memory_equal(hashes[CONTRACT_RECORDS], late.hash, STORE_HASH_SIZE);
    assert_int_equal(store_log_read(t->store, 3, 2, hashes, &count), OK);
    assert_int_equal(count, 2);
    records_hash(1, 4, expected);
    assert_memory_equal(hashes[0], expected, STORE_HASH_SIZE);
    assert_int_equal(store_log_read(t->store, CONTRACT_RECORDS + 1, 5, hashes, &count), OK);
    assert_int_equal(count, 0);
    assert_int_equal(store_log_read(t->store, 0, 0, hashes, &count), ERR_INVALID);
}

static void test_a_record_is_read_at_its_position(void **state)
{
    struct test *t = *state;
    struct store_audit_entry e;
    uint8_t hash[STORE_HASH_SIZE];
    contract_fill(t);
    records_hash(1, 4, hash);
    assert_int_equal(store_audit_at(t->store, 4, t->arena, &e), OK);
    assert_int_equal(e.position, 4);
    assert_int_equal(e.sequence, 4);
    assert_string_equal(e.sidecar, "s1");
    assert_string_equal(e.session, "B");
    assert_string_equal(e.identity, "bob");
    assert_int_equal(e.kind, STORE_INTENT);
    assert_false(e.is_erased);
    assert_int_equal(e.erased_ns, 0);
    assert_memory_equal(e.hash, hash, STORE_HASH_SIZE);
    assert_true(bytes_equal(e.canonical, bytes_of("any\0bytes", 9)));
    assert_int_equal(store_audit_at(t->store, CONTRACT_RECORDS, t->arena, &e), OK);
    assert_string_equal(e.session, "");
    assert_int_equal(e.kind, STORE_HEARTBEAT);
    assert_int_equal(store_audit_at(t->store, CONTRACT_RECORDS + 1, t->arena, &e), ERR_NOT_FOUND);
    assert_int_equal(store_audit_at(t->store, 0, t->arena, &e), ERR_NOT_FOUND);
    assert_int_equal(store_audit_at(t->store, UINT64_MAX, t->arena, &e), ERR_NOT_FOUND);
}

/* ---- checkpoints ---- */

static struct store_checkpoint checkpoint_make(uint64_t size, const char *note)
{
    struct store_checkpoint c = {
        .size = size, .time_ns = (int64_t)size * 10, .note = bytes_of_string(note)};
    memset(c.root, (int)size, sizeof(c.root));
    return c;
}

static void test_checkpoints_only_grow(void **state)
{
    struct test *t = *state;
    struct store_checkpoint five = checkpoint_make(5, "note of five"), out;
    struct store_checkpoint nine = checkpoint_make(9, "note of nine");
    bool has = false;
    assert_int_equal(store_duty_hold(t->store, STORE_DUTY_LOG, &has), OK);
    assert_true(has);
    assert_int_equal(store_checkpoint_latest(t->store, t->arena, &out), ERR_NOT_FOUND);
    assert_int_equal(store_checkpoint_from(t->store, 0, t->arena, &out), ERR_NOT_FOUND);
    assert_int_equal(store_checkpoint_add(t->store, &five), OK);
    assert_int_equal(store_checkpoint_add(t->store, &five), ERR_EXISTS);
    assert_int_equal(store_checkpoint_add(t->store, &nine), OK);
    /* Another tree of a size there is, or one that is smaller: never. */
    struct store_checkpoint fork = checkpoint_make(9, "fork"), back = checkpoint_make(7, "back");
    memset(fork.root, 0xff, sizeof(fork.root));
    assert_int_equal(store_checkpoint_add(t->store, &fork), ERR_EXISTS);
    assert_int_equal(store_checkpoint_add(t->store, &back), ERR_EXISTS);
    contract_reopen(t);
    assert_int_equal(store_checkpoint_latest(t->store, t->arena, &out), OK);
    assert_int_equal(out.size, 9);
    assert_int_equal(out.time_ns, 90);
    assert_memory_equal(out.root, nine.root, STORE_HASH_SIZE);
    assert_true(bytes_equal_string(out.note, "note of nine"));
    assert_int_equal(store_checkpoint_from(t->store, 0, t->arena, &out), OK);
    assert_int_equal(out.size, 5);
    assert_int_equal(store_checkpoint_from(t->store, 5, t->arena, &out), OK);
    assert_int_equal(out.size, 5);
    assert_int_equal(store_checkpoint_from(t->store, 6, t->arena, &out), OK);
    assert_int_equal(out.size, 9);
    assert_int_equal(store_checkpoint_from(t->store, 10, t->arena, &out), ERR_NOT_FOUND);
    assert_int_equal(store_checkpoint_from(t->store, UINT64_MAX, t->arena, &out), ERR_NOT_FOUND);
}

static void test_a_checkpoint_gets_cosignatures(void **state)
{
    struct test *t = *state;
    struct store_checkpoint five = checkpoint_make(5, "note"), out;
    bool has = false;
    assert_int_equal(store_duty_hold(t->store, STORE_DUTY_LOG, &has), OK);
    assert_int_equal(store_checkpoint_set_note(t->store, 5, bytes_of_string("x")), ERR_NOT_FOUND);
    assert_int_equal(store_checkpoint_add(t->store, &five), OK);
    assert_int_equal(store_checkpoint_set_note(t->store, 5, bytes_of_string("note, cosigned")), OK);
    assert_int_equal(store_checkpoint_set_note(t->store, 4, bytes_of_string("x")), ERR_NOT_FOUND);
    assert_int_equal(store_checkpoint_set_note(t->store, 5, bytes_of("", 0)), ERR_INVALID);
    assert_int_equal(store_checkpoint_latest(t->store, t->arena, &out), OK);
    assert_true(bytes_equal_string(out.note, "note, cosigned"));
    assert_memory_equal(out.root, five.root, STORE_HASH_SIZE);
    assert_int_equal(out.time_ns, 50);
}

/* ---- duties, cursors, keys ---- */

static void test_a_duty_is_had_by_who_is_alone(void **state)
{
    struct test *t = *state;
    for (int duty = STORE_DUTY_LOG; duty <= STORE_DUTY_ERASE; duty++) {
        bool has = false;
        assert_int_equal(store_duty_hold(t->store, (enum store_duty)duty, &has), OK);
        assert_true(has);
        has = false;
        assert_int_equal(store_duty_hold(t->store, (enum store_duty)duty, &has), OK);
        assert_true(has);
    }
    bool has = false;
    assert_int_equal(store_duty_hold(t->store, (enum store_duty)99, &has), ERR_INVALID);
}

static void test_a_cursor_is_where_it_was_set(void **state)
{
    struct test *t = *state;
    uint64_t position = 7;
    assert_int_equal(store_cursor_get(t->store, "export a", &position), ERR_NOT_FOUND);
    assert_int_equal(position, 7);
    assert_int_equal(store_cursor_set(t->store, "export a", 0, 1), OK);
    assert_int_equal(store_cursor_set(t->store, "export b", 12, 1), OK);
    assert_int_equal(store_cursor_get(t->store, "export a", &position), OK);
    assert_int_equal(position, 0);
    assert_int_equal(store_cursor_set(t->store, "export a", INT64_MAX, 2), OK);
    assert_int_equal(store_cursor_set(t->store, "export a", UINT64_MAX, 2), ERR_INVALID);
    contract_reopen(t);
    assert_int_equal(store_cursor_get(t->store, "export a", &position), OK);
    assert_int_equal(position, INT64_MAX);
    assert_int_equal(store_cursor_get(t->store, "export b", &position), OK);
    assert_int_equal(position, 12);
    assert_int_equal(store_cursor_set(t->store, "", 1, 1), ERR_INVALID);
}

static void test_keys_of_issuers_are_kept_as_they_were_seen(void **state)
{
    struct test *t = *state;
    struct store_issuer_key *keys = NULL;
    size_t count = 9;
    assert_int_equal(store_issuer_key_list(t->store, t->arena, &keys, &count), OK);
    assert_int_equal(count, 0);
    assert_int_equal(store_issuer_key_seen(t->store, "https://b", "k", "{\"x\":1}", 10), OK);
    assert_int_equal(store_issuer_key_seen(t->store, "https://a", "k2", "{\"x\":2}", 20), OK);
    assert_int_equal(store_issuer_key_seen(t->store, "https://a", "k1", "{\"x\":1}", 30), OK);
    assert_int_equal(store_issuer_key_seen(t->store, "https://a", "k2", "{\"x\":2}", 50), OK);
    assert_int_equal(store_issuer_key_seen(t->store, "https://a", "k2", "{\"x\":2}", 40), OK);
    /* One id that stands for another key is another key. */
    assert_int_equal(store_issuer_key_seen(t->store, "https://a", "k2", "{\"x\":3}", 60), OK);
    assert_int_equal(store_issuer_key_list(t->store, t->arena, &keys, &count), OK);
    assert_int_equal(count, 4);
    assert_string_equal(keys[0].issuer, "https://a");
    assert_string_equal(keys[0].key_id, "k2");
    assert_string_equal(keys[0].jwk, "{\"x\":2}");
    assert_int_equal(keys[0].first_seen_ns, 20);
    assert_int_equal(keys[0].last_seen_ns, 50);
    assert_string_equal(keys[1].key_id, "k1");
    assert_string_equal(keys[2].jwk, "{\"x\":3}");
    assert_string_equal(keys[3].issuer, "https://b");
    assert_int_equal(keys[3].last_seen_ns, 10);
}

int contract_log_run(const struct store_contract *contract)
{
    const struct CMUnitTest tests[] = {
        CONTRACT_TEST(test_the_log_gives_the_hashes_by_position),
        CONTRACT_TEST(test_a_record_is_read_at_its_position),
        CONTRACT_TEST(test_checkpoints_only_grow),
        CONTRACT_TEST(test_a_checkpoint_gets_cosignatures),
        CONTRACT_TEST(test_a_duty_is_had_by_who_is_alone),
        CONTRACT_TEST(test_a_cursor_is_where_it_was_set),
        CONTRACT_TEST(test_keys_of_issuers_are_kept_as_they_were_seen),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
