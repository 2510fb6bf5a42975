/* Makes a snapshot of a loader's rows. */
#include <stdlib.h>
#include <sys/random.h>

#include "sidecar/catalog/catalog_loader.h"

/* ---- orders -------------------------------------------------------------------------------- */

static int order_of(uint32_t a, uint32_t b)
{
    return (a > b) - (a < b);
}

static int compare_schemas(const void *a, const void *b)
{
    const struct catalog_schema *x = a, *y = b;
    return strcmp(x->name, y->name);
}

static int compare_oids(const void *a, const void *b)
{
    const struct catalog_entry *x = a, *y = b;
    return order_of(x->relation.oid, y->relation.oid);
}

static int compare_columns(const void *a, const void *b)
{
    const struct catalog_raw_column *x = a, *y = b;
    int order = order_of(x->relation, y->relation);
    return order != 0 ? order : x->column.number - y->column.number;
}

static int compare_parents(const void *a, const void *b)
{
    const struct catalog_raw_parent *x = a, *y = b;
    int order = order_of(x->child, y->child);
    return order != 0 ? order : order_of(x->parent, y->parent);
}

static int compare_casts(const void *a, const void *b)
{
    const struct catalog_cast *x = a, *y = b;
    return order_of(x->type, y->type);
}

static int compare_writing(const void *a, const void *b)
{
    const struct catalog_raw_writing *x = a, *y = b;
    return order_of(x->relation, y->relation);
}

static int compare_names(const void *a, const void *b)
{
    return catalog_compare_name(a, b);
}

static int compare_by_path(const void *a, const void *b, void *context)
{
    const struct catalog_entry *entries = context;
    const uint32_t *x = a, *y = b;
    return catalog_compare_path(&entries[*x], &entries[*y]);
}

static int compare_by_schema(const void *a, const void *b, void *context)
{
    const struct catalog_entry *entries = context;
    const uint32_t *x = a, *y = b;
    return catalog_compare_schema(&entries[*x], &entries[*y]);
}

typedef int order_fn(const void *a, const void *b);

/* ERR_INVALID: two items are the same. */
static enum err sort_distinct(struct catalog_list *list, size_t size, order_fn *compare)
{
    if (list->count < 2) {
        return OK;
    }
    qsort(list->items, list->count, size, compare);
    for (size_t i = 1; i < list->count; i++) {
        const char *item = (const char *)list->items + i * size;
        if (compare(item - size, item) == 0) {
            return ERR_INVALID;
        }
    }
    return OK;
}

/* ---- memory -------------------------------------------------------------------------------- */

static enum err take_room(const struct catalog_loader *l, size_t count, size_t size, void **out)
{
    size_t used = arena_used(l->arena) + l->list_bytes;
    if (used > CATALOG_BYTES_MAX || count > (CATALOG_BYTES_MAX - used) / size) {
        return ERR_LIMIT;
    }
    void *room = arena_alloc(l->arena, count * size);
    if (room == NULL) {
        return ERR_NO_MEMORY;
    }
    *out = room;
    return OK;
}

static enum err take_list(const struct catalog_loader *l, const struct catalog_list *list,
                          size_t size, void **out)
{
    enum err e = take_room(l, list->count, size, out);
    if (e == OK && list->count > 0) {
        memcpy(*out, list->items, list->count * size);
    }
    return e;
}

/* ---- parts --------------------------------------------------------------------------------- */

static enum err build_path(struct catalog_loader *l, struct catalog *c)
{
    void *room;
    enum err e = sort_distinct(&l->path, sizeof(struct catalog_schema), compare_schemas);
    e = e == OK ? take_list(l, &l->path, sizeof(struct catalog_schema), &room) : e;
    if (e != OK) {
        return e;
    }
    c->path = room;
    c->path_count = l->path.count;
    c->temporary = l->temporary;
    c->temporary_position =
        l->temporary == NULL ? CATALOG_NOT_IN_PATH : catalog_position_of(c, l->temporary);
    c->system_position = catalog_position_of(c, "pg_catalog");
    /* The server always searches it, whatever the setting says. */
    return c->system_position == CATALOG_NOT_IN_PATH ? ERR_INVALID : OK;
}

