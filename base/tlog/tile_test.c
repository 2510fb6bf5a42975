#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/tlog/tile.h"

static void paths_have_one_spelling(void **state)
{
    (void)state;
    static const char *const wrong[] = {"",
                                        "tile",
                                        "tile/",
                                        "tile/0",
                                        "tile/0/",
                                        "tile/0/1",
                                        "tile/0/0001",
                                        "tile/00/001",
                                        "tile/8/000",
                                        "tile/63/000",
                                        "tile/-1/000",
                                        "tile/x/000",
                                        "/tile/0/000",
                                        "tile/0/000/",
                                        "tile/0/x000/001",
                                        "tile/0/001/002",
                                        "tile/0/x001",
                                        "tile/0/x001/x002",
                                        "tile/0/x01/002",
                                        "tile/0/../000",
                                        "tile/0/000.p",
                                        "tile/0/000.p/",
                                        "tile/0/000.p/0",
                                        "tile/0/000.p/01",
                                        "tile/0/000.p/256",
                                        "tile/0/000.p/1/",
                                        "tile/0/000.p/1 ",
                                        "tile/entries",
                                        "tile/entries/0",
                                        "tile/data/000",
                                        "tile/7/001",
                                        "tile/7/000.p/65",
                                        "tile/0/x018/x014/x398/x509/x481/x984",
                                        "tile/0/x999/x999/x999/x999/x999/999",
                                        "tile/0/x999/x999/x999/x999/x999/x999/x999/x999/999"};
    static const char *const right[] = {
        "tile/0/000",           "tile/7/000.p/64",
        "tile/0/x001/x234/067", "tile/entries/x001/x234/067.p/17",
        "tile/6/063",           "tile/0/x018/x014/x398/x509/x481/983"};
    struct tlog_tile tile = {.index = 77};
    char path[TLOG_TILE_PATH_SIZE];
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        if (tlog_tile_parse_path(bytes_of_string(wrong[i]), &tile) != ERR_INVALID) {
            fail_msg("accepted: %s", wrong[i]);
        }
        assert_int_equal(tile.index, 77);
    }
    assert_int_equal(tlog_tile_parse_path(bytes_of("tile/0/000\0", 11), &tile), ERR_INVALID);
    for (size_t i = 0; i < sizeof(right) / sizeof(right[0]); i++) {
        assert_int_equal(tlog_tile_parse_path(bytes_of_string(right[i]), &tile), OK);
        assert_int_equal(tlog_tile_format_path(&tile, path), OK);
        assert_string_equal(path, right[i]);
    }
    tile = (struct tlog_tile){.kind = TLOG_TILE_ENTRIES, .level = 1, .width = 1};
    assert_int_equal(tlog_tile_format_path(&tile, path), ERR_INVALID);
    tile = (struct tlog_tile){.index = UINT64_MAX, .width = 1};
    assert_int_equal(tlog_tile_format_path(&tile, path), ERR_INVALID);
}

struct listed {
    char text[512];
};

static enum err list_path(void *context, const struct tlog_tile *tile)
{
    struct listed *l = context;
    char path[TLOG_TILE_PATH_SIZE];
    assert_int_equal(tlog_tile_format_path(tile, path), OK);
    size_t used = strlen(l->text);
    (void)snprintf(l->text + used, sizeof(l->text) - used, "%s ", path);
    return OK;
}

static enum err stop(void *context, const struct tlog_tile *tile)
{
    (void)context, (void)tile;
    return ERR_IO;
}

/* The example of the specification, from where only the partial tiles are new. */
static void new_tiles_of_a_size(void **state)
{
    (void)state;
    struct listed l = {.text = ""};
    assert_int_equal(tlog_tile_each_new(69888, 70000, list_path, &l), OK);
    assert_string_equal(l.text, "tile/0/273.p/112 ");
    l.text[0] = '\0';
    assert_int_equal(tlog_tile_each_new(69800, 70000, list_path, &l), OK);
    assert_string_equal(l.text, "tile/0/272 tile/0/273.p/112 tile/1/001.p/17 ");
    l.text[0] = '\0';
    assert_int_equal(tlog_tile_each_new(0, 256, list_path, &l), OK);
    assert_string_equal(l.text, "tile/0/000 tile/1/000.p/1 ");
    l.text[0] = '\0';
    assert_int_equal(tlog_tile_each_new(70000, 70000, list_path, &l), OK);
    assert_int_equal(tlog_tile_each_new(TLOG_SIZE_MAX - 1, TLOG_SIZE_MAX, list_path, &l), OK);
    assert_int_equal(tlog_tile_each_new(2, 1, list_path, &l), ERR_INVALID);
    assert_int_equal(tlog_tile_each_new(0, TLOG_SIZE_MAX + 1, list_path, &l), ERR_LIMIT);
    assert_int_equal(tlog_tile_each_new(0, 1000, stop, NULL), ERR_IO);
}

