/* ALTER: what could free a masked column of its mark, by its name, its type or its relatives. */
#include "sidecar/lineage/lineage_internal.h"

/* ---- ALTER TABLE ----------------------------------------------------------------------------- */

/* What leaves each column where it is, with its name, type and value. */
static bool command_is_harmless(PgQuery__AlterTableType type)
{
    switch (type) {
    case PG_QUERY__ALTER_TABLE_TYPE__AT_DropNotNull:
    case PG_QUERY__ALTER_TABLE_TYPE__AT_SetNotNull:
    case PG_QUERY__ALTER_TABLE_TYPE__AT_SetStorage:
    case PG_QUERY__ALTER_TABLE_TYPE__AT_SetCompression:
    case PG_QUERY__ALTER_TABLE_TYPE__AT_SetOptions:
    case PG_QUERY__ALTER_TABLE_TYPE__AT_ResetOptions:
    case PG_QUERY__ALTER_TABLE_TYPE__AT_DropColumn:
    case PG_QUERY__ALTER_TABLE_TYPE__AT_DropConstraint:
    case PG_QUERY__ALTER_TABLE_TYPE__AT_ValidateConstraint:
    case PG_QUERY__ALTER_TABLE_TYPE__AT_AlterConstraint:
    case PG_QUERY__ALTER_TABLE_TYPE__AT_ChangeOwner:
    case PG_QUERY__ALTER_TABLE_TYPE__AT_ClusterOn:
    case PG_QUERY__ALTER_TABLE_TYPE__AT_DropCluster:
    case PG_QUERY__ALTER_TABLE_TYPE__AT_SetLogged:
    case PG_QUERY__ALTER_TABLE_TYPE__AT_SetUnLogged:
    case PG_QUERY__ALTER_TABLE_TYPE__AT_SetTableSpace:
    case PG_QUERY__ALTER_TABLE_TYPE__AT_SetRelOptions:
    case PG_QUERY__ALTER_TABLE_TYPE__AT_ResetRelOptions: return true;
    default: return false;
    }
}

static bool is_constant_default(const PgQuery__Node *n)
{
    return n == NULL || n->node_case == PG_QUERY__NODE__NODE_A_CONST;
}

/* A new column that takes nothing from the others. */
static bool column_is_plain(const PgQuery__ColumnDef *c)
{
    for (size_t i = 0; i < c->n_constraints; i++) {
        const PgQuery__Node *n = c->constraints[i];
        if (n->node_case != PG_QUERY__NODE__NODE_CONSTRAINT) {
            return false;
        }
        switch (n->constraint->contype) {
        case PG_QUERY__CONSTR_TYPE__CONSTR_NULL:
        case PG_QUERY__CONSTR_TYPE__CONSTR_NOTNULL: break;
        case PG_QUERY__CONSTR_TYPE__CONSTR_DEFAULT:
            if (!is_constant_default(n->constraint->raw_expr)) {
                return false;
            }
            break;
        default: return false;
        }
    }
    return true;
}

static void command_definition(struct walk *w, const PgQuery__RangeVar *r,
                               const PgQuery__AlterTableCmd *c)
{
    static const char what[] = "ALTER TABLE";
    const PgQuery__Node *n = c->def;
    if (n == NULL) {
        return;
    }
    switch (n->node_case) {
    case PG_QUERY__NODE__NODE_COLUMN_DEF:
        cast_check_new_type(w, ddl_relation(w, r), n->column_def->type_name);
        if (n->column_def->raw_default != NULL) { /* ALTER COLUMN TYPE ... USING */
            ddl_kept_expression(w, r, n->column_def->raw_default, NULL, what);
        }
        for (size_t i = 0; i < n->column_def->n_constraints; i++) {
            if (n->column_def->constraints[i]->node_case == PG_QUERY__NODE__NODE_CONSTRAINT) {
                ddl_constraint(w, n->column_def->constraints[i]->constraint);
            }
        }
        break;
    case PG_QUERY__NODE__NODE_CONSTRAINT: ddl_constraint(w, n->constraint); break;
    case PG_QUERY__NODE__NODE_RANGE_VAR: /* INHERIT, NO INHERIT */
        (void)ddl_relation_touch(w, n->range_var, what);
        break;
    case PG_QUERY__NODE__NODE_PARTITION_CMD:
        (void)ddl_relation_touch(w, n->partition_cmd->name, what);
        break;
    /* Options, lists of them, a storage's or type's name, a target of statistics. */
    case PG_QUERY__NODE__NODE_LIST:
    case PG_QUERY__NODE__NODE_STRING:
    case PG_QUERY__NODE__NODE_INTEGER:
    case PG_QUERY__NODE__NODE_TYPE_NAME:
    case PG_QUERY__NODE__NODE_REPLICA_IDENTITY_STMT: break;
    default: ddl_kept_expression(w, r, n, NULL, what); break; /* SET DEFAULT */
    }
}

