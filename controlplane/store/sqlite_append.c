/* Appends a batch to a sidecar's stream and indexes it: one transaction, whole or not at all. */
#include "controlplane/store/sqlite_batch.h"

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
    uint64_t last_before;      /* the stream's last sequence at first */
    struct store_audit_last last;
    struct batch batch;           /* what is to be written */
    struct buffer packed, sealed; /* scratch, of one record */
    struct table_kept kept[TABLES_KEPT];
    size_t kept_next;
    uint64_t refused;
    struct err_text *why;
};

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

static enum err refuse_rewritten(struct append *a, const struct store_audit_record *r)
{
    return refuse(a, r, ERR_EXISTS,
                  "another record is known under this sequence: the stream was rewritten");
}

static enum err staged_check(struct append *a, const struct store_audit_record *r)
{
    const struct store_audit_record *staged =
        a->batch.rows[r->sequence - a->last_before - 1].record;
    return memcmp(staged->hash, r->hash, STORE_HASH_SIZE) == 0 ? OK : refuse_rewritten(a, r);
}

/* A record that is there already is passed over when it is the same. */
static enum err known_check(struct append *a, const struct store_audit_record *r)
{
    sqlite3_stmt *find = NULL;
    bool row = false;
    uint8_t hash[STORE_HASH_SIZE];
    if (r->sequence > a->last_before) { /* it is twice in the batch */
        return staged_check(a, r);
    }
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
    return same ? OK : refuse_rewritten(a, r);
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

/* ---- the record ------------------------------------------------------------------------------ */

/* Encrypted where the session has a key; else the bytes as they are. */
static enum err content_make(struct append *a, const struct session_cached *session,
                             struct batch_row *row)
{
    const struct store_audit_record *r = row->record;
    const struct envelope envelope = {
        .canonical = r->canonical, .text = r->index.text, .tables = batch_tables(&a->batch, row)};
    if (session == NULL || !session->has_key) {
        return OK;
    }
    enum err err = envelope_pack(&envelope, &a->packed);
    if (err == OK) {
        err = content_seal(a->db->content, session->key, r->hash, buffer_bytes(&a->packed),
                           &a->sealed);
    }
    if (err == OK) {
        row->content_at = buffer_size(&a->batch.sealed);
        row->content_size = buffer_size(&a->sealed);
        err = buffer_append(&a->batch.sealed, buffer_bytes(&a->sealed));
    }
    return err;
}

/* store.h says what a key is. */
static int64_t key_of(const struct append *a, const struct store_audit_record *r)
{
    int64_t key = r->index.time_ns < a->received_ns ? r->index.time_ns : a->received_ns;
    return key > a->last_key ? key : a->last_key + 1;
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
 * anywhere in a range twice as long as the last one's: a range that is half full ends it soon. What
 * follows in the stream stays behind it. */
static void key_move(struct batch *b, size_t at, int64_t first, uint64_t n)
{
    struct batch_row *rows = b->rows;
    rows[at].key = first + 1 + (int64_t)(mix((uint64_t)rows[at].position - 1, n) >> (64 - n));
    for (size_t i = at + 1; i < b->count && rows[i].key <= rows[i - 1].key; i++) {
        rows[i].key = rows[i - 1].key + 1;
    }
}

/* Before anything else is written: of a session it is told when it began and ended. */
static enum err keys_choose(struct append *a)
{
    enum { TRIES = 40 };
    struct batch *b = &a->batch;
    size_t at = 0;
    enum err err = batch_find_taken(a->db, b, 0, &at);
    while (err == OK && at < b->count) {
        const size_t taken = at;
        const int64_t first = b->rows[taken].key;
        for (uint64_t n = 1; err == OK && at == taken; n++) {
            key_move(b, taken, first, n);
            err = n > TRIES ? ERR_INTERNAL : batch_find_taken(a->db, b, taken, &at);
        }
    }
    return err;
}

/* ---- what it is found by -----------------------------------------------------------------------
 */

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
static enum err tables_find(struct append *a, struct batch_row *row)
{
    const struct store_audit_index *index = &row->record->index;
    struct buffer *tables = &a->batch.tables;
    enum err err = OK;
    row->tables_at = buffer_size(tables);
    for (size_t i = 0; err == OK && i < index->table_count; i++) {
        int64_t name = 0, full = 0;
        err = table_id_kept(a, &index->tables[i], &name, &full);
        if (err == OK) {
            err = envelope_add_table(tables, name, full);
        }
    }
    row->tables_size = buffer_size(tables) - row->tables_at;
    return err;
}

static enum err session_find(struct append *a, struct batch_row *row, struct session_cached **out)
{
    const struct store_audit_record *r = row->record;
    struct session_cached *session = NULL;
    enum err err = OK;
    if (r->index.session.size > 0) {
        err = sqlite_session_of(a->s, a->stream, r, row->key, &session);
    } else if (r->index.has_no_sessions) {
        err = sqlite_sessions_end(a->db, a->stream, row->key);
    }
    if (err == OK && session != NULL) {
        row->session = session->id;
        row->identity = session->identity;
        row->resource = session->resource;
        row->form = session->has_key ? SQLITE_FORM_SEALED : SQLITE_FORM_PLAIN;
    }
    if (err == OK && r->blob != NULL) {
        row->form = SQLITE_FORM_BLOB;
        /* Its key must be under the session's. */
        err = session == NULL || !session->has_key ? ERR_INTERNAL
                                                   : sqlite_blob_use(a->db, r->blob, session->id);
    }
    *out = session;
    return err;
}

/* Everything about its row, which is written with those of the whole batch. */
static enum err row_complete(struct append *a, struct batch_row *row)
{
    struct session_cached *session = NULL;
    enum err err = session_find(a, row, &session);
    if (err == OK) {
        err = tables_find(a, row);
    }
    return err == OK ? content_make(a, session, row) : err;
}

/* Its place; the rest when the keys of all are known. */
static void record_stage(struct append *a, const struct store_audit_record *r)
{
    const int64_t key = key_of(a, r);
    a->position++;
    a->batch.rows[a->batch.count++] =
        (struct batch_row){.record = r, .key = key, .position = (int64_t)a->position};
    a->last_key = key;
    a->last.sequence = r->sequence;
    memcpy(a->last.hash, r->hash, STORE_HASH_SIZE);
}

/* ---- the batch --------------------------------------------------------------------------------
 */

static void scratch_init(struct append *a)
{
    buffer_init(&a->packed, ENVELOPE_SIZE_MAX);
    buffer_init(&a->sealed, ENVELOPE_SIZE_MAX + CONTENT_OVERHEAD);
}

static void scratch_finish(struct append *a)
{
    batch_finish(&a->batch);
    buffer_wipe(&a->packed);
    buffer_finish(&a->sealed);
}

static enum err rows_write(struct append *a)
{
    struct batch *b = &a->batch;
    b->stream = a->stream;
    b->received_ns = a->received_ns;
    enum err err = keys_choose(a);
    for (size_t i = 0; err == OK && i < b->count; i++) {
        err = row_complete(a, &b->rows[i]);
    }
    if (err == OK) {
        err = batch_write(a->db, b);
    }
    if (err == OK) {
        a->last_key = b->rows[b->count - 1].key;
        err = stream_write(a);
    }
    return err;
}

static enum err batch_append(struct append *a, const char *sidecar,
                             const struct store_audit_record *records, size_t count)
{
    enum err err = batch_init(&a->batch, count);
    if (err == OK) {
        err = stream_read(a, sidecar);
    }
    if (err == ERR_NOT_FOUND) {
        err = stream_add(a, sidecar);
    }
    if (err == OK) {
        err = position_read(a->db, &a->before);
    }
    a->position = a->before;
    a->last_before = a->last.sequence;
    for (size_t i = 0; err == OK && i < count; i++) {
        if (records[i].sequence <= a->last.sequence) {
            err = known_check(a, &records[i]);
            continue;
        }
        err = next_check(a, &records[i]);
        if (err == OK) {
            record_stage(a, &records[i]);
        }
    }
    if (err == OK && a->position > a->before) {
        err = rows_write(a);
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
