/* The first so many of what a search finds. Sections overlap in time, so their records do not come
 * in order: those that can still be in the answer are kept, and no others.
 *
 * Orders are numbers, the smallest one is first: keys, positions, or ~key for the newest first.
 * Pure. */
#ifndef CHAPERONE_CONTROLPLANE_STORE_SQLITE_FOUND_H
#define CHAPERONE_CONTROLPLANE_STORE_SQLITE_FOUND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

/* What is kept at one time: it bounds the memory of a search to 24 MB. */
enum { FOUND_KEPT_MAX = 1 << 20 };

struct found_record {
    int64_t order;
    int64_t section; /* its key */
    uint32_t index;  /* in the section */
    uint32_t size;   /* 0: not known */
};

struct found {
    struct found_record *items; /* owned; a heap: the last in the order is the first one here */
    size_t count, room;
    uint64_t max;    /* records that the answer has room for, less those that are settled */
    size_t max_size; /* when they have as much, no more follows */
    size_t size;     /* of all kept */
    bool has_more;   /* something was found that is not in the answer */
};

void found_init(struct found *found, uint64_t max, size_t max_size);
void found_finish(struct found *found);

/* Whether all of this order, or behind it, is left out of the answer. */
bool found_is_beyond(const struct found *found, int64_t order);
/* Adds it, or leaves out the last one. `before`: everything with a smaller order has been added.
 * ERR_LIMIT: more than FOUND_KEPT_MAX are to be kept. */
enum err found_add(struct found *found, struct found_record record, int64_t before) MUST_USE;
/* Puts what is kept in order. No more is added then. */
void found_sort(struct found *found);

#endif
