#include "controlplane/listener.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/rpc/rpc_tls.h"
#include "controlplane/api_descriptors.h"
#include "controlplane/files/files.h"

/* As long as public CAs' certificates live. */
static const int64_t certificate_lifetime_ns = INT64_C(90) * 86400 * 1000000000;

struct listener {
    struct rpc_credentials *credentials;
    struct rpc_server *server;
    struct buffer certificate_pem;
    bool own;         /* issued by our CA */
    int64_t renew_ns; /* of an own one */
};

static enum err read_files(const struct config *config, struct buffer *certificate,
                           struct buffer *key, struct err_text *why)
{
    enum err e = files_check_private(config->tls.key, why);
    if (e == OK) {
        e = files_read(config->tls.certificate, certificate, why);
    }
    return e == OK ? files_read(config->tls.key, key, why) : e;
}

static enum err issue(const struct listener_options *options, struct listener *l,
                      struct buffer *key, struct err_text *why)
{
    struct ca_leaf leaf = {0};
    const struct config_strings *names = &options->config->hostnames;
    int64_t now = clock_wall(&options->clock);
    enum err e = ca_issue_server(options->ca, names->items, names->count, certificate_lifetime_ns,
                                 &leaf, key, why);
    if (e == OK) {
        l->own = true;
        l->renew_ns = now + (leaf.not_after_ns - now) / 3 * 2;
        l->certificate_pem = leaf.pem;
    }
    return e;
}

static enum err make_credentials(const struct listener_options *options, struct listener *l,
                                 struct err_text *why)
{
    struct buffer key;
    buffer_init(&key, CA_PEM_CAP);
    enum err e = options->config->tls.certificate != NULL
                     ? read_files(options->config, &l->certificate_pem, &key, why)
                     : issue(options, l, &key, why);
    if (e == OK) {
        e = rpc_credentials_server(buffer_bytes(&l->certificate_pem), buffer_bytes(&key),
                                   ca_certificate_pem(options->ca), &l->credentials);
        if (e != OK) {
            (void)err_set(why, e, "the server certificate cannot be used: %s", err_name(e));
        }
    }
    buffer_wipe(&key);
    return e;
}

static enum err serve(const struct listener_options *options, struct listener *l,
                      struct err_text *why)
{
    char address[320];
    const char *host = options->config->listen.host;
    int port = options->port >= 0 ? options->port : options->config->listen.port;
    bool is_ipv6 = strchr(host, ':') != NULL;
    (void)snprintf(address, sizeof(address), "%s%.256s%s:%d", is_ipv6 ? "[" : "", host,
                   is_ipv6 ? "]" : "", port);
    const struct rpc_server_options server = {
        .address = address, .credentials = l->credentials, .reflection = true};
    enum err e = rpc_server_create(options->runtime, &server, &l->server, why);
    if (e == OK) {
        e = services_add_to(options->services, l->server);
    }
    if (e == OK) {
        e = rpc_server_describe(l->server, bytes_of(api_descriptors, api_descriptors_size));
    }
    return e == OK ? rpc_server_start(l->server, why) : e;
}

enum err listener_open(const struct listener_options *options, struct listener **out,
                       struct err_text *why)
{
    struct listener *l = calloc(1, sizeof(*l));
    if (l == NULL) {
        return ERR_NO_MEMORY;
    }
    buffer_init(&l->certificate_pem, CA_PEM_CAP);
    enum err e = make_credentials(options, l, why);
    if (e == OK) {
        e = serve(options, l, why);
    }
    if (e != OK) {
        listener_close(l, 0);
        return e;
    }
    *out = l;
    return OK;
}

void listener_close(struct listener *listener, int grace_ms)
{
    if (listener == NULL) {
        return;
    }
    if (listener->server != NULL) {
        rpc_server_shutdown(listener->server, grace_ms);
        rpc_server_destroy(listener->server);
    }
    rpc_credentials_destroy(listener->credentials);
    buffer_finish(&listener->certificate_pem);
    free(listener);
}

int listener_port(const struct listener *listener)
{
    return rpc_server_port(listener->server);
}

void listener_set_serving(struct listener *listener, bool serving)
{
    rpc_server_set_health(listener->server, "", serving);
}

void listener_set_log_health(struct listener *listener, bool well)
{
    rpc_server_set_health(listener->server, "chaperone.v1.Log", well);
}

bool listener_is_stale(const struct listener *listener, const struct config *config, int64_t now_ns)
{
    if (listener->own != (config->tls.certificate == NULL)) {
        return true;
    }
    if (listener->own) {
        return now_ns >= listener->renew_ns;
    }
    struct buffer pem, key;
    buffer_init(&pem, CA_PEM_CAP);
    buffer_init(&key, CA_PEM_CAP);
    /* One that cannot be read now is not better than the one in use. */
    bool changed = read_files(config, &pem, &key, NULL) == OK &&
                   !bytes_equal(buffer_bytes(&pem), buffer_bytes(&listener->certificate_pem));
    buffer_finish(&pem);
    buffer_wipe(&key);
    return changed;
}
