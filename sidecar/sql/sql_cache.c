#include <pg_query.h>
#include <stdlib.h>

#include "sidecar/sql/sql_hash.h"
#include "sidecar/sql/sql_parse.h"
#include "sidecar/sql/sql_walk.h"

enum {
    /* Beyond it the normalised path costs more than it is likely to save: such texts are bulk data.
     */
    NORMALISE_SIZE_MAX = 16 << 10,
    /* One entry may not push out everything else. */
    ENTRY_SHARE = 8,
    SEEN_COUNT = 4096, /* 16 KiB: half of a first-level cache */
};

/* One analysis, found by several texts. */
struct shared {
    struct sql_analysis *analysis; /* owned */
    unsigned references;
    size_t size;
};

struct entry {
    struct entry *next_in_bucket;
    struct entry *newer, *older;
    struct shared *shared;
    uint64_t hash;
    size_t size;
    bool is_normalised;
    uint8_t text[];
};

struct sql_cache {
    struct entry **buckets;
    size_t bucket_mask;
    uint32_t seen[SEEN_COUNT]; /* parts of the hashes of texts that came once */
    struct entry *newest, *oldest;
    struct sql_cache_options options;
    struct sql_cache_statistics statistics;
    struct arena *scratch;
    char *copy; /* the text, NUL-terminated; grows to the largest one seen */
    size_t copy_capacity;
    struct shared *last; /* what was handed out, kept until the next call */
};

struct sql_cache *sql_cache_create(const struct sql_cache_options *options)
{
    struct sql_cache *c = calloc(1, sizeof(*c));
    if (c == NULL) {
        return NULL;
    }
    c->options = *options;
    if (c->options.max_text_size == 0) {
        c->options.max_text_size = SQL_TEXT_SIZE_DEFAULT;
    }
    /* About one bucket for each entry of a usual size. */
    size_t buckets = 64;
    while (buckets < options->max_bytes / 1024 && buckets < 1 << 20) {
        buckets *= 2;
    }
    c->bucket_mask = buckets - 1;
    c->buckets = calloc(buckets, sizeof(struct entry *));
    c->scratch = arena_create(SCRATCH_BLOCK, SCRATCH_MAX);
    if (c->buckets == NULL || c->scratch == NULL) {
        sql_cache_destroy(c);
        return NULL;
    }
    return c;
}

static void shared_release(struct sql_cache *c, struct shared *s)
{
    if (s != NULL && --s->references == 0) {
        c->statistics.bytes -= s->size;
        sql_analysis_destroy(s->analysis);
        free(s);
    }
}

/* --- the list of entries --------------------------------------------------------------- */

static void list_remove(struct sql_cache *c, struct entry *e)
{
    if (e->newer == NULL) {
        c->newest = e->older;
    } else {
        e->newer->older = e->older;
    }
    if (e->older == NULL) {
        c->oldest = e->newer;
    } else {
        e->older->newer = e->newer;
    }
}

static void list_add(struct sql_cache *c, struct entry *e)
{
    e->newer = NULL;
    e->older = c->newest;
    if (c->newest == NULL) {
        c->oldest = e;
    } else {
        c->newest->newer = e;
    }
    c->newest = e;
}

static void entry_touch(struct sql_cache *c, struct entry *e)
{
    if (c->newest != e) {
        list_remove(c, e);
        list_add(c, e);
    }
}

static void entry_drop(struct sql_cache *c, struct entry *e)
{
    struct entry **at = &c->buckets[e->hash & c->bucket_mask];
    while (*at != e) {
        at = &(*at)->next_in_bucket;
    }
    *at = e->next_in_bucket;
    list_remove(c, e);
    c->statistics.bytes -= sizeof(*e) + e->size;
    c->statistics.entries--;
    shared_release(c, e->shared);
    free(e);
}

static struct entry *entry_find(const struct sql_cache *c, struct bytes text, uint64_t hash,
                                bool is_normalised)
{
    struct entry *e = c->buckets[hash & c->bucket_mask];
    for (; e != NULL; e = e->next_in_bucket) {
        if (e->hash == hash && e->is_normalised == is_normalised &&
            bytes_equal(bytes_of(e->text, e->size), text)) {
            return e;
        }
    }
    return NULL;
}

/* A cache that cannot keep is only slower: no error. */
static void entry_add(struct sql_cache *c, struct bytes text, uint64_t hash, bool is_normalised,
                      struct shared *shared)
{
    size_t size = sizeof(struct entry) + text.size;
    if (size + shared->size > c->options.max_bytes / ENTRY_SHARE) {
        return;
    }
    struct entry *e = malloc(size);
    if (e == NULL) {
        return;
    }
    *e = (struct entry){
        .hash = hash, .size = text.size, .is_normalised = is_normalised, .shared = shared};
    if (text.size > 0) {
        memcpy(e->text, text.data, text.size);
    }
    shared->references++;
    e->next_in_bucket = c->buckets[hash & c->bucket_mask];
    c->buckets[hash & c->bucket_mask] = e;
    list_add(c, e);
    c->statistics.bytes += size;
    c->statistics.entries++;
    for (struct entry *old = c->oldest, *newer = NULL;
         c->statistics.bytes > c->options.max_bytes && old != e; old = newer) {
        newer = old->newer;
        entry_drop(c, old);
        c->statistics.evictions++;
    }
}

