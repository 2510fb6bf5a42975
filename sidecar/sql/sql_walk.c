#include "sidecar/sql/sql_walk.h"

#include "sidecar/sql/sql_scope.h"

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
