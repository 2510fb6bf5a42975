#include "controlplane/store/postgres/pg_query.h"

#include "controlplane/store/sqlite_text.h"
#include "controlplane/store/table_name.h"

enum {
    QUERY_SIZE_MAX = 1 << 20,
    TABLE_SIZE_MAX = 4096,
    PHRASES_MAX = 16, /* parameters are few */
    /* Different full names of one last part that a search follows; the rest is not found by it. */
    TABLE_NAMES_MAX = 10000,
};

static bool is_given(const char *text)
{
    return text != NULL && text[0] != '\0';
}

void query_finish(struct query *q)
{
    buffer_finish(&q->from);
    buffer_finish(&q->sessions);
    buffer_finish(&q->tables);
    buffer_finish(&q->words);
    buffer_finish(&q->spoken);
}

/* ---- names to ids -------------------------------------------------------------------------- */

static enum err name_find(struct pg *db, struct bytes name, struct query *q, int64_t *out)
{
    struct pg_parameters p = {.count = 0};
    pg_put_bytes(&p, name);
    enum err err =
        pg_ask_number(db, "SELECT id FROM audit_name WHERE sha256(name) = sha256($1)", &p, out);
    q->nothing = q->nothing || err == ERR_NOT_FOUND;
    return err == ERR_NOT_FOUND ? OK : err;
}

static enum err session_resolve(struct pg *db, const char *session, struct query *q)
{
    struct pg_parameters p = {.count = 0};
    PGresult *result = NULL;
    if (!is_given(session)) {
        return OK;
    }
    pg_put_string(&p, session);
    enum err err = pg_query(db, "SELECT id FROM audit_session WHERE session = $1", &p, &result);
    if (err == OK) {
        err = pg_array_start(&q->sessions);
    }
    for (int i = 0; err == OK && i < PQntuples(result); i++, q->session_count++) {
        err = pg_array_add(&q->sessions, pg_number(result, i, 0));
    }
    PQclear(result);
    q->nothing = q->nothing || q->session_count == 0;
    return err;
}

/* The full names that share the last part of the one asked for, and are the same as far as both
 * are qualified. */
static enum err tables_list(struct pg *db, struct bytes full, struct query *q)
{
    struct pg_parameters p = {.count = 0};
    PGresult *result = NULL;
    pg_put_number(&p, q->table);
    pg_put_number(&p, TABLE_NAMES_MAX);
    enum err err = pg_query(db,
                            "SELECT id, full_name FROM audit_table WHERE name = $1"
                            " ORDER BY id LIMIT $2",
                            &p, &result);
    if (err == OK) {
        err = pg_array_start(&q->tables);
    }
    for (int i = 0; err == OK && i < PQntuples(result); i++) {
        if (table_name_is_same(pg_bytes(result, i, 1), full)) {
            err = pg_array_add(&q->tables, pg_number(result, i, 0));
            q->table_count++;
        }
    }
    PQclear(result);
    q->nothing = q->nothing || q->table_count == 0;
    return err;
}

static enum err table_resolve(struct pg *db, const char *table, struct query *q)
{
    struct table_name name;
    struct bytes written = bytes_of_string(table);
    if (!is_given(table)) {
        return OK;
    }
    if (written.size > TABLE_SIZE_MAX) {
        return ERR_INVALID;
    }
    struct arena *arena = arena_create(4096, 16 * TABLE_SIZE_MAX);
    enum err err = arena == NULL ? ERR_NO_MEMORY : table_name_parse(written, arena, &name);
    if (err == OK) {
        err = name_find(db, name.last, q, &q->table);
    }
    if (err == OK && q->table != 0) {
        err = tables_list(db, name.full, q);
    }
    arena_destroy(arena);
    return err;
}

static enum err filter_resolve(struct pg *db, const struct store_audit_filter *f, struct query *q)
{
    enum err err = OK;
    if (is_given(f->identity)) {
        err = name_find(db, bytes_of_string(f->identity), q, &q->identity);
    }
    if (err == OK && is_given(f->resource)) {
        err = name_find(db, bytes_of_string(f->resource), q, &q->resource);
    }
    if (err == OK) {
        err = session_resolve(db, f->session, q);
    }
    return err == OK ? table_resolve(db, f->table, q) : err;
}

/* ---- the text ------------------------------------------------------------------------------- */

/* One phrase: into the tsquery, and as a condition on what was spoken. */
static enum err phrase_add(struct words *words, struct bytes run, bool is_prefix, struct query *q,
                           size_t *count)
{
    size_t before = buffer_size(&q->spoken);
    enum err err = words_speak(words, run, &q->spoken);
    size_t size = buffer_size(&q->spoken) - before;
    if (err != OK || size == 0) {
        return err; /* nothing of it is a word */
    }
    struct bytes spoken = bytes_of(buffer_bytes(&q->spoken).data + before, size);
    if (*count == PHRASES_MAX) {
        return ERR_LIMIT;
    }
    (*count)++;
    if (buffer_size(&q->words) > 0) {
        err = buffer_append_string(&q->words, " & ");
    }
    return err == OK ? words_query(spoken, is_prefix, &q->words) : err;
}

