/* Appends a batch to a sidecar's stream and indexes it: one transaction, whole or not at all. */
#include "controlplane/store/sqlite_content.h"

/* Names come again and again: those of a batch are looked up once. Ids hold in the transaction. */
enum { TABLES_KEPT = 16 };
struct table_kept {
    struct bytes full; /* the batch's */
    int64_t name_id, full_id;
};

struct append {
    struct sqlite_store *s;
    struct db *db;
    int64_t stream;
    int64_t last_key;
    int64_t received_ns;
    uint64_t before, position; /* of the newest record in the log: at first, and now */
    struct store_audit_last last;
    struct buffer tag, tables, packed, sealed; /* scratch, of one record */
    struct table_kept kept[TABLES_KEPT];
    size_t kept_next;
    uint64_t refused;
    struct err_text *why;
};

enum { TAG_SIZE_MAX = 4 << 20 }; /* every table of a record of 1 MiB fits */

static enum err stream_read(struct append *a, const char *sidecar)
{
    sqlite3_stmt *find = NULL;
    bool row = false;
    enum err err = db_statement(a->db,
                                "SELECT id, last_sequence, last_key, last_hash"
                                " FROM audit_stream WHERE sidecar = ?1",
                                &find);
    if (err == OK) {
        db_bind_string(find, 1, sidecar);
        err = db_step(a->db, find, &row);
    }
    if (err != OK) {
        return err;
    }
    if (!row) {
        return ERR_NOT_FOUND;
    }
    a->stream = sqlite3_column_int64(find, 0);
    a->last.sequence = (uint64_t)sqlite3_column_int64(find, 1);
    a->last_key = sqlite3_column_int64(find, 2);
    err = db_column_hash(find, 3, a->last.hash) ? OK : ERR_IO;
    (void)sqlite3_reset(find);
    return err;
}

static enum err stream_add(struct append *a, const char *sidecar)
{
    sqlite3_stmt *add = NULL;
    enum err err = db_statement(a->db,
                                "INSERT INTO audit_stream (sidecar, last_sequence, last_key,"
                                " last_hash) VALUES (?1, 0, 0, zeroblob(32))",
                                &add);
    if (err == OK) {
        db_bind_string(add, 1, sidecar);
        err = db_run(a->db, add);
    }
    a->stream = sqlite3_last_insert_rowid(a->db->handle);
    return err;
}

static enum err stream_write(struct append *a)
{
    sqlite3_stmt *set = NULL;
    enum err err = db_statement(a->db,
                                "UPDATE audit_stream SET last_sequence = ?2, last_key = ?3,"
                                " last_hash = ?4 WHERE id = ?1",
                                &set);
    if (err == OK) {
        db_bind_number(set, 1, a->stream);
        db_bind_number(set, 2, (int64_t)a->last.sequence);
        db_bind_number(set, 3, a->last_key);
        db_bind_blob(set, 4, bytes_of(a->last.hash, STORE_HASH_SIZE));
        err = db_run_one(a->db, set);
    }
    return err;
}

static enum err position_read(struct db *db, uint64_t *out)
{
    sqlite3_stmt *newest = NULL;
    bool row = false;
    enum err err = db_statement(db, "SELECT coalesce(max(position), 0) FROM audit_record", &newest);
    if (err == OK) {
        err = db_step(db, newest, &row);
    }
    if (err == OK && row) {
        *out = (uint64_t)sqlite3_column_int64(newest, 0);
        (void)sqlite3_reset(newest);
    }
    return err;
}

/* ---- is it the next one? -------------------------------------------------------------------- */

static enum err refuse(struct append *a, const struct store_audit_record *r, enum err err,
                       const char *what)
{
    a->refused = r->sequence;
    return err_set(a->why, err, "record %llu: %s", (unsigned long long)r->sequence, what);
}

/* A record that is there already is passed over when it is the same. */
static enum err known_check(struct append *a, const struct store_audit_record *r)
{
    sqlite3_stmt *find = NULL;
    bool row = false;
    uint8_t hash[STORE_HASH_SIZE];
    enum err err = db_statement(
        a->db, "SELECT hash FROM audit_record WHERE stream = ?1 AND sequence = ?2", &find);
    if (err == OK) {
        db_bind_number(find, 1, a->stream);
        db_bind_number(find, 2, (int64_t)r->sequence);
        err = db_step(a->db, find, &row);
    }
    if (err != OK) {
        return err;
    }
    bool same = row && db_column_hash(find, 0, hash) && memcmp(hash, r->hash, sizeof(hash)) == 0;
    (void)sqlite3_reset(find);
    return same ? OK
                : refuse(a, r, ERR_EXISTS,
                         "another record is known under this sequence: the stream was rewritten");
}

