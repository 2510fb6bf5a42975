#include "cli/login/callback.h"

#include <arpa/inet.h>
#include <errno.h>
#include <microhttpd.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/crypto/crypto.h"

enum { CONNECTIONS_MAX = 16, IDLE_TIMEOUT_S = 10, URI_SIZE = 64 };

struct login_callback {
    struct login_callback_expected expected;
    struct MHD_Daemon *daemon;
    uint16_t port;
    char uri[URI_SIZE];
    int done_fd; /* an eventfd: an answer was taken */
    pthread_mutex_t lock;
    /* Under the lock: */
    bool taken;
    char *code;              /* NULL: it was a no */
    struct err_text refusal; /* the issuer's words */
    unsigned refused;
};

/* ---- pages ------------------------------------------------------------------------------ */

static const char page_done[] = "<!doctype html><meta charset=utf-8><title>Chaperone</title>"
                                "<p>You can close this page and go back to your terminal.</p>";
static const char page_not_ours[] =
    "<!doctype html><meta charset=utf-8><title>Chaperone</title>"
    "<p>This answer does not belong to the login that is waiting: it was refused.</p>";
static const char page_nothing[] = "<!doctype html><title>Chaperone</title><p>Nothing is here.</p>";

static enum MHD_Result answer(struct MHD_Connection *c, unsigned status, const char *page)
{
    struct MHD_Response *r = MHD_create_response_from_buffer(strlen(page), (void *)(uintptr_t)page,
                                                             MHD_RESPMEM_PERSISTENT);
    if (r == NULL) {
        return MHD_NO;
    }
    (void)MHD_add_response_header(r, MHD_HTTP_HEADER_CONTENT_TYPE, "text/html; charset=utf-8");
    (void)MHD_add_response_header(r, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store");
    (void)MHD_add_response_header(r, MHD_HTTP_HEADER_CONNECTION, "close");
    /* The page's own address has the code in it. */
    (void)MHD_add_response_header(r, "Referrer-Policy", "no-referrer");
    (void)MHD_add_response_header(r, "Content-Security-Policy", "default-src 'none'");
    enum MHD_Result queued = MHD_queue_response(c, status, r);
    MHD_destroy_response(r);
    return queued;
}

/* ---- what comes back -------------------------------------------------------------------- */

struct returned {
    const char *state, *code, *error, *description, *issuer;
    bool twice; /* a parameter came twice: RFC 6749 section 3.1 forbids it */
};

static enum MHD_Result read_parameter(void *context, enum MHD_ValueKind kind, const char *name,
                                      const char *value)
{
    struct returned *r = context;
    const struct {
        const char *name;
        const char **to;
    } known[] = {{"state", &r->state},
                 {"code", &r->code},
                 {"error", &r->error},
                 {"error_description", &r->description},
                 {"iss", &r->issuer}};
    (void)kind;
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        if (strcmp(name, known[i].name) == 0) {
            r->twice = r->twice || *known[i].to != NULL;
            *known[i].to = value == NULL ? "" : value;
        }
    }
    return MHD_YES;
}

static bool is_ours(const struct login_callback *c, const struct returned *r)
{
    if (r->twice || r->state == NULL ||
        !crypto_equal(bytes_of_string(r->state), bytes_of_string(c->expected.state))) {
        return false;
    }
    if (r->issuer == NULL ? c->expected.needs_issuer : strcmp(r->issuer, c->expected.issuer) != 0) {
        return false;
    }
    return (r->code != NULL && r->code[0] != '\0') != (r->error != NULL);
}

static void signal_done(const struct login_callback *c)
{
    uint64_t one = 1;
    while (write(c->done_fd, &one, sizeof(one)) < 0 && errno == EINTR) {
    }
}

/* The first answer counts; NULL memory is an answer, too: the login ends. */
static bool take(struct login_callback *c, const struct returned *r)
{
    bool taken = false;
    (void)pthread_mutex_lock(&c->lock);
    if (!is_ours(c, r) || c->taken) {
        c->refused++;
    } else {
        taken = c->taken = true;
        c->code = r->error == NULL ? strdup(r->code) : NULL;
        (void)err_set(&c->refusal, ERR_DENIED, "the issuer refuses the login: %s%s%s",
                      r->error == NULL ? "out of memory" : r->error,
                      r->description == NULL ? "" : ": ",
                      r->description == NULL ? "" : r->description);
    }
    (void)pthread_mutex_unlock(&c->lock);
    return taken;
}

/* A page whose name was rebound to 127.0.0.1 still sends its own name. */
static bool is_own_name(const struct login_callback *c, struct MHD_Connection *connection)
{
    char expected[32];
    const char *host =
        MHD_lookup_connection_value(connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_HOST);
    (void)snprintf(expected, sizeof(expected), "127.0.0.1:%u", c->port);
    return host != NULL && strcmp(host, expected) == 0;
}

/* What a request's state points to. */
static const char began, took;

