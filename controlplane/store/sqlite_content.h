/* Content of records in SQLite: how it is sealed when it comes, opened when it is read.
 *
 * What is encrypted is the record and, so that erasing can take them out of the index again, what
 * the index has of it:
 *   u32 size of the canonical bytes, u32 where the text is, u32 its size, u32 number of tables
 *   the canonical bytes; the text where it is not one run of them; for each table two u64: the ids
 *   of its last part (audit_name) and of its full name (audit_table) */
#ifndef CHAPERONE_CONTROLPLANE_STORE_SQLITE_CONTENT_H
#define CHAPERONE_CONTROLPLANE_STORE_SQLITE_CONTENT_H

#include "controlplane/store/sqlite.h"

enum { ENVELOPE_HEAD = 16, ENVELOPE_TABLE = 16, ENVELOPE_SIZE_MAX = 64 << 20 };

struct envelope {
    struct bytes canonical, text;
    struct bytes tables; /* ENVELOPE_TABLE bytes each */
};

/* Replaces what is in `out`. ERR_LIMIT: too large for it. */
enum err envelope_pack(const struct envelope *envelope, struct buffer *out) MUST_USE;
/* Borrows from `packed`. False: it is none. */
bool envelope_open(struct bytes packed, struct envelope *out);
/* The ids of the n-th table. */
void envelope_table(const struct envelope *envelope, size_t n, int64_t *out_name,
                    int64_t *out_full);
enum err envelope_add_table(struct buffer *tables, int64_t name, int64_t full) MUST_USE;

/* The key of a session, made where there is none: a session that was erased has content again. In a
 * write. ERR_INTERNAL: it is there and cannot be opened. */
enum err sqlite_content_key(struct db *db, int64_t id, struct bytes session,
                            uint8_t out[CONTENT_KEY_SIZE]) MUST_USE;

/* What is in a row; `session` and `session_id` are those of its session. Empty where it was erased;
 * of a plain one only `canonical`. In the arena. ERR_DENIED: it was changed, or its key is gone. */
struct content_row {
    enum sqlite_form form;
    int64_t session_id;
    const char *session;
    uint8_t hash[STORE_HASH_SIZE];
    struct bytes stored; /* borrowed: a column */
};
enum err sqlite_content_open(struct db *db, const struct content_row *row, struct arena *arena,
                             struct envelope *out) MUST_USE;

/* Whether the master is the one that this database was written with: ERR_INVALID. */
enum err sqlite_content_check(struct db *db, struct err_text *why) MUST_USE;

#endif
