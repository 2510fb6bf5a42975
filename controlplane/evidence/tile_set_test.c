#include "controlplane/evidence/tile_set.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/tlog/grow.h"

enum { KEPT_MAX = 1024 };

/* Tiles by level and index: of the whole log, or those that a set named. */
struct kept {
    struct tlog_tile tiles[KEPT_MAX];
    uint8_t data[KEPT_MAX][TLOG_TILE_BYTES];
    size_t count;
};

static size_t find(const struct kept *k, const struct tlog_tile *tile)
{
    size_t n = 0;
    while (n < k->count && (k->tiles[n].level != tile->level || k->tiles[n].index != tile->index)) {
        n++;
    }
    return n;
}

static enum err put(void *context, const struct tlog_tile *tile, struct bytes data)
{
    struct kept *k = context;
    size_t n = find(k, tile);
    assert_true(n < KEPT_MAX);
    k->count += n == k->count;
    k->tiles[n] = *tile;
    memcpy(k->data[n], data.data, data.size);
    return OK;
}

static enum err load(void *context, const struct tlog_tile *tile, uint8_t *out)
{
    const struct kept *k = context;
    size_t n = find(k, tile);
    if (n == k->count || k->tiles[n].width != tile->width) {
        return ERR_NOT_FOUND;
    }
    memcpy(out, k->data[n], (size_t)tile->width * TLOG_HASH_SIZE);
    return OK;
}

struct naming {
    struct kept *log, *named;
};

static enum err on_tile(void *context, const struct tlog_tile *tile)
{
    struct naming *n = context;
    assert_int_equal(find(n->named, tile), n->named->count); /* each once */
    uint8_t data[TLOG_TILE_BYTES];
    assert_int_equal(load(n->log, tile, data), OK); /* as wide as it is in the log */
    return put(n->named, tile, bytes_of(data, (size_t)tile->width * TLOG_HASH_SIZE));
}

static void hash_of(uint64_t leaf, struct tlog_hash *out)
{
    tlog_hash_leaf(bytes_of(&leaf, sizeof(leaf)), out);
}

static void make_log(struct kept *log, uint64_t size, struct tlog_hash *out_root)
{
    struct tlog_tile_source none = {.load = load, .context = log};
    struct tlog_tile_sink sink = {.store = put, .context = log};
    struct tlog_grow *grow = NULL;
    assert_int_equal(tlog_grow_create(none, 0, &grow), OK);
    for (uint64_t i = 0; i < size; i++) {
        struct tlog_hash leaf;
        hash_of(i, &leaf);
        assert_int_equal(tlog_grow_append(grow, &leaf, 1, sink), OK);
    }
    assert_int_equal(tlog_grow_flush(grow, sink), OK);
    assert_int_equal(tlog_grow_root(grow, out_root), OK);
    tlog_grow_destroy(grow);
}

static void prove(struct kept *named, uint64_t size, const struct tlog_hash *root,
                  const uint64_t *leaves, size_t count)
{
    struct tlog_tile_source source = {.load = load, .context = named};
    struct tlog_tile_reader *tiles = NULL;
    struct tlog_hash computed;
    assert_int_equal(tlog_tile_reader_create(source, size, &tiles), OK);
    struct tlog_reader reader = tlog_tile_reader_as_reader(tiles);
    assert_int_equal(tlog_tree_root(&reader, size, &computed), OK);
    assert_true(tlog_hash_equal(&computed, root));
    for (size_t i = 0; i < count; i++) {
        struct tlog_proof proof;
        struct tlog_hash leaf;
        hash_of(leaves[i], &leaf);
        assert_int_equal(tlog_tree_prove_inclusion(&reader, size, leaves[i], &proof), OK);
        assert_true(tlog_tree_check_inclusion(&proof, size, leaves[i], &leaf, root));
    }
    tlog_tile_reader_destroy(tiles);
}

/* With the named tiles and no others the root and each proof are found. */
static size_t check(uint64_t size, const uint64_t *leaves, size_t count)
{
    struct naming n = {.log = calloc(1, sizeof(*n.log)), .named = calloc(1, sizeof(*n.named))};
    struct tlog_hash root;
    struct tile_set *set = NULL;
    assert_non_null(n.log);
    assert_non_null(n.named);
    make_log(n.log, size, &root);
    assert_int_equal(tile_set_create(size, &set), OK);
    for (size_t i = 0; i < count; i++) {
        tile_set_add(set, leaves[i]);
    }
    assert_int_equal(tile_set_each(set, on_tile, &n), OK);
    tile_set_destroy(set);
    prove(n.named, size, &root, leaves, count);
    size_t named = n.named->count;
    free(n.log);
    free(n.named);
    return named;
}

static void test_small_trees(void **state)
{
    static const uint64_t sizes[] = {1, 2, 255, 256, 257, 511, 512, 513, 1000};
    (void)state;
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        const uint64_t leaves[] = {0, sizes[i] / 2, sizes[i] - 1};
        (void)check(sizes[i], leaves, 3);
        (void)check(sizes[i], leaves, 0); /* the root alone */
    }
}

static void test_three_levels(void **state)
{
    (void)state;
    /* 65,536 leaves fill a tile of level 1. */
    const uint64_t leaves[] = {0, 255, 256, 40000, 65535, 65536, 65791, 65999};
    (void)check(65536, leaves, 5);
    (void)check(65537, leaves, 6);
    (void)check(66000, leaves, 8);
}

static void test_only_what_is_needed_is_named(void **state)
{
    (void)state;
    const uint64_t leaf = 5;
    /* Its own, the edge's of level 0, and the one of level 1 that has both. */
    assert_int_equal(check(2000, &leaf, 1), 3);
    assert_int_equal(check(2048, &leaf, 1), 2);
    assert_int_equal(check(2048, &leaf, 0), 1);
    /* The full tile of level 1, the one on level 2 above it, and on the edges of both. */
    assert_int_equal(check(66000, &leaf, 1), 5);
}

static enum err refuse(void *context, const struct tlog_tile *tile)
{
    (void)context;
    (void)tile;
    return ERR_CLOSED;
}

static void test_what_cannot_be(void **state)
{
    struct tile_set *set = NULL;
    (void)state;
    assert_int_equal(tile_set_create(TLOG_SIZE_MAX + 1, &set), ERR_LIMIT);
    assert_int_equal(tile_set_create(300, &set), OK);
    tile_set_add(set, 300); /* beyond the tree: nobody asks for it */
    assert_int_equal(tile_set_each(set, refuse, NULL), ERR_CLOSED);
    tile_set_destroy(set);
    assert_int_equal(tile_set_create(0, &set), OK);
    assert_int_equal(tile_set_each(set, refuse, NULL), OK);
    tile_set_destroy(set);
    tile_set_destroy(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_small_trees),
        cmocka_unit_test(test_three_levels),
        cmocka_unit_test(test_only_what_is_needed_is_named),
        cmocka_unit_test(test_what_cannot_be),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
