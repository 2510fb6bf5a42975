#include "controlplane/store/sqlite_convert.h"

#include "base/cursor.h"
#include "controlplane/store/redact.h"
#include "controlplane/store/sqlite_batch.h"

enum {
    STEP_RECORDS = 20000,    /* of one transaction */
    STEP_BYTES = 64 << 20,   /* the same, in content */
    RUN_BYTES = 8 << 20,     /* of one batch: it is in memory as a whole */
    RUN_ARENA_CAP = 1 << 30, /* with a record of any size */
    ENVELOPE_TABLE = 16,
};

/* audit_record.form: what `canonical` is. */
enum old_form {
    OLD_PLAIN = 0,
    OLD_SEALED = 1, /* an envelope, encrypted under the key of its session */
    OLD_ERASED = 2,
    OLD_BLOB = 3, /* as sealed; the record in it is a reference (store_blobs.h) */
};

/* ---- the envelope: a record, and what the index had of it ------------------------------------
 */

struct envelope {
    struct bytes canonical, text;
    struct bytes tables; /* ENVELOPE_TABLE bytes each: the ids of both its names */
};

/* u32 size of the canonical bytes, u32 where the text is, u32 its size, u32 number of tables; the
 * canonical bytes; the text where it is not one run of them; the tables. */
static bool envelope_open(struct bytes packed, struct envelope *out)
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

static enum err envelope_tables(const struct envelope *e, struct batch *batch)
{
    struct cursor c = cursor_of(e->tables);
    enum err err = OK;
    for (size_t i = 0; err == OK && i < e->tables.size / ENVELOPE_TABLE; i++) {
        struct section_table table = {.name = cursor_read_i64(&c)};
        table.full = cursor_read_i64(&c);
        err = batch_add_table(batch, table);
    }
    return err;
}

/* ---- a record --------------------------------------------------------------------------------
 */

struct converter {
    struct db *db;
    struct arena *arena; /* what is in the batch */
    struct batch batch;
    size_t bytes;                 /* in the batch */
    int64_t last_position;        /* that was read; INT64_MIN: none yet */
    size_t records, written;      /* in this transaction; bytes */
    uint64_t done, all;           /* records of all transactions */
    struct batch_session session; /* the last one that was looked up; id 0: none */
    bool has_key;
};

struct old_record {
    struct batch_row row;
    int64_t position, stream, sequence, received_ns;
    struct batch_session session;
    enum old_form form;
    struct bytes stored; /* the column */
    bool is_changed;     /* by somebody: it cannot be read */
};

/* Of the record's session; false: it has none that can be opened. */
static enum err key_find(struct converter *c, int64_t session, bool *out_has)
{
    sqlite3_stmt *get = NULL;
    bool row = false;
    if (session != 0 && session == c->session.id) {
        *out_has = c->has_key;
        return OK;
    }
    c->session.id = 0;
    enum err err = db_statement(c->db,
                                "SELECT s.session, k.wrapped FROM audit_session s"
                                " JOIN audit_content_key k ON k.session = s.id WHERE s.id = ?1",
                                &get);
    if (err == OK) {
        db_bind_number(get, 1, session);
        err = db_step(c->db, get, &row);
    }
    if (err == OK && row) {
        err = content_key_open(c->db->content, db_column_bytes(get, 0), db_column_bytes(get, 1),
                               c->session.key);
        (void)sqlite3_reset(get);
    }
    if (err == OK || err == ERR_DENIED) {
        c->session.id = session;
        c->has_key = row && err == OK;
        *out_has = c->has_key;
        err = OK;
    }
    return err;
}

/* Records of before there were keys, and those that the control plane writes: what the index had
 * of their tables is in no envelope, but looked up by every name there is. */
