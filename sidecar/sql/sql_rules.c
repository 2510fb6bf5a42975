/* What single statements do beyond what their row says. */
#include "sidecar/sql/sql_rules.h"

#include <strings.h>

#include "sidecar/sql/sql_scope.h"

bool rule_select(struct walk *w, const ProtobufCMessage *m)
{
    query_walk_select(w, (const PgQuery__SelectStmt *)m);
    return false;
}

bool rule_insert(struct walk *w, const ProtobufCMessage *m)
{
    query_walk_insert(w, (const PgQuery__InsertStmt *)m);
    return false;
}

bool rule_update(struct walk *w, const ProtobufCMessage *m)
{
    query_walk_update(w, (const PgQuery__UpdateStmt *)m);
    return false;
}

bool rule_delete(struct walk *w, const ProtobufCMessage *m)
{
    query_walk_delete(w, (const PgQuery__DeleteStmt *)m);
    return false;
}

bool rule_merge(struct walk *w, const ProtobufCMessage *m)
{
    query_walk_merge(w, (const PgQuery__MergeStmt *)m);
    return false;
}

bool rule_copy(struct walk *w, const ProtobufCMessage *m)
{
    const PgQuery__CopyStmt *s = (const PgQuery__CopyStmt *)m;
    walk_add_access(w, s->is_from ? SQL_LOAD : SQL_EXPORT);
    walk_add_columns(w, SQL_TABLE, s->is_from ? SQL_INSERT : SQL_READ, s->relation, s->n_attlist,
                     s->attlist);
    if (s->filename[0] != '\0') {
        walk_add(w, s->is_program ? SQL_PROGRAM : SQL_FILE, SQL_UNSAFE_IO, NULL, s->filename);
    }
    walk_node(w, s->query);
    walk_nodes(w, s->n_options, s->options);
    walk_node(w, s->where_clause);
    return false;
}

bool rule_call(struct walk *w, const ProtobufCMessage *m)
{
    const PgQuery__CallStmt *s = (const PgQuery__CallStmt *)m;
    if (s->funccall != NULL) {
        function_walk(w, s->funccall, SQL_PROCEDURE, SQL_PROCEDURAL);
    }
    walk_nodes(w, s->n_outargs, s->outargs);
    return false;
}

/* The language among a list of DefElem; `otherwise` when it is not written. */
static const char *language_of(size_t count, PgQuery__Node *const *options, const char *otherwise)
{
    for (size_t i = 0; i < count; i++) {
        const PgQuery__DefElem *e =
            options[i]->node_case == PG_QUERY__NODE__NODE_DEF_ELEM ? options[i]->def_elem : NULL;
        if (e != NULL && strcmp(e->defname, "language") == 0 && node_string(e->arg) != NULL) {
            return node_string(e->arg);
        }
    }
    return otherwise;
}

bool rule_do(struct walk *w, const ProtobufCMessage *m)
{
    const PgQuery__DoStmt *s = (const PgQuery__DoStmt *)m;
    walk_add(w, SQL_CODE, SQL_PROCEDURAL, NULL, language_of(s->n_args, s->args, "plpgsql"));
    return true;
}

