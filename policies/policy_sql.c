/* The words of SQL that a policy speaks in: classes, command tags, accesses. */
#include <stdlib.h>

#include "policies/policy_internal.h"

struct word {
    const char *name;
    uint32_t accesses;
};

/* In the order of the bits. */
static const char *const access_names[] = {
    "read",   "insert", "update", "delete",     "truncate",    "load",    "export",
    "create", "alter",  "drop",   "privilege",  "transaction", "session", "maintenance",
    "lock",   "notify", "call",   "procedural", "unsafe_io",   "unknown",
};

uint32_t access_parse(const char *name)
{
    for (size_t i = 0; i < sizeof(access_names) / sizeof(access_names[0]); i++) {
        if (strcmp(access_names[i], name) == 0) {
            return 1u << i;
        }
    }
    return ACCESS_UNKNOWN;
}

enum {
    WRITE = ACCESS_INSERT | ACCESS_UPDATE | ACCESS_DELETE | ACCESS_TRUNCATE | ACCESS_LOAD,
    DDL = ACCESS_CREATE | ACCESS_ALTER | ACCESS_DROP,
    ADMIN = ACCESS_PRIVILEGE | ACCESS_MAINTENANCE,
};

static const struct word classes[] = {
    /* What may be read may also be copied to the client; `copy: [out]` forbids that alone. */
    {"read", ACCESS_READ | ACCESS_EXPORT},
    {"write", WRITE},
    {"ddl", DDL},
    {"admin", ADMIN},
    {"privilege", ACCESS_PRIVILEGE},
    {"maintenance", ACCESS_MAINTENANCE},
    {"transaction", ACCESS_TRANSACTION},
    {"session", ACCESS_SESSION},
    {"lock", ACCESS_LOCK},
    {"notify", ACCESS_NOTIFY},
    {"call", ACCESS_CALL},
    {"procedural", ACCESS_PROCEDURAL},
    {"unsafe_io", ACCESS_UNSAFE_IO},
};

uint32_t class_accesses(const char *name)
{
    for (size_t i = 0; i < sizeof(classes) / sizeof(classes[0]); i++) {
        if (strcmp(classes[i].name, name) == 0) {
            return classes[i].accesses;
        }
    }
    return 0;
}

const char *class_names(void)
{
    return "read, write, ddl, admin, privilege, maintenance, transaction, session, lock, notify, "
           "call, procedural, unsafe_io";
}

/* PostgreSQL's command tags, by their first words. */
/* As `accesses` in all three. */
#define EVERYTHING UINT32_MAX
#define SAME EVERYTHING, EVERYTHING

