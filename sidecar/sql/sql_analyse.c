#include <pg_query.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include "sidecar/sql/sql_parse.h"
#include "sidecar/sql/sql_walk.h"

struct owned_analysis {
    struct sql_analysis analysis; /* first: handed out, and found again from it */
    struct arena *arena;
    bool is_shareable;
};

/* SQLSTATEs: PostgreSQL, appendix A. */
#define STATE_SYNTAX "42601"
#define STATE_OUT_OF_MEMORY "53200"
#define STATE_LIMIT "54000"
#define STATE_TOO_COMPLEX "54001"
#define STATE_NUL "22021"

enum err analyse_fail(struct sql_error *out, enum err code, const char *sqlstate,
                      const char *message)
{
    if (out != NULL) {
        *out = (struct sql_error){0};
        (void)snprintf(out->message, sizeof(out->message), "%s", message);
        (void)snprintf(out->sqlstate, sizeof(out->sqlstate), "%s", sqlstate);
    }
    return code;
}

static enum err no_memory(struct sql_error *out)
{
    return analyse_fail(out, ERR_NO_MEMORY, STATE_OUT_OF_MEMORY, "out of memory");
}

enum err analyse_check(struct bytes text, size_t max_size, struct sql_error *out_error)
{
    if (text.size > max_size) {
        char message[96];
        (void)snprintf(message, sizeof(message),
                       "statement is too large: %zu bytes, at most %zu are allowed", text.size,
                       max_size);
        return analyse_fail(out_error, ERR_LIMIT, STATE_LIMIT, message);
    }
    if (text.size > 0 && memchr(text.data, 0, text.size) != NULL) {
        return analyse_fail(out_error, ERR_INVALID, STATE_NUL,
                            "invalid byte sequence for encoding \"UTF8\": 0x00");
    }
    return OK;
}

/* --- one statement --------------------------------------------------------------------- */

static bool is_false(const PgQuery__Node *n)
{
    if (n == NULL) {
        return false;
    }
    const char *text = node_string(n);
    if (text != NULL) {
        return strcasecmp(text, "false") == 0 || strcasecmp(text, "off") == 0;
    }
    return n->node_case == PG_QUERY__NODE__NODE_INTEGER && n->integer->ival == 0;
}

/* EXPLAIN runs its statement only with ANALYZE. What is not clearly "no" is taken for "yes". */
static bool is_only_explained(const PgQuery__Node *n)
{
    if (n->node_case != PG_QUERY__NODE__NODE_EXPLAIN_STMT) {
        return false;
    }
    const PgQuery__ExplainStmt *s = n->explain_stmt;
    for (size_t i = 0; i < s->n_options; i++) {
        const PgQuery__Node *o = s->options[i];
        if (o->node_case == PG_QUERY__NODE__NODE_DEF_ELEM &&
            strcmp(o->def_elem->defname, "analyze") == 0 && !is_false(o->def_elem->arg)) {
            return false;
        }
    }
    return true;
}

enum {
    HARMLESS = 1u << SQL_READ | 1u << SQL_CALL | 1u << SQL_TRANSACTION | 1u << SQL_SESSION |
               1u << SQL_LOCK | 1u << SQL_EXPORT,
};

static bool objects_keep(struct walk *w)
{
    struct sql_object *objects =
        arena_alloc(w->arena, (w->found_count + 1) * sizeof(struct sql_object));
    if (objects == NULL) {
        w->failed = ERR_NO_MEMORY;
        return false;
    }
    for (size_t i = 0; i < w->found_count; i++) {
        struct sql_object *o = &objects[i];
        *o = w->found[i].object;
        if (!columns_keep(&w->columns, &w->found[i].columns, w->arena, &o->columns,
                          &o->column_count)) {
            w->failed = ERR_NO_MEMORY;
            return false;
        }
    }
    w->statement->objects = objects;
    w->statement->object_count = w->found_count;
    return true;
}

static void statement_analyse(struct walk *w, const PgQuery__Node *n, struct sql_statement *s)
{
    *s = (struct sql_statement){0};
    w->statement = s;
    w->found_count = 0;
    w->is_vague = false;
    w->runs_own_code = false;
    s->command = statement_tag(w, n);
    if (s->command == NULL) {
        s->command = "UNKNOWN";
        s->is_unknown = true;
        walk_add_access(w, SQL_UNKNOWN);
    }
    walk_node(w, n);
    if (w->columns.failed && w->failed == OK) {
        w->failed = ERR_NO_MEMORY;
    }
    if (w->failed != OK || !objects_keep(w)) {
        return;
    }
    if (s->is_unknown) {
        s->command = "UNKNOWN"; /* also where only something inside of it is */
    }
    if (s->accesses == 0) {
        walk_add_access(w, SQL_READ); /* SELECT 1 */
    }
    s->is_write = (s->accesses & ~(uint32_t)HARMLESS) != 0 && !is_only_explained(n);
    s->is_transaction_control = s->transaction != SQL_TRANSACTION_NONE;
    s->is_session = s->accesses == 1u << SQL_SESSION;
    s->is_transactional = statement_is_transactional(w, n);
}

