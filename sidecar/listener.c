#include "sidecar/listener.h"

#include <errno.h>
#include <ev.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/net/listen.h"

enum { ACCEPT_BATCH = 64, ACCEPT_PAUSE_MS = 100 };

struct listener {
    struct session_origin origin;
    struct session_shared *shared;
    int fd;
    struct ev_io io;
    struct ev_timer pause; /* while there are no file descriptors left */
    char address[LISTEN_ADDRESS_SIZE];
    char path[LISTEN_ADDRESS_SIZE]; /* of the unix socket; "": TCP */
};

static void reject(struct listener *l, const char *why)
{
    l->shared->metrics->connections_rejected++;
    log_event(l->shared->log, LOG_WARN, "connection_rejected", log_text("listener", l->address),
              log_text("why", why));
}

static void on_accept(struct ev_loop *ev, struct ev_io *w, int events)
{
    (void)events;
    struct listener *l = w->data;
    for (int i = 0; i < ACCEPT_BATCH; i++) {
        int fd = accept4(l->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0) {
            enum err e = session_start(l->shared, &l->origin, fd);
            if (e != OK) {
                reject(l, err_name(e));
            }
            continue;
        }
        if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS) {
            /* The connection stays in the kernel's queue: try again when some have ended. */
            reject(l, strerror(errno));
            ev_io_stop(ev, &l->io);
            ev_timer_set(&l->pause, ACCEPT_PAUSE_MS / 1000.0, 0.0);
            ev_timer_start(ev, &l->pause);
        }
        if (errno != ECONNABORTED && errno != EINTR) {
            return;
        }
    }
}

static void on_pause_end(struct ev_loop *ev, struct ev_timer *w, int events)
{
    (void)events;
    struct listener *l = w->data;
    ev_io_start(ev, &l->io);
}

/* ---- life ------------------------------------------------------------------------------------ */

enum err listener_create(const struct listener_options *options, struct listener **out,
                         struct err_text *why)
{
    struct listener *l = calloc(1, sizeof(*l));
    if (l == NULL) {
        return ERR_NO_MEMORY;
    }
    l->origin = options->origin;
    l->shared = options->shared;
    l->fd = -1;
    enum err e = listen_open(options->address, &l->fd, l->address, why);
    if (e == OK && strncmp(l->address, "unix:", 5) == 0) {
        (void)snprintf(l->path, sizeof(l->path), "%s", l->address + 5);
    }
    ev_io_init(&l->io, on_accept, l->fd, EV_READ);
    ev_init(&l->pause, on_pause_end);
    l->io.data = l;
    l->pause.data = l;
    if (e != OK) {
        listener_destroy(l);
        return e;
    }
    ev_io_start(loop_ev(l->shared->loop), &l->io);
    *out = l;
    return OK;
}

void listener_stop(struct listener *l)
{
    ev_io_stop(loop_ev(l->shared->loop), &l->io);
    ev_timer_stop(loop_ev(l->shared->loop), &l->pause);
    if (l->path[0] != '\0') {
        (void)unlink(l->path);
        l->path[0] = '\0';
    }
    if (l->fd >= 0) {
        (void)close(l->fd);
        l->fd = -1;
    }
}

void listener_destroy(struct listener *l)
{
    if (l != NULL) {
        listener_stop(l);
        free(l);
    }
}

void listener_set_tls(struct listener *l, struct tls_context *agent_tls)
{
    l->origin.agent_tls = agent_tls;
}

const char *listener_address(const struct listener *l)
{
    return l->address;
}
