/* The transparency log, and what the jobs beside it keep: hashes, checkpoints, cursors, keys of
 * issuers. One process has the file: it has every duty, and nobody else does anything. */
#include "controlplane/store/sqlite.h"

/* ---- hashes ----------------------------------------------------------------------------------
 */

/* A position that is not the next one: somebody took a row out. Everything behind it would get
 * another leaf's number, so it is not given. */
enum err sqlite_log_read(struct store *store, uint64_t after, size_t max,
                         uint8_t (*out)[STORE_HASH_SIZE], size_t *out_count)
{
    struct sqlite_store *s = sqlite_of(store);
    struct db *db = sqlite_read_begin(s);
    sqlite3_stmt *read = NULL;
    size_t count = 0;
    enum err err = db_statement(db,
                                "SELECT position, hash FROM audit_record"
                                " INDEXED BY audit_record_position"
                                " WHERE position > ?1 ORDER BY position LIMIT ?2",
                                &read);
    if (err == OK) {
        db_bind_number(read, 1, (int64_t)after);
        db_bind_number(read, 2, max > INT64_MAX ? INT64_MAX : (int64_t)max);
    }
    for (bool row = true; err == OK && count < max;) {
        err = db_step(db, read, &row);
        if (err != OK || !row) {
            break;
        }
        if ((uint64_t)sqlite3_column_int64(read, 0) != after + count + 1 ||
            !db_column_hash(read, 1, out[count])) {
            err = count == 0 ? ERR_IO : OK;
            break;
        }
        count++;
    }
    if (read != NULL) {
        (void)sqlite3_reset(read);
    }
    sqlite_read_end(s, db);
    if (err == OK) {
        *out_count = count;
    }
    return err;
}

/* ---- checkpoints -----------------------------------------------------------------------------
 */

enum err sqlite_checkpoint_add(struct store *store, const struct store_checkpoint *checkpoint)
{
    struct sqlite_store *s = sqlite_of(store);
    struct db *db = NULL;
    sqlite3_stmt *add = NULL;
    enum err err =
        sqlite_write_one(s,
                         "INSERT INTO log_checkpoint (size, root, time_ns, note)"
                         " SELECT ?1, ?2, ?3, ?4"
                         " WHERE NOT EXISTS (SELECT 1 FROM log_checkpoint WHERE size >= ?1)",
                         &db, &add);
    if (err != OK) {
        return err;
    }
    db_bind_number(add, 1, (int64_t)checkpoint->size);
    db_bind_blob(add, 2, bytes_of(checkpoint->root, STORE_HASH_SIZE));
    db_bind_number(add, 3, checkpoint->time_ns);
    db_bind_blob(add, 4, checkpoint->note);
    err = db_run_one(db, add);
    return sqlite_write_end(s, err == ERR_NOT_FOUND ? ERR_EXISTS : err, NULL);
}

enum err sqlite_checkpoint_set_note(struct store *store, uint64_t size, struct bytes note)
{
    struct sqlite_store *s = sqlite_of(store);
    struct db *db = NULL;
    sqlite3_stmt *set = NULL;
    enum err err =
        sqlite_write_one(s, "UPDATE log_checkpoint SET note = ?2 WHERE size = ?1", &db, &set);
    if (err != OK) {
        return err;
    }
    db_bind_number(set, 1, (int64_t)size);
    db_bind_blob(set, 2, note);
    return sqlite_write_end(s, db_run_one(db, set), NULL);
}

static bool checkpoint_read(sqlite3_stmt *row, struct arena *arena, void *out_item)
{
    struct store_checkpoint *c = out_item;
    bool failed = false;
    c->size = (uint64_t)sqlite3_column_int64(row, 0);
    failed = !db_column_hash(row, 1, c->root);
    c->time_ns = sqlite3_column_int64(row, 2);
    c->note = db_column_blob(row, 3, arena, &failed);
    return !failed;
}

enum err sqlite_checkpoint_from(struct store *store, uint64_t size, struct arena *arena,
                                struct store_checkpoint *out)
{
    struct sqlite_store *s = sqlite_of(store);
    struct db *db = sqlite_read_begin(s);
    sqlite3_stmt *get = NULL;
    enum err err = db_statement(db,
                                "SELECT size, root, time_ns, note FROM log_checkpoint"
                                " WHERE size >= ?1 ORDER BY size LIMIT 1",
                                &get);
    if (err == OK) {
        db_bind_number(get, 1, (int64_t)size);
        err = db_read_one(db, get, sizeof(*out), checkpoint_read, arena, out);
    }
    sqlite_read_end(s, db);
    return err;
}

