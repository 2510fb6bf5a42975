/* A connection from its making to its end, the bytes that it reads, queues and writes, and what its
 * owner may do with it. */
#include "base/net/conn.h"

#include <arpa/inet.h>
#include <errno.h>
#include <ev.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/net/conn_internal.h"
#include "base/net/resolve.h"

enum { CONN_KEEP = 2 << 10 }; /* bytes of a queue that an idle connection keeps */

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
    conn_tls_finish(c);
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
        conn_tls_shutdown(c);
    }
    stop_io(c);
    resolve_cancel(c->resolve);
    c->resolve = NULL;
    c->state = CONN_CLOSED;
    loop_defer(c->loop, &c->free_later);
}

void conn_fail(struct conn *c, enum err error, const char *why)
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
    conn_fail(c, ERR_TIMEOUT,
              c->state == CONN_HANDSHAKE ? "the TLS handshake took too long"
                                         : "connecting took too long");
}

void conn_start_timer(struct conn *c, int timeout_ms)
{
    ev_timer_stop(c->ev, &c->timer);
    if (timeout_ms > 0) {
        ev_timer_set(&c->timer, timeout_ms / 1000.0, 0.0);
        ev_timer_start(c->ev, &c->timer);
    }
}

struct conn *conn_alloc(struct loop *loop, int fd, const struct conn_events *events, void *context)
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
    c->fed = (struct loop_deferred){.fn = conn_tls_on_fed, .context = c};
    ev_init(&c->read_io, on_read_io);
    ev_init(&c->write_io, on_write_io);
    ev_init(&c->timer, on_timeout);
    c->read_io.data = c;
    c->write_io.data = c;
    c->timer.data = c;
    return c;
}

void conn_use_fd(struct conn *c, int fd)
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
    conn_use_fd(c, fd);
    c->state = CONN_OPEN;
    *out = c;
    return OK;
}

/* ---- bytes -------------------------------------------------------------------------------- */

enum conn_result conn_read(struct conn *c, uint8_t *out, size_t size, size_t *out_count)
{
    if (c->state != CONN_OPEN) {
        return c->state == CONN_HANDSHAKE ? CONN_AGAIN : CONN_FAILED;
    }
    if (c->ssl != NULL) {
        return conn_tls_read(c, out, size, out_count);
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
        return conn_tls_write(c, b);
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
            conn_fail(c, ERR_CLOSED, "the peer is gone");
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
        conn_tls_handshake(c);
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
    case CONN_CONNECTING: conn_finish_connect(c); break;
    case CONN_HANDSHAKE: conn_tls_handshake(c); break;
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
        if (c->ssl != NULL) {
            conn_tls_feed_pending(c);
        }
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
    conn_start_timer(c, timeout_ms);
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
