/* The workspaces of zstd are ours, so that what it leaves in them can be wiped. */
#define ZSTD_STATIC_LINKING_ONLY
#include <stdlib.h>
#include <zstd.h>

#include "base/cursor.h"
#include "controlplane/store/sqlite_section.h"
#include "controlplane/store/sqlite_section_bytes.h"

enum {
    CONTENT = 4 + 4 + 4,
    SIZE_KEPT = 4 * SECTION_BYTES_MAX,
    /* Of 64 records with two hashes each it makes what level 1 makes, in half of the time: what can
     * be made smaller is what they have in common. A record alone takes a quarter of the time. */
    LEVEL = -2,
};

struct section_packer {
    struct buffer plain;   /* of the last section */
    struct buffer scratch; /* of the caller */
    void *compress_room, *decompress_room;
    size_t compress_size, decompress_size;
    ZSTD_CCtx *compress;   /* in its room */
    ZSTD_DCtx *decompress; /* in its room */
};

enum err section_packer_create(struct section_packer **out)
{
    struct section_packer *p = calloc(1, sizeof(*p));
    if (p == NULL) {
        return ERR_NO_MEMORY;
    }
    buffer_init(&p->plain, SECTION_UNPACKED_MAX);
    buffer_init(&p->scratch, ZSTD_COMPRESSBOUND(SECTION_UNPACKED_MAX));
    p->compress_size = ZSTD_estimateCCtxSize(LEVEL);
    p->decompress_size = ZSTD_estimateDCtxSize();
    p->compress_room = malloc(p->compress_size);
    p->decompress_room = malloc(p->decompress_size);
    if (p->compress_room != NULL && p->decompress_room != NULL) {
        p->compress = ZSTD_initStaticCCtx(p->compress_room, p->compress_size);
        p->decompress = ZSTD_initStaticDCtx(p->decompress_room, p->decompress_size);
    }
    if (p->compress == NULL || p->decompress == NULL) {
        section_packer_destroy(p);
        return ERR_NO_MEMORY;
    }
    *out = p;
    return OK;
}

static void room_free(void *room, size_t size)
{
    if (room != NULL) {
        bytes_wipe(room, size);
        free(room);
    }
}

void section_packer_destroy(struct section_packer *packer)
{
    if (packer != NULL) {
        buffer_wipe(&packer->plain);
        buffer_wipe(&packer->scratch);
        room_free(packer->compress_room, packer->compress_size);
        room_free(packer->decompress_room, packer->decompress_size);
        free(packer);
    }
}

struct buffer *section_packer_scratch(struct section_packer *packer)
{
    return &packer->scratch;
}

/* The text of a statement is a field of its record, mostly: then it is not kept twice. Where it is:
 * beyond the record's end means that it is apart. `*near` is where the last one was, as records of
 * one session are much alike. */
static size_t text_place(const struct section_content *item, size_t *near)
{
    struct bytes canonical = item->canonical, text = item->text;
    if (text.size == 0 || text.size > canonical.size) {
        return canonical.size;
    }
    if (*near <= canonical.size - text.size &&
        memcmp(canonical.data + *near, text.data, text.size) == 0) {
        return *near;
    }
    const uint8_t *found = memmem(canonical.data, canonical.size, text.data, text.size);
    if (found == NULL) {
        return canonical.size;
    }
    *near = (size_t)(found - canonical.data);
    return *near;
}

static void put_bytes(uint8_t **at, struct bytes b)
{
    if (b.size > 0) {
        memcpy(*at, b.data, b.size);
        *at += b.size;
    }
}

/* Empties it; what one large record needed is given back. */
static void buffer_shrink(struct buffer *b)
{
    if (b->capacity > SIZE_KEPT) {
        buffer_wipe(b);
    }
    buffer_clear(b);
}

/* Room for all of them with their texts apart. */
static enum err plain_reserve(struct section_packer *p, const struct section_content *items,
                              size_t count, uint8_t **out)
{
    size_t room = count * CONTENT;
    if (count == 0 || count > SECTION_RECORDS_MAX) {
        return ERR_INVALID;
    }
    for (size_t i = 0; i < count; i++) {
        size_t canonical = items[i].canonical.size, text = items[i].text.size;
        if (canonical > SECTION_UNPACKED_MAX - room ||
            text > SECTION_UNPACKED_MAX - room - canonical) {
            return ERR_LIMIT;
        }
        room += canonical + text;
    }
    buffer_shrink(&p->plain);
    buffer_shrink(&p->scratch);
    *out = buffer_reserve(&p->plain, room);
    return *out == NULL ? ERR_NO_MEMORY : OK;
}

