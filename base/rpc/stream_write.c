/* A stream's write side (see stream_state.h). */
#include "base/rpc/stream_state.h"

#include <stdlib.h>

void rpc_stream_drop_queue(struct rpc_stream *s)
{
    while (s->first != NULL) {
        struct pending_message *m = s->first;
        s->first = m->next;
        grpc_byte_buffer_destroy(m->buffer);
        free(m);
    }
    s->last = &s->first;
    s->queued = 0;
}

bool rpc_stream_start_close(struct rpc_stream *s)
{
    if (!rpc_stream_is_server(s)) {
        grpc_op op = {.op = GRPC_OP_SEND_CLOSE_FROM_CLIENT};
        return rpc_stream_start(s, &s->close, &op, 1);
    }
    grpc_op op = {.op = GRPC_OP_SEND_STATUS_FROM_SERVER,
                  .data.send_status_from_server = {.trailing_metadata_count = s->metadata_count,
                                                   .trailing_metadata = s->metadata,
                                                   .status = (grpc_status_code)s->status.code,
                                                   .status_details = &s->text}};
    return rpc_stream_start(s, &s->close, &op, 1);
}

/* With the mutex held: starts the next operation of the write side, if there is one. */
void rpc_stream_pump(struct rpc_stream *s)
{
    if (s->write != WRITE_READY || s->life != LIFE_OPEN)
        return;
    struct pending_message *m = s->first;
    if (m != NULL) {
        /* More behind it: gRPC may wait and put them into one write. */
        grpc_op op = {.op = GRPC_OP_SEND_MESSAGE,
                      .flags = m->next != NULL ? GRPC_WRITE_BUFFER_HINT : 0,
                      .data.send_message.send_message = m->buffer};
        s->write = rpc_stream_start(s, &s->send, &op, 1) ? WRITE_BUSY : WRITE_CLOSED;
    } else if (s->closing) {
        (void)rpc_stream_start_close(s);
        s->write = WRITE_CLOSED;
    }
}

/* With the mutex held. */
void rpc_stream_settle_sent(struct rpc_stream *s, bool ok)
{
    if (!ok) {
        s->write = WRITE_CLOSED; /* the call is dead; its status says why */
        rpc_stream_drop_queue(s);
        return;
    }
    struct pending_message *m = s->first;
    s->first = m->next;
    if (s->first == NULL)
        s->last = &s->first;
    s->queued -= m->size;
    grpc_byte_buffer_destroy(m->buffer);
    free(m);
    s->write = WRITE_READY;
    rpc_stream_pump(s);
    if (s->first == NULL && !s->closing && !s->drain_due) {
        s->drain_due = true;
        rpc_stream_append(s, &s->drain);
    }
}

void rpc_stream_on_drain(struct rpc_stream *s, bool ok)
{
    (void)ok;
    (void)pthread_mutex_lock(&s->mutex);
    s->drain_due = false;
    bool drained = s->first == NULL && !s->closing; /* else it comes again, or is of no use */
    (void)pthread_mutex_unlock(&s->mutex);
    if (drained && s->events.on_drained != NULL)
        s->events.on_drained(s->context, s);
}

/* Takes the buffer when it returns OK. */
static enum err enqueue(struct rpc_stream *s, grpc_byte_buffer *buffer)
{
    size_t size = grpc_byte_buffer_length(buffer);
    if (s->closing || s->write == WRITE_CLOSED || s->life != LIFE_OPEN)
        return ERR_CLOSED;
    /* Into an empty queue a message of any size goes: what is refused can be sent after
     * on_drained, always. */
    if (s->queued > 0 && s->queued + size > RPC_STREAM_QUEUE_CAP)
        return ERR_LIMIT;
    struct pending_message *m = calloc(1, sizeof(*m));
    if (m == NULL)
        return ERR_NO_MEMORY;
    m->buffer = buffer;
    m->size = size + sizeof(*m); /* so that empty messages count, too */
    *s->last = m;
    s->last = &m->next;
    s->queued += m->size;
    rpc_stream_pump(s);
    return OK;
}

enum err rpc_stream_send(struct rpc_stream *stream, const ProtobufCMessage *message)
{
    if (message->descriptor != stream->out)
        return ERR_INVALID;
    grpc_byte_buffer *buffer = rpc_message_pack(message);
    if (buffer == NULL)
        return ERR_NO_MEMORY;
    (void)pthread_mutex_lock(&stream->mutex);
    enum err e = enqueue(stream, buffer);
    (void)pthread_mutex_unlock(&stream->mutex);
    if (e != OK)
        grpc_byte_buffer_destroy(buffer);
    return e;
}

size_t rpc_stream_queued(struct rpc_stream *stream)
{
    (void)pthread_mutex_lock(&stream->mutex);
    size_t queued = stream->queued;
    (void)pthread_mutex_unlock(&stream->mutex);
    return queued;
}

void rpc_stream_half_close(struct rpc_stream *stream)
{
    if (rpc_stream_is_server(stream))
        return;
    (void)pthread_mutex_lock(&stream->mutex);
    stream->closing = true;
    rpc_stream_pump(stream);
    (void)pthread_mutex_unlock(&stream->mutex);
}

/* With the mutex held. The first status counts. */
void rpc_stream_set_finish(struct rpc_stream *s, const struct rpc_status *status)
{
    if (s->closing || s->life != LIFE_OPEN)
        return;
    s->closing = true;
    s->muted = true;
    s->status = *status;
    s->text = grpc_slice_from_copied_string(status->message);
    struct rpc_metadata details = {.name = RPC_STATUS_DETAILS, .value = status->details};
    /* Without memory for the details the status is still true. */
    if (status->details.size > 0 && rpc_metadata_to_core(&details, 1, &s->metadata) == OK)
        s->metadata_count = 1;
    s->status.details =
        s->metadata_count == 0 ? bytes_of(NULL, 0) : rpc_slice_bytes(&s->metadata[0].value);
}

void rpc_stream_finish_status(struct rpc_stream *stream, const struct rpc_status *status)
{
    if (!rpc_stream_is_server(stream))
        return;
    (void)pthread_mutex_lock(&stream->mutex);
    rpc_stream_set_finish(stream, status);
    rpc_stream_pump(stream);
    (void)pthread_mutex_unlock(&stream->mutex);
}

void rpc_stream_finish(struct rpc_stream *stream, enum rpc_code code, const char *message)
{
    struct rpc_status status;
    rpc_status_set(&status, code, "%s", message == NULL ? "" : message);
    rpc_stream_finish_status(stream, &status);
}
