/* What is known of PostgreSQL's own functions (12 to 18) beside "it may fail on a value": sorted
 * tables, looked up by name alone. */
#include <stdlib.h>
#include <string.h>

#include "sidecar/lineage/lineage_internal.h"

struct function {
    const char *name;
    enum call_class class;
};

/* Total: no value makes it fail, and it does nothing else. json_object_agg is not (a NULL key is an
 * error), nor format (%I of NULL), nor are substring with a marked length, casts, arithmetic.
 * Sorted by strcmp. */
static const struct function functions[] = {
    {"array_agg", CALL_TOTAL},
    {"array_length", CALL_TOTAL_FIRST},
    {"array_ndims", CALL_TOTAL_ONE},
    {"array_to_json", CALL_TOTAL_FIRST},
    {"array_to_string", CALL_TOTAL},
    {"ascii", CALL_TOTAL_ONE},
    {"avg", CALL_TOTAL_ONE},
    {"bit_length", CALL_TOTAL_ONE},
    {"bool_and", CALL_TOTAL_ONE},
    {"bool_or", CALL_TOTAL_ONE},
    {"btrim", CALL_TOTAL},
    {"cardinality", CALL_TOTAL_ONE},
    {"ceil", CALL_TOTAL_ONE},
    {"ceiling", CALL_TOTAL_ONE},
    {"char_length", CALL_TOTAL_ONE},
    {"character_length", CALL_TOTAL_ONE},
    {"concat", CALL_TOTAL},
    {"concat_ws", CALL_TOTAL},
    {"count", CALL_TOTAL},
    {"encode", CALL_TOTAL_FIRST},
    {"every", CALL_TOTAL_ONE},
    {"first_value", CALL_TOTAL_ONE},
    {"floor", CALL_TOTAL_ONE},
    {"hashtext", CALL_TOTAL_ONE},
    {"hashtextextended", CALL_TOTAL_FIRST},
    {"host", CALL_TOTAL_ONE},
    {"initcap", CALL_TOTAL_ONE},
    {"json_agg", CALL_TOTAL},
    {"json_build_array", CALL_TOTAL},
    {"json_extract_path", CALL_TOTAL_FIRST},
    {"json_extract_path_text", CALL_TOTAL_FIRST},
    {"json_typeof", CALL_TOTAL_ONE},
    {"jsonb_agg", CALL_TOTAL},
    {"jsonb_build_array", CALL_TOTAL},
    {"jsonb_extract_path", CALL_TOTAL_FIRST},
    {"jsonb_extract_path_text", CALL_TOTAL_FIRST},
    {"jsonb_pretty", CALL_TOTAL_ONE},
    {"jsonb_typeof", CALL_TOTAL_ONE},
    {"lag", CALL_TOTAL_FIRST},
    {"last_value", CALL_TOTAL_ONE},
    {"lead", CALL_TOTAL_FIRST},
    {"left", CALL_TOTAL_FIRST},
    {"length", CALL_TOTAL_ONE},
    {"lower", CALL_TOTAL_ONE},
    {"lpad", CALL_TOTAL_FIRST},
    {"ltrim", CALL_TOTAL},
    {"max", CALL_TOTAL_ONE},
    {"md5", CALL_TOTAL_ONE},
    {"min", CALL_TOTAL_ONE},
    {"nth_value", CALL_TOTAL_FIRST},
    {"octet_length", CALL_TOTAL_ONE},
    {"pg_advisory_lock", CALL_EFFECT},
    {"pg_advisory_lock_shared", CALL_EFFECT},
    {"pg_advisory_unlock", CALL_EFFECT},
    {"pg_advisory_unlock_shared", CALL_EFFECT},
    {"pg_advisory_xact_lock", CALL_EFFECT},
    {"pg_advisory_xact_lock_shared", CALL_EFFECT},
    {"pg_backup_start", CALL_EFFECT},
    {"pg_cancel_backend", CALL_EFFECT},
    {"pg_column_size", CALL_TOTAL_ONE},
    {"pg_copy_logical_replication_slot", CALL_EFFECT},
    {"pg_copy_physical_replication_slot", CALL_EFFECT},
    {"pg_create_logical_replication_slot", CALL_EFFECT},
    {"pg_create_physical_replication_slot", CALL_EFFECT},
    {"pg_create_restore_point", CALL_EFFECT},
    {"pg_drop_replication_slot", CALL_EFFECT},
    {"pg_notify", CALL_EFFECT},
    {"pg_start_backup", CALL_EFFECT},
    {"pg_terminate_backend", CALL_EFFECT},
    {"pg_try_advisory_lock", CALL_EFFECT},
    {"pg_try_advisory_lock_shared", CALL_EFFECT},
    {"pg_try_advisory_xact_lock", CALL_EFFECT},
    {"pg_try_advisory_xact_lock_shared", CALL_EFFECT},
    {"pg_typeof", CALL_TOTAL_ONE},
    {"quote_ident", CALL_TOTAL_ONE},
    {"quote_literal", CALL_TOTAL_ONE},
    {"quote_nullable", CALL_TOTAL_ONE},
    {"regexp_replace", CALL_TOTAL_SHORT},
    {"replace", CALL_TOTAL_SHORT},
    {"reverse", CALL_TOTAL_ONE},
    {"right", CALL_TOTAL_FIRST},
    {"round", CALL_TOTAL_FIRST},
    {"row_to_json", CALL_TOTAL_FIRST},
    {"rpad", CALL_TOTAL_FIRST},
    {"rtrim", CALL_TOTAL},
    {"set_config", CALL_EFFECT},
    {"setseed", CALL_EFFECT},
    {"setval", CALL_EFFECT},
    {"sha224", CALL_TOTAL_ONE},
    {"sha256", CALL_TOTAL_ONE},
    {"sha384", CALL_TOTAL_ONE},
    {"sha512", CALL_TOTAL_ONE},
    {"sign", CALL_TOTAL_ONE},
    {"split_part", CALL_TOTAL_FIRST},
    {"stddev", CALL_TOTAL_ONE},
    {"string_agg", CALL_TOTAL},
    {"string_to_array", CALL_TOTAL},
    {"strpos", CALL_TOTAL_FIRST},
    {"substr", CALL_TOTAL_FIRST},
    {"substring", CALL_TOTAL_FIRST},
    {"sum", CALL_TOTAL_ONE},
    {"to_char", CALL_TOTAL_FIRST},
    {"to_hex", CALL_TOTAL_ONE},
    {"to_json", CALL_TOTAL_ONE},
    {"to_jsonb", CALL_TOTAL_ONE},
    {"translate", CALL_TOTAL},
    {"trunc", CALL_TOTAL_FIRST},
    {"upper", CALL_TOTAL_ONE},
    {"variance", CALL_TOTAL_ONE},
    {"xmlagg", CALL_TOTAL_ONE},
};

