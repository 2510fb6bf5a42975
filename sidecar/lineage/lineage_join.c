/* JOIN (transformFromClauseItem, parse_clause.c). */
#include "sidecar/lineage/lineage_internal.h"

struct join {
    const struct columns *left, *right;
    struct columns merged; /* of USING or NATURAL */
};

static void join_merge(struct walk *w, struct join *j, const char *name)
{
    struct value left = {0}, right = {0};
    enum find on_left = columns_find(j->left, name, &left);
    enum find on_right = columns_find(j->right, name, &right);
    if (on_left == FIND_NONE || on_right == FIND_NONE) {
        left = value_mix(left, note_unknown(w, "the column %s is not known", name));
    }
    struct value v = value_merge(left, right);
    if (on_left == FIND_OPEN || on_right == FIND_OPEN) {
        j->merged.is_open = true; /* it stands among the others once more */
        j->merged.rest = value_mix(j->merged.rest, v);
    }
    note_filtered(w, v, "JOIN ... USING");
    operator_check(w, NULL, "=", &v);
    columns_add(w, &j->merged, name, v);
}

static void join_using(struct walk *w, const PgQuery__JoinExpr *e, struct join *j)
{
    for (size_t i = 0; i < e->n_using_clause && w->failed == OK; i++) {
        const char *name = node_text(e->using_clause[i]);
        join_merge(w, j, name == NULL ? "" : name);
    }
}

/* Which columns it compares is only known when all of both sides are. */
static void join_natural(struct walk *w, struct join *j)
{
    if (!columns_are_named(j->left) || !columns_are_named(j->right)) {
        struct value v =
            note_unknown(w, "which columns a %s compares is not known", "NATURAL JOIN");
        v = value_mix(v, value_mix(columns_mix(j->left), columns_mix(j->right)));
        note_filtered(w, v, "NATURAL JOIN");
        j->merged.is_open = true;
        j->merged.rest = v;
        return;
    }
    for (size_t i = 0; i < j->left->count && w->failed == OK; i++) {
        struct value ignored;
        walk_step(w, j->right->count);
        if (columns_find(j->right, j->left->items[i].name, &ignored) != FIND_NONE) {
            join_merge(w, j, j->left->items[i].name);
        }
    }
}

static bool is_merged(const struct join *j, const char *name)
{
    for (size_t i = 0; i < j->merged.count; i++) {
        if (strcmp(j->merged.items[i].name, name) == 0) {
            return true;
        }
    }
    return false;
}

/* The merged columns once, then the others of the left and of the right. */
static void join_columns(struct walk *w, const struct join *j, struct columns *out)
{
    const struct columns *sides[] = {j->left, j->right};
    columns_copy(w, out, &j->merged);
    for (size_t s = 0; s < 2; s++) {
        for (size_t i = 0; i < sides[s]->count && w->failed == OK; i++) {
            const struct column *c = &sides[s]->items[i];
            if (j->merged.count == 0 || !is_merged(j, c->name)) {
                columns_add(w, out, c->name, c->value);
            }
        }
        if (sides[s]->is_open) {
            out->rest = value_mix(out->rest, sides[s]->rest);
            out->is_open = true;
        }
    }
}

/* ON sees both sides and what is outside of the query, not the rest of its FROM. */
static void join_on(struct walk *w, const PgQuery__JoinExpr *e, const struct names *sides)
{
    if (e->quals != NULL) {
        struct names saved = w->level->names;
        w->level->names = *sides;
        expr_filter(w, e->quals, "JOIN ... ON");
        w->level->names = saved;
    }
}

static void sides_hide(struct walk *w, const PgQuery__JoinExpr *e, const struct names *sides,
                       struct names *out)
{
    if (e->alias != NULL) {
        return; /* an alias hides both sides */
    }
    for (size_t i = 0; i < sides->count; i++) {
        sides->items[i]->are_columns_visible = false;
        names_add(w, out, sides->items[i]);
    }
}

static struct item *join_make(struct walk *w, const PgQuery__JoinExpr *e, struct join *j,
                              const struct names *sides, struct names *out)
{
    if (e->is_natural) {
        join_natural(w, j);
    } else {
        join_using(w, e, j);
    }
    join_on(w, e, sides);
    sides_hide(w, e, sides, out);
    struct item *i = item_new(w, e->alias == NULL ? "" : e->alias->aliasname);
    if (i == NULL) {
        return NULL;
    }
    join_columns(w, j, &i->columns);
    i->is_name_visible = e->alias != NULL;
    if (e->alias != NULL) {
        columns_rename(w, &i->columns, e->alias->n_colnames, e->alias->colnames);
    }
    names_add(w, out, i);
    if (e->join_using_alias != NULL) {
        struct item *using = item_new(w, e->join_using_alias->aliasname);
        if (using != NULL) {
            columns_copy(w, &using->columns, &j->merged);
            using->are_columns_visible = false;
            names_add(w, out, using);
        }
    }
    return i;
}

struct item *join_item(struct walk *w, const PgQuery__JoinExpr *e, struct names *out)
{
    struct names left = {0}, right = {0};
    struct item *l = from_item(w, e->larg, &left);
    /* The right side may see the left one, if it is LATERAL. */
    names_set_lateral(&left, true);
    size_t before = w->level->names.count;
    for (size_t i = 0; i < left.count; i++) {
        names_add(w, &w->level->names, left.items[i]);
    }
    struct item *r = from_item(w, e->rarg, &right);
    w->level->names.count = before;
    if (l == NULL || r == NULL || w->failed != OK) {
        return NULL;
    }
    for (size_t i = 0; i < right.count; i++) {
        names_add(w, &left, right.items[i]);
    }
    names_set_lateral(&left, false);
    struct join j = {.left = &l->columns, .right = &r->columns};
    return join_make(w, e, &j, &left, out);
}
