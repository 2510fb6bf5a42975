#include "base/rpc/testing/fixture.h"

#include <grpc/grpc.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

void fixture_start_server(struct fixture *f, const struct rpc_server_options *options)
{
    struct err_text why = {.text = ""};
    if (rpc_server_create(f->runtime, options, &f->server, &why) != OK)
        fail_msg("%s", why.text);
    assert_int_equal(echo_service_add(&f->service, f->server), OK);
    assert_int_equal(rpc_server_start(f->server, &why), OK);
    (void)snprintf(f->address, sizeof(f->address), "127.0.0.1:%d", rpc_server_port(f->server));
}

void fixture_open_channel(struct fixture *f, const struct rpc_channel_options *options)
{
    struct rpc_channel_options mine = *options;
    if (mine.target == NULL)
        mine.target = f->address;
    assert_int_equal(rpc_channel_create(f->runtime, &mine, &f->channel), OK);
}

int fixture_set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    assert_non_null(f);
    assert_int_equal(rpc_runtime_create(FIXTURE_THREADS, NULL, &f->runtime), OK);
    fixture_start_server(f, &(struct rpc_server_options){.address = "127.0.0.1:0"});
    fixture_open_channel(f, &(struct rpc_channel_options){.target = NULL});
    *state = f;
    return 0;
}

int fixture_tear_down(void **state)
{
    struct fixture *f = *state;
    rpc_channel_destroy(f->channel);
    if (f->server != NULL)
        rpc_server_shutdown(f->server, 1000 * FIXTURE_WAIT_S);
    rpc_server_destroy(f->server);
    rpc_runtime_destroy(f->runtime);
    free(f);
    return 0;
}

int fixture_end_group(void **state)
{
    (void)state;
    grpc_shutdown_blocking();
    return 0;
}

enum rpc_code fixture_unary(struct rpc_channel *channel, const EchoRequest *request,
                            const struct rpc_call_options *options, EchoReply **out_reply,
                            struct rpc_status *out_status)
{
    ProtobufCMessage *reply = NULL;
    enum rpc_code code =
        rpc_call_wait(channel, ECHO, "Unary", &request->base, options, &reply, out_status);
    *out_reply = (EchoReply *)reply;
    return code;
}

/* ---- streams -------------------------------------------------------------------------- */

static void enter(struct watch *w)
{
    (void)pthread_mutex_lock(&w->mutex);
    w->overlap = w->overlap || w->inside > 0;
    w->inside++;
}

static void leave(struct watch *w)
{
    w->inside--;
    (void)pthread_cond_broadcast(&w->changed);
    (void)pthread_mutex_unlock(&w->mutex);
}

static void on_message(void *context, struct rpc_stream *stream, const ProtobufCMessage *message)
{
    (void)stream;
    struct watch *w = context;
    const EchoReply *reply = (const EchoReply *)message;
    enter(w);
    w->in_order = w->in_order && reply->sequence == w->last + 1;
    w->last = reply->sequence;
    w->received++;
    (void)pthread_cond_broadcast(&w->changed);
    while (w->hold)
        (void)pthread_cond_wait(&w->changed, &w->mutex);
    leave(w);
}

static void on_end(void *context, struct rpc_stream *stream, const struct rpc_status *status)
{
    (void)stream;
    struct watch *w = context;
    enter(w);
    w->ended = true;
    w->code = status->code;
    memcpy(w->message, status->message, sizeof(w->message));
    if (status->details.size > 0 && status->details.size <= sizeof(w->details)) {
        memcpy(w->details, status->details.data, status->details.size);
        w->details_size = status->details.size;
    }
    leave(w);
}

static void send_some(struct watch *w, struct rpc_stream *stream)
{
    EchoRequest request = REQUEST_INIT;
    while (w->sent < w->to_send) {
        if (rpc_stream_send(stream, &request.base) != OK)
            return;
        w->sent++;
    }
    rpc_stream_half_close(stream);
}

static void on_drained(void *context, struct rpc_stream *stream)
{
    struct watch *w = context;
    enter(w);
    if (w->to_send > 0)
        send_some(w, stream);
    leave(w);
}

void watch_init(struct watch *w)
{
    memset(w, 0, sizeof(*w));
    w->in_order = true;
    assert_int_equal(pthread_mutex_init(&w->mutex, NULL), 0);
    assert_int_equal(pthread_cond_init(&w->changed, NULL), 0);
}

void watch_finish(struct watch *w)
{
    rpc_stream_release(w->stream);
    (void)pthread_cond_destroy(&w->changed);
    (void)pthread_mutex_destroy(&w->mutex);
}

void watch_open(struct watch *w, struct rpc_channel *channel, const char *method,
                const struct rpc_call_options *options)
{
    static const struct rpc_stream_events events = {
        .on_message = on_message, .on_drained = on_drained, .on_end = on_end};
    assert_int_equal(rpc_stream_open(channel, ECHO, method, options, &events, w, &w->stream), OK);
}

void watch_send_all(struct watch *w, uint64_t count)
{
    (void)pthread_mutex_lock(&w->mutex);
    w->to_send = count;
    send_some(w, w->stream);
    (void)pthread_mutex_unlock(&w->mutex);
}

void watch_hold(struct watch *w, bool hold)
{
    (void)pthread_mutex_lock(&w->mutex);
    w->hold = hold;
    (void)pthread_cond_broadcast(&w->changed);
    (void)pthread_mutex_unlock(&w->mutex);
}

static struct timespec deadline(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_REALTIME, &t);
    t.tv_sec += FIXTURE_WAIT_S;
    return t;
}

void watch_wait_received(struct watch *w, uint64_t count)
{
    struct timespec until = deadline();
    int rc = 0;
    (void)pthread_mutex_lock(&w->mutex);
    while (w->received < count && !w->ended && rc == 0)
        rc = pthread_cond_timedwait(&w->changed, &w->mutex, &until);
    bool there = w->received >= count;
    (void)pthread_mutex_unlock(&w->mutex);
    assert_true(there);
}

void watch_wait_end(struct watch *w)
{
    struct timespec until = deadline();
    int rc = 0;
    (void)pthread_mutex_lock(&w->mutex);
    while (!w->ended && rc == 0)
        rc = pthread_cond_timedwait(&w->changed, &w->mutex, &until);
    bool ended = w->ended;
    (void)pthread_mutex_unlock(&w->mutex);
    assert_true(ended);
    assert_false(w->overlap);
}

void wait_until_equal(atomic_ullong *value, unsigned long long expected)
{
    const struct timespec step = {.tv_nsec = 1000000};
    for (int i = 0; i < FIXTURE_WAIT_S * 1000 && atomic_load(value) != expected; i++)
        (void)nanosleep(&step, NULL);
    assert_int_equal(atomic_load(value), expected);
}
