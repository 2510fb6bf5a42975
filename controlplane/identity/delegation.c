#include <stdio.h>

#include "controlplane/identity/claims_internal.h"
#include "controlplane/identity/strict_json.h"

/* The nested actors, the token's subject, obo and on_behalf_of. */
enum { CHAIN_MAX = CLAIMS_ACTORS_MAX + 3 };

struct chain {
    struct identity_actor actors[CHAIN_MAX];
    size_t count;
};

/* `{"sub": ..., "iss": ...}`; the issuer is the token's unless it says another one. */
static enum err read_actor(const cJSON *object, const char *issuer, const char *source,
                           struct identity_actor *out, struct err_text *why)
{
    const char *what = source + strlen("token:");
    char sentence[64];
    (void)snprintf(sentence, sizeof sentence, "the subject (sub) of the claim %s", what);
    const char *subject = claims_identifier(cJSON_GetObjectItemCaseSensitive(object, "sub"),
                                            CLAIMS_SUBJECT_SIZE_MAX, sentence, why);
    if (subject == NULL) {
        return ERR_DENIED;
    }
    const cJSON *own = cJSON_GetObjectItemCaseSensitive(object, "iss");
    (void)snprintf(sentence, sizeof sentence, "the issuer (iss) of the claim %s", what);
    const char *named =
        own == NULL ? issuer : claims_identifier(own, CLAIMS_GROUP_SIZE_MAX, sentence, why);
    if (named == NULL) {
        return ERR_DENIED;
    }
    *out = (struct identity_actor){.subject = subject, .issuer = named, .source = source};
    return OK;
}

/* Appends the act claims, outermost first: RFC 8693 section 4.1. */
static enum err read_act(const struct identity_claims *made, struct chain *chain,
                         struct err_text *why)
{
    const cJSON *act = cJSON_GetObjectItemCaseSensitive(made->json, "act");
    for (; act != NULL; act = cJSON_GetObjectItemCaseSensitive(act, "act")) {
        if (chain->count == CLAIMS_ACTORS_MAX) {
            return err_set(why, ERR_DENIED, "the token's chain of actors (act) is longer than %d",
                           CLAIMS_ACTORS_MAX);
        }
        enum err e =
            read_actor(act, made->identity.issuer, "token:act", &chain->actors[chain->count], why);
        if (e != OK) {
            return e;
        }
        chain->count++;
    }
    /* The issuer vouches for its own subjects only; else it could name another one's. */
    if (chain->count > 0 && strcmp(chain->actors[0].issuer, made->identity.issuer) != 0) {
        char quoted[STRICT_JSON_QUOTE_SIZE];
        return err_set(why, ERR_DENIED, "the token's actor (act) is of another issuer, %s",
                       strict_json_quote(chain->actors[0].issuer, quoted));
    }
    return OK;
}

/* The claims that issuers without RFC 8693 use: a text, or an object with a `sub`. */
static enum err read_custom(const struct identity_claims *made, const char *source,
                            struct chain *chain, struct err_text *why)
{
    const cJSON *claim = cJSON_GetObjectItemCaseSensitive(made->json, source + strlen("token:"));
    if (claim == NULL) {
        return OK;
    }
    struct identity_actor *actor = &chain->actors[chain->count];
    if (cJSON_IsObject(claim)) {
        enum err e = read_actor(claim, made->identity.issuer, source, actor, why);
        if (e != OK) {
            return e;
        }
    } else {
        const char *subject =
            claims_identifier(claim, CLAIMS_SUBJECT_SIZE_MAX, "the claim on_behalf_of or obo", why);
        if (subject == NULL) {
            return ERR_DENIED;
        }
        *actor = (struct identity_actor){
            .subject = subject, .issuer = made->identity.issuer, .source = source};
    }
    chain->count++;
    return OK;
}

static enum err read_may_act(struct identity_claims *made, struct err_text *why)
{
    const cJSON *claim = cJSON_GetObjectItemCaseSensitive(made->json, "may_act");
    if (claim == NULL) {
        return OK;
    }
    struct identity_actor *actor = arena_alloc(made->arena, sizeof *actor);
    if (actor == NULL) {
        return err_set(why, ERR_NO_MEMORY, "memory is short");
    }
    enum err e = read_actor(claim, made->identity.issuer, "token:may_act", actor, why);
    if (e == OK) {
        made->identity.may_act = actor;
        made->identity.may_act_count = 1;
    }
    return e;
}

static enum err keep_chain(struct identity_claims *made, const struct chain *chain,
                           struct err_text *why)
{
    /* The first one is the agent itself. */
    made->identity.subject = chain->actors[0].subject;
    size_t count = chain->count - 1;
    if (count == 0) {
        return OK;
    }
    struct identity_actor *copy = arena_alloc(made->arena, count * sizeof *copy);
    if (copy == NULL) {
        return err_set(why, ERR_NO_MEMORY, "memory is short");
    }
    memcpy(copy, &chain->actors[1], count * sizeof *copy);
    made->identity.on_behalf_of = copy;
    made->identity.on_behalf_of_count = count;
    return OK;
}

enum err claims_read_delegation(const struct identity_provider_config *provider,
                                struct identity_claims *made, struct err_text *why)
{
    char what[128];
    (void)snprintf(what, sizeof what, "the token's subject (%s)", provider->subject_claim);
    const char *subject = claims_identifier(strict_json_find(made->json, provider->subject_claim),
                                            CLAIMS_SUBJECT_SIZE_MAX, what, why);
    if (subject == NULL) {
        return ERR_DENIED;
    }
    struct chain chain = {0};
    enum err e = read_act(made, &chain, why);
    if (e != OK) {
        return e;
    }
    chain.actors[chain.count++] = (struct identity_actor){
        .subject = subject, .issuer = made->identity.issuer, .source = "token:sub"};
    e = read_custom(made, "token:obo", &chain, why);
    if (e == OK) {
        e = read_custom(made, "token:on_behalf_of", &chain, why);
    }
    if (e == OK) {
        e = read_may_act(made, why);
    }
    return e == OK ? keep_chain(made, &chain, why) : e;
}
