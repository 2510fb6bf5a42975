/* GROUP BY, ORDER BY, DISTINCT ON: what their items mean (findTargetlistEntrySQL92,
 * parse_clause.c). */
#include "sidecar/lineage/lineage_internal.h"

/* A single integer is the number of an output. */
static bool position_of(struct walk *w, const PgQuery__Node *n, size_t *out)
{
    if (n->node_case != PG_QUERY__NODE__NODE_A_CONST ||
        n->a_const->val_case != PG_QUERY__A__CONST__VAL_IVAL) {
        return false;
    }
    int32_t position = n->a_const->ival->ival;
    w->reads_constants = true;
    *out = position < 1 ? 0 : (size_t)position;
    return true;
}

static struct value output_at(const struct columns *out, size_t position)
{
    if (out->is_open) {
        return columns_mix(out); /* a star may stand before it */
    }
    return position >= 1 && position <= out->count ? out->items[position - 1].value
                                                   : (struct value){0};
}

static const char *single_name(const PgQuery__Node *n)
{
    return n->node_case == PG_QUERY__NODE__NODE_COLUMN_REF && n->column_ref->n_fields == 1
               ? node_text(n->column_ref->fields[0])
               : NULL;
}

/* ORDER BY and DISTINCT ON: an output's name goes before a column's. */
static struct value ordered_value(struct walk *w, const PgQuery__Node *n, const struct columns *out)
{
    size_t position;
    if (position_of(w, n, &position)) {
        return output_at(out, position);
    }
    const char *name = single_name(n);
    struct value v = {0};
    enum find found = name == NULL ? FIND_NONE : columns_find(out, name, &v);
    if (found == FIND_SOME) {
        return v;
    }
    struct value expression = expr_value(w, n);
    return found == FIND_OPEN ? value_mix(v, expression) : expression;
}

struct value order_by(struct walk *w, const PgQuery__Node *n, const struct columns *out,
                      const char *where)
{
    struct value v;
    if (n == NULL) {
        v = note_unknown(w, "a part of %s is missing", where);
    } else if (n->node_case == PG_QUERY__NODE__NODE_SORT_BY) {
        v = ordered_value(w, n->sort_by->node, out);
        if (n->sort_by->n_use_op > 0) {
            const char *schema = NULL;
            const char *name = names_last(n->sort_by->n_use_op, n->sort_by->use_op, &schema);
            operator_check(w, schema, name, &v);
        }
    } else {
        v = ordered_value(w, n, out);
    }
    note_filtered(w, v, where);
    return v;
}

/* GROUP BY: a column of this level goes before an output's name. */
static struct value grouped_value(struct walk *w, const PgQuery__Node *n, const struct columns *out)
{
    size_t position;
    if (position_of(w, n, &position)) {
        return output_at(out, position);
    }
    const char *name = single_name(n);
    struct value local = {0}, named = {0};
    if (name == NULL) {
        return expr_value(w, n);
    }
    enum find found = level_find(w->level, name, &local);
    if (found == FIND_SOME) {
        return local;
    }
    enum find output = columns_find(out, name, &named);
    struct value v = output == FIND_SOME ? named : value_mix(named, expr_value(w, n));
    return found == FIND_OPEN ? value_mix(local, v) : v;
}

static void group_items(struct walk *w, size_t count, PgQuery__Node *const *items,
                        const struct columns *out)
{
    for (size_t i = 0; i < count && w->failed == OK; i++) {
        group_by(w, items[i], out);
    }
}

void group_by(struct walk *w, const PgQuery__Node *n, const struct columns *out)
{
    if (n == NULL || !walk_enter(w)) {
        (void)note_unknown(w, "a part of %s is missing", "GROUP BY");
        return;
    }
    switch (n->node_case) {
    case PG_QUERY__NODE__NODE_GROUPING_SET:
        group_items(w, n->grouping_set->n_content, n->grouping_set->content, out);
        break;
    case PG_QUERY__NODE__NODE_ROW_EXPR:
        group_items(w, n->row_expr->n_args, n->row_expr->args, out);
        break;
    case PG_QUERY__NODE__NODE_LIST: group_items(w, n->list->n_items, n->list->items, out); break;
    default: note_filtered(w, grouped_value(w, n, out), "GROUP BY"); break;
    }
    walk_leave(w);
}
