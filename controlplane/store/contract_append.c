#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "controlplane/store/contract.h"

/* ---- append ---- */

static enum err append(struct test *t, const char *sidecar,
                       const struct store_audit_record *records, size_t count,
                       struct store_audit_appended *out, uint64_t *out_refused,
                       struct err_text *why)
{
    return store_audit_append(t->store, sidecar, records, count, records_received_ns, out,
                              out_refused, why);
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
    contract_reopen(t);
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
    contract_append(t, "s1", records, 4);
    assert_int_equal(append(t, "s1", records, 4, &done, NULL, NULL), OK);
    assert_int_equal(done.added, 0);
    assert_int_equal(done.first_position, 0);
    assert_int_equal(done.last.sequence, 4);
    assert_int_equal(append(t, "s1", records + 2, 4, &done, NULL, NULL), OK);
    assert_int_equal(done.added, 2);
    assert_int_equal(done.first_position, 5);
    assert_int_equal(done.last_position, 6);
    assert_int_equal(contract_count(t, (struct store_audit_filter){.text = "select"}), 6);
    assert_int_equal(contract_count(t, (struct store_audit_filter){0}), 6);
    struct store_session session;
    assert_int_equal(store_session_get(t->store, "x", t->arena, &session), OK);
    assert_int_equal(session.operations, 6);
}

static void test_a_record_twice_in_a_batch_is_one(void **state)
{
    struct test *t = *state;
    struct store_audit_record records[4];
    struct store_audit_appended done;
    uint64_t refused = 0;
    for (uint64_t i = 0; i < 4; i++) {
        records[i] = records_make(1, i + 1, STORE_INTENT, "x");
    }
    contract_append(t, "s1", records, 1);
    const struct store_audit_record twice[] = {records[0], records[1], records[1],
                                               records[2], records[1], records[3]};
    struct store_audit_record other[] = {records[1], records[2], records[1]};
    other[2].hash[7] ^= 1;
    assert_int_equal(append(t, "s1", other, 3, &done, &refused, NULL), ERR_EXISTS);
    assert_int_equal(refused, 2);
    assert_int_equal(contract_count(t, (struct store_audit_filter){0}), 1);
    assert_int_equal(append(t, "s1", twice, 6, &done, NULL, NULL), OK);
    assert_int_equal(done.added, 3);
    assert_int_equal(done.last.sequence, 4);
    assert_int_equal(contract_count(t, (struct store_audit_filter){0}), 4);
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
    contract_append(t, "s1", records, 3);
    records[1].hash[7] ^= 1;
    assert_int_equal(append(t, "s1", records, 4, &done, &refused, &why), ERR_EXISTS);
    assert_int_equal(refused, 2);
    assert_non_null(strstr(why.text, "record 2"));
    assert_int_equal(contract_count(t, (struct store_audit_filter){0}), 3);
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
    assert_int_equal(contract_count(t, (struct store_audit_filter){0}), 0);
    struct store_session session; /* nothing of it is left in the index either */
    assert_int_equal(store_session_get(t->store, "x", t->arena, &session), ERR_NOT_FOUND);
    records[2].previous[0] ^= 1;
    contract_append(t, "s1", records, 4);
    assert_int_equal(contract_count(t, (struct store_audit_filter){.session = "x"}), 4);
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
    contract_append(t, "s1", a, 3);
    contract_append(t, "s2", b, 2); /* arrives late, is found in its time */
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

/* Many streams whose clocks stand at the same nanosecond. */
static void test_any_number_of_records_may_have_the_same_time(void **state)
{
    enum { STREAMS = 300 };
    struct test *t = *state;
    for (uint64_t stream = 1; stream <= STREAMS; stream++) {
        char sidecar[16];
        struct store_audit_record record = records_make(stream, 1, STORE_HEARTBEAT, "");
        (void)snprintf(sidecar, sizeof(sidecar), "s%d", (int)stream);
        contract_append(t, sidecar, &record, 1);
    }
    /* They stay where they belong, within a few microseconds. */
    const int64_t time_ns = records_make(1, 1, STORE_HEARTBEAT, "").index.time_ns;
    assert_int_equal(contract_count(t, (struct store_audit_filter){.since_ns = time_ns,
                                                                   .until_ns = time_ns + 100000}),
                     STREAMS);
}

/* ---- many threads ---- */

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

int contract_append_run(const struct store_contract *contract)
{
    const struct CMUnitTest tests[] = {
        CONTRACT_TEST(test_records_are_kept_to_the_byte_and_resumed),
        CONTRACT_TEST(test_duplicates_are_passed_over),
        CONTRACT_TEST(test_a_record_twice_in_a_batch_is_one),
        CONTRACT_TEST(test_a_rewritten_stream_is_refused_whole),
        CONTRACT_TEST(test_a_gap_and_a_broken_chain_are_refused_whole),
        CONTRACT_TEST(test_wrong_arguments_are_refused),
        CONTRACT_TEST(test_the_order_is_that_of_time_but_never_against_the_stream),
        CONTRACT_TEST(test_any_number_of_records_may_have_the_same_time),
        CONTRACT_TEST(test_readers_see_whole_batches_while_others_write),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
