/* Credentials, resources, grants. */
#include <fnmatch.h>
#include <stdio.h>

#include "controlplane/config_internal.h"

enum { POSTGRES_PORT = 5432 };

/* --- credentials ----------------------------------------------------------------------------- */

enum err config_read_secret(struct config_reader *r, const struct conf_node *map, const char *key,
                            struct config_secret *out)
{
    static const char *const keys[] = {"env", "file", "store", NULL};
    const struct conf_node *n = conf_get(map, key);
    if (n == NULL) {
        return OK;
    }
    /* What stands there may be the secret itself: it is not repeated. */
    if (conf_kind(n) != CONF_MAP || conf_count(n) != 1) {
        return conf_fail(n, r->why,
                         "expected one of {env: VARIABLE}, {file: PATH}, {store: NAME}, found %s "
                         "(a secret is never written into the configuration)",
                         conf_kind(n) == CONF_MAP ? "another number of keys" : "a value");
    }
    enum err e = conf_check_keys(n, keys, r->why);
    for (int i = 0; e == OK && keys[i] != NULL; i++) {
        if (conf_get(n, keys[i]) != NULL) {
            out->source = (enum config_secret_source)(CONFIG_SECRET_ENV + i);
            e = out->source == CONFIG_SECRET_FILE ? config_read_path(r, n, keys[i], &out->at)
                                                  : conf_read_string(n, keys[i], &out->at, r->why);
        }
    }
    return e;
}

static enum err read_credential(struct config_reader *r, const struct conf_node *item,
                                struct config_credential *all, size_t n)
{
    static const char *const keys[] = {"name", "user", "password", "certificate", "key", NULL};
    struct config_credential *c = &all[n];
    enum err e = conf_check_keys(item, keys, r->why);
    if (e == OK) {
        e = config_read_name(r, item, all, sizeof(*all), n, &c->name);
    }
    if (e == OK) {
        e = conf_require(item, "user", r->why);
    }
    if (e == OK) {
        e = conf_read_string(item, "user", &c->user, r->why);
    }
    if (e == OK) {
        e = config_read_secret(r, item, "password", &c->password);
    }
    if (e == OK) {
        e = config_read_secret(r, item, "certificate", &c->certificate);
    }
    if (e == OK) {
        e = config_read_secret(r, item, "key", &c->key);
    }
    if (e == OK &&
        (c->certificate.source == CONFIG_SECRET_NONE) != (c->key.source == CONFIG_SECRET_NONE)) {
        e = conf_fail(item, r->why, "expected `certificate` and `key` together, found one of them");
    }
    return e;
}

enum err config_read_credentials(struct config_reader *r, const struct conf_node *root)
{
    const struct conf_node *list = NULL;
    void *items = NULL;
    size_t count = 0;
    enum err e = config_read_items(r, root, "credentials", sizeof(struct config_credential), &list,
                                   &items, &count);
    const struct conf_node *n = list == NULL ? NULL : conf_first(list);
    for (size_t i = 0; e == OK && n != NULL; i++, n = conf_next(n)) {
        e = read_credential(r, n, items, i);
    }
    r->config->credentials.items = items;
    r->config->credentials.count = count;
    return e;
}

/* --- resources ------------------------------------------------------------------------------- */

/* A host with its port, or the directory of a unix socket, whose port defaults to PostgreSQL's. */
static enum err read_address(struct config_reader *r, const struct conf_node *item,
                             struct config_resource *out)
{
    const char *text = NULL;
    enum err e = conf_require(item, "address", r->why);
    if (e == OK) {
        e = conf_read_string(item, "address", &text, r->why);
    }
    if (e != OK) {
        return e;
    }
    if (text[0] == '/' && strchr(text, ':') == NULL) {
        out->host = text;
        out->port = POSTGRES_PORT;
        return OK;
    }
    return config_split_address(r, conf_get(item, "address"), text, 1, &out->host, &out->port);
}

