#include "sidecar/catalog/catalog_fixture.h"

const struct catalog_row catalog_rows[CATALOG_ROWS] = {
    {FINGERPRINT, {"{o ne} 1:2"}},
    {PATH, {"pg_temp_3", "true"}},
    {PATH, {"pg_catalog", "false"}},
    {PATH, {"a", "false"}},
    {PATH, {"public", "false"}},
    {RELATIONS, {"30", "public", "t", "r", "false", "false", "false", "true"}},
    {RELATIONS, {"10", "a", "t", "p", "false", "false", "true", "true"}},
    {RELATIONS, {"20", "elsewhere", "t", "f", "false", "false", "false", "true"}},
    {RELATIONS, {"40", "public", "v", "v", "false", "false", "false", "true"}},
    {RELATIONS, {"41", "public", "m", "m", "false", "false", "false", "true"}},
    {RELATIONS, {"42", "public", "s", "S", "false", "false", "false", "false"}},
    {RELATIONS, {"43", "a", "i", "i", "false", "false", "false", "false"}},
    {RELATIONS, {"44", "public", "i", "r", "false", "false", "false", "true"}},
    {RELATIONS, {"50", "pg_temp_3", "v", "r", "false", "true", "false", "true"}},
    {RELATIONS, {"1259", "pg_catalog", "pg_class", "r", "true", "false", "false", "true"}},
    {RELATIONS, {"60", "public", "pg_class", "r", "false", "false", "false", "true"}},
    {RELATIONS, {"61", "elsewhere", "only", "r", "false", "false", "false", "true"}},
    {COLUMNS, {"30", "3", "third", "25", "text", "false"}},
    {COLUMNS, {"10", "1", "x", "23", "integer", "false"}},
    {COLUMNS, {"30", "1", "first", "23", "integer", "false"}},
    {COLUMNS, {"30", "1600", "last", "25", "text", "true"}},
    {COLUMNS, {"40", "1", "x", "25", "text", "false"}},
    {VIEWS, {"40", " SELECT third AS x FROM t;"}},
    {VIEWS, {"41", "NULL"}},
    {PARENTS, {"30", "61"}},
    {PARENTS, {"30", "10"}},
    {NAMES, {"f", "a", "lower", "NULL", "NULL"}},
    {NAMES, {"f", "elsewhere", "upper", "NULL", "NULL"}},
    {NAMES, {"f", "pg_temp_3", "temporary", "NULL", "NULL"}},
    {NAMES, {"f", "pg_catalog", "planted", "NULL", "NULL"}},
    {NAMES, {"f", "public", "planted", "NULL", "NULL"}},
    {NAMES, {"f", "public", "deep", "NULL", "NULL"}},
    {NAMES, {"f", "elsewhere", "deep", "NULL", "NULL"}},
    {NAMES, {"o", "public", "=", "NULL", "NULL"}},
    {NAMES, {"t", "pg_temp_3", "int4", "NULL", "NULL"}},
    {NAMES, {"t", "public", "_mood", "NULL", "NULL"}},
    {NAMES, {"t", "public", "color", "NULL", "enum"}},
    {NAMES, {"p", "public", "||", "NULL", "NULL"}},
    {NAMES, {"p", "elsewhere", "->", "NULL", "NULL"}},
    {NAMES, {"c", "public", "to_person", "500", "person"}},
    {NAMES, {"c", "NULL", "NULL", "NULL", "NULL"}},
    {NAMES, {"w", "public", "stamp", "30", "NULL"}},
    {NAMES, {"w", "a", "audit", "10", "NULL"}},
    {NAMES, {"w", "a", "audit", "30", "NULL"}},
};

_Static_assert(sizeof(catalog_rows) / sizeof(catalog_rows[0]) == CATALOG_ROWS, "all of them");

enum err catalog_feed(struct catalog_loader *l, const struct catalog_row *row)
{
    struct bytes values[CATALOG_VALUES_MAX];
    size_t count = 0;
    while (count < CATALOG_VALUES_MAX && row->values[count] != NULL) {
        const char *text = row->values[count];
        values[count++] = strcmp(text, "NULL") == 0 ? bytes_of(NULL, 0) : bytes_of_string(text);
    }
    return catalog_loader_row(l, row->query, values, count);
}

enum err catalog_load(size_t left_out, const struct catalog_row *more, struct catalog **out)
{
    struct catalog_loader *l = catalog_loader_create();
    if (l == NULL) {
        return ERR_NO_MEMORY;
    }
    enum err e = OK;
    for (size_t i = 0; i < CATALOG_ROWS && e == OK; i++) {
        e = i == left_out ? OK : catalog_feed(l, &catalog_rows[i]);
    }
    if (e == OK && more != NULL) {
        e = catalog_feed(l, more);
    }
    if (e == OK) {
        e = catalog_loader_finish(l, out);
    }
    catalog_loader_destroy(l);
    return e;
}
