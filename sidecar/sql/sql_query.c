/* SELECT and the statements that change rows: what each relation in them is for, and what CTEs
 * hide. */
#include "sidecar/sql/sql_scope.h"

enum {
    /* MaxTupleAttributeNumber: more columns than a result may have. */
    OUTPUTS_MAX = 1664,
};

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

static bool is_output(const PgQuery__SelectStmt *s, const char *name)
{
    for (size_t i = 0; i < s->n_target_list; i++) {
        const PgQuery__Node *t = s->target_list[i];
        if (t->node_case == PG_QUERY__NODE__NODE_RES_TARGET &&
            strcmp(t->res_target->name, name) == 0) {
            return true;
        }
    }
    return false;
}

/* A bare name in ORDER BY and DISTINCT ON is an output column's first, and after UNION nothing else
 * (findTargetlistEntrySQL92); what that is made of has been counted. */
static bool names_output(const PgQuery__SelectStmt *s, const PgQuery__Node *n)
{
    if (n->node_case == PG_QUERY__NODE__NODE_SORT_BY) {
        n = n->sort_by->node;
    }
    if (n == NULL || n->node_case != PG_QUERY__NODE__NODE_COLUMN_REF ||
        n->column_ref->n_fields != 1 || s->n_target_list > OUTPUTS_MAX) {
        return false;
    }
    const char *name = node_string(n->column_ref->fields[0]);
    return name != NULL && (s->op != PG_QUERY__SET_OPERATION__SETOP_NONE || is_output(s, name));
}

static void outputs_walk(struct walk *w, const PgQuery__SelectStmt *s, size_t count,
                         PgQuery__Node *const *nodes)
{
    for (size_t i = 0; i < count && w->failed == OK; i++) {
        if (i >= OUTPUTS_MAX || !names_output(s, nodes[i])) {
            walk_node(w, nodes[i]);
        }
    }
}

static void select_from(struct walk *w, const PgQuery__SelectStmt *s)
{
    /* FOR UPDATE OF names aliases of this list; taking all of it for locked errs on the safe side.
     * It reaches into subqueries (SELECT, "The Locking Clause"). */
    bool outer_locking = w->locking;
    w->locking = outer_locking || s->n_locking_clause > 0;
    level_add_from(w, s->n_from_clause, s->from_clause);
    from_walk(w, s->n_from_clause, s->from_clause);
    w->locking = outer_locking;
    if (s->n_locking_clause > 0) {
        walk_add_access(w, SQL_LOCK);
    }
}

static void select_body(struct walk *w, const void *statement)
{
    const PgQuery__SelectStmt *s = statement;
    struct level level;
    level_open(w, &level);
    if (s->into_clause != NULL) {
        walk_message(w, &s->into_clause->base);
    }
    select_from(w, s);
    outputs_walk(w, s, s->n_distinct_clause, s->distinct_clause);
    walk_nodes(w, s->n_target_list, s->target_list);
    walk_node(w, s->where_clause);
    walk_nodes(w, s->n_group_clause, s->group_clause);
    walk_node(w, s->having_clause);
    walk_nodes(w, s->n_window_clause, s->window_clause);
    walk_nodes(w, s->n_values_lists, s->values_lists);
    outputs_walk(w, s, s->n_sort_clause, s->sort_clause);
    walk_node(w, s->limit_offset);
    walk_node(w, s->limit_count);
    if (s->larg != NULL) {
        walk_message(w, &s->larg->base);
    }
    if (s->rarg != NULL) {
        walk_message(w, &s->rarg->base);
    }
    level_close(w, &level);
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
        (void)walk_find_range(w, SQL_TABLE, SQL_READ, target);
        w->statement->returns_rows_of_write = true;
    }
    walk_nodes(w, count, list);
}

/* True when it chooses among the rows by something of them: a condition that names no column holds
 * for all of them or for none. */
static bool condition_walk(struct walk *w, const PgQuery__Node *condition)
{
    unsigned before = w->column_references;
    walk_node(w, condition);
    return w->column_references != before ||
           (condition != NULL && condition->node_case == PG_QUERY__NODE__NODE_CURRENT_OF_EXPR);
}

static void where_walk(struct walk *w, const PgQuery__Node *condition)
{
    bool chooses = condition_walk(w, condition);
    w->statement->without_where = w->statement->without_where || !chooses;
}

/* The columns that tell which row is in the way are read (INSERT, "Parameters"). */
static void arbiter_walk(struct walk *w, const PgQuery__RangeVar *target,
                         const PgQuery__InferClause *infer)
{
    if (infer == NULL) {
        return;
    }
    uint32_t at = walk_find_range(w, SQL_TABLE, SQL_READ, target);
    if (at != NO_OBJECT && infer->conname[0] != '\0') {
        w->found[at].columns.all = true;
    }
    for (size_t i = 0; i < infer->n_index_elems && at != NO_OBJECT; i++) {
        const PgQuery__Node *n = infer->index_elems[i];
        if (n->node_case == PG_QUERY__NODE__NODE_INDEX_ELEM && n->index_elem->name[0] != '\0') {
            column_set_add_text(&w->columns, &w->found[at].columns, n->index_elem->name);
        }
    }
    walk_nodes(w, infer->n_index_elems, infer->index_elems);
    walk_node(w, infer->where_clause);
}

