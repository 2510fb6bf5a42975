#include "cli/issuer/http.h"

#include <arpa/inet.h>
#include <cjson/cJSON.h>
#include <errno.h>
#include <microhttpd.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include "cli/issuer/form.h"

enum {
    CONNECTIONS_MAX = 64,
    IDLE_TIMEOUT_S = 10,
    BODY_MAX = 16 * 1024,
    DRAIN_MAX = 1 << 20, /* more than this, and the connection is closed */
};

struct http {
    struct issuer *issuer;
    struct MHD_Daemon *daemon;
    uint16_t port;
};

/* One request on its way. */
struct exchange {
    struct form *form; /* POST /token */
    size_t body_size;
};

/* ---- answers ---------------------------------------------------------------------------- */

/* Takes the text (free()); NULL: memory was short. */
static enum MHD_Result answer(struct MHD_Connection *c, unsigned status, const char *type,
                              const char *cache_control, char *text)
{
    if (text == NULL) {
        return MHD_NO; /* closes the connection */
    }
    struct MHD_Response *r =
        MHD_create_response_from_buffer(strlen(text), text, MHD_RESPMEM_MUST_FREE);
    if (r == NULL) {
        free(text);
        return MHD_NO;
    }
    (void)MHD_add_response_header(r, MHD_HTTP_HEADER_CONTENT_TYPE, type);
    (void)MHD_add_response_header(r, MHD_HTTP_HEADER_CACHE_CONTROL, cache_control);
    enum MHD_Result queued = MHD_queue_response(c, status, r);
    MHD_destroy_response(r);
    return queued;
}

static enum MHD_Result answer_json(struct MHD_Connection *c, unsigned status,
                                   const char *cache_control, char *text)
{
    return answer(c, status, "application/json", cache_control, text);
}

/* RFC 6749 section 5.2. */
static enum MHD_Result answer_error(struct MHD_Connection *c, unsigned status, const char *code,
                                    const char *description)
{
    cJSON *json = cJSON_CreateObject();
    bool ok = json != NULL && cJSON_AddStringToObject(json, "error", code) != NULL &&
              cJSON_AddStringToObject(json, "error_description", description) != NULL;
    char *text = ok ? cJSON_PrintUnformatted(json) : NULL;
    cJSON_Delete(json);
    return answer_json(c, status, "no-store", text);
}

static enum MHD_Result answer_token(struct MHD_Connection *c, const struct issuer_token *asked,
                                    bool plain_text, char *token)
{
    if (plain_text) {
        return answer(c, MHD_HTTP_OK, "text/plain", "no-store", token);
    }
    int64_t lifetime_s = asked->lifetime_s == 0 ? ISSUER_LIFETIME_DEFAULT_S : asked->lifetime_s;
    cJSON *json = cJSON_CreateObject();
    bool ok = json != NULL && cJSON_AddStringToObject(json, "access_token", token) != NULL &&
              cJSON_AddStringToObject(json, "token_type", "Bearer") != NULL &&
              cJSON_AddNumberToObject(json, "expires_in", (double)lifetime_s) != NULL;
    char *text = ok ? cJSON_PrintUnformatted(json) : NULL;
    cJSON_Delete(json);
    free(token);
    return answer_json(c, MHD_HTTP_OK, "no-store", text);
}

/* ---- who may ask ------------------------------------------------------------------------ */

static bool is_loopback(const struct sockaddr *peer)
{
    if (peer->sa_family == AF_INET) {
        const struct sockaddr_in *v4 = (const struct sockaddr_in *)(const void *)peer;
        return ntohl(v4->sin_addr.s_addr) >> 24 == IN_LOOPBACKNET;
    }
    const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)(const void *)peer;
    return peer->sa_family == AF_INET6 && IN6_IS_ADDR_LOOPBACK(&v6->sin6_addr);
}

/* A page whose name was rebound to 127.0.0.1 still sends its own name. */
static bool is_own_name(const struct http *h, const char *host)
{
    static const char *const names[] = {"127.0.0.1", "localhost", "[::1]"};
    for (size_t i = 0; host != NULL && i < sizeof names / sizeof names[0]; i++) {
        char expected[32];
        (void)snprintf(expected, sizeof expected, "%s:%u", names[i], h->port);
        if (strcasecmp(host, expected) == 0 || (h->port == 80 && strcasecmp(host, names[i]) == 0)) {
            return true;
        }
    }
    return false;
}

static bool may_ask(const struct http *h, struct MHD_Connection *c)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(c, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    return info != NULL && is_loopback(info->client_addr) &&
           is_own_name(h, MHD_lookup_connection_value(c, MHD_HEADER_KIND, MHD_HTTP_HEADER_HOST)) &&
           /* Only browsers send it: a page of another site. */
           MHD_lookup_connection_value(c, MHD_HEADER_KIND, MHD_HTTP_HEADER_ORIGIN) == NULL;
}

/* ---- requests --------------------------------------------------------------------------- */

static enum MHD_Result get_discovery(struct http *h, struct MHD_Connection *c, struct exchange *x)
{
    (void)x;
    return answer_json(c, MHD_HTTP_OK, "max-age=60", issuer_discovery(h->issuer));
}

static enum MHD_Result get_jwks(struct http *h, struct MHD_Connection *c, struct exchange *x)
{
    (void)x;
    return answer_json(c, MHD_HTTP_OK, "max-age=60", issuer_jwks(h->issuer));
}