static enum sql_transaction transaction_of(PgQuery__TransactionStmtKind kind)
{
    switch (kind) {
    case PG_QUERY__TRANSACTION_STMT_KIND__TRANS_STMT_BEGIN:
    case PG_QUERY__TRANSACTION_STMT_KIND__TRANS_STMT_START: return SQL_TRANSACTION_BEGIN;
    case PG_QUERY__TRANSACTION_STMT_KIND__TRANS_STMT_COMMIT: return SQL_TRANSACTION_COMMIT;
    case PG_QUERY__TRANSACTION_STMT_KIND__TRANS_STMT_ROLLBACK: return SQL_TRANSACTION_ROLLBACK;
    case PG_QUERY__TRANSACTION_STMT_KIND__TRANS_STMT_SAVEPOINT: return SQL_TRANSACTION_SAVEPOINT;
    case PG_QUERY__TRANSACTION_STMT_KIND__TRANS_STMT_RELEASE: return SQL_TRANSACTION_RELEASE;
    case PG_QUERY__TRANSACTION_STMT_KIND__TRANS_STMT_ROLLBACK_TO:
        return SQL_TRANSACTION_ROLLBACK_TO;
    case PG_QUERY__TRANSACTION_STMT_KIND__TRANS_STMT_PREPARE: return SQL_TRANSACTION_PREPARE;
    case PG_QUERY__TRANSACTION_STMT_KIND__TRANS_STMT_COMMIT_PREPARED:
        return SQL_TRANSACTION_COMMIT_PREPARED;
    case PG_QUERY__TRANSACTION_STMT_KIND__TRANS_STMT_ROLLBACK_PREPARED:
        return SQL_TRANSACTION_ROLLBACK_PREPARED;
    default: return SQL_TRANSACTION_NONE;
    }
}

bool rule_transaction(struct walk *w, const ProtobufCMessage *m)
{
    w->statement->transaction = transaction_of(((const PgQuery__TransactionStmt *)m)->kind);
    return true;
}

bool rule_set(struct walk *w, const ProtobufCMessage *m)
{
    const PgQuery__VariableSetStmt *s = (const PgQuery__VariableSetStmt *)m;
    /* SET ROLE and SET SESSION AUTHORIZATION are settings of these names. */
    bool is_privilege =
        strcasecmp(s->name, "role") == 0 || strcasecmp(s->name, "session_authorization") == 0;
    walk_add(w, SQL_SETTING, SQL_SESSION, NULL, s->name);
    if (is_privilege) {
        walk_add(w, SQL_SETTING, SQL_PRIVILEGE, NULL, s->name);
    }
    return true;
}

static void parent_add(struct walk *w, const PgQuery__Node *n)
{
    if (n->node_case == PG_QUERY__NODE__NODE_RANGE_VAR) {
        walk_add_range(w, SQL_TABLE, SQL_ALTER, n->range_var);
        walk_add_range(w, SQL_TABLE, SQL_READ, n->range_var);
    } else {
        walk_node(w, n);
    }
}

/* CREATE STATISTICS is for the owner; ANALYZE keeps what it finds there. */
bool rule_statistics(struct walk *w, const ProtobufCMessage *m)
{
    const PgQuery__CreateStatsStmt *s = (const PgQuery__CreateStatsStmt *)m;
    for (size_t i = 0; i < s->n_relations; i++) {
        parent_add(w, s->relations[i]);
    }
    walk_nodes(w, s->n_exprs, s->exprs);
    return false;
}

/* OWNED BY table.column */
bool rule_sequence(struct walk *w, const ProtobufCMessage *m)
{
    bool is_new = m->descriptor == &pg_query__create_seq_stmt__descriptor;
    const PgQuery__CreateSeqStmt *made = (const PgQuery__CreateSeqStmt *)m;
    const PgQuery__AlterSeqStmt *altered = (const PgQuery__AlterSeqStmt *)m;
    size_t count = is_new ? made->n_options : altered->n_options;
    PgQuery__Node *const *options = is_new ? made->options : altered->options;
    for (size_t i = 0; i < count; i++) {
        const PgQuery__DefElem *e =
            options[i]->node_case == PG_QUERY__NODE__NODE_DEF_ELEM ? options[i]->def_elem : NULL;
        bool is_list = e != NULL && strcmp(e->defname, "owned_by") == 0 && e->arg != NULL &&
                       e->arg->node_case == PG_QUERY__NODE__NODE_LIST;
        if (is_list && e->arg->list->n_items > 1) { /* not NONE */
            object_add(w, PG_QUERY__OBJECT_TYPE__OBJECT_COLUMN, e->arg, SQL_READ);
        }
    }
    return true;
}

