#include <stdlib.h>

#include "sidecar/protocol/http/http2/http2_internal.h"

/* Trailers wait until the body before them has left. */
struct http2_trailers {
    size_t count;
    struct http_field items[HTTP_FIELDS_MAX];
    struct buffer text; /* what the items point into */
};

void http2_trailers_destroy(struct http2_trailers *t)
{
    if (t != NULL) {
        buffer_wipe(&t->text);
        free(t);
    }
}

static struct http2_trailers *trailers_copy(const struct http_fields *from)
{
    struct http2_trailers *t = calloc(1, sizeof(*t));
    if (t == NULL) {
        return NULL;
    }
    size_t size = 1;
    for (size_t i = 0; i < from->count; i++) {
        size += from->items[i].name.size + from->items[i].value.size;
    }
    buffer_init(&t->text, size);
    if (from->count > HTTP_FIELDS_MAX || buffer_reserve(&t->text, size) == NULL) {
        http2_trailers_destroy(t);
        return NULL;
    }
    for (size_t i = 0; i < from->count; i++) {
        const struct http_field *f = &from->items[i];
        uint8_t *at = t->text.data + t->text.end;
        /* Cannot fail: the room is there. */
        if (buffer_append(&t->text, f->name) != OK || buffer_append(&t->text, f->value) != OK) {
            break;
        }
        t->items[t->count++] =
            (struct http_field){.name = bytes_of(at, f->name.size),
                                .value = bytes_of(at + f->name.size, f->value.size)};
    }
    return t;
}

int http2_trailers_submit(struct http2 *c, uint32_t id, const struct http2_trailers *t)
{
    struct http2_pairs pairs;
    struct http_fields fields = {.items = t->items, .count = t->count};
    if (!http2_pairs_of_trailers(&pairs, &fields)) {
        return NGHTTP2_ERR_INVALID_ARGUMENT;
    }
    return nghttp2_submit_trailer(c->session, (int32_t)id, pairs.items, pairs.count);
}

bool http2_can_request(const struct http_codec *codec)
{
    const struct http2 *c = (const struct http2 *)codec;
    return !c->is_server && c->problem == HTTP_PROBLEM_NONE && !c->is_ended && !c->is_leaving &&
           !c->is_peer_leaving && nghttp2_session_check_request_allowed(c->session) != 0 &&
           c->open < nghttp2_session_get_remote_settings(c->session,
                                                         NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS);
}

uint32_t http2_send_request(struct http_codec *codec, const struct http_request *request,
                            bool has_body)
{
    struct http2 *c = http2_of(codec);
    struct http2_pairs pairs;
    if (!http2_can_request(codec) || !http2_pairs_of_request(&pairs, request, has_body)) {
        return 0;
    }
    struct http2_stream *s = http2_stream_create(c, 0);
    if (s == NULL) {
        return 0;
    }
    http2_enter(c);
    nghttp2_data_provider body = {.source.ptr = s, .read_callback = http2_output_read};
    int32_t id = nghttp2_submit_request(c->session, NULL, pairs.items, pairs.count,
                                        has_body ? &body : NULL, s);
    if (id <= 0) {
        http2_stream_destroy(c, s);
        http2_leave(c);
        return 0;
    }
    s->id = (uint32_t)id;
    s->is_to_head = bytes_equal_string(request->method, "HEAD");
    s->sending = has_body ? HTTP2_SENDS_BODY : HTTP2_SENT;
    http2_leave(c);
    return (uint32_t)id;
}

void http2_send_informational(struct http_codec *codec, uint32_t id,
                              const struct http_response *response)
{
    struct http2 *c = http2_of(codec);
    struct http2_stream *s = http2_stream_find(c, id);
    struct http2_pairs pairs;
    if (s == NULL || s->sending != HTTP2_SENDS_NOTHING || response->status >= 200 ||
        !http2_pairs_of_response(&pairs, response)) {
        return;
    }
    http2_enter(c);
    (void)nghttp2_submit_headers(c->session, NGHTTP2_FLAG_NONE, (int32_t)id, NULL, pairs.items,
                                 pairs.count, NULL);
    http2_leave(c);
}

