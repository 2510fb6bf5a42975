/* The inside of the analysis; for this folder only.
 *
 * The parse tree is walked by protobuf-c's descriptors: every message that no rule names is
 * descended into field by field, so that a relation or a function call cannot hide in a place that
 * nobody thought of. Rules exist only for what decides on the access or on the meaning of a name.
 */
#ifndef CHAPERONE_SIDECAR_SQL_WALK_H
#define CHAPERONE_SIDECAR_SQL_WALK_H

#include "pg_query/pg_query.pb-c.h"

#include "base/arena.h"
#include "sidecar/sql/sql.h"
#include "sidecar/sql/sql_columns.h"

/* Twice what the guard on the text lets through; a tree beyond it is a bug of the guard. */
enum { WALK_DEPTH_MAX = 8 * SQL_DEPTH_MAX };
enum { NO_OBJECT = UINT32_MAX };

/* Names of CTEs that are visible; innermost first. Lives on the walker's stack. */
struct scope {
    const char *name;
    const struct scope *outer;
};

struct found {
    struct sql_object object;
    struct column_set columns;
    uint32_t hash;
};

struct level; /* sql_scope.h */

struct walk {
    struct arena *arena; /* borrows; the analysis is made in it */
    struct sql_statement *statement;
    struct found *found; /* owned; of the current statement */
    size_t found_count, found_capacity;
    uint32_t *found_slots; /* in the scratch arena; where each is, by hash, when they are many */
    size_t found_slot_count;
    struct columns columns; /* of the whole text */
    const struct scope *scope;
    struct level *level;
    unsigned column_references; /* counts them */
    bool is_vague;              /* too many relations: each is used with all its columns */
    const char *new_schema;     /* of the enclosing CREATE SCHEMA: where its elements are created */
    bool constants_matter;      /* another constant in the text may do something else */
    bool runs_own_code;  /* in the statement: an operator or type that is not PostgreSQL's own */
    bool locking;        /* in the FROM of a SELECT ... FOR UPDATE */
    bool role_is_object; /* a RoleSpec is what the statement is about */
    enum err failed;     /* stays, as in a cursor */
    unsigned depth;
};

void walk_message(struct walk *w, const ProtobufCMessage *m);
void walk_node(struct walk *w, const PgQuery__Node *n);
void walk_nodes(struct walk *w, size_t count, PgQuery__Node *const *nodes);
/* All fields of `m`, none by a rule. */
void walk_fields(struct walk *w, const ProtobufCMessage *m);

/* A bare name that a WITH clause gives to a query. */
bool walk_is_cte(const struct walk *w, const PgQuery__RangeVar *r);
/* Something that no rule knows. */
void walk_add_unknown(struct walk *w);
/* What the parser gives for expressions and parts of statements; false for statements, for what is
 * made later from them, and for what newer grammars have. */
bool node_is_known(PgQuery__Node__NodeCase node_case);

/* The value behind a Node; NULL when it is empty. */
const ProtobufCMessage *node_message(const PgQuery__Node *n);
const char *node_string(const PgQuery__Node *n); /* of a String; else NULL */

/* --- what is found (sql_found.c) ------------------------------------------------------ */

void walk_add_access(struct walk *w, enum sql_access access);
/* `schema` and `name` may be NULL or "": not written. Copies them. What is done to a table is done
 * to all its columns, where that has a meaning; walk_find and walk_add_columns say it better. */
void walk_add(struct walk *w, enum sql_kind kind, enum sql_access access, const char *schema,
              const char *name);
void walk_add_range(struct walk *w, enum sql_kind kind, enum sql_access access,
                    const PgQuery__RangeVar *r);
/* The place of the object in `found`, whose columns the caller adds; NO_OBJECT: it has no name, or
 * the walk has failed. */
uint32_t walk_find(struct walk *w, enum sql_kind kind, enum sql_access access, const char *schema,
                   const char *name);
uint32_t walk_find_range(struct walk *w, enum sql_kind kind, enum sql_access access,
                         const PgQuery__RangeVar *r);
/* `columns` are String nodes or ResTarget; none stand for all. */
void walk_add_columns(struct walk *w, enum sql_kind kind, enum sql_access access,
                      const PgQuery__RangeVar *r, size_t count, PgQuery__Node *const *columns);
