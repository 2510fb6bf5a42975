#include "controlplane/store/sqlite_content.h"

/* ---- keys ------------------------------------------------------------------------------------
 */

/* ERR_NOT_FOUND: there is none. */
static enum err key_read(struct db *db, int64_t id, struct bytes session,
                         uint8_t out[CONTENT_KEY_SIZE])
{
    sqlite3_stmt *get = NULL;
    bool row = false;
    enum err err =
        db_statement(db, "SELECT wrapped FROM audit_content_key WHERE session = ?1", &get);
    if (err == OK) {
        db_bind_number(get, 1, id);
        err = db_step(db, get, &row);
    }
    if (err != OK || !row) {
        return err == OK ? ERR_NOT_FOUND : err;
    }
    struct bytes wrapped = db_column_bytes(get, 0);
    err = content_key_open(db->content, session, wrapped, out);
    (void)sqlite3_reset(get);
    return err;
}

static enum err key_add(struct db *db, int64_t id, struct bytes session,
                        uint8_t out[CONTENT_KEY_SIZE])
{
    sqlite3_stmt *add = NULL, *set = NULL;
    uint8_t wrapped[CONTENT_WRAPPED_SIZE];
    enum err err = content_key_make(db->content, session, out, wrapped);
    if (err == OK) {
        err = db_statement(db, "INSERT INTO audit_content_key VALUES (?1, ?2)", &add);
    }
    if (err == OK) {
        db_bind_number(add, 1, id);
        db_bind_blob(add, 2, bytes_of(wrapped, sizeof(wrapped)));
        err = db_run(db, add);
    }
    if (err == OK) {
        err = db_statement(
            db, "UPDATE audit_session SET erased_ns = 0 WHERE id = ?1 AND erased_ns <> 0", &set);
    }
    if (err == OK) {
        db_bind_number(set, 1, id);
        err = db_run(db, set);
    }
    return err;
}

enum err sqlite_content_key(struct db *db, int64_t id, struct bytes session,
                            uint8_t out[CONTENT_KEY_SIZE])
{
    enum err err = key_read(db, id, session, out);
    if (err == ERR_NOT_FOUND) {
        err = key_add(db, id, session, out);
    }
    return err == ERR_DENIED ? ERR_INTERNAL : err;
}

enum err sqlite_content_check(struct db *db, struct err_text *why)
{
    sqlite3_stmt *get = NULL;
    bool row = false;
    uint8_t key[CONTENT_KEY_SIZE];
    enum err err = db_statement(db,
                                "SELECT k.wrapped, s.session FROM audit_content_key k"
                                " JOIN audit_session s ON s.id = k.session LIMIT 1",
                                &get);
    if (err == OK) {
        err = db_step(db, get, &row);
    }
    if (err != OK || !row) {
        return err == OK ? OK : db_explain(db, err, why);
    }
    err = content_key_open(db->content, db_column_bytes(get, 1), db_column_bytes(get, 0), key);
    (void)sqlite3_reset(get);
    bytes_wipe(key, sizeof(key));
    return err == OK ? OK
                     : err_set(why, ERR_INVALID,
                               "the content of this database was encrypted with another key");
}

/* ---- writing ---------------------------------------------------------------------------------
 */

enum err sqlite_content_close(struct db *db, const uint8_t *key,
                              const uint8_t hash[STORE_HASH_SIZE],
                              const struct section_content *items, size_t count, struct buffer *out)
{
    if (key == NULL) {
        return section_content_pack(db->packer, items, count, out);
    }
    struct buffer *packed = section_packer_scratch(db->packer);
    enum err err = section_content_pack(db->packer, items, count, packed);
    return err == OK ? content_seal(db->content, key, hash, buffer_bytes(packed), out) : err;
}

/* ---- reading ---------------------------------------------------------------------------------
 */

/* From the connection's cache, or the table. */
static enum err key_find(struct db *db, const struct content_row *row, const uint8_t **out)
{
    size_t place = (size_t)((uint64_t)row->session_id % DB_KEY_CACHE_SIZE);
    if (db->keys[place].session != row->session_id) {
        uint8_t key[CONTENT_KEY_SIZE];
        enum err err = key_read(db, row->session_id, bytes_of_string(row->session), key);
        if (err != OK) {
            return err == ERR_NOT_FOUND ? ERR_DENIED : err;
        }
        memcpy(db->keys[place].key, key, sizeof(key));
        db->keys[place].session = row->session_id;
        bytes_wipe(key, sizeof(key));
    }
    *out = db->keys[place].key;
    return OK;
}

static enum err erased_open(size_t count, struct arena *arena, struct section_content **out)
{
    struct section_content *nothing = arena_alloc(arena, count * sizeof(*nothing));
    if (nothing == NULL) {
        return ERR_NO_MEMORY;
    }
    *out = nothing;
    return OK;
}

enum err sqlite_content_open(struct db *db, const struct content_row *row, struct arena *arena,
                             struct section_content **out)
{
    const uint8_t *key = NULL;
    struct bytes packed = row->stored;
    switch (row->form) {
    case SQLITE_FORM_ERASED: return erased_open(row->count, arena, out);
    case SQLITE_FORM_PLAIN:
    case SQLITE_FORM_SEALED: break;
    default: return ERR_DENIED;
    }
    enum err err = row->form == SQLITE_FORM_SEALED ? key_find(db, row, &key) : OK;
    if (err == OK && key != NULL) {
        err = content_open(db->content, key, row->hash, row->stored, arena, &packed);
    }
    return err == OK ? section_content_open(db->packer, packed, row->count, arena, out) : err;
}
