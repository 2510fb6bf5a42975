#include "sidecar/protocol/http/http2/http2_internal.h"

/* What nghttp2 tells us, made into the events of http_codec.h. */

static struct http2_stream *listened_to(struct http2 *c, int32_t id)
{
    struct http2_stream *s =
        c->problem == HTTP_PROBLEM_NONE && id > 0 ? http2_stream_find(c, (uint32_t)id) : NULL;
    return s == NULL || s->receiving == HTTP2_RECEIVE_FAILED ? NULL : s;
}

/* The stream's message will never be whole. A server's may still be answered; nobody waits for
 * what is left of a response. */
static void receive_failed(struct http2 *c, struct http2_stream *s, enum http_problem problem,
                           const char *why)
{
    s->receiving = HTTP2_RECEIVE_FAILED;
    if (!c->is_server) {
        (void)nghttp2_submit_rst_stream(c->session, NGHTTP2_FLAG_NONE, (int32_t)s->id,
                                        NGHTTP2_PROTOCOL_ERROR);
    }
    c->events->on_failed(c->context, s->id, problem, why);
}

/* nghttp2 looks at PRIORITY no more, since we said that we do not either; but a frame in a place
 * where it cannot be is a broken peer's. */
static int on_begin_frame(nghttp2_session *session, const nghttp2_frame_hd *head, void *context)
{
    (void)session;
    struct http2 *c = context;
    if (head->type == NGHTTP2_PRIORITY && head->stream_id == 0) {
        http2_fail(c, NGHTTP2_PROTOCOL_ERROR, HTTP_PROBLEM_PROTOCOL,
                   "the peer broke a rule of HTTP/2");
        return NGHTTP2_ERR_CALLBACK_FAILURE;
    }
    return 0;
}

static int on_begin_headers(nghttp2_session *session, const nghttp2_frame *frame, void *context)
{
    struct http2 *c = context;
    int32_t id = frame->hd.stream_id;
    http2_head_start(&c->head);
    if (c->is_server && frame->headers.cat == NGHTTP2_HCAT_REQUEST) {
        struct http2_stream *s = http2_stream_create(c, (uint32_t)id);
        if (s == NULL || nghttp2_session_set_stream_user_data(session, id, s) != 0) {
            return NGHTTP2_ERR_CALLBACK_FAILURE;
        }
        c->last_id = (uint32_t)id;
    }
    c->head_of = listened_to(c, id);
    return 0;
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
                     size_t name_size, const uint8_t *value, size_t value_size, uint8_t flags,
                     void *context)
{
    (void)session, (void)frame, (void)flags;
    struct http2 *c = context;
    if (!http2_head_add(&c->head, bytes_of(name, name_size), bytes_of(value, value_size))) {
        http2_fail(c, NGHTTP2_ENHANCE_YOUR_CALM, HTTP_PROBLEM_PROTOCOL,
                   "the peer sent a head without an end");
        return NGHTTP2_ERR_CALLBACK_FAILURE;
    }
    return 0;
}

/* nghttp2 would leave such a field out and go on. */
static int on_invalid_header(nghttp2_session *session, const nghttp2_frame *frame,
                             const uint8_t *name, size_t name_size, const uint8_t *value,
                             size_t value_size, uint8_t flags, void *context)
{
    struct http2 *c = context;
    http2_head_fail(&c->head, HTTP_PROBLEM_MALFORMED,
                    "a field has a name or a value that is not allowed");
    return on_header(session, frame, name, name_size, value, value_size, flags, context);
}

/* Whether the head was one. */
static bool receive_request(struct http2 *c, struct http2_stream *s, bool ends)
{
    struct http_request request;
    if (!http2_head_to_request(&c->head, ends, &request)) {
        return false;
    }
    s->receiving = HTTP2_AWAITS_BODY;
    http2_guard_earn(&c->guard, HTTP2_EARNED_BY_HEAD);
    c->events->on_request(c->context, s->id, &request);
    return true;
}

