#include "cli/process/service.h"

#include <arpa/inet.h>
#include <curl/curl.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "formats/text.h"

enum { TAIL_BYTES = 8192, TAIL_LINES = 12, READY_TIMEOUT_MS = 2000 };

static bool own_directory(char out[PATH_MAX])
{
    ssize_t size = readlink("/proc/self/exe", out, PATH_MAX - 1);
    if (size <= 0) {
        return false;
    }
    out[size] = '\0';
    char *slash = strrchr(out, '/');
    if (slash == NULL) {
        return false;
    }
    *slash = '\0';
    return true;
}

static bool is_executable(const char *directory, const char *between, const char *name,
                          char out[PATH_MAX])
{
    int size = snprintf(out, PATH_MAX, "%s/%s%s", directory, between, name);
    return size > 0 && size < PATH_MAX && access(out, X_OK) == 0;
}

enum err service_find(const char *name, const char *build_folder, char out[PATH_MAX],
                      struct err_text *error)
{
    char own[PATH_MAX];
    char build[64];
    const char *libexec = getenv("CHAPERONE_LIBEXEC");
    if (libexec != NULL && libexec[0] != '\0') {
        return is_executable(libexec, "", name, out)
                   ? OK
                   : err_set(error, ERR_NOT_FOUND, "%s is not in CHAPERONE_LIBEXEC (%s)", name,
                             libexec);
    }
    if (!own_directory(own)) {
        return err_set(error, ERR_IO, "/proc/self/exe cannot be read: set CHAPERONE_LIBEXEC");
    }
    (void)snprintf(build, sizeof(build), "../%s/", build_folder);
    const char *const places[] = {"", "../libexec/chaperone/", "../lib/chaperone/", build};
    for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
        if (is_executable(own, places[i], name, out)) {
            return OK;
        }
    }
    return err_set(error, ERR_NOT_FOUND,
                   "%s is neither in %s nor in its ../libexec/chaperone, ../lib/chaperone or "
                   "../%s; CHAPERONE_LIBEXEC can name its directory",
                   name, own, build_folder);
}

static struct addrinfo *numeric(const char *host, uint16_t port, int flags)
{
    char service[8];
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV | flags};
    struct addrinfo *list = NULL;
    (void)snprintf(service, sizeof(service), "%u", port);
    return getaddrinfo(host, service, &hints, &list) == 0 ? list : NULL;
}

/* A bound socket, or -1 with errno. */
static int bind_address(const char *host, uint16_t port)
{
    struct addrinfo *address = numeric(host, port, AI_PASSIVE);
    if (address == NULL) {
        errno = EADDRNOTAVAIL;
        return -1;
    }
    int fd = socket(address->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int on = 1;
    /* As the service will do it: connections of an earlier one may still be closing. */
    if (fd >= 0 && (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) != 0 ||
                    bind(fd, address->ai_addr, address->ai_addrlen) != 0 || listen(fd, 1) != 0)) {
        int failure = errno;
        (void)close(fd);
        errno = failure;
        fd = -1;
    }
    freeaddrinfo(address);
    return fd;
}

/* A name of the kernel's stands for the port until this process ends: the port itself is let go of,
 * for the service that will listen on it. `*out` is -1 where there are no such names. */
static bool claim_port(uint16_t port, int *out)
{
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    /* The first byte is zero: it is no file. */
    int size = snprintf(name.sun_path + 1, sizeof(name.sun_path) - 1, "chaperone-port-%u", port);
    socklen_t name_size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)size);
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    bool is_taken = false;
    if (fd >= 0 && bind(fd, (const struct sockaddr *)&name, name_size) != 0) {
        is_taken = errno == EADDRINUSE;
        (void)close(fd);
        fd = -1;
    }
    *out = fd;
    return !is_taken;
}

static bool take_port(uint16_t port)
{
    int claim = -1;
    int fd = claim_port(port, &claim) ? bind_address("127.0.0.1", port) : -1;
    if (fd < 0) {
        if (claim >= 0) {
            (void)close(claim);
        }
        return false;
    }
    (void)close(fd);
    return true;
}

/* Below the ports that the kernel gives to outgoing connections: one of those could be taken by
 * any of them before it is listened on. */
static enum err take_quiet_port(uint16_t *out)
{
    enum { FIRST = 20000, COUNT = 12000, TRIES = 200 };
    for (int i = 0; i < TRIES; i++) {
        uint16_t random = 0;
        if (getrandom(&random, sizeof(random), 0) != sizeof(random)) {
            break;
        }
        uint16_t port = (uint16_t)(FIRST + random % COUNT);
        if (take_port(port)) {
            *out = port;
            return OK;
        }
    }
    return ERR_IO;
}

