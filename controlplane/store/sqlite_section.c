/* The workspaces of zstd are ours, so that what it leaves in them can be wiped. */
#define ZSTD_STATIC_LINKING_ONLY
#include "controlplane/store/sqlite_section.h"

#include <limits.h>
#include <stdlib.h>
#include <zstd.h>

#include "base/crypto/crypto.h"
#include "base/cursor.h"

enum {
    VERSION = 1,
    START = 1 + 4 + 4,
    RECORD = 4 + 2 + 1 + 1 + 4 + 4,
    REFERENCE = 4,
    TABLE = 8 + 8,
    KINDS = 32, /* store_kind_bit */
    FLAG_IN_BLOB = 1,
    /* Tables of a head that are looked at for one that is there already: a section mostly names a
     * few. Beyond them one may be there twice, which does no harm. */
    TABLES_LOOK = 64,
    CONTENT = 4 + 4 + 4,
    SIZE_KEPT = 4 * SECTION_BYTES_MAX,
    /* Of 64 records with two hashes each it makes what level 1 makes, in half of the time: what can
     * be made smaller is what they have in common. A record alone takes a quarter of the time. */
    LEVEL = -2,
};

static void put_u32(uint8_t **at, size_t v)
{
    *(*at)++ = (uint8_t)(v >> 24);
    *(*at)++ = (uint8_t)(v >> 16);
    *(*at)++ = (uint8_t)(v >> 8);
    *(*at)++ = (uint8_t)v;
}

static void put_u64(uint8_t **at, uint64_t v)
{
    put_u32(at, (size_t)(v >> 32));
    put_u32(at, (size_t)(v & UINT32_MAX));
}

static uint64_t read_u64(struct cursor *c)
{
    uint64_t high = cursor_read_u32(c);
    return high << 32 | cursor_read_u32(c);
}

/* ---- the head ---------------------------------------------------------------------------------
 */

/* Whether `record` may stand behind `before` (NULL: it is the first one) in the section of `key`.
 * Differences of keys are of unsigned numbers, which hold all of them. */
static bool record_fits(const struct section_record *record, const struct section_record *before,
                        int64_t key)
{
    if (before == NULL ? record->key != key
                       : record->key <= before->key || record->at <= before->at) {
        return false;
    }
    return (uint64_t)record->key - (uint64_t)key <= SECTION_SPAN_NS_MAX &&
           record->at < STORE_BATCH_MAX && (unsigned)record->kind < KINDS && record->verdict >= 0;
}

static enum err records_check(const struct section_record *records, size_t count,
                              size_t *out_references)
{
    size_t references = 0;
    if (count == 0 || count > SECTION_RECORDS_MAX) {
        return ERR_INVALID;
    }
    for (size_t i = 0; i < count; i++) {
        if (!record_fits(&records[i], i == 0 ? NULL : &records[i - 1], records[0].key)) {
            return ERR_INVALID;
        }
        if (records[i].table_count > SECTION_UNPACKED_MAX) {
            return ERR_LIMIT;
        }
        references += records[i].table_count;
    }
    *out_references = references;
    return OK;
}

/* Its place among those that are there, where it is added when it is not one of the last. */
static size_t table_place(uint8_t *tables, size_t *count, const struct section_table *table)
{
    uint8_t packed[TABLE], *at = packed;
    put_u64(&at, (uint64_t)table->name);
    put_u64(&at, (uint64_t)table->full);
    for (size_t i = *count; i > 0 && *count - i < TABLES_LOOK; i--) {
        if (memcmp(tables + (i - 1) * TABLE, packed, TABLE) == 0) {
            return i - 1;
        }
    }
    memcpy(tables + *count * TABLE, packed, TABLE);
    return (*count)++;
}

enum err section_head_pack(const struct section_record *records, size_t count, struct buffer *out)
{
    size_t references = 0, tables = 0;
    enum err err = records_check(records, count, &references);
    if (err != OK) {
        return err;
    }
    buffer_clear(out);
    size_t fixed = START + count * RECORD + references * REFERENCE;
    size_t room = fixed + references * TABLE;
    uint8_t *head = buffer_reserve(out, room);
    if (head == NULL) {
        return room > out->cap ? ERR_LIMIT : ERR_NO_MEMORY;
    }
    uint8_t *at = head + START, *reference = at + count * RECORD;
    for (size_t i = 0; i < count; i++) {
        const struct section_record *r = &records[i];
        put_u32(&at, (size_t)(r->key - records[0].key));
        *at++ = (uint8_t)(r->at >> 8);
        *at++ = (uint8_t)r->at;
        *at++ = (uint8_t)r->kind;
        *at++ = r->is_in_blob ? FLAG_IN_BLOB : 0;
        put_u32(&at, (size_t)r->verdict);
        put_u32(&at, r->table_count);
        for (size_t k = 0; k < r->table_count; k++) {
            put_u32(&reference, table_place(head + fixed, &tables, &r->tables[k]));
        }
    }
    at = head;
    *at++ = VERSION;
    put_u32(&at, count);
    put_u32(&at, tables);
    buffer_commit(out, fixed + tables * TABLE);
    return OK;
}

