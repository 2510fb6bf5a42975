/* What smuggling is about: whatever a server takes, once a client has written it anew, is for the
 * next server the same requests with the same bodies, and no others. */
#include <stdlib.h>

#include "sidecar/protocol/http/http_codec.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { TEXT_MAX = 16 << 20 };

struct relay {
    struct http_codec *front, *client, *back;
    struct buffer seen, seen_behind; /* the requests, as text */
    struct buffer to_back;
    uint32_t stream; /* of the client */
    bool forwards;
};

static void expect(bool holds)
{
    if (!holds) {
        abort();
    }
}

static void tell(struct buffer *b, struct bytes text)
{
    expect(buffer_append_format(b, "%zu:", text.size) == OK && buffer_append(b, text) == OK);
}

static void tell_fields(struct buffer *b, const struct http_fields *fields)
{
    for (size_t i = 0; i < fields->count; i++) {
        tell(b, fields->items[i].name);
        tell(b, fields->items[i].value);
    }
}

static void tell_request(struct buffer *b, const struct http_request *r)
{
    tell(b, bytes_of_string("\nrequest"));
    tell(b, r->method);
    tell(b, r->authority);
    tell(b, r->target);
    expect(buffer_append_format(b, "%lld %d", (long long)r->body_size, (int)r->is_websocket) == OK);
    tell_fields(b, &r->fields);
    tell(b, bytes_of_string("\nbody"));
}

static void answer(struct http_codec *c, uint32_t stream)
{
    const struct http_response r = {.status = 200};
    c->ops->send_response(c, stream, &r);
    c->ops->send_end(c, stream, NULL);
}

static void refuse(struct http_codec *c, uint32_t stream)
{
    const struct http_response r = {.status = 400};
    c->ops->send_response(c, stream, &r);
    c->ops->send_end(c, stream, NULL);
}

static void write_nowhere(void *context, struct bytes b)
{
    (void)context;
    (void)b;
}

static void ignore_stream(void *context, uint32_t stream)
{
    (void)context;
    (void)stream;
}

/* ---- the server behind ---------------------------------------------------------------------- */

static void back_request(void *context, uint32_t stream, const struct http_request *r)
{
    struct relay *y = context;
    (void)stream;
    tell_request(&y->seen_behind, r);
}

static void back_data(void *context, uint32_t stream, struct bytes data)
{
    struct relay *y = context;
    expect(buffer_append(&y->seen_behind, data) == OK);
    y->back->ops->consumed(y->back, stream, data.size);
}

static void back_trailers(void *context, uint32_t stream, const struct http_fields *trailers)
{
    struct relay *y = context;
    (void)stream;
    tell(&y->seen_behind, bytes_of_string("\ntrailers"));
    tell_fields(&y->seen_behind, trailers);
}

static void back_end(void *context, uint32_t stream)
{
    struct relay *y = context;
    tell(&y->seen_behind, bytes_of_string("\nend"));
    answer(y->back, stream);
}

static void back_failed(void *context, uint32_t stream, enum http_problem problem, const char *why)
{
    (void)context;
    (void)stream;
    (void)problem;
    (void)why;
    abort(); /* what was written is always understood */
}

static const struct http_codec_events back_events = {
    .write = write_nowhere,
    .on_request = back_request,
    .on_data = back_data,
    .on_trailers = back_trailers,
    .on_end = back_end,
    .on_failed = back_failed,
    .on_drained = ignore_stream,
    .on_going_away = ignore_stream,
};

/* ---- the client between --------------------------------------------------------------------- */

static void client_write(void *context, struct bytes b)
{
    struct relay *y = context;
    expect(buffer_append(&y->to_back, b) == OK);
}

static void client_response(void *context, uint32_t stream, const struct http_response *r)
{
    (void)context;
    (void)stream;
    expect(r->status == 204);
}

static const struct http_codec_events client_events = {
    .write = client_write,
    .on_response = client_response,
    .on_end = ignore_stream,
    .on_failed = back_failed,
    .on_drained = ignore_stream,
    .on_going_away = ignore_stream,
};

static void flush(struct relay *y)
{
    struct bytes b = buffer_bytes(&y->to_back);
    expect(y->back->ops->feed(y->back, b) == b.size);
    buffer_clear(&y->to_back);
}

/* ---- the server in front -------------------------------------------------------------------- */

static void front_request(void *context, uint32_t stream, const struct http_request *request)
{
    struct relay *y = context;
    struct http_request r = *request;
    (void)stream;
    y->forwards = !bytes_equal_string(r.method, "CONNECT");
    if (!y->forwards) {
        return;
    }
    if (r.authority.size == 0) {
        r.authority = bytes_of_string("default.example");
    }
    tell_request(&y->seen, &r);
    y->stream = y->client->ops->send_request(y->client, &r, r.body_size != 0);
    expect(y->stream != 0);
}

static void front_data(void *context, uint32_t stream, struct bytes data)
{
    struct relay *y = context;
    expect(y->forwards && buffer_append(&y->seen, data) == OK);
    y->client->ops->send_data(y->client, y->stream, data);
    y->front->ops->consumed(y->front, stream, data.size);
}

static void front_trailers(void *context, uint32_t stream, const struct http_fields *trailers)
{
    struct relay *y = context;
    (void)stream;
    tell(&y->seen, bytes_of_string("\ntrailers"));
    tell_fields(&y->seen, trailers);
    y->client->ops->send_end(y->client, y->stream, trailers);
}

static void front_end(void *context, uint32_t stream)
{
    static const char response[] = "HTTP/1.1 204 No Content\r\n\r\n";
    struct relay *y = context;
    if (!y->forwards) {
        refuse(y->front, stream);
        return;
    }
    tell(&y->seen, bytes_of_string("\nend"));
    y->client->ops->send_end(y->client, y->stream, NULL);
    flush(y);
    expect(y->client->ops->feed(y->client, bytes_of_string(response)) == sizeof(response) - 1);
    expect(y->client->ops->can_request(y->client));
    answer(y->front, stream);
}

static void front_failed(void *context, uint32_t stream, enum http_problem problem, const char *why)
{
    struct relay *y = context;
    (void)problem;
    expect(why != NULL && why[0] != '\0');
    if (stream != 0) {
        refuse(y->front, stream);
    }
}

static const struct http_codec_events front_events = {
    .write = write_nowhere,
    .on_request = front_request,
    .on_data = front_data,
    .on_trailers = front_trailers,
    .on_end = front_end,
    .on_failed = front_failed,
    .on_drained = ignore_stream,
    .on_going_away = ignore_stream,
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct relay y = {0};
    buffer_init(&y.seen, TEXT_MAX);
    buffer_init(&y.seen_behind, TEXT_MAX);
    buffer_init(&y.to_back, TEXT_MAX);
    y.front = http1_server_create(&front_events, &y);
    y.client = http1_client_create(&client_events, &y);
    y.back = http1_server_create(&back_events, &y);
    expect(y.front != NULL && y.client != NULL && y.back != NULL);
    (void)y.front->ops->feed(y.front, bytes_of(data, size));
    flush(&y);
    expect(bytes_equal(buffer_bytes(&y.seen), buffer_bytes(&y.seen_behind)));
    y.front->ops->destroy(y.front);
    y.client->ops->destroy(y.client);
    y.back->ops->destroy(y.back);
    buffer_finish(&y.seen);
    buffer_finish(&y.seen_behind);
    buffer_finish(&y.to_back);
    return 0;
}
