/* The transparency log, and what the jobs beside it keep: hashes, checkpoints, cursors, keys of
 * issuers. One process has the file: it has every duty, and nobody else does anything. */
#include "controlplane/store/sqlite_cover.h"
#include "controlplane/store/sqlite_sections.h"

/* ---- hashes ----------------------------------------------------------------------------------
 */

struct heads {
    struct section_reader reader;
    struct arena *arena;
    struct cover cover;
};

static enum err section_count(struct heads *heads, int64_t key)
{
    struct section_row row;
    arena_reset(heads->arena);
    enum err err = section_read_head(&heads->reader, key, heads->arena, &row);
    if (err == OK) {
        cover_add(&heads->cover, row.records, row.count);
    }
    return err == ERR_DENIED ? OK : err; /* as if it was not there */
}

/* How many records of the batch, from the first one on, each have one section. */
static enum err covered_count(struct heads *heads, size_t *out)
{
    sqlite3_stmt *keys = NULL;
    bool row = false;
    enum err err = db_statement(heads->reader.db,
                                "SELECT key FROM audit_section INDEXED BY audit_section_batch"
                                " WHERE batch = ?1",
                                &keys);
    if (err == OK) {
        db_bind_number(keys, 1, heads->cover.position);
    }
    while (err == OK && (err = db_step(heads->reader.db, keys, &row)) == OK && row) {
        err = section_count(heads, sqlite3_column_int64(keys, 0));
    }
    if (keys != NULL) {
        (void)sqlite3_reset(keys);
    }
    *out = cover_missing(&heads->cover, 0);
    return err;
}

struct hashes {
    uint64_t after;
    size_t max, count;
    uint8_t (*out)[STORE_HASH_SIZE];
    bool is_broken;
};

/* The hashes of a batch that are asked for, as far as it is whole. */
static enum err batch_take(struct heads *heads, sqlite3_stmt *row, struct hashes *h)
{
    const int64_t position = sqlite3_column_int64(row, 0), count = sqlite3_column_int64(row, 1);
    const int64_t next = (int64_t)(h->after + h->count) + 1;
    const uint8_t *hashes = sqlite3_column_blob(row, 2);
    size_t covered = 0;
    bool is_batch = cover_begin(&heads->cover, position, count) &&
                    sqlite3_column_bytes(row, 2) == (int)count * STORE_HASH_SIZE;
    if (is_batch && position + count <= next && h->count == 0) {
        return OK; /* it ends before */
    }
    if (!is_batch || position > next || (position < next && h->count > 0)) {
        h->is_broken = true;
        return OK;
    }
    enum err err = covered_count(heads, &covered);
    for (size_t i = (size_t)(next - position); err == OK && i < covered && h->count < h->max; i++) {
        memcpy(h->out[h->count++], hashes + i * STORE_HASH_SIZE, STORE_HASH_SIZE);
    }
    h->is_broken = covered < (size_t)count && h->count < h->max;
    return err;
}

static enum err hashes_read(struct db *db, struct heads *heads, struct hashes *h)
{
    sqlite3_stmt *read = NULL;
    enum err err = db_statement(db,
                                "SELECT position, count, hashes FROM audit_batch"
                                " WHERE position > ?1 ORDER BY position",
                                &read);
    if (err == OK) {
        db_bind_number(read, 1, (int64_t)h->after - BATCH_RECORDS_MAX);
    }
    for (bool row = true; err == OK && !h->is_broken && h->count < h->max;) {
        err = db_step(db, read, &row);
        if (err != OK || !row) {
            break;
        }
        err = batch_take(heads, read, h);
    }
    if (read != NULL) {
        (void)sqlite3_reset(read);
    }
    return err == OK && h->is_broken && h->count == 0 ? ERR_IO : err;
}

/* A position that is not the next one, or that is in no section or in two: somebody took a row out,
 * or put one in. Everything behind it would get another leaf's number, so it is not given. */
enum err sqlite_log_read(struct store *store, uint64_t after, size_t max,
                         uint8_t (*out)[STORE_HASH_SIZE], size_t *out_count)
{
    enum { BLOCK = 64 << 10, CAP = 64 << 20 }; /* a head with all its tables */
    struct hashes h = {.after = after, .max = max, .out = out};
    struct sqlite_store *s = sqlite_of(store);
    struct db *db = sqlite_read_begin(s);
    struct heads heads;
    section_reader_init(&heads.reader, db);
    heads.arena = arena_create(BLOCK, CAP);
    enum err err = heads.arena == NULL ? ERR_NO_MEMORY : hashes_read(db, &heads, &h);
    arena_destroy(heads.arena);
    section_reader_finish(&heads.reader);
    sqlite_read_end(s, db);
    if (err == OK) {
        *out_count = h.count;
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
