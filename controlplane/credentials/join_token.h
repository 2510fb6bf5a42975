/* One-time tokens that let a sidecar enrol.
 *
 * "chaperone-join-" and 64 hex digits of 256 random bits. The store has their SHA-256 only, so who
 * reads the store cannot enrol. */
#ifndef CHAPERONE_CONTROLPLANE_CREDENTIALS_JOIN_TOKEN_H
#define CHAPERONE_CONTROLPLANE_CREDENTIALS_JOIN_TOKEN_H

#include "base/bytes.h"
#include "controlplane/store/store.h"

enum {
    JOIN_TOKEN_SIZE = 80, /* with its terminator */
    JOIN_TOKEN_NAME_MAX = 128,
    JOIN_TOKEN_BY_SIZE = 128,
};

/* 15 minutes where nothing is said; at most 24 hours. */
#define JOIN_TOKEN_LIFETIME_NS (INT64_C(15) * 60 * 1000000000)
#define JOIN_TOKEN_LIFETIME_MAX_NS (INT64_C(24) * 3600 * 1000000000)

/* Makes one and stores its hash. `*out_expires_ns` is unix time. ERR_INVALID: the lifetime is not
 * between 1 s and the maximum, or the name is too long. */
enum err join_token_create(struct store *store, const char *name, const char *created_by,
                           int64_t lifetime_ns, int64_t now_ns, char out[JOIN_TOKEN_SIZE],
                           int64_t *out_expires_ns, struct err_text *why) MUST_USE;

/* Where one came from. */
struct join_token_origin {
    char name[JOIN_TOKEN_NAME_MAX + 1];  /* may be "" */
    char created_by[JOIN_TOKEN_BY_SIZE]; /* cut */
};

/* Uses it up. ERR_DENIED: unknown, used before or expired; `why` is for the one who brought it. */
enum err join_token_use(struct store *store, struct bytes token, int64_t now_ns,
                        struct join_token_origin *out, struct err_text *why) MUST_USE;

#endif