static void conflict_walk(struct walk *w, const PgQuery__RangeVar *target,
                          const PgQuery__OnConflictClause *c)
{
    if (c == NULL) {
        return;
    }
    arbiter_walk(w, target, c->infer);
    if (c->action == PG_QUERY__ON_CONFLICT_ACTION__ONCONFLICT_UPDATE) {
        walk_add_columns(w, SQL_TABLE, SQL_UPDATE, target, c->n_target_list, c->target_list);
    }
    level_add_name(w, "excluded");
    walk_nodes(w, c->n_target_list, c->target_list);
    walk_node(w, c->where_clause);
}

static void insert_body(struct walk *w, const void *statement)
{
    const PgQuery__InsertStmt *s = statement;
    walk_add_columns(w, SQL_TABLE, SQL_INSERT, s->relation, s->n_cols, s->cols);
    walk_nodes(w, s->n_cols, s->cols);
    walk_node(w, s->select_stmt);
    struct level level;
    level_open(w, &level);
    level_add_target(w, s->relation, SQL_READ);
    returning_walk(w, s->relation, s->n_returning_list, s->returning_list);
    conflict_walk(w, s->relation, s->on_conflict_clause);
    level_close(w, &level);
}

void query_walk_insert(struct walk *w, const PgQuery__InsertStmt *s)
{
    with_walk(w, s->with_clause, insert_body, s);
}

static void update_body(struct walk *w, const void *statement)
{
    const PgQuery__UpdateStmt *s = statement;
    struct level level;
    level_open(w, &level);
    walk_add_columns(w, SQL_TABLE, SQL_UPDATE, s->relation, s->n_target_list, s->target_list);
    level_add_target(w, s->relation, SQL_READ);
    level_add_from(w, s->n_from_clause, s->from_clause);
    walk_nodes(w, s->n_target_list, s->target_list);
    from_walk(w, s->n_from_clause, s->from_clause);
    where_walk(w, s->where_clause);
    returning_walk(w, s->relation, s->n_returning_list, s->returning_list);
    level_close(w, &level);
}

void query_walk_update(struct walk *w, const PgQuery__UpdateStmt *s)
{
    with_walk(w, s->with_clause, update_body, s);
}

static void delete_body(struct walk *w, const void *statement)
{
    const PgQuery__DeleteStmt *s = statement;
    struct level level;
    level_open(w, &level);
    walk_add_range(w, SQL_TABLE, SQL_DELETE, s->relation);
    level_add_target(w, s->relation, SQL_READ);
    level_add_from(w, s->n_using_clause, s->using_clause);
    from_walk(w, s->n_using_clause, s->using_clause);
    where_walk(w, s->where_clause);
    returning_walk(w, s->relation, s->n_returning_list, s->returning_list);
    level_close(w, &level);
}

void query_walk_delete(struct walk *w, const PgQuery__DeleteStmt *s)
{
    with_walk(w, s->with_clause, delete_body, s);
}

/* `chooses`: the join does, or a condition of this clause. */
static void merge_clause_walk(struct walk *w, const PgQuery__RangeVar *target,
                              const PgQuery__MergeWhenClause *c, bool chooses)
{
    chooses = condition_walk(w, c->condition) || chooses;
    switch (c->command_type) {
    case PG_QUERY__CMD_TYPE__CMD_INSERT:
        walk_add_columns(w, SQL_TABLE, SQL_INSERT, target, c->n_target_list, c->target_list);
        break;
    case PG_QUERY__CMD_TYPE__CMD_UPDATE:
        walk_add_columns(w, SQL_TABLE, SQL_UPDATE, target, c->n_target_list, c->target_list);
        w->statement->without_where = w->statement->without_where || !chooses;
        break;
    case PG_QUERY__CMD_TYPE__CMD_DELETE:
        walk_add_range(w, SQL_TABLE, SQL_DELETE, target);
        w->statement->without_where = w->statement->without_where || !chooses;
        break;
    default: break; /* DO NOTHING */
    }
    walk_nodes(w, c->n_target_list, c->target_list);
    walk_nodes(w, c->n_values, c->values);
}

static void merge_body(struct walk *w, const void *statement)
{
    const PgQuery__MergeStmt *s = statement;
    PgQuery__Node *source[] = {s->source_relation};
    struct level level;
    level_open(w, &level);
    level_add_target(w, s->relation, SQL_READ);
    (void)walk_find_range(w, SQL_TABLE, SQL_READ, s->relation); /* whether it matches */
    level_add_from(w, 1, source);
    from_walk(w, 1, source);
    bool chooses = condition_walk(w, s->join_condition);
    for (size_t i = 0; i < s->n_merge_when_clauses && w->failed == OK; i++) {
        const PgQuery__Node *n = s->merge_when_clauses[i];
        if (n->node_case == PG_QUERY__NODE__NODE_MERGE_WHEN_CLAUSE) {
            merge_clause_walk(w, s->relation, n->merge_when_clause, chooses);
        } else {
            walk_node(w, n);
        }
    }
    level_close(w, &level);
}

void query_walk_merge(struct walk *w, const PgQuery__MergeStmt *s)
{
    with_walk(w, s->with_clause, merge_body, s);
}
