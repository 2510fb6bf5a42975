/* For tests: an issuer without a network, whose keys, documents, failures and clock the test
 * sets. It signs with OpenSSL directly, so that the verifier is checked against another
 * implementation. */
#ifndef CHAPERONE_CONTROLPLANE_IDENTITY_FAKE_ISSUER_H
#define CHAPERONE_CONTROLPLANE_IDENTITY_FAKE_ISSUER_H

#include <openssl/evp.h>

#include "controlplane/identity/identity.h"

#define FAKE_ISSUER_URL "https://issuer.test"
/* 2026-11-21T09:00:00Z */
enum { FAKE_ISSUER_NOW_S = 1795251600 };

struct fake_issuer {
    struct clock clock;
    struct identity_fetcher fetcher;
    int64_t wall_ns, monotonic_ns;
    struct buffer discovery, jwks; /* what is served */
    const char *cache_control;
    bool down;
    int discovery_fetches, jwks_fetches;
    char last_jwks_url[256];
};

void fake_issuer_init(struct fake_issuer *f);
void fake_issuer_finish(struct fake_issuer *f);
void fake_issuer_pass(struct fake_issuer *f, int64_t seconds);

void fake_issuer_set_discovery(struct fake_issuer *f, const char *json);
void fake_issuer_set_jwks(struct fake_issuer *f, const char *json);

/* Returns owned: a public JWK; `extra` is put in front of its members ("\"kid\":\"a\","). */
char *fake_jwk(EVP_PKEY *key, const char *extra);

/* Returns owned: base64url(header).base64url(payload).signature, whatever the header says; `how`
 * is the algorithm that really signs; NULL: an empty signature. */
char *fake_sign(EVP_PKEY *key, const char *how, const char *header, const char *payload);
/* As fake_sign, with HMAC-SHA-256. */
char *fake_sign_hmac(struct bytes secret, const char *header, const char *payload);

/* Returns owned: good claims for FAKE_ISSUER_URL, audience "chaperone", subject "agent-1"; `extra`
 * goes in front. */
char *fake_claims(const char *extra);

#endif
