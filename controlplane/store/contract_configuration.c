#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "controlplane/store/contract.h"

/* ---- documents ---- */

static void test_documents_are_replaced_as_a_set(void **state)
{
    struct test *t = *state;
    struct store_document *items = NULL, one;
    size_t count = 0;
    const struct store_document first[] = {
        {.kind = STORE_GRANT, .name = "b", .json = "{\"x\":1}"},
        {.kind = STORE_GRANT, .name = "a", .json = "{}"},
        {.kind = STORE_RESOURCE, .name = "a", .json = "[]"},
    };
    const struct store_document second[] = {
        {.kind = STORE_GRANT, .name = "b", .json = "{\"x\":1}"},
        {.kind = STORE_GRANT, .name = "c", .json = "{\"y\":2}"},
        {.kind = STORE_ROLE_MAPPING, .name = "admins", .json = "\xc3\xa9"},
    };
    assert_int_equal(store_documents_replace(t->store, first, 3, 100, NULL), OK);
    assert_int_equal(store_documents_replace(t->store, second, 3, 200, NULL), OK);
    contract_reopen(t);
    assert_int_equal(store_document_list(t->store, STORE_GRANT, t->arena, &items, &count), OK);
    assert_int_equal(count, 2);
    assert_string_equal(items[0].name, "b");
    assert_string_equal(items[0].json, "{\"x\":1}");
    assert_int_equal(items[0].updated_ns, 100); /* it has not changed since */
    assert_string_equal(items[1].name, "c");
    assert_int_equal(items[1].updated_ns, 200);
    assert_int_equal(store_document_list(t->store, STORE_RESOURCE, t->arena, &items, &count), OK);
    assert_int_equal(count, 0);
    assert_int_equal(store_document_get(t->store, STORE_ROLE_MAPPING, "admins", t->arena, &one),
                     OK);
    assert_string_equal(one.json, "\xc3\xa9");
    assert_int_equal(store_document_get(t->store, STORE_GRANT, "a", t->arena, &one), ERR_NOT_FOUND);
}

static void test_a_name_that_is_used_twice_changes_nothing(void **state)
{
    struct test *t = *state;
    struct store_document *items = NULL;
    struct err_text why;
    size_t count = 0;
    const struct store_document good = {.kind = STORE_GRANT, .name = "a", .json = "{}"};
    const struct store_document twice[] = {
        {.kind = STORE_GRANT, .name = "new", .json = "1"},
        {.kind = STORE_RESOURCE, .name = "twin", .json = "2"},
        {.kind = STORE_RESOURCE, .name = "twin", .json = "3"},
    };
    assert_int_equal(store_document_put(t->store, &good, 1), OK);
    assert_int_equal(store_documents_replace(t->store, twice, 3, 2, &why), ERR_EXISTS);
    assert_non_null(strstr(why.text, "twin"));
    assert_int_equal(store_document_list(t->store, STORE_GRANT, t->arena, &items, &count), OK);
    assert_int_equal(count, 1);
    assert_string_equal(items[0].name, "a");
}

static void test_secrets_are_kept_to_the_byte(void **state)
{
    struct test *t = *state;
    struct store_secret secret, *items = NULL;
    size_t count = 0;
    const struct bytes sealed = bytes_of("\0\xff\0'x", 5);
    assert_int_equal(store_secret_put(t->store, "db", bytes_of("old", 3), 1), OK);
    assert_int_equal(store_secret_put(t->store, "db", sealed, 2), OK);
    contract_reopen(t);
    assert_int_equal(store_secret_get(t->store, "db", t->arena, &secret), OK);
    assert_true(bytes_equal(secret.sealed, sealed));
    assert_int_equal(secret.updated_ns, 2);
    assert_int_equal(store_secret_list(t->store, t->arena, &items, &count), OK);
    assert_int_equal(count, 1);
    assert_int_equal(store_secret_delete(t->store, "db"), OK);
    assert_int_equal(store_secret_delete(t->store, "db"), ERR_NOT_FOUND);
    assert_int_equal(store_secret_get(t->store, "db", t->arena, &secret), ERR_NOT_FOUND);
}

/* ---- sidecars, tokens, policies ---- */

