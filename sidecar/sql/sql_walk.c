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
    /* Without a list it is the primary key, whose columns are not known here. The other table gets
     * triggers, and its rows can no longer go as they please: hence its REFERENCES privilege. */
    walk_add_columns(w, SQL_TABLE, SQL_READ, c->pktable, c->n_pk_attrs, c->pk_attrs);
    walk_add_columns(w, SQL_TABLE, SQL_ALTER, c->pktable, c->n_pk_attrs, c->pk_attrs);
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

static void walk_publication_object(struct walk *w, const PgQuery__PublicationObjSpec *o)
{
    if (o->pubtable == NULL) {
        walk_add(w, SQL_SCHEMA, SQL_READ, NULL, o->name);
    } else {
        walk_publication_table(w, o->pubtable);
    }
}

static void walk_expression(struct walk *w, const PgQuery__AExpr *e)
{
    /* The others are words of the grammar: BETWEEN, IN, LIKE. */
    if (e->kind == PG_QUERY__A__EXPR__KIND__AEXPR_OP ||
        e->kind == PG_QUERY__A__EXPR__KIND__AEXPR_OP_ANY ||
        e->kind == PG_QUERY__A__EXPR__KIND__AEXPR_OP_ALL) {
        operator_use(w, e->n_name, e->name);
    }
    walk_node(w, e->lexpr);
    walk_node(w, e->rexpr);
}

void walk_add_unknown(struct walk *w)
{
    w->statement->is_unknown = true;
    walk_add_access(w, SQL_UNKNOWN);
}

/* What stands in the tree without a Node around it. False: nothing is known about it. */
static bool message_known(struct walk *w, const ProtobufCMessage *m)
{
    const ProtobufCMessageDescriptor *d = m->descriptor;
    if (d == &pg_query__range_var__descriptor) {
        walk_range(w, (const PgQuery__RangeVar *)m);
    } else if (d == &pg_query__func_call__descriptor) {
        function_walk(w, (const PgQuery__FuncCall *)m, SQL_FUNCTION, SQL_CALL);
    } else if (d == &pg_query__type_name__descriptor) {
        /* In a query it is that of a column that a function's result is converted to. */
        if (w->level != NULL) {
            type_use(w, (const PgQuery__TypeName *)m);
        }
    } else if (d == &pg_query__select_stmt__descriptor) {
        statement_walk_select(w, (const PgQuery__SelectStmt *)m);
    } else if (d == &pg_query__create_stmt__descriptor) {
        statement_walk_create(w, (const PgQuery__CreateStmt *)m);
    } else if (d == &pg_query__into_clause__descriptor) {
        walk_add_range(w, SQL_TABLE, SQL_CREATE, ((const PgQuery__IntoClause *)m)->rel);
    } else if (d == &pg_query__role_spec__descriptor) {
        walk_role(w, (const PgQuery__RoleSpec *)m);
    } else {
        return false;
    }
    return true;
}

/* The nodes that mean more than what is in them. */
static bool node_special(struct walk *w, const PgQuery__Node *n)
{
    switch (n->node_case) {
    case PG_QUERY__NODE__NODE_COLUMN_REF: scope_walk_column(w, n->column_ref); break;
    case PG_QUERY__NODE__NODE_A_EXPR: walk_expression(w, n->a_expr); break;
    case PG_QUERY__NODE__NODE_FUNC_CALL:
        function_walk(w, n->func_call, SQL_FUNCTION, SQL_CALL);
        break;
    case PG_QUERY__NODE__NODE_TYPE_CAST: cast_walk(w, n->type_cast); break;
    case PG_QUERY__NODE__NODE_RES_TARGET:
        walk_nodes(w, n->res_target->n_indirection, n->res_target->indirection);
        walk_node(w, n->res_target->val);
        break;
    case PG_QUERY__NODE__NODE_BOOL_EXPR:
        walk_nodes(w, n->bool_expr->n_args, n->bool_expr->args);
        break;
    case PG_QUERY__NODE__NODE_SUB_LINK:
        operator_use(w, n->sub_link->n_oper_name, n->sub_link->oper_name);
        walk_node(w, n->sub_link->testexpr);
        walk_node(w, n->sub_link->subselect);
        break;
    case PG_QUERY__NODE__NODE_SORT_BY:
        operator_use(w, n->sort_by->n_use_op, n->sort_by->use_op);
        walk_node(w, n->sort_by->node);
        break;
    case PG_QUERY__NODE__NODE_RANGE_VAR: walk_range(w, n->range_var); break;
    case PG_QUERY__NODE__NODE_CONSTRAINT: walk_constraint(w, n->constraint); break;
    case PG_QUERY__NODE__NODE_PUBLICATION_OBJ_SPEC:
        walk_publication_object(w, n->publication_obj_spec);
        break;
    case PG_QUERY__NODE__NODE_VACUUM_RELATION:
        walk_add_range(w, SQL_TABLE, SQL_MAINTENANCE, n->vacuum_relation->relation);
        break;
    case PG_QUERY__NODE__NODE_PARTITION_CMD:
        walk_add_range(w, SQL_TABLE, SQL_ALTER, n->partition_cmd->name);
        if (n->partition_cmd->bound != NULL) {
            walk_fields(w, &n->partition_cmd->bound->base);
        }
        break;
    default: return false;
    }
    return true;
}

