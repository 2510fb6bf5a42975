/* Names of columns and relations, resolved as parse_relation.c and parse_target.c do. */
#include "sidecar/lineage/lineage_internal.h"

enum find columns_find(const struct columns *c, const char *name, struct value *out)
{
    enum find found = FIND_NONE;
    bool may_be = c->is_open;
    struct value open = c->is_open ? c->rest : (struct value){0};
    for (size_t i = 0; i < c->count; i++) {
        struct value v = c->items[i].value;
        if (strcmp(c->items[i].name, name) == 0) {
            *out = found == FIND_NONE ? v : value_mix(*out, v);
            found = FIND_SOME;
        } else if (c->items[i].name[0] == '\0') {
            open = value_mix(open, v);
            may_be = true;
        }
    }
    if (found == FIND_NONE && may_be) {
        *out = open;
        return FIND_OPEN;
    }
    return found;
}

static bool is_system_column(const char *name)
{
    static const char *const names[] = {"cmax", "cmin", "ctid", "tableoid", "xmax", "xmin"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (strcmp(names[i], name) == 0) {
            return true;
        }
    }
    return false;
}

static enum find item_find(const struct item *i, const char *name, struct value *out)
{
    enum find found = columns_find(&i->columns, name, out);
    if (found != FIND_SOME && i->has_system_columns && is_system_column(name)) {
        *out = (struct value){0};
        return FIND_SOME;
    }
    return found;
}

static bool item_is_reachable(const struct level *l, const struct item *i)
{
    return !i->is_lateral_only || l->is_lateral_active;
}

/* Found in several relations of a level, the server refuses; it is taken for all of them. */
enum find level_find(const struct level *l, const char *name, struct value *out)
{
    bool is_found = false, may_be = false;
    struct value some = {0}, open = {0};
    for (size_t i = 0; l != NULL && i < l->names.count; i++) {
        const struct item *item = l->names.items[i];
        struct value v = {0};
        if (!item->are_columns_visible || !item_is_reachable(l, item)) {
            continue;
        }
        switch (item_find(item, name, &v)) {
        case FIND_SOME:
            some = is_found ? value_mix(some, v) : v;
            is_found = true;
            break;
        case FIND_OPEN:
            open = value_mix(open, v);
            may_be = true;
            break;
        case FIND_NONE: break;
        }
    }
    *out = is_found ? some : open;
    return is_found ? FIND_SOME : may_be ? FIND_OPEN : FIND_NONE;
}

/* An unlisted column of an inner level may be meant, or a listed one further out: then both. */
static enum find name_find(struct walk *w, const char *name, struct value *out)
{
    struct value so_far = {0};
    enum find result = FIND_NONE;
    for (const struct level *l = w->level; l != NULL; l = l->outer) {
        struct value v = {0};
        enum find found = level_find(l, name, &v);
        if (found == FIND_NONE) {
            continue;
        }
        *out = result == FIND_NONE ? v : value_mix(so_far, v);
        so_far = *out;
        result = found;
        if (found == FIND_SOME) {
            break;
        }
    }
    return result;
}

/* The relation of this name that is seen from here; `schema` NULL: by its name alone. */
static const struct item *item_of_name(struct walk *w, const char *schema, const char *name)
{
    const struct catalog_relation *r = NULL;
    if (schema != NULL) {
        r = catalog_relation_find(marks_catalog(w->marks), schema, name);
        if (r == NULL) {
            return NULL;
        }
    }
    for (const struct level *l = w->level; l != NULL; l = l->outer) {
        for (size_t i = 0; i < l->names.count; i++) {
            const struct item *item = l->names.items[i];
            bool is_it = schema == NULL ? strcmp(item->name, name) == 0 : item->relation == r;
            if (is_it && item->is_name_visible && item_is_reachable(l, item)) {
                return item;
            }
        }
    }
    return NULL;
}

/* The relation before the last field of `a.b`, `s.a.b`, `db.s.a.b`. */
static const struct item *item_of_fields(struct walk *w, size_t count, PgQuery__Node *const *fields)
{
    const char *name = count == 0 ? NULL : node_text(fields[count - 1]);
    const char *schema = count < 2 ? NULL : node_text(fields[count - 2]);
    if (name == NULL || (count > 1 && schema == NULL) || count > 3) {
        return NULL;
    }
    return item_of_name(w, schema, name);
}

static struct value qualified_value(struct walk *w, const PgQuery__ColumnRef *c, const char *name)
{
    const struct item *item = item_of_fields(w, c->n_fields - 1, c->fields);
    if (item == NULL) {
        return note_unknown(w, "the column %s is not known", name);
    }
    struct value v = {0};
    enum find found = item_find(item, name, &v);
    if (found == FIND_SOME) {
        return v;
    }
    /* Not a column: a function of the whole row, which of a function is what it returns. */
    struct value row = columns_mix(&item->columns);
    return found == FIND_OPEN ? notation_value(w, name, row) : field_value_of(w, name, row);
}

/* All columns that `*` or `t.*` stands for, as one value. */
static struct value star_value(struct walk *w, const PgQuery__ColumnRef *c)
{
    struct columns all = {0};
    star_columns(w, c, &all);
    return value_computed(columns_mix(&all));
}

struct value column_value(struct walk *w, const PgQuery__ColumnRef *c)
{
    const char *name = c->n_fields == 0 ? NULL : node_text(c->fields[c->n_fields - 1]);
    if (name == NULL) {
        return star_value(w, c);
    }
    if (c->n_fields > 1) {
        return qualified_value(w, c, name);
    }
    struct value v = {0};
    enum find found = name_find(w, name, &v);
    if (found == FIND_SOME) {
        return v;
    }
    /* The whole row, unless an unlisted column has this name. */
    const struct item *item = item_of_name(w, NULL, name);
    if (item != NULL) {
        return value_computed(value_mix(v, columns_mix(&item->columns)));
    }
    return found == FIND_OPEN ? v : note_unknown(w, "the column %s is not known", name);
}

bool column_is_star(const PgQuery__Node *n)
{
    if (n == NULL || n->node_case != PG_QUERY__NODE__NODE_COLUMN_REF) {
        return false;
    }
    const PgQuery__ColumnRef *c = n->column_ref;
    return c->n_fields > 0 && c->fields[c->n_fields - 1]->node_case == PG_QUERY__NODE__NODE_A_STAR;
}

bool column_is_row(struct walk *w, const PgQuery__Node *n)
{
    struct value ignored = {0};
    if (column_is_star(n)) {
        return true;
    }
    const char *name =
        n->node_case == PG_QUERY__NODE__NODE_COLUMN_REF && n->column_ref->n_fields == 1
            ? node_text(n->column_ref->fields[0])
            : NULL;
    return name != NULL && name_find(w, name, &ignored) == FIND_NONE &&
           item_of_name(w, NULL, name) != NULL;
}

void star_columns(struct walk *w, const PgQuery__ColumnRef *c, struct columns *out)
{
    if (c->n_fields > 1) {
        const struct item *item = item_of_fields(w, c->n_fields - 1, c->fields);
        if (item != NULL) {
            columns_copy(w, out, &item->columns);
            return;
        }
        out->rest = value_mix(out->rest, note_unknown(w, "what %s stands for is not known", "*"));
        out->is_open = true;
        return;
    }
    for (size_t i = 0; w->level != NULL && i < w->level->names.count; i++) {
        const struct item *item = w->level->names.items[i];
        if (item->are_columns_visible && item_is_reachable(w->level, item)) {
            columns_copy(w, out, &item->columns);
        }
    }
}
