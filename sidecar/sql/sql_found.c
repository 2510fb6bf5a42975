/* The objects of a statement, each once for each way in which it is used. */
#include <stdlib.h>

#include "sidecar/sql/sql_walk.h"

enum {
    /* Up to here a look at each is faster than a table. */
    FOUND_FEW = 16,
};

void walk_add_access(struct walk *w, enum sql_access access)
{
    w->statement->accesses |= 1u << access;
}

static bool identifier_is_plain(const char *name)
{
    for (const char *p = name; *p != '\0'; p++) {
        bool letter = (*p >= 'a' && *p <= 'z') || *p == '_' || (unsigned char)*p >= 0x80;
        bool digit = (*p >= '0' && *p <= '9') || *p == '$';
        if (!letter && !(digit && p != name)) {
            return false;
        }
    }
    return name[0] != '\0';
}

/* Appends as an SQL identifier; keywords stay bare, as people write them in a policy. */
static char *identifier_put(char *at, const char *name)
{
    bool plain = identifier_is_plain(name);
    if (!plain) {
        *at++ = '"';
    }
    for (; *name != '\0'; name++) {
        if (*name == '"') {
            *at++ = '"';
        }
        *at++ = *name;
    }
    if (!plain) {
        *at++ = '"';
    }
    return at;
}

static uint32_t hash_text(uint32_t hash, const char *text)
{
    for (; text != NULL && *text != '\0'; text++) {
        hash = (hash ^ (unsigned char)*text) * 16777619u; /* FNV-1a: only saves comparisons */
    }
    return hash * 16777619u;
}

