#include "sidecar/control/tunnel.h"

#include <errno.h>
#include <ev.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/crypto/crypto.h"
#include "base/net/conn.h"
#include "base/net/tls.h"

enum {
    TUNNEL_CONNECT_MS = 10000, /* and as much for the handshake */
    TUNNEL_NEXT_MS = 3000,     /* the same where there is another one to try */
    TUNNEL_JITTER_MS = 300,    /* after a loss, at most */
    TUNNEL_FLUSH_MS = 2000,
    TUNNEL_PIPES = 8,        /* gRPC needs one, two while it reconnects */
    TUNNEL_CHUNK = 64 << 10, /* read at once, on the stack */
    TUNNEL_NAME_RANDOM = 16,
    /* gRPC's own backoff: a control plane that comes back is found soon. */
    TUNNEL_BACKOFF_MS = 3000,
};

enum pipe_state { PIPE_WAITING, PIPE_CONNECTING, PIPE_HANDSHAKE, PIPE_OPEN };

/* One of gRPC's connections and its TLS connection. */
struct pipe {
    struct tunnel *tunnel;
    struct pipe *next;
    struct conn *local, *remote; /* remote: NULL in PIPE_WAITING */
    ev_timer timer;              /* in PIPE_WAITING */
    enum pipe_state state;
    size_t server; /* index */
    size_t tried;  /* servers that did not answer this pipe */
};

struct tunnel {
    _Atomic int references;
    struct loop *loop;
    const struct log *log;
    struct tunnel_server servers[TUNNEL_SERVERS_MAX]; /* the texts are owned */
    size_t server_count, server;                      /* the one that is tried next */
    bool was_lost;                                    /* a connection, and none was made since */
    struct tls_context *tls;
    struct rpc_channel *channel;
    int fd; /* listening; -1: closed */
    ev_io accept_io;
    struct pipe *pipes;
    size_t pipe_count;
    char error[TUNNEL_ERROR_SIZE];
};

/* ---- pipes ---- */

static void pipe_free(struct pipe *p)
{
    struct tunnel *t = p->tunnel;
    struct pipe **link = &t->pipes;
    while (*link != p) {
        link = &(*link)->next;
    }
    *link = p->next;
    t->pipe_count--;
    ev_timer_stop(loop_ev(t->loop), &p->timer);
    free(p);
}

static void pipe_close(struct pipe *p)
{
    /* gRPC hears of it now and not when the loop turns next: the loop's thread may be about to wait
     * for a call whose bytes nobody carries any more. */
    (void)shutdown(conn_fd(p->local), SHUT_RDWR);
    conn_close(p->local);
    conn_close(p->remote);
    pipe_free(p);
}

/* Of pipes that fail at the same time, one goes on to the next server. */
static void leave_server(struct pipe *p)
{
    struct tunnel *t = p->tunnel;
    if (t->server == p->server) {
        t->server = (t->server + 1) % t->server_count;
    }
}

static void pipe_connect(struct pipe *p);

/* An open connection ended: gRPC makes the next one. */
static void pipe_lost(struct pipe *p)
{
    p->tunnel->was_lost = true;
    leave_server(p);
}

static void pipe_fail(struct pipe *p, const char *why)
{
    struct tunnel *t = p->tunnel;
    const struct tunnel_server *server = &t->servers[p->server];
    if (strcmp(t->error, why) != 0) { /* not once per attempt */
        (void)snprintf(t->error, sizeof(t->error), "%s", why);
        log_event(t->log, LOG_WARN, "control_plane_not_reached", log_text("host", server->host),
                  log_number("port", server->port), log_text("error", why));
    }
    bool was_open = p->state == PIPE_OPEN;
    if (was_open) {
        pipe_lost(p);
    } else {
        leave_server(p);
    }
    p->tried++;
    if (was_open || p->tried >= t->server_count) {
        pipe_close(p);
        return;
    }
    conn_close(p->remote);
    p->remote = NULL;
    pipe_connect(p);
}

/* Moves what there is, at most one chunk a turn, and stops reading while the other side is slow. */
static void pump(struct pipe *p, struct conn *from, struct conn *to)
{
    uint8_t chunk[TUNNEL_CHUNK];
    size_t n = 0;
    switch (conn_read(from, chunk, sizeof(chunk), &n)) {
    case CONN_OK:
        if (conn_write(to, bytes_of(chunk, n)) != OK) {
            pipe_close(p);
        } else if (conn_queued(to) > CONN_HIGH_WATER) {
            conn_pause(from);
        }
        break;
    case CONN_AGAIN: break;
    case CONN_EOF:
        if (from == p->remote) {
            pipe_lost(p);
        }
        conn_close(from);
        conn_close_after_flush(to, TUNNEL_FLUSH_MS);
        pipe_free(p);
        break;
    case CONN_FAILED:
        if (from == p->remote) {
            pipe_lost(p);
        }
        pipe_close(p);
        break;
    }
    bytes_wipe(chunk, n); /* tokens go this way, and credentials come */
}

