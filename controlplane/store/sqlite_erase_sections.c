#include "controlplane/store/sqlite_erase_sections.h"

#include "controlplane/store/sqlite_batch.h"
#include "controlplane/store/sqlite_sections.h"

enum {
    STEP_RECORDS = 1000,
    STEP_BYTES = 16 << 20, /* in memory: little that is stored may be much that was packed */
    HEAD_CAP = 64 << 20,
};

/* ---- one section -----------------------------------------------------------------------------
 */

struct section {
    struct section_row row;
    struct section_content *contents; /* in the arena; NULL: nobody can read them */
    bool has_records;                 /* else its head cannot be told either */
};

static enum err tag_drop(struct db *db, int64_t table, int64_t key)
{
    sqlite3_stmt *drop = NULL;
    enum err err = db_statement(
        db, "DELETE FROM audit_tag WHERE kind = ?1 AND value = ?2 AND key = ?3", &drop);
    if (err == OK) {
        db_bind_number(drop, 1, SQLITE_TAG_TABLE);
        db_bind_number(drop, 2, table);
        db_bind_number(drop, 3, key);
        err = db_run(db, drop);
    }
    return err;
}

/* Which tables it was about cannot be told: it is looked up by every name there is. */
static enum err tags_drop_all(struct db *db, int64_t key)
{
    sqlite3_stmt *drop = NULL;
    enum err err = db_statement(db,
                                "DELETE FROM audit_tag WHERE kind = ?1 AND key = ?2"
                                " AND value IN (SELECT name FROM audit_table)",
                                &drop);
    if (err == OK) {
        db_bind_number(drop, 1, SQLITE_TAG_TABLE);
        db_bind_number(drop, 2, key);
        err = db_run(db, drop);
    }
    return err;
}

/* The records are about no table any more, and their content is in no blob. */
static enum err tables_erase(struct db *db, struct section *s)
{
    enum err err = s->has_records ? OK : tags_drop_all(db, s->row.key);
    for (size_t i = 0; err == OK && s->has_records && i < s->row.count; i++) {
        struct section_record *r = &s->row.records[i];
        for (size_t n = 0; err == OK && n < r->table_count; n++) {
            err = tag_drop(db, r->tables[n].name, s->row.key);
        }
        r->tables = NULL;
        r->table_count = 0;
        r->is_in_blob = false;
    }
    return err;
}

/* What erases the sections of a step. */
struct eraser {
    struct db *db;
    struct section_reader reader;
    struct batch_document document; /* scratch, of one section, as `head` */
    struct buffer head;
};

static enum err eraser_init(struct eraser *e, struct db *db)
{
    e->db = db;
    section_reader_init(&e->reader, db);
    buffer_init(&e->head, HEAD_CAP);
    return batch_document_init(&e->document);
}

static void eraser_finish(struct eraser *e)
{
    section_reader_finish(&e->reader);
    batch_document_finish(&e->document);
    buffer_finish(&e->head);
}

/* A contentless index forgets what it is told again, word for word as it was told first. */
static enum err words_erase(struct eraser *e, const struct section *s)
{
    const struct section_row *row = &s->row;
    sqlite3_stmt *drop = NULL;
    enum err err = batch_document_make(e->db, row->session, row->identity, row->resource,
                                       row->records, s->contents, row->count, &e->document);
    if (err != OK || buffer_size(&e->document.text) == 0) {
        return err;
    }
    err = db_statement(e->db,
                       "INSERT INTO audit_words (audit_words, rowid, text, tag)"
                       " VALUES ('delete', ?1, ?2, ?3)",
                       &drop);
    if (err == OK) {
        db_bind_number(drop, 1, row->key);
        db_bind_text(drop, 2, buffer_bytes(&e->document.text));
        db_bind_text(drop, 3, buffer_bytes(&e->document.tag));
        err = db_run(e->db, drop);
    }
    return err;
}

