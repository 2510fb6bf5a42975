#include "controlplane/store/store_contract.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "controlplane/store/store_records.h"

/* The state of a test: a store and an arena for its answers. */
struct test {
    const struct store_contract *contract;
    struct store *store;
    struct arena *arena;
};

static int setup(void **state)
{
    const struct store_contract *contract = *state;
    struct test *t = calloc(1, sizeof(*t));
    assert_non_null(t);
    t->contract = contract;
    t->store = contract->open_empty(contract->context);
    t->arena = arena_create(4096, 64 << 20);
    assert_non_null(t->store);
    assert_non_null(t->arena);
    *state = t;
    return 0;
}

static int teardown(void **state)
{
    struct test *t = *state;
    t->contract->close(t->contract->context, t->store);
    arena_destroy(t->arena);
    free(t);
    return 0;
}

static void reopen(struct test *t)
{
    t->store = t->contract->reopen(t->contract->context, t->store);
    assert_non_null(t->store);
}

/* ---- documents ------------------------------------------------------------------------------ */

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
    reopen(t);
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
    reopen(t);
    assert_int_equal(store_secret_get(t->store, "db", t->arena, &secret), OK);
    assert_true(bytes_equal(secret.sealed, sealed));
    assert_int_equal(secret.updated_ns, 2);
    assert_int_equal(store_secret_list(t->store, t->arena, &items, &count), OK);
    assert_int_equal(count, 1);
    assert_int_equal(store_secret_delete(t->store, "db"), OK);
    assert_int_equal(store_secret_delete(t->store, "db"), ERR_NOT_FOUND);
    assert_int_equal(store_secret_get(t->store, "db", t->arena, &secret), ERR_NOT_FOUND);
}

/* ---- sidecars, tokens, policies -------------------------------------------------------------- */

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
    assert_int_equal(store_sidecar_seen(t->store, "s1", 9), OK);
    assert_int_equal(store_sidecar_seen(t->store, "s1", 8), OK); /* late news: it was 9 */
    assert_int_equal(store_sidecar_seen(t->store, "s2", 8), ERR_NOT_FOUND);
    assert_int_equal(store_sidecar_policy(t->store, "s1", 3, "active"), OK);
    reopen(t);
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
    reopen(t);
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
                                  .created_ns = 5};
    struct store_policy got;
    assert_int_equal(store_policy_latest(t->store, t->arena, &got), ERR_NOT_FOUND);
    assert_int_equal(store_policy_add(t->store, &policy), OK);
    assert_int_equal(store_policy_add(t->store, &policy), ERR_EXISTS);
    policy.revision = 1;
    assert_int_equal(store_policy_add(t->store, &policy), ERR_EXISTS);
    policy.revision = 3;
    policy.hash = "cd";
    assert_int_equal(store_policy_add(t->store, &policy), OK);
    reopen(t);
    assert_int_equal(store_policy_latest(t->store, t->arena, &got), OK);
    assert_int_equal(got.revision, 3);
    assert_string_equal(got.hash, "cd");
    assert_int_equal(store_policy_get(t->store, 2, t->arena, &got), OK);
    assert_true(bytes_equal(got.document, policy.document));
    assert_true(bytes_equal_string(got.signature, "sig"));
    assert_string_equal(got.source, "");
    assert_int_equal(store_policy_get(t->store, 1, t->arena, &got), ERR_NOT_FOUND);
}

/* ---- append ------------------------------------------------------------------------------------
 */

static enum err append(struct test *t, const char *sidecar,
                       const struct store_audit_record *records, size_t count,
                       struct store_audit_appended *out, uint64_t *out_refused,
                       struct err_text *why)
{
    return store_audit_append(t->store, sidecar, records, count, records_received_ns, out,
                              out_refused, why);
}

static void append_ok(struct test *t, const char *sidecar, const struct store_audit_record *records,
                      size_t count)
{
    struct store_audit_appended done;
    struct err_text why = {.text = ""};
    enum err err = append(t, sidecar, records, count, &done, NULL, &why);
    if (err != OK) {
        print_error("%s\n", why.text);
    }
    assert_int_equal(err, OK);
}

