/* Operators, casts and subqueries in expressions. */
#include <stdio.h>

#include "sidecar/lineage/lineage_internal.h"

/* What is not PostgreSQL's own may do anything, unless the policy says that it does not. */
void operator_check(struct walk *w, const char *schema, const char *name, struct value *v)
{
    if (!name_is_builtin(w, NAME_OF_OPERATOR, schema, name) &&
        !marks_trusts(w->marks, schema, name)) {
        struct value unknown = note_unknown(w, "the operator %s is not PostgreSQL's own", name);
        *v = value_mix(*v, unknown);
    }
}

static void operators_check(struct walk *w, const PgQuery__AExpr *e, struct value *v)
{
    static const char *const between[] = {"<", "<=", ">", ">="};
    switch (e->kind) {
    case PG_QUERY__A__EXPR__KIND__AEXPR_BETWEEN:
    case PG_QUERY__A__EXPR__KIND__AEXPR_NOT_BETWEEN:
    case PG_QUERY__A__EXPR__KIND__AEXPR_BETWEEN_SYM:
    case PG_QUERY__A__EXPR__KIND__AEXPR_NOT_BETWEEN_SYM:
        for (size_t i = 0; i < sizeof(between) / sizeof(between[0]); i++) {
            operator_check(w, NULL, between[i], v);
        }
        break;
    default: {
        const char *schema = NULL;
        const char *name = names_last(e->n_name, e->name, &schema);
        operator_check(w, schema, name, v);
        break;
    }
    }
}

/* Arrays and JSON do not fit each other in every shape. */
static bool joins_structures(struct value v)
{
    const char *type = v.column == NULL ? "" : v.column->type_name;
    return strstr(type, "[]") != NULL || strstr(type, "json") != NULL;
}

/* Operators that no value makes fail. Fields of JSON are looked up by their right side, which is
 * why that must not be marked: it would be compared. */
static bool operator_is_total(const struct walk *w, const PgQuery__AExpr *e, struct value right,
                              struct value all)
{
    static const char *const fields[] = {"->", "->>", "#>", "#>>"};
    const char *schema = NULL;
    const char *name = names_last(e->n_name, e->name, &schema);
    if (e->kind != PG_QUERY__A__EXPR__KIND__AEXPR_OP ||
        catalog_operator_may_fail(marks_catalog(w->marks), schema, name)) {
        return false;
    }
    if (strcmp(name, "||") == 0) {
        return !joins_structures(all);
    }
    for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
        if (strcmp(name, fields[i]) == 0) {
            return right.rules == 0;
        }
    }
    return false;
}

/* In a chain (`a || b || c ...`) the left side is as deep as the chain is long. */
struct value operator_value(struct walk *w, const PgQuery__AExpr *e)
{
    struct value left = {0}, right = {0};
    if (e->lexpr != NULL) {
        left = expr_value(w, e->lexpr);
    }
    if (e->rexpr != NULL) {
        right = expr_value(w, e->rexpr);
    }
    struct value v = value_computed(value_mix(left, right));
    if (!operator_is_total(w, e, right, v)) {
        const char *schema = NULL;
        char where[80];
        (void)snprintf(where, sizeof(where), "an operator (%.60s)",
                       names_last(e->n_name, e->name, &schema));
        note_filtered(w, v, where);
    }
    operators_check(w, e, &v);
    return v;
}

/* ---- subqueries ------------------------------------------------------------------------------ */

static struct value compared_value(struct walk *w, const PgQuery__SubLink *s,
                                   const struct columns *out)
{
    struct value v = columns_mix(out);
    if (s->testexpr != NULL) {
        v = value_mix(v, expr_value(w, s->testexpr));
    }
    v = value_computed(v);
    note_filtered(w, v, "a comparison with a subquery");
    const char *schema = NULL;
    const char *name =
        s->n_oper_name == 0 ? "=" : names_last(s->n_oper_name, s->oper_name, &schema);
    operator_check(w, schema, name, &v);
    return v;
}

struct value sublink_value(struct walk *w, const PgQuery__SubLink *s)
{
    struct columns out = {0};
    query_any(w, s->subselect, &out);
    switch (s->sub_link_type) {
    case PG_QUERY__SUB_LINK_TYPE__EXISTS_SUBLINK: return (struct value){0};
    case PG_QUERY__SUB_LINK_TYPE__ANY_SUBLINK:
    case PG_QUERY__SUB_LINK_TYPE__ALL_SUBLINK: return compared_value(w, s, &out);
    case PG_QUERY__SUB_LINK_TYPE__EXPR_SUBLINK:
        return out.count == 1 && !out.is_open ? out.items[0].value
                                              : value_computed(columns_mix(&out));
    case PG_QUERY__SUB_LINK_TYPE__ARRAY_SUBLINK: return value_computed(columns_mix(&out));
    default: return note_unknown(w, "a part of %s is not known", "a subquery");
    }
}

/* ---- casts ----------------------------------------------------------------------------------- */

static bool cast_is_total(const PgQuery__TypeCast *c, const char *name)
{
    static const char *const names[] = {"bpchar", "char", "name", "text", "varchar"};
    if (c->type_name->n_array_bounds > 0) {
        return false;
    }
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (strcmp(names[i], name) == 0) {
            return true;
        }
    }
    return false;
}

/* A string is read by the type's input function, and that runs the CHECK of a domain within an
 * array or a row, or the comparison of a range: already when the text is parsed. NULL is read by
 * none, but a domain's CHECK is asked of it, too. */
static bool is_null(const PgQuery__Node *n)
{
    return n->node_case == PG_QUERY__NODE__NODE_A_CONST && n->a_const->isnull;
}

/* A row of NULL runs nothing, and says what others are to be made of (json_populate_record): that
 * runs what writing the relation would. */
static bool is_harmless_null(struct walk *w, const PgQuery__Node *n, const char *schema,
                             const char *name)
{
    const struct catalog_relation *r =
        is_null(n) && !w->is_stale ? catalog_row_type(marks_catalog(w->marks), schema, name) : NULL;
    return r != NULL && writing_check(w, r);
}

struct value cast_value(struct walk *w, const PgQuery__TypeCast *c)
{
    if (c->arg == NULL || c->type_name == NULL) {
        return note_unknown(w, "a part of %s is missing", "a cast");
    }
    const char *schema = NULL;
    const char *name = names_last(c->type_name->n_names, c->type_name->names, &schema);
    struct value v = value_computed(expr_value(w, c->arg));
    cast_check_type(w, c->type_name, &v);
    if (type_is_foreign(w, schema, name) && !is_harmless_null(w, c->arg, schema, name)) {
        return value_mix(v, note_unknown(w, "the type %s is not PostgreSQL's own", name));
    }
    if (!cast_is_total(c, name)) {
        note_filtered(w, v, "a cast that may fail on it");
    }
    return v;
}
