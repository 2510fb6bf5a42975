/* SELECT, VALUES and set operations. */
#include "sidecar/lineage/lineage_internal.h"

/* ---- the target list ------------------------------------------------------------------------- */

static void target_add(struct walk *w, const PgQuery__ResTarget *t, struct columns *out)
{
    if (column_is_star(t->val)) {
        star_columns(w, t->val->column_ref, out);
        return;
    }
    struct value v = expr_value(w, t->val);
    if (expr_is_field_star(t->val)) {
        /* All fields of a row: how many is not known. */
        out->rest = value_mix(out->rest, v);
        out->is_open = true;
        return;
    }
    columns_add(w, out, t->name[0] != '\0' ? t->name : output_name(t->val), v);
}

void query_targets(struct walk *w, size_t count, PgQuery__Node *const *list, struct columns *out)
{
    for (size_t i = 0; i < count && w->failed == OK; i++) {
        if (list[i]->node_case == PG_QUERY__NODE__NODE_RES_TARGET) {
            target_add(w, list[i]->res_target, out);
        } else {
            columns_add(w, out, "", note_unknown(w, "a part of %s is not known", "the outputs"));
        }
    }
    if (out->count > OUTPUTS_MAX && w->failed == OK) {
        w->failed = ERR_LIMIT;
    }
}

/* ---- SELECT ---------------------------------------------------------------------------------- */

static bool is_empty_node(const PgQuery__Node *n)
{
    return n->node_case == PG_QUERY__NODE__NODE__NOT_SET;
}

/* Plain DISTINCT is a list of one empty node. */
static void distinct_clause(struct walk *w, const PgQuery__SelectStmt *s, const struct columns *out)
{
    for (size_t i = 0; i < s->n_distinct_clause && w->failed == OK; i++) {
        const PgQuery__Node *n = s->distinct_clause[i];
        if (n == NULL || is_empty_node(n)) {
            note_filtered_columns(w, out, "DISTINCT");
        } else {
            (void)order_by(w, n, out, "DISTINCT ON");
        }
    }
}

static void window_clause(struct walk *w, const PgQuery__SelectStmt *s)
{
    for (size_t i = 0; i < s->n_window_clause && w->failed == OK; i++) {
        const PgQuery__Node *n = s->window_clause[i];
        if (n->node_case == PG_QUERY__NODE__NODE_WINDOW_DEF) {
            (void)window_value(w, n->window_def);
        } else {
            (void)note_unknown(w, "a part of %s is not known", "WINDOW");
        }
    }
}

static void tail_clauses(struct walk *w, const PgQuery__SelectStmt *s, const struct columns *out)
{
    for (size_t i = 0; i < s->n_sort_clause && w->failed == OK; i++) {
        (void)order_by(w, s->sort_clause[i], out, "ORDER BY");
    }
    expr_filter(w, s->limit_offset, "OFFSET");
    expr_filter(w, s->limit_count, "LIMIT");
}

static void select_plain(struct walk *w, const PgQuery__SelectStmt *s, struct columns *out)
{
    from_clause(w, s->n_from_clause, s->from_clause);
    query_targets(w, s->n_target_list, s->target_list, out);
    expr_filter(w, s->where_clause, "WHERE");
    for (size_t i = 0; i < s->n_group_clause && w->failed == OK; i++) {
        group_by(w, s->group_clause[i], out);
    }
    expr_filter(w, s->having_clause, "HAVING");
    window_clause(w, s);
    distinct_clause(w, s, out);
    tail_clauses(w, s, out);
}

/* ---- VALUES ---------------------------------------------------------------------------------- */

static const char *values_name(struct walk *w, size_t number)
{
    char *name = walk_alloc(w, 32);
    if (name != NULL) {
        char digits[20];
        size_t count = 0;
        for (; number > 0; number /= 10) {
            digits[count++] = (char)('0' + number % 10);
        }
        memcpy(name, "column", 6);
        for (size_t i = 0; i < count; i++) {
            name[6 + i] = digits[count - 1 - i];
        }
    }
    return name == NULL ? "" : name;
}

static void values_row(struct walk *w, const PgQuery__Node *row, bool is_first, struct columns *out)
{
    if (row->node_case != PG_QUERY__NODE__NODE_LIST) {
        out->rest = value_mix(out->rest, note_unknown(w, "a part of %s is not known", "VALUES"));
        out->is_open = true;
        return;
    }
    for (size_t i = 0; i < row->list->n_items && w->failed == OK; i++) {
        const PgQuery__Node *n = row->list->items[i];
        struct value v = expr_value(w, n);
        if (column_is_star(n) || expr_is_field_star(n)) {
            out->rest = value_mix(out->rest, v);
            out->is_open = true;
        } else if (is_first) {
            columns_add(w, out, values_name(w, i + 1), v);
        } else if (i < out->count) {
            out->items[i].value = value_merge(out->items[i].value, v);
        } else {
            out->rest = value_mix(out->rest, v);
        }
    }
}

