/* The life of a server: what it offers by itself, how it starts, ends and comes back. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "base/rpc/proto/health.pb-c.h"
#include "base/rpc/proto/reflection.pb-c.h"
#include "base/rpc/testing/fixture.h"
#include "base/rpc/testing/rpc_imports_descriptors.h"

/* ---- health --------------------------------------------------------------------------- */

#define HEALTH (&grpc__health__v1__health__descriptor)
#define HEALTH_REQUEST_INIT GRPC__HEALTH__V1__HEALTH_CHECK_REQUEST__INIT
enum { SERVING = 1, NOT_SERVING = 2, SERVICE_UNKNOWN = 3 };

/* The status, or minus the code of the call. */
static int check(struct fixture *f, const char *service)
{
    Grpc__Health__V1__HealthCheckRequest request = HEALTH_REQUEST_INIT;
    request.service = (char *)service;
    ProtobufCMessage *reply = NULL;
    enum rpc_code code =
        rpc_call_wait(f->channel, HEALTH, "Check", &request.base, NULL, &reply, NULL);
    if (code != RPC_OK)
        return -(int)code;
    int status = (int)((Grpc__Health__V1__HealthCheckResponse *)reply)->status;
    protobuf_c_message_free_unpacked(reply, NULL);
    return status;
}

static void test_health_check(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(check(f, ""), SERVING);
    assert_int_equal(check(f, "chaperone.rpc.test.Echo"), SERVING);
    assert_int_equal(check(f, "no.Service"), -(int)RPC_NOT_FOUND);
    rpc_server_set_health(f->server, "chaperone.rpc.test.Echo", false);
    assert_int_equal(check(f, "chaperone.rpc.test.Echo"), NOT_SERVING);
    assert_int_equal(check(f, ""), SERVING);
    rpc_server_set_health(f->server, "", false);
    assert_int_equal(check(f, ""), NOT_SERVING);
    rpc_server_set_health(f->server, "audit", true); /* a name of one's own */
    assert_int_equal(check(f, "audit"), SERVING);
}

struct health_watch {
    atomic_ullong count, status, code;
    atomic_bool hold;
};

static void on_health(void *context, struct rpc_stream *stream, const ProtobufCMessage *message)
{
    (void)stream;
    struct health_watch *w = context;
    const struct timespec step = {.tv_nsec = 1000000};
    atomic_store(&w->status,
                 (unsigned)((const Grpc__Health__V1__HealthCheckResponse *)message)->status);
    (void)atomic_fetch_add(&w->count, 1);
    while (atomic_load(&w->hold))
        (void)nanosleep(&step, NULL);
}

static void on_health_end(void *context, struct rpc_stream *stream, const struct rpc_status *status)
{
    struct health_watch *w = context;
    atomic_store(&w->code, (unsigned)status->code + 1);
    rpc_stream_release(stream);
}

static struct rpc_stream *watch_health(struct fixture *f, const char *service,
                                       struct health_watch *w)
{
    static const struct rpc_stream_events events = {.on_message = on_health,
                                                    .on_end = on_health_end};
    struct rpc_stream *stream = NULL;
    Grpc__Health__V1__HealthCheckRequest request = HEALTH_REQUEST_INIT;
    request.service = (char *)service;
    assert_int_equal(rpc_stream_open(f->channel, HEALTH, "Watch", NULL, &events, w, &stream), OK);
    assert_int_equal(rpc_stream_send(stream, &request.base), OK);
    rpc_stream_half_close(stream);
    return stream;
}

static void test_health_watch(void **state)
{
    struct fixture *f = *state;
    struct health_watch known = {0}, later = {0};
    (void)watch_health(f, "chaperone.rpc.test.Echo", &known);
    struct rpc_stream *stream = watch_health(f, "later", &later);
    wait_until_equal(&known.status, SERVING);
    wait_until_equal(&later.status, SERVICE_UNKNOWN);
    rpc_server_set_health(f->server, "chaperone.rpc.test.Echo", false);
    rpc_server_set_health(f->server, "later", true);
    wait_until_equal(&known.status, NOT_SERVING);
    wait_until_equal(&later.status, SERVING);
    rpc_server_set_health(f->server, "later", true); /* no change: no message */
    rpc_stream_cancel(stream);
    wait_until_equal(&later.code, RPC_CANCELLED + 1);
    assert_int_equal(later.count, 2);
    assert_int_equal(known.count, 2);

    /* Back to serving, so that the shutdown changes it. */
    rpc_server_set_health(f->server, "chaperone.rpc.test.Echo", true);
    wait_until_equal(&known.count, 3);
    rpc_server_shutdown(f->server, 1000 * FIXTURE_WAIT_S);
    wait_until_equal(&known.code, RPC_UNAVAILABLE + 1);
    assert_int_equal(known.status, NOT_SERVING);
    assert_int_equal(known.count, 4);
}

