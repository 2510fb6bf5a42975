#include "sidecar/catalog/catalog.h"

#include <stdlib.h>

#include "sidecar/catalog/catalog_internal.h"

void catalog_ref(struct catalog *c)
{
    c->references++;
}

void catalog_unref(struct catalog *c)
{
    if (c != NULL && --c->references == 0) {
        if (c->kept != NULL) {
            c->kept_destroy(c->kept);
        }
        arena_destroy(c->arena);
        free(c);
    }
}

void catalog_keep(struct catalog *c, void *kept, void (*destroy)(void *))
{
    c->kept = kept;
    c->kept_destroy = destroy;
}

void *catalog_kept(const struct catalog *c)
{
    return c->kept;
}

uint64_t catalog_generation(const struct catalog *c)
{
    return c->generation;
}

/* Without the versions of what is known by its content. */
static struct bytes state_of(struct bytes fingerprint)
{
    const uint8_t *blank =
        fingerprint.size == 0 ? NULL : memrchr(fingerprint.data, ' ', fingerprint.size);
    return blank == NULL ? fingerprint
                         : bytes_of(fingerprint.data, (size_t)(blank - fingerprint.data));
}

bool catalog_is_current(const struct catalog *c, struct bytes fingerprint)
{
    return bytes_equal(state_of(c->fingerprint), state_of(fingerprint));
}

bool catalog_is_of_one_moment(const struct catalog *c, struct bytes fingerprint)
{
    return bytes_equal(c->fingerprint, fingerprint);
}

size_t catalog_relation_count(const struct catalog *c)
{
    return c->relation_count;
}

const struct catalog_relation *catalog_relation_at(const struct catalog *c, size_t i)
{
    return &c->relations[i].relation;
}

struct catalog_entry *catalog_entry_by_oid(const struct catalog *c, uint32_t oid)
{
    size_t low = 0, high = c->relation_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        uint32_t found = c->relations[middle].relation.oid;
        if (found == oid) {
            return &c->relations[middle];
        }
        if (found < oid) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return NULL;
}

const struct catalog_relation *catalog_relation_by_oid(const struct catalog *c, uint32_t oid)
{
    const struct catalog_entry *entry = catalog_entry_by_oid(c, oid);
    return entry == NULL ? NULL : &entry->relation;
}

/* ---- orders -------------------------------------------------------------------------------- */

int catalog_compare_path(const struct catalog_entry *a, const struct catalog_entry *b)
{
    int order = strcmp(a->relation.name, b->relation.name);
    return order != 0 ? order : (a->position > b->position) - (a->position < b->position);
}

int catalog_compare_schema(const struct catalog_entry *a, const struct catalog_entry *b)
{
    int order = strcmp(a->relation.schema, b->relation.schema);
    return order != 0 ? order : strcmp(a->relation.name, b->relation.name);
}

int catalog_compare_name(const struct catalog_name *a, const struct catalog_name *b)
{
    if (a->kind != b->kind) {
        return a->kind < b->kind ? -1 : 1;
    }
    int order = strcmp(a->name, b->name);
    order = order != 0 ? order : (a->position > b->position) - (a->position < b->position);
    return order != 0 || a->schema == NULL || b->schema == NULL ? order
                                                                : strcmp(a->schema, b->schema);
}

/* ---- finding ------------------------------------------------------------------------------- */

typedef int compare_fn(const struct catalog_entry *a, const struct catalog_entry *b);

