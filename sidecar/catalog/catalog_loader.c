/* Takes rows in. What they say together is put in order by catalog_build.c. */
#include <stdlib.h>

#include "sidecar/catalog/catalog_loader.h"

enum {
    ARENA_BLOCK = 64 << 10,
    FIRST_CAPACITY = 64,
};

struct catalog_loader *catalog_loader_create(void)
{
    struct catalog_loader *l = calloc(1, sizeof(*l));
    if (l == NULL) {
        return NULL;
    }
    l->arena = arena_create(ARENA_BLOCK, CATALOG_BYTES_MAX);
    if (l->arena == NULL) {
        free(l);
        return NULL;
    }
    return l;
}

void catalog_loader_destroy(struct catalog_loader *l)
{
    if (l != NULL) {
        arena_destroy(l->arena);
        free(l->path.items);
        free(l->relations.items);
        free(l->columns.items);
        free(l->definitions.items);
        free(l->parents.items);
        free(l->names.items);
        free(l->casts.items);
        free(l->writing.items);
        free(l);
    }
}

/* Room for one more item; its content is undefined. */
static enum err list_add(struct catalog_loader *l, struct catalog_list *list, size_t item_size,
                         size_t max, void **out)
{
    if (list->count == max) {
        return ERR_LIMIT;
    }
    if (list->count == list->capacity) {
        size_t capacity = list->capacity == 0 ? FIRST_CAPACITY : list->capacity * 2;
        size_t more = (capacity - list->capacity) * item_size;
        if (more > CATALOG_BYTES_MAX - l->list_bytes) {
            return ERR_LIMIT;
        }
        void *items = realloc(list->items, capacity * item_size);
        if (items == NULL) {
            return ERR_NO_MEMORY;
        }
        list->items = items;
        list->capacity = capacity;
        l->list_bytes += more;
    }
    *out = (char *)list->items + list->count * item_size;
    list->count++;
    return OK;
}

/* ---- values -------------------------------------------------------------------------------- */

static enum err read_number(struct bytes value, uint32_t max, uint32_t *out)
{
    uint64_t number = 0;
    if (value.size == 0 || value.size > 10) {
        return ERR_INVALID;
    }
    for (size_t i = 0; i < value.size; i++) {
        if (value.data[i] < '0' || value.data[i] > '9') {
            return ERR_INVALID;
        }
        number = number * 10 + (uint64_t)(value.data[i] - '0');
    }
    if (number == 0 || number > max) {
        return ERR_INVALID;
    }
    *out = (uint32_t)number;
    return OK;
}

static enum err read_oid(struct bytes value, uint32_t *out)
{
    return read_number(value, UINT32_MAX, out);
}

static enum err read_bool(struct bytes value, bool *out)
{
    if (bytes_equal_string(value, "true")) {
        *out = true;
    } else if (bytes_equal_string(value, "false")) {
        *out = false;
    } else {
        return ERR_INVALID;
    }
    return OK;
}

static enum err copy_text(struct catalog_loader *l, struct bytes value, const char **out)
{
    if (value.data == NULL || memchr(value.data, 0, value.size) != NULL) {
        return ERR_INVALID;
    }
    if (value.size > CATALOG_BYTES_MAX - l->list_bytes ||
        arena_used(l->arena) > CATALOG_BYTES_MAX - l->list_bytes - value.size) {
        return ERR_LIMIT;
    }
    const char *copy = arena_copy_string(l->arena, value);
    if (copy == NULL) {
        return ERR_NO_MEMORY;
    }
    *out = copy;
    return OK;
}

static enum err read_name(struct catalog_loader *l, struct bytes value, const char **out)
{
    if (value.size == 0) {
        return ERR_INVALID;
    }
    return value.size > CATALOG_NAME_MAX ? ERR_LIMIT : copy_text(l, value, out);
}

/* The same few schemas and types are in most rows. A slot that another name has taken only costs
 * a copy, so it does not matter who chooses the names. */
static enum err read_shared_name(struct catalog_loader *l, struct bytes value, const char **out)
{
    uint32_t hash = 2166136261U; /* FNV-1a */
    for (size_t i = 0; i < value.size && i < CATALOG_NAME_MAX; i++) {
        hash = (hash ^ value.data[i]) * 16777619U;
    }
    const char **slot = &l->shared[hash % CATALOG_SHARED];
    if (*slot == NULL || !bytes_equal_string(value, *slot)) {
        enum err e = read_name(l, value, slot);
        if (e != OK) {
            return e;
        }
    }
    *out = *slot;
    return OK;
}

/* ---- rows ---------------------------------------------------------------------------------- */

static enum err read_fingerprint(struct catalog_loader *l, const struct bytes *v)
{
    const char *copy;
    if (v[0].data == NULL) {
        return ERR_UNAVAILABLE;
    }
    if (l->fingerprint.data != NULL || v[0].size == 0) {
        return ERR_INVALID;
    }
    if (v[0].size > CATALOG_FINGERPRINT_MAX) {
        return ERR_LIMIT;
    }
    enum err e = copy_text(l, v[0], &copy);
    if (e == OK) {
        l->fingerprint = bytes_of(copy, v[0].size);
    }
    return e;
}

