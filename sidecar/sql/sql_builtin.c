/* What is known of PostgreSQL's functions, operators and types by their names. */
#include <stdlib.h>

#include "sidecar/sql/sql_walk.h"

struct function_effect {
    const char *name;
    enum sql_access access;
};

/* Sorted by name. Of PostgreSQL 15's functions, its contrib modules and extensions that are met
 * often: what reaches beyond the rows that the statement names. Every one of them is reported as a
 * call as well. */
static const struct function_effect effects[] = {
    {"autoprewarm_dump_now", SQL_MAINTENANCE},
    {"autoprewarm_start_worker", SQL_MAINTENANCE},
    {"brin_desummarize_range", SQL_MAINTENANCE},
    {"brin_summarize_new_values", SQL_MAINTENANCE},
    {"brin_summarize_range", SQL_MAINTENANCE},
    {"connectby", SQL_UNSAFE_IO},
    {"crosstab", SQL_UNSAFE_IO},
    {"crosstab2", SQL_UNSAFE_IO},
    {"crosstab3", SQL_UNSAFE_IO},
    {"crosstab4", SQL_UNSAFE_IO},
    {"crosstabn", SQL_UNSAFE_IO},
    {"cursor_to_xml", SQL_UNSAFE_IO},
    {"cursor_to_xmlschema", SQL_UNSAFE_IO},
    {"database_to_xml", SQL_UNSAFE_IO},
    {"database_to_xml_and_xmlschema", SQL_UNSAFE_IO},
    {"database_to_xmlschema", SQL_UNSAFE_IO},
    {"get_raw_page", SQL_UNSAFE_IO},
    {"gin_clean_pending_list", SQL_MAINTENANCE},
    {"heap_force_freeze", SQL_MAINTENANCE},
    {"heap_force_kill", SQL_DELETE},
    {"http", SQL_UNSAFE_IO},
    {"http_delete", SQL_UNSAFE_IO},
    {"http_get", SQL_UNSAFE_IO},
    {"http_head", SQL_UNSAFE_IO},
    {"http_patch", SQL_UNSAFE_IO},
    {"http_post", SQL_UNSAFE_IO},
    {"http_put", SQL_UNSAFE_IO},
    {"lo_creat", SQL_INSERT},
    {"lo_create", SQL_INSERT},
    {"lo_export", SQL_UNSAFE_IO},
    {"lo_from_bytea", SQL_INSERT},
    {"lo_get", SQL_READ},
    {"lo_import", SQL_UNSAFE_IO},
    {"lo_open", SQL_READ},
    {"lo_put", SQL_UPDATE},
    {"lo_truncate", SQL_UPDATE},
    {"lo_truncate64", SQL_UPDATE},
    {"lo_unlink", SQL_DELETE},
    {"loread", SQL_READ},
    {"lowrite", SQL_UPDATE},
    {"pg_background_launch", SQL_PROCEDURAL},
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
    {"pg_extension_config_dump", SQL_MAINTENANCE},
    {"pg_get_wal_record_info", SQL_UNSAFE_IO},
    {"pg_get_wal_records_info", SQL_UNSAFE_IO},
    {"pg_get_wal_records_info_till_end_of_wal", SQL_UNSAFE_IO},
    {"pg_get_wal_stats", SQL_UNSAFE_IO},
    {"pg_get_wal_stats_till_end_of_wal", SQL_UNSAFE_IO},
    {"pg_hba_file_rules", SQL_UNSAFE_IO},
    {"pg_ident_file_mappings", SQL_UNSAFE_IO},
    {"pg_import_system_collations", SQL_CREATE},
    {"pg_log_backend_memory_contexts", SQL_MAINTENANCE},
    {"pg_log_standby_snapshot", SQL_MAINTENANCE},
    {"pg_logdir_ls", SQL_UNSAFE_IO},
    {"pg_logical_emit_message", SQL_NOTIFY},
    {"pg_logical_slot_get_binary_changes", SQL_UNSAFE_IO},
    {"pg_logical_slot_get_changes", SQL_UNSAFE_IO},
    {"pg_logical_slot_peek_binary_changes", SQL_UNSAFE_IO},
    {"pg_logical_slot_peek_changes", SQL_UNSAFE_IO},
    {"pg_nextoid", SQL_MAINTENANCE},
    {"pg_prewarm", SQL_MAINTENANCE},
    {"pg_promote", SQL_MAINTENANCE},
    {"pg_reload_conf", SQL_MAINTENANCE},
    {"pg_replication_slot_advance", SQL_MAINTENANCE},
    {"pg_rotate_logfile", SQL_MAINTENANCE},
    {"pg_rotate_logfile_old", SQL_MAINTENANCE},
    {"pg_show_all_file_settings", SQL_UNSAFE_IO},
    {"pg_start_backup", SQL_MAINTENANCE},
    {"pg_stat_file", SQL_UNSAFE_IO},
    {"pg_stat_statements_reset", SQL_MAINTENANCE},
    {"pg_stop_backup", SQL_MAINTENANCE},
    {"pg_stop_making_pinned_objects", SQL_MAINTENANCE},
    {"pg_switch_wal", SQL_MAINTENANCE},
    {"pg_switch_xlog", SQL_MAINTENANCE},
    {"pg_sync_replication_slots", SQL_MAINTENANCE},
    {"pg_terminate_backend", SQL_MAINTENANCE},
    {"pg_truncate_visibility_map", SQL_MAINTENANCE},
    {"pg_wal_replay_pause", SQL_MAINTENANCE},
    {"pg_wal_replay_resume", SQL_MAINTENANCE},
    /* These run a text, or read a table, that only their arguments name. */
    {"query_to_xml", SQL_UNSAFE_IO},
    {"query_to_xml_and_xmlschema", SQL_UNSAFE_IO},
    {"query_to_xmlschema", SQL_UNSAFE_IO},
    {"schema_to_xml", SQL_UNSAFE_IO},
    {"schema_to_xml_and_xmlschema", SQL_UNSAFE_IO},
    {"schema_to_xmlschema", SQL_UNSAFE_IO},
    {"set_limit", SQL_SESSION},
    {"table_to_xml", SQL_UNSAFE_IO},
    {"table_to_xml_and_xmlschema", SQL_UNSAFE_IO},
    {"table_to_xmlschema", SQL_UNSAFE_IO},
    {"ts_stat", SQL_UNSAFE_IO},
    {"xpath_table", SQL_UNSAFE_IO},
    {"xslt_process", SQL_UNSAFE_IO},
};

