#include "controlplane/store/sqlite_convert_record.h"

#include "base/cursor.h"
#include "controlplane/store/redact.h"

enum { ENVELOPE_TABLE = 16 };

/* ---- the envelope: a record, and what the index had of it ------------------------------------ */

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

/* ---- a record -------------------------------------------------------------------------------- */

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

/* Encrypted under a key that no session has: whoever reads it finds that it was changed. */
enum err old_record_keep(struct converter *c, struct old_record *r)
{
    r->is_changed = true;
    r->row.text = bytes_of(NULL, 0);
    r->row.tables_at = r->row.table_count = 0;
    r->session.form = SQLITE_FORM_SEALED;
    bytes_wipe(r->session.key, CONTENT_KEY_SIZE);
    return arena_copy_bytes(c->arena, r->stored, &r->row.canonical);
}

enum err old_record_open(struct converter *c, struct old_record *r)
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
    return err == ERR_DENIED ? old_record_keep(c, r) : err;
}

/* Numbers that no record has are a change, too: the head of a section has no place for them. */
void old_record_read(sqlite3_stmt *row, struct old_record *r)
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
