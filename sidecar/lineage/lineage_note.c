/* The walk's own state: its limits, and what it notes down. */
#include <stdio.h>

#include "sidecar/lineage/lineage_internal.h"

enum { WHY_MAX = 512 };

bool walk_enter(struct walk *w)
{
    walk_step(w, 1);
    if (w->failed == OK && w->depth >= WALK_DEPTH_MAX) {
        w->failed = ERR_LIMIT;
    }
    if (w->failed != OK) {
        return false;
    }
    w->depth++;
    return true;
}

void walk_leave(struct walk *w)
{
    w->depth--;
}

void walk_step(struct walk *w, size_t count)
{
    w->steps += count;
    if (w->steps > WALK_STEPS_MAX && w->failed == OK) {
        w->failed = ERR_LIMIT;
    }
}

void *walk_alloc(struct walk *w, size_t size)
{
    void *memory = arena_alloc(w->arena, size);
    if (memory == NULL && w->failed == OK) {
        w->failed = ERR_NO_MEMORY;
    }
    return memory;
}

static const char *keep(struct walk *w, const char *text)
{
    char *copy = arena_copy_string(w->arena, bytes_of_string(text));
    if (copy == NULL && w->failed == OK) {
        w->failed = ERR_NO_MEMORY;
    }
    return copy;
}

static void why_keep(struct walk *w, const char **why, const char *format, const char *name)
    __attribute__((format(printf, 3, 0)));
static void why_keep(struct walk *w, const char **why, const char *format, const char *name)
{
    if (*why == NULL) {
        char text[WHY_MAX];
        (void)snprintf(text, sizeof(text), format, name); // NOLINT: formats are this folder's own
        *why = keep(w, text);
    }
}

struct value note_unknown(struct walk *w, const char *format, const char *name)
{
    w->effects->unknown = true;
    why_keep(w, &w->effects->unknown_why, format, name);
    return (struct value){.origin = LINEAGE_UNKNOWN};
}

void note_stored_unknown(struct walk *w, const char *format, const char *name)
{
    w->effects->stored |= LINEAGE_SENSITIVE;
    why_keep(w, &w->effects->stored_why, format, name);
}

static const char *used_in(struct walk *w, struct value v, const char *verb, const char *where)
{
    char why[WHY_MAX];
    if (v.relation != NULL && v.column != NULL) {
        (void)snprintf(why, sizeof(why), "%s.%s.%s is %s %s", v.relation->schema, v.relation->name,
                       v.column->name, verb, where);
    } else {
        (void)snprintf(why, sizeof(why), "a masked column is %s %s", verb, where);
    }
    return keep(w, why);
}

void note_filtered(struct walk *w, struct value v, const char *where)
{
    w->effects->filtered |= v.rules;
    if (v.rules != 0 && w->effects->filtered_why == NULL) {
        w->effects->filtered_why = used_in(w, v, "used in", w->clause != NULL ? w->clause : where);
    }
}

void note_stored(struct walk *w, struct value v, const char *where)
{
    w->effects->stored |= v.rules;
    if (v.rules != 0 && w->effects->stored_why == NULL) {
        w->effects->stored_why = used_in(w, v, "stored by", where);
    }
}

void note_altered(struct walk *w, uint64_t rules, const struct catalog_relation *r,
                  const char *what)
{
    w->effects->altered |= rules;
    if (rules == 0 || w->effects->altered_why != NULL) {
        return;
    }
    char why[WHY_MAX];
    if (r == NULL) {
        (void)snprintf(why, sizeof(why), "%s changes masked tables", what);
    } else {
        (void)snprintf(why, sizeof(why), "%s changes %s.%s, which has masked columns", what,
                       r->schema, r->name);
    }
    w->effects->altered_why = keep(w, why);
}

void note_stored_columns(struct walk *w, const struct columns *c, const char *where)
{
    for (size_t i = 0; i < c->count; i++) {
        note_stored(w, c->items[i].value, where);
    }
    if (c->is_open) {
        note_stored(w, c->rest, where);
    }
}

void note_filtered_columns(struct walk *w, const struct columns *c, const char *where)
{
    for (size_t i = 0; i < c->count; i++) {
        note_filtered(w, c->items[i].value, where);
    }
    if (c->is_open) {
        note_filtered(w, c->rest, where);
    }
}

/* ---- nodes -----------------------------------------------------------------------------------
 */

const char *node_text(const PgQuery__Node *n)
{
    return n != NULL && n->node_case == PG_QUERY__NODE__NODE_STRING ? n->string->sval : NULL;
}

const char *names_last(size_t count, PgQuery__Node *const *names, const char **out_schema)
{
    const char *name = count == 0 ? NULL : node_text(names[count - 1]);
    *out_schema = count < 2 ? NULL : node_text(names[count - 2]);
    return name == NULL ? "" : name;
}

const char *text_or_null(const char *text)
{
    return text == NULL || text[0] == '\0' ? NULL : text;
}