static enum err read_databases(struct config_reader *r, const struct conf_node *item,
                               struct config_resource *out)
{
    struct config_strings all = {0};
    enum err e = config_read_strings(r, item, "databases", &all);
    if (e == OK) {
        e = conf_read_string(item, "database", &out->database, r->why);
    }
    if (e != OK) {
        return e;
    }
    if (all.count == 0 && out->database == NULL) {
        return conf_fail(item, r->why, "expected `databases`: names, or \"*\" for any, found none");
    }
    const char **names = arena_alloc(r->arena, (all.count + 1) * sizeof(*names));
    if (names == NULL) {
        return ERR_NO_MEMORY;
    }
    size_t count = 0;
    bool listed = all.count == 0;
    for (size_t i = 0; i < all.count; i++) {
        bool any = strcmp(all.items[i], "*") == 0;
        out->any_database = out->any_database || any;
        listed =
            listed || any || (out->database != NULL && strcmp(all.items[i], out->database) == 0);
        if (!any) {
            names[count++] = all.items[i];
        }
    }
    if (out->database != NULL && !listed) {
        return conf_fail(conf_get(item, "database"), r->why,
                         "expected one of `databases`, found \"%.64s\"", out->database);
    }
    if (all.count == 0) {
        names[count++] = out->database;
    }
    out->databases = (struct config_strings){.items = names, .count = count};
    out->database = out->database == NULL && count > 0 ? names[0] : out->database;
    return OK;
}

enum err config_read_target_tls(struct config_reader *r, const struct conf_node *item,
                                struct config_resource *out)
{
    static const char *const keys[] = {"mode", "ca_file", "server_name", NULL};
    static const struct conf_choice modes[] = {
        {"verify-full", CONFIG_TLS_VERIFY_FULL}, {"verify-ca", CONFIG_TLS_VERIFY_CA},
        {"require", CONFIG_TLS_REQUIRE},         {"prefer", CONFIG_TLS_PREFER},
        {"disable", CONFIG_TLS_DISABLE},         {NULL, 0}};
    int mode = (int)out->tls;
    const struct conf_node *map = NULL;
    enum err e = conf_read_map(item, "tls", &map, r->why);
    if (e != OK || map == NULL) {
        return e;
    }
    e = conf_check_keys(map, keys, r->why);
    if (e == OK) {
        e = conf_read_choice(map, "mode", modes, &mode, r->why);
    }
    if (e == OK) {
        e = config_read_file(r, map, "ca_file", &out->ca_file);
    }
    if (e == OK) {
        e = conf_read_string(map, "server_name", &out->server_name, r->why);
    }
    out->tls = (enum config_tls_mode)mode;
    return e;
}

static enum err read_postgres_tls(struct config_reader *r, const struct conf_node *item,
                                  struct config_resource *out)
{
    bool is_local = out->host[0] == '/';
    out->tls = is_local ? CONFIG_TLS_DISABLE : CONFIG_TLS_VERIFY_FULL;
    enum err e = config_read_target_tls(r, item, out);
    if (e == OK && is_local && out->tls != CONFIG_TLS_DISABLE) {
        e = conf_fail(conf_get(item, "tls"), r->why,
                      "expected \"disable\": PostgreSQL has no TLS on a unix socket, found "
                      "another mode");
    }
    return e;
}

static enum err read_resource_credential(struct config_reader *r, const struct conf_node *item,
                                         struct config_resource *out)
{
    const char *name = NULL;
    enum err e = conf_require(item, "credential", r->why);
    if (e == OK) {
        e = conf_read_string(item, "credential", &name, r->why);
    }
    for (size_t i = 0; e == OK && i < r->config->credentials.count; i++) {
        if (strcmp(r->config->credentials.items[i].name, name) == 0) {
            out->credential = &r->config->credentials.items[i];
        }
    }
    if (e == OK && out->credential == NULL) {
        e = conf_fail(conf_get(item, "credential"), r->why,
                      "expected the name of one of `credentials`, found \"%.64s\"", name);
    }
    return e;
}

static enum err read_postgres_resource(struct config_reader *r, const struct conf_node *item,
                                       struct config_resource *out)
{
    static const char *const keys[] = {"name",     "protocol", "address",    "databases",
                                       "database", "tls",      "credential", NULL};
    enum err e = conf_check_keys(item, keys, r->why);
    if (e == OK) {
        e = read_address(r, item, out);
    }
    if (e == OK) {
        e = read_databases(r, item, out);
    }
    if (e == OK) {
        e = read_postgres_tls(r, item, out);
    }
    return e == OK ? read_resource_credential(r, item, out) : e;
}

