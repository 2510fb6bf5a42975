#include "sidecar/config.h"

#include <inttypes.h>
#include <string.h>

#include "base/arena.h"
#include "sidecar/config_internal.h"
#include "sidecar/protocol/http/http.h"
#include "sidecar/protocol/postgres/postgres.h"

enum {
    KIB = 1024,
    MIB = 1024 * KIB,
    ARENA_BLOCK = 4 * KIB,
    ARENA_CAP = 16 * MIB, /* 64 listeners with 256 hosts each */
};

static const int64_t second_ns = 1000000000;

static const struct conf_choice log_levels[] = {
    {"debug", LOG_DEBUG}, {"info", LOG_INFO}, {"warn", LOG_WARN}, {"error", LOG_ERROR}, {0}};
static const struct conf_choice log_formats[] = {{"json", LOG_JSON}, {"human", LOG_HUMAN}, {0}};

static const struct protocol *const protocols[] = {&protocol_postgres, &protocol_http};

static enum err read_protocol(const struct conf_node *n, const struct protocol **out,
                              struct err_text *why)
{
    const char *name = "postgres";
    enum err e = conf_read_string(n, "protocol", &name, why);
    if (e != OK) {
        return e;
    }
    for (size_t i = 0; i < sizeof(protocols) / sizeof(protocols[0]); i++) {
        if (strcmp(protocols[i]->name, name) == 0) {
            *out = protocols[i];
            return OK;
        }
    }
    return conf_fail(conf_get(n, "protocol"), why, "expected `postgres` or `http`, found \"%s\"",
                     name);
}

static enum err read_listener_tls(const struct conf_node *n, struct config_listener *out,
                                  struct err_text *why)
{
    static const char *const keys[] = {"certificate", "key", NULL};
    const struct conf_node *tls = NULL;
    enum err e = conf_read_map(n, "tls", &tls, why);
    if (e != OK || tls == NULL) {
        return e;
    }
    if ((e = conf_check_keys(tls, keys, why)) == OK &&
        (e = conf_require(tls, "certificate", why)) == OK &&
        (e = conf_require(tls, "key", why)) == OK &&
        (e = conf_read_string(tls, "certificate", &out->tls_certificate, why)) == OK) {
        e = conf_read_string(tls, "key", &out->tls_key, why);
    }
    return e;
}

/* A proxy has its resources by host, and its certificates from its CA. */
static enum err read_resource(const struct conf_node *n, struct config *c,
                              struct config_listener *out, struct err_text *why)
{
    const struct conf_node *proxy = conf_get(n, "proxy");
    if (proxy == NULL) {
        enum err e = conf_require(n, "resource", why);
        return e == OK ? conf_read_string(n, "resource", &out->resource, why) : e;
    }
    if (out->protocol != &protocol_http) {
        return conf_fail(proxy, why, "expected `protocol: http`, found another protocol");
    }
    if (conf_get(n, "resource") != NULL || conf_get(n, "tls") != NULL) {
        return conf_fail(proxy, why, "expected a listener without `resource` and `tls`, found %s",
                         conf_get(n, "resource") != NULL ? "`resource`" : "`tls`");
    }
    out->is_proxy = true;
    return config_read_proxy(n, c, &out->proxy, why);
}

static enum err read_listener(const struct conf_node *n, struct config *c,
                              struct config_listener *out, struct err_text *why)
{
    static const char *const keys[] = {"resource", "protocol", "listen", "tls", "proxy", NULL};
    enum err e;
    if ((e = conf_check_keys(n, keys, why)) == OK && (e = conf_require(n, "listen", why)) == OK &&
        (e = conf_read_string(n, "listen", &out->listen, why)) == OK &&
        (e = read_protocol(n, &out->protocol, why)) == OK &&
        (e = read_resource(n, c, out, why)) == OK) {
        e = read_listener_tls(n, out, why);
    }
    return e;
}

static enum err read_listeners(const struct conf_node *root, struct config *c, struct err_text *why)
{
    const struct conf_node *list = NULL;
    enum err e = conf_require(root, "listeners", why);
    if (e == OK) {
        e = conf_read_list(root, "listeners", &list, why);
    }
    for (const struct conf_node *n = e == OK ? conf_first(list) : NULL; e == OK && n != NULL;
         n = conf_next(n)) {
        e = c->listener_count == CONFIG_LISTENERS_MAX
                ? conf_fail(n, why, "expected at most %d listeners", CONFIG_LISTENERS_MAX)
                : read_listener(n, c, &c->listeners[c->listener_count++], why);
    }
    return e == OK && c->listener_count == 0
               ? conf_fail(list, why, "expected at least one listener, found none")
               : e;
}

static void add_resource(const char **names, size_t *count, const char *name)
{
    for (size_t i = 0; i < *count; i++) {
        if (strcmp(names[i], name) == 0) {
            return;
        }
    }
    names[(*count)++] = name;
}

