/* Searches of a store, against a list of what is in it: streams that arrive late and whose times
 * overlap, sessions that work side by side. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "controlplane/store/store_file.h"
#include "controlplane/store/store_records.h"

enum {
    STREAMS = 3,
    SESSIONS = 5, /* of a stream; the last one has the same id in each */
    PER_STREAM = 1500,
    RECORDS = STREAMS * PER_STREAM,
    WORDS = 12,
};

static const int64_t step_ns = 1000000;

/* What is known of a record: the position is written when it is appended. */
struct known {
    int64_t key;
    uint64_t position;
    int stream, session, verdict, table;
    enum store_audit_kind kind;
    char text[64];
};

struct world {
    struct store_file file;
    struct store *store;
    struct arena *arena;
    struct known records[RECORDS]; /* of stream 0, of stream 1, ... */
    uint64_t positions;
    uint32_t random;
};

/* The same numbers each time (Numerical Recipes' generator). */
static uint32_t next(struct world *w, uint32_t below)
{
    w->random = w->random * 1664525 + 1013904223;
    return (w->random >> 8) % below;
}

static void names_make(const struct known *k, char session[32], char identity[32])
{
    if (k->session == SESSIONS - 1) {
        (void)snprintf(session, 32, "shared");
    } else {
        (void)snprintf(session, 32, "s%d-%d", k->stream, k->session);
    }
    (void)snprintf(identity, 32, "agent-%d", k->session % 3);
}

static void record_choose(struct world *w, struct known *k, size_t n, int64_t time)
{
    *k = (struct known){.key = time, .stream = (int)(n / PER_STREAM), .kind = STORE_INTENT};
    if (n % PER_STREAM < SESSIONS) { /* each session begins with its first record */
        k->session = (int)(n % PER_STREAM);
        k->kind = STORE_SESSION_OPENED;
        return;
    }
    k->session = (int)next(w, SESSIONS);
    k->verdict = next(w, 100) == 0 ? 2 : 1;
    k->table = (int)next(w, 3); /* 0: none */
    (void)snprintf(k->text, sizeof(k->text), "w%d w%d unique%zu w%d", (int)next(w, WORDS),
                   (int)next(w, WORDS), n, (int)next(w, WORDS));
}

static void records_choose(struct world *w)
{
    uint32_t time = 0;
    size_t at[STREAMS] = {0};
    while (time < RECORDS) {
        uint32_t stream = next(w, STREAMS);
        for (uint32_t run = next(w, 40); run > 0 && at[stream] < PER_STREAM; run--) {
            size_t n = stream * PER_STREAM + at[stream]++;
            record_choose(w, &w->records[n], n, records_start_ns + (int64_t)++time * step_ns);
        }
    }
}

static void append(struct world *w, size_t from, size_t count)
{
    enum { COUNT_MAX = 400 };
    static const struct store_audit_table tables[] = {
        {.name = {(const uint8_t *)"orders", 6}, .full = {(const uint8_t *)"public.orders", 13}},
        {.name = {(const uint8_t *)"orders", 6}, .full = {(const uint8_t *)"sales.orders", 12}},
    };
    struct store_audit_record records[COUNT_MAX];
    struct store_audit_opened opened[COUNT_MAX];
    char sidecar[32], sessions[COUNT_MAX][32], identities[COUNT_MAX][32];
    struct store_audit_appended done;
    for (size_t i = 0; i < count; i++) {
        struct known *k = &w->records[from + i];
        names_make(k, sessions[i], identities[i]);
        records[i] = records_make((uint64_t)k->stream + 1, (from + i) % PER_STREAM + 1, k->kind,
                                  sessions[i]);
        records[i].index.time_ns = k->key;
        records[i].index.text = bytes_of_string(k->text);
        records[i].index.verdict = k->verdict;
        records[i].index.tables = &tables[k->table == 0 ? 0 : k->table - 1];
        records[i].index.table_count = k->table == 0 ? 0 : 1;
        opened[i] = (struct store_audit_opened){.identity = bytes_of_string(identities[i]),
                                                .resource = bytes_of_string("db")};
        records[i].index.opened = k->kind == STORE_SESSION_OPENED ? &opened[i] : NULL;
        k->position = ++w->positions;
    }
    (void)snprintf(sidecar, sizeof(sidecar), "sidecar-%zu", from / PER_STREAM);
    assert_int_equal(store_audit_append(w->store, sidecar, records, count, records_received_ns,
                                        &done, NULL, NULL),
                     OK);
    assert_int_equal(done.last_position, w->positions);
}

