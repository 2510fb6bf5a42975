/* Statements that create, drop and look after objects. New code is unknown: what it will do, and to
 * whom, is not in the text. */
#include "sidecar/lineage/lineage_internal.h"

/* A relation that is not in the catalog (yet) has no marks. */
const struct catalog_relation *ddl_relation(struct walk *w, const PgQuery__RangeVar *r)
{
    if (r == NULL) {
        return NULL;
    }
    if (w->is_stale) {
        (void)note_unknown(w, "%s may have changed earlier in the text", r->relname);
        return NULL;
    }
    return catalog_relation_find(marks_catalog(w->marks), text_or_null(r->schemaname), r->relname);
}

uint64_t ddl_relation_touch(struct walk *w, const PgQuery__RangeVar *r, const char *what)
{
    const struct catalog_relation *found = ddl_relation(w, r);
    uint64_t rules = found == NULL ? 0 : marks_of_relation(w->marks, found);
    w->effects->reach |= rules;
    if (found == NULL && what != NULL) {
        (void)note_unknown(w, "the relation %s is not known", r == NULL ? "" : r->relname);
    }
    if (what != NULL) {
        note_altered(w, rules, found, what);
    }
    return rules;
}

/* An expression over the columns of a table that is being made: they are all new. */
void ddl_new_expression(struct walk *w, const PgQuery__Node *n)
{
    if (n == NULL) {
        return;
    }
    struct level level = {.outer = NULL};
    struct level *saved = w->level;
    struct item *i = item_new(w, "");
    if (i != NULL) {
        i->columns.is_open = true;
        w->level = &level;
        names_add(w, &level.names, i);
        (void)expr_value(w, n);
        w->level = saved;
    }
}

/* An expression over an existing table, kept by the server: an index, statistics, a constraint. */
void ddl_kept_expression(struct walk *w, const PgQuery__RangeVar *r, const PgQuery__Node *n,
                         const char *name, const char *what)
{
    const struct catalog_relation *found = ddl_relation(w, r);
    struct level level = {.outer = NULL};
    struct level *saved = w->level;
    struct item *i = item_new(w, r == NULL ? "" : r->relname);
    struct value v = {0};
    if (i == NULL) {
        return;
    }
    if (found != NULL) {
        relation_columns(w, found, &i->columns);
    } else {
        i->columns.is_open = true;
        i->columns.rest = note_unknown(w, "the relation %s is not known", i->name);
    }
    w->level = &level;
    names_add(w, &level.names, i);
    if (n != NULL) {
        v = expr_value(w, n);
    } else if (name != NULL && name[0] != '\0') {
        (void)level_find(&level, name, &v);
    }
    w->level = saved;
    note_altered(w, v.rules, found, what);
}

/* ---- tables ---------------------------------------------------------------------------------- */

/* A new table may refer to itself. */
static bool is_created(const struct walk *w, const PgQuery__RangeVar *r)
{
    return w->created != NULL && strcmp(w->created->relname, r->relname) == 0 &&
           strcmp(w->created->schemaname, r->schemaname) == 0;
}

/* A foreign key asks, for each new row, whether there is such a value. */
static void foreign_key(struct walk *w, const PgQuery__Constraint *c)
{
    const struct catalog_relation *r = ddl_relation(w, c->pktable);
    if (r == NULL) {
        if (!is_created(w, c->pktable)) {
            (void)note_unknown(w, "the relation %s is not known", c->pktable->relname);
        }
        return;
    }
    struct columns columns = {0};
    relation_columns(w, r, &columns);
    if (c->n_pk_attrs == 0) {
        /* The primary key, which the catalog does not tell. */
        note_filtered_columns(w, &columns, "REFERENCES");
    }
    for (size_t i = 0; i < c->n_pk_attrs; i++) {
        const char *name = node_text(c->pk_attrs[i]);
        struct value v = {0};
        if (name != NULL) {
            (void)columns_find(&columns, name, &v);
        }
        note_filtered(w, v, "REFERENCES");
    }
}

