/* Appends a batch to a sidecar's stream and indexes it: one transaction, whole or not at all. */
#include <stdlib.h>

#include "controlplane/store/sqlite_append_internal.h"
#include "controlplane/store/sqlite_sections.h"

static enum err stream_read(struct append *a, const char *sidecar)
{
    sqlite3_stmt *find = NULL;
    bool row = false;
    enum err err = db_statement(a->db,
                                "SELECT id, last_sequence, last_key, last_hash, revoked_ns"
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
    a->is_revoked = sqlite3_column_int64(find, 4) != 0;
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

/* The greatest position. A row that says something else than its hashes was changed: what it was
 * cannot be told, and no position may be given twice. */
static enum err position_read(struct db *db, uint64_t *out)
{
    struct section_log_end end;
    enum err err = section_log_end_read(db, &end);
    if (err == ERR_DENIED || (err == OK && !end.has_hashes)) {
        return ERR_IO;
    }
    if (err == OK) {
        *out = end.position;
    }
    return err;
}

/* ---- the record ------------------------------------------------------------------------------ */

/* store.h says what a key is. */
static int64_t key_of(const struct append *a, const struct store_audit_record *r)
{
    int64_t key = r->index.time_ns < a->received_ns ? r->index.time_ns : a->received_ns;
    return key > a->last_key ? key : a->last_key + 1;
}

/* ---- what it is found by -----------------------------------------------------------------------
 */

static enum err table_id_kept(struct append *a, const struct store_audit_table *table,
                              struct section_table *out)
{
    for (size_t i = 0; i < TABLES_KEPT; i++) {
        const struct table_kept *k = &a->kept[i];
        if (k->ids.full != 0 && bytes_equal(k->full, table->full)) {
            *out = k->ids;
            return OK;
        }
    }
    enum err err = sqlite_table_id(a->db, table, &out->name, &out->full);
    if (err == OK) {
        a->kept[a->kept_next] = (struct table_kept){.full = table->full, .ids = *out};
        a->kept_next = (a->kept_next + 1) % TABLES_KEPT;
    }
    return err;
}

/* The ids of what it is about. */
static enum err tables_find(struct append *a, const struct store_audit_index *index,
                            struct batch_row *row)
{
    enum err err = OK;
    row->tables_at = a->batch.table_count;
    row->table_count = index->table_count;
    for (size_t i = 0; err == OK && i < index->table_count; i++) {
        struct section_table table = {0};
        err = table_id_kept(a, &index->tables[i], &table);
        if (err == OK) {
            err = batch_add_table(&a->batch, table);
        }
    }
    return err;
}

/* As its session is now: a later record may say more of it, and the cache may forget it. */
static enum err session_find(struct append *a, const struct store_audit_record *r,
                             struct batch_row *row)
{
    struct batch_session session = {.form = SQLITE_FORM_PLAIN};
    struct session_cached *cached = NULL;
    enum err err = OK;
    if (r->index.session.size > 0) {
        err = sqlite_session_of(a->s, a->stream, r, row->key, &cached);
    } else if (r->index.has_no_sessions) {
        err = sqlite_sessions_end(a->db, a->stream, row->key, "lost");
    }
    if (err == OK && cached != NULL) {
        session.id = cached->id;
        session.identity = cached->identity;
        session.resource = cached->resource;
        session.form = cached->has_key ? SQLITE_FORM_SEALED : SQLITE_FORM_PLAIN;
        memcpy(session.key, cached->key, sizeof(session.key));
    }
    if (err == OK && r->blob != NULL) {
        /* Its key must be under the session's. */
        err = session.form != SQLITE_FORM_SEALED ? ERR_INTERNAL
                                                 : sqlite_blob_use(a->db, r->blob, session.id);
    }
    if (err == OK) {
        err = batch_add_session(&a->batch, &session, &row->session);
    }
    bytes_wipe(session.key, sizeof(session.key));
    return err;
}

/* Its place; the rest when the keys of all are known. */
static void record_stage(struct append *a, const struct store_audit_record *r)
{
    struct batch_row *row = &a->batch.rows[a->batch.count++];
    *row = (struct batch_row){
        .key = key_of(a, r),
        .kind = r->index.kind,
        .verdict = r->index.verdict,
        .is_in_blob = r->blob != NULL,
        .canonical = r->canonical,
        .text = r->index.text,
    };
    memcpy(row->hash, r->hash, STORE_HASH_SIZE);
    a->records[a->batch.count - 1] = r;
    a->last_key = row->key;
    a->last.sequence = r->sequence;
    memcpy(a->last.hash, r->hash, STORE_HASH_SIZE);
}

/* ---- the batch --------------------------------------------------------------------------------
 */

static enum err append_init(struct append *a, size_t count)
{
    buffer_init(&a->known.hashes, BATCH_RECORDS_MAX * STORE_HASH_SIZE);
    a->records = calloc(count == 0 ? 1 : count, sizeof(const struct store_audit_record *));
    enum err err = batch_init(&a->batch, count);
    return a->records == NULL ? ERR_NO_MEMORY : err;
}

static void append_finish(struct append *a)
{
    batch_finish(&a->batch);
    buffer_finish(&a->known.hashes);
    free(a->records);
}

static enum err batch_rows_write(struct append *a)
{
    const struct batch *b = &a->batch;
    enum err err = OK;
    for (size_t from = 0; err == OK && from < b->count; from += BATCH_RECORDS_MAX) {
        const size_t left = b->count - from;
        err = batch_write(a->db, b, from, left < BATCH_RECORDS_MAX ? left : BATCH_RECORDS_MAX);
    }
    return err;
}

static enum err rows_write(struct append *a)
{
    struct batch *b = &a->batch;
    b->stream = a->stream;
    b->received_ns = a->received_ns;
    b->position = (int64_t)a->before + 1;
    b->sequence = (int64_t)a->last_before + 1;
    /* Before anything else: of a session it is told when it began and ended. */
    enum err err = batch_choose_keys(a->db, b);
    for (size_t i = 0; err == OK && i < b->count; i++) {
        err = session_find(a, a->records[i], &b->rows[i]);
        if (err == OK) {
            err = tables_find(a, &a->records[i]->index, &b->rows[i]);
        }
    }
    if (err == OK) {
        err = batch_rows_write(a);
    }
    if (err == OK) {
        a->last_key = b->rows[b->count - 1].key;
        err = stream_write(a);
    }
    return err;
}

static enum err records_stage(struct append *a, const struct store_audit_record *records,
                              size_t count)
{
    enum err err = a->is_revoked && count > 0 ? sqlite_append_refuse_revoked(a, records) : OK;
    a->last_before = a->last.sequence;
    for (size_t i = 0; err == OK && i < count; i++) {
        if (records[i].sequence <= a->last.sequence) {
            err = sqlite_append_check_known(a, &records[i]);
            continue;
        }
        err = sqlite_append_check_next(a, &records[i]);
        if (err == OK) {
            record_stage(a, &records[i]);
        }
    }
    return err;
}

static enum err batch_append(struct append *a, const char *sidecar,
                             const struct store_audit_record *records, size_t count)
{
    enum err err = append_init(a, count);
    if (err == OK) {
        err = stream_read(a, sidecar);
    }
    if (err == ERR_NOT_FOUND) {
        err = stream_add(a, sidecar);
    }
    if (err == OK) {
        err = position_read(a->db, &a->before);
    }
    if (err == OK) {
        err = records_stage(a, records, count);
    }
    if (err == OK && a->batch.count > 0) {
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
    err = batch_append(&a, sidecar, records, count);
    if (err != OK && a.refused == 0) {
        /* What the contract says of records must not be said of a fault of ours. */
        bool is_misleading = err == ERR_EXISTS || err == ERR_INVALID || err == ERR_LIMIT;
        err = db_explain(a.db, is_misleading ? ERR_INTERNAL : err, why);
    }
    err = sqlite_write_end(a.s, err, why);
    const size_t added = a.batch.count;
    append_finish(&a);
    if (err == OK) {
        *out = (struct store_audit_appended){
            .last = a.last,
            .added = added,
            .first_position = added == 0 ? 0 : a.before + 1,
            .last_position = added == 0 ? 0 : a.before + added,
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
    enum err err = batch_append(&a, write->sidecar, write->records, write->count);
    const size_t added = a.batch.count;
    append_finish(&a);
    if (err != OK) {
        return ERR_INTERNAL; /* the caller's other errors must not be mistaken for this one */
    }
    *write->out = (struct store_audit_appended){
        .last = a.last,
        .added = write->count,
        .first_position = a.before + 1,
        .last_position = a.before + added,
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