struct phrases {
    struct {
        size_t at, size;
    } items[PHRASES_MAX];
    size_t count;
};

static enum err text_resolve(struct words *words, const char *text, struct query *q,
                             struct phrases *phrases)
{
    struct bytes in = bytes_of_string(text), run;
    bool is_prefix = false, any = false;
    enum err err = OK;
    while (err == OK && sqlite_text_phrase_next(&in, &run, &is_prefix)) {
        size_t at = buffer_size(&q->spoken), before = phrases->count;
        any = true;
        err = phrase_add(words, run, is_prefix, q, &phrases->count);
        if (err == OK && phrases->count > before) {
            phrases->items[before].at = at;
            /* A beginning has no end. */
            phrases->items[before].size = buffer_size(&q->spoken) - at - (is_prefix ? 1U : 0U);
        }
    }
    q->nothing = q->nothing || (any && phrases->count == 0);
    return err == OK && !any ? ERR_INVALID : err;
}

/* The index intersects the words with all else that it knows. */
static enum err tags_add(const struct store_audit_filter *f, struct query *q)
{
    enum err err = OK;
    if (q->identity != 0) {
        err = buffer_append_format(&q->words, " & '=i%lld'", (long long)q->identity);
    }
    if (err == OK && q->resource != 0) {
        err = buffer_append_format(&q->words, " & '=r%lld'", (long long)q->resource);
    }
    if (err == OK && q->table != 0) {
        err = buffer_append_format(&q->words, " & '=t%lld'", (long long)q->table);
    }
    if (err == OK && f->verdict != 0) {
        err = buffer_append_format(&q->words, " & '=v%d'", f->verdict);
    }
    return err;
}

static enum err text_conditions(const struct store_audit_filter *f, struct query *q,
                                const struct phrases *phrases)
{
    enum err err = tags_add(f, q);
    pg_put_ascii(&q->parameters, buffer_bytes(&q->words));
    if (err == OK) {
        err = buffer_append_format(&q->from, " AND t.words @@ $%d::tsquery", q->parameters.count);
    }
    for (size_t i = 0; err == OK && i < phrases->count; i++) {
        pg_put_bytes(&q->parameters, bytes_of(buffer_bytes(&q->spoken).data + phrases->items[i].at,
                                              phrases->items[i].size));
        err = buffer_append_format(&q->from, " AND position($%d IN t.spoken) > 0",
                                   q->parameters.count);
    }
    return err;
}

/* ---- the statement --------------------------------------------------------------------------- */

static enum err kinds_add(struct query *q, uint32_t kinds)
{
    bool is_first = true;
    enum err err = buffer_append_string(&q->from, " AND r.kind IN (");
    for (int kind = 0; err == OK && kind < 32; kind++) {
        if ((kinds >> kind & 1) != 0) {
            err = buffer_append_format(&q->from, is_first ? "%d" : ",%d", kind);
            is_first = false;
        }
    }
    return err == OK ? buffer_append_string(&q->from, ")") : err;
}

/* Numbers stand in the text: the planner sees which index is for them. */
static enum err conditions_add(const struct store_audit_filter *f, struct query *q)
{
    enum err err = OK;
    if (q->identity != 0) {
        err = buffer_append_format(&q->from, " AND r.identity = %lld", (long long)q->identity);
    }
    if (err == OK && q->resource != 0) {
        err = buffer_append_format(&q->from, " AND r.resource = %lld", (long long)q->resource);
    }
    if (err == OK && q->session_count > 0) {
        pg_put_numbers(&q->parameters, &q->sessions);
        err = buffer_append_format(&q->from, " AND r.session = ANY ($%d)", q->parameters.count);
    }
    if (err == OK && f->verdict != 0) {
        err = buffer_append_format(&q->from, " AND r.verdict = %d", f->verdict);
    }
    if (err == OK && f->position_max != 0 && f->position_max <= INT64_MAX) {
        err = buffer_append_format(&q->from, " AND r.position <= %lld", (long long)f->position_max);
    }
    if (err == OK && q->table_count > 0) {
        pg_put_numbers(&q->parameters, &q->tables);
        err = buffer_append_format(&q->from, " AND rt.name = %lld AND rt.full_names && $%d",
                                   (long long)q->table, q->parameters.count);
    }
    return err == OK && f->kinds != STORE_KINDS_ALL ? kinds_add(q, f->kinds) : err;
}

