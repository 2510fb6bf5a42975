#include "controlplane/store/sqlite_content.h"

#include "base/cursor.h"
#include "base/writer.h"

/* ---- the envelope ----------------------------------------------------------------------------
 */

static void put_u64(struct writer *w, uint64_t v)
{
    writer_put_u32(w, (uint32_t)(v >> 32));
    writer_put_u32(w, (uint32_t)v);
}

static uint64_t read_u64(struct cursor *c)
{
    uint64_t high = cursor_read_u32(c);
    return high << 32 | cursor_read_u32(c);
}

enum err envelope_pack(const struct envelope *e, struct buffer *out)
{
    buffer_clear(out);
    if (e->canonical.size > ENVELOPE_SIZE_MAX || e->text.size > ENVELOPE_SIZE_MAX) {
        return ERR_LIMIT;
    }
    /* The text of a statement is a field of the record: mostly it need not be kept twice. */
    const uint8_t *within = e->text.size == 0 ? e->canonical.data
                                              : memmem(e->canonical.data, e->canonical.size,
                                                       e->text.data, e->text.size);
    bool is_apart = within == NULL && e->text.size > 0;
    size_t at =
        is_apart || e->text.size == 0 ? e->canonical.size : (size_t)(within - e->canonical.data);
    struct writer w = writer_start(out);
    writer_put_u32(&w, (uint32_t)e->canonical.size);
    writer_put_u32(&w, (uint32_t)at);
    writer_put_u32(&w, (uint32_t)e->text.size);
    writer_put_u32(&w, (uint32_t)(e->tables.size / ENVELOPE_TABLE));
    writer_put_bytes(&w, e->canonical);
    if (is_apart) {
        writer_put_bytes(&w, e->text);
    }
    writer_put_bytes(&w, e->tables);
    return writer_finish(&w);
}

bool envelope_open(struct bytes packed, struct envelope *out)
{
    struct cursor c = cursor_of(packed);
    size_t canonical = cursor_read_u32(&c), at = cursor_read_u32(&c), size = cursor_read_u32(&c);
    size_t tables = cursor_read_u32(&c);
    struct envelope e = {.canonical = cursor_read_bytes(&c, canonical)};
    if (c.failed || at > canonical) {
        return false;
    }
    if (at == canonical) {
        e.text = cursor_read_bytes(&c, size);
    } else if (size <= canonical - at) {
        e.text = bytes_of(e.canonical.data + at, size);
    } else {
        return false;
    }
    e.tables = cursor_read_bytes(&c, tables * ENVELOPE_TABLE);
    if (!cursor_is_complete(&c)) {
        return false;
    }
    *out = e;
    return true;
}

void envelope_table(const struct envelope *envelope, size_t n, int64_t *out_name, int64_t *out_full)
{
    struct cursor c =
        cursor_of(bytes_of(envelope->tables.data + n * ENVELOPE_TABLE, ENVELOPE_TABLE));
    *out_name = (int64_t)read_u64(&c);
    *out_full = (int64_t)read_u64(&c);
}

enum err envelope_add_table(struct buffer *tables, int64_t name, int64_t full)
{
    struct writer w = writer_start(tables);
    put_u64(&w, (uint64_t)name);
    put_u64(&w, (uint64_t)full);
    return writer_finish(&w);
}

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
    struct bytes wrapped =
        bytes_of(sqlite3_column_blob(get, 0), (size_t)sqlite3_column_bytes(get, 0));
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
    err = content_key_open(
        db->content, bytes_of(sqlite3_column_blob(get, 1), (size_t)sqlite3_column_bytes(get, 1)),
        bytes_of(sqlite3_column_blob(get, 0), (size_t)sqlite3_column_bytes(get, 0)), key);
    (void)sqlite3_reset(get);
    bytes_wipe(key, sizeof(key));
    return err == OK ? OK
                     : err_set(why, ERR_INVALID,
                               "the content of this database was encrypted with another key");
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

static enum err plain_copy(struct bytes stored, struct arena *arena, struct envelope *out)
{
    uint8_t *copy = arena_alloc(arena, stored.size + 1);
    if (copy == NULL) {
        return ERR_NO_MEMORY;
    }
    if (stored.size > 0) {
        memcpy(copy, stored.data, stored.size);
    }
    *out = (struct envelope){.canonical = bytes_of(copy, stored.size)};
    return OK;
}

enum err sqlite_content_open(struct db *db, const struct content_row *row, struct arena *arena,
                             struct envelope *out)
{
    const uint8_t *key = NULL;
    struct bytes packed;
    switch (row->form) {
    case SQLITE_FORM_ERASED: *out = (struct envelope){0}; return OK;
    case SQLITE_FORM_PLAIN: return plain_copy(row->stored, arena, out);
    case SQLITE_FORM_SEALED:
    case SQLITE_FORM_BLOB: break;
    default: return ERR_DENIED;
    }
    enum err err = key_find(db, row, &key);
    if (err == OK) {
        err = content_open(db->content, key, row->hash, row->stored, arena, &packed);
    }
    if (err != OK) {
        return err;
    }
    return envelope_open(packed, out) ? OK : ERR_DENIED;
}
