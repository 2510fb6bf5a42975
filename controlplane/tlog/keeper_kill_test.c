/* kill -9 at every step of an append: whatever was reached, the next process goes on with the same
 * log. Each round is a process of its own that dies at its n-th step; two signed trees of one
 * size, a published checkpoint that is not of the records, or one that does not extend the one
 * before it, fail the test. So does a witness that has seen more than the store has: these do not
 * die with the process. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "controlplane/tlog/keeper_fixture.h"

enum { ROUNDS = 260, EXIT_FINISHED = 0, EXIT_BROKEN = 3 };

struct countdown {
    int left;
};

static void die_at_last(void *context, const char *step)
{
    struct countdown *c = context;
    (void)step;
    if (--c->left == 0) {
        (void)raise(SIGKILL);
    }
}

/* In the child, where cmocka's asserts would end in the parent's tests. */
static int work(struct fixture *f, size_t records, int steps)
{
    struct countdown countdown = {.left = steps};
    struct err_text why = {0};
    if (store_open_sqlite(f->database, NULL, &f->store, &why) != OK ||
        fixture_append(f->store, "s1", records) != OK) {
        return EXIT_BROKEN;
    }
    f->on_step = die_at_last;
    f->step_context = &countdown;
    if (fixture_create_keeper(f, &why) != OK) {
        return EXIT_BROKEN;
    }
    for (int i = 0; i < 3; i++) {
        f->shift_ns += INT64_C(3000000000);
        if (keeper_turn(f->keeper) != OK) {
            return EXIT_BROKEN;
        }
    }
    return EXIT_FINISHED;
}

/* True when it was killed, not done before. */
static bool run_and_kill(struct fixture *f, size_t records, int steps)
{
    int status = 0;
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        _exit(work(f, records, steps));
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    if (WIFSIGNALED(status)) {
        assert_int_equal(WTERMSIG(status), SIGKILL);
        return true;
    }
    assert_int_equal(WEXITSTATUS(status), EXIT_FINISHED);
    return false;
}

/* All that was ever signed is of one log. */
static void check_history(struct fixture *f, uint64_t *seen_size, struct tlog_hash *seen_root)
{
    struct store_checkpoint c;
    struct tlog_hash root;
    struct keeper_checkpoint latest;
    struct tlog_proof proof;
    for (uint64_t from = *seen_size == 0 ? 1 : *seen_size;; from = c.size + 1) {
        arena_reset(f->arena);
        enum err e = store_checkpoint_from(f->store, from, f->arena, &c);
        if (e == ERR_NOT_FOUND) {
            break;
        }
        assert_int_equal(e, OK);
        fixture_root(f->store, c.size, &root);
        assert_memory_equal(c.root, root.bytes, TLOG_HASH_SIZE);
    }
    assert_int_equal(keeper_latest(f->keeper, f->arena, &latest), OK);
    assert_true(latest.size >= *seen_size);
    if (*seen_size > 0) {
        assert_int_equal(keeper_prove_consistency(f->keeper, &latest, *seen_size, &proof), OK);
        assert_true(
            tlog_tree_check_consistency(&proof, latest.size, *seen_size, &latest.root, seen_root));
    }
    *seen_size = latest.size;
    *seen_root = latest.root;
}

static void killed_at_every_step(void **state)
{
    struct fixture *f = *state;
    uint64_t size = 0, seen_size = 0, count = 0;
    struct tlog_hash seen_root = {{0}};
    int steps = 1, killed = 0;
    unsigned random = 1;
    f->witness_count = 2;
    f->quorum = 1;
    for (int round = 0; round < ROUNDS; round++) {
        fixture_close(f);
        random = random * 1103515245U + 12345U;
        size_t records = 1 + (random >> 16) % (round % 7 == 0 ? 600 : 40);
        bool was_killed = run_and_kill(f, records, steps);
        killed += was_killed ? 1 : 0;
        steps = was_killed ? steps + 1 : 1;
        fixture_open(f);
        size += records; /* they were committed before the keeper began */
        assert_int_equal(store_audit_count(f->store, &count), OK);
        assert_int_equal(count, size);
        /* Every other round the next process dies over what this one left behind. */
        if (round % 2 == 0) {
            f->fakes[1].answer = round % 6 == 0 ? ERR_UNAVAILABLE : OK;
            fixture_turn(f);
            assert_state(f, KEEPER_SIGNING);
            (void)fixture_checked(f, size);
            check_history(f, &seen_size, &seen_root);
        }
    }
    fixture_turn(f);
    (void)fixture_checked(f, size);
    check_history(f, &seen_size, &seen_root);
    print_message("killed %d times in %d rounds\n", killed, ROUNDS);
    assert_true(killed >= 200);
    assert_int_equal(f->reports, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {FIXTURE_TEST(killed_at_every_step)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
