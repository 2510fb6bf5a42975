/* SELECT and the statements that change rows: what each relation in them is for, and what CTEs
 * hide. */
#include "sidecar/sql/sql_walk.h"

/* Walks the queries of a WITH clause, and `then` with their names in scope. */
typedef void with_body(struct walk *w, const void *statement);

struct with {
    const PgQuery__WithClause *clause;
    with_body *then;
    const void *statement;
};

static const PgQuery__CommonTableExpr *cte_at(const struct with *with, size_t i)
{
    const PgQuery__Node *n = with->clause->ctes[i];
    return n->node_case == PG_QUERY__NODE__NODE_COMMON_TABLE_EXPR ? n->common_table_expr : NULL;
}

static void cte_walk(struct walk *w, const PgQuery__CommonTableExpr *cte)
{
    if (cte != NULL) {
        walk_fields(w, &cte->base);
    }
}

/* Recursion by CTE, so that each name lives on the stack of what may see it: WITH a text of
 * thousands of CTEs the depth guard is the limit. */
static void with_walk_from(struct walk *w, const struct with *with, size_t i)
{
    if (i == with->clause->n_ctes) {
        with->then(w, with->statement);
        return;
    }
    if (++w->depth > 2 * SQL_DEPTH_MAX) {
        w->failed = ERR_LIMIT;
        w->depth--;
        return;
    }
    const PgQuery__CommonTableExpr *cte = cte_at(with, i);
    struct scope inner = {.name = cte == NULL ? "" : cte->ctename, .outer = w->scope};
    if (!with->clause->recursive) {
        /* It sees those before it, not itself: a table of its own name is meant there. */
        cte_walk(w, cte);
    }
    w->scope = &inner;
    with_walk_from(w, with, i + 1);
    w->scope = inner.outer;
    w->depth--;
}

static void recursive_then(struct walk *w, const void *context)
{
    const struct with *with = context;
    for (size_t i = 0; i < with->clause->n_ctes && w->failed == OK; i++) {
        cte_walk(w, cte_at(with, i));
    }
    with->then(w, with->statement);
}

static void with_walk(struct walk *w, const PgQuery__WithClause *clause, with_body *then,
                      const void *statement)
{
    struct with with = {.clause = clause, .then = then, .statement = statement};
    if (clause == NULL) {
        then(w, statement);
    } else if (clause->recursive) {
        /* All of them see each other: first all names, then all queries. */
        struct with outer = {.clause = clause, .then = recursive_then, .statement = &with};
        with_walk_from(w, &outer, 0);
    } else {
        with_walk_from(w, &with, 0);
    }
}

/* --- SELECT ---------------------------------------------------------------------------- */

static void select_body(struct walk *w, const void *statement)
{
    const PgQuery__SelectStmt *s = statement;
    if (s->into_clause != NULL) {
        walk_message(w, &s->into_clause->base);
    }
    walk_nodes(w, s->n_distinct_clause, s->distinct_clause);
    walk_nodes(w, s->n_target_list, s->target_list);
    /* FOR UPDATE OF names aliases of this list; taking all of it for locked errs on the safe side.
     * It reaches into subqueries (SELECT, "The Locking Clause"). */
    bool outer_locking = w->locking;
    w->locking = outer_locking || s->n_locking_clause > 0;
    walk_nodes(w, s->n_from_clause, s->from_clause);
    w->locking = outer_locking;
    walk_node(w, s->where_clause);
    walk_nodes(w, s->n_group_clause, s->group_clause);
    walk_node(w, s->having_clause);
    walk_nodes(w, s->n_window_clause, s->window_clause);
    walk_nodes(w, s->n_values_lists, s->values_lists);
    walk_nodes(w, s->n_sort_clause, s->sort_clause);
    walk_node(w, s->limit_offset);
    walk_node(w, s->limit_count);
    if (s->n_locking_clause > 0) {
        walk_add_access(w, SQL_LOCK);
    }
    if (s->larg != NULL) {
        walk_message(w, &s->larg->base);
    }
    if (s->rarg != NULL) {
        walk_message(w, &s->rarg->base);
    }
}

void query_walk_select(struct walk *w, const PgQuery__SelectStmt *s)
{
    with_walk(w, s->with_clause, select_body, s);
}

/* --- changes --------------------------------------------------------------------------- */