/* Behind a star nothing has a place that is known, in its own row and in the others. */
static void values_rows(struct walk *w, const PgQuery__SelectStmt *s, struct columns *out)
{
    for (size_t i = 0; i < s->n_values_lists && w->failed == OK; i++) {
        values_row(w, s->values_lists[i], i == 0, out);
    }
    if (out->is_open) {
        *out = (struct columns){.is_open = true, .rest = columns_mix(out)};
    }
}

/* ---- UNION, INTERSECT, EXCEPT ------------------------------------------------------------------
 */

/* Both sides have equally many columns: the server insists. */
static void sides_merge(struct walk *w, const struct columns *left, const struct columns *right,
                        struct columns *out)
{
    struct value others = {0};
    for (size_t i = 0; i < left->count && w->failed == OK; i++) {
        struct value l = left->items[i].value;
        struct value r = i < right->count ? right->items[i].value : right->rest;
        if (right->is_open) {
            r = value_mix(r, columns_mix(right));
        }
        if (left->is_open) {
            l = value_mix(l, columns_mix(left));
        }
        columns_add(w, out, left->items[i].name, value_merge(l, r));
    }
    if (left->is_open) {
        others = value_mix(columns_mix(left), columns_mix(right));
        out->is_open = true;
        out->rest = others;
    } else if (!right->is_open && right->count != left->count) {
        out->is_open = true;
        out->rest = note_unknown(w, "the columns of a %s do not match", "set operation");
    }
}

static void select_set(struct walk *w, const PgQuery__SelectStmt *s, struct columns *out)
{
    struct columns left = {0}, right = {0};
    if (s->larg == NULL || s->rarg == NULL) {
        (void)note_unknown(w, "a part of %s is missing", "a set operation");
        out->is_open = true;
        out->rest.origin = LINEAGE_UNKNOWN;
        return;
    }
    query_select(w, s->larg, &left);
    query_select(w, s->rarg, &right);
    if (!s->all || s->op != PG_QUERY__SET_OPERATION__SETOP_UNION) {
        note_filtered_columns(w, &left, "a set operation that compares rows");
        note_filtered_columns(w, &right, "a set operation that compares rows");
    }
    sides_merge(w, &left, &right, out);
    /* ORDER BY sees the outputs only. */
    struct item *i = item_new(w, "");
    if (i != NULL) {
        i->columns = *out;
        i->is_name_visible = false;
        names_add(w, &w->level->names, i);
        tail_clauses(w, s, out);
    }
}

/* ---- all of them ----------------------------------------------------------------------------- */

static void select_body(struct walk *w, const PgQuery__SelectStmt *s, struct columns *out)
{
    with_enter(w, s->with_clause);
    switch (s->op) {
    case PG_QUERY__SET_OPERATION__SETOP_UNION:
    case PG_QUERY__SET_OPERATION__SETOP_INTERSECT:
    case PG_QUERY__SET_OPERATION__SETOP_EXCEPT: select_set(w, s, out); break;
    case PG_QUERY__SET_OPERATION__SETOP_NONE:
        if (s->n_values_lists > 0) {
            values_rows(w, s, out);
            tail_clauses(w, s, out);
        } else {
            select_plain(w, s, out);
        }
        break;
    default:
        out->rest = note_unknown(w, "a part of %s is not known", "a query");
        out->is_open = true;
        break;
    }
    if (s->into_clause != NULL) {
        note_stored_columns(w, out, "SELECT INTO");
        w->effects->changes_catalog = true;
        w->effects->may_speak = true;
    }
}

void query_select(struct walk *w, const PgQuery__SelectStmt *s, struct columns *out)
{
    if (!walk_enter(w)) {
        return;
    }
    struct level level = {.outer = w->level};
    struct cte *ctes = w->ctes;
    const char *clause = w->clause;
    w->level = &level;
    w->clause = NULL;
    select_body(w, s, out);
    w->clause = clause;
    w->level = level.outer;
    w->ctes = ctes;
    walk_leave(w);
}

static void query_change(struct walk *w, const PgQuery__Node *n, struct columns *out)
{
    struct level level = {.outer = w->level};
    struct cte *ctes = w->ctes;
    w->level = &level;
    switch (n->node_case) {
    case PG_QUERY__NODE__NODE_INSERT_STMT: change_insert(w, n->insert_stmt, out); break;
    case PG_QUERY__NODE__NODE_UPDATE_STMT: change_update(w, n->update_stmt, out); break;
    case PG_QUERY__NODE__NODE_DELETE_STMT: change_delete(w, n->delete_stmt, out); break;
    case PG_QUERY__NODE__NODE_MERGE_STMT: change_merge(w, n->merge_stmt); break;
    default:
        out->rest = note_unknown(w, "a part of %s is not known", "a query");
        out->is_open = true;
        break;
    }
    w->effects->may_speak = true;
    w->level = level.outer;
    w->ctes = ctes;
}

void query_any(struct walk *w, const PgQuery__Node *n, struct columns *out)
{
    if (n == NULL || !walk_enter(w)) {
        out->rest = note_unknown(w, "a part of %s is missing", "a query");
        out->is_open = true;
        return;
    }
    if (n->node_case == PG_QUERY__NODE__NODE_SELECT_STMT) {
        query_select(w, n->select_stmt, out);
    } else {
        query_change(w, n, out);
    }
    walk_leave(w);
}