static enum err next_check(struct append *a, const struct store_audit_record *r)
{
    if (r->sequence != a->last.sequence + 1) {
        a->refused = r->sequence;
        return err_set(a->why, ERR_INVALID, "record %llu: a gap, expected %llu",
                       (unsigned long long)r->sequence, (unsigned long long)a->last.sequence + 1);
    }
    if (memcmp(r->previous, a->last.hash, STORE_HASH_SIZE) != 0) {
        return refuse(a, r, ERR_INVALID,
                      "its previous hash is not the hash of the record before it");
    }
    return OK;
}

/* ---- the record and its index ---------------------------------------------------------------- */

/* Encrypted where the session has a key; else the bytes as they are. Borrows. */
static enum err content_make(struct append *a, const struct store_audit_record *r,
                             const struct session_cached *session, struct bytes *out)
{
    const struct envelope envelope = {
        .canonical = r->canonical, .text = r->index.text, .tables = buffer_bytes(&a->tables)};
    if (session == NULL || !session->has_key) {
        *out = r->canonical;
        return OK;
    }
    enum err err = envelope_pack(&envelope, &a->packed);
    if (err == OK) {
        err = content_seal(a->db->content, session->key, r->hash, buffer_bytes(&a->packed),
                           &a->sealed);
    }
    if (err == OK) {
        *out = buffer_bytes(&a->sealed);
    }
    return err;
}

static enum err record_insert(struct append *a, const struct store_audit_record *r,
                              const struct session_cached *session, struct bytes content,
                              int64_t key)
{
    sqlite3_stmt *add = NULL;
    enum err err = db_statement(
        a->db,
        "INSERT INTO audit_record (key, position, stream, sequence, kind, verdict, status,"
        " row_count, error_code, session, identity, resource, received_ns, hash, canonical,"
        " form) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16)",
        &add);
    if (err != OK) {
        return err;
    }
    const struct store_audit_index *index = &r->index;
    db_bind_number(add, 1, key);
    db_bind_number(add, 2, (int64_t)a->position + 1);
    db_bind_number(add, 3, a->stream);
    db_bind_number(add, 4, (int64_t)r->sequence);
    db_bind_number(add, 5, (int64_t)index->kind);
    db_bind_number(add, 6, index->verdict);
    db_bind_number(add, 7, index->status);
    db_bind_number(add, 8, index->rows > INT64_MAX ? INT64_MAX : (int64_t)index->rows);
    db_bind_text(add, 9, index->error_code);
    db_bind_reference(add, 10, session == NULL ? 0 : session->id);
    db_bind_reference(add, 11, session == NULL ? 0 : session->identity);
    db_bind_reference(add, 12, session == NULL ? 0 : session->resource);
    db_bind_number(add, 13, a->received_ns);
    db_bind_blob(add, 14, bytes_of(r->hash, STORE_HASH_SIZE));
    db_bind_blob(add, 15, content);
    bool is_sealed = session != NULL && session->has_key;
    db_bind_number(add, 16,
                   r->blob != NULL ? SQLITE_FORM_BLOB
                   : is_sealed     ? SQLITE_FORM_SEALED
                                   : SQLITE_FORM_PLAIN);
    return db_run(a->db, add);
}

/* store.h says what a key is. */
static int64_t key_of(const struct append *a, const struct store_audit_record *r)
{
    int64_t key = r->index.time_ns < a->received_ns ? r->index.time_ns : a->received_ns;
    return key > a->last_key ? key : a->last_key + 1;
}

static bool key_is_taken(struct db *db)
{
    return sqlite3_extended_errcode(db->handle) == SQLITE_CONSTRAINT_PRIMARYKEY;
}

