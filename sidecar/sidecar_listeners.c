#include <stdio.h>
#include <stdlib.h>

#include "base/net/tls.h"
#include "sidecar/files.h"
#include "sidecar/sidecar_internal.h"
#include "sidecar/token_helper.h"

static enum err load_agent_tls(const struct config_listener *c, struct tls_context **out,
                               struct err_text *why)
{
    struct buffer certificate, key;
    if (c->tls_certificate == NULL) {
        return OK;
    }
    buffer_init(&certificate, FILES_SIZE_MAX);
    buffer_init(&key, FILES_SIZE_MAX);
    enum err e = files_read(c->tls_certificate, &certificate, why);
    if (e == OK) {
        e = files_read(c->tls_key, &key, why);
    }
    if (e == OK) {
        e = tls_server_create(buffer_bytes(&certificate), buffer_bytes(&key), c->protocol->alpn,
                              out, why);
    }
    buffer_finish(&certificate);
    buffer_wipe(&key);
    return e;
}

static struct running_listener *find(const struct sidecar *s, const struct config_listener *c)
{
    struct running_listener *l = s->listeners;
    const char *resource = c->is_proxy ? "" : c->resource;
    while (l != NULL && (l->retired || strcmp(l->address, c->listen) != 0 ||
                         strcmp(l->resource, resource) != 0 || l->protocol != c->protocol ||
                         !running_proxy_is(l->proxy, c))) {
        l = l->next;
    }
    return l;
}

static enum err open_one(struct sidecar *s, const struct config_listener *c, struct err_text *why)
{
    struct running_listener *l = calloc(1, sizeof(*l));
    if (l == NULL) {
        return ERR_NO_MEMORY;
    }
    (void)snprintf(l->address, sizeof(l->address), "%s", c->listen);
    (void)snprintf(l->resource, sizeof(l->resource), "%s", c->is_proxy ? "" : c->resource);
    l->protocol = c->protocol;
    enum err e = c->is_proxy ? running_proxy_create(s, &c->proxy, &l->proxy, why)
                             : load_agent_tls(c, &l->agent_tls, why);
    const struct listener_options options = {
        .address = c->listen,
        .origin = {.protocol = c->protocol,
                   .resource = c->is_proxy ? NULL : l->resource,
                   .agent_tls = l->agent_tls,
                   .proxy = running_proxy_hosts(l->proxy)},
        .shared = s->shared,
    };
    if (e == OK) {
        e = listener_create(&options, &l->listener, why);
    }
    if (e != OK) {
        tls_context_destroy(l->agent_tls);
        running_proxy_destroy(l->proxy);
        free(l);
        return e;
    }
    l->next = s->listeners;
    s->listeners = l;
    log_event(&s->log, LOG_INFO, "listening", log_text("address", listener_address(l->listener)),
              log_text("resource", l->resource), log_text("protocol", c->protocol->name));
    return OK;
}

/* A reload is how a renewed certificate comes into use. Connections that use the old one keep it.
 */
static enum err renew_tls(struct running_listener *l, const struct config_listener *c,
                          struct err_text *why)
{
    struct tls_context *fresh = NULL;
    if (l->proxy != NULL) {
        return running_proxy_renew(l->proxy, why);
    }
    enum err e = load_agent_tls(c, &fresh, why);
    if (e == OK) {
        listener_set_tls(l->listener, fresh);
        tls_context_destroy(l->agent_tls);
        l->agent_tls = fresh;
    }
    return e;
}

static bool is_wanted(const struct sidecar *s, const struct running_listener *l)
{
    const struct config *c = sidecar_config(s);
    for (size_t i = 0; i < c->listener_count; i++) {
        if (find(s, &c->listeners[i]) == l) {
            return true;
        }
    }
    return false;
}

enum err sidecar_listen(struct sidecar *s, struct err_text *why)
{
    const struct config *c = sidecar_config(s);
    for (struct running_listener *l = s->listeners; l != NULL; l = l->next) {
        if (!l->retired && !is_wanted(s, l)) {
            l->retired = true;
            listener_stop(l->listener);
            log_event(&s->log, LOG_INFO, "listening_ended", log_text("address", l->address));
        }
    }
    enum err e = OK;
    for (size_t i = 0; e == OK && i < c->listener_count; i++) {
        struct running_listener *l = find(s, &c->listeners[i]);
        e = l == NULL ? open_one(s, &c->listeners[i], why) : renew_tls(l, &c->listeners[i], why);
    }
    return e;
}

void sidecar_stop_listening(struct sidecar *s)
{
    for (struct running_listener *l = s->listeners; l != NULL; l = l->next) {
        listener_stop(l->listener);
    }
}

void sidecar_free_listeners(struct sidecar *s)
{
    while (s->listeners != NULL) {
        struct running_listener *l = s->listeners;
        s->listeners = l->next;
        listener_destroy(l->listener);
        tls_context_destroy(l->agent_tls);
        running_proxy_destroy(l->proxy);
        free(l);
    }
}

void sidecar_apply(struct sidecar *s)
{
    const struct config *c = sidecar_config(s);
    s->log.level = c->log_level;
    s->log.format = c->log_format;
    s->shared->protocol.response_max = c->response_bytes;
    s->shared->protocol.parameter_max = c->parameter_bytes;
    s->shared->protocol.statement_max = c->statement_bytes;
    s->shared->protocol.token_in_band = c->token_in_band;
}

static bool servers_differ(const struct config *a, const struct config *b)
{
    bool differ = a->server_count != b->server_count;
    for (size_t i = 0; !differ && i < a->server_count; i++) {
        differ = strcmp(a->servers[i], b->servers[i]) != 0;
    }
    return differ;
}

static bool needs_restart(const struct config *a, const struct config *b)
{
    return strcmp(a->state, b->state) != 0 || servers_differ(a, b) ||
           strcmp(a->ca_file, b->ca_file) != 0;
}

void sidecar_reload(struct sidecar *s)
{
    struct err_text why = {0};
    struct token_source *tokens = NULL;
    struct loaded *fresh = calloc(1, sizeof(*fresh));
    enum err e = fresh == NULL ? ERR_NO_MEMORY : config_load(s->path, &fresh->config, &why);
    if (e == OK) {
        fresh->config.identity.helper = sidecar_config(s)->identity.helper;
        e = token_helper_check(&fresh->config.identity, &why);
    }
    if (e == OK) {
        e = running_proxy_check(s, &fresh->config, &why);
    }
    if (e == OK) {
        e = token_source_create(&fresh->config.identity, &tokens);
    }
    if (e != OK) {
        log_event(&s->log, LOG_ERROR, "reload_failed",
                  log_text("why", why.text[0] != '\0' ? why.text : err_name(e)));
        if (fresh != NULL) {
            config_finish(&fresh->config); /* nothing, when loading it failed */
        }
        free(fresh);
        return;
    }
    if (needs_restart(&fresh->config, sidecar_config(s))) {
        log_event(&s->log, LOG_WARN, "reload_incomplete",
                  log_text("why", "state and control_plane change at the next start only"));
    }
    fresh->next = s->loaded;
    s->loaded = fresh;
    token_source_release(s->shared->tokens); /* a thread that reads it holds it */
    s->shared->tokens = tokens;
    sidecar_apply(s);
    if (s->recorder != NULL && !s->stopping) {
        e = sidecar_listen(s, &why); /* before, nothing could be recorded: enrolment comes first */
    }
    log_event(&s->log, e == OK ? LOG_INFO : LOG_ERROR, e == OK ? "reloaded" : "reload_incomplete",
              log_text("why", why.text));
}
