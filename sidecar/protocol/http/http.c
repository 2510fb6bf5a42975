/* The life of a connection: the first bytes, the grant, the target, the end. */
#include "sidecar/protocol/http/http.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

#include "sidecar/protocol/http/http_internal.h"

/* RFC 9113 section 3.4. */
static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/* ---- exchanges ------------------------------------------------------------------------------ */

struct http_exchange *http_find_agent(struct http *p, uint32_t stream)
{
    struct http_exchange *x = p->first;
    while (x != NULL && x->agent_stream != stream) {
        x = x->next;
    }
    return x;
}

struct http_exchange *http_find_target(struct http *p, uint32_t stream)
{
    struct http_exchange *x = p->first;
    while (x != NULL && (x->target_stream != stream || x->target_is_done)) {
        x = x->next;
    }
    return x;
}

static void exchange_free(struct http_exchange *x)
{
    buffer_wipe(&x->gathered);
    buffer_wipe(&x->request_record.bytes);
    buffer_wipe(&x->record.bytes);
    buffer_wipe(&x->delayed);
    http_body_destroy(x->request_plain);
    http_body_destroy(x->body);
    http_body_destroy(x->reader);
    http_socket_free(x->socket);
    http_events_free(x->events);
    http_kept_free(&x->request_trailers);
    http_kept_free(&x->request_trailers_shown);
    http_kept_free(&x->response_fields);
    http_kept_free(&x->response_trailers);
    http_masks_release(x->masks);
    arena_destroy(x->arena);
    free(x->receipt);
    free(x->block);
    free(x);
}

static void drop(struct http_exchange *x)
{
    struct http *p = x->http;
    struct http_exchange **at = &p->first;
    struct http_exchange *before = NULL;
    while (*at != x) {
        before = *at;
        at = &(*at)->next;
    }
    *at = x->next;
    if (p->last == x) {
        p->last = before;
    }
    if (p->held == x) {
        p->held = NULL;
    }
    exchange_free(x);
}

/* Not freed where it stands: those that called may still look at it. */
void http_exchange_settle(struct http_exchange *x)
{
    x->is_settled = x->request_complete && x->response_complete;
}

static void sweep(struct http *p)
{
    struct http_exchange *x = p->first;
    while (x != NULL) {
        struct http_exchange *next = x->next;
        if (x->is_settled) {
            drop(x);
        }
        x = next;
    }
}

void http_exchange_abandon(struct http_exchange *x, const char *why)
{
    struct http *p = x->http;
    if (p->held == x) {
        (void)p->link->ops->withdraw(p->link, "the agent went away", true);
        p->held = NULL;
    }
    if (x->state == EXCHANGE_RELAYING && !x->response_complete) {
        (void)snprintf(x->error_code, sizeof(x->error_code), "cancelled");
        (void)snprintf(x->error, sizeof(x->error), "%s", why);
        (void)http_record_outcome(x, CHAPERONE__V1__STATUS__UNKNOWN);
        p->target->ops->reset(p->target, x->target_stream, HTTP_PROBLEM_CANCELLED);
    }
    x->target_is_done = true;
    x->request_complete = true;
    x->response_complete = true;
    x->is_settled = true;
}

void http_go_away(struct http *p)
{
    if (p->agent != NULL) {
        p->agent->ops->go_away(p->agent);
    }
}

void http_no_memory(struct http *p)
{
    p->is_closing = true;
    p->link->ops->set_end(p->link, "error", "out of memory");
}

/* ---- the session ---------------------------------------------------------------------------- */

static struct bytes after_scheme(struct bytes value, const char *scheme)
{
    size_t size = strlen(scheme);
    if (value.size <= size) {
        return (struct bytes){0};
    }
    for (size_t i = 0; i < size; i++) {
        if (tolower(value.data[i]) != scheme[i]) {
            return (struct bytes){0};
        }
    }
    while (size < value.size && value.data[size] == ' ') {
        size++;
    }
    return bytes_of(value.data + size, value.size - size);
}

