#include "controlplane/grants/grants.h"

#include <fnmatch.h>

static bool matches_any(const struct config_strings *patterns, const char *text)
{
    for (size_t i = 0; i < patterns->count; i++) {
        if (strcmp(patterns->items[i], text) == 0 ||
            fnmatch(patterns->items[i], text, FNM_NOESCAPE) == 0) {
            return true;
        }
    }
    return false;
}

static bool contains(const struct config_strings *names, const char *text)
{
    for (size_t i = 0; i < names->count; i++) {
        if (strcmp(names->items[i], text) == 0) {
            return true;
        }
    }
    return false;
}

bool grants_is_among(const struct config_whom *whom, const struct grants_who *who)
{
    if (whom->providers.count > 0 && !contains(&whom->providers, who->provider)) {
        return false;
    }
    if (matches_any(&whom->subjects, who->subject)) {
        return true;
    }
    for (size_t i = 0; i < who->group_count; i++) {
        if (matches_any(&whom->groups, who->groups[i])) {
            return true;
        }
    }
    return false;
}

static bool provider_gives_roles(const struct config *config, const char *provider)
{
    for (size_t i = 0; i < config->identity_providers.count; i++) {
        if (strcmp(config->identity_providers.items[i].name, provider) == 0) {
            return config->identity_providers.items[i].gives_roles;
        }
    }
    return false;
}

unsigned grants_roles(const struct config *config, const struct grants_who *who)
{
    unsigned roles = 0;
    if (!provider_gives_roles(config, who->provider)) {
        return 0;
    }
    for (unsigned role = 0; role < CONFIG_ROLES; role++) {
        for (size_t i = 0; i < who->group_count; i++) {
            /* Exact: a pattern that gives a role is too easily wider than it was meant. */
            if (contains(&config->roles.groups[role], who->groups[i])) {
                roles |= 1U << role;
            }
        }
    }
    return roles;
}

static const struct config_grant *find_grant(const struct config *config, const char *resource,
                                             const struct grants_who *who)
{
    for (size_t i = 0; i < config->grants.count; i++) {
        const struct config_grant *g = &config->grants.items[i];
        if (matches_any(&g->resources, resource) && grants_is_among(&g->whom, who)) {
            return g;
        }
    }
    return NULL;
}

/* libpq names the database after the user when it was given none: such a name that is not allowed
 * means "the default one". NULL: refused. */
static const char *choose_database(const struct config_resource *resource,
                                   const struct grants_request *request)
{
    if (request->database[0] == '\0') {
        return resource->database;
    }
    if (resource->any_database || contains(&resource->databases, request->database)) {
        return request->database;
    }
    return strcmp(request->database, request->user) == 0 ? resource->database : NULL;
}

static struct grants_decision refuse(enum grants_result result)
{
    return (struct grants_decision){.result = result};
}

static struct grants_decision refuse_database(const struct grants_request *request)
{
    struct grants_decision d = refuse(GRANTS_REFUSED);
    if (request->database[0] == '\0') {
        (void)err_set(&d.reason, ERR_DENIED,
                      "the resource \"%.100s\" has no default database, so one must be named",
                      request->resource);
    } else {
        (void)err_set(&d.reason, ERR_DENIED,
                      "the database \"%.100s\" of the resource \"%.100s\" is not open to agents",
                      request->database, request->resource);
    }
    return d;
}

struct grants_decision grants_decide(const struct config *config, const struct grants_who *who,
                                     const struct grants_request *request)
{
    const struct config_resource *resource = config_find_resource(config, request->resource);
    if (resource == NULL) {
        struct grants_decision d = refuse(GRANTS_NO_RESOURCE);
        (void)err_set(&d.reason, ERR_NOT_FOUND, "no resource named \"%.100s\" is configured",
                      request->resource);
        return d;
    }
    if (strcmp(resource->protocol, request->protocol) != 0) {
        struct grants_decision d = refuse(GRANTS_NO_RESOURCE);
        (void)err_set(&d.reason, ERR_NOT_FOUND,
                      "the resource \"%.100s\" speaks %s, and was asked for with %.32s",
                      request->resource, resource->protocol, request->protocol);
        return d;
    }
    const struct config_grant *grant = find_grant(config, request->resource, who);
    if (grant == NULL) {
        struct grants_decision d = refuse(GRANTS_REFUSED);
        (void)err_set(&d.reason, ERR_DENIED, "\"%.100s\" has no grant for the resource \"%.100s\"",
                      who->subject, request->resource);
        return d;
    }
    const char *database = choose_database(resource, request);
    if (database == NULL) {
        return refuse_database(request);
    }
    return (struct grants_decision){
        .result = GRANTS_ALLOWED, .resource = resource, .grant = grant, .database = database};
}
