/* A conversation in which the n-th allocation fails, for each n: whoever waits is told. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/testing/alloc_fail.h"
#include "sidecar/protocol/http/http_codec.h"

enum { WIRE_MAX = 256 << 10, BODY = 100 << 10 };

/* Allocates nothing itself. */
struct side {
    struct http_codec *codec;
    uint8_t wire[WIRE_MAX];
    size_t written;
    size_t received;
    unsigned heads, ends, trailers, failures;
};

struct conversation {
    struct side client, server;
};

static void on_write(void *context, struct bytes b)
{
    struct side *s = context;
    assert_true(b.size <= WIRE_MAX - s->written);
    memcpy(s->wire + s->written, b.data, b.size);
    s->written += b.size;
}

static void on_request(void *context, uint32_t stream, const struct http_request *request)
{
    struct side *s = context;
    (void)stream;
    /* What is told is whole, or is not told. */
    assert_int_equal(request->fields.count, 2);
    assert_int_equal(request->target.size, strlen("/long/path"));
    s->heads++;
}

static void on_response(void *context, uint32_t stream, const struct http_response *response)
{
    struct side *s = context;
    (void)stream;
    if (response->status >= 200) {
        assert_int_equal(response->fields.count, 1);
        s->heads++;
    }
}

static void on_data(void *context, uint32_t stream, struct bytes data)
{
    struct side *s = context;
    s->received += data.size;
    s->codec->ops->consumed(s->codec, stream, data.size);
}

static void on_trailers(void *context, uint32_t stream, const struct http_fields *trailers)
{
    struct side *s = context;
    (void)stream;
    assert_int_equal(trailers->count, 1);
    s->trailers++;
}

static void on_end(void *context, uint32_t stream)
{
    struct side *s = context;
    (void)stream;
    s->ends++;
}

static void on_failed(void *context, uint32_t stream, enum http_problem problem, const char *why)
{
    struct side *s = context;
    (void)stream, (void)problem, (void)why;
    s->failures++;
}

static void on_stream(void *context, uint32_t stream)
{
    (void)context, (void)stream;
}

static const struct http_codec_events events = {
    .write = on_write,
    .on_request = on_request,
    .on_informational = on_response,
    .on_response = on_response,
    .on_data = on_data,
    .on_trailers = on_trailers,
    .on_end = on_end,
    .on_failed = on_failed,
    .on_drained = on_stream,
    .on_going_away = on_stream,
};

static void give(struct side *from, struct side *to)
{
    static uint8_t copy[WIRE_MAX];
    size_t size = from->written;
    memcpy(copy, from->wire, size);
    from->written = 0;
    (void)to->codec->ops->feed(to->codec, bytes_of(copy, size));
}

static void exchange(struct conversation *c)
{
    while (c->client.written > 0 || c->server.written > 0) {
        give(&c->client, &c->server);
        give(&c->server, &c->client);
    }
}

static const struct http_field two[] = {
    {{(const uint8_t *)"cookie", 6}, {(const uint8_t *)"a=1", 3}},
    {{(const uint8_t *)"cookie", 6}, {(const uint8_t *)"b=2", 3}},
    {{(const uint8_t *)"x-team", 6}, {(const uint8_t *)"care", 4}},
};
static const struct http_fields one = {.items = &two[2], .count = 1};

/* A request with a body that waits for its window, and a response with trailers. */
static void talk(struct conversation *c)
{
    static uint8_t body[BODY];
    const struct http_codec_ops *ops = c->client.codec->ops;
    struct http_request request = {
        .version = HTTP_2,
        .method = bytes_of_string("POST"),
        .scheme = bytes_of_string("https"),
        .authority = bytes_of_string("api.test"),
        .target = bytes_of_string("/long/path"),
        .fields = {.items = two, .count = 3},
        .body_size = HTTP_SIZE_UNKNOWN,
    };
    uint32_t id = ops->send_request(c->client.codec, &request, true);
    if (id == 0) {
        c->client.failures++;
        return;
    }
    ops->send_data(c->client.codec, id, bytes_of(body, BODY));
    ops->send_end(c->client.codec, id, &one);
    exchange(c);
    struct http_response response = {
        .version = HTTP_2,
        .status = 100,
        .body_size = HTTP_SIZE_UNKNOWN,
    };
    ops->send_informational(c->server.codec, id, &response);
    response = (struct http_response){
        .version = HTTP_2,
        .status = 200,
        .fields = one,
        .body_size = HTTP_SIZE_UNKNOWN,
        .has_body = true,
    };
    ops->send_response(c->server.codec, id, &response);
    ops->send_data(c->server.codec, id, bytes_of(body, BODY));
    ops->send_end(c->server.codec, id, &one);
    exchange(c);
    ops->go_away(c->client.codec);
    exchange(c);
    /* An empty feed tells what happened in a send function since. */
    (void)ops->feed(c->client.codec, bytes_of(NULL, 0));
    (void)ops->feed(c->server.codec, bytes_of(NULL, 0));
}

static bool is_whole(const struct side *s)
{
    return s->heads == 1 && s->received == BODY && s->trailers == 1 && s->ends == 1;
}

static void converse(void *context)
{
    struct conversation *c = context;
    memset(c, 0, sizeof(*c));
    c->client.codec = http2_client_create(&events, &c->client);
    c->server.codec = http2_server_create(&events, &c->server);
    if (c->client.codec != NULL && c->server.codec != NULL) {
        talk(c);
        bool all = is_whole(&c->client) && is_whole(&c->server);
        bool told = c->client.failures > 0 || c->server.failures > 0 ||
                    c->client.codec->ops->is_over(c->client.codec) ||
                    c->server.codec->ops->is_over(c->server.codec);
        assert_true(all || told);
    }
    if (c->client.codec != NULL) {
        c->client.codec->ops->destroy(c->client.codec);
    }
    if (c->server.codec != NULL) {
        c->server.codec->ops->destroy(c->server.codec);
    }
}

static void no_allocation_is_taken_for_granted(void **state)
{
    (void)state;
    static struct conversation c;
    converse(&c);
    assert_true(is_whole(&c.client) && is_whole(&c.server));
    assert_int_equal(c.client.failures + c.server.failures, 0);
    size_t count = alloc_fail_each(converse, &c);
    assert_true(count > 40);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_allocation_is_taken_for_granted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
