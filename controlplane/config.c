#include "controlplane/config.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "controlplane/config_internal.h"

enum {
    /* Holds pointers into the document only, which has its own caps (base/conf/conf.h). */
    ARENA_CAP = 64 << 20,
    ARENA_BLOCK = 16 << 10,
};

static const int64_t second_ns = 1000000000;

struct loaded {
    struct config config; /* the first member: what callers hold */
    atomic_int references;
    struct conf *document;
    struct arena *arena;
};

static enum err read_listen(struct config_reader *r, const struct conf_node *root)
{
    static const char fallback[] = "127.0.0.1:7443";
    const char *text = fallback;
    enum err e = conf_read_string(root, "listen", &text, r->why);
    if (e != OK) {
        return e;
    }
    const struct conf_node *n = text == fallback ? root : conf_get(root, "listen");
    return config_split_address(r, n, text, 0, &r->config->listen.host, &r->config->listen.port);
}

static bool is_wildcard(const char *host)
{
    return strcmp(host, "0.0.0.0") == 0 || strcmp(host, "::") == 0;
}

static enum err read_hostnames(struct config_reader *r, const struct conf_node *root)
{
    const char *host = r->config->listen.host;
    const char **fallback = arena_alloc(r->arena, 3 * sizeof(*fallback));
    if (fallback == NULL) {
        return ERR_NO_MEMORY;
    }
    size_t count = 0;
    fallback[count++] = "localhost";
    fallback[count++] = "127.0.0.1";
    if (!is_wildcard(host) && strcmp(host, "localhost") != 0 && strcmp(host, "127.0.0.1") != 0) {
        fallback[count++] = host;
    }
    r->config->hostnames = (struct config_strings){.items = fallback, .count = count};
    return config_read_strings(r, root, "hostnames", &r->config->hostnames);
}

static enum err read_log(struct config_reader *r, const struct conf_node *root)
{
    static const char *const keys[] = {"level", "format", NULL};
    static const struct conf_choice levels[] = {{"debug", LOG_DEBUG},
                                                {"info", LOG_INFO},
                                                {"warn", LOG_WARN},
                                                {"error", LOG_ERROR},
                                                {NULL, 0}};
    static const struct conf_choice formats[] = {
        {"json", LOG_JSON}, {"human", LOG_HUMAN}, {NULL, 0}};
    int level = LOG_INFO, format = LOG_JSON;
    const struct conf_node *map = NULL;
    enum err e = conf_read_map(root, "log", &map, r->why);
    if (e == OK && map != NULL) {
        e = conf_check_keys(map, keys, r->why);
        if (e == OK) {
            e = conf_read_choice(map, "level", levels, &level, r->why);
        }
        if (e == OK) {
            e = conf_read_choice(map, "format", formats, &format, r->why);
        }
    }
    r->config->log.level = (enum log_level)level;
    r->config->log.format = (enum log_format)format;
    return e;
}

static enum err read_security(struct config_reader *r, const struct conf_node *root)
{
    return security_read(root, &r->config->security, r->why);
}

/* `ca` and `tls`: a certificate with its key. */
static enum err read_key_pair(struct config_reader *r, const struct conf_node *map,
                              const char *const *keys, const char **out_certificate,
                              const char **out_key)
{
    enum err e = conf_check_keys(map, keys, r->why);
    if (e == OK) {
        e = conf_require(map, "certificate", r->why);
    }
    if (e == OK) {
        e = conf_require(map, "key", r->why);
    }
    if (e == OK) {
        e = config_read_file(r, map, "certificate", out_certificate);
    }
    return e == OK ? config_read_file(r, map, "key", out_key) : e;
}

static enum err read_policy(struct config_reader *r, const struct conf_node *root)
{
    static const char *const keys[] = {"file", NULL};
    const struct conf_node *map = NULL;
    enum err e = conf_read_map(root, "policy", &map, r->why);
    if (e != OK || map == NULL) {
        return e;
    }
    e = conf_check_keys(map, keys, r->why);
    if (e == OK) {
        e = conf_require(map, "file", r->why);
    }
    return e == OK ? config_read_file(r, map, "file", &r->config->policy_file) : e;
}