static enum err read_path(struct catalog_loader *l, const struct bytes *v)
{
    struct catalog_schema schema = {.position = (uint32_t)l->path.count};
    bool is_temporary;
    void *room;
    enum err e = read_bool(v[1], &is_temporary);
    if (e == OK && is_temporary && l->temporary != NULL) {
        e = ERR_INVALID;
    }
    if (e == OK) {
        e = read_shared_name(l, v[0], &schema.name);
    }
    if (e == OK) {
        e = list_add(l, &l->path, sizeof(schema), CATALOG_PATH_MAX, &room);
    }
    if (e != OK) {
        return e;
    }
    memcpy(room, &schema, sizeof(schema));
    if (is_temporary) {
        l->temporary = schema.name;
    }
    return OK;
}

/* relkind of pg_class. */
static enum err read_kind(struct bytes value, enum catalog_kind *out)
{
    static const struct {
        char letter;
        enum catalog_kind kind;
    } kinds[] = {
        {'r', CATALOG_TABLE},
        {'p', CATALOG_TABLE},
        {'f', CATALOG_TABLE},
        {'v', CATALOG_VIEW},
        {'m', CATALOG_MATERIALIZED_VIEW},
        {'S', CATALOG_SEQUENCE},
    };
    if (value.size != 1) {
        return ERR_INVALID;
    }
    *out = CATALOG_OTHER;
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        if (kinds[i].letter == value.data[0]) {
            *out = kinds[i].kind;
        }
    }
    return OK;
}

static enum err read_relation(struct catalog_loader *l, const struct bytes *v)
{
    struct catalog_entry entry = {0};
    struct catalog_relation *r = &entry.relation;
    void *room;
    enum err e = read_oid(v[0], &r->oid);
    e = e == OK ? read_kind(v[3], &r->kind) : e;
    r->is_foreign = e == OK && v[3].data[0] == 'f'; /* and what it inherits from: catalog_build.c */
    e = e == OK ? read_bool(v[4], &r->is_system) : e;
    e = e == OK ? read_bool(v[5], &r->is_temporary) : e;
    e = e == OK ? read_bool(v[6], &r->has_rules) : e;
    e = e == OK ? read_bool(v[7], &entry.has_type) : e;
    e = e == OK ? read_shared_name(l, v[1], &r->schema) : e;
    e = e == OK ? read_name(l, v[2], &r->name) : e;
    e = e == OK ? list_add(l, &l->relations, sizeof(entry), CATALOG_RELATIONS_MAX, &room) : e;
    if (e == OK) {
        memcpy(room, &entry, sizeof(entry));
    }
    return e;
}

static enum err read_column(struct catalog_loader *l, const struct bytes *v)
{
    struct catalog_raw_column raw = {0};
    uint32_t number = 0;
    void *room;
    enum err e = read_oid(v[0], &raw.relation);
    e = e == OK ? read_number(v[1], CATALOG_ATTRIBUTE_MAX, &number) : e;
    e = e == OK ? read_oid(v[3], &raw.column.type) : e;
    e = e == OK ? read_bool(v[5], &raw.column.is_generated) : e;
    e = e == OK ? read_shared_name(l, v[2], &raw.column.name) : e;
    e = e == OK ? read_shared_name(l, v[4], &raw.column.type_name) : e;
    e = e == OK ? list_add(l, &l->columns, sizeof(raw), SIZE_MAX, &room) : e;
    if (e == OK) {
        raw.column.number = (int16_t)number;
        memcpy(room, &raw, sizeof(raw));
    }
    return e;
}

static enum err read_definition(struct catalog_loader *l, const struct bytes *v)
{
    struct catalog_raw_definition raw = {0};
    void *room;
    enum err e = read_oid(v[0], &raw.relation);
    if (e == OK && v[1].data != NULL) {
        e = copy_text(l, v[1], &raw.text);
    }
    e = e == OK ? list_add(l, &l->definitions, sizeof(raw), CATALOG_RELATIONS_MAX, &room) : e;
    if (e == OK) {
        memcpy(room, &raw, sizeof(raw));
    }
    return e;
}

static enum err read_parent(struct catalog_loader *l, const struct bytes *v)
{
    struct catalog_raw_parent raw = {0};
    void *room;
    enum err e = read_oid(v[0], &raw.child);
    e = e == OK ? read_oid(v[1], &raw.parent) : e;
    if (e == OK && raw.child == raw.parent) {
        e = ERR_INVALID;
    }
    e = e == OK ? list_add(l, &l->parents, sizeof(raw), SIZE_MAX, &room) : e;
    if (e == OK) {
        memcpy(room, &raw, sizeof(raw));
    }
    return e;
}