static enum err build_relations(struct catalog_loader *l, struct catalog *c)
{
    void *room;
    enum err e = sort_distinct(&l->relations, sizeof(struct catalog_entry), compare_oids);
    e = e == OK ? take_list(l, &l->relations, sizeof(struct catalog_entry), &room) : e;
    if (e != OK) {
        return e;
    }
    c->relations = room;
    c->relation_count = l->relations.count;
    for (size_t i = 0; i < c->relation_count; i++) {
        struct catalog_entry *entry = &c->relations[i];
        entry->position = catalog_position_of(c, entry->relation.schema);
        bool is_temporary =
            c->temporary != NULL && strcmp(entry->relation.schema, c->temporary) == 0;
        if (is_temporary != entry->relation.is_temporary) {
            return ERR_INVALID;
        }
    }
    return OK;
}

/* Both are ordered by the relation's oid. */
static enum err build_columns(struct catalog_loader *l, struct catalog *c)
{
    void *room;
    enum err e = sort_distinct(&l->columns, sizeof(struct catalog_raw_column), compare_columns);
    e = e == OK ? take_room(l, l->columns.count, sizeof(struct catalog_column), &room) : e;
    if (e != OK) {
        return e;
    }
    struct catalog_column *columns = room;
    const struct catalog_raw_column *raw = l->columns.items;
    size_t at = 0;
    for (size_t i = 0; i < c->relation_count; i++) {
        struct catalog_relation *r = &c->relations[i].relation;
        r->columns = &columns[at];
        while (at < l->columns.count && raw[at].relation == r->oid) {
            columns[at] = raw[at].column;
            at++;
            r->column_count++;
        }
    }
    return at == l->columns.count ? OK : ERR_UNAVAILABLE;
}

static enum err build_definitions(const struct catalog_loader *l, const struct catalog *c)
{
    const struct catalog_raw_definition *raw = l->definitions.items;
    for (size_t i = 0; i < l->definitions.count; i++) {
        struct catalog_entry *entry = catalog_entry_by_oid(c, raw[i].relation);
        if (entry == NULL) {
            return ERR_UNAVAILABLE;
        }
        struct catalog_relation *r = &entry->relation;
        bool is_view = r->kind == CATALOG_VIEW || r->kind == CATALOG_MATERIALIZED_VIEW;
        if (!is_view || r->definition != NULL) {
            return ERR_INVALID;
        }
        r->definition = raw[i].text;
    }
    return OK;
}

static enum err build_parents(struct catalog_loader *l, struct catalog *c)
{
    void *room;
    enum err e = sort_distinct(&l->parents, sizeof(struct catalog_raw_parent), compare_parents);
    e = e == OK ? take_room(l, l->parents.count, sizeof(uint32_t), &room) : e;
    if (e != OK) {
        return e;
    }
    uint32_t *parents = room;
    const struct catalog_raw_parent *raw = l->parents.items;
    for (size_t i = 0; i < l->parents.count; i++) {
        struct catalog_entry *child = catalog_entry_by_oid(c, raw[i].child);
        if (child == NULL || catalog_entry_by_oid(c, raw[i].parent) == NULL) {
            return ERR_UNAVAILABLE;
        }
        parents[i] = raw[i].parent;
        if (child->relation.parent_count == 0) {
            child->relation.parents = &parents[i];
        }
        child->relation.parent_count++;
    }
    return OK;
}

static uint32_t *push_foreign(const struct catalog *c, uint32_t oid, uint32_t *end)
{
    struct catalog_entry *entry = catalog_entry_by_oid(c, oid);
    if (!entry->relation.is_foreign) {
        entry->relation.is_foreign = true;
        *end++ = oid;
    }
    return end;
}

/* What a foreign table inherits from has its rows. Each relation is looked at once. */
static enum err build_foreign(const struct catalog *c)
{
    uint32_t *oids = calloc(c->relation_count + 1, sizeof(*oids));
    uint32_t *end = oids;
    if (oids == NULL) {
        return ERR_NO_MEMORY;
    }
    for (size_t i = 0; i < c->relation_count; i++) {
        if (c->relations[i].relation.is_foreign) {
            *end++ = c->relations[i].relation.oid;
        }
    }
    for (const uint32_t *at = oids; at < end; at++) {
        const struct catalog_relation *r = &catalog_entry_by_oid(c, *at)->relation;
        for (size_t i = 0; i < r->parent_count; i++) {
            end = push_foreign(c, r->parents[i], end);
        }
    }
    free(oids);
    return OK;
}

static enum err build_casts(struct catalog_loader *l, struct catalog *c)
{
    void *room;
    enum err e = take_list(l, &l->casts, sizeof(struct catalog_cast), &room);
    if (e == OK) {
        c->casts = room;
        c->cast_count = l->casts.count;
        qsort(c->casts, c->cast_count, sizeof(struct catalog_cast), compare_casts);
    }
    return e;
}

