/* What waits for a window to open, between both sides of ours. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "sidecar/protocol/http/http2/http2_pair.h"

/* What the window does not permit waits, and leaves in order. */
static void a_closed_window_holds_data_back(void **state)
{
    struct pair *p = *state;
    p->server.keeps_data = true;
    uint32_t id = begin_upload(p);
    uint8_t block[10000];
    size_t sent = 0;
    for (; sent < 4 * HTTP_WINDOW; sent += sizeof(block)) {
        memset(block, (int)(sent / sizeof(block)), sizeof(block));
        send_data(&p->client, id, bytes_of(block, sizeof(block)));
    }
    send_end(&p->client, id, "");
    exchange(p);
    assert_int_equal(p->server.received, HTTP_WINDOW);
    assert_int_equal(waiting(&p->client, id), sent - HTTP_WINDOW);
    assert_log(&p->client, "");

    size_t consumed = 0;
    while (consumed < p->server.received) {
        size_t n = p->server.received - consumed;
        consumed += n;
        consume(&p->server, id, n);
        exchange(p);
    }
    assert_int_equal(consumed, sent);
    assert_int_equal(waiting(&p->client, id), 0);
    assert_log(&p->client, "drained 1\n");
    assert_logged(&p->server, "end 1\n");
}

static uint8_t pattern(size_t at)
{
    return (uint8_t)('a' + at % 23);
}

/* Through the queue and past it, in pieces of all sizes, every byte arrives in its place. */
static void data_stays_in_order(void **state)
{
    struct pair *p = *state;
    uint32_t id = begin_upload(p);
    testing_forget(&p->server);
    size_t total = 0;
    uint8_t block[70000];
    for (size_t size = 1; size < sizeof(block); size = size * 3 + 1) {
        for (int again = 0; again < 4; again++) {
            for (size_t i = 0; i < size; i++) {
                block[i] = pattern(total + i);
            }
            send_data(&p->client, id, bytes_of(block, size));
            total += size;
        }
    }
    exchange(p);
    struct bytes log = buffer_bytes(&p->server.log);
    assert_int_equal(log.size, total + strlen("data 1 "));
    for (size_t i = 0; i < total; i++) {
        assert_int_equal(log.data[strlen("data 1 ") + i], pattern(i));
    }
}

static void again_when_drained(struct testing_side *side, uint32_t stream)
{
    side->on_drained = NULL;
    send_text(side, stream, "the last words");
    side->codec->ops->send_end(side->codec, stream, NULL);
}

static void what_drained_may_send_again(void **state)
{
    struct pair *p = *state;
    p->server.keeps_data = true;
    p->client.on_drained = again_when_drained;
    uint32_t id = begin_upload(p);
    static uint8_t block[HTTP_WINDOW + 5];
    send_data(&p->client, id, bytes_of(block, sizeof(block)));
    exchange(p);
    consume(&p->server, id, HTTP_WINDOW);
    exchange(p);
    assert_int_equal(p->server.received, sizeof(block) + strlen("the last words"));
    /* What an event sends is written after the event, and is told of as all that waited. */
    assert_log(&p->client, "drained 1\ndrained 1\n");
    assert_logged(&p->server, "end 1\n");
}

/* Streams that nobody takes from do not use up the connection for good. */
static void broken_streams_give_the_window_back(void **state)
{
    struct pair *p = *state;
    p->server.keeps_data = true;
    static uint8_t block[HTTP_WINDOW];
    exchange(p);
    for (int i = 0; i < 100; i++) {
        uint32_t id = request(p, "POST", "/", "", true);
        assert_int_not_equal(id, 0);
        send_data(&p->client, id, bytes_of(block, sizeof(block)));
        exchange(p);
        if (i % 2 == 0) {
            reset(&p->client, id, HTTP_PROBLEM_CANCELLED);
        } else {
            reset(&p->server, id, HTTP_PROBLEM_NO_MEMORY);
        }
        exchange(p);
        consume(&p->server, id, 1 << 30); /* late: nothing */
    }
    assert_int_equal(p->server.received, 100 * sizeof(block));
    assert_open_streams(p, 0);
}

/* Who waits to send more does not wait for a stream that is gone. */
static void what_waits_for_a_broken_stream_is_let_go(void **state)
{
    struct pair *p = *state;
    p->server.keeps_data = true;
    uint32_t id = begin_upload(p);
    static uint8_t block[2 * HTTP_WINDOW];
    send_data(&p->client, id, bytes_of(block, sizeof(block)));
    exchange(p);
    /* The response is whole before the request, and then the rest of that is not wanted. */
    respond(p, id, 413, "", 0, false);
    reset(&p->server, id, HTTP_PROBLEM_NONE);
    exchange(p);
    assert_log(&p->client, "response 1 413 size=0\nend 1\ndrained 1\n");
    assert_int_equal(waiting(&p->client, id), 0);
    send_data(&p->client, id, bytes_of(block, sizeof(block)));
    assert_int_equal(waiting(&p->client, id), 0);
    assert_int_equal(open_streams(&p->client), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_closed_window_holds_data_back),
        TEST(data_stays_in_order),
        TEST(what_drained_may_send_again),
        TEST(broken_streams_give_the_window_back),
        TEST(what_waits_for_a_broken_stream_is_let_go),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
