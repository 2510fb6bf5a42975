/* A stream's life (see stream_state.h). */
#include "base/rpc/stream_state.h"

#include <stdlib.h>

/* ---- life ----------------------------------------------------------------------------- */

/* Everything that gRPC holds for the stream but its call: the user may release the stream when
 * gRPC has been shut down. */
static void drop_core(struct rpc_stream *s)
{
    rpc_stream_drop_queue(s);
    rpc_metadata_free(s->metadata, s->metadata_count);
    if (s->received != NULL)
        grpc_byte_buffer_destroy(s->received);
    grpc_metadata_array_destroy(&s->initial);
    grpc_metadata_array_destroy(&s->trailing);
    grpc_slice_unref(s->text);
}

static void free_stream(struct rpc_stream *s)
{
    (void)pthread_mutex_destroy(&s->mutex);
    free(s);
}

/* Gives back the call; after this only the user's reference keeps the stream. */
static void leave_call(struct rpc_stream *s)
{
    if (rpc_stream_is_server(s)) {
        if (s->on_gone != NULL)
            s->on_gone(s->owner);
        return;
    }
    struct rpc_runtime *runtime = rpc_channel_runtime(s->channel);
    rpc_runtime_detach(runtime, &s->live);
    grpc_call_unref(s->call);
    rpc_channel_release(s->channel);
}

static void server_status(struct rpc_stream *s)
{
    if (s->cancelled)
        rpc_status_set(&s->status, RPC_CANCELLED, "the client has gone, or its deadline passed");
}

/* Called once, by the thread that works the row off, when nothing is in flight any more. */
static void end_stream(struct rpc_stream *s)
{
    struct rpc_runtime *runtime = rpc_stream_is_server(s) ? NULL : rpc_channel_runtime(s->channel);
    if (rpc_stream_is_server(s))
        server_status(s);
    else
        rpc_status_from_core(s->code, &s->text, &s->trailing, &s->status);
    if (s->events.on_end != NULL)
        s->events.on_end(s->context, s, &s->status);
    drop_core(s);
    leave_call(s);
    (void)pthread_mutex_lock(&s->mutex);
    s->life = LIFE_GONE;
    bool released = s->released;
    (void)pthread_mutex_unlock(&s->mutex);
    if (released)
        free_stream(s);
    if (runtime != NULL)
        rpc_runtime_left(runtime);
}

void rpc_stream_release(struct rpc_stream *stream)
{
    if (stream == NULL)
        return;
    (void)pthread_mutex_lock(&stream->mutex);
    stream->released = true;
    bool gone = stream->life == LIFE_GONE;
    (void)pthread_mutex_unlock(&stream->mutex);
    if (gone)
        free_stream(stream);
}

void rpc_stream_cancel(struct rpc_stream *stream)
{
    (void)pthread_mutex_lock(&stream->mutex);
    stream->muted = true;
    if (stream->life == LIFE_OPEN)
        (void)grpc_call_cancel(stream->call, NULL);
    (void)pthread_mutex_unlock(&stream->mutex);
}

/* ---- the row of events ---------------------------------------------------------------- */

/* With the mutex held. */
static bool is_over(const struct rpc_stream *s)
{
    return s->life == LIFE_OPEN && s->status_known && s->read == READ_DONE && s->in_flight == 0;
}

/* With the mutex held; releases it. The caller is the one thread that has set `running`. */
static void run_events(struct rpc_stream *s)
{
    struct stream_event *e;
    while ((e = s->first_event) != NULL) {
        s->first_event = e->next;
        if (s->first_event == NULL)
            s->last_event = &s->first_event;
        (void)pthread_mutex_unlock(&s->mutex);
        e->handle(s, e->ok);
        (void)pthread_mutex_lock(&s->mutex);
    }
    s->running = false;
    bool over = is_over(s);
    if (over)
        s->life = LIFE_ENDING; /* no operation is started any more, so no event comes */
    (void)pthread_mutex_unlock(&s->mutex);
    if (over)
        end_stream(s);
}