static enum err build_writing(struct catalog_loader *l, struct catalog *c)
{
    void *room;
    enum err e = take_room(l, l->writing.count, sizeof(struct catalog_code), &room);
    if (e != OK) {
        return e;
    }
    struct catalog_code *codes = room;
    struct catalog_raw_writing *raw = l->writing.items;
    if (l->writing.count > 0) {
        qsort(raw, l->writing.count, sizeof(*raw), compare_writing);
    }
    for (size_t i = 0; i < l->writing.count; i++) {
        struct catalog_entry *entry = catalog_entry_by_oid(c, raw[i].relation);
        if (entry == NULL) {
            return ERR_UNAVAILABLE;
        }
        codes[i] = raw[i].code;
        if (entry->relation.writing_count == 0) {
            entry->relation.writing = &codes[i];
        }
        entry->relation.writing_count++;
    }
    return OK;
}

static enum err build_orders(const struct catalog_loader *l, struct catalog *c)
{
    void *by_path, *by_schema;
    enum err e = take_room(l, c->relation_count, sizeof(uint32_t), &by_path);
    e = e == OK ? take_room(l, c->relation_count, sizeof(uint32_t), &by_schema) : e;
    if (e != OK) {
        return e;
    }
    c->by_path = by_path;
    c->by_schema = by_schema;
    for (size_t i = 0; i < c->relation_count; i++) {
        c->by_path[i] = c->by_schema[i] = (uint32_t)i;
    }
    qsort_r(c->by_path, c->relation_count, sizeof(uint32_t), compare_by_path, c->relations);
    qsort_r(c->by_schema, c->relation_count, sizeof(uint32_t), compare_by_schema, c->relations);
    for (size_t i = 1; i < c->relation_count; i++) {
        if (catalog_compare_schema(&c->relations[c->by_schema[i - 1]],
                                   &c->relations[c->by_schema[i]]) == 0) {
            return ERR_INVALID;
        }
    }
    return OK;
}

static enum err build_names(struct catalog_loader *l, struct catalog *c)
{
    void *room;
    enum err e = take_list(l, &l->names, sizeof(struct catalog_name), &room);
    if (e != OK) {
        return e;
    }
    c->names = room;
    c->name_count = l->names.count;
    for (size_t i = 0; i < c->name_count; i++) {
        struct catalog_name *name = &c->names[i];
        name->position = catalog_position_of(c, name->schema);
        /* "The temporary schema is never searched for function or operator names"
         * (search_path in PostgreSQL's manual). */
        if (name->kind != CATALOG_TYPE && name->position == c->temporary_position) {
            name->position = CATALOG_NOT_IN_PATH;
        }
    }
    qsort(c->names, c->name_count, sizeof(struct catalog_name), compare_names);
    return OK;
}

/* ---- all of it ----------------------------------------------------------------------------- */

static enum err build(struct catalog_loader *l, struct catalog *c)
{
    if (l->fingerprint.data == NULL) {
        return ERR_INVALID;
    }
    c->fingerprint = l->fingerprint;
    enum err e = build_path(l, c);
    e = e == OK ? build_relations(l, c) : e;
    e = e == OK ? build_columns(l, c) : e;
    e = e == OK ? build_definitions(l, c) : e;
    e = e == OK ? build_parents(l, c) : e;
    e = e == OK ? build_foreign(c) : e;
    e = e == OK ? build_orders(l, c) : e;
    e = e == OK ? build_names(l, c) : e;
    e = e == OK ? build_casts(l, c) : e;
    e = e == OK ? build_writing(l, c) : e;
    return e;
}

enum err catalog_loader_finish(struct catalog_loader *l, struct catalog **out)
{
    if (l->arena == NULL) {
        return ERR_INVALID; /* finished before */
    }
    struct catalog *c = calloc(1, sizeof(*c));
    if (c == NULL) {
        return ERR_NO_MEMORY;
    }
    enum err e = build(l, c);
    /* Random, since a counter would have to be global: two that are equal are not to be expected
     * in 2^32 snapshots. */
    if (e == OK &&
        getrandom(&c->generation, sizeof(c->generation), 0) != (ssize_t)sizeof(c->generation)) {
        e = ERR_IO;
    }
    if (e != OK) {
        free(c);
        return e;
    }
    c->references = 1;
    c->arena = l->arena;
    l->arena = NULL;
    *out = c;
    return OK;
}
