#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/tlog/fixture.h"

static struct fixture_store *store_new(void)
{
    struct fixture_store *store = calloc(1, sizeof(*store));
    assert_non_null(store);
    return store;
}

static void store_free(struct fixture_store *store)
{
    fixture_store_finish(store);
    free(store);
}

static void edge_root(uint64_t size, struct tlog_hash *out)
{
    struct tlog_edge edge = {.size = 0};
    char room[32];
    for (uint64_t i = 0; i < size; i++) {
        struct tlog_hash leaf;
        tlog_hash_leaf(fixture_record(i, room), &leaf);
        assert_int_equal(tlog_edge_append(&edge, &leaf), OK);
    }
    tlog_edge_root(&edge, out);
}

static void append(struct tlog_grow *grow, uint64_t from, uint64_t to, struct tlog_tile_sink sink,
                   enum err want)
{
    enum { BATCH = 700 };
    struct tlog_hash leaves[BATCH];
    char room[32];
    assert_true(to - from <= BATCH);
    for (uint64_t i = from; i < to; i++) {
        tlog_hash_leaf(fixture_record(i, room), &leaves[i - from]);
    }
    assert_int_equal(tlog_grow_append(grow, leaves, (size_t)(to - from), sink), want);
}

/* Whatever the batches are: the head is right, and a new object goes on from what was stored. */
static void batches_and_restarts_do_not_matter(void **state)
{
    (void)state;
    static const uint64_t sizes[] = {1, 2, 255, 256, 257, 511, 512, 513, 1000, 1600};
    struct fixture_store *store = store_new();
    struct tlog_tile_sink sink = fixture_store_sink(store);
    uint64_t size = 0;
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        struct tlog_grow *grow = NULL;
        struct tlog_tile_reader *tiles = NULL;
        struct tlog_hash want, got;
        assert_int_equal(tlog_grow_create(fixture_store_source(store), size, &grow), OK);
        append(grow, size, sizes[i], sink, OK);
        assert_int_equal(tlog_grow_flush(grow, sink), OK);
        size_t stored = store->count;
        assert_int_equal(tlog_grow_flush(grow, sink), OK);
        assert_int_equal(store->count, stored); /* nothing changed, nothing is written */
        size = sizes[i];
        assert_int_equal(tlog_grow_size(grow), size);
        edge_root(size, &want);
        assert_int_equal(tlog_grow_root(grow, &got), OK);
        assert_memory_equal(got.bytes, want.bytes, TLOG_HASH_SIZE);
        assert_int_equal(tlog_tile_reader_create(fixture_store_source(store), size, &tiles), OK);
        struct tlog_reader reader = tlog_tile_reader_as_reader(tiles);
        assert_int_equal(tlog_tree_root(&reader, size, &got), OK);
        assert_memory_equal(got.bytes, want.bytes, TLOG_HASH_SIZE);
        tlog_tile_reader_destroy(tiles);
        tlog_grow_destroy(grow);
    }
    store_free(store);
}

struct expected {
    struct fixture_store *store;
    size_t from, seen;
};

static enum err was_stored(void *context, const struct tlog_tile *tile)
{
    struct expected *e = context;
    for (size_t i = e->from; i < e->store->count; i++) {
        const struct tlog_tile *t = &e->store->tiles[i];
        if (t->level == tile->level && t->index == tile->index && t->width == tile->width) {
            e->seen++;
            return OK;
        }
    }
    return ERR_NOT_FOUND;
}

/* One append and one flush store exactly the tiles that tlog_tile_each_new names. */
static void stores_what_is_new(void **state)
{
    (void)state;
    static const uint64_t pairs[][2] = {{0, 1},     {0, 256},   {255, 256},
                                        {256, 600}, {300, 301}, {1000, 1700}};
    for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
        struct fixture_store *store = store_new();
        fixture_grow(store, 0, pairs[i][0]);
        struct expected expected = {.store = store, .from = store->count};
        fixture_grow(store, pairs[i][0], pairs[i][1]);
        assert_int_equal(tlog_tile_each_new(pairs[i][0], pairs[i][1], was_stored, &expected), OK);
        assert_int_equal(expected.seen, store->count - expected.from);
        store_free(store);
    }
}