static bool is_parent(struct walk *w, const PgQuery__RangeVar *r)
{
    const struct catalog *c = marks_catalog(w->marks);
    const struct catalog_relation *found = ddl_relation(w, r);
    for (size_t i = 0; found != NULL && i < catalog_relation_count(c); i++) {
        const struct catalog_relation *other = catalog_relation_at(c, i);
        for (size_t k = 0; k < other->parent_count; k++) {
            if (other->parents[k] == found->oid) {
                return true;
            }
        }
    }
    return false;
}

static void alter_command(struct walk *w, const PgQuery__RangeVar *r,
                          const PgQuery__AlterTableCmd *c)
{
    bool is_plain_column = c->subtype == PG_QUERY__ALTER_TABLE_TYPE__AT_AddColumn &&
                           c->def != NULL && c->def->node_case == PG_QUERY__NODE__NODE_COLUMN_DEF &&
                           column_is_plain(c->def->column_def);
    bool is_plain_default =
        c->subtype == PG_QUERY__ALTER_TABLE_TYPE__AT_ColumnDefault && is_constant_default(c->def);
    bool is_harmless = is_plain_column || is_plain_default || command_is_harmless(c->subtype);
    (void)ddl_relation_touch(w, r, is_harmless ? NULL : "ALTER TABLE");
    if (c->subtype == PG_QUERY__ALTER_TABLE_TYPE__AT_DropColumn && is_parent(w, r)) {
        /* A child may keep the column and its values, without the mark that came from here. */
        ddl_kept_expression(w, r, NULL, c->name, "ALTER TABLE");
    }
    command_definition(w, r, c);
}

static void alter_table(struct walk *w, const PgQuery__AlterTableStmt *s)
{
    w->effects->changes_catalog = true;
    for (size_t i = 0; i < s->n_cmds && w->failed == OK; i++) {
        if (s->cmds[i]->node_case == PG_QUERY__NODE__NODE_ALTER_TABLE_CMD) {
            alter_command(w, s->relation, s->cmds[i]->alter_table_cmd);
        } else {
            (void)note_unknown(w, "a part of %s is not known", "ALTER TABLE");
        }
    }
}

/* ---- RENAME, SET SCHEMA, OWNER TO -------------------------------------------------------------
 */

static bool type_is_code(PgQuery__ObjectType type)
{
    switch (type) {
    case PG_QUERY__OBJECT_TYPE__OBJECT_TABLE:
    case PG_QUERY__OBJECT_TYPE__OBJECT_VIEW:
    case PG_QUERY__OBJECT_TYPE__OBJECT_MATVIEW:
    case PG_QUERY__OBJECT_TYPE__OBJECT_INDEX:
    case PG_QUERY__OBJECT_TYPE__OBJECT_SEQUENCE:
    case PG_QUERY__OBJECT_TYPE__OBJECT_FOREIGN_TABLE:
    case PG_QUERY__OBJECT_TYPE__OBJECT_COLUMN:
    case PG_QUERY__OBJECT_TYPE__OBJECT_ATTRIBUTE:
    case PG_QUERY__OBJECT_TYPE__OBJECT_TABCONSTRAINT:
    case PG_QUERY__OBJECT_TYPE__OBJECT_SCHEMA:
    case PG_QUERY__OBJECT_TYPE__OBJECT_DATABASE:
    case PG_QUERY__OBJECT_TYPE__OBJECT_ROLE:
    case PG_QUERY__OBJECT_TYPE__OBJECT_TABLESPACE:
    case PG_QUERY__OBJECT_TYPE__OBJECT_STATISTIC_EXT:
    case PG_QUERY__OBJECT_TYPE__OBJECT_TYPE:
    case PG_QUERY__OBJECT_TYPE__OBJECT_DOMAIN:
    case PG_QUERY__OBJECT_TYPE__OBJECT_COLLATION: return false;
    default: return true; /* a function may get the name of one that is trusted */
    }
}

