/* Unary calls between a client and a server of one process, over loopback. */
#include <stdlib.h>

#include "base/rpc/testing/fixture.h"

static void test_reply(void **state)
{
    struct fixture *f = *state;
    EchoRequest request = REQUEST_INIT;
    uint8_t payload[] = {0, 1, 2, 255};
    request.text = "hello";
    request.payload.data = payload;
    request.payload.len = sizeof(payload);
    EchoReply *reply = NULL;
    struct rpc_status status;
    assert_int_equal(fixture_unary(f->channel, &request, NULL, &reply, &status), RPC_OK);
    assert_string_equal(reply->text, "hello");
    assert_int_equal(reply->payload.len, sizeof(payload));
    assert_memory_equal(reply->payload.data, payload, sizeof(payload));
    assert_int_equal(strncmp(reply->peer, "ipv4:127.0.0.1:", 15), 0);
    assert_string_equal(reply->certificate_pem, "");
    assert_false(reply->has_deadline);
    assert_string_equal(status.message, "");
    chaperone__rpc__test__echo_reply__free_unpacked(reply, NULL);
}

/* What a callback was given, copied. */
struct answer {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    int calls;
    bool had_reply;
    struct rpc_status status;
    uint8_t details[64];
    size_t details_size;
};

static void on_reply(void *context, const struct rpc_status *status, const ProtobufCMessage *reply)
{
    struct answer *a = context;
    (void)pthread_mutex_lock(&a->mutex);
    a->calls++;
    a->had_reply = reply != NULL;
    a->status = *status;
    a->details_size = status->details.size;
    if (a->details_size > 0 && a->details_size <= sizeof(a->details))
        memcpy(a->details, status->details.data, a->details_size);
    (void)pthread_cond_broadcast(&a->changed);
    (void)pthread_mutex_unlock(&a->mutex);
}

static void wait_answer(struct answer *a)
{
    (void)pthread_mutex_lock(&a->mutex);
    while (a->calls == 0)
        (void)pthread_cond_wait(&a->changed, &a->mutex);
    (void)pthread_mutex_unlock(&a->mutex);
}

#define ANSWER_INIT                                                                                \
    {                                                                                              \
        .mutex = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER                    \
    }

static void test_status_with_details(void **state)
{
    struct fixture *f = *state;
    EchoRequest request = REQUEST_INIT;
    request.code = RPC_FAILED_PRECONDITION;
    request.text = "n\xc3\xb6 50%\n"; /* what grpc-message has to escape */
    request.details = true;
    struct answer a = ANSWER_INIT;
    assert_int_equal(
        rpc_call_start(f->channel, ECHO, "Unary", &request.base, NULL, on_reply, &a, NULL), OK);
    wait_answer(&a);
    assert_int_equal(a.status.code, RPC_FAILED_PRECONDITION);
    assert_string_equal(a.status.message, "n\xc3\xb6 50%\n");
    assert_false(a.had_reply);
    assert_int_equal(a.details_size, echo_details().size);
    assert_memory_equal(a.details, echo_details().data, a.details_size);
}

static void test_long_message_is_cut_between_characters(void **state)
{
    struct fixture *f = *state;
    char text[800];
    memset(text, 'x', sizeof(text));
    for (size_t i = 1; i + 1 < sizeof(text); i += 2)
        memcpy(&text[i], "\xc3\xb6", 2);
    text[sizeof(text) - 1] = '\0';
    EchoRequest request = REQUEST_INIT;
    request.code = RPC_ABORTED;
    request.text = text;
    EchoReply *reply = NULL;
    struct rpc_status status;
    assert_int_equal(fixture_unary(f->channel, &request, NULL, &reply, &status), RPC_ABORTED);
    assert_int_equal(strlen(status.message), RPC_MESSAGE_SIZE - 1);
    assert_memory_equal(status.message + RPC_MESSAGE_SIZE - 3, "\xc3\xb6", 2);

    request.text = text + 1; /* now a character would be cut */
    assert_int_equal(fixture_unary(f->channel, &request, NULL, &reply, &status), RPC_ABORTED);
    assert_int_equal(strlen(status.message), RPC_MESSAGE_SIZE - 2);
}

