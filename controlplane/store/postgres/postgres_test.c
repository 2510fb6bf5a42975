/* What only a database that others use as well can suffer: faults of the server, another control
 * plane beside this one, another program's tables. */
#include "controlplane/store/postgres/postgres.h"

#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "controlplane/store/postgres/test_server.h"
#include "controlplane/store/store_records.h"

struct test {
    struct test_server *server;
    struct store *a, *b; /* two control planes */
    struct arena *arena;
};

static enum err try_open(const struct test_server *server,
                         const struct store_postgres_options *options, struct store **out,
                         struct err_text *why)
{
    char url[200];
    test_server_url(server, url, sizeof(url));
    return store_open_postgres(url, options, out, why);
}

static struct store *open_there(const struct test_server *server)
{
    struct store *store = NULL;
    struct err_text why = {.text = ""};
    enum err err = try_open(server, NULL, &store, &why);
    if (err != OK) {
        print_error("%s\n", why.text);
    }
    assert_int_equal(err, OK);
    return store;
}

static int setup(void **state)
{
    struct test *t = calloc(1, sizeof(*t));
    assert_non_null(t);
    t->server = *state;
    test_server_create_database(t->server, "");
    t->a = open_there(t->server);
    t->b = open_there(t->server);
    t->arena = arena_create(4096, 256 << 20);
    assert_non_null(t->arena);
    *state = t;
    return 0;
}

static int teardown(void **state)
{
    struct test *t = *state;
    store_close(t->a);
    store_close(t->b);
    arena_destroy(t->arena);
    test_server_drop_database(t->server);
    free(t);
    return 0;
}

static enum err append_some(struct store *store, uint64_t stream, uint64_t first, uint64_t count,
                            struct store_audit_appended *out)
{
    struct store_audit_record records[64];
    char sidecar[16];
    (void)snprintf(sidecar, sizeof(sidecar), "s%d", (int)stream);
    assert_true(count <= 64);
    for (uint64_t i = 0; i < count; i++) {
        records[i] = records_make(stream, first + i, STORE_INTENT, sidecar);
        records[i].index.text = bytes_of_string("select something");
    }
    return store_audit_append(store, sidecar, records, count, records_received_ns, out, NULL, NULL);
}

/* Tries again while the database is away, for as long as it may take a server to come back. */
static enum err append_until_taken(struct store *store, uint64_t stream, uint64_t first,
                                   uint64_t count, struct store_audit_appended *out)
{
    const struct timespec moment = {.tv_nsec = 20000000};
    enum err err = ERR_UNAVAILABLE;
    for (int i = 0; i < 3000 && err == ERR_UNAVAILABLE; i++) {
        err = append_some(store, stream, first, count, out);
        if (err == ERR_UNAVAILABLE) {
            (void)nanosleep(&moment, NULL);
        }
    }
    return err;
}

/* The log has every position once, in each stream's order, and so does the index. */
static void log_check(struct test *t, struct store *store, uint64_t total)
{
    uint64_t count = 0;
    char sql[200];
    assert_int_equal(store_audit_count(store, &count), OK);
    assert_int_equal(count, total);
    (void)snprintf(sql, sizeof(sql),
                   "SELECT count(*) FROM generate_series(1, %d) p"
                   " JOIN chaperone.audit_log l ON l.position = p"
                   " JOIN chaperone.audit_record r ON r.key = l.key AND r.position = l.position",
                   (int)total);
    assert_int_equal(test_server_number(t->server, sql), total);
    assert_int_equal(test_server_number(t->server, "SELECT count(*) FROM chaperone.audit_log"),
                     total);
    assert_int_equal(test_server_number(t->server,
                                        "SELECT count(*) FROM chaperone.audit_stream s WHERE"
                                        " s.last_sequence <> (SELECT count(*) FROM"
                                        " chaperone.audit_record r WHERE r.stream = s.id)"),
                     0);
    assert_int_equal(test_server_number(t->server,
                                        "SELECT count(*) FROM (SELECT sequence - lag(sequence)"
                                        " OVER (PARTITION BY stream ORDER BY position) AS step"
                                        " FROM chaperone.audit_record) x WHERE step <> 1"),
                     0);
}

/* ---- what is not ours ---- */

static void refuse(struct test *t, const char *sentence)
{
    struct store *store = NULL;
    struct err_text why = {.text = ""};
    assert_int_equal(try_open(t->server, NULL, &store, &why), ERR_INVALID);
    assert_null(store);
    if (strstr(why.text, sentence) == NULL) {
        print_error("\"%s\" is not in \"%s\"\n", sentence, why.text);
    }
    assert_non_null(strstr(why.text, sentence));
}

