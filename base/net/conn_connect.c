/* How a connection that we begin comes to its socket: the host is looked up, then connected to. */
#include <errno.h>
#include <ev.h>
#include <stdlib.h>
#include <string.h>

#include "base/net/conn_internal.h"
#include "base/net/resolve.h"

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

void conn_finish_connect(struct conn *c)
{
    int error = 0;
    socklen_t size = sizeof(error);
    if (getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &error, &size) != 0) {
        error = errno;
    }
    if (error != 0) {
        conn_fail(c, ERR_UNAVAILABLE, strerror(error));
    } else {
        connected(c);
    }
}

static void start_connect(struct conn *c, const struct sockaddr *address, socklen_t size)
{
    int fd = socket(address->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        conn_fail(c, ERR_IO, strerror(errno));
        return;
    }
    conn_use_fd(c, fd);
    c->state = CONN_CONNECTING;
    if (connect(fd, address, size) != 0 && errno != EINPROGRESS) {
        conn_fail(c, ERR_UNAVAILABLE, strerror(errno));
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
        conn_fail(c, ERR_UNAVAILABLE, why);
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
    conn_start_timer(c, timeout_ms);
    *out = c;
    return OK;
}
