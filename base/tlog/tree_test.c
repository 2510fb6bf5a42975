/* Trees beside a second reckoning: MTH, straight from its definition in RFC 6962 section 2.1. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/crypto/crypto.h"
#include "base/tlog/tree.h"

enum { LEAVES = 70 };

static void leaf_of(uint64_t n, struct tlog_hash *out)
{
    char text[32];
    int size = snprintf(text, sizeof(text), "leaf %llu", (unsigned long long)n);
    tlog_hash_leaf(bytes_of(text, (size_t)size), out);
}

static void definition(uint64_t start, uint64_t count, struct tlog_hash *out)
{
    uint64_t k = 1;
    struct tlog_hash left, right;
    if (count == 1) {
        leaf_of(start, out);
        return;
    }
    while (2 * k < count) {
        k *= 2;
    }
    definition(start, k, &left);
    definition(start + k, count - k, &right);
    tlog_hash_node(&left, &right, out);
}

static enum err read_definition(void *context, unsigned level, uint64_t index,
                                struct tlog_hash *out)
{
    uint64_t size = *(const uint64_t *)context;
    assert_true(index < size >> level); /* nothing outside of the tree is asked for */
    definition(index << level, UINT64_C(1) << level, out);
    return OK;
}

static void hex_equal(const struct tlog_hash *hash, const char *want)
{
    char hex[2 * TLOG_HASH_SIZE + 1];
    crypto_hex_encode(bytes_of(hash->bytes, TLOG_HASH_SIZE), hex);
    assert_string_equal(hex, want);
}

/* The eight leaves and the heads that implementations of certificate transparency test with. */
static void published_heads(void **state)
{
    (void)state;
    static const struct {
        const char *data;
        size_t size;
    } leaves[] = {{"", 0},
                  {"\x00", 1},
                  {"\x10", 1},
                  {"\x20\x21", 2},
                  {"\x30\x31", 2},
                  {"\x40\x41\x42\x43", 4},
                  {"\x50\x51\x52\x53\x54\x55\x56\x57", 8},
                  {"\x60\x61\x62\x63\x64\x65\x66\x67\x68\x69\x6a\x6b\x6c\x6d\x6e\x6f", 16}};
    static const char *const heads[] = {
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
        "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
        "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
        "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
        "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328"};
    struct tlog_edge edge = {.size = 0};
    struct tlog_hash root, leaf;
    for (size_t i = 0;; i++) {
        tlog_edge_root(&edge, &root);
        hex_equal(&root, heads[i]);
        if (i == 8) {
            break;
        }
        tlog_hash_leaf(bytes_of(leaves[i].data, leaves[i].size), &leaf);
        assert_int_equal(tlog_edge_append(&edge, &leaf), OK);
    }
}

static void heads_are_the_definition(void **state)
{
    (void)state;
    struct tlog_edge edge = {.size = 0};
    for (uint64_t n = 1; n <= LEAVES; n++) {
        struct tlog_reader reader = {read_definition, &n};
        struct tlog_hash want, got, leaf;
        definition(0, n, &want);
        assert_int_equal(tlog_tree_root(&reader, n, &got), OK);
        assert_memory_equal(got.bytes, want.bytes, TLOG_HASH_SIZE);
        leaf_of(n - 1, &leaf);
        assert_int_equal(tlog_edge_append(&edge, &leaf), OK);
        tlog_edge_root(&edge, &got);
        assert_memory_equal(got.bytes, want.bytes, TLOG_HASH_SIZE);
    }
}

/* What must not check, of a proof that does: every hash flipped, one less, one more. */
static void broken_proofs(const struct tlog_proof *good,
                          bool (*check)(const struct tlog_proof *p, const void *context),
                          const void *context)
{
    struct tlog_proof bad = *good;
    assert_true(check(&bad, context));
    for (size_t i = 0; i < good->count; i++) {
        bad.hashes[i].bytes[i] ^= 0x40;
        assert_false(check(&bad, context));
        bad.hashes[i].bytes[i] ^= 0x40;
    }
    if (good->count > 0) {
        bad.count--;
        assert_false(check(&bad, context));
    }
    bad.count = good->count + 1;
    memset(&bad.hashes[good->count], 7, sizeof(bad.hashes[0]));
    assert_false(check(&bad, context));
    bad.count = TLOG_PROOF_MAX + 1;
    assert_false(check(&bad, context));
}

struct inclusion {
    uint64_t size, index;
    struct tlog_hash leaf, root;
};

static bool inclusion_checks(const struct tlog_proof *proof, const void *context)
{
    const struct inclusion *c = context;
    return tlog_tree_check_inclusion(proof, c->size, c->index, &c->leaf, &c->root);
}

static void inclusion_is_for_one_place(void **state)
{
    (void)state;
    for (uint64_t n = 1; n <= 33; n++) {
        struct tlog_reader reader = {read_definition, &n};
        struct inclusion c = {.size = n};
        struct tlog_proof proof;
        definition(0, n, &c.root);
        for (c.index = 0; c.index < n; c.index++) {
            leaf_of(c.index, &c.leaf);
            assert_int_equal(tlog_tree_prove_inclusion(&reader, n, c.index, &proof), OK);
            broken_proofs(&proof, inclusion_checks, &c);
            for (uint64_t other = 0; other <= n; other++) {
                assert_int_equal(tlog_tree_check_inclusion(&proof, n, other, &c.leaf, &c.root),
                                 other == c.index);
            }
            if (n > 1) {
                assert_false(tlog_tree_check_inclusion(&proof, n, c.index, &c.root, &c.leaf));
            }
        }
    }
}

struct consistency {
    uint64_t size, before;
    struct tlog_hash root, before_root;
};