static void test_deadline(void **state)
{
    struct fixture *f = *state;
    EchoRequest request = REQUEST_INIT;
    request.delay_ms = 1000 * FIXTURE_WAIT_S;
    struct rpc_call_options options = {.deadline_ms = 3000};
    EchoReply *reply = NULL;
    struct rpc_status status;
    assert_int_equal(fixture_unary(f->channel, &request, &options, &reply, &status),
                     RPC_DEADLINE_EXCEEDED);
    assert_null(reply);
    /* The handler saw it, too, and stopped. */
    wait_until_equal(&f->service.cancelled, 1);

    request.delay_ms = 0;
    options.deadline_ms = 1000 * FIXTURE_WAIT_S;
    assert_int_equal(fixture_unary(f->channel, &request, &options, &reply, &status), RPC_OK);
    assert_true(reply->has_deadline);
    chaperone__rpc__test__echo_reply__free_unpacked(reply, NULL);
}

static void test_cancel(void **state)
{
    struct fixture *f = *state;
    EchoRequest request = REQUEST_INIT;
    request.delay_ms = 1000 * FIXTURE_WAIT_S;
    struct answer a = ANSWER_INIT;
    struct rpc_call *call = NULL;
    assert_int_equal(
        rpc_call_start(f->channel, ECHO, "Unary", &request.base, NULL, on_reply, &a, &call), OK);
    wait_until_equal(&f->service.blocked, 1);
    rpc_call_cancel(call);
    wait_answer(&a);
    assert_int_equal(a.status.code, RPC_CANCELLED);
    wait_until_equal(&f->service.cancelled, 1);
    rpc_call_cancel(call); /* after the end: nothing happens */
    rpc_call_release(call);
    rpc_call_release(NULL);
}

static void test_metadata(void **state)
{
    struct fixture *f = *state;
    static const uint8_t raw[] = {0, 255, 10, 13, 128};
    const struct rpc_metadata metadata[] = {
        {.name = "authorization", .value = bytes_of_string("Bearer abc")},
        {.name = "x-raw-bin", .value = bytes_of(raw, sizeof(raw))},
        {.name = "x-empty", .value = bytes_of(NULL, 0)},
    };
    struct rpc_call_options options = {.metadata = metadata, .metadata_count = 3};
    EchoRequest request = REQUEST_INIT;
    EchoReply *reply = NULL;
    struct rpc_status status;
    request.metadata_name = "authorization";
    assert_int_equal(fixture_unary(f->channel, &request, &options, &reply, &status), RPC_OK);
    assert_int_equal(reply->metadata.len, 10);
    assert_memory_equal(reply->metadata.data, "Bearer abc", 10);
    chaperone__rpc__test__echo_reply__free_unpacked(reply, NULL);

    request.metadata_name = "x-raw-bin";
    assert_int_equal(fixture_unary(f->channel, &request, &options, &reply, &status), RPC_OK);
    assert_int_equal(reply->metadata.len, sizeof(raw));
    assert_memory_equal(reply->metadata.data, raw, sizeof(raw));
    chaperone__rpc__test__echo_reply__free_unpacked(reply, NULL);
}

static void test_metadata_that_http_cannot_carry(void **state)
{
    struct fixture *f = *state;
    const struct rpc_metadata bad[] = {
        {.name = "Upper", .value = bytes_of_string("x")},
        {.name = "x-text", .value = bytes_of_string("a\nb")},
        {.name = "", .value = bytes_of_string("x")},
    };
    EchoRequest request = REQUEST_INIT;
    struct answer a = ANSWER_INIT;
    for (size_t i = 0; i < 3; i++) {
        struct rpc_call_options options = {.metadata = &bad[i], .metadata_count = 1};
        assert_int_equal(
            rpc_call_start(f->channel, ECHO, "Unary", &request.base, &options, on_reply, &a, NULL),
            ERR_INVALID);
    }
    assert_int_equal(a.calls, 0);
}

static void test_misuse(void **state)
{
    struct fixture *f = *state;
    EchoRequest request = REQUEST_INIT;
    EchoReply reply = CHAPERONE__RPC__TEST__ECHO_REPLY__INIT;
    struct answer a = ANSWER_INIT;
    assert_int_equal(
        rpc_call_start(f->channel, ECHO, "Nothing", &request.base, NULL, on_reply, &a, NULL),
        ERR_NOT_FOUND);
    assert_int_equal(
        rpc_call_start(f->channel, ECHO, "Unary", &reply.base, NULL, on_reply, &a, NULL),
        ERR_INVALID);
    assert_int_equal(a.calls, 0);
}

/* The same paths with other messages, or paths that the server has not: what another
 * implementation could send. */