/* Both or neither: a cast may be without a function. */
static enum err read_code(struct catalog_loader *l, const struct bytes *v, struct catalog_code *out)
{
    if (v[0].data == NULL && v[1].data == NULL) {
        return OK;
    }
    enum err e = read_shared_name(l, v[0], &out->schema);
    return e == OK ? read_shared_name(l, v[1], &out->name) : e;
}

static enum err read_cast(struct catalog_loader *l, const struct bytes *v)
{
    struct catalog_cast cast = {0};
    void *room;
    enum err e = read_code(l, v + 1, &cast.code);
    if (e == OK && (v[3].data != NULL || v[4].data != NULL)) {
        e = read_oid(v[3], &cast.type);
        e = e == OK ? read_shared_name(l, v[4], &cast.type_name) : e;
    }
    e = e == OK ? list_add(l, &l->casts, sizeof(cast), SIZE_MAX, &room) : e;
    if (e == OK) {
        memcpy(room, &cast, sizeof(cast));
    }
    return e;
}

/* What checks the values of a type is kept among the casts. */
static enum err read_check(struct catalog_loader *l, const struct bytes *v)
{
    struct catalog_cast check = {0};
    void *room;
    enum err e = read_oid(v[3], &check.type);
    e = e == OK && (v[1].data == NULL || v[4].data != NULL) ? ERR_INVALID : e;
    e = e == OK ? read_code(l, v + 1, &check.code) : e;
    e = e == OK ? list_add(l, &l->casts, sizeof(check), SIZE_MAX, &room) : e;
    if (e == OK) {
        memcpy(room, &check, sizeof(check));
    }
    return e;
}

static enum err read_writing(struct catalog_loader *l, const struct bytes *v)
{
    struct catalog_raw_writing raw = {0};
    void *room;
    enum err e = read_oid(v[3], &raw.relation);
    e = e == OK && v[1].data == NULL ? ERR_INVALID : e;
    e = e == OK ? read_code(l, v + 1, &raw.code) : e;
    e = e == OK ? list_add(l, &l->writing, sizeof(raw), SIZE_MAX, &room) : e;
    if (e == OK) {
        memcpy(room, &raw, sizeof(raw));
    }
    return e;
}

static enum err read_name_of(struct catalog_loader *l, enum catalog_name_kind kind,
                             const struct bytes *v)
{
    struct catalog_name name = {.kind = kind};
    void *room;
    name.is_enum = kind == CATALOG_TYPE && bytes_equal_string(v[4], "enum");
    if (v[3].data != NULL || (v[4].data != NULL && !name.is_enum)) {
        return ERR_INVALID;
    }
    enum err e = read_shared_name(l, v[1], &name.schema);
    e = e == OK ? read_name(l, v[2], &name.name) : e;
    e = e == OK ? list_add(l, &l->names, sizeof(name), SIZE_MAX, &room) : e;
    if (e == OK) {
        memcpy(room, &name, sizeof(name));
    }
    return e;
}

static enum err read_foreign(struct catalog_loader *l, const struct bytes *v)
{
    uint8_t kind = v[0].size == 1 ? v[0].data[0] : 0;
    switch (kind) {
    case CATALOG_FUNCTION:
    case CATALOG_OPERATOR:
    case CATALOG_TYPE:
    case CATALOG_PARTIAL_OPERATOR: return read_name_of(l, (enum catalog_name_kind)kind, v);
    case CATALOG_CAST: return read_cast(l, v);
    case CATALOG_CHECK: return read_check(l, v);
    case CATALOG_WRITING: return read_writing(l, v);
    default: return ERR_INVALID;
    }
}

enum err catalog_loader_row(struct catalog_loader *l, enum catalog_query q,
                            const struct bytes *values, size_t count)
{
    static const struct {
        size_t count;
        enum err (*read)(struct catalog_loader *l, const struct bytes *values);
        unsigned nullable; /* a bit for each value that may be NULL */
    } queries[CATALOG_QUERY_COUNT] = {
        [CATALOG_QUERY_FINGERPRINT] = {1, read_fingerprint, 1 << 0},
        [CATALOG_QUERY_PATH] = {2, read_path, 0},
        [CATALOG_QUERY_RELATIONS] = {8, read_relation, 0},
        [CATALOG_QUERY_COLUMNS] = {6, read_column, 0},
        [CATALOG_QUERY_VIEWS] = {2, read_definition, 1 << 1},
        [CATALOG_QUERY_PARENTS] = {2, read_parent, 0},
        [CATALOG_QUERY_NAMES] = {5, read_foreign, 1 << 1 | 1 << 2 | 1 << 3 | 1 << 4},
    };
    if (l->arena == NULL || (unsigned)q >= CATALOG_QUERY_COUNT || count != queries[q].count) {
        return ERR_INVALID;
    }
    for (size_t i = 0; i < count; i++) {
        if (values[i].data == NULL && (queries[q].nullable & 1U << i) == 0) {
            return ERR_INVALID;
        }
    }
    return queries[q].read(l, values);
}