/* RETURNING reads the table that is changed. */
static void returning_walk(struct walk *w, const PgQuery__RangeVar *target, size_t count,
                           PgQuery__Node *const *list)
{
    if (count > 0) {
        walk_add_range(w, SQL_TABLE, SQL_READ, target);
        w->statement->returns_rows_of_write = true;
    }
    walk_nodes(w, count, list);
}

static void insert_body(struct walk *w, const void *statement)
{
    const PgQuery__InsertStmt *s = statement;
    walk_add_range(w, SQL_TABLE, SQL_INSERT, s->relation);
    walk_nodes(w, s->n_cols, s->cols);
    walk_node(w, s->select_stmt);
    const PgQuery__OnConflictClause *conflict = s->on_conflict_clause;
    if (conflict != NULL) {
        if (conflict->action == PG_QUERY__ON_CONFLICT_ACTION__ONCONFLICT_UPDATE) {
            walk_add_range(w, SQL_TABLE, SQL_UPDATE, s->relation);
        }
        walk_fields(w, &conflict->base);
    }
    returning_walk(w, s->relation, s->n_returning_list, s->returning_list);
}

void query_walk_insert(struct walk *w, const PgQuery__InsertStmt *s)
{
    with_walk(w, s->with_clause, insert_body, s);
}

static void update_body(struct walk *w, const void *statement)
{
    const PgQuery__UpdateStmt *s = statement;
    walk_add_range(w, SQL_TABLE, SQL_UPDATE, s->relation);
    walk_nodes(w, s->n_target_list, s->target_list);
    walk_nodes(w, s->n_from_clause, s->from_clause);
    walk_node(w, s->where_clause);
    returning_walk(w, s->relation, s->n_returning_list, s->returning_list);
}

void query_walk_update(struct walk *w, const PgQuery__UpdateStmt *s)
{
    with_walk(w, s->with_clause, update_body, s);
}

static void delete_body(struct walk *w, const void *statement)
{
    const PgQuery__DeleteStmt *s = statement;
    walk_add_range(w, SQL_TABLE, SQL_DELETE, s->relation);
    walk_nodes(w, s->n_using_clause, s->using_clause);
    walk_node(w, s->where_clause);
    returning_walk(w, s->relation, s->n_returning_list, s->returning_list);
}

void query_walk_delete(struct walk *w, const PgQuery__DeleteStmt *s)
{
    with_walk(w, s->with_clause, delete_body, s);
}

static void merge_body(struct walk *w, const void *statement)
{
    const PgQuery__MergeStmt *s = statement;
    for (size_t i = 0; i < s->n_merge_when_clauses; i++) {
        const PgQuery__Node *n = s->merge_when_clauses[i];
        if (n->node_case != PG_QUERY__NODE__NODE_MERGE_WHEN_CLAUSE) {
            continue;
        }
        switch (n->merge_when_clause->command_type) {
        case PG_QUERY__CMD_TYPE__CMD_INSERT:
            walk_add_range(w, SQL_TABLE, SQL_INSERT, s->relation);
            break;
        case PG_QUERY__CMD_TYPE__CMD_UPDATE:
            walk_add_range(w, SQL_TABLE, SQL_UPDATE, s->relation);
            break;
        case PG_QUERY__CMD_TYPE__CMD_DELETE:
            walk_add_range(w, SQL_TABLE, SQL_DELETE, s->relation);
            break;
        default: break; /* DO NOTHING */
        }
    }
    walk_add_range(w, SQL_TABLE, SQL_READ, s->relation); /* whether it matches */
    walk_node(w, s->source_relation);
    walk_node(w, s->join_condition);
    walk_nodes(w, s->n_merge_when_clauses, s->merge_when_clauses);
}

void query_walk_merge(struct walk *w, const PgQuery__MergeStmt *s)
{
    with_walk(w, s->with_clause, merge_body, s);
}

void query_walk_call(struct walk *w, const PgQuery__FuncCall *f, enum sql_kind kind,
                     enum sql_access access)
{
    walk_add_names(w, kind, access, f->n_funcname, f->funcname, false);
    const char *name = f->n_funcname == 0 ? NULL : node_string(f->funcname[f->n_funcname - 1]);
    enum sql_access more = name == NULL ? SQL_UNKNOWN : function_access(name);
    if (more != SQL_CALL) {
        walk_add_names(w, kind, more, f->n_funcname, f->funcname, false);
    }
    walk_nodes(w, f->n_args, f->args);
    walk_nodes(w, f->n_agg_order, f->agg_order);
    walk_node(w, f->agg_filter);
    if (f->over != NULL) {
        walk_fields(w, &f->over->base);
    }
}
