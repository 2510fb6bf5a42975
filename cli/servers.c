#include "cli/servers.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* The next one, or NULL behind the last; moves `*rest`. */
static const char *next(const char **rest, size_t *out_size)
{
    const char *at = *rest;
    if (at == NULL) {
        return NULL;
    }
    const char *comma = strchr(at, ',');
    *out_size = comma == NULL ? strlen(at) : (size_t)(comma - at);
    *rest = comma == NULL ? NULL : comma + 1;
    return at;
}

static bool is_address(const char *text, size_t size)
{
    char address[SERVERS_ADDRESS_SIZE];
    char *end = NULL;
    if (size == 0 || size >= sizeof(address)) {
        return false;
    }
    memcpy(address, text, size);
    address[size] = '\0';
    const char *colon = strrchr(address, ':');
    bool has_port = colon != NULL && colon != address && colon[1] >= '0' && colon[1] <= '9';
    long port = has_port ? strtol(colon + 1, &end, 10) : 0;
    return has_port && *end == '\0' && port >= 1 && port <= 65535;
}

bool servers_are_valid(const char *text)
{
    size_t size = 0, count = 0;
    bool valid = true;
    for (const char *at = next(&text, &size); valid && at != NULL; at = next(&text, &size)) {
        valid = is_address(at, size) && ++count <= SERVERS_MAX;
    }
    return valid && count > 0;
}

/* --- which one answers -------------------------------------------------------------------------
 */

static bool connects(const struct addrinfo *to)
{
    int fd = socket(to->ai_family, to->ai_socktype | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return false;
    }
    int error = connect(fd, to->ai_addr, to->ai_addrlen) == 0 ? 0 : errno;
    if (error == EINPROGRESS) {
        struct pollfd p = {.fd = fd, .events = POLLOUT};
        socklen_t size = sizeof(error);
        bool ready = poll(&p, 1, SERVERS_PROBE_MS) == 1;
        error =
            ready && getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) == 0 ? error : ETIMEDOUT;
    }
    (void)close(fd);
    return error == 0;
}

static bool answers(const char *address)
{
    static const struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    char host[SERVERS_ADDRESS_SIZE];
    struct addrinfo *found = NULL;
    bool does = false;
    const char *begin = address;
    const char *colon = strrchr(address, ':');
    size_t size = (size_t)(colon - address);
    if (size >= 2 && begin[0] == '[' && begin[size - 1] == ']') {
        begin++;
        size -= 2;
    }
    memcpy(host, begin, size);
    host[size] = '\0';
    if (getaddrinfo(host, colon + 1, &hints, &found) == 0) {
        for (const struct addrinfo *a = found; !does && a != NULL; a = a->ai_next) {
            does = connects(a);
        }
        freeaddrinfo(found);
    }
    return does;
}

void servers_choose(const char *text, char out[SERVERS_ADDRESS_SIZE])
{
    const char *rest = text;
    size_t size = 0;
    bool is_single = strchr(text, ',') == NULL;
    for (const char *at = next(&rest, &size); at != NULL; at = next(&rest, &size)) {
        (void)snprintf(out, SERVERS_ADDRESS_SIZE, "%.*s", (int)size, at);
        if (is_single || answers(out)) {
            return;
        }
    }
    rest = text;
    const char *first = next(&rest, &size);
    (void)snprintf(out, SERVERS_ADDRESS_SIZE, "%.*s", (int)size, first);
}
