/* A development OIDC issuer: anyone on this machine gets any token from it.
 *
 * For `chaperone dev`, the quickstart and tests. It listens on loopback addresses only, and
 * answers only peers of loopback addresses that name it by one (which keeps out web pages
 * that rebind a name of theirs). Its keys live in DIR/issuer-keys.json, mode 0600, so that a
 * second start on the same DIR keeps the tokens of the first one valid.
 *
 *   GET  /.well-known/openid-configuration
 *   GET  /jwks
 *   POST /token    form: subject=NAME [groups=a,b] [audience=A] [lifetime=SECONDS] [name=N]
 *                  [reason=R] [on_behalf_of=nearest,...,last] [alg=RS256|ES256] [claims={...}]
 *                  [format=json|text]; text is the token alone
 *   POST /rotate   new keys; the old ones stay in /jwks for ISSUER_RETIRED_S
 *
 * Thread-safe. Uses libmicrohttpd with a thread of its own. */
#ifndef CHAPERONE_CLI_ISSUER_ISSUER_H
#define CHAPERONE_CLI_ISSUER_ISSUER_H

#include "base/bytes.h"
#include "base/clock.h"

enum {
    ISSUER_LIFETIME_DEFAULT_S = 3600,
    ISSUER_LIFETIME_MAX_S = 30 * 24 * 3600,
    /* As long as a token of the default lifetime that was made just before. */
    ISSUER_RETIRED_S = 3600,
};

/* Of tokens when none is asked for. */
#define ISSUER_AUDIENCE_DEFAULT "chaperone"

struct issuer;

struct issuer_options {
    const char *address;   /* "127.0.0.1", "::1"; NULL: 127.0.0.1 */
    uint16_t port;         /* 0: one that is free */
    const char *directory; /* where the keys are; must exist */
    struct clock clock;
};

/* Reads the keys or makes them. Returns owned in *out. ERR_DENIED: the address is no loopback
 * one, or others may read the key file; ERR_INVALID: the key file is damaged; ERR_IO. */
enum err issuer_create(const struct issuer_options *options, struct issuer **out,
                       struct err_text *why) MUST_USE;
/* Takes NULL; stops it. */
void issuer_destroy(struct issuer *s);

/* Begins to answer. ERR_IO: the port is taken; it may be started again. */
enum err issuer_start(struct issuer *s, struct err_text *why) MUST_USE;
/* Ends the answers under way; the port stays known, and it may be started again on it. */
void issuer_stop(struct issuer *s);

/* Once it was started, when the options left the port open. */
uint16_t issuer_port(const struct issuer *s);
/* "http://127.0.0.1:PORT": the tokens' `iss`. Valid until destroy. */
const char *issuer_url(const struct issuer *s);

struct issuer_token {
    const char *subject; /* who the agent is; must be given */
    const char *const *groups;
    size_t group_count;
    const char *audience; /* NULL: ISSUER_AUDIENCE_DEFAULT */
    int64_t lifetime_s;   /* 0: ISSUER_LIFETIME_DEFAULT_S; below 0: has expired already */
    const char *name;     /* NULL: none */
    /* On whose behalf, nearest to the agent first. The last one becomes the token's `sub`, and the
     * agent its `act` (RFC 8693 section 4.1): what controlplane/identity reads back. */
    const char *const *on_behalf_of;
    size_t on_behalf_of_count;
    const char *reason;       /* NULL: none */
    const char *extra_claims; /* a JSON object whose members replace the others; NULL: none */
    const char *algorithm;    /* "RS256", "ES256"; NULL: RS256 */
};

/* Returns owned in *out (free()). ERR_INVALID: `why` says which member, and what is expected. */
enum err issuer_mint(struct issuer *s, const struct issuer_token *token, char **out,
                     struct err_text *why) MUST_USE;

/* New keys for new tokens. */
enum err issuer_rotate(struct issuer *s, struct err_text *why) MUST_USE;

#endif
