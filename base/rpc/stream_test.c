/* Streams between a client and a server of one process, over loopback. */
#include <stdlib.h>
#include <time.h>

#include "base/rpc/testing/fixture.h"

static void test_bidirectional(void **state)
{
    struct fixture *f = *state;
    struct watch w;
    watch_init(&w);
    watch_open(&w, f->channel, "Bidi", NULL);
    watch_send_all(&w, FIXTURE_MESSAGES);
    watch_wait_end(&w);
    assert_int_equal(w.code, RPC_OK);
    assert_int_equal(w.received, FIXTURE_MESSAGES);
    assert_true(w.in_order);
    watch_finish(&w);
    wait_until_equal(&f->service.open, 0);
    assert_int_equal(f->service.cancelled, 0);
}

static void test_from_the_client(void **state)
{
    struct fixture *f = *state;
    struct watch w;
    watch_init(&w);
    watch_open(&w, f->channel, "ClientStream", NULL);
    watch_send_all(&w, FIXTURE_MESSAGES);
    watch_wait_end(&w);
    assert_int_equal(w.code, RPC_OK);
    assert_int_equal(w.received, 1);
    assert_int_equal(w.last, FIXTURE_MESSAGES);
    watch_finish(&w);
}

static void ask(struct watch *w, uint32_t count, uint32_t size)
{
    EchoRequest request = REQUEST_INIT;
    request.count = count;
    request.size = size;
    assert_int_equal(rpc_stream_send(w->stream, &request.base), OK);
    rpc_stream_half_close(w->stream);
}

/* 80 MB, five times what may wait to be sent: the server goes on when it has drained. */
static void test_from_the_server(void **state)
{
    struct fixture *f = *state;
    struct watch w;
    watch_init(&w);
    watch_open(&w, f->channel, "ServerStream", NULL);
    ask(&w, FIXTURE_MESSAGES, 8192);
    watch_wait_end(&w);
    assert_int_equal(w.code, RPC_OK);
    assert_int_equal(w.received, FIXTURE_MESSAGES);
    assert_true(w.in_order);
    watch_finish(&w);
}

/* A server that does not read: the client's queue fills to its cap and no further, and what was
 * refused goes when it has drained. */
static void test_slow_server_bounds_the_queue(void **state)
{
    struct fixture *f = *state;
    enum { SIZE = 64 << 10 };
    uint8_t *payload = calloc(1, SIZE);
    EchoRequest request = REQUEST_INIT;
    request.payload.data = payload;
    request.payload.len = SIZE;
    atomic_store(&f->service.hold, true);
    struct watch w;
    watch_init(&w);
    watch_open(&w, f->channel, "ClientStream", NULL);
    uint64_t sent = 0;
    enum err e;
    while ((e = rpc_stream_send(w.stream, &request.base)) == OK) {
        sent++;
        assert_true(rpc_stream_queued(w.stream) <= RPC_STREAM_QUEUE_CAP + SIZE);
        assert_true(sent < 10 * RPC_STREAM_QUEUE_CAP / SIZE);
    }
    assert_int_equal(e, ERR_LIMIT);
    assert_true(rpc_stream_queued(w.stream) > RPC_STREAM_QUEUE_CAP - 2 * SIZE);
    atomic_store(&f->service.hold, false);
    wait_until_equal(&f->service.received, sent);
    watch_send_all(&w, 5);
    watch_wait_end(&w);
    assert_int_equal(w.code, RPC_OK);
    assert_int_equal(w.last, sent + 5);
    watch_finish(&w);
    free(payload);
}

/* A client that does not read, at an echo that goes on reading: the server ends it when the
 * echoes fill its queue, instead of keeping them all. */
static void test_slow_client_bounds_the_server(void **state)
{
    struct fixture *f = *state;
    enum { SIZE = 1 << 20, MOST = 4 * RPC_STREAM_QUEUE_CAP / SIZE };
    uint8_t *payload = calloc(1, SIZE);
    EchoRequest request = REQUEST_INIT;
    request.payload.data = payload;
    request.payload.len = SIZE;
    struct watch w;
    watch_init(&w);
    w.hold = true;
    watch_open(&w, f->channel, "Bidi", NULL);
    const struct timespec step = {.tv_nsec = 1000000};
    int sent = 0;
    while (atomic_load(&f->service.overflows) == 0 && sent < MOST) {
        enum err e = rpc_stream_send(w.stream, &request.base);
        sent += e == OK ? 1 : 0;
        if (e != OK)
            (void)nanosleep(&step, NULL);
    }
    wait_until_equal(&f->service.overflows, 1);
    watch_hold(&w, false);
    watch_wait_end(&w);
    assert_int_equal(w.code, RPC_RESOURCE_EXHAUSTED);
    assert_string_equal(w.message, "the client does not read");
    watch_finish(&w);
    free(payload);
}