static const ProtobufCServiceDescriptor *disguise(ProtobufCServiceDescriptor *service,
                                                  ProtobufCMethodDescriptor *method,
                                                  const char *service_name, const char *method_name)
{
    static const unsigned order[] = {0};
    *method = (ProtobufCMethodDescriptor){.name = method_name,
                                          .input = &chaperone__rpc__test__echo_reply__descriptor,
                                          .output = &chaperone__rpc__test__echo_reply__descriptor};
    *service = (ProtobufCServiceDescriptor){.magic = PROTOBUF_C__SERVICE_DESCRIPTOR_MAGIC,
                                            .name = service_name,
                                            .n_methods = 1,
                                            .methods = method,
                                            .method_indices_by_name = order};
    return service;
}

static void test_unknown_and_malformed(void **state)
{
    struct fixture *f = *state;
    ProtobufCServiceDescriptor service;
    ProtobufCMethodDescriptor method;
    EchoReply message = CHAPERONE__RPC__TEST__ECHO_REPLY__INIT;
    message.sequence = 1; /* field 3: a number in EchoReply and in EchoRequest */
    struct rpc_status status;
    const ProtobufCServiceDescriptor *s =
        disguise(&service, &method, "chaperone.rpc.test.Echo", "Nothing");
    assert_int_equal(rpc_call_wait(f->channel, s, "Nothing", &message.base, NULL, NULL, &status),
                     RPC_UNIMPLEMENTED);
    s = disguise(&service, &method, "no.Service", "Unary");
    assert_int_equal(rpc_call_wait(f->channel, s, "Unary", &message.base, NULL, NULL, &status),
                     RPC_UNIMPLEMENTED);
    assert_non_null(strstr(status.message, "no.Service"));
    /* The client's EchoReply says text in field 5, which is a number in EchoRequest: protobuf
     * skips what has another wire type than expected, or refuses it; it must not crash. */
    message.peer = "text";
    s = disguise(&service, &method, "chaperone.rpc.test.Echo", "Unary");
    assert_int_equal(rpc_call_wait(f->channel, s, "Unary", &message.base, NULL, NULL, &status),
                     RPC_INTERNAL);
    assert_non_null(strstr(status.message, "malformed"));
}

static void test_message_sizes(void **state)
{
    struct fixture *f = *state;
    struct rpc_channel *small = NULL;
    struct rpc_channel_options options = {.target = f->address, .max_message = 1000};
    assert_int_equal(rpc_channel_create(f->runtime, &options, &small), OK);
    size_t size = (16 << 20) - 100;
    uint8_t *payload = calloc(1, size + 200);
    EchoRequest request = REQUEST_INIT;
    request.payload.data = payload;
    EchoReply *reply = NULL;
    struct rpc_status status;

    request.payload.len = size;
    assert_int_equal(fixture_unary(f->channel, &request, NULL, &reply, &status), RPC_OK);
    assert_int_equal(reply->payload.len, size);
    chaperone__rpc__test__echo_reply__free_unpacked(reply, NULL);
    /* More than the server receives; more than this client receives. */
    request.payload.len = size + 200;
    assert_int_equal(fixture_unary(f->channel, &request, NULL, &reply, &status),
                     RPC_RESOURCE_EXHAUSTED);
    request.payload.len = 2000;
    assert_int_equal(fixture_unary(small, &request, NULL, &reply, &status), RPC_RESOURCE_EXHAUSTED);
    free(payload);
    rpc_channel_destroy(small);
}

static void test_nobody_listens(void **state)
{
    struct fixture *f = *state;
    struct rpc_channel *channel = NULL;
    /* Port 1 of loopback refuses. */
    struct rpc_channel_options options = {.target = "127.0.0.1:1"};
    assert_int_equal(rpc_channel_create(f->runtime, &options, &channel), OK);
    EchoRequest request = REQUEST_INIT;
    EchoReply *reply = NULL;
    struct rpc_status status;
    assert_int_equal(fixture_unary(channel, &request, NULL, &reply, &status), RPC_UNAVAILABLE);
    assert_true(status.message[0] != '\0');
    struct rpc_call_options waiting = {.wait_for_ready = true, .deadline_ms = 100};
    assert_int_equal(fixture_unary(channel, &request, &waiting, &reply, &status),
                     RPC_DEADLINE_EXCEEDED);
    rpc_channel_destroy(channel);
}