static enum err read_enrolment_oidc(struct config_reader *r, const struct conf_node *enrolment)
{
    static const char *const keys[] = {"subjects", "groups", "providers", NULL};
    const struct conf_node *map = NULL;
    enum err e = conf_read_map(enrolment, "oidc", &map, r->why);
    if (e != OK || map == NULL) {
        return e;
    }
    e = conf_check_keys(map, keys, r->why);
    return e == OK ? config_read_whom(r, map, &r->config->enrolment.oidc) : e;
}

static enum err read_enrolment(struct config_reader *r, const struct conf_node *root)
{
    static const char *const keys[] = {"certificate_lifetime", "join_tokens", "oidc", NULL};
    const struct conf_node *map = NULL;
    r->config->enrolment.certificate_lifetime_ns = INT64_C(24) * 3600 * second_ns;
    r->config->enrolment.join_tokens = true;
    enum err e = conf_read_map(root, "enrolment", &map, r->why);
    if (e != OK || map == NULL) {
        return e;
    }
    e = conf_check_keys(map, keys, r->why);
    if (e == OK) {
        e = conf_read_duration(map, "certificate_lifetime", 60 * second_ns,
                               INT64_C(365) * 24 * 3600 * second_ns,
                               &r->config->enrolment.certificate_lifetime_ns, r->why);
    }
    if (e == OK) {
        e = conf_read_bool(map, "join_tokens", &r->config->enrolment.join_tokens, r->why);
    }
    return e == OK ? read_enrolment_oidc(r, map) : e;
}

static enum err read_session(struct config_reader *r, const struct conf_node *root)
{
    static const char *const keys[] = {"kill_timeout", NULL};
    const struct conf_node *map = NULL;
    r->config->session.kill_timeout_ns = 10 * second_ns;
    enum err e = conf_read_map(root, "session", &map, r->why);
    if (e != OK || map == NULL) {
        return e;
    }
    e = conf_check_keys(map, keys, r->why);
    return e == OK ? conf_read_duration(map, "kill_timeout", second_ns, 300 * second_ns,
                                        &r->config->session.kill_timeout_ns, r->why)
                   : e;
}

static enum err read_watch(struct config_reader *r, const struct conf_node *root)
{
    static const char *const keys[] = {"silent_after", "lost_after", NULL};
    const struct conf_node *map = NULL;
    r->config->watch.silent_after_ns = 120 * second_ns;
    r->config->watch.lost_after_ns = 600 * second_ns;
    enum err e = conf_read_map(root, "watch", &map, r->why);
    if (e != OK || map == NULL) {
        return e;
    }
    e = conf_check_keys(map, keys, r->why);
    if (e == OK) {
        e = conf_read_duration(map, "silent_after", second_ns, 86400 * second_ns,
                               &r->config->watch.silent_after_ns, r->why);
    }
    if (e == OK) {
        e = conf_read_duration(map, "lost_after", second_ns, 7 * 86400 * second_ns,
                               &r->config->watch.lost_after_ns, r->why);
    }
    if (e == OK && r->config->watch.lost_after_ns < r->config->watch.silent_after_ns) {
        e = conf_fail(map, r->why, "expected `lost_after` not before `silent_after`, found less");
    }
    return e;
}

static enum err read_data(struct config_reader *r, const struct conf_node *root)
{
    enum err e = conf_require(root, "data", r->why);
    return e == OK ? config_read_path(r, root, "data", &r->config->data) : e;
}

static enum err read_ca(struct config_reader *r, const struct conf_node *root)
{
    static const char *const keys[] = {"certificate", "key", NULL};
    const struct conf_node *map = NULL;
    enum err e = conf_read_map(root, "ca", &map, r->why);
    return e == OK && map != NULL
               ? read_key_pair(r, map, keys, &r->config->ca.certificate, &r->config->ca.key)
               : e;
}

static enum err read_tls(struct config_reader *r, const struct conf_node *root)
{
    static const char *const keys[] = {"certificate", "key", "ca", NULL};
    const struct conf_node *map = NULL;
    enum err e = conf_read_map(root, "tls", &map, r->why);
    if (e != OK || map == NULL) {
        return e;
    }
    e = read_key_pair(r, map, keys, &r->config->tls.certificate, &r->config->tls.key);
    return e == OK ? config_read_file(r, map, "ca", &r->config->tls_ca) : e;
}

