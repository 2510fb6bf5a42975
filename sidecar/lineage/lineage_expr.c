/* Expressions: the value of each node type that is understood. */
#include "sidecar/lineage/lineage_internal.h"

void expr_filter(struct walk *w, const PgQuery__Node *n, const char *where)
{
    if (n != NULL) {
        const char *outer = w->clause;
        w->clause = where;
        note_filtered(w, expr_value(w, n), where);
        w->clause = outer;
    }
}

/* What gives the same on every row, and fails on none or all. */
bool expr_is_constant(const PgQuery__Node *n)
{
    if (n->node_case == PG_QUERY__NODE__NODE_TYPE_CAST && n->type_cast->arg != NULL) {
        n = n->type_cast->arg;
    }
    return n->node_case == PG_QUERY__NODE__NODE_A_CONST;
}

bool expr_is_field_star(const PgQuery__Node *n)
{
    if (n == NULL || n->node_case != PG_QUERY__NODE__NODE_A_INDIRECTION) {
        return false;
    }
    const PgQuery__AIndirection *a = n->a_indirection;
    return a->n_indirection > 0 &&
           a->indirection[a->n_indirection - 1]->node_case == PG_QUERY__NODE__NODE_A_STAR;
}

/* AND, OR and COALESCE leave out what stands behind a value that decides: if that could fail, or
 * takes its time, it tells the value. */
static struct value short_circuit_value(struct walk *w, size_t count, PgQuery__Node *const *nodes,
                                        const char *where)
{
    struct value v = {0};
    for (size_t i = 0; i < count && w->failed == OK; i++) {
        if (!expr_is_constant(nodes[i])) {
            note_filtered(w, v, where);
        }
        v = value_mix(v, expr_value(w, nodes[i]));
    }
    return value_computed(v);
}

struct value expr_values(struct walk *w, size_t count, PgQuery__Node *const *nodes)
{
    struct value v = {0};
    for (size_t i = 0; i < count && w->failed == OK; i++) {
        v = value_mix(v, expr_value(w, nodes[i]));
    }
    return v;
}

/* What it shows depends on its condition too. */
static struct value case_value(struct walk *w, const PgQuery__CaseExpr *c)
{
    struct value condition = {0}, result = {0};
    if (c->arg != NULL) {
        condition = expr_value(w, c->arg);
        operator_check(w, NULL, "=", &condition);
    }
    for (size_t i = 0; i < c->n_args && w->failed == OK; i++) {
        const PgQuery__Node *n = c->args[i];
        if (n->node_case != PG_QUERY__NODE__NODE_CASE_WHEN) {
            return note_unknown(w, "a part of %s is not known", "CASE");
        }
        condition = value_mix(condition, expr_value(w, n->case_when->expr));
        result = value_mix(result, expr_value(w, n->case_when->result));
    }
    if (c->defresult != NULL) {
        result = value_mix(result, expr_value(w, c->defresult));
    }
    note_filtered(w, condition, "CASE");
    return value_mix(condition, result);
}

static struct value tested_value(struct walk *w, const PgQuery__Node *arg, const char *where)
{
    struct value v = value_computed(expr_value(w, arg));
    note_filtered(w, v, where);
    return v;
}

static struct value target_values(struct walk *w, size_t count, PgQuery__Node *const *nodes)
{
    struct value v = {0};
    for (size_t i = 0; i < count && w->failed == OK; i++) {
        const PgQuery__Node *n = nodes[i];
        v = value_mix(v, expr_value(w, n->node_case == PG_QUERY__NODE__NODE_RES_TARGET
                                           ? n->res_target->val
                                           : n));
    }
    return v;
}

static struct value xml_value(struct walk *w, const PgQuery__XmlExpr *x)
{
    struct value v = value_mix(target_values(w, x->n_named_args, x->named_args),
                               expr_values(w, x->n_args, x->args));
    if (x->op != PG_QUERY__XML_EXPR_OP__IS_XMLELEMENT &&
        x->op != PG_QUERY__XML_EXPR_OP__IS_XMLFOREST) {
        note_filtered(w, v, "an XML function that may fail on it");
    }
    return value_computed(v);
}

/* Subscripts choose: a marked one compares. */
static struct value indirection_value(struct walk *w, const PgQuery__AIndirection *a)
{
    struct value v = value_computed(expr_value(w, a->arg));
    for (size_t i = 0; i < a->n_indirection && w->failed == OK; i++) {
        const PgQuery__Node *n = a->indirection[i];
        switch (n->node_case) {
        case PG_QUERY__NODE__NODE_STRING:
        case PG_QUERY__NODE__NODE_A_STAR: break;
        case PG_QUERY__NODE__NODE_A_INDICES: {
            struct value index = {0};
            if (n->a_indices->lidx != NULL) {
                index = expr_value(w, n->a_indices->lidx);
            }
            if (n->a_indices->uidx != NULL) {
                index = value_mix(index, expr_value(w, n->a_indices->uidx));
            }
            note_filtered(w, index, "a subscript");
            v = value_mix(v, index);
            break;
        }
        default: return note_unknown(w, "a part of %s is not known", "an expression");
        }
    }
    return v;
}