static void hashes_of_a_tile(void **state)
{
    (void)state;
    uint8_t data[3 * TLOG_HASH_SIZE];
    for (size_t i = 0; i < sizeof(data); i++) {
        data[i] = (uint8_t)i;
    }
    struct tlog_tile tile = {.level = 1, .index = 2, .width = 3};
    struct bytes all = bytes_of(data, sizeof(data));
    struct tlog_hash left, right, want, got;
    uint64_t first = UINT64_C(2) * TLOG_TILE_WIDTH;
    assert_int_equal(tlog_tile_read_hash(&tile, all, 8, first, &left), OK);
    assert_memory_equal(left.bytes, data, TLOG_HASH_SIZE);
    assert_int_equal(tlog_tile_read_hash(&tile, all, 8, first + 1, &right), OK);
    tlog_hash_node(&left, &right, &want);
    assert_int_equal(tlog_tile_read_hash(&tile, all, 9, first / 2, &got), OK);
    assert_memory_equal(got.bytes, want.bytes, TLOG_HASH_SIZE);
    /* Not all of it is there; of another tile; of another level; data of another size. */
    assert_int_equal(tlog_tile_read_hash(&tile, all, 9, first / 2 + 1, &got), ERR_INVALID);
    assert_int_equal(tlog_tile_read_hash(&tile, all, 8, first + 3, &got), ERR_INVALID);
    assert_int_equal(tlog_tile_read_hash(&tile, all, 8, first - 1, &got), ERR_INVALID);
    assert_int_equal(tlog_tile_read_hash(&tile, all, 7, first, &got), ERR_INVALID);
    assert_int_equal(tlog_tile_read_hash(&tile, all, 16, 0, &got), ERR_INVALID);
    all.size--;
    assert_int_equal(tlog_tile_read_hash(&tile, all, 8, first, &got), ERR_INVALID);

    assert_int_equal(tlog_tile_find(70000, 8, 272, &tile), OK);
    assert_int_equal(tile.level, 1);
    assert_int_equal(tile.index, 1);
    assert_int_equal(tile.width, 17);
    assert_int_equal(tlog_tile_find(70000, 8, 273, &tile), ERR_INVALID);
    assert_int_equal(tlog_tile_find(70000, 0, 70000, &tile), ERR_INVALID);
    assert_int_equal(tlog_tile_find(TLOG_SIZE_MAX + 1, 0, 0, &tile), ERR_INVALID);
    assert_int_equal(tlog_tile_find(70000, 64, 0, &tile), ERR_INVALID);
}

enum { ENTRIES = 5 };

/* Entries "", "e", "ee", ... and the hashes of their tile. */
static void bundle_make(struct buffer *bundle, uint8_t hashes[ENTRIES * TLOG_HASH_SIZE])
{
    for (size_t i = 0; i < ENTRIES; i++) {
        struct bytes entry = bytes_of("eeeee", i);
        struct tlog_hash hash;
        assert_int_equal(tlog_bundle_append(bundle, entry), OK);
        tlog_hash_leaf(entry, &hash);
        memcpy(hashes + i * TLOG_HASH_SIZE, hash.bytes, TLOG_HASH_SIZE);
    }
}

static void bundles_fit_their_tile(void **state)
{
    (void)state;
    uint8_t hashes[ENTRIES * TLOG_HASH_SIZE];
    struct buffer b;
    unsigned at = 99;
    buffer_init(&b, 1 << 17);
    bundle_make(&b, hashes);
    struct bytes all = buffer_bytes(&b), tile = bytes_of(hashes, sizeof(hashes));
    assert_int_equal(tlog_bundle_check(all, tile, &at), OK);
    assert_int_equal(at, 99);
    /* Cut off at every place; a byte more; a byte changed; an entry missing. */
    for (size_t i = 0; i < all.size; i++) {
        assert_int_equal(tlog_bundle_check(bytes_of(all.data, i), tile, &at), ERR_INVALID);
    }
    assert_int_equal(at, ENTRIES - 1);
    assert_int_equal(tlog_bundle_check(all, bytes_of(hashes, (size_t)4 * TLOG_HASH_SIZE), &at),
                     ERR_INVALID);
    assert_int_equal(at, 4);
    assert_int_equal(tlog_bundle_check(all, bytes_of(hashes, 0), &at), ERR_INVALID);
    assert_int_equal(tlog_bundle_check(all, bytes_of(hashes, 33), NULL), ERR_INVALID);
    hashes[(size_t)2 * TLOG_HASH_SIZE] ^= 1;
    assert_int_equal(tlog_bundle_check(all, tile, &at), ERR_DENIED);
    assert_int_equal(at, 2);

    uint8_t *large = calloc(1, TLOG_ENTRY_SIZE_MAX + 1);
    assert_non_null(large);
    size_t before = buffer_size(&b);
    assert_int_equal(tlog_bundle_append(&b, bytes_of(large, TLOG_ENTRY_SIZE_MAX + 1)), ERR_LIMIT);
    assert_int_equal(tlog_bundle_append(&b, bytes_of(large, TLOG_ENTRY_SIZE_MAX)), OK);
    assert_int_equal(buffer_size(&b), before + 2 + TLOG_ENTRY_SIZE_MAX);
    assert_int_equal(tlog_bundle_append(&b, bytes_of(large, TLOG_ENTRY_SIZE_MAX)), ERR_LIMIT);
    free(large);
    buffer_finish(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(paths_have_one_spelling),
        cmocka_unit_test(new_tiles_of_a_size),
        cmocka_unit_test(hashes_of_a_tile),
        cmocka_unit_test(bundles_fit_their_tile),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
