/* A server of the echo service on loopback, a channel to it, and streams that can be awaited. */
#ifndef CHAPERONE_BASE_RPC_TESTING_FIXTURE_H
#define CHAPERONE_BASE_RPC_TESTING_FIXTURE_H

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/rpc/rpc.h"
#include "base/rpc/testing/echo_service.h"

typedef Chaperone__Rpc__Test__EchoRequest EchoRequest;
typedef Chaperone__Rpc__Test__EchoReply EchoReply;
#define ECHO (&chaperone__rpc__test__echo__descriptor)
#define REQUEST_INIT CHAPERONE__RPC__TEST__ECHO_REQUEST__INIT

enum {
    FIXTURE_THREADS = 3, /* handlers that may block at once */
    FIXTURE_MESSAGES = 10000,
    FIXTURE_WAIT_S = 30, /* longer than anything takes; then a test fails */
};

struct fixture {
    struct rpc_runtime *runtime;
    struct rpc_server *server;
    struct rpc_channel *channel;
    struct echo_service service;
    char address[128];
};

/* For cmocka_unit_test_setup_teardown. */
int fixture_set_up(void **state);
int fixture_tear_down(void **state);

/* For cmocka_run_group_tests: shuts gRPC down, which programs never do, so that a leak checker
 * sees all that gRPC still holds for us. */
int fixture_end_group(void **state);

/* The parts, for tests that need them otherwise. */
void fixture_start_server(struct fixture *f, const struct rpc_server_options *options);
void fixture_open_channel(struct fixture *f, const struct rpc_channel_options *options);

/* Echo.Unary, blocking. `*out_reply` is owned. */
enum rpc_code fixture_unary(struct rpc_channel *channel, const EchoRequest *request,
                            const struct rpc_call_options *options, EchoReply **out_reply,
                            struct rpc_status *out_status);

/* A client's stream as seen by its callbacks. */
struct watch {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    struct rpc_stream *stream;
    uint64_t received, last;
    bool in_order; /* sequence 1, 2, 3, ... */
    bool hold;     /* on_message blocks: the client reads no more */
    bool overlap;  /* two callbacks ran at once */
    int inside;
    /* Sent by on_drained, then half-closed. */
    uint64_t to_send, sent;
    bool ended;
    enum rpc_code code;
    char message[RPC_MESSAGE_SIZE];
    uint8_t details[64];
    size_t details_size;
};

void watch_init(struct watch *w);
void watch_finish(struct watch *w); /* releases the stream */
void watch_open(struct watch *w, struct rpc_channel *channel, const char *method,
                const struct rpc_call_options *options);
/* Sends as many of `to_send` as fit; the rest goes when it has drained. */
void watch_send_all(struct watch *w, uint64_t count);
void watch_hold(struct watch *w, bool hold);
void watch_wait_received(struct watch *w, uint64_t count);
void watch_wait_end(struct watch *w);

/* Waits until the value is reached; the test fails when it is not. */
void wait_until_equal(atomic_ullong *value, unsigned long long expected);

#endif
