#include "controlplane/store/sqlite_query.h"

#include "controlplane/store/sqlite_text.h"
#include "controlplane/store/table_name.h"

enum {
    QUERY_SIZE_MAX = 1 << 20,
    TABLE_SIZE_MAX = 4096,
    /* Different full names of one last part that a search follows; the rest is not found by it. */
    TABLE_NAMES_MAX = 10000,
};

static bool is_given(const char *text)
{
    return text != NULL && text[0] != '\0';
}

static void query_init(struct query *q)
{
    *q = (struct query){0};
    buffer_init(&q->sql, QUERY_SIZE_MAX);
    buffer_init(&q->text, QUERY_SIZE_MAX);
    buffer_init(&q->tables, QUERY_SIZE_MAX);
    buffer_init(&q->sessions, QUERY_SIZE_MAX);
}

void sqlite_query_finish(struct query *q)
{
    (void)sqlite3_finalize(q->rows);
    q->rows = NULL;
    buffer_finish(&q->sql);
    buffer_finish(&q->text);
    buffer_finish(&q->tables);
    buffer_finish(&q->sessions);
}

/* ---- names to ids -------------------------------------------------------------------------- */

static enum err list_append(struct buffer *list, int64_t id)
{
    return buffer_append_format(list, buffer_size(list) == 0 ? "%lld" : ",%lld", (long long)id);
}

static enum err name_resolve(struct db *db, const char *name, struct query *q, int64_t *out)
{
    if (!is_given(name)) {
        return OK;
    }
    enum err err = sqlite_name_find(db, bytes_of_string(name), out);
    q->nothing = q->nothing || (err == OK && *out == 0);
    return err;
}

static enum err session_resolve(struct db *db, const char *session, struct query *q)
{
    sqlite3_stmt *find = NULL;
    bool row = false;
    if (!is_given(session)) {
        return OK;
    }
    enum err err = db_statement(db, "SELECT id FROM audit_session WHERE session = ?1", &find);
    if (err == OK) {
        db_bind_string(find, 1, session);
    }
    while (err == OK && (err = db_step(db, find, &row)) == OK && row) {
        err = list_append(&q->sessions, sqlite3_column_int64(find, 0));
    }
    q->nothing = q->nothing || buffer_size(&q->sessions) == 0;
    return err;
}

/* The full names that share the last part of the one asked for, and are the same as far as both
 * are qualified. */
static enum err tables_list(struct db *db, struct bytes full, struct query *q)
{
    sqlite3_stmt *find = NULL;
    bool row = false;
    enum err err =
        db_statement(db, "SELECT id, full_name FROM audit_table WHERE name = ?1 LIMIT ?2", &find);
    if (err == OK) {
        db_bind_number(find, 1, q->table);
        db_bind_number(find, 2, TABLE_NAMES_MAX);
    }
    while (err == OK && (err = db_step(db, find, &row)) == OK && row) {
        struct bytes known =
            bytes_of(sqlite3_column_blob(find, 1), (size_t)sqlite3_column_bytes(find, 1));
        if (table_name_is_same(known, full)) {
            err = list_append(&q->tables, sqlite3_column_int64(find, 0));
        }
    }
    q->nothing = q->nothing || buffer_size(&q->tables) == 0;
    return err;
}

static enum err table_resolve(struct db *db, const char *table, struct query *q)
{
    if (!is_given(table)) {
        return OK;
    }
    struct table_name name;
    struct bytes written = bytes_of_string(table);
    struct arena *arena =
        written.size > TABLE_SIZE_MAX ? NULL : arena_create(4096, 16 * TABLE_SIZE_MAX);
    if (arena == NULL) {
        return written.size > TABLE_SIZE_MAX ? ERR_INVALID : ERR_NO_MEMORY;
    }
    enum err err = table_name_parse(written, arena, &name);
    if (err == OK) {
        err = sqlite_name_find(db, name.last, &q->table);
    }
    if (err == OK && q->table == 0) {
        q->nothing = true;
    } else if (err == OK) {
        err = tables_list(db, name.full, q);
    }
    arena_destroy(arena);
    return err;
}

static enum err filter_resolve(struct db *db, const struct store_audit_filter *f, struct query *q)
{
    enum err err = name_resolve(db, f->identity, q, &q->identity);
    if (err == OK) {
        err = name_resolve(db, f->resource, q, &q->resource);
    }
    if (err == OK) {
        err = session_resolve(db, f->session, q);
    }
    return err == OK ? table_resolve(db, f->table, q) : err;
}

/* ---- the statement ----------------------------------------------------------------------------
 */

static enum err sql_add(struct query *q, const char *text)
{
    return buffer_append_string(&q->sql, text);
}

