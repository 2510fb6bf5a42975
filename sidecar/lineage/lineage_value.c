/* Values, columns and effects: how what is known of two becomes what is known of both. */
#include "sidecar/lineage/lineage_internal.h"

static struct value with_source(struct value v, struct value a, struct value b)
{
    struct value source = a.relation != NULL ? a : b;
    v.relation = source.relation;
    v.column = source.column;
    return v;
}

struct value value_mix(struct value a, struct value b)
{
    struct value v = {.origin = LINEAGE_COMPUTED, .rules = a.rules | b.rules};
    if (a.origin == LINEAGE_UNKNOWN || b.origin == LINEAGE_UNKNOWN) {
        v.origin = LINEAGE_UNKNOWN;
    } else if (a.origin == LINEAGE_CLEAN && b.origin == LINEAGE_CLEAN) {
        v.origin = LINEAGE_CLEAN;
    }
    return with_source(v, a, b);
}

struct value value_merge(struct value a, struct value b)
{
    return a.origin == LINEAGE_COLUMN && b.origin == LINEAGE_COLUMN && a.rules == b.rules
               ? a
               : value_mix(a, b);
}

struct value value_computed(struct value v)
{
    if (v.origin == LINEAGE_COLUMN) {
        v.origin = LINEAGE_COMPUTED;
    }
    return v;
}

bool value_equal(struct value a, struct value b)
{
    return a.origin == b.origin && a.rules == b.rules;
}

struct value columns_mix(const struct columns *c)
{
    struct value v = {0};
    for (size_t i = 0; i < c->count; i++) {
        v = value_mix(v, c->items[i].value);
    }
    return c->is_open ? value_mix(v, c->rest) : v;
}

bool columns_are_named(const struct columns *c)
{
    for (size_t i = 0; i < c->count; i++) {
        if (c->items[i].name[0] == '\0') {
            return false;
        }
    }
    return !c->is_open;
}

static void why_merge(const char **into, const char *from)
{
    if (*into == NULL) {
        *into = from;
    }
}

void effects_merge(struct effects *into, const struct effects *from)
{
    into->reach |= from->reach;
    into->filtered |= from->filtered;
    into->stored |= from->stored;
    into->altered |= from->altered;
    why_merge(&into->filtered_why, from->filtered_why);
    why_merge(&into->stored_why, from->stored_why);
    why_merge(&into->altered_why, from->altered_why);
    why_merge(&into->unknown_why, from->unknown_why);
    into->unknown = into->unknown || from->unknown;
    into->changes_catalog = into->changes_catalog || from->changes_catalog;
    into->changes_path = into->changes_path || from->changes_path;
    into->may_speak = into->may_speak || from->may_speak;
    into->reads_views = into->reads_views || from->reads_views;
}

/* ---- columns ---------------------------------------------------------------------------------
 */

static bool columns_grow(struct walk *w, struct columns *c)
{
    if (c->count < c->capacity) {
        return true;
    }
    size_t capacity = c->capacity == 0 ? 8 : c->capacity * 2;
    struct column *more = walk_alloc(w, capacity * sizeof(*more));
    if (more == NULL) {
        return false;
    }
    if (c->count > 0) {
        memcpy(more, c->items, c->count * sizeof(*more));
    }
    c->items = more;
    c->capacity = capacity;
    return true;
}

void columns_add(struct walk *w, struct columns *c, const char *name, struct value v)
{
    walk_step(w, 1);
    if (w->failed == OK && columns_grow(w, c)) {
        c->items[c->count++] = (struct column){.name = name, .value = v};
    }
}

void columns_copy(struct walk *w, struct columns *into, const struct columns *from)
{
    for (size_t i = 0; i < from->count && w->failed == OK; i++) {
        columns_add(w, into, from->items[i].name, from->items[i].value);
    }
    if (from->is_open) {
        into->rest = value_mix(into->rest, from->rest);
        into->is_open = true;
    }
}

/* Where no place is known, each of the names may be of any column. */
static void columns_rename_open(struct walk *w, struct columns *c, size_t count,
                                PgQuery__Node *const *names)
{
    struct columns renamed = {.is_open = true, .rest = columns_mix(c)};
    for (size_t i = 0; i < count && w->failed == OK; i++) {
        const char *name = node_text(names[i]);
        columns_add(w, &renamed, name == NULL ? "" : name, renamed.rest);
    }
    *c = renamed;
}

void columns_rename(struct walk *w, struct columns *c, size_t count, PgQuery__Node *const *names)
{
    if (c->is_open && count > 0) {
        columns_rename_open(w, c, count, names);
        return;
    }
    for (size_t i = 0; i < count && i < c->count; i++) {
        const char *name = node_text(names[i]);
        c->items[i].name = name == NULL ? "" : name;
    }
}
