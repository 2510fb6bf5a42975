/* Large records: with blobs in memory that can be taken away, changed, and out of reach. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>
#include <pthread.h>

#include "controlplane/blobs/backend.h"
#include "controlplane/store/contract.h"

enum { FAKE_MAX = 64, THRESHOLD = 1000, LARGE = 5000 };

struct fake {
    struct blobs blobs;
    pthread_mutex_t mutex;
    struct {
        uint8_t name[BLOBS_NAME_SIZE];
        uint8_t *data; /* NULL: free */
        size_t size;
    } items[FAKE_MAX];
    size_t puts;
    enum err fails; /* with this, on put and delete */
};

static struct fake *fake_of(struct blobs *blobs)
{
    return (struct fake *)blobs;
}

static size_t fake_find(const struct fake *f, const uint8_t *name)
{
    size_t at = 0;
    while (at < FAKE_MAX &&
           (f->items[at].data == NULL || memcmp(f->items[at].name, name, BLOBS_NAME_SIZE) != 0)) {
        at++;
    }
    return at;
}

static enum err fake_put(struct blobs *blobs, const uint8_t name[BLOBS_NAME_SIZE],
                         struct bytes content, struct err_text *why)
{
    struct fake *f = fake_of(blobs);
    size_t at = 0;
    (void)why;
    (void)pthread_mutex_lock(&f->mutex);
    enum err e = f->fails;
    while (e == OK && at < FAKE_MAX && f->items[at].data != NULL) {
        at++;
    }
    if (e == OK && at < FAKE_MAX) {
        f->items[at].data = malloc(content.size);
        f->items[at].size = content.size;
        memcpy(f->items[at].data, content.data, content.size);
        memcpy(f->items[at].name, name, BLOBS_NAME_SIZE);
        f->puts++;
    }
    (void)pthread_mutex_unlock(&f->mutex);
    return at == FAKE_MAX ? ERR_FULL : e;
}

static enum err fake_get(struct blobs *blobs, const uint8_t name[BLOBS_NAME_SIZE],
                         struct buffer *out, struct err_text *why)
{
    struct fake *f = fake_of(blobs);
    (void)why;
    (void)pthread_mutex_lock(&f->mutex);
    size_t at = fake_find(f, name);
    enum err e = at == FAKE_MAX
                     ? ERR_NOT_FOUND
                     : buffer_append(out, bytes_of(f->items[at].data, f->items[at].size));
    (void)pthread_mutex_unlock(&f->mutex);
    return e;
}

static enum err fake_remove(struct blobs *blobs, const uint8_t name[BLOBS_NAME_SIZE],
                            struct err_text *why)
{
    struct fake *f = fake_of(blobs);
    (void)why;
    size_t at = fake_find(f, name);
    if (f->fails != OK) {
        return f->fails;
    }
    if (at < FAKE_MAX) {
        free(f->items[at].data);
        f->items[at].data = NULL;
    }
    return OK;
}

static void fake_destroy(struct blobs *blobs)
{
    struct fake *f = fake_of(blobs);
    for (size_t i = 0; i < FAKE_MAX; i++) {
        free(f->items[i].data);
    }
    (void)pthread_mutex_destroy(&f->mutex);
    free(f);
}

static struct fake *fake_use(struct test *t)
{
    static const struct blobs_backend backend = {
        .destroy = fake_destroy, .put = fake_put, .get = fake_get, .remove = fake_remove};
    struct fake *f = calloc(1, sizeof(*f));
    assert_non_null(f);
    f->blobs.backend = &backend;
    (void)pthread_mutex_init(&f->mutex, NULL);
    store_blobs_use(t->store, &f->blobs, THRESHOLD);
    return f;
}

static size_t fake_count(const struct fake *f)
{
    size_t count = 0;
    for (size_t i = 0; i < FAKE_MAX; i++) {
        count += f->items[i].data != NULL ? 1 : 0;
    }
    return count;
}

/* Large records of session A, behind what contract_fill made; other bytes in each. */
static uint8_t large_bytes[16][LARGE];