/* ---- reflection ----------------------------------------------------------------------- */

#define REFLECTION (&grpc__reflection__v1__server_reflection__descriptor)
typedef Grpc__Reflection__V1__ServerReflectionRequest ReflectionRequest;
typedef Grpc__Reflection__V1__ServerReflectionResponse ReflectionResponse;
#define REFLECTION_REQUEST_INIT GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__INIT

static int set_up_reflection(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    assert_non_null(f);
    struct err_text why;
    struct rpc_server_options options = {.address = "127.0.0.1:0", .reflection = true};
    struct bytes set = bytes_of(rpc_imports_descriptors, rpc_imports_descriptors_size);
    assert_int_equal(rpc_runtime_create(1, NULL, &f->runtime), OK);
    assert_int_equal(rpc_server_create(f->runtime, &options, &f->server, &why), OK);
    assert_int_equal(echo_service_add(&f->service, f->server), OK);
    assert_int_equal(rpc_server_describe(f->server, set), OK);
    assert_int_equal(rpc_server_describe(f->server, bytes_of("\x0a\x7f", 2)), ERR_INVALID);
    assert_int_equal(rpc_server_start(f->server, &why), OK);
    assert_int_equal(rpc_server_describe(f->server, set), ERR_INVALID); /* too late */
    (void)snprintf(f->address, sizeof(f->address), "127.0.0.1:%d", rpc_server_port(f->server));
    fixture_open_channel(f, &(struct rpc_channel_options){.target = NULL});
    *state = f;
    return 0;
}

/* One question; the answer is in the test's words. */
struct reflection {
    char answer[1024];
    atomic_ullong ended;
};

static void add_word(struct reflection *r, const char *word)
{
    size_t used = strlen(r->answer);
    (void)snprintf(r->answer + used, sizeof(r->answer) - used, "%s ", word);
}

static void on_answer(void *context, struct rpc_stream *stream, const ProtobufCMessage *message)
{
    (void)stream;
    struct reflection *r = context;
    const ReflectionResponse *a = (const ReflectionResponse *)message;
    char number[32];
    switch (a->message_response_case) {
    case GRPC__REFLECTION__V1__SERVER_REFLECTION_RESPONSE__MESSAGE_RESPONSE_LIST_SERVICES_RESPONSE:
        for (size_t i = 0; i < a->list_services_response->n_service; i++)
            add_word(r, a->list_services_response->service[i]->name);
        break;
    case GRPC__REFLECTION__V1__SERVER_REFLECTION_RESPONSE__MESSAGE_RESPONSE_FILE_DESCRIPTOR_RESPONSE:
        (void)snprintf(number, sizeof(number), "files=%zu",
                       a->file_descriptor_response->n_file_descriptor_proto);
        add_word(r, number);
        break;
    case GRPC__REFLECTION__V1__SERVER_REFLECTION_RESPONSE__MESSAGE_RESPONSE_ALL_EXTENSION_NUMBERS_RESPONSE:
        (void)snprintf(number, sizeof(number), "numbers=%zu",
                       a->all_extension_numbers_response->n_extension_number);
        add_word(r, number);
        break;
    case GRPC__REFLECTION__V1__SERVER_REFLECTION_RESPONSE__MESSAGE_RESPONSE_ERROR_RESPONSE:
        (void)snprintf(number, sizeof(number), "error=%d", a->error_response->error_code);
        add_word(r, number);
        break;
    default: add_word(r, "nothing"); break;
    }
}

static void on_answer_end(void *context, struct rpc_stream *stream, const struct rpc_status *status)
{
    struct reflection *r = context;
    atomic_store(&r->ended, (unsigned)status->code + 1);
    rpc_stream_release(stream);
}

