#include "sidecar/rate/rate.h"

#include <stdlib.h>

enum {
    SLOTS = 60,
    RING = SLOTS + 1, /* what a time of SLOTS slots may touch */
    FULL_RETRY_MS = 1000,
};

static const int64_t ns_per_s = 1000000000, ns_per_ms = 1000000;

struct entry {
    struct entry *next;          /* in its bucket */
    struct entry *newer, *older; /* by use */
    uint64_t hash;
    uint64_t call;        /* the call that used it last; what a call uses it does not drop */
    int64_t slot_ns;      /* how long a slot is */
    int64_t newest;       /* the number of the newest slot */
    uint32_t taken[RING]; /* of slot n at n % RING */
    char key[];           /* subject, NUL, rule, NUL */
};

struct rate_table {
    struct entry **buckets;
    size_t bucket_count; /* a power of two */
    size_t count, entries_max;
    struct entry *newest, *oldest;
    uint64_t calls;
    int64_t now_ns;
};

/* ---- one entry -------------------------------------------------------------------------- */

/* Slots that are over give their place to new ones. */
static void entry_advance(struct entry *e, int64_t now_ns)
{
    int64_t slot = now_ns / e->slot_ns;
    if (slot - e->newest >= RING) {
        memset(e->taken, 0, sizeof(e->taken));
        e->newest = slot;
    }
    while (e->newest < slot) {
        e->newest++;
        e->taken[e->newest % RING] = 0;
    }
}

static uint64_t entry_sum(const struct entry *e)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < RING; i++) {
        sum += e->taken[i];
    }
    return sum;
}

/* After a policy has changed the time: what was taken counts as if it were taken now. */
static void entry_set_time(struct entry *e, int64_t per_s, int64_t now_ns)
{
    int64_t slot_ns = ((per_s < 1 ? 1 : per_s) * ns_per_s + SLOTS - 1) / SLOTS;
    if (e->slot_ns == slot_ns) {
        return;
    }
    uint64_t sum = 0;
    if (e->slot_ns != 0) {
        entry_advance(e, now_ns);
        sum = entry_sum(e);
    }
    memset(e->taken, 0, sizeof(e->taken));
    e->slot_ns = slot_ns;
    e->newest = now_ns / slot_ns;
    e->taken[e->newest % RING] = sum > UINT32_MAX ? UINT32_MAX : (uint32_t)sum;
}

/* When enough slots are over for one more. */
static int64_t entry_retry_ns(const struct entry *e, uint32_t requests, int64_t now_ns)
{
    uint64_t left = entry_sum(e);
    for (int64_t slot = e->newest - SLOTS; slot <= e->newest; slot++) {
        left -= slot < 0 ? 0 : e->taken[slot % RING];
        if (left < requests) {
            return (slot + RING) * e->slot_ns - now_ns;
        }
    }
    return RING * e->slot_ns;
}

/* ---- the table -------------------------------------------------------------------------- */

struct rate_table *rate_table_create(size_t entries_max)
{
    struct rate_table *t = calloc(1, sizeof(*t));
    if (t == NULL) {
        return NULL;
    }
    t->entries_max = entries_max == 0 ? RATE_ENTRIES_MAX : entries_max;
    t->bucket_count = 1;
    while (t->bucket_count < t->entries_max) {
        t->bucket_count *= 2;
    }
    t->buckets = calloc(t->bucket_count, sizeof(struct entry *));
    if (t->buckets == NULL) {
        free(t);
        return NULL;
    }
    return t;
}

void rate_table_destroy(struct rate_table *t)
{
    if (t == NULL) {
        return;
    }
    for (struct entry *e = t->newest, *older; e != NULL; e = older) {
        older = e->older;
        free(e);
    }
    free(t->buckets);
    free(t);
}

static void list_remove(struct rate_table *t, struct entry *e)
{
    *(e->newer == NULL ? &t->newest : &e->newer->older) = e->older;
    *(e->older == NULL ? &t->oldest : &e->older->newer) = e->newer;
    e->newer = e->older = NULL;
}

static void list_put_newest(struct rate_table *t, struct entry *e)
{
    e->older = t->newest;
    *(t->newest == NULL ? &t->oldest : &t->newest->newer) = e;
    t->newest = e;
}