/* In batches of any size, of any stream. */
static void append_all(struct world *w)
{
    size_t at[STREAMS] = {0};
    for (size_t left = RECORDS; left > 0;) {
        size_t stream = next(w, STREAMS), count = 1 + next(w, 400);
        size_t rest = PER_STREAM - at[stream];
        count = count < rest ? count : rest;
        if (count > 0) {
            append(w, stream * PER_STREAM + at[stream], count);
            at[stream] += count;
            left -= count;
        }
    }
}

static int world_setup(void **state)
{
    struct world *w = calloc(1, sizeof(*w));
    assert_non_null(w);
    store_file_make(&w->file);
    w->store = store_file_open(&w->file, NULL);
    w->arena = arena_create(1 << 16, 64 << 20);
    assert_non_null(w->arena);
    records_choose(w);
    append_all(w);
    *state = w;
    return 0;
}

static int world_teardown(void **state)
{
    struct world *w = *state;
    store_close(w->store);
    assert_int_equal(unlink(w->file.path), 0); /* closed, it has no journal beside it */
    assert_int_equal(rmdir(w->file.directory), 0);
    arena_destroy(w->arena);
    free(w);
    return 0;
}

/* ---- what should be found ---------------------------------------------------------------------
 */

/* A filter, and what a text must have for it, between spaces: up to two runs. */
struct question {
    struct store_audit_filter filter;
    const char *runs[2];
    int table; /* 0: any; else 1 or 2, or 3 for both */
};

static bool is_expected(const struct question *q, const struct known *k)
{
    const struct store_audit_filter *f = &q->filter;
    char session[32], identity[32], text[80];
    names_make(k, session, identity);
    (void)snprintf(text, sizeof(text), " %s ", k->text);
    bool has = (f->identity == NULL || strcmp(f->identity, identity) == 0) &&
               (f->session == NULL || strcmp(f->session, session) == 0) &&
               (f->since_ns == 0 || k->key >= f->since_ns) &&
               (f->until_ns == 0 || k->key <= f->until_ns) &&
               (f->verdict == 0 || k->verdict == f->verdict) &&
               (f->position_max == 0 || k->position <= f->position_max) &&
               (f->kinds == 0 || (f->kinds & store_kind_bit(k->kind)) != 0) &&
               (q->table == 0 || k->table == q->table || (q->table == 3 && k->table != 0));
    for (size_t i = 0; i < 2; i++) {
        has = has && (q->runs[i] == NULL || strstr(text, q->runs[i]) != NULL);
    }
    return has;
}

static int key_compare(const void *a, const void *b)
{
    const struct known *x = *(const struct known *const *)a, *y = *(const struct known *const *)b;
    return (x->key > y->key) - (x->key < y->key);
}

static int position_compare(const void *a, const void *b)
{
    const struct known *x = *(const struct known *const *)a, *y = *(const struct known *const *)b;
    return (x->position > y->position) - (x->position < y->position);
}

static size_t expect(const struct world *w, const struct question *q, const struct known **out,
                     int (*compare)(const void *, const void *))
{
    size_t count = 0;
    for (size_t i = 0; i < RECORDS; i++) {
        if (is_expected(q, &w->records[i])) {
            out[count++] = &w->records[i];
        }
    }
    qsort(out, count, sizeof(*out), compare);
    return count;
}

static void entry_check(const struct store_audit_entry *e, const struct known *k)
{
    char session[32], identity[32];
    names_make(k, session, identity);
    assert_int_equal(e->key, k->key);
    assert_int_equal(e->position, k->position);
    assert_int_equal(e->kind, k->kind);
    assert_string_equal(e->session, session);
    assert_string_equal(e->identity, identity);
    assert_true(bytes_equal(e->canonical, bytes_of("any\0bytes", 9)));
}

