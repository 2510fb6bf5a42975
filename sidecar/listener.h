/* Where agents knock: TCP on loopback, or a unix socket such as `.s.PGSQL.<port>`. */
#ifndef CHAPERONE_SIDECAR_LISTENER_H
#define CHAPERONE_SIDECAR_LISTENER_H

#include "sidecar/session.h"

struct listener;

struct listener_options {
    const char *address; /* "127.0.0.1:6432", "unix:/run/x/.s.PGSQL.6432"; port 0: any free one */
    struct session_origin origin;  /* copied; resource and agent_tls are borrowed */
    struct session_shared *shared; /* borrowed */
};

/* Binds and listens. ERR_DENIED: an address that is not loopback; ERR_EXISTS: it is in use (a unix
 * socket that nobody listens on any more is replaced). Returns owned. */
enum err listener_create(const struct listener_options *options, struct listener **out,
                         struct err_text *why) MUST_USE;
/* Stops listening; removes its unix socket. Sessions it accepted must be over. Takes NULL. */
void listener_destroy(struct listener *l);
/* Stops accepting, for a shutdown. */
void listener_stop(struct listener *l);
/* For the connections from now on; borrowed, NULL: none. */
void listener_set_tls(struct listener *l, struct tls_context *agent_tls);
/* As bound: with the port that was chosen. */
const char *listener_address(const struct listener *l);

#endif