static enum MHD_Result handle(void *context, struct MHD_Connection *connection, const char *path,
                              const char *method, const char *version, const char *data,
                              size_t *size, void **state)
{
    struct login_callback *c = context;
    struct returned r = {0};
    (void)version;
    (void)data;
    if (*state == NULL) {
        *state = (void *)(uintptr_t)&began; /* the headers are there: its body, if it has one, comes
                                               next */
        return MHD_YES;
    }
    if (*size > 0) {
        return MHD_NO; /* nobody who belongs here sends a body */
    }
    if (strcmp(method, "GET") != 0 || strcmp(path, "/callback") != 0 ||
        !is_own_name(c, connection)) {
        return answer(connection, MHD_HTTP_NOT_FOUND, page_nothing);
    }
    (void)MHD_get_connection_values(connection, MHD_GET_ARGUMENT_KIND, read_parameter, &r);
    if (!take(c, &r)) {
        return answer(connection, MHD_HTTP_BAD_REQUEST, page_not_ours);
    }
    *state = (void *)(uintptr_t)&took;
    return answer(connection, MHD_HTTP_OK, page_done);
}

/* The login goes on when the browser has its page: after that the listener may be gone. */
static void end(void *context, struct MHD_Connection *connection, void **state,
                enum MHD_RequestTerminationCode code)
{
    (void)connection;
    (void)code;
    if (*state == &took) {
        signal_done(context);
    }
}

/* ---- life ------------------------------------------------------------------------------- */

static enum err listen_on_loopback(struct login_callback *c, struct err_text *why)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    errno = 0;
    c->daemon =
        MHD_start_daemon(MHD_USE_AUTO | MHD_USE_INTERNAL_POLLING_THREAD, 0, NULL, NULL, handle, c,
                         MHD_OPTION_SOCK_ADDR, &address, MHD_OPTION_NOTIFY_COMPLETED, end, c,
                         MHD_OPTION_CONNECTION_LIMIT, (unsigned)CONNECTIONS_MAX,
                         MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)IDLE_TIMEOUT_S, MHD_OPTION_END);
    const union MHD_DaemonInfo *info =
        c->daemon == NULL ? NULL : MHD_get_daemon_info(c->daemon, MHD_DAEMON_INFO_BIND_PORT);
    if (info == NULL) {
        return err_set(why, ERR_IO, "cannot listen on 127.0.0.1: %s",
                       errno == 0 ? "unknown cause" : strerror(errno));
    }
    c->port = info->port;
    (void)snprintf(c->uri, sizeof(c->uri), "http://127.0.0.1:%u/callback", c->port);
    return OK;
}

enum err login_callback_start(const struct login_callback_expected *expected,
                              struct login_callback **out, struct err_text *why)
{
    struct login_callback *c = calloc(1, sizeof(*c));
    if (c == NULL || pthread_mutex_init(&c->lock, NULL) != 0) {
        free(c);
        return err_set(why, ERR_NO_MEMORY, "out of memory");
    }
    c->expected = *expected;
    c->done_fd = eventfd(0, EFD_CLOEXEC);
    enum err e = c->done_fd < 0 ? err_set(why, ERR_IO, "eventfd: %s", strerror(errno))
                                : listen_on_loopback(c, why);
    if (e != OK) {
        login_callback_stop(c);
        return e;
    }
    *out = c;
    return OK;
}

void login_callback_stop(struct login_callback *c)
{
    if (c == NULL) {
        return;
    }
    if (c->daemon != NULL) {
        MHD_stop_daemon(c->daemon);
    }
    if (c->done_fd >= 0) {
        (void)close(c->done_fd);
    }
    if (c->code != NULL) {
        bytes_wipe(c->code, strlen(c->code));
        free(c->code);
    }
    (void)pthread_mutex_destroy(&c->lock);
    free(c);
}

const char *login_callback_uri(const struct login_callback *c)
{
    return c->uri;
}

enum err login_callback_wait(struct login_callback *c, int interrupt_fd, int timeout_ms,
                             char **out_code, struct err_text *why)
{
    struct pollfd fds[] = {{.fd = c->done_fd, .events = POLLIN},
                           {.fd = interrupt_fd, .events = POLLIN}};
    int n = 0;
    do {
        n = poll(fds, 2, timeout_ms);
    } while (n < 0 && errno == EINTR);
    if (n <= 0) {
        return err_set(why, ERR_TIMEOUT, "nobody finished the login in the browser in time");
    }
    if (fds[0].revents == 0) {
        return err_set(why, ERR_CLOSED, "interrupted");
    }
    (void)pthread_mutex_lock(&c->lock);
    char *code = c->code;
    c->code = NULL;
    struct err_text refusal = c->refusal;
    (void)pthread_mutex_unlock(&c->lock);
    if (code == NULL) {
        return err_set(why, ERR_DENIED, "%s", refusal.text);
    }
    *out_code = code;
    return OK;
}

unsigned login_callback_refused(struct login_callback *c)
{
    (void)pthread_mutex_lock(&c->lock);
    unsigned refused = c->refused;
    (void)pthread_mutex_unlock(&c->lock);
    return refused;
}
