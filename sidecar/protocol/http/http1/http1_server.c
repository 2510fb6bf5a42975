#include "sidecar/protocol/http/http1/http1_internal.h"
#include "sidecar/protocol/http/http1/http1_write.h"

static void settle(struct http1 *c)
{
    if (c->reading != READ_ENDED || c->writing != WRITE_ENDED) {
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

static void begin_stream(struct http1 *c)
{
    c->stream = c->stream == 0 ? 1 : c->stream + 2;
    c->writing = WRITE_HEAD;
    c->peer = HTTP_1_1;
    c->peer_keeps_alive = false;
    c->awaits_continue = false;
    c->asked = (struct http1_asked){0};
}

static void fail(struct http1 *c, enum http_problem problem, const char *why)
{
    c->reading = READ_ENDED;
    c->closes = true;
    c->events->on_failed(c->context, c->stream, problem, why);
    settle(c);
}

/* It may still be answered: the stream begins with its failure. */
static void on_bad_head(struct http1 *c, enum http_problem problem, const char *why)
{
    begin_stream(c);
    fail(c, problem, why);
}

static void on_head(struct http1 *c, struct bytes bytes)
{
    struct http1_found found;
    struct http1_head head;
    const char *why = "";
    begin_stream(c);
    http1_parser_init(&c->parser, true, false);
    enum http_problem problem = http1_parser_read_head(&c->parser, bytes, &found, &why);
    if (problem == HTTP_PROBLEM_NONE) {
        problem = http1_head_of_request(&found, &c->names, &head, &why);
    }
    if (problem != HTTP_PROBLEM_NONE) {
        fail(c, problem, why);
        return;
    }
    c->peer = head.request.version;
    c->peer_keeps_alive = !head.closes;
    c->awaits_continue = head.request.expects_continue;
    c->closes = c->closes || head.closes;
    c->asked.is_head = bytes_equal_string(head.request.method, "HEAD");
    c->asked.is_connect = bytes_equal_string(head.request.method, "CONNECT");
    c->asked.is_websocket = head.request.is_websocket;
    uint32_t stream = c->stream;
    http1_begin_body(c, head.framing, head.request.body_size);
    c->events->on_request(c->context, stream, &head.request);
    if (head.closes && c->reading != READ_OVER) {
        c->events->on_going_away(c->context, stream);
    }
    http1_end_head(c);
}

static const struct http1_side side = {
    .lines = HTTP1_REQUEST_LINES,
    .on_head = on_head,
    .on_bad_head = on_bad_head,
    .fail = fail,
    .settle = settle,
    .ends_alone = false,
};

static void feed_end(struct http_codec *codec)
{
    struct http1 *c = http1_of(codec);
    switch (c->reading) {
    case READ_HEAD:
        http1_close(c);
        if (http1_filter_has_begun(&c->filter)) {
            c->events->on_failed(c->context, 0, HTTP_PROBLEM_ENDED,
                                 "the connection ended within a head");
        } else {
            c->events->on_going_away(c->context, c->stream);
        }
        break;
    case READ_ENDED: c->closes = true; break;
    case READ_TUNNEL: http1_close(c); break;
    case READ_OVER: break;
    default: fail(c, HTTP_PROBLEM_ENDED, "the connection ended within the message"); break;
    }
}

static const char *connection_of(const struct http1 *c, const struct http_response *r)
{
    if (r->status == 101) {
        return "upgrade";
    }
    if (c->asked.is_connect && r->status / 100 == 2) {
        return NULL;
    }
    if (c->closes) {
        return "close";
    }
    return c->peer == HTTP_1_0 && c->peer_keeps_alive ? "keep-alive" : NULL;
}

/* How the response is framed (RFC 9112 section 6.3), and what it is for the connection. */
static enum http1_writing frame(struct http1 *c, const struct http_response *r,
                                struct http1_head_lines *lines)
{
    if (r->status == 101) {
        lines->upgrades = true;
        return WRITE_RAW;
    }
    if (c->asked.is_connect && r->status / 100 == 2) {
        return WRITE_ENDED;
    }
    lines->length = r->body_size;
    if (c->asked.is_head || r->status == 204 || r->status == 304) {
        /* A length of 0 that 304 did not mean would be taken for the content's. */
        lines->says_length = r->body_size > 0 || (c->asked.is_head && r->body_size == 0);
        lines->says_length = lines->says_length && r->status != 204;
        return r->has_body ? WRITE_SKIPPED : WRITE_ENDED;
    }
    if (!r->has_body || r->body_size >= 0) {
        lines->says_length = true;
        lines->length = r->has_body ? r->body_size : 0;
        c->to_write = lines->length;
        return r->has_body ? WRITE_LENGTH : WRITE_ENDED;
    }
    if (c->peer == HTTP_1_0) {
        c->closes = true;
        return WRITE_RAW;
    }
    lines->is_chunked = true;
    return WRITE_CHUNKED;
}

static void send_response(struct http_codec *codec, uint32_t stream, const struct http_response *r)
{
    struct http1 *c = http1_of(codec);
    struct http1_head_lines lines = {0};
    if (stream != c->stream || c->writing != WRITE_HEAD || c->reading == READ_OVER) {
        return;
    }
    if ((r->status < 200 && r->status != 101) || (r->status == 101 && !c->asked.is_websocket)) {
        http1_close(c);
        return;
    }
    /* An agent that waits for 100 may send the body or not (RFC 9110 section 10.1.1): what comes
     * next could be either, and is not looked at. */
    if (c->awaits_continue && c->reading != READ_ENDED) {
        c->reading = READ_ENDED;
        c->closes = true;
    }
    enum http1_writing writing = frame(c, r, &lines);
    lines.connection = connection_of(c, r);
    if (http1_write_response(&c->out, r, &lines) != OK) {
        http1_close(c);
        return;
    }
    if (r->status == 101) {
        http1_begin_body(c, HTTP1_UNTIL_END, HTTP_SIZE_UNKNOWN);
        c->closes = true;
    }
    c->asked.is_connect = c->asked.is_connect && r->status / 100 == 2;
    c->writing = writing;
    http1_flush_head(c);
    settle(c);
}

static void send_informational(struct http_codec *codec, uint32_t stream,
                               const struct http_response *r)
{
    struct http1 *c = http1_of(codec);
    struct http1_head_lines lines = {0};
    /* HTTP/1.0 does not know them (RFC 9110 section 15.2). */
    if (stream != c->stream || c->writing != WRITE_HEAD || c->reading == READ_OVER ||
        c->peer == HTTP_1_0 || r->status < 100 || r->status > 199 || r->status == 101) {
        return;
    }
    if (http1_write_response(&c->out, r, &lines) != OK) {
        http1_close(c);
        return;
    }
    if (r->status == 100) {
        c->awaits_continue = false;
    }
    http1_flush_head(c);
}

static uint32_t send_request(struct http_codec *codec, const struct http_request *request,
                             bool has_body)
{
    (void)codec;
    (void)request;
    (void)has_body;
    return 0;
}

static bool can_request(const struct http_codec *codec)
{
    (void)codec;
    return false;
}

static const struct http_codec_ops ops = {
    .destroy = http1_destroy,
    .feed = http1_feed,
    .is_blocked = http1_is_blocked,
    .feed_end = feed_end,
    .consumed = http1_consumed,
    .send_request = send_request,
    .can_request = can_request,
    .send_informational = send_informational,
    .send_response = send_response,
    .send_data = http1_send_data,
    .send_end = http1_send_end,
    .reset = http1_reset,
    .waiting = http1_waiting,
    .go_away = http1_go_away,
    .is_over = http1_is_over,
    .open_streams = http1_open_streams,
    .allow_streams = http1_allow_streams,
};

struct http_codec *http1_server_create(const struct http_codec_events *events, void *context)
{
    return http1_create(&ops, &side, events, context);
}
