/* Witnesses that sign, are away, know better, or lie; keys that are replaced; logs that are ended.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cmocka.h>

#include "controlplane/tlog/keeper_fixture.h"
#include "controlplane/tlog/log_keys.h"

static const int64_t second_ns = 1000000000;

static void with_witnesses(struct fixture *f, size_t count, size_t quorum)
{
    fixture_close(f);
    f->witness_count = count;
    f->quorum = quorum;
    fixture_open(f);
}

static void assert_published(struct fixture *f, uint64_t size)
{
    struct keeper_checkpoint c;
    enum err e = keeper_latest(f->keeper, f->arena, &c);
    if (size == 0) {
        assert_int_equal(e, ERR_NOT_FOUND);
    } else {
        assert_int_equal(e, OK);
        assert_int_equal(c.size, size);
    }
}

static void a_quorum_publishes(void **state)
{
    struct fixture *f = *state;
    with_witnesses(f, 3, 2);
    f->fakes[2].answer = ERR_UNAVAILABLE;
    fixture_add(f, 10);
    fixture_turn(f);
    (void)fixture_checked(f, 10);
    assert_int_equal(fixture_status(f).cosigned, 2);
    /* A second one goes away: what is signed waits, also over a restart, and what is published
     * stays. */
    f->fakes[1].answer = ERR_UNAVAILABLE;
    fixture_add(f, 10);
    fixture_turn(f);
    assert_published(f, 10);
    assert_state(f, KEEPER_SIGNING);
    fixture_close(f);
    fixture_open(f);
    fixture_turn(f);
    assert_published(f, 10);
    f->fakes[1].answer = OK;
    f->shift_ns += 400 * second_ns;
    fixture_turn(f);
    (void)fixture_checked(f, 20);
    /* One that was away is not asked all the time. */
    int asked = f->fakes[2].asked;
    fixture_add(f, 1);
    fixture_turn(f);
    fixture_add(f, 1);
    fixture_turn(f);
    assert_true(f->fakes[2].asked <= asked + 1);
    assert_int_equal(f->reports, 0);
}

/* The whole data directory came from a backup: nothing here knows it, but the witness does. */
static void a_witness_knows_a_restored_directory(void **state)
{
    static const char *const names[] = {"log/checkpoint", "log.signed", "controlplane.db"};
    struct fixture *f = *state;
    char name[64], path[256];
    with_witnesses(f, 1, 1);
    fixture_add(f, 10);
    fixture_turn(f);
    fixture_close(f);
    for (size_t i = 0; i < 3; i++) {
        (void)snprintf(name, sizeof(name), "backup%zu", i);
        fixture_copy(f, names[i], name);
    }
    fixture_open(f);
    fixture_add(f, 10);
    fixture_turn(f);
    (void)fixture_checked(f, 20);
    fixture_close(f);
    for (size_t i = 0; i < 3; i++) {
        (void)snprintf(name, sizeof(name), "backup%zu", i);
        fixture_copy(f, name, names[i]);
    }
    fixture_path(f, "controlplane.db-wal", path);
    (void)unlink(path);
    fixture_open(f);
    assert_int_equal(fixture_append(f->store, "s2", 50), OK);
    fixture_turn(f);
    assert_state(f, KEEPER_ROLLED_BACK);
    assert_string_equal(f->reported, "log_rolled_back");
    struct store_checkpoint c;
    assert_int_equal(store_checkpoint_latest(f->store, f->arena, &c), OK);
    assert_int_equal(c.size, 10); /* it was asked before anything was signed */
}

static void one_liar_among_many_stops_nothing(void **state)
{
    static const enum err claims[] = {ERR_EXISTS, ERR_INVALID, ERR_DENIED};
    struct fixture *f = *state;
    uint64_t size = 0;
    with_witnesses(f, 3, 2);
    for (size_t i = 0; i < 3; i++) {
        f->fakes[0].answer = claims[i];
        f->fakes[0].claims = 1000000;
        size += 10;
        fixture_add(f, 10);
        fixture_close(f);
        fixture_open(f);
        fixture_turn(f);
        (void)fixture_checked(f, size);
        assert_state(f, KEEPER_SIGNING);
        assert_string_equal(f->reported, "witness_refused");
    }
    /* A signature of something else is not added. */
    f->fakes[0].answer = OK;
    f->fakes[0].lies = true;
    fixture_close(f);
    fixture_open(f);
    fixture_add(f, 10);
    fixture_turn(f);
    (void)fixture_checked(f, size + 10);
    assert_int_equal(fixture_status(f).cosigned, 2);
}

static void many_that_know_better_stop_it(void **state)
{
    struct fixture *f = *state;
    with_witnesses(f, 3, 2);
    fixture_add(f, 10);
    fixture_turn(f);
    f->fakes[0].answer = f->fakes[1].answer = ERR_INVALID;
    fixture_add(f, 10);
    fixture_turn(f);
    assert_state(f, KEEPER_FORKED);
    assert_string_equal(f->reported, "log_forked");
    assert_published(f, 10);
}

/* --- keys --------------------------------------------------------------------------------------
 */

static struct log_keys_options keys_of(struct fixture *f)
{
    return (struct log_keys_options){.data = f->directory,
                                     .fallback = FIXTURE_ORIGIN,
                                     .overlap_ns = 3600 * second_ns,
                                     .clock = clock_system()};
}