void ddl_constraint(struct walk *w, const PgQuery__Constraint *c)
{
    ddl_new_expression(w, c->raw_expr);
    ddl_new_expression(w, c->where_clause);
    if (c->pktable != NULL) {
        foreign_key(w, c);
    }
    for (size_t i = 0; i < c->n_exclusions && w->failed == OK; i++) {
        const PgQuery__Node *n = c->exclusions[i];
        if (n->node_case == PG_QUERY__NODE__NODE_LIST && n->list->n_items > 0 &&
            n->list->items[0]->node_case == PG_QUERY__NODE__NODE_INDEX_ELEM) {
            ddl_new_expression(w, n->list->items[0]->index_elem->expr);
        }
    }
}

void ddl_column(struct walk *w, const PgQuery__ColumnDef *c)
{
    ddl_new_expression(w, c->raw_default);
    for (size_t i = 0; i < c->n_constraints && w->failed == OK; i++) {
        if (c->constraints[i]->node_case == PG_QUERY__NODE__NODE_CONSTRAINT) {
            ddl_constraint(w, c->constraints[i]->constraint);
        } else {
            (void)note_unknown(w, "a part of %s is not known", "a column's definition");
        }
    }
}

static void table_element(struct walk *w, const PgQuery__Node *n)
{
    switch (n->node_case) {
    case PG_QUERY__NODE__NODE_COLUMN_DEF: ddl_column(w, n->column_def); break;
    case PG_QUERY__NODE__NODE_CONSTRAINT: ddl_constraint(w, n->constraint); break;
    case PG_QUERY__NODE__NODE_TABLE_LIKE_CLAUSE:
        /* Copies definitions, no rows. */
        (void)ddl_relation_touch(w, n->table_like_clause->relation, NULL);
        break;
    default: (void)note_unknown(w, "a part of %s is not known", "CREATE TABLE"); break;
    }
}

static void table_elements(struct walk *w, const PgQuery__CreateStmt *s)
{
    w->created = s->relation;
    for (size_t i = 0; i < s->n_table_elts && w->failed == OK; i++) {
        table_element(w, s->table_elts[i]);
    }
    for (size_t i = 0; i < s->n_constraints && w->failed == OK; i++) {
        table_element(w, s->constraints[i]);
    }
    w->created = NULL;
}

void ddl_create_table(struct walk *w, const PgQuery__CreateStmt *s)
{
    w->effects->changes_catalog = true;
    table_elements(w, s);
    for (size_t i = 0; i < s->n_inh_relations && w->failed == OK; i++) {
        if (s->inh_relations[i]->node_case == PG_QUERY__NODE__NODE_RANGE_VAR) {
            (void)ddl_relation_touch(w, s->inh_relations[i]->range_var, "CREATE TABLE");
        } else {
            (void)note_unknown(w, "a part of %s is not known", "CREATE TABLE");
        }
    }
    for (size_t i = 0; s->partspec != NULL && i < s->partspec->n_part_params; i++) {
        const PgQuery__Node *n = s->partspec->part_params[i];
        if (n->node_case == PG_QUERY__NODE__NODE_PARTITION_ELEM) {
            ddl_new_expression(w, n->partition_elem->expr);
        }
    }
}

/* ---- indexes, statistics, views ---------------------------------------------------------------
 */

static void create_index(struct walk *w, const PgQuery__IndexStmt *s)
{
    static const char what[] = "CREATE INDEX";
    const struct {
        size_t count;
        PgQuery__Node *const *items;
    } lists[] = {{s->n_index_params, s->index_params},
                 {s->n_index_including_params, s->index_including_params}};
    w->effects->changes_catalog = true;
    for (size_t k = 0; k < 2; k++) {
        for (size_t i = 0; i < lists[k].count && w->failed == OK; i++) {
            const PgQuery__Node *n = lists[k].items[i];
            if (n->node_case == PG_QUERY__NODE__NODE_INDEX_ELEM) {
                ddl_kept_expression(w, s->relation, n->index_elem->expr, n->index_elem->name, what);
            } else {
                (void)note_unknown(w, "a part of %s is not known", what);
            }
        }
    }
    if (s->where_clause != NULL) {
        ddl_kept_expression(w, s->relation, s->where_clause, NULL, what);
    }
}

