#include <stdio.h>
#include <stdlib.h>

#include "sidecar/protocol/http/http1/http1_internal.h"
#include "sidecar/protocol/http/http1/http1_write.h"

enum {
    /* What an idle connection may keep of each buffer. */
    KEPT_MAX = 1024,
    OUT_MAX = 8 * HTTP_HEAD_MAX,
};

struct http_codec *http1_create(const struct http_codec_ops *ops, const struct http1_side *side,
                                const struct http_codec_events *events, void *context)
{
    struct http1 *c = calloc(1, sizeof(*c));
    if (c == NULL) {
        return NULL;
    }
    c->codec.ops = ops;
    c->side = side;
    c->events = events;
    c->context = context;
    c->reading = READ_HEAD;
    c->writing = WRITE_NOTHING;
    http1_filter_init(&c->filter, side->lines);
    buffer_init(&c->names, HTTP_HEAD_MAX);
    buffer_init(&c->out, OUT_MAX);
    return &c->codec;
}

void http1_destroy(struct http_codec *codec)
{
    if (codec == NULL) {
        return;
    }
    struct http1 *c = http1_of(codec);
    buffer_wipe(&c->names);
    buffer_wipe(&c->out);
    free(c);
}

void http1_close(struct http1 *c)
{
    c->reading = READ_OVER;
    c->writing = WRITE_ENDED;
    c->closes = true;
}

bool http1_has_exchange(const struct http1 *c)
{
    return c->reading != READ_OVER && c->writing != WRITE_NOTHING;
}

void http1_trim(struct buffer *b)
{
    buffer_clear(b);
    if (b->capacity > KEPT_MAX) {
        buffer_finish(b);
    }
}

void http1_flush_head(struct http1 *c)
{
    struct bytes head = buffer_bytes(&c->out);
    c->events->write(c->context, head);
    bytes_wipe(c->out.data, c->out.end);
    http1_trim(&c->out);
}

void http1_begin_body(struct http1 *c, enum http1_framing framing, int64_t size)
{
    c->outstanding = 0;
    c->to_read = 0;
    switch (framing) {
    case HTTP1_CHUNKED: c->reading = READ_CHUNK_LINE; break;
    case HTTP1_UNTIL_END: c->reading = READ_RAW; break;
    case HTTP1_LENGTH:
        c->to_read = size;
        c->reading = READ_LENGTH;
        break;
    case HTTP1_NOTHING:
    case HTTP1_TUNNEL: c->reading = READ_LENGTH; break;
    }
}

void http1_end_head(struct http1 *c)
{
    if (c->reading == READ_LENGTH && c->to_read == 0) {
        http1_end_message(c);
    }
}

void http1_end_message(struct http1 *c)
{
    /* A response with more behind it than was asked for was split or forged: nothing is asked on
     * this connection again, least of all from within on_end. */
    bool is_forged = c->side->ends_alone && c->behind > 0 && !c->asked.is_connect;
    if (is_forged) {
        c->closes = true;
    }
    c->reading = READ_ENDED;
    c->events->on_end(c->context, c->stream);
    if (is_forged && c->reading != READ_OVER) {
        http1_close(c);
        c->events->on_failed(c->context, 0, HTTP_PROBLEM_PROTOCOL,
                             "there are more bytes than the response has");
        return;
    }
    c->side->settle(c);
}

static size_t window_of(const struct http1 *c)
{
    return c->outstanding < HTTP_WINDOW ? HTTP_WINDOW - c->outstanding : 0;
}

static size_t step_head(struct http1 *c, struct bytes in)
{
    switch (http1_filter_scan(&c->filter, in)) {
    case HTTP1_FILTER_MORE: return 0;
    case HTTP1_FILTER_REFUSED:
        c->side->on_bad_head(c, c->filter.problem, c->filter.why);
        return in.size;
    case HTTP1_FILTER_WHOLE: break;
    }
    size_t skipped = c->filter.skipped, size = c->filter.scanned;
    c->behind = in.size - size;
    http1_filter_init(&c->filter, c->side->lines);
    c->side->on_head(c, bytes_of(in.data + skipped, size - skipped));
    http1_trim(&c->names);
    return size;
}

