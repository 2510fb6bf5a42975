/* The name of an output that has none of its own: FigureColname (parse_target.c). */
#include "sidecar/lineage/lineage_internal.h"

/* How good a name is: a type's yields to a better one. */
enum strength { NAME_NONE, NAME_WEAK, NAME_STRONG };

static enum strength figure(const PgQuery__Node *n, const char **out);

static enum strength strong(const char **out, const char *name)
{
    *out = name;
    return NAME_STRONG;
}

/* The last field that is a name. */
static enum strength figure_fields(size_t count, PgQuery__Node *const *fields, const char **out)
{
    const char *name = NULL;
    for (size_t i = 0; i < count; i++) {
        const char *text = node_text(fields[i]);
        name = text == NULL ? name : text;
    }
    return name == NULL ? NAME_NONE : strong(out, name);
}

static enum strength figure_cast(const PgQuery__TypeCast *c, const char **out)
{
    enum strength s = figure(c->arg, out);
    if (s > NAME_WEAK || c->type_name == NULL || c->type_name->n_names == 0) {
        return s;
    }
    const char *schema = NULL;
    *out = names_last(c->type_name->n_names, c->type_name->names, &schema);
    return NAME_WEAK;
}

static enum strength figure_indirection(const PgQuery__AIndirection *a, const char **out)
{
    enum strength s = figure_fields(a->n_indirection, a->indirection, out);
    return s == NAME_NONE ? figure(a->arg, out) : s;
}

static enum strength figure_case(const PgQuery__CaseExpr *c, const char **out)
{
    enum strength s = figure(c->defresult, out);
    if (s > NAME_WEAK) {
        return s;
    }
    *out = "case";
    return NAME_WEAK;
}

/* A star or fields of a row: named by the columns that it stands for. */
static bool is_star(const PgQuery__Node *n)
{
    return column_is_star(n) || expr_is_field_star(n);
}

/* The first output of a scalar subquery, of its leftmost query. */
static enum strength figure_subquery(const PgQuery__Node *n, const char **out)
{
    if (n == NULL || n->node_case != PG_QUERY__NODE__NODE_SELECT_STMT) {
        return NAME_NONE;
    }
    const PgQuery__SelectStmt *s = n->select_stmt;
    while (s->larg != NULL) {
        s = s->larg;
    }
    if (s->n_values_lists > 0) {
        return strong(out, "column1");
    }
    if (s->n_target_list == 0 || s->target_list[0]->node_case != PG_QUERY__NODE__NODE_RES_TARGET) {
        return NAME_NONE;
    }
    const PgQuery__ResTarget *t = s->target_list[0]->res_target;
    if (is_star(t->val)) {
        return strong(out, "");
    }
    const char *name = t->name[0] != '\0' ? t->name : output_name(t->val);
    return strong(out, name);
}

static enum strength figure_sublink(const PgQuery__SubLink *s, const char **out)
{
    switch (s->sub_link_type) {
    case PG_QUERY__SUB_LINK_TYPE__EXISTS_SUBLINK: return strong(out, "exists");
    case PG_QUERY__SUB_LINK_TYPE__ARRAY_SUBLINK: return strong(out, "array");
    case PG_QUERY__SUB_LINK_TYPE__EXPR_SUBLINK: return figure_subquery(s->subselect, out);
    default: return NAME_NONE;
    }
}

static enum strength figure_value_function(const PgQuery__SQLValueFunction *f, const char **out)
{
    static const char *const names[] = {
        [PG_QUERY__SQLVALUE_FUNCTION_OP__SVFOP_CURRENT_DATE] = "current_date",
        [PG_QUERY__SQLVALUE_FUNCTION_OP__SVFOP_CURRENT_TIME] = "current_time",
        [PG_QUERY__SQLVALUE_FUNCTION_OP__SVFOP_CURRENT_TIME_N] = "current_time",
        [PG_QUERY__SQLVALUE_FUNCTION_OP__SVFOP_CURRENT_TIMESTAMP] = "current_timestamp",
        [PG_QUERY__SQLVALUE_FUNCTION_OP__SVFOP_CURRENT_TIMESTAMP_N] = "current_timestamp",
        [PG_QUERY__SQLVALUE_FUNCTION_OP__SVFOP_LOCALTIME] = "localtime",
        [PG_QUERY__SQLVALUE_FUNCTION_OP__SVFOP_LOCALTIME_N] = "localtime",
        [PG_QUERY__SQLVALUE_FUNCTION_OP__SVFOP_LOCALTIMESTAMP] = "localtimestamp",
        [PG_QUERY__SQLVALUE_FUNCTION_OP__SVFOP_LOCALTIMESTAMP_N] = "localtimestamp",
        [PG_QUERY__SQLVALUE_FUNCTION_OP__SVFOP_CURRENT_ROLE] = "current_role",
        [PG_QUERY__SQLVALUE_FUNCTION_OP__SVFOP_CURRENT_USER] = "current_user",
        [PG_QUERY__SQLVALUE_FUNCTION_OP__SVFOP_USER] = "user",
        [PG_QUERY__SQLVALUE_FUNCTION_OP__SVFOP_SESSION_USER] = "session_user",
        [PG_QUERY__SQLVALUE_FUNCTION_OP__SVFOP_CURRENT_CATALOG] = "current_catalog",
        [PG_QUERY__SQLVALUE_FUNCTION_OP__SVFOP_CURRENT_SCHEMA] = "current_schema",
    };
    size_t op = (size_t)f->op;
    const char *name = op < sizeof(names) / sizeof(names[0]) ? names[op] : NULL;
    return name == NULL ? NAME_NONE : strong(out, name);
}

