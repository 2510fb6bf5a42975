#include "controlplane/identity/provider.h"

#include <strings.h>

#include "controlplane/identity/algorithm.h"
#include "controlplane/identity/url.h"

struct identity_provider_config identity_provider_config_default(void)
{
    static const char *const algorithms[] = {"RS256", "PS256", "ES256", "EdDSA"};
    return (struct identity_provider_config){
        .algorithms = algorithms,
        .algorithm_count = sizeof algorithms / sizeof algorithms[0],
        .subject_claim = "sub",
        .groups_claim = "groups",
        .name_claim = "name",
        .reason_claim = "reason",
        .leeway_s = 30,
        .discovery_timeout_ms = 5000,
        .jwks_timeout_ms = 5000,
    };
}

static bool is_empty(const char *text)
{
    return text == NULL || text[0] == '\0';
}

static enum err check_algorithms(const struct identity_provider_config *c, struct err_text *why)
{
    if (c->algorithm_count == 0) {
        return err_set(why, ERR_INVALID, "identity provider %s: no algorithm is allowed", c->name);
    }
    for (size_t i = 0; i < c->algorithm_count; i++) {
        const char *name = c->algorithms[i];
        if (strcasecmp(name, "none") == 0 || strncasecmp(name, "HS", 2) == 0) {
            return err_set(why, ERR_INVALID,
                           "identity provider %s: the algorithm %s can never be allowed", c->name,
                           name);
        }
        if (algorithm_find(name) == NULL) {
            return err_set(
                why, ERR_INVALID,
                "identity provider %s: unknown algorithm %s (one of RS256, RS384, RS512, "
                "PS256, PS384, PS512, ES256, ES384, ES512, EdDSA, Ed25519 is expected)",
                c->name, name);
        }
    }
    return OK;
}

static enum err check_audiences(const struct identity_provider_config *c, struct err_text *why)
{
    if (c->audience_count == 0) {
        return err_set(why, ERR_INVALID,
                       "identity provider %s: no audience; tokens for others would be accepted",
                       c->name);
    }
    for (size_t i = 0; i < c->audience_count; i++) {
        if (is_empty(c->audiences[i])) {
            return err_set(why, ERR_INVALID, "identity provider %s: an audience is empty", c->name);
        }
    }
    return OK;
}

static enum err check_numbers(const struct identity_provider_config *c, struct err_text *why)
{
    if (c->leeway_s < 0 || c->leeway_s > IDENTITY_LEEWAY_MAX_S) {
        return err_set(why, ERR_INVALID, "identity provider %s: the leeway must be 0 to %d seconds",
                       c->name, IDENTITY_LEEWAY_MAX_S);
    }
    if (c->discovery_timeout_ms < 1 || c->discovery_timeout_ms > IDENTITY_TIMEOUT_MAX_MS ||
        c->jwks_timeout_ms < 1 || c->jwks_timeout_ms > IDENTITY_TIMEOUT_MAX_MS) {
        return err_set(why, ERR_INVALID, "identity provider %s: timeouts must be 1 to %d ms",
                       c->name, IDENTITY_TIMEOUT_MAX_MS);
    }
    return OK;
}

enum err provider_check(const struct identity_provider_config *c, struct err_text *why)
{
    if (is_empty(c->name)) {
        return err_set(why, ERR_INVALID, "an identity provider has no name");
    }
    if (is_empty(c->issuer)) {
        return err_set(why, ERR_INVALID, "identity provider %s: the issuer is missing", c->name);
    }
    struct err_text cause = {0};
    if (url_check_issuer(c->issuer, "the issuer", &cause) != OK) {
        return err_set(why, ERR_INVALID, "identity provider %s: %s", c->name, cause.text);
    }
    if (is_empty(c->subject_claim) || is_empty(c->groups_claim) || is_empty(c->name_claim) ||
        is_empty(c->reason_claim)) {
        return err_set(why, ERR_INVALID, "identity provider %s: a claim's path is empty", c->name);
    }
    enum err e = check_audiences(c, why);
    if (e == OK) {
        e = check_algorithms(c, why);
    }
    return e == OK ? check_numbers(c, why) : e;
}

static const char *copy_text(struct arena *arena, const char *text, bool *ok)
{
    if (text == NULL) {
        return NULL;
    }
    const char *copy = arena_copy_string(arena, bytes_of_string(text));
    *ok = *ok && copy != NULL;
    return copy;
}

static const char *const *copy_list(struct arena *arena, const char *const *list, size_t count,
                                    bool *ok)
{
    const char **copy = arena_alloc(arena, (count + 1) * sizeof *copy);
    *ok = *ok && copy != NULL;
    for (size_t i = 0; copy != NULL && i < count; i++) {
        copy[i] = copy_text(arena, list[i], ok);
    }
    return copy;
}

enum err provider_copy(const struct identity_provider_config *config, struct arena *arena,
                       struct identity_provider_config *out)
{
    bool ok = true;
    struct identity_provider_config c = *config;
    c.name = copy_text(arena, config->name, &ok);
    c.issuer = copy_text(arena, config->issuer, &ok);
    c.audiences = copy_list(arena, config->audiences, config->audience_count, &ok);
    c.algorithms = copy_list(arena, config->algorithms, config->algorithm_count, &ok);
    c.subject_claim = copy_text(arena, config->subject_claim, &ok);
    c.groups_claim = copy_text(arena, config->groups_claim, &ok);
    c.name_claim = copy_text(arena, config->name_claim, &ok);
    c.reason_claim = copy_text(arena, config->reason_claim, &ok);
    c.ca_file = copy_text(arena, config->ca_file, &ok);
    if (!ok) {
        return ERR_NO_MEMORY;
    }
    *out = c;
    return OK;
}
