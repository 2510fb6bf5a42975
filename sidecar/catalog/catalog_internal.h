/* Between the parts of the catalog: what a snapshot is made of.
 *
 * Names come from whoever may create something in the database, so lookups are binary searches: no
 * choice of names makes them slow. */
#ifndef CHAPERONE_SIDECAR_CATALOG_CATALOG_INTERNAL_H
#define CHAPERONE_SIDECAR_CATALOG_CATALOG_INTERNAL_H

#include "base/arena.h"
#include "sidecar/catalog/catalog.h"

/* The position of what the search path does not lead to. */
#define CATALOG_NOT_IN_PATH UINT32_MAX

struct catalog_entry {
    struct catalog_relation relation;
    uint32_t position; /* of its schema in the search path */
    bool has_type;     /* there is a type of the same name: its row type */
};

enum catalog_name_kind {
    CATALOG_FUNCTION = 'f',
    CATALOG_OPERATOR = 'o',
    CATALOG_TYPE = 't',
    /* An operator that is as good, but may fail on a value. */
    CATALOG_PARTIAL_OPERATOR = 'p',
    /* These are no names: code that runs without being named. */
    CATALOG_CAST = 'c',
    CATALOG_CHECK = 'd',
    CATALOG_WRITING = 'w',
};

/* That something in this schema has this name and is not PostgreSQL's own. */
struct catalog_name {
    const char *name, *schema;
    uint32_t position;
    enum catalog_name_kind kind;
    bool is_enum;
};

struct catalog_schema {
    const char *name;
    uint32_t position;
};

struct catalog {
    size_t references;
    uint64_t generation;
    struct arena *arena; /* owned; all that is pointed to is in it */
    struct bytes fingerprint;

    struct catalog_schema *path; /* by name */
    size_t path_count;
    const char *temporary; /* this session's temporary schema; NULL: it has none */
    uint32_t temporary_position, system_position; /* of it and of pg_catalog in the path */

    struct catalog_entry *relations; /* by oid */
    size_t relation_count;
    uint32_t *by_path;   /* indexes of relations, by name and position in the path */
    uint32_t *by_schema; /* the same, by schema and name */

    struct catalog_name *names; /* by kind, name, position, schema */
    size_t name_count;
    struct catalog_cast *casts; /* by type */
    size_t cast_count;

    void *kept; /* owned: catalog_keep */
    void (*kept_destroy)(void *);
};

/* The orders of by_path, by_schema and names. */
int catalog_compare_path(const struct catalog_entry *a, const struct catalog_entry *b);
int catalog_compare_schema(const struct catalog_entry *a, const struct catalog_entry *b);
int catalog_compare_name(const struct catalog_name *a, const struct catalog_name *b);

/* NULL: there is none. */
struct catalog_entry *catalog_entry_by_oid(const struct catalog *c, uint32_t oid);

/* Where the search path has this schema. */
uint32_t catalog_position_of(const struct catalog *c, const char *schema);

#endif
