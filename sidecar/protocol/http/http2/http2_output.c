#include "sidecar/protocol/http/http2/http2_internal.h"

static void write_batch(struct http2 *c)
{
    if (buffer_size(&c->batch) > 0) {
        c->events->write(c->context, buffer_bytes(&c->batch));
        buffer_clear(&c->batch);
    }
}

static void output(struct http2 *c, struct bytes b)
{
    if (b.size <= HTTP2_COPY_MAX && buffer_append(&c->batch, b) == OK) {
        return;
    }
    write_batch(c);
    c->events->write(c->context, b);
}

void http2_output_pump(struct http2 *c)
{
    const uint8_t *frame = NULL;
    ssize_t size = 0;
    while ((size = nghttp2_session_mem_send(c->session, &frame)) > 0) {
        output(c, bytes_of(frame, (size_t)size));
    }
    write_batch(c);
    if (size < 0 && c->problem == HTTP_PROBLEM_NONE) {
        c->problem = HTTP_PROBLEM_NO_MEMORY;
        c->why = "there is no memory for the connection";
    }
}

static struct bytes next_of(const struct http2_stream *s)
{
    return buffer_size(&s->queue) > 0 ? buffer_bytes(&s->queue) : s->direct;
}

/* The last of the body is in this frame. */
static int end_body(struct http2 *c, struct http2_stream *s, uint32_t *flags)
{
    *flags |= NGHTTP2_DATA_FLAG_EOF;
    s->sending = HTTP2_SENT;
    if (s->trailers == NULL) {
        return 0;
    }
    *flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
    return http2_trailers_submit(c, s->id, s->trailers);
}

ssize_t http2_output_read(nghttp2_session *session, int32_t id, uint8_t *into, size_t size,
                          uint32_t *flags, nghttp2_data_source *source, void *context)
{
    (void)session, (void)id, (void)into;
    struct http2 *c = context;
    struct http2_stream *s = source->ptr;
    struct bytes next = next_of(s);
    size_t n = next.size < size ? next.size : size;
    if (n == 0 && s->sending != HTTP2_SENDS_END) {
        return NGHTTP2_ERR_DEFERRED;
    }
    *flags |= NGHTTP2_DATA_FLAG_NO_COPY;
    s->chunk = bytes_of(next.data, n);
    if (s->sending == HTTP2_SENDS_END && n == http2_stream_waiting(s) &&
        end_body(c, s, flags) != 0) {
        return NGHTTP2_ERR_CALLBACK_FAILURE;
    }
    return (ssize_t)n;
}

int http2_output_data(nghttp2_session *session, nghttp2_frame *frame, const uint8_t *head,
                      size_t size, nghttp2_data_source *source, void *context)
{
    enum { FRAME_HEAD_SIZE = 9 };
    (void)session, (void)frame;
    struct http2 *c = context;
    struct http2_stream *s = source->ptr;
    output(c, bytes_of(head, FRAME_HEAD_SIZE));
    if (size > 0) {
        output(c, bytes_of(s->chunk.data, size));
    }
    if (buffer_size(&s->queue) == 0) {
        s->direct = bytes_of(size > 0 ? s->direct.data + size : NULL, s->direct.size - size);
    } else {
        buffer_consume(&s->queue, size);
        if (buffer_size(&s->queue) == 0) {
            s->has_drained = true;
            c->has_notices = true;
        }
    }
    if (size >= HTTP2_FRAME_WORTH || http2_stream_waiting(s) == 0) {
        http2_guard_earn(&c->guard, HTTP2_EARNED_BY_DATA);
    }
    return 0;
}