static size_t step_data(struct http1 *c, struct bytes in)
{
    enum http1_reading reading = c->reading;
    size_t size = in.size < window_of(c) ? in.size : window_of(c);
    const char *why = NULL;
    if (reading != READ_RAW && (uint64_t)c->to_read < size) {
        size = (size_t)c->to_read;
    }
    struct bytes data = bytes_of(in.data, size);
    if (reading == READ_CHUNK_DATA && !http1_parser_read_data(&c->parser, data, &why)) {
        c->side->fail(c, HTTP_PROBLEM_MALFORMED, why);
        return in.size;
    }
    c->behind = in.size - size;
    c->to_read -= reading == READ_RAW ? 0 : (int64_t)size;
    c->outstanding += size;
    c->awaits_continue = false;
    c->events->on_data(c->context, c->stream, data);
    if (c->reading == reading && reading != READ_RAW && c->to_read == 0) {
        if (reading == READ_CHUNK_DATA) {
            c->reading = READ_CHUNK_DATA_END;
        } else {
            http1_end_message(c);
        }
    }
    return size;
}

static size_t step_chunk_line(struct http1 *c, struct bytes in)
{
    const char *why = NULL;
    size_t size = 0;
    uint64_t chunk = 0;
    enum http1_filter_result r = http1_filter_chunk_line(in, &size, &why);
    if (r == HTTP1_FILTER_MORE) {
        return 0;
    }
    if (r == HTTP1_FILTER_REFUSED ||
        !http1_parser_read_chunk(&c->parser, bytes_of(in.data, size), &chunk, &why)) {
        c->side->fail(c, HTTP_PROBLEM_MALFORMED, why);
        return in.size;
    }
    c->awaits_continue = false;
    c->to_read = (int64_t)chunk;
    c->reading = chunk > 0 ? READ_CHUNK_DATA : READ_TRAILERS;
    if (chunk == 0) {
        http1_filter_init(&c->filter, HTTP1_TRAILER_LINES);
    }
    return size;
}

/* Exactly CR LF (RFC 9112 section 7.1). */
static size_t step_data_end(struct http1 *c, struct bytes in)
{
    const char *why = "a chunk does not end where it said";
    if (in.size == 1 && in.data[0] == '\r') {
        return 0;
    }
    if (in.size < 2 || memcmp(in.data, "\r\n", 2) != 0 ||
        !http1_parser_read_data(&c->parser, bytes_of(in.data, 2), &why)) {
        c->side->fail(c, HTTP_PROBLEM_MALFORMED, why);
        return in.size;
    }
    c->reading = READ_CHUNK_LINE;
    return 2;
}

static size_t step_trailers(struct http1 *c, struct bytes in)
{
    struct http1_found found;
    struct http_fields trailers = {0};
    const char *why = c->filter.why;
    enum http_problem problem = HTTP_PROBLEM_NONE;
    switch (http1_filter_scan(&c->filter, in)) {
    case HTTP1_FILTER_MORE: return 0;
    case HTTP1_FILTER_REFUSED: c->side->fail(c, c->filter.problem, c->filter.why); return in.size;
    case HTTP1_FILTER_WHOLE: break;
    }
    size_t size = c->filter.scanned;
    http1_filter_init(&c->filter, c->side->lines);
    if (!http1_parser_read_trailers(&c->parser, bytes_of(in.data, size), &found, &why)) {
        problem = HTTP_PROBLEM_MALFORMED;
    } else {
        problem = http1_head_of_trailers(&found, &c->names, &trailers, &why);
    }
    if (problem != HTTP_PROBLEM_NONE) {
        c->side->fail(c, problem, why);
        return in.size;
    }
    c->behind = in.size - size;
    if (trailers.count > 0) {
        c->events->on_trailers(c->context, c->stream, &trailers);
    }
    http1_trim(&c->names);
    if (c->reading == READ_TRAILERS) {
        http1_end_message(c);
    }
    return size;
}

/* Returns how many bytes were used; 0: more are needed. */
static size_t step(struct http1 *c, struct bytes in)
{
    switch (c->reading) {
    case READ_HEAD: return step_head(c, in);
    case READ_LENGTH:
    case READ_CHUNK_DATA:
    case READ_RAW: return step_data(c, in);
    case READ_CHUNK_LINE: return step_chunk_line(c, in);
    case READ_CHUNK_DATA_END: return step_data_end(c, in);
    case READ_TRAILERS: return step_trailers(c, in);
    case READ_ENDED:
        c->side->fail(c, HTTP_PROBLEM_PROTOCOL, "there are more bytes than the response has");
        return in.size;
    case READ_TUNNEL: return 0;
    case READ_OVER: break;
    }
    return in.size;
}

