/* Objects as the statements name them by PostgreSQL's ObjectType. */
#include "sidecar/sql/sql_walk.h"

#define OBJECT(type) PG_QUERY__OBJECT_TYPE__OBJECT_##type

struct object_type {
    enum sql_kind kind;
    /* Its name ends in that of a part (a column, a trigger): the object is the table. */
    bool is_part;
    /* The access method comes before the name. */
    bool after_method;
    const char *tag;
};

/* The tags are those of AlterObjectTypeCommandTag and CreateCommandTag in PostgreSQL's utility.c.
 */
static const struct object_type types[] = {
    [OBJECT(ACCESS_METHOD)] = {.kind = SQL_OTHER, .tag = "ACCESS METHOD"},
    [OBJECT(AGGREGATE)] = {.kind = SQL_FUNCTION, .tag = "AGGREGATE"},
    [OBJECT(ATTRIBUTE)] = {.kind = SQL_TYPE, .is_part = true, .tag = "TYPE"},
    [OBJECT(CAST)] = {.kind = SQL_OTHER, .tag = "CAST"},
    [OBJECT(COLUMN)] = {.kind = SQL_TABLE, .is_part = true, .tag = "TABLE"},
    [OBJECT(COLLATION)] = {.kind = SQL_OTHER, .tag = "COLLATION"},
    [OBJECT(CONVERSION)] = {.kind = SQL_OTHER, .tag = "CONVERSION"},
    [OBJECT(DATABASE)] = {.kind = SQL_DATABASE, .tag = "DATABASE"},
    [OBJECT(DOMAIN)] = {.kind = SQL_TYPE, .tag = "DOMAIN"},
    [OBJECT(DOMCONSTRAINT)] = {.kind = SQL_TYPE, .is_part = true, .tag = "DOMAIN"},
    [OBJECT(EVENT_TRIGGER)] = {.kind = SQL_OTHER, .tag = "EVENT TRIGGER"},
    [OBJECT(EXTENSION)] = {.kind = SQL_EXTENSION, .tag = "EXTENSION"},
    [OBJECT(FDW)] = {.kind = SQL_OTHER, .tag = "FOREIGN DATA WRAPPER"},
    [OBJECT(FOREIGN_SERVER)] = {.kind = SQL_OTHER, .tag = "SERVER"},
    [OBJECT(FOREIGN_TABLE)] = {.kind = SQL_TABLE, .tag = "FOREIGN TABLE"},
    [OBJECT(FUNCTION)] = {.kind = SQL_FUNCTION, .tag = "FUNCTION"},
    [OBJECT(INDEX)] = {.kind = SQL_INDEX, .tag = "INDEX"},
    [OBJECT(LANGUAGE)] = {.kind = SQL_OTHER, .tag = "LANGUAGE"},
    [OBJECT(LARGEOBJECT)] = {.kind = SQL_OTHER, .tag = "LARGE OBJECT"},
    [OBJECT(MATVIEW)] = {.kind = SQL_VIEW, .tag = "MATERIALIZED VIEW"},
    [OBJECT(OPCLASS)] = {.kind = SQL_OTHER, .after_method = true, .tag = "OPERATOR CLASS"},
    [OBJECT(OPERATOR)] = {.kind = SQL_OTHER, .tag = "OPERATOR"},
    [OBJECT(OPFAMILY)] = {.kind = SQL_OTHER, .after_method = true, .tag = "OPERATOR FAMILY"},
    [OBJECT(PARAMETER_ACL)] = {.kind = SQL_SETTING, .tag = "PARAMETER"},
    [OBJECT(POLICY)] = {.kind = SQL_TABLE, .is_part = true, .tag = "POLICY"},
    [OBJECT(PROCEDURE)] = {.kind = SQL_PROCEDURE, .tag = "PROCEDURE"},
    [OBJECT(PUBLICATION)] = {.kind = SQL_OTHER, .tag = "PUBLICATION"},
    [OBJECT(ROLE)] = {.kind = SQL_ROLE, .tag = "ROLE"},
    [OBJECT(ROUTINE)] = {.kind = SQL_FUNCTION, .tag = "ROUTINE"},
    [OBJECT(RULE)] = {.kind = SQL_TABLE, .is_part = true, .tag = "RULE"},
    [OBJECT(SCHEMA)] = {.kind = SQL_SCHEMA, .tag = "SCHEMA"},
    [OBJECT(SEQUENCE)] = {.kind = SQL_SEQUENCE, .tag = "SEQUENCE"},
    [OBJECT(SUBSCRIPTION)] = {.kind = SQL_OTHER, .tag = "SUBSCRIPTION"},
    [OBJECT(STATISTIC_EXT)] = {.kind = SQL_OTHER, .tag = "STATISTICS"},
    [OBJECT(TABCONSTRAINT)] = {.kind = SQL_TABLE, .is_part = true, .tag = "TABLE"},
    [OBJECT(TABLE)] = {.kind = SQL_TABLE, .tag = "TABLE"},
    [OBJECT(TABLESPACE)] = {.kind = SQL_OTHER, .tag = "TABLESPACE"},
    [OBJECT(TRANSFORM)] = {.kind = SQL_OTHER, .tag = "TRANSFORM"},
    [OBJECT(TRIGGER)] = {.kind = SQL_TABLE, .is_part = true, .tag = "TRIGGER"},
    [OBJECT(TSCONFIGURATION)] = {.kind = SQL_OTHER, .tag = "TEXT SEARCH CONFIGURATION"},
    [OBJECT(TSDICTIONARY)] = {.kind = SQL_OTHER, .tag = "TEXT SEARCH DICTIONARY"},
    [OBJECT(TSPARSER)] = {.kind = SQL_OTHER, .tag = "TEXT SEARCH PARSER"},
    [OBJECT(TSTEMPLATE)] = {.kind = SQL_OTHER, .tag = "TEXT SEARCH TEMPLATE"},
    [OBJECT(TYPE)] = {.kind = SQL_TYPE, .tag = "TYPE"},
    [OBJECT(USER_MAPPING)] = {.kind = SQL_OTHER, .tag = "USER MAPPING"},
    [OBJECT(VIEW)] = {.kind = SQL_VIEW, .tag = "VIEW"},
};

