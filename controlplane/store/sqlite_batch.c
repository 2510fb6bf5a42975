#include "controlplane/store/sqlite_batch.h"

#include <stdlib.h>

enum {
    /* As many as a call of an append may have. */
    SEALED_MAX = 1 << 30,
    TABLES_MAX = 256 << 20,
    TAG_SIZE_MAX = 4 << 20, /* every table of a record of 1 MiB fits */
};

enum err batch_init(struct batch *batch, size_t count)
{
    buffer_init(&batch->sealed, SEALED_MAX);
    buffer_init(&batch->tables, TABLES_MAX);
    buffer_init(&batch->tag, TAG_SIZE_MAX);
    batch->count = 0;
    batch->room = count;
    batch->rows = calloc(count == 0 ? 1 : count, sizeof(struct batch_row));
    return batch->rows == NULL ? ERR_NO_MEMORY : OK;
}

void batch_finish(struct batch *batch)
{
    buffer_finish(&batch->sealed);
    buffer_finish(&batch->tables);
    buffer_finish(&batch->tag);
    free(batch->rows);
    batch->rows = NULL;
}

/* ---- the virtual table ----------------------------------------------------------------------- */

struct batch_table {
    sqlite3_vtab base;
    struct db *db;
};

struct batch_cursor {
    sqlite3_vtab_cursor base;
    struct batch *batch;
    size_t row, table; /* the table of the row, where tables are read */
};

static int table_connect(sqlite3 *handle, void *context, int argc, const char *const *argv,
                         sqlite3_vtab **out, char **out_why)
{
    (void)argc;
    (void)argv;
    (void)out_why;
    int result = sqlite3_declare_vtab(handle, "CREATE TABLE batch (c0, c1, c2, c3, c4, c5, c6, c7,"
                                              " c8, c9, c10, c11, c12, c13, c14, c15)");
    struct batch_table *table = result == SQLITE_OK ? calloc(1, sizeof(*table)) : NULL;
    if (table == NULL) {
        return result == SQLITE_OK ? SQLITE_NOMEM : result;
    }
    table->db = context;
    *out = &table->base;
    return SQLITE_OK;
}

static int table_disconnect(sqlite3_vtab *table)
{
    free(table);
    return SQLITE_OK;
}

/* There is one way to read it: from the front. */
static int table_plan(sqlite3_vtab *table, sqlite3_index_info *info)
{
    (void)table;
    info->estimatedRows = 1000;
    return SQLITE_OK;
}

static int cursor_open(sqlite3_vtab *table, sqlite3_vtab_cursor **out)
{
    (void)table;
    struct batch_cursor *c = calloc(1, sizeof(*c));
    if (c == NULL) {
        return SQLITE_NOMEM;
    }
    *out = &c->base;
    return SQLITE_OK;
}

static int cursor_close(sqlite3_vtab_cursor *cursor)
{
    free(cursor);
    return SQLITE_OK;
}

/* From where it is to the next that has what is read. */
static void cursor_settle(struct batch_cursor *c)
{
    const struct batch *b = c->batch;
    while (c->row < b->count) {
        const struct batch_row *row = &b->rows[c->row];
        if (b->what == BATCH_RECORDS || (b->what == BATCH_KEYS && row->key <= b->newest_key) ||
            (b->what == BATCH_TABLES && c->table < row->tables_size / ENVELOPE_TABLE) ||
            (b->what == BATCH_TEXTS && row->record->index.text.size > 0)) {
            break;
        }
        c->row++;
        c->table = 0;
    }
    c->batch->at = c->row;
}

static int cursor_start(sqlite3_vtab_cursor *cursor, int number, const char *name, int argc,
                        sqlite3_value **argv)
{
    (void)number;
    (void)name;
    (void)argc;
    (void)argv;
    struct batch_cursor *c = (struct batch_cursor *)cursor;
    c->batch = ((struct batch_table *)cursor->pVtab)->db->batch;
    if (c->batch == NULL) {
        return SQLITE_MISUSE;
    }
    c->row = c->batch->from;
    c->table = 0;
    cursor_settle(c);
    return SQLITE_OK;
}

static int cursor_next(sqlite3_vtab_cursor *cursor)
{
    struct batch_cursor *c = (struct batch_cursor *)cursor;
    if (c->batch->what == BATCH_TABLES) {
        c->table++;
    } else {
        c->row++;
    }
    cursor_settle(c);
    return SQLITE_OK;
}

