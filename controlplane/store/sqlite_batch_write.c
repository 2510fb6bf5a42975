/* A batch into the database: its row of the log, and its sections with what they are found by. */
#include <stdlib.h>

#include "controlplane/store/sqlite_batch_parts.h"
#include "controlplane/store/sqlite_content.h"
#include "controlplane/store/sqlite_tokens.h"

static const uint32_t NONE = UINT32_MAX;

enum {
    /* Marks are one page more for an append to write: a small section has them where more comes
     * with it. */
    MARKED_RECORDS_MIN = 16,
    MARKED_BATCH_MIN = 64,
};

/* Rows of a batch that become a section: a chain, as those of other sessions are between them. */
struct cut {
    uint32_t first, last, count; /* rows, from the first that is written */
    size_t bytes, session;
};

struct batch_sections {
    struct cut cuts[BATCH_RECORDS_MAX];
    size_t cut_count;                 /* sections */
    bool marks_all;                   /* else those of enough records */
    uint32_t next[BATCH_RECORDS_MAX]; /* of a row: that of the same section, NONE behind its last */
    uint32_t *current;                /* owned; of each session the cut that it is in, or NONE */
    size_t current_room;
    uint8_t hashes[BATCH_RECORDS_MAX][STORE_HASH_SIZE];
    /* Of one section. */
    struct section_record records[SECTION_RECORDS_MAX];
    struct section_content contents[SECTION_RECORDS_MAX];
    struct buffer head, content;
    struct batch_ids *ids;
    struct batch_document document;
};

enum err batch_sections_create(struct batch_sections **out)
{
    enum { SLACK = 1 << 20 }; /* of what is packed and cannot be made smaller */
    /* Not zeroed: most appends need little of it. */
    struct batch_sections *m = malloc(sizeof(*m));
    if (m == NULL) {
        return ERR_NO_MEMORY;
    }
    m->current = NULL;
    m->current_room = 0;
    m->ids = NULL;
    buffer_init(&m->head, SECTION_UNPACKED_MAX);
    buffer_init(&m->content, SECTION_UNPACKED_MAX + SLACK);
    enum err err = batch_document_init(&m->document);
    if (err == OK) {
        err = batch_ids_create(&m->ids);
    }
    if (err != OK) {
        batch_sections_destroy(m);
        return err;
    }
    *out = m;
    return OK;
}

void batch_sections_destroy(struct batch_sections *making)
{
    if (making != NULL) {
        batch_document_finish(&making->document);
        batch_ids_destroy(making->ids);
        buffer_finish(&making->head);
        buffer_wipe(&making->content); /* it is not encrypted where it has no session */
        free(making->current);
        free(making);
    }
}

/* ---- which rows are a section
 * --------------------------------------------------------------------
 */

static enum err current_clear(struct batch_sections *m, size_t sessions)
{
    if (sessions > m->current_room) {
        uint32_t *grown = realloc(m->current, 2 * sessions * sizeof(*grown));
        if (grown == NULL) {
            return ERR_NO_MEMORY;
        }
        m->current = grown;
        m->current_room = 2 * sessions;
    }
    for (size_t i = 0; i < sessions; i++) {
        m->current[i] = NONE;
    }
    return OK;
}

static size_t row_bytes(const struct batch_row *row)
{
    return row->canonical.size + row->text.size;
}

static bool cut_has_room(const struct cut *cut, const struct batch_row *rows,
                         const struct batch_row *row)
{
    const int64_t first = rows[cut->first].key, last = rows[cut->last].key;
    return cut->count < SECTION_RECORDS_MAX && row->key > last &&
           (uint64_t)row->key - (uint64_t)first <= SECTION_SPAN_NS_MAX &&
           cut->bytes <= SECTION_BYTES_MAX && row_bytes(row) <= SECTION_BYTES_MAX - cut->bytes;
}

/* In the order of their first rows, which is that of their keys: the index of words is given its
 * documents in order, or it writes what it has at each step back. */
static enum err cuts_make(struct batch_sections *m, const struct batch *b,
                          const struct batch_row *rows, size_t count)
{
    enum err err = current_clear(m, b->session_count);
    m->cut_count = 0;
    m->marks_all = b->marks_all || count >= MARKED_BATCH_MIN;
    for (uint32_t i = 0; err == OK && i < count; i++) {
        uint32_t *current = &m->current[rows[i].session];
        m->next[i] = NONE;
        if (*current == NONE || !cut_has_room(&m->cuts[*current], rows, &rows[i])) {
            *current = (uint32_t)m->cut_count++;
            m->cuts[*current] = (struct cut){.first = i, .session = rows[i].session};
        } else {
            m->next[m->cuts[*current].last] = i;
        }
        struct cut *cut = &m->cuts[*current];
        cut->last = i;
        cut->count++;
        cut->bytes += row_bytes(&rows[i]);
    }
    return err;
}