/* With the mutex held. */
void rpc_stream_append(struct rpc_stream *s, struct stream_event *e)
{
    e->next = NULL;
    *s->last_event = e;
    s->last_event = &e->next;
}

static void on_event(struct rpc_event *event, bool ok)
{
    struct stream_event *e = (struct stream_event *)event;
    struct rpc_stream *s = e->stream;
    (void)pthread_mutex_lock(&s->mutex);
    s->in_flight--;
    e->ok = ok;
    if (e == &s->send)
        rpc_stream_settle_sent(s,
                               ok); /* at once: sending goes on while a callback takes its time */
    else
        rpc_stream_append(s, e);
    if (s->running) {
        (void)pthread_mutex_unlock(&s->mutex);
        return;
    }
    s->running = true;
    run_events(s);
}

/* With the mutex held. gRPC refuses only what breaks its rules: such a call is cancelled. */
bool rpc_stream_start(struct rpc_stream *s, struct stream_event *e, const grpc_op *ops,
                      size_t count)
{
    if (grpc_call_start_batch(s->call, ops, count, &e->event, NULL) != GRPC_CALL_OK) {
        log_event(s->log, LOG_ERROR, "rpc_batch_refused", log_number("operation", ops[0].op));
        (void)grpc_call_cancel(s->call, NULL);
        return false;
    }
    s->in_flight++;
    return true;
}

/* ---- begin and end -------------------------------------------------------------------- */

static void on_nothing(struct rpc_stream *s, bool ok)
{
    (void)s;
    (void)ok; /* a failure shows in the status */
}

static void on_status(struct rpc_stream *s, bool ok)
{
    (void)ok;
    (void)pthread_mutex_lock(&s->mutex);
    s->status_known = true;
    if (s->cancelled)
        atomic_store(s->out_cancelled, true);
    (void)pthread_mutex_unlock(&s->mutex);
}

static void init_event(struct rpc_stream *s, struct stream_event *e,
                       void (*handle)(struct rpc_stream *, bool))
{
    e->event.done = on_event;
    e->stream = s;
    e->handle = handle;
}

static struct rpc_stream *create_stream(const struct log *log)
{
    struct rpc_stream *s = calloc(1, sizeof(*s));
    if (s == NULL)
        return NULL;
    (void)pthread_mutex_init(&s->mutex, NULL);
    s->log = log;
    s->last_event = &s->first_event;
    s->last = &s->first;
    init_event(s, &s->begin, on_nothing);
    init_event(s, &s->receive, rpc_stream_on_received);
    init_event(s, &s->send, NULL); /* settled at once */
    init_event(s, &s->drain, rpc_stream_on_drain);
    init_event(s, &s->close, on_nothing);
    init_event(s, &s->end, on_status);
    grpc_metadata_array_init(&s->initial);
    grpc_metadata_array_init(&s->trailing);
    s->text = grpc_empty_slice();
    return s;
}

/* With the mutex held. */
static bool start_client(struct rpc_stream *s, const struct rpc_call_options *options)
{
    grpc_op begin[2] = {
        rpc_channel_begin_op(options, s->metadata),
        {.op = GRPC_OP_RECV_INITIAL_METADATA,
         .data.recv_initial_metadata.recv_initial_metadata = &s->initial},
    };
    grpc_op end = {.op = GRPC_OP_RECV_STATUS_ON_CLIENT,
                   .data.recv_status_on_client = {.trailing_metadata = &s->trailing,
                                                  .status = &s->code,
                                                  .status_details = &s->text}};
    /* The end first: whatever else fails, it comes. */
    if (!rpc_stream_start(s, &s->end, &end, 1))
        return false;
    (void)rpc_stream_start(s, &s->begin, begin, 2);
    s->write = WRITE_READY;
    rpc_stream_start_receive(s);
    return true;
}

