#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/tlog/grow.h"
#include "cli/verify/known_tiles.h"

enum { SIZE = 700 };

static struct tlog_hash leaves[SIZE];

static enum err store(void *context, const struct tlog_tile *tile, struct bytes data)
{
    return known_tiles_add(context, tile, data);
}

static void leaf(size_t n, struct tlog_hash *out)
{
    char text[32];
    int size = snprintf(text, sizeof(text), "record %zu", n);
    tlog_hash_leaf(bytes_of(text, (size_t)size), out);
}

/* All tiles of a tree of SIZE leaves, and its root. */
static struct known_tiles *make(struct tlog_hash *out_root)
{
    struct known_tiles *tiles = known_tiles_create();
    struct tlog_edge edge = {0};
    struct tlog_grow *grow = NULL;
    struct tlog_tile_sink sink = {.store = store, .context = tiles};
    assert_non_null(tiles);
    assert_int_equal(tlog_grow_create((struct tlog_tile_source){0}, 0, &grow), OK);
    for (size_t i = 0; i < SIZE; i++) {
        leaf(i, &leaves[i]);
        assert_int_equal(tlog_edge_append(&edge, &leaves[i]), OK);
    }
    assert_int_equal(tlog_grow_append(grow, leaves, SIZE, sink), OK);
    assert_int_equal(tlog_grow_flush(grow, sink), OK);
    tlog_grow_destroy(grow);
    tlog_edge_root(&edge, out_root);
    return tiles;
}

static void test_whole(void **state)
{
    (void)state;
    struct tlog_hash root;
    struct report *report = report_create();
    struct known_tiles *tiles = make(&root);
    uint64_t index = 0;
    assert_int_equal(known_tiles_check(tiles, SIZE, &root, report), OK);
    assert_int_equal(report_wrong(report), 0);
    for (size_t i = 0; i < SIZE; i++) {
        assert_true(tlog_hash_equal(known_tiles_leaf(tiles, i), &leaves[i]));
    }
    assert_null(known_tiles_leaf(tiles, SIZE));
    assert_true(known_tiles_find_leaf(tiles, &leaves[600], &index));
    assert_int_equal(index, 600);
    assert_false(known_tiles_find_leaf(tiles, &root, &index));
    known_tiles_destroy(tiles);
    report_destroy(report);
}

static void expect(struct known_tiles *tiles, uint64_t size, const struct tlog_hash *root,
                   enum report_kind kind)
{
    struct report *report = report_create();
    assert_int_equal(known_tiles_check(tiles, size, root, report), ERR_DENIED);
    assert_true(report_count(report, kind) > 0);
    report_destroy(report);
}

static void test_another_root_or_size(void **state)
{
    (void)state;
    struct tlog_hash root, other = {{1}};
    struct known_tiles *tiles = make(&root);
    expect(tiles, SIZE, &other, REPORT_FORKED);
    expect(tiles, SIZE - 1, &root, REPORT_CHANGED);
    expect(tiles, 256, &root, REPORT_INSERTED);
    expect(tiles, SIZE + 256, &root, REPORT_TRUNCATED);
    known_tiles_destroy(tiles);
}

static void test_a_tile_twice(void **state)
{
    (void)state;
    struct tlog_hash root;
    struct known_tiles *tiles = make(&root);
    struct tlog_tile tile = {.kind = TLOG_TILE_HASHES, .width = TLOG_TILE_WIDTH};
    assert_int_equal(known_tiles_add(tiles, &tile, bytes_of(leaves, TLOG_TILE_BYTES)), OK);
    expect(tiles, SIZE, &root, REPORT_DUPLICATED);
    known_tiles_destroy(tiles);
}

/* Its tile above is not there. */
static void test_a_tile_that_is_not_linked(void **state)
{
    (void)state;
    struct tlog_hash root;
    struct known_tiles *whole = make(&root), *tiles = known_tiles_create();
    struct tlog_tile tile = {.kind = TLOG_TILE_HASHES, .width = TLOG_TILE_WIDTH};
    assert_int_equal(known_tiles_add(tiles, &tile, bytes_of(leaves, TLOG_TILE_BYTES)), OK);
    expect(tiles, SIZE, &root, REPORT_REMOVED);
    known_tiles_destroy(tiles);
    known_tiles_destroy(whole);
}

static void test_data_of_another_size(void **state)
{
    (void)state;
    struct known_tiles *tiles = known_tiles_create();
    struct tlog_tile tile = {.kind = TLOG_TILE_HASHES, .width = 2};
    uint8_t data[TLOG_HASH_SIZE * 3] = {0};
    assert_int_equal(known_tiles_add(tiles, &tile, bytes_of(data, sizeof(data))), ERR_INVALID);
    assert_int_equal(known_tiles_add(tiles, &tile, bytes_of(data, 63)), ERR_INVALID);
    tile.kind = TLOG_TILE_ENTRIES;
    assert_int_equal(known_tiles_add(tiles, &tile, bytes_of(data, 64)), ERR_INVALID);
    assert_int_equal(known_tiles_count(tiles), 0);
    known_tiles_destroy(tiles);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_whole),
        cmocka_unit_test(test_another_root_or_size),
        cmocka_unit_test(test_a_tile_twice),
        cmocka_unit_test(test_a_tile_that_is_not_linked),
        cmocka_unit_test(test_data_of_another_size),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