static void test_message_larger_than_the_queue(void **state)
{
    struct fixture *f = *state;
    size_t size = RPC_STREAM_QUEUE_CAP - 1000; /* the most a server receives */
    uint8_t *payload = calloc(1, size + 2000);
    EchoRequest request = REQUEST_INIT;
    request.payload.data = payload;
    request.payload.len = size;
    struct watch w;
    watch_init(&w);
    watch_open(&w, f->channel, "ClientStream", NULL);
    assert_int_equal(rpc_stream_send(w.stream, &request.base), OK);
    watch_send_all(&w, 1);
    watch_wait_end(&w);
    assert_int_equal(w.code, RPC_OK);
    assert_int_equal(w.last, 2);
    watch_finish(&w);

    watch_init(&w);
    request.payload.len = size + 2000; /* goes out alone, and the server refuses it */
    watch_open(&w, f->channel, "ClientStream", NULL);
    assert_int_equal(rpc_stream_send(w.stream, &request.base), OK);
    watch_wait_end(&w);
    assert_int_not_equal(w.code, RPC_OK);
    watch_finish(&w);
    free(payload);
}

static void test_status_with_details(void **state)
{
    struct fixture *f = *state;
    EchoRequest request = REQUEST_INIT;
    request.code = RPC_NOT_FOUND;
    request.text = "not there";
    request.details = true;
    struct watch w;
    watch_init(&w);
    watch_open(&w, f->channel, "Bidi", NULL);
    assert_int_equal(rpc_stream_send(w.stream, &request.base), OK);
    watch_wait_end(&w);
    assert_int_equal(w.code, RPC_NOT_FOUND);
    assert_string_equal(w.message, "not there");
    assert_int_equal(w.details_size, echo_details().size);
    assert_memory_equal(w.details, echo_details().data, w.details_size);
    /* Sending after the end. */
    assert_int_equal(rpc_stream_send(w.stream, &request.base), ERR_CLOSED);
    rpc_stream_half_close(w.stream);
    rpc_stream_cancel(w.stream);
    watch_finish(&w);
}

static void test_refused(void **state)
{
    struct fixture *f = *state;
    const struct rpc_metadata refuse = {.name = "x-refuse", .value = bytes_of_string("1")};
    struct rpc_call_options options = {.metadata = &refuse, .metadata_count = 1};
    struct watch w;
    watch_init(&w);
    watch_open(&w, f->channel, "Bidi", &options);
    watch_wait_end(&w);
    assert_int_equal(w.code, RPC_PERMISSION_DENIED);
    assert_string_equal(w.message, "refused as you wished");
    assert_int_equal(w.received, 0);
    watch_finish(&w);
}

static void test_deadline(void **state)
{
    struct fixture *f = *state;
    struct rpc_call_options options = {.deadline_ms = 3000};
    EchoRequest request = REQUEST_INIT;
    struct watch w;
    watch_init(&w);
    watch_open(&w, f->channel, "Bidi", &options);
    assert_int_equal(rpc_stream_send(w.stream, &request.base), OK);
    watch_wait_received(&w, 1); /* the server knows of it */
    watch_wait_end(&w);
    assert_int_equal(w.code, RPC_DEADLINE_EXCEEDED);
    watch_finish(&w);
    wait_until_equal(&f->service.cancelled, 1);
    wait_until_equal(&f->service.open, 0);
}

static void test_misuse(void **state)
{
    struct fixture *f = *state;
    struct rpc_stream *stream = NULL;
    struct rpc_stream_events events = {.on_end = NULL};
    assert_int_equal(rpc_stream_open(f->channel, ECHO, "Nothing", NULL, &events, NULL, &stream),
                     ERR_NOT_FOUND);
    assert_null(stream);
    struct watch w;
    watch_init(&w);
    watch_open(&w, f->channel, "Bidi", NULL);
    EchoReply reply = CHAPERONE__RPC__TEST__ECHO_REPLY__INIT;
    assert_int_equal(rpc_stream_send(w.stream, &reply.base), ERR_INVALID);
    rpc_stream_half_close(w.stream);
    EchoRequest request = REQUEST_INIT;
    assert_int_equal(rpc_stream_send(w.stream, &request.base), ERR_CLOSED);
    watch_wait_end(&w);
    assert_int_equal(w.code, RPC_OK);
    watch_finish(&w);
}