bool rule_create(struct walk *w, const ProtobufCMessage *m)
{
    const PgQuery__CreateStmt *s = (const PgQuery__CreateStmt *)m;
    walk_add_range(w, SQL_TABLE, SQL_CREATE, s->relation);
    /* Parents and partitioned tables give their columns, and get its rows. */
    for (size_t i = 0; i < s->n_inh_relations; i++) {
        parent_add(w, s->inh_relations[i]);
    }
    walk_nodes(w, s->n_table_elts, s->table_elts);
    walk_nodes(w, s->n_constraints, s->constraints);
    walk_nodes(w, s->n_options, s->options);
    if (s->partbound != NULL) {
        walk_fields(w, &s->partbound->base);
    }
    if (s->partspec != NULL) {
        walk_fields(w, &s->partspec->base);
    }
    return false;
}

/* file_fdw reads what these options name. */
static void foreign_options(struct walk *w, size_t count, PgQuery__Node *const *options)
{
    for (size_t i = 0; i < count; i++) {
        const PgQuery__DefElem *e =
            options[i]->node_case == PG_QUERY__NODE__NODE_DEF_ELEM ? options[i]->def_elem : NULL;
        const char *value = e == NULL ? NULL : node_string(e->arg);
        if (value != NULL && strcmp(e->defname, "filename") == 0) {
            walk_add(w, SQL_FILE, SQL_UNSAFE_IO, NULL, value);
        } else if (value != NULL && strcmp(e->defname, "program") == 0) {
            walk_add(w, SQL_PROGRAM, SQL_UNSAFE_IO, NULL, value);
        }
    }
}

bool rule_foreign_table(struct walk *w, const ProtobufCMessage *m)
{
    const PgQuery__CreateForeignTableStmt *s = (const PgQuery__CreateForeignTableStmt *)m;
    walk_add_access(w, SQL_UNSAFE_IO);
    foreign_options(w, s->n_options, s->options);
    return true;
}

bool rule_publication(struct walk *w, const ProtobufCMessage *m)
{
    bool all = m->descriptor == &pg_query__create_publication_stmt__descriptor
                   ? ((const PgQuery__CreatePublicationStmt *)m)->for_all_tables
                   : ((const PgQuery__AlterPublicationStmt *)m)->for_all_tables;
    if (all) {
        walk_add(w, SQL_OTHER, SQL_READ, NULL, "tables");
    }
    return true;
}

/* Rows come from elsewhere, into tables that only the other side names. */
bool rule_subscription(struct walk *w, const ProtobufCMessage *m)
{
    (void)m;
    walk_add_access(w, SQL_LOAD);
    return true;
}

/* The column that a command of ALTER TABLE is about; NULL: more than one, or none. */
static const char *altered_column(const PgQuery__AlterTableCmd *c)
{
    switch (c->subtype) {
    case PG_QUERY__ALTER_TABLE_TYPE__AT_AddColumn:
        return c->def != NULL && c->def->node_case == PG_QUERY__NODE__NODE_COLUMN_DEF
                   ? c->def->column_def->colname
                   : NULL;
    case PG_QUERY__ALTER_TABLE_TYPE__AT_ColumnDefault:
    case PG_QUERY__ALTER_TABLE_TYPE__AT_DropNotNull:
    case PG_QUERY__ALTER_TABLE_TYPE__AT_SetNotNull:
    case PG_QUERY__ALTER_TABLE_TYPE__AT_DropExpression:
    case PG_QUERY__ALTER_TABLE_TYPE__AT_SetStatistics:
    case PG_QUERY__ALTER_TABLE_TYPE__AT_SetOptions:
    case PG_QUERY__ALTER_TABLE_TYPE__AT_ResetOptions:
    case PG_QUERY__ALTER_TABLE_TYPE__AT_SetStorage:
    case PG_QUERY__ALTER_TABLE_TYPE__AT_SetCompression:
    case PG_QUERY__ALTER_TABLE_TYPE__AT_DropColumn:
    case PG_QUERY__ALTER_TABLE_TYPE__AT_AlterColumnType:
    case PG_QUERY__ALTER_TABLE_TYPE__AT_AddIdentity:
    case PG_QUERY__ALTER_TABLE_TYPE__AT_SetIdentity:
    case PG_QUERY__ALTER_TABLE_TYPE__AT_DropIdentity: return c->name[0] == '\0' ? NULL : c->name;
    default: return NULL;
    }
}

