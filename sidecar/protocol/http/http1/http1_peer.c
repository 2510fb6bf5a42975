#include "sidecar/protocol/http/http1/http1_peer.h"

#include <stdio.h>
#include <stdlib.h>

enum { LOG_MAX = 64 << 20 };

static void must(enum err e)
{
    if (e != OK) {
        abort();
    }
}

static void flush_data(struct http1_peer *p)
{
    if (buffer_size(&p->data) > 0) {
        must(buffer_append_string(&p->log, "data "));
        must(buffer_append(&p->log, buffer_bytes(&p->data)));
        must(buffer_append_string(&p->log, "\n"));
        buffer_clear(&p->data);
    }
}

#define TELL(p, ...)                                                                               \
    do {                                                                                           \
        flush_data(p);                                                                             \
        must(buffer_append_format(&(p)->log, __VA_ARGS__));                                        \
    } while (0)

/* Every byte is looked at: what a codec gives has to be there. */
static void tell_fields(struct http1_peer *p, const struct http_fields *fields)
{
    for (size_t i = 0; i < fields->count; i++) {
        must(buffer_append_string(&p->log, " ["));
        must(buffer_append(&p->log, fields->items[i].name));
        must(buffer_append_string(&p->log, "="));
        must(buffer_append(&p->log, fields->items[i].value));
        must(buffer_append_string(&p->log, "]"));
    }
    must(buffer_append_string(&p->log, "\n"));
}

static void on_write(void *context, struct bytes b)
{
    struct http1_peer *p = context;
    must(buffer_append(&p->out, b));
}

static void on_request(void *context, uint32_t stream, const struct http_request *r)
{
    struct http1_peer *p = context;
    p->stream = stream;
    TELL(p, "request %u %.*s scheme=%.*s authority=%.*s target=%.*s", stream, (int)r->method.size,
         (const char *)r->method.data, (int)r->scheme.size, (const char *)r->scheme.data,
         (int)r->authority.size, (const char *)r->authority.data, (int)r->target.size,
         (const char *)r->target.data);
    TELL(p, " body=%lld%s%s%s%s", (long long)r->body_size, r->version == HTTP_1_0 ? " 1.0" : "",
         r->is_websocket ? " websocket" : "", r->expects_continue ? " continue" : "",
         r->is_absolute ? " absolute" : "");
    tell_fields(p, &r->fields);
}

static void tell_response(struct http1_peer *p, const char *what, uint32_t stream,
                          const struct http_response *r)
{
    p->stream = stream;
    TELL(p, "%s %u %u body=%lld%s%s", what, stream, r->status, (long long)r->body_size,
         r->has_body ? "" : " none", r->is_websocket ? " websocket" : "");
    tell_fields(p, &r->fields);
}

static void on_informational(void *context, uint32_t stream, const struct http_response *r)
{
    tell_response(context, "informational", stream, r);
}

static void on_response(void *context, uint32_t stream, const struct http_response *r)
{
    tell_response(context, "response", stream, r);
}

static void on_data(void *context, uint32_t stream, struct bytes data)
{
    struct http1_peer *p = context;
    p->given += data.size;
    must(buffer_append(&p->data, data));
    if (!p->holds) {
        p->codec->ops->consumed(p->codec, stream, data.size);
    }
}

static void on_trailers(void *context, uint32_t stream, const struct http_fields *trailers)
{
    TELL((struct http1_peer *)context, "trailers %u", stream);
    tell_fields(context, trailers);
}

static void on_end(void *context, uint32_t stream)
{
    struct http1_peer *p = context;
    TELL(p, "end %u\n", stream);
    if (p->answers) {
        http1_peer_answer(p, stream, 200, "ok");
    }
}

static void on_failed(void *context, uint32_t stream, enum http_problem problem, const char *why)
{
    struct http1_peer *p = context;
    TELL(p, "failed %u %d\n", stream, (int)problem);
    p->stream = stream;
    p->failed++;
    p->problem = problem;
    (void)snprintf(p->why, sizeof(p->why), "%s", why);
    if (p->answers && stream != 0) {
        http1_peer_answer(p, stream, 400, "no");
    }
}