/* A store that fails at any of its calls: the object is of no use any more, and a new one from the
 * last size that was whole writes the same tree. */
static void a_failed_store_is_started_anew(void **state)
{
    (void)state;
    struct tlog_hash want, got, leaf = {{0}};
    edge_root(800, &want);
    for (size_t n = 1; n <= 5; n++) {
        struct fixture_store *store = store_new();
        struct tlog_tile_sink sink = fixture_store_sink(store);
        struct tlog_grow *grow = NULL;
        fixture_grow(store, 0, 200);
        assert_int_equal(tlog_grow_create(fixture_store_source(store), 200, &grow), OK);
        store->fail_at = n; /* three full tiles, then two partial ones */
        append(grow, 200, 800, sink, n <= 3 ? ERR_FULL : OK);
        assert_int_equal(tlog_grow_flush(grow, sink), ERR_FULL);
        assert_int_equal(tlog_grow_append(grow, &leaf, 1, sink), ERR_FULL);
        assert_int_equal(tlog_grow_root(grow, &got), ERR_FULL);
        tlog_grow_destroy(grow);
        assert_int_equal(tlog_grow_create(fixture_store_source(store), 200, &grow), OK);
        append(grow, 200, 800, sink, OK);
        assert_int_equal(tlog_grow_flush(grow, sink), OK);
        assert_int_equal(tlog_grow_root(grow, &got), OK);
        assert_memory_equal(got.bytes, want.bytes, TLOG_HASH_SIZE);
        tlog_grow_destroy(grow);
        store_free(store);
    }
}

static void tiles_that_are_missing_or_wrong(void **state)
{
    (void)state;
    struct fixture_store *store = store_new(), *none = store_new();
    struct tlog_grow *grow = NULL;
    struct tlog_tile_reader *tiles = NULL;
    struct tlog_proof proof = {.count = 0};
    struct tlog_hash root, leaf;
    char room[32];
    assert_int_equal(tlog_grow_create(fixture_store_source(none), 300, &grow), ERR_NOT_FOUND);
    assert_int_equal(tlog_grow_create(fixture_store_source(none), TLOG_SIZE_MAX + 1, &grow),
                     ERR_LIMIT);
    assert_null(grow);
    assert_int_equal(tlog_tile_reader_create(fixture_store_source(none), 300, &tiles), OK);
    struct tlog_reader reader = tlog_tile_reader_as_reader(tiles);
    assert_int_equal(tlog_tree_prove_inclusion(&reader, 300, 7, &proof), ERR_NOT_FOUND);
    /* A leaf that the reader's tree does not have. */
    assert_int_equal(tlog_tree_root(&reader, 301, &root), ERR_INVALID);
    tlog_tile_reader_destroy(tiles);

    fixture_grow(store, 0, 300);
    edge_root(300, &root);
    tlog_hash_leaf(fixture_record(7, room), &leaf);
    store->data[0][(size_t)6 * TLOG_HASH_SIZE] ^=
        1; /* the neighbour of leaf 7, in the first tile */
    assert_int_equal(tlog_tile_reader_create(fixture_store_source(store), 300, &tiles), OK);
    reader = tlog_tile_reader_as_reader(tiles);
    assert_int_equal(tlog_tree_prove_inclusion(&reader, 300, 7, &proof), OK);
    assert_false(tlog_tree_check_inclusion(&proof, 300, 7, &leaf, &root));
    tlog_tile_reader_destroy(tiles);
    store_free(store);
    store_free(none);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(batches_and_restarts_do_not_matter),
        cmocka_unit_test(stores_what_is_new),
        cmocka_unit_test(a_failed_store_is_started_anew),
        cmocka_unit_test(tiles_that_are_missing_or_wrong),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
