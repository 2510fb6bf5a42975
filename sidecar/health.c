#include "sidecar/health.h"

#include <errno.h>
#include <ev.h>
#include <llhttp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/net/conn.h"
#include "base/net/listen.h"

enum {
    CLIENTS_MAX = 16, /* Prometheus and a kubelet; more must be a mistake */
    PATH_MAX_SIZE = 64,
    REQUEST_MAX = 16 << 10,
    ANSWER_MAX = 256 << 10,
    CLIENT_MS = 10000,
    ACCEPT_PAUSE_MS = 100,
};

struct health {
    struct loop *loop;
    struct health_source source;
    int fd;
    struct ev_io io;
    struct ev_timer pause; /* while there are no file descriptors left */
    struct client *clients;
    size_t count;
};

struct client {
    struct health *health;
    struct client *next;
    struct conn *conn;
    struct ev_timer timer;
    llhttp_t parser;
    llhttp_settings_t settings;
    char path[PATH_MAX_SIZE];
    size_t path_size, received;
};

static void client_destroy(struct client *c)
{
    struct client **place = &c->health->clients;
    while (*place != c) {
        place = &(*place)->next;
    }
    *place = c->next;
    c->health->count--;
    ev_timer_stop(loop_ev(c->health->loop), &c->timer);
    conn_close_after_flush(c->conn, CLIENT_MS);
    free(c);
}

/* ---- answers ------------------------------------------------------------------------------------
 */

/* A query behind it changes nothing. */
static bool path_is(const struct client *c, const char *path)
{
    const char *query = memchr(c->path, '?', c->path_size);
    size_t size = query == NULL ? c->path_size : (size_t)(query - c->path);
    return bytes_equal_string(bytes_of(c->path, size), path);
}

static int answer_body(struct client *c, struct buffer *body, const char **out_type)
{
    const struct health_source *s = &c->health->source;
    if (path_is(c, "/healthz")) {
        *out_type = "application/json";
        return buffer_append_string(body, "{\"status\":\"ok\"}\n") == OK ? 200 : 500;
    }
    if (path_is(c, "/readyz")) {
        *out_type = "application/json";
        return s->ready(s->context, body) ? 200 : 503;
    }
    if (path_is(c, "/metrics")) {
        *out_type = "text/plain; version=0.0.4; charset=utf-8";
        return s->metrics(s->context, body) == OK ? 200 : 500;
    }
    return buffer_append_string(body, "expected /healthz, /readyz or /metrics\n") == OK ? 404 : 500;
}

static const char *reason_of(int status)
{
    switch (status) {
    case 200: return "OK";
    case 400: return "Bad Request";
    case 404: return "Not Found";
    case 405: return "Method Not Allowed";
    case 431: return "Request Header Fields Too Large";
    case 503: return "Service Unavailable";
    default: return "Internal Server Error";
    }
}

static void send_answer(struct client *c, int status, const char *type, struct bytes body)
{
    struct buffer head;
    buffer_init(&head, 512);
    enum err e = buffer_append_format(&head,
                                      "HTTP/1.1 %d %s\r\nContent-Type: %s\r\n"
                                      "Content-Length: %zu\r\n%sConnection: close\r\n\r\n",
                                      status, reason_of(status), type, body.size,
                                      status == 405 ? "Allow: GET\r\n" : "");
    if (e == OK && conn_append(c->conn, buffer_bytes(&head)) == OK &&
        conn_append(c->conn, body) == OK) {
        conn_flush(c->conn);
    }
    buffer_finish(&head);
}

static void answer(struct client *c)
{
    struct buffer body;
    const char *type = "text/plain; charset=utf-8";
    buffer_init(&body, ANSWER_MAX);
    int status = c->parser.method == HTTP_GET ? answer_body(c, &body, &type) : 405;
    send_answer(c, status, type, buffer_bytes(&body));
    buffer_finish(&body);
}

/* What is not to be understood is said, and the client goes. */
static void answer_mistake(struct client *c, int status)
{
    send_answer(c, status, "text/plain; charset=utf-8", (struct bytes){0});
    client_destroy(c);
}

/* ---- requests
 * ------------------------------------------------------------------------------------ */

