/* WITH: a query by name, also one that reads itself (parse_cte.c). */
#include "sidecar/lineage/lineage_internal.h"

/* Until what is known of a recursive query does not grow any more. Its values can move by one
 * column each time. */
enum { ROUNDS_MAX = 32 };

static bool recursion_is_stable(const struct columns *a, const struct columns *b)
{
    bool same = a->count == b->count && a->is_open == b->is_open;
    for (size_t i = 0; same && i < a->count; i++) {
        same = value_equal(a->items[i].value, b->items[i].value);
    }
    return same && (!a->is_open || value_equal(a->rest, b->rest));
}

/* What was known stays known: a round only adds. */
static void recursion_grow(const struct columns *old, struct columns *new)
{
    for (size_t i = 0; i < new->count; i++) {
        struct value before = i < old->count ? old->items[i].value : old->rest;
        if (before.rules != 0 || before.origin == LINEAGE_UNKNOWN) {
            new->items[i].value = value_merge(before, new->items[i].value);
        }
    }
}

static void columns_give_up(struct walk *w, struct columns *c)
{
    struct value v =
        value_mix(columns_mix(c), note_unknown(w, "what a %s makes is not known", "recursion"));
    for (size_t i = 0; i < c->count; i++) {
        c->items[i].value = v;
    }
    c->rest = v;
}

/* SEARCH and CYCLE add columns, made of those that they name. */
static void search_columns(struct walk *w, const PgQuery__CommonTableExpr *n, struct columns *c)
{
    struct value v = value_computed(columns_mix(c));
    if (n->search_clause != NULL) {
        columns_add(w, c, n->search_clause->search_seq_column, v);
    }
    if (n->cycle_clause != NULL) {
        note_filtered(w, v, "CYCLE");
        columns_add(w, c, n->cycle_clause->cycle_mark_column, v);
        columns_add(w, c, n->cycle_clause->cycle_path_column, v);
    }
}

static void cte_round(struct walk *w, struct cte *cte, struct columns *out)
{
    const PgQuery__CommonTableExpr *n = cte->node;
    query_any(w, n->ctequery, out);
    columns_rename(w, out, n->n_aliascolnames, n->aliascolnames);
    search_columns(w, n, out);
}

/* At first nothing is known of what it reads of itself: no rows, hence clean. */
static void cte_recurse(struct walk *w, struct cte *cte)
{
    cte->columns = (struct columns){.is_open = true};
    for (int round = 0; round < ROUNDS_MAX && w->failed == OK; round++) {
        struct columns next = {0};
        cte_round(w, cte, &next);
        recursion_grow(&cte->columns, &next);
        bool is_stable = recursion_is_stable(&cte->columns, &next);
        cte->columns = next;
        if (is_stable) {
            return;
        }
    }
    columns_give_up(w, &cte->columns);
}

static void cte_evaluate(struct walk *w, struct cte *cte)
{
    struct level *level = w->level;
    struct cte *ctes = w->ctes;
    w->level = cte->level;
    w->ctes = *cte->visible;
    cte->state = CTE_BUSY;
    cte->around = w->evaluated;
    w->evaluated = cte;
    if (cte->is_recursive) {
        cte_recurse(w, cte);
    } else {
        cte_round(w, cte, &cte->columns);
    }
    cte->state = CTE_DONE;
    w->evaluated = cte->around;
    w->level = level;
    w->ctes = ctes;
}

/* One that reads another of its own WITH while that is not finished would be finished too early:
 * mutual recursion, which the server refuses. */
static void recursion_check(struct walk *w, const struct cte *c)
{
    for (const struct cte *k = w->evaluated; k != NULL && k != c; k = k->around) {
        if (k->visible == c->visible) {
            (void)note_unknown(w, "what the mutual recursion of %s makes is not known",
                               c->node->ctename);
        }
    }
}

bool cte_columns(struct walk *w, const char *name, struct columns *out)
{
    for (struct cte *c = w->ctes; c != NULL; c = c->next) {
        if (strcmp(c->node->ctename, name) != 0) {
            continue;
        }
        /* WITH RECURSIVE may name one that comes later. */
        if (c->state == CTE_NEW && walk_enter(w)) {
            cte_evaluate(w, c);
            walk_leave(w);
        }
        if (c->state == CTE_BUSY) {
            recursion_check(w, c);
        }
        columns_copy(w, out, &c->columns);
        return true;
    }
    return false;
}

static struct cte *cte_new(struct walk *w, const PgQuery__Node *n, bool is_recursive)
{
    if (n->node_case != PG_QUERY__NODE__NODE_COMMON_TABLE_EXPR) {
        (void)note_unknown(w, "a part of %s is not known", "WITH");
        return NULL;
    }
    struct cte *c = walk_alloc(w, sizeof(*c));
    struct cte **visible = walk_alloc(w, sizeof(*visible));
    if (c == NULL || visible == NULL) {
        return NULL;
    }
    *visible = w->ctes;
    *c = (struct cte){.node = n->common_table_expr,
                      .next = w->ctes,
                      .visible = visible,
                      .level = w->level,
                      .is_recursive = is_recursive};
    return c;
}

static void with_recursive(struct walk *w, const PgQuery__WithClause *with)
{
    struct cte *outer = w->ctes;
    struct cte **all = walk_alloc(w, sizeof(*all));
    for (size_t i = 0; all != NULL && i < with->n_ctes && w->failed == OK; i++) {
        struct cte *c = cte_new(w, with->ctes[i], true);
        if (c != NULL) {
            c->visible = all; /* they all see each other */
            w->ctes = c;
        }
    }
    if (all == NULL) {
        return;
    }
    *all = w->ctes;
    for (struct cte *c = w->ctes; c != outer && w->failed == OK; c = c->next) {
        if (c->state == CTE_NEW) {
            cte_evaluate(w, c);
        }
    }
}

void with_enter(struct walk *w, const PgQuery__WithClause *with)
{
    if (with == NULL) {
        return;
    }
    if (with->recursive) {
        with_recursive(w, with);
        return;
    }
    for (size_t i = 0; i < with->n_ctes && w->failed == OK; i++) {
        struct cte *c = cte_new(w, with->ctes[i], false);
        if (c != NULL) {
            cte_evaluate(w, c);
            w->ctes = c;
        }
    }
}