static void bind_number(struct query *q, int64_t number)
{
    q->bindings[q->count].is_text = false;
    q->bindings[q->count].number = number;
    q->count++;
}

static enum err condition_number(struct query *q, const char *condition, int64_t number)
{
    bind_number(q, number);
    return sql_add(q, condition);
}

static enum err condition_list(struct query *q, const char *column, const struct buffer *list)
{
    enum err err = buffer_append_format(&q->sql, " AND %s IN (", column);
    if (err == OK) {
        err = buffer_append(&q->sql, buffer_bytes(list));
    }
    return err == OK ? sql_add(q, ")") : err;
}

/* The words, and the tags of all else that the full-text index knows. */
static enum err text_expression(struct db *db, const struct store_audit_filter *f, struct query *q)
{
    enum err err = sqlite_text_expression(f->text, sqlite_words_expand, db, &q->text);
    if (err == OK && q->identity != 0) {
        err = buffer_append_format(&q->text, " AND tag : i%lld", (long long)q->identity);
    }
    if (err == OK && q->resource != 0) {
        err = buffer_append_format(&q->text, " AND tag : r%lld", (long long)q->resource);
    }
    if (err == OK && q->table != 0) {
        err = buffer_append_format(&q->text, " AND tag : t%lld", (long long)q->table);
    }
    if (err == OK && f->verdict != 0) {
        err = buffer_append_format(&q->text, " AND tag : v%d", f->verdict);
    }
    return err;
}

static enum err drive_by_text(struct db *db, const struct store_audit_filter *f, struct query *q)
{
    q->key = "t.rowid";
    enum err err = text_expression(db, f, q);
    if (err == OK) {
        err = sql_add(q, " FROM audit_text t CROSS JOIN audit_record r ON r.key = t.rowid"
                         " WHERE audit_text MATCH ?");
    }
    q->bindings[q->count++].is_text = true;
    return err;
}

static enum err drive_by_table(struct query *q)
{
    q->key = "rt.key";
    enum err err = sql_add(q, " FROM audit_record_table rt CROSS JOIN audit_record r"
                              " ON r.key = rt.key WHERE rt.name = ?");
    bind_number(q, q->table);
    return err == OK ? condition_list(q, "rt.full_name", &q->tables) : err;
}

static bool is_one_kind(uint32_t kinds)
{
    return kinds != 0 && (kinds & (kinds - 1)) == 0;
}

static const uint32_t common_kinds = UINT32_C(1) << STORE_INTENT | UINT32_C(1) << STORE_OUTCOME;

/* The one index of audit_record that leaves the fewest rows, as far as can be said beforehand. */
static enum err drive_by_record(const struct store_audit_filter *f, struct query *q,
                                enum query_order order)
{
    const char *index = "NOT INDEXED WHERE true";
    q->key = "r.key";
    if (order == QUERY_BY_ARRIVAL) {
        index = "INDEXED BY audit_record_position WHERE true";
    } else if (buffer_size(&q->sessions) > 0) {
        index = "INDEXED BY audit_record_session WHERE true";
    } else if (f->verdict > 1) {
        index = "INDEXED BY audit_record_verdict WHERE r.verdict > 1";
    } else if (is_one_kind(f->kinds) && (f->kinds & common_kinds) == 0) {
        index = "INDEXED BY audit_record_kind WHERE r.kind NOT IN (11, 13)";
    } else if (q->identity != 0) {
        index = "INDEXED BY audit_record_identity WHERE true";
    } else if (q->resource != 0) {
        index = "INDEXED BY audit_record_resource WHERE true";
    }
    return buffer_append_format(&q->sql, " FROM audit_record r %s", index);
}

static enum err kinds_condition(struct query *q, uint32_t kinds)
{
    struct buffer list;
    enum err err = OK;
    buffer_init(&list, 256);
    for (int kind = 0; err == OK && kind < 32; kind++) {
        if ((kinds >> kind & 1) != 0) {
            err = list_append(&list, kind);
        }
    }
    if (err == OK && is_one_kind(kinds)) {
        err = sql_add(q, " AND r.kind = ");
        err = err == OK ? buffer_append(&q->sql, buffer_bytes(&list)) : err;
    } else if (err == OK) {
        err = condition_list(q, "r.kind", &list);
    }
    buffer_finish(&list);
    return err;
}