static int on_url(llhttp_t *parser, const char *at, size_t length)
{
    struct client *c = parser->data;
    size_t room = sizeof(c->path) - c->path_size;
    size_t n = length < room ? length : room;
    memcpy(c->path + c->path_size, at, n);
    c->path_size += n;
    return 0;
}

static int on_complete(llhttp_t *parser)
{
    (void)parser;
    return HPE_PAUSED; /* one answer, then the connection is closed */
}

static void on_readable(void *context)
{
    struct client *c = context;
    uint8_t chunk[4096];
    size_t n = 0;
    enum conn_result r = conn_read(c->conn, chunk, sizeof(chunk), &n);
    if (r == CONN_AGAIN) {
        return;
    }
    if (r != CONN_OK) {
        client_destroy(c);
        return;
    }
    c->received += n;
    if (c->received > REQUEST_MAX) {
        answer_mistake(c, 431);
        return;
    }
    llhttp_errno_t error = llhttp_execute(&c->parser, (const char *)chunk, n);
    if (error == HPE_PAUSED) {
        answer(c);
        client_destroy(c);
    } else if (error != HPE_OK) {
        answer_mistake(c, 400);
    }
}

static void on_failed(void *context, enum err error, const char *why)
{
    (void)error;
    (void)why;
    client_destroy(context);
}

static void on_timeout(struct ev_loop *ev, struct ev_timer *w, int events)
{
    (void)ev;
    (void)events;
    client_destroy(w->data);
}

static void client_start(struct health *h, int fd)
{
    static const struct conn_events events = {.on_readable = on_readable, .on_failed = on_failed};
    struct client *c = h->count >= CLIENTS_MAX ? NULL : calloc(1, sizeof(*c));
    if (c == NULL || conn_create(h->loop, fd, &events, c, &c->conn) != OK) {
        free(c);
        (void)close(fd);
        return;
    }
    c->health = h;
    c->next = h->clients;
    h->clients = c;
    h->count++;
    llhttp_settings_init(&c->settings);
    c->settings.on_url = on_url;
    c->settings.on_message_complete = on_complete;
    llhttp_init(&c->parser, HTTP_REQUEST, &c->settings);
    c->parser.data = c;
    ev_timer_init(&c->timer, on_timeout, CLIENT_MS / 1000.0, 0.0);
    c->timer.data = c;
    ev_timer_start(loop_ev(h->loop), &c->timer);
    conn_resume(c->conn);
}

static void on_accept(struct ev_loop *ev, struct ev_io *w, int events)
{
    (void)events;
    struct health *h = w->data;
    int fd = accept4(h->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd >= 0) {
        client_start(h, fd);
    } else if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS) {
        /* It stays in the kernel's queue, which would wake the loop without end. */
        ev_io_stop(ev, &h->io);
        ev_timer_set(&h->pause, ACCEPT_PAUSE_MS / 1000.0, 0.0);
        ev_timer_start(ev, &h->pause);
    }
}

static void on_pause_end(struct ev_loop *ev, struct ev_timer *w, int events)
{
    (void)events;
    struct health *h = w->data;
    ev_io_start(ev, &h->io);
}

enum err health_create(struct loop *loop, const char *address, const struct health_source *source,
                       struct health **out, struct err_text *why)
{
    char bound[LISTEN_ADDRESS_SIZE];
    struct health *h = calloc(1, sizeof(*h));
    if (h == NULL) {
        return ERR_NO_MEMORY;
    }
    h->loop = loop;
    h->source = *source;
    enum err e = listen_open(address, &h->fd, bound, why);
    if (e != OK) {
        free(h);
        return e;
    }
    ev_io_init(&h->io, on_accept, h->fd, EV_READ);
    h->io.data = h;
    ev_init(&h->pause, on_pause_end);
    h->pause.data = h;
    ev_io_start(loop_ev(loop), &h->io);
    *out = h;
    return OK;
}

void health_destroy(struct health *h)
{
    if (h == NULL) {
        return;
    }
    while (h->clients != NULL) {
        client_destroy(h->clients);
    }
    ev_io_stop(loop_ev(h->loop), &h->io);
    ev_timer_stop(loop_ev(h->loop), &h->pause);
    (void)close(h->fd);
    free(h);
}
