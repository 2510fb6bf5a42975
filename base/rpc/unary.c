/* A client's unary calls: all six operations in one batch, one event, one callback. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "base/rpc/client.h"

/* As rpc_reply_fn, but the reply is owned by the function. */
typedef void take_reply_fn(void *context, const struct rpc_status *status, ProtobufCMessage *reply);

struct rpc_call {
    struct rpc_event event;
    struct rpc_live live;
    atomic_size_t references; /* the user's, and one until it is answered */
    struct rpc_channel *channel;
    const ProtobufCMessageDescriptor *reply_type;
    rpc_reply_fn *on_reply;
    take_reply_fn *take_reply; /* instead of on_reply */
    void *context;

    pthread_mutex_t mutex; /* guards core against the end of the call */
    grpc_call *core;       /* NULL: it has ended */

    grpc_metadata *metadata;
    size_t metadata_count;
    grpc_byte_buffer *request, *reply;
    grpc_metadata_array initial, trailing;
    grpc_status_code code;
    grpc_slice text;
};

void rpc_call_release(struct rpc_call *call)
{
    if (call == NULL || atomic_fetch_sub(&call->references, 1) > 1)
        return;
    (void)pthread_mutex_destroy(&call->mutex);
#ifndef __clang_analyzer__ /* it cannot count references */
    free(call);
#endif
}

void rpc_call_cancel(struct rpc_call *call)
{
    (void)pthread_mutex_lock(&call->mutex);
    if (call->core != NULL)
        (void)grpc_call_cancel(call->core, NULL);
    (void)pthread_mutex_unlock(&call->mutex);
}

/* Everything that gRPC holds for the call; after this it cannot be cancelled any more. */
static void drop_core(struct rpc_call *call)
{
    (void)pthread_mutex_lock(&call->mutex);
    grpc_call *core = call->core;
    call->core = NULL;
    (void)pthread_mutex_unlock(&call->mutex);
    rpc_metadata_free(call->metadata, call->metadata_count);
    if (call->request != NULL)
        grpc_byte_buffer_destroy(call->request);
    rpc_message_wipe(call->reply); /* a grant has a credential in it */
    if (call->reply != NULL)
        grpc_byte_buffer_destroy(call->reply);
    grpc_metadata_array_destroy(&call->initial);
    grpc_metadata_array_destroy(&call->trailing);
    grpc_slice_unref(call->text);
    if (core != NULL)
        grpc_call_unref(core);
}

/* The reply, owned, when the status is OK and stays so. */
static ProtobufCMessage *read_reply(struct rpc_call *call, struct rpc_status *status)
{
    if (status->code != RPC_OK)
        return NULL;
    if (call->reply == NULL) {
        /* "Response cardinality violation", gRPC's doc/statuscodes.md. */
        rpc_status_set(status, RPC_UNIMPLEMENTED, "the server answered without a message");
        return NULL;
    }
    ProtobufCMessage *reply = rpc_message_unpack(call->reply_type, call->reply);
    if (reply == NULL)
        rpc_status_set(status, RPC_INTERNAL, "the server's message is malformed or too large");
    return reply;
}

static void finish_call(struct rpc_event *event, bool ok)
{
    (void)ok; /* a batch that receives the status always succeeds; the status tells */
    struct rpc_call *call = (struct rpc_call *)event;
    struct rpc_status status;
    rpc_status_from_core(call->code, &call->text, &call->trailing, &status);
    ProtobufCMessage *reply = read_reply(call, &status);
    if (call->take_reply != NULL) {
        call->take_reply(call->context, &status, reply);
    } else {
        call->on_reply(call->context, &status, reply);
        if (reply != NULL)
            protobuf_c_message_free_unpacked(reply, NULL);
    }
    struct rpc_runtime *runtime = rpc_channel_runtime(call->channel);
    rpc_runtime_detach(runtime, &call->live);
    drop_core(call);
    rpc_channel_release(call->channel);
    rpc_call_release(call);
    rpc_runtime_left(runtime);
}

static grpc_call_error start_batch(struct rpc_call *call, const struct rpc_call_options *options)
{
    grpc_op ops[6] = {
        rpc_channel_begin_op(options, call->metadata),
        {.op = GRPC_OP_SEND_MESSAGE, .data.send_message.send_message = call->request},
        {.op = GRPC_OP_SEND_CLOSE_FROM_CLIENT},
        {.op = GRPC_OP_RECV_INITIAL_METADATA,
         .data.recv_initial_metadata.recv_initial_metadata = &call->initial},
        {.op = GRPC_OP_RECV_MESSAGE, .data.recv_message.recv_message = &call->reply},
        {.op = GRPC_OP_RECV_STATUS_ON_CLIENT,
         .data.recv_status_on_client = {.trailing_metadata = &call->trailing,
                                        .status = &call->code,
                                        .status_details = &call->text}},
    };
    return grpc_call_start_batch(call->core, ops, 6, &call->event, NULL);
}

static struct rpc_call *create_call(struct rpc_channel *channel)
{
    struct rpc_call *call = calloc(1, sizeof(*call));
    if (call == NULL)
        return NULL;
    call->event.done = finish_call;
    atomic_init(&call->references, 1);
    call->channel = channel;
    (void)pthread_mutex_init(&call->mutex, NULL);
    grpc_metadata_array_init(&call->initial);
    grpc_metadata_array_init(&call->trailing);
    call->text = grpc_empty_slice();
    return call;
}

