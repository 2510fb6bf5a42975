#include "sidecar/sql/sql_scope.h"

#include <stdlib.h>

/* More than a statement that people write has; resolving costs this much for each name. Beyond it
 * every table counts as used with all its columns. */
enum { ITEMS_MAX = 1024 };

/* --- levels ---------------------------------------------------------------------------- */

void level_open(struct walk *w, struct level *l)
{
    *l = (struct level){.outer = w->level};
    l->visible = l->outer == NULL ? 0 : l->outer->visible;
    w->level = l;
}

/* The set of columns of an item's object, which is found with it. */
static struct column_set *item_set(struct walk *w, struct scope_item *i)
{
    if (i->object == NO_OBJECT) {
        i->object = walk_find_range(w, SQL_TABLE, i->access, i->table);
    }
    return i->object == NO_OBJECT ? NULL : &w->found[i->object].columns;
}

void level_close(struct walk *w, struct level *l)
{
    bool is_used = l->bare.count > 0 || l->bare.all || w->is_vague;
    for (uint32_t i = 0; is_used && i < l->count && w->failed == OK; i++) {
        struct scope_item *item = &l->items[i];
        struct column_set *set = item->table == NULL ? NULL : item_set(w, item);
        if (set == NULL) {
            continue;
        }
        set->all = set->all || item->is_renamed || w->is_vague;
        column_set_merge(&w->columns, set, &l->bare);
    }
    if (l->outer != NULL && !w->is_vague) {
        column_set_merge(&w->columns, &l->outer->bare, &l->bare);
    }
    w->level = l->outer;
}

static struct scope_item *item_add(struct walk *w, const char *name)
{
    struct level *l = w->level;
    if (l->count == l->capacity) {
        uint32_t capacity = l->capacity == 0 ? 8 : l->capacity * 2;
        struct scope_item *more = arena_alloc(w->columns.scratch, capacity * sizeof(*more));
        if (more == NULL) {
            w->failed = ERR_NO_MEMORY;
            return NULL;
        }
        if (l->count > 0) {
            memcpy(more, l->items, l->count * sizeof(*more));
        }
        l->items = more;
        l->capacity = capacity;
    }
    w->is_vague = w->is_vague || ++l->visible > ITEMS_MAX;
    struct scope_item *i = &l->items[l->count++];
    *i = (struct scope_item){.object = NO_OBJECT};
    i->name = name == NULL || name[0] == '\0' ? 0 : columns_intern(&w->columns, name);
    return i;
}

void level_add_name(struct walk *w, const char *name)
{
    (void)item_add(w, name);
}

static void table_add(struct walk *w, const PgQuery__RangeVar *r, enum sql_access access,
                      bool at_once)
{
    const PgQuery__Alias *a = r->alias;
    struct scope_item *i = item_add(w, a == NULL ? r->relname : a->aliasname);
    if (i == NULL) {
        return;
    }
    i->table = r;
    i->access = access;
    i->is_renamed = a != NULL && a->n_colnames > 0;
    if (at_once) {
        (void)item_set(w, i);
    }
}

void level_add_target(struct walk *w, const PgQuery__RangeVar *target, enum sql_access access)
{
    if (target != NULL) {
        table_add(w, target, access, false);
    }
}

/* --- FROM ------------------------------------------------------------------------------ */

/* Returns its alias, or the name that the grammar gives it. */
static const char *range_name(const PgQuery__Node *n)
{
    const PgQuery__Alias *a = NULL;
    switch (n->node_case) {
    case PG_QUERY__NODE__NODE_RANGE_SUBSELECT: a = n->range_subselect->alias; break;
    case PG_QUERY__NODE__NODE_RANGE_TABLE_FUNC: a = n->range_table_func->alias; break;
    case PG_QUERY__NODE__NODE_RANGE_FUNCTION: a = n->range_function->alias; break;
    default: break;
    }
    if (a != NULL || n->node_case != PG_QUERY__NODE__NODE_RANGE_FUNCTION ||
        n->range_function->n_functions == 0) {
        return a == NULL ? NULL : a->aliasname;
    }
    /* A function without an alias is called by its own name; each comes in a list with its columns.
     */
    const PgQuery__Node *f = n->range_function->functions[0];
    while (f->node_case == PG_QUERY__NODE__NODE_LIST && f->list->n_items > 0) {
        f = f->list->items[0];
    }
    return f->node_case == PG_QUERY__NODE__NODE_FUNC_CALL && f->func_call->n_funcname > 0
               ? node_string(f->func_call->funcname[f->func_call->n_funcname - 1])
               : NULL;
}