static void pages_check(struct world *w, const struct question *q, size_t max, size_t max_bytes)
{
    const struct known *expected[RECORDS];
    size_t count = expect(w, q, expected, key_compare), at = 0;
    int64_t key = INT64_MIN;
    for (bool more = true; more; arena_reset(w->arena)) {
        struct store_audit_entry *items = NULL;
        size_t found = 0;
        assert_int_equal(store_audit_page(w->store, &q->filter, key, max, max_bytes, w->arena,
                                          &items, &found, &more, NULL),
                         OK);
        assert_true(at + found <= count && (found > 0 || count == at));
        for (size_t i = 0; i < found; i++) {
            entry_check(&items[i], expected[at++]);
            key = items[i].key + 1;
        }
        assert_int_equal(more, at < count);
    }
    assert_int_equal(at, count);
}

static void newest_check(struct world *w, const struct question *q, size_t n)
{
    const struct known *expected[RECORDS];
    size_t count = expect(w, q, expected, key_compare);
    int64_t key = 0;
    enum err err = store_audit_nth_newest(w->store, &q->filter, n, &key, NULL);
    assert_int_equal(err, count == 0 ? ERR_NOT_FOUND : OK);
    if (count > 0) {
        assert_int_equal(key, expected[n > count ? 0 : count - n]->key);
    }
}

static void follow_check(struct world *w, const struct question *q, size_t max)
{
    const struct known *expected[RECORDS];
    size_t count = expect(w, q, expected, position_compare), at = 0;
    uint64_t position = 0;
    for (bool more = true; more; arena_reset(w->arena)) {
        struct store_audit_entry *items = NULL;
        size_t found = 0;
        assert_int_equal(store_audit_follow(w->store, &q->filter, position, max, SIZE_MAX, w->arena,
                                            &items, &found, &position, &more, NULL),
                         OK);
        assert_true(at + found <= count);
        for (size_t i = 0; i < found; i++) {
            entry_check(&items[i], expected[at++]);
        }
    }
    assert_int_equal(at, count);
    assert_int_equal(position, RECORDS);
}

/* ---- the questions ----------------------------------------------------------------------------
 */

#define MIDDLE (records_start_ns + RECORDS / 2 * step_ns)

static const struct question questions[] = {
    {.filter = {0}},
    {.filter = {.identity = "agent-1"}},
    {.filter = {.identity = "agent-1", .resource = "db", .since_ns = MIDDLE}},
    {.filter = {.identity = "nobody"}},
    {.filter = {.session = "s1-2"}},
    {.filter = {.session = "shared"}},
    {.filter = {.session = "shared", .text = "w3", .until_ns = MIDDLE}, .runs = {" w3 "}},
    {.filter = {.verdict = 2}},
    {.filter = {.verdict = 2, .identity = "agent-0", .table = "orders"}, .table = 3},
    {.filter = {.verdict = 1, .kinds = UINT32_C(1) << STORE_INTENT}},
    {.filter = {.kinds = UINT32_C(1) << STORE_SESSION_OPENED}},
    {.filter = {.table = "orders"}, .table = 3},
    {.filter = {.table = "sales.orders", .until_ns = MIDDLE}, .table = 2},
    {.filter = {.table = "public.orders", .text = "w7"}, .runs = {" w7 "}, .table = 1},
    {.filter = {.text = "w1 W2"}, .runs = {" w1 ", " w2 "}},
    {.filter = {.text = "\"w1 w2\""}, .runs = {" w1 w2 "}},
    {.filter = {.text = "unique100"}, .runs = {" unique100 "}},
    {.filter = {.text = "w1 elsewhere"}, .runs = {" elsewhere "}},
    /* Beginnings that few words have, many, and so many that they are looked for in the texts. */
    {.filter = {.text = "unique100*"}, .runs = {" unique100"}},
    {.filter = {.text = "unique1* w1"}, .runs = {" unique1", " w1 "}},
    {.filter = {.text = "unique*", .session = "s2-0"}, .runs = {" unique"}},
    {.filter = {.text = "unique2*", .verdict = 2}, .runs = {" unique2"}},
    {.filter = {.text = "u*"}, .runs = {" unique"}},
    {.filter = {.text = "un* w3 w4", .identity = "agent-2"}, .runs = {" w3 ", " w4 "}},
    {.filter = {.text = "u* w1 w2 w3 w4"}, .runs = {" elsewhere "}}, /* a record has three */
    {.filter = {.text = "w5 w6 w7 w8"}, .runs = {" elsewhere "}},
    {.filter = {.text = "w9 \"w10 unique\" w9"}, .runs = {" elsewhere "}},
    {.filter = {.position_max = RECORDS / 3}},
    {.filter = {.position_max = RECORDS / 3, .text = "w0", .since_ns = MIDDLE}, .runs = {" w0 "}},
    {.filter = {.since_ns = MIDDLE, .until_ns = MIDDLE + 20 * step_ns}},
    {.filter = {.since_ns = MIDDLE + 1, .until_ns = MIDDLE + step_ns - 1}},
};