static void test_a_newer_schema_is_refused(void **state)
{
    struct test *t = *state;
    test_server_sql(t->server, "INSERT INTO chaperone.schema_version VALUES (99, 0)");
    refuse(t, "newer version of this program");
}

static void test_a_database_of_another_program_is_left_alone(void **state)
{
    struct test *t = *state;
    struct store *store = NULL;
    struct err_text why = {.text = ""};
    store_close(t->a);
    store_close(t->b);
    t->a = NULL;
    t->b = NULL;
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
    store_close(open_there(t->server));
}

static void test_another_master_is_refused(void **state)
{
    struct test *t = *state;
    static const uint8_t one[32] = {1}, other[32] = {2};
    struct store_postgres_options options = {.content_master = bytes_of(one, 32)};
    struct store *store = NULL;
    struct store_audit_appended done;
    struct err_text why = {.text = ""};
    store_close(t->a);
    t->a = NULL;
    assert_int_equal(try_open(t->server, &options, &t->a, &why), OK);
    assert_int_equal(append_some(t->a, 1, 1, 1, &done), OK);
    options.content_master = bytes_of(other, 32);
    assert_int_equal(try_open(t->server, &options, &store, &why), ERR_INVALID);
    assert_non_null(strstr(why.text, "another key"));
    options.content_master = bytes_of(one, 7);
    assert_int_equal(try_open(t->server, &options, &store, &why), ERR_INVALID);
}

/* Nothing depends on what the database takes for text. */
static void test_the_encoding_does_not_matter(void **state)
{
    struct test *t = *state;
    struct store_audit_entry *items = NULL;
    struct store_audit_appended done;
    struct store_audit_record r = records_make(1, 1, STORE_INTENT, "x\xff\xfe");
    const struct store_audit_filter filter = {.text = "gr\xc3\xbc\xc3\x9f*"};
    size_t count = 0;
    bool more = false;
    store_close(t->a);
    store_close(t->b);
    test_server_drop_database(t->server);
    test_server_create_database(t->server, "ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0");
    t->a = open_there(t->server);
    t->b = open_there(t->server);
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

struct worker {
    struct store *store;
    uint64_t stream, batches;
    enum err failed;
};

static void *worker_main(void *argument)
{
    struct worker *w = argument;
    for (uint64_t i = 0; i < w->batches && w->failed == OK; i++) {
        struct store_audit_appended done;
        w->failed = append_until_taken(w->store, w->stream, i * 10 + 1, 10, &done);
        if (w->failed == OK && done.last.sequence < i * 10 + 10) {
            w->failed = ERR_INTERNAL;
        }
    }
    return NULL;
}

static void workers_run(struct worker *workers, size_t count)
{
    pthread_t threads[16];
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, worker_main, &workers[i]), 0);
    }
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        assert_int_equal(workers[i].failed, OK);
    }
}

static void test_two_append_at_once_without_a_gap(void **state)
{
    struct test *t = *state;
    struct worker workers[8];
    for (size_t i = 0; i < 8; i++) {
        workers[i] =
            (struct worker){.store = i % 2 == 0 ? t->a : t->b, .stream = i + 1, .batches = 40};
    }
    workers_run(workers, 8);
    log_check(t, t->a, 8 * 40 * 10);
}

/* A sidecar that was given up by one and taken over by the other: both have the same batches. */
static void test_one_stream_that_comes_by_two_is_there_once(void **state)
{
    struct test *t = *state;
    struct worker workers[] = {{.store = t->a, .stream = 1, .batches = 60},
                               {.store = t->b, .stream = 1, .batches = 60},
                               {.store = t->a, .stream = 1, .batches = 60},
                               {.store = t->b, .stream = 2, .batches = 60}};
    workers_run(workers, 4);
    log_check(t, t->b, 2 * 60 * 10);
}

static void test_what_one_says_of_a_session_the_other_goes_on_with(void **state)
{
    struct test *t = *state;
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
    struct test *t = *state;
    struct worker workers[6];
    struct store_audit_appended done;
    for (size_t i = 0; i < 6; i++) {
        workers[i] = (struct worker){.store = t->a, .stream = i + 1, .batches = 30};
    }
    pthread_t threads[6];
    for (size_t i = 0; i < 6; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, worker_main, &workers[i]), 0);
    }
    for (size_t i = 0; i < 60; i++) { /* gaps, all the time */
        assert_int_equal(append_some(t->a, 7, 5, 3, &done), ERR_INVALID);
    }
    for (size_t i = 0; i < 6; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        assert_int_equal(workers[i].failed, OK);
    }
    log_check(t, t->a, 6 * 30 * 10);
}

/* ---- duties and news ---- */