static void create_statistics(struct walk *w, const PgQuery__CreateStatsStmt *s)
{
    static const char what[] = "CREATE STATISTICS";
    if (s->n_relations != 1 || s->relations[0]->node_case != PG_QUERY__NODE__NODE_RANGE_VAR) {
        (void)note_unknown(w, "a part of %s is not known", what);
        return;
    }
    for (size_t i = 0; i < s->n_exprs && w->failed == OK; i++) {
        const PgQuery__Node *n = s->exprs[i];
        if (n->node_case == PG_QUERY__NODE__NODE_STATS_ELEM) {
            ddl_kept_expression(w, s->relations[0]->range_var, n->stats_elem->expr,
                                n->stats_elem->name, what);
        } else {
            (void)note_unknown(w, "a part of %s is not known", what);
        }
    }
}

/* It stores nothing: who reads it reads through it. */
static void create_view(struct walk *w, const PgQuery__ViewStmt *s)
{
    struct columns out = {0};
    w->effects->changes_catalog = true;
    query_any(w, s->query, &out);
}

/* Names inside may mean what is created beside them. */
static void create_schema(struct walk *w, const PgQuery__CreateSchemaStmt *s)
{
    w->effects->changes_catalog = true;
    for (size_t i = 0; i < s->n_schema_elts && w->failed == OK; i++) {
        switch (s->schema_elts[i]->node_case) {
        case PG_QUERY__NODE__NODE_CREATE_STMT:
            ddl_create_table(w, s->schema_elts[i]->create_stmt);
            break;
        case PG_QUERY__NODE__NODE_GRANT_STMT: break;
        default: (void)note_unknown(w, "a part of %s is not known", "CREATE SCHEMA"); break;
        }
    }
}

static void create_domain(struct walk *w, const PgQuery__CreateDomainStmt *s)
{
    w->effects->changes_catalog = true;
    for (size_t i = 0; i < s->n_constraints && w->failed == OK; i++) {
        const PgQuery__Node *n = s->constraints[i];
        bool is_plain = n->node_case == PG_QUERY__NODE__NODE_CONSTRAINT &&
                        (n->constraint->contype == PG_QUERY__CONSTR_TYPE__CONSTR_NOTNULL ||
                         n->constraint->contype == PG_QUERY__CONSTR_TYPE__CONSTR_NULL);
        if (!is_plain) {
            (void)note_unknown(w, "what the constraint of %s does is not known", "a domain");
        }
    }
}

static void refresh_view(struct walk *w, const PgQuery__RefreshMatViewStmt *s)
{
    struct columns ignored = {0};
    const struct catalog_relation *r = ddl_relation(w, s->relation);
    if (r != NULL) {
        relation_columns(w, r, &ignored);
    }
}

/* Its triggers run. */
static void truncate_walk(struct walk *w, const PgQuery__TruncateStmt *s)
{
    for (size_t i = 0; i < s->n_relations; i++) {
        if (s->relations[i]->node_case != PG_QUERY__NODE__NODE_RANGE_VAR) {
            (void)note_unknown(w, "a part of %s is not known", "TRUNCATE");
            continue;
        }
        const struct catalog_relation *r = ddl_relation(w, s->relations[i]->range_var);
        (void)ddl_relation_touch(w, s->relations[i]->range_var, NULL);
        if (r != NULL) {
            (void)writing_check(w, r);
        } else {
            (void)note_unknown(w, "the relation %s is not known",
                               s->relations[i]->range_var->relname);
        }
    }
}

/* ---- what only touches ----------------------------------------------------------------------- */

static void relations_touch(struct walk *w, size_t count, PgQuery__Node *const *relations)
{
    for (size_t i = 0; i < count; i++) {
        const PgQuery__Node *n = relations[i];
        if (n->node_case == PG_QUERY__NODE__NODE_RANGE_VAR) {
            (void)ddl_relation_touch(w, n->range_var, NULL);
        } else if (n->node_case == PG_QUERY__NODE__NODE_VACUUM_RELATION) {
            (void)ddl_relation_touch(w, n->vacuum_relation->relation, NULL);
        }
    }
}

