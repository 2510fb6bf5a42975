#include "controlplane/store/sqlite_convert_record.h"
#include "controlplane/store/sqlite_convert_steps.h"

enum {
    STEP_RECORDS = 20000,    /* of one transaction */
    STEP_BYTES = 64 << 20,   /* the same, in content */
    RUN_BYTES = 8 << 20,     /* of one batch: it is in memory as a whole */
    RUN_ARENA_CAP = 1 << 30, /* with a record of any size */
};

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
    old_record_read(row, &r);
    c->last_position = r.position;
    enum err err = run_goes_on(c, &r) ? OK : run_end(c);
    if (err == OK) {
        err = old_record_open(c, &r);
    }
    if (err == OK && r.is_changed && c->batch.count > 0) {
        err = run_end(c);
        if (err == OK) {
            err = old_record_keep(c, &r); /* anew: the memory of the run is gone */
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

static enum err step_do(void *context, size_t *out_count, struct err_text *why)
{
    struct converter *c = context;
    enum err err = rows_convert(c);
    content_forget(c->db->content);
    if (err != OK) {
        return db_explain(c->db, err, why);
    }
    *out_count = c->records;
    return c->records > 0 ? OK : db_execute(c->db, drop_old, why);
}

/* Sections are written with their marks. Only where a version between has begun to move records are
 * there some without. */
static enum err marks_settle(struct db *db, struct err_text *why)
{
    sqlite3_stmt *find = NULL;
    int64_t one = 0;
    enum err err = db_statement(db, "SELECT 1 FROM audit_section LIMIT 1", &find);
    err = err == OK ? convert_number(db, find, &one) : err;
    if (err == ERR_NOT_FOUND) {
        return db_execute(db, "DROP TABLE IF EXISTS audit_mark_made", why);
    }
    return err == OK ? OK : db_explain(db, err, why);
}

static enum err records_count(struct db *db, uint64_t *out)
{
    sqlite3_stmt *count = NULL;
    int64_t number = 0;
    enum err err = db_statement(db, "SELECT count(*) FROM audit_record", &count);
    err = err == OK ? convert_number(db, count, &number) : err;
    *out = (uint64_t)number;
    return err;
}

enum err sqlite_convert(struct db *db, const struct store_progress *progress, struct err_text *why)
{
    struct converter c = {.db = db, .last_position = INT64_MIN};
    struct convert_work work = {.db = db, .step = step_do, .context = &c, .what = "records"};
    enum err err = convert_find_table(db, "audit_record");
    if (err != OK) {
        return err == ERR_NOT_FOUND ? OK : db_explain(db, err, why);
    }
    c.arena = arena_create(1 << 20, RUN_ARENA_CAP);
    err = c.arena == NULL ? ERR_NO_MEMORY : batch_init(&c.batch, BATCH_RECORDS_MAX);
    c.batch.marks_all = true;
    /* A row may refer to what somebody deleted: it is kept as it was. */
    if (err == OK) {
        err = db_execute(db, "PRAGMA foreign_keys = OFF", why);
    }
    if (err == OK) {
        err = records_count(db, &work.all);
    }
    if (err == OK) {
        err = marks_settle(db, why);
    }
    if (err == OK) {
        err = convert_run(&work, progress, why);
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