static bool has(struct store *store, enum store_duty duty)
{
    bool is_mine = false;
    enum err err = store_duty_hold(store, duty, &is_mine);
    assert_true(err == OK || err == ERR_UNAVAILABLE);
    return err == OK && is_mine;
}

static bool has_in_time(struct store *store, enum store_duty duty)
{
    const struct timespec moment = {.tv_nsec = 10000000};
    for (int i = 0; i < 3000; i++) {
        if (has(store, duty)) {
            return true;
        }
        (void)nanosleep(&moment, NULL);
    }
    return false;
}

static void test_a_duty_is_one_s_until_it_goes(void **state)
{
    struct test *t = *state;
    struct store_checkpoint c = {.size = 1, .time_ns = 1, .note = bytes_of_string("one")}, out;
    assert_int_equal(store_checkpoint_add(t->a, &c), ERR_DENIED);
    assert_true(has(t->a, STORE_DUTY_LOG));
    assert_true(has(t->a, STORE_DUTY_LOG));
    assert_false(has(t->b, STORE_DUTY_LOG));
    assert_true(has(t->b, STORE_DUTY_EXPORT));
    assert_int_equal(store_checkpoint_add(t->b, &c), ERR_DENIED);
    assert_int_equal(store_checkpoint_add(t->a, &c), OK);
    store_close(t->a);
    t->a = NULL;
    assert_true(has_in_time(t->b, STORE_DUTY_LOG));
    c.size = 2;
    assert_int_equal(store_checkpoint_add(t->b, &c), OK);
    assert_int_equal(store_checkpoint_latest(t->b, t->arena, &out), OK);
    assert_int_equal(out.size, 2);
}

/* The lock is gone with its connection: who believes to have it still must not sign. */
static void test_a_lost_duty_is_fenced(void **state)
{
    struct test *t = *state;
    struct store_checkpoint c = {.size = 1, .time_ns = 1, .note = bytes_of_string("one")};
    assert_true(has(t->a, STORE_DUTY_LOG));
    test_server_sql(t->server, "SELECT pg_terminate_backend(pid, 5000) FROM pg_locks"
                               " WHERE locktype = 'advisory'");
    assert_true(has_in_time(t->b, STORE_DUTY_LOG));
    assert_int_equal(store_checkpoint_add(t->a, &c), ERR_DENIED);
    assert_false(has(t->a, STORE_DUTY_LOG));
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
    struct test *t = *state;
    struct heard h = {.mutex = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};
    struct store_audit_appended done;
    const struct store_block block = {.id = "b", .everything = true, .created_ns = 1};
    const struct store_policy policy = {.revision = 1, .hash = "ab", .document = {0}};
    assert_int_equal(store_news_listen(t->a, hear, &h), OK);
    assert_int_equal(append_some(t->a, 1, 1, 1, &done), OK); /* its own is none */
    assert_int_equal(append_some(t->b, 2, 1, 1, &done), OK);
    wait_for(&h, STORE_NEWS_RECORDS);
    assert_int_equal(h.calls, 1);
    assert_int_equal(store_block_add(t->b, &block), OK);
    wait_for(&h, STORE_NEWS_BLOCKS);
    assert_int_equal(store_policy_add(t->b, &policy), OK);
    wait_for(&h, STORE_NEWS_POLICY);
    test_server_sql(t->server, "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
                               " WHERE query = 'LISTEN chaperone'");
    wait_for(&h, STORE_NEWS_ALL); /* it may have missed something */
    assert_int_equal(append_some(t->b, 2, 2, 1, &done), OK);
    wait_for(&h, STORE_NEWS_RECORDS);
    assert_int_equal(store_news_listen(t->a, NULL, NULL), OK);
}

/* ---- faults ---- */

/* Its backend dies in the middle of appends, and all others with it: PostgreSQL begins anew. */
static void test_a_backend_that_is_killed_loses_nothing(void **state)
{
    struct test *t = *state;
    struct worker workers[4];
    pthread_t threads[4];
    const struct timespec moment = {.tv_nsec = 150000000};
    for (size_t i = 0; i < 4; i++) {
        workers[i] =
            (struct worker){.store = i % 2 == 0 ? t->a : t->b, .stream = i + 1, .batches = 150};
        assert_int_equal(pthread_create(&threads[i], NULL, worker_main, &workers[i]), 0);
    }
    for (int i = 0; i < 3; i++) {
        (void)nanosleep(&moment, NULL); /* not waiting for anything: where it strikes varies */
        test_server_kill_writer(t->server);
    }
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        assert_int_equal(workers[i].failed, OK);
    }
    log_check(t, t->a, 4 * 150 * 10);
}

