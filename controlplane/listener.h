/* The port that the services answer on, with its TLS certificate.
 *
 * The certificate comes from the configuration's files, or is made by the own CA at every opening
 * and kept in memory only. gRPC takes a certificate once, so a new one means a new listener: close,
 * then open on the same port. */
#ifndef CHAPERONE_CONTROLPLANE_LISTENER_H
#define CHAPERONE_CONTROLPLANE_LISTENER_H

#include "base/rpc/rpc.h"
#include "controlplane/ca/ca.h"
#include "controlplane/config.h"
#include "controlplane/rpc/services.h"

struct listener;

struct listener_options {
    struct rpc_runtime *runtime; /* all borrowed */
    struct services *services;
    const struct ca *ca;
    const struct config *config;
    struct clock clock;
    int port; /* instead of the configured one; -1: that one */
};

/* Returns owned, and serves. ERR_IO: the port; ERR_INVALID: the certificate. */
enum err listener_open(const struct listener_options *options, struct listener **out,
                       struct err_text *why) MUST_USE;
/* Accepts nothing new, waits for the calls under way, cancels them after the grace. Takes NULL. */
void listener_close(struct listener *listener, int grace_ms);

int listener_port(const struct listener *listener);
/* Health for who asks: false once a shutdown begins. */
void listener_set_serving(struct listener *listener, bool serving);
/* The same of "chaperone.v1.Log" alone: false when it is not signed any more. */
void listener_set_log_health(struct listener *listener, bool well);
/* Whether a listener opened now would have a better certificate: two thirds of this one's life have
 * gone, or its files have changed. */
bool listener_is_stale(const struct listener *listener, const struct config *config,
                       int64_t now_ns) MUST_USE;

#endif