/* Any number for a pair of them (the finalizer of SplitMix64). */
static uint64_t mix(uint64_t a, uint64_t b)
{
    uint64_t z = a * UINT64_C(0x9e3779b97f4a7c15) + b;
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

/* Another stream may have a record of the same nanosecond, and a hostile one many. Each try looks
 * anywhere in a range twice as long as the last one's: a range that is half full ends it soon. */
static enum err record_insert_unique(struct append *a, const struct store_audit_record *r,
                                     const struct session_cached *session, int64_t *key)
{
    enum { TRIES = 40 };
    const int64_t first = *key;
    struct bytes content = {0};
    enum err err = content_make(a, r, session, &content);
    if (err == OK) {
        err = record_insert(a, r, session, content, first);
    }
    for (uint64_t n = 1; err == ERR_EXISTS && key_is_taken(a->db) && n <= TRIES; n++) {
        *key = first + 1 + (int64_t)(mix(a->position, n) >> (64 - n));
        err = record_insert(a, r, session, content, *key);
    }
    return err;
}

static enum err table_id(struct db *db, const struct store_audit_table *table, int64_t *out_name,
                         int64_t *out_full)
{
    sqlite3_stmt *find = NULL, *add = NULL;
    bool row = false;
    int64_t name = 0;
    enum err err = db_statement(db, "SELECT id, name FROM audit_table WHERE full_name = ?1", &find);
    if (err == OK) {
        db_bind_text(find, 1, table->full);
        err = db_step(db, find, &row);
    }
    if (err != OK) {
        return err;
    }
    if (row) {
        *out_full = sqlite3_column_int64(find, 0);
        *out_name = sqlite3_column_int64(find, 1);
        (void)sqlite3_reset(find);
        return OK;
    }
    err = sqlite_name_id(db, table->name, &name);
    if (err == OK) {
        err = db_statement(db, "INSERT INTO audit_table (name, full_name) VALUES (?1, ?2)", &add);
    }
    if (err == OK) {
        db_bind_number(add, 1, name);
        db_bind_text(add, 2, table->full);
        err = db_run(db, add);
    }
    if (err == OK) {
        *out_name = name;
        *out_full = sqlite3_last_insert_rowid(db->handle);
    }
    return err;
}

static enum err table_id_kept(struct append *a, const struct store_audit_table *table,
                              int64_t *out_name, int64_t *out_full)
{
    for (size_t i = 0; i < TABLES_KEPT; i++) {
        const struct table_kept *k = &a->kept[i];
        if (k->full_id != 0 && bytes_equal(k->full, table->full)) {
            *out_name = k->name_id;
            *out_full = k->full_id;
            return OK;
        }
    }
    enum err err = table_id(a->db, table, out_name, out_full);
    if (err == OK) {
        a->kept[a->kept_next] =
            (struct table_kept){.full = table->full, .name_id = *out_name, .full_id = *out_full};
        a->kept_next = (a->kept_next + 1) % TABLES_KEPT;
    }
    return err;
}

/* The ids of what it is about. */
static enum err tables_find(struct append *a, const struct store_audit_record *r)
{
    enum err err = OK;
    buffer_clear(&a->tables);
    for (size_t i = 0; err == OK && i < r->index.table_count; i++) {
        int64_t name = 0, full = 0;
        err = table_id_kept(a, &r->index.tables[i], &name, &full);
        if (err == OK) {
            err = envelope_add_table(&a->tables, name, full);
        }
    }
    return err;
}

static enum err tables_index(struct append *a, int64_t key)
{
    const struct envelope envelope = {.tables = buffer_bytes(&a->tables)};
    enum err err = OK;
    buffer_clear(&a->tag);
    for (size_t i = 0; err == OK && i < envelope.tables.size / ENVELOPE_TABLE; i++) {
        sqlite3_stmt *add = NULL;
        int64_t name = 0, full = 0;
        envelope_table(&envelope, i, &name, &full);
        err = db_statement(a->db, "INSERT OR IGNORE INTO audit_record_table VALUES (?1, ?2, ?3)",
                           &add);
        if (err == OK) {
            db_bind_number(add, 1, name);
            db_bind_number(add, 2, key);
            db_bind_number(add, 3, full);
            err = db_run(a->db, add);
        }
        if (err == OK) {
            err = buffer_append_format(&a->tag, "t%lld ", (long long)name);
        }
    }
    return err;
}

static enum err text_index(struct append *a, const struct store_audit_record *r,
                           const struct session_cached *session, int64_t key)
{
    sqlite3_stmt *add = NULL;
    enum err err = OK;
    if (session != NULL) {
        err = buffer_append_format(&a->tag, "s%lld i%lld r%lld ", (long long)session->id,
                                   (long long)session->identity, (long long)session->resource);
    }
    if (err == OK) {
        err = buffer_append_format(&a->tag, "v%d", r->index.verdict);
    }
    if (err == OK) {
        err = db_statement(a->db, "INSERT INTO audit_text (rowid, text, tag) VALUES (?1, ?2, ?3)",
                           &add);
    }
    if (err == OK) {
        db_bind_number(add, 1, key);
        db_bind_text(add, 2, r->index.text);
        db_bind_text(add, 3, buffer_bytes(&a->tag));
        err = db_run(a->db, add);
    }
    return err;
}

static enum err record_append(struct append *a, const struct store_audit_record *r)
{
    struct session_cached *session = NULL;
    int64_t key = key_of(a, r);
    enum err err = OK;
    if (r->index.session.size > 0) {
        err = sqlite_session_of(a->s, a->stream, r, key, &session);
    } else if (r->index.has_no_sessions) {
        err = sqlite_sessions_end(a->db, a->stream, key);
    }
    if (err == OK) {
        err = tables_find(a, r);
    }
    if (err == OK) {
        err = record_insert_unique(a, r, session, &key);
    }
    if (err == OK && r->blob != NULL) {
        /* Its key must be under the session's. */
        err = session == NULL || !session->has_key ? ERR_INTERNAL
                                                   : sqlite_blob_use(a->db, r->blob, session->id);
    }
    if (err == OK) {
        err = tables_index(a, key);
    }
    if (err == OK && r->index.text.size > 0) {
        err = text_index(a, r, session, key);
    }
    if (err == OK) {
        a->position++;
        a->last_key = key;
        a->last.sequence = r->sequence;
        memcpy(a->last.hash, r->hash, STORE_HASH_SIZE);
    }
    return err;
}

/* ---- the batch --------------------------------------------------------------------------------
 */

static void scratch_init(struct append *a)
{
    buffer_init(&a->tag, TAG_SIZE_MAX);
    buffer_init(&a->tables, TAG_SIZE_MAX);
    buffer_init(&a->packed, ENVELOPE_SIZE_MAX);
    buffer_init(&a->sealed, ENVELOPE_SIZE_MAX + CONTENT_OVERHEAD);
}

static void scratch_finish(struct append *a)
{
    buffer_finish(&a->tag);
    buffer_finish(&a->tables);
    buffer_wipe(&a->packed);
    buffer_finish(&a->sealed);
}

static enum err batch_append(struct append *a, const char *sidecar,
                             const struct store_audit_record *records, size_t count)
{
    enum err err = stream_read(a, sidecar);
    if (err == ERR_NOT_FOUND) {
        err = stream_add(a, sidecar);
    }
    if (err == OK) {
        err = position_read(a->db, &a->before);
    }
    a->position = a->before;
    for (size_t i = 0; err == OK && i < count; i++) {
        if (records[i].sequence <= a->last.sequence) {
            err = known_check(a, &records[i]);
            continue;
        }
        err = next_check(a, &records[i]);
        if (err == OK) {
            err = record_append(a, &records[i]);
        }
    }
    if (err == OK && a->position > a->before) {
        err = stream_write(a);
    }
    content_forget(a->db->content);
    return err == OK ? sqlite_sessions_flush(a->s) : err;
}

enum err sqlite_audit_append(struct store *store, const char *sidecar,
                             const struct store_audit_record *records, size_t count,
                             int64_t received_ns, struct store_audit_appended *out,
                             uint64_t *out_refused, struct err_text *why)
{
    struct append a = {.s = sqlite_of(store), .received_ns = received_ns, .why = why};
    enum err err = sqlite_write_begin(a.s, &a.db);
    if (err != OK) {
        return err_set(why, err, "the database does not take a write now");
    }
    scratch_init(&a);
    err = batch_append(&a, sidecar, records, count);
    if (err != OK && a.refused == 0) {
        /* What the contract says of records must not be said of a fault of ours. */
        bool is_misleading = err == ERR_EXISTS || err == ERR_INVALID || err == ERR_LIMIT;
        err = db_explain(a.db, is_misleading ? ERR_INTERNAL : err, why);
    }
    err = sqlite_write_end(a.s, err, why);
    scratch_finish(&a);
    if (err == OK) {
        size_t added = (size_t)(a.position - a.before);
        *out = (struct store_audit_appended){
            .last = a.last,
            .added = added,
            .first_position = added == 0 ? 0 : a.before + 1,
            .last_position = added == 0 ? 0 : a.position,
        };
    } else if (a.refused != 0 && out_refused != NULL) {
        *out_refused = a.refused;
    }
    return err;
}

enum err sqlite_audit_append_in(struct sqlite_store *s, struct db *db,
                                const struct store_audit_write *write)
{
    struct append a = {.s = s, .db = db, .received_ns = write->received_ns};
    scratch_init(&a);
    enum err err = batch_append(&a, write->sidecar, write->records, write->count);
    scratch_finish(&a);
    if (err != OK) {
        return ERR_INTERNAL; /* the caller's other errors must not be mistaken for this one */
    }
    *write->out = (struct store_audit_appended){
        .last = a.last,
        .added = write->count,
        .first_position = a.before + 1,
        .last_position = a.position,
    };
    return OK;
}

enum err sqlite_audit_last(struct store *store, const char *sidecar, struct store_audit_last *out)
{
    struct append a = {.s = sqlite_of(store)};
    a.db = sqlite_read_begin(a.s);
    enum err err = stream_read(&a, sidecar);
    sqlite_read_end(a.s, a.db);
    if (err == OK || err == ERR_NOT_FOUND) {
        *out = a.last;
        err = OK;
    }
    return err;
}

enum err sqlite_audit_count(struct store *store, uint64_t *out)
{
    struct sqlite_store *s = sqlite_of(store);
    struct db *db = sqlite_read_begin(s);
    enum err err = position_read(db, out);
    sqlite_read_end(s, db);
    return err;
}
