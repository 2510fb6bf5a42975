#include "cli/witness/http.h"

#include <errno.h>
#include <microhttpd.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/tlog/witness_request.h"

enum {
    THREADS = 4, /* a request waits for the disk */
    CONNECTIONS_MAX = 256,
    CONNECTIONS_OF_ONE_MAX = 64, /* one address, which may be a proxy */
    IDLE_TIMEOUT_S = 10,
    BODY_TIMEOUT_S = 20,     /* for all of it: not one byte at a time */
    HEADERS_MAX = 32 * 1024, /* of a connection: its headers */
    DRAIN_MAX = 1024 * 1024, /* more than this, and the connection is closed */
};

static const int64_t ns_of_s = 1000000000;

struct witness_http {
    struct cosigner *cosigner;
    struct MHD_Daemon *daemon;
    struct clock clock;
    char *about; /* owned: what GET / answers */
};

/* One request on its way. */
struct exchange {
    struct buffer body;
    size_t received;
    bool is_too_large;
    int64_t deadline_ns;
};

/* ---- answers --------------------------------------------------------------------------------- */

static enum MHD_Result answer(struct MHD_Connection *c, unsigned status, const char *type,
                              struct bytes body)
{
    /* libmicrohttpd copies it; it takes no const. */
    struct MHD_Response *r = MHD_create_response_from_buffer(
        body.size, (void *)(uintptr_t)(body.data == NULL ? "" : (const char *)body.data),
        MHD_RESPMEM_MUST_COPY);
    if (r == NULL) {
        return MHD_NO; /* closes the connection */
    }
    (void)MHD_add_response_header(r, MHD_HTTP_HEADER_CONTENT_TYPE, type);
    (void)MHD_add_response_header(r, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store");
    (void)MHD_add_response_header(r, "X-Content-Type-Options", "nosniff");
    if (status == MHD_HTTP_METHOD_NOT_ALLOWED) {
        (void)MHD_add_response_header(r, MHD_HTTP_HEADER_ALLOW, "POST");
    }
    enum MHD_Result queued = MHD_queue_response(c, status, r);
    MHD_destroy_response(r);
    return queued;
}

static enum MHD_Result answer_text(struct MHD_Connection *c, unsigned status, const char *text)
{
    return answer(c, status, "text/plain; charset=utf-8", bytes_of_string(text));
}

static enum MHD_Result answer_checkpoint(struct witness_http *h, struct MHD_Connection *c,
                                         const struct exchange *x)
{
    struct cosigner_answer a;
    cosigner_answer(h->cosigner, buffer_bytes(&x->body), &a);
    enum MHD_Result queued = answer(c, a.status, a.type, buffer_bytes(&a.body));
    buffer_finish(&a.body);
    return queued;
}

static enum MHD_Result answer_request(struct witness_http *h, struct MHD_Connection *c,
                                      const char *method, const char *path,
                                      const struct exchange *x)
{
    bool reads = strcmp(method, "GET") == 0 || strcmp(method, "HEAD") == 0;
    if (strcmp(path, "/add-checkpoint") != 0) {
        return strcmp(path, "/") == 0 && reads
                   ? answer_text(c, MHD_HTTP_OK, h->about)
                   : answer_text(c, MHD_HTTP_NOT_FOUND, "POST /add-checkpoint is here\n");
    }
    if (strcmp(method, "POST") != 0) {
        return answer_text(c, MHD_HTTP_METHOD_NOT_ALLOWED, "POST is expected\n");
    }
    if (x->is_too_large) {
        return answer_text(c, MHD_HTTP_CONTENT_TOO_LARGE, "the request is too large\n");
    }
    return answer_checkpoint(h, c, x);
}

/* ---- requests -------------------------------------------------------------------------------- */

/* Before the body is read: what says that it is too large is not waited for. */
static bool says_too_large(struct MHD_Connection *c)
{
    const char *text =
        MHD_lookup_connection_value(c, MHD_HEADER_KIND, MHD_HTTP_HEADER_CONTENT_LENGTH);
    return text != NULL && strtoull(text, NULL, 10) > TLOG_WITNESS_REQUEST_MAX;
}

static enum MHD_Result begin(struct witness_http *h, void **state)
{
    struct exchange *x = calloc(1, sizeof(*x));
    if (x == NULL) {
        return MHD_NO;
    }
    buffer_init(&x->body, TLOG_WITNESS_REQUEST_MAX);
    x->deadline_ns = clock_monotonic(&h->clock) + BODY_TIMEOUT_S * ns_of_s;
    *state = x;
    return MHD_YES;
}

static enum MHD_Result feed(struct witness_http *h, struct exchange *x, const char *data,
                            size_t *size)
{
    /* What is too much is read and dropped: the answer comes at the end. */
    x->received += *size;
    if (!x->is_too_large && buffer_append(&x->body, bytes_of(data, *size)) != OK) {
        x->is_too_large = true;
        buffer_finish(&x->body);
    }
    *size = 0;
    bool goes_on = x->received <= (size_t)DRAIN_MAX && clock_monotonic(&h->clock) < x->deadline_ns;
    return goes_on ? MHD_YES : MHD_NO;
}

static enum MHD_Result handle(void *context, struct MHD_Connection *c, const char *path,
                              const char *method, const char *version, const char *data,
                              size_t *size, void **state)
{
    (void)version;
    struct witness_http *h = context;
    struct exchange *x = *state;
    if (x == NULL && says_too_large(c)) {
        return answer_text(c, MHD_HTTP_CONTENT_TOO_LARGE, "the request is too large\n");
    }
    if (x == NULL) {
        return begin(h, state);
    }
    return *size > 0 ? feed(h, x, data, size) : answer_request(h, c, method, path, x);
}

static void end(void *context, struct MHD_Connection *c, void **state,
                enum MHD_RequestTerminationCode code)
{
    (void)context;
    (void)c;
    (void)code;
    struct exchange *x = *state;
    if (x != NULL) {
        buffer_finish(&x->body);
        free(x);
        *state = NULL;
    }
}

/* ---- life ------------------------------------------------------------------------------------ */

static enum err about_make(struct witness_http *h)
{
    struct buffer key;
    buffer_init(&key, TLOG_VERIFIER_TEXT_MAX);
    enum err e = tlog_verifier_format(cosigner_verifier(h->cosigner), &key);
    struct bytes text = buffer_bytes(&key);
    if (e == OK && asprintf(&h->about,
                            "A witness of transparency logs (https://c2sp.org/tlog-witness).\n"
                            "POST add-checkpoint; its key:\n%.*s\n",
                            (int)text.size, (const char *)text.data) < 0) {
        h->about = NULL;
        e = ERR_NO_MEMORY;
    }
    buffer_finish(&key);
    return e;
}

static struct MHD_Daemon *listen_on(struct witness_http *h, const struct witness_http_options *o)
{
    bool tls = o->certificate != NULL;
    unsigned flags = MHD_USE_AUTO | MHD_USE_INTERNAL_POLLING_THREAD |
                     (o->address->sa_family == AF_INET6 ? MHD_USE_IPv6 : 0) |
                     (tls ? MHD_USE_TLS : 0);
    struct MHD_OptionItem secure[] = {
        {MHD_OPTION_HTTPS_MEM_CERT, 0, (void *)(uintptr_t)o->certificate},
        {MHD_OPTION_HTTPS_MEM_KEY, 0, (void *)(uintptr_t)o->key},
        {MHD_OPTION_HTTPS_PRIORITIES, 0,
         (void *)(uintptr_t) "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2"},
        {MHD_OPTION_END, 0, NULL},
    };
    struct MHD_OptionItem plain[] = {{MHD_OPTION_END, 0, NULL}};
    return MHD_start_daemon(
        flags, 0, NULL, NULL, handle, h, MHD_OPTION_SOCK_ADDR, o->address,
        MHD_OPTION_NOTIFY_COMPLETED, end, NULL, MHD_OPTION_THREAD_POOL_SIZE, (unsigned)THREADS,
        MHD_OPTION_CONNECTION_LIMIT, (unsigned)CONNECTIONS_MAX, MHD_OPTION_PER_IP_CONNECTION_LIMIT,
        (unsigned)CONNECTIONS_OF_ONE_MAX, MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)HEADERS_MAX,
        MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)IDLE_TIMEOUT_S, MHD_OPTION_ARRAY,
        tls ? secure : plain, MHD_OPTION_END);
}