static bool receive_response(struct http2 *c, struct http2_stream *s, bool ends)
{
    struct http_response response;
    if (!http2_head_to_response(&c->head, ends, s->is_to_head, &response)) {
        return false;
    }
    if (response.status < 200) {
        http2_guard_spend(&c->guard, HTTP2_COST_OF_INFORMATIONAL);
        c->events->on_informational(c->context, s->id, &response);
        return true;
    }
    s->receiving = HTTP2_AWAITS_BODY;
    http2_guard_earn(&c->guard, HTTP2_EARNED_BY_HEAD);
    c->events->on_response(c->context, s->id, &response);
    return true;
}

static bool receive_trailers(struct http2 *c, struct http2_stream *s)
{
    struct http_fields trailers;
    if (!http2_head_to_trailers(&c->head, &trailers)) {
        return false;
    }
    if (trailers.count > 0) {
        c->events->on_trailers(c->context, s->id, &trailers);
    }
    return true;
}

static void receive_end(struct http2 *c, int32_t id)
{
    struct http2_stream *s = listened_to(c, id);
    if (s != NULL && s->receiving == HTTP2_AWAITS_BODY) {
        s->receiving = HTTP2_RECEIVED;
        c->events->on_end(c->context, s->id);
    }
}

static void receive_head(struct http2 *c, const nghttp2_frame *frame)
{
    struct http2_stream *s = c->head_of;
    bool ends = (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;
    c->head_of = NULL;
    if (s == NULL) {
        return;
    }
    bool is_good = s->receiving != HTTP2_AWAITS_HEAD ? receive_trailers(c, s)
                   : c->is_server                    ? receive_request(c, s, ends)
                                                     : receive_response(c, s, ends);
    if (!is_good) {
        receive_failed(c, s, c->head.problem, c->head.why);
    } else if (ends) {
        receive_end(c, frame->hd.stream_id);
    }
}

static void receive_going_away(struct http2 *c, const nghttp2_goaway *frame)
{
    c->is_peer_leaving = true;
    if (c->problem == HTTP_PROBLEM_NONE) {
        c->events->on_going_away(c->context, (uint32_t)frame->last_stream_id);
    }
}

static int on_frame_recv(nghttp2_session *session, const nghttp2_frame *frame, void *context)
{
    (void)session;
    struct http2 *c = context;
    struct http2_stream *s = NULL;
    switch (frame->hd.type) {
    case NGHTTP2_HEADERS: receive_head(c, frame); break;
    case NGHTTP2_DATA:
        if ((frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0) {
            receive_end(c, frame->hd.stream_id);
        }
        break;
    case NGHTTP2_RST_STREAM:
        s = listened_to(c, frame->hd.stream_id);
        if (s != NULL) {
            s->is_peer_reset = true;
        }
        break;
    case NGHTTP2_SETTINGS: http2_guard_spend(&c->guard, HTTP2_COST_OF_SETTINGS); break;
    case NGHTTP2_GOAWAY: receive_going_away(c, &frame->goaway); break;
    default: break;
    }
    return 0;
}

static int on_data_chunk(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *data,
                         size_t size, void *context)
{
    (void)flags;
    struct http2 *c = context;
    struct http2_stream *s = listened_to(c, id);
    http2_guard_earn(&c->guard, size + HTTP2_EARNED_BY_DATA);
    if (s == NULL) {
        return nghttp2_is_fatal(nghttp2_session_consume(session, id, size)) != 0
                   ? NGHTTP2_ERR_CALLBACK_FAILURE
                   : 0;
    }
    s->outstanding += size;
    c->events->on_data(c->context, s->id, bytes_of(data, size));
    return 0;
}

static int on_stream_close(nghttp2_session *session, int32_t id, uint32_t code, void *context)
{
    struct http2_stream *s = nghttp2_session_get_stream_user_data(session, id);
    if (s != NULL) {
        http2_stream_close(context, s, code);
    }
    return 0;
}

/* A request that could not be sent any more, and so is no stream. */
static int on_frame_not_send(nghttp2_session *session, const nghttp2_frame *frame, int error,
                             void *context)
{
    (void)error;
    struct http2 *c = context;
    if (c->is_server || frame->hd.type != NGHTTP2_HEADERS) {
        return 0;
    }
    for (struct http2_stream *s = c->first; s != NULL; s = s->next) {
        if (s->id == (uint32_t)frame->hd.stream_id && !s->is_closed) {
            /* It may be known already, and would be told of as closed once more. */
            (void)nghttp2_session_set_stream_user_data(session, frame->hd.stream_id, NULL);
            http2_stream_close(c, s, NGHTTP2_REFUSED_STREAM);
            break;
        }
    }
    return 0;
}

static const char *why_of(uint32_t code)
{
    switch (code) {
    case NGHTTP2_PROTOCOL_ERROR: return "the peer broke a rule of HTTP/2";
    case NGHTTP2_FLOW_CONTROL_ERROR: return "the peer sent more than its window, or too large one";
    case NGHTTP2_SETTINGS_TIMEOUT: return "the peer did not answer to SETTINGS";
    case NGHTTP2_STREAM_CLOSED: return "the peer sent frames on a stream that is closed";
    case NGHTTP2_FRAME_SIZE_ERROR: return "the peer sent a frame of a wrong size";
    case NGHTTP2_COMPRESSION_ERROR: return "the peer sent a head that cannot be decoded";
    case NGHTTP2_ENHANCE_YOUR_CALM: return "the peer sent too much of what asks for nothing";
    case NGHTTP2_INADEQUATE_SECURITY: return "the connection is not secure enough for HTTP/2";
    default: return "the connection failed";
    }
}

static int on_frame_send(nghttp2_session *session, const nghttp2_frame *frame, void *context)
{
    struct http2 *c = context;
    if (frame->hd.type == NGHTTP2_GOAWAY && frame->goaway.error_code != NGHTTP2_NO_ERROR &&
        c->problem == HTTP_PROBLEM_NONE) {
        c->problem = HTTP_PROBLEM_PROTOCOL;
        c->why = why_of(frame->goaway.error_code);
    }
    bool ends = (frame->hd.type == NGHTTP2_DATA || frame->hd.type == NGHTTP2_HEADERS) &&
                (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;
    struct http2_stream *s =
        ends && c->is_server ? nghttp2_session_get_stream_user_data(session, frame->hd.stream_id)
                             : NULL;
    /* RFC 9113 section 8.1: it was answered, and the rest of the request is not wanted. */
    if (s != NULL && s->receiving == HTTP2_RECEIVE_FAILED &&
        nghttp2_session_get_stream_remote_close(session, frame->hd.stream_id) == 0) {
        return nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, frame->hd.stream_id,
                                         NGHTTP2_NO_ERROR) == 0
                   ? 0
                   : NGHTTP2_ERR_CALLBACK_FAILURE;
    }
    return 0;
}

nghttp2_session_callbacks *http2_events_create(void)
{
    nghttp2_session_callbacks *e = NULL;
    if (nghttp2_session_callbacks_new(&e) != 0) {
        return NULL;
    }
    nghttp2_session_callbacks_set_on_begin_frame_callback(e, on_begin_frame);
    nghttp2_session_callbacks_set_on_begin_headers_callback(e, on_begin_headers);
    nghttp2_session_callbacks_set_on_header_callback(e, on_header);
    nghttp2_session_callbacks_set_on_invalid_header_callback(e, on_invalid_header);
    nghttp2_session_callbacks_set_on_frame_recv_callback(e, on_frame_recv);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(e, on_data_chunk);
    nghttp2_session_callbacks_set_on_stream_close_callback(e, on_stream_close);
    nghttp2_session_callbacks_set_on_frame_not_send_callback(e, on_frame_not_send);
    nghttp2_session_callbacks_set_on_frame_send_callback(e, on_frame_send);
    nghttp2_session_callbacks_set_send_data_callback(e, http2_output_data);
    return e;
}