static bool believes(struct fixture *f, const char *key)
{
    struct keeper_checkpoint got;
    struct tlog_checkpoint c;
    struct tlog_verifier v;
    assert_int_equal(tlog_verifier_parse(bytes_of_string(key), &v, NULL), OK);
    assert_int_equal(keeper_latest(f->keeper, f->arena, &got), OK);
    const struct tlog_trust trust = {.origin = got.origin, .logs = &v, .log_count = 1};
    return tlog_checkpoint_open(got.note, &trust, &c, NULL, NULL) == OK;
}

static char *first_key(struct fixture *f, size_t expected)
{
    struct keeper_keys keys;
    assert_int_equal(keeper_list_keys(f->keeper, f->arena, &keys), OK);
    assert_int_equal(keys.log_count, expected);
    return keys.logs[0];
}

/* Beside a running keeper; whoever knows the old key alone believes what is signed in the overlap.
 */
static void keys_are_replaced_with_an_overlap(void **state)
{
    struct fixture *f = *state;
    struct log_keys_options options = keys_of(f);
    struct buffer key;
    struct err_text why = {0};
    buffer_init(&key, 1024);
    fixture_add(f, 1);
    fixture_turn(f);
    const char *old = first_key(f, 1);
    assert_int_equal(log_keys_rotate(&options, &key, &why), OK);
    assert_int_equal(log_keys_rotate(&options, &key, &why), ERR_EXISTS);
    fixture_add(f, 1);
    fixture_turn(f);
    const char *new = first_key(f, 2);
    assert_true(bytes_equal_string(buffer_bytes(&key), new));
    assert_string_equal(f->reported, "log_key");
    assert_true(believes(f, old));
    assert_true(believes(f, new));
    f->shift_ns += 3700 * second_ns;
    fixture_add(f, 1);
    fixture_turn(f);
    assert_false(believes(f, old));
    assert_true(believes(f, new));
    /* What the old key signed alone is still of this log. */
    fixture_close(f);
    fixture_open(f);
    fixture_turn(f);
    assert_state(f, KEEPER_SIGNING);
    assert_string_equal(first_key(f, 2), new);
    struct keeper_checkpoint c;
    assert_int_equal(keeper_checkpoint_from(f->keeper, 1, f->arena, &c), OK);
    assert_int_equal(c.size, 1);
    buffer_finish(&key);
}

static void the_origin_is_fixed_at_the_first_start(void **state)
{
    struct fixture *f = *state;
    struct err_text why = {0};
    keeper_destroy(f->keeper);
    f->keeper = NULL;
    f->origin = "other.example/audit";
    assert_int_equal(fixture_create_keeper(f, &why), ERR_INVALID);
    assert_non_null(strstr(why.text, FIXTURE_ORIGIN));
    assert_null(f->keeper);
    f->origin = FIXTURE_ORIGIN;
    assert_int_equal(fixture_create_keeper(f, &why), OK);
}

static void a_log_that_was_ended_is_followed_by_another(void **state)
{
    struct fixture *f = *state;
    struct log_keys_options options = keys_of(f);
    struct buffer origin;
    char a[256], b[256];
    buffer_init(&origin, 1024);
    fixture_add(f, 300);
    fixture_turn(f);
    fixture_close(f);
    assert_int_equal(log_keys_restart(&options, &origin, NULL), OK);
    assert_true(bytes_equal_string(buffer_bytes(&origin), FIXTURE_ORIGIN "/2"));
    fixture_path(f, "log", a);
    fixture_path(f, "log.1", b);
    assert_int_equal(rename(a, b), 0);
    fixture_open(f);
    fixture_turn(f);
    assert_published(f, 0); /* the first one must have more records than the last of before */
    fixture_add(f, 1);
    fixture_turn(f);
    struct keeper_checkpoint c = fixture_checked(f, 301);
    assert_string_equal(c.origin, FIXTURE_ORIGIN "/2");
    /* Those of the log before are not given for this one. */
    assert_int_equal(keeper_checkpoint_from(f->keeper, 5, f->arena, &c), OK);
    assert_int_equal(c.size, 301);
    assert_int_equal(f->reports, 0);
    buffer_finish(&origin);
}

/* --- a full disk -------------------------------------------------------------------------------
 */

/* No file may grow beyond `size`, as on a full disk. */
static void limit_files(rlim_t size)
{
    struct rlimit limit;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
    limit.rlim_cur = size;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

static void a_full_disk_in_mid_append(void **state)
{
    struct fixture *f = *state;
    (void)signal(SIGXFSZ, SIG_IGN);
    fixture_add(f, 200);
    fixture_turn(f);
    fixture_add(f, 500);
    for (rlim_t room = 0; room <= 8000; room += 1000) {
        limit_files(room);
        f->shift_ns += 3 * second_ns;
        assert_int_equal(keeper_turn(f->keeper), ERR_FULL);
        assert_state(f, KEEPER_FAILING);
        limit_files(RLIM_INFINITY);
        assert_published(f, 200);
    }
    fixture_turn(f);
    assert_state(f, KEEPER_SIGNING);
    (void)fixture_checked(f, 700);
    assert_int_equal(f->reports, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(a_quorum_publishes),
        FIXTURE_TEST(a_witness_knows_a_restored_directory),
        FIXTURE_TEST(one_liar_among_many_stops_nothing),
        FIXTURE_TEST(many_that_know_better_stop_it),
        FIXTURE_TEST(keys_are_replaced_with_an_overlap),
        FIXTURE_TEST(the_origin_is_fixed_at_the_first_start),
        FIXTURE_TEST(a_log_that_was_ended_is_followed_by_another),
        FIXTURE_TEST(a_full_disk_in_mid_append),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
