/* A section: what one append brought of one session, as a row of its own (audit_section).
 *
 * Records of a session come by tens and hundreds, and most of what a row costs is the same for one
 * of them as for all: its places in the indexes, its encryption, its share of the pages. So the
 * store keeps them together. A search finds sections, by their words and tags; which of a section's
 * records match is seen in its head, which is not encrypted, and in their texts.
 *
 * The head:
 *   u8 version, u32 number of records, u32 number of tables
 *   for each record u32 its key beyond the section's, u16 its place in the batch, u8 kind, u8 flags
 *     (1: in a blob), i32 verdict (any: a sidecar may say what nobody knows), u32 number of tables
 *   for each record's tables u32: which of those that follow, numbered as they come first
 *   for each table two u64: the ids of its last part (audit_name) and full name (audit_table)
 * The content, which is one zstd frame, and encrypted where the session has a key:
 *   for each record u32 size of the canonical bytes, u32 where in them the text is, u32 its size
 *   the canonical bytes of all; then the texts that are not one run of their canonical bytes
 *
 * All of it is pure: bytes of the database may have been changed by anybody. */
#ifndef CHAPERONE_CONTROLPLANE_STORE_SQLITE_SECTION_H
#define CHAPERONE_CONTROLPLANE_STORE_SQLITE_SECTION_H

#include "base/arena.h"
#include "controlplane/store/store.h"

enum {
    SECTION_RECORDS_MAX = 512,
    SECTION_KINDS = 32,              /* store_kind_bit: kinds are below it */
    SECTION_BYTES_MAX = 1 << 20,     /* of canonical bytes and texts, but for a single record */
    SECTION_UNPACKED_MAX = 64 << 20, /* with a record of any size */
    /* Its keys are no further apart, so that the order of sections is nearly that of records. */
    SECTION_SPAN_NS_MAX = 1 << 27,
};

struct section_table {
    int64_t name, full; /* audit_name.id, audit_table.id */
};

struct section_record {
    int64_t key; /* ascending in a section, without two that are the same */
    uint32_t at; /* its place in the batch, from 0; ascending, below STORE_BATCH_MAX */
    enum store_audit_kind kind;
    int verdict;
    bool is_in_blob;                    /* its canonical bytes are a reference (store_blobs.h) */
    const struct section_table *tables; /* borrowed */
    size_t table_count;
};

/* Replaces what is in `out`. The first record's key is the section's. ERR_INVALID: they are no
 * section's (none, too many, not in order, too far apart). */
enum err section_head_pack(const struct section_record *records, size_t count,
                           struct buffer *out) MUST_USE;
/* In the arena. ERR_DENIED: it is no head, or not of a section with this key. */
enum err section_head_open(struct bytes head, int64_t key, struct arena *arena,
                           struct section_record **out, size_t *out_count) MUST_USE;

struct section_content {
    struct bytes canonical, text;
};

/* Packs contents; keeps its memory for the next one. Not thread-safe. */
struct section_packer;
enum err section_packer_create(struct section_packer **out) MUST_USE;
void section_packer_destroy(struct section_packer *packer); /* takes NULL; wipes what it has seen */
/* For what was packed, until it is encrypted. Wiped with the packer. */
struct buffer *section_packer_scratch(struct section_packer *packer);
/* Replaces what is in `out`. ERR_LIMIT: more than SECTION_UNPACKED_MAX. ERR_INVALID: none, or more
 * than SECTION_RECORDS_MAX. */
enum err section_content_pack(struct section_packer *packer, const struct section_content *items,
                              size_t count, struct buffer *out) MUST_USE;
/* In the arena: `count` of them. ERR_DENIED: not the content of so many records. */
enum err section_content_open(struct section_packer *packer, struct bytes packed, size_t count,
                              struct arena *arena, struct section_content **out) MUST_USE;

/* What the content is bound to: SHA-256 of the hashes of its records, in their order. */
void section_hash(const struct section_record *records, size_t count,
                  const uint8_t (*batch_hashes)[STORE_HASH_SIZE], uint8_t out[STORE_HASH_SIZE]);

#endif