static size_t count_of(struct test *t, struct store_audit_filter filter)
{
    struct store_audit_entry *items = NULL;
    struct err_text why = {.text = ""};
    size_t count = 0;
    bool more = false;
    enum err err = store_audit_page(t->store, &filter, INT64_MIN, STORE_SEARCH_PAGE_MAX, SIZE_MAX,
                                    t->arena, &items, &count, &more, &why);
    if (err != OK) {
        print_error("%s\n", why.text);
    }
    assert_int_equal(err, OK);
    assert_false(more);
    return count;
}

static void test_records_are_kept_to_the_byte_and_resumed(void **state)
{
    struct test *t = *state;
    struct store_audit_record records[3];
    struct store_audit_appended done;
    struct store_audit_last last;
    struct store_audit_filter all = {0};
    struct store_audit_entry *items = NULL;
    size_t count = 0;
    uint64_t total = 0;
    bool more = true;
    for (uint64_t i = 0; i < 3; i++) {
        records[i] = records_make(1, i + 1, STORE_HEARTBEAT, "");
    }
    records[1].canonical = bytes_of("\xff\0\0other", 8);
    assert_int_equal(store_audit_last(t->store, "s1", &last), OK);
    assert_int_equal(last.sequence, 0);
    assert_int_equal(append(t, "s1", records, 3, &done, NULL, NULL), OK);
    assert_int_equal(done.added, 3);
    assert_int_equal(done.first_position, 1);
    assert_int_equal(done.last_position, 3);
    assert_int_equal(done.last.sequence, 3);
    reopen(t);
    assert_int_equal(store_audit_last(t->store, "s1", &last), OK);
    assert_int_equal(last.sequence, 3);
    assert_memory_equal(last.hash, records[2].hash, STORE_HASH_SIZE);
    assert_int_equal(store_audit_count(t->store, &total), OK);
    assert_int_equal(total, 3);
    assert_int_equal(store_audit_page(t->store, &all, INT64_MIN, 10, SIZE_MAX, t->arena, &items,
                                      &count, &more, NULL),
                     OK);
    assert_int_equal(count, 3);
    assert_false(more);
    assert_true(bytes_equal(items[1].canonical, records[1].canonical));
    assert_string_equal(items[1].sidecar, "s1");
    assert_int_equal(items[1].sequence, 2);
    assert_int_equal(items[1].received_ns, records_received_ns);
}

static void test_duplicates_are_passed_over(void **state)
{
    struct test *t = *state;
    struct store_audit_record records[6];
    struct store_audit_appended done;
    for (uint64_t i = 0; i < 6; i++) {
        records[i] = records_make(1, i + 1, STORE_INTENT, "x");
        records[i].index.text = bytes_of_string("select 1");
    }
    append_ok(t, "s1", records, 4);
    assert_int_equal(append(t, "s1", records, 4, &done, NULL, NULL), OK);
    assert_int_equal(done.added, 0);
    assert_int_equal(done.first_position, 0);
    assert_int_equal(done.last.sequence, 4);
    assert_int_equal(append(t, "s1", records + 2, 4, &done, NULL, NULL), OK);
    assert_int_equal(done.added, 2);
    assert_int_equal(done.first_position, 5);
    assert_int_equal(done.last_position, 6);
    assert_int_equal(count_of(t, (struct store_audit_filter){.text = "select"}), 6);
    assert_int_equal(count_of(t, (struct store_audit_filter){0}), 6);
    struct store_session session;
    assert_int_equal(store_session_get(t->store, "x", t->arena, &session), OK);
    assert_int_equal(session.operations, 6);
}

static void test_a_rewritten_stream_is_refused_whole(void **state)
{
    struct test *t = *state;
    struct store_audit_record records[4];
    struct store_audit_appended done;
    struct err_text why;
    uint64_t refused = 0;
    for (uint64_t i = 0; i < 4; i++) {
        records[i] = records_make(1, i + 1, STORE_INTENT, "x");
    }
    append_ok(t, "s1", records, 3);
    records[1].hash[7] ^= 1;
    assert_int_equal(append(t, "s1", records, 4, &done, &refused, &why), ERR_EXISTS);
    assert_int_equal(refused, 2);
    assert_non_null(strstr(why.text, "record 2"));
    assert_int_equal(count_of(t, (struct store_audit_filter){0}), 3);
}

