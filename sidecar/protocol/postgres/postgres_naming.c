/* Prepared statements and cursors of SQL: what PREPARE and DECLARE name is kept beside what the
 * protocol names (the server has one namespace for both), and EXECUTE and FETCH are decided by what
 * they really run. A name changes when the server has said that its statement is done. */
#include <stdlib.h>

#include "sidecar/protocol/postgres/postgres_internal.h"

uint64_t postgres_name_changes(const struct postgres *p)
{
    return pg_names_changes(p->statements) + pg_names_changes(p->portals);
}

/* ---- what a text runs that it does not show ------------------------------------------------- */

/* Also what an earlier statement of the same text names. */
static struct bytes text_of_name(struct postgres *p, const struct sql_namings *n, size_t at)
{
    const struct sql_naming *item = &n->items[at];
    bool is_cursor = item->kind == SQL_NAMING_FETCH;
    for (size_t i = at; i-- > 0;) {
        const struct sql_naming *before = &n->items[i];
        bool names = before->kind == (is_cursor ? SQL_NAMING_DECLARE : SQL_NAMING_PREPARE);
        if (names && strcmp(before->name, item->name) == 0) {
            return before->query;
        }
    }
    struct bytes name = bytes_of_string(item->name);
    const struct pg_statement *s = NULL;
    if (is_cursor) {
        const struct pg_portal *portal = pg_names_find(p->portals, name);
        s = portal == NULL ? NULL : portal->statement;
        p->names_are_open |= portal != NULL && pg_queue_is_open(&p->queue, portal->sent);
    } else {
        s = pg_names_find(p->statements, name);
        p->names_are_open |= s != NULL && pg_queue_is_open(&p->queue, s->sent);
    }
    return s == NULL ? (struct bytes){0} : bytes_of(s->text, s->text_size);
}

static bool keep_followed(struct postgres *p, struct sql_analysis *a)
{
    if (p->followed_count == PG_FOLLOWED_MAX) {
        sql_analysis_destroy(a);
        return false;
    }
    p->followed[p->followed_count++] = a;
    return true;
}

void postgres_forget_followed(struct postgres *p)
{
    p->has_followed = false;
    p->names_are_open = false;
    while (p->followed_count > 0) {
        sql_analysis_destroy(p->followed[--p->followed_count]);
    }
}

/* What is approved is what the name stands for, not the name. */
static void hash_followed(struct postgres *p, struct bytes text)
{
    uint8_t size[8];
    for (size_t i = 0; i < sizeof(size); i++) {
        size[i] = (uint8_t)((uint64_t)text.size >> (8 * i));
    }
    if (!p->has_followed) {
        p->has_followed = true;
        crypto_sha256_init(&p->followed_texts);
    }
    crypto_sha256_update(&p->followed_texts, bytes_of(size, sizeof(size)));
    crypto_sha256_update(&p->followed_texts, text);
}

/* What EXECUTE's own parameters call stays; that it runs something unknown goes. */
static bool merge(struct arena *scratch, struct sql_statement *s, const struct sql_analysis *inner,
                  bool is_fetch)
{
    if (inner->statement_count != 1) {
        return true;
    }
    const struct sql_statement outer = *s;
    const struct sql_statement *in = &inner->statements[0];
    struct sql_object *objects =
        arena_alloc(scratch, (outer.object_count + in->object_count + 1) * sizeof(*objects));
    if (objects == NULL) {
        return false;
    }
    size_t count = 0;
    for (size_t i = 0; i < in->object_count; i++) {
        objects[count++] = in->objects[i];
    }
    uint32_t accesses = outer.accesses;
    if (!is_fetch) {
        accesses &= ~(1u << SQL_PROCEDURAL);
    }
    for (size_t i = 0; i < outer.object_count; i++) {
        if (outer.objects[i].kind != SQL_STATEMENT) {
            objects[count++] = outer.objects[i];
            accesses |= 1u << outer.objects[i].access;
        }
    }
    *s = *in;
    s->objects = objects;
    s->object_count = count;
    s->accesses |= accesses;
    s->command = is_fetch ? outer.command : in->command;
    return true;
}

/* The analysis of the outer text, with each EXECUTE and FETCH replaced by what it runs. What is not
 * known by its name stays as it is: code that the text does not show. False: no memory. */
