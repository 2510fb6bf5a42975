#include "sidecar/sql/sql_walk.h"

#include <stdlib.h>

/* Twice what the guard on the text lets through; a tree beyond it is a bug of the guard. */
enum { WALK_DEPTH_MAX = 8 * SQL_DEPTH_MAX };

const ProtobufCMessage *node_message(const PgQuery__Node *n)
{
    /* Every member of the union is a pointer to a message; which one does not matter here. */
    return n == NULL || n->node_case == PG_QUERY__NODE__NODE__NOT_SET
               ? NULL
               : (const ProtobufCMessage *)n->string;
}

const char *node_string(const PgQuery__Node *n)
{
    return n != NULL && n->node_case == PG_QUERY__NODE__NODE_STRING ? n->string->sval : NULL;
}

/* --- objects --------------------------------------------------------------------------- */

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

static bool found_contains(const struct walk *w, const struct sql_object *o, uint32_t hash)
{
    for (size_t i = 0; i < w->found_count; i++) {
        const struct sql_object *f = &w->found[i].object;
        if (w->found[i].hash == hash && f->kind == o->kind && f->access == o->access &&
            same_text(f->schema, o->schema) && same_text(f->name, o->name)) {
            return true;
        }
    }
    return false;
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
    size_t capacity = w->found_capacity == 0 ? 16 : w->found_capacity * 2;
    struct found *more = realloc(w->found, capacity * sizeof(*more));
    if (more == NULL) {
        w->failed = ERR_NO_MEMORY;
        return false;
    }
    w->found = more;
    w->found_capacity = capacity;
    return true;
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

void walk_add(struct walk *w, enum sql_kind kind, enum sql_access access, const char *schema,
              const char *name)
{
    walk_add_access(w, access);
    if (w->failed != OK || name == NULL || name[0] == '\0') {
        return;
    }
    struct sql_object o = {
        .kind = kind,
        .access = access,
        .schema = schema != NULL && schema[0] != '\0' ? schema : NULL,
        .name = name,
    };
    uint32_t hash =
        hash_text(hash_text(2166136261u + (uint32_t)kind * 31u + access, o.schema), name);
    if (found_contains(w, &o, hash) || !found_grow(w) || !object_copy(w, &o)) {
        return;
    }
    w->found[w->found_count++] = (struct found){.object = o, .hash = hash};
}

void walk_add_range(struct walk *w, enum sql_kind kind, enum sql_access access,
                    const PgQuery__RangeVar *r)
{
    if (r == NULL) {
        return;
    }
    const char *schema = r->schemaname;
    if (schema[0] == '\0' && access == SQL_CREATE && w->new_schema != NULL) {
        schema = w->new_schema;
    } else if (schema[0] == '\0' && r->relpersistence[0] == 't' && access == SQL_CREATE) {
        /* Where a temporary table is made, whatever the search path. */
        schema = "pg_temp";
    }
    walk_add(w, kind, access, schema, r->relname);
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

/* --- the walk -------------------------------------------------------------------------- */

static bool scope_has(const struct scope *s, const char *name)
{
    for (; s != NULL; s = s->outer) {
        if (strcmp(s->name, name) == 0) {
            return true;
        }
    }
    return false;
}

static void walk_range(struct walk *w, const PgQuery__RangeVar *r)
{
    /* A CTE is only found by a bare name, and it hides a table of that name (SELECT, "WITH
     * Clause"). */
    bool bare = r->schemaname[0] == '\0' && r->catalogname[0] == '\0';
    if (bare && scope_has(w->scope, r->relname)) {
        return;
    }
    walk_add_range(w, SQL_TABLE, SQL_READ, r);
    if (w->locking) {
        walk_add_range(w, SQL_TABLE, SQL_LOCK, r);
    }
}

static void walk_field(struct walk *w, const ProtobufCMessage *m,
                       const ProtobufCFieldDescriptor *field)
{
    const char *base = (const char *)m;
    if (field->type != PROTOBUF_C_TYPE_MESSAGE) {
        return;
    }
    if (field->label == PROTOBUF_C_LABEL_REPEATED) {
        size_t count = *(const size_t *)(const void *)(base + field->quantifier_offset);
        ProtobufCMessage *const *items =
            *(ProtobufCMessage *const *const *)(const void *)(base + field->offset);
        for (size_t i = 0; i < count && w->failed == OK; i++) {
            walk_message(w, items[i]);
        }
        return;
    }
    if ((field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) != 0 &&
        *(const uint32_t *)(const void *)(base + field->quantifier_offset) != field->id) {
        return;
    }
    walk_message(w, *(ProtobufCMessage *const *)(const void *)(base + field->offset));
}

void walk_fields(struct walk *w, const ProtobufCMessage *m)
{
    for (unsigned i = 0; i < m->descriptor->n_fields && w->failed == OK; i++) {
        walk_field(w, m, &m->descriptor->fields[i]);
    }
}

static void walk_role(struct walk *w, const PgQuery__RoleSpec *role)
{
    if (w->role_is_object) {
        walk_add(w, SQL_ROLE, SQL_PRIVILEGE, NULL, role->rolename);
    }
}

/* What has a meaning wherever it stands. False: nothing is known about it. */
static bool walk_known(struct walk *w, const ProtobufCMessage *m)
{
    const ProtobufCMessageDescriptor *d = m->descriptor;
    if (d == &pg_query__range_var__descriptor) {
        walk_range(w, (const PgQuery__RangeVar *)m);
    } else if (d == &pg_query__func_call__descriptor) {
        query_walk_call(w, (const PgQuery__FuncCall *)m, SQL_FUNCTION, SQL_CALL);
    } else if (d == &pg_query__select_stmt__descriptor) {
        statement_walk_select(w, (const PgQuery__SelectStmt *)m);
    } else if (d == &pg_query__create_stmt__descriptor) {
        statement_walk_create(w, (const PgQuery__CreateStmt *)m);
    } else if (d == &pg_query__into_clause__descriptor) {
        const PgQuery__IntoClause *into = (const PgQuery__IntoClause *)m;
        walk_add_range(w, SQL_TABLE, SQL_CREATE, into->rel);
    } else if (d == &pg_query__vacuum_relation__descriptor) {
        walk_add_range(w, SQL_TABLE, SQL_MAINTENANCE,
                       ((const PgQuery__VacuumRelation *)m)->relation);
    } else if (d == &pg_query__partition_cmd__descriptor) {
        walk_add_range(w, SQL_TABLE, SQL_ALTER, ((const PgQuery__PartitionCmd *)m)->name);
    } else if (d == &pg_query__role_spec__descriptor) {
        walk_role(w, (const PgQuery__RoleSpec *)m);
    } else if (d == &pg_query__range_table_sample__descriptor) {
        const PgQuery__RangeTableSample *s = (const PgQuery__RangeTableSample *)m;
        walk_add_names(w, SQL_FUNCTION, SQL_CALL, s->n_method, s->method, false);
        walk_fields(w, m);
    } else {
        return false;
    }
    return true;
}

static bool node_is_leaf(const PgQuery__Node *n)
{
    return n->node_case == PG_QUERY__NODE__NODE_COLUMN_REF ||
           n->node_case == PG_QUERY__NODE__NODE_A_CONST ||
           n->node_case == PG_QUERY__NODE__NODE_PARAM_REF ||
           n->node_case == PG_QUERY__NODE__NODE_STRING;
}

void walk_node(struct walk *w, const PgQuery__Node *n)
{
    const ProtobufCMessage *m = node_message(n);
    if (m == NULL || w->failed != OK || node_is_leaf(n)) {
        return;
    }
    if (++w->depth > WALK_DEPTH_MAX) {
        w->failed = ERR_LIMIT;
    } else if (!statement_walk(w, n) && !walk_known(w, m)) {
        walk_fields(w, m);
    }
    w->depth--;
}

void walk_nodes(struct walk *w, size_t count, PgQuery__Node *const *nodes)
{
    for (size_t i = 0; i < count && w->failed == OK; i++) {
        walk_node(w, nodes[i]);
    }
}

void walk_message(struct walk *w, const ProtobufCMessage *m)
{
    if (m == NULL || w->failed != OK) {
        return;
    }
    if (m->descriptor == &pg_query__node__descriptor) {
        walk_node(w, (const PgQuery__Node *)m);
    } else if (++w->depth > WALK_DEPTH_MAX) {
        w->failed = ERR_LIMIT;
        w->depth--;
    } else {
        if (!walk_known(w, m)) {
            walk_fields(w, m);
        }
        w->depth--;
    }
}
