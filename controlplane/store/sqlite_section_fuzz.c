/* Any bytes as a head, as packed content, and as content that was packed. What is accepted is
 * packed again to the same. */
#include <stdlib.h>
#include <zstd.h>

#include "controlplane/store/sqlite_section.h"

static const int64_t KEY = INT64_C(1700000000000000000);

static struct section_packer *packer_get(void)
{
    static struct section_packer *packer;
    if (packer == NULL && section_packer_create(&packer) != OK) {
        abort();
    }
    return packer;
}

static void require(bool holds)
{
    if (!holds) {
        abort();
    }
}

static void records_compare(const struct section_record *a, const struct section_record *b)
{
    require(a->key == b->key && a->at == b->at && a->kind == b->kind && a->verdict == b->verdict &&
            a->is_in_blob == b->is_in_blob && a->table_count == b->table_count);
    for (size_t i = 0; i < a->table_count; i++) {
        require(a->tables[i].name == b->tables[i].name && a->tables[i].full == b->tables[i].full);
    }
}

static void head_try(struct bytes head, struct arena *arena, struct buffer *out)
{
    struct section_record *records = NULL, *again = NULL;
    size_t count = 0, count_again = 0;
    if (section_head_open(head, KEY, arena, &records, &count) != OK) {
        return;
    }
    require(section_head_pack(records, count, out) == OK);
    require(section_head_open(buffer_bytes(out), KEY, arena, &again, &count_again) == OK);
    require(count == count_again);
    for (size_t i = 0; i < count; i++) {
        records_compare(&records[i], &again[i]);
    }
}

static void content_try(struct bytes packed, size_t count, struct arena *arena, struct buffer *out)
{
    struct section_content *items = NULL, *again = NULL;
    if (section_content_open(packer_get(), packed, count, arena, &items) != OK) {
        return;
    }
    require(section_content_pack(packer_get(), items, count, out) == OK);
    require(section_content_open(packer_get(), buffer_bytes(out), count, arena, &again) == OK);
    for (size_t i = 0; i < count; i++) {
        require(bytes_equal(items[i].canonical, again[i].canonical));
        require(bytes_equal(items[i].text, again[i].text));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The first byte is how many records there are said to be. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena *arena = arena_create(1 << 16, 256 << 20);
    struct buffer out;
    if (size == 0 || arena == NULL) {
        arena_destroy(arena);
        return 0;
    }
    struct bytes rest = bytes_of(data + 1, size - 1);
    size_t room = ZSTD_compressBound(rest.size);
    uint8_t *packed = malloc(room);
    buffer_init(&out, 256 << 20);
    head_try(rest, arena, &out);
    content_try(rest, data[0], arena, &out);
    if (packed != NULL) {
        size_t packed_size = ZSTD_compress(packed, room, rest.data, rest.size, 1);
        content_try(bytes_of(packed, packed_size), data[0], arena, &out);
    }
    free(packed);
    buffer_finish(&out);
    arena_destroy(arena);
    return 0;
}
