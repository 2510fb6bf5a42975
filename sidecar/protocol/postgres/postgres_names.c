#include "sidecar/protocol/postgres/postgres_names.h"

#include <stdlib.h>

enum {
    BUCKETS = 32,
    SPARE_MAX = 1024, /* of a statement; longer ones are few, and their memory goes back */
};

void pg_spares_finish(struct pg_spares *spares)
{
    free(spares->statement);
    free(spares->portal);
    pg_result_destroy(spares->result);
    *spares = (struct pg_spares){0};
}

/* With room for `size` bytes behind it. */
static struct pg_statement *take_statement(struct pg_spares *home, size_t size)
{
    struct pg_statement *s = home == NULL ? NULL : home->statement;
    if (s == NULL || s->capacity < size) {
        size_t capacity = home != NULL && size < SPARE_MAX / 4 ? SPARE_MAX / 4 : size;
        s = malloc(sizeof(*s) + capacity);
        if (s != NULL) {
            s->capacity = capacity;
        }
    } else {
        home->statement = NULL;
    }
    return s;
}

struct pg_statement *pg_statement_create(struct pg_spares *home, struct bytes text,
                                         const struct pg_oids *types)
{
    size_t count = pg_oids_count(types);
    struct pg_statement *s = take_statement(home, 2 * count * sizeof(*s->types) + text.size + 1);
    if (s == NULL) {
        return NULL;
    }
    *s = (struct pg_statement){.references = 1, .home = home, .capacity = s->capacity};
    s->declared = (uint32_t *)(void *)(s + 1);
    s->types = s->declared + count;
    s->declared_count = s->type_count = count;
    for (size_t i = 0; i < count; i++) {
        s->types[i] = s->declared[i] = pg_oids_get(types, i);
    }
    s->text = (char *)(s->types + count);
    s->text_size = text.size;
    if (text.size > 0) {
        memcpy(s->text, text.data, text.size);
    }
    s->text[text.size] = '\0';
    return s;
}

void pg_statement_describe(struct pg_statement *s, uint32_t *types, size_t count)
{
    free(s->described);
    s->described = s->types = types;
    s->type_count = count;
}

struct pg_statement *pg_statement_ref(struct pg_statement *s)
{
    if (s != NULL) {
        s->references++;
    }
    return s;
}

void pg_statement_unref(struct pg_statement *s)
{
    if (s == NULL || --s->references > 0) {
        return;
    }
    free(s->described);
    pg_plan_unref(s->plan);
    if (s->home != NULL && s->home->statement == NULL && s->capacity <= SPARE_MAX) {
        bytes_wipe(s + 1, s->capacity);
        s->home->statement = s;
    } else {
        free(s);
    }
}

struct pg_portal *pg_portal_create(struct pg_spares *home, struct pg_statement *statement)
{
    struct pg_portal *p = home == NULL ? NULL : home->portal;
    if (p == NULL) {
        p = malloc(sizeof(*p));
    } else {
        home->portal = NULL;
    }
    if (p != NULL) {
        *p = (struct pg_portal){
            .references = 1, .home = home, .statement = pg_statement_ref(statement)};
    }
    return p;
}

struct pg_portal *pg_portal_ref(struct pg_portal *p)
{
    if (p != NULL) {
        p->references++;
    }
    return p;
}

void pg_portal_unref(struct pg_portal *p)
{
    if (p == NULL || --p->references > 0) {
        return;
    }
    pg_statement_unref(p->statement);
    pg_plan_unref(p->plan);
    if (p->home != NULL) {
        pg_result_recycle(p->result, &p->home->result);
    } else {
        pg_result_destroy(p->result);
    }
    pg_effects_destroy(p->effects);
    if (p->home != NULL && p->home->portal == NULL) {
        p->home->portal = p;
    } else {
        free(p);
    }
}

void pg_effects_destroy(struct pg_effects *e)
{
    for (size_t i = 0; e != NULL && i < e->count; i++) {
        free(e->items[i].name);
        pg_statement_unref(e->items[i].prepared);
        pg_portal_unref(e->items[i].cursor);
    }
    if (e != NULL) {
        *e->total -= e->text_size;
    }
    free(e);
}

/* ---- the map ------------------------------------------------------------------------------------
 */

struct named {
    struct named *next;
    void *object;
    size_t text_size;
    size_t size;
    uint8_t name[];
};

struct pg_names {
    enum pg_names_kind kind;
    size_t count, text_size;
    uint64_t changes;
    struct named *buckets[BUCKETS];
    struct named *spare; /* of the empty name, which comes and goes with each statement */
};

static void ref(const struct pg_names *names, void *object)
{
    if (names->kind == PG_NAMES_STATEMENTS) {
        (void)pg_statement_ref(object);
    } else {
        (void)pg_portal_ref(object);
    }
}

static void unref(const struct pg_names *names, void *object)
{
    if (names->kind == PG_NAMES_STATEMENTS) {
        pg_statement_unref(object);
    } else {
        pg_portal_unref(object);
    }
}

/* The server tells names apart by their first bytes only. */
static struct bytes significant(struct bytes name)
{
    return bytes_of(name.data, name.size > PG_NAME_SIGNIFICANT ? PG_NAME_SIGNIFICANT : name.size);
}

