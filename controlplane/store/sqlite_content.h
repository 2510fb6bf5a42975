/* Content of records in SQLite: how a section is encrypted when it comes, opened when it is read.
 */
#ifndef CHAPERONE_CONTROLPLANE_STORE_SQLITE_CONTENT_H
#define CHAPERONE_CONTROLPLANE_STORE_SQLITE_CONTENT_H

#include "controlplane/store/sqlite.h"
#include "controlplane/store/sqlite_section.h"

/* The key of a session, made where there is none: a session that was erased has content again. In a
 * write. ERR_INTERNAL: it is there and cannot be opened. */
enum err sqlite_content_key(struct db *db, int64_t id, struct bytes session,
                            uint8_t out[CONTENT_KEY_SIZE]) MUST_USE;

/* Packs the contents of a section; encrypts them where `key` is not NULL, bound to `hash`
 * (section_hash). Replaces what is in `out`. The connection keeps the key for the next one:
 * content_forget. */
enum err sqlite_content_close(struct db *db, const uint8_t *key,
                              const uint8_t hash[STORE_HASH_SIZE],
                              const struct section_content *items, size_t count,
                              struct buffer *out) MUST_USE;

/* What is in a row of audit_section; `session` and `session_id` are those of its session. */
struct content_row {
    enum sqlite_form form;
    int64_t session_id;
    const char *session;
    uint8_t hash[STORE_HASH_SIZE]; /* section_hash */
    size_t count;                  /* of its records */
    struct bytes stored;           /* borrowed: a column */
};
/* In the arena: `count` contents, which are empty where it was erased. ERR_DENIED: it was changed,
 * or its key is gone. */
enum err sqlite_content_open(struct db *db, const struct content_row *row, struct arena *arena,
                             struct section_content **out) MUST_USE;

/* Whether the master is the one that this database was written with: ERR_INVALID. */
enum err sqlite_content_check(struct db *db, struct err_text *why) MUST_USE;

#endif