enum err sqlite_checkpoint_latest(struct store *store, struct arena *arena,
                                  struct store_checkpoint *out)
{
    struct sqlite_store *s = sqlite_of(store);
    struct db *db = sqlite_read_begin(s);
    sqlite3_stmt *get = NULL;
    enum err err = db_statement(db,
                                "SELECT size, root, time_ns, note FROM log_checkpoint"
                                " ORDER BY size DESC LIMIT 1",
                                &get);
    if (err == OK) {
        err = db_read_one(db, get, sizeof(*out), checkpoint_read, arena, out);
    }
    sqlite_read_end(s, db);
    return err;
}

/* ---- one process alone -----------------------------------------------------------------------
 */

enum err sqlite_duty_hold(struct store *store, enum store_duty duty, bool *out_has)
{
    (void)store;
    (void)duty;
    *out_has = true;
    return OK;
}

enum err sqlite_news_listen(struct store *store, store_news_fn *on_news, void *context)
{
    (void)store;
    (void)on_news;
    (void)context;
    return OK;
}

/* ---- cursors ---------------------------------------------------------------------------------
 */

enum err sqlite_cursor_get(struct store *store, const char *name, uint64_t *out)
{
    struct sqlite_store *s = sqlite_of(store);
    struct db *db = sqlite_read_begin(s);
    sqlite3_stmt *get = NULL;
    bool row = false;
    enum err err = db_statement(db, "SELECT position FROM cursor WHERE name = ?1", &get);
    if (err == OK) {
        db_bind_string(get, 1, name);
        err = db_step(db, get, &row);
    }
    if (err == OK && row) {
        *out = (uint64_t)sqlite3_column_int64(get, 0);
        (void)sqlite3_reset(get);
    }
    sqlite_read_end(s, db);
    return err == OK && !row ? ERR_NOT_FOUND : err;
}

enum err sqlite_cursor_set(struct store *store, const char *name, uint64_t position, int64_t now_ns)
{
    struct sqlite_store *s = sqlite_of(store);
    struct db *db = NULL;
    sqlite3_stmt *set = NULL;
    enum err err =
        sqlite_write_one(s,
                         "INSERT INTO cursor (name, position, updated_ns) VALUES (?1, ?2, ?3)"
                         " ON CONFLICT (name) DO UPDATE SET position = ?2, updated_ns = ?3",
                         &db, &set);
    if (err != OK) {
        return err;
    }
    db_bind_string(set, 1, name);
    db_bind_number(set, 2, (int64_t)position);
    db_bind_number(set, 3, now_ns);
    return sqlite_write_end(s, db_run(db, set), NULL);
}

/* ---- keys of issuers -------------------------------------------------------------------------
 */

enum err sqlite_issuer_key_seen(struct store *store, const char *issuer, const char *key_id,
                                const char *jwk, int64_t now_ns)
{
    struct sqlite_store *s = sqlite_of(store);
    struct db *db = NULL;
    sqlite3_stmt *seen = NULL;
    enum err err =
        sqlite_write_one(s,
                         "INSERT INTO issuer_key VALUES (?1, ?2, ?3, ?4, ?4)"
                         " ON CONFLICT DO UPDATE SET last_seen_ns = max(last_seen_ns, ?4)",
                         &db, &seen);
    if (err != OK) {
        return err;
    }
    db_bind_string(seen, 1, issuer);
    db_bind_string(seen, 2, key_id);
    db_bind_string(seen, 3, jwk);
    db_bind_number(seen, 4, now_ns);
    return sqlite_write_end(s, db_run(db, seen), NULL);
}

static bool issuer_key_read(sqlite3_stmt *row, struct arena *arena, void *out_item)
{
    struct store_issuer_key *key = out_item;
    bool failed = false;
    key->issuer = db_column_string(row, 0, arena, &failed);
    key->key_id = db_column_string(row, 1, arena, &failed);
    key->jwk = db_column_string(row, 2, arena, &failed);
    key->first_seen_ns = sqlite3_column_int64(row, 3);
    key->last_seen_ns = sqlite3_column_int64(row, 4);
    return !failed;
}

enum err sqlite_issuer_key_list(struct store *store, struct arena *arena,
                                struct store_issuer_key **out_items, size_t *out_count)
{
    struct sqlite_store *s = sqlite_of(store);
    struct db *db = sqlite_read_begin(s);
    sqlite3_stmt *list = NULL;
    void *items = NULL;
    enum err err = db_statement(db,
                                "SELECT issuer, key_id, jwk, first_seen_ns, last_seen_ns"
                                " FROM issuer_key ORDER BY issuer, first_seen_ns, key_id, jwk",
                                &list);
    if (err == OK) {
        err = db_read_all(db, list, sizeof(struct store_issuer_key), issuer_key_read, arena, &items,
                          out_count);
    }
    if (err == OK) {
        *out_items = items;
    }
    sqlite_read_end(s, db);
    return err;
}
