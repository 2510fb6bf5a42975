/* The inside of the analysis; for this folder only.
 *
 * A statement is walked once, in the order of PostgreSQL's own parse analysis (parse_clause.c,
 * parse_relation.c), with its rules of what a name can see. Each node type that is understood is
 * listed in a switch; what is not in one is unknown. */
#ifndef CHAPERONE_SIDECAR_LINEAGE_INTERNAL_H
#define CHAPERONE_SIDECAR_LINEAGE_INTERNAL_H

#include "pg_query/pg_query.pb-c.h"

#include "base/arena.h"
#include "sidecar/lineage/lineage.h"

enum {
    /* Calls within each other. The guard on the text lets some 1,000 levels through, each a few
     * nodes; views add theirs. A level takes up to half a kilobyte of stack. */
    WALK_DEPTH_MAX = 4000,
    /* Nodes and columns that one text may make us look at: stars over stars double. */
    WALK_STEPS_MAX = 4000000,
    /* The server's MaxTupleAttributeNumber. */
    OUTPUTS_MAX = 1664,
};

/* ---- values (lineage_value.c) ---------------------------------------------------------------- */

struct value {
    enum lineage_origin origin;
    uint64_t rules; /* 0 when clean; of an unknown one, what is known of it */
    /* The first marked column in it, for people; may be NULL. */
    const struct catalog_relation *relation;
    const struct catalog_column *column;
};

struct value value_mix(struct value a, struct value b);   /* something made of both */
struct value value_merge(struct value a, struct value b); /* either of them: UNION ALL */
struct value value_computed(struct value v);
bool value_equal(struct value a, struct value b);

struct column {
    const char *name; /* "": it is not known */
    struct value value;
};

/* The columns of a relation or a result. `is_open`: there may be more between and behind these,
 * with any names; `rest` is what they are made of. Then no place is known. */
struct columns {
    struct column *items;
    size_t count, capacity;
    bool is_open;
    struct value rest;
};

struct value columns_mix(const struct columns *c); /* the whole row */
bool columns_are_named(const struct columns *c);   /* all of them, by names that are known */

/* ---- what a statement does beside its outputs -------------------------------------------------
 */

struct effects {
    uint64_t reach; /* the marks of all relations it touches */
    uint64_t filtered, stored, altered;
    const char *filtered_why, *stored_why, *altered_why, *unknown_why;
    bool unknown, changes_catalog, changes_path;
    bool may_speak;
    bool reads_views;
};

void effects_merge(struct effects *into, const struct effects *from);

/* ---- names ------------------------------------------------------------------------------------
 */

/* What PostgreSQL calls a ParseNamespaceItem. */
struct item {
    const char *name;                        /* "" for a join without alias */
    const struct catalog_relation *relation; /* a table without alias: schema.table.column */
    bool has_system_columns;
    struct columns columns;
    bool is_name_visible, are_columns_visible, is_lateral_only;
};

struct names {
    struct item **items;
    size_t count, capacity;
};

/* A query level. */
struct level {
    struct level *outer;
    struct names names;
    bool is_lateral_active;
};

enum cte_state { CTE_NEW, CTE_BUSY, CTE_DONE };

struct cte {
    const PgQuery__CommonTableExpr *node;
    struct cte *next;           /* outwards: what a name is looked for in */
    struct cte *const *visible; /* what its own query sees */
    struct level *level;        /* of the query with the WITH */
    struct columns columns;     /* of a busy one: what is known so far */
    bool is_recursive;
    enum cte_state state;
    struct cte *around; /* of one that is being evaluated: within which other */
};

struct walk {
    const struct lineage_marks *marks;
    struct arena *arena; /* scratch */
    struct effects *effects;
    struct level *level;
    const char *clause; /* that is being walked, for people: "WHERE"; NULL: none in particular */
    const PgQuery__RangeVar *created; /* by the CREATE TABLE that is being walked */
    struct cte *ctes;
    struct cte *evaluated; /* the innermost one that is being evaluated */
    bool reads_constants;  /* the value of one was looked at */
    bool is_stale;         /* an earlier statement of the text changed what names mean */
    unsigned depth, view_depth;
    size_t steps;
    enum err failed; /* stays, as in a cursor */
};

/* False: too deep or too much, `failed` is set. Each true one is paired with walk_leave. */
bool walk_enter(struct walk *w) MUST_USE;
void walk_leave(struct walk *w);
void walk_step(struct walk *w, size_t count);
/* NULL when memory is short; `failed` is set. */
void *walk_alloc(struct walk *w, size_t size) MUST_USE;

/* ---- notes (lineage_note.c) ------------------------------------------------------------------ */

/* `format` has one %s for `name`. */
struct value note_unknown(struct walk *w, const char *format, const char *name)
    __attribute__((format(printf, 2, 0)));
/* `where` completes "public.customers.ssn is used in ...". A clean value leaves no note. */
void note_filtered(struct walk *w, struct value v, const char *where);
void note_stored(struct walk *w, struct value v, const char *where);
/* What is not known is stored where it may be read later. */
void note_stored_unknown(struct walk *w, const char *format, const char *name)
    __attribute__((format(printf, 2, 0)));
