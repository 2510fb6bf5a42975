/* For tests with a real server, which bring the rows.
 *
 *   catalog_dump queries   prints each query's text on a line of its own
 *   catalog_dump           reads from standard input, once:
 *       {"rows": [[query, [value or null, ...]], ...],
 *        "find": [[schema or null, name], ...],
 *        "builtin": [["function" | "operator" | "type" | "partial" | "enum", schema or null, name],
 * ...], "current": fingerprint} and prints what the snapshot made of it says, or {"error": name}.
 */
#include <cjson/cJSON.h>
#include <stdio.h>
#include <stdlib.h>

#include "sidecar/catalog/catalog.h"

enum { INPUT_MAX = 512 << 20 };

static char *read_input(void)
{
    struct buffer input;
    buffer_init(&input, INPUT_MAX);
    for (;;) {
        uint8_t *room = buffer_reserve(&input, 1 << 16);
        if (room == NULL) {
            break;
        }
        size_t got = fread(room, 1, 1 << 16, stdin);
        if (got == 0) {
            break;
        }
        buffer_commit(&input, got);
    }
    char *text = bytes_to_string(buffer_bytes(&input));
    buffer_finish(&input);
    return text;
}

static const char *text_at(const cJSON *array, int i)
{
    return cJSON_GetStringValue(cJSON_GetArrayItem(array, i));
}

static enum err load_row(struct catalog_loader *l, const cJSON *row)
{
    struct bytes values[CATALOG_VALUES_MAX];
    size_t count = 0;
    const cJSON *value;
    cJSON_ArrayForEach(value, cJSON_GetArrayItem(row, 1))
    {
        if (count == CATALOG_VALUES_MAX) {
            return ERR_INVALID;
        }
        values[count++] = bytes_of_string(cJSON_GetStringValue(value));
    }
    int query = (int)cJSON_GetNumberValue(cJSON_GetArrayItem(row, 0));
    return catalog_loader_row(l, (enum catalog_query)query, values, count);
}

static enum err load(const cJSON *input, struct catalog **out)
{
    struct catalog_loader *l = catalog_loader_create();
    if (l == NULL) {
        return ERR_NO_MEMORY;
    }
    enum err e = OK;
    const cJSON *row;
    cJSON_ArrayForEach(row, cJSON_GetObjectItem(input, "rows"))
    {
        e = load_row(l, row);
        if (e != OK) {
            break;
        }
    }
    if (e == OK) {
        e = catalog_loader_finish(l, out);
    }
    catalog_loader_destroy(l);
    return e;
}

static cJSON *describe_relation(const struct catalog_relation *r)
{
    static const char *const kinds[] = {
        [CATALOG_TABLE] = "table",       [CATALOG_VIEW] = "view",
        [CATALOG_SEQUENCE] = "sequence", [CATALOG_MATERIALIZED_VIEW] = "materialized view",
        [CATALOG_OTHER] = "other",
    };
    cJSON *o = cJSON_CreateObject();
    cJSON_AddNumberToObject(o, "oid", r->oid);
    cJSON_AddStringToObject(o, "schema", r->schema);
    cJSON_AddStringToObject(o, "name", r->name);
    cJSON_AddStringToObject(o, "kind", kinds[r->kind]);
    cJSON_AddBoolToObject(o, "is_system", r->is_system);
    cJSON_AddBoolToObject(o, "is_temporary", r->is_temporary);
    cJSON_AddBoolToObject(o, "is_foreign", r->is_foreign);
    cJSON_AddBoolToObject(o, "has_rules", r->has_rules);
    if (r->definition != NULL) {
        cJSON_AddStringToObject(o, "definition", r->definition);
    }
    cJSON *writing = cJSON_AddArrayToObject(o, "writing");
    for (size_t i = 0; i < r->writing_count; i++) {
        cJSON_AddItemToArray(writing, cJSON_CreateString(r->writing[i].name));
    }
    cJSON *columns = cJSON_AddArrayToObject(o, "columns");
    for (size_t i = 0; i < r->column_count; i++) {
        const struct catalog_column *c = &r->columns[i];
        cJSON *column = cJSON_CreateArray();
        cJSON_AddItemToArray(column, cJSON_CreateNumber(c->number));
        cJSON_AddItemToArray(column, cJSON_CreateString(c->name));
        cJSON_AddItemToArray(column, cJSON_CreateNumber(c->type));
        cJSON_AddItemToArray(column, cJSON_CreateString(c->type_name));
        cJSON_AddItemToArray(column, cJSON_CreateBool(c->is_generated));
        cJSON_AddItemToArray(columns, column);
    }
    cJSON *parents = cJSON_AddArrayToObject(o, "parents");
    for (size_t i = 0; i < r->parent_count; i++) {
        cJSON_AddItemToArray(parents, cJSON_CreateNumber(r->parents[i]));
    }
    return o;
}