static enum MHD_Result post_token(struct http *h, struct MHD_Connection *c, struct exchange *x)
{
    struct err_text why = {0};
    struct issuer_token asked = {0};
    bool plain_text = false;
    char *token = NULL;
    if (x->form == NULL) {
        return answer_error(c, MHD_HTTP_UNSUPPORTED_MEDIA_TYPE, "invalid_request",
                            "a form (application/x-www-form-urlencoded) is expected");
    }
    enum err e = form_finish(x->form, &asked, &plain_text, &why);
    if (e == OK) {
        e = issuer_mint(h->issuer, &asked, &token, &why);
    }
    if (e != OK) {
        return answer_error(
            c, e == ERR_INVALID ? MHD_HTTP_BAD_REQUEST : MHD_HTTP_INTERNAL_SERVER_ERROR,
            e == ERR_INVALID ? "invalid_request" : "server_error", why.text);
    }
    return answer_token(c, &asked, plain_text, token);
}

static enum MHD_Result post_rotate(struct http *h, struct MHD_Connection *c, struct exchange *x)
{
    (void)x;
    struct err_text why = {0};
    if (issuer_rotate(h->issuer, &why) != OK) {
        return answer_error(c, MHD_HTTP_INTERNAL_SERVER_ERROR, "server_error", why.text);
    }
    return answer_json(c, MHD_HTTP_OK, "no-store", issuer_jwks(h->issuer));
}

static const struct route {
    const char *method, *path;
    enum MHD_Result (*serve)(struct http *h, struct MHD_Connection *c, struct exchange *x);
} routes[] = {
    {"GET", "/.well-known/openid-configuration", get_discovery},
    {"GET", "/jwks", get_jwks},
    {"POST", "/token", post_token},
    {"POST", "/rotate", post_rotate},
};

static const struct route *find_route(const char *method, const char *path)
{
    for (size_t i = 0; i < sizeof routes / sizeof routes[0]; i++) {
        if (strcmp(routes[i].method, method) == 0 && strcmp(routes[i].path, path) == 0) {
            return &routes[i];
        }
    }
    return NULL;
}

static enum MHD_Result begin(struct MHD_Connection *c, const struct route *route, void **state)
{
    struct exchange *x = calloc(1, sizeof *x);
    if (x == NULL) {
        return MHD_NO;
    }
    if (route != NULL && route->serve == post_token) {
        x->form = form_create(c);
    }
    *state = x;
    return MHD_YES;
}

static enum MHD_Result handle(void *context, struct MHD_Connection *c, const char *path,
                              const char *method, const char *version, const char *data,
                              size_t *size, void **state)
{
    (void)version;
    struct http *h = context;
    struct exchange *x = *state;
    const struct route *route = find_route(method, path);
    if (x == NULL) {
        return begin(c, route, state);
    }
    if (*size > 0) {
        /* What is too much is read and dropped: the answer comes at the end. */
        x->body_size += *size;
        if (x->form != NULL && x->body_size <= BODY_MAX) {
            form_feed(x->form, data, *size);
        }
        *size = 0;
        return x->body_size <= (size_t)DRAIN_MAX ? MHD_YES : MHD_NO;
    }
    if (!may_ask(h, c)) {
        return answer_error(c, MHD_HTTP_FORBIDDEN, "access_denied",
                            "this issuer is for programs on this machine, by its loopback address");
    }
    if (x->body_size > BODY_MAX) {
        return answer_error(c, MHD_HTTP_CONTENT_TOO_LARGE, "invalid_request",
                            "the body is larger than 16 KiB");
    }
    if (route == NULL) {
        return answer_error(
            c, MHD_HTTP_NOT_FOUND, "not_found",
            "GET /.well-known/openid-configuration, GET /jwks, POST /token and POST "
            "/rotate are here");
    }
    return route->serve(h, c, x);
}

static void end(void *context, struct MHD_Connection *c, void **state,
                enum MHD_RequestTerminationCode code)
{
    (void)context;
    (void)c;
    (void)code;
    struct exchange *x = *state;
    if (x != NULL) {
        form_destroy(x->form);
        free(x);
        *state = NULL;
    }
}

/* ---- life ------------------------------------------------------------------------------- */

enum err http_start(struct issuer *issuer, const struct sockaddr *address, struct http **out,
                    uint16_t *out_port, struct err_text *why)
{
    struct http *h = calloc(1, sizeof *h);
    if (h == NULL) {
        return err_set(why, ERR_NO_MEMORY, "memory is short");
    }
    h->issuer = issuer;
    unsigned flags = MHD_USE_AUTO | MHD_USE_INTERNAL_POLLING_THREAD |
                     (address->sa_family == AF_INET6 ? MHD_USE_IPv6 : 0);
    errno = 0;
    h->daemon = MHD_start_daemon(
        flags, 0, NULL, NULL, handle, h, MHD_OPTION_SOCK_ADDR, address, MHD_OPTION_NOTIFY_COMPLETED,
        end, NULL, MHD_OPTION_CONNECTION_LIMIT, (unsigned)CONNECTIONS_MAX,
        MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)IDLE_TIMEOUT_S, MHD_OPTION_END);
    const union MHD_DaemonInfo *info =
        h->daemon == NULL ? NULL : MHD_get_daemon_info(h->daemon, MHD_DAEMON_INFO_BIND_PORT);
    if (info == NULL) {
        enum err e = err_set(why, ERR_IO, "the issuer cannot listen: %s",
                             errno == 0 ? "unknown cause" : strerror(errno));
        http_stop(h);
        return e;
    }
    h->port = info->port;
    *out = h;
    *out_port = h->port;
    return OK;
}

void http_stop(struct http *h)
{
    if (h != NULL) {
        if (h->daemon != NULL) {
            MHD_stop_daemon(h->daemon);
        }
        free(h);
    }
}
