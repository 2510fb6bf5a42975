#include "cli/policy/result_names.h"

#include <pg_query.h>
#include <pg_query/pg_query.pb-c.h>
#include <stdlib.h>

static const char nameless[] = "?column?";

struct result_names {
    PgQuery__ParseResult *tree; /* owned */
};

enum err result_names_create(const char *sql, struct result_names **out)
{
    struct result_names *r = calloc(1, sizeof(*r));
    if (r == NULL) {
        return ERR_NO_MEMORY;
    }
    PgQueryProtobufParseResult parsed = pg_query_parse_protobuf(sql);
    enum err e = parsed.error != NULL ? ERR_INVALID : OK;
    if (e == OK) {
        r->tree = pg_query__parse_result__unpack(NULL, parsed.parse_tree.len,
                                                 (const uint8_t *)parsed.parse_tree.data);
        e = r->tree == NULL ? ERR_NO_MEMORY : OK;
    }
    pg_query_free_protobuf_parse_result(parsed);
    if (e != OK) {
        free(r);
        return e;
    }
    *out = r;
    return OK;
}

void result_names_destroy(struct result_names *r)
{
    if (r != NULL) {
        pg_query__parse_result__free_unpacked(r->tree, NULL);
        free(r);
    }
}

/* ---- one item ------------------------------------------------------------------------------ */

static const char *text_of(const PgQuery__Node *n)
{
    return n != NULL && n->node_case == PG_QUERY__NODE__NODE_STRING ? n->string->sval : NULL;
}

static const char *last_text(size_t count, PgQuery__Node *const *nodes)
{
    return count == 0 ? NULL : text_of(nodes[count - 1]);
}

/* What `(SELECT a FROM t)` is the value of: `a`, which may have a name of its own. */
static const PgQuery__Node *selected_by(const PgQuery__SubLink *s)
{
    const PgQuery__Node *n = s->subselect;
    bool is_value = s->sub_link_type == PG_QUERY__SUB_LINK_TYPE__EXPR_SUBLINK && n != NULL &&
                    n->node_case == PG_QUERY__NODE__NODE_SELECT_STMT;
    return is_value && n->select_stmt->n_target_list > 0 ? n->select_stmt->target_list[0] : NULL;
}

/* What an expression is made around: `(a::text)` is called as `a`. NULL: nothing. */
static const PgQuery__Node *inner_of(const PgQuery__Node *n)
{
    switch (n->node_case) {
    case PG_QUERY__NODE__NODE_TYPE_CAST: return n->type_cast->arg;
    case PG_QUERY__NODE__NODE_COLLATE_CLAUSE: return n->collate_clause->arg;
    case PG_QUERY__NODE__NODE_A_INDIRECTION: return n->a_indirection->arg;
    case PG_QUERY__NODE__NODE_CASE_EXPR: return n->case_expr->defresult;
    case PG_QUERY__NODE__NODE_SUB_LINK: return selected_by(n->sub_link);
    case PG_QUERY__NODE__NODE_RES_TARGET: return n->res_target->val;
    default: return NULL;
    }
}

/* The name that a node has of itself; NULL: none. */
static const char *own_name(const PgQuery__Node *n)
{
    switch (n->node_case) {
    case PG_QUERY__NODE__NODE_COLUMN_REF:
        return last_text(n->column_ref->n_fields, n->column_ref->fields);
    case PG_QUERY__NODE__NODE_FUNC_CALL:
        return last_text(n->func_call->n_funcname, n->func_call->funcname);
    case PG_QUERY__NODE__NODE_A_INDIRECTION:
        return last_text(n->a_indirection->n_indirection, n->a_indirection->indirection);
    case PG_QUERY__NODE__NODE_COALESCE_EXPR: return "coalesce";
    case PG_QUERY__NODE__NODE_A_ARRAY_EXPR: return "array";
    case PG_QUERY__NODE__NODE_ROW_EXPR: return "row";
    case PG_QUERY__NODE__NODE_MIN_MAX_EXPR:
        return n->min_max_expr->op == PG_QUERY__MIN_MAX_OP__IS_LEAST ? "least" : "greatest";
    case PG_QUERY__NODE__NODE_A_EXPR:
        return n->a_expr->kind == PG_QUERY__A__EXPR__KIND__AEXPR_NULLIF ? "nullif" : NULL;
    case PG_QUERY__NODE__NODE_SUB_LINK:
        switch (n->sub_link->sub_link_type) {
        case PG_QUERY__SUB_LINK_TYPE__EXISTS_SUBLINK: return "exists";
        case PG_QUERY__SUB_LINK_TYPE__ARRAY_SUBLINK: return "array";
        default: return NULL;
        }
    case PG_QUERY__NODE__NODE_RES_TARGET: /* of a subquery */
        return n->res_target->name != NULL && n->res_target->name[0] != '\0' ? n->res_target->name
                                                                             : NULL;
    default: return NULL;
    }
}