static enum err collect_resources(struct config *c)
{
    size_t most = c->listener_count;
    for (size_t i = 0; i < c->listener_count; i++) {
        most += c->listeners[i].proxy.host_count;
    }
    const char **names = arena_alloc(c->arena, (most + 1) * sizeof(*names));
    if (names == NULL) {
        return ERR_NO_MEMORY;
    }
    for (size_t i = 0; i < c->listener_count; i++) {
        const struct config_listener *l = &c->listeners[i];
        for (size_t k = 0; k < l->proxy.host_count; k++) {
            add_resource(names, &c->resource_count, l->proxy.hosts[k].resource);
        }
        if (!l->is_proxy) {
            add_resource(names, &c->resource_count, l->resource);
        }
    }
    c->resources = names;
    return OK;
}

/* One address, or several that serve the same. */
static enum err read_servers(const struct conf_node *map, struct config *c, struct err_text *why)
{
    const struct conf_node *n = conf_get(map, "server"), *list = NULL;
    if (conf_kind(n) != CONF_LIST) {
        c->server_count = 1;
        return conf_read_string(map, "server", &c->servers[0], why);
    }
    enum err e = conf_read_list(map, "server", &list, why);
    for (const struct conf_node *i = e == OK ? conf_first(list) : NULL; e == OK && i != NULL;
         i = conf_next(i)) {
        e = c->server_count == CONFIG_SERVERS_MAX
                ? conf_fail(i, why, "expected at most %d addresses", CONFIG_SERVERS_MAX)
                : conf_as_string(i, &c->servers[c->server_count++], why);
    }
    return e == OK && c->server_count == 0
               ? conf_fail(n, why, "expected an address or several, found none")
               : e;
}

static enum err read_control_plane(const struct conf_node *root, struct config *c,
                                   struct err_text *why)
{
    static const char *const keys[] = {"server", "server_name", "ca_file", "join_token_file", NULL};
    const struct conf_node *n = NULL;
    enum err e = conf_require(root, "control_plane", why);
    if (e == OK && (e = conf_read_map(root, "control_plane", &n, why)) == OK &&
        (e = conf_check_keys(n, keys, why)) == OK && (e = conf_require(n, "server", why)) == OK &&
        (e = conf_require(n, "ca_file", why)) == OK && (e = read_servers(n, c, why)) == OK &&
        (e = conf_read_string(n, "server_name", &c->server_name, why)) == OK &&
        (e = conf_read_string(n, "ca_file", &c->ca_file, why)) == OK) {
        e = conf_read_string(n, "join_token_file", &c->join_token_file, why);
    }
    return e;
}

static enum err read_token_command(const struct conf_node *n, struct config *c,
                                   struct err_text *why)
{
    const struct conf_node *list = NULL;
    enum err e = conf_read_list(n, "token_command", &list, why);
    size_t count = 0;
    if (e != OK || list == NULL) {
        return e;
    }
    for (const struct conf_node *i = conf_first(list); e == OK && i != NULL; i = conf_next(i)) {
        e = count == CONFIG_COMMAND_MAX
                ? conf_fail(i, why, "expected at most %d arguments", CONFIG_COMMAND_MAX)
                : conf_as_string(i, &c->identity_command[count++], why);
    }
    if (e == OK && count == 0) {
        return conf_fail(list, why, "expected a command and its arguments, found nothing");
    }
    c->identity.command = c->identity_command;
    return e;
}

static enum err read_identity(const struct conf_node *root, struct config *c, struct err_text *why)
{
    static const char *const keys[] = {"token_file", "token_env", "token_command", "in_band", NULL};
    const struct conf_node *n = NULL;
    enum err e = conf_require(root, "identity", why);
    if (e == OK && (e = conf_read_map(root, "identity", &n, why)) == OK &&
        (e = conf_check_keys(n, keys, why)) == OK &&
        (e = conf_read_string(n, "token_file", &c->identity.file, why)) == OK &&
        (e = conf_read_string(n, "token_env", &c->identity.environment, why)) == OK &&
        (e = read_token_command(n, c, why)) == OK) {
        e = conf_read_bool(n, "in_band", &c->token_in_band, why);
    }
    int sources = (c->identity.file != NULL) + (c->identity.environment != NULL) +
                  (c->identity.command != NULL) + c->token_in_band;
    return e == OK && sources != 1
               ? conf_fail(n, why,
                           "expected exactly one of token_file, token_env, token_command and "
                           "in_band, found %d",
                           sources)
               : e;
}

static enum err read_log(const struct conf_node *root, struct config *c, struct err_text *why)
{
    static const char *const keys[] = {"level", "format", NULL};
    const struct conf_node *n = NULL;
    int level = LOG_INFO, format = LOG_JSON;
    enum err e = conf_read_map(root, "log", &n, why);
    if (e == OK && n != NULL && (e = conf_check_keys(n, keys, why)) == OK &&
        (e = conf_read_choice(n, "level", log_levels, &level, why)) == OK) {
        e = conf_read_choice(n, "format", log_formats, &format, why);
    }
    c->log_level = (enum log_level)level;
    c->log_format = (enum log_format)format;
    return e;
}

