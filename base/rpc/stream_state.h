/* Inside of base/rpc: the state of a stream, shared by the three files that work on it.
 *
 *   stream.c        life: open or accept, the row of events, the end
 *   stream_write.c  what goes out
 *   stream_read.c   what comes in
 *
 * Events of one stream come from several threads; they wait in a row, and one thread at a time
 * works it off (`run_events`), so callbacks never overlap. The mutex guards the state against
 * the user's threads and is never held during a callback.
 *
 *   write side   HELD -> READY <-> BUSY -> CLOSED      one operation in flight at a time
 *   read side    IDLE -> WAITING -> ... -> DONE        the next one after on_message returned
 *   end          when the status is known, reading is DONE and no operation is in flight */
#ifndef CHAPERONE_BASE_RPC_STREAM_STATE_H
#define CHAPERONE_BASE_RPC_STREAM_STATE_H

#include <pthread.h>

#include "base/rpc/client.h"
#include "base/rpc/stream.h"

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

static inline bool rpc_stream_is_server(const struct rpc_stream *s)
{
    return s->channel == NULL;
}

/* All with the mutex held, but for those that say otherwise. */

/* Starts operations whose end `e` tells. gRPC refuses only what breaks its rules: such a call is
 * cancelled, and the result is false. */
bool rpc_stream_start(struct rpc_stream *s, struct stream_event *e, const grpc_op *ops,
                      size_t count);
/* Puts an event into the row. */
void rpc_stream_append(struct rpc_stream *s, struct stream_event *e);

/* stream_write.c */
void rpc_stream_drop_queue(struct rpc_stream *s);
/* Starts the next operation of the write side, if there is one. */
void rpc_stream_pump(struct rpc_stream *s);
/* Starts the last operation of the write side: the client's half-close, the server's status. */
bool rpc_stream_start_close(struct rpc_stream *s);
/* The end of `send`, at once and not in the row. */
void rpc_stream_settle_sent(struct rpc_stream *s, bool ok);
/* Server: keeps the status for the end; the first one counts. */
void rpc_stream_set_finish(struct rpc_stream *s, const struct rpc_status *status);
/* Without the mutex: the handler of `drain`. */
void rpc_stream_on_drain(struct rpc_stream *s, bool ok);

/* stream_read.c */
void rpc_stream_start_receive(struct rpc_stream *s);
/* Without the mutex: the handler of `receive`. */
void rpc_stream_on_received(struct rpc_stream *s, bool ok);

#endif
