/* From the first request to a target that is ready: whose connection it is, where it leads, and
 * CONNECT, by which an explicit proxy is told. */
#include <stdio.h>
#include <stdlib.h>

#include "sidecar/protocol/http/http_internal.h"

/* ---- the session ---------------------------------------------------------------------------- */

/* Through a proxy the token is the proxy's: as a bearer, or as the password of what most clients
 * can only say, user and password. */
static bool proxy_token(struct bytes value, struct buffer *out)
{
    struct bytes token = http_after_scheme(value, "bearer ");
    if (token.size > 0) {
        return buffer_append(out, token) == OK;
    }
    struct buffer pair;
    buffer_init(&pair, HTTP_HEAD_MAX);
    bool ok = crypto_base64_decode(http_after_scheme(value, "basic "), &pair) == OK;
    struct bytes text = buffer_bytes(&pair);
    const uint8_t *colon = ok && text.size > 0 ? memchr(text.data, ':', text.size) : NULL;
    if (colon != NULL) {
        size_t at = (size_t)(colon - text.data) + 1;
        ok = buffer_append(out, bytes_of(text.data + at, text.size - at)) == OK;
    }
    buffer_wipe(&pair);
    return ok && colon != NULL;
}

/* Empty: the agent sent none. */
static void read_token(const struct http_request *r, bool is_proxy, struct buffer *out)
{
    struct bytes value =
        http_fields_find(&r->fields, is_proxy ? "proxy-authorization" : "authorization");
    bool ok = is_proxy ? proxy_token(value, out)
                       : buffer_append(out, http_after_scheme(value, "bearer ")) == OK;
    if (!ok) {
        buffer_clear(out);
    }
}

static void identify(struct http *p, const struct http_request *r, bool is_proxy)
{
    struct buffer token;
    buffer_init(&token, HTTP_HEAD_MAX);
    if (p->shared->token_in_band) {
        read_token(r, is_proxy, &token);
    }
    crypto_sha256_of(buffer_bytes(&token), p->token);
    p->has_token = true;
    p->target_state = HTTP_TARGET_IDENTIFYING;
    char agent[200];
    struct bytes name = http_fields_find(&r->fields, "user-agent");
    (void)snprintf(agent, sizeof(agent), "%.*s", (int)name.size,
                   name.size == 0 ? "" : (const char *)name.data);
    if (p->shared->token_in_band && buffer_size(&token) == 0) {
        p->refused_status = is_proxy ? 407 : 401;
        (void)snprintf(p->refused_why, sizeof(p->refused_why),
                       "no token: send it as %s: Bearer TOKEN",
                       is_proxy ? "Proxy-Authorization" : "Authorization");
        p->target_state = HTTP_TARGET_GONE;
        p->link->ops->set_end(p->link, "refused", "the agent sent no token");
    } else {
        p->link->ops->identify(p->link, &(struct protocol_request){.token = buffer_bytes(&token),
                                                                   .database = "",
                                                                   .user = "",
                                                                   .application_name = agent});
    }
    buffer_wipe(&token);
}

/* HTTP/2 can say that nothing was done: clients send it again, over another connection. */
static void refuse_one(struct http *p, struct http_exchange *x)
{
    http_go_away(p);
    if (p->is_retry && x->request.version == HTTP_2) {
        x->request_complete = true;
        x->response_complete = true;
        p->agent->ops->reset(p->agent, x->agent_stream, HTTP_PROBLEM_REFUSED);
        http_exchange_settle(x);
        return;
    }
    http_refuse(x, &(struct http_refusal){.status = p->refused_status,
                                          .detail = p->refused_why,
                                          .rule = "session",
                                          .retry_after_s = p->refused_status == 503 ? 1 : 0});
}

void http_refuse_all(struct http *p)
{
    for (struct http_exchange *x = p->first; x != NULL; x = x->next) {
        if (x->state == EXCHANGE_NEW || x->state == EXCHANGE_GATHERING) {
            refuse_one(p, x);
        }
    }
}

void http_take_no_more(struct http *p, const char *why)
{
    p->is_retry = true;
    p->refused_status = 503;
    (void)snprintf(p->refused_why, sizeof(p->refused_why), "%s", why);
    http_go_away(p);
    http_refuse_all(p);
}

