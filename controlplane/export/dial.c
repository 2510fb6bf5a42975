#include "controlplane/export/dial.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { SLICE_MS = 50, KEEPALIVE_S = 30 };

static int64_t now_ns(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* --- the resolver -------------------------------------------------------------------------------
 */

struct lookup {
    struct gaicb request;
    struct addrinfo hints;
    char host[256], port[8];
};

static struct lookup *lookup_start(const char *host, uint16_t port)
{
    struct lookup *l = calloc(1, sizeof(*l));
    if (l == NULL) {
        return NULL;
    }
    struct gaicb *list[1] = {&l->request};
    (void)snprintf(l->host, sizeof(l->host), "%s", host);
    (void)snprintf(l->port, sizeof(l->port), "%u", (unsigned)port);
    l->hints = (struct addrinfo){.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    l->request = (struct gaicb){.ar_name = l->host, .ar_service = l->port, .ar_request = &l->hints};
    if (getaddrinfo_a(GAI_NOWAIT, list, 1, NULL) != 0) {
        free(l);
        return NULL;
    }
    return l;
}

/* A lookup under way that cannot be cancelled keeps its memory: the resolver's thread writes there,
 * some time. That is a few hundred bytes for each name server that does not answer. */
static void lookup_end(struct lookup *l)
{
    if (gai_error(&l->request) == EAI_INPROGRESS && gai_cancel(&l->request) == EAI_NOTCANCELED) {
        return;
    }
    if (l->request.ar_result != NULL) {
        freeaddrinfo(l->request.ar_result);
    }
    free(l);
}

static enum err lookup_wait(struct lookup *l, int64_t due, struct export_stop *stop,
                            struct err_text *why)
{
    const struct gaicb *list[1] = {&l->request};
    const struct timespec slice = {.tv_nsec = SLICE_MS * 1000000L};
    int result = gai_error(&l->request);
    while (result == EAI_INPROGRESS) {
        if (export_stop_asked(stop)) {
            return ERR_CLOSED;
        }
        if (now_ns() >= due) {
            return err_set(why, ERR_TIMEOUT, "%s: the name cannot be resolved in time", l->host);
        }
        (void)gai_suspend(list, 1, &slice);
        result = gai_error(&l->request);
    }
    return result == 0 ? OK
                       : err_set(why, ERR_UNAVAILABLE, "%s cannot be resolved: %s", l->host,
                                 gai_strerror(result));
}

/* --- the connection -----------------------------------------------------------------------------
 */

static void set_options(int fd, int64_t timeout_ns)
{
    const int yes = 1, idle = KEEPALIVE_S;
    const unsigned unanswered_ms = (unsigned)(timeout_ns / 1000000);
    (void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &yes, sizeof(yes));
    (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof(idle));
    (void)setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &unanswered_ms, sizeof(unanswered_ms));
}

static enum err await_connected(int fd, int64_t due, struct export_stop *stop)
{
    int64_t left = (due - now_ns()) / 1000000;
    short ready = export_stop_poll(stop, fd, POLLOUT, left < 0 ? 0 : (int)left);
    if (ready == 0) {
        errno = ETIMEDOUT;
        return export_stop_asked(stop) ? ERR_CLOSED : ERR_TIMEOUT;
    }
    int error = 0;
    socklen_t size = sizeof(error);
    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) != 0 || error != 0) {
        errno = error == 0 ? errno : error;
        return ERR_UNAVAILABLE;
    }
    return OK;
}

static enum err connect_one(const struct addrinfo *address, int64_t due, struct export_stop *stop,
                            int *out_fd)
{
    int fd = socket(address->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) {
        return ERR_IO;
    }
    enum err e = OK;
    if (connect(fd, address->ai_addr, address->ai_addrlen) != 0) {
        e = errno == EINPROGRESS ? await_connected(fd, due, stop) : ERR_UNAVAILABLE;
    }
    if (e != OK) {
        int error = errno;
        (void)close(fd);
        errno = error;
        return e;
    }
    *out_fd = fd;
    return OK;
}

enum err export_dial(const char *host, uint16_t port, int64_t timeout_ns, struct export_stop *stop,
                     int *out_fd, struct err_text *why)
{
    int64_t due = now_ns() + timeout_ns;
    struct lookup *l = lookup_start(host, port);
    if (l == NULL) {
        return err_set(why, ERR_UNAVAILABLE, "%s: the resolver cannot be asked", host);
    }
    enum err e = lookup_wait(l, due, stop, why);
    if (e == OK) {
        e = ERR_UNAVAILABLE;
        errno = EADDRNOTAVAIL;
        for (struct addrinfo *a = l->request.ar_result; a != NULL && e != OK && e != ERR_CLOSED;
             a = a->ai_next) {
            e = connect_one(a, due, stop, out_fd);
        }
        if (e == OK) {
            set_options(*out_fd, timeout_ns);
        } else if (e != ERR_CLOSED) {
            e = err_set(why, e, "%s:%u cannot be reached: %s", host, (unsigned)port,
                        strerror(errno));
        }
    }
    lookup_end(l);
    return e;
}
