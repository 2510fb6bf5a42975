#include "controlplane/store/sqlite_query.h"

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
    (void)sqlite3_finalize(q->sections);
    q->sections = NULL;
    tokens_query_destroy(q->words);
    q->words = NULL;
    buffer_finish(&q->sql);
    buffer_finish(&q->text);
    buffer_finish(&q->tables);
    buffer_finish(&q->sessions);
}

/* ---- lists of ids ---------------------------------------------------------------------------- */

/* The statements that give them are ordered. */
static bool list_has(const struct buffer *list, int64_t id)
{
    size_t from = 0, to = query_list_count(list);
    while (from < to) {
        size_t middle = from + (to - from) / 2;
        if (query_list_get(list, middle) < id) {
            from = middle + 1;
        } else {
            to = middle;
        }
    }
    return from < query_list_count(list) && query_list_get(list, from) == id;
}

static enum err list_add(struct buffer *list, int64_t id)
{
    return buffer_append(list, bytes_of(&id, sizeof(id)));
}

/* ---- names to ids -------------------------------------------------------------------------- */

static enum err name_resolve(struct db *db, const char *name, struct query *q, int64_t *out)
{
    if (!is_given(name)) {
        return OK;
    }
    enum err err = sqlite_name_find(db, bytes_of_string(name), out);
    q->is_nothing = q->is_nothing || (err == OK && *out == 0);
    return err;
}

static enum err session_resolve(struct db *db, const char *session, struct query *q)
{
    sqlite3_stmt *find = NULL;
    bool row = false;
    if (!is_given(session)) {
        return OK;
    }
    enum err err =
        db_statement(db, "SELECT id FROM audit_session WHERE session = ?1 ORDER BY id", &find);
    if (err == OK) {
        db_bind_string(find, 1, session);
    }
    while (err == OK && (err = db_step(db, find, &row)) == OK && row) {
        err = list_add(&q->sessions, sqlite3_column_int64(find, 0));
    }
    q->is_nothing = q->is_nothing || query_list_count(&q->sessions) == 0;
    return err;
}

/* The full names that share the last part of the one asked for, and are the same as far as both
 * are qualified. */
static enum err tables_list(struct db *db, struct bytes full, struct query *q)
{
    sqlite3_stmt *find = NULL;
    bool row = false;
    enum err err = db_statement(
        db, "SELECT id, full_name FROM audit_table WHERE name = ?1 ORDER BY id LIMIT ?2", &find);
    if (err == OK) {
        db_bind_number(find, 1, q->table);
        db_bind_number(find, 2, TABLE_NAMES_MAX);
    }
    while (err == OK && (err = db_step(db, find, &row)) == OK && row) {
        struct bytes known = db_column_bytes(find, 1);
        if (table_name_is_same(known, full)) {
            err = list_add(&q->tables, sqlite3_column_int64(find, 0));
        }
    }
    q->is_nothing = q->is_nothing || query_list_count(&q->tables) == 0;
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
        q->is_nothing = true;
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

static void range_narrow(struct query *q, const struct query_range *range)
{
    const struct store_audit_filter *f = q->filter;
    q->range = *range;
    if (f->since_ns != 0 && f->since_ns > range->key_from) {
        q->range.key_from = f->since_ns;
    }
    if (f->until_ns != 0 && f->until_ns < range->key_to) {
        q->range.key_to = f->until_ns;
    }
}

/* ---- what a section and its records have ------------------------------------------------------
 */

bool sqlite_query_has_section(const struct query *q, const struct section_row *row)
{
    return (q->identity == 0 || row->identity == q->identity) &&
           (q->resource == 0 || row->resource == q->resource) &&
           (query_list_count(&q->sessions) == 0 || list_has(&q->sessions, row->session));
}

static bool has_table(const struct query *q, const struct section_record *record)
{
    for (size_t i = 0; i < record->table_count; i++) {
        if (record->tables[i].name == q->table && list_has(&q->tables, record->tables[i].full)) {
            return true;
        }
    }
    return q->table == 0;
}

bool sqlite_query_has_record(const struct query *q, const struct section_row *row, size_t n)
{
    const struct section_record *record = &row->records[n];
    const struct store_audit_filter *f = q->filter;
    int64_t position = row->position + record->at;
    bool is_kind = f->kinds == STORE_KINDS_ALL ||
                   ((unsigned)record->kind < 32 && (f->kinds & store_kind_bit(record->kind)) != 0);
    if (q->range.order == QUERY_BY_ARRIVAL &&
        (position < q->range.position_from || position > q->range.position_to)) {
        return false;
    }
    return is_kind && record->key >= q->range.key_from && record->key <= q->range.key_to &&
           (f->verdict == 0 || record->verdict == f->verdict) &&
           (f->position_max == 0 || (uint64_t)position <= f->position_max) && has_table(q, record);
}

/* ---- start -------------------------------------------------------------------------------------
 */

static enum err query_prepare(struct db *db, struct query *q, struct err_text *why)
{
    struct bytes sql = buffer_bytes(&q->sql);
    if (sqlite3_prepare_v2(db->handle, (const char *)sql.data, (int)sql.size, &q->sections, NULL) !=
        SQLITE_OK) {
        return db_failed(db, why);
    }
    if (sqlite3_bind_parameter_count(q->sections) > 0) {
        db_bind_text(q->sections, 1, buffer_bytes(&q->text));
    }
    return OK;
}

static enum err words_parse(struct db *db, struct query *q, struct err_text *why)
{
    enum err err =
        is_given(q->filter->text) ? tokens_query_parse(db->tokens, q->filter->text, &q->words) : OK;
    if (err == ERR_INVALID) {
        return err_set(why, err, "there is no word in the text to search for");
    }
    return err == ERR_LIMIT ? err_set(why, err, "the search is too long") : err;
}

enum err sqlite_query_start(struct query *q, struct db *db, const struct store_audit_filter *filter,
                            const struct query_range *range, bool is_wide, struct err_text *why)
{
    query_init(q);
    q->filter = filter;
    range_narrow(q, range);
    enum err err = filter_resolve(db, filter, q);
    if (err == ERR_INVALID) {
        return err_set(why, err, "this is no name of a table");
    }
    if (err != OK) {
        return db_explain(db, err, why);
    }
    err = words_parse(db, q, why);
    if (err == OK) {
        err = sqlite_query_build(q, db, is_wide);
    }
    if (err == ERR_LIMIT) {
        return err_set(why, err, "the search is too long");
    }
    return err == OK && !q->is_nothing ? query_prepare(db, q, why) : err;
}