static bool same_text(const char *a, const char *b)
{
    return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

static bool found_is(const struct found *f, const struct sql_object *o, uint32_t hash)
{
    return f->hash == hash && f->object.kind == o->kind && f->object.access == o->access &&
           same_text(f->object.schema, o->schema) && same_text(f->object.name, o->name);
}

/* A free slot, or that of an equal object. */
static uint32_t *found_slot(const struct walk *w, const struct sql_object *o, uint32_t hash)
{
    size_t mask = w->found_slot_count - 1;
    size_t at = hash & mask;
    while (w->found_slots[at] != NO_OBJECT && !found_is(&w->found[w->found_slots[at]], o, hash)) {
        at = (at + 1) & mask;
    }
    return &w->found_slots[at];
}

static uint32_t found_at(const struct walk *w, const struct sql_object *o, uint32_t hash)
{
    if (w->found_count > FOUND_FEW) {
        return *found_slot(w, o, hash);
    }
    for (size_t i = 0; i < w->found_count; i++) {
        if (found_is(&w->found[i], o, hash)) {
            return (uint32_t)i;
        }
    }
    return NO_OBJECT;
}

static bool slots_make(struct walk *w)
{
    if (w->found_slot_count < 2 * w->found_capacity) {
        w->found_slot_count = 2 * w->found_capacity;
        w->found_slots =
            arena_alloc(w->columns.scratch, w->found_slot_count * sizeof(*w->found_slots));
        if (w->found_slots == NULL) {
            w->found_slot_count = 0;
            w->failed = ERR_NO_MEMORY;
            return false;
        }
    }
    memset(w->found_slots, 0xff, w->found_slot_count * sizeof(*w->found_slots));
    for (size_t i = 0; i < w->found_count; i++) {
        *found_slot(w, &w->found[i].object, w->found[i].hash) = (uint32_t)i;
    }
    return true;
}

static bool found_grow(struct walk *w)
{
    if (w->found_count < w->found_capacity) {
        return true;
    }
    if (w->found_count >= SQL_OBJECTS_MAX) {
        w->failed = ERR_LIMIT;
        return false;
    }
    size_t capacity = w->found_capacity == 0 ? 2 * FOUND_FEW : w->found_capacity * 2;
    struct found *more = realloc(w->found, capacity * sizeof(*more));
    if (more == NULL) {
        w->failed = ERR_NO_MEMORY;
        return false;
    }
    w->found = more;
    w->found_capacity = capacity;
    return w->found_count <= FOUND_FEW || slots_make(w);
}

static void found_add(struct walk *w, const struct sql_object *o, uint32_t hash)
{
    w->found[w->found_count++] = (struct found){.object = *o, .hash = hash};
    if (w->found_count == FOUND_FEW + 1) {
        (void)slots_make(w);
    } else if (w->found_count > FOUND_FEW) {
        *found_slot(w, o, hash) = (uint32_t)w->found_count - 1;
    }
}

/* Functions, prepared statements, settings read as they are: their dots are part of the name. */
static bool kind_is_verbatim(enum sql_kind kind)
{
    return kind == SQL_SETTING || kind == SQL_FILE || kind == SQL_PROGRAM;
}

static bool object_copy(struct walk *w, struct sql_object *o)
{
    size_t schema_size = o->schema == NULL ? 0 : strlen(o->schema);
    size_t name_size = strlen(o->name);
    char *text = arena_alloc(w->arena, 2 * (schema_size + name_size) + 6);
    char *name = arena_copy_string(w->arena, bytes_of_string(o->name));
    char *schema =
        o->schema == NULL ? NULL : arena_copy_string(w->arena, bytes_of_string(o->schema));
    if (text == NULL || name == NULL || (o->schema != NULL && schema == NULL)) {
        w->failed = ERR_NO_MEMORY;
        return false;
    }
    char *at = text;
    if (schema != NULL) {
        at = identifier_put(at, schema);
        *at++ = '.';
    }
    if (kind_is_verbatim(o->kind)) {
        memcpy(at, name, name_size);
    } else {
        (void)identifier_put(at, name);
    }
    o->text = text;
    o->name = name;
    o->schema = schema;
    return true;
}

uint32_t walk_find(struct walk *w, enum sql_kind kind, enum sql_access access, const char *schema,
                   const char *name)
{
    walk_add_access(w, access);
    if (w->failed != OK || name == NULL || name[0] == '\0') {
        return NO_OBJECT;
    }
    struct sql_object o = {
        .kind = kind,
        .access = access,
        .schema = schema != NULL && schema[0] != '\0' ? schema : NULL,
        .name = name,
    };
    uint32_t hash =
        hash_text(hash_text(2166136261u + (uint32_t)kind * 31u + access, o.schema), name);
    uint32_t at = found_at(w, &o, hash);
    if (at != NO_OBJECT) {
        return at;
    }
    if (!found_grow(w) || !object_copy(w, &o)) {
        return NO_OBJECT;
    }
    found_add(w, &o, hash);
    return (uint32_t)w->found_count - 1;
}

/* Locking, dropping and maintaining are about no column. */
static bool is_about_columns(enum sql_kind kind, enum sql_access access)
{
    return (kind == SQL_TABLE || kind == SQL_VIEW) && access != SQL_LOCK && access != SQL_DROP &&
           access != SQL_MAINTENANCE;
}

void walk_add(struct walk *w, enum sql_kind kind, enum sql_access access, const char *schema,
              const char *name)
{
    uint32_t at = walk_find(w, kind, access, schema, name);
    if (at != NO_OBJECT && is_about_columns(kind, access)) {
        w->found[at].columns.all = true;
    }
}

static const char *range_schema(const struct walk *w, enum sql_access access,
                                const PgQuery__RangeVar *r)
{
    if (r->schemaname[0] != '\0' || access != SQL_CREATE) {
        return r->schemaname;
    }
    if (w->new_schema != NULL) {
        return w->new_schema;
    }
    /* Where a temporary table is made, whatever the search path. */
    return r->relpersistence[0] == 't' ? "pg_temp" : r->schemaname;
}

uint32_t walk_find_range(struct walk *w, enum sql_kind kind, enum sql_access access,
                         const PgQuery__RangeVar *r)
{
    return r == NULL ? NO_OBJECT
                     : walk_find(w, kind, access, range_schema(w, access, r), r->relname);
}

void walk_add_range(struct walk *w, enum sql_kind kind, enum sql_access access,
                    const PgQuery__RangeVar *r)
{
    if (r != NULL) {
        walk_add(w, kind, access, range_schema(w, access, r), r->relname);
    }
}

void walk_add_columns(struct walk *w, enum sql_kind kind, enum sql_access access,
                      const PgQuery__RangeVar *r, size_t count, PgQuery__Node *const *columns)
{
    uint32_t at = walk_find_range(w, kind, access, r);
    struct column_set *set = at == NO_OBJECT ? NULL : &w->found[at].columns;
    for (size_t i = 0; i < count && set != NULL; i++) {
        const PgQuery__Node *n = columns[i];
        bool is_target = n->node_case == PG_QUERY__NODE__NODE_RES_TARGET;
        const char *name = is_target ? n->res_target->name : node_string(n);
        if (name == NULL || name[0] == '\0') {
            set->all = true;
        } else {
            column_set_add_text(&w->columns, set, name);
        }
    }
    if (set != NULL && count == 0) {
        set->all = true;
    }
}

void walk_add_names(struct walk *w, enum sql_kind kind, enum sql_access access, size_t count,
                    PgQuery__Node *const *names, bool drop_last)
{
    if (drop_last && count > 0) {
        count--;
    }
    const char *name = count == 0 ? NULL : node_string(names[count - 1]);
    const char *schema = count < 2 ? NULL : node_string(names[count - 2]);
    walk_add(w, kind, access, schema, name);
}