static int cursor_is_at_end(sqlite3_vtab_cursor *cursor)
{
    const struct batch_cursor *c = (const struct batch_cursor *)cursor;
    return c->row >= c->batch->count;
}

static int cursor_rowid(sqlite3_vtab_cursor *cursor, sqlite3_int64 *out)
{
    *out = (sqlite3_int64)((const struct batch_cursor *)cursor)->row;
    return SQLITE_OK;
}

/* ---- its columns: those of the statements below, in order --------------------------------------
 */

static void give_text(sqlite3_context *out, struct bytes text)
{
    sqlite3_result_text64(out, text.size == 0 ? "" : (const char *)text.data, text.size,
                          SQLITE_STATIC, SQLITE_UTF8);
}

static void give_blob(sqlite3_context *out, struct bytes blob)
{
    sqlite3_result_blob64(out, blob.size == 0 ? (const void *)"" : blob.data, blob.size,
                          SQLITE_STATIC);
}

static void give_reference(sqlite3_context *out, int64_t id)
{
    if (id == 0) {
        sqlite3_result_null(out);
    } else {
        sqlite3_result_int64(out, id);
    }
}

static struct bytes content_of(const struct batch *b, const struct batch_row *row)
{
    return row->content_size == 0
               ? row->record->canonical
               : bytes_of(buffer_bytes(&b->sealed).data + row->content_at, row->content_size);
}

static void give_record(sqlite3_context *out, const struct batch *b, const struct batch_row *row,
                        int column)
{
    const struct store_audit_index *index = &row->record->index;
    switch (column) {
    case 0: sqlite3_result_int64(out, row->key); break;
    case 1: sqlite3_result_int64(out, row->position); break;
    case 2: sqlite3_result_int64(out, b->stream); break;
    case 3: sqlite3_result_int64(out, (int64_t)row->record->sequence); break;
    case 4: sqlite3_result_int64(out, (int64_t)index->kind); break;
    case 5: sqlite3_result_int64(out, index->verdict); break;
    case 6: sqlite3_result_int64(out, index->status); break;
    case 7:
        sqlite3_result_int64(out, index->rows > INT64_MAX ? INT64_MAX : (int64_t)index->rows);
        break;
    case 8: give_text(out, index->error_code); break;
    case 9: give_reference(out, row->session); break;
    case 10: give_reference(out, row->identity); break;
    case 11: give_reference(out, row->resource); break;
    case 12: sqlite3_result_int64(out, b->received_ns); break;
    case 13: give_blob(out, bytes_of(row->record->hash, STORE_HASH_SIZE)); break;
    case 14: give_blob(out, content_of(b, row)); break;
    default: sqlite3_result_int64(out, (int64_t)row->form); break;
    }
}

struct bytes batch_tables(const struct batch *batch, const struct batch_row *row)
{
    return row->tables_size == 0
               ? bytes_of(NULL, 0)
               : bytes_of(buffer_bytes(&batch->tables).data + row->tables_at, row->tables_size);
}

static void give_table(sqlite3_context *out, const struct batch *b, const struct batch_row *row,
                       size_t table, int column)
{
    const struct envelope envelope = {.tables = batch_tables(b, row)};
    int64_t name = 0, full = 0;
    envelope_table(&envelope, table, &name, &full);
    sqlite3_result_int64(out, column == 0 ? name : column == 1 ? row->key : full);
}

/* One word for each thing that is asked for together with words (sqlite_schema.c). */
static enum err tag_make(struct batch *b, const struct batch_row *row)
{
    const struct envelope envelope = {.tables = batch_tables(b, row)};
    enum err err = OK;
    buffer_clear(&b->tag);
    for (size_t i = 0; err == OK && i < row->tables_size / ENVELOPE_TABLE; i++) {
        int64_t name = 0, full = 0;
        envelope_table(&envelope, i, &name, &full);
        err = buffer_append_format(&b->tag, "t%lld ", (long long)name);
    }
    if (err == OK && row->session != 0) {
        err = buffer_append_format(&b->tag, "s%lld i%lld r%lld ", (long long)row->session,
                                   (long long)row->identity, (long long)row->resource);
    }
    return err == OK ? buffer_append_format(&b->tag, "v%d", row->record->index.verdict) : err;
}

static void give_words(sqlite3_context *out, struct batch *b, const struct batch_row *row,
                       int column)
{
    if (column == 0) {
        sqlite3_result_int64(out, row->key);
    } else if (column == 1) {
        give_text(out, row->record->index.text);
    } else if (tag_make(b, row) == OK) {
        give_text(out, buffer_bytes(&b->tag));
    } else {
        sqlite3_result_error_nomem(out);
    }
}

