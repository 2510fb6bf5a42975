#include "base/rpc/client.h"

#include <grpc/grpc_security.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    RPC_INITIAL_BACKOFF_MS = 200,
    /* One attempt to connect, with its handshakes. gRPC has 20 s. */
    RPC_CONNECT_TIMEOUT_MS = 10 * 1000,
    RPC_DEFAULT_MAX_BACKOFF_MS = 5000,
    RPC_PATH_SIZE = 256, /* "/package.Service/Method" */
};

struct rpc_channel {
    atomic_size_t references;
    struct rpc_runtime *runtime;
    grpc_channel *core;
};

struct rpc_runtime *rpc_channel_runtime(struct rpc_channel *channel)
{
    return channel->runtime;
}

void rpc_channel_retain(struct rpc_channel *channel)
{
    (void)atomic_fetch_add(&channel->references, 1);
}

void rpc_channel_release(struct rpc_channel *channel)
{
    if (atomic_fetch_sub(&channel->references, 1) > 1)
        return;
    grpc_channel_destroy(channel->core);
    free(channel);
}

static grpc_channel *create_core(const struct rpc_channel_options *options)
{
    int max_backoff = rpc_option_ms(options->max_backoff_ms, RPC_DEFAULT_MAX_BACKOFF_MS);
    int first_backoff = max_backoff < RPC_INITIAL_BACKOFF_MS ? max_backoff : RPC_INITIAL_BACKOFF_MS;
    grpc_arg args[] = {
        rpc_arg_number(GRPC_ARG_MAX_RECEIVE_MESSAGE_LENGTH,
                       rpc_option_size(options->max_message, RPC_DEFAULT_MAX_MESSAGE)),
        rpc_arg_number(GRPC_ARG_MAX_METADATA_SIZE, RPC_MAX_METADATA),
        rpc_arg_number(GRPC_ARG_HTTP2_BDP_PROBE, 0),
        rpc_arg_number(GRPC_ARG_HTTP2_STREAM_LOOKAHEAD_BYTES, RPC_STREAM_WINDOW),
        rpc_arg_number(GRPC_ARG_KEEPALIVE_TIME_MS,
                       rpc_option_ms(options->keepalive_ms, RPC_DEFAULT_KEEPALIVE_MS)),
        rpc_arg_number(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, RPC_KEEPALIVE_TIMEOUT_MS),
        rpc_arg_number(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1),
        rpc_arg_number(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0),
        rpc_arg_number(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, first_backoff),
        /* Not a backoff in spite of its name: the least time that one attempt is given. */
        rpc_arg_number(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, RPC_CONNECT_TIMEOUT_MS),
        rpc_arg_number(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, max_backoff),
        /* Connections and their backoff are this channel's own, not shared in the process. */
        rpc_arg_number(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1),
        /* The agent's environment must not redirect us: no http_proxy, no configuration by DNS. */
        rpc_arg_number(GRPC_ARG_ENABLE_HTTP_PROXY, 0),
        rpc_arg_number(GRPC_ARG_SERVICE_CONFIG_DISABLE_RESOLUTION, 1),
        /* Identity only: gRPC 1.51 does not bound what a message decompresses to. */
        rpc_arg_number(GRPC_COMPRESSION_CHANNEL_ENABLED_ALGORITHMS_BITSET, 1),
        rpc_arg_text(GRPC_ARG_DEFAULT_AUTHORITY, options->authority),
    };
    size_t count = sizeof(args) / sizeof(args[0]);
    grpc_channel_args list = {.num_args = options->authority == NULL ? count - 1 : count,
                              .args = args};
    if (options->credentials != NULL)
        return grpc_channel_create(options->target, options->credentials->client, &list);
    grpc_channel_credentials *plain = grpc_insecure_credentials_create();
    grpc_channel *core = grpc_channel_create(options->target, plain, &list);
    grpc_channel_credentials_release(plain);
    return core;
}

enum err rpc_channel_create(struct rpc_runtime *runtime, const struct rpc_channel_options *options,
                            struct rpc_channel **out)
{
    if (options->target == NULL ||
        (options->credentials != NULL && options->credentials->client == NULL))
        return ERR_INVALID;
    struct rpc_channel *channel = calloc(1, sizeof(*channel));
    if (channel == NULL)
        return ERR_NO_MEMORY;
    atomic_init(&channel->references, 1);
    channel->runtime = runtime;
    channel->core = create_core(options);
    if (channel->core == NULL) {
        free(channel);
        return ERR_INVALID;
    }
    *out = channel;
    return OK;
}

void rpc_channel_destroy(struct rpc_channel *channel)
{
    if (channel != NULL)
        rpc_channel_release(channel);
}

enum err rpc_channel_call(struct rpc_channel *channel, const ProtobufCServiceDescriptor *service,
                          const ProtobufCMethodDescriptor *method,
                          const struct rpc_call_options *options, grpc_call **out)
{
    char path[RPC_PATH_SIZE];
    int size = snprintf(path, sizeof(path), "/%s/%s", service->name, method->name);
    if (size < 0 || (size_t)size >= sizeof(path))
        return ERR_LIMIT;
    gpr_timespec deadline = gpr_inf_future(GPR_CLOCK_MONOTONIC);
    if (options != NULL && options->deadline_ms > 0)
        deadline = gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC),
                                gpr_time_from_millis(options->deadline_ms, GPR_TIMESPAN));
    grpc_slice path_slice = grpc_slice_from_copied_string(path);
    grpc_call *call = grpc_channel_create_call(channel->core, NULL, GRPC_PROPAGATE_DEFAULTS,
                                               rpc_runtime_queue(channel->runtime), path_slice,
                                               NULL, deadline, NULL);
    grpc_slice_unref(path_slice);
    if (call == NULL)
        return ERR_INTERNAL;
    *out = call;
    return OK;
}

grpc_op rpc_channel_begin_op(const struct rpc_call_options *options, grpc_metadata *metadata)
{
    grpc_op op = {.op = GRPC_OP_SEND_INITIAL_METADATA};
    /* Said explicitly in both cases, so that no configuration of the channel changes it. */
    op.flags = GRPC_INITIAL_METADATA_WAIT_FOR_READY_EXPLICITLY_SET;
    if (options != NULL && options->wait_for_ready)
        op.flags |= GRPC_INITIAL_METADATA_WAIT_FOR_READY;
    op.data.send_initial_metadata.count = options == NULL ? 0 : options->metadata_count;
    op.data.send_initial_metadata.metadata = metadata;
    return op;
}
