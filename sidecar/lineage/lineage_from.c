/* FROM: what each item of it makes visible (transformFromClause, parse_clause.c). */
#include "sidecar/lineage/lineage_internal.h"

struct item *item_new(struct walk *w, const char *name)
{
    struct item *i = walk_alloc(w, sizeof(*i));
    if (i != NULL) {
        i->name = name;
        i->is_name_visible = i->are_columns_visible = true;
    }
    return i;
}

void names_add(struct walk *w, struct names *names, struct item *i)
{
    if (names->count == names->capacity) {
        size_t capacity = names->capacity == 0 ? 8 : names->capacity * 2;
        struct item **more = walk_alloc(w, capacity * sizeof(struct item *));
        if (more == NULL) {
            return;
        }
        if (names->count > 0) {
            memcpy(more, names->items, names->count * sizeof(struct item *));
        }
        names->items = more;
        names->capacity = capacity;
    }
    names->items[names->count++] = i;
}

void names_set_lateral(struct names *names, bool is_lateral_only)
{
    for (size_t i = 0; i < names->count; i++) {
        names->items[i]->is_lateral_only = is_lateral_only;
    }
}

static void item_unknown(struct item *i, struct value v)
{
    i->columns = (struct columns){.is_open = true, .rest = v};
}

static void alias_apply(struct walk *w, struct item *i, const PgQuery__Alias *alias)
{
    if (alias != NULL) {
        i->name = alias->aliasname;
        i->relation = NULL;
        columns_rename(w, &i->columns, alias->n_colnames, alias->colnames);
    }
}

/* ---- relations ------------------------------------------------------------------------------- */

static struct item *relation_item(struct walk *w, const PgQuery__RangeVar *r)
{
    struct item *i = item_new(w, r->relname);
    if (i == NULL) {
        return NULL;
    }
    bool is_bare = r->schemaname[0] == '\0' && r->catalogname[0] == '\0';
    if (!is_bare || !cte_columns(w, r->relname, &i->columns)) {
        const struct catalog_relation *found = relation_find(w, r->schemaname, r->relname);
        if (found == NULL) {
            item_unknown(i, (struct value){.origin = LINEAGE_UNKNOWN});
        } else {
            relation_columns(w, found, &i->columns);
            i->relation = found;
            i->has_system_columns = found->kind != CATALOG_VIEW;
        }
    }
    alias_apply(w, i, r->alias);
    return i;
}

static struct item *subquery_item(struct walk *w, const PgQuery__RangeSubselect *s)
{
    struct item *i = item_new(w, "");
    if (i == NULL) {
        return NULL;
    }
    bool saved = w->level->is_lateral_active;
    w->level->is_lateral_active = s->lateral;
    query_any(w, s->subquery, &i->columns);
    w->level->is_lateral_active = saved;
    alias_apply(w, i, s->alias);
    return i;
}

/* ---- functions ------------------------------------------------------------------------------- */

static void columns_define(struct walk *w, struct columns *c, size_t count,
                           PgQuery__Node *const *definitions, struct value v)
{
    for (size_t i = 0; i < count && w->failed == OK; i++) {
        const PgQuery__Node *n = definitions[i];
        bool is_column = n->node_case == PG_QUERY__NODE__NODE_COLUMN_DEF;
        struct value defined = v;
        if (is_column) {
            type_check_read(w, n->column_def->type_name, &defined);
        }
        columns_add(w, c, is_column ? n->column_def->colname : "", defined);
    }
}

static const char *call_name(const PgQuery__Node *n)
{
    if (n->node_case != PG_QUERY__NODE__NODE_FUNC_CALL) {
        return "";
    }
    const char *schema = NULL;
    return names_last(n->func_call->n_funcname, n->func_call->funcname, &schema);
}

/* One function of ROWS FROM: a List of the call and its column definitions. What a function
 * returns is not in the catalog: but for those with a list, there may be any columns. */
static void function_columns(struct walk *w, const PgQuery__Node *n, const char *alias,
                             struct columns *out)
{
    if (n->node_case != PG_QUERY__NODE__NODE_LIST || n->list->n_items == 0) {
        out->rest = value_mix(out->rest, note_unknown(w, "a part of %s is not known", "FROM"));
        out->is_open = true;
        return;
    }
    const PgQuery__Node *call = n->list->items[0];
    const PgQuery__Node *definitions = n->list->n_items > 1 ? n->list->items[1] : NULL;
    struct value v = value_computed(expr_value(w, call));
    const char *name = call_name(call);
    if (definitions != NULL && definitions->node_case == PG_QUERY__NODE__NODE_LIST &&
        definitions->list->n_items > 0) {
        columns_define(w, out, definitions->list->n_items, definitions->list->items, v);
        return;
    }
    const char *column = function_column(name, alias);
    if (column != NULL) {
        columns_add(w, out, column, v);
    } else {
        out->is_open = true;
        out->rest = value_mix(out->rest, v);
    }
}

/* What stands for an alias: the first function's name. */
static const char *functions_name(const PgQuery__RangeFunction *f)
{
    const PgQuery__Node *n = f->n_functions == 0 ? NULL : f->functions[0];
    bool is_call = n != NULL && n->node_case == PG_QUERY__NODE__NODE_LIST && n->list->n_items > 0;
    return is_call ? output_name(n->list->items[0]) : "";
}