/* Reads the records, and how many references they have. */
static bool records_read(struct cursor *c, int64_t key, struct section_record *records,
                         size_t count, size_t *out_references)
{
    size_t references = 0;
    for (size_t i = 0; i < count; i++) {
        struct section_record *r = &records[i];
        uint32_t beyond = cursor_read_u32(c);
        r->at = cursor_read_u16(c);
        r->kind = (enum store_audit_kind)cursor_read_u8(c);
        uint8_t flags = cursor_read_u8(c);
        uint32_t verdict = cursor_read_u32(c);
        r->table_count = cursor_read_u32(c);
        if (c->failed || beyond > SECTION_SPAN_NS_MAX || key > INT64_MAX - (int64_t)beyond ||
            flags > FLAG_IN_BLOB || verdict > INT_MAX) {
            return false;
        }
        r->key = key + (int64_t)beyond;
        r->is_in_blob = flags == FLAG_IN_BLOB;
        r->verdict = (int)verdict;
        if (!record_fits(r, i == 0 ? NULL : r - 1, key)) {
            return false;
        }
        references += r->table_count;
    }
    *out_references = references;
    return true;
}

/* Each table is referred to, and they are in the order in which they are: what two heads say in the
 * same way is the same. */
static bool references_read(struct cursor *c, struct bytes tables, size_t table_count,
                            struct section_table *out, size_t count)
{
    size_t known = 0;
    for (size_t i = 0; i < count; i++) {
        size_t place = cursor_read_u32(c);
        if (place > known || place >= table_count) {
            return false;
        }
        known += place == known ? 1 : 0;
        struct cursor table = cursor_of(bytes_of(tables.data + place * TABLE, TABLE));
        out[i].name = (int64_t)read_u64(&table);
        out[i].full = (int64_t)read_u64(&table);
    }
    return known == table_count && cursor_is_complete(c);
}

/* What is left of the head is exactly this: so no more is allocated than a few times its size. */
static bool sizes_agree(size_t left, size_t references, size_t tables)
{
    return references <= left / REFERENCE && tables <= left / TABLE &&
           references * REFERENCE + tables * TABLE == left;
}

enum err section_head_open(struct bytes head, int64_t key, struct arena *arena,
                           struct section_record **out, size_t *out_count)
{
    struct cursor c = cursor_of(head);
    uint8_t version = cursor_read_u8(&c);
    size_t count = cursor_read_u32(&c), tables = cursor_read_u32(&c), references = 0;
    if (c.failed || version != VERSION || count == 0 || count > SECTION_RECORDS_MAX ||
        count > c.remaining / RECORD) {
        return ERR_DENIED;
    }
    struct section_record *records = arena_alloc(arena, count * sizeof(*records));
    if (records == NULL) {
        return ERR_NO_MEMORY;
    }
    if (!records_read(&c, key, records, count, &references) ||
        !sizes_agree(c.remaining, references, tables)) {
        return ERR_DENIED;
    }
    struct section_table *all = arena_alloc(arena, references * sizeof(*all));
    if (all == NULL) {
        return ERR_NO_MEMORY;
    }
    struct cursor places = cursor_of(cursor_read_bytes(&c, references * REFERENCE));
    if (!references_read(&places, cursor_read_bytes(&c, tables * TABLE), tables, all, references)) {
        return ERR_DENIED;
    }
    for (size_t i = 0; i < count; i++) {
        records[i].tables = all;
        all += records[i].table_count;
    }
    *out = records;
    *out_count = count;
    return OK;
}

void section_hash(const struct section_record *records, size_t count,
                  const uint8_t (*batch_hashes)[STORE_HASH_SIZE], uint8_t out[STORE_HASH_SIZE])
{
    struct crypto_sha256 hash;
    crypto_sha256_init(&hash);
    for (size_t i = 0; i < count; i++) {
        crypto_sha256_update(&hash, bytes_of(batch_hashes[records[i].at], STORE_HASH_SIZE));
    }
    crypto_sha256_finish(&hash, out);
}

/* ---- the content ------------------------------------------------------------------------------
 */

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
        put_u32(&head, items[i].canonical.size);
        put_u32(&head, text_place(&items[i], &near));
        put_u32(&head, items[i].text.size);
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