enum { QUESTIONS = sizeof(questions) / sizeof(questions[0]) };

static void test_pages_have_what_matches_in_order(void **state)
{
    for (size_t i = 0; i < QUESTIONS; i++) {
        pages_check(*state, &questions[i], 1000, SIZE_MAX);
        pages_check(*state, &questions[i], 97, SIZE_MAX);
        pages_check(*state, &questions[i], 1000, 500); /* bytes: 56 records */
    }
}

static void test_the_newest_are_counted_from_the_end(void **state)
{
    static const size_t numbers[] = {1, 2, 10, 100, 1000, RECORDS + 1};
    for (size_t i = 0; i < QUESTIONS; i++) {
        for (size_t n = 0; n < sizeof(numbers) / sizeof(numbers[0]); n++) {
            newest_check(*state, &questions[i], numbers[n]);
        }
    }
}

static void test_a_tail_has_what_matches_as_it_arrived(void **state)
{
    for (size_t i = 0; i < QUESTIONS; i++) {
        follow_check(*state, &questions[i], 1000);
        follow_check(*state, &questions[i], 60);
    }
}

static void test_each_position_has_its_record(void **state)
{
    struct world *w = *state;
    struct store_audit_entry entry;
    for (size_t i = 0; i < RECORDS; i += 7) {
        assert_int_equal(store_audit_at(w->store, w->records[i].position, w->arena, &entry), OK);
        entry_check(&entry, &w->records[i]);
        arena_reset(w->arena);
    }
    assert_int_equal(store_audit_at(w->store, RECORDS + 1, w->arena, &entry), ERR_NOT_FOUND);
}

static void test_the_log_has_the_hashes_in_order_of_arrival(void **state)
{
    struct world *w = *state;
    uint8_t hashes[100][STORE_HASH_SIZE], expected[STORE_HASH_SIZE];
    const struct known *records[RECORDS];
    const struct question all = {.filter = {0}};
    size_t count = 0;
    assert_int_equal(expect(w, &all, records, position_compare), RECORDS);
    for (size_t after = 0; after < RECORDS; after += count) {
        assert_int_equal(store_log_read(w->store, after, 100, hashes, &count), OK);
        assert_int_equal(count, RECORDS - after < 100 ? RECORDS - after : 100);
        for (size_t i = 0; i < count; i++) {
            size_t n = (size_t)(records[after + i] - w->records);
            records_hash(n / PER_STREAM + 1, n % PER_STREAM + 1, expected);
            assert_memory_equal(hashes[i], expected, STORE_HASH_SIZE);
        }
    }
    assert_int_equal(store_log_read(w->store, RECORDS, 100, hashes, &count), OK);
    assert_int_equal(count, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pages_have_what_matches_in_order),
        cmocka_unit_test(test_the_newest_are_counted_from_the_end),
        cmocka_unit_test(test_a_tail_has_what_matches_as_it_arrived),
        cmocka_unit_test(test_each_position_has_its_record),
        cmocka_unit_test(test_the_log_has_the_hashes_in_order_of_arrival),
    };
    return cmocka_run_group_tests(tests, world_setup, world_teardown);
}
