/* What column names mean: the relations that are in scope on each level of a query; for this folder
 * only.
 *
 * Without a catalog it is not known which relation a bare name belongs to: it counts for every
 * table on its level and on those around it. What cannot be resolved counts as all columns of all
 * of them. */
#ifndef CHAPERONE_SIDECAR_SQL_SCOPE_H
#define CHAPERONE_SIDECAR_SQL_SCOPE_H

#include "sidecar/sql/sql_walk.h"

/* A name that columns can be qualified with. */
struct scope_item {
    uint32_t name;                  /* of columns_intern; 0: none */
    const PgQuery__RangeVar *table; /* NULL: a join's alias, or what has columns of its own */
    uint32_t object;                /* where it is found; NO_OBJECT: not yet */
    enum sql_access access;
    bool is_renamed; /* its columns have other names here */
    bool is_join;    /* stands for the items from `first` until itself */
    uint32_t first;
};

struct level {
    struct level *outer;
    struct scope_item *items; /* in the scratch arena */
    uint32_t count, capacity;
    uint32_t visible; /* items on this level and around it */
    struct column_set bare;
};

/* Lives on the walker's stack. */
void level_open(struct walk *w, struct level *l);
/* Gives each table of the level what was read of it. */
void level_close(struct walk *w, struct level *l);

/* All relations of a FROM clause, before anything that may name them is walked. */
void level_add_from(struct walk *w, size_t count, PgQuery__Node *const *from);
/* What a statement changes; it is found (with `access`) when something of it is used. */
void level_add_target(struct walk *w, const PgQuery__RangeVar *target, enum sql_access access);
/* A name that has no columns of a table: `excluded`. */
void level_add_name(struct walk *w, const char *name);
/* What else is in a FROM clause: subqueries, functions, conditions of joins. */
void from_walk(struct walk *w, size_t count, PgQuery__Node *const *from);

void scope_walk_column(struct walk *w, const PgQuery__ColumnRef *ref);
/* Something of a level is used that cannot be told: all columns of all of it. */
void scope_use_all(struct walk *w);

#endif
