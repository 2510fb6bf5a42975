/* What calls do beyond computing: functions, operators and types by their names. */
#include <stdlib.h>
#include <strings.h>

#include "sidecar/sql/sql_scope.h"

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

static enum sql_access function_access(const char *schema, const char *name)
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

/* --- names in literals ----------------------------------------------------------------- */

/* NAMEDATALEN is 64; a longer name is cut by the server, and is not followed here. */
enum { LITERAL_NAME_SIZE = 64 };

struct literal_name {
    char schema[LITERAL_NAME_SIZE], name[LITERAL_NAME_SIZE];
};

/* Reads an identifier; NULL: there is none. */
static const char *identifier_read(const char *text, char out[LITERAL_NAME_SIZE])
{
    bool quoted = *text == '"';
    size_t size = 0;
    text += quoted;
    for (; *text != '\0'; text++) {
        if (quoted && *text == '"') {
            if (text[1] != '"') {
                break;
            }
            text++;
        } else if (!quoted && strchr(". \t\n\r\f\"(", *text) != NULL) {
            break;
        }
        bool upper = !quoted && *text >= 'A' && *text <= 'Z';
        if (size + 1 >= LITERAL_NAME_SIZE) {
            return NULL;
        }
        out[size++] = (char)(upper ? *text - 'A' + 'a' : *text);
    }
    if (size == 0 || (quoted && *text != '"')) {
        return NULL;
    }
    out[size] = '\0';
    return text + quoted;
}

static const char *spaces_skip(const char *text)
{
    return text + strspn(text, " \t\n\r\f\v");
}

/* As stringToQualifiedNameList reads it; a number is an oid, whose name is not known. `ends` are
 * what may come after it: the arguments of regprocedure. */
static bool literal_read(const char *text, char end, struct literal_name *out)
{
    *out = (struct literal_name){0};
    text = spaces_skip(text);
    if (*text >= '0' && *text <= '9') {
        return false;
    }
    text = identifier_read(text, out->name);
    while (text != NULL && *(text = spaces_skip(text)) == '.') {
        memcpy(out->schema, out->name, sizeof(out->schema));
        text = identifier_read(spaces_skip(text + 1), out->name);
    }
    return text != NULL && (*text == '\0' || *text == end);
}

/* The text of a literal, also of one that is cast; NULL: none. */
static const char *literal_text(const PgQuery__Node *n)
{
    while (n != NULL && n->node_case == PG_QUERY__NODE__NODE_TYPE_CAST) {
        n = n->type_cast->arg;
    }
    if (n == NULL || n->node_case != PG_QUERY__NODE__NODE_A_CONST ||
        n->a_const->val_case != PG_QUERY__A__CONST__VAL_SVAL) {
        return NULL;
    }
    return n->a_const->sval->sval;
}

static const char *argument_text(const PgQuery__FuncCall *f, size_t i)
{
    return i < f->n_args ? literal_text(f->args[i]) : NULL;
}

static const char *function_name(const PgQuery__FuncCall *f)
{
    return f->n_funcname == 0 ? NULL : node_string(f->funcname[f->n_funcname - 1]);
}

/* --- functions whose arguments say what they do ---------------------------------------- */

/* setval(pg_get_serial_sequence('t', 'c'), ...): the sequence is the column's. */
static bool serial_sequence(struct walk *w, const PgQuery__Node *n, enum sql_access access)
{
    while (n != NULL && n->node_case == PG_QUERY__NODE__NODE_TYPE_CAST) {
        n = n->type_cast->arg;
    }
    if (n == NULL || n->node_case != PG_QUERY__NODE__NODE_FUNC_CALL) {
        return false;
    }
    const PgQuery__FuncCall *f = n->func_call;
    const char *name = function_name(f);
    const char *table = argument_text(f, 0), *column = argument_text(f, 1);
    struct literal_name t;
    if (name == NULL || strcmp(name, "pg_get_serial_sequence") != 0 || table == NULL ||
        column == NULL || !literal_read(table, '\0', &t)) {
        return false;
    }
    uint32_t at = walk_find(w, SQL_TABLE, access, t.schema, t.name);
    if (at != NO_OBJECT) {
        column_set_add_text(&w->columns, &w->found[at].columns, column);
    }
    return true;
}

/* A sequence that is not named by a literal may be any: no rule for tables covers that. */
static void sequence_use(struct walk *w, const PgQuery__FuncCall *f, enum sql_access access)
{
    struct literal_name s;
    const char *text = argument_text(f, 0);
    if (text != NULL && literal_read(text, '\0', &s)) {
        walk_add(w, SQL_SEQUENCE, access, s.schema, s.name);
    } else if (f->n_args == 0 || !serial_sequence(w, f->args[0], access)) {
        walk_add(w, SQL_OTHER, access, NULL, "sequence");
    }
}

static void sequence_change(struct walk *w, const PgQuery__FuncCall *f)
{
    sequence_use(w, f, SQL_UPDATE);
}

static void sequence_read(struct walk *w, const PgQuery__FuncCall *f)
{
    sequence_use(w, f, SQL_READ);
}

static void setting_add(struct walk *w, const char *name)
{
    walk_add(w, SQL_SETTING, SQL_SESSION, NULL, name);
    /* SET ROLE and SET SESSION AUTHORIZATION are settings of these names. */
    if (strcasecmp(name, "role") == 0 || strcasecmp(name, "session_authorization") == 0) {
        walk_add(w, SQL_SETTING, SQL_PRIVILEGE, NULL, name);
    }
}