static const char *expression_name(const PgQuery__Node *n)
{
    const char *weak = NULL; /* where nothing within it has a name */
    for (; n != NULL; n = inner_of(n)) {
        const char *name = own_name(n);
        if (name != NULL) {
            return name;
        }
        if (weak == NULL && n->node_case == PG_QUERY__NODE__NODE_TYPE_CAST &&
            n->type_cast->type_name != NULL) {
            weak = last_text(n->type_cast->type_name->n_names, n->type_cast->type_name->names);
        }
        if (weak == NULL && n->node_case == PG_QUERY__NODE__NODE_CASE_EXPR) {
            weak = "case";
        }
    }
    return weak == NULL ? nameless : weak;
}

static const char *target_name(const PgQuery__Node *n)
{
    return text_of(n) == NULL ? expression_name(n) : text_of(n); /* of COPY's list */
}

static bool ends_in_star(size_t count, PgQuery__Node *const *nodes)
{
    return count > 0 && nodes[count - 1]->node_case == PG_QUERY__NODE__NODE_A_STAR;
}

/* `*`, `t.*`, `(f(x)).*` */
static bool is_star(const PgQuery__Node *n)
{
    const PgQuery__Node *v =
        n != NULL && n->node_case == PG_QUERY__NODE__NODE_RES_TARGET ? n->res_target->val : NULL;
    if (v != NULL && v->node_case == PG_QUERY__NODE__NODE_COLUMN_REF) {
        return ends_in_star(v->column_ref->n_fields, v->column_ref->fields);
    }
    return v != NULL && v->node_case == PG_QUERY__NODE__NODE_A_INDIRECTION &&
           ends_in_star(v->a_indirection->n_indirection, v->a_indirection->indirection);
}

/* ---- the list ------------------------------------------------------------------------------ */

struct targets {
    size_t count;
    PgQuery__Node *const *items;
};

static struct targets targets_of_select(const PgQuery__SelectStmt *s)
{
    while (s->larg != NULL) { /* the first of a UNION gives the names */
        s = s->larg;
    }
    return (struct targets){.count = s->n_target_list, .items = s->target_list};
}

static struct targets targets_of(const PgQuery__Node *n)
{
    while (n != NULL) {
        switch (n->node_case) {
        case PG_QUERY__NODE__NODE_SELECT_STMT: return targets_of_select(n->select_stmt);
        case PG_QUERY__NODE__NODE_INSERT_STMT:
            return (struct targets){n->insert_stmt->n_returning_list,
                                    n->insert_stmt->returning_list};
        case PG_QUERY__NODE__NODE_UPDATE_STMT:
            return (struct targets){n->update_stmt->n_returning_list,
                                    n->update_stmt->returning_list};
        case PG_QUERY__NODE__NODE_DELETE_STMT:
            return (struct targets){n->delete_stmt->n_returning_list,
                                    n->delete_stmt->returning_list};
        case PG_QUERY__NODE__NODE_DECLARE_CURSOR_STMT: n = n->declare_cursor_stmt->query; break;
        case PG_QUERY__NODE__NODE_PREPARE_STMT: n = n->prepare_stmt->query; break;
        case PG_QUERY__NODE__NODE_COPY_STMT:
            if (n->copy_stmt->query == NULL) {
                return (struct targets){n->copy_stmt->n_attlist, n->copy_stmt->attlist};
            }
            n = n->copy_stmt->query;
            break;
        default: return (struct targets){0};
        }
    }
    return (struct targets){0};
}

const char *result_names_find(const struct result_names *r, size_t statement, size_t number,
                              size_t count, const char *origin)
{
    struct targets t = {0};
    if (statement < r->tree->n_stmts) {
        t = targets_of(r->tree->stmts[statement]->stmt);
    }
    size_t before = 0, behind = 0; /* the first star, and the last */
    while (before < t.count && !is_star(t.items[before])) {
        before++;
    }
    while (behind < t.count - before && !is_star(t.items[t.count - 1 - behind])) {
        behind++;
    }
    if (number < before) {
        return target_name(t.items[number]);
    }
    if (count >= before + behind && number >= count - behind && number < count) {
        return target_name(t.items[t.count - (count - number)]);
    }
    return origin == NULL ? nameless : origin;
}
