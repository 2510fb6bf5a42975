/* A gRPC channel to the control plane, whose bytes we carry over TLS ourselves.
 *
 * gRPC dials an abstract unix socket with an unguessable name; a peer that is not this process
 * (SO_PEERCRED) is closed. For each of gRPC's connections one TLS connection is made to the
 * control plane; gRPC reconnects and backs off by itself. A tunnel has one identity: a new
 * certificate means a new tunnel, and the old one goes when its last call has ended.
 *
 * Created on the loop's thread; retain, release and tunnel_channel on any. */
#ifndef CHAPERONE_SIDECAR_CONTROL_TUNNEL_H
#define CHAPERONE_SIDECAR_CONTROL_TUNNEL_H

#include "base/bytes.h"
#include "base/log.h"
#include "base/net/loop.h"
#include "base/rpc/rpc.h"

struct tunnel;

enum { TUNNEL_SERVERS_MAX = 8 };

/* One of the control planes that serve the same. */
struct tunnel_server {
    char *host;
    char *name; /* in its certificate */
    uint16_t port;
};

struct tunnel_options {
    struct loop *loop;     /* borrowed, as long as the tunnel lives */
    const struct log *log; /* borrowed, likewise */
    struct rpc_runtime *runtime;
    /* The preferred one first. Where one does not answer, the next one is tried at once; where a
     * connection is lost, the next one is tried after a moment of chance, so that a fleet does not
     * come all at once. */
    const struct tunnel_server *servers;
    size_t server_count; /* 1 to TUNNEL_SERVERS_MAX */
    struct bytes ca_pem;
    struct bytes certificate_pem; /* empty: without a client certificate */
    struct bytes key_pem;
};

enum { TUNNEL_ERROR_SIZE = 256 };

/* Copies the options. Returns owned: one reference. */
enum err tunnel_create(const struct tunnel_options *options, struct tunnel **out,
                       struct err_text *why) MUST_USE;
struct tunnel *tunnel_retain(struct tunnel *tunnel);
void tunnel_release(struct tunnel *tunnel); /* takes NULL */
struct rpc_channel *tunnel_channel(const struct tunnel *tunnel);

/* The loop's thread: closes all connections and takes no more, before the last reference goes. */
void tunnel_close(struct tunnel *tunnel);
/* The loop's thread: a TLS connection stands. */
bool tunnel_is_connected(const struct tunnel *tunnel);
/* The loop's thread: why the last attempt failed, for people; "": it did not. Borrowed. */
const char *tunnel_error(const struct tunnel *tunnel);

#endif