/* Statements that a session follows: what they name lives on in it. */
static bool is_followed(const PgQuery__Node *n)
{
    return n->node_case == PG_QUERY__NODE__NODE_PREPARE_STMT ||
           n->node_case == PG_QUERY__NODE__NODE_EXECUTE_STMT ||
           n->node_case == PG_QUERY__NODE__NODE_DEALLOCATE_STMT ||
           n->node_case == PG_QUERY__NODE__NODE_DISCARD_STMT ||
           n->node_case == PG_QUERY__NODE__NODE_DECLARE_CURSOR_STMT ||
           n->node_case == PG_QUERY__NODE__NODE_FETCH_STMT ||
           n->node_case == PG_QUERY__NODE__NODE_CLOSE_PORTAL_STMT;
}

static bool is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

/* The parser counts from after the semicolon before; a length of 0 is "up to the end". */
static void statement_place(struct sql_statement *s, const PgQuery__RawStmt *raw, const char *text,
                            size_t size)
{
    size_t start = raw->stmt_location > 0 ? (size_t)raw->stmt_location : 0;
    start = start > size ? size : start;
    size_t end = raw->stmt_len > 0 && (size_t)raw->stmt_len < size - start
                     ? start + (size_t)raw->stmt_len
                     : size;
    while (start < end && is_space(text[start])) {
        start++;
    }
    while (end > start && is_space(text[end - 1])) {
        end--;
    }
    s->start = start;
    s->size = end - start;
}

/* --- the text -------------------------------------------------------------------------- */

struct source {
    const char *text;
    size_t size;
    struct arena *scratch;
};

static enum err tree_analyse(const PgQuery__ParseResult *tree, const struct source *source,
                             struct owned_analysis *into, struct sql_error *out_error)
{
    struct walk w = {.arena = into->arena};
    columns_init(&w.columns, source->scratch);
    struct sql_statement *statements =
        arena_alloc(into->arena, (tree->n_stmts + 1) * sizeof(*statements));
    if (statements == NULL) {
        return no_memory(out_error);
    }
    into->is_shareable = true;
    size_t count = 0;
    for (size_t i = 0; i < tree->n_stmts && w.failed == OK; i++) {
        const PgQuery__Node *n = tree->stmts[i]->stmt;
        if (n != NULL) {
            into->is_shareable = into->is_shareable && node_is_data_statement(n);
            statement_analyse(&w, n, &statements[count]);
            if (is_followed(n)) {
                statement_place(&statements[count], tree->stmts[i], source->text, source->size);
            }
            count++;
        }
    }
    free(w.found);
    into->is_shareable = into->is_shareable && !w.constants_matter;
    into->analysis.statements = statements;
    into->analysis.statement_count = count;
    if (w.failed == ERR_LIMIT) {
        return analyse_fail(out_error, ERR_LIMIT, STATE_TOO_COMPLEX,
                            "statement is too complex: too deeply nested or too many objects");
    }
    return w.failed == OK ? OK : no_memory(out_error);
}

static void *scratch_alloc(void *arena, size_t size)
{
    return arena_alloc(arena, size);
}

static void scratch_free(void *arena, void *memory)
{
    (void)arena;
    (void)memory;
}

ProtobufCAllocator parse_allocator(struct arena *arena)
{
    return (ProtobufCAllocator){
        .alloc = scratch_alloc, .free = scratch_free, .allocator_data = arena};
}

static enum err parse_fail(const PgQueryError *error, struct sql_error *out)
{
    const char *message = error->message == NULL ? "syntax error" : error->message;
    if (strncmp(message, "out of memory", 13) == 0) {
        return no_memory(out);
    }
    (void)analyse_fail(out, ERR_INVALID, STATE_SYNTAX, message);
    if (out != NULL && error->cursorpos > 0) {
        out->position = (uint32_t)error->cursorpos;
    }
    return ERR_INVALID;
}

static enum err owned_create(struct owned_analysis **out)
{
    struct owned_analysis *o = calloc(1, sizeof(*o));
    if (o == NULL || (o->arena = arena_create(1 << 10, 64 << 20)) == NULL) {
        free(o);
        return ERR_NO_MEMORY;
    }
    *out = o;
    return OK;
}

