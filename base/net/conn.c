#include "base/net/conn.h"

#include <arpa/inet.h>
#include <errno.h>
#include <ev.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/net/resolve.h"
#include "base/net/tls_internal.h"

enum { CONN_KEEP = 2 << 10 }; /* bytes of a queue that an idle connection keeps */

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

static void on_read_io(struct ev_loop *ev, struct ev_io *w, int events);
static void on_write_io(struct ev_loop *ev, struct ev_io *w, int events);

static void stop_io(struct conn *c)
{
    ev_io_stop(c->ev, &c->read_io);
    ev_io_stop(c->ev, &c->write_io);
    ev_timer_stop(c->ev, &c->timer);
    loop_cancel_deferred(c->loop, &c->fed);
}

static void conn_free(void *context)
{
    struct conn *c = context;
    if (c->ssl != NULL) {
        SSL_free(c->ssl);
    }
    tls_context_destroy(c->tls);
    if (c->fd >= 0) {
        (void)close(c->fd);
    }
    buffer_wipe(&c->out);
    free(c);
}

void conn_close(struct conn *c)
{
    if (c == NULL || c->state == CONN_CLOSED) {
        return;
    }
    if (c->ssl != NULL && c->state != CONN_HANDSHAKE && c->state != CONN_BROKEN) {
        (void)SSL_shutdown(c->ssl);
        ERR_clear_error();
    }
    stop_io(c);
    resolve_cancel(c->resolve);
    c->resolve = NULL;
    c->state = CONN_CLOSED;
    loop_defer(c->loop, &c->free_later);
}

/* Told once: afterwards the owner hears nothing more and closes. */
static void fail(struct conn *c, enum err error, const char *why)
{
    if (c->state == CONN_FLUSHING) {
        conn_close(c);
        return;
    }
    stop_io(c);
    c->state = CONN_BROKEN;
    c->events.on_failed(c->context, error, why);
}

static void on_timeout(struct ev_loop *ev, struct ev_timer *w, int events)
{
    (void)ev;
    (void)events;
    struct conn *c = w->data;
    fail(c, ERR_TIMEOUT,
         c->state == CONN_HANDSHAKE ? "the TLS handshake took too long"
                                    : "connecting took too long");
}

static void start_timer(struct conn *c, int timeout_ms)
{
    ev_timer_stop(c->ev, &c->timer);
    if (timeout_ms > 0) {
        ev_timer_set(&c->timer, timeout_ms / 1000.0, 0.0);
        ev_timer_start(c->ev, &c->timer);
    }
}

/* What TLS has decrypted already does not make the socket readable again. */
static void on_fed(void *context)
{
    struct conn *c = context;
    if (c->state == CONN_OPEN && c->wants_reading) {
        c->events.on_readable(c->context);
    }
}

static void feed_pending(struct conn *c)
{
    if (c->ssl != NULL && c->state == CONN_OPEN && c->wants_reading && SSL_pending(c->ssl) > 0) {
        loop_defer(c->loop, &c->fed);
    }
}

static struct conn *conn_alloc(struct loop *loop, int fd, const struct conn_events *events,
                               void *context)
{
    struct conn *c = calloc(1, sizeof(*c));
    if (c == NULL) {
        return NULL;
    }
    c->loop = loop;
    c->ev = loop_ev(loop);
    c->fd = fd;
    c->events = *events;
    c->context = context;
    buffer_init(&c->out, CONN_QUEUE_CAP);
    c->free_later = (struct loop_deferred){.fn = conn_free, .context = c};
    c->fed = (struct loop_deferred){.fn = on_fed, .context = c};
    ev_init(&c->read_io, on_read_io);
    ev_init(&c->write_io, on_write_io);
    ev_init(&c->timer, on_timeout);
    c->read_io.data = c;
    c->write_io.data = c;
    c->timer.data = c;
    return c;
}

static void use_fd(struct conn *c, int fd)
{
    c->fd = fd;
    ev_io_set(&c->read_io, fd, EV_READ);
    ev_io_set(&c->write_io, fd, EV_WRITE);
    int one = 1; /* fails on a unix socket, where there is nothing to delay */
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    (void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof(one));
}

enum err conn_create(struct loop *loop, int fd, const struct conn_events *events, void *context,
                     struct conn **out)
{
    struct conn *c = conn_alloc(loop, fd, events, context);
    if (c == NULL) {
        return ERR_NO_MEMORY;
    }
    use_fd(c, fd);
    c->state = CONN_OPEN;
    *out = c;
    return OK;
}