static enum err read_root(struct config_reader *r, const struct conf_node *root)
{
    static const char *const keys[] = {"listen", "data",      "store",       "hostnames",
                                       "log",    "ca",        "tls",         "identity_providers",
                                       "roles",  "grants",    "credentials", "resources",
                                       "policy", "enrolment", "session",     "audit_log",
                                       "watch",  "retention", "exports",     "metrics",
                                       "blobs",  "security",  NULL};
    /* What is referred to comes before what refers to it. */
    static enum err (*const parts[])(struct config_reader *, const struct conf_node *) = {
        read_data,
        config_read_store,
        config_read_blobs,
        read_listen,
        read_hostnames,
        read_log,
        read_ca,
        read_tls,
        config_read_identity_providers,
        config_read_roles,
        config_read_credentials,
        config_read_resources,
        config_read_grants,
        read_policy,
        read_enrolment,
        read_session,
        read_watch,
        config_read_audit_log,
        config_read_retention,
        config_read_exports,
        config_read_metrics,
        read_security,
    };
    enum err e = conf_check_keys(root, keys, r->why);
    for (size_t i = 0; e == OK && i < sizeof(parts) / sizeof(parts[0]); i++) {
        e = parts[i](r, root);
    }
    return e;
}

static void destroy(struct loaded *l)
{
    conf_destroy(l->document);
    arena_destroy(l->arena);
    free(l);
}

/* The directory of a path, in the arena. */
static char *directory_of(struct arena *arena, const char *path)
{
    const char *slash = strrchr(path, '/');
    struct bytes directory = slash == NULL   ? bytes_of_string(".")
                             : slash == path ? bytes_of_string("/")
                                             : bytes_of(path, (size_t)(slash - path));
    return arena_copy_string(arena, directory);
}

/* Takes `document`. */
static enum err read_document(const char *path, struct conf *document, struct config **out,
                              struct err_text *why)
{
    struct loaded *l = calloc(1, sizeof(*l));
    if (l == NULL) {
        conf_destroy(document);
        return ERR_NO_MEMORY;
    }
    atomic_init(&l->references, 1);
    l->document = document;
    l->arena = arena_create(ARENA_BLOCK, ARENA_CAP);
    if (l->arena == NULL) {
        destroy(l);
        return ERR_NO_MEMORY;
    }
    struct config_reader r = {.config = &l->config,
                              .arena = l->arena,
                              .directory = directory_of(l->arena, path),
                              .why = why};
    l->config.file = arena_copy_string(l->arena, bytes_of_string(path));
    enum err e = r.directory == NULL || l->config.file == NULL ? ERR_NO_MEMORY
                                                               : read_root(&r, conf_root(document));
    if (e != OK) {
        destroy(l);
        return e;
    }
    *out = &l->config;
    return OK;
}

enum err config_load(const char *path, struct config **out, struct err_text *why)
{
    struct conf *document = NULL;
    enum err e = conf_load_file(path, &document, why);
    return e == OK ? read_document(path, document, out, why) : e;
}

enum err config_load_text(const char *path, struct bytes text, struct config **out,
                          struct err_text *why)
{
    struct conf *document = NULL;
    enum err e = conf_load_text(path, text, &document, why);
    return e == OK ? read_document(path, document, out, why) : e;
}

struct config *config_retain(struct config *config)
{
    atomic_fetch_add(&((struct loaded *)config)->references, 1);
    return config;
}

void config_release(struct config *config)
{
    struct loaded *l = (struct loaded *)config;
    if (l != NULL && atomic_fetch_sub(&l->references, 1) == 1) {
        destroy(l);
    }
}

const struct conf_node *config_document(const struct config *config)
{
    return conf_root(((const struct loaded *)config)->document);
}

const struct config_resource *config_find_resource(const struct config *config, const char *name)
{
    for (size_t i = 0; i < config->resources.count; i++) {
        if (strcmp(config->resources.items[i].name, name) == 0) {
            return &config->resources.items[i];
        }
    }
    return NULL;
}

const struct config_identity_provider *config_find_provider(const struct config *config,
                                                            const char *issuer)
{
    for (size_t i = 0; i < config->identity_providers.count; i++) {
        if (strcmp(config->identity_providers.items[i].issuer, issuer) == 0) {
            return &config->identity_providers.items[i];
        }
    }
    return NULL;
}