static void test_a_gap_and_a_broken_chain_are_refused_whole(void **state)
{
    struct test *t = *state;
    struct store_audit_record records[4];
    struct store_audit_appended done;
    struct err_text why;
    uint64_t refused = 0;
    for (uint64_t i = 0; i < 4; i++) {
        records[i] = records_make(1, i + 1, STORE_INTENT, "x");
    }
    records[2].sequence = 4;
    assert_int_equal(append(t, "s1", records, 4, &done, &refused, &why), ERR_INVALID);
    assert_int_equal(refused, 4);
    assert_non_null(strstr(why.text, "expected 3"));
    records[2].sequence = 3;
    records[2].previous[0] ^= 1;
    assert_int_equal(append(t, "s1", records, 4, &done, &refused, &why), ERR_INVALID);
    assert_int_equal(refused, 3);
    assert_non_null(strstr(why.text, "record 3"));
    assert_int_equal(append(t, "s1", records + 1, 1, &done, &refused, &why), ERR_INVALID);
    assert_int_equal(refused, 2);
    assert_int_equal(count_of(t, (struct store_audit_filter){0}), 0);
    struct store_session session; /* nothing of it is left in the index either */
    assert_int_equal(store_session_get(t->store, "x", t->arena, &session), ERR_NOT_FOUND);
    records[2].previous[0] ^= 1;
    append_ok(t, "s1", records, 4);
    assert_int_equal(count_of(t, (struct store_audit_filter){.session = "x"}), 4);
}

static void test_wrong_arguments_are_refused(void **state)
{
    struct test *t = *state;
    struct store_audit_record record = records_make(1, 1, STORE_INTENT, "x");
    struct store_audit_appended done;
    assert_int_equal(append(t, "", &record, 1, &done, NULL, NULL), ERR_INVALID);
    record.sequence = 0;
    assert_int_equal(append(t, "s1", &record, 1, &done, NULL, NULL), ERR_INVALID);
    record.sequence = UINT64_MAX;
    assert_int_equal(append(t, "s1", &record, 1, &done, NULL, NULL), ERR_INVALID);
    record = records_make(1, 1, (enum store_audit_kind)9, "x");
    assert_int_equal(append(t, "s1", &record, 1, &done, NULL, NULL), ERR_INVALID);
}

static void test_the_order_is_that_of_time_but_never_against_the_stream(void **state)
{
    struct test *t = *state;
    struct store_audit_record a[3], b[2];
    struct store_audit_entry *items = NULL;
    struct store_audit_filter all = {0};
    size_t count = 0;
    bool more = false;
    for (uint64_t i = 0; i < 3; i++) {
        a[i] = records_make(1, i + 1, STORE_HEARTBEAT, "");
    }
    a[1].index.time_ns = INT64_MAX;        /* a lie; it counts as when it arrived */
    a[2].index.time_ns = records_start_ns; /* the clock stepped back */
    b[0] = records_make(2, 1, STORE_HEARTBEAT, "");
    b[1] = records_make(2, 2, STORE_HEARTBEAT, "");
    b[0].index.time_ns = a[0].index.time_ns; /* the same nanosecond */
    b[1].index.time_ns = INT64_MIN;
    append_ok(t, "s1", a, 3);
    append_ok(t, "s2", b, 2); /* arrives late, is found in its time */
    assert_int_equal(store_audit_page(t->store, &all, INT64_MIN, 10, SIZE_MAX, t->arena, &items,
                                      &count, &more, NULL),
                     OK);
    assert_int_equal(count, 5);
    const char *sidecars[] = {"s1", "s2", "s2", "s1", "s1"};
    const uint64_t sequences[] = {1, 1, 2, 2, 3}, positions[] = {1, 4, 5, 2, 3};
    for (size_t i = 0; i < 5; i++) {
        assert_string_equal(items[i].sidecar, sidecars[i]);
        assert_int_equal(items[i].sequence, sequences[i]);
        assert_int_equal(items[i].position, positions[i]);
        assert_true(i == 0 || items[i].key > items[i - 1].key);
    }
    assert_true(items[3].key <= records_received_ns);
}

