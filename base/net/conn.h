/* One non-blocking connection: TCP or unix socket, plain or TLS (BoringSSL).
 *
 * The owner is told that bytes can be read and reads them itself (`conn_read`), so that reading
 * stops when the other side is slow: `conn_pause` and `conn_resume`. What cannot be written at
 * once waits in a queue with a hard cap; the owner looks at `conn_queued` and pauses its source
 * above CONN_HIGH_WATER.
 *
 * Lifetime: `conn_close` only marks and stops all callbacks; the object is freed at the end of the
 * loop's turn. So a conn may be closed inside any of its own callbacks. */
#ifndef CHAPERONE_BASE_NET_CONN_H
#define CHAPERONE_BASE_NET_CONN_H

#include <stdbool.h>
#include <sys/socket.h>

#include "base/bytes.h"
#include "base/net/loop.h"
#include "base/net/tls.h"

struct conn;

enum {
    CONN_QUEUE_CAP = 4 << 20,    /* one chunk read from the other side, and what we add to it */
    CONN_HIGH_WATER = 256 << 10, /* the owner stops reading the source above it */
    CONN_LOW_WATER = 64 << 10,   /* on_drained is called when the queue falls to it */
};

struct conn_events {
    /* Connected, and the handshake done, after conn_connect or conn_start_tls. */
    void (*on_ready)(void *context);
    /* There is something to read, or the end. Called again until it was read or paused. */
    void (*on_readable)(void *context);
    /* The queue fell to CONN_LOW_WATER after it was above it. May be NULL. */
    void (*on_drained)(void *context);
    /* Connecting, the handshake or writing failed. `why` says it for people. The owner still
     * closes. */
    void (*on_failed)(void *context, enum err error, const char *why);
};

/* Takes a connected, non-blocking socket. Reading starts paused. Returns owned. */
enum err conn_create(struct loop *loop, int fd, const struct conn_events *events, void *context,
                     struct conn **out) MUST_USE;
/* Connects to a host (name or address) and port, or to a unix socket when `host` begins with '/'
 * (a path of the socket itself; port is ignored). on_ready or on_failed follows, never from
 * inside this call. Names are looked up on a thread of their own. */
enum err conn_connect(struct loop *loop, const char *host, uint16_t port, int timeout_ms,
                      const struct conn_events *events, void *context, struct conn **out) MUST_USE;

/* From now on the bytes are TLS; on_ready follows. `server_name` (client): checked and sent as SNI
 * (an IP address is checked against the certificate's addresses and not sent). The context is
 * kept alive by the connection. No plaintext byte may be left unread (CVE-2021-23222). */
enum err conn_start_tls(struct conn *conn, struct tls_context *context, const char *server_name,
                        int timeout_ms) MUST_USE;
bool conn_is_tls(const struct conn *conn);
/* The protocol that was agreed on in the handshake; empty: none. Valid as long as the conn. */
struct bytes conn_alpn(const struct conn *conn);
/* Hash of the peer's certificate for tls-server-end-point (RFC 5929 section 4.1); `out` has 64
 * bytes. 0: no certificate. */
size_t conn_end_point_hash(const struct conn *conn, uint8_t *out);

enum conn_result { CONN_OK, CONN_AGAIN, CONN_EOF, CONN_FAILED };
enum conn_result conn_read(struct conn *conn, uint8_t *out, size_t size,
                           size_t *out_count) MUST_USE;

/* Writes now what the socket takes, queues the rest. ERR_LIMIT beyond CONN_QUEUE_CAP; ERR_CLOSED
 * when the connection failed. */
enum err conn_write(struct conn *conn, struct bytes b) MUST_USE;
/* The same for two pieces: with what is queued they leave together, without a copy where there is
 * no TLS. */
enum err conn_write_two(struct conn *conn, struct bytes first, struct bytes second) MUST_USE;
/* Only queues; several pieces leave together with the next conn_write or conn_flush. */
enum err conn_append(struct conn *conn, struct bytes b) MUST_USE;
void conn_flush(struct conn *conn);
size_t conn_queued(const struct conn *conn);

void conn_pause(struct conn *conn);  /* no more on_readable */
void conn_resume(struct conn *conn); /* also when TLS holds decrypted bytes already */

/* Stops all callbacks; what is queued is dropped. */
void conn_close(struct conn *conn); /* takes NULL */
/* As close, but what is queued is written first, for at most `timeout_ms`. */
void conn_close_after_flush(struct conn *conn, int timeout_ms); /* takes NULL */

int conn_fd(const struct conn *conn); /* for SO_PEERCRED, getpeername */
/* "127.0.0.1:51234", "[::1]:51234" or "unix:/path" (the peer's address; of a unix socket the path
 * it was accepted on, as the accepting side has bound it). */
void conn_format_peer(const struct conn *conn, char *out, size_t size);

#endif