/* The first entry, in this order, that is not before `wanted`; NULL: there is none. */
static const struct catalog_entry *entry_at_or_after(const struct catalog *c, const uint32_t *order,
                                                     compare_fn *compare,
                                                     const struct catalog_entry *wanted)
{
    size_t low = 0, high = c->relation_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (compare(&c->relations[order[middle]], wanted) < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low == c->relation_count ? NULL : &c->relations[order[low]];
}

/* By its bare name, not before this position of the search path. */
static const struct catalog_entry *entry_in_path(const struct catalog *c, const char *name,
                                                 uint32_t position)
{
    const struct catalog_entry wanted = {.relation = {.name = name}, .position = position};
    const struct catalog_entry *found =
        entry_at_or_after(c, c->by_path, catalog_compare_path, &wanted);
    bool is_it = found != NULL && found->position != CATALOG_NOT_IN_PATH &&
                 strcmp(found->relation.name, name) == 0;
    return is_it ? found : NULL;
}

const struct catalog_relation *catalog_relation_find(const struct catalog *c, const char *schema,
                                                     const char *name)
{
    if (schema == NULL || schema[0] == '\0') {
        const struct catalog_entry *found = entry_in_path(c, name, 0);
        return found == NULL ? NULL : &found->relation;
    }
    if (strcmp(schema, "pg_temp") == 0) {
        if (c->temporary == NULL) {
            return NULL;
        }
        schema = c->temporary;
    }
    const struct catalog_entry wanted = {.relation = {.schema = schema, .name = name}};
    const struct catalog_entry *found =
        entry_at_or_after(c, c->by_schema, catalog_compare_schema, &wanted);
    bool is_it = found != NULL && catalog_compare_schema(found, &wanted) == 0;
    return is_it ? &found->relation : NULL;
}

const struct catalog_column *catalog_column_find(const struct catalog_relation *r, const char *name)
{
    for (size_t i = 0; i < r->column_count; i++) {
        if (strcmp(r->columns[i].name, name) == 0) {
            return &r->columns[i];
        }
    }
    return NULL;
}

uint32_t catalog_position_of(const struct catalog *c, const char *schema)
{
    size_t low = 0, high = c->path_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = strcmp(c->path[middle].name, schema);
        if (order == 0) {
            return c->path[middle].position;
        }
        if (order < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return CATALOG_NOT_IN_PATH;
}

/* ---- what is PostgreSQL's own -------------------------------------------------------------- */

/* The first foreign thing that is not before `wanted`; NULL: there is none of its kind and name. */
static const struct catalog_name *foreign_at_or_after(const struct catalog *c,
                                                      const struct catalog_name *wanted)
{
    size_t low = 0, high = c->name_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (catalog_compare_name(&c->names[middle], wanted) < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    bool is_it = low < c->name_count && c->names[low].kind == wanted->kind &&
                 strcmp(c->names[low].name, wanted->name) == 0;
    return is_it ? &c->names[low] : NULL;
}

/* What a name that is not PostgreSQL's own leads to; NULL: nothing foreign. */
static const struct catalog_name *foreign_find(const struct catalog *c, enum catalog_name_kind kind,
                                               const char *schema, const char *name)
{
    struct catalog_name wanted = {.kind = kind, .name = name};
    if (schema == NULL || schema[0] == '\0') {
        const struct catalog_name *found = foreign_at_or_after(c, &wanted);
        return found != NULL && found->position != CATALOG_NOT_IN_PATH ? found : NULL;
    }
    wanted.schema = schema;
    wanted.position = catalog_position_of(c, schema);
    if (kind != CATALOG_TYPE && wanted.position == c->temporary_position) {
        wanted.position = CATALOG_NOT_IN_PATH; /* as build_names has it */
    }
    const struct catalog_name *found = foreign_at_or_after(c, &wanted);
    return found != NULL && strcmp(found->schema, schema) == 0 ? found : NULL;
}

/* "pg_temp" is another name of a schema: what is in it is not looked for. */
static bool is_builtin(const struct catalog *c, enum catalog_name_kind kind, const char *schema,
                       const char *name)
{
    return (schema == NULL || strcmp(schema, "pg_temp") != 0) &&
           foreign_find(c, kind, schema, name) == NULL;
}

bool catalog_function_is_builtin(const struct catalog *c, const char *schema, const char *name)
{
    return is_builtin(c, CATALOG_FUNCTION, schema, name);
}

bool catalog_operator_is_builtin(const struct catalog *c, const char *schema, const char *name)
{
    return is_builtin(c, CATALOG_OPERATOR, schema, name);
}

/* The relation that is not PostgreSQL's own to whose row type a bare type name leads; NULL: none.
 */
static const struct catalog_relation *row_type_in_path(const struct catalog *c, const char *name)
{
    const struct catalog_entry *found = entry_in_path(c, name, 0);
    while (found != NULL && !found->has_type && found->position + 1 != CATALOG_NOT_IN_PATH) {
        found = entry_in_path(c, name, found->position + 1);
    }
    bool is_it = found != NULL && found->has_type && !found->relation.is_system;
    return is_it ? &found->relation : NULL;
}

static bool is_row_type(const struct catalog *c, const char *name)
{
    return row_type_in_path(c, name) != NULL;
}

const struct catalog_relation *catalog_row_type(const struct catalog *c, const char *schema,
                                                const char *name)
{
    if (!is_builtin(c, CATALOG_TYPE, schema, name)) {
        return NULL;
    }
    if (schema == NULL || schema[0] == '\0') {
        return row_type_in_path(c, name);
    }
    const struct catalog_relation *r = catalog_relation_find(c, schema, name);
    return r == NULL || r->is_system ? NULL : r;
}

bool catalog_type_is_builtin(const struct catalog *c, const char *schema, const char *name)
{
    if (!is_builtin(c, CATALOG_TYPE, schema, name)) {
        return false;
    }
    if (schema == NULL || schema[0] == '\0') {
        return !is_row_type(c, name);
    }
    const struct catalog_relation *r = catalog_relation_find(c, schema, name);
    return r == NULL || r->is_system;
}

bool catalog_operator_may_fail(const struct catalog *c, const char *schema, const char *name)
{
    return foreign_find(c, CATALOG_PARTIAL_OPERATOR, schema, name) != NULL;
}

bool catalog_type_is_enum(const struct catalog *c, const char *schema, const char *name)
{
    const struct catalog_name *found = foreign_find(c, CATALOG_TYPE, schema, name);
    bool is_bare = schema == NULL || schema[0] == '\0';
    return found != NULL && found->is_enum && !(is_bare && is_row_type(c, name));
}

const struct catalog_cast *catalog_casts(const struct catalog *c, size_t *out_count)
{
    *out_count = c->cast_count;
    return c->casts;
}
