#include "controlplane/store/postgres/pair_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

enum err pair_try_open(const struct test_server *server,
                       const struct store_postgres_options *options, struct store **out,
                       struct err_text *why)
{
    char url[200];
    test_server_url(server, url, sizeof(url));
    return store_open_postgres(url, options, out, why);
}

struct store *pair_open(const struct test_server *server)
{
    struct store *store = NULL;
    struct err_text why = {.text = ""};
    enum err err = pair_try_open(server, NULL, &store, &why);
    if (err != OK) {
        print_error("%s\n", why.text);
    }
    assert_int_equal(err, OK);
    return store;
}

int pair_setup(void **state)
{
    struct pair *t = calloc(1, sizeof(*t));
    assert_non_null(t);
    t->server = *state;
    test_server_create_database(t->server, "");
    t->a = pair_open(t->server);
    t->b = pair_open(t->server);
    t->arena = arena_create(4096, 256 << 20);
    assert_non_null(t->arena);
    *state = t;
    return 0;
}

void pair_close(struct pair *t)
{
    store_close(t->a);
    store_close(t->b);
    t->a = NULL;
    t->b = NULL;
}

int pair_teardown(void **state)
{
    struct pair *t = *state;
    pair_close(t);
    arena_destroy(t->arena);
    test_server_drop_database(t->server);
    free(t);
    return 0;
}

enum err pair_append(struct store *store, uint64_t stream, uint64_t first, uint64_t count,
                     struct store_audit_appended *out)
{
    const struct timespec moment = {.tv_nsec = 20000000};
    enum err err = ERR_UNAVAILABLE;
    for (int i = 0; i < 3000 && err == ERR_UNAVAILABLE; i++) {
        err = statements_append_batch(store, stream, first, count, out);
        if (err == ERR_UNAVAILABLE) {
            (void)nanosleep(&moment, NULL);
        }
    }
    return err;
}

void pair_log_check(struct pair *t, struct store *store, uint64_t total)
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

bool pair_has(struct store *store, enum store_duty duty)
{
    bool is_mine = false;
    enum err err = store_duty_hold(store, duty, &is_mine);
    assert_true(err == OK || err == ERR_UNAVAILABLE);
    return err == OK && is_mine;
}

bool pair_has_in_time(struct store *store, enum store_duty duty)
{
    const struct timespec moment = {.tv_nsec = 10000000};
    for (int i = 0; i < 3000; i++) {
        if (pair_has(store, duty)) {
            return true;
        }
        (void)nanosleep(&moment, NULL);
    }
    return false;
}

static void *worker_main(void *argument)
{
    struct pair_worker *w = argument;
    for (uint64_t i = 0; i < w->batches && w->failed == OK; i++) {
        struct store_audit_appended done;
        w->failed = pair_append(w->store, w->stream, i * 10 + 1, 10, &done);
        if (w->failed == OK && done.last.sequence < i * 10 + 10) {
            w->failed = ERR_INTERNAL;
        }
    }
    return NULL;
}

void pair_workers_start(struct pair_worker *workers, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(pthread_create(&workers[i].thread, NULL, worker_main, &workers[i]), 0);
    }
}

void pair_workers_join(struct pair_worker *workers, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(pthread_join(workers[i].thread, NULL), 0);
        assert_int_equal(workers[i].failed, OK);
    }
}
