/* A stream, as a client or as a server has it.
 *
 * Events of one stream come from several threads; they wait in a row, and one thread at a time
 * works it off (`run_events`), so callbacks never overlap. The mutex guards the state against
 * the user's threads and is never held during a callback.
 *
 *   write side   HELD -> READY <-> BUSY -> CLOSED      one operation in flight at a time
 *   read side    IDLE -> WAITING -> ... -> DONE        the next one after on_message returned
 *   end          when the status is known, reading is DONE and no operation is in flight */
#include "base/rpc/stream.h"

#include <pthread.h>
#include <stdlib.h>

#include "base/rpc/client.h"

/* Exported by gRPC's C core for its own C++ layer, in no public header: whether a receive that
 * gave no message did so because the call failed. Without it a server cannot tell a client
 * that has said its last message from one that has gone in the middle. */
int grpc_call_failed_before_recv_message(const grpc_call *call);

enum write_state {
    WRITE_HELD,   /* a server's handler has not answered yet: messages wait */
    WRITE_READY,  /* nothing in flight */
    WRITE_BUSY,   /* one message in flight */
    WRITE_CLOSED, /* the last operation was started, or the call is dead */
};

enum read_state { READ_IDLE, READ_WAITING, READ_DONE };

enum life { LIFE_OPEN, LIFE_ENDING, LIFE_GONE };

/* An operation of the stream that gRPC tells the end of. */
struct stream_event {
    struct rpc_event event;
    struct rpc_stream *stream;
    void (*handle)(struct rpc_stream *stream, bool ok);
    struct stream_event *next; /* in the row */
    bool ok;
};

struct pending_message {
    struct pending_message *next;
    grpc_byte_buffer *buffer;
    size_t size;
};

struct rpc_stream {
    pthread_mutex_t mutex;
    grpc_call *call; /* client: owned; server: borrowed */
    const struct log *log;
    const ProtobufCMessageDescriptor *in, *out;
    struct rpc_stream_events events;
    void *context;
    /* Client only. */
    struct rpc_channel *channel;
    struct rpc_live live;
    /* Server only. */
    atomic_bool *out_cancelled;
    void (*on_gone)(void *owner);
    void *owner;

    struct stream_event *first_event, **last_event; /* the row */
    bool running;                                   /* a thread works the row off */
    size_t in_flight;

    enum write_state write;
    struct pending_message *first, **last;
    size_t queued;
    bool closing;   /* the last message is queued: close after it */
    bool drain_due; /* `drain` is in the row */

    enum read_state read;
    bool muted; /* cancelled or finished here: no on_message, no on_half_close */

    enum life life;
    bool released;
    bool status_known;
    struct rpc_status status; /* server: what was given to finish */

    /* `drain` is no operation: it stands in the row for on_drained. */
    struct stream_event begin, receive, send, close, end, drain;
    grpc_metadata *metadata; /* client: sent at the begin; server: at the end */
    size_t metadata_count;
    grpc_byte_buffer *received;
    grpc_metadata_array initial, trailing;
    grpc_status_code code; /* client: received */
    grpc_slice text;       /* client: received; server: sent */
    int cancelled;         /* server: received */
};

static bool is_server(const struct rpc_stream *s)
{
    return s->channel == NULL;
}

/* ---- life ----------------------------------------------------------------------------- */

static void drop_queue(struct rpc_stream *s)
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

/* Everything that gRPC holds for the stream but its call: the user may release the stream when
 * gRPC has been shut down. */
