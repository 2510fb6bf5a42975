/* Clients and servers of one process, over loopback. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

#include "base/rpc/rpc.h"
#include "base/rpc/testing/echo_service.h"

typedef Chaperone__Rpc__Test__EchoRequest EchoRequest;
typedef Chaperone__Rpc__Test__EchoReply EchoReply;
#define ECHO (&chaperone__rpc__test__echo__descriptor)
#define REQUEST_INIT CHAPERONE__RPC__TEST__ECHO_REQUEST__INIT

enum { SERVER_THREADS = 3, MESSAGES = 10000, WAIT_S = 30 };

struct fixture {
    struct rpc_runtime *runtime;
    struct rpc_server *server;
    struct rpc_channel *channel;
    struct echo_service service;
    char address[64];
};

static void open_channel(struct fixture *f, struct rpc_channel **out)
{
    struct rpc_channel_options options = {.target = f->address};
    assert_int_equal(rpc_channel_create(f->runtime, &options, out), OK);
}

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    struct err_text why;
    struct rpc_server_options options = {.address = "127.0.0.1:0"};
    assert_int_equal(rpc_runtime_create(SERVER_THREADS, NULL, &f->runtime), OK);
    assert_int_equal(rpc_server_create(f->runtime, &options, &f->server, &why), OK);
    assert_int_equal(echo_service_add(&f->service, f->server), OK);
    assert_int_equal(rpc_server_start(f->server, &why), OK);
    (void)snprintf(f->address, sizeof(f->address), "127.0.0.1:%d", rpc_server_port(f->server));
    open_channel(f, &f->channel);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    rpc_channel_destroy(f->channel);
    rpc_server_shutdown(f->server, 5000);
    rpc_server_destroy(f->server);
    rpc_runtime_destroy(f->runtime);
    free(f);
    return 0;
}

/* ---- unary ---------------------------------------------------------------------------- */

static enum rpc_code call_unary(struct fixture *f, const EchoRequest *request,
                                const struct rpc_call_options *options, EchoReply **out_reply,
                                struct rpc_status *out_status)
{
    return rpc_call_wait(f->channel, ECHO, "Unary", &request->base, options,
                         (ProtobufCMessage **)out_reply, out_status);
}

static void test_unary(void **state)
{
    struct fixture *f = *state;
    EchoRequest request = REQUEST_INIT;
    request.text = "hello";
    EchoReply *reply = NULL;
    struct rpc_status status;
    assert_int_equal(call_unary(f, &request, NULL, &reply, &status), RPC_OK);
    assert_string_equal(reply->text, "hello");
    assert_int_equal(strncmp(reply->peer, "ipv4:127.0.0.1:", 15), 0);
    assert_string_equal(reply->certificate_pem, "");
    assert_false(reply->has_deadline);
    assert_string_equal(status.message, "");
    chaperone__rpc__test__echo_reply__free_unpacked(reply, NULL);
}

/* ---- streams -------------------------------------------------------------------------- */

/* What a client's stream has seen; the test waits for the end. */
struct watch {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    uint64_t received, last;
    bool ended, in_order, hold;
    uint64_t to_send, sent;
    size_t size;
    bool half_close_after;
    uint8_t *payload;
    enum rpc_code code;
    char message[RPC_MESSAGE_SIZE];
    uint8_t details[64];
    size_t details_size;
};

static void init_watch(struct watch *w)
{
    memset(w, 0, sizeof(*w));
    w->in_order = true;
    assert_int_equal(pthread_mutex_init(&w->mutex, NULL), 0);
    assert_int_equal(pthread_cond_init(&w->changed, NULL), 0);
}