/* ---- connecting ------------------------------------------------------------------------- */

static void connected(struct conn *c)
{
    ev_io_stop(c->ev, &c->write_io);
    ev_timer_stop(c->ev, &c->timer);
    c->state = CONN_OPEN;
    if (c->wants_reading) {
        ev_io_start(c->ev, &c->read_io);
    }
    c->events.on_ready(c->context);
}

static void finish_connect(struct conn *c)
{
    int error = 0;
    socklen_t size = sizeof(error);
    if (getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &error, &size) != 0) {
        error = errno;
    }
    if (error != 0) {
        fail(c, ERR_UNAVAILABLE, strerror(error));
    } else {
        connected(c);
    }
}

static void start_connect(struct conn *c, const struct sockaddr *address, socklen_t size)
{
    int fd = socket(address->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        fail(c, ERR_IO, strerror(errno));
        return;
    }
    use_fd(c, fd);
    c->state = CONN_CONNECTING;
    if (connect(fd, address, size) != 0 && errno != EINPROGRESS) {
        fail(c, ERR_UNAVAILABLE, strerror(errno));
        return;
    }
    ev_io_start(c->ev, &c->write_io);
}

static void on_resolved(void *context, const struct sockaddr *address, socklen_t size,
                        const char *why)
{
    struct conn *c = context;
    c->resolve = NULL;
    if (address == NULL) {
        fail(c, ERR_UNAVAILABLE, why);
    } else {
        start_connect(c, address, size);
    }
}

enum err conn_connect(struct loop *loop, const char *host, uint16_t port, int timeout_ms,
                      const struct conn_events *events, void *context, struct conn **out)
{
    struct conn *c = conn_alloc(loop, -1, events, context);
    if (c == NULL) {
        return ERR_NO_MEMORY;
    }
    c->state = CONN_RESOLVING;
    enum err e = resolve_start(loop, host, port, on_resolved, c, &c->resolve);
    if (e != OK) {
        free(c);
        return e;
    }
    start_timer(c, timeout_ms);
    *out = c;
    return OK;
}

/* ---- TLS ---------------------------------------------------------------------------------- */

static void want_io(struct conn *c, bool read, bool write)
{
    if (read) {
        ev_io_start(c->ev, &c->read_io);
    } else {
        ev_io_stop(c->ev, &c->read_io);
    }
    if (write) {
        ev_io_start(c->ev, &c->write_io);
    } else {
        ev_io_stop(c->ev, &c->write_io);
    }
}

static bool alpn_agreed(const struct conn *c)
{
    if (c->tls->alpn_size == 0 || c->tls->alpn_is_free) {
        return true;
    }
    const uint8_t *chosen = NULL;
    unsigned size = 0;
    SSL_get0_alpn_selected(c->ssl, &chosen, &size);
    return size + 1 == c->tls->alpn_size && memcmp(chosen, c->tls->alpn + 1, size) == 0;
}

static void handshake_failed(struct conn *c, int result)
{
    char reason[160];
    long verify = SSL_get_verify_result(c->ssl);
    if (SSL_get_error(c->ssl, result) == SSL_ERROR_SYSCALL) {
        (void)snprintf(reason, sizeof(reason), "the peer closed during the TLS handshake");
        ERR_clear_error();
    } else if (verify != X509_V_OK) {
        (void)snprintf(reason, sizeof(reason), "the certificate does not hold: %s",
                       X509_verify_cert_error_string(verify));
        ERR_clear_error();
    } else {
        char text[120];
        tls_error_text(text, sizeof(text), "handshake failure");
        (void)snprintf(reason, sizeof(reason), "TLS: %s", text);
    }
    fail(c, ERR_DENIED, reason);
}

static void handshake(struct conn *c)
{
    int result = SSL_do_handshake(c->ssl);
    if (result == 1) {
        if (!alpn_agreed(c)) {
            fail(c, ERR_DENIED, "the peer does not speak the expected protocol (ALPN)");
            return;
        }
        ev_timer_stop(c->ev, &c->timer);
        want_io(c, c->wants_reading, false);
        c->state = CONN_OPEN;
        feed_pending(c);
        c->events.on_ready(c->context);
        return;
    }
    switch (SSL_get_error(c->ssl, result)) {
    case SSL_ERROR_WANT_READ: want_io(c, true, false); break;
    case SSL_ERROR_WANT_WRITE: want_io(c, false, true); break;
    default: handshake_failed(c, result); break;
    }
}

static bool is_address(const char *name)
{
    uint8_t raw[16];
    return inet_pton(AF_INET, name, raw) == 1 || inet_pton(AF_INET6, name, raw) == 1;
}