static void on_local_readable(void *context)
{
    struct pipe *p = context;
    pump(p, p->local, p->remote);
}

static void on_remote_readable(void *context)
{
    struct pipe *p = context;
    pump(p, p->remote, p->local);
}

static void on_local_drained(void *context)
{
    struct pipe *p = context;
    if (p->state == PIPE_OPEN) {
        conn_resume(p->remote);
    }
}

static void on_remote_drained(void *context)
{
    struct pipe *p = context;
    if (p->state == PIPE_OPEN) {
        conn_resume(p->local);
    }
}

static void on_local_failed(void *context, enum err error, const char *why)
{
    (void)error;
    (void)why;
    pipe_close(context);
}

static void on_remote_failed(void *context, enum err error, const char *why)
{
    (void)error;
    pipe_fail(context, why);
}

static int connect_ms(const struct tunnel *t)
{
    return t->server_count > 1 ? TUNNEL_NEXT_MS : TUNNEL_CONNECT_MS;
}

static void on_remote_ready(void *context)
{
    struct pipe *p = context;
    struct tunnel *t = p->tunnel;
    if (p->state == PIPE_CONNECTING) {
        p->state = PIPE_HANDSHAKE;
        if (conn_start_tls(p->remote, t->tls, t->servers[p->server].name, connect_ms(t)) != OK) {
            pipe_fail(p, "TLS cannot be started");
        }
        return;
    }
    p->state = PIPE_OPEN;
    t->error[0] = '\0';
    t->was_lost = false;
    t->server = p->server;
    if (t->server_count > 1) {
        log_event(t->log, LOG_INFO, "control_plane_reached",
                  log_text("host", t->servers[p->server].host),
                  log_number("port", t->servers[p->server].port));
    }
    conn_resume(p->local);
    conn_resume(p->remote);
}

static const struct conn_events local_events = {
    .on_readable = on_local_readable, .on_drained = on_local_drained, .on_failed = on_local_failed};
static const struct conn_events remote_events = {.on_ready = on_remote_ready,
                                                 .on_readable = on_remote_readable,
                                                 .on_drained = on_remote_drained,
                                                 .on_failed = on_remote_failed};

static void pipe_connect(struct pipe *p)
{
    struct tunnel *t = p->tunnel;
    p->state = PIPE_CONNECTING;
    p->server = t->server;
    const struct tunnel_server *server = &t->servers[p->server];
    if (conn_connect(t->loop, server->host, server->port, connect_ms(t), &remote_events, p,
                     &p->remote) != OK) {
        p->remote = NULL;
        pipe_close(p);
    }
}

static void on_timer(struct ev_loop *ev, ev_timer *timer, int events)
{
    (void)ev;
    (void)events;
    pipe_connect(timer->data);
}

/* Seconds. */
static double jitter(void)
{
    uint16_t chance = 0;
    struct crypto_random random = crypto_random_system();
    if (crypto_random_fill(&random, (uint8_t *)&chance, sizeof(chance)) != OK) {
        chance = UINT16_MAX;
    }
    return TUNNEL_JITTER_MS / 1000.0 * chance / UINT16_MAX;
}

/* Takes the socket. */
static void pipe_open(struct tunnel *t, int fd)
{
    struct pipe *p = calloc(1, sizeof(*p));
    if (p == NULL || conn_create(t->loop, fd, &local_events, p, &p->local) != OK) {
        free(p);
        (void)close(fd);
        return;
    }
    p->tunnel = t;
    p->state = PIPE_WAITING;
    p->next = t->pipes;
    t->pipes = p;
    t->pipe_count++;
    ev_init(&p->timer, on_timer);
    p->timer.data = p;
    if (t->was_lost && t->server_count > 1) {
        ev_timer_set(&p->timer, jitter(), 0.0);
        ev_timer_start(loop_ev(t->loop), &p->timer);
    } else {
        pipe_connect(p);
    }
}

/* ---- the listener ---- */

static bool is_ourselves(int fd)
{
    struct ucred peer = {0};
    socklen_t size = sizeof(peer);
    return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 && size == sizeof(peer) &&
           peer.pid == getpid();
}

static void on_accept(struct ev_loop *ev, ev_io *io, int events)
{
    (void)ev;
    (void)events;
    struct tunnel *t = io->data;
    int fd = accept4(t->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) {
        return;
    }
    if (!is_ourselves(fd)) {
        log_event(t->log, LOG_WARN, "tunnel_stranger_refused");
        (void)close(fd);
    } else if (t->pipe_count >= TUNNEL_PIPES) {
        (void)close(fd);
    } else {
        pipe_open(t, fd);
    }
}