static void on_watch_message(void *context, struct rpc_stream *stream,
                             const ProtobufCMessage *message)
{
    (void)stream;
    struct watch *w = context;
    const EchoReply *reply = (const EchoReply *)message;
    (void)pthread_mutex_lock(&w->mutex);
    w->in_order = w->in_order && reply->sequence == w->last + 1;
    w->last = reply->sequence;
    w->received++;
    (void)pthread_cond_broadcast(&w->changed);
    while (w->hold)
        (void)pthread_cond_wait(&w->changed, &w->mutex);
    (void)pthread_mutex_unlock(&w->mutex);
}

static void on_watch_end(void *context, struct rpc_stream *stream, const struct rpc_status *status)
{
    (void)stream;
    struct watch *w = context;
    (void)pthread_mutex_lock(&w->mutex);
    w->ended = true;
    w->code = status->code;
    memcpy(w->message, status->message, sizeof(w->message));
    if (status->details.size > 0 && status->details.size <= sizeof(w->details)) {
        memcpy(w->details, status->details.data, status->details.size);
        w->details_size = status->details.size;
    }
    (void)pthread_cond_broadcast(&w->changed);
    (void)pthread_mutex_unlock(&w->mutex);
}

/* Sends as much as fits, the rest when it has drained. */
static void on_watch_drained(void *context, struct rpc_stream *stream)
{
    struct watch *w = context;
    EchoRequest request = REQUEST_INIT;
    request.payload.data = w->payload;
    request.payload.len = w->size;
    while (w->sent < w->to_send) {
        if (rpc_stream_send(stream, &request.base) != OK)
            return;
        w->sent++;
    }
    if (w->half_close_after)
        rpc_stream_half_close(stream);
}

static const struct rpc_stream_events watch_events = {
    .on_message = on_watch_message, .on_drained = on_watch_drained, .on_end = on_watch_end};

static struct timespec deadline(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_REALTIME, &t);
    t.tv_sec += WAIT_S;
    return t;
}

/* Waits for the end and checks that it came. */
static void wait_end(struct watch *w)
{
    struct timespec until = deadline();
    int rc = 0;
    (void)pthread_mutex_lock(&w->mutex);
    while (!w->ended && rc == 0)
        rc = pthread_cond_timedwait(&w->changed, &w->mutex, &until);
    (void)pthread_mutex_unlock(&w->mutex);
    assert_true(w->ended);
}

static struct rpc_stream *open_stream(struct fixture *f, const char *method,
                                      const struct rpc_call_options *options, struct watch *w)
{
    struct rpc_stream *stream = NULL;
    assert_int_equal(rpc_stream_open(f->channel, ECHO, method, options, &watch_events, w, &stream),
                     OK);
    return stream;
}

static void test_bidi(void **state)
{
    struct fixture *f = *state;
    struct watch w;
    init_watch(&w);
    w.to_send = MESSAGES;
    w.half_close_after = true;
    struct rpc_stream *stream = open_stream(f, "Bidi", NULL, &w);
    EchoRequest request = REQUEST_INIT;
    w.sent = 1; /* the first one is sent here; the rest when it has drained */
    assert_int_equal(rpc_stream_send(stream, &request.base), OK);
    wait_end(&w);
    assert_int_equal(w.code, RPC_OK);
    assert_int_equal(w.received, MESSAGES);
    assert_true(w.in_order);
    rpc_stream_release(stream);
}

static void test_server_stream(void **state)
{
    struct fixture *f = *state;
    struct watch w;
    init_watch(&w);
    struct rpc_stream *stream = open_stream(f, "ServerStream", NULL, &w);
    EchoRequest request = REQUEST_INIT;
    request.count = MESSAGES;
    request.size = 8192; /* 80 MB: more than the queue's cap, so the server has to wait */
    assert_int_equal(rpc_stream_send(stream, &request.base), OK);
    rpc_stream_half_close(stream);
    wait_end(&w);
    assert_int_equal(w.code, RPC_OK);
    assert_int_equal(w.received, MESSAGES);
    assert_true(w.in_order);
    rpc_stream_release(stream);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_unary, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_bidi, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_server_stream, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
