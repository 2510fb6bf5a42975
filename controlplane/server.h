/* The control plane, composed: configuration, state, CA, policy, services, listener.
 *
 * `main` and the tests make one; nothing here is global. Not thread-safe: one thread starts, tends,
 * reloads and stops it; the services run on threads of their own meanwhile. */
#ifndef CHAPERONE_CONTROLPLANE_SERVER_H
#define CHAPERONE_CONTROLPLANE_SERVER_H

#include "base/clock.h"
#include "base/log.h"
#include "controlplane/config.h"
#include "controlplane/identity/fetch.h"

struct server;

struct server_options {
    struct config *config; /* taken, also on failure */
    struct clock clock;
    struct identity_fetcher fetcher;
    const struct log *log; /* borrowed */
    const char *version;   /* borrowed */
};

/* Returns owned, and listens. ERR_INVALID: what the configuration refers to is wrong (`why` names
 * it); others: the system's. */
enum err server_start(const struct server_options *options, struct server **out,
                      struct err_text *why) MUST_USE;

int server_port(const struct server *server);

/* Reads the configuration's file again. On failure everything stays as it was. What needs a restart
 * (listen, data, ca, log) is named in the log and stays as well. */
enum err server_reload(struct server *server, struct err_text *why) MUST_USE;

/* To be called now and then (a minute is well): renews the server's certificate when it is time. */
void server_tend(struct server *server);

/* Accepts nothing new, ends the streams, lets the calls under way end for at most `grace_ms`,
 * frees. Takes NULL. */
void server_stop(struct server *server, int grace_ms);

/* What `--check` does beyond config_load: identity providers and the policy. */
enum err server_check(const struct server_options *options, struct err_text *why) MUST_USE;

#endif
