#include "sidecar/catalog/catalog_shelf.h"

#include <stdlib.h>

struct catalog_place {
    struct catalog_shelf *shelf;
    struct catalog_place *next;
    char *database;
    unsigned references;
    uint64_t changes;
    struct catalog *snapshots[CATALOG_PLACE_SNAPSHOTS]; /* newest first */
};

struct catalog_shelf {
    struct catalog_place *places; /* the one that was taken last comes first */
};

struct catalog_shelf *catalog_shelf_create(void)
{
    return calloc(1, sizeof(struct catalog_shelf));
}

static void place_destroy(struct catalog_place *p)
{
    for (size_t i = 0; i < CATALOG_PLACE_SNAPSHOTS; i++) {
        catalog_unref(p->snapshots[i]);
    }
    free(p->database);
    free(p);
}

void catalog_shelf_destroy(struct catalog_shelf *s)
{
    while (s != NULL && s->places != NULL) {
        struct catalog_place *p = s->places;
        s->places = p->next;
        place_destroy(p);
    }
    free(s);
}

static struct catalog_place *place_create(struct catalog_shelf *s, const char *database)
{
    struct catalog_place *p = calloc(1, sizeof(*p));
    if (p == NULL) {
        return NULL;
    }
    p->shelf = s;
    p->database = strdup(database);
    if (p->database == NULL) {
        free(p);
        return NULL;
    }
    return p;
}

struct catalog_place *catalog_shelf_take(struct catalog_shelf *s, const char *database)
{
    struct catalog_place **at = &s->places;
    while (*at != NULL && strcmp((*at)->database, database) != 0) {
        at = &(*at)->next;
    }
    struct catalog_place *p = *at;
    if (p != NULL) {
        *at = p->next;
    } else {
        p = place_create(s, database);
        if (p == NULL) {
            return NULL;
        }
    }
    p->next = s->places;
    s->places = p;
    p->references++;
    return p;
}

/* The ones that nobody uses go, the longest unused first. */
static void drop_idle(struct catalog_shelf *s)
{
    size_t idle = 0;
    for (struct catalog_place **at = &s->places; *at != NULL;) {
        struct catalog_place *p = *at;
        if (p->references == 0 && ++idle > CATALOG_SHELF_IDLE_MAX) {
            *at = p->next;
            place_destroy(p);
        } else {
            at = &p->next;
        }
    }
}

void catalog_place_release(struct catalog_place *p)
{
    if (p != NULL && --p->references == 0) {
        drop_idle(p->shelf);
    }
}

struct catalog *catalog_place_find(const struct catalog_place *p, struct bytes fingerprint)
{
    for (size_t i = 0; i < CATALOG_PLACE_SNAPSHOTS; i++) {
        struct catalog *c = p->snapshots[i];
        if (c != NULL && catalog_is_current(c, fingerprint)) {
            catalog_ref(c);
            return c;
        }
    }
    return NULL;
}

void catalog_place_put(struct catalog_place *p, struct catalog *c)
{
    catalog_unref(p->snapshots[CATALOG_PLACE_SNAPSHOTS - 1]);
    memmove(&p->snapshots[1], &p->snapshots[0],
            (CATALOG_PLACE_SNAPSHOTS - 1) * sizeof(p->snapshots[0]));
    p->snapshots[0] = c;
    catalog_ref(c);
}

uint64_t catalog_place_changes(const struct catalog_place *p)
{
    return p->changes;
}

void catalog_place_changed(struct catalog_place *p)
{
    p->changes++;
}
