#include "controlplane/identity/keycache.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "controlplane/identity/discovery.h"

static const int64_t SECOND = 1000000000;

struct keycache {
    struct keycache_config config;
    pthread_mutex_t lock; /* guards all below */
    pthread_cond_t fetched;
    bool fetching;
    struct jwks *keys;                  /* NULL: none yet */
    uint64_t edition;                   /* counts the fetches that succeeded */
    int64_t fetched_ns, fresh_until_ns; /* monotonic, as all times here */
    unsigned failures;                  /* in a row */
    int64_t retry_at_ns;                /* after a failure */
    int64_t renew_at_ns;                /* because of an unknown key */
    struct err_text last_error;
};

struct keycache *keycache_create(const struct keycache_config *config)
{
    struct keycache *c = calloc(1, sizeof *c);
    if (c == NULL) {
        return NULL;
    }
    c->config = *config;
    if (pthread_mutex_init(&c->lock, NULL) != 0) {
        free(c);
        return NULL;
    }
    if (pthread_cond_init(&c->fetched, NULL) != 0) {
        (void)pthread_mutex_destroy(&c->lock);
        free(c);
        return NULL;
    }
    return c;
}

void keycache_destroy(struct keycache *c)
{
    if (c == NULL) {
        return;
    }
    jwks_release(c->keys);
    (void)pthread_cond_destroy(&c->fetched);
    (void)pthread_mutex_destroy(&c->lock);
    free(c);
}

/* ---- one fetch, without the lock -------------------------------------------------------- */

/* RFC 9111 section 5.2.2, the parts that matter to a key set. */
static int64_t fresh_seconds(const char *cache_control)
{
    int64_t seconds = KEYCACHE_FRESH_DEFAULT_S;
    const char *max_age = strcasestr(cache_control, "max-age=");
    if (max_age != NULL) {
        errno = 0;
        seconds = strtoll(max_age + strlen("max-age="), NULL, 10);
    }
    if (strcasestr(cache_control, "no-store") != NULL ||
        strcasestr(cache_control, "no-cache") != NULL || seconds < KEYCACHE_FRESH_MIN_S) {
        return KEYCACHE_FRESH_MIN_S;
    }
    return seconds > KEYCACHE_FRESH_MAX_S ? KEYCACHE_FRESH_MAX_S : seconds;
}

static enum err fetch_one(const struct keycache_config *config, const char *url, int64_t timeout_ms,
                          const char *what, struct identity_fetch_response *out,
                          struct err_text *why)
{
    struct identity_fetch_request request = {
        .url = url, .ca_file = config->ca_file, .timeout_ms = timeout_ms};
    struct err_text cause = {0};
    enum err e = config->fetcher->fetch(config->fetcher->context, &request, out, &cause);
    return e == OK ? OK : err_set(why, e, "%s: %s", what, cause.text);
}

static enum err fetch_jwks_uri(const struct keycache_config *config, char **out,
                               struct err_text *why)
{
    char *url = discovery_url(config->issuer);
    if (url == NULL) {
        return err_set(why, ERR_NO_MEMORY, "memory is short");
    }
    struct identity_fetch_response response = {0};
    buffer_init(&response.body, DISCOVERY_SIZE_MAX);
    enum err e =
        fetch_one(config, url, config->discovery_timeout_ms, "discovery document", &response, why);
    if (e == OK) {
        e = discovery_parse(buffer_bytes(&response.body), config->issuer, out, why);
    }
    buffer_finish(&response.body);
    free(url);
    return e;
}

static enum err fetch_keys(const struct keycache_config *config, struct jwks **out,
                           int64_t *out_fresh_s, struct err_text *why)
{
    char *url = NULL;
    enum err e = fetch_jwks_uri(config, &url, why);
    if (e != OK) {
        return e;
    }
    struct identity_fetch_response response = {0};
    buffer_init(&response.body, JWKS_SIZE_MAX);
    e = fetch_one(config, url, config->jwks_timeout_ms, "key set", &response, why);
    if (e == OK) {
        e = jwks_parse(buffer_bytes(&response.body), out, why);
    }
    if (e == OK) {
        *out_fresh_s = fresh_seconds(response.cache_control);
    }
    buffer_finish(&response.body);
    free(url);
    return e;
}

/* ---- with the lock ---------------------------------------------------------------------- */

static int64_t now_ns(const struct keycache *c)
{
    return clock_monotonic(c->config.clock);
}