void note_altered(struct walk *w, uint64_t rules, const struct catalog_relation *r,
                  const char *what);
void note_stored_columns(struct walk *w, const struct columns *c, const char *where);
void note_filtered_columns(struct walk *w, const struct columns *c, const char *where);

void columns_add(struct walk *w, struct columns *c, const char *name, struct value v);
void columns_copy(struct walk *w, struct columns *into, const struct columns *from);
/* New names for the first of them. */
void columns_rename(struct walk *w, struct columns *c, size_t count, PgQuery__Node *const *names);

/* ---- marks and relations (lineage_marks.c, lineage_view.c) ------------------------------------
 */

const struct catalog *marks_catalog(const struct lineage_marks *m);
bool marks_trusts(const struct lineage_marks *m, const char *schema, const char *name);
/* Of all relations; of those in a schema. */
uint64_t marks_all(const struct lineage_marks *m);
uint64_t marks_of_schema(const struct lineage_marks *m, const char *schema);
/* Its own marks only; for a view, not what its definition says. */
uint64_t marks_of_relation(const struct lineage_marks *m, const struct catalog_relation *r);

/* NULL, with a note: not in the catalog, or names may have changed. */
const struct catalog_relation *relation_find(struct walk *w, const char *schema, const char *name);
/* Its columns, as values that are read from it. Notes what reading it does. */
void relation_columns(struct walk *w, const struct catalog_relation *r, struct columns *out);

enum name_class { NAME_OF_FUNCTION, NAME_OF_OPERATOR, NAME_OF_TYPE };
bool name_is_builtin(struct walk *w, enum name_class class, const char *schema, const char *name);

/* ---- code that runs without being named (lineage_code.c) --------------------------------------
 *
 * Each notes what is foreign, and makes the value unknown. */

void cast_check_anywhere(struct walk *w, struct value *v);
void cast_check_column(struct walk *w, const struct catalog_column *c, struct value *v);
/* Texts are read as this type, by its input function. `t` may be NULL. */
void type_check_read(struct walk *w, const PgQuery__TypeName *t, struct value *v);
void cast_check_type(struct walk *w, const PgQuery__TypeName *t, struct value *v);
/* A column that gets this type, in a table that may have rows: a domain has a default of its own
 * and constraints, and each value is cast. */
void cast_check_new_type(struct walk *w, const struct catalog_relation *r,
                         const PgQuery__TypeName *t);
/* Neither PostgreSQL's own, nor as good, nor an enumeration; nor trusted. */
bool type_is_foreign(struct walk *w, const char *schema, const char *name);
/* False: something foreign runs, so what is in the row afterwards is not known. */
bool writing_check(struct walk *w, const struct catalog_relation *r);

/* ---- functions (lineage_function.c) ---------------------------------------------------------- */

enum call_class {
    CALL_OTHER,       /* may fail on a value */
    CALL_TOTAL,       /* cannot, whatever argument is marked */
    CALL_TOTAL_FIRST, /* cannot when only its first argument is marked */
    CALL_TOTAL_ONE,   /* cannot when it has but one */
    CALL_TOTAL_SHORT, /* cannot when only its first is marked and the others are constants: with a
                         replacement that is long enough, a single match fails */
    CALL_EFFECT,      /* carries its arguments somewhere */
    CALL_READS,       /* reads what its arguments do not show */
};
enum call_class function_class(const char *name);
/* The name of the one column that it gives in FROM, whatever its arguments; `alias` may be NULL.
 * NULL: which columns it gives is not known. */
const char *function_column(const char *name, const char *alias);
/* Of pg_catalog's and information_schema's relations. */
bool column_is_sensitive(const char *schema, const char *relation, const char *column);

/* ---- parsing (lineage.c) --------------------------------------------------------------------- */

enum {
    SCRATCH_BLOCK = 64 << 10,
    /* As sql's: a megabyte of the densest text gives a tree of some 150 MiB. */
    SCRATCH_MAX = 384 << 20,
};
/* `*out` is valid as long as the arena. ERR_INVALID: not SQL. */
enum err tree_parse(struct arena *arena, const char *text,
                    const PgQuery__ParseResult **out) MUST_USE;

/* ---- the walk -------------------------------------------------------------------------------- */

const char *node_text(const PgQuery__Node *n); /* of a String; else NULL */
/* The last two of a qualified name; `*out_schema` NULL when it has none. "" when not understood. */
const char *names_last(size_t count, PgQuery__Node *const *names, const char **out_schema);
const char *text_or_null(const char *text); /* protobuf has "" for what is not there */