enum err service_free_port(uint16_t preferred, uint16_t *out)
{
    if (preferred != 0 && take_port(preferred)) {
        *out = preferred;
        return OK;
    }
    return take_quiet_port(out);
}

enum err service_check_listen(const char *host, uint16_t port, struct err_text *error)
{
    int fd = bind_address(host, port);
    if (fd >= 0) {
        (void)close(fd);
        return OK;
    }
    return errno == EADDRINUSE
               ? err_set(error, ERR_EXISTS, "%s:%u is in use by another process", host, port)
               : err_set(error, ERR_IO, "%s:%u cannot be listened on: %s", host, port,
                         strerror(errno));
}

static bool connects(const struct addrinfo *address, int timeout_ms)
{
    int fd = socket(address->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) {
        return false;
    }
    bool connected = connect(fd, address->ai_addr, address->ai_addrlen) == 0;
    if (!connected && errno == EINPROGRESS) {
        struct pollfd wait = {.fd = fd, .events = POLLOUT};
        int failure = 0;
        socklen_t size = sizeof(failure);
        connected = poll(&wait, 1, timeout_ms) == 1 &&
                    getsockopt(fd, SOL_SOCKET, SO_ERROR, &failure, &size) == 0 && failure == 0;
    }
    (void)close(fd);
    return connected;
}

bool service_accepts(const char *host, uint16_t port, int timeout_ms)
{
    struct addrinfo *list = numeric(host, port, 0);
    bool connected = false;
    for (const struct addrinfo *a = list; a != NULL && !connected; a = a->ai_next) {
        connected = connects(a, timeout_ms);
    }
    if (list != NULL) {
        freeaddrinfo(list);
    }
    return connected;
}

/* Keeps the first line of the answer. */
static size_t keep_reason(char *data, size_t size, size_t count, void *context)
{
    char *reason = context;
    size_t length = strlen(reason);
    for (size_t i = 0; i < size * count && length < SERVICE_REASON_SIZE - 1; i++) {
        if (data[i] == '\n') {
            break;
        }
        reason[length++] = data[i];
    }
    reason[length] = '\0';
    return size * count;
}

enum service_health service_ask_ready(const char *address, char reason[SERVICE_REASON_SIZE])
{
    char url[128];
    long status = 0;
    CURL *curl = curl_easy_init();
    reason[0] = '\0';
    if (curl == NULL) {
        return SERVICE_NO_ANSWER;
    }
    (void)snprintf(url, sizeof(url), "http://%s/readyz", address);
    (void)curl_easy_setopt(curl, CURLOPT_URL, url);
    (void)curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long)READY_TIMEOUT_MS);
    /* No proxy of the environment stands between us and our own child. */
    (void)curl_easy_setopt(curl, CURLOPT_PROXY, "");
    (void)curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    (void)curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, keep_reason);
    (void)curl_easy_setopt(curl, CURLOPT_WRITEDATA, reason);
    CURLcode result = curl_easy_perform(curl);
    if (result == CURLE_OK) {
        (void)curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
    }
    curl_easy_cleanup(curl);
    return status == 200 ? SERVICE_READY : status == 0 ? SERVICE_NO_ANSWER : SERVICE_NOT_READY;
}

long service_log_size(const char *log_file)
{
    struct stat s = {0};
    return stat(log_file, &s) == 0 ? (long)s.st_size : 0;
}

/* The start of the last TAIL_LINES lines. */
static struct bytes last_lines(struct bytes text)
{
    size_t lines = 0;
    for (size_t at = text.size; at > 0; at--) {
        if (text.data[at - 1] == '\n' && at != text.size && ++lines == TAIL_LINES) {
            return bytes_of(text.data + at, text.size - at);
        }
    }
    return text;
}

void service_print_log_tail(FILE *out, const char *log_file, long offset)
{
    static const size_t indent = 2;
    uint8_t data[TAIL_BYTES];
    long size = service_log_size(log_file);
    FILE *f = fopen(log_file, "re");
    if (f == NULL) {
        return;
    }
    long start = size - offset > TAIL_BYTES ? size - TAIL_BYTES : offset;
    size_t got = fseek(f, start, SEEK_SET) == 0 ? fread(data, 1, sizeof(data), f) : 0;
    (void)fclose(f);
    text_write_indented(out, last_lines(bytes_of(data, got)), indent);
}