static void drop_core(struct rpc_stream *s)
{
    drop_queue(s);
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
    if (is_server(s)) {
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
    struct rpc_runtime *runtime = is_server(s) ? NULL : rpc_channel_runtime(s->channel);
    if (is_server(s))
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
static void append(struct rpc_stream *s, struct stream_event *e)
{
    e->next = NULL;
    *s->last_event = e;
    s->last_event = &e->next;
}

static void settle_sent(struct rpc_stream *s, bool ok);

static void on_event(struct rpc_event *event, bool ok)
{
    struct stream_event *e = (struct stream_event *)event;
    struct rpc_stream *s = e->stream;
    (void)pthread_mutex_lock(&s->mutex);
    s->in_flight--;
    e->ok = ok;
    if (e == &s->send)
        settle_sent(s, ok); /* at once: sending goes on while a callback takes its time */
    else
        append(s, e);
    if (s->running) {
        (void)pthread_mutex_unlock(&s->mutex);
        return;
    }
    s->running = true;
    run_events(s);
}

/* With the mutex held. gRPC refuses only what breaks its rules: such a call is cancelled. */
static bool start(struct rpc_stream *s, struct stream_event *e, const grpc_op *ops, size_t count)
{
    if (grpc_call_start_batch(s->call, ops, count, &e->event, NULL) != GRPC_CALL_OK) {
        log_event(s->log, LOG_ERROR, "rpc_batch_refused", log_number("operation", ops[0].op));
        (void)grpc_call_cancel(s->call, NULL);
        return false;
    }
    s->in_flight++;
    return true;
}

/* ---- writing -------------------------------------------------------------------------- */

static bool start_close(struct rpc_stream *s)
{
    if (!is_server(s)) {
        grpc_op op = {.op = GRPC_OP_SEND_CLOSE_FROM_CLIENT};
        return start(s, &s->close, &op, 1);
    }
    grpc_op op = {.op = GRPC_OP_SEND_STATUS_FROM_SERVER,
                  .data.send_status_from_server = {.trailing_metadata_count = s->metadata_count,
                                                   .trailing_metadata = s->metadata,
                                                   .status = (grpc_status_code)s->status.code,
                                                   .status_details = &s->text}};
    return start(s, &s->close, &op, 1);
}

/* With the mutex held: starts the next operation of the write side, if there is one. */
static void pump(struct rpc_stream *s)
{
    if (s->write != WRITE_READY || s->life != LIFE_OPEN)
        return;
    struct pending_message *m = s->first;
    if (m != NULL) {
        /* More behind it: gRPC may wait and put them into one write. */
        grpc_op op = {.op = GRPC_OP_SEND_MESSAGE,
                      .flags = m->next != NULL ? GRPC_WRITE_BUFFER_HINT : 0,
                      .data.send_message.send_message = m->buffer};
        s->write = start(s, &s->send, &op, 1) ? WRITE_BUSY : WRITE_CLOSED;
    } else if (s->closing) {
        (void)start_close(s);
        s->write = WRITE_CLOSED;
    }
}

/* With the mutex held. */
static void settle_sent(struct rpc_stream *s, bool ok)
{
    if (!ok) {
        s->write = WRITE_CLOSED; /* the call is dead; its status says why */
        drop_queue(s);
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
    pump(s);
    if (s->first == NULL && !s->closing && !s->drain_due) {
        s->drain_due = true;
        append(s, &s->drain);
    }
}

static void on_drain(struct rpc_stream *s, bool ok)
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
    pump(s);
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
    if (is_server(stream))
        return;
    (void)pthread_mutex_lock(&stream->mutex);
    stream->closing = true;
    pump(stream);
    (void)pthread_mutex_unlock(&stream->mutex);
}

/* With the mutex held. The first status counts. */
static void set_finish(struct rpc_stream *s, const struct rpc_status *status)
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
    if (!is_server(stream))
        return;
    (void)pthread_mutex_lock(&stream->mutex);
    set_finish(stream, status);
    pump(stream);
    (void)pthread_mutex_unlock(&stream->mutex);
}

void rpc_stream_finish(struct rpc_stream *stream, enum rpc_code code, const char *message)
{
    struct rpc_status status;
    rpc_status_set(&status, code, "%s", message == NULL ? "" : message);
    rpc_stream_finish_status(stream, &status);
}

void rpc_stream_cancel(struct rpc_stream *stream)
{
    (void)pthread_mutex_lock(&stream->mutex);
    stream->muted = true;
    if (stream->life == LIFE_OPEN)
        (void)grpc_call_cancel(stream->call, NULL);
    (void)pthread_mutex_unlock(&stream->mutex);
}

/* ---- reading -------------------------------------------------------------------------- */

/* With the mutex held. */
static void start_receive(struct rpc_stream *s)
{
    grpc_op op = {.op = GRPC_OP_RECV_MESSAGE, .data.recv_message.recv_message = &s->received};
    s->read = start(s, &s->receive, &op, 1) ? READ_WAITING : READ_DONE;
}

/* The other side sends what is not a message of this type. */
static void refuse_message(struct rpc_stream *s)
{
    static const char text[] = "a message is malformed or too large";
    log_event(s->log, LOG_WARN, "rpc_message_malformed", log_text("type", s->in->name));
    if (is_server(s)) {
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

static void on_received(struct rpc_stream *s, bool ok)
{
    grpc_byte_buffer *buffer = s->received;
    s->received = NULL;
    bool failed = !ok || grpc_call_failed_before_recv_message(s->call) != 0;
    if (buffer != NULL)
        deliver(s, buffer);
    else if (is_server(s) && !failed && !is_muted(s) && s->events.on_half_close != NULL)
        s->events.on_half_close(s->context, s);
    (void)pthread_mutex_lock(&s->mutex);
    if (buffer != NULL)
        start_receive(s);
    else
        s->read = READ_DONE;
    (void)pthread_mutex_unlock(&s->mutex);
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
    init_event(s, &s->receive, on_received);
    init_event(s, &s->send, NULL); /* settled at once */
    init_event(s, &s->drain, on_drain);
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
    if (!start(s, &s->end, &end, 1))
        return false;
    (void)start(s, &s->begin, begin, 2);
    s->write = WRITE_READY;
    start_receive(s);
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
    (void)start(stream, &stream->end, &end, 1);
    (void)start(stream, &stream->begin, &begin, 1);
    start_receive(stream);
    stream->write = WRITE_READY;
    pump(stream);
    (void)pthread_mutex_unlock(&stream->mutex);
}

void rpc_stream_refuse(struct rpc_stream *stream, const struct rpc_status *status)
{
    (void)pthread_mutex_lock(&stream->mutex);
    stream->released = true;
    set_finish(stream, status);
    grpc_op end = {.op = GRPC_OP_RECV_CLOSE_ON_SERVER,
                   .data.recv_close_on_server.cancelled = &stream->cancelled};
    grpc_op begin = {.op = GRPC_OP_SEND_INITIAL_METADATA};
    (void)start(stream, &stream->end, &end, 1);
    (void)start(stream, &stream->begin, &begin, 1);
    stream->read = READ_DONE;
    stream->write = WRITE_CLOSED;
    drop_queue(stream);
    (void)start_close(stream);
    (void)pthread_mutex_unlock(&stream->mutex);
}