static int64_t bound_from(const struct store_audit_filter *f, const struct query_range *range)
{
    int64_t from = f->since_ns > range->key_from ? f->since_ns : range->key_from;
    return from < 0 ? 0 : from; /* keys begin at 1 */
}

static int64_t bound_to(const struct store_audit_filter *f, const struct query_range *range)
{
    int64_t to = f->until_ns != 0 && f->until_ns < range->key_to ? f->until_ns : range->key_to;
    return to < 0 ? 0 : to;
}

/* On each table that takes part: the planner does not carry bounds over a join, and they are what
 * partitions are left out by. */
static enum err bounds_add(const struct store_audit_filter *f, struct query *q,
                           const struct query_range *range)
{
    const char *const tables[] = {"r", is_given(f->text) ? "t" : NULL,
                                  q->table_count > 0 ? "rt" : NULL};
    int64_t from = bound_from(f, range), to = bound_to(f, range);
    enum err err = OK;
    q->nothing = q->nothing || from > to;
    for (size_t i = 0; err == OK && i < sizeof(tables) / sizeof(tables[0]); i++) {
        if (tables[i] != NULL && from > 0) {
            err = buffer_append_format(&q->from, " AND %s.key >= %lld", tables[i], (long long)from);
        }
        if (err == OK && tables[i] != NULL && to < INT64_MAX) {
            err = buffer_append_format(&q->from, " AND %s.key <= %lld", tables[i], (long long)to);
        }
    }
    if (err == OK && range->position_from > 0) {
        err = buffer_append_format(&q->from, " AND l.position BETWEEN %lld AND %lld",
                                   (long long)range->position_from, (long long)range->position_to);
    }
    return err;
}

static enum err texts_add(const struct store_audit_filter *f, struct query *q,
                          const struct query_range *range)
{
    if (range->near == 0) {
        return buffer_append_string(&q->from, " JOIN audit_text t ON t.key = r.key");
    }
    return buffer_append_format(&q->from,
                                " JOIN (SELECT * FROM audit_text WHERE key BETWEEN %lld AND %lld"
                                " ORDER BY key%s LIMIT %lld) t ON t.key = r.key",
                                (long long)bound_from(f, range), (long long)bound_to(f, range),
                                range->newest_first ? " DESC" : "", (long long)range->near);
}

/* "+ 0": not by an index that gives the order and little else. */
static enum err from_add(const struct store_audit_filter *f, struct query *q,
                         const struct query_range *range)
{
    bool by_arrival = range->position_from > 0;
    enum err err = buffer_append_string(&q->from, " FROM audit_record r");
    q->order = by_arrival ? "l.position" : q->session_count > 0 ? "r.key + 0" : "r.key";
    if (err == OK && by_arrival) {
        err = buffer_append_string(&q->from, " JOIN audit_log l ON l.key = r.key");
    }
    if (err == OK && is_given(f->text)) {
        err = texts_add(f, q, range);
        q->order = by_arrival ? q->order : range->near > 0 ? "t.key" : "t.key + 0";
    }
    if (err == OK && q->table_count > 0) {
        err = buffer_append_string(&q->from, " JOIN audit_record_table rt ON rt.key = r.key");
    }
    return err == OK ? buffer_append_string(&q->from, " WHERE true") : err;
}

static enum err query_build(struct words *words, const struct store_audit_filter *f,
                            struct query *q, const struct query_range *range)
{
    struct phrases phrases = {.count = 0};
    enum err err = is_given(f->text) ? text_resolve(words, f->text, q, &phrases) : OK;
    if (err != OK || q->nothing) {
        return err;
    }
    err = from_add(f, q, range);
    if (err == OK) {
        err = conditions_add(f, q);
    }
    if (err == OK && is_given(f->text)) {
        err = text_conditions(f, q, &phrases);
    }
    return err == OK ? bounds_add(f, q, range) : err;
}

enum err query_start(struct query *q, struct pg *db, struct words *words,
                     const struct store_audit_filter *filter, const struct query_range *range,
                     struct err_text *why)
{
    *q = (struct query){.order = "r.key"};
    buffer_init(&q->from, QUERY_SIZE_MAX);
    buffer_init(&q->sessions, QUERY_SIZE_MAX);
    buffer_init(&q->tables, QUERY_SIZE_MAX);
    buffer_init(&q->words, QUERY_SIZE_MAX);
    buffer_init(&q->spoken, QUERY_SIZE_MAX);
    enum err err = filter_resolve(db, filter, q);
    if (err == ERR_INVALID) {
        return err_set(why, err, "this is no name of a table");
    }
    if (err != OK) {
        return pg_explain(db, err, why);
    }
    err = query_build(words, filter, q, range);
    if (err == ERR_INVALID) {
        return err_set(why, err, "there is no word in the text to search for");
    }
    return err == ERR_LIMIT ? err_set(why, ERR_INVALID, "the search is too long") : err;
}
