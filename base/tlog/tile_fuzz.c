/* A tile's path, or the path and a bundle after a newline. */
#include <assert.h>

#include "base/tlog/tile.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void path_fuzz(struct bytes path)
{
    struct tlog_tile tile;
    char again[TLOG_TILE_PATH_SIZE];
    if (tlog_tile_parse_path(path, &tile) == OK) {
        assert(tlog_tile_format_path(&tile, again) == OK);
        assert(bytes_equal_string(path, again));
    }
}

/* What can be taken apart is the same when it is put together. */
static void bundle_fuzz(struct bytes bundle)
{
    struct bytes rest = bundle, entry;
    struct buffer again;
    uint8_t hashes[TLOG_TILE_BYTES] = {0};
    size_t count = 0;
    enum err e;
    buffer_init(&again, bundle.size);
    while ((e = tlog_bundle_next(&rest, &entry)) == OK) {
        struct tlog_hash hash;
        tlog_hash_leaf(entry, &hash);
        if (count < TLOG_TILE_WIDTH) {
            memcpy(hashes + count * TLOG_HASH_SIZE, hash.bytes, TLOG_HASH_SIZE);
        }
        count++;
        assert(tlog_bundle_append(&again, entry) == OK);
    }
    assert(e == ERR_NOT_FOUND || e == ERR_INVALID);
    assert((e == ERR_NOT_FOUND) == (rest.size == 0));
    assert(buffer_size(&again) + rest.size == bundle.size);
    size_t width = count < TLOG_TILE_WIDTH ? count : TLOG_TILE_WIDTH;
    enum err fits = tlog_bundle_check(bundle, bytes_of(hashes, width * TLOG_HASH_SIZE), NULL);
    assert((fits == OK) == (e == ERR_NOT_FOUND && count >= 1 && count <= TLOG_TILE_WIDTH));
    buffer_finish(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *end = size == 0 ? NULL : memchr(data, '\n', size);
    size_t length = end == NULL ? size : (size_t)(end - data);
    path_fuzz(bytes_of(data, length));
    if (end != NULL) {
        bundle_fuzz(bytes_of(end + 1, size - length - 1));
    }
    return 0;
}