static int cursor_column(sqlite3_vtab_cursor *cursor, sqlite3_context *out, int column)
{
    struct batch_cursor *c = (struct batch_cursor *)cursor;
    const struct batch_row *row = &c->batch->rows[c->row];
    switch (c->batch->what) {
    case BATCH_KEYS:
    case BATCH_RECORDS: give_record(out, c->batch, row, column); break;
    case BATCH_TABLES: give_table(out, c->batch, row, c->table, column); break;
    case BATCH_TEXTS: give_words(out, c->batch, row, column); break;
    }
    return SQLITE_OK;
}

enum err batch_register(struct db *db, struct err_text *why)
{
    static const sqlite3_module module = {
        .xConnect = table_connect, /* and no xCreate: it is there without being made */
        .xBestIndex = table_plan,
        .xDisconnect = table_disconnect,
        .xDestroy = table_disconnect,
        .xOpen = cursor_open,
        .xClose = cursor_close,
        .xFilter = cursor_start,
        .xNext = cursor_next,
        .xEof = cursor_is_at_end,
        .xColumn = cursor_column,
        .xRowid = cursor_rowid,
    };
    return sqlite3_create_module(db->handle, "audit_batch", &module, db) == SQLITE_OK
               ? OK
               : db_failed(db, why);
}

/* ---- the statements ----------------------------------------------------------------------------
 */

static enum err batch_run(struct db *db, struct batch *b, enum batch_what what,
                          sqlite3_stmt *statement)
{
    b->what = what;
    b->from = 0;
    db->batch = b;
    enum err err = db_run(db, statement);
    db->batch = NULL;
    return err;
}

static enum err newest_key_read(struct db *db, int64_t *out)
{
    sqlite3_stmt *newest = NULL;
    bool row = false;
    enum err err = db_statement(db, "SELECT max(key) FROM audit_record", &newest);
    if (err == OK) {
        err = db_step(db, newest, &row);
    }
    if (err == OK && row) {
        bool is_none = sqlite3_column_type(newest, 0) == SQLITE_NULL;
        *out = is_none ? INT64_MIN : sqlite3_column_int64(newest, 0);
        (void)sqlite3_reset(newest);
    }
    return err;
}

enum err batch_find_taken(struct db *db, struct batch *batch, size_t from, size_t *out)
{
    sqlite3_stmt *find = NULL;
    bool row = false;
    enum err err = newest_key_read(db, &batch->newest_key);
    if (err == OK) {
        err = db_statement(
            db, "SELECT 1 FROM audit_batch b CROSS JOIN audit_record r ON r.key = b.c0", &find);
    }
    if (err != OK) {
        return err;
    }
    batch->what = BATCH_KEYS;
    batch->from = from;
    db->batch = batch;
    err = db_step(db, find, &row);
    (void)sqlite3_reset(find);
    db->batch = NULL;
    if (err == OK) {
        *out = row ? batch->at : batch->count;
    }
    return err;
}

/* FAIL: what was written needs not be kept beside, as the transaction ends with any error. */
enum err batch_write(struct db *db, struct batch *batch)
{
    sqlite3_stmt *records = NULL, *tables = NULL, *texts = NULL;
    enum err err = db_statement(
        db,
        "INSERT OR FAIL INTO audit_record (key, position, stream, sequence, kind, verdict, status,"
        " row_count, error_code, session, identity, resource, received_ns, hash, canonical, form)"
        " SELECT c0, c1, c2, c3, c4, c5, c6, c7, c8, c9, c10, c11, c12, c13, c14, c15"
        " FROM audit_batch",
        &records);
    if (err == OK) {
        err = batch_run(db, batch, BATCH_RECORDS, records);
    }
    if (err == OK) {
        err = db_statement(
            db, "INSERT OR IGNORE INTO audit_record_table SELECT c0, c1, c2 FROM audit_batch",
            &tables);
    }
    if (err == OK) {
        err = batch_run(db, batch, BATCH_TABLES, tables);
    }
    if (err == OK) {
        err = db_statement(db,
                           "INSERT INTO audit_text (rowid, text, tag)"
                           " SELECT c0, c1, c2 FROM audit_batch",
                           &texts);
    }
    return err == OK ? batch_run(db, batch, BATCH_TEXTS, texts) : err;
}
