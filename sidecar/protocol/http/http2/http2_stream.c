#include <stdlib.h>

#include "sidecar/protocol/http/http2/http2_internal.h"

struct http2_stream *http2_stream_create(struct http2 *c, uint32_t id)
{
    struct http2_stream *s = calloc(1, sizeof(*s));
    if (s == NULL) {
        return NULL;
    }
    s->id = id;
    buffer_init(&s->queue, HTTP2_QUEUE_MAX);
    s->previous = c->last;
    *(c->last != NULL ? &c->last->next : &c->first) = s;
    c->last = s;
    c->open++;
    return s;
}

void http2_stream_destroy(struct http2 *c, struct http2_stream *s)
{
    if (!s->is_closed) {
        c->open--;
    }
    if (c->head_of == s) {
        c->head_of = NULL;
    }
    *(s->previous != NULL ? &s->previous->next : &c->first) = s->next;
    *(s->next != NULL ? &s->next->previous : &c->last) = s->previous;
    buffer_wipe(&s->queue);
    http2_trailers_destroy(s->trailers);
    free(s);
}

struct http2_stream *http2_stream_find(const struct http2 *c, uint32_t id)
{
    struct http2_stream *s = NULL;
    if (id > 0 && id <= INT32_MAX) {
        s = nghttp2_session_get_stream_user_data(c->session, (int32_t)id);
    }
    if (s == NULL) {
        /* nghttp2 knows a client's stream only when its head is on its way. */
        for (s = c->first; s != NULL && (s->id != id || s->is_closed); s = s->next) {
        }
    }
    return s == NULL || s->is_silent ? NULL : s;
}

size_t http2_stream_waiting(const struct http2_stream *s)
{
    return buffer_size(&s->queue) + s->direct.size;
}

void http2_stream_close(struct http2 *c, struct http2_stream *s, uint32_t code)
{
    bool is_whole = s->receiving == HTTP2_RECEIVED &&
                    (!c->is_server || (s->sending == HTTP2_SENT && code == NGHTTP2_NO_ERROR));
    bool is_known = is_whole || s->is_silent || s->receiving == HTTP2_RECEIVE_FAILED;
    bool is_cancelled = s->is_peer_reset || code == NGHTTP2_REFUSED_STREAM;

    if (c->is_server && is_whole) {
        http2_guard_completed(&c->guard);
    } else if (c->is_server && !s->is_silent) {
        http2_guard_reset(&c->guard);
    }
    if (s->outstanding > 0) {
        /* Nobody will say any more that these were consumed, and others need the window. */
        (void)nghttp2_session_consume_connection(c->session, s->outstanding);
        s->outstanding = 0;
    }
    c->open--;
    s->is_closed = true;
    /* Who waits for the queue to become empty waits no longer: what is in it is dropped. */
    s->has_drained = s->has_drained || (buffer_size(&s->queue) > 0 && !s->is_silent);
    buffer_wipe(&s->queue);
    if (!is_known) {
        s->problem = is_cancelled ? HTTP_PROBLEM_CANCELLED : HTTP_PROBLEM_MALFORMED;
        s->why = is_cancelled ? "the peer broke the stream off"
                              : "the message breaks a rule of HTTP/2 (RFC 9113 section 8.1.1)";
    }
    if (s->problem == HTTP_PROBLEM_NONE && !s->has_drained) {
        http2_stream_destroy(c, s);
    } else {
        c->has_notices = true;
    }
}

/* Tells one thing of this stream, which may be gone afterwards. */
static bool tell(struct http2 *c, struct http2_stream *s)
{
    uint32_t id = s->id;
    if (s->has_drained) {
        s->has_drained = false;
        if (!s->is_silent) {
            c->events->on_drained(c->context, id);
        }
        return true;
    }
    if (s->problem != HTTP_PROBLEM_NONE && (c->is_feeding || s->is_silent)) {
        enum http_problem problem = s->problem;
        const char *why = s->why;
        bool is_silent = s->is_silent;
        s->problem = HTTP_PROBLEM_NONE;
        if (s->is_closed) {
            http2_stream_destroy(c, s);
        }
        if (!is_silent) {
            c->events->on_failed(c->context, id, problem, why);
        }
        return true;
    }
    if (s->is_closed && s->problem == HTTP_PROBLEM_NONE) {
        http2_stream_destroy(c, s);
        return true;
    }
    return false;
}

bool http2_stream_tell(struct http2 *c)
{
    if (!c->has_notices) {
        return false;
    }
    /* From the start each time: an event may do anything to the others. */
    for (struct http2_stream *s = c->first; s != NULL; s = s->next) {
        if (tell(c, s)) {
            return true;
        }
    }
    /* Outside of a feed there may be some left that have to wait for the next one. */
    c->has_notices = !c->is_feeding;
    return false;
}
