/* Who an agent or a person is: the verifier of OIDC tokens (OpenID Connect Core 1.0 section 2,
 * RFC 7519) and what a verified token says.
 *
 * Who acts, and on whose behalf (RFC 8693 section 4.1). In a token with `act` the `sub` is the
 * party on whose behalf, and `act.sub` is the one who acts; an `act` inside of `act` is who acted
 * before. So from
 *
 *     {"sub": "alice", "act": {"sub": "agent-1", "act": {"sub": "orchestrator"}}}
 *
 * the identity's subject is agent-1, on behalf of: orchestrator, alice. Nearest to the agent
 * first; the last one is the party for whom all is done. Without `act` the subject is `sub`. The
 * claims `obo` and `on_behalf_of` (a text, or an object with `sub`) follow at the end.
 * The groups are the token's own: with `act` they are the authority that `sub` delegated.
 *
 * Everything here comes from a token whose signature was checked: "verified", in the
 * audit's words. */
#ifndef CHAPERONE_CONTROLPLANE_IDENTITY_IDENTITY_H
#define CHAPERONE_CONTROLPLANE_IDENTITY_IDENTITY_H

#include "base/bytes.h"
#include "base/clock.h"
#include "controlplane/identity/fetch.h"

/* ---- Configuration ---------------------------------------------------------------------- */

enum {
    IDENTITY_PROVIDERS_MAX = 64,
    IDENTITY_LEEWAY_MAX_S = 300,
    IDENTITY_TIMEOUT_MAX_MS = 30000,
};

struct identity_provider_config {
    const char *name;   /* for people and the audit */
    const char *issuer; /* https, or http on this machine itself; exactly as in the tokens */
    const char *const *audiences; /* at least one; a token must be for one of them */
    size_t audience_count;
    /* Of RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, ES512, EdDSA, Ed25519. */
    const char *const *algorithms;
    size_t algorithm_count;
    /* Paths of claims, "realm_access.roles"; a name with dots in it is tried first as a whole. */
    const char *subject_claim, *groups_claim, *name_claim, *reason_claim;
    int64_t leeway_s;    /* 0 to IDENTITY_LEEWAY_MAX_S: how wrong clocks may be */
    const char *ca_file; /* PEM; NULL: the system's */
    int64_t discovery_timeout_ms, jwks_timeout_ms; /* 1 to IDENTITY_TIMEOUT_MAX_MS */
};

/* RS256, PS256, ES256, EdDSA; sub, groups, name, reason; leeway 30 s; timeouts 5 s. Name, issuer
 * and audiences are to be filled in. */
struct identity_provider_config identity_provider_config_default(void);

/* ---- An identity ------------------------------------------------------------------------ */

struct identity_actor {
    const char *subject;
    const char *issuer; /* the token's, unless `act` names another one */
    const char
        *source; /* "token:sub", "token:act", "token:may_act", "token:obo", "token:on_behalf_of" */
};

struct identity_reason {
    const char *text;
    const char *source; /* "token:reason": the claim's path */
};

/* One scalar of the token: "department", "realm_access.roles"; the items of a list share its path.
 * Numbers and booleans as JSON writes them. */
struct identity_scalar {
    const char *path, *value;
};

struct identity_claims;

/* Read-only; all valid until identity_destroy. Texts are UTF-8; subjects, issuers and groups have
 * no control characters and are not empty. */
struct identity {
    const char *provider; /* the configuration's name */
    const char *issuer;
    const char *subject;
    const char *name; /* "" when not said; never used in a decision */
    const char *const *groups;
    size_t group_count;
    const char *audience; /* the configured one that matched */
    int64_t expires_ns;   /* unix time, without leeway */
    const struct identity_actor *on_behalf_of;
    size_t on_behalf_of_count;
    const struct identity_actor *may_act; /* could act for the subject; does not */
    size_t may_act_count;
    const struct identity_reason *reasons;
    size_t reason_count;
    /* For policies: at most 64, without those of the token's own machinery (iss, sub, aud, exp,
     * nbf, iat, jti, nonce, at_hash) and without any whose path or value is longer than 256 bytes.
     * Plain ones first, then the items of lists, each by path. */
    const struct identity_scalar *scalars;
    size_t scalar_count;
    const struct identity_claims *claims; /* for identity_claim */
};

void identity_destroy(struct identity *id); /* takes NULL */

bool identity_has_group(const struct identity *id, const char *group);

enum identity_claim_kind {
    IDENTITY_CLAIM_NONE, /* not there, or null */
    IDENTITY_CLAIM_TEXT,
    IDENTITY_CLAIM_NUMBER,
    IDENTITY_CLAIM_BOOL,
    IDENTITY_CLAIM_LIST,
    IDENTITY_CLAIM_OBJECT,
};

struct identity_claim {
    enum identity_claim_kind kind;
    const char *text; /* of a text; borrows from the identity */
    double number;
    bool truth;
    size_t count; /* of a list's or an object's members */
};

/* Any claim of the token by its path. */
struct identity_claim identity_claim(const struct identity *id, const char *path);
/* A list's item; kind NONE beyond its end or when the claim is no list. */
struct identity_claim identity_claim_item(const struct identity *id, const char *path,
                                          size_t index);
/* True when the claim is this text, or a list that has it. */
bool identity_claim_has(const struct identity *id, const char *path, const char *text);

/* ---- The verifier ----------------------------------------------------------------------- */

struct identity_verifier;

/* Returns owned in *out; copies the configuration, the clock and the fetcher. Nothing is fetched
 * yet. ERR_INVALID: `why` names the provider and the mistake. */
enum err identity_verifier_create(const struct identity_provider_config *providers, size_t count,
                                  const struct clock *clock, const struct identity_fetcher *fetcher,
                                  struct identity_verifier **out, struct err_text *why) MUST_USE;
/* Takes NULL; no call may be under way. Identities outlive it. */
void identity_verifier_destroy(struct identity_verifier *v);

/* Thread-safe; blocks for the provider's timeouts when keys must be fetched, so never on an event
 * loop's thread. `*out` is owned (identity_destroy).
 *   ERR_DENIED       the token is bad; `why` says exactly what about it, never the token
 *   ERR_UNAVAILABLE  the issuer cannot be asked for its keys and none are cached; or only it
 *                    could tell about a key that is not cached; may be tried again */
enum err identity_verify(struct identity_verifier *v, struct bytes token, struct identity **out,
                         struct err_text *why) MUST_USE;

struct identity_provider_status {
    const char *name, *issuer; /* valid until the verifier is destroyed */
    size_t keys;               /* that are cached and may be used */
    int64_t keys_age_s;        /* -1: none were fetched yet */
    bool failing;              /* the issuer did not give its keys the last time it was asked */
    struct err_text last_error;
};

size_t identity_verifier_provider_count(const struct identity_verifier *v);
/* `index` is below the count. */
void identity_verifier_read_status(struct identity_verifier *v, size_t index,
                                   struct identity_provider_status *out);

#endif