static bool follow(struct postgres *p, const struct sql_namings *n,
                   const struct sql_analysis **analysis)
{
    const struct sql_analysis *outer = *analysis;
    struct arena *scratch = p->shared->scratch;
    struct sql_analysis *merged = arena_alloc(scratch, sizeof(*merged));
    struct sql_statement *statements =
        arena_alloc(scratch, (outer->statement_count + 1) * sizeof(*statements));
    if (merged == NULL || statements == NULL) {
        return false;
    }
    if (outer->statement_count > 0) {
        memcpy(statements, outer->statements, outer->statement_count * sizeof(*statements));
    }
    for (size_t i = 0; i < n->count; i++) {
        const struct sql_naming *item = &n->items[i];
        bool is_fetch = item->kind == SQL_NAMING_FETCH;
        if ((!is_fetch && item->kind != SQL_NAMING_EXECUTE) || item->name == NULL ||
            item->statement >= outer->statement_count) {
            continue;
        }
        struct sql_statement *s = &statements[item->statement];
        struct bytes text = text_of_name(p, n, i);
        hash_followed(p, text);
        struct sql_analysis *inner = NULL;
        bool is_plain = is_fetch || strcmp(s->command, "EXECUTE") == 0;
        if (text.size > 0 && is_plain &&
            sql_analyse(text, p->shared->statement_max, &inner, NULL) == OK &&
            keep_followed(p, inner) && !merge(scratch, s, inner, is_fetch)) {
            return false;
        }
    }
    *merged =
        (struct sql_analysis){.statements = statements, .statement_count = outer->statement_count};
    *analysis = merged;
    return true;
}

/* ---- what it does with names --------------------------------------------------------------- */

/* The plan of a query that stands in another text. NULL: nothing is masked, or it is not known:
 * then what runs it is refused or masked whole. */
static struct pg_plan *plan_inner(struct postgres *p, struct bytes query)
{
    struct sql_analysis *a = NULL;
    struct pg_refusal refused = {0};
    if (p->masking.masks == NULL || sql_analyse(query, p->shared->statement_max, &a, NULL) != OK) {
        return NULL;
    }
    struct pg_plan *plan = postgres_masking_plan(p, query, a, true, &refused);
    sql_analysis_destroy(a);
    return plan;
}

static bool make_effect(struct postgres *p, const struct sql_naming *item, struct pg_effect *out)
{
    const struct pg_oids no_types = {0};
    *out = (struct pg_effect){.kind = (uint8_t)item->kind, .statement = item->statement};
    if (item->name != NULL) {
        out->name = strdup(item->name);
        if (out->name == NULL) {
            return false;
        }
    }
    if (item->kind != SQL_NAMING_PREPARE && item->kind != SQL_NAMING_DECLARE) {
        return true;
    }
    out->prepared = pg_statement_create(NULL, item->query, &no_types);
    if (out->prepared == NULL || item->kind == SQL_NAMING_PREPARE) {
        return out->prepared != NULL;
    }
    out->cursor = pg_portal_create(NULL, out->prepared);
    if (out->cursor == NULL) {
        return false;
    }
    out->cursor->state = PG_PORTAL_RUNNING;
    out->cursor->is_held = item->is_held;
    out->cursor->plan = plan_inner(p, item->query);
    return true;
}

static bool is_effect(enum sql_naming_kind kind)
{
    return kind != SQL_NAMING_EXECUTE && kind != SQL_NAMING_FETCH;
}

/* Each portal that is to name something has a copy of its query. */
static size_t text_size_of_named(const struct sql_namings *n)
{
    size_t size = 0;
    for (size_t i = 0; i < n->count; i++) {
        size += n->items[i].query.size;
    }
    return size;
}

static bool make_effects(struct postgres *p, const struct sql_namings *n, struct pg_effects **out)
{
    size_t text_size = text_size_of_named(n);
    struct pg_effects *e = text_size > PG_NAMES_TEXT_MAX - p->effects_size
                               ? NULL
                               : calloc(1, sizeof(*e) + n->count * sizeof(e->items[0]));
    bool good = e != NULL;
    if (good) {
        e->text_size = text_size;
        e->total = &p->effects_size;
        p->effects_size += text_size;
    }
    for (size_t i = 0; good && i < n->count; i++) {
        if (is_effect(n->items[i].kind)) {
            good = make_effect(p, &n->items[i], &e->items[e->count++]);
        }
    }
    if (!good || e->count == 0) {
        pg_effects_destroy(e);
        e = NULL;
    }
    *out = e;
    return good;
}