/* Columns in the expressions of a definition are those that it is about. */
static void altered_walk(struct walk *w, const PgQuery__RangeVar *table, size_t count,
                         PgQuery__Node *const *nodes)
{
    struct level level;
    level_open(w, &level);
    level_add_target(w, table, SQL_ALTER);
    walk_nodes(w, count, nodes);
    level_close(w, &level);
}

/* What a command of ALTER TABLE does beyond altering. */
static void alter_effect(struct walk *w, enum sql_kind kind, const PgQuery__RangeVar *r,
                         const PgQuery__Node *n)
{
    if (n->node_case != PG_QUERY__NODE__NODE_ALTER_TABLE_CMD) {
        return;
    }
    switch (n->alter_table_cmd->subtype) {
    case PG_QUERY__ALTER_TABLE_TYPE__AT_ChangeOwner:
    case PG_QUERY__ALTER_TABLE_TYPE__AT_EnableRowSecurity:
    case PG_QUERY__ALTER_TABLE_TYPE__AT_DisableRowSecurity:
    case PG_QUERY__ALTER_TABLE_TYPE__AT_ForceRowSecurity:
    case PG_QUERY__ALTER_TABLE_TYPE__AT_NoForceRowSecurity:
        walk_add_range(w, kind, SQL_PRIVILEGE, r);
        break;
    /* Those of a foreign table name files and programs. */
    case PG_QUERY__ALTER_TABLE_TYPE__AT_GenericOptions:
    case PG_QUERY__ALTER_TABLE_TYPE__AT_AlterColumnGenericOptions:
        walk_add_access(w, SQL_UNSAFE_IO);
        if (n->alter_table_cmd->def != NULL &&
            n->alter_table_cmd->def->node_case == PG_QUERY__NODE__NODE_LIST) {
            foreign_options(w, n->alter_table_cmd->def->list->n_items,
                            n->alter_table_cmd->def->list->items);
        }
        break;
    case PG_QUERY__ALTER_TABLE_TYPE__AT_AddInherit:
    case PG_QUERY__ALTER_TABLE_TYPE__AT_DropInherit:
        if (n->alter_table_cmd->def != NULL) {
            parent_add(w, n->alter_table_cmd->def);
        }
        break;
    default: break;
    }
}

bool rule_alter_table(struct walk *w, const ProtobufCMessage *m)
{
    const PgQuery__AlterTableStmt *s = (const PgQuery__AlterTableStmt *)m;
    enum sql_kind kind = object_kind(s->objtype);
    for (size_t i = 0; i < s->n_cmds; i++) {
        alter_effect(w, kind, s->relation, s->cmds[i]);
    }
    if (kind != SQL_TABLE) {
        walk_add_range(w, kind, SQL_ALTER, s->relation);
        walk_nodes(w, s->n_cmds, s->cmds);
        return false;
    }
    uint32_t at = walk_find_range(w, kind, SQL_ALTER, s->relation);
    for (size_t i = 0; i < s->n_cmds && at != NO_OBJECT; i++) {
        const PgQuery__Node *n = s->cmds[i];
        const char *column = n->node_case == PG_QUERY__NODE__NODE_ALTER_TABLE_CMD
                                 ? altered_column(n->alter_table_cmd)
                                 : NULL;
        if (column == NULL) {
            w->found[at].columns.all = true;
        } else {
            column_set_add_text(&w->columns, &w->found[at].columns, column);
        }
    }
    altered_walk(w, s->relation, s->n_cmds, s->cmds);
    return false;
}