/* A mask may name a type, a schema, a relation, a column. */
static void moved(struct walk *w, PgQuery__ObjectType type, const PgQuery__RangeVar *r,
                  const char *name, const char *what)
{
    w->effects->changes_catalog = true;
    switch (type) {
    case PG_QUERY__OBJECT_TYPE__OBJECT_SCHEMA:
        note_altered(w, marks_of_schema(w->marks, name), NULL, what);
        break;
    case PG_QUERY__OBJECT_TYPE__OBJECT_DATABASE:
    case PG_QUERY__OBJECT_TYPE__OBJECT_TYPE:
    case PG_QUERY__OBJECT_TYPE__OBJECT_DOMAIN:
    case PG_QUERY__OBJECT_TYPE__OBJECT_ATTRIBUTE:
        note_altered(w, marks_all(w->marks), NULL, what);
        break;
    case PG_QUERY__OBJECT_TYPE__OBJECT_TABCONSTRAINT: break;
    default:
        if (type_is_code(type)) {
            (void)note_unknown(w, "what %s does is not known", what);
        } else if (r != NULL) {
            (void)ddl_relation_touch(w, r, what);
        }
        break;
    }
}

static bool is_code_owner(PgQuery__ObjectType type)
{
    return type == PG_QUERY__OBJECT_TYPE__OBJECT_FUNCTION ||
           type == PG_QUERY__OBJECT_TYPE__OBJECT_PROCEDURE ||
           type == PG_QUERY__OBJECT_TYPE__OBJECT_ROUTINE;
}

/* A view reads with its owner's rights, a function runs with them. */
static void owner_walk(struct walk *w, const PgQuery__AlterOwnerStmt *s)
{
    w->effects->changes_catalog = true;
    if (is_code_owner(s->object_type)) {
        (void)note_unknown(w, "what %s does is not known", "ALTER FUNCTION");
    }
}

static void domain_walk(struct walk *w, const PgQuery__AlterDomainStmt *s)
{
    w->effects->changes_catalog = true;
    /* 'T' default, 'C' constraint: new code that each value passes. */
    if (s->subtype[0] == 'T' || s->subtype[0] == 'C') {
        (void)note_unknown(w, "what the constraint of %s does is not known", "a domain");
    }
}

bool alter_walk(struct walk *w, const PgQuery__Node *n)
{
    switch (n->node_case) {
    case PG_QUERY__NODE__NODE_ALTER_TABLE_STMT: alter_table(w, n->alter_table_stmt); return true;
    case PG_QUERY__NODE__NODE_RENAME_STMT: {
        const PgQuery__RenameStmt *s = n->rename_stmt;
        moved(w, s->rename_type, s->relation, s->subname, "RENAME");
        return true;
    }
    case PG_QUERY__NODE__NODE_ALTER_OBJECT_SCHEMA_STMT: {
        const PgQuery__AlterObjectSchemaStmt *s = n->alter_object_schema_stmt;
        moved(w, s->object_type, s->relation, "", "SET SCHEMA");
        return true;
    }
    case PG_QUERY__NODE__NODE_ALTER_OWNER_STMT: owner_walk(w, n->alter_owner_stmt); return true;
    case PG_QUERY__NODE__NODE_ALTER_DOMAIN_STMT: domain_walk(w, n->alter_domain_stmt); return true;
    case PG_QUERY__NODE__NODE_ALTER_TABLE_MOVE_ALL_STMT:
        w->effects->changes_catalog = true;
        return true;
    default: return false;
    }
}