static void table_drop(struct rate_table *t, struct entry *e)
{
    struct entry **at = &t->buckets[e->hash & (t->bucket_count - 1)];
    while (*at != e) {
        at = &(*at)->next;
    }
    *at = e->next;
    list_remove(t, e);
    free(e);
    t->count--;
}

static bool table_make_room(struct rate_table *t)
{
    if (t->count < t->entries_max) {
        return true;
    }
    for (struct entry *e = t->oldest; e != NULL; e = e->newer) {
        entry_advance(e, t->now_ns);
        if (e->call != t->calls && entry_sum(e) == 0) {
            table_drop(t, e);
            return true;
        }
    }
    return false;
}

/* FNV-1a: subjects come from issuers that the operator trusts, and the table is small. */
static uint64_t hash_of(const char *subject, const char *rule)
{
    const uint64_t prime = UINT64_C(1099511628211);
    uint64_t hash = UINT64_C(14695981039346656037);
    for (const char *p = subject; *p != '\0'; p++) {
        hash = (hash ^ (uint8_t)*p) * prime;
    }
    hash *= prime;
    for (const char *p = rule; *p != '\0'; p++) {
        hash = (hash ^ (uint8_t)*p) * prime;
    }
    return hash;
}

static struct entry *table_find(const struct rate_table *t, uint64_t hash, const char *subject,
                                const char *rule)
{
    for (struct entry *e = t->buckets[hash & (t->bucket_count - 1)]; e != NULL; e = e->next) {
        if (e->hash == hash && strcmp(e->key, subject) == 0 &&
            strcmp(e->key + strlen(subject) + 1, rule) == 0) {
            return e;
        }
    }
    return NULL;
}

static struct entry *table_add(struct rate_table *t, uint64_t hash, const char *subject,
                               const char *rule)
{
    size_t subject_size = strlen(subject) + 1, rule_size = strlen(rule) + 1;
    if (subject_size > RATE_SUBJECT_SIZE_MAX || !table_make_room(t)) {
        return NULL;
    }
    struct entry *e = calloc(1, sizeof(*e) + subject_size + rule_size);
    if (e == NULL) {
        return NULL;
    }
    memcpy(e->key, subject, subject_size);
    memcpy(e->key + subject_size, rule, rule_size);
    e->hash = hash;
    struct entry **bucket = &t->buckets[hash & (t->bucket_count - 1)];
    e->next = *bucket;
    *bucket = e;
    list_put_newest(t, e);
    t->count++;
    return e;
}

static struct entry *table_use(struct rate_table *t, const char *subject,
                               const struct policy_rate *rate)
{
    uint64_t hash = hash_of(subject, rate->rule);
    struct entry *e = table_find(t, hash, subject, rate->rule);
    e = e == NULL ? table_add(t, hash, subject, rate->rule) : e;
    if (e == NULL) {
        return NULL;
    }
    list_remove(t, e);
    list_put_newest(t, e);
    e->call = t->calls;
    entry_set_time(e, rate->per_s, t->now_ns);
    entry_advance(e, t->now_ns);
    return e;
}

/* ---- taking ----------------------------------------------------------------------------- */

enum rate_result rate_take(struct rate_table *t, const char *subject,
                           const struct policy_rate *rates, size_t count, int64_t now_ns,
                           int64_t *out_retry_ms)
{
    struct entry *entries[POLICY_RATES_MAX];
    int64_t retry_ns = 0;
    t->calls++;
    t->now_ns = now_ns > t->now_ns ? now_ns : t->now_ns;
    if (count > POLICY_RATES_MAX) {
        *out_retry_ms = FULL_RETRY_MS;
        return RATE_FULL;
    }
    for (size_t i = 0; i < count; i++) {
        entries[i] = table_use(t, subject == NULL ? "" : subject, &rates[i]);
        if (entries[i] == NULL) {
            *out_retry_ms = FULL_RETRY_MS;
            return RATE_FULL;
        }
        if (entry_sum(entries[i]) >= rates[i].requests) {
            int64_t wait_ns = entry_retry_ns(entries[i], rates[i].requests, t->now_ns);
            retry_ns = wait_ns > retry_ns ? wait_ns : retry_ns;
        }
    }
    if (retry_ns > 0) {
        *out_retry_ms = (retry_ns + ns_per_ms - 1) / ns_per_ms;
        return RATE_EXCEEDED;
    }
    for (size_t i = 0; i < count; i++) {
        entries[i]->taken[entries[i]->newest % RING]++;
    }
    return RATE_TAKEN;
}