static bool expect_name(struct conn *c, const char *name)
{
    if (name == NULL || c->tls->is_server) {
        return c->tls->is_server || c->tls->verify != TLS_CHECK_NAME;
    }
    bool address = is_address(name);
    if (!address && SSL_set_tlsext_host_name(c->ssl, name) != 1) {
        return false;
    }
    if (c->tls->verify != TLS_CHECK_NAME) {
        return true;
    }
    X509_VERIFY_PARAM *param = SSL_get0_param(c->ssl);
    return address ? X509_VERIFY_PARAM_set1_ip_asc(param, name) == 1
                   : X509_VERIFY_PARAM_set1_host(param, name, strlen(name)) == 1;
}

static void on_handshake_start(void *context)
{
    struct conn *c = context;
    c->fed.fn = on_fed;
    handshake(c);
}

enum err conn_start_tls(struct conn *c, struct tls_context *context, const char *server_name,
                        int timeout_ms)
{
    if (c->state != CONN_OPEN || c->ssl != NULL || buffer_size(&c->out) > 0) {
        return ERR_INVALID;
    }
    c->ssl = SSL_new(context->ctx);
    if (c->ssl == NULL) {
        return ERR_NO_MEMORY;
    }
    context->references++;
    c->tls = context;
    if (SSL_set_fd(c->ssl, c->fd) != 1 || !expect_name(c, server_name)) {
        return ERR_INVALID;
    }
    if (context->is_server) {
        SSL_set_accept_state(c->ssl);
    } else {
        SSL_set_connect_state(c->ssl);
    }
    c->state = CONN_HANDSHAKE;
    start_timer(c, timeout_ms);
    c->fed.fn = on_handshake_start; /* not from inside this call: on_failed could surprise */
    loop_defer(c->loop, &c->fed);
    return OK;
}

struct bytes conn_alpn(const struct conn *c)
{
    const uint8_t *chosen = NULL;
    unsigned size = 0;
    if (c->ssl != NULL) {
        SSL_get0_alpn_selected(c->ssl, &chosen, &size);
    }
    return bytes_of(chosen, size);
}

bool conn_is_tls(const struct conn *c)
{
    return c->ssl != NULL;
}

size_t conn_end_point_hash(const struct conn *c, uint8_t *out)
{
    X509 *certificate = c->ssl == NULL ? NULL : SSL_get_peer_certificate(c->ssl);
    if (certificate == NULL) {
        return 0;
    }
    int digest_nid = NID_undef;
    unsigned size = 0;
    /* MD5 and SHA-1 are replaced by SHA-256; a signature without a hash of its own (Ed25519) is
     * undefined there, and PostgreSQL takes SHA-256 for none of them. */
    if (OBJ_find_sigid_algs(X509_get_signature_nid(certificate), &digest_nid, NULL) == 1) {
        const EVP_MD *md = digest_nid == NID_undef ? NULL : EVP_get_digestbynid(digest_nid);
        if (digest_nid == NID_md5 || digest_nid == NID_sha1) {
            md = EVP_sha256();
        }
        if (md == NULL || X509_digest(certificate, md, out, &size) != 1) {
            size = 0;
        }
    }
    X509_free(certificate);
    return size;
}

/* ---- bytes -------------------------------------------------------------------------------- */

static enum conn_result read_tls(struct conn *c, uint8_t *out, size_t size, size_t *out_count)
{
    int n = SSL_read(c->ssl, out, size > INT32_MAX ? INT32_MAX : (int)size);
    if (n > 0) {
        *out_count = (size_t)n;
        feed_pending(c);
        return CONN_OK;
    }
    switch (SSL_get_error(c->ssl, n)) {
    case SSL_ERROR_WANT_READ: return CONN_AGAIN;
    case SSL_ERROR_WANT_WRITE: ev_io_start(c->ev, &c->write_io); return CONN_AGAIN;
    case SSL_ERROR_ZERO_RETURN: return CONN_EOF;
    default: ERR_clear_error(); return CONN_FAILED;
    }
}

enum conn_result conn_read(struct conn *c, uint8_t *out, size_t size, size_t *out_count)
{
    if (c->state != CONN_OPEN) {
        return c->state == CONN_HANDSHAKE ? CONN_AGAIN : CONN_FAILED;
    }
    if (c->ssl != NULL) {
        return read_tls(c, out, size, out_count);
    }
    ssize_t n = recv(c->fd, out, size, 0);
    if (n > 0) {
        *out_count = (size_t)n;
        return CONN_OK;
    }
    if (n == 0) {
        return CONN_EOF;
    }
    return errno == EAGAIN || errno == EINTR ? CONN_AGAIN : CONN_FAILED;
}

