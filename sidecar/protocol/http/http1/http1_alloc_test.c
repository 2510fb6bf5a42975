/* What a codec holds: a connection in steady use asks for no memory, without memory it ends and
 * nothing else does, and a head that was written is not kept. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/testing/alloc_fail.h"
#include "sidecar/protocol/http/http_codec.h"

enum { WRITTEN_MAX = 8192 };

/* A client and a server, and what they wrote; nothing here is allocated. */
struct pair {
    struct http_codec *client, *server;
    uint8_t to_server[WRITTEN_MAX], to_client[WRITTEN_MAX];
    size_t to_server_size, to_client_size;
    struct bytes written;                             /* where the client had its head */
    unsigned requests, responses, failures, refusals; /* refusals: there was no stream */
};

static void put(uint8_t *to, size_t *size, struct bytes b)
{
    assert_true(b.size <= WRITTEN_MAX - *size);
    if (b.size > 0) {
        memcpy(to + *size, b.data, b.size);
        *size += b.size;
    }
}

static void client_write(void *context, struct bytes b)
{
    struct pair *p = context;
    p->written = b;
    put(p->to_server, &p->to_server_size, b);
}

static void server_write(void *context, struct bytes b)
{
    struct pair *p = context;
    put(p->to_client, &p->to_client_size, b);
}

static void on_request(void *context, uint32_t stream, const struct http_request *request)
{
    struct pair *p = context;
    (void)stream;
    assert_int_equal(request->fields.count, 2);
    p->requests++;
}

static void on_response(void *context, uint32_t stream, const struct http_response *response)
{
    struct pair *p = context;
    (void)stream;
    (void)response;
    p->responses++;
}

static void on_data(void *context, uint32_t stream, struct bytes data)
{
    (void)context;
    (void)stream;
    assert_int_equal(data.size, 2);
}

static void on_trailers(void *context, uint32_t stream, const struct http_fields *trailers)
{
    (void)context;
    (void)stream;
    assert_int_equal(trailers->count, 1);
}

static void on_stream(void *context, uint32_t stream)
{
    (void)context;
    (void)stream;
}

static void on_failed(void *context, uint32_t stream, enum http_problem problem, const char *why)
{
    struct pair *p = context;
    (void)stream;
    assert_int_equal(problem, HTTP_PROBLEM_NO_MEMORY);
    assert_non_null(why);
    p->failures++;
}

static const struct http_codec_events client_events = {
    .write = client_write,
    .on_response = on_response,
    .on_data = on_data,
    .on_trailers = on_trailers,
    .on_end = on_stream,
    .on_failed = on_failed,
    .on_drained = on_stream,
    .on_going_away = on_stream,
};

static const struct http_codec_events server_events = {
    .write = server_write,
    .on_request = on_request,
    .on_data = on_data,
    .on_trailers = on_trailers,
    .on_end = on_stream,
    .on_failed = on_failed,
    .on_drained = on_stream,
    .on_going_away = on_stream,
};

enum { LONG_VALUE = 3000 };

static void exchange(struct pair *p, size_t value_size)
{
    struct bytes ab = bytes_of_string("ab");
    char value[LONG_VALUE];
    memset(value, 'v', sizeof(value));
    const struct http_field fields[] = {{bytes_of_string("Authorization"), bytes_of(value, 20)},
                                        {bytes_of_string("X-Long"), bytes_of(value, value_size)}};
    const struct http_field trailer = {bytes_of_string("X-Sum"), bytes_of_string("1")};
    const struct http_request request = {.method = bytes_of_string("PUT"),
                                         .authority = bytes_of_string("a"),
                                         .target = bytes_of_string("/"),
                                         .fields = {fields, 2},
                                         .body_size = HTTP_SIZE_UNKNOWN};
    const struct http_response response = {
        .status = 200, .fields = {fields, 2}, .body_size = 2, .has_body = true};
    uint32_t stream = p->client->ops->send_request(p->client, &request, true);
    p->refusals += stream == 0 ? 1 : 0;
    p->client->ops->send_data(p->client, stream, ab);
    p->client->ops->send_end(p->client, stream, &(struct http_fields){&trailer, 1});
    (void)p->server->ops->feed(p->server, bytes_of(p->to_server, p->to_server_size));
    p->to_server_size = 0;
    p->server->ops->send_response(p->server, stream, &response);
    p->server->ops->send_data(p->server, stream, ab);
    p->server->ops->send_end(p->server, stream, NULL);
    (void)p->client->ops->feed(p->client, bytes_of(p->to_client, p->to_client_size));
    p->to_client_size = 0;
}

static void test_asks_for_no_memory_in_steady_use(void **state)
{
    (void)state;
    static struct pair p;
    p = (struct pair){0};
    p.client = http1_client_create(&client_events, &p);
    p.server = http1_server_create(&server_events, &p);
    exchange(&p, 500);
    alloc_fail_start(0);
    for (unsigned i = 0; i < 10; i++) {
        exchange(&p, 500);
    }
    assert_int_equal(alloc_fail_stop(), 0);
    assert_int_equal(p.requests, 11);
    assert_int_equal(p.responses, 11);
    p.client->ops->destroy(p.client);
    p.server->ops->destroy(p.server);
}

static void run(void *context)
{
    static struct pair p;
    (void)context;
    p = (struct pair){0};
    p.client = http1_client_create(&client_events, &p);
    p.server = http1_server_create(&server_events, &p);
    if (p.client != NULL && p.server != NULL) {
        exchange(&p, 500);
        exchange(&p, LONG_VALUE);
        /* Whoever was not served knows it. */
        bool is_over = p.client->ops->is_over(p.client) || p.server->ops->is_over(p.server);
        assert_true(p.responses == 2 || p.failures > 0 || p.refusals > 0 || is_over);
        assert_true(p.responses <= p.requests + p.failures);
        assert_true(alloc_fail_happened() || p.responses == 2);
    }
    if (p.client != NULL) {
        p.client->ops->destroy(p.client);
    }
    if (p.server != NULL) {
        p.server->ops->destroy(p.server);
    }
}

static void test_ends_without_memory(void **state)
{
    (void)state;
    assert_true(alloc_fail_each(run, NULL) >= 5);
}

/* It has the target's credential. The buffer is of a size that is kept, and may be looked into. */
static void test_forgets_what_it_wrote(void **state)
{
    (void)state;
    static struct pair p;
    const struct http_field field = {bytes_of_string("authorization"),
                                     bytes_of_string("Bearer secret-of-the-target")};
    const struct http_request request = {.method = bytes_of_string("GET"),
                                         .authority = bytes_of_string("a"),
                                         .target = bytes_of_string("/"),
                                         .fields = {&field, 1}};
    p = (struct pair){0};
    p.client = http1_client_create(&client_events, &p);
    assert_int_equal(p.client->ops->send_request(p.client, &request, false), 1);
    assert_non_null(memmem(p.to_server, p.to_server_size, "secret-of", 9));
    assert_int_equal(p.written.size, p.to_server_size);
    assert_null(memmem(p.written.data, p.written.size, "secret-of", 9));
    p.client->ops->destroy(p.client);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_asks_for_no_memory_in_steady_use),
        cmocka_unit_test(test_ends_without_memory),
        cmocka_unit_test(test_forgets_what_it_wrote),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
