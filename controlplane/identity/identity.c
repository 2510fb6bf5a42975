#include "controlplane/identity/identity.h"

#include <stdlib.h>

#include "controlplane/identity/claims.h"
#include "controlplane/identity/keycache.h"
#include "controlplane/identity/provider.h"
#include "controlplane/identity/strict_json.h"
#include "controlplane/identity/token.h"

enum {
    ARENA_BLOCK = 4096,
    /* 64 providers with a dozen names and URLs each. */
    ARENA_CAP = 1 << 20,
};

struct provider {
    struct identity_provider_config config;
    struct keycache *cache;
};

struct identity_verifier {
    struct clock clock;
    struct identity_fetcher fetcher;
    struct arena *arena; /* the configurations */
    size_t count;
    struct provider providers[];
};

static const struct provider *find_provider(const struct identity_verifier *v, const char *issuer)
{
    for (size_t i = 0; issuer != NULL && i < v->count; i++) {
        if (strcmp(v->providers[i].config.issuer, issuer) == 0) {
            return &v->providers[i];
        }
    }
    return NULL;
}

static enum err add_provider(struct identity_verifier *v,
                             const struct identity_provider_config *config, struct err_text *why)
{
    enum err e = provider_check(config, why);
    if (e != OK) {
        return e;
    }
    if (find_provider(v, config->issuer) != NULL) {
        return err_set(why, ERR_INVALID, "identity provider %s: the issuer %s comes twice",
                       config->name, config->issuer);
    }
    struct provider *p = &v->providers[v->count];
    if (provider_copy(config, v->arena, &p->config) != OK) {
        return err_set(why, ERR_NO_MEMORY, "memory is short");
    }
    struct keycache_config cache = {
        .issuer = p->config.issuer,
        .ca_file = p->config.ca_file,
        .discovery_timeout_ms = p->config.discovery_timeout_ms,
        .jwks_timeout_ms = p->config.jwks_timeout_ms,
        .clock = &v->clock,
        .fetcher = &v->fetcher,
    };
    p->cache = keycache_create(&cache);
    if (p->cache == NULL) {
        return err_set(why, ERR_NO_MEMORY, "memory is short");
    }
    v->count++;
    return OK;
}

enum err identity_verifier_create(const struct identity_provider_config *providers, size_t count,
                                  const struct clock *clock, const struct identity_fetcher *fetcher,
                                  struct identity_verifier **out, struct err_text *why)
{
    if (count > IDENTITY_PROVIDERS_MAX) {
        return err_set(why, ERR_INVALID, "more than %d identity providers", IDENTITY_PROVIDERS_MAX);
    }
    struct identity_verifier *v = calloc(1, sizeof *v + count * sizeof v->providers[0]);
    if (v == NULL) {
        return err_set(why, ERR_NO_MEMORY, "memory is short");
    }
    v->clock = *clock;
    v->fetcher = *fetcher;
    v->arena = arena_create(ARENA_BLOCK, ARENA_CAP);
    enum err e = v->arena == NULL ? err_set(why, ERR_NO_MEMORY, "memory is short") : OK;
    for (size_t i = 0; e == OK && i < count; i++) {
        e = add_provider(v, &providers[i], why);
    }
    if (e != OK) {
        identity_verifier_destroy(v);
        return e;
    }
    *out = v;
    return OK;
}

void identity_verifier_destroy(struct identity_verifier *v)
{
    if (v == NULL) {
        return;
    }
    for (size_t i = 0; i < v->count; i++) {
        keycache_destroy(v->providers[i].cache);
    }
    arena_destroy(v->arena);
    free(v);
}

/* NULL: ERR_DENIED, and `why` says so. */
static const struct provider *choose_provider(const struct identity_verifier *v,
                                              const struct token *t, struct err_text *why)
{
    const char *issuer = strict_json_string(t->claims, "iss");
    const struct provider *p = find_provider(v, issuer);
    if (p == NULL) {
        char quoted[STRICT_JSON_QUOTE_SIZE];
        (void)err_set(why, ERR_DENIED, "the token's issuer %s is not configured",
                      issuer == NULL ? "(none)" : strict_json_quote(issuer, quoted));
        return NULL;
    }
    for (size_t i = 0; i < p->config.algorithm_count; i++) {
        if (strcmp(p->config.algorithms[i], t->algorithm->name) == 0) {
            return p;
        }
    }
    (void)err_set(why, ERR_DENIED, "the token's algorithm %s is not allowed for its issuer",
                  t->algorithm->name);
    return NULL;
}

/* Once with the keys at hand; when the key is not among them, once more with newer ones. */
static enum err check_signature(const struct provider *p, const struct token *t,
                                struct err_text *why)
{
    struct jwks *keys = NULL;
    uint64_t edition = 0;
    enum err e = keycache_get(p->cache, &keys, &edition, why);
    if (e != OK) {
        return e;
    }
    enum jwks_verdict verdict = jwks_verify(keys, t, why);
    jwks_release(keys);
    keys = NULL;
    if (verdict == JWKS_UNKNOWN_KEY) {
        struct err_text cause = {0};
        e = keycache_renew(p->cache, edition, &keys, &cause);
        if (e == ERR_UNAVAILABLE) {
            struct err_text first = *why;
            return err_set(why, e, "%.200s; %.280s", first.text, cause.text);
        }
        if (e == OK) {
            verdict = jwks_verify(keys, t, why);
        }
        jwks_release(keys);
    }
    return verdict == JWKS_VALID ? OK : ERR_DENIED;
}

enum err identity_verify(struct identity_verifier *v, struct bytes token, struct identity **out,
                         struct err_text *why)
{
    struct err_text unused;
    struct token t = {0};
    why = why == NULL ? &unused : why;
    enum err e = token_init(&t, token, why);
    if (e != OK) {
        return e;
    }
    const struct provider *p = choose_provider(v, &t, why);
    e = p == NULL ? ERR_DENIED : check_signature(p, &t, why);
    if (e == OK) {
        e = claims_read(&p->config, t.claims, clock_wall(&v->clock), out, why);
        if (e == OK) {
            t.claims = NULL; /* the identity's now */
        }
    }
    token_finish(&t);
    return e;
}

size_t identity_verifier_provider_count(const struct identity_verifier *v)
{
    return v->count;
}

void identity_verifier_read_status(struct identity_verifier *v, size_t index,
                                   struct identity_provider_status *out)
{
    const struct provider *p = &v->providers[index];
    struct keycache_status status = {0};
    keycache_read_status(p->cache, &status);
    *out = (struct identity_provider_status){
        .name = p->config.name,
        .issuer = p->config.issuer,
        .keys = status.keys,
        .keys_age_s = status.age_s,
        .failing = status.failing,
        .last_error = status.last_error,
    };
}
