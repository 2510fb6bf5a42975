/* INSERT, UPDATE, DELETE and MERGE. What goes into a table is stored; what comes back by RETURNING
 * is an output. */
#include "sidecar/lineage/lineage_internal.h"

/* What RETURNING gives is what the row became. */
static void columns_make_unknown(struct columns *c)
{
    for (size_t i = 0; i < c->count; i++) {
        c->items[i].value.origin = LINEAGE_UNKNOWN;
    }
}

/* The table that is changed, as an item that its own clauses see. A name of WITH is not meant. */
static struct item *target_item(struct walk *w, const PgQuery__RangeVar *r)
{
    struct item *i = item_new(w, r == NULL ? "" : r->relname);
    if (i == NULL) {
        return NULL;
    }
    const struct catalog_relation *found =
        r == NULL ? NULL : relation_find(w, r->schemaname, r->relname);
    if (found == NULL) {
        i->columns = (struct columns){.is_open = true, .rest = {.origin = LINEAGE_UNKNOWN}};
        (void)note_unknown(w, "the relation %s is not known", i->name);
    } else {
        relation_columns(w, found, &i->columns);
        if (!writing_check(w, found)) {
            columns_make_unknown(&i->columns);
        }
        i->has_system_columns = found->kind != CATALOG_VIEW;
        i->relation = found;
    }
    if (r != NULL && r->alias != NULL) {
        i->name = r->alias->aliasname;
        i->relation = NULL;
    }
    names_add(w, &w->level->names, i);
    return i;
}

/* SET a = x, (b, c) = (SELECT ...): subscripts of the target are expressions too. */
static void assignments(struct walk *w, size_t count, PgQuery__Node *const *list, const char *where)
{
    for (size_t i = 0; i < count && w->failed == OK; i++) {
        if (list[i]->node_case != PG_QUERY__NODE__NODE_RES_TARGET) {
            (void)note_unknown(w, "a part of %s is not known", where);
            continue;
        }
        const PgQuery__ResTarget *t = list[i]->res_target;
        for (size_t k = 0; k < t->n_indirection; k++) {
            if (t->indirection[k]->node_case == PG_QUERY__NODE__NODE_A_INDICES) {
                const PgQuery__AIndices *x = t->indirection[k]->a_indices;
                expr_filter(w, x->lidx, where);
                expr_filter(w, x->uidx, where);
            }
        }
        if (t->val != NULL) {
            note_stored(w, expr_value(w, t->val), where);
        }
    }
}

/* ---- INSERT ---------------------------------------------------------------------------------- */

/* Whether a row is taken tells whether there is an equal one. */
static void conflict_target(struct walk *w, const PgQuery__OnConflictClause *c,
                            const struct item *target)
{
    const PgQuery__InferClause *infer = c->infer;
    if (infer == NULL || infer->conname[0] != '\0') {
        note_filtered_columns(w, &target->columns, "ON CONFLICT");
    }
    for (size_t i = 0; infer != NULL && i < infer->n_index_elems && w->failed == OK; i++) {
        const PgQuery__Node *n = infer->index_elems[i];
        if (n->node_case != PG_QUERY__NODE__NODE_INDEX_ELEM) {
            (void)note_unknown(w, "a part of %s is not known", "ON CONFLICT");
            continue;
        }
        struct value v = {0};
        if (n->index_elem->expr != NULL) {
            v = expr_value(w, n->index_elem->expr);
        } else if (columns_find(&target->columns, n->index_elem->name, &v) == FIND_NONE) {
            v = note_unknown(w, "the column %s is not known", n->index_elem->name);
        }
        note_filtered(w, v, "ON CONFLICT");
    }
    if (infer != NULL) {
        expr_filter(w, infer->where_clause, "ON CONFLICT");
    }
}

/* `excluded` is the row that was to be inserted. */
static void conflict_clause(struct walk *w, const PgQuery__OnConflictClause *c,
                            const struct item *target, const struct columns *source)
{
    conflict_target(w, c, target);
    struct item *excluded = item_new(w, "excluded");
    if (excluded == NULL) {
        return;
    }
    struct value v = value_computed(columns_mix(source));
    for (size_t i = 0; i < target->columns.count && w->failed == OK; i++) {
        columns_add(w, &excluded->columns, target->columns.items[i].name, v);
    }
    excluded->columns.is_open = target->columns.is_open;
    excluded->columns.rest = v;
    excluded->are_columns_visible = false;
    size_t before = w->level->names.count;
    names_add(w, &w->level->names, excluded);
    assignments(w, c->n_target_list, c->target_list, "ON CONFLICT DO UPDATE");
    expr_filter(w, c->where_clause, "ON CONFLICT ... WHERE");
    w->level->names.count = before;
}

void change_insert(struct walk *w, const PgQuery__InsertStmt *s, struct columns *out)
{
    struct columns source = {0};
    with_enter(w, s->with_clause);
    if (s->select_stmt != NULL) {
        query_any(w, s->select_stmt, &source);
    }
    struct item *target = target_item(w, s->relation);
    if (target == NULL) {
        return;
    }
    assignments(w, s->n_cols, s->cols, "INSERT");
    note_stored_columns(w, &source, "INSERT");
    if (s->on_conflict_clause != NULL) {
        conflict_clause(w, s->on_conflict_clause, target, &source);
    }
    query_targets(w, s->n_returning_list, s->returning_list, out);
}

/* ---- UPDATE, DELETE -------------------------------------------------------------------------- */

void change_update(struct walk *w, const PgQuery__UpdateStmt *s, struct columns *out)
{
    with_enter(w, s->with_clause);
    (void)target_item(w, s->relation);
    names_set_lateral(&w->level->names, true);
    from_clause(w, s->n_from_clause, s->from_clause);
    assignments(w, s->n_target_list, s->target_list, "UPDATE");
    expr_filter(w, s->where_clause, "WHERE");
    query_targets(w, s->n_returning_list, s->returning_list, out);
}

void change_delete(struct walk *w, const PgQuery__DeleteStmt *s, struct columns *out)
{
    with_enter(w, s->with_clause);
    (void)target_item(w, s->relation);
    names_set_lateral(&w->level->names, true);
    from_clause(w, s->n_using_clause, s->using_clause);
    expr_filter(w, s->where_clause, "WHERE");
    query_targets(w, s->n_returning_list, s->returning_list, out);
}

/* ---- MERGE ----------------------------------------------------------------------------------- */

void change_merge(struct walk *w, const PgQuery__MergeStmt *s)
{
    with_enter(w, s->with_clause);
    struct item *target = target_item(w, s->relation);
    if (target == NULL) {
        return;
    }
    names_set_lateral(&w->level->names, true);
    PgQuery__Node *source[] = {s->source_relation};
    from_clause(w, s->source_relation == NULL ? 0 : 1, source);
    expr_filter(w, s->join_condition, "MERGE ... ON");
    for (size_t i = 0; i < s->n_merge_when_clauses && w->failed == OK; i++) {
        const PgQuery__Node *n = s->merge_when_clauses[i];
        if (n->node_case != PG_QUERY__NODE__NODE_MERGE_WHEN_CLAUSE) {
            (void)note_unknown(w, "a part of %s is not known", "MERGE");
            continue;
        }
        const PgQuery__MergeWhenClause *when = n->merge_when_clause;
        expr_filter(w, when->condition, "MERGE ... WHEN");
        assignments(w, when->n_target_list, when->target_list, "MERGE");
        for (size_t k = 0; k < when->n_values && w->failed == OK; k++) {
            note_stored(w, expr_value(w, when->values[k]), "MERGE");
        }
    }
}
