/* What only a database that others use as well can suffer: another control plane beside this one,
 * another program's tables. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <time.h>

#include <cmocka.h>

#include "controlplane/store/postgres/pair_fixture.h"

/* ---- what is not ours ---- */

static void refuse(struct pair *t, const char *sentence)
{
    struct store *store = NULL;
    struct err_text why = {.text = ""};
    assert_int_equal(pair_try_open(t->server, NULL, &store, &why), ERR_INVALID);
    assert_null(store);
    if (strstr(why.text, sentence) == NULL) {
        print_error("\"%s\" is not in \"%s\"\n", sentence, why.text);
    }
    assert_non_null(strstr(why.text, sentence));
}

static void test_a_newer_schema_is_refused(void **state)
{
    struct pair *t = *state;
    test_server_sql(t->server, "INSERT INTO chaperone.schema_version VALUES (99, 0)");
    refuse(t, "newer version of this program");
}

static void test_a_database_of_another_program_is_left_alone(void **state)
{
    struct pair *t = *state;
    struct store *store = NULL;
    struct err_text why = {.text = ""};
    pair_close(t);
    test_server_sql(t->server, "DROP SCHEMA chaperone CASCADE; CREATE TABLE recipe (name text)");
    refuse(t, "another program");
    test_server_sql(t->server, "DROP TABLE recipe; CREATE SCHEMA chaperone");
    refuse(t, "another program");
    test_server_sql(t->server, "DROP SCHEMA chaperone");
    assert_int_equal(store_open_postgres("host=/nonexistent dbname=x", NULL, &store, &why),
                     ERR_UNAVAILABLE);
    assert_non_null(strstr(why.text, "cannot be reached"));
    assert_int_equal(store_open_postgres("postgresql://u:se/cr%zzet@h/d", NULL, &store, &why),
                     ERR_INVALID);
    assert_null(strstr(why.text, "zzet"));
    store_close(pair_open(t->server));
}

static void test_another_master_is_refused(void **state)
{
    struct pair *t = *state;
    static const uint8_t one[32] = {1}, other[32] = {2};
    struct store_postgres_options options = {.content_master = bytes_of(one, 32)};
    struct store *store = NULL;
    struct store_audit_appended done;
    struct err_text why = {.text = ""};
    store_close(t->a);
    t->a = NULL;
    assert_int_equal(pair_try_open(t->server, &options, &t->a, &why), OK);
    assert_int_equal(statements_append_batch(t->a, 1, 1, 1, &done), OK);
    options.content_master = bytes_of(other, 32);
    assert_int_equal(pair_try_open(t->server, &options, &store, &why), ERR_INVALID);
    assert_non_null(strstr(why.text, "another key"));
    options.content_master = bytes_of(one, 7);
    assert_int_equal(pair_try_open(t->server, &options, &store, &why), ERR_INVALID);
}

/* Nothing depends on what the database takes for text. */
static void test_the_encoding_does_not_matter(void **state)
{
    struct pair *t = *state;
    struct store_audit_entry *items = NULL;
    struct store_audit_appended done;
    struct store_audit_record r = records_make(1, 1, STORE_INTENT, "x\xff\xfe");
    const struct store_audit_filter filter = {.text = "gr\xc3\xbc\xc3\x9f*"};
    size_t count = 0;
    bool more = false;
    pair_close(t);
    test_server_drop_database(t->server);
    test_server_create_database(t->server, "ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0");
    t->a = pair_open(t->server);
    t->b = pair_open(t->server);
    r.index.text = bytes_of("GR\xc3\x9c\xc3\x9f"
                            "E \xff\0\x80 end",
                            15);
    assert_int_equal(
        store_audit_append(t->a, "s\xe9", &r, 1, records_received_ns, &done, NULL, NULL), OK);
    assert_int_equal(store_audit_page(t->b, &filter, INT64_MIN, 10, SIZE_MAX, t->arena, &items,
                                      &count, &more, NULL),
                     OK);
    assert_int_equal(count, 1);
    assert_string_equal(items[0].sidecar, "s\xe9");
    assert_string_equal(items[0].session, "x\xff\xfe");
}

/* ---- two control planes ---- */

static void test_two_append_at_once_without_a_gap(void **state)
{
    struct pair *t = *state;
    struct pair_worker workers[8];
    for (size_t i = 0; i < 8; i++) {
        workers[i] =
            (struct pair_worker){.store = i % 2 == 0 ? t->a : t->b, .stream = i + 1, .batches = 40};
    }
    pair_workers_start(workers, 8);
    pair_workers_join(workers, 8);
    pair_log_check(t, t->a, 8 * 40 * 10);
}

