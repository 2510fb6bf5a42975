/* Random histories of a log, and forks of them: whatever was grown, crashed and grown on, a proof
 * from one tree to another checks exactly when the one is the beginning of the other. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/tlog/fixture.h"
#include "base/tlog/witness_request.h"

enum { BRANCHES = 4, STEPS = 60, LEAVES_MAX = 8192, ROUNDS = 6 };

/* One history as it is stored, and what it should be. */
struct branch {
    struct fixture_store store;
    struct tlog_hash leaves[LEAVES_MAX];
    struct tlog_hash roots[LEAVES_MAX + 1]; /* of each size, from the leaves alone */
    struct tlog_edge edge;
    uint64_t flushed; /* the size that the stored tiles have */
};

struct history {
    struct branch *branches[BRANCHES]; /* the first one is the honest one */
    uint64_t fork_at[BRANCHES];        /* leaves in common with the first */
    uint32_t dice;
};

/* A repeatable sequence (Numerical Recipes). */
static uint32_t chance(struct history *h, uint32_t below)
{
    h->dice = h->dice * 1664525U + 1013904223U;
    return (h->dice >> 8) % below;
}

static void branch_add(struct branch *b, const struct tlog_hash *leaf)
{
    assert_true(b->edge.size < LEAVES_MAX);
    b->leaves[b->edge.size] = *leaf;
    assert_int_equal(tlog_edge_append(&b->edge, leaf), OK);
    tlog_edge_root(&b->edge, &b->roots[b->edge.size]);
}

/* Stores the tiles of what was added. `dies`: a write fails on the way, and another process goes on
 * from the size that was flushed last. */
static enum err branch_flush(struct branch *b, size_t dies)
{
    struct tlog_grow *grow = NULL;
    struct tlog_tile_sink sink = fixture_store_sink(&b->store);
    struct tlog_hash root;
    assert_int_equal(tlog_grow_create(fixture_store_source(&b->store), b->flushed, &grow), OK);
    assert_int_equal(tlog_grow_root(grow, &root), OK);
    assert_true(tlog_hash_equal(&root, &b->roots[b->flushed]));
    b->store.fail_at = dies;
    enum err e = tlog_grow_append(grow, b->leaves + b->flushed, b->edge.size - b->flushed, sink);
    if (e == OK) {
        e = tlog_grow_flush(grow, sink);
    }
    b->store.fail_at = 0;
    if (e == OK) {
        assert_int_equal(tlog_grow_root(grow, &root), OK);
        assert_true(tlog_hash_equal(&root, &b->roots[b->edge.size]));
        b->flushed = b->edge.size;
    }
    tlog_grow_destroy(grow);
    return e;
}

static void branch_grow(struct history *h, struct branch *b, uint32_t count)
{
    for (uint32_t i = 0; i < count && b->edge.size < LEAVES_MAX; i++) {
        uint32_t record[2] = {chance(h, 1U << 24), (uint32_t)b->edge.size};
        struct tlog_hash leaf;
        tlog_hash_leaf(bytes_of(record, sizeof(record)), &leaf);
        branch_add(b, &leaf);
    }
    if (chance(h, 3) == 0) {
        (void)!branch_flush(b, 1 + chance(h, 3));
    }
    assert_int_equal(branch_flush(b, 0), OK);
}

/* What a log sends to a witness for the step from `old` to `size` of this branch, read again. */
static void ask(struct branch *b, uint64_t old, uint64_t size, struct tlog_witness_request *out)
{
    static const char note[] = "note";
    struct tlog_witness_request request = {.old_size = old, .note = bytes_of_string(note)};
    struct tlog_tile_reader *tiles = NULL;
    struct buffer body;
    buffer_init(&body, TLOG_WITNESS_REQUEST_MAX);
    assert_int_equal(tlog_tile_reader_create(fixture_store_source(&b->store), b->flushed, &tiles),
                     OK);
    struct tlog_reader reader = tlog_tile_reader_as_reader(tiles);
    assert_int_equal(tlog_tree_prove_consistency(&reader, size, old, &request.proof), OK);
    assert_int_equal(tlog_witness_request_format(&request, &body), OK);
    assert_int_equal(tlog_witness_request_parse(buffer_bytes(&body), out, NULL), OK);
    assert_int_equal(out->proof.count, request.proof.count);
    out->note = (struct bytes){0}; /* it was of the body */
    tlog_tile_reader_destroy(tiles);
    buffer_finish(&body);
}

/* A proof of one branch, against what was seen of another. */
static void check(struct history *h)
{
    uint32_t a = chance(h, BRANCHES), b = chance(h, BRANCHES);
    struct branch *from = h->branches[a], *to = h->branches[b];
    struct tlog_witness_request request;
    uint64_t common = a == b                          ? UINT64_MAX
                      : h->fork_at[a] < h->fork_at[b] ? h->fork_at[a]
                                                      : h->fork_at[b];
    uint64_t size = chance(h, (uint32_t)to->edge.size + 1);
    uint64_t most = size < from->edge.size ? size : from->edge.size;
    uint64_t old = chance(h, (uint32_t)most + 1);
    /* Near the fork, and at the ends, it is interesting. */
    if (chance(h, 2) == 0 && common < most) {
        old = common + chance(h, 2);
    }
    ask(to, old, size, &request);
    assert_int_equal(
        tlog_tree_check_consistency(&request.proof, size, old, &to->roots[size], &from->roots[old]),
        old <= common);
    /* Of other sizes, it is a proof of nothing. */
    if (old > 0 && old < size && size < to->edge.size) {
        assert_false(tlog_tree_check_consistency(&request.proof, size + 1, old,
                                                 &to->roots[size + 1], &from->roots[old]));
    }
    if (request.proof.count > 0) {
        request.proof.hashes[chance(h, (uint32_t)request.proof.count)].bytes[chance(h, 32)] ^= 1;
        assert_false(tlog_tree_check_consistency(&request.proof, size, old, &to->roots[size],
                                                 &from->roots[old]));
    }
}

static struct branch *branch_make(void)
{
    struct branch *b = calloc(1, sizeof(*b));
    assert_non_null(b);
    tlog_edge_root(&b->edge, &b->roots[0]);
    return b;
}

static void random_histories(void **state)
{
    (void)state;
    for (uint32_t round = 0; round < ROUNDS; round++) {
        struct history h = {.dice = 20261121 + round, .fork_at = {UINT64_MAX}};
        h.branches[0] = branch_make();
        branch_grow(&h, h.branches[0], 1 + chance(&h, 1500));
        for (size_t i = 1; i < BRANCHES; i++) {
            h.branches[i] = branch_make();
            h.fork_at[i] = chance(&h, (uint32_t)h.branches[0]->edge.size);
            for (uint64_t n = 0; n < h.fork_at[i]; n++) {
                branch_add(h.branches[i], &h.branches[0]->leaves[n]);
            }
            branch_grow(&h, h.branches[i], 1 + chance(&h, 600));
        }
        for (int step = 0; step < STEPS; step++) {
            branch_grow(&h, h.branches[chance(&h, BRANCHES)], chance(&h, 100));
            for (int i = 0; i < 10; i++) {
                check(&h);
            }
        }
        for (size_t i = 0; i < BRANCHES; i++) {
            fixture_store_finish(&h.branches[i]->store);
            free(h.branches[i]);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(random_histories)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