/* The server must never take a client that has gone for one that has said its last message:
 * an upload that was cut off is not whole. */
static void test_cancel_is_no_half_close(void **state)
{
    struct fixture *f = *state;
    enum { ROUNDS = 200 };
    EchoRequest request = REQUEST_INIT;
    for (unsigned i = 0; i < ROUNDS; i++) {
        unsigned long long before = atomic_load(&f->service.received);
        struct watch w;
        watch_init(&w);
        watch_open(&w, f->channel, "ClientStream", NULL);
        assert_int_equal(rpc_stream_send(w.stream, &request.base), OK);
        wait_until_equal(&f->service.received, before + 1);
        rpc_stream_cancel(w.stream);
        watch_wait_end(&w);
        assert_int_equal(w.code, RPC_CANCELLED);
        watch_finish(&w);
    }
    wait_until_equal(&f->service.open, 0);
    assert_int_equal(f->service.cancelled, ROUNDS);
    assert_int_equal(f->service.uploaded, 0);
}

/* A stream that was released goes on by itself, and is freed when it ends (under ASan). */
static void forget(void *context, struct rpc_stream *stream, const struct rpc_status *status)
{
    (void)stream;
    atomic_store((atomic_ullong *)context, status->code == RPC_OK ? 1 : 2);
}

static void test_released_before_the_end(void **state)
{
    struct fixture *f = *state;
    atomic_ullong ended = 0;
    struct rpc_stream *stream = NULL;
    struct rpc_stream_events events = {.on_end = forget};
    assert_int_equal(
        rpc_stream_open(f->channel, ECHO, "ClientStream", NULL, &events, &ended, &stream), OK);
    EchoRequest request = REQUEST_INIT;
    assert_int_equal(rpc_stream_send(stream, &request.base), OK);
    rpc_stream_half_close(stream);
    rpc_stream_release(stream);
    wait_until_equal(&ended, 1);
}

/* Threads of the user send and cancel while callbacks run (under ASan, TSan by hand). */
static void *send_until_closed(void *context)
{
    struct watch *w = context;
    EchoRequest request = REQUEST_INIT;
    enum err e;
    do
        e = rpc_stream_send(w->stream, &request.base);
    while (e == OK || e == ERR_LIMIT);
    assert_int_equal(e, ERR_CLOSED);
    return NULL;
}

static void test_many_threads(void **state)
{
    struct fixture *f = *state;
    for (int round = 0; round < 20; round++) {
        struct watch w;
        watch_init(&w);
        watch_open(&w, f->channel, "Bidi", NULL);
        pthread_t threads[2];
        for (size_t i = 0; i < 2; i++)
            assert_int_equal(pthread_create(&threads[i], NULL, send_until_closed, &w), 0);
        watch_wait_received(&w, 50);
        rpc_stream_cancel(w.stream);
        for (size_t i = 0; i < 2; i++)
            assert_int_equal(pthread_join(threads[i], NULL), 0);
        watch_wait_end(&w);
        assert_int_equal(w.code, RPC_CANCELLED);
        assert_true(w.in_order);
        watch_finish(&w);
    }
}

#define WITH_SERVER(test) cmocka_unit_test_setup_teardown(test, fixture_set_up, fixture_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_SERVER(test_bidirectional),
        WITH_SERVER(test_from_the_client),
        WITH_SERVER(test_from_the_server),
        WITH_SERVER(test_slow_server_bounds_the_queue),
        WITH_SERVER(test_slow_client_bounds_the_server),
        WITH_SERVER(test_message_larger_than_the_queue),
        WITH_SERVER(test_status_with_details),
        WITH_SERVER(test_refused),
        WITH_SERVER(test_deadline),
        WITH_SERVER(test_misuse),
        WITH_SERVER(test_cancel_is_no_half_close),
        WITH_SERVER(test_released_before_the_end),
        WITH_SERVER(test_many_threads),
    };
    return cmocka_run_group_tests(tests, NULL, fixture_end_group);
}