/* Listens, and writes gRPC's name of the socket. */
static enum err start_listening(struct tunnel *t, char *out_target, size_t size)
{
    uint8_t raw[TUNNEL_NAME_RANDOM];
    char hex[2 * TUNNEL_NAME_RANDOM + 1];
    struct crypto_random random = crypto_random_system();
    enum err result = crypto_random_fill(&random, raw, sizeof(raw));
    if (result != OK) {
        return result;
    }
    crypto_hex_encode(bytes_of(raw, sizeof(raw)), hex);
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int length = snprintf(address.sun_path + 1, sizeof(address.sun_path) - 1, "chaperone-%s", hex);
    socklen_t address_size =
        (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)length);
    (void)snprintf(out_target, size, "unix-abstract:chaperone-%s", hex);
    t->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (t->fd < 0 || bind(t->fd, (struct sockaddr *)&address, address_size) != 0 ||
        listen(t->fd, TUNNEL_PIPES) != 0) {
        return ERR_IO;
    }
    ev_io_init(&t->accept_io, on_accept, t->fd, EV_READ);
    t->accept_io.data = t;
    ev_io_start(loop_ev(t->loop), &t->accept_io);
    return OK;
}

/* ---- lifetime ---- */

static void tunnel_free(void *context)
{
    struct tunnel *t = context;
    tunnel_close(t);
    tls_context_destroy(t->tls);
    for (size_t i = 0; i < t->server_count; i++) {
        free(t->servers[i].host);
        free(t->servers[i].name);
    }
    free(t);
}

enum err tunnel_create(const struct tunnel_options *options, struct tunnel **out,
                       struct err_text *why)
{
    struct tunnel *t = calloc(1, sizeof(*t));
    if (t == NULL) {
        return ERR_NO_MEMORY;
    }
    atomic_store(&t->references, 1);
    t->fd = -1;
    t->loop = options->loop;
    t->log = options->log;
    t->server_count = options->server_count;
    bool is_copied = true;
    for (size_t i = 0; i < t->server_count; i++) {
        const struct tunnel_server *from = &options->servers[i];
        t->servers[i] = (struct tunnel_server){
            .host = strdup(from->host), .name = strdup(from->name), .port = from->port};
        is_copied = is_copied && t->servers[i].host != NULL && t->servers[i].name != NULL;
    }
    const struct tls_client_options tls = {.verify = TLS_CHECK_NAME,
                                           .ca_pem = options->ca_pem,
                                           .certificate_pem = options->certificate_pem,
                                           .key_pem = options->key_pem,
                                           .alpn = "h2",
                                           .only_tls13 = true};
    char target[128];
    enum err result = is_copied ? OK : ERR_NO_MEMORY;
    if (result == OK) {
        result = tls_client_create(&tls, &t->tls, why);
    }
    if (result == OK) {
        result = start_listening(t, target, sizeof(target));
    }
    if (result == OK) {
        const struct rpc_channel_options channel = {
            .target = target, .authority = t->servers[0].name, .max_backoff_ms = TUNNEL_BACKOFF_MS};
        result = rpc_channel_create(options->runtime, &channel, &t->channel);
    }
    if (result != OK) {
        tunnel_free(t);
        return result;
    }
    *out = t;
    return OK;
}

struct tunnel *tunnel_retain(struct tunnel *t)
{
    (void)atomic_fetch_add(&t->references, 1);
    return t;
}

void tunnel_release(struct tunnel *t)
{
    if (t == NULL || atomic_fetch_sub(&t->references, 1) > 1) {
        return;
    }
    rpc_channel_destroy(t->channel);
    t->channel = NULL;
    /* Without memory for the post the tunnel stays until the process ends: it cannot be closed on
     * this thread. */
    enum err posted = loop_post(t->loop, tunnel_free, t);
    (void)posted;
}

struct rpc_channel *tunnel_channel(const struct tunnel *t)
{
    return t->channel;
}

void tunnel_close(struct tunnel *t)
{
    if (t->fd >= 0) {
        ev_io_stop(loop_ev(t->loop), &t->accept_io);
        (void)close(t->fd);
        t->fd = -1;
    }
    for (struct pipe *p = t->pipes, *next; p != NULL; p = next) {
        next = p->next;
        pipe_close(p);
    }
}

bool tunnel_is_connected(const struct tunnel *t)
{
    for (const struct pipe *p = t->pipes; p != NULL; p = p->next) {
        if (p->state == PIPE_OPEN) {
            return true;
        }
    }
    return false;
}

const char *tunnel_error(const struct tunnel *t)
{
    return t->error;
}