/* A sidecar that was given up by one and taken over by the other: both have the same batches. */
static void test_one_stream_that_comes_by_two_is_there_once(void **state)
{
    struct pair *t = *state;
    struct pair_worker workers[] = {{.store = t->a, .stream = 1, .batches = 60},
                                    {.store = t->b, .stream = 1, .batches = 60},
                                    {.store = t->a, .stream = 1, .batches = 60},
                                    {.store = t->b, .stream = 2, .batches = 60}};
    pair_workers_start(workers, 4);
    pair_workers_join(workers, 4);
    pair_log_check(t, t->b, 2 * 60 * 10);
}

static void test_what_one_says_of_a_session_the_other_goes_on_with(void **state)
{
    struct pair *t = *state;
    struct store_audit_opened alice = {.identity = bytes_of_string("alice")};
    struct store_audit_record r[4];
    struct store_audit_appended done;
    struct store_session session;
    struct store_audit_entry e;
    for (uint64_t i = 0; i < 4; i++) {
        r[i] = records_make(1, i + 1, i == 1 ? STORE_SESSION_OPENED : STORE_INTENT, "A");
    }
    r[1].index.opened = &alice;
    for (size_t i = 0; i < 4; i++) { /* its first record does not say whose it is */
        assert_int_equal(store_audit_append(i % 2 == 0 ? t->a : t->b, "s1", &r[i], 1,
                                            records_received_ns, &done, NULL, NULL),
                         OK);
    }
    assert_int_equal(store_audit_at(t->a, 3, t->arena, &e), OK);
    assert_string_equal(e.identity, "alice");
    assert_int_equal(store_session_get(t->a, "A", t->arena, &session), OK);
    assert_int_equal(session.operations, 3);
}

static void test_a_batch_that_is_refused_takes_no_other_with_it(void **state)
{
    struct pair *t = *state;
    struct pair_worker workers[6];
    struct store_audit_appended done;
    for (size_t i = 0; i < 6; i++) {
        workers[i] = (struct pair_worker){.store = t->a, .stream = i + 1, .batches = 30};
    }
    pair_workers_start(workers, 6);
    for (size_t i = 0; i < 60; i++) { /* gaps, all the time */
        assert_int_equal(statements_append_batch(t->a, 7, 5, 3, &done), ERR_INVALID);
    }
    pair_workers_join(workers, 6);
    pair_log_check(t, t->a, 6 * 30 * 10);
}

/* ---- duties and news ---- */

static void test_a_duty_is_one_s_until_it_goes(void **state)
{
    struct pair *t = *state;
    struct store_checkpoint c = {.size = 1, .time_ns = 1, .note = bytes_of_string("one")}, out;
    assert_int_equal(store_checkpoint_add(t->a, &c), ERR_DENIED);
    assert_true(pair_has(t->a, STORE_DUTY_LOG));
    assert_true(pair_has(t->a, STORE_DUTY_LOG));
    assert_false(pair_has(t->b, STORE_DUTY_LOG));
    assert_true(pair_has(t->b, STORE_DUTY_EXPORT));
    assert_int_equal(store_checkpoint_add(t->b, &c), ERR_DENIED);
    assert_int_equal(store_checkpoint_add(t->a, &c), OK);
    store_close(t->a);
    t->a = NULL;
    assert_true(pair_has_in_time(t->b, STORE_DUTY_LOG));
    c.size = 2;
    assert_int_equal(store_checkpoint_add(t->b, &c), OK);
    assert_int_equal(store_checkpoint_latest(t->b, t->arena, &out), OK);
    assert_int_equal(out.size, 2);
}

/* The lock is gone with its connection: who believes to have it still must not sign. */
static void test_a_lost_duty_is_fenced(void **state)
{
    struct pair *t = *state;
    struct store_checkpoint c = {.size = 1, .time_ns = 1, .note = bytes_of_string("one")};
    assert_true(pair_has(t->a, STORE_DUTY_LOG));
    test_server_sql(t->server, "SELECT pg_terminate_backend(pid, 5000) FROM pg_locks"
                               " WHERE locktype = 'advisory'");
    assert_true(pair_has_in_time(t->b, STORE_DUTY_LOG));
    assert_int_equal(store_checkpoint_add(t->a, &c), ERR_DENIED);
    assert_false(pair_has(t->a, STORE_DUTY_LOG));
    assert_int_equal(store_checkpoint_add(t->a, &c), ERR_DENIED);
    assert_int_equal(store_checkpoint_add(t->b, &c), OK);
}

struct heard {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    unsigned news;
    int calls;
};

static void hear(void *context, unsigned news)
{
    struct heard *h = context;
    (void)pthread_mutex_lock(&h->mutex);
    h->news |= news;
    h->calls++;
    (void)pthread_cond_signal(&h->changed);
    (void)pthread_mutex_unlock(&h->mutex);
}

static void wait_for(struct heard *h, unsigned news)
{
    struct timespec until;
    int result = 0;
    (void)clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += 30;
    (void)pthread_mutex_lock(&h->mutex);
    while ((h->news & news) != news && result == 0) {
        result = pthread_cond_timedwait(&h->changed, &h->mutex, &until);
    }
    assert_int_equal(h->news & news, news);
    h->news = 0;
    (void)pthread_mutex_unlock(&h->mutex);
}

