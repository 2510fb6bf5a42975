#include <pg_query.h>
#include <stdlib.h>

#include "sidecar/sql/sql_hash.h"
#include "sidecar/sql/sql_parse.h"
#include "sidecar/sql/sql_skeleton.h"
#include "sidecar/sql/sql_walk.h"

enum {
    /* Beyond it the normalised path costs more than it is likely to save: such texts are bulk data.
     */
    NORMALISE_SIZE_MAX = 16 << 10,
    /* One entry may not push out everything else. */
    ENTRY_SHARE = 8,
    SEEN_COUNT = 4096, /* 16 KiB: half of a first-level cache */
    RECENT_SIZE_MAX = 1 << 10,
};

/* What an entry's text is. */
enum form { FORM_EXACT, FORM_NORMAL, FORM_SKELETON };

/* Of a skeleton: nothing is answered by it before it is proved. */
enum proof { UNPROVED, PROVED, REFUTED };

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
    enum form form;
    enum proof proof;
    uint8_t text[];
};

/* A text that is asked for, in one of its forms. */
struct key {
    struct bytes text;
    uint64_t hash;
    enum form form;
};

/* The text whose skeleton lies in the cache's room for one, or that has none: it is asked for again
 * on its way, and with each execution of what was prepared. */
struct recent {
    size_t size; /* 0: none, or too long a one */
    uint8_t text[RECENT_SIZE_MAX];
    bool has_skeleton;
    struct skeleton made;
    struct key key;
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
    uint8_t skeleton[NORMALISE_SIZE_MAX];
    struct recent recent;
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

static struct entry *entry_find(const struct sql_cache *c, struct key key)
{
    struct entry *e = c->buckets[key.hash & c->bucket_mask];
    for (; e != NULL; e = e->next_in_bucket) {
        if (e->hash == key.hash && e->form == key.form &&
            bytes_equal(bytes_of(e->text, e->size), key.text)) {
            return e;
        }
    }
    return NULL;
}

static void entries_evict(struct sql_cache *c, const struct entry *keep)
{
    for (struct entry *old = c->oldest, *newer = NULL;
         c->statistics.bytes > c->options.max_bytes && old != keep; old = newer) {
        newer = old->newer;
        entry_drop(c, old);
        c->statistics.evictions++;
    }
}

/* A statement's text is asked for several times on its way, one after the other: the last answer is
 * compared before anything is hashed. */
static struct entry *entry_newest(const struct sql_cache *c, struct bytes text)
{
    struct entry *e = c->newest;
    bool is_same =
        e != NULL && e->form == FORM_EXACT && bytes_equal(bytes_of(e->text, e->size), text);
    return is_same ? e : NULL;
}

/* A cache that cannot keep is only slower: no error. */
static void entry_add(struct sql_cache *c, struct key key, enum proof proof, struct shared *shared)
{
    size_t size = sizeof(struct entry) + key.text.size;
    if (size + shared->size > c->options.max_bytes / ENTRY_SHARE) {
        return;
    }
    struct entry *e = malloc(size);
    if (e == NULL) {
        return;
    }
    *e = (struct entry){.hash = key.hash,
                        .size = key.text.size,
                        .form = key.form,
                        .proof = proof,
                        .shared = shared};
    if (key.text.size > 0) {
        memcpy(e->text, key.text.data, key.text.size);
    }
    shared->references++;
    e->next_in_bucket = c->buckets[key.hash & c->bucket_mask];
    c->buckets[key.hash & c->bucket_mask] = e;
    list_add(c, e);
    c->statistics.bytes += size;
    c->statistics.entries++;
    entries_evict(c, e);
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

/* --- the paths ------------------------------------------------------------------- */

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

static struct key key_of(const struct sql_cache *c, enum form form, struct bytes text)
{
    return (struct key){.text = text, .hash = sql_hash(c->options.seed, text), .form = form};
}

/* One text on its way through the paths. */
struct question {
    struct key exact, skeleton, normal; /* the last two: no text where there is no such form */
    struct skeleton made;
    char *normal_text; /* owned */
    struct entry *by_skeleton;
};

static bool question_normalise(struct sql_cache *c, struct question *q)
{
    q->normal_text = text_normalise(c, q->exact.text);
    if (q->normal_text == NULL) {
        return false;
    }
    q->normal = key_of(c, FORM_NORMAL, bytes_of_string(q->normal_text));
    return true;
}

static bool has_skeleton(const struct question *q)
{
    return q->skeleton.text.size > 0;
}

static bool question_is_proved(const struct question *q)
{
    return q->normal_text != NULL && skeleton_is_proved(&q->made, q->normal_text);
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

static void answer(struct sql_cache *c, const struct question *q, struct entry *found,
                   const struct sql_analysis **out)
{
    c->statistics.normalised_hits++;
    entry_touch(c, found);
    *out = hand_out(c, found->shared);
    if (is_seen_again(c, q->exact.hash)) {
        entry_add(c, q->exact, UNPROVED, c->last);
    }
}

/* The text must be copied before: the first text that meets an entry of its skeleton is normalised
 * to prove it. */
static bool answer_by_skeleton(struct sql_cache *c, struct question *q,
                               const struct sql_analysis **out)
{
    struct entry *found = q->by_skeleton;
    if (found == NULL) {
        return false;
    }
    if (found->proof == UNPROVED) {
        (void)question_normalise(c, q);
        found->proof = question_is_proved(q) ? PROVED : REFUTED;
    }
    if (found->proof != PROVED) {
        entry_touch(c, found); /* else it would have to be refuted again */
        return false;
    }
    answer(c, q, found, out);
    return true;
}

/* Normalising costs a parse. A text of a new skeleton rarely has a normal form that is known. */
static bool answer_by_normal_form(struct sql_cache *c, struct question *q,
                                  const struct sql_analysis **out)
{
    bool is_worth_it = !has_skeleton(q) || q->by_skeleton != NULL || q->made.has_named_constants;
    if (q->normal_text == NULL && (!is_worth_it || !question_normalise(c, q))) {
        return false;
    }
    struct entry *found = entry_find(c, q->normal);
    if (found == NULL) {
        return false;
    }
    answer(c, q, found, out);
    if (has_skeleton(q) && q->by_skeleton == NULL && question_is_proved(q) &&
        is_seen_again(c, q->skeleton.hash)) {
        entry_add(c, q->skeleton, PROVED, c->last);
    }
    return true;
}

static enum err analyse_full(struct sql_cache *c, const struct question *q,
                             const struct sql_analysis **out, struct sql_error *out_error)
{
    struct sql_analysis *made = NULL;
    enum err e = analyse_text(c->copy, q->exact.text.size, c->scratch, &made, out_error);
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
    entry_add(c, q->exact, UNPROVED, s);
    if (!analysis_is_shareable(made)) {
        return OK;
    }
    if (q->normal_text != NULL) {
        entry_add(c, q->normal, UNPROVED, s);
    }
    if (has_skeleton(q) && q->by_skeleton == NULL) {
        entry_add(c, q->skeleton, UNPROVED, s);
    }
    return OK;
}

/* The parser ends the process where it cannot go on. */
static bool has_memory(const struct sql_cache *c, struct bytes text)
{
    return c->options.has_memory == NULL ||
           c->options.has_memory(c->options.context,
                                 text.size * SQL_MEMORY_FACTOR + SQL_MEMORY_MARGIN);
}

/* False: it has none. */
static bool make_skeleton(struct sql_cache *c, struct bytes text)
{
    struct recent *r = &c->recent;
    if (r->size > 0 && bytes_equal(bytes_of(r->text, r->size), text)) {
        return r->has_skeleton;
    }
    r->has_skeleton =
        text.size <= sizeof(c->skeleton) && skeleton_make(text, c->skeleton, &r->made);
    if (r->has_skeleton) {
        r->key = key_of(c, FORM_SKELETON, bytes_of(c->skeleton, r->made.size));
    }
    r->size = text.size <= sizeof(r->text) ? text.size : 0;
    if (r->size > 0) {
        memcpy(r->text, text.data, r->size);
    }
    return r->has_skeleton;
}

static void question_read(struct sql_cache *c, struct question *q)
{
    if (make_skeleton(c, q->exact.text)) {
        q->made = c->recent.made;
        q->skeleton = c->recent.key;
        q->by_skeleton = entry_find(c, q->skeleton);
    }
}

enum err sql_cache_analyse(struct sql_cache *c, struct bytes text, const struct sql_analysis **out,
                           struct sql_error *out_error)
{
    struct question q = {0};
    struct entry *found = entry_newest(c, text);
    if (found == NULL) {
        q.exact = key_of(c, FORM_EXACT, text);
        found = entry_find(c, q.exact);
    }
    if (found != NULL) {
        c->statistics.exact_hits++;
        entry_touch(c, found);
        *out = hand_out(c, found->shared);
        return OK;
    }
    enum err e = analyse_check(text, c->options.max_text_size, out_error);
    if (e == OK) {
        question_read(c, &q);
    }
    if (q.by_skeleton != NULL && q.by_skeleton->proof == PROVED) {
        answer(c, &q, q.by_skeleton, out);
        return OK;
    }
    if (e == OK && (!has_memory(c, text) || text_copy(c, text) != OK)) {
        e = analyse_fail(out_error, ERR_NO_MEMORY, "53200", "out of memory");
    }
    if (e != OK) {
        c->statistics.errors++;
        return e;
    }
    if (!answer_by_skeleton(c, &q, out) && !answer_by_normal_form(c, &q, out)) {
        e = analyse_full(c, &q, out, out_error);
    }
    free(q.normal_text);
    return e;
}

bool sql_cache_shape(struct sql_cache *c, struct bytes text, struct bytes *out)
{
    struct question q = {.exact = {.text = text}};
    question_read(c, &q);
    bool is_proved = q.by_skeleton != NULL && q.by_skeleton->proof == PROVED;
    *out = is_proved ? q.skeleton.text : (struct bytes){0};
    return is_proved;
}

struct sql_cache_statistics sql_cache_statistics(const struct sql_cache *c)
{
    return c->statistics;
}