void http2_send_response(struct http_codec *codec, uint32_t id,
                         const struct http_response *response)
{
    struct http2 *c = http2_of(codec);
    struct http2_stream *s = http2_stream_find(c, id);
    struct http2_pairs pairs;
    if (s == NULL || !c->is_server || s->sending != HTTP2_SENDS_NOTHING) {
        return;
    }
    if (response->status < 200 || !http2_pairs_of_response(&pairs, response)) {
        http2_send_reset(codec, id, HTTP_PROBLEM_PROTOCOL);
        return;
    }
    http2_enter(c);
    nghttp2_data_provider body = {.source.ptr = s, .read_callback = http2_output_read};
    s->sending = response->has_body ? HTTP2_SENDS_BODY : HTTP2_SENT;
    if (nghttp2_submit_response(c->session, (int32_t)id, pairs.items, pairs.count,
                                response->has_body ? &body : NULL) != 0) {
        http2_send_reset(codec, id, HTTP_PROBLEM_NO_MEMORY);
    }
    http2_leave(c);
}

void http2_send_data(struct http_codec *codec, uint32_t id, struct bytes data)
{
    struct http2 *c = http2_of(codec);
    struct http2_stream *s = http2_stream_find(c, id);
    if (s == NULL || s->sending != HTTP2_SENDS_BODY || data.size == 0) {
        return;
    }
    http2_enter(c);
    if (c->depth == 1 && buffer_size(&s->queue) == 0) {
        s->direct = data;
        (void)nghttp2_session_resume_data(c->session, (int32_t)id);
        http2_output_pump(c);
        /* The stream may have ended in that. */
        s = http2_stream_find(c, id);
        data = s == NULL ? (struct bytes){0} : s->direct;
        if (s != NULL) {
            s->direct = (struct bytes){0};
        }
    }
    if (s != NULL && buffer_append(&s->queue, data) != OK) {
        http2_send_reset(codec, id, HTTP_PROBLEM_NO_MEMORY);
        s->is_silent = false;
        s->receiving = HTTP2_RECEIVE_FAILED;
        s->problem = HTTP_PROBLEM_NO_MEMORY;
        s->why = "there is no memory for a body that waits";
        c->has_notices = true;
    } else if (s != NULL && data.size > 0) {
        (void)nghttp2_session_resume_data(c->session, (int32_t)id);
    }
    http2_leave(c);
}

void http2_send_end(struct http_codec *codec, uint32_t id, const struct http_fields *trailers)
{
    struct http2 *c = http2_of(codec);
    struct http2_stream *s = http2_stream_find(c, id);
    if (s == NULL || s->sending != HTTP2_SENDS_BODY) {
        return;
    }
    http2_enter(c);
    struct http2_pairs pairs;
    s->sending = HTTP2_SENDS_END;
    if (trailers != NULL && trailers->count > 0) {
        s->trailers = trailers_copy(trailers);
        if (s->trailers == NULL || !http2_pairs_of_trailers(&pairs, trailers)) {
            http2_send_reset(codec, id, HTTP_PROBLEM_PROTOCOL);
        }
    }
    (void)nghttp2_session_resume_data(c->session, (int32_t)id);
    http2_leave(c);
}

static uint32_t code_of(enum http_problem problem)
{
    switch (problem) {
    case HTTP_PROBLEM_NONE: return NGHTTP2_NO_ERROR;
    case HTTP_PROBLEM_MALFORMED:
    case HTTP_PROBLEM_PROTOCOL: return NGHTTP2_PROTOCOL_ERROR;
    case HTTP_PROBLEM_TOO_LARGE:
    case HTTP_PROBLEM_TARGET_TOO_LONG: return NGHTTP2_ENHANCE_YOUR_CALM;
    case HTTP_PROBLEM_UNSUPPORTED: return NGHTTP2_HTTP_1_1_REQUIRED;
    case HTTP_PROBLEM_CANCELLED: return NGHTTP2_CANCEL;
    case HTTP_PROBLEM_REFUSED: return NGHTTP2_REFUSED_STREAM;
    case HTTP_PROBLEM_ENDED:
    case HTTP_PROBLEM_NO_MEMORY: return NGHTTP2_INTERNAL_ERROR;
    }
    return NGHTTP2_INTERNAL_ERROR;
}

void http2_send_reset(struct http_codec *codec, uint32_t id, enum http_problem problem)
{
    struct http2 *c = http2_of(codec);
    struct http2_stream *s = http2_stream_find(c, id);
    if (s == NULL) {
        return;
    }
    http2_enter(c);
    s->is_silent = true;
    (void)nghttp2_submit_rst_stream(c->session, NGHTTP2_FLAG_NONE, (int32_t)id, code_of(problem));
    http2_leave(c);
}