size_t http1_feed(struct http_codec *codec, struct bytes in)
{
    struct http1 *c = http1_of(codec);
    size_t used = 0;
    while (used < in.size && !http1_is_blocked(codec)) {
        size_t n = step(c, bytes_of(in.data + used, in.size - used));
        if (n == 0) {
            break;
        }
        used += n;
    }
    return used;
}

bool http1_is_blocked(const struct http_codec *codec)
{
    const struct http1 *c = http1_of_const(codec);
    switch (c->reading) {
    case READ_LENGTH:
    case READ_CHUNK_DATA:
    case READ_RAW: return window_of(c) == 0;
    case READ_ENDED: return !c->side->ends_alone;
    case READ_TUNNEL: return true;
    default: return false;
    }
}

bool http1_is_over(const struct http_codec *codec)
{
    return http1_of_const(codec)->reading == READ_OVER;
}

size_t http1_open_streams(const struct http_codec *codec)
{
    return http1_has_exchange(http1_of_const(codec)) ? 1 : 0;
}

void http1_allow_streams(struct http_codec *codec, uint32_t count)
{
    (void)codec;
    (void)count;
}

size_t http1_waiting(const struct http_codec *codec, uint32_t stream)
{
    (void)codec;
    (void)stream;
    return 0;
}

void http1_consumed(struct http_codec *codec, uint32_t stream, size_t count)
{
    struct http1 *c = http1_of(codec);
    if (stream == c->stream) {
        c->outstanding -= count < c->outstanding ? count : c->outstanding;
    }
}

void http1_reset(struct http_codec *codec, uint32_t stream, enum http_problem problem)
{
    (void)problem;
    struct http1 *c = http1_of(codec);
    if (stream == c->stream && http1_has_exchange(c)) {
        http1_close(c);
    }
}

void http1_go_away(struct http_codec *codec)
{
    struct http1 *c = http1_of(codec);
    c->closes = true;
    if (!http1_has_exchange(c) && !http1_filter_has_begun(&c->filter)) {
        http1_close(c);
    }
}

static void write_chunk(struct http1 *c, struct bytes data)
{
    char line[24];
    int size = snprintf(line, sizeof(line), "%zx\r\n", data.size);
    c->events->write(c->context, bytes_of(line, (size_t)size));
    c->events->write(c->context, data);
    c->events->write(c->context, bytes_of("\r\n", 2));
}

void http1_send_data(struct http_codec *codec, uint32_t stream, struct bytes data)
{
    struct http1 *c = http1_of(codec);
    if (stream != c->stream || c->reading == READ_OVER || data.size == 0) {
        return;
    }
    switch (c->writing) {
    case WRITE_LENGTH:
        if ((uint64_t)c->to_write < data.size) {
            http1_close(c); /* more than was promised would be the next message */
            return;
        }
        c->to_write -= (int64_t)data.size;
        c->events->write(c->context, data);
        break;
    case WRITE_CHUNKED: write_chunk(c, data); break;
    case WRITE_RAW: c->events->write(c->context, data); break;
    case WRITE_SKIPPED: break;
    case WRITE_NOTHING:
    case WRITE_HEAD:
    case WRITE_ENDED: return;
    }
    c->events->on_drained(c->context, stream);
}

void http1_send_end(struct http_codec *codec, uint32_t stream, const struct http_fields *trailers)
{
    struct http1 *c = http1_of(codec);
    if (stream != c->stream || c->reading == READ_OVER) {
        return;
    }
    switch (c->writing) {
    case WRITE_NOTHING:
    case WRITE_HEAD:
    case WRITE_ENDED: return;
    case WRITE_LENGTH:
        if (c->to_write > 0) {
            http1_close(c); /* the connection's end says that it is not whole */
            return;
        }
        break;
    case WRITE_CHUNKED:
        if (http1_write_trailers(&c->out, trailers) != OK) {
            http1_close(c);
            return;
        }
        http1_flush_head(c);
        break;
    case WRITE_RAW:
        if (c->reading == READ_RAW) {
            http1_close(c); /* of a WebSocket: its end is the connection's */
            return;
        }
        break;
    case WRITE_SKIPPED: break;
    }
    c->writing = WRITE_ENDED;
    c->side->settle(c);
}
