/* Compiled detectors, and the cache of them. */
#include "sidecar/masking/masker_internal.h"

#include <stdlib.h>

enum { CACHED_MAX = 16, KEY_MAX = DETECTOR_CUSTOM_MAX * (DETECTOR_PATTERN_MAX + 8) + 16 };

struct masker_set {
    size_t references;
    struct detector *detector;
    struct buffer key; /* says what was asked for */
};

struct masker_cache {
    struct masker_set *sets[CACHED_MAX]; /* a reference each; NULL: free */
};

struct masker_cache *masker_cache_create(void)
{
    return calloc(1, sizeof(struct masker_cache));
}

void masker_cache_destroy(struct masker_cache *c)
{
    for (size_t i = 0; c != NULL && i < CACHED_MAX; i++) {
        masker_set_release(c->sets[i]);
    }
    free(c);
}

void masker_set_release(struct masker_set *set)
{
    if (set != NULL && --set->references == 0) {
        detector_destroy(set->detector);
        buffer_finish(&set->key);
        free(set);
    }
}

const struct detector *masker_set_detector(const struct masker_set *set)
{
    return set->detector;
}

static enum err make_key(const struct masker_wanted *w, struct buffer *out)
{
    enum err e = buffer_append_format(out, "%x", (unsigned)w->built_in);
    for (size_t i = 0; e == OK && i < w->custom_count; i++) {
        /* With its terminator: no pattern can be taken for two. */
        e = buffer_append_string(out, w->custom[i].is_caseless ? "i" : "c");
        e = e == OK ? buffer_append(
                          out, bytes_of(w->custom[i].pattern, strlen(w->custom[i].pattern) + 1))
                    : e;
    }
    return e;
}

static enum err set_create(const struct masker_wanted *w, struct masker_set **out,
                           struct err_text *why)
{
    struct masker_set *set = calloc(1, sizeof(*set));
    if (set == NULL) {
        return err_set(why, ERR_NO_MEMORY, "no memory for the detectors");
    }
    set->references = 1;
    buffer_init(&set->key, KEY_MAX);
    const struct detector_config config = {w->built_in, w->custom, w->custom_count};
    enum err e = detector_create(&config, &set->detector, why);
    if (e == OK && make_key(w, &set->key) != OK) {
        e = err_set(why, ERR_NO_MEMORY, "no memory for the detectors");
    }
    if (e != OK) {
        masker_set_release(set);
        return e;
    }
    *out = set;
    return OK;
}

static struct masker_set *find(struct masker_cache *cache, struct bytes key)
{
    for (size_t i = 0; i < CACHED_MAX; i++) {
        if (cache->sets[i] != NULL && bytes_equal(buffer_bytes(&cache->sets[i]->key), key)) {
            return cache->sets[i];
        }
    }
    return NULL;
}

/* In a free place, or in that of one that no masker uses. */
static void keep(struct masker_cache *cache, struct masker_set *set)
{
    for (size_t i = 0; i < CACHED_MAX; i++) {
        if (cache->sets[i] == NULL || cache->sets[i]->references == 1) {
            masker_set_release(cache->sets[i]);
            cache->sets[i] = set;
            set->references++;
            return;
        }
    }
}

enum err masker_set_get(struct masker_cache *cache, const struct masker_wanted *wanted,
                        struct masker_set **out, struct err_text *why)
{
    struct buffer key;
    buffer_init(&key, KEY_MAX);
    /* Too long for a key is too long to compile, which says so better. */
    bool has_key = cache != NULL && make_key(wanted, &key) == OK;
    struct masker_set *set = has_key ? find(cache, buffer_bytes(&key)) : NULL;
    buffer_finish(&key);
    if (set != NULL) {
        set->references++;
        *out = set;
        return OK;
    }
    enum err e = set_create(wanted, &set, why);
    if (e != OK) {
        return e;
    }
    if (cache != NULL) {
        keep(cache, set);
    }
    *out = set;
    return OK;
}