/* The last two of a list of String nodes; `drop_last` leaves out the name of a column or trigger.
 */
void walk_add_names(struct walk *w, enum sql_kind kind, enum sql_access access, size_t count,
                    PgQuery__Node *const *names, bool drop_last);

/* --- statements (sql_statement.c) ----------------------------------------------------- */

/* True when the node is a statement: its effects are added. */
bool statement_walk(struct walk *w, const PgQuery__Node *n);
bool statement_has_rule(PgQuery__Node__NodeCase node_case);
/* The command tag, static or in the arena; NULL: not a known statement. */
const char *statement_tag(struct walk *w, const PgQuery__Node *n);
/* For the two that stand in the tree without a Node around them. */
void statement_walk_select(struct walk *w, const PgQuery__SelectStmt *s);
void statement_walk_create(struct walk *w, const PgQuery__CreateStmt *s);

/* --- what a transaction takes back (sql_transactional.c) ------------------------------ */

/* SELECT, INSERT, UPDATE, DELETE, MERGE. */
bool node_is_data_statement(const PgQuery__Node *n);
/* Of the statement that was just walked, with its objects: struct sql_statement.is_transactional.
 */
bool statement_is_transactional(const struct walk *w, const PgQuery__Node *n);

/* --- data statements (sql_query.c) ---------------------------------------------------- */

void query_walk_select(struct walk *w, const PgQuery__SelectStmt *s);
void query_walk_insert(struct walk *w, const PgQuery__InsertStmt *s);
void query_walk_update(struct walk *w, const PgQuery__UpdateStmt *s);
void query_walk_delete(struct walk *w, const PgQuery__DeleteStmt *s);
void query_walk_merge(struct walk *w, const PgQuery__MergeStmt *s);

/* --- functions, operators and types (sql_function.c) ----------------------------------- */

/* A call, and what is known that the function does beyond it. */
void function_walk(struct walk *w, const PgQuery__FuncCall *f, enum sql_kind kind,
                   enum sql_access access);
/* Operators and types that are not PostgreSQL's own are calls of their code. */
void operator_use(struct walk *w, size_t count, PgQuery__Node *const *names);
void type_use(struct walk *w, const PgQuery__TypeName *t);
void cast_walk(struct walk *w, const PgQuery__TypeCast *c);

/* --- what is known by name (sql_builtin.c) ---------------------------------------------- */

/* What a call of it does beyond computing; SQL_CALL: nothing is known. `schema` may be NULL. */
enum sql_access function_access(const char *schema, const char *name);
/* A function of PostgreSQL's own that a whole row can be given to as its only argument. */
bool function_takes_row(const char *name);
/* Of pg_catalog. */
bool type_is_builtin(const char *name);
bool operator_is_builtin(const char *name);

/* --- objects by PostgreSQL's ObjectType (sql_object.c) -------------------------------- */

enum sql_kind object_kind(PgQuery__ObjectType type);
/* "TABLE", "MATERIALIZED VIEW": what comes after CREATE, ALTER and DROP; NULL: nothing does. */
const char *object_tag(PgQuery__ObjectType type);
/* A name in any of the forms that DROP, COMMENT, ALTER ... RENAME, GRANT carry it in. */
void object_add(struct walk *w, PgQuery__ObjectType type, const PgQuery__Node *name,
                enum sql_access access);

/* --- guards (sql_depth.c, sql_analyse.c) ---------------------------------------------- */

/* ERR_LIMIT when the parse tree of the text could be deeper than SQL_DEPTH_MAX. */
enum err depth_check(const char *text, size_t size, struct arena *scratch) MUST_USE;

/* `text` is NUL-terminated; `scratch` is reset. */
enum err analyse_text(const char *text, size_t size, struct arena *scratch,
                      struct sql_analysis **out, struct sql_error *out_error) MUST_USE;
/* Fills the error and returns its code. */
enum err analyse_fail(struct sql_error *out, enum err code, const char *sqlstate,
                      const char *message);
enum err analyse_check(struct bytes text, size_t max_size, struct sql_error *out_error) MUST_USE;
/* Bytes that an analysis holds. */
size_t analysis_size(const struct sql_analysis *a);
/* No constant in the text can change the analysis. */
bool analysis_is_shareable(const struct sql_analysis *a);

#endif