/* The same for all names that begin so. */
static const struct function_effect prefixes[] = {
    {"binary_upgrade_", SQL_MAINTENANCE},
    {"dblink", SQL_UNSAFE_IO},
    {"pg_advisory_", SQL_LOCK},
    {"pg_file_", SQL_UNSAFE_IO},
    {"pg_ls_", SQL_UNSAFE_IO},
    {"pg_read_", SQL_UNSAFE_IO},
    {"pg_replication_origin_", SQL_MAINTENANCE},
    {"pg_stat_reset", SQL_MAINTENANCE},
    {"pg_try_advisory_", SQL_LOCK},
    {"pg_wal_replay_", SQL_MAINTENANCE},
    {"pg_xlog_replay_", SQL_MAINTENANCE},
};

/* Schemas that extensions make for themselves: whatever is called there. */
static const struct function_effect schemas[] = {
    {"aws_lambda", SQL_UNSAFE_IO},
    {"aws_s3", SQL_UNSAFE_IO},
    {"cron", SQL_PROCEDURAL},
    {"net", SQL_UNSAFE_IO},
};

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

/* Sorted. Types and operators of pg_catalog in PostgreSQL 15. */
static const char *const builtin_types[] = {
    "aclitem",
    "any",
    "anyarray",
    "anycompatible",
    "anycompatiblearray",
    "anycompatiblemultirange",
    "anycompatiblenonarray",
    "anycompatiblerange",
    "anyelement",
    "anyenum",
    "anymultirange",
    "anynonarray",
    "anyrange",
    "bit",
    "bool",
    "box",
    "bpchar",
    "bytea",
    "char",
    "cid",
    "cidr",
    "circle",
    "cstring",
    "date",
    "datemultirange",
    "daterange",
    "event_trigger",
    "fdw_handler",
    "float4",
    "float8",
    "gtsvector",
    "index_am_handler",
    "inet",
    "int2",
    "int2vector",
    "int4",
    "int4multirange",
    "int4range",
    "int8",
    "int8multirange",
    "int8range",
    "internal",
    "interval",
    "json",
    "jsonb",
    "jsonpath",
    "language_handler",
    "line",
    "lseg",
    "macaddr",
    "macaddr8",
    "money",
    "name",
    "numeric",
    "nummultirange",
    "numrange",
    "oid",
    "oidvector",
    "path",
    "pg_brin_bloom_summary",
    "pg_brin_minmax_multi_summary",
    "pg_ddl_command",
    "pg_dependencies",
    "pg_lsn",
    "pg_mcv_list",
    "pg_ndistinct",
    "pg_node_tree",
    "pg_snapshot",
    "point",
    "polygon",
    "record",
    "refcursor",
    "regclass",
    "regcollation",
    "regconfig",
    "regdictionary",
    "regnamespace",
    "regoper",
    "regoperator",
    "regproc",
    "regprocedure",
    "regrole",
    "regtype",
    "table_am_handler",
    "text",
    "tid",
    "time",
    "timestamp",
    "timestamptz",
    "timetz",
    "trigger",
    "tsm_handler",
    "tsmultirange",
    "tsquery",
    "tsrange",
    "tstzmultirange",
    "tstzrange",
    "tsvector",
    "txid_snapshot",
    "unknown",
    "uuid",
    "varbit",
    "varchar",
    "void",
    "xid",
    "xid8",
    "xml",
};