/* They read tables, files, logs or other sessions by what their text or number says; the prefixes
 * also hold for extensions that put theirs into pg_catalog (adminpack). */
static const char *const reading_prefixes[] = {
    "binary_upgrade_", "cursor_to_xml",      "database_to_xml", "dblink",       "lo_",
    "pg_file_",        "pg_get_publication", "pg_get_wal_",     "pg_logdir_",   "pg_logical_",
    "pg_ls_",          "pg_read_",           "pg_replication_", "query_to_xml", "schema_to_xml",
    "table_to_xml",    "pg_wal_summary",
};

static const char *const reading[] = {
    "loread",
    "lowrite",
    "pg_config",
    "pg_hba_file_rules",
    "pg_ident_file_mappings",
    "pg_show_all_file_settings",
    "pg_stat_file",
    "pg_stat_get_activity",
    "pg_stat_get_backend_activity",
    "pg_stat_statements",
    "plpgsql_call_handler",
    "plpgsql_inline_handler",
    "ts_rewrite",
    "ts_stat",
};

static int compare_function(const void *name, const void *f)
{
    return strcmp(name, ((const struct function *)f)->name);
}

static bool reads(const char *name)
{
    for (size_t i = 0; i < sizeof(reading_prefixes) / sizeof(reading_prefixes[0]); i++) {
        if (strncmp(name, reading_prefixes[i], strlen(reading_prefixes[i])) == 0) {
            return true;
        }
    }
    for (size_t i = 0; i < sizeof(reading) / sizeof(reading[0]); i++) {
        if (strcmp(name, reading[i]) == 0) {
            return true;
        }
    }
    return false;
}