/* ---- find --------------------------------------------------------------------------------------
 */

struct statement {
    const char *session, *text, *name, *full, *name2, *full2;
    int verdict;
};

/* Sequence 1: alice's session on db1 opens. 2: bob's on db2, for carol. 3...: statements. */
static const struct statement statements[] = {
    {"A", "SELECT * FROM orders WHERE customer_id = 17", "orders", "orders", NULL, NULL, 1},
    {"B", "DELETE FROM public.orders", "orders", "public.orders", NULL, NULL, 2},
    {"A",
     "UPDATE sales.orders SET note = 'Gr\xc3\xbc\xc3\x9f"
     "e'",
     "orders", "sales.orders", "orders", "orders", 1},
    {"A", "select \"Name\" from customers", "customers", "customers", NULL, NULL, 1},
    {"B", "SELECT 1 -- caf\xc3\xa9 \xff\xfe\x80", NULL, NULL, NULL, NULL, 3},
};
enum { STATEMENTS = sizeof(statements) / sizeof(statements[0]), RECORDS = 2 + STATEMENTS + 2 };

static void fill(struct test *t)
{
    struct store_audit_record records[RECORDS];
    struct store_audit_table tables[STATEMENTS][2];
    struct store_audit_opened alice = {.identity = bytes_of_string("alice"),
                                       .resource = bytes_of_string("db1"),
                                       .protocol = bytes_of_string("postgres"),
                                       .database = bytes_of_string("shop"),
                                       .agent_address = bytes_of_string("127.0.0.1:5")};
    struct store_audit_opened bob = {.identity = bytes_of_string("bob"),
                                     .on_behalf_of = bytes_of_string("carol"),
                                     .resource = bytes_of_string("db2")};
    records[0] = records_make(1, 1, STORE_SESSION_OPENED, "A");
    records[0].index.opened = &alice;
    records[0].index.verdict = 1;
    records[1] = records_make(1, 2, STORE_SESSION_OPENED, "B");
    records[1].index.opened = &bob;
    records[1].index.verdict = 1;
    for (size_t i = 0; i < STATEMENTS; i++) {
        const struct statement *s = &statements[i];
        struct store_audit_record *r = &records[2 + i];
        *r = records_make(1, 3 + i, STORE_INTENT, s->session);
        r->index.text = bytes_of_string(s->text);
        r->index.verdict = s->verdict;
        r->index.tables = tables[i];
        r->index.table_count = (s->name == NULL ? 0U : 1U) + (s->name2 == NULL ? 0U : 1U);
        tables[i][0].name = bytes_of_string(s->name);
        tables[i][0].full = bytes_of_string(s->full);
        tables[i][1].name = bytes_of_string(s->name2);
        tables[i][1].full = bytes_of_string(s->full2);
    }
    records[RECORDS - 2] = records_make(1, RECORDS - 1, STORE_SESSION_CLOSED, "A");
    records[RECORDS - 2].index.close_reason = bytes_of_string("agent_disconnected");
    records[RECORDS - 1] = records_make(1, RECORDS, STORE_HEARTBEAT, "");
    append_ok(t, "s1", records, RECORDS);
}

/* What is found, as the sequences: "3 4". */
static const char *found(struct test *t, struct store_audit_filter filter)
{
    struct store_audit_entry *items = NULL;
    struct err_text why = {.text = ""};
    struct buffer text;
    size_t count = 0;
    bool more = false;
    enum err err = store_audit_page(t->store, &filter, INT64_MIN, 100, SIZE_MAX, t->arena, &items,
                                    &count, &more, &why);
    if (err != OK) {
        print_error("%s\n", why.text);
    }
    assert_int_equal(err, OK);
    buffer_init(&text, 4096);
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(buffer_append_format(&text, i == 0 ? "%d" : " %d", (int)items[i].sequence),
                         OK);
    }
    const char *copy = arena_copy_string(t->arena, buffer_bytes(&text));
    buffer_finish(&text);
    /* The newest one must be the same read from the other end. */
    int64_t key = 0;
    err = store_audit_nth_newest(t->store, &filter, 1, &key, NULL);
    assert_int_equal(err, count == 0 ? ERR_NOT_FOUND : OK);
    assert_true(count == 0 || key == items[count - 1].key);
    return copy;
}

