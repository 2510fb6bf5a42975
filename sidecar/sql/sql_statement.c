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
    [NODE(SELECT_STMT)] = {.tag = "SELECT", .access = SQL_READ, .walk = rule_select},
    [NODE(INSERT_STMT)] = {.tag = "INSERT", .access = SQL_INSERT, .walk = rule_insert},
    [NODE(UPDATE_STMT)] = {.tag = "UPDATE", .access = SQL_UPDATE, .walk = rule_update},
    [NODE(DELETE_STMT)] = {.tag = "DELETE", .access = SQL_DELETE, .walk = rule_delete},
    [NODE(MERGE_STMT)] = {.tag = "MERGE", .access = SQL_READ, .walk = rule_merge},
    [NODE(COPY_STMT)] = {.tag = "COPY", .access = SQL_READ, .walk = rule_copy},
    [NODE(TRUNCATE_STMT)] = {.tag = "TRUNCATE TABLE", .access = SQL_TRUNCATE, .kind = SQL_TABLE},
    [NODE(CALL_STMT)] = {.tag = "CALL", .access = SQL_PROCEDURAL, .walk = rule_call},
    [NODE(DO_STMT)] = {.tag = "DO", .access = SQL_PROCEDURAL, .walk = rule_do},
    [NODE(EXPLAIN_STMT)] = {.tag = "EXPLAIN", .access = SQL_READ},
    /* prepared statements and cursors */
    [NODE(PREPARE_STMT)] = {.tag = "PREPARE", .access = SQL_SESSION},
    [NODE(EXECUTE_STMT)] = {.tag = "EXECUTE",
                            .access = SQL_PROCEDURAL,
                            .kind = SQL_STATEMENT,
                            TEXT(ExecuteStmt, name)},
    [NODE(
        DEALLOCATE_STMT)] = {.tag = "DEALLOCATE", .access = SQL_SESSION, .tag_of = tag_deallocate},
    [NODE(DECLARE_CURSOR_STMT)] = {.tag = "DECLARE CURSOR", .access = SQL_SESSION},
    [NODE(FETCH_STMT)] = {.tag = "FETCH", .access = SQL_READ, .tag_of = tag_fetch},
    [NODE(CLOSE_PORTAL_STMT)] = {.tag = "CLOSE CURSOR", .access = SQL_SESSION, .tag_of = tag_close},
    /* the session */
    [NODE(TRANSACTION_STMT)] = {.tag = "BEGIN",
                                .access = SQL_TRANSACTION,
                                .tag_of = tag_transaction,
                                .walk = rule_transaction},
    [NODE(CONSTRAINTS_SET_STMT)] = {.tag = "SET CONSTRAINTS", .access = SQL_SESSION},
    [NODE(VARIABLE_SET_STMT)] = {.tag = "SET",
                                 .access = SQL_SESSION,
                                 .tag_of = tag_set,
                                 .walk = rule_set},
    [NODE(VARIABLE_SHOW_STMT)] = {.tag = "SHOW",
                                  .access = SQL_READ,
                                  .kind = SQL_SETTING,
                                  TEXT(VariableShowStmt, name)},
    [NODE(DISCARD_STMT)] = {.tag = "DISCARD", .access = SQL_SESSION, .tag_of = tag_discard},
    [NODE(LISTEN_STMT)] = {.tag = "LISTEN",
                           .access = SQL_SESSION,
                           .kind = SQL_CHANNEL,
                           TEXT(ListenStmt, conditionname)},
    [NODE(UNLISTEN_STMT)] = {.tag = "UNLISTEN",
                             .access = SQL_SESSION,
                             .kind = SQL_CHANNEL,
                             TEXT(UnlistenStmt, conditionname)},
    [NODE(NOTIFY_STMT)] = {.tag = "NOTIFY",
                           .access = SQL_NOTIFY,
                           .kind = SQL_CHANNEL,
                           TEXT(NotifyStmt, conditionname)},
    [NODE(LOCK_STMT)] = {.tag = "LOCK TABLE", .access = SQL_LOCK, .kind = SQL_TABLE},
    /* tables and what hangs on them */
    [NODE(CREATE_STMT)] = {.tag = "CREATE TABLE",
                           .access = SQL_CREATE,
                           .kind = SQL_TABLE,
                           .walk = rule_create},
    [NODE(CREATE_FOREIGN_TABLE_STMT)] = {.tag = "CREATE FOREIGN TABLE",
                                         .access = SQL_CREATE,
                                         .walk = rule_foreign_table},
    [NODE(CREATE_TABLE_AS_STMT)] = {.tag = "CREATE TABLE AS",
                                    .access = SQL_CREATE,
                                    .tag_of = tag_create_table_as},
    [NODE(ALTER_TABLE_STMT)] = {.tag = "ALTER TABLE",
                                .access = SQL_ALTER,
                                .tag_of = tag_alter_table,
                                .walk = rule_alter_table},
    [NODE(ALTER_TABLE_MOVE_ALL_STMT)] = {.tag = "ALTER TABLE",
                                         .access = SQL_ALTER,
                                         .kind = SQL_OTHER,
                                         TEXT(AlterTableMoveAllStmt, orig_tablespacename)},
    [NODE(INDEX_STMT)] = {.tag = "CREATE INDEX",
                          .access = SQL_ALTER,
                          .kind = SQL_TABLE,
                          .walk = rule_index},
    [NODE(VIEW_STMT)] = {.tag = "CREATE VIEW", .access = SQL_CREATE, .kind = SQL_VIEW},
    [NODE(REFRESH_MAT_VIEW_STMT)] = {.tag = "REFRESH MATERIALIZED VIEW",
                                     .access = SQL_MAINTENANCE,
                                     .kind = SQL_VIEW},
    [NODE(CREATE_SEQ_STMT)] = {.tag = "CREATE SEQUENCE",
                               .access = SQL_CREATE,
                               .kind = SQL_SEQUENCE,
                               .walk = rule_sequence},
    [NODE(ALTER_SEQ_STMT)] = {.tag = "ALTER SEQUENCE",
                              .access = SQL_ALTER,
                              .kind = SQL_SEQUENCE,
                              .walk = rule_sequence},
    [NODE(CREATE_TRIG_STMT)] = {.tag = "CREATE TRIGGER",
                                .access = SQL_ALTER,
                                .kind = SQL_TABLE,
                                .walk = rule_trigger},
    [NODE(RULE_STMT)] = {.tag = "CREATE RULE", .access = SQL_ALTER, .kind = SQL_TABLE},
    [NODE(
        CREATE_POLICY_STMT)] = {.tag = "CREATE POLICY", .access = SQL_PRIVILEGE, .kind = SQL_TABLE},
    [NODE(ALTER_POLICY_STMT)] = {.tag = "ALTER POLICY", .access = SQL_PRIVILEGE, .kind = SQL_TABLE},
    [NODE(CREATE_STATS_STMT)] = {.tag = "CREATE STATISTICS",
                                 .access = SQL_CREATE,
                                 .kind = SQL_OTHER,
                                 LIST(CreateStatsStmt, defnames),
                                 .walk = rule_statistics},
    [NODE(ALTER_STATS_STMT)] = {.tag = "ALTER STATISTICS",
                                .access = SQL_ALTER,
                                .kind = SQL_OTHER,
                                LIST(AlterStatsStmt, defnames)},
    /* any object */
    [NODE(DROP_STMT)] = {.tag = "DROP", .access = SQL_DROP, .tag_of = tag_drop, .walk = rule_drop},
    [NODE(RENAME_STMT)] = {.tag = "ALTER",
                           .access = SQL_ALTER,
                           .tag_of = tag_rename,
                           .walk = rule_rename},
    [NODE(ALTER_OBJECT_SCHEMA_STMT)] = {.tag = "ALTER",
                                        .access = SQL_ALTER,
                                        .tag_of = tag_set_schema,
                                        .walk = rule_set_schema},
    [NODE(ALTER_OWNER_STMT)] = {.tag = "ALTER",
                                .access = SQL_ALTER,
                                .tag_of = tag_owner,
                                .walk = rule_owner},
    [NODE(ALTER_OBJECT_DEPENDS_STMT)] = {.tag = "ALTER",
                                         .access = SQL_ALTER,
                                         .tag_of = tag_depends,
                                         .walk = rule_depends},
    [NODE(COMMENT_STMT)] = {.tag = "COMMENT", .access = SQL_ALTER, .walk = rule_comment},
    [NODE(SEC_LABEL_STMT)] = {.tag = "SECURITY LABEL",
                              .access = SQL_PRIVILEGE,
                              .walk = rule_security_label},
    [NODE(DEFINE_STMT)] = {.tag = "CREATE",
                           .access = SQL_CREATE,
                           .tag_of = tag_define,
                           .walk = rule_define},
    /* code */
    [NODE(CREATE_FUNCTION_STMT)] = {.tag = "CREATE FUNCTION",
                                    .access = SQL_CREATE,
                                    .tag_of = tag_create_function,
                                    .walk = rule_create_function},
    [NODE(ALTER_FUNCTION_STMT)] = {.tag = "ALTER FUNCTION",
                                   .access = SQL_ALTER,
                                   .tag_of = tag_alter_function,
                                   .walk = rule_alter_function},
    [NODE(CREATE_PLANG_STMT)] = {.tag = "CREATE LANGUAGE",
                                 .access = SQL_CREATE,
                                 .kind = SQL_OTHER,
                                 TEXT(CreatePLangStmt, plname)},
    [NODE(CREATE_EVENT_TRIG_STMT)] = {.tag = "CREATE EVENT TRIGGER",
                                      .access = SQL_CREATE,
                                      .kind = SQL_OTHER,
                                      TEXT(CreateEventTrigStmt, trigname),
                                      .walk = rule_event_trigger},
    [NODE(ALTER_EVENT_TRIG_STMT)] = {.tag = "ALTER EVENT TRIGGER",
                                     .access = SQL_ALTER,
                                     .kind = SQL_OTHER,
                                     TEXT(AlterEventTrigStmt, trigname)},
    [NODE(CREATE_EXTENSION_STMT)] = {.tag = "CREATE EXTENSION",
                                     .access = SQL_CREATE,
                                     .kind = SQL_EXTENSION,
                                     TEXT(CreateExtensionStmt, extname)},
    [NODE(ALTER_EXTENSION_STMT)] = {.tag = "ALTER EXTENSION",
                                    .access = SQL_ALTER,
                                    .kind = SQL_EXTENSION,
                                    TEXT(AlterExtensionStmt, extname)},
    [NODE(ALTER_EXTENSION_CONTENTS_STMT)] = {.tag = "ALTER EXTENSION",
                                             .access = SQL_ALTER,
                                             .kind = SQL_EXTENSION,
                                             TEXT(AlterExtensionContentsStmt, extname)},
    [NODE(LOAD_STMT)] = {.tag = "LOAD",
                         .access = SQL_UNSAFE_IO,
                         .kind = SQL_FILE,
                         TEXT(LoadStmt, filename)},
    /* types and operators */
    [NODE(CREATE_DOMAIN_STMT)] = {.tag = "CREATE DOMAIN",
                                  .access = SQL_CREATE,
                                  .kind = SQL_TYPE,
                                  LIST(CreateDomainStmt, domainname)},
    [NODE(ALTER_DOMAIN_STMT)] = {.tag = "ALTER DOMAIN",
                                 .access = SQL_ALTER,
                                 .kind = SQL_TYPE,
                                 LIST(AlterDomainStmt, type_name)},
    [NODE(COMPOSITE_TYPE_STMT)] = {.tag = "CREATE TYPE", .access = SQL_CREATE, .kind = SQL_TYPE},
    [NODE(CREATE_ENUM_STMT)] = {.tag = "CREATE TYPE",
                                .access = SQL_CREATE,
                                .kind = SQL_TYPE,
                                LIST(CreateEnumStmt, type_name)},
    [NODE(ALTER_ENUM_STMT)] = {.tag = "ALTER TYPE",
                               .access = SQL_ALTER,
                               .kind = SQL_TYPE,
                               LIST(AlterEnumStmt, type_name)},
    [NODE(CREATE_RANGE_STMT)] = {.tag = "CREATE TYPE",
                                 .access = SQL_CREATE,
                                 .kind = SQL_TYPE,
                                 LIST(CreateRangeStmt, type_name)},
    [NODE(ALTER_TYPE_STMT)] = {.tag = "ALTER TYPE",
                               .access = SQL_ALTER,
                               .kind = SQL_TYPE,
                               LIST(AlterTypeStmt, type_name)},
    [NODE(CREATE_CAST_STMT)] = {.tag = "CREATE CAST", .access = SQL_CREATE},
    [NODE(CREATE_CONVERSION_STMT)] = {.tag = "CREATE CONVERSION",
                                      .access = SQL_CREATE,
                                      .kind = SQL_OTHER,
                                      LIST(CreateConversionStmt, conversion_name)},
    [NODE(CREATE_TRANSFORM_STMT)] = {.tag = "CREATE TRANSFORM", .access = SQL_CREATE},
    [NODE(CREATE_OP_CLASS_STMT)] = {.tag = "CREATE OPERATOR CLASS",
                                    .access = SQL_CREATE,
                                    .kind = SQL_OTHER,
                                    LIST(CreateOpClassStmt, opclassname)},
    [NODE(CREATE_OP_FAMILY_STMT)] = {.tag = "CREATE OPERATOR FAMILY",
                                     .access = SQL_CREATE,
                                     .kind = SQL_OTHER,
                                     LIST(CreateOpFamilyStmt, opfamilyname)},
    [NODE(ALTER_OP_FAMILY_STMT)] = {.tag = "ALTER OPERATOR FAMILY",
                                    .access = SQL_ALTER,
                                    .kind = SQL_OTHER,
                                    LIST(AlterOpFamilyStmt, opfamilyname)},
    [NODE(ALTER_OPERATOR_STMT)] = {.tag = "ALTER OPERATOR", .access = SQL_ALTER},
    [NODE(ALTER_COLLATION_STMT)] = {.tag = "ALTER COLLATION",
                                    .access = SQL_ALTER,
                                    .kind = SQL_OTHER,
                                    LIST(AlterCollationStmt, collname)},
    [NODE(ALTER_TSDICTIONARY_STMT)] = {.tag = "ALTER TEXT SEARCH DICTIONARY",
                                       .access = SQL_ALTER,
                                       .kind = SQL_OTHER,
                                       LIST(AlterTSDictionaryStmt, dictname)},
    [NODE(ALTER_TSCONFIGURATION_STMT)] = {.tag = "ALTER TEXT SEARCH CONFIGURATION",
                                          .access = SQL_ALTER,
                                          .kind = SQL_OTHER,
                                          LIST(AlterTSConfigurationStmt, cfgname)},
    [NODE(CREATE_AM_STMT)] = {.tag = "CREATE ACCESS METHOD",
                              .access = SQL_CREATE,
                              .kind = SQL_OTHER,
                              TEXT(CreateAmStmt, amname)},
    /* schemas, databases, tablespaces */
    [NODE(CREATE_SCHEMA_STMT)] = {.tag = "CREATE SCHEMA",
                                  .access = SQL_CREATE,
                                  .walk = rule_create_schema},
    [NODE(CREATEDB_STMT)] = {.tag = "CREATE DATABASE",
                             .access = SQL_CREATE,
                             .kind = SQL_DATABASE,
                             TEXT(CreatedbStmt, dbname)},
    [NODE(DROPDB_STMT)] = {.tag = "DROP DATABASE",
                           .access = SQL_DROP,
                           .kind = SQL_DATABASE,
                           TEXT(DropdbStmt, dbname)},
    [NODE(ALTER_DATABASE_STMT)] = {.tag = "ALTER DATABASE",
                                   .access = SQL_ALTER,
                                   .kind = SQL_DATABASE,
                                   TEXT(AlterDatabaseStmt, dbname)},
    [NODE(ALTER_DATABASE_REFRESH_COLL_STMT)] = {.tag = "ALTER DATABASE",
                                                .access = SQL_ALTER,
                                                .kind = SQL_DATABASE,
                                                TEXT(AlterDatabaseRefreshCollStmt, dbname)},
    [NODE(ALTER_DATABASE_SET_STMT)] = {.tag = "ALTER DATABASE",
                                       .access = SQL_ALTER,
                                       .kind = SQL_DATABASE,
                                       TEXT(AlterDatabaseSetStmt, dbname)},
    [NODE(CREATE_TABLE_SPACE_STMT)] = {.tag = "CREATE TABLESPACE",
                                       .access = SQL_CREATE,
                                       .kind = SQL_OTHER,
                                       TEXT(CreateTableSpaceStmt, tablespacename),
                                       .also = SQL_UNSAFE_IO},
    [NODE(DROP_TABLE_SPACE_STMT)] = {.tag = "DROP TABLESPACE",
                                     .access = SQL_DROP,
                                     .kind = SQL_OTHER,
                                     TEXT(DropTableSpaceStmt, tablespacename)},
    [NODE(ALTER_TABLE_SPACE_OPTIONS_STMT)] = {.tag = "ALTER TABLESPACE",
                                              .access = SQL_ALTER,
                                              .kind = SQL_OTHER,
                                              TEXT(AlterTableSpaceOptionsStmt, tablespacename)},
    /* roles and privileges */
    [NODE(GRANT_STMT)] = {.tag = "GRANT",
                          .access = SQL_PRIVILEGE,
                          .tag_of = tag_grant,
                          .walk = rule_grant},
    [NODE(GRANT_ROLE_STMT)] = {.tag = "GRANT ROLE",
                               .access = SQL_PRIVILEGE,
                               .tag_of = tag_grant_role,
                               .walk = rule_roles},
    [NODE(ALTER_DEFAULT_PRIVILEGES_STMT)] = {.tag = "ALTER DEFAULT PRIVILEGES",
                                             .access = SQL_PRIVILEGE,
                                             .walk = rule_roles},
    [NODE(CREATE_ROLE_STMT)] = {.tag = "CREATE ROLE",
                                .access = SQL_PRIVILEGE,
                                .kind = SQL_ROLE,
                                TEXT(CreateRoleStmt, role)},
    [NODE(ALTER_ROLE_STMT)] = {.tag = "ALTER ROLE", .access = SQL_PRIVILEGE, .walk = rule_roles},
    [NODE(
        ALTER_ROLE_SET_STMT)] = {.tag = "ALTER ROLE", .access = SQL_PRIVILEGE, .walk = rule_roles},
    [NODE(DROP_ROLE_STMT)] = {.tag = "DROP ROLE", .access = SQL_PRIVILEGE, .walk = rule_roles},
    [NODE(DROP_OWNED_STMT)] = {.tag = "DROP OWNED", .access = SQL_DROP, .walk = rule_roles},
    [NODE(REASSIGN_OWNED_STMT)] = {.tag = "REASSIGN OWNED",
                                   .access = SQL_PRIVILEGE,
                                   .walk = rule_roles},
    /* other servers */
    [NODE(CREATE_FDW_STMT)] = {.tag = "CREATE FOREIGN DATA WRAPPER",
                               .access = SQL_CREATE,
                               .kind = SQL_OTHER,
                               TEXT(CreateFdwStmt, fdwname),
                               .also = SQL_UNSAFE_IO},
    [NODE(ALTER_FDW_STMT)] = {.tag = "ALTER FOREIGN DATA WRAPPER",
                              .access = SQL_ALTER,
                              .kind = SQL_OTHER,
                              TEXT(AlterFdwStmt, fdwname),
                              .also = SQL_UNSAFE_IO},
    [NODE(CREATE_FOREIGN_SERVER_STMT)] = {.tag = "CREATE SERVER",
                                          .access = SQL_CREATE,
                                          .kind = SQL_OTHER,
                                          TEXT(CreateForeignServerStmt, servername),
                                          .also = SQL_UNSAFE_IO},
    [NODE(ALTER_FOREIGN_SERVER_STMT)] = {.tag = "ALTER SERVER",
                                         .access = SQL_ALTER,
                                         .kind = SQL_OTHER,
                                         TEXT(AlterForeignServerStmt, servername),
                                         .also = SQL_UNSAFE_IO},
    [NODE(CREATE_USER_MAPPING_STMT)] = {.tag = "CREATE USER MAPPING",
                                        .access = SQL_PRIVILEGE,
                                        .kind = SQL_OTHER,
                                        TEXT(CreateUserMappingStmt, servername)},
    [NODE(ALTER_USER_MAPPING_STMT)] = {.tag = "ALTER USER MAPPING",
                                       .access = SQL_PRIVILEGE,
                                       .kind = SQL_OTHER,
                                       TEXT(AlterUserMappingStmt, servername)},
    [NODE(DROP_USER_MAPPING_STMT)] = {.tag = "DROP USER MAPPING",
                                      .access = SQL_PRIVILEGE,
                                      .kind = SQL_OTHER,
                                      TEXT(DropUserMappingStmt, servername)},
    [NODE(IMPORT_FOREIGN_SCHEMA_STMT)] = {.tag = "IMPORT FOREIGN SCHEMA",
                                          .access = SQL_CREATE,
                                          .kind = SQL_SCHEMA,
                                          TEXT(ImportForeignSchemaStmt, local_schema),
                                          .also = SQL_UNSAFE_IO},
    [NODE(CREATE_PUBLICATION_STMT)] = {.tag = "CREATE PUBLICATION",
                                       .access = SQL_CREATE,
                                       .kind = SQL_OTHER,
                                       TEXT(CreatePublicationStmt, pubname),
                                       .walk = rule_publication,
                                       .also = SQL_EXPORT},
    [NODE(ALTER_PUBLICATION_STMT)] = {.tag = "ALTER PUBLICATION",
                                      .access = SQL_ALTER,
                                      .kind = SQL_OTHER,
                                      TEXT(AlterPublicationStmt, pubname),
                                      .walk = rule_publication,
                                      .also = SQL_EXPORT},
    [NODE(CREATE_SUBSCRIPTION_STMT)] = {.tag = "CREATE SUBSCRIPTION",
                                        .access = SQL_CREATE,
                                        .kind = SQL_OTHER,
                                        TEXT(CreateSubscriptionStmt, subname),
                                        .walk = rule_subscription,
                                        .also = SQL_UNSAFE_IO},
    [NODE(ALTER_SUBSCRIPTION_STMT)] = {.tag = "ALTER SUBSCRIPTION",
                                       .access = SQL_ALTER,
                                       .kind = SQL_OTHER,
                                       TEXT(AlterSubscriptionStmt, subname),
                                       .walk = rule_subscription,
                                       .also = SQL_UNSAFE_IO},
    [NODE(DROP_SUBSCRIPTION_STMT)] = {.tag = "DROP SUBSCRIPTION",
                                      .access = SQL_DROP,
                                      .kind = SQL_OTHER,
                                      TEXT(DropSubscriptionStmt, subname),
                                      .also = SQL_UNSAFE_IO},
    /* the server */
    [NODE(VACUUM_STMT)] = {.tag = "VACUUM", .access = SQL_MAINTENANCE, .tag_of = tag_vacuum},
    [NODE(CLUSTER_STMT)] = {.tag = "CLUSTER", .access = SQL_MAINTENANCE, .kind = SQL_TABLE},
    [NODE(REINDEX_STMT)] = {.tag = "REINDEX", .access = SQL_MAINTENANCE, .walk = rule_reindex},
    [NODE(CHECK_POINT_STMT)] = {.tag = "CHECKPOINT", .access = SQL_MAINTENANCE},
    /* Some settings name programs that the server runs. */
    [NODE(ALTER_SYSTEM_STMT)] = {.tag = "ALTER SYSTEM", .access = SQL_UNSAFE_IO},
    /* only ever inside of others */
    [NODE(RETURN_STMT)] = {.tag = "", .access = SQL_READ},
    [NODE(REPLICA_IDENTITY_STMT)] = {.tag = "", .access = SQL_ALTER},
    [NODE(RAW_STMT)] = {.tag = "", .access = SQL_READ},
};

static const struct rule *rule_of(PgQuery__Node__NodeCase node_case)
{
    size_t i = (size_t)node_case;
    return i < sizeof(rules) / sizeof(rules[0]) && rules[i].tag != NULL ? &rules[i] : NULL;
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
    const struct rule *rule = rule_of(n->node_case);
    if (rule != NULL) {
        rule_apply(w, node_message(n), rule);
    }
    return rule != NULL;
}

bool statement_has_rule(PgQuery__Node__NodeCase node_case)
{
    return rule_of(node_case) != NULL;
}

const char *statement_tag(struct walk *w, const PgQuery__Node *n)
{
    const struct rule *rule = rule_of(n->node_case);
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
