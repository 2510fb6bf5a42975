/* The snapshots that the sessions of a sidecar share, one place for each target database.
 *
 * A session that needs a snapshot asks the target for its fingerprint and finds one that is still
 * true, or loads one and puts it there. A place also counts the changes that its sessions make, so
 * that each of them knows that its snapshot may be outdated, without asking. For one thread. */
#ifndef CHAPERONE_SIDECAR_CATALOG_SHELF_H
#define CHAPERONE_SIDECAR_CATALOG_SHELF_H

#include "sidecar/catalog/catalog.h"

enum {
    /* Snapshots of one database at once: by user and search path they differ. */
    CATALOG_PLACE_SNAPSHOTS = 8,
    /* Places that are kept without a session. */
    CATALOG_SHELF_IDLE_MAX = 32,
};

struct catalog_shelf;
struct catalog_shelf *catalog_shelf_create(void) MUST_USE; /* returns owned */
void catalog_shelf_destroy(struct catalog_shelf *s);       /* takes NULL; after all places */

struct catalog_place;
/* The place of a database, by any text that names it. Owned reference; NULL: no memory. */
struct catalog_place *catalog_shelf_take(struct catalog_shelf *s, const char *database) MUST_USE;
void catalog_place_release(struct catalog_place *p); /* takes NULL */

/* A snapshot with this fingerprint; owned reference; NULL: none. */
struct catalog *catalog_place_find(const struct catalog_place *p,
                                   struct bytes fingerprint) MUST_USE;
/* Only what was read outside of a transaction: others must not see what may be rolled back. */
void catalog_place_put(struct catalog_place *p, struct catalog *c);

uint64_t catalog_place_changes(const struct catalog_place *p);
void catalog_place_changed(struct catalog_place *p);

#endif
