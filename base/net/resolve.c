#include "base/net/resolve.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

enum { HOST_MAX = 256 };

/* Owned by the loop's thread, except while its own thread looks the name up: a cancelled one is
 * freed when that thread's answer arrives. */
struct resolve {
    struct loop *loop;
    resolve_fn *fn; /* NULL: cancelled */
    void *context;
    char host[HOST_MAX];
    uint16_t port;
    struct sockaddr_storage address;
    socklen_t size;
    char why[128];
};

static void on_done(void *context)
{
    struct resolve *r = context;
    if (r->fn != NULL) {
        const struct sockaddr *address = (const struct sockaddr *)&r->address;
        r->fn(r->context, r->size == 0 ? NULL : address, r->size, r->why);
    }
    free(r);
}

static bool resolve_unix(struct resolve *r)
{
    struct sockaddr_un *un = (struct sockaddr_un *)&r->address;
    if (r->host[0] != '/') {
        return false;
    }
    if (strlen(r->host) >= sizeof(un->sun_path)) {
        (void)snprintf(r->why, sizeof(r->why), "the socket's path is too long");
        return true;
    }
    un->sun_family = AF_UNIX;
    memcpy(un->sun_path, r->host, strlen(r->host) + 1);
    r->size = sizeof(*un);
    return true;
}

static bool resolve_numeric(struct resolve *r)
{
    struct sockaddr_in *in = (struct sockaddr_in *)&r->address;
    struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&r->address;
    if (inet_pton(AF_INET, r->host, &in->sin_addr) == 1) {
        in->sin_family = AF_INET;
        in->sin_port = htons(r->port);
        r->size = sizeof(*in);
        return true;
    }
    if (inet_pton(AF_INET6, r->host, &in6->sin6_addr) == 1) {
        in6->sin6_family = AF_INET6;
        in6->sin6_port = htons(r->port);
        r->size = sizeof(*in6);
        return true;
    }
    return false;
}

static void *look_up(void *argument)
{
    struct resolve *r = argument;
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG};
    struct addrinfo *found = NULL;
    char port[8];
    (void)snprintf(port, sizeof(port), "%u", r->port);
    int code = getaddrinfo(r->host, port, &hints, &found);
    if (code != 0) {
        (void)snprintf(r->why, sizeof(r->why), "%.60s: %s", r->host, gai_strerror(code));
    } else if (found->ai_addrlen <= sizeof(r->address)) {
        memcpy(&r->address, found->ai_addr, found->ai_addrlen);
        r->size = found->ai_addrlen;
    }
    if (found != NULL) {
        freeaddrinfo(found);
    }
    struct loop *loop = r->loop;
    if (loop_post(loop, on_done, r) == ERR_CLOSED) {
        free(r); /* the process ends */
    }
    /* No memory for the message: its connection ends by its own timeout, and this leaks. */
    loop_release(loop);
    return NULL;
}

static enum err start_thread(struct resolve *r)
{
    pthread_t thread;
    pthread_attr_t attributes;
    (void)pthread_attr_init(&attributes);
    (void)pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    loop_hold(r->loop);
    int code = pthread_create(&thread, &attributes, look_up, r);
    (void)pthread_attr_destroy(&attributes);
    if (code != 0) {
        loop_release(r->loop);
    }
    return code == 0 ? OK : ERR_LIMIT;
}

enum err resolve_start(struct loop *loop, const char *host, uint16_t port, resolve_fn *fn,
                       void *context, struct resolve **out)
{
    if (strlen(host) >= HOST_MAX) {
        return ERR_INVALID;
    }
    struct resolve *r = calloc(1, sizeof(*r));
    if (r == NULL) {
        return ERR_NO_MEMORY;
    }
    r->loop = loop;
    r->fn = fn;
    r->context = context;
    r->port = port;
    memcpy(r->host, host, strlen(host) + 1);
    enum err e =
        resolve_unix(r) || resolve_numeric(r) ? loop_post(loop, on_done, r) : start_thread(r);
    if (e != OK) {
        free(r);
        return e;
    }
    *out = r;
    return OK;
}

void resolve_cancel(struct resolve *r)
{
    if (r != NULL) {
        r->fn = NULL;
    }
}

enum err resolve_split(const char *text, char *out_host, size_t size, uint16_t *out_port)
{
    const char *colon = strrchr(text, ':');
    if (colon == NULL || colon[1] == '\0' || strspn(colon + 1, "0123456789") != strlen(colon + 1) ||
        strlen(colon + 1) > 5) {
        return ERR_INVALID;
    }
    unsigned long port = strtoul(colon + 1, NULL, 10);
    const char *start = text;
    size_t length = (size_t)(colon - text);
    if (length >= 2 && text[0] == '[' && text[length - 1] == ']') {
        start++;
        length -= 2;
    } else if (memchr(text, ':', length) != NULL) {
        return ERR_INVALID; /* an IPv6 address without brackets */
    }
    if (port > UINT16_MAX || length >= size) {
        return ERR_INVALID;
    }
    memcpy(out_host, start, length);
    out_host[length] = '\0';
    *out_port = (uint16_t)port;
    return OK;
}
