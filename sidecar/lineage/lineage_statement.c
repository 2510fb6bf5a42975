/* One statement: its kind, its outputs, and what it does to the session. */
#include <strings.h>

#include "sidecar/lineage/lineage_internal.h"

/* ---- settings -------------------------------------------------------------------------------- */

bool setting_changes_path(const char *name)
{
    static const char *const names[] = {"role", "search_path", "session_authorization"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (strcasecmp(names[i], name) == 0) {
            return true;
        }
    }
    return false;
}

static void set_walk(struct walk *w, const PgQuery__VariableSetStmt *s)
{
    if (s->kind == PG_QUERY__VARIABLE_SET_KIND__VAR_RESET_ALL || setting_changes_path(s->name)) {
        w->effects->changes_path = true;
    }
}

static void show_walk(struct walk *w, const PgQuery__VariableShowStmt *s, struct columns *out)
{
    columns_add(w, out, s->name, (struct value){0});
    if (strcasecmp(s->name, "all") == 0) { /* name, setting, description */
        columns_add(w, out, "setting", (struct value){0});
        columns_add(w, out, "description", (struct value){0});
    }
}

static void discard_walk(struct walk *w, const PgQuery__DiscardStmt *s, struct found *f)
{
    switch (s->target) {
    case PG_QUERY__DISCARD_MODE__DISCARD_PLANS:
    case PG_QUERY__DISCARD_MODE__DISCARD_SEQUENCES: break;
    case PG_QUERY__DISCARD_MODE__DISCARD_TEMP: w->effects->changes_catalog = true; break;
    default:
        f->kind = LINEAGE_DISCARD;
        w->effects->changes_catalog = true;
        w->effects->changes_path = true;
        break;
    }
}

/* At the end a deferred constraint may speak, settings made with SET LOCAL are as they were before,
 * and what was created may be gone. */
static void transaction_walk(struct walk *w, const PgQuery__TransactionStmt *s)
{
    switch (s->kind) {
    case PG_QUERY__TRANSACTION_STMT_KIND__TRANS_STMT_COMMIT:
    case PG_QUERY__TRANSACTION_STMT_KIND__TRANS_STMT_PREPARE:
    case PG_QUERY__TRANSACTION_STMT_KIND__TRANS_STMT_COMMIT_PREPARED:
        w->effects->may_speak = true;
        w->effects->changes_path = true;
        break;
    case PG_QUERY__TRANSACTION_STMT_KIND__TRANS_STMT_ROLLBACK:
    case PG_QUERY__TRANSACTION_STMT_KIND__TRANS_STMT_ROLLBACK_TO:
        w->effects->changes_catalog = true;
        w->effects->changes_path = true;
        break;
    default: break;
    }
}

/* ---- cursors and prepared statements --------------------------------------------------------- */

static void fetch_walk(struct walk *w, const PgQuery__FetchStmt *s, struct found *f)
{
    w->effects->may_speak = true; /* it runs the query further */
    if (!s->ismove) {
        f->kind = LINEAGE_FETCH;
        f->name = s->portalname;
        f->outputs.is_open = true;
        f->outputs.rest.origin = LINEAGE_UNKNOWN;
    }
}

static void execute_walk(struct walk *w, const PgQuery__ExecuteStmt *s, struct found *f)
{
    w->effects->may_speak = true;
    note_filtered(w, expr_values(w, s->n_params, s->params), "EXECUTE");
    f->kind = LINEAGE_EXECUTE;
    f->name = s->name;
    f->outputs.is_open = true;
    f->outputs.rest.origin = LINEAGE_UNKNOWN;
}

/* ---- statements around another ----------------------------------------------------------------
 */

static bool is_query(const PgQuery__Node *n)
{
    switch (n->node_case) {
    case PG_QUERY__NODE__NODE_SELECT_STMT:
    case PG_QUERY__NODE__NODE_INSERT_STMT:
    case PG_QUERY__NODE__NODE_UPDATE_STMT:
    case PG_QUERY__NODE__NODE_DELETE_STMT:
    case PG_QUERY__NODE__NODE_MERGE_STMT: return true;
    default: return false;
    }
}

/* Into a table of its own; a view is read through and stores nothing. */
static void create_as_walk(struct walk *w, const PgQuery__CreateTableAsStmt *s)
{
    struct columns out = {0};
    w->effects->changes_catalog = true;
    w->effects->may_speak = true;
    if (s->query == NULL || !is_query(s->query)) {
        (void)note_unknown(w, "what %s stores is not known", "CREATE TABLE AS EXECUTE");
        return;
    }
    query_any(w, s->query, &out);
    note_stored_columns(w, &out,
                        s->objtype == PG_QUERY__OBJECT_TYPE__OBJECT_MATVIEW
                            ? "CREATE MATERIALIZED VIEW"
                            : "CREATE TABLE AS");
}