/* Through a proxy the token is the proxy's: as a bearer, or as the password of what most clients
 * can only say, user and password. */
static bool proxy_token(struct bytes value, struct buffer *out)
{
    struct bytes token = after_scheme(value, "bearer ");
    if (token.size > 0) {
        return buffer_append(out, token) == OK;
    }
    struct buffer pair;
    buffer_init(&pair, HTTP_HEAD_MAX);
    bool ok = crypto_base64_decode(after_scheme(value, "basic "), &pair) == OK;
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
                       : buffer_append(out, after_scheme(value, "bearer ")) == OK;
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

static void refuse_all(struct http *p)
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
    refuse_all(p);
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
    (void)snprintf(p->host, sizeof(p->host), "%s", host);
    if (!is_known) {
        p->refused_status = 403;
        (void)snprintf(p->refused_why, sizeof(p->refused_why), "%s",
                       !x->request.is_absolute ? "this is a proxy: requests name the whole URL"
                                               : "no resource of this sidecar has that host");
        p->link->ops->set_end(p->link, "refused", p->refused_why);
        p->target_state = HTTP_TARGET_GONE;
        return false;
    }
    http_go_away(p); /* the next request may be for another host: on a connection of its own */
    return true;
}

void http_advance(struct http *p)
{
    if (p->first != NULL && p->target_state == HTTP_TARGET_NONE && choose(p, p->first)) {
        if (!p->has_token) {
            identify(p, &p->first->request, p->link->ops->is_proxy(p->link));
        }
    }
    if (p->refused_status != 0) {
        refuse_all(p);
    }
    for (struct http_exchange *x = p->first; x != NULL && p->target_state == HTTP_TARGET_READY;
         x = x->next) {
        if (p->held != NULL && p->held != x) {
            continue; /* messages are decided in their order */
        }
        if (x->state == EXCHANGE_NEW || x->state == EXCHANGE_GATHERING ||
            x->state == EXCHANGE_HELD) {
            http_exchange_start(x);
        }
    }
}

/* Somewhat before the credential's end: 30 seconds, or the last quarter of its life, so that a
 * request that takes its time is still taken. */
static int64_t renewal(struct http *p, int64_t lifetime_ms)
{
    int64_t margin_ms = lifetime_ms / 4 < 30000 ? lifetime_ms / 4 : 30000;
    return lifetime_ms <= 0 || lifetime_ms > INT64_MAX / 2000000
               ? 0
               : p->link->ops->monotonic_ns(p->link) + (lifetime_ms - margin_ms) * 1000000;
}

static enum protocol_step on_granted(void *context, const Chaperone__V1__OpenSessionResponse *grant)
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
    refuse_all(p);
    sweep(p);
    bool is_silent = p->is_tunnel && p->agent == NULL; /* nobody has asked yet who could be told */
    return p->first == NULL && !is_silent ? PROTOCOL_CLOSE : PROTOCOL_MORE;
}

static enum protocol_step on_refused(void *context, enum err code, const char *why)
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
    p->link->ops->opened(p->link);
    http_advance(p);
    sweep(p);
    return PROTOCOL_MORE;
}

static enum protocol_step on_connected(void *context, enum protocol_side side)
{
    struct http *p = context;
    if (side != SIDE_TARGET) {
        return PROTOCOL_MORE;
    }
    if (!p->link->ops->has_tls(p->link, SIDE_TARGET)) {
        return target_ready(p, wants_http2(p));
    }
    p->target_state = HTTP_TARGET_SECURING;
    return p->link->ops->start_tls(p->link, SIDE_TARGET) ? PROTOCOL_MORE : PROTOCOL_CLOSE;
}

static enum protocol_step on_secured(void *context, enum protocol_side side)
{
    struct http *p = context;
    if (side != SIDE_TARGET) {
        return PROTOCOL_MORE;
    }
    return target_ready(p, bytes_equal_string(p->link->ops->alpn(p->link, SIDE_TARGET), "h2"));
}

