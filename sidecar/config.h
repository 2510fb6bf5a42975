/* The sidecar's configuration file (docs/sidecar.md): YAML or JSON. Every mistake is named with its
 * file, line and key. */
#ifndef CHAPERONE_SIDECAR_CONFIG_H
#define CHAPERONE_SIDECAR_CONFIG_H

#include "base/conf/conf.h"
#include "base/hardening/security.h"
#include "base/log.h"
#include "sidecar/protocol/protocol.h"
#include "sidecar/proxy.h"
#include "sidecar/token_source.h"

enum {
    CONFIG_LISTENERS_MAX = 64,
    CONFIG_COMMAND_MAX = 32,
    CONFIG_SERVERS_MAX = 8,
    CONFIG_PROXY_HOSTS_MAX = 256, /* of one listener; each may have a certificate in memory */
};

/* The explicit proxy of a listener. */
struct config_proxy {
    /* Sorted by host, of each those with a port first. */
    const struct proxy_host *hosts;
    size_t host_count;
    const char *certificate, *key; /* files of its CA; made where they are missing */
};

struct config_listener {
    const char *resource; /* NULL: a proxy, which has several */
    const struct protocol *protocol;
    const char *listen;                    /* "127.0.0.1:6432", "unix:/run/x/.s.PGSQL.6432" */
    const char *tls_certificate, *tls_key; /* files; NULL: no TLS towards the agent */
    bool is_proxy;
    struct config_proxy proxy; /* where is_proxy */
};

/* Strings borrow from `conf` and `arena` and live until config_finish. */
struct config {
    struct conf *conf;
    struct arena *arena;
    const char *state;
    const char *name;                        /* for people; default: the host's */
    const char *servers[CONFIG_SERVERS_MAX]; /* of one control plane, the preferred one first */
    size_t server_count;
    const char *server_name, *ca_file, *join_token_file;
    struct token_source_options identity;
    const char *identity_command[CONFIG_COMMAND_MAX + 1];
    bool token_in_band;
    struct security security;
    enum log_level log_level;
    enum log_format log_format;
    const char *health; /* "127.0.0.1:9100"; NULL: none */
    struct config_listener listeners[CONFIG_LISTENERS_MAX];
    size_t listener_count;
    const char *const *resources; /* of all listeners, each once */
    size_t resource_count;
    uint64_t response_bytes, parameter_bytes, statement_bytes, spool_bytes, segment_bytes;
    int64_t drain_ns;
};

/* Fills `out` or says what is wrong. */
enum err config_load(const char *path, struct config *out, struct err_text *why) MUST_USE;
void config_finish(struct config *c);

#endif