static void index_columns(struct walk *w, uint32_t at, size_t count, PgQuery__Node *const *elements)
{
    for (size_t i = 0; i < count && at != NO_OBJECT; i++) {
        const PgQuery__Node *n = elements[i];
        if (n->node_case == PG_QUERY__NODE__NODE_INDEX_ELEM && n->index_elem->name[0] != '\0') {
            column_set_add_text(&w->columns, &w->found[at].columns, n->index_elem->name);
        }
    }
}

bool rule_index(struct walk *w, const ProtobufCMessage *m)
{
    const PgQuery__IndexStmt *s = (const PgQuery__IndexStmt *)m;
    PgQuery__Node *where[] = {s->where_clause};
    /* An index lives in its table's schema (CREATE INDEX, "name"). */
    const char *schema = s->relation == NULL ? NULL : s->relation->schemaname;
    walk_add(w, SQL_INDEX, SQL_CREATE, schema, s->idxname);
    uint32_t at = walk_find_range(w, SQL_TABLE, SQL_ALTER, s->relation);
    index_columns(w, at, s->n_index_params, s->index_params);
    index_columns(w, at, s->n_index_including_params, s->index_including_params);
    altered_walk(w, s->relation, s->n_index_params, s->index_params);
    altered_walk(w, s->relation, 1, where);
    walk_nodes(w, s->n_options, s->options);
    return false;
}

bool rule_trigger(struct walk *w, const ProtobufCMessage *m)
{
    const PgQuery__CreateTrigStmt *s = (const PgQuery__CreateTrigStmt *)m;
    walk_add_names(w, SQL_FUNCTION, SQL_CALL, s->n_funcname, s->funcname, false);
    return true;
}

bool rule_event_trigger(struct walk *w, const ProtobufCMessage *m)
{
    const PgQuery__CreateEventTrigStmt *s = (const PgQuery__CreateEventTrigStmt *)m;
    walk_add_names(w, SQL_FUNCTION, SQL_CALL, s->n_funcname, s->funcname, false);
    return true;
}

/* --- any object ------------------------------------------------------------------------ */

bool rule_drop(struct walk *w, const ProtobufCMessage *m)
{
    const PgQuery__DropStmt *s = (const PgQuery__DropStmt *)m;
    for (size_t i = 0; i < s->n_objects; i++) {
        object_add(w, s->remove_type, s->objects[i], SQL_DROP);
    }
    return false;
}

static bool object_altered(struct walk *w, PgQuery__ObjectType type, const PgQuery__RangeVar *r,
                           const PgQuery__Node *object)
{
    walk_add_range(w, object_kind(type), SQL_ALTER, r);
    if (r == NULL) {
        object_add(w, type, object, SQL_ALTER);
    }
    return false;
}

bool rule_rename(struct walk *w, const ProtobufCMessage *m)
{
    const PgQuery__RenameStmt *s = (const PgQuery__RenameStmt *)m;
    bool by_text = s->relation == NULL && s->object == NULL;
    if (by_text) {
        /* Roles, databases, schemas, tablespaces. */
        bool is_role = s->rename_type == PG_QUERY__OBJECT_TYPE__OBJECT_ROLE;
        walk_add(w, object_kind(s->rename_type), is_role ? SQL_PRIVILEGE : SQL_ALTER, NULL,
                 s->subname);
        return false;
    }
    bool is_column = s->rename_type == PG_QUERY__OBJECT_TYPE__OBJECT_COLUMN ||
                     s->rename_type == PG_QUERY__OBJECT_TYPE__OBJECT_ATTRIBUTE;
    if (is_column && s->relation != NULL && object_kind(s->relation_type) == SQL_TABLE) {
        uint32_t at = walk_find_range(w, SQL_TABLE, SQL_ALTER, s->relation);
        if (at != NO_OBJECT) {
            column_set_add_text(&w->columns, &w->found[at].columns, s->subname);
            column_set_add_text(&w->columns, &w->found[at].columns, s->newname);
        }
        return false;
    }
    return object_altered(w, is_column && s->relation != NULL ? s->relation_type : s->rename_type,
                          s->relation, s->object);
}

