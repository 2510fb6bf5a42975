#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/testing/scratch.h"
#include "controlplane/retention/retention.h"

static const int64_t day_ns = INT64_C(86400) * 1000000000;
static const int64_t start_ns = INT64_C(1700000000000000000);

struct test {
    char directory[SCRATCH_SIZE];
    struct store *store;
    struct journal *journal;
    struct arena *arena;
    int64_t now_ns;
    int64_t received_ns; /* 0: soon after its time */
    uint64_t sequence;
    uint8_t last[STORE_HASH_SIZE];
};

static int64_t now(void *context)
{
    return ((struct test *)context)->now_ns;
}

static struct clock clock_of(struct test *t)
{
    return (struct clock){.wall_ns = now, .monotonic_ns = now, .context = t};
}

static int setup(void **state)
{
    struct test *t = calloc(1, sizeof(*t));
    char path[SCRATCH_SIZE + 16];
    assert_non_null(t);
    t->now_ns = start_ns + 100 * day_ns;
    scratch_create(t->directory);
    (void)snprintf(path, sizeof(path), "%s/a.db", t->directory);
    assert_int_equal(store_open_sqlite(path, NULL, &t->store, NULL), OK);
    const struct journal_options journal = {.store = t->store, .clock = clock_of(t)};
    t->journal = journal_create(&journal);
    t->arena = arena_create(4096, 1 << 20);
    assert_non_null(t->journal);
    assert_non_null(t->arena);
    *state = t;
    return 0;
}

static int teardown(void **state)
{
    struct test *t = *state;
    arena_destroy(t->arena);
    journal_destroy(t->journal);
    store_close(t->store);
    scratch_remove(t->directory);
    free(t);
    return 0;
}

static void record_add(struct test *t, const char *session, enum store_audit_kind kind,
                       const char *resource, int64_t time_ns)
{
    const struct store_audit_opened opened = {.identity = bytes_of_string("agent"),
                                              .resource = bytes_of_string(resource)};
    struct store_audit_appended done;
    struct store_audit_record r = {.sequence = ++t->sequence,
                                   .canonical = bytes_of_string("content"),
                                   .index = {.kind = kind,
                                             .time_ns = time_ns,
                                             .session = bytes_of_string(session),
                                             .opened = &opened}};
    memcpy(r.previous, t->last, STORE_HASH_SIZE);
    memcpy(r.hash, &t->sequence, sizeof(t->sequence));
    r.hash[31] = 9;
    memcpy(t->last, r.hash, STORE_HASH_SIZE);
    int64_t received_ns = t->received_ns == 0 ? time_ns + 1000 : t->received_ns;
    assert_int_equal(store_audit_append(t->store, "s1", &r, 1, received_ns, &done, NULL, NULL), OK);
}

/* A session that was opened and closed some days after the start. */
static void session_add(struct test *t, const char *session, const char *resource, int day)
{
    record_add(t, session, STORE_SESSION_OPENED, resource, start_ns + day * day_ns);
    record_add(t, session, STORE_SESSION_CLOSED, resource, start_ns + day * day_ns + 1000);
}

static struct config *configure(const char *rules)
{
    char text[512];
    struct config *config = NULL;
    int size = snprintf(text, sizeof(text), "data: /x\nretention: %s\n", rules);
    assert_int_equal(config_load_text("/x/c.yaml", bytes_of(text, (size_t)size), &config, NULL),
                     OK);
    return config;
}

static enum err run(struct test *t, struct journal *journal, const char *rules, size_t *out_erased)
{
    struct err_text why;
    struct config *config = configure(rules);
    const struct retention_options options = {
        .store = t->store, .journal = journal, .clock = clock_of(t), .log = NULL};
    enum err err = retention_run(&options, config, out_erased, &why);
    config_release(config);
    return err;
}

static bool is_erased(struct test *t, const char *session)
{
    const struct store_audit_filter filter = {.session = session};
    struct store_audit_entry *items = NULL;
    size_t count = 0;
    bool more = false;
    assert_int_equal(store_audit_page(t->store, &filter, INT64_MIN, 10, SIZE_MAX, t->arena, &items,
                                      &count, &more, NULL),
                     OK);
    assert_int_equal(count, 2);
    assert_true(items[0].is_erased == items[1].is_erased);
    return items[0].is_erased;
}