enum call_class function_class(const char *name)
{
    const struct function *f = bsearch(name, functions, sizeof(functions) / sizeof(functions[0]),
                                       sizeof(functions[0]), compare_function);
    return f != NULL ? f->class : reads(name) ? CALL_READS : CALL_OTHER;
}

/* A result with a name of its own goes by that (chooseScalarFunctionAlias, parse_relation.c). */
const char *function_column(const char *name, const char *alias)
{
    static const char *const of_alias[] = {
        "generate_series", "generate_subscripts",   "json_object_keys", "jsonb_object_keys",
        "regexp_matches",  "regexp_split_to_table", "string_to_table",
    };
    static const char *const of_result[] = {"json_array_elements", "json_array_elements_text",
                                            "jsonb_array_elements", "jsonb_array_elements_text"};
    for (size_t i = 0; i < sizeof(of_result) / sizeof(of_result[0]); i++) {
        if (strcmp(name, of_result[i]) == 0) {
            return "value";
        }
    }
    for (size_t i = 0; i < sizeof(of_alias) / sizeof(of_alias[0]); i++) {
        if (strcmp(name, of_alias[i]) == 0) {
            return alias != NULL ? alias : name;
        }
    }
    return NULL;
}

/* ---- what PostgreSQL keeps of others' values --------------------------------------------------
 */

struct sensitive {
    const char *relation, *column; /* column "": all */
};

static const struct sensitive sensitive[] = {
    {"_pg_user_mappings", "umoptions"},
    {"pg_attribute", "attmissingval"},
    {"pg_authid", "rolpassword"},
    {"pg_file_settings", "setting"},
    {"pg_hba_file_rules", "options"},
    {"pg_largeobject", "data"},
    {"pg_shadow", "passwd"},
    {"pg_stat_activity", "query"},
    {"pg_stat_statements", "query"},
    {"pg_stat_wal_receiver", "conninfo"},
    {"pg_statistic", ""},
    {"pg_statistic_ext_data", ""},
    {"pg_stats", "correlation"},
    {"pg_stats", "elem_count_histogram"},
    {"pg_stats", "histogram_bounds"},
    {"pg_stats", "most_common_elem_freqs"},
    {"pg_stats", "most_common_elems"},
    {"pg_stats", "most_common_freqs"},
    {"pg_stats", "most_common_vals"},
    {"pg_stats", "range_bounds_histogram"},
    {"pg_stats", "range_empty_frac"},
    {"pg_stats", "range_length_histogram"},
    {"pg_stats_ext", "dependencies"},
    {"pg_stats_ext", "most_common_base_freqs"},
    {"pg_stats_ext", "most_common_freqs"},
    {"pg_stats_ext", "most_common_val_nulls"},
    {"pg_stats_ext", "most_common_vals"},
    {"pg_stats_ext", "n_distinct"},
    {"pg_stats_ext_exprs", ""},
    {"pg_subscription", "subconninfo"},
    {"pg_user_mapping", "umoptions"},
    {"pg_user_mappings", "umoptions"},
    {"user_mapping_options", "option_value"},
};

bool column_is_sensitive(const char *schema, const char *relation, const char *column)
{
    (void)schema; /* pg_catalog or information_schema: the names are in one of them only */
    for (size_t i = 0; i < sizeof(sensitive) / sizeof(sensitive[0]); i++) {
        if (strcmp(sensitive[i].relation, relation) == 0 &&
            (sensitive[i].column[0] == '\0' || strcmp(sensitive[i].column, column) == 0)) {
            return true;
        }
    }
    return false;
}