#define FOUND(t, sequences, ...)                                                                   \
    assert_string_equal(found((t), (struct store_audit_filter){__VA_ARGS__}), (sequences))

static void test_search_by_who_and_where(void **state)
{
    struct test *t = *state;
    fill(t);
    FOUND(t, "1 2 3 4 5 6 7 8 9", 0);
    FOUND(t, "1 3 5 6 8", .identity = "alice");
    FOUND(t, "2 4 7", .identity = "bob");
    FOUND(t, "", .identity = "ALICE");
    FOUND(t, "2 4 7", .resource = "db2");
    FOUND(t, "", .resource = "db2", .identity = "alice");
    FOUND(t, "1 3 5 6 8", .session = "A");
    FOUND(t, "", .session = "C");
    FOUND(t, "4", .verdict = 2);
    FOUND(t, "7", .verdict = 3, .identity = "bob");
    FOUND(t, "", .verdict = 3, .identity = "alice");
    FOUND(t, "1 2 3 5 6", .verdict = 1);
    FOUND(t, "3 4 5 6 7", .kinds = store_kind_bit(STORE_INTENT));
    FOUND(t, "8", .kinds = store_kind_bit(STORE_SESSION_CLOSED));
    FOUND(t, "1 2 9",
          .kinds = store_kind_bit(STORE_SESSION_OPENED) | store_kind_bit(STORE_HEARTBEAT));
    FOUND(t, "1", .kinds = store_kind_bit(STORE_SESSION_OPENED), .identity = "alice");
    FOUND(t, "", .kinds = store_kind_bit(STORE_LOSS));
}

static void test_search_by_time(void **state)
{
    struct test *t = *state;
    const int64_t second = 1000000000;
    fill(t);
    FOUND(t, "8 9", .since_ns = records_start_ns + 8 * second);
    FOUND(t, "1 2", .until_ns = records_start_ns + 2 * second);
    FOUND(t, "3 4", .since_ns = records_start_ns + 2 * second + 1,
          .until_ns = records_start_ns + 5 * second - 1);
    FOUND(t, "5 6", .since_ns = records_start_ns + 4 * second,
          .until_ns = records_start_ns + 6 * second, .identity = "alice");
    FOUND(t, "3 4", .until_ns = records_start_ns + 4 * second, .text = "orders");
    FOUND(t, "3 4", .until_ns = records_start_ns + 4 * second, .table = "orders");
    FOUND(t, "1 2 3 4 5", .position_max = 5);
    FOUND(t, "3 4", .position_max = 4, .text = "from");
}

static void test_search_by_table(void **state)
{
    struct test *t = *state;
    fill(t);
    FOUND(t, "3 4 5", .table = "orders");
    FOUND(t, "3 4 5", .table = "\"Orders\"");
    FOUND(t, "3 4 5", .table = "public.orders"); /* 5 names an unqualified one, too */
    FOUND(t, "4", .table = "PUBLIC.orders", .verdict = 2);
    FOUND(t, "3 5", .table = "sales.orders");
    FOUND(t, "4", .table = "db.public.orders", .identity = "bob");
    FOUND(t, "", .table = "rders");
    FOUND(t, "", .table = "s.customers2");
    FOUND(t, "3 5", .table = "orders", .session = "A");
    FOUND(t, "5", .table = "orders", .text = "sales*", .identity = "alice", .session = "A");
    FOUND(t, "4", .table = "public.orders", .text = "delete");
    FOUND(t, "", .table = "sales.orders", .text = "delete");
}

static void test_search_by_words(void **state)
{
    struct test *t = *state;
    fill(t);
    FOUND(t, "3 6 7", .text = "select");
    FOUND(t, "3", .text = "orders SELECT");
    FOUND(t, "3", .text = "customer_id");
    FOUND(t, "3", .text = "customer_id=17");
    FOUND(t, "", .text = "id_customer");
    FOUND(t, "6", .text = "customers");
    FOUND(t, "3 6", .text = "custom*");
    FOUND(t, "", .text = "custom");
    FOUND(t, "4", .text = "\"delete from public\"");
    FOUND(t, "", .text = "\"from delete\"");
    FOUND(t, "5",
          .text = "gr\xc3\xbc\xc3\x9f"
                  "e");
    FOUND(t, "7", .text = "caf\xc3\xa9");
    FOUND(t, "3 7", .text = "select -1*");
}