bool pg_names_are_same(struct bytes a, struct bytes b)
{
    return bytes_equal(significant(a), significant(b));
}

static struct named **place_of(const struct pg_names *names, struct bytes name)
{
    size_t h = 5381;
    for (size_t i = 0; i < name.size; i++) {
        h = h * 33 + name.data[i];
    }
    struct named **place = &((struct pg_names *)names)->buckets[h % BUCKETS];
    while (*place != NULL && !bytes_equal(bytes_of((*place)->name, (*place)->size), name)) {
        place = &(*place)->next;
    }
    return place;
}

void *pg_names_find(const struct pg_names *names, struct bytes name)
{
    struct named *n = *place_of(names, significant(name));
    return n == NULL ? NULL : n->object;
}

struct pg_names *pg_names_create(enum pg_names_kind kind)
{
    struct pg_names *names = calloc(1, sizeof(*names));
    if (names != NULL) {
        names->kind = kind;
    }
    return names;
}

void pg_names_destroy(struct pg_names *names)
{
    if (names != NULL) {
        pg_names_clear(names, NULL, NULL);
        free(names->spare);
        free(names);
    }
}

static size_t text_size_of(const struct pg_names *names, const void *object)
{
    const struct pg_portal *portal = object;
    if (object == NULL) {
        return 0;
    }
    /* Of a portal, too: it keeps the text of a statement that may have no name any more. */
    return names->kind == PG_NAMES_STATEMENTS ? ((const struct pg_statement *)object)->text_size
                                              : portal->statement->text_size;
}

static void remove_at(struct pg_names *names, struct named **place)
{
    struct named *n = *place;
    *place = n->next;
    names->count--;
    names->text_size -= n->text_size;
    if (n->size == 0 && names->spare == NULL) {
        names->spare = n;
    } else {
        free(n);
    }
}

static enum err add_at(struct pg_names *names, struct named **place, struct bytes name,
                       void *object)
{
    size_t text_size = text_size_of(names, object);
    if (names->count >= PG_NAMES_COUNT_MAX || text_size > PG_NAMES_TEXT_MAX - names->text_size) {
        return ERR_LIMIT;
    }
    struct named *n =
        name.size == 0 && names->spare != NULL ? names->spare : malloc(sizeof(*n) + name.size);
    if (n == NULL) {
        return ERR_NO_MEMORY;
    }
    names->spare = n == names->spare ? NULL : names->spare;
    *n = (struct named){.object = object, .text_size = text_size, .size = name.size};
    if (name.size > 0) {
        memcpy(n->name, name.data, name.size);
    }
    n->next = *place;
    *place = n;
    names->count++;
    names->text_size += text_size;
    return OK;
}

enum err pg_names_put(struct pg_names *names, struct bytes name, void *object, void **out_previous)
{
    name = significant(name);
    names->changes++;
    struct named **place = place_of(names, name);
    if (*place == NULL) {
        enum err e = object == NULL ? OK : add_at(names, place, name, object);
        if (e == OK) {
            ref(names, object);
            *out_previous = NULL;
        }
        return e;
    }
    struct named *n = *place;
    size_t text_size = text_size_of(names, object);
    if (text_size > PG_NAMES_TEXT_MAX - (names->text_size - n->text_size)) {
        return ERR_LIMIT;
    }
    *out_previous = n->object;
    if (object == NULL) {
        remove_at(names, place);
        return OK;
    }
    names->text_size = names->text_size - n->text_size + text_size;
    n->text_size = text_size;
    n->object = object;
    ref(names, object);
    return OK;
}

void pg_names_restore(struct pg_names *names, struct bytes name, const void *object, void *previous)
{
    void *now = pg_names_find(names, name);
    if (now != object) {
        unref(names, previous);
        return;
    }
    void *dropped = NULL;
    if (pg_names_put(names, name, previous, &dropped) == OK) {
        unref(names, dropped);
    }
    unref(names, previous);
}

/* What comes through the end of a transaction. */
static bool survives(const struct pg_portal *p, uint64_t answered)
{
    return p->is_held || p->sent > answered;
}

/* `answered`: of pg_names_clear_unheld; NULL: all of them go. */
static void clear(struct pg_names *names, const uint64_t *answered,
                  void (*fn)(void *context, void *object), void *context)
{
    for (size_t i = 0; names->count > 0 && i < BUCKETS; i++) {
        struct named **place = &names->buckets[i];
        while (*place != NULL) {
            void *object = (*place)->object;
            if (answered != NULL && survives(object, *answered)) {
                place = &(*place)->next;
                continue;
            }
            if (fn != NULL) {
                fn(context, object);
            }
            remove_at(names, place);
            unref(names, object);
            names->changes++;
        }
    }
}

void pg_names_clear_unheld(struct pg_names *names, uint64_t answered,
                           void (*fn)(void *context, void *object), void *context)
{
    clear(names, names->kind == PG_NAMES_PORTALS ? &answered : NULL, fn, context);
}

uint64_t pg_names_changes(const struct pg_names *names)
{
    return names->changes;
}

void pg_names_clear(struct pg_names *names, void (*fn)(void *context, void *object), void *context)
{
    clear(names, NULL, fn, context);
}