static void large_make(struct store_audit_record *out, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        memset(large_bytes[i], (int)i + 1, LARGE);
        memcpy(large_bytes[i], "readable words", 14);
        out[i] = records_make(1, CONTRACT_RECORDS + 1 + i, STORE_OUTCOME, "A");
        out[i].canonical = bytes_of(large_bytes[i], LARGE);
    }
}

static enum err append(struct test *t, const struct store_audit_record *records, size_t count,
                       struct store_audit_appended *out)
{
    struct err_text why = {.text = ""};
    return store_audit_append(t->store, "s1", records, count, records_received_ns, out, NULL, &why);
}

static struct fake *with_large(struct test *t, size_t count)
{
    struct store_audit_record records[16];
    contract_fill(t);
    struct fake *f = fake_use(t);
    large_make(records, count);
    contract_append(t, "s1", records, count);
    return f;
}

static void test_a_large_record_is_in_a_blob_and_comes_back(void **state)
{
    struct test *t = *state;
    struct fake *f = with_large(t, 9);
    struct store_audit_entry entry, *items = NULL;
    size_t count = 0;
    bool more = true;
    static const struct store_audit_filter all = {.session = "A"};
    assert_int_equal(fake_count(f), 9);
    for (size_t i = 0; i < FAKE_MAX; i++) {
        if (f->items[i].data != NULL) {
            assert_true(f->items[i].size < LARGE / 2); /* compressed */
            assert_null(memmem(f->items[i].data, f->items[i].size, "readable", 8));
        }
    }
    for (size_t i = 0; i < 9; i++) {
        assert_int_equal(store_audit_at(t->store, CONTRACT_RECORDS + 1 + i, t->arena, &entry), OK);
        assert_true(bytes_equal(entry.canonical, bytes_of(large_bytes[i], LARGE)));
        assert_false(entry.is_in_blob);
        assert_false(entry.is_erased);
    }
    assert_int_equal(store_audit_page(t->store, &all, INT64_MIN, 100, SIZE_MAX, t->arena, &items,
                                      &count, &more, NULL),
                     OK);
    assert_false(more);
    assert_true(bytes_equal(items[count - 1].canonical, bytes_of(large_bytes[8], LARGE)));
}

/* A page is as large as it may be, counted in what it gives and not in what refers to it. */
static void test_pages_end_where_they_should(void **state)
{
    struct test *t = *state;
    (void)with_large(t, 9);
    static const struct store_audit_filter large = {.kinds = UINT32_C(1) << STORE_OUTCOME};
    struct store_audit_entry *items = NULL;
    size_t count = 0, pages = 0, total = 0;
    int64_t from = INT64_MIN;
    uint64_t after = 0;
    for (bool more = true; more; pages++, total += count) {
        assert_int_equal(store_audit_page(t->store, &large, from, 100, 2 * LARGE, t->arena, &items,
                                          &count, &more, NULL),
                         OK);
        assert_true(count == 2 || (count == 1 && !more));
        from = items[count - 1].key + 1;
    }
    assert_int_equal(total, 9);
    assert_int_equal(pages, 5);
    total = 0;
    for (bool more = true; more; total += count) {
        assert_int_equal(store_audit_follow(t->store, &large, after, 100, 2 * LARGE, t->arena,
                                            &items, &count, &after, &more, NULL),
                         OK);
        assert_true(count <= 2);
    }
    assert_int_equal(total, 9);
}

static void test_small_records_stay(void **state)
{
    struct test *t = *state;
    struct store_audit_record r = records_make(1, CONTRACT_RECORDS + 1, STORE_INTENT, "A");
    contract_fill(t);
    struct fake *f = fake_use(t);
    large_make(&r, 1);
    r.canonical.size = THRESHOLD;
    contract_append(t, "s1", &r, 1);
    r = records_make(1, CONTRACT_RECORDS + 2, STORE_HEARTBEAT, "");
    r.canonical = bytes_of(large_bytes[0], LARGE); /* of no session: there is no key for it */
    contract_append(t, "s1", &r, 1);
    assert_int_equal(f->puts, 0);
}

