#include "cli/policy/tables.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    FIRST_OID = 20000,
    COLUMNS_OF_ONE_MAX = 1600, /* the server's MaxHeapAttributeNumber */
    NAME_SIZE_MAX = 63,        /* the server's NAMEDATALEN - 1 */
    TYPE_SIZE = 64,
};

struct type {
    const char *name, *printed; /* as people write it, and as format_type does */
    uint32_t oid, array;        /* of pg_type.dat */
};

static const struct type types[] = {
    {"bool", "boolean", 16, 1000},
    {"boolean", "boolean", 16, 1000},
    {"bytea", "bytea", 17, 1001},
    {"name", "name", 19, 1003},
    {"int8", "bigint", 20, 1016},
    {"bigint", "bigint", 20, 1016},
    {"int2", "smallint", 21, 1005},
    {"smallint", "smallint", 21, 1005},
    {"int4", "integer", 23, 1007},
    {"int", "integer", 23, 1007},
    {"integer", "integer", 23, 1007},
    {"text", "text", 25, 1009},
    {"oid", "oid", 26, 1028},
    {"json", "json", 114, 199},
    {"xml", "xml", 142, 143},
    {"cidr", "cidr", 650, 651},
    {"float4", "real", 700, 1021},
    {"real", "real", 700, 1021},
    {"float8", "double precision", 701, 1022},
    {"double precision", "double precision", 701, 1022},
    {"money", "money", 790, 791},
    {"macaddr", "macaddr", 829, 1040},
    {"inet", "inet", 869, 1041},
    {"char", "character", 1042, 1014},
    {"character", "character", 1042, 1014},
    {"varchar", "character varying", 1043, 1015},
    {"character varying", "character varying", 1043, 1015},
    {"date", "date", 1082, 1182},
    {"time", "time without time zone", 1083, 1183},
    {"time without time zone", "time without time zone", 1083, 1183},
    {"timestamp", "timestamp without time zone", 1114, 1115},
    {"timestamp without time zone", "timestamp without time zone", 1114, 1115},
    {"timestamptz", "timestamp with time zone", 1184, 1185},
    {"timestamp with time zone", "timestamp with time zone", 1184, 1185},
    {"interval", "interval", 1186, 1187},
    {"timetz", "time with time zone", 1266, 1270},
    {"time with time zone", "time with time zone", 1266, 1270},
    {"bit", "bit", 1560, 1561},
    {"varbit", "bit varying", 1562, 1563},
    {"bit varying", "bit varying", 1562, 1563},
    {"numeric", "numeric", 1700, 1231},
    {"decimal", "numeric", 1700, 1231},
    {"uuid", "uuid", 2950, 2951},
    {"tsvector", "tsvector", 3614, 3643},
    {"jsonb", "jsonb", 3802, 3807},
};

enum { TYPES = sizeof(types) / sizeof(types[0]) };

struct reading {
    struct catalog_loader *loader;
    struct err_text *error;
    size_t tables, columns;
};

static enum err feed(struct reading *r, enum catalog_query q, const char *const *texts,
                     size_t count)
{
    struct bytes row[8] = {0};
    for (size_t i = 0; i < count; i++) {
        row[i] = bytes_of_string(texts[i]);
    }
    return catalog_loader_row(r->loader, q, row, count);
}

/* ---- columns ------------------------------------------------------------------------------- */

static enum err type_unknown(const struct conf_node *n, const char *text, struct err_text *error)
{
    const char *names[TYPES + 1];
    for (size_t i = 0; i < TYPES; i++) {
        names[i] = types[i].name;
    }
    names[TYPES] = NULL;
    const char *meant = conf_nearest(text, names);
    return conf_fail(n, error,
                     "expected a type of PostgreSQL's own without its length, such as int4, "
                     "varchar or text[], found \"%.60s\"%s%s%s",
                     text, meant == NULL ? "" : "; did you mean \"", meant == NULL ? "" : meant,
                     meant == NULL ? "" : "\"?");
}

/* `printed` has TYPE_SIZE bytes. */
static enum err type_read(const struct conf_node *n, char *printed, uint32_t *out_oid,
                          struct err_text *error)
{
    const char *text = "";
    enum err e = conf_as_string(n, &text, error);
    size_t size = strlen(text);
    bool is_array = size > 2 && strcmp(text + size - 2, "[]") == 0;
    struct bytes element = bytes_of(text, is_array ? size - 2 : size);
    for (size_t i = 0; e == OK && i < TYPES; i++) {
        if (bytes_equal_string(element, types[i].name)) {
            (void)snprintf(printed, TYPE_SIZE, "%s%s", types[i].printed, is_array ? "[]" : "");
            *out_oid = is_array ? types[i].array : types[i].oid;
            return OK;
        }
    }
    return e == OK ? type_unknown(n, text, error) : e;
}

