/* Command tags that depend on more than the kind of statement: CreateCommandTag in PostgreSQL's
 * utility.c. */
#include <stdio.h>

#include "sidecar/sql/sql_rules.h"

const char *tag_deallocate(struct walk *w, const ProtobufCMessage *m)
{
    (void)w;
    const PgQuery__DeallocateStmt *s = (const PgQuery__DeallocateStmt *)m;
    return s->name[0] == '\0' ? "DEALLOCATE ALL" : "DEALLOCATE";
}

const char *tag_fetch(struct walk *w, const ProtobufCMessage *m)
{
    (void)w;
    return ((const PgQuery__FetchStmt *)m)->ismove ? "MOVE" : "FETCH";
}

const char *tag_close(struct walk *w, const ProtobufCMessage *m)
{
    (void)w;
    const PgQuery__ClosePortalStmt *s = (const PgQuery__ClosePortalStmt *)m;
    return s->portalname[0] == '\0' ? "CLOSE CURSOR ALL" : "CLOSE CURSOR";
}

const char *tag_transaction(struct walk *w, const ProtobufCMessage *m)
{
    (void)w;
    switch (((const PgQuery__TransactionStmt *)m)->kind) {
    case PG_QUERY__TRANSACTION_STMT_KIND__TRANS_STMT_BEGIN: return "BEGIN";
    case PG_QUERY__TRANSACTION_STMT_KIND__TRANS_STMT_START: return "START TRANSACTION";
    case PG_QUERY__TRANSACTION_STMT_KIND__TRANS_STMT_COMMIT: return "COMMIT";
    case PG_QUERY__TRANSACTION_STMT_KIND__TRANS_STMT_ROLLBACK:
    case PG_QUERY__TRANSACTION_STMT_KIND__TRANS_STMT_ROLLBACK_TO: return "ROLLBACK";
    case PG_QUERY__TRANSACTION_STMT_KIND__TRANS_STMT_SAVEPOINT: return "SAVEPOINT";
    case PG_QUERY__TRANSACTION_STMT_KIND__TRANS_STMT_RELEASE: return "RELEASE";
    case PG_QUERY__TRANSACTION_STMT_KIND__TRANS_STMT_PREPARE: return "PREPARE TRANSACTION";
    case PG_QUERY__TRANSACTION_STMT_KIND__TRANS_STMT_COMMIT_PREPARED: return "COMMIT PREPARED";
    case PG_QUERY__TRANSACTION_STMT_KIND__TRANS_STMT_ROLLBACK_PREPARED: return "ROLLBACK PREPARED";
    default: return NULL;
    }
}

const char *tag_set(struct walk *w, const ProtobufCMessage *m)
{
    (void)w;
    PgQuery__VariableSetKind kind = ((const PgQuery__VariableSetStmt *)m)->kind;
    return kind == PG_QUERY__VARIABLE_SET_KIND__VAR_RESET ||
                   kind == PG_QUERY__VARIABLE_SET_KIND__VAR_RESET_ALL
               ? "RESET"
               : "SET";
}

const char *tag_discard(struct walk *w, const ProtobufCMessage *m)
{
    (void)w;
    switch (((const PgQuery__DiscardStmt *)m)->target) {
    case PG_QUERY__DISCARD_MODE__DISCARD_ALL: return "DISCARD ALL";
    case PG_QUERY__DISCARD_MODE__DISCARD_PLANS: return "DISCARD PLANS";
    case PG_QUERY__DISCARD_MODE__DISCARD_SEQUENCES: return "DISCARD SEQUENCES";
    case PG_QUERY__DISCARD_MODE__DISCARD_TEMP: return "DISCARD TEMP";
    default: return NULL;
    }
}

const char *tag_create_table_as(struct walk *w, const ProtobufCMessage *m)
{
    (void)w;
    const PgQuery__CreateTableAsStmt *s = (const PgQuery__CreateTableAsStmt *)m;
    if (s->objtype == PG_QUERY__OBJECT_TYPE__OBJECT_MATVIEW) {
        return "CREATE MATERIALIZED VIEW";
    }
    return s->is_select_into ? "SELECT INTO" : "CREATE TABLE AS";
}

/* "DROP" and "MATERIALIZED VIEW" -> one string in the arena; NULL for a type without a tag. */
static const char *tag_join(struct walk *w, const char *verb, PgQuery__ObjectType type)
{
    const char *noun = object_tag(type);
    if (noun == NULL) {
        return NULL;
    }
    size_t size = strlen(verb) + strlen(noun) + 2;
    char *tag = arena_alloc(w->arena, size);
    if (tag == NULL) {
        w->failed = ERR_NO_MEMORY;
        return NULL;
    }
    (void)snprintf(tag, size, "%s %s", verb, noun);
    return tag;
}

const char *tag_alter_table(struct walk *w, const ProtobufCMessage *m)
{
    return tag_join(w, "ALTER", ((const PgQuery__AlterTableStmt *)m)->objtype);
}

const char *tag_drop(struct walk *w, const ProtobufCMessage *m)
{
    return tag_join(w, "DROP", ((const PgQuery__DropStmt *)m)->remove_type);
}

const char *tag_rename(struct walk *w, const ProtobufCMessage *m)
{
    const PgQuery__RenameStmt *s = (const PgQuery__RenameStmt *)m;
    bool is_column = s->rename_type == PG_QUERY__OBJECT_TYPE__OBJECT_COLUMN;
    return tag_join(w, "ALTER", is_column ? s->relation_type : s->rename_type);
}

const char *tag_set_schema(struct walk *w, const ProtobufCMessage *m)
{
    return tag_join(w, "ALTER", ((const PgQuery__AlterObjectSchemaStmt *)m)->object_type);
}

const char *tag_owner(struct walk *w, const ProtobufCMessage *m)
{
    return tag_join(w, "ALTER", ((const PgQuery__AlterOwnerStmt *)m)->object_type);
}

const char *tag_depends(struct walk *w, const ProtobufCMessage *m)
{
    return tag_join(w, "ALTER", ((const PgQuery__AlterObjectDependsStmt *)m)->object_type);
}

const char *tag_define(struct walk *w, const ProtobufCMessage *m)
{
    return tag_join(w, "CREATE", ((const PgQuery__DefineStmt *)m)->kind);
}

const char *tag_create_function(struct walk *w, const ProtobufCMessage *m)
{
    (void)w;
    return ((const PgQuery__CreateFunctionStmt *)m)->is_procedure ? "CREATE PROCEDURE"
                                                                  : "CREATE FUNCTION";
}

const char *tag_alter_function(struct walk *w, const ProtobufCMessage *m)
{
    return tag_join(w, "ALTER", ((const PgQuery__AlterFunctionStmt *)m)->objtype);
}

const char *tag_grant(struct walk *w, const ProtobufCMessage *m)
{
    (void)w;
    return ((const PgQuery__GrantStmt *)m)->is_grant ? "GRANT" : "REVOKE";
}

const char *tag_grant_role(struct walk *w, const ProtobufCMessage *m)
{
    (void)w;
    return ((const PgQuery__GrantRoleStmt *)m)->is_grant ? "GRANT ROLE" : "REVOKE ROLE";
}

const char *tag_vacuum(struct walk *w, const ProtobufCMessage *m)
{
    (void)w;
    return ((const PgQuery__VacuumStmt *)m)->is_vacuumcmd ? "VACUUM" : "ANALYZE";
}