static void assert_reflection(struct fixture *f, const ReflectionRequest *request,
                              const char *expected)
{
    static const struct rpc_stream_events events = {.on_message = on_answer,
                                                    .on_end = on_answer_end};
    struct reflection r = {.answer = ""};
    struct rpc_stream *stream = NULL;
    assert_int_equal(
        rpc_stream_open(f->channel, REFLECTION, "ServerReflectionInfo", NULL, &events, &r, &stream),
        OK);
    assert_int_equal(rpc_stream_send(stream, &request->base), OK);
    rpc_stream_half_close(stream);
    wait_until_equal(&r.ended, RPC_OK + 1);
    assert_string_equal(r.answer, expected);
}

#define ASKS(what) GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__MESSAGE_REQUEST_##what

static void test_reflection(void **state)
{
    struct fixture *f = *state;
    ReflectionRequest q = REFLECTION_REQUEST_INIT;
    assert_reflection(f, &q, "error=3 ");
    q.message_request_case = ASKS(LIST_SERVICES);
    q.list_services = "*";
    assert_reflection(f, &q,
                      "grpc.health.v1.Health grpc.reflection.v1.ServerReflection "
                      "grpc.reflection.v1alpha.ServerReflection chaperone.rpc.test.Echo ");
    q.message_request_case = ASKS(FILE_CONTAINING_SYMBOL);
    q.file_containing_symbol = "chaperone.rpc.test.Echo.Unary";
    assert_reflection(f, &q, "files=1 ");
    q.file_containing_symbol = "chaperone.rpc.test.Extended";
    assert_reflection(f, &q, "files=2 ");
    q.file_containing_symbol = "chaperone.rpc.test.Nothing";
    assert_reflection(f, &q, "error=5 ");
    q.message_request_case = ASKS(FILE_BY_FILENAME);
    q.file_by_filename = "base/rpc/proto/reflection_v1alpha.proto";
    assert_reflection(f, &q, "files=1 ");
    q.message_request_case = ASKS(ALL_EXTENSION_NUMBERS_OF_TYPE);
    q.all_extension_numbers_of_type = "chaperone.rpc.test.Extended";
    assert_reflection(f, &q, "numbers=2 ");
    q.all_extension_numbers_of_type = "chaperone.rpc.test.Nothing";
    assert_reflection(f, &q, "error=5 ");
    Grpc__Reflection__V1__ExtensionRequest extension =
        GRPC__REFLECTION__V1__EXTENSION_REQUEST__INIT;
    extension.containing_type = "chaperone.rpc.test.Extended";
    extension.extension_number = 101;
    q.message_request_case = ASKS(FILE_CONTAINING_EXTENSION);
    q.file_containing_extension = &extension;
    assert_reflection(f, &q, "files=2 ");
}

/* ---- start ---------------------------------------------------------------------------- */

static void test_address_in_use(void **state)
{
    struct fixture *f = *state;
    struct rpc_server *second = NULL;
    struct rpc_server_options options = {.address = f->address};
    struct err_text why = {.text = ""};
    assert_int_equal(rpc_server_create(f->runtime, &options, &second, &why), ERR_IO);
    assert_non_null(strstr(why.text, f->address));
    assert_null(second);
    options.address = "not an address";
    assert_int_equal(rpc_server_create(f->runtime, &options, &second, &why), ERR_IO);
    options.address = NULL;
    assert_int_equal(rpc_server_create(f->runtime, &options, &second, &why), ERR_INVALID);
}

static void nothing(void *context, const struct rpc_peer *peer, const ProtobufCMessage *request,
                    ProtobufCMessage **out_reply, struct rpc_status *out_status)
{
    (void)context;
    (void)peer;
    (void)request;
    (void)out_reply;
    (void)out_status;
}

static void test_wrong_tables(void **state)
{
    struct fixture *f = *state;
    struct rpc_server *server = NULL;
    struct rpc_server_options options = {.address = "127.0.0.1:0"};
    assert_int_equal(rpc_server_create(f->runtime, &options, &server, NULL), OK);
    const struct rpc_method unknown[] = {{.name = "Nothing", .unary = nothing}, {.name = NULL}};
    const struct rpc_method neither[] = {{.name = "Unary"}, {.name = NULL}};
    const struct rpc_method one[] = {{.name = "Unary", .unary = nothing}, {.name = NULL}};
    assert_int_equal(rpc_server_add(server, ECHO, unknown, NULL), ERR_NOT_FOUND);
    assert_int_equal(rpc_server_add(server, ECHO, neither, NULL), ERR_INVALID);
    assert_int_equal(rpc_server_add(server, ECHO, one, NULL), OK);
    assert_int_equal(rpc_server_add(server, ECHO, one, NULL), ERR_EXISTS);
    /* Never started. */
    rpc_server_destroy(server);
    assert_int_equal(rpc_server_add(f->server, ECHO, one, NULL), ERR_INVALID); /* too late */
}