static void test_a_sidecar_is_enrolled_and_renewed(void **state)
{
    struct test *t = *state;
    struct store_sidecar got, *items = NULL;
    size_t count = 0;
    struct store_sidecar sidecar = {
        .id = "s1", .name = "host", .certificate_serial = "01", .enrolled_ns = 5};
    records_hash(1, 1, sidecar.key_hash);
    assert_int_equal(store_sidecar_add(t->store, &sidecar), OK);
    assert_int_equal(store_sidecar_add(t->store, &sidecar), ERR_EXISTS);
    assert_int_equal(store_sidecar_renew(t->store, "s1", "02", 77, NULL, "1.2"), OK);
    assert_int_equal(store_sidecar_renew(t->store, "s2", "02", 77, NULL, NULL), ERR_NOT_FOUND);
    const struct store_sidecar_news news[] = {
        {.sidecar = "s1", .seen_ns = 9},
        {.sidecar = "s2", .seen_ns = 8}, /* nobody: passed over */
        {.sidecar = "s1", .policy_revision = 3, .policy_state = "delivered"},
        {.sidecar = "s1", .seen_ns = 8, .policy_revision = 3, .policy_state = "active"}, /* late */
        {.sidecar = "s1"},
    };
    assert_int_equal(store_sidecar_news(t->store, news, sizeof(news) / sizeof(news[0])), OK);
    assert_int_equal(store_sidecar_news(t->store, news, 0), ERR_INVALID);
    assert_int_equal(store_sidecar_news(t->store, &(struct store_sidecar_news){.sidecar = ""}, 1),
                     ERR_INVALID);
    contract_reopen(t);
    assert_int_equal(store_sidecar_get(t->store, "s1", t->arena, &got), OK);
    assert_string_equal(got.name, "host");
    assert_string_equal(got.version, "1.2");
    assert_string_equal(got.certificate_serial, "02");
    assert_int_equal(got.certificate_not_after_ns, 77);
    assert_int_equal(got.last_seen_ns, 9);
    assert_int_equal(got.policy_revision, 3);
    assert_string_equal(got.policy_state, "active");
    assert_memory_equal(got.key_hash, sidecar.key_hash, STORE_HASH_SIZE);
    assert_int_equal(store_sidecar_list(t->store, t->arena, &items, &count), OK);
    assert_int_equal(count, 1);
    assert_int_equal(store_sidecar_get(t->store, "s2", t->arena, &got), ERR_NOT_FOUND);
}

/* ---- revoked sidecars ---- */

static enum err revoke(struct test *t, const char *sidecar, uint64_t last_sequence,
                       const struct store_audit_record *record, struct store_audit_appended *out)
{
    const struct store_audit_write audit = {.sidecar = "controlplane",
                                            .records = record,
                                            .count = 1,
                                            .received_ns = records_received_ns,
                                            .out = out};
    const struct store_revocation revocation = {.sidecar = sidecar,
                                                .by = "ann",
                                                .reason = "stolen",
                                                .now_ns = records_received_ns,
                                                .last_sequence = last_sequence,
                                                .audit = &audit};
    return store_sidecar_revoke(t->store, &revocation);
}

static void add_sidecar(struct test *t, const char *id, uint64_t key, enum err expected)
{
    struct store_sidecar sidecar = {.id = id, .name = "host", .certificate_serial = "01"};
    records_hash(1, key, sidecar.key_hash);
    assert_int_equal(store_sidecar_add(t->store, &sidecar), expected);
}

static void assert_takes(struct test *t, const struct store_audit_record *record, enum err expected)
{
    struct store_audit_appended done;
    struct err_text why = {.text = ""};
    uint64_t refused = 0;
    assert_int_equal(
        store_audit_append(t->store, "s1", record, 1, records_received_ns, &done, &refused, &why),
        expected);
    if (expected != OK) {
        assert_int_equal(refused, record->sequence);
        assert_non_null(strstr(why.text, "revoked"));
    }
}