static const struct object_type *object_type(PgQuery__ObjectType type)
{
    static const struct object_type unknown = {.kind = SQL_OTHER, .tag = NULL};
    size_t i = (size_t)type;
    return i < sizeof(types) / sizeof(types[0]) && types[i].tag != NULL ? &types[i] : &unknown;
}

enum sql_kind object_kind(PgQuery__ObjectType type)
{
    return object_type(type)->kind;
}

const char *object_tag(PgQuery__ObjectType type)
{
    return object_type(type)->tag;
}

/* schema.table.column */
static void column_add(struct walk *w, const PgQuery__List *names, enum sql_access access)
{
    const char *column = names->n_items == 0 ? NULL : node_string(names->items[names->n_items - 1]);
    const char *table = names->n_items < 2 ? NULL : node_string(names->items[names->n_items - 2]);
    const char *schema = names->n_items < 3 ? NULL : node_string(names->items[names->n_items - 3]);
    uint32_t at = walk_find(w, SQL_TABLE, access, schema, table);
    if (at != NO_OBJECT && column != NULL) {
        column_set_add_text(&w->columns, &w->found[at].columns, column);
    }
}

void object_add(struct walk *w, PgQuery__ObjectType type, const PgQuery__Node *name,
                enum sql_access access)
{
    const struct object_type *t = object_type(type);
    walk_add_access(w, access);
    if (name == NULL) {
        return;
    }
    switch (name->node_case) {
    case PG_QUERY__NODE__NODE_STRING: walk_add(w, t->kind, access, NULL, name->string->sval); break;
    case PG_QUERY__NODE__NODE_RANGE_VAR: walk_add_range(w, t->kind, access, name->range_var); break;
    case PG_QUERY__NODE__NODE_LIST: {
        if (type == OBJECT(COLUMN)) {
            column_add(w, name->list, access);
            break;
        }
        size_t skip = t->after_method && name->list->n_items > 1 ? 1 : 0;
        walk_add_names(w, t->kind, access, name->list->n_items - skip, name->list->items + skip,
                       t->is_part);
        break;
    }
    case PG_QUERY__NODE__NODE_OBJECT_WITH_ARGS:
        walk_add_names(w, t->kind, access, name->object_with_args->n_objname,
                       name->object_with_args->objname, false);
        break;
    case PG_QUERY__NODE__NODE_TYPE_NAME:
        walk_add_names(w, t->kind, access, name->type_name->n_names, name->type_name->names, false);
        break;
    default: walk_node(w, name); break;
    }
}