/* The n-th newest action of the journal, unpacked; free it. */
static Chaperone__V1__Record *newest_action(struct test *t, size_t n)
{
    const struct store_audit_filter filter = {.kinds = store_kind_bit(STORE_ACTION)};
    struct store_audit_entry *items = NULL;
    size_t count = 0;
    bool more = false;
    assert_int_equal(store_audit_page(t->store, &filter, INT64_MIN, 100, SIZE_MAX, t->arena, &items,
                                      &count, &more, NULL),
                     OK);
    assert_true(count >= n);
    struct bytes packed = items[count - n].canonical;
    Chaperone__V1__Record *r = chaperone__v1__record__unpack(NULL, packed.size, packed.data);
    assert_non_null(r);
    return r;
}

static void test_the_first_rule_that_matches_counts(void **state)
{
    (void)state;
    struct config *config = configure("[{resource: 'prod-*', keep: 30d}, {resource: prod-x, "
                                      "keep: 1d}, {resource: 'dev', keep: 2d}]");
    assert_int_equal(retention_keep(config, "prod-x"), 30 * day_ns);
    assert_int_equal(retention_keep(config, "dev"), 2 * day_ns);
    assert_int_equal(retention_keep(config, "devel"), 0);
    assert_int_equal(retention_keep(config, "PROD-x"), 0);
    config_release(config);
}

static void test_what_was_kept_long_enough_is_erased(void **state)
{
    struct test *t = *state;
    size_t erased = 99;
    session_add(t, "old", "db1", 1);
    session_add(t, "young", "db1", 95);
    session_add(t, "other", "db2", 1);
    record_add(t, "open", STORE_SESSION_OPENED, "db1", start_ns);
    assert_int_equal(run(t, t->journal, "[{resource: db1, keep: 10d}]", &erased), OK);
    assert_int_equal(erased, 1);
    assert_true(is_erased(t, "old"));
    assert_false(is_erased(t, "young"));
    assert_false(is_erased(t, "other"));
    Chaperone__V1__Record *r = newest_action(t, 1);
    assert_string_equal(r->action->action, "erase");
    assert_string_equal(r->action->object, "resource db1");
    assert_string_equal(r->action->reason, "retention: kept for 10 days");
    assert_int_equal(r->action->n_sessions, 1);
    assert_string_equal(r->action->sessions[0], "old");
    chaperone__v1__record__free_unpacked(r, NULL);
    /* Once is enough, and it is recorded once. */
    uint64_t before = 0, after = 0;
    assert_int_equal(store_audit_count(t->store, &before), OK);
    assert_int_equal(run(t, t->journal, "[{resource: db1, keep: 10d}]", &erased), OK);
    assert_int_equal(erased, 0);
    assert_int_equal(store_audit_count(t->store, &after), OK);
    assert_int_equal(before, after);
}

/* A sidecar whose clock stands in the past: what it sends today is not old. */
static void test_what_arrived_late_is_kept_from_then_on(void **state)
{
    struct test *t = *state;
    size_t erased = 99;
    session_add(t, "old", "db1", 1);
    t->received_ns = t->now_ns - day_ns;
    session_add(t, "late", "db1", 2);
    assert_int_equal(run(t, t->journal, "[{resource: db1, keep: 10d}]", &erased), OK);
    assert_int_equal(erased, 1);
    assert_true(is_erased(t, "old"));
    assert_false(is_erased(t, "late"));
    t->now_ns += 10 * day_ns;
    assert_int_equal(run(t, t->journal, "[{resource: db1, keep: 10d}]", &erased), OK);
    assert_int_equal(erased, 1);
    assert_true(is_erased(t, "late"));
}

static void test_without_a_rule_nothing_is_erased(void **state)
{
    struct test *t = *state;
    size_t erased = 99;
    session_add(t, "old", "db1", 1);
    assert_int_equal(run(t, t->journal, "[]", &erased), OK);
    assert_int_equal(run(t, t->journal, "[{resource: db, keep: 1d}]", &erased), OK);
    assert_int_equal(erased, 0);
    assert_false(is_erased(t, "old"));
}