enum err witness_http_start(struct cosigner *cosigner, const struct witness_http_options *options,
                            struct witness_http **out, uint16_t *out_port, struct err_text *why)
{
    struct witness_http *h = calloc(1, sizeof(*h));
    if (h == NULL) {
        return err_set(why, ERR_NO_MEMORY, "memory is short");
    }
    h->cosigner = cosigner;
    h->clock = options->clock;
    if (about_make(h) != OK) {
        witness_http_stop(h);
        return err_set(why, ERR_NO_MEMORY, "memory is short");
    }
    errno = 0;
    h->daemon = listen_on(h, options);
    int cause = errno;
    const union MHD_DaemonInfo *info =
        h->daemon == NULL ? NULL : MHD_get_daemon_info(h->daemon, MHD_DAEMON_INFO_BIND_PORT);
    if (info == NULL) {
        witness_http_stop(h);
        return err_set(why, ERR_IO, "the witness cannot listen: %s",
                       cause != 0                     ? strerror(cause)
                       : options->certificate != NULL ? "is this a certificate and its key?"
                                                      : "unknown cause");
    }
    *out_port = info->port;
    *out = h;
    return OK;
}

void witness_http_stop(struct witness_http *http)
{
    if (http != NULL) {
        if (http->daemon != NULL) {
            MHD_stop_daemon(http->daemon);
        }
        free(http->about);
        free(http);
    }
}