/* A proxy's first request says where to. False: it was refused. */
static bool choose(struct http *p, struct http_exchange *x)
{
    char host[HTTP_HOST_SIZE];
    uint16_t port = 0;
    if (!p->link->ops->is_proxy(p->link) || p->is_tunnel) {
        return true;
    }
    bool is_read = http_authority_read(x->request.authority, host, &port) == OK;
    bool is_known = x->request.is_absolute && is_read &&
                    p->link->ops->choose(p->link, host, port == 0 ? 80 : port, false);
    if (!is_known) {
        p->refused_status = 403;
        (void)snprintf(p->refused_why, sizeof(p->refused_why), "%s",
                       !x->request.is_absolute ? "this is a proxy: requests name the whole URL"
                                               : "no resource of this sidecar has that host");
        p->link->ops->set_end(p->link, "refused", p->refused_why);
        p->target_state = HTTP_TARGET_GONE;
        return false;
    }
    (void)snprintf(p->host, sizeof(p->host), "%s", host);
    http_go_away(p); /* the next request may be for another host: on a connection of its own */
    return true;
}

void http_open(struct http *p)
{
    if (p->first != NULL && p->target_state == HTTP_TARGET_NONE && choose(p, p->first) &&
        !p->has_token) {
        identify(p, &p->first->request, p->link->ops->is_proxy(p->link));
    }
}

/* ---- the grant ------------------------------------------------------------------------------ */

/* Somewhat before the credential's end: 30 seconds, or the last quarter of its life, so that a
 * request that takes its time is still taken. */
static int64_t renewal(struct http *p, int64_t lifetime_ms)
{
    int64_t margin_ms = lifetime_ms / 4 < 30000 ? lifetime_ms / 4 : 30000;
    return lifetime_ms <= 0 || lifetime_ms > INT64_MAX / 2000000
               ? 0
               : p->link->ops->monotonic_ns(p->link) + (lifetime_ms - margin_ms) * 1000000;
}

enum protocol_step http_on_granted(void *context, const Chaperone__V1__OpenSessionResponse *grant)
{
    struct http *p = context;
    struct bytes secrets[HTTP_BODY_SECRETS_MAX];
    size_t count = 0;
    bool ok = true;
    const Chaperone__V1__Credential *c = grant->credential;
    for (size_t i = 0; ok && i < c->n_fields; i++) {
        ok = http_kept_add(&p->credential, bytes_of_string(c->fields[i]->name),
                           bytes_of(c->fields[i]->value.data, c->fields[i]->value.len), true);
    }
    for (size_t i = 0; i < c->n_secrets; i++) {
        ok = ok && count < HTTP_BODY_SECRETS_MAX;
        if (ok) {
            secrets[count++] = bytes_of(c->secrets[i].data, c->secrets[i].len);
        }
    }
    if (ok && count > 0) {
        p->secrets = http_secrets_create(secrets, count);
        ok = p->secrets != NULL;
    }
    if (grant->masking_key.len == sizeof(p->masking_key)) {
        memcpy(p->masking_key, grant->masking_key.data, sizeof(p->masking_key));
    }
    p->authority = strdup(grant->target->authority[0] != '\0' ? grant->target->authority
                                                              : grant->target->host);
    p->renew_ns = renewal(p, c->lifetime_ms);
    p->target_is_secure = grant->target->tls != CHAPERONE__V1__TLS_MODE__TLS_DISABLE;
    if (!ok || p->authority == NULL) {
        http_no_memory(p);
        return PROTOCOL_CLOSE;
    }
    p->target_state = HTTP_TARGET_CONNECTING;
    p->link->ops->connect_target(p->link);
    return PROTOCOL_MORE;
}

static enum protocol_step finish(struct http *p)
{
    http_refuse_all(p);
    http_sweep(p);
    bool is_silent = p->is_tunnel && p->agent == NULL; /* nobody has asked yet who could be told */
    return p->first == NULL && !is_silent ? PROTOCOL_CLOSE : PROTOCOL_MORE;
}

enum protocol_step http_on_refused(void *context, enum err code, const char *why)
{
    struct http *p = context;
    p->refused_status = code == ERR_UNAVAILABLE ? 503 : code == ERR_DENIED ? 403 : 502;
    if (code == ERR_DENIED && p->shared->token_in_band && !p->is_tunnel) {
        p->refused_status = p->link->ops->is_proxy(p->link) ? 407 : 401;
    }
    p->target_state = HTTP_TARGET_GONE;
    (void)snprintf(p->refused_why, sizeof(p->refused_why), "%s", why);
    return finish(p);
}

/* gRPC needs HTTP/2; to everything else in the clear HTTP/1.1 is spoken. */
static bool wants_http2(const struct http *p)
{
    static const char grpc[] = "application/grpc";
    struct bytes type = p->first == NULL
                            ? (struct bytes){0}
                            : http_fields_find(&p->first->request.fields, "content-type");
    return type.size >= sizeof(grpc) - 1 && memcmp(type.data, grpc, sizeof(grpc) - 1) == 0;
}

