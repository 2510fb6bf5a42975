/* Which statements do nothing that their transaction does not take back when it is not committed.
 */
#include <stdlib.h>

#include "sidecar/sql/sql_walk.h"

/* Sorted. Functions of PostgreSQL 15 that compute from their arguments, the clock or chance, and do
 * nothing else; also those that SQL's own words become (EXTRACT, TRIM, LIKE ... ESCAPE). Without
 * those that look for casts of whatever they are given (to_json and its like), and without
 * sequences: what they give is not taken back. */
static const char *const computing[] = {
    "abs",
    "age",
    "array_agg",
    "array_append",
    "array_cat",
    "array_length",
    "array_position",
    "array_prepend",
    "array_remove",
    "array_to_string",
    "ascii",
    "avg",
    "bit_and",
    "bit_length",
    "bit_or",
    "bool_and",
    "bool_or",
    "btrim",
    "cardinality",
    "ceil",
    "ceiling",
    "char_length",
    "character_length",
    "chr",
    "clock_timestamp",
    "concat",
    "concat_ws",
    "count",
    "date_bin",
    "date_part",
    "date_trunc",
    "decode",
    "dense_rank",
    "div",
    "encode",
    "every",
    "exp",
    "extract",
    "first_value",
    "floor",
    "format",
    "gen_random_uuid",
    "generate_series",
    "initcap",
    "isfinite",
    "jsonb_array_elements",
    "jsonb_array_elements_text",
    "jsonb_array_length",
    "jsonb_each",
    "jsonb_each_text",
    "jsonb_extract_path",
    "jsonb_extract_path_text",
    "jsonb_insert",
    "jsonb_object_keys",
    "jsonb_set",
    "jsonb_strip_nulls",
    "jsonb_typeof",
    "justify_days",
    "justify_hours",
    "justify_interval",
    "lag",
    "last_value",
    "lead",
    "left",
    "length",
    "like_escape",
    "ln",
    "log",
    "lower",
    "lpad",
    "ltrim",
    "make_date",
    "make_interval",
    "make_time",
    "make_timestamp",
    "make_timestamptz",
    "max",
    "md5",
    "min",
    "mod",
    "now",
    "nth_value",
    "ntile",
    "num_nonnulls",
    "num_nulls",
    "octet_length",
    "overlay",
    "percent_rank",
    "position",
    "power",
    "random",
    "rank",
    "regexp_match",
    "regexp_matches",
    "regexp_replace",
    "regexp_split_to_array",
    "regexp_split_to_table",
    "repeat",
    "replace",
    "reverse",
    "right",
    "round",
    "row_number",
    "rpad",
    "rtrim",
    "sha224",
    "sha256",
    "sha384",
    "sha512",
    "sign",
    "similar_to_escape",
    "split_part",
    "sqrt",
    "starts_with",
    "statement_timestamp",
    "stddev",
    "string_agg",
    "string_to_array",
    "strpos",
    "substr",
    "substring",
    "sum",
    "timezone",
    "to_char",
    "to_date",
    "to_hex",
    "to_number",
    "to_timestamp",
    "transaction_timestamp",
    "translate",
    "trunc",
    "unnest",
    "upper",
    "variance",
    "width_bucket",
};

static int name_compare(const void *name, const void *at)
{
    return strcmp(name, *(const char *const *)at);
}

static bool is_computing(const struct sql_object *o)
{
    bool may_be_own = o->schema == NULL || strcmp(o->schema, "pg_catalog") == 0;
    return may_be_own && bsearch(o->name, computing, sizeof(computing) / sizeof(computing[0]),
                                 sizeof(computing[0]), name_compare) != NULL;
}

/* The server's own tables are not only rows: a row of pg_settings that is updated is a setting. */
static bool is_system(const struct sql_object *o)
{
    return strncmp(o->name, "pg_", 3) == 0 ||
           (o->schema != NULL &&
            (strncmp(o->schema, "pg_", 3) == 0 || strcmp(o->schema, "information_schema") == 0));
}

static bool object_is_transactional(const struct sql_object *o)
{
    const uint32_t of_rows =
        1u << SQL_READ | 1u << SQL_INSERT | 1u << SQL_UPDATE | 1u << SQL_DELETE | 1u << SQL_LOCK;
    if (o->kind == SQL_FUNCTION) {
        return o->access == SQL_CALL && is_computing(o);
    }
    return o->kind == SQL_TABLE && (of_rows & 1u << o->access) != 0 &&
           (o->access == SQL_READ || !is_system(o));
}

static bool is_of_rows(const struct sql_statement *s)
{
    const uint32_t allowed = 1u << SQL_READ | 1u << SQL_INSERT | 1u << SQL_UPDATE |
                             1u << SQL_DELETE | 1u << SQL_LOCK | 1u << SQL_CALL;
    if (s->is_unknown || (s->accesses & ~allowed) != 0) {
        return false;
    }
    for (size_t i = 0; i < s->object_count; i++) {
        if (!object_is_transactional(&s->objects[i])) {
            return false;
        }
    }
    return true;
}

bool node_is_data_statement(const PgQuery__Node *n)
{
    return n->node_case == PG_QUERY__NODE__NODE_SELECT_STMT ||
           n->node_case == PG_QUERY__NODE__NODE_INSERT_STMT ||
           n->node_case == PG_QUERY__NODE__NODE_UPDATE_STMT ||
           n->node_case == PG_QUERY__NODE__NODE_DELETE_STMT ||
           n->node_case == PG_QUERY__NODE__NODE_MERGE_STMT;
}

bool statement_is_transactional(const struct walk *w, const PgQuery__Node *n)
{
    const struct sql_statement *s = w->statement;
    if (node_is_data_statement(n)) {
        return !w->runs_own_code && is_of_rows(s);
    }
    return s->transaction == SQL_TRANSACTION_SAVEPOINT ||
           s->transaction == SQL_TRANSACTION_RELEASE ||
           s->transaction == SQL_TRANSACTION_ROLLBACK_TO;
}

bool sql_is_transactional(const struct sql_analysis *a)
{
    for (size_t i = 0; i < a->statement_count; i++) {
        if (!a->statements[i].is_transactional) {
            return false;
        }
    }
    return true;
}