bool rule_set_schema(struct walk *w, const ProtobufCMessage *m)
{
    const PgQuery__AlterObjectSchemaStmt *s = (const PgQuery__AlterObjectSchemaStmt *)m;
    walk_add(w, SQL_SCHEMA, SQL_ALTER, NULL, s->newschema);
    return object_altered(w, s->object_type, s->relation, s->object);
}

bool rule_owner(struct walk *w, const ProtobufCMessage *m)
{
    const PgQuery__AlterOwnerStmt *s = (const PgQuery__AlterOwnerStmt *)m;
    walk_add_access(w, SQL_PRIVILEGE);
    return object_altered(w, s->object_type, s->relation, s->object);
}

bool rule_depends(struct walk *w, const ProtobufCMessage *m)
{
    const PgQuery__AlterObjectDependsStmt *s = (const PgQuery__AlterObjectDependsStmt *)m;
    return object_altered(w, s->object_type, s->relation, s->object);
}

bool rule_comment(struct walk *w, const ProtobufCMessage *m)
{
    const PgQuery__CommentStmt *s = (const PgQuery__CommentStmt *)m;
    object_add(w, s->objtype, s->object, SQL_ALTER);
    return false;
}

bool rule_security_label(struct walk *w, const ProtobufCMessage *m)
{
    const PgQuery__SecLabelStmt *s = (const PgQuery__SecLabelStmt *)m;
    object_add(w, s->objtype, s->object, SQL_PRIVILEGE);
    return false;
}

bool rule_define(struct walk *w, const ProtobufCMessage *m)
{
    const PgQuery__DefineStmt *s = (const PgQuery__DefineStmt *)m;
    walk_add_names(w, object_kind(s->kind), SQL_CREATE, s->n_defnames, s->defnames, false);
    return true;
}

/* --- code, schemas, privileges --------------------------------------------------------- */

bool rule_create_function(struct walk *w, const ProtobufCMessage *m)
{
    const PgQuery__CreateFunctionStmt *s = (const PgQuery__CreateFunctionStmt *)m;
    walk_add_names(w, s->is_procedure ? SQL_PROCEDURE : SQL_FUNCTION, SQL_CREATE, s->n_funcname,
                   s->funcname, false);
    /* What is in the text runs later, where no statement shows it. */
    const char *language = language_of(s->n_options, s->options, "sql");
    walk_add(w, SQL_CODE, SQL_PROCEDURAL, NULL, language);
    if (strcasecmp(language, "c") == 0 || strcasecmp(language, "internal") == 0) {
        walk_add(w, SQL_CODE, SQL_UNSAFE_IO, NULL, language);
    }
    return true;
}

bool rule_alter_function(struct walk *w, const ProtobufCMessage *m)
{
    const PgQuery__AlterFunctionStmt *s = (const PgQuery__AlterFunctionStmt *)m;
    if (s->func != NULL) {
        walk_add_names(w, object_kind(s->objtype), SQL_ALTER, s->func->n_objname, s->func->objname,
                       false);
    }
    return true;
}