static bool is_usable(const struct keycache *c)
{
    return c->keys != NULL && now_ns(c) - c->fetched_ns < KEYCACHE_USABLE_S * SECOND;
}

static bool is_backing_off(const struct keycache *c)
{
    return c->failures > 0 && now_ns(c) < c->retry_at_ns;
}

static void note_failure(struct keycache *c, const struct err_text *why)
{
    int64_t wait_s = c->failures >= 5 ? KEYCACHE_BACKOFF_MAX_S : INT64_C(1) << c->failures;
    c->failures++;
    c->retry_at_ns = now_ns(c) + wait_s * SECOND;
    c->last_error = *why;
}

static void note_success(struct keycache *c, struct jwks *keys, int64_t fresh_s)
{
    jwks_release(c->keys);
    c->keys = keys;
    c->edition++;
    c->failures = 0;
    c->fetched_ns = now_ns(c);
    c->fresh_until_ns = c->fetched_ns + fresh_s * SECOND;
}

static void tell_key(void *context, const char *key_id, const char *jwk)
{
    const struct keycache_config *config = context;
    config->fetcher->on_key(config->fetcher->key_context, config->issuer, key_id, jwk);
}

/* Gives the lock up while it waits for the issuer. */
static void fetch(struct keycache *c)
{
    struct jwks *keys = NULL;
    int64_t fresh_s = 0;
    struct err_text why = {0};
    c->fetching = true;
    (void)pthread_mutex_unlock(&c->lock);
    enum err e = fetch_keys(&c->config, &keys, &fresh_s, &why);
    if (e == OK && c->config.fetcher->on_key != NULL) {
        jwks_each(keys, tell_key, &c->config);
    }
    (void)pthread_mutex_lock(&c->lock);
    c->fetching = false;
    if (e == OK) {
        note_success(c, keys, fresh_s);
    } else {
        note_failure(c, &why);
    }
    (void)pthread_cond_broadcast(&c->fetched);
}

static void wait_for_fetch(struct keycache *c)
{
    while (c->fetching) {
        (void)pthread_cond_wait(&c->fetched, &c->lock);
    }
}

static enum err say_unavailable(const struct keycache *c, struct err_text *why)
{
    return err_set(why, ERR_UNAVAILABLE, "the keys of issuer %s cannot be fetched: %s",
                   c->config.issuer, c->last_error.text);
}

enum err keycache_get(struct keycache *c, struct jwks **out_keys, uint64_t *out_edition,
                      struct err_text *why)
{
    (void)pthread_mutex_lock(&c->lock);
    if (!is_usable(c)) {
        wait_for_fetch(c);
    }
    bool fresh = is_usable(c) && now_ns(c) < c->fresh_until_ns;
    if (!fresh && !c->fetching && !is_backing_off(c)) {
        fetch(c);
    }
    enum err e = OK;
    if (is_usable(c)) {
        *out_keys = jwks_hold(c->keys);
        *out_edition = c->edition;
    } else {
        e = say_unavailable(c, why);
    }
    (void)pthread_mutex_unlock(&c->lock);
    return e;
}

enum err keycache_renew(struct keycache *c, uint64_t edition, struct jwks **out_keys,
                        struct err_text *why)
{
    enum err e = OK;
    (void)pthread_mutex_lock(&c->lock);
    wait_for_fetch(c);
    if (c->edition == edition) {
        if (is_backing_off(c)) {
            e = say_unavailable(c, why);
        } else if (now_ns(c) < c->renew_at_ns) {
            e = ERR_NOT_FOUND;
        } else {
            c->renew_at_ns = now_ns(c) + KEYCACHE_REFETCH_S * SECOND;
            fetch(c);
            e = c->failures == 0 ? OK : say_unavailable(c, why);
        }
    }
    if (e == OK) {
        *out_keys = jwks_hold(c->keys);
    }
    (void)pthread_mutex_unlock(&c->lock);
    return e;
}

void keycache_read_status(struct keycache *c, struct keycache_status *out)
{
    (void)pthread_mutex_lock(&c->lock);
    *out = (struct keycache_status){
        .keys = is_usable(c) ? jwks_usable(c->keys) : 0,
        .age_s = c->keys == NULL ? -1 : (now_ns(c) - c->fetched_ns) / SECOND,
        .failing = c->failures > 0,
        .last_error = c->last_error,
    };
    (void)pthread_mutex_unlock(&c->lock);
}