static void test_a_legal_hold_keeps(void **state)
{
    struct test *t = *state;
    size_t erased = 99;
    const struct store_legal_hold hold = {.id = "h",
                                          .resource = "",
                                          .identity = "agent",
                                          .session = "",
                                          .reason = "",
                                          .created_by = "ann",
                                          .created_ns = 1};
    session_add(t, "old", "db1", 1);
    assert_int_equal(store_legal_hold_add(t->store, &hold), OK);
    assert_int_equal(run(t, t->journal, "[{resource: '*', keep: 1d}]", &erased), OK);
    assert_int_equal(erased, 0);
    assert_int_equal(store_legal_hold_lift(t->store, "h", "ann", 2), OK);
    assert_int_equal(run(t, t->journal, "[{resource: '*', keep: 1d}]", &erased), OK);
    assert_int_equal(erased, 1);
}

static void test_more_sessions_than_a_record_names(void **state)
{
    enum { SESSIONS = RETENTION_SESSIONS_MAX + 7 };
    struct test *t = *state;
    size_t erased = 0;
    for (int i = 0; i < SESSIONS; i++) {
        char name[16];
        (void)snprintf(name, sizeof(name), "s%d", i);
        session_add(t, name, "db1", 1);
    }
    assert_int_equal(run(t, t->journal, "[{resource: '*', keep: 1d}]", &erased), OK);
    assert_int_equal(erased, SESSIONS);
    Chaperone__V1__Record *last = newest_action(t, 1), *first = newest_action(t, 2);
    assert_int_equal(first->action->n_sessions, RETENTION_SESSIONS_MAX);
    assert_int_equal(last->action->n_sessions, 7);
    chaperone__v1__record__free_unpacked(first, NULL);
    chaperone__v1__record__free_unpacked(last, NULL);
}

/* A journal on a store whose disk is full. */
static void test_what_cannot_be_recorded_is_not_erased(void **state)
{
    struct test *t = *state;
    char path[SCRATCH_SIZE + 16];
    const struct store_sqlite_options none = {.page_count_max = 1};
    struct store *full = NULL;
    size_t erased = 99;
    (void)snprintf(path, sizeof(path), "%s/full.db", t->directory);
    assert_int_equal(store_open_sqlite(path, NULL, &full, NULL), OK);
    store_close(full);
    assert_int_equal(store_open_sqlite(path, &none, &full, NULL), OK);
    const struct journal_options options = {.store = full, .clock = clock_of(t)};
    struct journal *journal = journal_create(&options);
    session_add(t, "old", "db1", 1);
    enum err err = OK;
    /* Until no page has room for a record any more. */
    for (int i = 0; i < 1000 && err == OK; i++) {
        static char noise[2000];
        Chaperone__V1__Action action = CHAPERONE__V1__ACTION__INIT;
        memset(noise, 'x', sizeof(noise) - 1);
        action.action = noise;
        const struct journal_entry entry = {.action = &action};
        err = journal_append(journal, &entry, NULL);
    }
    assert_int_equal(err, ERR_FULL);
    while (err == ERR_FULL) {
        static char little[] = "x";
        Chaperone__V1__Action action = CHAPERONE__V1__ACTION__INIT;
        action.action = little;
        const struct journal_entry entry = {.action = &action};
        if (journal_append(journal, &entry, NULL) != OK) {
            break;
        }
    }
    assert_int_equal(run(t, journal, "[{resource: '*', keep: 1d}]", &erased), ERR_FULL);
    assert_int_equal(erased, 0);
    assert_false(is_erased(t, "old"));
    journal_destroy(journal);
    store_close(full);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_first_rule_that_matches_counts),
        TEST(test_what_was_kept_long_enough_is_erased),
        TEST(test_what_arrived_late_is_kept_from_then_on),
        TEST(test_without_a_rule_nothing_is_erased),
        TEST(test_a_legal_hold_keeps),
        TEST(test_more_sessions_than_a_record_names),
        TEST(test_what_cannot_be_recorded_is_not_erased),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