bool postgres_follow_names(struct postgres *p, struct bytes text,
                           const struct sql_analysis **analysis, struct pg_effects **out)
{
    struct sql_namings n = {0};
    *out = NULL;
    p->names_are_moving = false;
    postgres_forget_followed(p);
    if (!sql_has_namings(*analysis)) {
        return true;
    }
    size_t count = (*analysis)->statement_count;
    bool good =
        sql_namings_read(text, &n) == OK && follow(p, &n, analysis) && make_effects(p, &n, out);
    /* Within such a text a name may stand for something else by the time it is used. */
    p->names_are_moving = *out != NULL && count > 1;
    sql_namings_finish(&n);
    return good;
}

struct pg_plan *postgres_named_plan(struct postgres *p, bool is_cursor, const char *name)
{
    struct bytes b = bytes_of_string(name);
    if (p->names_are_moving) {
        return NULL;
    }
    if (is_cursor) {
        struct pg_portal *portal = pg_names_find(p->portals, b);
        /* The rows were chosen when it was opened; the masks must be those of now. */
        return portal != NULL && portal->plan != NULL && portal->plan->masks == p->masking.masks
                   ? portal->plan
                   : NULL;
    }
    struct pg_statement *s = pg_names_find(p->statements, b);
    if (s == NULL) {
        return NULL;
    }
    pg_plan_unref(s->plan);
    s->plan = plan_inner(p, bytes_of(s->text, s->text_size));
    return s->plan;
}

/* ---- the server has done it ----------------------------------------------------------------- */

/* Where a Parse or a Close behind it has the name already, it is that one's past. */
static bool put_behind(struct postgres *p, bool is_statement, const char *name, void *object)
{
    struct pg_sent *later = postgres_find_naming(p, is_statement, bytes_of_string(name), 1);
    if (later == NULL) {
        return false;
    }
    if (is_statement) {
        pg_statement_unref(later->previous_statement);
        later->previous_statement = pg_statement_ref(object);
    } else {
        if (later->previous_portal != NULL) {
            postgres_drop_portal(p, later->previous_portal);
        }
        pg_portal_unref(later->previous_portal);
        later->previous_portal = pg_portal_ref(object);
    }
    return true;
}

static void put(struct postgres *p, struct pg_names *names, const char *name, void *object)
{
    void *previous = NULL;
    if (put_behind(p, names == p->statements, name, object)) {
        return;
    }
    if (pg_names_put(names, bytes_of_string(name), object, &previous) != OK) {
        return; /* it is not known: what uses it is refused */
    }
    if (names == p->statements) {
        pg_statement_unref(previous);
    } else if (previous != NULL) {
        postgres_drop_portal(p, previous);
        pg_portal_unref(previous);
    }
}

static void apply(struct postgres *p, const struct pg_effect *e)
{
    switch ((enum sql_naming_kind)e->kind) {
    case SQL_NAMING_PREPARE: put(p, p->statements, e->name, e->prepared); break;
    case SQL_NAMING_DECLARE: put(p, p->portals, e->name, e->cursor); break;
    case SQL_NAMING_DEALLOCATE:
        if (e->name == NULL) {
            pg_names_clear(p->statements, NULL, NULL);
        } else {
            put(p, p->statements, e->name, NULL);
        }
        break;
    case SQL_NAMING_CLOSE:
        if (e->name == NULL) {
            pg_names_clear(p->portals, postgres_drop_portal, p);
        } else {
            put(p, p->portals, e->name, NULL);
        }
        break;
    case SQL_NAMING_DISCARD_ALL:
        pg_names_clear(p->statements, NULL, NULL);
        pg_names_clear(p->portals, postgres_drop_portal, p);
        break;
    case SQL_NAMING_EXECUTE:
    case SQL_NAMING_FETCH: break;
    }
}

void postgres_apply_names(struct postgres *p, const struct pg_sent *sent)
{
    size_t statement = sent->type == PG_FRONTEND_QUERY ? sent->statements_done : 0;
    for (size_t i = 0; sent->effects != NULL && i < sent->effects->count; i++) {
        if (sent->effects->items[i].statement == statement) {
            apply(p, &sent->effects->items[i]);
        }
    }
}