static void test_search_text_is_never_an_expression(void **state)
{
    struct test *t = *state;
    struct store_audit_entry *items = NULL;
    struct err_text why;
    size_t count = 0;
    bool more = false;
    fill(t);
    FOUND(t, "", .text = "orders OR customers"); /* three words */
    FOUND(t, "", .text = "tag : i1");
    FOUND(t, "", .text = "NOT select");
    FOUND(t, "3", .text = "select) orders (");
    FOUND(t, "3", .text = "^select + orders");
    FOUND(t, "6", .text = "\"Name");
    FOUND(t, "", .text = "\xff\xfe");
    FOUND(t, "", .text = "i1"); /* a tag is no word */
    struct store_audit_filter filter = {.text = " * \"\" ;-- "};
    assert_int_equal(store_audit_page(t->store, &filter, INT64_MIN, 10, 10, t->arena, &items,
                                      &count, &more, &why),
                     ERR_INVALID);
    assert_non_null(strstr(why.text, "no word"));
}

static void test_an_entry_says_what_its_session_says(void **state)
{
    struct test *t = *state;
    struct store_audit_entry *items = NULL;
    struct store_audit_filter filter = {.identity = "bob", .verdict = 2};
    size_t count = 0;
    bool more = false;
    fill(t);
    assert_int_equal(store_audit_page(t->store, &filter, INT64_MIN, 10, SIZE_MAX, t->arena, &items,
                                      &count, &more, NULL),
                     OK);
    assert_int_equal(count, 1);
    assert_string_equal(items[0].identity, "bob");
    assert_string_equal(items[0].on_behalf_of, "carol");
    assert_string_equal(items[0].resource, "db2");
    assert_string_equal(items[0].protocol, "");
}

static void test_pages_go_on_where_the_last_one_ended(void **state)
{
    struct test *t = *state;
    struct store_audit_record records[100];
    struct store_audit_filter filter = {.session = "x"};
    int64_t key = 0;
    for (uint64_t i = 0; i < 100; i++) {
        records[i] = records_make(1, i + 1, STORE_INTENT, i % 2 == 0 ? "x" : "y");
    }
    append_ok(t, "s1", records, 100);
    /* The newest 30 of the session, in pages of 7, and of about 20 bytes (9 each). */
    for (size_t bytes = 20; bytes <= 20000; bytes *= 1000) {
        assert_int_equal(store_audit_nth_newest(t->store, &filter, 30, &key, NULL), OK);
        uint64_t next = 41;
        for (bool more = true; more;) {
            struct store_audit_entry *items = NULL;
            size_t count = 0;
            assert_int_equal(store_audit_page(t->store, &filter, key, 7, bytes, t->arena, &items,
                                              &count, &more, NULL),
                             OK);
            assert_true(count > 0 && count <= (bytes == 20 ? 3 : 7));
            for (size_t i = 0; i < count; i++, next += 2) {
                assert_int_equal(items[i].sequence, next);
            }
            key = items[count - 1].key + 1;
        }
        assert_int_equal(next, 101);
    }
    assert_int_equal(store_audit_nth_newest(t->store, &filter, 1000, &key, NULL), OK);
    assert_int_equal(key, records[0].index.time_ns);
}

/* ---- sessions
 * ------------------------------------------------------------------------------------ */

