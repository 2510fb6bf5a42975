/* The inside of a connection, shared by its files: conn.c (its life, its bytes), conn_connect.c
 * (how it comes to its socket), conn_tls.c (what is different with TLS). The loop's thread only. */
#ifndef CHAPERONE_BASE_NET_CONN_INTERNAL_H
#define CHAPERONE_BASE_NET_CONN_INTERNAL_H

#include <ev.h>
#include <openssl/ssl.h>
#include <sys/types.h>

#include "base/net/conn.h"

struct resolve;

/* CONN_RESOLVING → CONN_CONNECTING → CONN_OPEN ⇄ CONN_HANDSHAKE; all → CONN_BROKEN → CONN_CLOSED */
enum conn_state {
    CONN_RESOLVING,
    CONN_CONNECTING,
    CONN_OPEN,
    CONN_HANDSHAKE,
    CONN_FLUSHING,
    CONN_BROKEN,
    CONN_CLOSED,
};

struct conn {
    struct loop *loop;
    struct ev_loop *ev;
    int fd;
    enum conn_state state;
    bool wants_reading; /* the owner's pause and resume */
    bool above_water;
    bool unwritable; /* the peer takes nothing more; it may still be read */
    struct ev_io read_io, write_io;
    struct ev_timer timer;
    struct conn_events events;
    void *context;
    struct buffer out;
    struct tls_context *tls;
    SSL *ssl;
    struct resolve *resolve;
    struct loop_deferred free_later, fed;
};

/* conn.c. A connection whose socket and state are still to be set; `fd` may be -1. Returns owned;
 * NULL: no memory. */
struct conn *conn_alloc(struct loop *loop, int fd, const struct conn_events *events, void *context);
void conn_use_fd(struct conn *c, int fd); /* takes a non-blocking socket */
/* Told once: afterwards the owner hears nothing more and closes. `c` may be closed inside. */
void conn_fail(struct conn *c, enum err error, const char *why);
void conn_start_timer(struct conn *c, int timeout_ms); /* 0: none */

/* conn_connect.c. The socket has become writable: connected, or why it could not be. */
void conn_finish_connect(struct conn *c);

/* conn_tls.c. But for conn_tls_finish only where there is TLS (`ssl`). */
void conn_tls_handshake(struct conn *c); /* goes on with it */
/* on_readable follows where TLS has bytes for an owner who wants them. */
void conn_tls_feed_pending(struct conn *c);
void conn_tls_on_fed(void *context); /* a conn */
enum conn_result conn_tls_read(struct conn *c, uint8_t *out, size_t size,
                               size_t *out_count) MUST_USE;
/* Bytes taken now; -1 when the connection is broken. */
ssize_t conn_tls_write(struct conn *c, struct bytes b) MUST_USE;
void conn_tls_shutdown(struct conn *c); /* the peer is told that nothing follows */
void conn_tls_finish(struct conn *c);

#endif
