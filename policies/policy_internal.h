/* The inside of a compiled policy; for this folder only. */
#ifndef CHAPERONE_POLICIES_INTERNAL_H
#define CHAPERONE_POLICIES_INTERNAL_H

#include "policies/policy.h"

/* What is done, as bits. The names are those of sidecar/sql; others are ACCESS_UNKNOWN. */
enum access {
    ACCESS_READ = 1u << 0,
    ACCESS_INSERT = 1u << 1,
    ACCESS_UPDATE = 1u << 2,
    ACCESS_DELETE = 1u << 3,
    ACCESS_TRUNCATE = 1u << 4,
    ACCESS_LOAD = 1u << 5,
    ACCESS_EXPORT = 1u << 6,
    ACCESS_CREATE = 1u << 7,
    ACCESS_ALTER = 1u << 8,
    ACCESS_DROP = 1u << 9,
    ACCESS_PRIVILEGE = 1u << 10,
    ACCESS_TRANSACTION = 1u << 11,
    ACCESS_SESSION = 1u << 12,
    ACCESS_MAINTENANCE = 1u << 13,
    ACCESS_LOCK = 1u << 14,
    ACCESS_NOTIFY = 1u << 15,
    ACCESS_CALL = 1u << 16,
    ACCESS_PROCEDURAL = 1u << 17,
    ACCESS_UNSAFE_IO = 1u << 18,
    ACCESS_UNKNOWN = 1u << 19,
    ACCESS_ALL = (1u << 20) - 1,
    /* What survives the session: recorded on disk before it is done. */
    ACCESS_LASTING = ACCESS_INSERT | ACCESS_UPDATE | ACCESS_DELETE | ACCESS_TRUNCATE | ACCESS_LOAD |
                     ACCESS_CREATE | ACCESS_ALTER | ACCESS_DROP | ACCESS_PRIVILEGE |
                     ACCESS_MAINTENANCE | ACCESS_NOTIFY | ACCESS_PROCEDURAL | ACCESS_UNSAFE_IO |
                     ACCESS_UNKNOWN,
};

uint32_t access_parse(const char *name);
/* What a class of commands ("read", "write", ...) stands for; 0: no such class. */
uint32_t class_accesses(const char *name);
/* A command of SQL. A rule that names one speaks of what the command does, in whichever
 * statement it is done. */
struct command {
    const char *name;
    uint32_t accesses; /* a class with any of these covers the command itself */
    uint32_t grants;   /* what an allowing rule that names it gives */
    uint32_t forbids; /* what a forbidding rule that names it takes: 0 for those that say nothing */
};

/* The longest one that the tag begins with; never NULL, with ACCESS_UNKNOWN when there is none. */
const struct command *command_find(const char *tag);
uint32_t command_granted(const struct command *c);
uint32_t command_forbidden(const struct command *c);
/* "DROP" and "DROP TABLE" match "DROP TABLE"; "DROP T" does not. */
bool command_matches(const char *pattern, const char *tag);
/* The names of the classes, with commas; for errors. */
const char *class_names(void);

/* `*` any run of characters, `?` one byte; bytes compare as they are. */
bool glob_matches(const char *pattern, const char *text);

/* A name of SQL as a pattern: "public.*", "orders", "\"Sales\".x*". */
struct name_pattern {
    const char *schema; /* NULL: any */
    const char *name;
    bool schema_is_literal, name_is_literal; /* was quoted: no globs in it */
};

enum name_use { NAME_TABLE, NAME_FUNCTION };

/* False: `text` is no such pattern. Writes into `out_schema` and `out_name`, each of strlen(text)
 * + 1. */
bool name_pattern_parse(const char *text, char *out_schema, char *out_name,
                        struct name_pattern *out);

/* A name of a request, without its quotes. */
struct plain_name {
    char schema[256], name[256];
    bool has_schema;
    bool is_too_long; /* nothing can be said of it */
};
void plain_name_read(const char *text, struct plain_name *out);

/* A name without a schema is where the server finds it with the default search path (which the
 * evaluator keeps an agent from changing); to a rule that forbids one name it may be in any schema.
 */
bool name_matches(const struct name_pattern *p, const struct plain_name *n, enum name_use use,
                  bool forbids);

struct texts {
    const char *const *items;
    size_t count; /* 0: not given, anything matches */
};

struct name_patterns {
    const struct name_pattern *items;
    size_t count; /* 0: not given */
};

struct rule {
    const char *name, *message;
    enum policy_effect effect;
    struct texts subjects, groups, on_behalf_of, resources;
    bool has_commands;
    struct texts tags;
    uint32_t accesses; /* of all its classes and tags */
    uint32_t classes;  /* of its classes alone */
    struct name_patterns tables, functions;
    bool has_durability;
    enum policy_durability durability;
};

struct policy {
    struct arena *arena;
    uint64_t revision;
    char hash[129];
    const struct rule *rules;
    size_t rule_count;
};

#endif
