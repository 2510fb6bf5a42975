/* The keys of one issuer, kept, renewed and rationed.
 *
 *   fetched      fresh until                              usable until
 *   |------------|----------------------------------------|
 *   no requests   renewed at the next use; if that fails,   nothing is verified any more
 *                 the old keys serve on
 *
 * Requests to the issuer are few whatever the tokens are: one at a time; after a failure none for
 * 1, 2, 4, ... 30 s; because of unknown keys one each KEYCACHE_REFETCH_S. Thread-safe; a call may
 * block for the two timeouts of one fetch. */
#ifndef CHAPERONE_CONTROLPLANE_IDENTITY_KEYCACHE_H
#define CHAPERONE_CONTROLPLANE_IDENTITY_KEYCACHE_H

#include "base/clock.h"
#include "controlplane/identity/fetch.h"
#include "controlplane/identity/jwks.h"

enum {
    /* Cache-Control: max-age counts within these; without it the default. */
    KEYCACHE_FRESH_MIN_S = 60,
    KEYCACHE_FRESH_DEFAULT_S = 15 * 60,
    KEYCACHE_FRESH_MAX_S = 6 * 3600,
    /* A key that was withdrawn while its issuer is down is believed no longer than this. */
    KEYCACHE_USABLE_S = 24 * 3600,
    KEYCACHE_REFETCH_S = 10,
    KEYCACHE_BACKOFF_MAX_S = 30,
};

struct keycache;

struct keycache_config {
    /* All borrowed for the cache's lifetime. */
    const char *issuer;
    const char *ca_file; /* NULL: the system's */
    int64_t discovery_timeout_ms, jwks_timeout_ms;
    const struct clock *clock;
    const struct identity_fetcher *fetcher;
};

/* Returns owned; NULL when memory is short. */
struct keycache *keycache_create(const struct keycache_config *config) MUST_USE;
void keycache_destroy(struct keycache *c); /* takes NULL; no call may be under way */

/* Keys to verify with, held for the caller (jwks_release), and which edition they are.
 * ERR_UNAVAILABLE: there are none; `why` names the issuer and the cause. */
enum err keycache_get(struct keycache *c, struct jwks **out_keys, uint64_t *out_edition,
                      struct err_text *why) MUST_USE;

/* Newer keys than `edition`, in which a key was missing. ERR_NOT_FOUND: no newer ones, the issuer
 * was asked less than KEYCACHE_REFETCH_S ago. ERR_UNAVAILABLE: it could not be asked. */
enum err keycache_renew(struct keycache *c, uint64_t edition, struct jwks **out_keys,
                        struct err_text *why) MUST_USE;

struct keycache_status {
    size_t keys;   /* usable ones; 0: none, or too old */
    int64_t age_s; /* of the keys; -1: there are none */
    bool failing;  /* the last fetch failed */
    struct err_text last_error;
};
void keycache_read_status(struct keycache *c, struct keycache_status *out);

#endif
