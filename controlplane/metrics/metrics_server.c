#include "controlplane/metrics/metrics_server.h"

#include <errno.h>
#include <microhttpd.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { CONNECTIONS_MAX = 32, CONNECTION_TIMEOUT_S = 10, BACKLOG = 32 };

struct metrics_server {
    struct metrics *metrics;
    struct MHD_Daemon *daemon;
    int port;
};

static enum MHD_Result answer(struct MHD_Connection *connection, unsigned code, const char *type,
                              struct bytes text)
{
    struct MHD_Response *response = MHD_create_response_from_buffer(
        text.size, (void *)(uintptr_t)text.data, MHD_RESPMEM_MUST_COPY);
    if (response == NULL) {
        return MHD_NO;
    }
    (void)MHD_add_response_header(response, "Content-Type", type);
    enum MHD_Result result = MHD_queue_response(connection, code, response);
    MHD_destroy_response(response);
    return result;
}

static enum MHD_Result answer_metrics(struct metrics_server *s, struct MHD_Connection *connection)
{
    struct buffer text;
    buffer_init(&text, METRICS_TEXT_CAP);
    enum MHD_Result result =
        metrics_write(s->metrics, &text) == OK
            ? answer(connection, MHD_HTTP_OK, "text/plain; version=0.0.4; charset=utf-8",
                     buffer_bytes(&text))
            : answer(connection, MHD_HTTP_SERVICE_UNAVAILABLE, "text/plain",
                     bytes_of_string("no memory\n"));
    buffer_finish(&text);
    return result;
}

static enum MHD_Result on_request(void *context, struct MHD_Connection *connection, const char *url,
                                  const char *method, const char *version, const char *upload,
                                  size_t *upload_size, void **request)
{
    (void)version, (void)upload, (void)upload_size, (void)request;
    if (strcmp(method, "GET") != 0 && strcmp(method, "HEAD") != 0) {
        return answer(connection, MHD_HTTP_METHOD_NOT_ALLOWED, "text/plain",
                      bytes_of_string("GET only\n"));
    }
    if (strcmp(url, "/metrics") == 0) {
        return answer_metrics(context, connection);
    }
    return strcmp(url, "/healthz") == 0
               ? answer(connection, MHD_HTTP_OK, "text/plain", bytes_of_string("ok\n"))
               : answer(connection, MHD_HTTP_NOT_FOUND, "text/plain",
                        bytes_of_string("/metrics or /healthz\n"));
}

static int listen_on(const struct addrinfo *address)
{
    const int yes = 1;
    int fd = socket(address->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 &&
        (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes)) != 0 ||
         bind(fd, address->ai_addr, address->ai_addrlen) != 0 || listen(fd, BACKLOG) != 0)) {
        int error = errno;
        (void)close(fd);
        errno = error;
        return -1;
    }
    return fd;
}

static enum err open_socket(const char *host, uint16_t port, int *out_fd, struct err_text *why)
{
    const struct addrinfo hints = {
        .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE};
    struct addrinfo *addresses = NULL;
    char service[8];
    (void)snprintf(service, sizeof(service), "%u", (unsigned)port);
    int result = getaddrinfo(host, service, &hints, &addresses);
    if (result != 0) {
        return err_set(why, ERR_INVALID, "metrics.listen: %s: %s", host, gai_strerror(result));
    }
    int fd = listen_on(addresses);
    freeaddrinfo(addresses);
    if (fd < 0) {
        return err_set(why, ERR_UNAVAILABLE, "metrics.listen: %s:%u: %s", host, (unsigned)port,
                       strerror(errno));
    }
    *out_fd = fd;
    return OK;
}

static int port_of(int fd)
{
    struct sockaddr_storage address;
    socklen_t size = sizeof(address);
    char service[8] = "";
    if (getsockname(fd, (struct sockaddr *)&address, &size) != 0 ||
        getnameinfo((struct sockaddr *)&address, size, NULL, 0, service, sizeof(service),
                    NI_NUMERICSERV) != 0) {
        return -1;
    }
    return (int)strtol(service, NULL, 10);
}

enum err metrics_server_start(struct metrics *metrics, const char *host, uint16_t port,
                              struct metrics_server **out, struct err_text *why)
{
    struct metrics_server *s = calloc(1, sizeof(*s));
    int fd = -1;
    if (s == NULL) {
        return ERR_NO_MEMORY;
    }
    s->metrics = metrics;
    enum err e = open_socket(host, port, &fd, why);
    if (e == OK) {
        s->port = port_of(fd);
        s->daemon = MHD_start_daemon(
            MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_AUTO, 0, NULL, NULL, on_request, s,
            MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_CONNECTION_LIMIT, (unsigned)CONNECTIONS_MAX,
            MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)CONNECTION_TIMEOUT_S, MHD_OPTION_END);
        if (s->daemon == NULL) {
            (void)close(fd);
            e = err_set(why, ERR_UNAVAILABLE, "metrics.listen: the server cannot start");
        }
    }
    if (e != OK) {
        free(s);
        return e;
    }
    *out = s;
    return OK;
}

int metrics_server_port(const struct metrics_server *server)
{
    return server->port;
}

void metrics_server_stop(struct metrics_server *server)
{
    if (server != NULL) {
        MHD_stop_daemon(server->daemon);
        free(server);
    }
}