void sql_cache_destroy(struct sql_cache *c)
{
    if (c == NULL) {
        return;
    }
    for (struct entry *e = c->newest, *older = NULL; e != NULL; e = older) {
        older = e->older;
        shared_release(c, e->shared);
        free(e);
    }
    shared_release(c, c->last);
    arena_destroy(c->scratch);
    free(c->copy);
    free(c->buckets);
    free(c);
}

/* --- the three paths ------------------------------------------------------------------- */

/* Hands out `s`, which stays until the next call whatever is evicted. */
static const struct sql_analysis *hand_out(struct sql_cache *c, struct shared *s)
{
    s->references++;
    shared_release(c, c->last);
    c->last = s;
    return s->analysis;
}

static enum err text_copy(struct sql_cache *c, struct bytes text)
{
    if (text.size + 1 > c->copy_capacity) {
        char *more = realloc(c->copy, text.size + 1);
        if (more == NULL) {
            return ERR_NO_MEMORY;
        }
        c->copy = more;
        c->copy_capacity = text.size + 1;
    }
    if (text.size > 0) {
        memcpy(c->copy, text.data, text.size);
    }
    c->copy[text.size] = '\0';
    return OK;
}

/* Returns owned; NULL where the path is of no use. Without a constant in it a text is its own
 * normal form. */
static char *text_normalise(struct sql_cache *c, struct bytes text)
{
    if (text.size > NORMALISE_SIZE_MAX || strpbrk(c->copy, "'0123456789") == NULL) {
        return NULL;
    }
    enum err e = depth_check(c->copy, text.size, c->scratch);
    arena_reset(c->scratch);
    if (e != OK) {
        return NULL;
    }
    PgQueryNormalizeResult r = pg_query_normalize(c->copy);
    char *normal = r.error == NULL ? bytes_to_string(bytes_of_string(r.normalized_query)) : NULL;
    pg_query_free_normalize_result(r);
    return normal;
}

static struct shared *shared_create(struct sql_cache *c, struct sql_analysis *takes)
{
    struct shared *s = calloc(1, sizeof(*s));
    if (s == NULL) {
        sql_analysis_destroy(takes);
        return NULL;
    }
    *s = (struct shared){.analysis = takes, .size = sizeof(*s) + analysis_size(takes)};
    c->statistics.bytes += s->size;
    return s;
}

static enum err analyse_full(struct sql_cache *c, struct bytes text, uint64_t hash,
                             const char *normal, uint64_t normal_hash,
                             const struct sql_analysis **out, struct sql_error *out_error)
{
    struct sql_analysis *made = NULL;
    enum err e = analyse_text(c->copy, text.size, c->scratch, &made, out_error);
    if (e != OK) {
        c->statistics.errors++;
        return e;
    }
    struct shared *s = shared_create(c, made);
    if (s == NULL) {
        return analyse_fail(out_error, ERR_NO_MEMORY, "53200", "out of memory");
    }
    c->statistics.misses++;
    *out = hand_out(c, s);
    entry_add(c, text, hash, false, s);
    if (normal != NULL && analysis_is_shareable(made)) {
        entry_add(c, bytes_of_string(normal), normal_hash, true, s);
    }
    return OK;
}

/* A text whose constants differ each time would only drive others out: it is kept when it comes a
 * second time. A hash that collides is kept too early, which does no harm. */
static bool is_seen_again(struct sql_cache *c, uint64_t hash)
{
    uint32_t *place = &c->seen[hash % SEEN_COUNT];
    uint32_t tag = (uint32_t)(hash >> 32);
    bool again = *place == tag;
    *place = tag;
    return again;
}

enum err sql_cache_analyse(struct sql_cache *c, struct bytes text, const struct sql_analysis **out,
                           struct sql_error *out_error)
{
    uint64_t hash = sql_hash(c->options.seed, text);
    struct entry *found = entry_find(c, text, hash, false);
    if (found != NULL) {
        c->statistics.exact_hits++;
        entry_touch(c, found);
        *out = hand_out(c, found->shared);
        return OK;
    }
    enum err e = analyse_check(text, c->options.max_text_size, out_error);
    if (e != OK || text_copy(c, text) != OK) {
        c->statistics.errors++;
        return e != OK ? e : analyse_fail(out_error, ERR_NO_MEMORY, "53200", "out of memory");
    }
    char *normal = text_normalise(c, text);
    uint64_t normal_hash = 0;
    if (normal != NULL) {
        normal_hash = sql_hash(c->options.seed, bytes_of_string(normal));
        found = entry_find(c, bytes_of_string(normal), normal_hash, true);
    }
    if (found != NULL) {
        c->statistics.normalised_hits++;
        entry_touch(c, found);
        *out = hand_out(c, found->shared);
        if (is_seen_again(c, hash)) {
            entry_add(c, text, hash, false, found->shared);
        }
    } else {
        e = analyse_full(c, text, hash, normal, normal_hash, out, out_error);
    }
    free(normal);
    return e;
}

struct sql_cache_statistics sql_cache_statistics(const struct sql_cache *c)
{
    return c->statistics;
}
