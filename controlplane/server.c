/* The life of a control plane: start and stop, the listener, what is looked at now and then. */
#include <stdio.h>
#include <stdlib.h>

#include "base/file.h"
#include "controlplane/files/files.h"
#include "controlplane/policy/document.h"
#include "controlplane/server_internal.h"

enum { RELISTEN_GRACE_MS = 2000 };

/* --- the listener ------------------------------------------------------------------------------
 */

/* -1: the configured port. */
static enum err listen_on(struct server *s, int port, struct err_text *why)
{
    const struct listener_options options = {.runtime = s->runtime,
                                             .services = s->services,
                                             .ca = s->ca,
                                             .config = server_config(s),
                                             .clock = s->with.clock,
                                             .port = port};
    enum err e = listener_open(&options, &s->listener, why);
    if (e == OK) {
        s->port = listener_port(s->listener);
        log_event(s->with.log, LOG_INFO, "listening",
                  log_text("address", server_config(s)->listen.host), log_number("port", s->port));
    }
    return e;
}

/* With port 0 only the system knows the port: whoever started us finds it here. */
static enum err write_port_file(struct server *s, struct err_text *why)
{
    char text[16];
    if (server_config(s)->listen.port != 0) {
        return OK;
    }
    (void)snprintf(text, sizeof(text), "%d\n", s->port);
    s->port_file = files_join(server_config(s)->data, "controlplane.port");
    return s->port_file == NULL ? ERR_NO_MEMORY
                                : file_replace(s->port_file, 0644, bytes_of_string(text), why);
}

static void listen_again(struct server *s)
{
    struct err_text why = {0};
    if (listen_on(s, s->port, &why) != OK) { /* server_tend tries again */
        log_event(s->with.log, LOG_ERROR, "listen_failed", log_text("reason", why.text));
    }
}

/* --- start -------------------------------------------------------------------------------------
 */

/* Kept for whoever checks later what was believed; a login does not fail for it. */
static void keep_issuer_key(void *context, const char *issuer, const char *key_id, const char *jwk)
{
    struct server *s = context;
    enum err e = s->state.store == NULL ? ERR_UNAVAILABLE
                                        : store_issuer_key_seen(s->state.store, issuer, key_id, jwk,
                                                                clock_wall(&s->with.clock));
    if (e != OK) {
        log_event(s->with.log, LOG_ERROR, "issuer_key_not_kept", log_text("issuer", issuer),
                  log_text("error", err_name(e)));
    }
}

void server_warn_of_gaps(const struct server *s)
{
    const struct config *c = server_config(s);
    if (c->identity_providers.count == 0) {
        log_event(s->with.log, LOG_WARN, "no_identity_providers",
                  log_text("meaning", "no agent and no operator can be identified"));
    }
    if (c->grants.count == 0) {
        log_event(s->with.log, LOG_WARN, "no_grants",
                  log_text("meaning", "no session can be opened"));
    }
}

static enum err start(struct server *s, struct err_text *why)
{
    enum err e = server_open(s, why);
    if (e == OK) {
        server_warn_of_gaps(s);
        e = listen_on(s, -1, why);
    }
    return e == OK ? write_port_file(s, why) : e;
}

enum err server_start(const struct server_options *options, struct server **out,
                      struct err_text *why)
{
    struct server *s = calloc(1, sizeof(*s));
    if (s == NULL) {
        config_release(options->config);
        return ERR_NO_MEMORY;
    }
    s->with = *options;
    s->with.fetcher.on_key = keep_issuer_key;
    s->with.fetcher.key_context = s;
    buffer_init(&s->server_ca_pem, CA_PEM_CAP);
    enum err e =
        snapshot_create(options->config, NULL, &s->with.clock, &s->with.fetcher, &s->snapshot, why);
    if (e == OK) {
        e = start(s, why);
    }
    if (e != OK) {
        server_stop(s, 0);
        return e;
    }
    *out = s;
    return OK;
}

enum err server_check(const struct server_options *options, struct err_text *why)
{
    struct snapshot *snapshot = NULL;
    struct policy_document document;
    enum err e =
        snapshot_create(options->config, NULL, &options->clock, &options->fetcher, &snapshot, why);
    if (e == OK) {
        e = policy_document_load(snapshot_config(snapshot)->policy_file, &document, why);
        if (e == OK) {
            e = log_keeper_check(snapshot_config(snapshot), why);
            policy_document_finish(&document);
        }
    }
    if (e == OK) {
        e = exports_check(snapshot_config(snapshot), why);
    }
    if (e == OK) {
        e = state_check(&snapshot_config(snapshot)->store, why);
    }
    snapshot_release(snapshot);
    return e;
}

int server_port(const struct server *server)
{
    return server->port;
}

/* --- now and then ------------------------------------------------------------------------------
 */

/* Calls are served whatever the log's state is: it has a name of its own for who watches. */
static void show_health(struct server *s)
{
    struct keeper_status status;
    keeper_read_status(log_keeper_of(s->log_keeper), &status);
    if (s->listener != NULL) {
        listener_set_log_health(s->listener, keeper_state_is_well(status.state));
    }
}

void server_tend(struct server *server)
{
    int64_t now = clock_wall(&server->with.clock);
    services_tend(server->services);
    show_health(server);
    if (server->listener == NULL) {
        listen_again(server);
    } else if (listener_is_stale(server->listener, server_config(server), now)) {
        log_event(server->with.log, LOG_INFO, "certificate_renewed");
        services_disconnect(server->services);
        listener_close(server->listener, RELISTEN_GRACE_MS);
        server->listener = NULL;
        listen_again(server);
    }
}

/* --- stop --------------------------------------------------------------------------------------
 */

void server_stop(struct server *server, int grace_ms)
{
    if (server == NULL) {
        return;
    }
    if (server->listener != NULL) {
        listener_set_serving(server->listener, false);
        services_drain(server->services);
    }
    outbound_stop(server->outbound);
    listener_close(server->listener, grace_ms);
    rpc_runtime_destroy(server->runtime);
    retention_stop(server->retention);
    log_keeper_stop(server->log_keeper); /* it records in the services' journal */
    services_destroy(server->services);
    outbound_destroy(server->outbound);
    log_keeper_destroy(server->log_keeper);
    audit_feed_destroy(server->feed);
    journal_destroy(server->journal);
    publisher_destroy(server->publisher);
    ca_close(server->ca);
    state_close(&server->state);
    snapshot_release(server->snapshot);
    buffer_finish(&server->server_ca_pem);
    if (server->port_file != NULL) {
        (void)remove(server->port_file);
    }
    free(server->port_file);
    free(server);
}