static void section_fill(struct batch_sections *m, const struct batch *b,
                         const struct batch_row *rows, const struct cut *cut)
{
    size_t n = 0;
    for (uint32_t i = cut->first; i != NONE; i = m->next[i], n++) {
        m->records[n] = (struct section_record){
            .key = rows[i].key,
            .at = i,
            .kind = rows[i].kind,
            .verdict = rows[i].verdict,
            .is_in_blob = rows[i].is_in_blob,
            .tables = rows[i].table_count == 0 ? NULL : &b->tables[rows[i].tables_at],
            .table_count = rows[i].table_count,
        };
        m->contents[n] =
            (struct section_content){.canonical = rows[i].canonical, .text = rows[i].text};
    }
}

/* ---- what a section is found by -----------------------------------------------------------------
 */

static enum err tag_write(struct db *db, sqlite3_stmt *add, enum sqlite_tag kind, int64_t value,
                          int64_t key)
{
    db_bind_number(add, 1, (int64_t)kind);
    db_bind_number(add, 2, value);
    db_bind_number(add, 3, key);
    return db_run(db, add);
}

/* What records have: each different one of a kind once. */
static enum err tag_write_new(struct db *db, sqlite3_stmt *add, struct batch_ids *ids,
                              enum sqlite_tag kind, int64_t value, int64_t key)
{
    bool is_new = false;
    enum err err = batch_ids_add(ids, value, &is_new);
    return err == OK && is_new ? tag_write(db, add, kind, value, key) : err;
}

static enum err tables_write(struct db *db, sqlite3_stmt *add, struct batch_sections *m,
                             size_t count)
{
    enum err err = OK;
    batch_ids_clear(m->ids);
    for (size_t i = 0; err == OK && i < count; i++) {
        const struct section_record *r = &m->records[i];
        for (size_t t = 0; err == OK && t < r->table_count; t++) {
            err = tag_write_new(db, add, m->ids, SQLITE_TAG_TABLE, r->tables[t].name,
                                m->records[0].key);
        }
    }
    return err;
}

static enum err verdicts_write(struct db *db, sqlite3_stmt *add, struct batch_sections *m,
                               size_t count)
{
    enum err err = OK;
    batch_ids_clear(m->ids);
    for (size_t i = 0; err == OK && i < count; i++) {
        if (m->records[i].verdict > 1) {
            err = tag_write_new(db, add, m->ids, SQLITE_TAG_VERDICT, m->records[i].verdict,
                                m->records[0].key);
        }
    }
    return err;
}

static enum err kinds_write(struct db *db, sqlite3_stmt *add, struct batch_sections *m,
                            size_t count)
{
    enum err err = OK;
    batch_ids_clear(m->ids);
    for (size_t i = 0; err == OK && i < count; i++) {
        const enum store_audit_kind kind = m->records[i].kind;
        if (kind != STORE_INTENT && kind != STORE_OUTCOME) {
            err = tag_write_new(db, add, m->ids, SQLITE_TAG_KIND, (int64_t)kind, m->records[0].key);
        }
    }
    return err;
}

static enum err tags_write(struct db *db, struct batch_sections *m,
                           const struct batch_session *session, size_t count)
{
    const struct {
        enum sqlite_tag kind;
        int64_t value;
    } owners[] = {{SQLITE_TAG_SESSION, session->id},
                  {SQLITE_TAG_IDENTITY, session->identity},
                  {SQLITE_TAG_RESOURCE, session->resource}};
    sqlite3_stmt *add = NULL;
    /* One that is there is left of a section that somebody took out. */
    enum err err = db_statement(
        db, "INSERT OR IGNORE INTO audit_tag (kind, value, key) VALUES (?1, ?2, ?3)", &add);
    for (size_t i = 0; err == OK && i < sizeof(owners) / sizeof(owners[0]); i++) {
        if (owners[i].value != 0) {
            err = tag_write(db, add, owners[i].kind, owners[i].value, m->records[0].key);
        }
    }
    if (err == OK) {
        err = tables_write(db, add, m, count);
    }
    if (err == OK) {
        err = verdicts_write(db, add, m, count);
    }
    return err == OK ? kinds_write(db, add, m, count) : err;
}

