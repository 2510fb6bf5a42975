/* `store`: what everything is kept in. */
#include "controlplane/config_internal.h"

enum { CONNECTIONS_MIN = 2, CONNECTIONS_MAX = 128, NICENESS_MAX = 19 };

/* As it stands, or from where secrets are: not from the store that it leads to. */
static enum err read_url(struct config_reader *r, const struct conf_node *map,
                         struct config_store *out)
{
    enum err e = conf_require(map, "url", r->why);
    if (e != OK) {
        return e;
    }
    const struct conf_node *n = conf_get(map, "url");
    if (conf_kind(n) == CONF_SCALAR) {
        return conf_read_string(map, "url", &out->url, r->why);
    }
    e = config_read_secret(r, map, "url", &out->url_secret);
    return e == OK && out->url_secret.source == CONFIG_SECRET_STORE
               ? conf_fail(n, r->why,
                           "expected a text, {env: V} or {file: PATH}, found {store: ...}")
               : e;
}

static enum err read_postgres(struct config_reader *r, const struct conf_node *map,
                              struct config_store *out)
{
    static const char *const keys[] = {"url", "connections", NULL};
    int64_t connections = 0;
    enum err e = conf_check_keys(map, keys, r->why);
    if (e == OK) {
        e = read_url(r, map, out);
    }
    if (e == OK) {
        e = conf_read_integer(map, "connections", "a number of connections", CONNECTIONS_MIN,
                              CONNECTIONS_MAX, &connections, r->why);
    }
    out->kind = CONFIG_STORE_POSTGRES;
    out->connections = (int)connections;
    return e;
}

enum err config_read_store(struct config_reader *r, const struct conf_node *root)
{
    static const char *const keys[] = {"sqlite", "postgres", "ingest_niceness", NULL};
    static const char *const none[] = {NULL};
    const struct conf_node *map = NULL, *sqlite = NULL, *postgres = NULL;
    int64_t niceness = CONFIG_INGEST_NICENESS;
    r->config->store.ingest_niceness = CONFIG_INGEST_NICENESS;
    enum err e = conf_read_map(root, "store", &map, r->why);
    if (e != OK || map == NULL) {
        return e;
    }
    e = conf_check_keys(map, keys, r->why);
    if (e == OK) {
        e = conf_read_map(map, "sqlite", &sqlite, r->why);
    }
    if (e == OK) {
        e = conf_read_map(map, "postgres", &postgres, r->why);
    }
    if (e == OK) {
        e = conf_read_integer(map, "ingest_niceness", "a priority", 0, NICENESS_MAX, &niceness,
                              r->why);
    }
    r->config->store.ingest_niceness = (int)niceness;
    if (e == OK && (sqlite == NULL) == (postgres == NULL)) {
        e = conf_fail(map, r->why, "expected exactly one of `sqlite` and `postgres`");
    }
    if (e != OK) {
        return e;
    }
    return postgres != NULL ? read_postgres(r, postgres, &r->config->store)
                            : conf_check_keys(sqlite, none, r->why);
}