static void setting_change(struct walk *w, const PgQuery__FuncCall *f)
{
    const char *name = argument_text(f, 0);
    if (name != NULL) {
        setting_add(w, name);
        return;
    }
    walk_add(w, SQL_FUNCTION, SQL_SESSION, NULL, "set_config");
    walk_add(w, SQL_FUNCTION, SQL_PRIVILEGE, NULL, "set_config");
}

static void channel_notify(struct walk *w, const PgQuery__FuncCall *f)
{
    const char *name = argument_text(f, 0);
    walk_add(w, name == NULL ? SQL_FUNCTION : SQL_CHANNEL, SQL_NOTIFY, NULL,
             name == NULL ? "pg_notify" : name);
}

/* With two arguments the second is a query that it runs. */
static void rewrite_run(struct walk *w, const PgQuery__FuncCall *f)
{
    if (f->n_args == 2) {
        walk_add(w, SQL_FUNCTION, SQL_UNSAFE_IO, NULL, "ts_rewrite");
    }
}

/* 'orders'::regclass names a table, whose number it becomes. */
static void reference_read(struct walk *w, const char *type, const char *text)
{
    struct literal_name r;
    bool is_class = strcmp(type, "regclass") == 0;
    bool is_function = strcmp(type, "regproc") == 0 || strcmp(type, "regprocedure") == 0;
    if (!is_class && !is_function) {
        return;
    }
    w->constants_matter = true;
    if (text == NULL || !literal_read(text, is_function ? '(' : '\0', &r)) {
        return;
    }
    if (is_class) {
        (void)walk_find(w, SQL_TABLE, SQL_READ, r.schema, r.name);
    } else {
        walk_add(w, SQL_FUNCTION, SQL_CALL, r.schema, r.name);
    }
}

static void reference_call(struct walk *w, const PgQuery__FuncCall *f)
{
    reference_read(w, function_name(f), argument_text(f, 0));
}

/* Sorted. */
static const struct argued {
    const char *name;
    void (*add)(struct walk *w, const PgQuery__FuncCall *f);
} argued[] = {
    {"currval", sequence_read},     {"nextval", sequence_change}, {"pg_notify", channel_notify},
    {"regclass", reference_call},   {"regproc", reference_call},  {"regprocedure", reference_call},
    {"set_config", setting_change}, {"setval", sequence_change},  {"ts_rewrite", rewrite_run},
};

static int argued_compare(const void *name, const void *at)
{
    return strcmp(name, ((const struct argued *)at)->name);
}

static void effect_add(struct walk *w, const PgQuery__FuncCall *f, enum sql_kind kind)
{
    const char *name = function_name(f);
    if (name == NULL) {
        walk_add_unknown(w);
        return;
    }
    const struct argued *a =
        bsearch(name, argued, COUNT(argued), sizeof(argued[0]), argued_compare);
    if (a != NULL) {
        w->constants_matter = true;
        a->add(w, f);
        return;
    }
    const char *schema = f->n_funcname < 2 ? NULL : node_string(f->funcname[f->n_funcname - 2]);
    enum sql_access more = function_access(schema, name);
    if (more != SQL_CALL) {
        walk_add_names(w, kind, more, f->n_funcname, f->funcname, false);
    }
}

void function_walk(struct walk *w, const PgQuery__FuncCall *f, enum sql_kind kind,
                   enum sql_access access)
{
    walk_add_names(w, kind, access, f->n_funcname, f->funcname, false);
    effect_add(w, f, kind);
    walk_nodes(w, f->n_args, f->args);
    walk_nodes(w, f->n_agg_order, f->agg_order);
    walk_node(w, f->agg_filter);
    if (f->over != NULL) {
        walk_fields(w, &f->over->base);
    }
}

/* --- operators and types --------------------------------------------------------------- */

/* A name of two parts, or of one that is not PostgreSQL's own, is code that somebody wrote. */
static void own_code_add(struct walk *w, size_t count, PgQuery__Node *const *names,
                         const char *const *builtin, size_t builtin_count)
{
    const char *name = count == 0 ? NULL : node_string(names[count - 1]);
    const char *schema = count < 2 ? NULL : node_string(names[count - 2]);
    bool in_catalog = schema == NULL || strcmp(schema, "pg_catalog") == 0;
    if (name == NULL || (in_catalog && bsearch(name, builtin, builtin_count, sizeof(*builtin),
                                               name_compare) != NULL)) {
        return;
    }
    w->runs_own_code = true;
    walk_add(w, SQL_FUNCTION, SQL_CALL, schema, name);
}

void operator_use(struct walk *w, size_t count, PgQuery__Node *const *names)
{
    own_code_add(w, count, names, builtin_operators, COUNT(builtin_operators));
}

void type_use(struct walk *w, const PgQuery__TypeName *t)
{
    if (t != NULL) {
        own_code_add(w, t->n_names, t->names, builtin_types, COUNT(builtin_types));
        walk_nodes(w, t->n_typmods, t->typmods);
    }
}

void cast_walk(struct walk *w, const PgQuery__TypeCast *c)
{
    type_use(w, c->type_name);
    const PgQuery__TypeName *t = c->type_name;
    const char *type = t == NULL || t->n_names == 0 ? NULL : node_string(t->names[t->n_names - 1]);
    if (type != NULL) {
        reference_read(w, type, t->n_array_bounds == 0 ? literal_text(c->arg) : NULL);
    }
    walk_node(w, c->arg);
}