/* The socket could not take it, which it may a moment later. */
static bool is_for_later(void)
{
    return errno == EAGAIN || errno == EINTR || errno == ENOBUFS || errno == ENOMEM;
}

/* Bytes taken by the socket now; -1 when the connection is broken. */
static ssize_t write_now(struct conn *c, struct bytes b)
{
    if (c->ssl != NULL) {
        int n = SSL_write(c->ssl, b.data, b.size > (1 << 20) ? 1 << 20 : (int)b.size);
        if (n > 0) {
            return n;
        }
        int error = SSL_get_error(c->ssl, n);
        ERR_clear_error();
        return error == SSL_ERROR_WANT_WRITE || error == SSL_ERROR_WANT_READ ? 0 : -1;
    }
    ssize_t n = send(c->fd, b.data, b.size, MSG_NOSIGNAL);
    return n >= 0 ? n : is_for_later() ? 0 : -1;
}

static bool is_writable(const struct conn *c)
{
    return !c->unwritable && c->state != CONN_BROKEN && c->state != CONN_CLOSED &&
           c->state != CONN_FLUSHING;
}

enum err conn_append(struct conn *c, struct bytes b)
{
    if (!is_writable(c)) {
        return ERR_CLOSED;
    }
    enum err e = buffer_append(&c->out, b);
    if (e == OK) {
        c->above_water = c->above_water || buffer_size(&c->out) > CONN_HIGH_WATER;
        if (c->state == CONN_OPEN) {
            ev_io_start(c->ev, &c->write_io);
        }
    }
    return e;
}

enum err conn_write(struct conn *c, struct bytes b)
{
    if (!is_writable(c)) {
        return ERR_CLOSED;
    }
    if (c->state == CONN_OPEN && buffer_size(&c->out) == 0) {
        while (b.size > 0) {
            ssize_t n = write_now(c, b);
            if (n < 0) {
                c->unwritable = true; /* no later byte may follow the lost ones */
                return ERR_CLOSED;
            }
            if (n == 0) {
                break;
            }
            b.data += n;
            b.size -= (size_t)n;
        }
    }
    return b.size == 0 ? OK : conn_append(c, b);
}

/* Off the front; returns how many bytes are left to be taken off what follows. */
static size_t take_off(struct bytes *b, size_t count)
{
    size_t n = count < b->size ? count : b->size;
    *b = bytes_of(b->data + n, b->size - n);
    return count - n;
}

/* Bytes taken by the socket now, of the queue and the two pieces; -1 when it is broken. */
static ssize_t write_pieces(struct conn *c, struct bytes first, struct bytes second)
{
    const struct bytes queue = buffer_bytes(&c->out);
    struct iovec pieces[] = {{(void *)(uintptr_t)queue.data, queue.size},
                             {(void *)(uintptr_t)first.data, first.size},
                             {(void *)(uintptr_t)second.data, second.size}};
    const struct msghdr message = {.msg_iov = pieces,
                                   .msg_iovlen = sizeof(pieces) / sizeof(pieces[0])};
    ssize_t n = sendmsg(c->fd, &message, MSG_NOSIGNAL);
    return n >= 0 ? n : is_for_later() ? 0 : -1;
}

enum err conn_write_two(struct conn *c, struct bytes first, struct bytes second)
{
    if (!is_writable(c)) {
        return ERR_CLOSED;
    }
    if (c->state == CONN_OPEN && c->ssl == NULL) {
        ssize_t n = write_pieces(c, first, second);
        if (n < 0) {
            c->unwritable = true;
            return ERR_CLOSED;
        }
        size_t queued = buffer_size(&c->out), taken = (size_t)n;
        buffer_consume(&c->out, taken < queued ? taken : queued);
        taken -= taken < queued ? taken : queued;
        (void)take_off(&second, take_off(&first, taken));
    }
    enum err e = conn_append(c, first);
    e = e == OK ? conn_append(c, second) : e;
    if (e == OK) {
        conn_flush(c);
    }
    return e;
}

size_t conn_queued(const struct conn *c)
{
    return buffer_size(&c->out);
}

/* Of a queue that is empty now; what went through it may have been a secret. A large one is given
 * back, and wiped by the heap. */
static void keep_little(struct conn *c)
{
    if (c->out.capacity > CONN_KEEP) {
        buffer_finish(&c->out);
    } else {
        bytes_wipe(c->out.data, c->out.capacity);
    }
}