static int set_up_unix(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    assert_non_null(f);
    char directory[] = "/tmp/rpc_test.XXXXXX";
    assert_non_null(mkdtemp(directory));
    char target[128];
    (void)snprintf(target, sizeof(target), "unix:%s/socket", directory);
    assert_int_equal(rpc_runtime_create(1, NULL, &f->runtime), OK);
    fixture_start_server(f, &(struct rpc_server_options){.address = target});
    (void)snprintf(f->address, sizeof(f->address), "%s", target);
    fixture_open_channel(f, &(struct rpc_channel_options){.target = NULL});
    *state = f;
    return 0;
}

static void test_unix_socket(void **state)
{
    struct fixture *f = *state;
    EchoRequest request = REQUEST_INIT;
    EchoReply *reply = NULL;
    struct rpc_status status;
    assert_int_equal(fixture_unary(f->channel, &request, NULL, &reply, &status), RPC_OK);
    assert_int_equal(strncmp(reply->peer, "unix:", 5), 0);
    assert_int_equal(rpc_server_port(f->server), 0);
    chaperone__rpc__test__echo_reply__free_unpacked(reply, NULL);
    char *path = f->address + strlen("unix:");
    (void)unlink(path);
    *strrchr(path, '/') = '\0';
    (void)rmdir(path);
}

/* ---- end ------------------------------------------------------------------------------ */

static void test_shutdown_with_open_streams(void **state)
{
    struct fixture *f = *state;
    enum { STREAMS = 20 };
    struct watch w[STREAMS];
    EchoRequest request = REQUEST_INIT;
    for (size_t i = 0; i < STREAMS; i++) {
        watch_init(&w[i]);
        watch_open(&w[i], f->channel, "Bidi", NULL);
        assert_int_equal(rpc_stream_send(w[i].stream, &request.base), OK);
        watch_wait_received(&w[i], 1);
    }
    rpc_server_shutdown(f->server, 50);
    /* Every handler has had its on_end when shutdown returns. */
    assert_int_equal(f->service.open, 0);
    assert_int_equal(f->service.cancelled, STREAMS);
    for (size_t i = 0; i < STREAMS; i++) {
        watch_wait_end(&w[i]);
        assert_int_not_equal(w[i].code, RPC_OK);
        watch_finish(&w[i]);
    }
}

/* What is under way is let to its end; what comes new is not let in. */
static void test_shutdown_waits_for_calls(void **state)
{
    struct fixture *f = *state;
    struct watch w;
    watch_init(&w);
    watch_open(&w, f->channel, "ServerStream", NULL);
    w.hold = true;
    EchoRequest request = REQUEST_INIT;
    request.count = 5000;
    request.size = 1000;
    assert_int_equal(rpc_stream_send(w.stream, &request.base), OK);
    rpc_stream_half_close(w.stream);
    watch_wait_received(&w, 1);
    watch_hold(&w, false);
    rpc_server_shutdown(f->server, 1000 * FIXTURE_WAIT_S);
    watch_wait_end(&w);
    assert_int_equal(w.code, RPC_OK);
    assert_int_equal(w.received, 5000);
    watch_finish(&w);
    EchoReply *reply = NULL;
    struct rpc_status status;
    request.count = 0;
    assert_int_equal(fixture_unary(f->channel, &request, NULL, &reply, &status), RPC_UNAVAILABLE);
}

static void *shut_down(void *context)
{
    struct fixture *f = context;
    rpc_server_shutdown(f->server, 1000 * FIXTURE_WAIT_S);
    return NULL;
}

