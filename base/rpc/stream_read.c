/* A stream's read side (see stream_state.h). */
#include "base/rpc/stream_state.h"

/* Exported by gRPC's C core for its own C++ layer, in no public header: whether a receive that
 * gave no message did so because the call failed. Without it a server cannot tell a client
 * that has said its last message from one that has gone in the middle. */
int grpc_call_failed_before_recv_message(const grpc_call *call);

/* With the mutex held. */
void rpc_stream_start_receive(struct rpc_stream *s)
{
    grpc_op op = {.op = GRPC_OP_RECV_MESSAGE, .data.recv_message.recv_message = &s->received};
    s->read = rpc_stream_start(s, &s->receive, &op, 1) ? READ_WAITING : READ_DONE;
}

/* The other side sends what is not a message of this type. */
static void refuse_message(struct rpc_stream *s)
{
    static const char text[] = "a message is malformed or too large";
    log_event(s->log, LOG_WARN, "rpc_message_malformed", log_text("type", s->in->name));
    if (rpc_stream_is_server(s)) {
        rpc_stream_finish(s, RPC_INTERNAL, text);
        return;
    }
    (void)pthread_mutex_lock(&s->mutex);
    s->muted = true;
    (void)grpc_call_cancel_with_status(s->call, GRPC_STATUS_INTERNAL, text, NULL);
    (void)pthread_mutex_unlock(&s->mutex);
}

static bool is_muted(struct rpc_stream *s)
{
    (void)pthread_mutex_lock(&s->mutex);
    bool muted = s->muted;
    (void)pthread_mutex_unlock(&s->mutex);
    return muted;
}

static void deliver(struct rpc_stream *s, grpc_byte_buffer *buffer)
{
    ProtobufCMessage *message = is_muted(s) ? NULL : rpc_message_unpack(s->in, buffer);
    grpc_byte_buffer_destroy(buffer);
    if (message == NULL) {
        if (!is_muted(s))
            refuse_message(s);
        return;
    }
    if (s->events.on_message != NULL)
        s->events.on_message(s->context, s, message);
    protobuf_c_message_free_unpacked(message, NULL);
}

void rpc_stream_on_received(struct rpc_stream *s, bool ok)
{
    grpc_byte_buffer *buffer = s->received;
    s->received = NULL;
    bool failed = !ok || grpc_call_failed_before_recv_message(s->call) != 0;
    if (buffer != NULL)
        deliver(s, buffer);
    else if (rpc_stream_is_server(s) && !failed && !is_muted(s) && s->events.on_half_close != NULL)
        s->events.on_half_close(s->context, s);
    (void)pthread_mutex_lock(&s->mutex);
    if (buffer != NULL)
        rpc_stream_start_receive(s);
    else
        s->read = READ_DONE;
    (void)pthread_mutex_unlock(&s->mutex);
}
