#include "base/net/listen.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/net/resolve.h"

enum { BACKLOG = 1024 };

static bool is_loopback(const char *host)
{
    struct in_addr v4;
    return strcmp(host, "localhost") == 0 || strcmp(host, "::1") == 0 ||
           (inet_pton(AF_INET, host, &v4) == 1 && ntohl(v4.s_addr) >> 24 == 127);
}

static enum err fail_errno(struct err_text *why, const char *address, const char *what)
{
    enum err e = errno == EADDRINUSE ? ERR_EXISTS : ERR_IO;
    return err_set(why, e, "%s: %s: %s", address, what, strerror(errno));
}

static enum err bind_tcp(const char *address, int *fd, char *out_address, struct err_text *why)
{
    char host[64];
    uint16_t port = 0;
    if (resolve_split(address, host, sizeof(host), &port) != OK) {
        return err_set(why, ERR_INVALID, "%s: expected HOST:PORT on loopback or unix:/PATH",
                       address);
    }
    if (!is_loopback(host)) {
        return err_set(
            why, ERR_DENIED,
            "%s: a sidecar serves its own host only; expected 127.0.0.1, ::1 or unix:/PATH",
            address);
    }
    bool v6 = strcmp(host, "::1") == 0;
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(port)};
    struct sockaddr_in6 in6 = {
        .sin6_family = AF_INET6, .sin6_port = htons(port), .sin6_addr = in6addr_loopback};
    in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    (void)inet_pton(AF_INET, host, &in.sin_addr);
    *fd = socket(v6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int one = 1;
    if (*fd < 0 || setsockopt(*fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) != 0 ||
        bind(*fd, v6 ? (struct sockaddr *)&in6 : (struct sockaddr *)&in,
             v6 ? sizeof(in6) : sizeof(in)) != 0) {
        return fail_errno(why, address, "cannot listen");
    }
    socklen_t size = sizeof(in6);
    if (getsockname(*fd, (struct sockaddr *)&in6, &size) == 0) { /* the port is at one place */
        port = ntohs(in6.sin6_port);
    }
    (void)snprintf(out_address, LISTEN_ADDRESS_SIZE, v6 ? "[%s]:%u" : "%s:%u", host, port);
    return OK;
}

/* A socket that a killed process has left behind answers nobody. */
static bool is_stale(const struct sockaddr_un *un)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool stale = fd >= 0 && connect(fd, (const struct sockaddr *)un, sizeof(*un)) != 0 &&
                 errno == ECONNREFUSED;
    if (fd >= 0) {
        (void)close(fd);
    }
    return stale;
}

static enum err bind_unix(const char *path, int *fd, char *out_address, struct err_text *why)
{
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    if (path[0] != '/' || strlen(path) >= sizeof(un.sun_path)) {
        return err_set(why, ERR_INVALID, "unix:%s: expected an absolute path of at most %zu bytes",
                       path, sizeof(un.sun_path) - 1);
    }
    memcpy(un.sun_path, path, strlen(path) + 1);
    *fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (*fd < 0) {
        return fail_errno(why, path, "cannot listen");
    }
    if (is_stale(&un)) {
        (void)unlink(path);
    }
    if (bind(*fd, (const struct sockaddr *)&un, sizeof(un)) != 0) {
        return fail_errno(why, path, "cannot listen");
    }
    (void)snprintf(out_address, LISTEN_ADDRESS_SIZE, "unix:%s", path);
    return OK;
}

enum err listen_open(const char *address, int *out_fd, char *out_address, struct err_text *why)
{
    int fd = -1;
    char bound[LISTEN_ADDRESS_SIZE];
    bool is_unix = strncmp(address, "unix:", 5) == 0;
    enum err e =
        is_unix ? bind_unix(address + 5, &fd, bound, why) : bind_tcp(address, &fd, bound, why);
    if (e == OK && listen(fd, BACKLOG) != 0) {
        e = fail_errno(why, address, "cannot listen");
    }
    if (e != OK) {
        if (fd >= 0) {
            (void)close(fd);
        }
        return e;
    }
    *out_fd = fd;
    memcpy(out_address, bound, sizeof(bound));
    return OK;
}
