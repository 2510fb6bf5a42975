/* What a target's catalog says: its relations, their columns, views and heirs, which names are not
 * PostgreSQL's own (nor as good), and which such code runs without being named. An immutable
 * snapshot, as one session sees it; it is shared by counting references and belongs to one thread.
 *
 * Pure: the caller sends the queries and brings the rows. The session's own connection asks, so
 * that temporary relations, uncommitted DDL and the search path are those of the session
 * (docs/adr/0006-catalog.md).
 *
 *   for each enum catalog_query q: send catalog_query_text(q); catalog_loader_row for each row
 *   catalog_loader_finish → a snapshot
 *
 * System relations (pg_catalog, information_schema) are in it without their definitions. */
#ifndef CHAPERONE_SIDECAR_CATALOG_CATALOG_H
#define CHAPERONE_SIDECAR_CATALOG_CATALOG_H

#include "base/bytes.h"

enum {
    /* Of one snapshot. A database with more is not masked but refused: ERR_LIMIT. */
    CATALOG_RELATIONS_MAX = 100000,
    CATALOG_BYTES_MAX = 256 << 20,
    CATALOG_VALUES_MAX = 8, /* columns of a query's rows */
};

struct catalog_column {
    const char *name;
    int16_t number; /* attnum */
    uint32_t type;  /* oid; of a domain: of its base type */
    /* As format_type without modifiers: "text", "character varying", "integer[]". Whatever the
     * search path: those that are not PostgreSQL's own always with their schema, each quoted where
     * it has to be: "public.mood", "\"Odd one\".mood[]". */
    const char *type_name;
    bool is_generated; /* computed from other columns of its row */
};

enum catalog_kind {
    CATALOG_TABLE, /* also partitioned and foreign tables */
    CATALOG_VIEW,
    CATALOG_MATERIALIZED_VIEW,
    CATALOG_SEQUENCE,
    CATALOG_OTHER, /* indexes, composite types, TOAST tables */
};

/* A function that is not PostgreSQL's own, nor as good. */
struct catalog_code {
    const char *schema, *name;
};

struct catalog_relation {
    uint32_t oid;
    const char *schema, *name;
    enum catalog_kind kind;
    bool is_system;    /* of pg_catalog or information_schema and PostgreSQL's own there (what an
                          extension adds is not), or a TOAST table */
    bool is_temporary; /* of this session; those of others are not in the snapshot */
    bool is_foreign;   /* its rows, or those of an heir, are on another server */
    bool has_rules;    /* beside a view's own: a statement on it may do anything */
    const struct catalog_column *columns; /* by number; without dropped ones; system columns (ctid,
                                             xmin, ...) are not listed */
    size_t column_count;
    /* The SELECT of a view or materialized view. The names in it mean what they mean to a statement
     * of the session (catalog_relation_find and the like say what): the server leaves bare only
     * those names that the session's search path leads to. NULL: none, or withheld: it cannot be
     * trusted where the search path leads to another operator "=" than PostgreSQL's own. */
    const char *definition;
    /* What it inherits from or is a partition of. */
    const uint32_t *parents;
    size_t parent_count;
    /* What runs when its rows are written, also those of its heirs, of what a view is made of, and
     * of what a foreign key's ON DELETE or ON UPDATE changes: functions of triggers, of columns'
     * defaults, of generated columns and of CHECK constraints. Not those that indexes and rules
     * call. */
    const struct catalog_code *writing;
    size_t writing_count;
};

/* CREATE CAST with a function that is not PostgreSQL's own, nor as good, or with none where the
 * bytes of one type are not known to be a value of the other. It runs without being named: wherever
 * a value of the type meets another type. */
struct catalog_cast {
    uint32_t type; /* one that it casts from or to, or that is made of such a one (an array, a
                      domain, a composite type); 0: neither end is a type of somebody's own, or only
                      the row type of a table, so it may run anywhere */
    /* Without its schema; NULL with 0. NULL with another type: it is not a cast but what checks a
     * value that is read as this type (a domain, or what is made of one). */
    const char *type_name;
    struct catalog_code code; /* both NULL: a cast without a function */
};

struct catalog;
void catalog_ref(struct catalog *c);
void catalog_unref(struct catalog *c); /* takes NULL */

/* What is derived from a snapshot and the same for all who have it: made by the first one, given to
 * `destroy` behind the last reference. There is one such thing; catalog_keep is called once. */
void catalog_keep(struct catalog *c, void *kept, void (*destroy)(void *));
void *catalog_kept(const struct catalog *c); /* NULL: nothing yet */

/* Differs between any two snapshots of this process. */
uint64_t catalog_generation(const struct catalog *c);
/* Whether the answer to CATALOG_QUERY_FINGERPRINT (its only value) says that it is still true. It
 * differs after any change that the session can see, by whomever, and with its search path and
 * role; not for data, nor when they are put into other files (TRUNCATE, REINDEX), nor for other
 * sessions' temporary relations. NULL: the transaction has one
 * snapshot for all of it (REPEATABLE READ, SERIALIZABLE) and the catalog has changed since; the
 * server would go by the new one, which cannot be read before the transaction ends. Never current.
 */