static void test_sessions_are_told_from_their_records(void **state)
{
    struct test *t = *state;
    struct store_session *items = NULL, one;
    size_t count = 0;
    fill(t);
    struct store_audit_opened refused = {.identity = bytes_of_string("eve"), .refused = true};
    struct store_audit_record record = records_make(1, RECORDS + 1, STORE_SESSION_OPENED, "R");
    record.index.opened = &refused;
    record.index.verdict = 2;
    append_ok(t, "s1", &record, 1);
    assert_int_equal(store_session_list(t->store, true, 0, t->arena, &items, &count), OK);
    assert_int_equal(count, 3);
    assert_string_equal(items[0].session, "R");
    assert_string_equal(items[0].state, "refused");
    assert_true(items[0].closed_ns != 0);
    assert_string_equal(items[1].session, "B");
    assert_string_equal(items[2].session, "A");
    assert_int_equal(store_session_list(t->store, true, 2, t->arena, &items, &count), OK);
    assert_int_equal(count, 2);
    assert_int_equal(store_session_list(t->store, false, 0, t->arena, &items, &count), OK);
    assert_int_equal(count, 1);
    assert_string_equal(items[0].session, "B");
    assert_string_equal(items[0].state, "open");
    assert_string_equal(items[0].on_behalf_of, "carol");
    assert_int_equal(items[0].operations, 2);
    assert_int_equal(items[0].closed_ns, 0);
    assert_int_equal(store_session_get(t->store, "A", t->arena, &one), OK);
    assert_string_equal(one.state, "closed");
    assert_string_equal(one.close_reason, "agent_disconnected");
    assert_string_equal(one.sidecar, "s1");
    assert_string_equal(one.database, "shop");
    assert_string_equal(one.protocol, "postgres");
    assert_string_equal(one.agent_address, "127.0.0.1:5");
    assert_int_equal(one.operations, 3);
    assert_int_equal(one.opened_ns, records_start_ns + 1000000000);
    assert_int_equal(one.closed_ns, records_start_ns + (RECORDS - 1) * INT64_C(1000000000));
    assert_int_equal(store_session_get(t->store, "Z", t->arena, &one), ERR_NOT_FOUND);
}

/* More sessions at a time than any cache has room for. */
static void test_many_sessions_at_a_time_are_counted_right(void **state)
{
    enum { SESSIONS = 700, ROUNDS = 3 };
    struct test *t = *state;
    struct store_audit_record *records =
        calloc((size_t)SESSIONS * ROUNDS, sizeof(struct store_audit_record));
    char names[SESSIONS][16];
    struct store_session *items = NULL;
    size_t count = 0;
    assert_non_null(records);
    for (int i = 0; i < SESSIONS * ROUNDS; i++) {
        (void)snprintf(names[i % SESSIONS], sizeof(names[0]), "session-%d", i % SESSIONS);
        records[i] = records_make(1, (uint64_t)i + 1, STORE_INTENT, names[i % SESSIONS]);
    }
    append_ok(t, "s1", records, (size_t)SESSIONS * ROUNDS);
    free(records);
    assert_int_equal(store_session_list(t->store, false, 0, t->arena, &items, &count), OK);
    assert_int_equal(count, SESSIONS);
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(items[i].operations, ROUNDS);
    }
}

/* Another sidecar that names a session of the first one does not change it. */
static void test_a_session_belongs_to_its_sidecar(void **state)
{
    struct test *t = *state;
    struct store_session one;
    fill(t);
    struct store_audit_record forged = records_make(2, 1, STORE_SESSION_CLOSED, "B");
    append_ok(t, "s2", &forged, 1);
    assert_int_equal(store_session_get(t->store, "B", t->arena, &one), OK);
    assert_string_equal(one.state, "open");
    assert_string_equal(one.sidecar, "s1");
    FOUND(t, "2 4 7", .identity = "bob");
    assert_int_equal(count_of(t, (struct store_audit_filter){.session = "B"}), 4);
}

/* ---- many threads
 * ---------------------------------------------------------------------------------- */

enum { BATCHES = 60, BATCH = 20 };

struct worker {
    struct store *store;
    uint64_t stream;
    const char *failed; /* NULL: all was well */
};

static void *writer_main(void *argument)
{
    struct worker *w = argument;
    char sidecar[16];
    (void)snprintf(sidecar, sizeof(sidecar), "s%d", (int)w->stream);
    for (uint64_t batch = 0; batch < BATCHES && w->failed == NULL; batch++) {
        struct store_audit_record records[BATCH];
        struct store_audit_appended done;
        for (uint64_t i = 0; i < BATCH; i++) {
            records[i] = records_make(w->stream, batch * BATCH + i + 1, STORE_INTENT, sidecar);
            records[i].index.text = bytes_of_string("select now");
        }
        if (store_audit_append(w->store, sidecar, records, BATCH, records_received_ns, &done, NULL,
                               NULL) != OK ||
            done.last_position - done.first_position != BATCH - 1) {
            w->failed = "append";
        }
    }
    return NULL;
}

