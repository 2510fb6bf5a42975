/* How the verifier gets an issuer's documents: an interface, so that tests need no network. */
#ifndef CHAPERONE_CONTROLPLANE_IDENTITY_FETCH_H
#define CHAPERONE_CONTROLPLANE_IDENTITY_FETCH_H

#include "base/bytes.h"

struct identity_fetch_request {
    const char *url;     /* https, or http to this machine itself: the caller has checked */
    const char *ca_file; /* PEM; NULL: the system's */
    int64_t timeout_ms;  /* for the whole exchange */
};

enum { IDENTITY_CACHE_CONTROL_SIZE = 256 };

struct identity_fetch_response {
    /* The body; the caller initialised it, and its cap is the size limit. */
    struct buffer body;
    char cache_control[IDENTITY_CACHE_CONTROL_SIZE]; /* the header's value; "" when not there */
};

struct identity_fetcher {
    /* GETs once: no redirects, no credentials, status 200 only. ERR_UNAVAILABLE, ERR_TIMEOUT, or
     * ERR_LIMIT when the body is larger than its cap; `why` is the cause alone ("connection
     * refused"). May block for the timeout; called from several threads at once. */
    enum err (*fetch)(void *context, const struct identity_fetch_request *request,
                      struct identity_fetch_response *out, struct err_text *why);
    void *context;
    /* Told of each usable key of an issuer when its keys have come, so that it can be kept what was
     * believed: the JWK as it was published, which has no private part. key_id is "" where it has
     * none. May be NULL; from several threads at once; may block shortly. */
    void (*on_key)(void *key_context, const char *issuer, const char *key_id, const char *jwk);
    void *key_context;
};

#endif