static void from_add(struct walk *w, const PgQuery__Node *n);

static void tables_use(struct walk *w, uint32_t first, uint32_t end, const char *column)
{
    struct level *l = w->level;
    for (uint32_t i = first; i < end && !w->is_vague; i++) {
        struct scope_item *item = &l->items[i];
        struct column_set *set = item->table == NULL ? NULL : item_set(w, item);
        if (set == NULL) {
            continue;
        }
        if (column == NULL || item->is_renamed) {
            set->all = true;
        } else {
            column_set_add_text(&w->columns, set, column);
        }
    }
}

static void join_add(struct walk *w, const PgQuery__JoinExpr *j)
{
    uint32_t first = w->level->count;
    from_add(w, j->larg);
    from_add(w, j->rarg);
    uint32_t end = w->level->count;
    if (j->is_natural) {
        tables_use(w, first, end, NULL);
    }
    for (size_t i = 0; i < j->n_using_clause; i++) {
        tables_use(w, first, end, node_string(j->using_clause[i]));
    }
    const PgQuery__Alias *aliases[] = {j->alias, j->join_using_alias};
    for (size_t i = 0; i < 2 && w->failed == OK; i++) {
        struct scope_item *item = aliases[i] == NULL ? NULL : item_add(w, aliases[i]->aliasname);
        if (item != NULL) {
            item->is_join = true;
            item->first = first;
            item->is_renamed = aliases[i]->n_colnames > 0;
        }
    }
    if (j->alias != NULL && j->alias->n_colnames > 0) {
        tables_use(w, first, end, NULL);
    }
}

static void range_add(struct walk *w, const PgQuery__RangeVar *r)
{
    if (walk_is_cte(w, r)) {
        level_add_name(w, r->alias == NULL ? r->relname : r->alias->aliasname);
        return;
    }
    table_add(w, r, SQL_READ, true);
    if (w->locking) {
        (void)walk_find_range(w, SQL_TABLE, SQL_LOCK, r);
    }
}

static void from_add(struct walk *w, const PgQuery__Node *n)
{
    if (n == NULL || w->failed != OK) {
        return;
    }
    if (++w->depth > WALK_DEPTH_MAX) {
        w->failed = ERR_LIMIT;
    } else if (n->node_case == PG_QUERY__NODE__NODE_RANGE_VAR) {
        range_add(w, n->range_var);
    } else if (n->node_case == PG_QUERY__NODE__NODE_JOIN_EXPR) {
        join_add(w, n->join_expr);
    } else if (n->node_case == PG_QUERY__NODE__NODE_RANGE_TABLE_SAMPLE) {
        from_add(w, n->range_table_sample->relation);
    } else {
        level_add_name(w, range_name(n));
    }
    w->depth--;
}

void level_add_from(struct walk *w, size_t count, PgQuery__Node *const *from)
{
    for (size_t i = 0; i < count && w->failed == OK; i++) {
        from_add(w, from[i]);
    }
}

static void from_walk_one(struct walk *w, const PgQuery__Node *n);

static void join_walk(struct walk *w, const PgQuery__JoinExpr *j)
{
    from_walk_one(w, j->larg);
    from_walk_one(w, j->rarg);
    walk_node(w, j->quals);
}

static void sample_walk(struct walk *w, const PgQuery__RangeTableSample *s)
{
    walk_add_names(w, SQL_FUNCTION, SQL_CALL, s->n_method, s->method, false);
    from_walk_one(w, s->relation);
    walk_nodes(w, s->n_args, s->args);
    walk_node(w, s->repeatable);
}