static enum err read_resource(struct config_reader *r, const struct conf_node *item,
                              struct config_resource *all, size_t n)
{
    static const struct conf_choice protocols[] = {{"postgres", 0}, {"http", 1}, {NULL, 0}};
    static enum err (*const readers[])(struct config_reader *, const struct conf_node *,
                                       struct config_resource *) = {read_postgres_resource,
                                                                    config_read_http_resource};
    struct config_resource *resource = &all[n];
    int protocol = 0;
    enum err e = config_read_name(r, item, all, sizeof(*all), n, &resource->name);
    if (e == OK) {
        e = conf_require(item, "protocol", r->why);
    }
    if (e == OK) {
        e = conf_read_choice(item, "protocol", protocols, &protocol, r->why);
    }
    if (e != OK) {
        return e;
    }
    resource->protocol = protocols[protocol].name;
    return readers[protocol](r, item, resource);
}

enum err config_read_resources(struct config_reader *r, const struct conf_node *root)
{
    const struct conf_node *list = NULL;
    void *items = NULL;
    size_t count = 0;
    enum err e = config_read_items(r, root, "resources", sizeof(struct config_resource), &list,
                                   &items, &count);
    const struct conf_node *n = list == NULL ? NULL : conf_first(list);
    for (size_t i = 0; e == OK && n != NULL; i++, n = conf_next(n)) {
        e = read_resource(r, n, items, i);
    }
    r->config->resources.items = items;
    r->config->resources.count = count;
    return e;
}

/* --- grants ---------------------------------------------------------------------------------- */

/* A grant that matches no resource is a mistake in its name, and would be found by a refused agent.
 */
static enum err check_grant_resources(struct config_reader *r, const struct conf_node *item,
                                      const struct config_grant *grant)
{
    const struct config *c = r->config;
    for (size_t i = 0; i < grant->resources.count; i++) {
        const char *pattern = grant->resources.items[i];
        bool found = strcmp(pattern, "*") == 0;
        for (size_t k = 0; !found && k < c->resources.count; k++) {
            found = strcmp(pattern, c->resources.items[k].name) == 0 ||
                    fnmatch(pattern, c->resources.items[k].name, FNM_NOESCAPE) == 0;
        }
        if (!found) {
            return conf_fail(conf_get(item, "resources"), r->why,
                             "expected names of `resources` or patterns of them, found \"%.64s\", "
                             "which matches none",
                             grant->resources.items[i]);
        }
    }
    return OK;
}

static enum err read_grant(struct config_reader *r, const struct conf_node *item,
                           struct config_grant *all, size_t n)
{
    static const char *const keys[] = {"name",   "resources", "subjects",
                                       "groups", "providers", NULL};
    struct config_grant *g = &all[n];
    enum err e = conf_check_keys(item, keys, r->why);
    if (e == OK) {
        e = config_read_name(r, item, all, sizeof(*all), n, &g->name);
    }
    if (e == OK) {
        e = conf_require(item, "resources", r->why);
    }
    if (e == OK) {
        e = config_read_strings(r, item, "resources", &g->resources);
    }
    if (e == OK) {
        e = check_grant_resources(r, item, g);
    }
    if (e == OK) {
        e = config_read_whom(r, item, &g->whom);
    }
    if (e == OK && g->whom.subjects.count == 0 && g->whom.groups.count == 0) {
        e = conf_fail(item, r->why,
                      "expected `subjects` or `groups` (\"*\" for any), found neither");
    }
    return e;
}

enum err config_read_grants(struct config_reader *r, const struct conf_node *root)
{
    const struct conf_node *list = NULL;
    void *items = NULL;
    size_t count = 0;
    enum err e =
        config_read_items(r, root, "grants", sizeof(struct config_grant), &list, &items, &count);
    const struct conf_node *n = list == NULL ? NULL : conf_first(list);
    for (size_t i = 0; e == OK && n != NULL; i++, n = conf_next(n)) {
        e = read_grant(r, n, items, i);
    }
    r->config->grants.items = items;
    r->config->grants.count = count;
    return e;
}