static enum err plain_pack(struct section_packer *p, const struct section_content *items,
                           size_t count)
{
    uint8_t *start = NULL;
    size_t near = 0;
    enum err err = plain_reserve(p, items, count, &start);
    if (err != OK) {
        return err;
    }
    uint8_t *head = start, *at = start + count * CONTENT;
    for (size_t i = 0; i < count; i++) {
        section_put_u32(&head, items[i].canonical.size);
        section_put_u32(&head, text_place(&items[i], &near));
        section_put_u32(&head, items[i].text.size);
        put_bytes(&at, items[i].canonical);
    }
    struct cursor c = cursor_of(bytes_of(start, count * CONTENT));
    for (size_t i = 0; i < count; i++) {
        size_t canonical = cursor_read_u32(&c), place = cursor_read_u32(&c);
        (void)cursor_read_u32(&c);
        if (place == canonical) {
            put_bytes(&at, items[i].text);
        }
    }
    buffer_commit(&p->plain, (size_t)(at - start));
    return OK;
}

enum err section_content_pack(struct section_packer *packer, const struct section_content *items,
                              size_t count, struct buffer *out)
{
    enum err err = plain_pack(packer, items, count);
    if (err != OK) {
        return err;
    }
    struct bytes plain = buffer_bytes(&packer->plain);
    buffer_clear(out);
    size_t room = ZSTD_compressBound(plain.size);
    uint8_t *to = buffer_reserve(out, room);
    if (to == NULL) {
        return room > out->cap ? ERR_LIMIT : ERR_NO_MEMORY;
    }
    size_t size = ZSTD_compressCCtx(packer->compress, to, room, plain.data, plain.size, LEVEL);
    if (ZSTD_isError(size)) {
        return ERR_INTERNAL;
    }
    buffer_commit(out, size);
    return OK;
}

/* The one frame that `packed` is, in the arena. */
static enum err frame_open(struct section_packer *p, struct bytes packed, struct arena *arena,
                           struct bytes *out)
{
    unsigned long long size = ZSTD_getFrameContentSize(packed.data, packed.size);
    if (size == ZSTD_CONTENTSIZE_ERROR || size == ZSTD_CONTENTSIZE_UNKNOWN ||
        size > SECTION_UNPACKED_MAX ||
        ZSTD_findFrameCompressedSize(packed.data, packed.size) != packed.size) {
        return ERR_DENIED;
    }
    uint8_t *plain = arena_alloc(arena, (size_t)size + 1); /* of nothing, too, there is a place */
    if (plain == NULL) {
        return ERR_NO_MEMORY;
    }
    if (ZSTD_decompressDCtx(p->decompress, plain, (size_t)size, packed.data, packed.size) != size) {
        return ERR_DENIED;
    }
    *out = bytes_of(plain, (size_t)size);
    return OK;
}

/* The texts that are apart stand behind all canonical bytes: `apart` reads those. */
static bool items_read(struct cursor head, struct cursor *canonical, struct cursor *apart,
                       struct section_content *items, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        size_t size = cursor_read_u32(&head), place = cursor_read_u32(&head);
        size_t text = cursor_read_u32(&head);
        items[i].canonical = cursor_read_bytes(canonical, size);
        if (canonical->failed || place > size) {
            return false;
        }
        if (place == size) {
            items[i].text = cursor_read_bytes(apart, text);
        } else if (text > 0 && text <= size - place) {
            items[i].text = bytes_of(items[i].canonical.data + place, text);
        } else {
            return false;
        }
    }
    return cursor_is_complete(canonical) && cursor_is_complete(apart);
}

enum err section_content_open(struct section_packer *packer, struct bytes packed, size_t count,
                              struct arena *arena, struct section_content **out)
{
    struct bytes plain;
    if (count == 0 || count > SECTION_RECORDS_MAX) {
        return ERR_DENIED;
    }
    enum err err = frame_open(packer, packed, arena, &plain);
    if (err != OK) {
        return err;
    }
    struct section_content *items = arena_alloc(arena, count * sizeof(*items));
    if (items == NULL) {
        return ERR_NO_MEMORY;
    }
    struct cursor c = cursor_of(plain);
    struct bytes head = cursor_read_bytes(&c, count * CONTENT);
    struct cursor sizes = cursor_of(head);
    size_t total = 0;
    for (size_t i = 0; i < count; i++) {
        total += cursor_read_u32(&sizes);
        (void)cursor_read_bytes(&sizes, CONTENT - 4);
    }
    struct cursor canonical = cursor_of(cursor_read_bytes(&c, total));
    if (c.failed || !items_read(cursor_of(head), &canonical, &c, items, count)) {
        return ERR_DENIED;
    }
    *out = items;
    return OK;
}