static enum protocol_step on_failed(void *context, enum protocol_side side, enum err code,
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
        refuse_all(p);
    }
    return PROTOCOL_CLOSE;
}

/* ---- CONNECT -------------------------------------------------------------------------------- */

/* The first request of a proxy's connection: the tunnel ends here, and what comes in it is read. */
static void on_proxy_request(void *context, uint32_t stream, const struct http_request *r)
{
    struct http *p = context;
    char host[HTTP_HOST_SIZE];
    uint16_t port = 0;
    if (!bytes_equal_string(r->method, "CONNECT")) {
        http_on_request(context, stream, r);
        return;
    }
    bool is_read = http_authority_read(r->authority, host, &port) == OK && port != 0;
    if (p->is_tunnel || !is_read || !p->link->ops->choose(p->link, host, port, port != 80)) {
        const char *why = "no resource of this sidecar has that host";
        p->link->ops->set_end(p->link, "refused", why);
        http_go_away(p);
        http_refuse_stream(p, stream, &(struct http_refusal){.status = 403, .detail = why});
        p->refused_status = 403;
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

static const struct http_codec_events proxy_events;

/* ---- bytes ---------------------------------------------------------------------------------- */

static bool is_beginning_of(struct bytes in, const char *text, size_t size)
{
    size_t n = in.size < size ? in.size : size;
    return memcmp(in.data, text, n) == 0;
}

/* Which version the agent speaks; false: more has to come. */
static bool find_version(struct http *p, struct bytes in)
{
    if (in.size == 0) {
        return false;
    }
    bool is_http2 = is_beginning_of(in, preface, sizeof(preface) - 1);
    if (is_http2 && in.size < sizeof(preface) - 1) {
        return false;
    }
    bool is_proxy = p->link->ops->is_proxy(p->link) && !p->is_tunnel;
    const struct http_codec_events *events = is_proxy ? &proxy_events : &http_agent_events;
    p->agent = is_http2 ? http2_server_create(events, p) : http1_server_create(events, p);
    if (p->agent == NULL) {
        http_no_memory(p);
    }
    return p->agent != NULL;
}

static enum protocol_step enter_tunnel(struct http *p)
{
    p->agent->ops->destroy(p->agent);
    p->agent = NULL;
    p->replaced = NULL;
    if (p->is_secure && !p->link->ops->start_tls(p->link, SIDE_AGENT)) {
        return PROTOCOL_CLOSE;
    }
    return PROTOCOL_MORE;
}

static enum protocol_step agent_step(struct http *p, bool has_rest)
{
    if (p->is_closing || (p->agent != NULL && p->agent->ops->is_over(p->agent))) {
        return PROTOCOL_CLOSE;
    }
    if (p->held != NULL) {
        return PROTOCOL_WAIT;
    }
    return has_rest && p->agent != NULL && p->agent->ops->is_blocked(p->agent) ? PROTOCOL_WAIT
                                                                               : PROTOCOL_MORE;
}

static enum protocol_step on_agent_bytes(void *context, struct bytes in, size_t *out_used)
{
    struct http *p = context;
    if (p->agent == NULL && !find_version(p, in)) {
        return p->is_closing ? PROTOCOL_CLOSE : PROTOCOL_MORE;
    }
    http_advance(p);
    while (*out_used < in.size && p->held == NULL && !p->is_closing) {
        size_t used =
            p->agent->ops->feed(p->agent, bytes_of(in.data + *out_used, in.size - *out_used));
        *out_used += used;
        if (p->replaced != NULL) {
            return *out_used < in.size ? PROTOCOL_CLOSE : enter_tunnel(p);
        }
        http_advance(p);
        sweep(p);
        if (used == 0) {
            break;
        }
    }
    sweep(p);
    return agent_step(p, *out_used < in.size);
}

static enum protocol_step on_target_bytes(void *context, struct bytes in, size_t *out_used)
{
    struct http *p = context;
    if (p->target == NULL) {
        return in.size == 0 ? PROTOCOL_MORE : PROTOCOL_CLOSE;
    }
    while (*out_used < in.size && !p->is_closing) {
        size_t used =
            p->target->ops->feed(p->target, bytes_of(in.data + *out_used, in.size - *out_used));
        *out_used += used;
        sweep(p);
        http_advance(p); /* the target may be free for the next one */
        if (used == 0) {
            break;
        }
    }
    sweep(p);
    if (p->target->ops->is_over(p->target) && p->target_state == HTTP_TARGET_READY) {
        p->target_state = HTTP_TARGET_GONE;
        http_take_no_more(p, "the target closed the connection; send the request again");
        sweep(p);
    }
    if (agent_step(p, false) == PROTOCOL_CLOSE) {
        return PROTOCOL_CLOSE;
    }
    bool has_rest = *out_used < in.size;
    return has_rest && p->target->ops->is_blocked(p->target) ? PROTOCOL_WAIT : PROTOCOL_MORE;
}

/* ---- the end -------------------------------------------------------------------------------- */

static enum protocol_step target_ended(struct http *p)
{
    if (p->target != NULL) {
        p->target->ops->feed_end(p->target);
    }
    p->link->ops->set_end(p->link, "target_disconnected", "");
    p->target_state = HTTP_TARGET_GONE;
    http_take_no_more(p, "the target closed the connection; send the request again");
    return PROTOCOL_CLOSE;
}

static enum protocol_step agent_ended(struct http *p)
{
    if (p->agent != NULL) {
        p->agent->ops->feed_end(p->agent);
    }
    for (struct http_exchange *x = p->first; x != NULL; x = x->next) {
        if (x->socket != NULL || x->events != NULL) { /* these would never end */
            http_exchange_abandon(x, "the agent went away");
        }
    }
    sweep(p);
    return p->first == NULL ? PROTOCOL_CLOSE : PROTOCOL_MORE;
}

static enum protocol_step on_end(void *context, enum protocol_side side)
{
    return side == SIDE_TARGET ? target_ended(context) : agent_ended(context);
}

static void on_terminate(void *context, enum err code, const char *why, bool stop_running)
{
    struct http *p = context;
    (void)stop_running; /* closing the connection is what stops it */
    if (p->agent == NULL) {
        return;
    }
    http_go_away(p);
    for (struct http_exchange *x = p->first; x != NULL; x = x->next) {
        if (!x->response_started) {
            http_refuse(x, &(struct http_refusal){.status = code == ERR_DENIED    ? 403
                                                            : code == ERR_TIMEOUT ? 408
                                                                                  : 503,
                                                  .detail = why,
                                                  .rule = "session",
                                                  .operation = x->operation});
        } else if (!x->response_complete) {
            p->agent->ops->reset(p->agent, x->agent_stream, HTTP_PROBLEM_CANCELLED);
        }
    }
}

static bool is_idle(const void *context)
{
    const struct http *p = context;
    return p->first == NULL;
}

static void on_close(void *context)
{
    struct http *p = context;
    for (struct http_exchange *x = p->first; x != NULL; x = x->next) {
        if (x->operation != 0) {
            (void)snprintf(x->error_code, sizeof(x->error_code), "session_ended");
            (void)http_record_outcome(x, CHAPERONE__V1__STATUS__UNKNOWN);
        }
    }
}

/* ---- events of the codecs ------------------------------------------------------------------- */

static void write_agent(void *context, struct bytes b)
{
    struct http *p = context;
    p->link->ops->to_agent(p->link, b);
}

static void write_target(void *context, struct bytes b)
{
    struct http *p = context;
    p->link->ops->to_target(p->link, b);
}

/* The agent took all of a response: more of it may come. */
static void on_agent_drained(void *context, uint32_t stream)
{
    struct http *p = context;
    struct http_exchange *x = http_find_agent(p, stream);
    if (x != NULL && x->response_unconsumed > 0 && p->target != NULL) {
        size_t count = x->response_unconsumed;
        x->response_unconsumed = 0;
        p->target->ops->consumed(p->target, x->target_stream, count);
    }
}

static void on_target_drained(void *context, uint32_t stream)
{
    struct http *p = context;
    struct http_exchange *x = http_find_target(p, stream);
    if (x != NULL && x->request_unconsumed > 0) {
        size_t count = x->request_unconsumed;
        x->request_unconsumed = 0;
        p->agent->ops->consumed(p->agent, x->agent_stream, count);
    }
}

static void on_agent_going_away(void *context, uint32_t last_stream)
{
    (void)context;
    (void)last_stream;
}

static void on_target_going_away(void *context, uint32_t last_stream)
{
    (void)last_stream;
    http_go_away(context);
}

const struct http_codec_events http_agent_events = {
    .write = write_agent,
    .on_request = http_on_request,
    .on_data = http_on_request_data,
    .on_trailers = http_on_request_trailers,
    .on_end = http_on_request_end,
    .on_failed = http_on_request_failed,
    .on_drained = on_agent_drained,
    .on_going_away = on_agent_going_away,
};

static const struct http_codec_events proxy_events = {
    .write = write_agent,
    .on_request = on_proxy_request,
    .on_data = http_on_request_data,
    .on_trailers = http_on_request_trailers,
    .on_end = http_on_request_end,
    .on_failed = http_on_request_failed,
    .on_drained = on_agent_drained,
    .on_going_away = on_agent_going_away,
};

const struct http_codec_events http_target_events = {
    .write = write_target,
    .on_informational = http_on_informational,
    .on_response = http_on_response,
    .on_data = http_on_response_data,
    .on_trailers = http_on_response_trailers,
    .on_end = http_on_response_end,
    .on_failed = http_on_response_failed,
    .on_drained = on_target_drained,
    .on_going_away = on_target_going_away,
};

/* ---- life ----------------------------------------------------------------------------------- */

static void *create(struct protocol_link *link, const struct protocol_shared *shared)
{
    struct http *p = calloc(1, sizeof(*p));
    if (p != NULL) {
        p->link = link;
        p->shared = shared;
        buffer_init(&p->out, MASKER_BODY_VALUE_MAX * 2);
    }
    return p;
}

static void destroy(void *context)
{
    struct http *p = context;
    while (p->first != NULL) {
        drop(p->first);
    }
    if (p->agent != NULL) {
        p->agent->ops->destroy(p->agent);
    }
    if (p->target != NULL) {
        p->target->ops->destroy(p->target);
    }
    http_kept_free(&p->credential);
    http_secrets_destroy(p->secrets);
    http_masks_release(p->masks);
    buffer_wipe(&p->out);
    free(p->authority);
    bytes_wipe(p, sizeof(*p));
    free(p);
}

static void unix_path(const char *dir, uint16_t port, char *out, size_t size)
{
    (void)port;
    (void)snprintf(out, size, "%s", dir);
}

static enum protocol_step on_second_bytes(void *context, struct bytes in, size_t *out_used)
{
    (void)context;
    *out_used = in.size;
    return PROTOCOL_MORE;
}

static void on_signal(void *context)
{
    (void)context;
}

const struct protocol protocol_http = {
    .name = "http",
    .alpn = "h2,http/1.1",
    .starts_with_tls = true,
    .is_offered_nothing = true,
    .unix_path = unix_path,
    .create = create,
    .destroy = destroy,
    .buffer_max = HTTP_FEED_BUFFER,
    .on_agent_bytes = on_agent_bytes,
    .on_target_bytes = on_target_bytes,
    .on_second_bytes = on_second_bytes,
    .on_granted = on_granted,
    .on_refused = on_refused,
    .on_connected = on_connected,
    .on_secured = on_secured,
    .on_failed = on_failed,
    .on_end = on_end,
    .on_signal = on_signal,
    .on_terminate = on_terminate,
    .is_idle = is_idle,
    .on_close = on_close,
};
