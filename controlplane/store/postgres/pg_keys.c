#include "controlplane/store/postgres/pg_keys.h"

#include <stdlib.h>

/* A set of keys: open addressing, at most half full. Keys are never 0: they begin at 1. */
struct key_set {
    int64_t *slots; /* owned */
    size_t capacity, count;
};

/* Any number for a pair of them (the finalizer of SplitMix64). */
static uint64_t mix(uint64_t a, uint64_t b)
{
    uint64_t z = a * UINT64_C(0x9e3779b97f4a7c15) + b;
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

static size_t set_place(const struct key_set *set, int64_t key)
{
    size_t at = (size_t)mix((uint64_t)key, 0) & (set->capacity - 1);
    while (set->slots[at] != 0 && set->slots[at] != key) {
        at = (at + 1) & (set->capacity - 1);
    }
    return at;
}

static bool set_has(const struct key_set *set, int64_t key)
{
    return set->capacity > 0 && set->slots[set_place(set, key)] == key;
}

static enum err set_grow(struct key_set *set)
{
    struct key_set larger = {.capacity = set->capacity == 0 ? 256 : 2 * set->capacity,
                             .count = set->count};
    larger.slots = calloc(larger.capacity, sizeof(*larger.slots));
    if (larger.slots == NULL) {
        return ERR_NO_MEMORY;
    }
    for (size_t i = 0; i < set->capacity; i++) {
        if (set->slots[i] != 0) {
            larger.slots[set_place(&larger, set->slots[i])] = set->slots[i];
        }
    }
    free(set->slots);
    *set = larger;
    return OK;
}

static enum err set_add(struct key_set *set, int64_t key)
{
    enum err err = 2 * (set->count + 1) > set->capacity ? set_grow(set) : OK;
    if (err == OK && !set_has(set, key)) {
        set->slots[set_place(set, key)] = key;
        set->count++;
    }
    return err;
}

static void set_clear(struct key_set *set)
{
    if (set->capacity > 0) {
        memset(set->slots, 0, set->capacity * sizeof(*set->slots));
    }
    set->count = 0;
}

struct keys {
    struct key_set used;   /* by this group */
    struct key_set taken;  /* by others */
    struct key_set probed; /* asked about */
};

/* Another stream may have a record of the same nanosecond, and a hostile one many. Each try looks
 * anywhere in a range twice as long as the last one's: a range that is half full ends it soon. */
static enum err key_choose(struct keys *k, struct write_item *item, int64_t last_key)
{
    enum { TRIES = 40 };
    int64_t time_ns = item->record->index.time_ns;
    int64_t key = time_ns < item->batch->received_ns ? time_ns : item->batch->received_ns;
    key = key > last_key ? key : last_key + 1;
    const int64_t first = key;
    for (uint64_t n = 1; set_has(&k->used, key) || set_has(&k->taken, key); n++) {
        if (n > TRIES) {
            return ERR_INTERNAL;
        }
        key = first + 1 + (int64_t)(mix((uint64_t)item->position - 1, n) >> (64 - n));
    }
    item->key = key;
    return set_add(&k->used, key);
}

static enum err keys_choose(struct keys *k, struct write_group *group)
{
    const struct write_batch *batch = NULL;
    int64_t last_key = 0;
    enum err err = OK;
    set_clear(&k->used);
    for (size_t i = 0; err == OK && i < group->count; i++) {
        struct write_item *item = &group->items[i];
        last_key = item->batch == batch ? last_key : item->batch->last_key;
        batch = item->batch;
        err = key_choose(k, item, last_key);
        last_key = item->key;
    }
    return err;
}

/* Asks about those that may be there. `*out_found`: how many of them others have. */
static enum err keys_probe(struct pg *db, struct keys *k, const struct write_group *group,
                           int64_t max_key, size_t *out_found)
{
    struct buffer array;
    struct pg_parameters p = {.count = 0};
    PGresult *result = NULL;
    size_t asked = 0;
    buffer_init(&array, 4 << 20);
    enum err err = pg_array_start(&array);
    *out_found = 0;
    for (size_t i = 0; err == OK && i < group->count; i++) {
        int64_t key = group->items[i].key;
        if (key <= max_key && !set_has(&k->probed, key)) {
            err = set_add(&k->probed, key);
            err = err == OK ? pg_array_add(&array, key) : err;
            asked++;
        }
    }
    if (err == OK && asked > 0) {
        pg_put_numbers(&p, &array);
        err = pg_query(db,
                       "SELECT r.key FROM unnest($1) AS k (key) JOIN audit_record r"
                       " ON r.key = k.key",
                       &p, &result);
    }
    for (int i = 0; err == OK && i < PQntuples(result); i++) {
        err = set_add(&k->taken, pg_number(result, i, 0));
        (*out_found)++;
    }
    PQclear(result);
    buffer_finish(&array);
    return err;
}

enum err postgres_keys_assign(struct pg *db, struct write_group *group, int64_t *max_key)
{
    enum { ROUNDS = 200 };
    struct keys k = {.used = {.count = 0}};
    size_t found = 1;
    enum err err = OK;
    for (int round = 0; err == OK && found > 0; round++) {
        err = round < ROUNDS ? keys_choose(&k, group) : ERR_INTERNAL;
        if (err == OK) {
            err = keys_probe(db, &k, group, *max_key, &found);
        }
    }
    for (size_t i = 0; err == OK && i < group->count; i++) {
        *max_key = group->items[i].key > *max_key ? group->items[i].key : *max_key;
    }
    free(k.used.slots);
    free(k.taken.slots);
    free(k.probed.slots);
    return err;
}