static bool consistency_checks(const struct tlog_proof *proof, const void *context)
{
    const struct consistency *c = context;
    return tlog_tree_check_consistency(proof, c->size, c->before, &c->root, &c->before_root);
}

static void consistency_is_of_two_trees(void **state)
{
    (void)state;
    for (uint64_t n = 1; n <= 33; n++) {
        struct tlog_reader reader = {read_definition, &n};
        struct consistency c = {.size = n};
        struct tlog_proof proof;
        definition(0, n, &c.root);
        for (c.before = 1; c.before <= n; c.before++) {
            struct tlog_hash fork;
            definition(0, c.before, &c.before_root);
            assert_int_equal(tlog_tree_prove_consistency(&reader, n, c.before, &proof), OK);
            broken_proofs(&proof, consistency_checks, &c);
            /* A fork: the same size, another tree. */
            definition(1, c.before, &fork);
            assert_false(tlog_tree_check_consistency(&proof, n, c.before, &c.root, &fork));
            assert_false(tlog_tree_check_consistency(&proof, n, c.before, &fork, &c.before_root));
        }
    }
}

static void empty_trees(void **state)
{
    (void)state;
    uint64_t n = 5;
    struct tlog_reader reader = {read_definition, &n};
    struct tlog_hash empty, root;
    struct tlog_proof proof = {.count = 9};
    assert_int_equal(tlog_tree_root(&reader, 0, &empty), OK);
    definition(0, n, &root);
    assert_int_equal(tlog_tree_prove_consistency(&reader, n, 0, &proof), OK);
    assert_int_equal(proof.count, 0);
    assert_true(tlog_tree_check_consistency(&proof, n, 0, &root, &empty));
    assert_false(tlog_tree_check_consistency(&proof, n, 0, &root, &root));
    assert_true(tlog_tree_check_consistency(&proof, 0, 0, &empty, &empty));
    assert_false(tlog_tree_check_consistency(&proof, 0, 0, &root, &root));
    assert_false(tlog_tree_check_inclusion(&proof, 0, 0, &empty, &empty));
}

static enum err read_fails(void *context, unsigned level, uint64_t index, struct tlog_hash *out)
{
    (void)level, (void)index, (void)out;
    size_t *left = context;
    return (*left)-- > 0 ? OK : ERR_IO;
}

static void refusals(void **state)
{
    (void)state;
    uint64_t n = 5;
    size_t left = 0;
    struct tlog_reader reader = {read_definition, &n}, broken = {read_fails, &left};
    struct tlog_proof proof = {.count = 9};
    struct tlog_hash root = {{1}};
    struct tlog_edge full = {.size = TLOG_SIZE_MAX};
    assert_int_equal(tlog_tree_prove_inclusion(&reader, 5, 5, &proof), ERR_INVALID);
    assert_int_equal(tlog_tree_prove_consistency(&reader, 5, 6, &proof), ERR_INVALID);
    assert_int_equal(tlog_tree_prove_inclusion(&reader, TLOG_SIZE_MAX + 1, 0, &proof), ERR_LIMIT);
    assert_int_equal(tlog_tree_prove_consistency(&reader, TLOG_SIZE_MAX + 1, 1, &proof), ERR_LIMIT);
    assert_int_equal(tlog_tree_root(&reader, UINT64_MAX, &root), ERR_LIMIT);
    assert_int_equal(tlog_edge_append(&full, &root), ERR_LIMIT);
    for (size_t i = 0; i < 2; i++) {
        left = i;
        assert_int_equal(tlog_tree_root(&broken, 7, &root), ERR_IO);
        left = i;
        assert_int_equal(tlog_tree_prove_inclusion(&broken, 7, 2, &proof), ERR_IO);
        left = i;
        assert_int_equal(tlog_tree_prove_consistency(&broken, 7, 3, &proof), ERR_IO);
    }
    assert_int_equal(proof.count, 9); /* untouched */
    assert_int_equal(root.bytes[0], 1);
}

/* Nothing wraps at the largest size: 62 levels, and a proof that just fits. */
static enum err read_constant(void *context, unsigned level, uint64_t index, struct tlog_hash *out)
{
    (void)context;
    assert_true(level <= TLOG_LEVELS && index < TLOG_SIZE_MAX >> level);
    memset(out->bytes, (int)level, TLOG_HASH_SIZE);
    return OK;
}

static void largest_tree(void **state)
{
    (void)state;
    struct tlog_reader reader = {read_constant, NULL};
    struct tlog_proof proof;
    assert_int_equal(tlog_tree_prove_inclusion(&reader, TLOG_SIZE_MAX, TLOG_SIZE_MAX - 1, &proof),
                     OK);
    assert_int_equal(proof.count, TLOG_LEVELS);
    assert_int_equal(tlog_tree_prove_consistency(&reader, TLOG_SIZE_MAX, TLOG_SIZE_MAX - 1, &proof),
                     OK);
    assert_int_equal(proof.count, TLOG_PROOF_MAX);
    struct tlog_hash any = {{0}};
    assert_false(tlog_tree_check_consistency(&proof, TLOG_SIZE_MAX, TLOG_SIZE_MAX - 1, &any, &any));
    assert_false(tlog_tree_check_inclusion(&proof, TLOG_SIZE_MAX + 1, 1, &any, &any));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(published_heads),
        cmocka_unit_test(heads_are_the_definition),
        cmocka_unit_test(inclusion_is_for_one_place),
        cmocka_unit_test(consistency_is_of_two_trees),
        cmocka_unit_test(empty_trees),
        cmocka_unit_test(refusals),
        cmocka_unit_test(largest_tree),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