bool node_is_known(PgQuery__Node__NodeCase node_case)
{
    static const bool known[] = {
        [PG_QUERY__NODE__NODE_ALIAS] = true,
        [PG_QUERY__NODE__NODE_RANGE_VAR] = true,
        [PG_QUERY__NODE__NODE_GROUPING_FUNC] = true,
        [PG_QUERY__NODE__NODE_NAMED_ARG_EXPR] = true,
        [PG_QUERY__NODE__NODE_BOOL_EXPR] = true,
        [PG_QUERY__NODE__NODE_SUB_LINK] = true,
        [PG_QUERY__NODE__NODE_CASE_EXPR] = true,
        [PG_QUERY__NODE__NODE_CASE_WHEN] = true,
        [PG_QUERY__NODE__NODE_ROW_EXPR] = true,
        [PG_QUERY__NODE__NODE_COALESCE_EXPR] = true,
        [PG_QUERY__NODE__NODE_MIN_MAX_EXPR] = true,
        [PG_QUERY__NODE__NODE_SQLVALUE_FUNCTION] = true,
        [PG_QUERY__NODE__NODE_XML_EXPR] = true,
        [PG_QUERY__NODE__NODE_NULL_TEST] = true,
        [PG_QUERY__NODE__NODE_BOOLEAN_TEST] = true,
        [PG_QUERY__NODE__NODE_SET_TO_DEFAULT] = true,
        [PG_QUERY__NODE__NODE_CURRENT_OF_EXPR] = true,
        [PG_QUERY__NODE__NODE_JOIN_EXPR] = true,
        [PG_QUERY__NODE__NODE_INTO_CLAUSE] = true,
        [PG_QUERY__NODE__NODE_ALTER_TABLE_CMD] = true,
        [PG_QUERY__NODE__NODE_A_EXPR] = true,
        [PG_QUERY__NODE__NODE_COLUMN_REF] = true,
        [PG_QUERY__NODE__NODE_PARAM_REF] = true,
        [PG_QUERY__NODE__NODE_FUNC_CALL] = true,
        [PG_QUERY__NODE__NODE_A_STAR] = true,
        [PG_QUERY__NODE__NODE_A_INDICES] = true,
        [PG_QUERY__NODE__NODE_A_INDIRECTION] = true,
        [PG_QUERY__NODE__NODE_A_ARRAY_EXPR] = true,
        [PG_QUERY__NODE__NODE_RES_TARGET] = true,
        [PG_QUERY__NODE__NODE_MULTI_ASSIGN_REF] = true,
        [PG_QUERY__NODE__NODE_TYPE_CAST] = true,
        [PG_QUERY__NODE__NODE_COLLATE_CLAUSE] = true,
        [PG_QUERY__NODE__NODE_SORT_BY] = true,
        [PG_QUERY__NODE__NODE_WINDOW_DEF] = true,
        [PG_QUERY__NODE__NODE_RANGE_SUBSELECT] = true,
        [PG_QUERY__NODE__NODE_RANGE_FUNCTION] = true,
        [PG_QUERY__NODE__NODE_RANGE_TABLE_SAMPLE] = true,
        [PG_QUERY__NODE__NODE_RANGE_TABLE_FUNC] = true,
        [PG_QUERY__NODE__NODE_RANGE_TABLE_FUNC_COL] = true,
        [PG_QUERY__NODE__NODE_TYPE_NAME] = true,
        [PG_QUERY__NODE__NODE_COLUMN_DEF] = true,
        [PG_QUERY__NODE__NODE_INDEX_ELEM] = true,
        [PG_QUERY__NODE__NODE_STATS_ELEM] = true,
        [PG_QUERY__NODE__NODE_CONSTRAINT] = true,
        [PG_QUERY__NODE__NODE_DEF_ELEM] = true,
        [PG_QUERY__NODE__NODE_GROUPING_SET] = true,
        [PG_QUERY__NODE__NODE_OBJECT_WITH_ARGS] = true,
        [PG_QUERY__NODE__NODE_ACCESS_PRIV] = true,
        [PG_QUERY__NODE__NODE_CREATE_OP_CLASS_ITEM] = true,
        [PG_QUERY__NODE__NODE_TABLE_LIKE_CLAUSE] = true,
        [PG_QUERY__NODE__NODE_FUNCTION_PARAMETER] = true,
        [PG_QUERY__NODE__NODE_LOCKING_CLAUSE] = true,
        [PG_QUERY__NODE__NODE_XML_SERIALIZE] = true,
        [PG_QUERY__NODE__NODE_WITH_CLAUSE] = true,
        [PG_QUERY__NODE__NODE_INFER_CLAUSE] = true,
        [PG_QUERY__NODE__NODE_ON_CONFLICT_CLAUSE] = true,
        [PG_QUERY__NODE__NODE_CTESEARCH_CLAUSE] = true,
        [PG_QUERY__NODE__NODE_CTECYCLE_CLAUSE] = true,
        [PG_QUERY__NODE__NODE_COMMON_TABLE_EXPR] = true,
        [PG_QUERY__NODE__NODE_MERGE_WHEN_CLAUSE] = true,
        [PG_QUERY__NODE__NODE_ROLE_SPEC] = true,
        [PG_QUERY__NODE__NODE_TRIGGER_TRANSITION] = true,
        [PG_QUERY__NODE__NODE_PARTITION_ELEM] = true,
        [PG_QUERY__NODE__NODE_PARTITION_SPEC] = true,
        [PG_QUERY__NODE__NODE_PARTITION_BOUND_SPEC] = true,
        [PG_QUERY__NODE__NODE_PARTITION_RANGE_DATUM] = true,
        [PG_QUERY__NODE__NODE_PARTITION_CMD] = true,
        [PG_QUERY__NODE__NODE_VACUUM_RELATION] = true,
        [PG_QUERY__NODE__NODE_PUBLICATION_OBJ_SPEC] = true,
        [PG_QUERY__NODE__NODE_PUBLICATION_TABLE] = true,
        [PG_QUERY__NODE__NODE_INTEGER] = true,
        [PG_QUERY__NODE__NODE_FLOAT] = true,
        [PG_QUERY__NODE__NODE_BOOLEAN] = true,
        [PG_QUERY__NODE__NODE_STRING] = true,
        [PG_QUERY__NODE__NODE_BIT_STRING] = true,
        [PG_QUERY__NODE__NODE_LIST] = true,
        [PG_QUERY__NODE__NODE_A_CONST] = true,
    };
    return (size_t)node_case < sizeof(known) / sizeof(known[0]) && known[node_case];
}

static bool node_is_leaf(const PgQuery__Node *n)
{
    return n->node_case == PG_QUERY__NODE__NODE_A_CONST ||
           n->node_case == PG_QUERY__NODE__NODE_PARAM_REF ||
           n->node_case == PG_QUERY__NODE__NODE_STRING ||
           n->node_case == PG_QUERY__NODE__NODE_INTEGER;
}

void walk_node(struct walk *w, const PgQuery__Node *n)
{
    const ProtobufCMessage *m = node_message(n);
    if (m == NULL || w->failed != OK || node_is_leaf(n)) {
        return;
    }
    if (++w->depth > WALK_DEPTH_MAX) {
        w->failed = ERR_LIMIT;
    } else if (!node_special(w, n) && !statement_walk(w, n)) {
        if (!node_is_known(n->node_case)) {
            walk_add_unknown(w);
        }
        if (!message_known(w, m)) {
            walk_fields(w, m);
        }
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
        if (!message_known(w, m)) {
            walk_fields(w, m);
        }
        w->depth--;
    }
}
