/* Identity providers and roles. */
#include "controlplane/config_internal.h"

static const int64_t second_ns = 1000000000;

static enum err check_issuer(struct config_reader *r, const struct conf_node *item,
                             const struct config_identity_provider *providers, size_t n)
{
    const char *issuer = providers[n].issuer;
    if (strncmp(issuer, "https://", 8) != 0 && strncmp(issuer, "http://", 7) != 0) {
        return conf_fail(conf_get(item, "issuer"), r->why,
                         "expected the issuer's URL (https://...), found \"%.64s\"", issuer);
    }
    for (size_t i = 0; i < n; i++) {
        if (strcmp(providers[i].issuer, issuer) == 0) {
            return conf_fail(conf_get(item, "issuer"), r->why,
                             "expected an issuer that no other provider has, found \"%.64s\" twice",
                             issuer);
        }
    }
    return OK;
}

static enum err check_algorithms(struct config_reader *r, const struct conf_node *item,
                                 const struct config_strings *algorithms)
{
    static const char *const known[] = {"RS256", "RS384", "RS512", "PS256", "PS384",  "PS512",
                                        "ES256", "ES384", "ES512", "EdDSA", "Ed25519"};
    for (size_t i = 0; i < algorithms->count; i++) {
        bool found = false;
        for (size_t k = 0; k < sizeof(known) / sizeof(known[0]); k++) {
            found = found || strcmp(algorithms->items[i], known[k]) == 0;
        }
        if (!found) {
            return conf_fail(conf_get(item, "algorithms"), r->why,
                             "expected RS256, PS256, ES256, EdDSA or a longer form of these, "
                             "found \"%.64s\"",
                             algorithms->items[i]);
        }
    }
    return OK;
}

static enum err read_claims(struct config_reader *r, const struct conf_node *item,
                            struct config_identity_provider *p)
{
    enum err e = conf_read_string(item, "subject_claim", &p->subject_claim, r->why);
    if (e == OK) {
        e = conf_read_string(item, "groups_claim", &p->groups_claim, r->why);
    }
    if (e == OK) {
        e = conf_read_string(item, "name_claim", &p->name_claim, r->why);
    }
    return e == OK ? conf_read_string(item, "reason_claim", &p->reason_claim, r->why) : e;
}

static enum err read_issuer(struct config_reader *r, const struct conf_node *item,
                            struct config_identity_provider *all, size_t n)
{
    struct config_identity_provider *p = &all[n];
    enum err e = conf_require(item, "issuer", r->why);
    if (e == OK) {
        e = conf_read_string(item, "issuer", &p->issuer, r->why);
    }
    if (e == OK) {
        e = check_issuer(r, item, all, n);
    }
    if (e == OK) {
        e = config_read_strings(r, item, "audience", &p->audiences);
    }
    if (e == OK) {
        e = config_read_strings(r, item, "audiences", &p->audiences);
    }
    if (e == OK && p->audiences.count == 0) {
        e = conf_fail(item, r->why,
                      "expected `audience`: what a token's \"aud\" must hold, found none");
    }
    return e;
}

static enum err read_provider(struct config_reader *r, const struct conf_node *item,
                              struct config_identity_provider *all, size_t n)
{
    static const char *const keys[] = {
        "name",    "issuer",        "audience",     "audiences",  "algorithms",   "leeway",
        "ca_file", "subject_claim", "groups_claim", "name_claim", "reason_claim", "gives_roles",
        NULL};
    struct config_identity_provider *p = &all[n];
    *p = (struct config_identity_provider){.leeway_ns = 30 * second_ns, .gives_roles = true};
    enum err e = conf_check_keys(item, keys, r->why);
    if (e == OK) {
        e = config_read_name(r, item, all, sizeof(*all), n, &p->name);
    }
    if (e == OK) {
        e = read_issuer(r, item, all, n);
    }
    if (e == OK) {
        e = read_claims(r, item, p);
    }
    if (e == OK) {
        e = config_read_strings(r, item, "algorithms", &p->algorithms);
    }
    if (e == OK) {
        e = check_algorithms(r, item, &p->algorithms);
    }
    if (e == OK) {
        e = conf_read_duration(item, "leeway", 0, 300 * second_ns, &p->leeway_ns, r->why);
    }
    if (e == OK) {
        e = config_read_file(r, item, "ca_file", &p->ca_file);
    }
    return e == OK ? conf_read_bool(item, "gives_roles", &p->gives_roles, r->why) : e;
}

enum err config_read_identity_providers(struct config_reader *r, const struct conf_node *root)
{
    const struct conf_node *list = NULL;
    void *items = NULL;
    size_t count = 0;
    enum err e = config_read_items(r, root, "identity_providers",
                                   sizeof(struct config_identity_provider), &list, &items, &count);
    const struct conf_node *n = list == NULL ? NULL : conf_first(list);
    for (size_t i = 0; e == OK && n != NULL; i++, n = conf_next(n)) {
        e = read_provider(r, n, items, i);
    }
    r->config->identity_providers.items = items;
    r->config->identity_providers.count = count;
    return e;
}

enum err config_read_roles(struct config_reader *r, const struct conf_node *root)
{
    static const char *const keys[] = {"admin", "approver", "auditor", "bot", NULL};
    const struct conf_node *map = NULL;
    enum err e = conf_read_map(root, "roles", &map, r->why);
    if (e != OK || map == NULL) {
        return e;
    }
    e = conf_check_keys(map, keys, r->why);
    for (size_t i = 0; e == OK && i < CONFIG_ROLES; i++) {
        e = config_read_strings(r, map, keys[i], &r->config->roles.groups[i]);
    }
    return e;
}