static void from_walk_one(struct walk *w, const PgQuery__Node *n)
{
    if (n == NULL || w->failed != OK) {
        return;
    }
    if (++w->depth > WALK_DEPTH_MAX) {
        w->failed = ERR_LIMIT;
    } else if (n->node_case == PG_QUERY__NODE__NODE_JOIN_EXPR) {
        join_walk(w, n->join_expr);
    } else if (n->node_case == PG_QUERY__NODE__NODE_RANGE_TABLE_SAMPLE) {
        sample_walk(w, n->range_table_sample);
    } else if (n->node_case == PG_QUERY__NODE__NODE_RANGE_SUBSELECT &&
               !n->range_subselect->lateral) {
        /* It sees the levels around, not its neighbours (7.2.1.5). */
        struct level *level = w->level;
        w->level = level->outer;
        walk_node(w, n->range_subselect->subquery);
        w->level = level;
    } else if (n->node_case != PG_QUERY__NODE__NODE_RANGE_VAR) {
        walk_node(w, n);
    }
    w->depth--;
}

void from_walk(struct walk *w, size_t count, PgQuery__Node *const *from)
{
    for (size_t i = 0; i < count && w->failed == OK; i++) {
        from_walk_one(w, from[i]);
    }
}

/* --- references ------------------------------------------------------------------------ */

void scope_use_all(struct walk *w)
{
    for (struct level *l = w->level; l != NULL; l = l->outer) {
        l->bare.all = true;
    }
}

/* `column` NULL: all of them. */
static void item_use(struct walk *w, struct level *l, uint32_t at, const char *column)
{
    struct scope_item *item = &l->items[at];
    bool all = column == NULL || item->is_renamed;
    for (uint32_t i = item->is_join ? item->first : at; i <= at; i++) {
        struct column_set *set = l->items[i].table == NULL ? NULL : item_set(w, &l->items[i]);
        if (set == NULL) {
            continue;
        }
        if (all || l->items[i].is_renamed) {
            set->all = true;
        } else {
            column_set_add_text(&w->columns, set, column);
        }
    }
}

/* Of a name without a qualifier: also the whole row of a relation of that name. */
static void use_bare(struct walk *w, const char *column)
{
    uint32_t name = columns_intern(&w->columns, column);
    column_set_add(&w->columns, &w->level->bare, name);
    for (struct level *l = w->level; l != NULL; l = l->outer) {
        for (uint32_t i = 0; i < l->count; i++) {
            if (l->items[i].name == name) {
                item_use(w, l, i, NULL);
            }
        }
    }
}

/* A table that is called by its own name, with the schema that the reference gives it. A table that
 * was written without a schema may be in that one. */
static bool item_is_table(const struct scope_item *i, const char *schema)
{
    return i->table != NULL && i->table->alias == NULL &&
           (i->table->schemaname[0] == '\0' || strcmp(i->table->schemaname, schema) == 0);
}

/* The innermost level that has the name decides (transformColumnRef). */
static bool use_qualified(struct walk *w, const char *schema, const char *table, const char *column)
{
    uint32_t name = columns_intern(&w->columns, table);
    bool found = false;
    for (struct level *l = w->level; l != NULL && !found; l = l->outer) {
        for (uint32_t i = 0; i < l->count; i++) {
            if (l->items[i].name == name &&
                (schema == NULL || item_is_table(&l->items[i], schema))) {
                item_use(w, l, i, column);
                found = true;
            }
        }
    }
    return found;
}

static const char *field_at(const PgQuery__ColumnRef *ref, size_t from_end)
{
    return ref->n_fields < from_end ? NULL : node_string(ref->fields[ref->n_fields - from_end]);
}

void scope_walk_column(struct walk *w, const PgQuery__ColumnRef *ref)
{
    w->column_references++;
    if (w->level == NULL || w->is_vague || ref->n_fields == 0) {
        return;
    }
    const char *column = field_at(ref, 1), *table = field_at(ref, 2), *schema = field_at(ref, 3);
    if (ref->n_fields == 1) {
        if (column != NULL) {
            use_bare(w, column);
        } else {
            tables_use(w, 0, w->level->count, NULL);
        }
        return;
    }
    if (column != NULL && function_takes_row(column)) {
        /* t.row_to_json is row_to_json(t) where t has no such column (4.2.6, "Function Calls"). */
        walk_add(w, SQL_FUNCTION, SQL_CALL, NULL, column);
        column = NULL;
    }
    if (table == NULL || !use_qualified(w, schema, table, column)) {
        scope_use_all(w);
    }
}