/* Fills in all that the call needs from gRPC; nothing has to be undone on failure but by
 * drop_core. */
static enum err prepare(struct rpc_call *call, const ProtobufCServiceDescriptor *service,
                        const ProtobufCMethodDescriptor *method, const ProtobufCMessage *request,
                        const struct rpc_call_options *options)
{
    if (options != NULL) {
        enum err e =
            rpc_metadata_to_core(options->metadata, options->metadata_count, &call->metadata);
        if (e != OK)
            return e;
        call->metadata_count = options->metadata_count;
    }
    call->reply_type = method->output;
    call->request = rpc_message_pack(request);
    if (call->request == NULL)
        return ERR_NO_MEMORY;
    return rpc_channel_call(call->channel, service, method, options, &call->core);
}

/* Takes the call, which says who gets the reply. */
static enum err start_call(struct rpc_call *call, const ProtobufCServiceDescriptor *service,
                           const char *name, const ProtobufCMessage *request,
                           const struct rpc_call_options *options, struct rpc_call **out_call)
{
    const ProtobufCMethodDescriptor *method =
        protobuf_c_service_descriptor_get_method_by_name(service, name);
    enum err e = method == NULL ? ERR_NOT_FOUND : OK;
    if (e == OK && request->descriptor != method->input)
        e = ERR_INVALID;
    if (e == OK)
        e = prepare(call, service, method, request, options);
    if (e != OK) {
        drop_core(call);
        rpc_call_release(call);
        return e;
    }
    struct rpc_runtime *runtime = rpc_channel_runtime(call->channel);
    rpc_channel_retain(call->channel);
    rpc_runtime_attach(runtime, &call->live, call->core);
    /* Before it starts: the callback may run, and look at it, before this returns. */
    if (out_call != NULL) {
        (void)atomic_fetch_add(&call->references, 1);
        *out_call = call;
    }
    if (start_batch(call, options) == GRPC_CALL_OK)
        return OK;
    rpc_runtime_detach(runtime, &call->live);
    drop_core(call);
    rpc_channel_release(call->channel);
    rpc_runtime_left(runtime);
    if (out_call != NULL) {
        *out_call = NULL;
        rpc_call_release(call);
    }
    rpc_call_release(call);
    return ERR_INTERNAL;
}

enum err rpc_call_start(struct rpc_channel *channel, const ProtobufCServiceDescriptor *service,
                        const char *method, const ProtobufCMessage *request,
                        const struct rpc_call_options *options, rpc_reply_fn *on_reply,
                        void *context, struct rpc_call **out_call)
{
    struct rpc_call *call = create_call(channel);
    if (call == NULL)
        return ERR_NO_MEMORY;
    call->on_reply = on_reply;
    call->context = context;
    return start_call(call, service, method, request, options, out_call);
}

/* ---- the blocking form ---------------------------------------------------------------- */

struct wait {
    pthread_mutex_t mutex;
    pthread_cond_t answered;
    bool done;
    struct rpc_status status;
    ProtobufCMessage *reply;
};

static void wake(void *context, const struct rpc_status *status, ProtobufCMessage *reply)
{
    struct wait *wait = context;
    (void)pthread_mutex_lock(&wait->mutex);
    wait->status = *status;
    /* They belong to the call, which is about to end. */
    wait->status.details = bytes_of(NULL, 0);
    wait->reply = reply;
    wait->done = true;
    (void)pthread_cond_signal(&wait->answered);
    (void)pthread_mutex_unlock(&wait->mutex);
}

static enum err start_and_wait(struct rpc_channel *channel,
                               const ProtobufCServiceDescriptor *service, const char *method,
                               const ProtobufCMessage *request,
                               const struct rpc_call_options *options, struct wait *wait)
{
    struct rpc_call *call = create_call(channel);
    if (call == NULL)
        return ERR_NO_MEMORY;
    call->take_reply = wake;
    call->context = wait;
    enum err e = start_call(call, service, method, request, options, NULL);
    if (e != OK)
        return e;
    (void)pthread_mutex_lock(&wait->mutex);
    while (!wait->done)
        (void)pthread_cond_wait(&wait->answered, &wait->mutex);
    (void)pthread_mutex_unlock(&wait->mutex);
    return OK;
}

enum rpc_code rpc_call_wait(struct rpc_channel *channel, const ProtobufCServiceDescriptor *service,
                            const char *method, const ProtobufCMessage *request,
                            const struct rpc_call_options *options, ProtobufCMessage **out_reply,
                            struct rpc_status *out_status)
{
    struct wait wait = {.done = false};
    (void)pthread_mutex_init(&wait.mutex, NULL);
    (void)pthread_cond_init(&wait.answered, NULL);
    enum err e = start_and_wait(channel, service, method, request, options, &wait);
    if (e != OK)
        rpc_status_set(&wait.status, e == ERR_NO_MEMORY ? RPC_RESOURCE_EXHAUSTED : RPC_INTERNAL,
                       "the call could not be started: %s", err_name(e));
    (void)pthread_cond_destroy(&wait.answered);
    (void)pthread_mutex_destroy(&wait.mutex);
    if (out_reply != NULL)
        *out_reply = wait.reply;
    else if (wait.reply != NULL)
        protobuf_c_message_free_unpacked(wait.reply, NULL);
    if (out_status != NULL)
        *out_status = wait.status;
    return wait.status.code;
}