static enum err column_read(struct reading *r, const char *relation, size_t number,
                            const struct conf_node *n)
{
    char digits[16], oid[16], printed[TYPE_SIZE];
    uint32_t type = 0;
    if (strlen(conf_key(n)) == 0 || strlen(conf_key(n)) > NAME_SIZE_MAX) {
        return conf_fail(n, r->error, "expected a column's name of at most %d bytes",
                         NAME_SIZE_MAX);
    }
    if (++r->columns > TABLES_COLUMNS_MAX || number > COLUMNS_OF_ONE_MAX) {
        (void)conf_fail(n, r->error, "at most %d columns are allowed, %d in all tables",
                        COLUMNS_OF_ONE_MAX, TABLES_COLUMNS_MAX);
        return ERR_LIMIT;
    }
    enum err e = type_read(n, printed, &type, r->error);
    (void)snprintf(digits, sizeof(digits), "%zu", number);
    (void)snprintf(oid, sizeof(oid), "%u", type);
    const char *row[] = {relation, digits, conf_key(n), oid, printed, "false"};
    return e == OK ? feed(r, CATALOG_QUERY_COLUMNS, row, 6) : e;
}

/* ---- tables -------------------------------------------------------------------------------- */

/* Splits "public.customers". */
static enum err name_read(const struct conf_node *n, char schema[NAME_SIZE_MAX + 1],
                          const char **out_name, struct err_text *error)
{
    const char *key = conf_key(n), *dot = strchr(key, '.');
    size_t size = dot == NULL ? 0 : (size_t)(dot - key);
    bool good = size > 0 && size <= NAME_SIZE_MAX && dot[1] != '\0' &&
                strlen(dot + 1) <= NAME_SIZE_MAX && strpbrk(dot + 1, ".\"") == NULL &&
                memchr(key, '"', size) == NULL;
    if (!good) {
        return conf_fail(n, error,
                         "expected SCHEMA.TABLE such as public.customers, without quotes, found "
                         "\"%.140s\"",
                         key);
    }
    memcpy(schema, key, size);
    schema[size] = '\0';
    *out_name = dot + 1;
    return OK;
}

static enum err table_read(struct reading *r, const struct conf_node *n)
{
    char schema[NAME_SIZE_MAX + 1], oid[16];
    const char *name = "";
    size_t number = 0;
    if (++r->tables > TABLES_MAX) {
        (void)conf_fail(n, r->error, "at most %d tables are allowed", TABLES_MAX);
        return ERR_LIMIT;
    }
    enum err e = name_read(n, schema, &name, r->error);
    if (e == OK && conf_kind(n) != CONF_MAP) {
        e = conf_fail(n, r->error, "expected a map of columns and their types");
    }
    (void)snprintf(oid, sizeof(oid), "%zu", FIRST_OID + r->tables);
    const char *row[] = {oid, schema, name, "r", "false", "false", "false", "true"};
    e = e == OK ? feed(r, CATALOG_QUERY_RELATIONS, row, 8) : e;
    for (const struct conf_node *c = e == OK ? conf_first(n) : NULL; e == OK && c != NULL;
         c = conf_next(c)) {
        e = column_read(r, oid, ++number, c);
    }
    return e;
}

enum err tables_read(const struct conf_node *map, struct catalog **out, struct err_text *error)
{
    static const char *const fingerprint[] = {"written by hand"};
    static const char *const path[][2] = {{"pg_catalog", "false"}, {"public", "false"}};
    struct reading r = {.loader = catalog_loader_create(), .error = error};
    if (r.loader == NULL) {
        return err_set(error, ERR_NO_MEMORY, "out of memory");
    }
    enum err e = conf_kind(map) == CONF_MAP
                     ? OK
                     : conf_fail(map, error, "expected a map of tables: public.customers: {...}");
    e = e == OK ? feed(&r, CATALOG_QUERY_FINGERPRINT, fingerprint, 1) : e;
    for (size_t i = 0; e == OK && i < sizeof(path) / sizeof(path[0]); i++) {
        e = feed(&r, CATALOG_QUERY_PATH, path[i], 2);
    }
    for (const struct conf_node *n = e == OK ? conf_first(map) : NULL; e == OK && n != NULL;
         n = conf_next(n)) {
        e = table_read(&r, n);
    }
    e = e == OK ? catalog_loader_finish(r.loader, out) : e;
    catalog_loader_destroy(r.loader);
    return e;
}

enum err tables_load(const char *path, struct catalog **out, struct err_text *error)
{
    struct conf *c = NULL;
    enum err e = conf_load_file(path, &c, error);
    if (e == OK) {
        const struct conf_node *root = conf_root(c);
        const struct conf_node *under = conf_get(root, "catalog");
        e = tables_read(under == NULL ? root : under, out, error);
    }
    conf_destroy(c);
    return e;
}
