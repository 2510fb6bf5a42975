#include "sidecar/protocol/http/http1/http1_internal.h"
#include "sidecar/protocol/http/http1/http1_write.h"

enum {
    /* Interim responses to one request: more are no progress but a way to keep it open. */
    INFORMATIONAL_MAX = 32,
};

static void settle(struct http1 *c)
{
    if (c->reading != READ_ENDED) {
        return;
    }
    if (c->writing != WRITE_ENDED) {
        /* The target has answered and will not read the rest (RFC 9112 section 9.6); a WebSocket's
         * other half goes on. */
        if (c->closes && c->writing != WRITE_RAW) {
            http1_close(c);
        }
        return;
    }
    if (c->asked.is_connect) {
        c->reading = READ_TUNNEL;
        return;
    }
    if (c->closes) {
        http1_close(c);
        return;
    }
    c->reading = READ_HEAD;
    c->writing = WRITE_NOTHING;
}

static void fail(struct http1 *c, enum http_problem problem, const char *why)
{
    uint32_t stream = c->reading == READ_ENDED || !http1_has_exchange(c) ? 0 : c->stream;
    http1_close(c);
    c->events->on_failed(c->context, stream, problem, why);
}

/* Returns what is wrong with it, or HTTP_PROBLEM_NONE. */
static enum http_problem read_head(struct http1 *c, struct bytes bytes, struct http1_found *found,
                                   struct http1_head *head, const char **out_why)
{
    http1_parser_init(&c->parser, false, c->asked.is_head);
    enum http_problem problem = http1_parser_read_head(&c->parser, bytes, found, out_why);
    if (problem == HTTP_PROBLEM_NONE) {
        problem = http1_head_of_response(found, c->asked, &c->names, head, out_why);
    }
    if (problem == HTTP_PROBLEM_NONE && found->status < 200 &&
        ++c->informational > INFORMATIONAL_MAX) {
        *out_why = "there are too many interim responses";
        return HTTP_PROBLEM_PROTOCOL;
    }
    return problem;
}

static void on_head(struct http1 *c, struct bytes bytes)
{
    struct http1_found found;
    struct http1_head head;
    const char *why = "";
    enum http_problem problem = read_head(c, bytes, &found, &head, &why);
    if (problem != HTTP_PROBLEM_NONE) {
        fail(c, problem, why);
        return;
    }
    unsigned status = head.response.status;
    if (status < 200 && status != 101) {
        c->events->on_informational(c->context, c->stream, &head.response);
        return;
    }
    http1_begin_body(c, head.framing, head.response.body_size);
    c->asked.is_connect = head.framing == HTTP1_TUNNEL;
    c->closes = c->closes || head.closes || status == 101;
    if (status == 101) {
        c->writing = WRITE_RAW;
    }
    if (c->closes) { /* first: so that the agent can be told in the head that it gets */
        c->events->on_going_away(c->context, c->stream);
    }
    if (c->reading != READ_OVER) {
        c->events->on_response(c->context, c->stream, &head.response);
        http1_end_head(c);
    }
}

static const struct http1_side side = {
    .lines = HTTP1_RESPONSE_LINES,
    .on_head = on_head,
    .on_bad_head = fail,
    .fail = fail,
    .settle = settle,
    .ends_alone = true,
};

static size_t feed(struct http_codec *codec, struct bytes in)
{
    struct http1 *c = http1_of(codec);
    if (in.size > 0 && c->reading == READ_HEAD && c->writing == WRITE_NOTHING) {
        fail(c, HTTP_PROBLEM_PROTOCOL, "there is a response that nobody asked for");
    }
    return http1_feed(codec, in);
}

static void feed_end(struct http_codec *codec)
{
    struct http1 *c = http1_of(codec);
    bool is_idle = !http1_has_exchange(c);
    switch (c->reading) {
    case READ_OVER: break;
    case READ_RAW:
        if (c->behind > 0) {
            fail(c, HTTP_PROBLEM_ENDED, "the response was not read to its end");
        } else {
            http1_end_message(c);
        }
        break;
    case READ_ENDED:
    case READ_TUNNEL: http1_close(c); break;
    default:
        if (is_idle) {
            http1_close(c);
            c->events->on_going_away(c->context, c->stream);
        } else {
            fail(c, HTTP_PROBLEM_ENDED, "the connection ended within the response");
        }
        break;
    }
}

static bool can_request(const struct http_codec *codec)
{
    const struct http1 *c = http1_of_const(codec);
    return c->reading == READ_HEAD && c->writing == WRITE_NOTHING && !c->closes;
}

/* RFC 9110 section 8.6: a method that is expected to have content says that there is none. */
static bool wants_length(struct bytes method)
{
    return bytes_equal_string(method, "POST") || bytes_equal_string(method, "PUT") ||
           bytes_equal_string(method, "PATCH");
}

static uint32_t send_request(struct http_codec *codec, const struct http_request *request,
                             bool has_body)
{
    struct http1 *c = http1_of(codec);
    if (!can_request(codec)) {
        return 0;
    }
    struct http_request r = *request;
    r.expects_continue = r.expects_continue && has_body;
    struct http1_head_lines lines = {
        .says_length = has_body ? r.body_size >= 0 : wants_length(r.method),
        .length = has_body ? r.body_size : 0,
        .is_chunked = has_body && r.body_size < 0,
        .connection = r.is_websocket ? "upgrade" : NULL,
        .upgrades = r.is_websocket,
    };
    if (http1_write_request(&c->out, &r, &lines) != OK) {
        return 0;
    }
    c->stream = c->stream == 0 ? 1 : c->stream + 2;
    c->writing = !has_body ? WRITE_ENDED : lines.is_chunked ? WRITE_CHUNKED : WRITE_LENGTH;
    c->to_write = lines.length;
    c->informational = 0;
    c->asked = (struct http1_asked){
        .is_head = bytes_equal_string(r.method, "HEAD"),
        .is_connect = bytes_equal_string(r.method, "CONNECT"),
        .is_websocket = r.is_websocket && !has_body,
    };
    http1_flush_head(c);
    return c->stream;
}

static void send_nothing(struct http_codec *codec, uint32_t stream,
                         const struct http_response *response)
{
    (void)codec;
    (void)stream;
    (void)response;
}

static const struct http_codec_ops ops = {
    .destroy = http1_destroy,
    .feed = feed,
    .is_blocked = http1_is_blocked,
    .feed_end = feed_end,
    .consumed = http1_consumed,
    .send_request = send_request,
    .can_request = can_request,
    .send_informational = send_nothing,
    .send_response = send_nothing,
    .send_data = http1_send_data,
    .send_end = http1_send_end,
    .reset = http1_reset,
    .waiting = http1_waiting,
    .go_away = http1_go_away,
    .is_over = http1_is_over,
    .open_streams = http1_open_streams,
    .allow_streams = http1_allow_streams,
};

struct http_codec *http1_client_create(const struct http_codec_events *events, void *context)
{
    return http1_create(&ops, &side, events, context);
}