static bool maintenance_walk(struct walk *w, const PgQuery__Node *n)
{
    switch (n->node_case) {
    case PG_QUERY__NODE__NODE_TRUNCATE_STMT: truncate_walk(w, n->truncate_stmt); return true;
    case PG_QUERY__NODE__NODE_LOCK_STMT:
        relations_touch(w, n->lock_stmt->n_relations, n->lock_stmt->relations);
        return true;
    case PG_QUERY__NODE__NODE_VACUUM_STMT:
        relations_touch(w, n->vacuum_stmt->n_rels, n->vacuum_stmt->rels);
        return true;
    case PG_QUERY__NODE__NODE_REFRESH_MAT_VIEW_STMT:
        refresh_view(w, n->refresh_mat_view_stmt);
        return true;
    case PG_QUERY__NODE__NODE_CLUSTER_STMT:
    case PG_QUERY__NODE__NODE_REINDEX_STMT:
    case PG_QUERY__NODE__NODE_CHECK_POINT_STMT:
    case PG_QUERY__NODE__NODE_CONSTRAINTS_SET_STMT:
    case PG_QUERY__NODE__NODE_COMMENT_STMT: return true;
    default: return false;
    }
}

/* Who may do what: names mean what they meant, but another catalog may be visible. */
static bool privilege_walk(struct walk *w, const PgQuery__Node *n)
{
    switch (n->node_case) {
    case PG_QUERY__NODE__NODE_GRANT_STMT:
    case PG_QUERY__NODE__NODE_GRANT_ROLE_STMT:
    case PG_QUERY__NODE__NODE_ALTER_DEFAULT_PRIVILEGES_STMT:
    case PG_QUERY__NODE__NODE_CREATE_ROLE_STMT:
    case PG_QUERY__NODE__NODE_ALTER_ROLE_STMT:
    case PG_QUERY__NODE__NODE_ALTER_ROLE_SET_STMT:
    case PG_QUERY__NODE__NODE_DROP_ROLE_STMT:
    case PG_QUERY__NODE__NODE_REASSIGN_OWNED_STMT: w->effects->changes_catalog = true; return true;
    default: return false;
    }
}

bool ddl_walk(struct walk *w, const PgQuery__Node *n)
{
    switch (n->node_case) {
    case PG_QUERY__NODE__NODE_CREATE_STMT: ddl_create_table(w, n->create_stmt); return true;
    case PG_QUERY__NODE__NODE_INDEX_STMT: create_index(w, n->index_stmt); return true;
    case PG_QUERY__NODE__NODE_CREATE_STATS_STMT:
        create_statistics(w, n->create_stats_stmt);
        return true;
    case PG_QUERY__NODE__NODE_VIEW_STMT: create_view(w, n->view_stmt); return true;
    case PG_QUERY__NODE__NODE_CREATE_SCHEMA_STMT:
        create_schema(w, n->create_schema_stmt);
        return true;
    case PG_QUERY__NODE__NODE_CREATE_DOMAIN_STMT:
        create_domain(w, n->create_domain_stmt);
        return true;
    case PG_QUERY__NODE__NODE_CREATE_SEQ_STMT:
    case PG_QUERY__NODE__NODE_ALTER_SEQ_STMT:
    case PG_QUERY__NODE__NODE_CREATE_ENUM_STMT:
    case PG_QUERY__NODE__NODE_ALTER_ENUM_STMT:
    case PG_QUERY__NODE__NODE_COMPOSITE_TYPE_STMT:
    case PG_QUERY__NODE__NODE_DROP_STMT:
    case PG_QUERY__NODE__NODE_DROP_OWNED_STMT:
    case PG_QUERY__NODE__NODE_DROPDB_STMT:
    case PG_QUERY__NODE__NODE_CREATE_TABLE_SPACE_STMT:
    case PG_QUERY__NODE__NODE_DROP_TABLE_SPACE_STMT:
    case PG_QUERY__NODE__NODE_ALTER_TABLE_SPACE_OPTIONS_STMT:
    case PG_QUERY__NODE__NODE_ALTER_DATABASE_SET_STMT:
    case PG_QUERY__NODE__NODE_ALTER_STATS_STMT: w->effects->changes_catalog = true; return true;
    default: return maintenance_walk(w, n) || privilege_walk(w, n);
    }
}