static const char *const builtin_operators[] = {
    "!!",  "!=",  "!~",  "!~*",  "!~~", "!~~*", "#",    "##",  "#-",  "#>",  "#>>", "%",   "&",
    "&&",  "&<",  "&<|", "&>",   "*",   "*<",   "*<=",  "*<>", "*=",  "*>",  "*>=", "+",   "-",
    "->",  "->>", "-|-", "/",    "<",   "<->",  "<<",   "<<=", "<<|", "<=",  "<>",  "<@",  "<^",
    "=",   ">",   ">=",  ">>",   ">>=", ">^",   "?",    "?#",  "?&",  "?-",  "?-|", "?|",  "?||",
    "@",   "@-@", "@>",  "@?",   "@@",  "@@@",  "^",    "^@",  "|",   "|&>", "|/",  "|>>", "||",
    "||/", "~",   "~*",  "~<=~", "~<~", "~=",   "~>=~", "~>~", "~~",  "~~*",
};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static int effect_compare(const void *name, const void *effect)
{
    return strcmp(name, ((const struct function_effect *)effect)->name);
}

static int name_compare(const void *name, const void *at)
{
    return strcmp(name, *(const char *const *)at);
}

bool function_takes_row(const char *name)
{
    return bsearch(name, row_functions, COUNT(row_functions), sizeof(row_functions[0]),
                   name_compare) != NULL;
}

enum sql_access function_access(const char *schema, const char *name)
{
    const struct function_effect *e =
        bsearch(name, effects, COUNT(effects), sizeof(effects[0]), effect_compare);
    if (e != NULL) {
        return e->access;
    }
    for (size_t i = 0; i < COUNT(prefixes); i++) {
        if (strncmp(name, prefixes[i].name, strlen(prefixes[i].name)) == 0) {
            return prefixes[i].access;
        }
    }
    for (size_t i = 0; i < COUNT(schemas) && schema != NULL; i++) {
        if (strcmp(schema, schemas[i].name) == 0) {
            return schemas[i].access;
        }
    }
    return SQL_CALL;
}

bool type_is_builtin(const char *name)
{
    return bsearch(name, builtin_types, COUNT(builtin_types), sizeof(builtin_types[0]),
                   name_compare) != NULL;
}

bool operator_is_builtin(const char *name)
{
    return bsearch(name, builtin_operators, COUNT(builtin_operators), sizeof(builtin_operators[0]),
                   name_compare) != NULL;
}