bool catalog_is_current(const struct catalog *c, struct bytes fingerprint);
/* The same of the answer that was asked for behind the last query of a snapshot: nothing had become
 * something else meanwhile, not even to be the same again at the end. */
bool catalog_is_of_one_moment(const struct catalog *c, struct bytes fingerprint);

size_t catalog_relation_count(const struct catalog *c);
const struct catalog_relation *catalog_relation_at(const struct catalog *c, size_t i);
const struct catalog_relation *catalog_relation_by_oid(const struct catalog *c, uint32_t oid);
/* As the server finds it: `schema` NULL or "" is looked for along the search path (temporary
 * relations first, then pg_catalog unless the path says otherwise). "pg_temp" is this session's.
 * NULL: there is none. */
const struct catalog_relation *catalog_relation_find(const struct catalog *c, const char *schema,
                                                     const char *name);
const struct catalog_column *catalog_column_find(const struct catalog_relation *r,
                                                 const char *name);

/* Whether a call by this name can only be one of PostgreSQL's own, or of one that is as good: it
 * computes from its arguments and does nothing else. What is as good is known by what it is (a
 * function in C of one of a list of contrib modules, say), not by its name. No other function of
 * the name exists in the schema, or, when that is NULL or "", in those of the search path. */
bool catalog_function_is_builtin(const struct catalog *c, const char *schema, const char *name);
/* The same for operators ("=") and types ("int4", "date"). */
bool catalog_operator_is_builtin(const struct catalog *c, const char *schema, const char *name);
bool catalog_type_is_builtin(const struct catalog *c, const char *schema, const char *name);
/* Whether this can be an operator that is as good as PostgreSQL's own, but may fail on a value
 * where PostgreSQL's own of the name do not: `||` (ltree's), `->`. */
bool catalog_operator_may_fail(const struct catalog *c, const char *schema, const char *name);
/* Whether this is an enumeration of somebody's own. */
bool catalog_type_is_enum(const struct catalog *c, const char *schema, const char *name);
/* The relation (also a composite type) of somebody's own to whose row type this name leads; NULL:
 * it leads to none, or may lead to another type. Valid as long as the catalog. */
const struct catalog_relation *catalog_row_type(const struct catalog *c, const char *schema,
                                                const char *name);

/* By type, those that may run anywhere first. */
const struct catalog_cast *catalog_casts(const struct catalog *c, size_t *out_count);

/* ---- loading ------------------------------------------------------------------------------- */

enum catalog_query {
    CATALOG_QUERY_FINGERPRINT, /* first: what is read afterwards is at least as new */
    CATALOG_QUERY_PATH,
    CATALOG_QUERY_RELATIONS,
    CATALOG_QUERY_COLUMNS,
    CATALOG_QUERY_VIEWS,
    CATALOG_QUERY_PARENTS,
    CATALOG_QUERY_NAMES, /* what is not PostgreSQL's own, nor as good */
    CATALOG_QUERY_COUNT,
};

/* One SELECT without parameters, every name and operator in it qualified so that no search path
 * changes it; works on PostgreSQL 12 to 18. Static.
 *
 * Each sees the catalog at its own moment. A snapshot is of one moment when the fingerprint, asked
 * again behind the last query, says so. CATALOG_QUERY_VIEWS takes ACCESS SHARE locks on
 * the relations of all views and holds them until the transaction ends, so it may wait for somebody
 * else's DDL, or be in its way. So ask within a transaction, or a savepoint of the agent's own,
 * with SET LOCAL lock_timeout well below the server's deadlock_timeout (one second), and roll back.
 */
const char *catalog_query_text(enum catalog_query q);

struct catalog_loader;
struct catalog_loader *catalog_loader_create(void) MUST_USE; /* returns owned; NULL: no memory */
void catalog_loader_destroy(struct catalog_loader *l);       /* takes NULL */
/* A row in text format; data NULL is SQL's NULL. ERR_INVALID: not what the query gives. ERR_LIMIT.
 * ERR_UNAVAILABLE: the fingerprint is NULL; not before the transaction ends. */
enum err catalog_loader_row(struct catalog_loader *l, enum catalog_query q,
                            const struct bytes *values, size_t count) MUST_USE;
/* Takes the loader's content; one reference is the caller's. ERR_INVALID: rows that contradict
 * each other. ERR_UNAVAILABLE: rows of one query contradict those of another, as when the catalog
 * changed between the two: load again. The loader is to be destroyed afterwards. */
enum err catalog_loader_finish(struct catalog_loader *l, struct catalog **out) MUST_USE;

#endif