static void test_a_blob_that_is_missing_or_changed_is_said(void **state)
{
    struct test *t = *state;
    struct fake *f = with_large(t, 1);
    struct store_audit_entry entry, *items = NULL;
    static const struct store_audit_filter large = {.kinds = UINT32_C(1) << STORE_OUTCOME};
    struct err_text why = {.text = ""};
    size_t count = 0, at = 0;
    bool more = false;
    while (f->items[at].data == NULL) {
        at++;
    }
    f->items[at].data[f->items[at].size / 2] ^= 1;
    assert_int_equal(store_audit_page(t->store, &large, INT64_MIN, 9, SIZE_MAX, t->arena, &items,
                                      &count, &more, &why),
                     ERR_IO);
    assert_non_null(strstr(why.text, "position 10"));
    f->items[at].data[f->items[at].size / 2] ^= 1;
    f->items[at].size--;
    assert_int_equal(store_audit_at(t->store, CONTRACT_RECORDS + 1, t->arena, &entry), ERR_IO);
    f->items[at].size++;
    assert_int_equal(store_audit_at(t->store, CONTRACT_RECORDS + 1, t->arena, &entry), OK);
    assert_int_equal(fake_remove(&f->blobs, f->items[at].name, NULL), OK);
    assert_int_equal(store_audit_page(t->store, &large, INT64_MIN, 9, SIZE_MAX, t->arena, &items,
                                      &count, &more, &why),
                     ERR_IO);
    assert_non_null(strstr(why.text, "position 10"));
}

/* The other blob is whole and its name is right; it is another record's all the same. */
static void test_blobs_cannot_be_exchanged(void **state)
{
    struct test *t = *state;
    struct fake *f = with_large(t, 2);
    struct store_audit_entry entry;
    uint8_t *data = f->items[0].data;
    size_t size = f->items[0].size;
    assert_non_null(f->items[1].data);
    f->items[0].data = f->items[1].data;
    f->items[0].size = f->items[1].size;
    f->items[1].data = data;
    f->items[1].size = size;
    assert_int_equal(store_audit_at(t->store, CONTRACT_RECORDS + 1, t->arena, &entry), ERR_IO);
    assert_int_equal(store_audit_at(t->store, CONTRACT_RECORDS + 2, t->arena, &entry), ERR_IO);
}

static void test_nothing_is_taken_without_its_blob(void **state)
{
    struct test *t = *state;
    struct store_audit_record records[2];
    struct store_audit_appended done;
    struct store_audit_last last;
    size_t swept = 0;
    contract_fill(t);
    struct fake *f = fake_use(t);
    large_make(records, 2);
    f->fails = ERR_UNAVAILABLE;
    assert_int_equal(append(t, records, 2, &done), ERR_UNAVAILABLE);
    f->fails = ERR_FULL;
    assert_int_equal(append(t, records, 2, &done), ERR_FULL);
    assert_int_equal(store_audit_last(t->store, "s1", &last), OK);
    assert_int_equal(last.sequence, CONTRACT_RECORDS);
    f->fails = OK;
    assert_int_equal(append(t, records, 2, &done), OK);
    assert_int_equal(done.added, 2);
    assert_int_equal(store_blobs_sweep(t->store, 0, 100, &swept, NULL), OK);
    assert_int_equal(swept, 4); /* those that were tried */
    assert_int_equal(fake_count(f), 2);
}

/* What is sent again because the answer was lost needs no blob again. */
static void test_what_is_known_is_not_put_again(void **state)
{
    struct test *t = *state;
    struct fake *f = with_large(t, 2);
    struct store_audit_record records[3];
    struct store_audit_appended done;
    large_make(records, 3);
    assert_int_equal(append(t, records, 3, &done), OK);
    assert_int_equal(done.added, 1);
    assert_int_equal(f->puts, 3);
}

/* The process ended between the blob and its row: the name waits, and goes when its time is over.
 * What a row names never does. */
