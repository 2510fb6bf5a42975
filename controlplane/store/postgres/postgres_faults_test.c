/* Faults of the server, and of the control plane's process. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <time.h>

#include <cmocka.h>

#include "controlplane/store/postgres/pair_fixture.h"
#include "controlplane/store/store_killed.h"

/* Its backend dies in the middle of appends, and all others with it: PostgreSQL begins anew. */
static void test_a_backend_that_is_killed_loses_nothing(void **state)
{
    struct pair *t = *state;
    struct pair_worker workers[4];
    const struct timespec moment = {.tv_nsec = 150000000};
    for (size_t i = 0; i < 4; i++) {
        workers[i] = (struct pair_worker){
            .store = i % 2 == 0 ? t->a : t->b, .stream = i + 1, .batches = 150};
    }
    pair_workers_start(workers, 4);
    for (int i = 0; i < 3; i++) {
        (void)nanosleep(&moment, NULL); /* not waiting for anything: where it strikes varies */
        test_server_kill_writer(t->server);
    }
    pair_workers_join(workers, 4);
    pair_log_check(t, t->a, 4 * 150 * 10);
}

static void test_a_server_that_was_away_is_found_again(void **state)
{
    struct pair *t = *state;
    struct store_audit_appended done;
    uint64_t count = 0;
    assert_int_equal(statements_append_batch(t->a, 1, 1, 5, &done), OK);
    assert_true(pair_has(t->a, STORE_DUTY_LOG));
    test_server_halt(t->server);
    assert_int_equal(statements_append_batch(t->a, 1, 6, 5, &done), ERR_UNAVAILABLE);
    assert_int_equal(store_audit_count(t->a, &count), ERR_UNAVAILABLE);
    assert_false(pair_has(t->a, STORE_DUTY_LOG));
    test_server_run(t->server);
    assert_int_equal(pair_append(t->a, 1, 6, 5, &done), OK);
    assert_int_equal(done.last_position, 10);
    assert_true(pair_has_in_time(t->b, STORE_DUTY_LOG));
    pair_log_check(t, t->a, 10);
}

static void append(const void *server, int said_fd)
{
    struct store *store = NULL;
    if (pair_try_open(server, NULL, &store, NULL) == OK) {
        killed_append(store, said_fd);
    }
}

/* What it had acknowledged is there, and nothing twice. */
static void test_a_process_that_is_killed_loses_nothing(void **state)
{
    enum { KILLS = 200, BATCHES = 5 };
    struct pair *t = *state;
    uint64_t last = 0;
    pair_close(t);
    for (int i = 0; i < KILLS; i++) {
        uint64_t acknowledged = killed_run(append, t->server, BATCHES, i * 20000);
        assert_true(acknowledged > last);
        t->a = pair_open(t->server);
        last = killed_check(t->a, acknowledged);
        pair_close(t);
    }
    t->a = pair_open(t->server);
    /* A last batch may be committed by the server after its client is dead. */
    pair_log_check(t, t->a, killed_check(t->a, last));
}

int main(void)
{
    static struct test_server server;
    test_server_start(&server, false);
    const struct CMUnitTest tests[] = {
        PAIR_TEST(test_a_backend_that_is_killed_loses_nothing, &server),
        PAIR_TEST(test_a_server_that_was_away_is_found_again, &server),
        PAIR_TEST(test_a_process_that_is_killed_loses_nothing, &server),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    test_server_stop(&server);
    return failed;
}
