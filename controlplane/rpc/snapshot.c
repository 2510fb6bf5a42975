#include "controlplane/rpc/snapshot.h"

#include <stdatomic.h>
#include <stdlib.h>

struct shared_verifier {
    atomic_int references;
    struct identity_verifier *verifier;
    char *document; /* of the providers, canonical: what it was made from */
};

struct snapshot {
    atomic_int references;
    struct config *config;
    struct shared_verifier *verifier;
};

static struct identity_provider_config provider_of(const struct config_identity_provider *p)
{
    struct identity_provider_config c = identity_provider_config_default();
    c.name = p->name;
    c.issuer = p->issuer;
    c.audiences = p->audiences.items;
    c.audience_count = p->audiences.count;
    if (p->algorithms.count > 0) {
        c.algorithms = p->algorithms.items;
        c.algorithm_count = p->algorithms.count;
    }
    c.subject_claim = p->subject_claim == NULL ? c.subject_claim : p->subject_claim;
    c.groups_claim = p->groups_claim == NULL ? c.groups_claim : p->groups_claim;
    c.name_claim = p->name_claim == NULL ? c.name_claim : p->name_claim;
    c.reason_claim = p->reason_claim == NULL ? c.reason_claim : p->reason_claim;
    c.leeway_s = p->leeway_ns / 1000000000;
    c.ca_file = p->ca_file;
    return c;
}

static enum err create_verifier(const struct config *config, const struct clock *clock,
                                const struct identity_fetcher *fetcher,
                                struct identity_verifier **out, struct err_text *why)
{
    size_t count = config->identity_providers.count;
    struct identity_provider_config *providers = calloc(count + 1, sizeof(*providers));
    if (providers == NULL) {
        return ERR_NO_MEMORY;
    }
    for (size_t i = 0; i < count; i++) {
        providers[i] = provider_of(&config->identity_providers.items[i]);
    }
    struct err_text reason = {0};
    enum err e = identity_verifier_create(providers, count, clock, fetcher, out, &reason);
    if (e != OK) {
        (void)err_set(why, e, "%.200s: identity_providers: %.280s", config->file, reason.text);
    }
    free(providers);
    return e;
}

/* The canonical text of the providers; returns owned. */
static char *describe_providers(const struct config *config)
{
    const struct conf_node *n = conf_get(config_document(config), "identity_providers");
    return n == NULL ? strdup("") : conf_to_json(n);
}

static void release_verifier(struct shared_verifier *v)
{
    if (v != NULL && atomic_fetch_sub(&v->references, 1) == 1) {
        identity_verifier_destroy(v->verifier);
        free(v->document);
        free(v);
    }
}

/* `before` may be NULL. */
static enum err get_verifier(const struct config *config, struct shared_verifier *before,
                             const struct clock *clock, const struct identity_fetcher *fetcher,
                             struct shared_verifier **out, struct err_text *why)
{
    char *document = describe_providers(config);
    if (document != NULL && before != NULL && strcmp(before->document, document) == 0) {
        free(document);
        atomic_fetch_add(&before->references, 1);
        *out = before;
        return OK;
    }
    struct shared_verifier *v = calloc(1, sizeof(*v));
    if (v == NULL || document == NULL) {
        free(v);
        free(document);
        return ERR_NO_MEMORY;
    }
    atomic_init(&v->references, 1);
    v->document = document;
    enum err e = create_verifier(config, clock, fetcher, &v->verifier, why);
    if (e != OK) {
        release_verifier(v);
        return e;
    }
    *out = v;
    return OK;
}

enum err snapshot_create(struct config *config, const struct snapshot *before,
                         const struct clock *clock, const struct identity_fetcher *fetcher,
                         struct snapshot **out, struct err_text *why)
{
    struct snapshot *s = calloc(1, sizeof(*s));
    if (s == NULL) {
        config_release(config);
        return ERR_NO_MEMORY;
    }
    atomic_init(&s->references, 1);
    s->config = config;
    enum err e = get_verifier(config, before == NULL ? NULL : before->verifier, clock, fetcher,
                              &s->verifier, why);
    if (e != OK) {
        snapshot_release(s);
        return e;
    }
    *out = s;
    return OK;
}

struct snapshot *snapshot_retain(struct snapshot *snapshot)
{
    atomic_fetch_add(&snapshot->references, 1);
    return snapshot;
}

void snapshot_release(struct snapshot *snapshot)
{
    if (snapshot != NULL && atomic_fetch_sub(&snapshot->references, 1) == 1) {
        release_verifier(snapshot->verifier);
        config_release(snapshot->config);
        free(snapshot);
    }
}

const struct config *snapshot_config(const struct snapshot *snapshot)
{
    return snapshot->config;
}

struct identity_verifier *snapshot_verifier(const struct snapshot *snapshot)
{
    return snapshot->verifier->verifier;
}

struct grants_who snapshot_who(const struct identity *identity)
{
    return (struct grants_who){.provider = identity->provider,
                               .subject = identity->subject,
                               .groups = identity->groups,
                               .group_count = identity->group_count};
}
