/* Objects as the statements name them by PostgreSQL's ObjectType, and what known functions do. */
#include <stdlib.h>

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

/* --- functions ------------------------------------------------------------------------- */

struct function_effect {
    const char *name;
    enum sql_access access;
};

/* Sorted by name. Of PostgreSQL 15's functions and its contrib modules: what reaches beyond the
 * rows that the statement names. Every one of them is reported as a call as well. */
static const struct function_effect effects[] = {
    {"cursor_to_xml", SQL_UNSAFE_IO},
    {"database_to_xml", SQL_UNSAFE_IO},
    {"database_to_xml_and_xmlschema", SQL_UNSAFE_IO},
    {"dblink", SQL_UNSAFE_IO},
    {"dblink_connect", SQL_UNSAFE_IO},
    {"dblink_connect_u", SQL_UNSAFE_IO},
    {"dblink_exec", SQL_UNSAFE_IO},
    {"dblink_fetch", SQL_UNSAFE_IO},
    {"dblink_get_result", SQL_UNSAFE_IO},
    {"dblink_open", SQL_UNSAFE_IO},
    {"dblink_send_query", SQL_UNSAFE_IO},
    {"lo_creat", SQL_INSERT},
    {"lo_create", SQL_INSERT},
    {"lo_export", SQL_UNSAFE_IO},
    {"lo_from_bytea", SQL_INSERT},
    {"lo_import", SQL_UNSAFE_IO},
    {"lo_put", SQL_UPDATE},
    {"lo_truncate", SQL_UPDATE},
    {"lo_truncate64", SQL_UPDATE},
    {"lo_unlink", SQL_DELETE},
    {"lowrite", SQL_UPDATE},
    {"nextval", SQL_UPDATE},
    {"pg_advisory_lock", SQL_LOCK},
    {"pg_advisory_lock_shared", SQL_LOCK},
    {"pg_advisory_xact_lock", SQL_LOCK},
    {"pg_advisory_xact_lock_shared", SQL_LOCK},
    {"pg_backup_start", SQL_MAINTENANCE},
    {"pg_backup_stop", SQL_MAINTENANCE},
    {"pg_cancel_backend", SQL_MAINTENANCE},
    {"pg_copy_logical_replication_slot", SQL_MAINTENANCE},
    {"pg_copy_physical_replication_slot", SQL_MAINTENANCE},
    {"pg_create_logical_replication_slot", SQL_MAINTENANCE},
    {"pg_create_physical_replication_slot", SQL_MAINTENANCE},
    {"pg_create_restore_point", SQL_MAINTENANCE},
    {"pg_current_logfile", SQL_UNSAFE_IO},
    {"pg_drop_replication_slot", SQL_MAINTENANCE},
    {"pg_execute_server_program", SQL_UNSAFE_IO},
    {"pg_file_rename", SQL_UNSAFE_IO},
    {"pg_file_sync", SQL_UNSAFE_IO},
    {"pg_file_unlink", SQL_UNSAFE_IO},
    {"pg_file_write", SQL_UNSAFE_IO},
    {"pg_import_system_collations", SQL_CREATE},
    {"pg_log_backend_memory_contexts", SQL_MAINTENANCE},
    {"pg_logical_emit_message", SQL_NOTIFY},
    {"pg_logical_slot_get_binary_changes", SQL_UNSAFE_IO},
    {"pg_logical_slot_get_changes", SQL_UNSAFE_IO},
    {"pg_logical_slot_peek_binary_changes", SQL_UNSAFE_IO},
    {"pg_logical_slot_peek_changes", SQL_UNSAFE_IO},
    {"pg_ls_archive_statusdir", SQL_UNSAFE_IO},
    {"pg_ls_dir", SQL_UNSAFE_IO},
    {"pg_ls_logdir", SQL_UNSAFE_IO},
    {"pg_ls_logicalmapdir", SQL_UNSAFE_IO},
    {"pg_ls_logicalsnapdir", SQL_UNSAFE_IO},
    {"pg_ls_replslotdir", SQL_UNSAFE_IO},
    {"pg_ls_tmpdir", SQL_UNSAFE_IO},
    {"pg_ls_waldir", SQL_UNSAFE_IO},
    {"pg_notify", SQL_NOTIFY},
    {"pg_promote", SQL_MAINTENANCE},
    {"pg_read_binary_file", SQL_UNSAFE_IO},
    {"pg_read_file", SQL_UNSAFE_IO},
    {"pg_reload_conf", SQL_MAINTENANCE},
    {"pg_replication_slot_advance", SQL_MAINTENANCE},
    {"pg_rotate_logfile", SQL_MAINTENANCE},
    {"pg_stat_file", SQL_UNSAFE_IO},
    {"pg_stat_reset", SQL_MAINTENANCE},
    {"pg_switch_wal", SQL_MAINTENANCE},
    {"pg_terminate_backend", SQL_MAINTENANCE},
    {"pg_try_advisory_lock", SQL_LOCK},
    {"pg_try_advisory_lock_shared", SQL_LOCK},
    {"pg_try_advisory_xact_lock", SQL_LOCK},
    {"pg_try_advisory_xact_lock_shared", SQL_LOCK},
    {"pg_wal_replay_pause", SQL_MAINTENANCE},
    {"pg_wal_replay_resume", SQL_MAINTENANCE},
    /* These run a text, or read a table, that only their arguments name. */
    {"query_to_xml", SQL_UNSAFE_IO},
    {"query_to_xml_and_xmlschema", SQL_UNSAFE_IO},
    {"query_to_xmlschema", SQL_UNSAFE_IO},
    {"schema_to_xml", SQL_UNSAFE_IO},
    {"schema_to_xml_and_xmlschema", SQL_UNSAFE_IO},
    {"set_config", SQL_SESSION},
    {"setval", SQL_UPDATE},
    {"table_to_xml", SQL_UNSAFE_IO},
    {"table_to_xml_and_xmlschema", SQL_UNSAFE_IO},
    {"ts_stat", SQL_UNSAFE_IO},
    {"xpath_table", SQL_UNSAFE_IO},
};

static int effect_compare(const void *name, const void *effect)
{
    return strcmp(name, ((const struct function_effect *)effect)->name);
}

enum sql_access function_access(const char *name)
{
    const struct function_effect *e = bsearch(name, effects, sizeof(effects) / sizeof(effects[0]),
                                              sizeof(effects[0]), effect_compare);
    return e == NULL ? SQL_CALL : e->access;
}

/* Sorted. Of PostgreSQL 15's functions and its contrib modules: those of one argument that may be a
 * record. Without those that only count, or that need OVER or WITHIN GROUP. */
static const char *const row_functions[] = {
    "any_out",
    "anycompatible_out",
    "anycompatiblenonarray_out",
    "anyelement_out",
    "anynonarray_out",
    "array_agg",
    "concat",
    "hash_record",
    "hstore",
    "json_agg",
    "json_build_array",
    "json_build_object",
    "jsonb_agg",
    "jsonb_build_array",
    "jsonb_build_object",
    "num_nonnulls",
    "num_nulls",
    "pg_collation_for",
    "pg_column_compression",
    "pg_column_size",
    "pg_typeof",
    "quote_literal",
    "quote_nullable",
    "record_out",
    "record_send",
    "row_to_json",
    "to_json",
    "to_jsonb",
};

static int name_compare(const void *name, const void *at)
{
    return strcmp(name, *(const char *const *)at);
}

bool function_takes_row(const char *name)
{
    return bsearch(name, row_functions, sizeof(row_functions) / sizeof(row_functions[0]),
                   sizeof(row_functions[0]), name_compare) != NULL;
}
