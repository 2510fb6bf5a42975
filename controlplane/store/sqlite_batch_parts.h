/* The inside of a batch, between the files that it is in. */
#ifndef CHAPERONE_CONTROLPLANE_STORE_SQLITE_BATCH_PARTS_H
#define CHAPERONE_CONTROLPLANE_STORE_SQLITE_BATCH_PARTS_H

#include "controlplane/store/sqlite_batch.h"

/* Any number for a pair of them (the finalizer of SplitMix64). */
static inline uint64_t batch_mix(uint64_t a, uint64_t b)
{
    uint64_t z = a * UINT64_C(0x9e3779b97f4a7c15) + b;
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

/* Different numbers, each once, in the order in which they came. */
struct batch_ids;
enum err batch_ids_create(struct batch_ids **out) MUST_USE;
void batch_ids_destroy(struct batch_ids *ids); /* takes NULL */
void batch_ids_clear(struct batch_ids *ids);
enum err batch_ids_add(struct batch_ids *ids, int64_t id, bool *out_is_new) MUST_USE;
bool batch_ids_has(const struct batch_ids *ids, int64_t id);
size_t batch_ids_count(const struct batch_ids *ids);

/* What sections are made with (sqlite_batch_write.c). */
enum err batch_sections_create(struct batch_sections **out) MUST_USE;
void batch_sections_destroy(struct batch_sections *making); /* takes NULL */

#endif