/* What the spool needs, said where it is written: sidecar/audit would refuse it at the start. */
static enum err read_spool(const struct conf_node *root, struct config *c, struct err_text *why)
{
    static const char *const keys[] = {"max_bytes", "segment_bytes", NULL};
    const struct conf_node *spool = NULL;
    enum err e = conf_read_map(root, "spool", &spool, why);
    if (e != OK || spool == NULL) {
        return e;
    }
    if ((e = conf_check_keys(spool, keys, why)) == OK &&
        (e = conf_read_size(spool, "max_bytes", 4 * MIB, 1ULL << 50, &c->spool_bytes, why)) == OK) {
        e = conf_read_size(spool, "segment_bytes", MIB, 1024ULL * MIB, &c->segment_bytes, why);
    }
    if (e == OK && c->segment_bytes % (4 * KIB) != 0) {
        e = conf_fail(conf_get(spool, "segment_bytes"), why, "expected a multiple of 4KiB");
    }
    if (e == OK && c->spool_bytes < 3 * c->segment_bytes) {
        e = conf_fail(spool, why,
                      "expected max_bytes to be at least three times segment_bytes (%" PRIu64
                      " and %" PRIu64 ")",
                      c->spool_bytes, c->segment_bytes);
    }
    return e;
}

static enum err read_sizes(const struct conf_node *root, struct config *c, struct err_text *why)
{
    static const char *const record_keys[] = {"response_bytes", "parameter_bytes",
                                              "statement_bytes", NULL};
    const struct conf_node *record = NULL;
    enum err e = conf_read_map(root, "record", &record, why);
    if (e == OK && record != NULL && (e = conf_check_keys(record, record_keys, why)) == OK &&
        (e = conf_read_size(record, "response_bytes", 0, 512 * KIB, &c->response_bytes, why)) ==
            OK &&
        (e = conf_read_size(record, "parameter_bytes", 0, 64 * KIB, &c->parameter_bytes, why)) ==
            OK) {
        e = conf_read_size(record, "statement_bytes", KIB, 512 * KIB, &c->statement_bytes, why);
    }
    if (e == OK) {
        e = read_spool(root, c, why);
    }
    return e;
}

static enum err read_health(const struct conf_node *root, struct config *c, struct err_text *why)
{
    static const char *const keys[] = {"listen", NULL};
    const struct conf_node *n = NULL;
    enum err e = conf_read_map(root, "health", &n, why);
    if (e == OK && n != NULL && (e = conf_check_keys(n, keys, why)) == OK) {
        e = conf_read_string(n, "listen", &c->health, why);
    }
    return e;
}

static enum err read_root(const struct conf_node *root, struct config *c, struct err_text *why)
{
    static const char *const keys[] = {"state", "name",       "control_plane", "identity",
                                       "log",   "health",     "listeners",     "record",
                                       "spool", "drain_time", "security",      NULL};
    enum err e;
    if ((e = conf_check_keys(root, keys, why)) == OK &&
        (e = conf_require(root, "state", why)) == OK &&
        (e = conf_read_string(root, "state", &c->state, why)) == OK &&
        (e = conf_read_string(root, "name", &c->name, why)) == OK &&
        (e = read_control_plane(root, c, why)) == OK && (e = read_identity(root, c, why)) == OK &&
        (e = read_log(root, c, why)) == OK && (e = read_health(root, c, why)) == OK &&
        (e = security_read(root, &c->security, why)) == OK &&
        (e = read_listeners(root, c, why)) == OK && (e = collect_resources(c)) == OK &&
        (e = read_sizes(root, c, why)) == OK) {
        e = conf_read_duration(root, "drain_time", 0, 3600 * second_ns, &c->drain_ns, why);
    }
    return e;
}

enum err config_load(const char *path, struct config *out, struct err_text *why)
{
    *out = (struct config){
        .response_bytes = 64 * KIB,
        .parameter_bytes = 4 * KIB,
        .statement_bytes = 512 * KIB, /* a record of it stays below the control plane's 1 MiB */
        .spool_bytes = 1024ULL * MIB,
        .segment_bytes = 16ULL * MIB,
        .drain_ns = 30 * second_ns,
    };
    enum err e = conf_load_file(path, &out->conf, why);
    if (e == OK && (out->arena = arena_create(ARENA_BLOCK, ARENA_CAP)) == NULL) {
        e = ERR_NO_MEMORY;
    }
    if (e == OK) {
        e = read_root(conf_root(out->conf), out, why);
    }
    if (e != OK) {
        config_finish(out);
    }
    return e;
}

void config_finish(struct config *c)
{
    conf_destroy(c->conf);
    arena_destroy(c->arena);
    *c = (struct config){0};
}