static enum err plain_tables(struct converter *c, const struct old_record *r)
{
    sqlite3_stmt *list = NULL;
    bool row = true;
    enum err err = db_statement(c->db,
                                "SELECT rt.name, rt.full_name FROM"
                                " (SELECT DISTINCT name FROM audit_table) t"
                                " CROSS JOIN audit_record_table rt"
                                " ON rt.name = t.name AND rt.key = ?1",
                                &list);
    if (err == OK) {
        db_bind_number(list, 1, r->row.key);
    }
    while (err == OK && (err = db_step(c->db, list, &row)) == OK && row) {
        err = batch_add_table(&c->batch,
                              (struct section_table){.name = sqlite3_column_int64(list, 0),
                                                     .full = sqlite3_column_int64(list, 1)});
    }
    if (list != NULL) {
        (void)sqlite3_reset(list);
    }
    return err;
}

static enum err plain_open(struct converter *c, struct old_record *r)
{
    enum err err = arena_copy_bytes(c->arena, r->stored, &r->row.canonical);
    if (err == OK) {
        err = redact_find_text(r->row.canonical, c->arena, &r->row.text);
    }
    if (err == OK && r->row.kind != STORE_HEARTBEAT) {
        err = plain_tables(c, r);
    }
    r->session.form = SQLITE_FORM_PLAIN;
    return err;
}

static enum err sealed_open(struct converter *c, struct old_record *r)
{
    struct bytes packed;
    struct envelope envelope;
    bool has_key = false;
    enum err err = key_find(c, r->session.id, &has_key);
    if (err == OK) {
        err = has_key ? content_open(c->db->content, c->session.key, r->row.hash, r->stored,
                                     c->arena, &packed)
                      : ERR_DENIED;
    }
    if (err == OK) {
        err = envelope_open(packed, &envelope) ? envelope_tables(&envelope, &c->batch) : ERR_DENIED;
    }
    if (err == OK) {
        r->row.canonical = envelope.canonical;
        r->row.text = envelope.text;
        r->row.is_in_blob = r->form == OLD_BLOB;
        r->session.form = SQLITE_FORM_SEALED;
        memcpy(r->session.key, c->session.key, CONTENT_KEY_SIZE);
    }
    return err;
}

/* Its bytes stay, encrypted under a key that no session has: whoever reads it finds that it was
 * changed, as before. */
static enum err changed_keep(struct converter *c, struct old_record *r)
{
    r->is_changed = true;
    r->row.text = bytes_of(NULL, 0);
    r->row.tables_at = r->row.table_count = 0;
    r->session.form = SQLITE_FORM_SEALED;
    bytes_wipe(r->session.key, CONTENT_KEY_SIZE);
    return arena_copy_bytes(c->arena, r->stored, &r->row.canonical);
}

static enum err content_read(struct converter *c, struct old_record *r)
{
    enum err err = r->is_changed ? ERR_DENIED : OK;
    r->row.tables_at = c->batch.table_count;
    if (err == OK) {
        switch (r->form) {
        case OLD_PLAIN: err = plain_open(c, r); break;
        case OLD_SEALED:
        case OLD_BLOB: err = sealed_open(c, r); break;
        case OLD_ERASED: r->session.form = SQLITE_FORM_ERASED; break;
        default: err = ERR_DENIED; break;
        }
    }
    r->row.table_count = c->batch.table_count - r->row.tables_at;
    return err == ERR_DENIED ? changed_keep(c, r) : err;
}

/* Numbers that no record has are a change, too: the head of a section has no place for them. */
static void row_read(sqlite3_stmt *row, struct old_record *r)
{
    const int64_t kind = sqlite3_column_int64(row, 5), verdict = sqlite3_column_int64(row, 6);
    *r = (struct old_record){.position = sqlite3_column_int64(row, 1),
                             .stream = sqlite3_column_int64(row, 2),
                             .sequence = sqlite3_column_int64(row, 3),
                             .received_ns = sqlite3_column_int64(row, 4)};
    r->row.key = sqlite3_column_int64(row, 0);
    r->is_changed = kind < 0 || kind >= SECTION_KINDS || verdict < INT32_MIN || verdict > INT32_MAX;
    r->row.kind = r->is_changed ? STORE_INTENT : (enum store_audit_kind)kind;
    r->row.verdict = r->is_changed ? 0 : (int)verdict;
    r->session.id = sqlite3_column_int64(row, 7); /* NULL reads as 0 */
    r->session.identity = sqlite3_column_int64(row, 8);
    r->session.resource = sqlite3_column_int64(row, 9);
    r->is_changed = !db_column_hash(row, 10, r->row.hash) || r->is_changed;
    r->form = (enum old_form)sqlite3_column_int(row, 11);
    r->stored = db_column_bytes(row, 12);
}