static const struct command commands[] = {
    {"SELECT", ACCESS_READ, SAME},
    {"SELECT INTO", ACCESS_CREATE, SAME},
    {"SHOW", ACCESS_READ, SAME},
    {"FETCH", ACCESS_READ, SAME},
    {"MOVE", ACCESS_READ, SAME},
    /* Its objects say what would be done. */
    {"EXPLAIN", ACCESS_READ | WRITE | DDL | ACCESS_PROCEDURAL, ACCESS_READ, 0},
    {"COPY", ACCESS_READ | WRITE, ACCESS_READ | ACCESS_INSERT | ACCESS_LOAD | ACCESS_EXPORT, 0},
    {"INSERT", ACCESS_INSERT, SAME},
    {"UPDATE", ACCESS_UPDATE, SAME},
    {"DELETE", ACCESS_DELETE, SAME},
    {"MERGE", ACCESS_INSERT | ACCESS_UPDATE | ACCESS_DELETE, SAME},
    {"TRUNCATE", ACCESS_TRUNCATE, SAME},
    {"CREATE", ACCESS_CREATE, SAME},
    {"CREATE INDEX", ACCESS_CREATE | ACCESS_ALTER, SAME},
    {"CREATE PUBLICATION", ACCESS_CREATE, ACCESS_CREATE | ACCESS_EXPORT, ACCESS_CREATE},
    {"CREATE TRIGGER", ACCESS_ALTER, SAME},
    {"CREATE RULE", ACCESS_ALTER, SAME},
    {"ALTER", ACCESS_ALTER, SAME},
    {"COMMENT", ACCESS_ALTER, SAME},
    {"DROP", ACCESS_DROP, SAME},
    {"GRANT", ACCESS_PRIVILEGE, SAME},
    {"REVOKE", ACCESS_PRIVILEGE, SAME},
    {"SECURITY LABEL", ACCESS_PRIVILEGE, SAME},
    {"REASSIGN OWNED", ACCESS_PRIVILEGE, SAME},
    {"DROP OWNED", ACCESS_PRIVILEGE, SAME},
    {"ALTER DEFAULT PRIVILEGES", ACCESS_PRIVILEGE, SAME},
    {"CREATE ROLE", ACCESS_PRIVILEGE, SAME},
    {"ALTER ROLE", ACCESS_PRIVILEGE, SAME},
    {"DROP ROLE", ACCESS_PRIVILEGE, SAME},
    {"CREATE POLICY", ACCESS_PRIVILEGE, SAME},
    {"ALTER POLICY", ACCESS_PRIVILEGE, SAME},
    {"DROP POLICY", ACCESS_PRIVILEGE, SAME},
    {"CREATE USER MAPPING", ACCESS_PRIVILEGE, SAME},
    {"ALTER USER MAPPING", ACCESS_PRIVILEGE, SAME},
    {"DROP USER MAPPING", ACCESS_PRIVILEGE, SAME},
    {"CREATE DATABASE", ACCESS_MAINTENANCE, SAME},
    {"ALTER DATABASE", ACCESS_MAINTENANCE, SAME},
    {"DROP DATABASE", ACCESS_MAINTENANCE, SAME},
    {"VACUUM", ACCESS_MAINTENANCE, SAME},
    {"ANALYZE", ACCESS_MAINTENANCE, SAME},
    {"CLUSTER", ACCESS_MAINTENANCE, SAME},
    {"REINDEX", ACCESS_MAINTENANCE, SAME},
    {"CHECKPOINT", ACCESS_MAINTENANCE, SAME},
    {"REFRESH MATERIALIZED VIEW", ACCESS_MAINTENANCE, SAME},
    {"BEGIN", ACCESS_TRANSACTION, SAME},
    {"START TRANSACTION", ACCESS_TRANSACTION, SAME},
    {"COMMIT", ACCESS_TRANSACTION, SAME},
    {"ROLLBACK", ACCESS_TRANSACTION, SAME},
    {"SAVEPOINT", ACCESS_TRANSACTION, SAME},
    {"RELEASE", ACCESS_TRANSACTION, SAME},
    {"PREPARE TRANSACTION", ACCESS_TRANSACTION, SAME},
    {"SET", ACCESS_SESSION, SAME},
    {"RESET", ACCESS_SESSION, SAME},
    {"DISCARD", ACCESS_SESSION, SAME},
    {"LISTEN", ACCESS_SESSION, SAME},
    {"UNLISTEN", ACCESS_SESSION, SAME},
    {"PREPARE", ACCESS_SESSION, SAME},
    {"DEALLOCATE", ACCESS_SESSION, SAME},
    {"DECLARE CURSOR", ACCESS_SESSION, SAME},
    {"CLOSE CURSOR", ACCESS_SESSION, SAME},
    {"LOCK TABLE", ACCESS_LOCK, SAME},
    {"NOTIFY", ACCESS_NOTIFY, SAME},
    {"CALL", ACCESS_PROCEDURAL, SAME},
    {"DO", ACCESS_PROCEDURAL, SAME},
    {"EXECUTE", ACCESS_PROCEDURAL, SAME},
    /* The protocol's own message, which names the function by number. */
    {"FUNCTION CALL", ACCESS_PROCEDURAL, SAME},
    /* The server's programs, files and network. */
    {"LOAD", ACCESS_UNSAFE_IO, SAME},
    {"ALTER SYSTEM", ACCESS_UNSAFE_IO, SAME},
    {"CREATE TABLESPACE", ACCESS_UNSAFE_IO, SAME},
    {"CREATE SERVER", ACCESS_UNSAFE_IO, SAME},
    {"ALTER SERVER", ACCESS_UNSAFE_IO, SAME},
    {"CREATE FOREIGN DATA WRAPPER", ACCESS_UNSAFE_IO, SAME},
    {"ALTER FOREIGN DATA WRAPPER", ACCESS_UNSAFE_IO, SAME},
    {"IMPORT FOREIGN SCHEMA", ACCESS_UNSAFE_IO, SAME},
    {"CREATE SUBSCRIPTION", ACCESS_UNSAFE_IO, SAME},
    {"ALTER SUBSCRIPTION", ACCESS_UNSAFE_IO, SAME},
    {"DROP SUBSCRIPTION", ACCESS_UNSAFE_IO, SAME},
};

bool command_matches(const char *pattern, const char *tag)
{
    size_t size = strlen(pattern);
    return strncmp(pattern, tag, size) == 0 && (tag[size] == '\0' || tag[size] == ' ');
}

const struct command *command_find(const char *tag)
{
    static const struct command none = {"", ACCESS_UNKNOWN, 0, 0};
    const struct command *longest = &none;
    size_t longest_size = 0;
    for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
        const char *name = commands[i].name;
        if (name[0] == tag[0] && name[1] == tag[1] && command_matches(name, tag) &&
            strlen(name) > longest_size) {
            longest = &commands[i];
            longest_size = strlen(name);
        }
    }
    return longest;
}

uint32_t command_implied(const struct command *c)
{
    static const struct word verbs[] = {
        {"CREATE", ACCESS_CREATE},
        {"ALTER", ACCESS_ALTER},
        {"DROP", ACCESS_DROP},
    };
    for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++) {
        if (command_matches(verbs[i].name, c->name)) {
            /* Of CREATE INDEX the table that is altered says where; the index may have no name. */
            bool is_index = strcmp(c->name, "CREATE INDEX") == 0;
            return (c->accesses & verbs[i].accesses) == 0 || is_index ? verbs[i].accesses : 0;
        }
    }
    return 0;
}

size_t class_and_command_names(const char *out[], size_t capacity)
{
    size_t count = 0;
    for (size_t i = 0; i < sizeof(classes) / sizeof(classes[0]) && count + 1 < capacity; i++) {
        out[count++] = classes[i].name;
    }
    for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]) && count + 1 < capacity; i++) {
        out[count++] = commands[i].name;
    }
    out[count] = NULL;
    return count;
}

uint32_t command_granted(const struct command *c)
{
    return c->grants == EVERYTHING ? c->accesses : c->grants;
}

uint32_t command_forbidden(const struct command *c)
{
    return c->forbids == EVERYTHING ? c->accesses : c->forbids;
}
