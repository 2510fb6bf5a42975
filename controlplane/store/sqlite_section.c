#include "controlplane/store/sqlite_section.h"

#include "base/crypto/crypto.h"
#include "base/cursor.h"
#include "controlplane/store/sqlite_section_bytes.h"

enum {
    VERSION = 1,
    START = 1 + 4 + 4,
    RECORD = 4 + 2 + 1 + 1 + 4 + 4,
    REFERENCE = 4,
    TABLE = 8 + 8,
    FLAG_IN_BLOB = 1,
    /* Tables of a head that are looked at for one that is there already: a section mostly names a
     * few. Beyond them one may be there twice, which does no harm. */
    TABLES_LOOK = 64,
};

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
           record->at < STORE_BATCH_MAX && (unsigned)record->kind < SECTION_KINDS;
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
    section_put_u64(&at, (uint64_t)table->name);
    section_put_u64(&at, (uint64_t)table->full);
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
        section_put_u32(&at, (size_t)(r->key - records[0].key));
        *at++ = (uint8_t)(r->at >> 8);
        *at++ = (uint8_t)r->at;
        *at++ = (uint8_t)r->kind;
        *at++ = r->is_in_blob ? FLAG_IN_BLOB : 0;
        section_put_u32(&at, (uint32_t)r->verdict);
        section_put_u32(&at, r->table_count);
        for (size_t k = 0; k < r->table_count; k++) {
            section_put_u32(&reference, table_place(head + fixed, &tables, &r->tables[k]));
        }
    }
    at = head;
    *at++ = VERSION;
    section_put_u32(&at, count);
    section_put_u32(&at, tables);
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
        r->verdict = cursor_read_i32(c);
        r->table_count = cursor_read_u32(c);
        if (c->failed || beyond > SECTION_SPAN_NS_MAX || key > INT64_MAX - (int64_t)beyond ||
            flags > FLAG_IN_BLOB) {
            return false;
        }
        r->key = key + (int64_t)beyond;
        r->is_in_blob = flags == FLAG_IN_BLOB;
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
        out[i].name = cursor_read_i64(&table);
        out[i].full = cursor_read_i64(&table);
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