enum err analyse_text(const char *text, size_t size, struct arena *scratch,
                      struct sql_analysis **out, struct sql_error *out_error)
{
    enum err e = depth_check(text, size, scratch);
    arena_reset(scratch);
    if (e == ERR_LIMIT) {
        return analyse_fail(out_error, e, STATE_TOO_COMPLEX,
                            "statement is nested too deeply: more than 1000 levels");
    }
    if (e != OK) {
        return no_memory(out_error);
    }
    struct owned_analysis *made = NULL;
    PgQueryProtobufParseResult parsed = pg_query_parse_protobuf(text);
    if (parsed.error != NULL) {
        e = parse_fail(parsed.error, out_error);
        goto out;
    }
    ProtobufCAllocator allocator = parse_allocator(scratch);
    const PgQuery__ParseResult *tree = pg_query__parse_result__unpack(
        &allocator, parsed.parse_tree.len, (const uint8_t *)parsed.parse_tree.data);
    if (tree == NULL || owned_create(&made) != OK) {
        e = no_memory(out_error);
        goto out;
    }
    const struct source source = {.text = text, .size = size, .scratch = scratch};
    e = tree_analyse(tree, &source, made, out_error);
    if (e == OK) {
        *out = &made->analysis;
        made = NULL;
    }
out:
    pg_query_free_protobuf_parse_result(parsed);
    arena_reset(scratch);
    sql_analysis_destroy(made == NULL ? NULL : &made->analysis);
    return e;
}

enum err sql_analyse(struct bytes text, size_t max_size, struct sql_analysis **out,
                     struct sql_error *out_error)
{
    enum err e = analyse_check(text, max_size, out_error);
    if (e != OK) {
        return e;
    }
    struct arena *scratch = arena_create(SCRATCH_BLOCK, SCRATCH_MAX);
    char *copy = bytes_to_string(text);
    e = scratch == NULL || copy == NULL ? no_memory(out_error)
                                        : analyse_text(copy, text.size, scratch, out, out_error);
    free(copy);
    arena_destroy(scratch);
    return e;
}

void sql_analysis_destroy(struct sql_analysis *a)
{
    if (a != NULL) {
        struct owned_analysis *o = (struct owned_analysis *)(void *)a;
        arena_destroy(o->arena);
        free(o);
    }
}

size_t analysis_size(const struct sql_analysis *a)
{
    const struct owned_analysis *o = (const struct owned_analysis *)(const void *)a;
    /* Blocks are a kilobyte; the last is not full. */
    return sizeof(*o) + arena_used(o->arena) + (1 << 10);
}

bool analysis_is_shareable(const struct sql_analysis *a)
{
    return ((const struct owned_analysis *)(const void *)a)->is_shareable;
}

/* --- names ----------------------------------------------------------------------------- */

const char *sql_access_name(enum sql_access access)
{
    static const char *const names[] = {
        [SQL_READ] = "read",           [SQL_INSERT] = "insert",
        [SQL_UPDATE] = "update",       [SQL_DELETE] = "delete",
        [SQL_TRUNCATE] = "truncate",   [SQL_LOAD] = "load",
        [SQL_EXPORT] = "export",       [SQL_CREATE] = "create",
        [SQL_ALTER] = "alter",         [SQL_DROP] = "drop",
        [SQL_PRIVILEGE] = "privilege", [SQL_TRANSACTION] = "transaction",
        [SQL_SESSION] = "session",     [SQL_MAINTENANCE] = "maintenance",
        [SQL_LOCK] = "lock",           [SQL_NOTIFY] = "notify",
        [SQL_CALL] = "call",           [SQL_PROCEDURAL] = "procedural",
        [SQL_UNSAFE_IO] = "unsafe_io", [SQL_UNKNOWN] = "unknown",
    };
    return (size_t)access < SQL_ACCESS_COUNT ? names[access] : "unknown";
}

const char *sql_kind_name(enum sql_kind kind)
{
    static const char *const names[] = {
        [SQL_TABLE] = "table",       [SQL_VIEW] = "view",           [SQL_INDEX] = "index",
        [SQL_SEQUENCE] = "sequence", [SQL_FUNCTION] = "function",   [SQL_PROCEDURE] = "procedure",
        [SQL_SCHEMA] = "schema",     [SQL_DATABASE] = "database",   [SQL_ROLE] = "role",
        [SQL_TYPE] = "type",         [SQL_EXTENSION] = "extension", [SQL_SETTING] = "setting",
        [SQL_CHANNEL] = "channel",   [SQL_STATEMENT] = "statement", [SQL_CODE] = "code",
        [SQL_FILE] = "file",         [SQL_PROGRAM] = "program",     [SQL_OTHER] = "other",
    };
    return (size_t)kind < SQL_KIND_COUNT ? names[kind] : "other";
}

bool sql_is_query(const struct sql_statement *s)
{
    static const char *const commands[] = {"SELECT",  "EXPLAIN", "COPY",   "DECLARE CURSOR",
                                           "PREPARE", "FETCH",   "EXECUTE"};
    for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
        if (strcmp(s->command, commands[i]) == 0) {
            return !s->is_write;
        }
    }
    return false;
}

bool sql_is_transaction_control(const struct sql_analysis *a)
{
    for (size_t i = 0; i < a->statement_count; i++) {
        if (!a->statements[i].is_transaction_control) {
            return false;
        }
    }
    return true;
}