/* lineage_expr.c */
struct value expr_value(struct walk *w, const PgQuery__Node *n);
struct value expr_values(struct walk *w, size_t count, PgQuery__Node *const *nodes);
void expr_filter(struct walk *w, const PgQuery__Node *n, const char *where);
bool expr_is_constant(const PgQuery__Node *n);
bool expr_is_field_star(const PgQuery__Node *n); /* (x).*: all fields of a row */
void operator_check(struct walk *w, const char *schema, const char *name, struct value *v);
/* lineage_operator.c */
struct value operator_value(struct walk *w, const PgQuery__AExpr *e);
struct value sublink_value(struct walk *w, const PgQuery__SubLink *s);
struct value cast_value(struct walk *w, const PgQuery__TypeCast *c);
/* lineage_call.c */
struct value call_value(struct walk *w, const PgQuery__FuncCall *f);
/* `x.name` as a call: name(x). */
struct value notation_value(struct walk *w, const char *name, struct value v);
/* The same of a row: a field, or a call, but none of PostgreSQL's own that fails on some rows. */
struct value field_value_of(struct walk *w, const char *name, struct value v);
struct value window_value(struct walk *w, const PgQuery__WindowDef *d);
/* lineage_statement.c: search_path, role and their like. */
bool setting_changes_path(const char *name);
/* lineage_column.c */
struct value column_value(struct walk *w, const PgQuery__ColumnRef *c);
bool column_is_star(const PgQuery__Node *n);
/* `c` or `c.*`: surely the row of an item, no column. */
bool column_is_row(struct walk *w, const PgQuery__Node *n);
/* The columns that a star means here. */
void star_columns(struct walk *w, const PgQuery__ColumnRef *c, struct columns *out);
enum find { FIND_NONE, FIND_SOME, FIND_OPEN }; /* FIND_OPEN: it may be one that is not listed */
enum find level_find(const struct level *l, const char *name, struct value *out);
enum find columns_find(const struct columns *c, const char *name, struct value *out);
/* lineage_name.c: as FigureColname does. "": it depends on what the catalog or the server's version
 * says. */
const char *output_name(const PgQuery__Node *n);

/* lineage_from.c, lineage_join.c */
struct item *from_item(struct walk *w, const PgQuery__Node *n, struct names *out);
void from_clause(struct walk *w, size_t count, PgQuery__Node *const *nodes);
struct item *join_item(struct walk *w, const PgQuery__JoinExpr *j, struct names *out);
struct item *item_new(struct walk *w, const char *name);
void names_add(struct walk *w, struct names *names, struct item *i);
void names_set_lateral(struct names *names, bool is_lateral_only);

/* lineage_query.c, lineage_group.c, lineage_with.c: `out` is empty before. */
void query_any(struct walk *w, const PgQuery__Node *n, struct columns *out);
void query_select(struct walk *w, const PgQuery__SelectStmt *s, struct columns *out);
void query_targets(struct walk *w, size_t count, PgQuery__Node *const *list, struct columns *out);
void group_by(struct walk *w, const PgQuery__Node *n, const struct columns *out);
/* Returns the value that it orders by. */
struct value order_by(struct walk *w, const PgQuery__Node *n, const struct columns *out,
                      const char *where);
void with_enter(struct walk *w, const PgQuery__WithClause *with);
/* False: there is none by this name. */
bool cte_columns(struct walk *w, const char *name, struct columns *out);

/* lineage_change.c */
void change_insert(struct walk *w, const PgQuery__InsertStmt *s, struct columns *out);
void change_update(struct walk *w, const PgQuery__UpdateStmt *s, struct columns *out);
void change_delete(struct walk *w, const PgQuery__DeleteStmt *s, struct columns *out);
void change_merge(struct walk *w, const PgQuery__MergeStmt *s);

/* What becomes a lineage_statement; strings in the scratch arena. */
struct found {
    enum lineage_kind kind;
    const char *name;
    struct columns outputs;
    struct lineage_copy copy;
    struct effects effects;
};

/* lineage_statement.c, lineage_ddl.c, lineage_alter.c, lineage_copy.c */
void lineage_statement_walk(struct walk *w, const PgQuery__Node *n, struct found *f);
bool ddl_walk(struct walk *w, const PgQuery__Node *n); /* false: not one of these */
bool alter_walk(struct walk *w, const PgQuery__Node *n);
/* NULL: it is not in the catalog (yet), or names may have changed, with a note. */
const struct catalog_relation *ddl_relation(struct walk *w, const PgQuery__RangeVar *r);
/* Returns its marks; `what` NULL: it is touched, but stays what it is. */
uint64_t ddl_relation_touch(struct walk *w, const PgQuery__RangeVar *r, const char *what);
void ddl_new_expression(struct walk *w, const PgQuery__Node *n);
/* `n` NULL: the column `name`. */
void ddl_kept_expression(struct walk *w, const PgQuery__RangeVar *r, const PgQuery__Node *n,
                         const char *name, const char *what);
void ddl_create_table(struct walk *w, const PgQuery__CreateStmt *s);
void ddl_constraint(struct walk *w, const PgQuery__Constraint *c);
void ddl_column(struct walk *w, const PgQuery__ColumnDef *c);
void copy_walk(struct walk *w, const PgQuery__CopyStmt *s, struct found *f);

#endif