static struct item *function_item(struct walk *w, const PgQuery__RangeFunction *f)
{
    const char *alias = f->alias == NULL ? NULL : f->alias->aliasname;
    struct item *i = item_new(w, alias != NULL ? alias : functions_name(f));
    if (i == NULL) {
        return NULL;
    }
    bool saved = w->level->is_lateral_active;
    w->level->is_lateral_active = true; /* functions see what is before them, LATERAL or not */
    for (size_t k = 0; k < f->n_functions && w->failed == OK; k++) {
        function_columns(w, f->functions[k], f->n_functions == 1 ? alias : NULL, &i->columns);
    }
    w->level->is_lateral_active = saved;
    if (i->columns.is_open) {
        i->columns.rest = columns_mix(&i->columns);
        for (size_t k = 0; k < i->columns.count; k++) {
            i->columns.items[k].value = i->columns.rest;
        }
    }
    if (f->n_coldeflist > 0) {
        struct columns defined = {0};
        columns_define(w, &defined, f->n_coldeflist, f->coldeflist, columns_mix(&i->columns));
        i->columns = defined;
    }
    /* Behind an unknown number of columns its place, and with it its value, is not known. */
    if (f->ordinality) {
        columns_add(w, &i->columns, "ordinality",
                    i->columns.is_open ? columns_mix(&i->columns) : (struct value){0});
    }
    alias_apply(w, i, f->alias);
    return i;
}

/* XMLTABLE. */
static struct item *table_function_item(struct walk *w, const PgQuery__RangeTableFunc *f)
{
    struct item *i = item_new(w, "xmltable");
    if (i == NULL) {
        return NULL;
    }
    bool saved = w->level->is_lateral_active;
    w->level->is_lateral_active = true;
    struct value v = value_mix(expr_value(w, f->docexpr), expr_value(w, f->rowexpr));
    for (size_t k = 0; k < f->n_namespaces && w->failed == OK; k++) {
        const PgQuery__Node *n = f->namespaces[k];
        v = value_mix(v, expr_value(w, n->node_case == PG_QUERY__NODE__NODE_RES_TARGET
                                           ? n->res_target->val
                                           : n));
    }
    for (size_t k = 0; k < f->n_columns && w->failed == OK; k++) {
        const PgQuery__Node *n = f->columns[k];
        if (n->node_case != PG_QUERY__NODE__NODE_RANGE_TABLE_FUNC_COL) {
            v = value_mix(v, note_unknown(w, "a part of %s is not known", "XMLTABLE"));
            continue;
        }
        const PgQuery__RangeTableFuncCol *c = n->range_table_func_col;
        if (c->colexpr != NULL) {
            v = value_mix(v, expr_value(w, c->colexpr));
        }
        if (c->coldefexpr != NULL) {
            v = value_mix(v, expr_value(w, c->coldefexpr));
        }
        type_check_read(w, c->type_name, &v);
        columns_add(w, &i->columns, c->colname, (struct value){0});
    }
    w->level->is_lateral_active = saved;
    if (v.rules != 0) {
        v = value_mix(v,
                      note_unknown(w, "what %s makes of masked columns is not known", "XMLTABLE"));
    }
    for (size_t k = 0; k < i->columns.count; k++) {
        i->columns.items[k].value = v;
    }
    alias_apply(w, i, f->alias);
    return i;
}

static struct item *sample_item(struct walk *w, const PgQuery__RangeTableSample *s,
                                struct names *out)
{
    struct item *i = from_item(w, s->relation, out);
    const char *schema = NULL;
    const char *name = names_last(s->n_method, s->method, &schema);
    if (!name_is_builtin(w, NAME_OF_FUNCTION, schema, name)) {
        (void)note_unknown(w, "the function %s is not PostgreSQL's own", name);
    }
    note_filtered(w, expr_values(w, s->n_args, s->args), "TABLESAMPLE");
    expr_filter(w, s->repeatable, "TABLESAMPLE");
    return i;
}

/* ---- the clause ------------------------------------------------------------------------------ */

static struct item *plain_item(struct walk *w, const PgQuery__Node *n)
{
    switch (n->node_case) {
    case PG_QUERY__NODE__NODE_RANGE_VAR: return relation_item(w, n->range_var);
    case PG_QUERY__NODE__NODE_RANGE_SUBSELECT: return subquery_item(w, n->range_subselect);
    case PG_QUERY__NODE__NODE_RANGE_FUNCTION: return function_item(w, n->range_function);
    case PG_QUERY__NODE__NODE_RANGE_TABLE_FUNC: return table_function_item(w, n->range_table_func);
    default: {
        struct item *i = item_new(w, "");
        if (i != NULL) {
            item_unknown(i, note_unknown(w, "a part of %s is not known", "FROM"));
        }
        return i;
    }
    }
}

static struct item *guarded_item(struct walk *w, const PgQuery__Node *n, struct names *out)
{
    if (n->node_case == PG_QUERY__NODE__NODE_JOIN_EXPR) {
        return join_item(w, n->join_expr, out);
    }
    if (n->node_case == PG_QUERY__NODE__NODE_RANGE_TABLE_SAMPLE) {
        return sample_item(w, n->range_table_sample, out);
    }
    struct item *i = plain_item(w, n);
    if (i != NULL) {
        names_add(w, out, i);
    }
    return i;
}

struct item *from_item(struct walk *w, const PgQuery__Node *n, struct names *out)
{
    struct item *i = NULL;
    if (n == NULL) {
        i = item_new(w, "");
        if (i != NULL) {
            item_unknown(i, note_unknown(w, "a part of %s is missing", "FROM"));
        }
    } else if (walk_enter(w)) {
        i = guarded_item(w, n, out);
        walk_leave(w);
    }
    return i;
}

void from_clause(struct walk *w, size_t count, PgQuery__Node *const *nodes)
{
    for (size_t i = 0; i < count && w->failed == OK; i++) {
        struct names added = {0};
        (void)from_item(w, nodes[i], &added);
        names_set_lateral(&added, true);
        for (size_t k = 0; k < added.count; k++) {
            names_add(w, &w->level->names, added.items[k]);
        }
    }
    names_set_lateral(&w->level->names, false);
}
