#include <stdlib.h>

#include "sidecar/protocol/http/http2/http2_internal.h"

/* Our SETTINGS, at the first opportunity: what the user allowed before is in them. */
static void start(struct http2 *c)
{
    nghttp2_settings_entry both[] = {
        {NGHTTP2_SETTINGS_ENABLE_PUSH, 0}, /* we neither push nor take it */
        {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, c->allowed},
        {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, HTTP_WINDOW},
        {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, HTTP_HEAD_MAX},
        /* RFC 9113 section 5.3.2: a tree of priorities is only work that a peer can make. */
        {NGHTTP2_SETTINGS_NO_RFC7540_PRIORITIES, 1},
    };
    c->is_started = true;
    if (nghttp2_submit_settings(c->session, NGHTTP2_FLAG_NONE, both,
                                sizeof(both) / sizeof(both[0])) != 0 ||
        nghttp2_session_set_local_window_size(c->session, NGHTTP2_FLAG_NONE, 0,
                                              HTTP2_CONNECTION_WINDOW) != 0) {
        c->problem = HTTP_PROBLEM_NO_MEMORY;
        c->why = "there is no memory for the connection";
    }
}

void http2_enter(struct http2 *c)
{
    c->depth++;
    if (!c->is_started) {
        start(c);
    }
}

void http2_fail(struct http2 *c, uint32_t code, enum http_problem problem, const char *why)
{
    if (c->problem == HTTP_PROBLEM_NONE) {
        c->problem = problem;
        c->why = why;
        (void)nghttp2_session_terminate_session(c->session, code);
    }
}

static bool tell_problem(struct http2 *c)
{
    if (c->problem == HTTP_PROBLEM_NONE || c->is_problem_told || !c->is_feeding) {
        return false;
    }
    c->is_problem_told = true;
    c->events->on_failed(c->context, 0, c->problem, c->why);
    return true;
}

void http2_leave(struct http2 *c)
{
    if (c->depth > 1) {
        c->depth--;
        return;
    }
    /* At depth 1, so that what an event asks to send is sent by the next turn. */
    do {
        c->depth = 1;
        http2_output_pump(c);
        /* Wherever in nghttp2 that was: what it could not queue is missing. */
        if (c->memory.is_exhausted && c->problem == HTTP_PROBLEM_NONE) {
            c->problem = HTTP_PROBLEM_NO_MEMORY;
            c->why = "there is no memory for the connection";
        }
        c->depth = 2;
    } while (http2_stream_tell(c));
    (void)tell_problem(c);
    c->depth = 0;
}

static void destroy(struct http_codec *codec)
{
    struct http2 *c = http2_of(codec);
    if (c == NULL) {
        return;
    }
    nghttp2_session_del(c->session);
    http2_memory_finish(&c->memory);
    while (c->first != NULL) {
        http2_stream_destroy(c, c->first);
    }
    http2_head_finish(&c->head);
    buffer_wipe(&c->batch);
    bytes_wipe(c, sizeof(*c));
    free(c);
}

static void fail_to_receive(struct http2 *c, ssize_t error)
{
    switch (error) {
    case NGHTTP2_ERR_BAD_CLIENT_MAGIC:
        http2_fail(c, NGHTTP2_PROTOCOL_ERROR, HTTP_PROBLEM_PROTOCOL,
                   "the connection does not begin as one of HTTP/2");
        break;
    case NGHTTP2_ERR_FLOODED:
    case NGHTTP2_ERR_TOO_MANY_CONTINUATIONS:
        http2_fail(c, NGHTTP2_ENHANCE_YOUR_CALM, HTTP_PROBLEM_PROTOCOL,
                   "the peer sent too much of what asks for nothing");
        break;
    default:
        http2_fail(c, NGHTTP2_INTERNAL_ERROR, HTTP_PROBLEM_NO_MEMORY,
                   "there is no memory for the connection");
        break;
    }
}

static size_t feed(struct http_codec *codec, struct bytes in)
{
    struct http2 *c = http2_of(codec);
    c->is_feeding = true;
    http2_enter(c);
    if (c->problem == HTTP_PROBLEM_NONE && in.size > 0) {
        http2_guard_spend(&c->guard, in.size);
        ssize_t used = nghttp2_session_mem_recv(c->session, in.data, in.size);
        if (used < 0) {
            fail_to_receive(c, used);
        } else if (http2_guard_is_exceeded(&c->guard)) {
            http2_fail(c, NGHTTP2_ENHANCE_YOUR_CALM, HTTP_PROBLEM_PROTOCOL,
                       "the peer sent too much of what asks for nothing");
        }
    }
    http2_leave(c);
    c->is_feeding = false;
    return in.size;
}

static bool is_blocked(const struct http_codec *codec)
{
    (void)codec;
    return false;
}

/* A stream whose message will not be whole any more. What is open of a server besides these are
 * requests that came whole, and are answered yet. */
static struct http2_stream *find_broken(const struct http2 *c)
{
    for (struct http2_stream *s = c->first; s != NULL; s = s->next) {
        if (!s->is_closed && !s->is_silent && (!c->is_server || s->receiving != HTTP2_RECEIVED)) {
            return s;
        }
    }
    return NULL;
}

static void feed_end(struct http_codec *codec)
{
    struct http2 *c = http2_of(codec);
    struct http2_stream *s = NULL;
    c->is_feeding = true;
    http2_enter(c);
    c->is_ended = true;
    while (c->problem == HTTP_PROBLEM_NONE && (s = find_broken(c)) != NULL) {
        uint32_t id = s->id;
        bool is_known = s->receiving == HTTP2_RECEIVED || s->receiving == HTTP2_RECEIVE_FAILED;
        /* Nobody hears it; it is how nghttp2 is told to forget the stream. */
        http2_send_reset(codec, id, HTTP_PROBLEM_CANCELLED);
        if (!is_known) {
            c->events->on_failed(c->context, id, HTTP_PROBLEM_ENDED,
                                 "the connection ended within the message");
        }
    }
    http2_leave(c);
    c->is_feeding = false;
}