static void flush(struct conn *c)
{
    while (buffer_size(&c->out) > 0) {
        ssize_t n = write_now(c, buffer_bytes(&c->out));
        if (n < 0) {
            fail(c, ERR_CLOSED, "the peer is gone");
            return;
        }
        if (n == 0) {
            break;
        }
        buffer_consume(&c->out, (size_t)n);
    }
    if (buffer_size(&c->out) == 0) {
        keep_little(c);
        ev_io_stop(c->ev, &c->write_io);
        if (c->state == CONN_FLUSHING) {
            c->state = CONN_OPEN;
            conn_close(c);
            return;
        }
    }
    if (c->above_water && buffer_size(&c->out) <= CONN_LOW_WATER) {
        c->above_water = false;
        if (c->events.on_drained != NULL && c->state == CONN_OPEN) {
            c->events.on_drained(c->context);
        }
    }
}

void conn_flush(struct conn *c)
{
    /* What fails here fails again when the socket is next writable, where it can be said. */
    while (c->state == CONN_OPEN && buffer_size(&c->out) > 0) {
        ssize_t n = write_now(c, buffer_bytes(&c->out));
        if (n <= 0) {
            return;
        }
        buffer_consume(&c->out, (size_t)n);
    }
    if (c->state == CONN_OPEN && buffer_size(&c->out) == 0) {
        c->above_water = false;
        ev_io_stop(c->ev, &c->write_io);
        keep_little(c);
    }
}

static void on_read_io(struct ev_loop *ev, struct ev_io *w, int events)
{
    (void)ev;
    (void)events;
    struct conn *c = w->data;
    if (c->state == CONN_HANDSHAKE) {
        handshake(c);
    } else if (c->state == CONN_OPEN) {
        c->events.on_readable(c->context);
    }
}

static void on_write_io(struct ev_loop *ev, struct ev_io *w, int events)
{
    (void)ev;
    (void)events;
    struct conn *c = w->data;
    switch (c->state) {
    case CONN_CONNECTING: finish_connect(c); break;
    case CONN_HANDSHAKE: handshake(c); break;
    case CONN_OPEN:
    case CONN_FLUSHING: flush(c); break;
    default: break;
    }
}

/* ---- owner's controls --------------------------------------------------------------------- */

void conn_pause(struct conn *c)
{
    c->wants_reading = false;
    if (c->state == CONN_OPEN) {
        ev_io_stop(c->ev, &c->read_io);
    }
}

void conn_resume(struct conn *c)
{
    c->wants_reading = true;
    if (c->state == CONN_OPEN) {
        ev_io_start(c->ev, &c->read_io);
        feed_pending(c);
    }
}

void conn_close_after_flush(struct conn *c, int timeout_ms)
{
    if (c == NULL || c->state == CONN_CLOSED) {
        return;
    }
    if (c->state != CONN_OPEN || buffer_size(&c->out) == 0) {
        conn_close(c);
        return;
    }
    stop_io(c);
    c->state = CONN_FLUSHING;
    ev_io_start(c->ev, &c->write_io);
    start_timer(c, timeout_ms);
}

int conn_fd(const struct conn *c)
{
    return c->fd;
}

void conn_format_peer(const struct conn *c, char *out, size_t size)
{
    struct sockaddr_storage address = {0};
    socklen_t length = sizeof(address);
    char text[INET6_ADDRSTRLEN] = "";
    if (getpeername(c->fd, (struct sockaddr *)&address, &length) != 0) {
        (void)snprintf(out, size, "unknown");
    } else if (address.ss_family == AF_INET) {
        const struct sockaddr_in *in = (const struct sockaddr_in *)&address;
        (void)inet_ntop(AF_INET, &in->sin_addr, text, sizeof(text));
        (void)snprintf(out, size, "%s:%u", text, ntohs(in->sin_port));
    } else if (address.ss_family == AF_INET6) {
        const struct sockaddr_in6 *in = (const struct sockaddr_in6 *)&address;
        (void)inet_ntop(AF_INET6, &in->sin6_addr, text, sizeof(text));
        (void)snprintf(out, size, "[%s]:%u", text, ntohs(in->sin6_port));
    } else {
        struct sockaddr_un local = {0};
        length = sizeof(local);
        (void)getsockname(c->fd, (struct sockaddr *)&local, &length);
        (void)snprintf(out, size, "unix:%.*s", (int)sizeof(local.sun_path), local.sun_path);
    }
}