static void test_a_revoked_sidecar_counts_for_nothing(void **state)
{
    struct test *t = *state;
    struct store_audit_record first = records_make(1, 1, STORE_SESSION_OPENED, "A"),
                              next = records_make(1, 2, STORE_INTENT, "A"),
                              said = records_make(2, 1, STORE_ACTION, ""),
                              again = records_make(2, 2, STORE_ACTION, "");
    const struct store_audit_opened opened = {.identity = bytes_of_string("agent")};
    struct store_audit_appended done = {.added = 0};
    struct store_sidecar got;
    struct store_session session;
    uint8_t key[STORE_HASH_SIZE];
    first.index.opened = &opened;
    add_sidecar(t, "s1", 7, OK);
    assert_takes(t, &first, OK);
    assert_int_equal(revoke(t, "s2", 0, &said, &done), ERR_NOT_FOUND);
    assert_int_equal(revoke(t, "s1", 0, &said, &done), ERR_EXISTS); /* it has sent more */
    records_hash(1, 7, key);
    assert_int_equal(store_sidecar_find_revoked(t->store, key, t->arena, &got), ERR_NOT_FOUND);
    assert_int_equal(revoke(t, "s1", 1, &said, &done), OK);
    assert_int_equal(done.last.sequence, 1);
    assert_int_equal(done.last_position, 2);
    contract_reopen(t);
    assert_int_equal(revoke(t, "s1", 1, &again, &done), ERR_DENIED);
    assert_int_equal(store_sidecar_get(t->store, "s1", t->arena, &got), OK);
    assert_int_equal(got.revoked_ns, records_received_ns);
    assert_string_equal(got.revoked_by, "ann");
    assert_string_equal(got.revoked_reason, "stolen");
    assert_int_equal(store_sidecar_find_revoked(t->store, key, t->arena, &got), OK);
    assert_string_equal(got.id, "s1");
    assert_int_equal(store_sidecar_renew(t->store, "s1", "02", 77, NULL, NULL), ERR_NOT_FOUND);
    add_sidecar(t, "s3", 7, ERR_DENIED);
    add_sidecar(t, "s3", 8, OK);
    assert_takes(t, &next, ERR_DENIED);
    assert_takes(t, &first, ERR_DENIED); /* also what it has sent before */
    assert_int_equal(store_session_get(t->store, "A", t->arena, &session), OK);
    assert_string_equal(session.state, "closed");
    assert_string_equal(session.close_reason, "revoked");
    assert_true(session.closed_ns > 0);
}

static void test_a_sidecar_that_sent_nothing_is_revoked(void **state)
{
    struct test *t = *state;
    struct store_audit_record first = records_make(1, 1, STORE_HEARTBEAT, ""),
                              said = records_make(2, 1, STORE_ACTION, "");
    struct store_audit_appended done = {.added = 0};
    struct store_audit_last last;
    add_sidecar(t, "s1", 7, OK);
    assert_int_equal(revoke(t, "s1", 0, &said, &done), OK);
    assert_takes(t, &first, ERR_DENIED);
    assert_int_equal(store_audit_last(t->store, "s1", &last), OK);
    assert_int_equal(last.sequence, 0);
}

static enum err ask(struct test *t, const char *id, const char *sidecar)
{
    const struct store_approval_limits limits = {.waiting_max = 4, .session_max = 4};
    struct store_approval a = {.id = id,
                               .state = STORE_APPROVAL_WAITING,
                               .version = 1,
                               .sidecar = sidecar,
                               .session = "A",
                               .issuer = "iss",
                               .identity = "bot",
                               .resource = "orders",
                               .requested_ns = 10,
                               .due_ns = 100,
                               .held = bytes_of("held", 4)};
    uint64_t cursor = 0;
    records_hash(1, 1, a.digest);
    return store_approval_add(t->store, &a, &limits, NULL, NULL, &cursor);
}

/* However its request came in before. */
static void test_a_revoked_sidecar_asks_people_nothing(void **state)
{
    struct test *t = *state;
    struct store_audit_record said = records_make(2, 1, STORE_ACTION, "");
    struct store_audit_appended done = {.added = 0};
    struct store_approval got;
    add_sidecar(t, "s1", 7, OK);
    add_sidecar(t, "s2", 8, OK);
    assert_int_equal(ask(t, "a1", "s1"), OK);
    assert_int_equal(revoke(t, "s1", 0, &said, &done), OK);
    assert_int_equal(ask(t, "b2", "s1"), ERR_CLOSED);
    assert_int_equal(store_approval_get(t->store, "b2", t->arena, &got), ERR_NOT_FOUND);
    assert_int_equal(ask(t, "c3", "s2"), OK);
}

/* Whose record cannot be written is not revoked. */
static void test_a_revocation_happens_with_its_record_or_not(void **state)
{
    struct test *t = *state;
    struct store_audit_record first = records_make(1, 1, STORE_HEARTBEAT, ""),
                              gap = records_make(2, 3, STORE_ACTION, "");
    struct store_audit_appended done = {.added = 0};
    struct store_sidecar got;
    add_sidecar(t, "s1", 7, OK);
    assert_int_not_equal(revoke(t, "s1", 0, &gap, &done), OK);
    assert_int_equal(store_sidecar_get(t->store, "s1", t->arena, &got), OK);
    assert_int_equal(got.revoked_ns, 0);
    assert_takes(t, &first, OK);
}

/* ---- tokens, policies ---- */

enum { RACERS = 8 };

struct racer {
    struct store *store;
    uint8_t hash[STORE_HASH_SIZE];
    enum err result;
};

static void *racer_main(void *argument)
{
    struct racer *r = argument;
    struct arena *arena = arena_create(4096, 1 << 20);
    struct store_join_token token;
    r->result =
        arena == NULL ? ERR_NO_MEMORY : store_join_token_use(r->store, r->hash, 50, arena, &token);
    arena_destroy(arena);
    return NULL;
}