static void consumed(struct http_codec *codec, uint32_t id, size_t count)
{
    struct http2 *c = http2_of(codec);
    struct http2_stream *s = http2_stream_find(c, id);
    if (s == NULL || s->outstanding == 0) {
        return;
    }
    size_t n = count < s->outstanding ? count : s->outstanding;
    http2_enter(c);
    s->outstanding -= n;
    (void)nghttp2_session_consume(c->session, (int32_t)id, n);
    http2_leave(c);
}

static size_t waiting(const struct http_codec *codec, uint32_t id)
{
    const struct http2_stream *s = http2_stream_find((const struct http2 *)codec, id);
    return s == NULL ? 0 : http2_stream_waiting(s);
}

static void go_away(struct http_codec *codec)
{
    struct http2 *c = http2_of(codec);
    if (c->is_leaving || c->problem != HTTP_PROBLEM_NONE) {
        return;
    }
    http2_enter(c);
    c->is_leaving = true;
    (void)nghttp2_submit_goaway(c->session, NGHTTP2_FLAG_NONE, (int32_t)c->last_id,
                                NGHTTP2_NO_ERROR, NULL, 0);
    http2_leave(c);
}

static bool is_over(const struct http_codec *codec)
{
    const struct http2 *c = (const struct http2 *)codec;
    return c->problem != HTTP_PROBLEM_NONE ||
           (c->open == 0 && (c->is_ended || c->is_leaving || c->is_peer_leaving));
}

static size_t open_streams(const struct http_codec *codec)
{
    return ((const struct http2 *)codec)->open;
}

static void allow_streams(struct http_codec *codec, uint32_t count)
{
    struct http2 *c = http2_of(codec);
    count = count > HTTP_STREAMS_MAX ? HTTP_STREAMS_MAX : count;
    if (!c->is_server || count == c->allowed) {
        return;
    }
    if (!c->is_started) {
        c->allowed = count;
        return;
    }
    http2_enter(c);
    nghttp2_settings_entry entry = {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, count};
    if (nghttp2_submit_settings(c->session, NGHTTP2_FLAG_NONE, &entry, 1) == 0) {
        c->allowed = count;
    }
    http2_leave(c);
}

static const struct http_codec_ops ops = {
    .destroy = destroy,
    .feed = feed,
    .is_blocked = is_blocked,
    .feed_end = feed_end,
    .consumed = consumed,
    .send_request = http2_send_request,
    .can_request = http2_can_request,
    .send_informational = http2_send_informational,
    .send_response = http2_send_response,
    .send_data = http2_send_data,
    .send_end = http2_send_end,
    .reset = http2_send_reset,
    .waiting = waiting,
    .go_away = go_away,
    .is_over = is_over,
    .open_streams = open_streams,
    .allow_streams = allow_streams,
};

/* NULL: no memory. */
static nghttp2_option *options_create(void)
{
    nghttp2_option *o = NULL;
    if (nghttp2_option_new(&o) != 0) {
        return NULL;
    }
    nghttp2_option_set_no_auto_window_update(o, 1);
    nghttp2_option_set_max_continuations(o, HTTP2_CONTINUATIONS_MAX);
    nghttp2_option_set_max_settings(o, HTTP2_SETTINGS_MAX);
    nghttp2_option_set_max_outbound_ack(o, HTTP2_ACKS_MAX);
    nghttp2_option_set_max_send_header_block_length(o, HTTP2_HEAD_BLOCK_MAX);
    /* nghttp2 would count resets against its own clock; http2_guard.h counts them against what else
     * the peer does, so that a long session is not over for having been long. */
    nghttp2_option_set_stream_reset_rate_limit(o, UINT32_MAX, UINT32_MAX);
    /* What is closed would be a parent in a tree of priorities, which we do not keep. */
    nghttp2_option_set_no_closed_streams(o, 1);
    return o;
}

static int session_create(struct http2 *c, const nghttp2_session_callbacks *callbacks,
                          const nghttp2_option *options)
{
    nghttp2_mem memory = http2_memory_functions(&c->memory);
    return c->is_server ? nghttp2_session_server_new3(&c->session, callbacks, c, options, &memory)
                        : nghttp2_session_client_new3(&c->session, callbacks, c, options, &memory);
}

static struct http_codec *create(const struct http_codec_events *events, void *context,
                                 bool is_server)
{
    struct http2 *c = calloc(1, sizeof(*c));
    nghttp2_session_callbacks *callbacks = http2_events_create();
    nghttp2_option *options = options_create();
    bool is_good = c != NULL && callbacks != NULL && options != NULL;
    if (is_good) {
        c->codec.ops = &ops;
        c->events = events;
        c->context = context;
        c->is_server = is_server;
        c->allowed = is_server ? HTTP_STREAMS_MAX : 0;
        http2_memory_init(&c->memory);
        http2_head_init(&c->head);
        buffer_init(&c->batch, HTTP2_BATCH_MAX);
        is_good = session_create(c, callbacks, options) == 0;
    }
    nghttp2_session_callbacks_del(callbacks);
    nghttp2_option_del(options);
    if (!is_good) {
        if (c != NULL) {
            http2_memory_finish(&c->memory);
        }
        free(c);
        return NULL;
    }
    return &c->codec;
}

struct http_codec *http2_server_create(const struct http_codec_events *events, void *context)
{
    return create(events, context, true);
}

struct http_codec *http2_client_create(const struct http_codec_events *events, void *context)
{
    return create(events, context, false);
}