/* `(x).name` is a column of a row, or a call: name(x). */
static struct value field_value(struct walk *w, const PgQuery__AIndirection *a)
{
    struct value v = indirection_value(w, a);
    bool is_row = a->arg != NULL && column_is_row(w, a->arg);
    for (size_t i = 0; i < a->n_indirection; i++) {
        const char *name = node_text(a->indirection[i]);
        if (name != NULL) {
            v = is_row ? field_value_of(w, name, v) : notation_value(w, name, v);
        }
        is_row = false;
    }
    return v;
}

static struct value node_value(struct walk *w, const PgQuery__Node *n)
{
    switch (n->node_case) {
    case PG_QUERY__NODE__NODE_A_CONST:
    case PG_QUERY__NODE__NODE_PARAM_REF:
    case PG_QUERY__NODE__NODE_SQLVALUE_FUNCTION:
    case PG_QUERY__NODE__NODE_SET_TO_DEFAULT:
    case PG_QUERY__NODE__NODE_CURRENT_OF_EXPR: return (struct value){0};
    case PG_QUERY__NODE__NODE_COLUMN_REF: return column_value(w, n->column_ref);
    case PG_QUERY__NODE__NODE_A_EXPR: return operator_value(w, n->a_expr);
    case PG_QUERY__NODE__NODE_BOOL_EXPR:
        return short_circuit_value(w, n->bool_expr->n_args, n->bool_expr->args, "AND or OR");
    case PG_QUERY__NODE__NODE_NULL_TEST: return tested_value(w, n->null_test->arg, "IS NULL");
    case PG_QUERY__NODE__NODE_BOOLEAN_TEST:
        return tested_value(w, n->boolean_test->arg, "a test of its truth");
    case PG_QUERY__NODE__NODE_CASE_EXPR: return case_value(w, n->case_expr);
    case PG_QUERY__NODE__NODE_COALESCE_EXPR:
        return short_circuit_value(w, n->coalesce_expr->n_args, n->coalesce_expr->args, "COALESCE");
    case PG_QUERY__NODE__NODE_MIN_MAX_EXPR:
        return value_computed(expr_values(w, n->min_max_expr->n_args, n->min_max_expr->args));
    case PG_QUERY__NODE__NODE_ROW_EXPR:
        return value_computed(expr_values(w, n->row_expr->n_args, n->row_expr->args));
    case PG_QUERY__NODE__NODE_A_ARRAY_EXPR:
        return value_computed(
            expr_values(w, n->a_array_expr->n_elements, n->a_array_expr->elements));
    case PG_QUERY__NODE__NODE_LIST: return expr_values(w, n->list->n_items, n->list->items);
    case PG_QUERY__NODE__NODE_A_INDIRECTION: return field_value(w, n->a_indirection);
    case PG_QUERY__NODE__NODE_TYPE_CAST: return cast_value(w, n->type_cast);
    case PG_QUERY__NODE__NODE_COLLATE_CLAUSE:
        return value_computed(expr_value(w, n->collate_clause->arg));
    case PG_QUERY__NODE__NODE_SUB_LINK: return sublink_value(w, n->sub_link);
    case PG_QUERY__NODE__NODE_FUNC_CALL: return call_value(w, n->func_call);
    case PG_QUERY__NODE__NODE_NAMED_ARG_EXPR: return expr_value(w, n->named_arg_expr->arg);
    case PG_QUERY__NODE__NODE_GROUPING_FUNC:
        return value_computed(expr_values(w, n->grouping_func->n_args, n->grouping_func->args));
    case PG_QUERY__NODE__NODE_XML_EXPR: return xml_value(w, n->xml_expr);
    case PG_QUERY__NODE__NODE_XML_SERIALIZE: {
        struct value v = value_computed(expr_value(w, n->xml_serialize->expr));
        type_check_read(w, n->xml_serialize->type_name, &v);
        return v;
    }
    case PG_QUERY__NODE__NODE_MULTI_ASSIGN_REF: return expr_value(w, n->multi_assign_ref->source);
    default: return note_unknown(w, "a part of %s is not known", "an expression");
    }
}

struct value expr_value(struct walk *w, const PgQuery__Node *n)
{
    if (n == NULL) {
        return note_unknown(w, "a part of %s is missing", "an expression");
    }
    struct value v = {.origin = LINEAGE_UNKNOWN};
    if (walk_enter(w)) {
        v = node_value(w, n);
        cast_check_anywhere(w, &v);
        walk_leave(w);
    }
    return v;
}
