/* The kinds of statement: one row each of what it is called and what it does to which name. */
#include "sidecar/sql/sql_walk.h"

#include "sidecar/sql/sql_rules.h"

#define NODE(kind) PG_QUERY__NODE__NODE_##kind
/* Where a row's name is: a `char *` field, or a list of String nodes (its count comes before it).
 */
#define TEXT(type, field) .name_form = NAME_TEXT, .name_offset = offsetof(PgQuery__##type, field)
#define LIST(type, field)                                                                          \
    .name_form = NAME_LIST, .name_offset = offsetof(PgQuery__##type, n_##field)

static const struct rule rules[] = {
    /* data */
    [NODE(SELECT_STMT)] = {"SELECT", SQL_READ, .walk = rule_select},
    [NODE(INSERT_STMT)] = {"INSERT", SQL_INSERT, .walk = rule_insert},
    [NODE(UPDATE_STMT)] = {"UPDATE", SQL_UPDATE, .walk = rule_update},
    [NODE(DELETE_STMT)] = {"DELETE", SQL_DELETE, .walk = rule_delete},
    [NODE(MERGE_STMT)] = {"MERGE", SQL_READ, .walk = rule_merge},
    [NODE(COPY_STMT)] = {"COPY", SQL_READ, .walk = rule_copy},
    [NODE(TRUNCATE_STMT)] = {"TRUNCATE TABLE", SQL_TRUNCATE, SQL_TABLE},
    [NODE(CALL_STMT)] = {"CALL", SQL_PROCEDURAL, .walk = rule_call},
    [NODE(DO_STMT)] = {"DO", SQL_PROCEDURAL, .walk = rule_do},
    [NODE(EXPLAIN_STMT)] = {"EXPLAIN", SQL_READ},
    /* prepared statements and cursors */
    [NODE(PREPARE_STMT)] = {"PREPARE", SQL_SESSION},
    [NODE(EXECUTE_STMT)] = {"EXECUTE", SQL_PROCEDURAL, SQL_STATEMENT, TEXT(ExecuteStmt, name)},
    [NODE(DEALLOCATE_STMT)] = {"DEALLOCATE", SQL_SESSION, .tag_of = tag_deallocate},
    [NODE(DECLARE_CURSOR_STMT)] = {"DECLARE CURSOR", SQL_SESSION},
    [NODE(FETCH_STMT)] = {"FETCH", SQL_READ, .tag_of = tag_fetch},
    [NODE(CLOSE_PORTAL_STMT)] = {"CLOSE CURSOR", SQL_SESSION, .tag_of = tag_close},
    /* the session */
    [NODE(TRANSACTION_STMT)] = {"BEGIN", SQL_TRANSACTION, .tag_of = tag_transaction,
                                .walk = rule_transaction},
    [NODE(CONSTRAINTS_SET_STMT)] = {"SET CONSTRAINTS", SQL_SESSION},
    [NODE(VARIABLE_SET_STMT)] = {"SET", SQL_SESSION, .tag_of = tag_set, .walk = rule_set},
    [NODE(VARIABLE_SHOW_STMT)] = {"SHOW", SQL_READ, SQL_SETTING, TEXT(VariableShowStmt, name)},
    [NODE(DISCARD_STMT)] = {"DISCARD", SQL_SESSION, .tag_of = tag_discard},
    [NODE(LISTEN_STMT)] = {"LISTEN", SQL_SESSION, SQL_CHANNEL, TEXT(ListenStmt, conditionname)},
    [NODE(UNLISTEN_STMT)] = {"UNLISTEN", SQL_SESSION, SQL_CHANNEL,
                             TEXT(UnlistenStmt, conditionname)},
    [NODE(NOTIFY_STMT)] = {"NOTIFY", SQL_NOTIFY, SQL_CHANNEL, TEXT(NotifyStmt, conditionname)},
    [NODE(LOCK_STMT)] = {"LOCK TABLE", SQL_LOCK, SQL_TABLE},
    /* tables and what hangs on them */
    [NODE(CREATE_STMT)] = {"CREATE TABLE", SQL_CREATE, SQL_TABLE, .walk = rule_create},
    [NODE(CREATE_FOREIGN_TABLE_STMT)] = {"CREATE FOREIGN TABLE", SQL_CREATE},
    [NODE(CREATE_TABLE_AS_STMT)] = {"CREATE TABLE AS", SQL_CREATE, .tag_of = tag_create_table_as},
    [NODE(ALTER_TABLE_STMT)] = {"ALTER TABLE", SQL_ALTER, .tag_of = tag_alter_table,
                                .walk = rule_alter_table},
    [NODE(ALTER_TABLE_MOVE_ALL_STMT)] = {"ALTER TABLE", SQL_ALTER, SQL_OTHER,
                                         TEXT(AlterTableMoveAllStmt, orig_tablespacename)},
    [NODE(INDEX_STMT)] = {"CREATE INDEX", SQL_ALTER, SQL_TABLE, .walk = rule_index},
    [NODE(VIEW_STMT)] = {"CREATE VIEW", SQL_CREATE, SQL_VIEW},
    [NODE(REFRESH_MAT_VIEW_STMT)] = {"REFRESH MATERIALIZED VIEW", SQL_MAINTENANCE, SQL_VIEW},
    [NODE(CREATE_SEQ_STMT)] = {"CREATE SEQUENCE", SQL_CREATE, SQL_SEQUENCE},
    [NODE(ALTER_SEQ_STMT)] = {"ALTER SEQUENCE", SQL_ALTER, SQL_SEQUENCE},
    [NODE(CREATE_TRIG_STMT)] = {"CREATE TRIGGER", SQL_ALTER, SQL_TABLE, .walk = rule_trigger},
    [NODE(RULE_STMT)] = {"CREATE RULE", SQL_ALTER, SQL_TABLE},
    [NODE(CREATE_POLICY_STMT)] = {"CREATE POLICY", SQL_PRIVILEGE, SQL_TABLE},
    [NODE(ALTER_POLICY_STMT)] = {"ALTER POLICY", SQL_PRIVILEGE, SQL_TABLE},
    [NODE(CREATE_STATS_STMT)] = {"CREATE STATISTICS", SQL_CREATE, SQL_OTHER,
                                 LIST(CreateStatsStmt, defnames)},
    [NODE(ALTER_STATS_STMT)] = {"ALTER STATISTICS", SQL_ALTER, SQL_OTHER,
                                LIST(AlterStatsStmt, defnames)},
    /* any object */
    [NODE(DROP_STMT)] = {"DROP", SQL_DROP, .tag_of = tag_drop, .walk = rule_drop},
    [NODE(RENAME_STMT)] = {"ALTER", SQL_ALTER, .tag_of = tag_rename, .walk = rule_rename},
    [NODE(ALTER_OBJECT_SCHEMA_STMT)] = {"ALTER", SQL_ALTER, .tag_of = tag_set_schema,
                                        .walk = rule_set_schema},
    [NODE(ALTER_OWNER_STMT)] = {"ALTER", SQL_ALTER, .tag_of = tag_owner, .walk = rule_owner},
    [NODE(ALTER_OBJECT_DEPENDS_STMT)] = {"ALTER", SQL_ALTER, .tag_of = tag_depends,
                                         .walk = rule_depends},
    [NODE(COMMENT_STMT)] = {"COMMENT", SQL_ALTER, .walk = rule_comment},
    [NODE(SEC_LABEL_STMT)] = {"SECURITY LABEL", SQL_PRIVILEGE, .walk = rule_security_label},
    [NODE(DEFINE_STMT)] = {"CREATE", SQL_CREATE, .tag_of = tag_define, .walk = rule_define},
    /* code */
    [NODE(CREATE_FUNCTION_STMT)] = {"CREATE FUNCTION", SQL_CREATE, .tag_of = tag_create_function,
                                    .walk = rule_create_function},
    [NODE(ALTER_FUNCTION_STMT)] = {"ALTER FUNCTION", SQL_ALTER, .tag_of = tag_alter_function,
                                   .walk = rule_alter_function},
    [NODE(CREATE_PLANG_STMT)] = {"CREATE LANGUAGE", SQL_CREATE, SQL_OTHER,
                                 TEXT(CreatePLangStmt, plname)},
    [NODE(CREATE_EVENT_TRIG_STMT)] = {"CREATE EVENT TRIGGER", SQL_CREATE, SQL_OTHER,
                                      TEXT(CreateEventTrigStmt, trigname),
                                      .walk = rule_event_trigger},
    [NODE(ALTER_EVENT_TRIG_STMT)] = {"ALTER EVENT TRIGGER", SQL_ALTER, SQL_OTHER,
                                     TEXT(AlterEventTrigStmt, trigname)},
    [NODE(CREATE_EXTENSION_STMT)] = {"CREATE EXTENSION", SQL_CREATE, SQL_EXTENSION,
                                     TEXT(CreateExtensionStmt, extname)},
    [NODE(ALTER_EXTENSION_STMT)] = {"ALTER EXTENSION", SQL_ALTER, SQL_EXTENSION,
                                    TEXT(AlterExtensionStmt, extname)},
    [NODE(ALTER_EXTENSION_CONTENTS_STMT)] = {"ALTER EXTENSION", SQL_ALTER, SQL_EXTENSION,
                                             TEXT(AlterExtensionContentsStmt, extname)},
    [NODE(LOAD_STMT)] = {"LOAD", SQL_UNSAFE_IO, SQL_FILE, TEXT(LoadStmt, filename)},
    /* types and operators */
    [NODE(CREATE_DOMAIN_STMT)] = {"CREATE DOMAIN", SQL_CREATE, SQL_TYPE,
                                  LIST(CreateDomainStmt, domainname)},
    [NODE(ALTER_DOMAIN_STMT)] = {"ALTER DOMAIN", SQL_ALTER, SQL_TYPE,
                                 LIST(AlterDomainStmt, type_name)},
    [NODE(COMPOSITE_TYPE_STMT)] = {"CREATE TYPE", SQL_CREATE, SQL_TYPE},
    [NODE(CREATE_ENUM_STMT)] = {"CREATE TYPE", SQL_CREATE, SQL_TYPE,
                                LIST(CreateEnumStmt, type_name)},
    [NODE(ALTER_ENUM_STMT)] = {"ALTER TYPE", SQL_ALTER, SQL_TYPE, LIST(AlterEnumStmt, type_name)},
    [NODE(CREATE_RANGE_STMT)] = {"CREATE TYPE", SQL_CREATE, SQL_TYPE,
                                 LIST(CreateRangeStmt, type_name)},
    [NODE(ALTER_TYPE_STMT)] = {"ALTER TYPE", SQL_ALTER, SQL_TYPE, LIST(AlterTypeStmt, type_name)},
    [NODE(CREATE_CAST_STMT)] = {"CREATE CAST", SQL_CREATE},
    [NODE(CREATE_CONVERSION_STMT)] = {"CREATE CONVERSION", SQL_CREATE, SQL_OTHER,
                                      LIST(CreateConversionStmt, conversion_name)},
    [NODE(CREATE_TRANSFORM_STMT)] = {"CREATE TRANSFORM", SQL_CREATE},
    [NODE(CREATE_OP_CLASS_STMT)] = {"CREATE OPERATOR CLASS", SQL_CREATE, SQL_OTHER,
                                    LIST(CreateOpClassStmt, opclassname)},
    [NODE(CREATE_OP_FAMILY_STMT)] = {"CREATE OPERATOR FAMILY", SQL_CREATE, SQL_OTHER,
                                     LIST(CreateOpFamilyStmt, opfamilyname)},
    [NODE(ALTER_OP_FAMILY_STMT)] = {"ALTER OPERATOR FAMILY", SQL_ALTER, SQL_OTHER,
                                    LIST(AlterOpFamilyStmt, opfamilyname)},
    [NODE(ALTER_OPERATOR_STMT)] = {"ALTER OPERATOR", SQL_ALTER},
    [NODE(ALTER_COLLATION_STMT)] = {"ALTER COLLATION", SQL_ALTER, SQL_OTHER,
                                    LIST(AlterCollationStmt, collname)},
    [NODE(ALTER_TSDICTIONARY_STMT)] = {"ALTER TEXT SEARCH DICTIONARY", SQL_ALTER, SQL_OTHER,
                                       LIST(AlterTSDictionaryStmt, dictname)},
    [NODE(ALTER_TSCONFIGURATION_STMT)] = {"ALTER TEXT SEARCH CONFIGURATION", SQL_ALTER, SQL_OTHER,
                                          LIST(AlterTSConfigurationStmt, cfgname)},
    [NODE(CREATE_AM_STMT)] = {"CREATE ACCESS METHOD", SQL_CREATE, SQL_OTHER,
                              TEXT(CreateAmStmt, amname)},
    /* schemas, databases, tablespaces */
    [NODE(CREATE_SCHEMA_STMT)] = {"CREATE SCHEMA", SQL_CREATE, .walk = rule_create_schema},
    [NODE(CREATEDB_STMT)] = {"CREATE DATABASE", SQL_CREATE, SQL_DATABASE,
                             TEXT(CreatedbStmt, dbname)},
    [NODE(DROPDB_STMT)] = {"DROP DATABASE", SQL_DROP, SQL_DATABASE, TEXT(DropdbStmt, dbname)},
    [NODE(ALTER_DATABASE_STMT)] = {"ALTER DATABASE", SQL_ALTER, SQL_DATABASE,
                                   TEXT(AlterDatabaseStmt, dbname)},
    [NODE(ALTER_DATABASE_REFRESH_COLL_STMT)] = {"ALTER DATABASE", SQL_ALTER, SQL_DATABASE,
                                                TEXT(AlterDatabaseRefreshCollStmt, dbname)},
    [NODE(ALTER_DATABASE_SET_STMT)] = {"ALTER DATABASE", SQL_ALTER, SQL_DATABASE,
                                       TEXT(AlterDatabaseSetStmt, dbname)},
    [NODE(CREATE_TABLE_SPACE_STMT)] = {"CREATE TABLESPACE", SQL_CREATE, SQL_OTHER,
                                       TEXT(CreateTableSpaceStmt, tablespacename),
                                       .also = SQL_UNSAFE_IO},
    [NODE(DROP_TABLE_SPACE_STMT)] = {"DROP TABLESPACE", SQL_DROP, SQL_OTHER,
                                     TEXT(DropTableSpaceStmt, tablespacename)},
    [NODE(ALTER_TABLE_SPACE_OPTIONS_STMT)] = {"ALTER TABLESPACE", SQL_ALTER, SQL_OTHER,
                                              TEXT(AlterTableSpaceOptionsStmt, tablespacename)},
    /* roles and privileges */
    [NODE(GRANT_STMT)] = {"GRANT", SQL_PRIVILEGE, .tag_of = tag_grant, .walk = rule_grant},
    [NODE(GRANT_ROLE_STMT)] = {"GRANT ROLE", SQL_PRIVILEGE, .tag_of = tag_grant_role,
                               .walk = rule_roles},
    [NODE(ALTER_DEFAULT_PRIVILEGES_STMT)] = {"ALTER DEFAULT PRIVILEGES", SQL_PRIVILEGE,
                                             .walk = rule_roles},
    [NODE(CREATE_ROLE_STMT)] = {"CREATE ROLE", SQL_PRIVILEGE, SQL_ROLE, TEXT(CreateRoleStmt, role)},
    [NODE(ALTER_ROLE_STMT)] = {"ALTER ROLE", SQL_PRIVILEGE, .walk = rule_roles},
    [NODE(ALTER_ROLE_SET_STMT)] = {"ALTER ROLE", SQL_PRIVILEGE, .walk = rule_roles},
    [NODE(DROP_ROLE_STMT)] = {"DROP ROLE", SQL_PRIVILEGE, .walk = rule_roles},
    [NODE(DROP_OWNED_STMT)] = {"DROP OWNED", SQL_DROP, .walk = rule_roles},
    [NODE(REASSIGN_OWNED_STMT)] = {"REASSIGN OWNED", SQL_PRIVILEGE, .walk = rule_roles},
    /* other servers */
    [NODE(CREATE_FDW_STMT)] = {"CREATE FOREIGN DATA WRAPPER", SQL_CREATE, SQL_OTHER,
                               TEXT(CreateFdwStmt, fdwname), .also = SQL_UNSAFE_IO},
    [NODE(ALTER_FDW_STMT)] = {"ALTER FOREIGN DATA WRAPPER", SQL_ALTER, SQL_OTHER,
                              TEXT(AlterFdwStmt, fdwname), .also = SQL_UNSAFE_IO},
    [NODE(CREATE_FOREIGN_SERVER_STMT)] = {"CREATE SERVER", SQL_CREATE, SQL_OTHER,
                                          TEXT(CreateForeignServerStmt, servername),
                                          .also = SQL_UNSAFE_IO},
    [NODE(ALTER_FOREIGN_SERVER_STMT)] = {"ALTER SERVER", SQL_ALTER, SQL_OTHER,
                                         TEXT(AlterForeignServerStmt, servername),
                                         .also = SQL_UNSAFE_IO},
    [NODE(CREATE_USER_MAPPING_STMT)] = {"CREATE USER MAPPING", SQL_PRIVILEGE, SQL_OTHER,
                                        TEXT(CreateUserMappingStmt, servername)},
    [NODE(ALTER_USER_MAPPING_STMT)] = {"ALTER USER MAPPING", SQL_PRIVILEGE, SQL_OTHER,
                                       TEXT(AlterUserMappingStmt, servername)},
    [NODE(DROP_USER_MAPPING_STMT)] = {"DROP USER MAPPING", SQL_PRIVILEGE, SQL_OTHER,
                                      TEXT(DropUserMappingStmt, servername)},
    [NODE(IMPORT_FOREIGN_SCHEMA_STMT)] = {"IMPORT FOREIGN SCHEMA", SQL_CREATE, SQL_SCHEMA,
                                          TEXT(ImportForeignSchemaStmt, local_schema),
                                          .also = SQL_UNSAFE_IO},
    [NODE(CREATE_PUBLICATION_STMT)] = {"CREATE PUBLICATION", SQL_CREATE, SQL_OTHER,
                                       TEXT(CreatePublicationStmt, pubname), .also = SQL_EXPORT},
    [NODE(ALTER_PUBLICATION_STMT)] = {"ALTER PUBLICATION", SQL_ALTER, SQL_OTHER,
                                      TEXT(AlterPublicationStmt, pubname), .also = SQL_EXPORT},
    [NODE(CREATE_SUBSCRIPTION_STMT)] = {"CREATE SUBSCRIPTION", SQL_CREATE, SQL_OTHER,
                                        TEXT(CreateSubscriptionStmt, subname),
                                        .also = SQL_UNSAFE_IO},
    [NODE(ALTER_SUBSCRIPTION_STMT)] = {"ALTER SUBSCRIPTION", SQL_ALTER, SQL_OTHER,
                                       TEXT(AlterSubscriptionStmt, subname), .also = SQL_UNSAFE_IO},
    [NODE(DROP_SUBSCRIPTION_STMT)] = {"DROP SUBSCRIPTION", SQL_DROP, SQL_OTHER,
                                      TEXT(DropSubscriptionStmt, subname), .also = SQL_UNSAFE_IO},
    /* the server */
    [NODE(VACUUM_STMT)] = {"VACUUM", SQL_MAINTENANCE, .tag_of = tag_vacuum},
    [NODE(CLUSTER_STMT)] = {"CLUSTER", SQL_MAINTENANCE, SQL_TABLE},
    [NODE(REINDEX_STMT)] = {"REINDEX", SQL_MAINTENANCE, .walk = rule_reindex},
    [NODE(CHECK_POINT_STMT)] = {"CHECKPOINT", SQL_MAINTENANCE},
    /* Some settings name programs that the server runs. */
    [NODE(ALTER_SYSTEM_STMT)] = {"ALTER SYSTEM", SQL_UNSAFE_IO},
    /* only ever inside of others */
    [NODE(RETURN_STMT)] = {"", SQL_READ},
    [NODE(REPLICA_IDENTITY_STMT)] = {"", SQL_ALTER},
    [NODE(RAW_STMT)] = {"", SQL_READ},
};

static const struct rule *rule_of(const PgQuery__Node *n)
{
    size_t i = (size_t)n->node_case;
    return i < sizeof(rules) / sizeof(rules[0]) && rules[i].tag != NULL ? &rules[i] : NULL;
}

/* A statement in the grammar of a newer library that no row names. */
static bool is_unknown_statement(const ProtobufCMessage *m)
{
    const char *name = m->descriptor->short_name;
    size_t size = strlen(name);
    return size > 4 && strcmp(name + size - 4, "Stmt") == 0;
}

/* Relations that are the statement's own fields are what it acts on; those deeper are read. */
static void fields_walk(struct walk *w, const ProtobufCMessage *m, const struct rule *rule)
{
    for (unsigned i = 0; i < m->descriptor->n_fields && w->failed == OK; i++) {
        const ProtobufCFieldDescriptor *f = &m->descriptor->fields[i];
        if (f->type != PROTOBUF_C_TYPE_MESSAGE) {
            continue;
        }
        const void *at = (const char *)m + f->offset;
        if (f->descriptor == &pg_query__range_var__descriptor) {
            walk_add_range(w, rule->kind, rule->access, *(PgQuery__RangeVar *const *)at);
            continue;
        }
        bool is_list = f->label == PROTOBUF_C_LABEL_REPEATED;
        size_t count =
            is_list ? *(const size_t *)(const void *)((const char *)m + f->quantifier_offset) : 1;
        ProtobufCMessage *const *items = is_list ? *(ProtobufCMessage *const *const *)at : at;
        for (size_t j = 0; j < count && w->failed == OK; j++) {
            const PgQuery__Node *n = (const PgQuery__Node *)items[j];
            if (items[j] != NULL && f->descriptor == &pg_query__node__descriptor &&
                n->node_case == NODE(RANGE_VAR) && rule->kind == SQL_TABLE) {
                walk_add_range(w, rule->kind, rule->access, n->range_var);
            } else {
                walk_message(w, items[j]);
            }
        }
    }
}

static void name_add(struct walk *w, const ProtobufCMessage *m, const struct rule *rule)
{
    const char *at = (const char *)m + rule->name_offset;
    if (rule->name_form == NAME_TEXT) {
        walk_add(w, rule->kind, rule->access, NULL, *(char *const *)(const void *)at);
    } else if (rule->name_form == NAME_LIST) {
        struct {
            size_t count;
            PgQuery__Node *const *names;
        } list;
        memcpy(&list, at, sizeof(list));
        walk_add_names(w, rule->kind, rule->access, list.count, list.names, false);
    }
}

static void rule_apply(struct walk *w, const ProtobufCMessage *m, const struct rule *rule)
{
    /* Reading is told by what is read: `INSERT ... VALUES` has a SELECT in its tree, but reads
     * nothing. */
    if (rule->access != SQL_READ) {
        walk_add_access(w, rule->access);
    }
    if (rule->also != SQL_READ) {
        walk_add_access(w, rule->also);
    }
    name_add(w, m, rule);
    if (rule->walk == NULL || rule->walk(w, m)) {
        fields_walk(w, m, rule);
    }
}

bool statement_walk(struct walk *w, const PgQuery__Node *n)
{
    const ProtobufCMessage *m = node_message(n);
    const struct rule *rule = rule_of(n);
    if (rule != NULL) {
        rule_apply(w, m, rule);
    } else if (is_unknown_statement(m)) {
        w->statement->is_unknown = true;
        walk_add_access(w, SQL_UNKNOWN);
    }
    return rule != NULL;
}

const char *statement_tag(struct walk *w, const PgQuery__Node *n)
{
    const struct rule *rule = rule_of(n);
    if (rule == NULL || rule->tag[0] == '\0') {
        return NULL;
    }
    return rule->tag_of == NULL ? rule->tag : rule->tag_of(w, node_message(n));
}

void statement_walk_select(struct walk *w, const PgQuery__SelectStmt *s)
{
    rule_apply(w, &s->base, &rules[NODE(SELECT_STMT)]);
}

void statement_walk_create(struct walk *w, const PgQuery__CreateStmt *s)
{
    rule_apply(w, &s->base, &rules[NODE(CREATE_STMT)]);
}