static void on_drained(void *context, uint32_t stream)
{
    struct http1_peer *p = context;
    (void)stream;
    p->drained++;
}

static void on_going_away(void *context, uint32_t last_stream)
{
    TELL((struct http1_peer *)context, "going away %u\n", last_stream);
}

static const struct http_codec_events events = {
    .write = on_write,
    .on_request = on_request,
    .on_informational = on_informational,
    .on_response = on_response,
    .on_data = on_data,
    .on_trailers = on_trailers,
    .on_end = on_end,
    .on_failed = on_failed,
    .on_drained = on_drained,
    .on_going_away = on_going_away,
};

static void init(struct http1_peer *p)
{
    *p = (struct http1_peer){0};
    buffer_init(&p->log, LOG_MAX);
    buffer_init(&p->data, LOG_MAX);
    buffer_init(&p->out, LOG_MAX);
    buffer_init(&p->unused, LOG_MAX);
}

void http1_peer_init_server(struct http1_peer *p)
{
    init(p);
    p->codec = http1_server_create(&events, p);
    if (p->codec == NULL) {
        abort();
    }
}

void http1_peer_init_client(struct http1_peer *p)
{
    init(p);
    p->codec = http1_client_create(&events, p);
    if (p->codec == NULL) {
        abort();
    }
}

void http1_peer_finish(struct http1_peer *p)
{
    p->codec->ops->destroy(p->codec);
    buffer_finish(&p->log);
    buffer_finish(&p->data);
    buffer_finish(&p->out);
    buffer_finish(&p->unused);
}

/* From a copy of its own, so that a sanitizer sees what looks behind it. */
void http1_peer_retry(struct http1_peer *p)
{
    while (buffer_size(&p->unused) > 0) {
        struct bytes all = buffer_bytes(&p->unused);
        uint8_t *copy = malloc(all.size);
        if (copy == NULL) {
            abort();
        }
        memcpy(copy, all.data, all.size);
        size_t used = p->codec->ops->feed(p->codec, bytes_of(copy, all.size));
        free(copy);
        if (used > all.size) {
            abort();
        }
        buffer_consume(&p->unused, used);
        if (used == 0) {
            break;
        }
    }
}

void http1_peer_feed(struct http1_peer *p, struct bytes in)
{
    must(buffer_append(&p->unused, in));
    http1_peer_retry(p);
}

void http1_peer_feed_text(struct http1_peer *p, const char *text)
{
    http1_peer_feed(p, bytes_of_string(text));
}

void http1_peer_feed_end(struct http1_peer *p)
{
    p->codec->ops->feed_end(p->codec);
}

static const char *text_of(struct buffer *b)
{
    uint8_t *end = buffer_reserve(b, 1);
    if (end == NULL) {
        abort();
    }
    *end = '\0';
    return (const char *)b->data + b->start;
}

const char *http1_peer_log(struct http1_peer *p)
{
    flush_data(p);
    return text_of(&p->log);
}

const char *http1_peer_out(struct http1_peer *p)
{
    return text_of(&p->out);
}

void http1_peer_clear(struct http1_peer *p)
{
    buffer_clear(&p->log);
    buffer_clear(&p->data);
    buffer_clear(&p->out);
}

uint32_t http1_peer_ask(struct http1_peer *p, const char *method, const char *target)
{
    struct http_request r = {
        .version = HTTP_1_1,
        .method = bytes_of_string(method),
        .authority = bytes_of_string("a.example"),
        .target = bytes_of_string(target),
    };
    return p->codec->ops->send_request(p->codec, &r, false);
}

void http1_peer_answer(struct http1_peer *p, uint32_t stream, unsigned status, const char *body)
{
    struct http_response r = {
        .version = HTTP_1_1,
        .status = status,
        .body_size = (int64_t)strlen(body),
        .has_body = body[0] != '\0',
    };
    p->codec->ops->send_response(p->codec, stream, &r);
    p->codec->ops->send_data(p->codec, stream, bytes_of_string(body));
    p->codec->ops->send_end(p->codec, stream, NULL);
}