static void test_a_join_token_lets_one_in(void **state)
{
    struct test *t = *state;
    struct store_join_token token = {
        .name = "laptop", .created_by = "ann", .created_ns = 1, .expires_ns = 100};
    struct racer racers[RACERS];
    pthread_t threads[RACERS];
    int winners = 0;
    records_hash(1, 1, token.hash);
    assert_int_equal(store_join_token_add(t->store, &token), OK);
    assert_int_equal(store_join_token_add(t->store, &token), ERR_EXISTS);
    for (int i = 0; i < RACERS; i++) {
        racers[i].store = t->store;
        memcpy(racers[i].hash, token.hash, STORE_HASH_SIZE);
        assert_int_equal(pthread_create(&threads[i], NULL, racer_main, &racers[i]), 0);
    }
    for (int i = 0; i < RACERS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        winners += racers[i].result == OK;
        assert_true(racers[i].result == OK || racers[i].result == ERR_EXISTS);
    }
    assert_int_equal(winners, 1);
}

static void test_a_join_token_ends(void **state)
{
    struct test *t = *state;
    struct store_join_token token = {.name = "laptop", .expires_ns = 100}, got;
    uint8_t unknown[STORE_HASH_SIZE];
    records_hash(1, 1, token.hash);
    records_hash(1, 2, unknown);
    assert_int_equal(store_join_token_add(t->store, &token), OK);
    assert_int_equal(store_join_token_use(t->store, token.hash, 100, t->arena, &got), ERR_TIMEOUT);
    assert_int_equal(store_join_token_use(t->store, unknown, 1, t->arena, &got), ERR_NOT_FOUND);
    assert_int_equal(store_join_token_use(t->store, token.hash, 99, t->arena, &got), OK);
    assert_string_equal(got.name, "laptop");
    contract_reopen(t);
    assert_int_equal(store_join_token_use(t->store, token.hash, 99, t->arena, &got), ERR_EXISTS);
}

static void test_policies_go_forward_only(void **state)
{
    struct test *t = *state;
    struct store_policy policy = {.revision = 2,
                                  .hash = "ab",
                                  .document = bytes_of("{\0}", 3),
                                  .signature = bytes_of("sig", 3),
                                  .created_by = "ann",
                                  .message = "a first one",
                                  .created_ns = 5};
    struct store_policy got;
    assert_int_equal(store_policy_latest(t->store, t->arena, &got), ERR_NOT_FOUND);
    assert_int_equal(store_policy_add(t->store, &policy), OK);
    assert_int_equal(store_policy_add(t->store, &policy), ERR_EXISTS);
    policy.revision = 1;
    assert_int_equal(store_policy_add(t->store, &policy), ERR_EXISTS);
    policy.revision = 3;
    policy.hash = "cd";
    policy.message = NULL;
    assert_int_equal(store_policy_add(t->store, &policy), OK);
    contract_reopen(t);
    assert_int_equal(store_policy_latest(t->store, t->arena, &got), OK);
    assert_int_equal(got.revision, 3);
    assert_string_equal(got.hash, "cd");
    assert_string_equal(got.message, "");
    assert_int_equal(store_policy_get(t->store, 2, t->arena, &got), OK);
    assert_true(bytes_equal(got.document, policy.document));
    assert_true(bytes_equal_string(got.signature, "sig"));
    assert_string_equal(got.source, "");
    assert_string_equal(got.message, "a first one");
    assert_int_equal(store_policy_get(t->store, 1, t->arena, &got), ERR_NOT_FOUND);
}

int contract_configuration_run(const struct store_contract *contract)
{
    const struct CMUnitTest tests[] = {
        CONTRACT_TEST(test_documents_are_replaced_as_a_set),
        CONTRACT_TEST(test_a_name_that_is_used_twice_changes_nothing),
        CONTRACT_TEST(test_secrets_are_kept_to_the_byte),
        CONTRACT_TEST(test_a_sidecar_is_enrolled_and_renewed),
        CONTRACT_TEST(test_a_revoked_sidecar_counts_for_nothing),
        CONTRACT_TEST(test_a_sidecar_that_sent_nothing_is_revoked),
        CONTRACT_TEST(test_a_revoked_sidecar_asks_people_nothing),
        CONTRACT_TEST(test_a_revocation_happens_with_its_record_or_not),
        CONTRACT_TEST(test_a_join_token_lets_one_in),
        CONTRACT_TEST(test_a_join_token_ends),
        CONTRACT_TEST(test_policies_go_forward_only),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