/* ---- a run of them is a batch ----------------------------------------------------------------
 */

static enum err run_end(struct converter *c)
{
    enum err err = c->batch.count == 0 ? OK : batch_write(c->db, &c->batch, 0, c->batch.count);
    batch_clear(&c->batch);
    arena_reset(c->arena);
    c->bytes = 0;
    return err;
}

/* A gap stays one: positions and sequences of a batch are without any. */
static bool run_goes_on(const struct converter *c, const struct old_record *r)
{
    const struct batch *b = &c->batch;
    const int64_t count = (int64_t)b->count;
    return b->count > 0 && b->count < BATCH_RECORDS_MAX && c->bytes < RUN_BYTES &&
           r->stream == b->stream && r->received_ns == b->received_ns &&
           r->position - count == b->position && r->sequence - count == b->sequence &&
           r->row.key > b->rows[b->count - 1].key;
}

static enum err run_add(struct converter *c, struct old_record *r)
{
    struct batch *b = &c->batch;
    enum err err = batch_add_session(b, &r->session, &r->row.session);
    if (err == OK) {
        if (b->count == 0) {
            b->stream = r->stream;
            b->received_ns = r->received_ns;
            b->position = r->position;
            b->sequence = r->sequence;
        }
        b->rows[b->count++] = r->row;
        c->bytes += r->row.canonical.size + r->row.text.size;
    }
    return err;
}

/* One that was changed is alone in its batch: what came with it can be read. */
static enum err record_convert(struct converter *c, sqlite3_stmt *row)
{
    struct old_record r;
    row_read(row, &r);
    c->last_position = r.position;
    enum err err = run_goes_on(c, &r) ? OK : run_end(c);
    if (err == OK) {
        err = content_read(c, &r);
    }
    if (err == OK && r.is_changed && c->batch.count > 0) {
        err = run_end(c);
        if (err == OK) {
            err = changed_keep(c, &r); /* anew: the memory of the run is gone */
        }
    }
    if (err == OK) {
        err = run_add(c, &r);
    }
    if (err == OK && r.is_changed) {
        err = run_end(c);
    }
    c->records++;
    c->written += r.stored.size;
    bytes_wipe(r.session.key, sizeof(r.session.key));
    return err;
}

/* ---- a transaction ---------------------------------------------------------------------------
 */

static enum err rows_drop(struct converter *c)
{
    sqlite3_stmt *drop = NULL;
    enum err err = db_statement(c->db, "DELETE FROM audit_record WHERE position <= ?1", &drop);
    if (err == OK) {
        db_bind_number(drop, 1, c->last_position);
        err = db_run(c->db, drop);
    }
    return err;
}

static enum err rows_convert(struct converter *c)
{
    sqlite3_stmt *list = NULL;
    bool row = true;
    c->records = c->written = 0;
    enum err err = db_statement(
        c->db,
        "SELECT key, position, stream, sequence, received_ns, kind, verdict, session, identity,"
        " resource, hash, form, canonical FROM audit_record INDEXED BY audit_record_position"
        " ORDER BY position",
        &list);
    while (err == OK && c->records < STEP_RECORDS && c->written < STEP_BYTES) {
        err = db_step(c->db, list, &row);
        if (err != OK || !row) {
            break;
        }
        err = record_convert(c, list);
    }
    if (list != NULL) {
        (void)sqlite3_reset(list);
    }
    if (err == OK) {
        err = run_end(c);
    }
    return err == OK && c->records > 0 ? rows_drop(c) : err;
}