bool rule_create_schema(struct walk *w, const ProtobufCMessage *m)
{
    const PgQuery__CreateSchemaStmt *s = (const PgQuery__CreateSchemaStmt *)m;
    const char *name = s->schemaname;
    if (name[0] == '\0' && s->authrole != NULL) {
        name = s->authrole->rolename;
    }
    walk_add(w, SQL_SCHEMA, SQL_CREATE, NULL, name);
    const char *outer = w->new_schema;
    w->new_schema = name[0] == '\0' ? NULL : name;
    walk_nodes(w, s->n_schema_elts, s->schema_elts);
    w->new_schema = outer;
    return false;
}

bool rule_roles(struct walk *w, const ProtobufCMessage *m)
{
    bool outer = w->role_is_object;
    w->role_is_object = true;
    /* Roles that are granted come as AccessPriv, not as RoleSpec. */
    if (m->descriptor == &pg_query__grant_role_stmt__descriptor) {
        const PgQuery__GrantRoleStmt *s = (const PgQuery__GrantRoleStmt *)m;
        for (size_t i = 0; i < s->n_granted_roles; i++) {
            if (s->granted_roles[i]->node_case == PG_QUERY__NODE__NODE_ACCESS_PRIV) {
                walk_add(w, SQL_ROLE, SQL_PRIVILEGE, NULL,
                         s->granted_roles[i]->access_priv->priv_name);
            }
        }
    }
    walk_fields(w, m);
    w->role_is_object = outer;
    return false;
}

/* GRANT SELECT (a, b), UPDATE: one privilege without a list is for all columns; so is ALL. */
static void granted_columns(struct walk *w, const PgQuery__GrantStmt *s, const PgQuery__RangeVar *r)
{
    for (size_t i = 0; i < s->n_privileges; i++) {
        const PgQuery__Node *n = s->privileges[i];
        if (n->node_case == PG_QUERY__NODE__NODE_ACCESS_PRIV) {
            walk_add_columns(w, SQL_TABLE, SQL_PRIVILEGE, r, n->access_priv->n_cols,
                             n->access_priv->cols);
        } else {
            walk_add_range(w, SQL_TABLE, SQL_PRIVILEGE, r);
        }
    }
    if (s->n_privileges == 0) {
        walk_add_range(w, SQL_TABLE, SQL_PRIVILEGE, r);
    }
}

bool rule_grant(struct walk *w, const ProtobufCMessage *m)
{
    const PgQuery__GrantStmt *s = (const PgQuery__GrantStmt *)m;
    bool all_in_schema = s->targtype == PG_QUERY__GRANT_TARGET_TYPE__ACL_TARGET_ALL_IN_SCHEMA;
    PgQuery__ObjectType type = all_in_schema ? PG_QUERY__OBJECT_TYPE__OBJECT_SCHEMA : s->objtype;
    for (size_t i = 0; i < s->n_objects; i++) {
        if (type == PG_QUERY__OBJECT_TYPE__OBJECT_TABLE &&
            s->objects[i]->node_case == PG_QUERY__NODE__NODE_RANGE_VAR) {
            granted_columns(w, s, s->objects[i]->range_var);
        } else {
            object_add(w, type, s->objects[i], SQL_PRIVILEGE);
        }
    }
    bool outer = w->role_is_object;
    w->role_is_object = true;
    walk_nodes(w, s->n_grantees, s->grantees);
    w->role_is_object = outer;
    return false;
}

bool rule_reindex(struct walk *w, const ProtobufCMessage *m)
{
    const PgQuery__ReindexStmt *s = (const PgQuery__ReindexStmt *)m;
    bool is_index = s->kind == PG_QUERY__REINDEX_OBJECT_TYPE__REINDEX_OBJECT_INDEX;
    bool is_schema = s->kind == PG_QUERY__REINDEX_OBJECT_TYPE__REINDEX_OBJECT_SCHEMA;
    walk_add_range(w, is_index ? SQL_INDEX : SQL_TABLE, SQL_MAINTENANCE, s->relation);
    walk_add(w, is_schema ? SQL_SCHEMA : SQL_DATABASE, SQL_MAINTENANCE, NULL, s->name);
    return false;
}