static void explain_walk(struct walk *w, const PgQuery__ExplainStmt *s, struct found *f)
{
    struct found inner = {0};
    if (s->query == NULL) {
        (void)note_unknown(w, "a part of %s is missing", "EXPLAIN");
        return;
    }
    for (size_t i = 0; i < s->n_options; i++) {
        if (s->options[i]->node_case != PG_QUERY__NODE__NODE_DEF_ELEM) {
            (void)note_unknown(w, "a part of %s is not known", "EXPLAIN");
        }
    }
    lineage_statement_walk(w, s->query, &inner);
    if (inner.kind == LINEAGE_EXECUTE) {
        /* What the plan shows and does is the prepared statement's. */
        f->kind = inner.kind;
        f->name = inner.name;
        f->outputs = inner.outputs;
        return;
    }
    columns_add(w, &f->outputs, "QUERY PLAN", (struct value){0});
}

/* It happens when the cursor or statement is used, when nobody looks for it. */
static void late_path_check(struct walk *w)
{
    if (w->effects->changes_path) {
        (void)note_unknown(w, "when the %s is changed is not known", "search path");
    }
}

static void declare_walk(struct walk *w, const PgQuery__DeclareCursorStmt *s, struct found *f)
{
    f->kind = LINEAGE_DECLARE;
    f->name = s->portalname;
    query_any(w, s->query, &f->outputs);
    late_path_check(w);
}

static void prepare_walk(struct walk *w, const PgQuery__PrepareStmt *s, struct found *f)
{
    struct value ignored = {0};
    f->kind = LINEAGE_PREPARE;
    f->name = s->name;
    for (size_t i = 0; i < s->n_argtypes && w->failed == OK; i++) {
        if (s->argtypes[i]->node_case == PG_QUERY__NODE__NODE_TYPE_NAME) {
            type_check_read(w, s->argtypes[i]->type_name, &ignored);
        }
    }
    query_any(w, s->query, &f->outputs);
    late_path_check(w);
}

/* ---- all of them ----------------------------------------------------------------------------- */

static bool session_walk(struct walk *w, const PgQuery__Node *n, struct found *f)
{
    switch (n->node_case) {
    case PG_QUERY__NODE__NODE_VARIABLE_SET_STMT: set_walk(w, n->variable_set_stmt); return true;
    case PG_QUERY__NODE__NODE_VARIABLE_SHOW_STMT:
        show_walk(w, n->variable_show_stmt, &f->outputs);
        return true;
    case PG_QUERY__NODE__NODE_TRANSACTION_STMT:
        transaction_walk(w, n->transaction_stmt);
        return true;
    case PG_QUERY__NODE__NODE_DISCARD_STMT: discard_walk(w, n->discard_stmt, f); return true;
    case PG_QUERY__NODE__NODE_FETCH_STMT: fetch_walk(w, n->fetch_stmt, f); return true;
    case PG_QUERY__NODE__NODE_CLOSE_PORTAL_STMT:
        f->kind = LINEAGE_CLOSE;
        f->name = text_or_null(n->close_portal_stmt->portalname);
        return true;
    case PG_QUERY__NODE__NODE_DEALLOCATE_STMT:
        f->kind = LINEAGE_DEALLOCATE;
        f->name = text_or_null(n->deallocate_stmt->name);
        return true;
    case PG_QUERY__NODE__NODE_EXECUTE_STMT: execute_walk(w, n->execute_stmt, f); return true;
    case PG_QUERY__NODE__NODE_DECLARE_CURSOR_STMT:
        declare_walk(w, n->declare_cursor_stmt, f);
        return true;
    case PG_QUERY__NODE__NODE_PREPARE_STMT: prepare_walk(w, n->prepare_stmt, f); return true;
    /* Their texts are constants. */
    case PG_QUERY__NODE__NODE_LISTEN_STMT:
    case PG_QUERY__NODE__NODE_UNLISTEN_STMT:
    case PG_QUERY__NODE__NODE_NOTIFY_STMT: return true;
    default: return false;
    }
}

static void statement_body(struct walk *w, const PgQuery__Node *n, struct found *f)
{
    if (is_query(n)) {
        query_any(w, n, &f->outputs);
    } else if (n->node_case == PG_QUERY__NODE__NODE_EXPLAIN_STMT) {
        explain_walk(w, n->explain_stmt, f);
    } else if (n->node_case == PG_QUERY__NODE__NODE_COPY_STMT) {
        copy_walk(w, n->copy_stmt, f);
    } else if (n->node_case == PG_QUERY__NODE__NODE_CREATE_TABLE_AS_STMT) {
        create_as_walk(w, n->create_table_as_stmt);
    } else if (!session_walk(w, n, f)) {
        w->effects->may_speak = true;
        if (!ddl_walk(w, n) && !alter_walk(w, n)) {
            (void)note_unknown(w, "what this %s does is not known", "statement");
        }
    }
}

void lineage_statement_walk(struct walk *w, const PgQuery__Node *n, struct found *f)
{
    if (walk_enter(w)) {
        statement_body(w, n, f);
        walk_leave(w);
    }
}