static const char drop_old[] = "DROP TABLE audit_record; DROP TABLE audit_record_table;"
                               "DROP TABLE audit_text";

static enum err step_do(struct converter *c, bool *out_more, struct err_text *why)
{
    enum err err = rows_convert(c);
    content_forget(c->db->content);
    if (err != OK) {
        return db_explain(c->db, err, why);
    }
    *out_more = c->records > 0;
    return *out_more ? OK : db_execute(c->db, drop_old, why);
}

static enum err steps_do(struct converter *c, const struct store_progress *progress,
                         struct err_text *why)
{
    enum err err = OK;
    for (bool more = true; err == OK && more;) {
        err = db_execute(c->db, "BEGIN IMMEDIATE", why);
        if (err != OK) {
            break;
        }
        err = step_do(c, &more, why);
        if (err == OK) {
            err = db_execute(c->db, "COMMIT", why);
        }
        if (err == OK && more && progress != NULL) {
            c->done += c->records;
            progress->on_step(progress->context, "records", c->done, c->all);
        }
        if (err != OK && sqlite3_get_autocommit(c->db->handle) == 0) {
            (void)sqlite3_exec(c->db->handle, "ROLLBACK", NULL, NULL, NULL);
        }
    }
    return err;
}

static enum err is_needed(struct db *db, bool *out)
{
    sqlite3_stmt *find = NULL;
    bool row = false;
    enum err err = db_statement(
        db, "SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = 'audit_record'", &find);
    if (err == OK) {
        err = db_step(db, find, &row);
        (void)sqlite3_reset(find);
    }
    if (err == OK) {
        *out = row;
    }
    return err;
}

static enum err records_count(struct db *db, uint64_t *out)
{
    sqlite3_stmt *count = NULL;
    bool row = false;
    enum err err = db_statement(db, "SELECT count(*) FROM audit_record", &count);
    if (err == OK) {
        err = db_step(db, count, &row);
        *out = err == OK && row ? (uint64_t)sqlite3_column_int64(count, 0) : 0;
        (void)sqlite3_reset(count);
    }
    return err;
}

/* Sections are written with their marks. Only where a version between has begun to move records are
 * there some without. */
static enum err marks_settle(struct db *db, struct err_text *why)
{
    sqlite3_stmt *find = NULL;
    bool row = false;
    enum err err = db_statement(db, "SELECT 1 FROM audit_section LIMIT 1", &find);
    if (err == OK) {
        err = db_step(db, find, &row);
        (void)sqlite3_reset(find);
    }
    if (err != OK) {
        return db_explain(db, err, why);
    }
    return row ? OK : db_execute(db, "DROP TABLE IF EXISTS audit_mark_made", why);
}

enum err sqlite_convert(struct db *db, const struct store_progress *progress, struct err_text *why)
{
    struct converter c = {.db = db, .last_position = INT64_MIN};
    bool needed = false;
    enum err err = is_needed(db, &needed);
    if (err != OK || !needed) {
        return err;
    }
    c.arena = arena_create(1 << 20, RUN_ARENA_CAP);
    err = c.arena == NULL ? ERR_NO_MEMORY : batch_init(&c.batch, BATCH_RECORDS_MAX);
    c.batch.marks_all = true;
    /* A row may refer to what somebody deleted: it is kept as it was. */
    if (err == OK) {
        err = db_execute(db, "PRAGMA foreign_keys = OFF", why);
    }
    if (err == OK) {
        err = records_count(db, &c.all);
    }
    if (err == OK) {
        err = marks_settle(db, why);
    }
    if (err == OK) {
        err = steps_do(&c, progress, why);
    }
    if (err == OK) {
        err = db_execute(db, "PRAGMA foreign_keys = ON", why);
    }
    batch_finish(&c.batch);
    bytes_wipe(&c.session, sizeof(c.session));
    bytes_wipe(db->keys, sizeof(db->keys));
    arena_destroy(c.arena);
    return err;
}