enum err rpc_stream_open(struct rpc_channel *channel, const ProtobufCServiceDescriptor *service,
                         const char *name, const struct rpc_call_options *options,
                         const struct rpc_stream_events *events, void *context,
                         struct rpc_stream **out)
{
    const ProtobufCMethodDescriptor *method =
        protobuf_c_service_descriptor_get_method_by_name(service, name);
    if (method == NULL)
        return ERR_NOT_FOUND;
    struct rpc_runtime *runtime = rpc_channel_runtime(channel);
    struct rpc_stream *s = create_stream(rpc_runtime_log(runtime));
    if (s == NULL)
        return ERR_NO_MEMORY;
    enum err e = OK;
    if (options != NULL) {
        e = rpc_metadata_to_core(options->metadata, options->metadata_count, &s->metadata);
        s->metadata_count = e == OK ? options->metadata_count : 0;
    }
    if (e == OK)
        e = rpc_channel_call(channel, service, method, options, &s->call);
    if (e != OK) {
        drop_core(s);
        free_stream(s);
        return e;
    }
    s->in = method->output;
    s->out = method->input;
    s->events = *events;
    s->context = context;
    s->channel = channel;
    rpc_channel_retain(channel);
    rpc_runtime_attach(runtime, &s->live, s->call);
    *out = s; /* before it starts: callbacks may come before this returns */
    (void)pthread_mutex_lock(&s->mutex);
    bool started = start_client(s, options);
    (void)pthread_mutex_unlock(&s->mutex);
    if (started)
        return OK;
    *out = NULL;
    drop_core(s);
    leave_call(s);
    rpc_runtime_left(runtime);
    free_stream(s);
    return ERR_INTERNAL;
}

struct rpc_stream *rpc_stream_accept(grpc_call *call, const ProtobufCMethodDescriptor *method,
                                     const struct log *log, atomic_bool *out_cancelled,
                                     void (*on_gone)(void *owner), void *owner)
{
    struct rpc_stream *s = create_stream(log);
    if (s == NULL)
        return NULL;
    s->call = call;
    s->in = method->input;
    s->out = method->output;
    s->out_cancelled = out_cancelled;
    s->on_gone = on_gone;
    s->owner = owner;
    s->write = WRITE_HELD;
    return s;
}

void rpc_stream_serve(struct rpc_stream *stream, const struct rpc_stream_events *events,
                      void *context)
{
    (void)pthread_mutex_lock(&stream->mutex);
    stream->events = *events;
    stream->context = context;
    grpc_op end = {.op = GRPC_OP_RECV_CLOSE_ON_SERVER,
                   .data.recv_close_on_server.cancelled = &stream->cancelled};
    grpc_op begin = {.op = GRPC_OP_SEND_INITIAL_METADATA};
    (void)rpc_stream_start(stream, &stream->end, &end, 1);
    (void)rpc_stream_start(stream, &stream->begin, &begin, 1);
    rpc_stream_start_receive(stream);
    stream->write = WRITE_READY;
    rpc_stream_pump(stream);
    (void)pthread_mutex_unlock(&stream->mutex);
}

void rpc_stream_refuse(struct rpc_stream *stream, const struct rpc_status *status)
{
    (void)pthread_mutex_lock(&stream->mutex);
    stream->released = true;
    rpc_stream_set_finish(stream, status);
    grpc_op end = {.op = GRPC_OP_RECV_CLOSE_ON_SERVER,
                   .data.recv_close_on_server.cancelled = &stream->cancelled};
    grpc_op begin = {.op = GRPC_OP_SEND_INITIAL_METADATA};
    (void)rpc_stream_start(stream, &stream->end, &end, 1);
    (void)rpc_stream_start(stream, &stream->begin, &begin, 1);
    stream->read = READ_DONE;
    stream->write = WRITE_CLOSED;
    rpc_stream_drop_queue(stream);
    (void)rpc_stream_start_close(stream);
    (void)pthread_mutex_unlock(&stream->mutex);
}