static bool is_builtin(const struct catalog *c, const char *kind, const char *schema,
                       const char *name)
{
    if (strcmp(kind, "function") == 0) {
        return catalog_function_is_builtin(c, schema, name);
    }
    if (strcmp(kind, "partial") == 0) {
        return catalog_operator_may_fail(c, schema, name);
    }
    if (strcmp(kind, "enum") == 0) {
        return catalog_type_is_enum(c, schema, name);
    }
    if (strcmp(kind, "operator") == 0) {
        return catalog_operator_is_builtin(c, schema, name);
    }
    return catalog_type_is_builtin(c, schema, name);
}

static void describe(const struct catalog *c, const cJSON *input, cJSON *out)
{
    cJSON *relations = cJSON_AddArrayToObject(out, "relations");
    for (size_t i = 0; i < catalog_relation_count(c); i++) {
        cJSON_AddItemToArray(relations, describe_relation(catalog_relation_at(c, i)));
    }
    const cJSON *asked;
    cJSON *found = cJSON_AddArrayToObject(out, "find");
    cJSON_ArrayForEach(asked, cJSON_GetObjectItem(input, "find"))
    {
        const struct catalog_relation *r =
            catalog_relation_find(c, text_at(asked, 0), text_at(asked, 1));
        cJSON_AddItemToArray(found, r == NULL ? cJSON_CreateNull() : cJSON_CreateNumber(r->oid));
    }
    cJSON *builtin = cJSON_AddArrayToObject(out, "builtin");
    cJSON_ArrayForEach(asked, cJSON_GetObjectItem(input, "builtin"))
    {
        bool is = is_builtin(c, text_at(asked, 0), text_at(asked, 1), text_at(asked, 2));
        cJSON_AddItemToArray(builtin, cJSON_CreateBool(is));
    }
    size_t count = 0;
    const struct catalog_cast *all = catalog_casts(c, &count);
    cJSON *casts = cJSON_AddArrayToObject(out, "casts");
    cJSON *checks = cJSON_AddArrayToObject(out, "checks");
    for (size_t i = 0; i < count; i++) {
        const char *const names[] = {all[i].type_name, all[i].code.name};
        cJSON *cast = cJSON_CreateArray();
        for (size_t k = 0; k < 2; k++) {
            cJSON_AddItemToArray(cast, names[k] == NULL ? cJSON_CreateNull()
                                                        : cJSON_CreateString(names[k]));
        }
        bool is_check = all[i].type != 0 && all[i].type_name == NULL;
        cJSON_AddItemToArray(is_check ? checks : casts, cast);
    }
    const char *fingerprint = cJSON_GetStringValue(cJSON_GetObjectItem(input, "current"));
    if (fingerprint != NULL) {
        cJSON_AddBoolToObject(out, "current", catalog_is_current(c, bytes_of_string(fingerprint)));
    }
}

static int answer(const cJSON *input)
{
    struct catalog *c = NULL;
    cJSON *out = cJSON_CreateObject();
    enum err e = load(input, &c);
    if (e == OK) {
        describe(c, input, out);
    } else {
        cJSON_AddStringToObject(out, "error", err_name(e));
    }
    catalog_unref(c);
    char *text = cJSON_PrintUnformatted(out);
    int status = text != NULL && puts(text) >= 0 ? 0 : 1;
    free(text);
    cJSON_Delete(out);
    return status;
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "queries") == 0) {
        for (enum catalog_query q = 0; q < CATALOG_QUERY_COUNT; q++) {
            (void)puts(catalog_query_text(q));
        }
        return 0;
    }
    char *text = read_input();
    cJSON *input = text == NULL ? NULL : cJSON_Parse(text);
    free(text);
    int status = input == NULL ? 1 : answer(input);
    cJSON_Delete(input);
    return status;
}