static void test_what_another_does_is_news(void **state)
{
    struct pair *t = *state;
    struct heard h = {.mutex = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};
    struct store_audit_appended done;
    const struct store_block block = {.id = "b", .everything = true, .created_ns = 1};
    const struct store_policy policy = {.revision = 1, .hash = "ab", .document = {0}};
    assert_int_equal(store_news_listen(t->a, hear, &h), OK);
    assert_int_equal(statements_append_batch(t->a, 1, 1, 1, &done), OK); /* its own is none */
    assert_int_equal(statements_append_batch(t->b, 2, 1, 1, &done), OK);
    wait_for(&h, STORE_NEWS_RECORDS);
    assert_int_equal(h.calls, 1);
    assert_int_equal(store_block_add(t->b, &block), OK);
    wait_for(&h, STORE_NEWS_BLOCKS);
    assert_int_equal(store_policy_add(t->b, &policy), OK);
    wait_for(&h, STORE_NEWS_POLICY);
    test_server_sql(t->server, "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
                               " WHERE query = 'LISTEN chaperone'");
    wait_for(&h, STORE_NEWS_ALL); /* it may have missed something */
    assert_int_equal(statements_append_batch(t->b, 2, 2, 1, &done), OK);
    wait_for(&h, STORE_NEWS_RECORDS);
    assert_int_equal(store_news_listen(t->a, NULL, NULL), OK);
}

/* ---- erasing, seen by two ---- */

static void test_a_key_that_was_deleted_is_not_used_again(void **state)
{
    struct pair *t = *state;
    struct store_audit_opened alice = {.resource = bytes_of_string("db1")};
    struct store_audit_record r[3];
    struct store_audit_appended done;
    struct store_audit_entry e;
    const char **sessions = NULL;
    size_t count = 0;
    r[0] = records_make(1, 1, STORE_SESSION_OPENED, "A");
    r[0].index.opened = &alice;
    r[1] = records_make(1, 2, STORE_SESSION_CLOSED, "A");
    r[2] = records_make(1, 3, STORE_INTENT, "A"); /* late */
    assert_int_equal(store_audit_append(t->a, "s1", r, 2, records_received_ns, &done, NULL, NULL),
                     OK);
    const struct store_erase erase = {.resource = "db1", .closed_before_ns = INT64_MAX, .max = 10};
    assert_int_equal(store_audit_erase(t->b, &erase, 7, t->arena, &sessions, &count), OK);
    assert_int_equal(count, 1);
    /* With the next call the old file of the keys is gone, too. */
    const char file[] = "SELECT relfilenode FROM pg_class"
                        " WHERE oid = 'chaperone.audit_content_key'::regclass";
    long long before = test_server_number(t->server, file);
    assert_int_equal(store_audit_erase(t->b, &erase, 7, t->arena, &sessions, &count), OK);
    assert_int_equal(count, 0);
    assert_true(test_server_number(t->server, file) != before);
    before = test_server_number(t->server, file);
    assert_int_equal(store_audit_erase(t->b, &erase, 7, t->arena, &sessions, &count), OK);
    assert_int_equal(test_server_number(t->server, file), before); /* nothing is left to do */
    assert_int_equal(
        store_audit_append(t->a, "s1", r + 2, 1, records_received_ns, &done, NULL, NULL), OK);
    assert_int_equal(store_audit_at(t->b, 1, t->arena, &e), OK);
    assert_true(e.is_erased);
    assert_int_equal(store_audit_at(t->b, 3, t->arena, &e), OK);
    assert_false(e.is_erased);
    assert_true(bytes_equal(e.canonical, r[2].canonical));
}

int main(void)
{
    static struct test_server server;
    test_server_start(&server, false);
    const struct CMUnitTest tests[] = {
        PAIR_TEST(test_a_newer_schema_is_refused, &server),
        PAIR_TEST(test_a_database_of_another_program_is_left_alone, &server),
        PAIR_TEST(test_another_master_is_refused, &server),
        PAIR_TEST(test_the_encoding_does_not_matter, &server),
        PAIR_TEST(test_two_append_at_once_without_a_gap, &server),
        PAIR_TEST(test_one_stream_that_comes_by_two_is_there_once, &server),
        PAIR_TEST(test_what_one_says_of_a_session_the_other_goes_on_with, &server),
        PAIR_TEST(test_a_batch_that_is_refused_takes_no_other_with_it, &server),
        PAIR_TEST(test_a_duty_is_one_s_until_it_goes, &server),
        PAIR_TEST(test_a_lost_duty_is_fenced, &server),
        PAIR_TEST(test_what_another_does_is_news, &server),
        PAIR_TEST(test_a_key_that_was_deleted_is_not_used_again, &server),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    test_server_stop(&server);
    return failed;
}
