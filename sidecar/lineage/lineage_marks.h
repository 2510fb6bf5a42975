/* The marks of a catalog's relations; for this folder only. */
#ifndef CHAPERONE_SIDECAR_LINEAGE_MARKS_H
#define CHAPERONE_SIDECAR_LINEAGE_MARKS_H

#include "sidecar/lineage/lineage_internal.h"

enum view_state { VIEW_NEW, VIEW_BUSY, VIEW_DONE };

/* A relation with marks of its own, or a view that was read. */
struct marked {
    const struct catalog_relation *relation;
    struct value *values; /* one for each of its columns; of a view that was read: with what its
                             definition says */
    uint64_t own;         /* all marks of its own */
    enum view_state state;
    struct effects effects; /* of reading the view */
};

/* By oid, with open addressing. */
struct marked_table {
    struct marked **slots;
    size_t count, capacity; /* capacity: a power of two, or 0 */
};

/* What PostgreSQL itself keeps of others' values (LINEAGE_SENSITIVE): the same for all policies, so
 * the marks of a catalog share it (catalog_keep). Never changed. */
struct system_marks {
    struct arena *arena;
    struct marked_table table;
};

struct lineage_marks {
    struct catalog *catalog;
    const struct system_marks *system; /* borrows from the catalog */
    lineage_trust_fn *trusts;
    void *context;
    struct arena *arena; /* for all below */
    /* What the policy marks, and goes before what the system marks. What is known of views grows
     * while statements are analysed. */
    struct marked_table *table;
    uint64_t all; /* rules that mark any column */
};

/* NULL: nothing is known to be marked of it. */
const struct marked *marks_find(const struct lineage_marks *m, uint32_t oid);
/* One that may be changed; made where there is none, with what the system marks. NULL: no memory.
 */
struct marked *marks_entry(const struct lineage_marks *m,
                           const struct catalog_relation *r) MUST_USE;

/* These rules mark the column with this index. */
void marked_set(struct marked *marked, size_t column, uint64_t rules);

/* lineage_family.c: a mark on one member holds for the whole family. False: no memory. */
bool family_spread(struct lineage_marks *m) MUST_USE;

/* lineage_view.c: what reading the view gives. Sets w->failed when it cannot be told. */
struct marked *view_read(struct walk *w, const struct catalog_relation *r);

#endif