/* EXTRACT was date_part until PostgreSQL 14. */
static enum strength figure_call(const PgQuery__FuncCall *f, const char **out)
{
    const char *schema = NULL;
    const char *name = names_last(f->n_funcname, f->funcname, &schema);
    return strong(out, schema != NULL && strcmp(name, "extract") == 0 ? "" : name);
}

static enum strength figure_xml(const PgQuery__XmlExpr *x, const char **out)
{
    static const char *const names[] = {
        [PG_QUERY__XML_EXPR_OP__IS_XMLCONCAT] = "xmlconcat",
        [PG_QUERY__XML_EXPR_OP__IS_XMLELEMENT] = "xmlelement",
        [PG_QUERY__XML_EXPR_OP__IS_XMLFOREST] = "xmlforest",
        [PG_QUERY__XML_EXPR_OP__IS_XMLPARSE] = "xmlparse",
        [PG_QUERY__XML_EXPR_OP__IS_XMLPI] = "xmlpi",
        [PG_QUERY__XML_EXPR_OP__IS_XMLROOT] = "xmlroot",
    };
    size_t op = (size_t)x->op;
    const char *name = op < sizeof(names) / sizeof(names[0]) ? names[op] : NULL;
    return name == NULL ? NAME_NONE : strong(out, name);
}

static enum strength figure(const PgQuery__Node *n, const char **out)
{
    if (n == NULL) {
        return NAME_NONE;
    }
    switch (n->node_case) {
    case PG_QUERY__NODE__NODE_A_CONST: /* TRUE was a cast, and named bool, until PostgreSQL 15 */
        return n->a_const->val_case == PG_QUERY__A__CONST__VAL_BOOLVAL ? strong(out, "")
                                                                       : NAME_NONE;
    case PG_QUERY__NODE__NODE_COLUMN_REF:
        return figure_fields(n->column_ref->n_fields, n->column_ref->fields, out);
    case PG_QUERY__NODE__NODE_A_INDIRECTION: return figure_indirection(n->a_indirection, out);
    case PG_QUERY__NODE__NODE_FUNC_CALL: return figure_call(n->func_call, out);
    case PG_QUERY__NODE__NODE_A_EXPR:
        return n->a_expr->kind == PG_QUERY__A__EXPR__KIND__AEXPR_NULLIF ? strong(out, "nullif")
                                                                        : NAME_NONE;
    case PG_QUERY__NODE__NODE_TYPE_CAST: return figure_cast(n->type_cast, out);
    case PG_QUERY__NODE__NODE_COLLATE_CLAUSE: return figure(n->collate_clause->arg, out);
    case PG_QUERY__NODE__NODE_GROUPING_FUNC: return strong(out, "grouping");
    case PG_QUERY__NODE__NODE_SUB_LINK: return figure_sublink(n->sub_link, out);
    case PG_QUERY__NODE__NODE_CASE_EXPR: return figure_case(n->case_expr, out);
    case PG_QUERY__NODE__NODE_A_ARRAY_EXPR: return strong(out, "array");
    case PG_QUERY__NODE__NODE_ROW_EXPR: return strong(out, "row");
    case PG_QUERY__NODE__NODE_COALESCE_EXPR: return strong(out, "coalesce");
    case PG_QUERY__NODE__NODE_MIN_MAX_EXPR:
        return strong(out, n->min_max_expr->op == PG_QUERY__MIN_MAX_OP__IS_GREATEST ? "greatest"
                                                                                    : "least");
    case PG_QUERY__NODE__NODE_SQLVALUE_FUNCTION:
        return figure_value_function(n->sqlvalue_function, out);
    case PG_QUERY__NODE__NODE_XML_EXPR: return figure_xml(n->xml_expr, out);
    case PG_QUERY__NODE__NODE_XML_SERIALIZE: return strong(out, "xmlserialize");
    default: return NAME_NONE;
    }
}

const char *output_name(const PgQuery__Node *n)
{
    const char *name = "?column?";
    (void)figure(n, &name);
    return name;
}