static void test_what_no_row_names_is_swept(void **state)
{
    struct test *t = *state;
    struct fake *f = with_large(t, 2);
    struct store_audit_record records[3];
    struct store_audit_appended done;
    struct store_audit_entry entry;
    size_t swept = 0;
    large_make(records, 3);
    records[2].sequence++; /* a gap: the row is refused, with its blob put before it */
    assert_int_equal(append(t, &records[2], 1, &done), ERR_INVALID);
    assert_int_equal(fake_count(f), 3);
    f->fails = ERR_UNAVAILABLE;
    assert_int_equal(store_blobs_sweep(t->store, INT64_MAX, 100, &swept, NULL), ERR_UNAVAILABLE);
    assert_int_equal(swept, 0);
    f->fails = OK;
    assert_int_equal(store_blobs_sweep(t->store, INT64_MAX, 100, &swept, NULL), OK);
    assert_int_equal(swept, 1);
    assert_int_equal(store_blobs_sweep(t->store, INT64_MAX, 100, &swept, NULL), OK);
    assert_int_equal(swept, 0);
    assert_int_equal(fake_count(f), 2);
    assert_int_equal(store_audit_at(t->store, CONTRACT_RECORDS + 2, t->arena, &entry), OK);
}

static void test_blobs_go_with_their_session(void **state)
{
    struct test *t = *state;
    struct fake *f = with_large(t, 2);
    struct store_audit_entry entry;
    const char **sessions = NULL;
    size_t count = 0;
    const struct store_erase what = {
        .resource = "db1", .closed_before_ns = records_received_ns, .max = 10};
    assert_int_equal(
        store_audit_erase(t->store, &what, records_received_ns, t->arena, &sessions, &count), OK);
    assert_int_equal(count, 1);
    assert_int_equal(fake_count(f), 0);
    assert_int_equal(store_audit_at(t->store, CONTRACT_RECORDS + 2, t->arena, &entry), OK);
    assert_true(entry.is_erased);
    assert_int_equal(entry.canonical.size, 0);
}

/* Erased while the place of blobs is away: they go later. */
static void test_blobs_that_cannot_be_deleted_go_later(void **state)
{
    struct test *t = *state;
    struct fake *f = with_large(t, 2);
    const char **sessions = NULL;
    size_t count = 0;
    const struct store_erase what = {
        .resource = "db1", .closed_before_ns = records_received_ns, .max = 10};
    f->fails = ERR_UNAVAILABLE;
    assert_int_equal(
        store_audit_erase(t->store, &what, records_received_ns, t->arena, &sessions, &count), OK);
    assert_int_equal(count, 1);
    assert_int_equal(fake_count(f), 2);
    f->fails = OK;
    assert_int_equal(store_blobs_sweep(t->store, 0, 100, &count, NULL), OK);
    assert_int_equal(count, 2);
    assert_int_equal(fake_count(f), 0);
}

static void test_without_blobs_it_is_said(void **state)
{
    struct test *t = *state;
    struct store_audit_entry entry;
    size_t swept = 1;
    (void)with_large(t, 1);
    contract_reopen(t); /* without them */
    assert_int_equal(store_audit_at(t->store, 1, t->arena, &entry), OK);
    assert_int_equal(store_audit_at(t->store, CONTRACT_RECORDS + 1, t->arena, &entry), ERR_IO);
    assert_int_equal(store_blobs_sweep(t->store, 0, 100, &swept, NULL), OK);
    assert_int_equal(swept, 0);
}

int contract_blobs_run(const struct store_contract *contract)
{
    const struct CMUnitTest tests[] = {
        CONTRACT_TEST(test_a_large_record_is_in_a_blob_and_comes_back),
        CONTRACT_TEST(test_pages_end_where_they_should),
        CONTRACT_TEST(test_small_records_stay),
        CONTRACT_TEST(test_a_blob_that_is_missing_or_changed_is_said),
        CONTRACT_TEST(test_blobs_cannot_be_exchanged),
        CONTRACT_TEST(test_nothing_is_taken_without_its_blob),
        CONTRACT_TEST(test_what_is_known_is_not_put_again),
        CONTRACT_TEST(test_what_no_row_names_is_swept),
        CONTRACT_TEST(test_blobs_go_with_their_session),
        CONTRACT_TEST(test_blobs_that_cannot_be_deleted_go_later),
        CONTRACT_TEST(test_without_blobs_it_is_said),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
