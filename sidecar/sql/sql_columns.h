/* Sets of column names; for this folder only.
 *
 * A set is a few words; its names are kept by the `columns` of the whole text, each once. Names
 * are borrowed from the parse tree until columns_keep. A set that would hold too many names
 * becomes "all of them": sets err on the side of more. */
#ifndef CHAPERONE_SIDECAR_SQL_COLUMNS_H
#define CHAPERONE_SIDECAR_SQL_COLUMNS_H

#include "base/arena.h"

enum {
    /* Memberships of all sets of a text: those of 5,000 INSERTs with 50 columns each. */
    COLUMNS_MAX = 1 << 18,
};

struct column_name {
    const char *text;
    const char *kept; /* its copy for the analysis; NULL: not yet */
    uint32_t hash;
};

struct column_link {
    uint32_t name, next;
};

/* Numbers of names are their places in `names`; 0 is nobody's. */
struct columns {
    struct arena *scratch; /* borrows */
    struct column_name *names;
    uint32_t name_count, name_capacity;
    uint32_t *name_slots;
    uint32_t name_slot_count; /* a power of two; at least twice the names */
    struct column_link *links;
    uint32_t link_count, link_capacity;
    uint64_t *members; /* set << 32 | name: for "is it in" */
    uint32_t member_slot_count;
    uint32_t set_count;
    bool failed; /* no memory; stays */
};

struct column_set {
    uint32_t id; /* 0: empty and not numbered yet */
    uint32_t first, last, count;
    bool all;
};

void columns_init(struct columns *c, struct arena *scratch);
/* The number of a name; 0 when memory is short. Borrows the text. */
uint32_t columns_intern(struct columns *c, const char *text);
void column_set_add(struct columns *c, struct column_set *set, uint32_t name);
void column_set_add_text(struct columns *c, struct column_set *set, const char *text);
/* Adds all of `more`. */
void column_set_merge(struct columns *c, struct column_set *set, const struct column_set *more);
/* The names in the order of their coming, copied into `arena`; {"*"} for all. False: no memory. */
bool columns_keep(struct columns *c, const struct column_set *set, struct arena *arena,
                  const char *const **out, size_t *out_count) MUST_USE;

#endif
