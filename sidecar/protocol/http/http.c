/* The life of a connection: bytes of both sides, and the end. How it is opened: http_open.c. */
#include "sidecar/protocol/http/http.h"

#include <stdio.h>
#include <stdlib.h>

#include "sidecar/protocol/http/http_internal.h"

/* RFC 9113 section 3.4. */
static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

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

static bool needs_target(struct http *p)
{
    bool needs = false;
    for (struct http_exchange *x = p->first; x != NULL && !needs; x = x->next) {
        needs = x->state == EXCHANGE_NEW ||
                (x->state == EXCHANGE_GATHERING && http_exchange_is_there(x)) ||
                (x->state == EXCHANGE_HELD && !p->link->ops->is_held(p->link));
    }
    return needs;
}

void http_advance(struct http *p)
{
    http_open(p);
    if (p->refused_status != 0) {
        http_refuse_all(p);
    }
    if (p->target_state == HTTP_TARGET_AWAY && needs_target(p)) {
        p->target_state = HTTP_TARGET_CONNECTING;
        p->link->ops->connect_target(p->link);
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
    const struct http_codec_events *events = is_proxy ? &http_proxy_events : &http_agent_events;
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

bool http_is_over(const struct http *p)
{
    return p->is_closing || (p->agent != NULL && p->agent->ops->is_over(p->agent));
}

static enum protocol_step agent_step(struct http *p, bool has_rest)
{
    if (http_is_over(p)) {
        return PROTOCOL_CLOSE;
    }
    if (p->held != NULL) {
        return PROTOCOL_WAIT;
    }
    return has_rest && p->agent != NULL && p->agent->ops->is_blocked(p->agent) ? PROTOCOL_WAIT
                                                                               : PROTOCOL_MORE;
}

/* Its connection is over, or will be. The next request gets another one: targets close those that
 * are idle, and people take longer to decide than targets wait. */
static void leave_target(struct http *p)
{
    /* A codec tells of its connection's failure only where it is fed. */
    http_lose_target(p, HTTP_PROBLEM_ENDED, "the connection to the target failed");
    p->target->ops->destroy(p->target);
    p->target = NULL;
    p->target_state = HTTP_TARGET_AWAY;
    p->link->ops->leave_target(p->link);
    http_advance(p);
    http_sweep(p);
}

/* Of a request that was broken off HTTP/1 is told by the end of its connection. Not within a call
 * of the target's codec; and not where all ends, which closes it behind what was said last. */
static bool leave_if_over(struct http *p)
{
    bool is_over = p->target != NULL && p->target->ops->is_over(p->target) && !http_is_over(p);
    if (is_over) {
        leave_target(p);
    }
    return is_over;
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
        http_sweep(p);
        (void)leave_if_over(p);
        if (used == 0) {
            break;
        }
    }
    http_sweep(p);
    return agent_step(p, *out_used < in.size);
}

static enum protocol_step on_target_bytes(void *context, struct bytes in, size_t *out_used)
{
    struct http *p = context;
    if (p->target == NULL) {
        *out_used = in.size; /* of a connection that is over */
        return in.size == 0 || p->target_state == HTTP_TARGET_AWAY ? PROTOCOL_MORE : PROTOCOL_CLOSE;
    }
    while (*out_used < in.size && !p->is_closing) {
        size_t used =
            p->target->ops->feed(p->target, bytes_of(in.data + *out_used, in.size - *out_used));
        *out_used += used;
        http_sweep(p);
        http_advance(p); /* the target may be free for the next one */
        if (used == 0) {
            break;
        }
    }
    http_sweep(p);
    bool is_over = leave_if_over(p);
    if (agent_step(p, false) == PROTOCOL_CLOSE) {
        return PROTOCOL_CLOSE;
    }
    if (is_over) {
        *out_used = in.size;
    }
    return *out_used < in.size && p->target->ops->is_blocked(p->target) ? PROTOCOL_WAIT
                                                                        : PROTOCOL_MORE;
}

/* ---- the end -------------------------------------------------------------------------------- */

static enum protocol_step target_ended(struct http *p)
{
    if (p->target != NULL) {
        p->target->ops->feed_end(p->target);
        http_sweep(p);
        leave_target(p);
    }
    return p->agent_ended ? PROTOCOL_CLOSE : agent_step(p, false);
}

static enum protocol_step agent_ended(struct http *p)
{
    p->agent_ended = true;
    if (p->agent != NULL) {
        p->agent->ops->feed_end(p->agent);
    }
    for (struct http_exchange *x = p->first; x != NULL; x = x->next) {
        if (x->socket != NULL || x->events != NULL) { /* these would never end */
            http_exchange_abandon(x, "the agent went away");
        }
    }
    http_sweep(p);
    (void)leave_if_over(p);
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

/* When its last stream has ended the next request gets another connection. */
static void on_target_going_away(void *context, uint32_t last_stream)
{
    (void)context;
    (void)last_stream;
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

const struct http_codec_events http_proxy_events = {
    .write = write_agent,
    .on_request = http_on_proxy_request,
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
        http_exchange_drop(p->first);
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
    .on_granted = http_on_granted,
    .on_refused = http_on_refused,
    .on_connected = http_on_connected,
    .on_secured = http_on_secured,
    .on_failed = http_on_failed,
    .on_end = on_end,
    .on_signal = on_signal,
    .on_terminate = on_terminate,
    .is_idle = is_idle,
    .on_close = on_close,
};