/* Also of one whose words cannot be told. */
static enum err marks_erase(struct db *db, int64_t key)
{
    sqlite3_stmt *drop = NULL;
    enum err err = db_statement(db, "DELETE FROM audit_mark WHERE key = ?1", &drop);
    if (err == OK) {
        db_bind_number(drop, 1, key);
        err = db_run(db, drop);
    }
    return err;
}

/* Where its head cannot be told it has none any more: no record can be read by it, as before. */
static enum err section_erase(struct eraser *e, struct section *s)
{
    sqlite3_stmt *set = NULL;
    enum err err = s->contents == NULL ? OK : words_erase(e, s);
    buffer_clear(&e->head);
    if (err == OK) {
        err = marks_erase(e->db, s->row.key);
    }
    if (err == OK) {
        err = tables_erase(e->db, s);
    }
    if (err == OK && s->has_records) {
        err = section_head_pack(s->row.records, s->row.count, &e->head);
    }
    if (err == OK) {
        err = db_statement(e->db,
                           "UPDATE audit_section SET form = ?2, head = ?3, content = zeroblob(0)"
                           " WHERE key = ?1",
                           &set);
    }
    if (err == OK) {
        db_bind_number(set, 1, s->row.key);
        db_bind_number(set, 2, SQLITE_FORM_ERASED);
        db_bind_blob(set, 3, buffer_bytes(&e->head));
        err = db_run_one(e->db, set);
    }
    return err;
}

/* ---- some of a session ---------------------------------------------------------------------
 */

/* Where somebody changed it nobody can read it, and its words cannot be told. It goes. */
static enum err section_find(struct eraser *e, int64_t key, struct arena *arena,
                             struct section *out)
{
    *out = (struct section){0};
    enum err err = section_read_head(&e->reader, key, arena, &out->row);
    out->has_records = err == OK;
    if (err == OK) {
        err = section_read_rest(&e->reader, arena, &out->row);
    }
    if (err == OK) {
        err = section_open(&e->reader, &out->row, arena, &out->contents);
    }
    if (err == ERR_DENIED) {
        out->contents = NULL;
        err = OK;
    }
    out->row.key = key;
    return err;
}

/* The next section of the session that is not erased yet. ERR_NOT_FOUND: there is none. */
static enum err section_next(struct db *db, int64_t session, int64_t from, int64_t *out)
{
    sqlite3_stmt *next = NULL;
    bool row = false;
    enum err err = db_statement(db,
                                "SELECT t.key FROM audit_tag t"
                                " CROSS JOIN audit_section s ON s.key = t.key"
                                " WHERE t.kind = ?1 AND t.value = ?2 AND t.key >= ?3"
                                " AND s.form <> ?4 ORDER BY t.key LIMIT 1",
                                &next);
    if (err == OK) {
        db_bind_number(next, 1, SQLITE_TAG_SESSION);
        db_bind_number(next, 2, session);
        db_bind_number(next, 3, from);
        db_bind_number(next, 4, SQLITE_FORM_ERASED);
        err = db_step(db, next, &row);
    }
    if (err == OK && row) {
        *out = sqlite3_column_int64(next, 0);
        (void)sqlite3_reset(next);
    }
    return err == OK && !row ? ERR_NOT_FOUND : err;
}

enum err sqlite_sections_erase(struct db *db, int64_t session, int64_t *from, struct arena *arena,
                               size_t *out_count)
{
    struct eraser e;
    size_t count = 0, records = 0;
    enum err err = eraser_init(&e, db);
    while (err == OK && records < STEP_RECORDS && arena_used(arena) < STEP_BYTES) {
        struct section section;
        err = section_next(db, session, *from, from);
        if (err == OK) {
            err = section_find(&e, *from, arena, &section);
        }
        if (err != OK) {
            break;
        }
        err = section_erase(&e, &section);
        count++;
        records += section.row.count + 1;
    }
    eraser_finish(&e);
    if (err == OK || err == ERR_NOT_FOUND) {
        *out_count = count;
    }
    return err == ERR_NOT_FOUND ? OK : err;
}
