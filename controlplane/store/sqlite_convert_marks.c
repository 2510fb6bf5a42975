#include "controlplane/store/sqlite_batch.h"
#include "controlplane/store/sqlite_convert_steps.h"
#include "controlplane/store/sqlite_sections.h"

enum {
    STEP_SECTIONS = 512,   /* of one transaction */
    STEP_BYTES = 64 << 20, /* the same, in content */
    ARENA_CAP = 1 << 30,   /* one section at a time, with a record of any size */
};

struct marker {
    struct db *db;
    struct arena *arena; /* owned: one section */
    struct section_reader reader;
    struct batch_document document;
    int64_t made;        /* sections up to this key have their marks */
    size_t count, bytes; /* in this transaction */
};

/* Beside them there may be sections that this version wrote (sqlite_convert), with their marks. */
#define WITHOUT_MARKS                                                                              \
    " FROM audit_section s WHERE key > ?1"                                                         \
    " AND NOT EXISTS (SELECT 1 FROM audit_mark m WHERE m.key = s.key)"

static enum err section_find(struct marker *m, int64_t *out)
{
    sqlite3_stmt *get = NULL;
    enum err err = db_statement(m->db, "SELECT key" WITHOUT_MARKS " ORDER BY key LIMIT 1", &get);
    if (err == OK) {
        db_bind_number(get, 1, m->made);
        err = convert_number(m->db, get, out);
    }
    return err;
}

static enum err made_read(struct db *db, int64_t *out)
{
    sqlite3_stmt *get = NULL;
    enum err err = db_statement(db, "SELECT key FROM audit_mark_made", &get);
    return err == OK ? convert_number(db, get, out) : err;
}

/* One that was changed cannot be read, and has no marks. */
static enum err section_mark(struct marker *m, int64_t key)
{
    struct section_row row = {0};
    struct section_content *contents = NULL;
    arena_reset(m->arena);
    enum err err = section_read(&m->reader, key, m->arena, &row);
    if (err == OK) {
        err = section_open(&m->reader, &row, m->arena, &contents);
    }
    if (err == OK) {
        err = batch_document_make(m->db, row.session, row.identity, row.resource, row.records,
                                  contents, row.count, &m->document);
    }
    if (err == OK) {
        err = batch_marks_write(m->db, key, &m->document);
    }
    m->count++;
    m->bytes += row.stored.size;
    return err == ERR_DENIED || err == ERR_NOT_FOUND ? OK : err;
}

static enum err made_write(struct marker *m)
{
    sqlite3_stmt *set = NULL;
    enum err err = db_statement(m->db, "UPDATE audit_mark_made SET key = ?1", &set);
    if (err == OK) {
        db_bind_number(set, 1, m->made);
        err = db_run(m->db, set);
    }
    return err;
}

static enum err step_do(void *context, size_t *out_count, struct err_text *why)
{
    struct marker *m = context;
    int64_t key = 0;
    enum err err = OK;
    m->count = m->bytes = 0;
    while (err == OK && m->count < STEP_SECTIONS && m->bytes < STEP_BYTES) {
        err = section_find(m, &key);
        if (err == OK) {
            err = section_mark(m, key);
        }
        if (err == OK) {
            m->made = key;
        }
    }
    *out_count = m->count;
    if (err == ERR_NOT_FOUND && m->count == 0) {
        return db_execute(m->db, "DROP TABLE audit_mark_made", why);
    }
    err = err == OK || err == ERR_NOT_FOUND ? made_write(m) : err;
    return err == OK ? OK : db_explain(m->db, err, why);
}

static enum err sections_count(struct marker *m, uint64_t *out)
{
    sqlite3_stmt *count = NULL;
    int64_t all = 0;
    enum err err = db_statement(m->db, "SELECT count(*)" WITHOUT_MARKS, &count);
    if (err == OK) {
        db_bind_number(count, 1, m->made);
        err = convert_number(m->db, count, &all);
    }
    *out = (uint64_t)all;
    return err;
}

enum err sqlite_convert_marks(struct db *db, const struct store_progress *progress,
                              struct err_text *why)
{
    struct marker m = {.db = db};
    struct convert_work work = {.db = db, .step = step_do, .context = &m, .what = "sections"};
    enum err err = convert_find_table(db, "audit_mark_made");
    if (err != OK) {
        return err == ERR_NOT_FOUND ? OK : db_explain(db, err, why);
    }
    section_reader_init(&m.reader, db);
    m.arena = arena_create(1 << 20, ARENA_CAP);
    err = batch_document_init(&m.document);
    err = m.arena == NULL ? ERR_NO_MEMORY : err;
    if (err == OK) {
        err = made_read(db, &m.made);
        err = err == OK ? sections_count(&m, &work.all) : err;
        err = err == OK ? OK : db_explain(db, err, why);
    }
    if (err == OK) {
        err = convert_run(&work, progress, why);
    }
    section_reader_finish(&m.reader);
    batch_document_finish(&m.document);
    bytes_wipe(db->keys, sizeof(db->keys));
    arena_destroy(m.arena);
    return err;
}