/* While it waits for a stream: new calls are refused, the stream goes on to its own end. */
static void test_shutdown_refuses_new_calls(void **state)
{
    struct fixture *f = *state;
    struct watch w;
    watch_init(&w);
    watch_open(&w, f->channel, "Bidi", NULL);
    EchoRequest request = REQUEST_INIT;
    assert_int_equal(rpc_stream_send(w.stream, &request.base), OK);
    watch_wait_received(&w, 1);
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, shut_down, f), 0);
    EchoReply *reply = NULL;
    struct rpc_status status;
    while (fixture_unary(f->channel, &request, NULL, &reply, &status) == RPC_OK)
        chaperone__rpc__test__echo_reply__free_unpacked(reply, NULL);
    assert_int_equal(status.code, RPC_UNAVAILABLE);
    assert_string_equal(status.message, "the server shuts down");
    assert_int_equal(rpc_stream_send(w.stream, &request.base), OK);
    watch_wait_received(&w, 2);
    rpc_stream_half_close(w.stream);
    watch_wait_end(&w);
    assert_int_equal(w.code, RPC_OK);
    assert_int_equal(pthread_join(thread, NULL), 0);
    watch_finish(&w);
}

/* The channel finds a server that comes back. */
static void test_reconnects(void **state)
{
    struct fixture *f = *state;
    rpc_channel_destroy(f->channel);
    fixture_open_channel(f, &(struct rpc_channel_options){.max_backoff_ms = 100});
    EchoRequest request = REQUEST_INIT;
    EchoReply *reply = NULL;
    struct rpc_status status;
    assert_int_equal(fixture_unary(f->channel, &request, NULL, &reply, &status), RPC_OK);
    chaperone__rpc__test__echo_reply__free_unpacked(reply, NULL);

    rpc_server_shutdown(f->server, 0);
    rpc_server_destroy(f->server);
    f->server = NULL;
    struct rpc_call_options waiting = {.wait_for_ready = true, .deadline_ms = 500};
    assert_int_equal(fixture_unary(f->channel, &request, &waiting, &reply, &status),
                     RPC_DEADLINE_EXCEEDED);
    char address[128];
    memcpy(address, f->address, sizeof(address));
    fixture_start_server(f, &(struct rpc_server_options){.address = address});
    waiting.deadline_ms = 1000 * FIXTURE_WAIT_S;
    assert_int_equal(fixture_unary(f->channel, &request, &waiting, &reply, &status), RPC_OK);
    chaperone__rpc__test__echo_reply__free_unpacked(reply, NULL);
}

/* ---- a silent connection -------------------------------------------------------------- */

/* A client that pings once a second is not taken for an attacker (gRPC's default ends it after
 * the third ping), with a stream and without one. Four seconds of waiting cannot be avoided:
 * gRPC's pings go by its own clock. */
static void test_server_accepts_pings(void **state)
{
    struct fixture *f = *state;
    rpc_channel_destroy(f->channel);
    fixture_open_channel(f, &(struct rpc_channel_options){.keepalive_ms = 1000});
    struct watch w;
    watch_init(&w);
    watch_open(&w, f->channel, "Bidi", NULL);
    EchoRequest request = REQUEST_INIT;
    assert_int_equal(rpc_stream_send(w.stream, &request.base), OK);
    watch_wait_received(&w, 1);
    const struct timespec pings = {.tv_sec = 4, .tv_nsec = 500000000};
    (void)nanosleep(&pings, NULL);
    assert_int_equal(rpc_stream_send(w.stream, &request.base), OK);
    watch_wait_received(&w, 2);
    rpc_stream_half_close(w.stream);
    watch_wait_end(&w);
    assert_int_equal(w.code, RPC_OK);
    watch_finish(&w);
}

#define WITH_SERVER(test) cmocka_unit_test_setup_teardown(test, fixture_set_up, fixture_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_SERVER(test_health_check),
        WITH_SERVER(test_health_watch),
        cmocka_unit_test_setup_teardown(test_reflection, set_up_reflection, fixture_tear_down),
        WITH_SERVER(test_address_in_use),
        WITH_SERVER(test_wrong_tables),
        cmocka_unit_test_setup_teardown(test_unix_socket, set_up_unix, fixture_tear_down),
        WITH_SERVER(test_shutdown_with_open_streams),
        WITH_SERVER(test_shutdown_waits_for_calls),
        WITH_SERVER(test_shutdown_refuses_new_calls),
        WITH_SERVER(test_reconnects),
        WITH_SERVER(test_server_accepts_pings),
    };
    return cmocka_run_group_tests(tests, NULL, fixture_end_group);
}
