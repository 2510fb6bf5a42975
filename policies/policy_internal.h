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
/* Accesses without an object that the command explains by itself: ALTER ROLE is a privilege, and
 * that it alters says nothing more. */
uint32_t command_implied(const struct command *c);
uint32_t command_granted(const struct command *c);
uint32_t command_forbidden(const struct command *c);
/* "DROP" and "DROP TABLE" match "DROP TABLE"; "DROP T" does not. */
bool command_matches(const char *pattern, const char *tag);
/* The names of the classes, with commas; for errors. */
const char *class_names(void);
/* Classes and the first words of commands, NULL ends them; to be suggested. */
size_t class_and_command_names(const char *out[], size_t capacity);

/* `*` any run of characters, `?` one byte; bytes compare as they are. */
bool glob_matches(const char *pattern, const char *text);

/* A name of SQL as a pattern: "public.*", "orders", "\"Sales\".x*". */
struct name_pattern {
    const char *schema; /* NULL: any */
    const char *name;
    bool schema_is_literal, name_is_literal; /* was quoted: no globs in it */
};

/* "public.customers.ssn", "*.*.password". */
struct column_pattern {
    struct name_pattern table;
    const char *column;
    bool column_is_literal;
};

enum name_use { NAME_TABLE, NAME_FUNCTION };

/* False: `text` is no such pattern. Each writes into `out_parts`, of three times strlen(text) + 1
 * bytes, what `out` then borrows. */
bool name_pattern_parse(const char *text, char *out_parts, struct name_pattern *out);
bool column_pattern_parse(const char *text, char *out_parts, struct column_pattern *out);
/* One part: any name in such a schema. */
bool schema_pattern_parse(const char *text, char *out_parts, struct name_pattern *out);

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
bool part_matches(const char *pattern, bool is_literal, const char *text);

struct texts {
    const char *const *items;
    size_t count; /* 0: not given, anything matches */
};

struct name_patterns {
    const struct name_pattern *items;
    size_t count; /* 0: not given */
};

struct column_patterns {
    const struct column_pattern *items;
    size_t count; /* 0: not given */
};

bool any_name_matches(const struct name_patterns *p, const struct plain_name *n, enum name_use use,
                      bool forbids);

/* Any claim with this path has one of the values. */
struct claim_patterns {
    const char *path;
    struct texts values;
};

/* When a rule holds. `until_s` <= `from_s` goes over midnight; the day is the one it begins on. */
struct window {
    bool is_given;
    uint8_t days;            /* bits, Monday first */
    int32_t from_s, until_s; /* seconds of the local day */
    int32_t offset_s;        /* of local time, east of UTC */
    int64_t not_before, not_after;
};

bool window_contains(const struct window *w, int64_t now_unix_s);
/* False: it never comes. */
bool window_is_possible(const struct window *w);

struct step_patterns;
struct http_match;

struct policy_mask_names {
    struct column_patterns columns;
    const struct column_patterns *tags;
    size_t tag_count;
    struct texts types;
    struct name_patterns trusted;
    /* Of HTTP. */
    struct texts fields, headers;
    const struct step_patterns *pointers; /* NULL: none */
    struct policy *policy;                /* that it is of */
};

/* What a rule can match at all. */
enum about { ABOUT_ANYTHING, ABOUT_SQL, ABOUT_HTTP };

struct rule {
    const char *name, *message;
    enum policy_effect effect;
    bool is_shadow;
    enum about about;
    const struct http_match *http; /* of ABOUT_HTTP; else NULL */
    struct texts subjects, groups, on_behalf_of, resources;
    const struct claim_patterns *claims;
    size_t claim_count;
    struct window when;

    bool has_commands; /* false: everything that was understood */
    struct texts tags;
    uint32_t accesses; /* of all its classes and tags */
    uint32_t classes;  /* of its classes alone */
    uint32_t copies; /* ACCESS_LOAD, ACCESS_EXPORT. Of a rule that forbids: only where these are */
    /* What a rule that allows or holds lets through. Of a hold rule it is another set than
     * `accesses`, which says what it stops: that one is as wide as of a rule that denies, this one
     * as narrow as of a rule that allows. */
    uint32_t covers;
    uint32_t covers_classes; /* of commands */
    bool covers_any_command;
    bool without_where, multi_statement; /* of a rule that forbids: only where these are */
    struct name_patterns tables, schemas, functions;
    struct column_patterns columns;
    bool has_tables; /* tables, schemas or columns */
    bool has_names;  /* any of the four */

    bool has_durability;
    enum policy_durability durability;
    enum policy_record record;
    uint64_t max_rows;                              /* 0: no limit */
    uint64_t max_request_bytes, max_response_bytes; /* likewise */
    struct policy_rate rate;                        /* requests 0: none */
    const struct policy_hold *hold;                 /* of a hold rule only */
    const struct policy_mask *masks;
    size_t mask_count;
    bool trusts; /* a mask of it trusts functions by name */
};

/* Of a rule for certain groups or subjects by their exact names, one of them. */
struct rule_key {
    const char *text;
    uint16_t rule;
};

struct rule_keys {
    const struct rule_key *items; /* by text */
    size_t count;
};

struct policy {
    struct arena *arena;
    size_t holds; /* of its masks, beyond its owner's */
    uint64_t revision;
    char hash[129];
    bool is_shadow; /* nothing of it is enforced */
    bool has_masks;
    bool reads_bodies; /* a rule asks for the body of requests of HTTP */
    const struct rule *rules;
    size_t rule_count;
    /* Where to look for the rules that may be about somebody; each rule is in one of the three. */
    struct rule_keys by_group, by_subject;
    const uint16_t *general;
    size_t general_count;
};

/* Calls `visit` with the index of each rule whose identity, resource and time match, in order. */
typedef void rule_visit(void *context, size_t rule);
void rules_apply(const struct policy *p, const struct policy_request *r, rule_visit *visit,
                 void *context);
/* Makes the index of a policy's rules. False: no memory. */
bool rules_index(struct policy *p) MUST_USE;

#endif