static enum err conditions_add(const struct store_audit_filter *f, struct query *q)
{
    enum err err = OK;
    if (q->identity != 0) {
        err = condition_number(q, " AND r.identity = ?", q->identity);
    }
    if (err == OK && q->resource != 0) {
        err = condition_number(q, " AND r.resource = ?", q->resource);
    }
    if (err == OK && buffer_size(&q->sessions) > 0) {
        err = condition_list(q, "r.session", &q->sessions);
    }
    if (err == OK && f->verdict != 0) {
        err = condition_number(q, " AND r.verdict = ?", f->verdict);
    }
    if (err == OK && f->position_max != 0 && f->position_max <= INT64_MAX) {
        err = condition_number(q, " AND r.position <= ?", (int64_t)f->position_max);
    }
    return err == OK && f->kinds != STORE_KINDS_ALL ? kinds_condition(q, f->kinds) : err;
}

/* With words the table is only a tag: its last part. The rest of the name is looked up. */
static enum err table_condition(struct query *q)
{
    enum err err = condition_number(q,
                                    " AND EXISTS (SELECT 1 FROM audit_record_table rt"
                                    " WHERE rt.name = ? AND rt.key = r.key",
                                    q->table);
    if (err == OK) {
        err = condition_list(q, "rt.full_name", &q->tables);
    }
    return err == OK ? sql_add(q, ")") : err;
}

static enum err bound_add(struct query *q, const char *column, const char *comparison,
                          int64_t number)
{
    bind_number(q, number);
    return buffer_append_format(&q->sql, " AND %s %s ?", column, comparison);
}

static enum err bounds_add(const struct store_audit_filter *f, struct query *q,
                           const struct query_range *range)
{
    int64_t from = f->since_ns > range->key_from ? f->since_ns : range->key_from;
    int64_t to = f->until_ns != 0 && f->until_ns < range->key_to ? f->until_ns : range->key_to;
    enum err err = bound_add(q, q->key, ">=", from);
    if (err == OK) {
        err = bound_add(q, q->key, "<=", to);
    }
    if (err == OK && range->order == QUERY_BY_ARRIVAL) {
        err = bound_add(q, "r.position", ">=", range->position_from);
    }
    if (err == OK && range->order == QUERY_BY_ARRIVAL) {
        err = bound_add(q, "r.position", "<=", range->position_to);
    }
    return err;
}

/* All after SELECT and its columns. By arrival the range is short: there only words have an index
 * of their own, and their few rows are sorted. */
static enum err query_build(struct db *db, const struct store_audit_filter *f, struct query *q,
                            const struct query_range *range)
{
    bool by_arrival = range->order == QUERY_BY_ARRIVAL;
    enum err err = OK;
    if (is_given(f->text)) {
        err = drive_by_text(db, f, q);
    } else if (q->table != 0 && buffer_size(&q->sessions) == 0 && !by_arrival) {
        err = drive_by_table(q);
    } else {
        err = drive_by_record(f, q, range->order);
    }
    if (err == OK) {
        err = conditions_add(f, q);
    }
    if (err == OK && q->table != 0 && strcmp(q->key, "rt.key") != 0) {
        err = table_condition(q);
    }
    if (err == OK) {
        err = bounds_add(f, q, range);
    }
    return err == OK
               ? buffer_append_format(&q->sql, " ORDER BY %s%s", by_arrival ? "r.position" : q->key,
                                      range->order == QUERY_NEWEST_FIRST ? " DESC" : "")
               : err;
}

static enum err query_prepare(struct db *db, struct query *q, struct err_text *why)
{
    struct bytes sql = buffer_bytes(&q->sql);
    if (sqlite3_prepare_v2(db->handle, (const char *)sql.data, (int)sql.size, &q->rows, NULL) !=
        SQLITE_OK) {
        return db_failed(db, why);
    }
    for (int i = 0; i < q->count; i++) {
        if (q->bindings[i].is_text) {
            db_bind_text(q->rows, i + 1, buffer_bytes(&q->text));
        } else {
            db_bind_number(q->rows, i + 1, q->bindings[i].number);
        }
    }
    return OK;
}

enum err sqlite_query_start(struct query *q, struct db *db, const struct store_audit_filter *filter,
                            const char *columns, const struct query_range *range,
                            struct err_text *why)
{
    query_init(q);
    enum err err = filter_resolve(db, filter, q);
    if (err == ERR_INVALID) {
        return err_set(why, err, "this is no name of a table");
    }
    if (err != OK) {
        return db_explain(db, err, why);
    }
    err = buffer_append_format(&q->sql, "SELECT %s", columns);
    if (err == OK) {
        err = query_build(db, filter, q, range);
    }
    if (err == ERR_INVALID) {
        return err_set(why, err, "there is no word in the text to search for");
    }
    if (err == ERR_LIMIT) {
        return err_set(why, err, "the search is too long");
    }
    return err == OK && !q->nothing ? query_prepare(db, q, why) : err;
}
