/* A server without memory for a call: it refuses that one, and goes on. */
#include <stdio.h>

#include "base/rpc/testing/fixture.h"
#include "base/testing/alloc_fail.h"

enum {
    CALLS = 60,         /* more than a server has slots, twice */
    ALLOCATIONS = 8,    /* of an answer, and of the call behind it */
    DEADLINE_MS = 60000 /* longer than anything takes */
};

struct hungry {
    atomic_size_t fail_at; /* which allocation, behind the handler; 0: none */
};

/* The same thread answers, and accepts the next call: there is one only. */
static void handle(void *context, const struct rpc_peer *peer, const ProtobufCMessage *request,
                   ProtobufCMessage **out_reply, struct rpc_status *out_status)
{
    (void)peer;
    (void)request;
    struct hungry *h = context;
    Chaperone__Rpc__Test__EchoReply reply = CHAPERONE__RPC__TEST__ECHO_REPLY__INIT;
    size_t at = atomic_load(&h->fail_at);
    (void)alloc_fail_stop();
    *out_reply = rpc_reply_copy(&reply.base);
    rpc_status_set(out_status, RPC_OK, "%s", "");
    if (at > 0)
        alloc_fail_start(at);
}

static enum rpc_code call(struct rpc_channel *channel, struct rpc_status *out_status)
{
    const struct rpc_call_options options = {.deadline_ms = DEADLINE_MS};
    EchoRequest request = REQUEST_INIT;
    EchoReply *reply = NULL;
    enum rpc_code code = fixture_unary(channel, &request, &options, &reply, out_status);
    if (reply != NULL)
        protobuf_c_message_free_unpacked(&reply->base, NULL);
    return code;
}

static void server_goes_on_when_there_was_no_memory(void **state)
{
    (void)state;
    static const struct rpc_method methods[] = {{.name = "Unary", .unary = handle}, {.name = NULL}};
    struct fixture client = {.runtime = NULL};
    struct hungry hungry;
    struct rpc_runtime *runtime = NULL;
    struct rpc_server *server = NULL;
    struct rpc_status status;
    int refused = 0;
    atomic_init(&hungry.fail_at, 0);
    assert_int_equal(rpc_runtime_create(1, NULL, &runtime), OK);
    assert_int_equal(rpc_runtime_create(1, NULL, &client.runtime), OK);
    assert_int_equal(rpc_server_create(runtime,
                                       &(struct rpc_server_options){.address = "127.0.0.1:0"},
                                       &server, NULL),
                     OK);
    assert_int_equal(rpc_server_add(server, ECHO, methods, &hungry), OK);
    assert_int_equal(rpc_server_start(server, NULL), OK);
    (void)snprintf(client.address, sizeof(client.address), "127.0.0.1:%d", rpc_server_port(server));
    fixture_open_channel(&client, &(struct rpc_channel_options){.target = NULL});
    for (size_t at = 1; at <= ALLOCATIONS; at++) {
        atomic_store(&hungry.fail_at, at);
        for (int i = 0; i < CALLS; i++) {
            enum rpc_code code = call(client.channel, &status);
            assert_true(code == RPC_OK || code == RPC_RESOURCE_EXHAUSTED || code == RPC_INTERNAL);
            refused += strcmp(status.message, "no memory for one more call") == 0 ? 1 : 0;
        }
    }
    atomic_store(&hungry.fail_at, 0);
    (void)call(client.channel, &status); /* what was to fail still may */
    (void)call(client.channel, &status);
    assert_int_equal(call(client.channel, &status), RPC_OK);
    assert_true(refused >= CALLS / 2 - 1);
    rpc_channel_destroy(client.channel);
    rpc_server_destroy(server);
    rpc_runtime_destroy(runtime);
    rpc_runtime_destroy(client.runtime);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(server_goes_on_when_there_was_no_memory)};
    return cmocka_run_group_tests(tests, NULL, fixture_end_group);
}