/* More calls block than there are threads, and a stream goes on all the same. */
static void test_blocked_handlers_hold_up_nobody(void **state)
{
    struct fixture *f = *state;
    enum { BLOCKED = FIXTURE_THREADS * 2 };
    EchoRequest request = REQUEST_INIT;
    request.delay_ms = 1000 * FIXTURE_WAIT_S;
    struct answer answers[BLOCKED];
    struct rpc_call *calls[BLOCKED] = {NULL};
    for (size_t i = 0; i < BLOCKED; i++) {
        answers[i] = (struct answer)ANSWER_INIT;
        assert_int_equal(rpc_call_start(f->channel, ECHO, "Unary", &request.base, NULL, on_reply,
                                        &answers[i], &calls[i]),
                         OK);
    }
    wait_until_equal(&f->service.blocked, FIXTURE_THREADS);
    struct watch w;
    watch_init(&w);
    watch_open(&w, f->channel, "Bidi", NULL);
    watch_send_all(&w, 100);
    watch_wait_end(&w);
    assert_int_equal(w.received, 100);
    watch_finish(&w);
    for (size_t i = 0; i < BLOCKED; i++) {
        rpc_call_cancel(calls[i]);
        wait_answer(&answers[i]);
        rpc_call_release(calls[i]);
    }
}

static void test_destroying_the_runtime_ends_calls(void **state)
{
    struct fixture *f = *state;
    struct rpc_runtime *runtime = NULL;
    struct rpc_channel *channel = NULL;
    struct rpc_channel_options options = {.target = f->address};
    assert_int_equal(rpc_runtime_create(1, NULL, &runtime), OK);
    assert_int_equal(rpc_channel_create(runtime, &options, &channel), OK);
    EchoRequest request = REQUEST_INIT;
    request.delay_ms = 1000 * FIXTURE_WAIT_S;
    struct answer a = ANSWER_INIT;
    struct rpc_call *call = NULL;
    assert_int_equal(
        rpc_call_start(channel, ECHO, "Unary", &request.base, NULL, on_reply, &a, &call), OK);
    struct watch w;
    watch_init(&w);
    watch_open(&w, channel, "Bidi", NULL);
    wait_until_equal(&f->service.blocked, 1);
    rpc_channel_destroy(channel);
    rpc_runtime_destroy(runtime);
    assert_int_equal(a.calls, 1);
    assert_int_equal(a.status.code, RPC_CANCELLED);
    assert_true(w.ended);
    assert_int_equal(w.code, RPC_CANCELLED);
    /* What is left is only memory. */
    rpc_call_cancel(call);
    rpc_call_release(call);
    rpc_stream_cancel(w.stream);
    watch_finish(&w);
}

static void test_runtime_needs_threads(void **state)
{
    (void)state;
    struct rpc_runtime *runtime = NULL;
    assert_int_equal(rpc_runtime_create(0, NULL, &runtime), ERR_INVALID);
    assert_int_equal(rpc_runtime_create(100000, NULL, &runtime), ERR_INVALID);
    assert_null(runtime);
    rpc_runtime_destroy(NULL);
    rpc_channel_destroy(NULL);
    rpc_stream_release(NULL);
    rpc_server_destroy(NULL);
}

static void test_code_names(void **state)
{
    (void)state;
    assert_string_equal(rpc_code_name(RPC_OK), "OK");
    assert_string_equal(rpc_code_name(RPC_FAILED_PRECONDITION), "FAILED_PRECONDITION");
    assert_string_equal(rpc_code_name(RPC_UNAUTHENTICATED), "UNAUTHENTICATED");
    assert_string_equal(rpc_code_name((enum rpc_code)99), "UNKNOWN");
}

#define WITH_SERVER(test) cmocka_unit_test_setup_teardown(test, fixture_set_up, fixture_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_SERVER(test_reply),
        WITH_SERVER(test_status_with_details),
        WITH_SERVER(test_long_message_is_cut_between_characters),
        WITH_SERVER(test_deadline),
        WITH_SERVER(test_cancel),
        WITH_SERVER(test_metadata),
        WITH_SERVER(test_metadata_that_http_cannot_carry),
        WITH_SERVER(test_misuse),
        WITH_SERVER(test_unknown_and_malformed),
        WITH_SERVER(test_message_sizes),
        WITH_SERVER(test_nobody_listens),
        WITH_SERVER(test_blocked_handlers_hold_up_nobody),
        WITH_SERVER(test_destroying_the_runtime_ends_calls),
        cmocka_unit_test(test_runtime_needs_threads),
        cmocka_unit_test(test_code_names),
    };
    return cmocka_run_group_tests(tests, NULL, fixture_end_group);
}