static enum protocol_step target_ready(struct http *p, bool is_http2)
{
    p->target = is_http2 ? http2_client_create(&http_target_events, p)
                         : http1_client_create(&http_target_events, p);
    if (p->target == NULL) {
        http_no_memory(p);
        return PROTOCOL_CLOSE;
    }
    p->target_state = HTTP_TARGET_READY;
    p->target_is_http2 = is_http2;
    p->target_was_used = false;
    if (!p->is_opened) {
        p->is_opened = true;
        p->link->ops->opened(p->link);
    }
    http_advance(p);
    http_sweep(p);
    return http_is_over(p) ? PROTOCOL_CLOSE : PROTOCOL_MORE;
}

enum protocol_step http_on_connected(void *context, enum protocol_side side)
{
    struct http *p = context;
    if (side != SIDE_TARGET) {
        return PROTOCOL_MORE;
    }
    if (!p->link->ops->has_tls(p->link, SIDE_TARGET)) {
        return target_ready(p, p->is_opened ? p->target_is_http2 : wants_http2(p));
    }
    p->target_state = HTTP_TARGET_SECURING;
    return p->link->ops->start_tls(p->link, SIDE_TARGET) ? PROTOCOL_MORE : PROTOCOL_CLOSE;
}

enum protocol_step http_on_secured(void *context, enum protocol_side side)
{
    struct http *p = context;
    if (side != SIDE_TARGET) {
        return PROTOCOL_MORE;
    }
    return target_ready(p, bytes_equal_string(p->link->ops->alpn(p->link, SIDE_TARGET), "h2"));
}

enum protocol_step http_on_failed(void *context, enum protocol_side side, enum err code,
                                  const char *why)
{
    struct http *p = context;
    (void)code;
    if (side == SIDE_TARGET) {
        if (p->target != NULL) {
            p->target->ops->feed_end(p->target);
        }
        p->target_state = HTTP_TARGET_GONE;
        p->refused_status = 502;
        (void)snprintf(p->refused_why, sizeof(p->refused_why),
                       "the target cannot be reached: %.150s", why);
        p->link->ops->set_end(p->link, "target_unreachable", why);
        if (p->held != NULL) { /* it may have been approved meanwhile */
            refuse_one(p, p->held);
            p->held = NULL;
        }
        http_refuse_all(p);
    }
    return PROTOCOL_CLOSE;
}

/* ---- CONNECT -------------------------------------------------------------------------------- */

static void refuse_connect(struct http *p, uint32_t stream, unsigned status, const char *why)
{
    p->link->ops->set_end(p->link, "refused", why);
    http_go_away(p);
    http_refuse_stream(p, stream, &(struct http_refusal){.status = status, .detail = why});
    p->refused_status = status;
    (void)snprintf(p->refused_why, sizeof(p->refused_why), "%s", why);
}

/* The first request of a proxy's connection: the tunnel ends here, and what comes in it is read. */
void http_on_proxy_request(void *context, uint32_t stream, const struct http_request *r)
{
    struct http *p = context;
    char host[HTTP_HOST_SIZE];
    uint16_t port = 0;
    if (!bytes_equal_string(r->method, "CONNECT")) {
        http_on_request(context, stream, r);
        return;
    }
    if (r->version == HTTP_2) {
        /* It would be one stream of several (RFC 9113 section 8.5), and not all that follows. */
        refuse_connect(p, stream, 501, "CONNECT is for HTTP/1.1");
        return;
    }
    bool is_read = http_authority_read(r->authority, host, &port) == OK && port != 0;
    if (p->is_tunnel || !is_read || !p->link->ops->choose(p->link, host, port, port != 80)) {
        refuse_connect(p, stream, 403, "no resource of this sidecar has that host");
        return;
    }
    identify(p, r, true);
    if (p->refused_status != 0) {
        http_go_away(p);
        http_refuse_stream(
            p, stream,
            &(struct http_refusal){.status = p->refused_status, .detail = p->refused_why});
        return;
    }
    const struct http_response ok = {.status = 200};
    p->agent->ops->send_response(p->agent, stream, &ok);
    p->agent->ops->send_end(p->agent, stream, NULL);
    p->is_tunnel = true;
    (void)snprintf(p->host, sizeof(p->host), "%s", host);
    p->is_secure = port != 80;
    p->replaced = p->agent;
}