static void test_a_server_that_was_away_is_found_again(void **state)
{
    struct test *t = *state;
    struct store_audit_appended done;
    uint64_t count = 0;
    assert_int_equal(append_some(t->a, 1, 1, 5, &done), OK);
    assert_true(has(t->a, STORE_DUTY_LOG));
    test_server_halt(t->server);
    assert_int_equal(append_some(t->a, 1, 6, 5, &done), ERR_UNAVAILABLE);
    assert_int_equal(store_audit_count(t->a, &count), ERR_UNAVAILABLE);
    assert_false(has(t->a, STORE_DUTY_LOG));
    test_server_run(t->server);
    assert_int_equal(append_until_taken(t->a, 1, 6, 5, &done), OK);
    assert_int_equal(done.last_position, 10);
    assert_true(has_in_time(t->b, STORE_DUTY_LOG));
    log_check(t, t->a, 10);
}

/* The process that appends is killed: what it had acknowledged is there, and nothing twice. */
static void child_append(const struct test_server *server, int pipe_fd)
{
    struct store *store = NULL;
    struct store_audit_last last;
    if (try_open(server, NULL, &store, NULL) != OK || store_audit_last(store, "s1", &last) != OK) {
        _exit(1);
    }
    for (uint64_t first = last.sequence + 1;; first += 10) {
        struct store_audit_appended done;
        if (append_some(store, 1, first, 10, &done) != OK ||
            write(pipe_fd, &done.last.sequence, sizeof(uint64_t)) != sizeof(uint64_t)) {
            _exit(1);
        }
    }
}

static uint64_t run_and_kill(const struct test_server *server, long then_ns)
{
    int ends[2];
    uint64_t acknowledged = 0, next = 0;
    const struct timespec moment = {.tv_nsec = then_ns};
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        child_append(server, ends[1]);
    }
    assert_int_equal(close(ends[1]), 0);
    for (int i = 0; i < 5; i++) {
        assert_int_equal(read(ends[0], &acknowledged, sizeof(acknowledged)), sizeof(acknowledged));
    }
    (void)nanosleep(&moment, NULL); /* not waiting for anything: where the kill strikes varies */
    assert_int_equal(kill(child, SIGKILL), 0);
    while (read(ends[0], &next, sizeof(next)) == sizeof(next)) {
        acknowledged = next;
    }
    assert_int_equal(close(ends[0]), 0);
    assert_int_equal(waitpid(child, NULL, 0), child);
    return acknowledged;
}

static void test_a_process_that_is_killed_loses_nothing(void **state)
{
    enum { KILLS = 200 };
    struct test *t = *state;
    struct store_audit_last last;
    store_close(t->a);
    store_close(t->b);
    t->a = NULL;
    t->b = NULL;
    uint64_t before = 0;
    for (int i = 0; i < KILLS; i++) {
        uint64_t acknowledged = run_and_kill(t->server, i * 20000);
        t->a = open_there(t->server);
        assert_int_equal(store_audit_last(t->a, "s1", &last), OK);
        assert_true(last.sequence >= acknowledged && acknowledged > before);
        assert_int_equal(last.sequence % 10, 0); /* whole batches */
        before = last.sequence;
        store_close(t->a);
        t->a = NULL;
    }
    t->a = open_there(t->server);
    /* A last batch may be committed by the server after its client is dead. */
    assert_int_equal(store_audit_last(t->a, "s1", &last), OK);
    log_check(t, t->a, last.sequence);
}

/* ---- erasing, seen by two ---- */

static void test_a_key_that_was_deleted_is_not_used_again(void **state)
{
    struct test *t = *state;
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

#define TEST(name)                                                                                 \
    {                                                                                              \
#name, name, setup, teardown, &server                                                      \
    }

int main(void)
{
    static struct test_server server;
    test_server_start(&server, false);
    const struct CMUnitTest tests[] = {
        TEST(test_a_newer_schema_is_refused),
        TEST(test_a_database_of_another_program_is_left_alone),
        TEST(test_another_master_is_refused),
        TEST(test_the_encoding_does_not_matter),
        TEST(test_two_append_at_once_without_a_gap),
        TEST(test_one_stream_that_comes_by_two_is_there_once),
        TEST(test_what_one_says_of_a_session_the_other_goes_on_with),
        TEST(test_a_batch_that_is_refused_takes_no_other_with_it),
        TEST(test_a_duty_is_one_s_until_it_goes),
        TEST(test_a_lost_duty_is_fenced),
        TEST(test_what_another_does_is_news),
        TEST(test_a_backend_that_is_killed_loses_nothing),
        TEST(test_a_server_that_was_away_is_found_again),
        TEST(test_a_process_that_is_killed_loses_nothing),
        TEST(test_a_key_that_was_deleted_is_not_used_again),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    test_server_stop(&server);
    return failed;
}