/* While they write: what is seen of a stream is whole batches, never with a gap. */
static void *reader_main(void *argument)
{
    struct worker *w = argument;
    struct arena *arena = arena_create(1 << 16, 64 << 20);
    size_t count = 0, before = 0;
    while (count < (size_t)BATCHES * BATCH && w->failed == NULL) {
        struct store_audit_filter filter = {.session = "s1", .text = "select"};
        struct store_audit_entry *items = NULL;
        size_t total = 0;
        int64_t key = INT64_MIN;
        uint64_t max = 0, next = 1;
        arena_reset(arena);
        if (store_audit_count(w->store, &max) != OK) {
            w->failed = "count";
        }
        filter.position_max = max == 0 ? 1 : max;
        for (bool more = true; more && w->failed == NULL;) {
            if (store_audit_page(w->store, &filter, key, 500, SIZE_MAX, arena, &items, &count,
                                 &more, NULL) != OK) {
                w->failed = "page";
                break;
            }
            for (size_t i = 0; i < count && w->failed == NULL; i++, next++) {
                w->failed = items[i].sequence != next ? "a gap" : NULL;
                key = items[i].key + 1;
            }
            total += count;
        }
        count = total;
        if (w->failed == NULL && (total < before || (max > 0 && total % BATCH != 0))) {
            w->failed = "half a batch";
        }
        before = total;
    }
    arena_destroy(arena);
    return NULL;
}

static void test_readers_see_whole_batches_while_others_write(void **state)
{
    enum { WRITERS = 3, READERS = 6 };
    struct test *t = *state;
    struct worker workers[WRITERS + READERS];
    pthread_t threads[WRITERS + READERS];
    for (int i = 0; i < WRITERS + READERS; i++) {
        workers[i] = (struct worker){.store = t->store, .stream = (uint64_t)i + 1};
        assert_int_equal(
            pthread_create(&threads[i], NULL, i < WRITERS ? writer_main : reader_main, &workers[i]),
            0);
    }
    for (int i = 0; i < WRITERS + READERS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        if (workers[i].failed != NULL) {
            print_error("thread %d: %s\n", i, workers[i].failed);
        }
        assert_null(workers[i].failed);
    }
    uint64_t total = 0;
    assert_int_equal(store_audit_count(t->store, &total), OK);
    assert_int_equal(total, WRITERS * BATCHES * BATCH);
}

#define TEST(name)                                                                                 \
    {                                                                                              \
#name, name, setup, teardown, (void *)(uintptr_t)contract                                  \
    }

int store_contract_run(const struct store_contract *contract)
{
    const struct CMUnitTest tests[] = {
        TEST(test_documents_are_replaced_as_a_set),
        TEST(test_a_name_that_is_used_twice_changes_nothing),
        TEST(test_secrets_are_kept_to_the_byte),
        TEST(test_a_sidecar_is_enrolled_and_renewed),
        TEST(test_a_join_token_lets_one_in),
        TEST(test_a_join_token_ends),
        TEST(test_policies_go_forward_only),
        TEST(test_records_are_kept_to_the_byte_and_resumed),
        TEST(test_duplicates_are_passed_over),
        TEST(test_a_rewritten_stream_is_refused_whole),
        TEST(test_a_gap_and_a_broken_chain_are_refused_whole),
        TEST(test_wrong_arguments_are_refused),
        TEST(test_the_order_is_that_of_time_but_never_against_the_stream),
        TEST(test_search_by_who_and_where),
        TEST(test_search_by_time),
        TEST(test_search_by_table),
        TEST(test_search_by_words),
        TEST(test_search_text_is_never_an_expression),
        TEST(test_an_entry_says_what_its_session_says),
        TEST(test_pages_go_on_where_the_last_one_ended),
        TEST(test_sessions_are_told_from_their_records),
        TEST(test_many_sessions_at_a_time_are_counted_right),
        TEST(test_a_session_belongs_to_its_sidecar),
        TEST(test_readers_see_whole_batches_while_others_write),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
