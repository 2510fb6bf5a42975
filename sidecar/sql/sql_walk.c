#include "sidecar/sql/sql_walk.h"

#include <stdlib.h>

#include "sidecar/sql/sql_scope.h"

enum {
    /* Up to here a look at each is faster than a table. */
    FOUND_FEW = 16,
};

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

bool walk_is_cte(const struct walk *w, const PgQuery__RangeVar *r)
{
    /* A CTE is only found by a bare name, and it hides a table of that name (SELECT, "WITH
     * Clause"). */
    return r->schemaname[0] == '\0' && r->catalogname[0] == '\0' && scope_has(w->scope, r->relname);
}

/* Anywhere but in a FROM clause: which columns is not known. */
static void walk_range(struct walk *w, const PgQuery__RangeVar *r)
{
    if (!walk_is_cte(w, r)) {
        walk_add_range(w, SQL_TABLE, SQL_READ, r);
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

static void walk_constraint(struct walk *w, const PgQuery__Constraint *c)
{
    /* Without a list it is the primary key, whose columns are not known here. */
    walk_add_columns(w, SQL_TABLE, SQL_READ, c->pktable, c->n_pk_attrs, c->pk_attrs);
    walk_node(w, c->raw_expr);
    walk_nodes(w, c->n_exclusions, c->exclusions);
    walk_nodes(w, c->n_options, c->options);
    walk_node(w, c->where_clause);
}

static void walk_publication_table(struct walk *w, const PgQuery__PublicationTable *t)
{
    walk_add_columns(w, SQL_TABLE, SQL_READ, t->relation, t->n_columns, t->columns);
    walk_node(w, t->where_clause);
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
    } else if (d == &pg_query__column_ref__descriptor) {
        scope_walk_column(w, (const PgQuery__ColumnRef *)m);
    } else if (d == &pg_query__constraint__descriptor) {
        walk_constraint(w, (const PgQuery__Constraint *)m);
    } else if (d == &pg_query__publication_table__descriptor) {
        walk_publication_table(w, (const PgQuery__PublicationTable *)m);
    } else {
        return false;
    }
    return true;
}

static bool node_is_leaf(const PgQuery__Node *n)
{
    return n->node_case == PG_QUERY__NODE__NODE_A_CONST ||
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