static enum err words_write(struct db *db, struct batch_sections *m,
                            const struct batch_session *session, size_t count)
{
    sqlite3_stmt *add = NULL;
    enum err err = batch_document_make(db, session->id, session->identity, session->resource,
                                       m->records, m->contents, count, &m->document);
    if (err != OK || buffer_size(&m->document.text) == 0) {
        return err;
    }
    err = db_statement(db, "INSERT INTO audit_words (rowid, text, tag) VALUES (?1, ?2, ?3)", &add);
    if (err == OK) {
        db_bind_number(add, 1, m->records[0].key);
        db_bind_text(add, 2, buffer_bytes(&m->document.text));
        db_bind_text(add, 3, buffer_bytes(&m->document.tag));
        err = db_run(db, add);
    }
    bool is_marked = m->marks_all || count >= MARKED_RECORDS_MIN;
    return err == OK && is_marked ? batch_marks_write(db, m->records[0].key, &m->document) : err;
}

/* ---- the rows ----------------------------------------------------------------------------------
 */

static enum err log_write(struct db *db, struct batch_sections *m, const struct batch *b,
                          size_t from, size_t count)
{
    sqlite3_stmt *add = NULL;
    for (size_t i = 0; i < count; i++) {
        memcpy(m->hashes[i], b->rows[from + i].hash, STORE_HASH_SIZE);
    }
    enum err err = db_statement(db,
                                "INSERT INTO audit_batch"
                                " (position, stream, sequence, count, received_ns, hashes)"
                                " VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
                                &add);
    if (err == OK) {
        db_bind_number(add, 1, b->position + (int64_t)from);
        db_bind_number(add, 2, b->stream);
        db_bind_number(add, 3, b->sequence + (int64_t)from);
        db_bind_number(add, 4, (int64_t)count);
        db_bind_number(add, 5, b->received_ns);
        db_bind_blob(add, 6, bytes_of(m->hashes, count * STORE_HASH_SIZE));
        err = db_run(db, add);
    }
    return err;
}

static enum err row_write(struct db *db, const struct batch_sections *m,
                          const struct batch_session *session, int64_t position, size_t count)
{
    sqlite3_stmt *add = NULL;
    enum err err = db_statement(db,
                                "INSERT INTO audit_section (key, last_key, batch, session,"
                                " identity, resource, form, head, content)"
                                " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
                                &add);
    if (err == OK) {
        db_bind_number(add, 1, m->records[0].key);
        db_bind_number(add, 2, m->records[count - 1].key);
        db_bind_number(add, 3, position);
        db_bind_reference(add, 4, session->id);
        db_bind_reference(add, 5, session->identity);
        db_bind_reference(add, 6, session->resource);
        db_bind_number(add, 7, (int64_t)session->form);
        db_bind_blob(add, 8, buffer_bytes(&m->head));
        db_bind_blob(add, 9, buffer_bytes(&m->content));
        err = db_run(db, add);
    }
    return err;
}

static enum err content_make(struct db *db, struct batch_sections *m,
                             const struct batch_session *session, size_t count)
{
    uint8_t hash[STORE_HASH_SIZE];
    if (session->form == SQLITE_FORM_ERASED) {
        buffer_clear(&m->content);
        return OK;
    }
    section_hash(m->records, count, m->hashes, hash);
    return sqlite_content_close(db, session->form == SQLITE_FORM_SEALED ? session->key : NULL, hash,
                                m->contents, count, &m->content);
}

static enum err section_write(struct db *db, struct batch_sections *m,
                              const struct batch_session *session, int64_t position, size_t count)
{
    enum err err = section_head_pack(m->records, count, &m->head);
    if (err == OK) {
        err = content_make(db, m, session, count);
    }
    if (err == OK) {
        err = row_write(db, m, session, position, count);
    }
    if (err == OK) {
        err = tags_write(db, m, session, count);
    }
    return err == OK ? words_write(db, m, session, count) : err;
}

enum err batch_write(struct db *db, const struct batch *batch, size_t from, size_t count)
{
    struct batch_sections *m = batch->making;
    const struct batch_row *rows = batch->rows + from;
    if (count == 0 || count > BATCH_RECORDS_MAX) {
        return ERR_INVALID;
    }
    enum err err = log_write(db, m, batch, from, count);
    if (err == OK) {
        err = cuts_make(m, batch, rows, count);
    }
    for (size_t i = 0; err == OK && i < m->cut_count; i++) {
        const struct cut *cut = &m->cuts[i];
        section_fill(m, batch, rows, cut);
        err = section_write(db, m, &batch->sessions[cut->session], batch->position + (int64_t)from,
                            cut->count);
    }
    /* Too great, if the transaction fails: then it is only looked for more often. */
    if (db->newest_key != 0 && rows[count - 1].key > db->newest_key) {
        db->newest_key = rows[count - 1].key;
    }
    return err;
}
