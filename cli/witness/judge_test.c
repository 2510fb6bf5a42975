#include "cli/witness/judge.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

enum { SIZE = 24 };

/* The leaves of a log and of its fork, which has the first FORK_AT in common with it. */
enum { FORK_AT = 9 };

static void leaf_of(bool forked, uint64_t index, struct tlog_hash *out)
{
    uint8_t record[2] = {(uint8_t)index, forked && index >= FORK_AT};
    tlog_hash_leaf(bytes_of(record, sizeof(record)), out);
}

/* Complete subtrees, computed each time: there are few. */
static enum err read_hash(void *context, unsigned level, uint64_t index, struct tlog_hash *out)
{
    const bool *forked = context;
    struct tlog_hash left, right;
    if (level == 0) {
        leaf_of(*forked, index, out);
        return OK;
    }
    enum err e = read_hash(context, level - 1, 2 * index, &left);
    if (e == OK) {
        e = read_hash(context, level - 1, 2 * index + 1, &right);
    }
    tlog_hash_node(&left, &right, out);
    return e;
}

static const bool honest = false, forked = true;

static struct tlog_reader reader_of(const bool *branch)
{
    return (struct tlog_reader){.read = read_hash, .context = (void *)(uintptr_t)branch};
}

static struct witness_seen seen_of(const bool *branch, uint64_t size)
{
    struct witness_seen seen = {.size = size};
    struct tlog_reader reader = reader_of(branch);
    assert_int_equal(tlog_tree_root(&reader, size, &seen.root), OK);
    return seen;
}

static enum witness_verdict ask(const struct witness_seen *seen, const bool *branch, uint64_t old,
                                uint64_t size)
{
    struct witness_seen now = seen_of(branch, size);
    struct tlog_checkpoint checkpoint = {.size = size, .root = now.root};
    struct tlog_witness_request request = {.old_size = old};
    struct tlog_reader reader = reader_of(branch);
    if (old <= size) {
        assert_int_equal(tlog_tree_prove_consistency(&reader, size, old, &request.proof), OK);
    }
    return witness_judge(seen, &request, &checkpoint);
}

/* For all sizes: seen, said, and asked for. */
static void an_honest_log(void **state)
{
    (void)state;
    for (uint64_t seen_size = 0; seen_size < SIZE; seen_size++) {
        struct witness_seen seen = seen_of(&honest, seen_size);
        for (uint64_t size = 0; size < SIZE; size++) {
            for (uint64_t old = 0; old < SIZE; old++) {
                enum witness_verdict expected = old > size         ? WITNESS_IMPOSSIBLE
                                                : old != seen_size ? WITNESS_CONFLICT
                                                                   : WITNESS_SIGNS;
                assert_int_equal(ask(&seen, &honest, old, size), expected);
            }
        }
    }
}

static void a_fork(void **state)
{
    (void)state;
    for (uint64_t seen_size = 0; seen_size < SIZE; seen_size++) {
        struct witness_seen seen = seen_of(&honest, seen_size);
        for (uint64_t size = seen_size; size < SIZE; size++) {
            enum witness_verdict expected = seen_size <= FORK_AT ? WITNESS_SIGNS
                                            : size == seen_size  ? WITNESS_FORK
                                                                 : WITNESS_UNPROVED;
            assert_int_equal(ask(&seen, &forked, seen_size, size), expected);
        }
    }
    struct witness_seen seen = seen_of(&honest, 20);
    assert_int_equal(ask(&seen, &forked, 3, 20), WITNESS_FORK);
    assert_int_equal(ask(&seen, &forked, 3, 21), WITNESS_CONFLICT);
}

static void nothing_was_seen(void **state)
{
    (void)state;
    struct witness_seen nothing, empty = seen_of(&honest, 0);
    witness_seen_nothing(&nothing);
    assert_int_equal(nothing.size, 0);
    assert_true(tlog_hash_equal(&nothing.root, &empty.root));
    assert_int_equal(ask(&nothing, &honest, 0, 7), WITNESS_SIGNS);
    /* An empty tree with another root than the empty tree's. */
    struct tlog_checkpoint wrong = {.size = 0};
    struct tlog_witness_request request = {.old_size = 0};
    assert_int_equal(witness_judge(&nothing, &request, &wrong), WITNESS_FORK);
    /* A proof from nothing must be empty. */
    request.proof.count = 1;
    wrong.size = 1;
    assert_int_equal(witness_judge(&nothing, &request, &wrong), WITNESS_UNPROVED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_honest_log),
        cmocka_unit_test(a_fork),
        cmocka_unit_test(nothing_was_seen),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
