/* The stream: batches out, acknowledgements in. */
#include <stdio.h>

#include "api/sidecar.pb-c.h"
#include "sidecar/control/uplink_internal.h"

enum {
    QUEUE_FULL_MS = 50,
    NOTHING_READABLE_MS = 100,
    STALL_CHECK_MS = 1000,
    EMPTY_TURNS = 3,
};

/* ---- gRPC's thread ---- */

/* With the lock held: takes the batches that are covered; true when `out_hash` is that of
 * `sequence`. */
static bool take_covered(struct uplink *u, uint64_t sequence, uint8_t *out_hash)
{
    bool has_hash = false;
    while (u->count > 0 && u->under_way[u->first].last <= sequence) {
        const struct uplink_batch *b = &u->under_way[u->first];
        has_hash = b->last == sequence;
        memcpy(out_hash, b->hash, RECORDER_HASH_SIZE);
        u->first = (u->first + 1) % UPLINK_WINDOW;
        u->count--;
    }
    return has_hash;
}

/* With the lock held. Most answers come while the thread waits for records. */
static void wake_if_needed(struct uplink *u)
{
    if (u->is_needed) {
        (void)pthread_cond_signal(&u->wake);
    }
}

static void on_message(void *context, struct rpc_stream *stream, const ProtobufCMessage *message)
{
    struct uplink *u = context;
    uint64_t sequence = ((const Chaperone__V1__ShipResponse *)message)->sequence;
    uint8_t hash[RECORDER_HASH_SIZE];
    (void)pthread_mutex_lock(&u->lock);
    bool is_sane = sequence <= u->sent;
    bool is_new = sequence > u->acknowledged;
    bool has_hash = false;
    if (is_sane && is_new) {
        has_hash = take_covered(u, sequence, hash);
        u->acknowledged = sequence;
        u->progress_ms = uplink_now_ms();
    }
    wake_if_needed(u);
    (void)pthread_mutex_unlock(&u->lock);
    if (!is_sane) {
        /* Believing it would delete records that were never shipped. */
        log_event(u->log, LOG_ERROR, "audit_acknowledged_unsent",
                  log_number("sequence", (int64_t)sequence));
        rpc_stream_cancel(stream);
    } else if (is_new) {
        recorder_acknowledge(u->recorder, sequence, has_hash ? hash : NULL);
    }
}

static void on_drained(void *context, struct rpc_stream *stream)
{
    (void)stream;
    struct uplink *u = context;
    (void)pthread_mutex_lock(&u->lock);
    wake_if_needed(u);
    (void)pthread_mutex_unlock(&u->lock);
}

static void on_end(void *context, struct rpc_stream *stream, const struct rpc_status *status)
{
    (void)stream;
    struct uplink *u = context;
    (void)pthread_mutex_lock(&u->lock);
    u->ended = true;
    u->code = status->code;
    (void)snprintf(u->message, sizeof(u->message), "%s", status->message);
    (void)pthread_cond_broadcast(&u->wake);
    (void)pthread_mutex_unlock(&u->lock);
}

/* ---- the uplink's thread ---- */

struct shipment {
    struct uplink *u;
    struct rpc_stream *stream;
    struct recorder_reader *reader;
    unsigned generation;
    uint64_t next;        /* number of the next record */
    unsigned empty_turns; /* in which there was something that could not be read */
    size_t gathered;      /* records since it was waited for them */
};

/* With the lock held: for the other side of the stream. */
static void wait_for_stream(struct uplink *u, int ms)
{
    u->is_needed = true;
    uplink_wait(u, ms);
    u->is_needed = false;
}

/* With the lock held. */
static bool is_over(const struct shipment *s)
{
    return s->u->ended || uplink_is_over(s->u, s->generation);
}

/* False: the stream takes nothing more. */
static bool send_batch(struct shipment *s, const struct recorder_batch *batch)
{
    struct uplink *u = s->u;
    ProtobufCBinaryData records[UPLINK_BATCH_RECORDS];
    for (size_t i = 0; i < batch->count; i++) {
        records[i] = (ProtobufCBinaryData){.data = (uint8_t *)(uintptr_t)batch->records[i].data,
                                           .len = batch->records[i].size};
    }
    Chaperone__V1__ShipRequest request = CHAPERONE__V1__SHIP_REQUEST__INIT;
    request.records = records;
    request.n_records = batch->count;
    struct uplink_batch note = {.last = batch->sequences[batch->count - 1]};
    memcpy(note.hash, batch->last_hash, sizeof(note.hash));
    /* Noted before it is sent: the answer may be quicker than this thread. */
    (void)pthread_mutex_lock(&u->lock);
    if (u->count == 0) {
        u->progress_ms = uplink_now_ms();
    }
    u->under_way[(u->first + u->count) % UPLINK_WINDOW] = note;
    u->count++;
    u->sent = note.last;
    (void)pthread_mutex_unlock(&u->lock);
    enum err result;
    while ((result = rpc_stream_send(s->stream, &request.base)) == ERR_LIMIT) {
        (void)pthread_mutex_lock(&u->lock);
        if (!is_over(s)) {
            wait_for_stream(u, QUEUE_FULL_MS);
        }
        bool over = is_over(s);
        (void)pthread_mutex_unlock(&u->lock);
        if (over) {
            return false;
        }
    }
    return result == OK;
}

/* With the lock held: batches are under way, and no answer has come for too long. */
static bool is_stalled(const struct uplink *u)
{
    return u->count > 0 && uplink_now_ms() - u->progress_ms > UPLINK_ACKNOWLEDGE_MS;
}

/* More records make a better batch, unless someone waits for them. */
static void gather(struct shipment *s)
{
    struct uplink *u = s->u;
    const int64_t wait =
        s->gathered < UPLINK_BUSY_RECORDS ? UPLINK_GATHER_MS : UPLINK_GATHER_BUSY_MS;
    int64_t until = uplink_now_ms() + wait;
    s->gathered = 0;
    (void)pthread_mutex_lock(&u->lock);
    for (int64_t rest = wait; rest > 0 && !is_over(s) && !recorder_is_fleet_awaited(u->recorder);
         rest = until - uplink_now_ms()) {
        uplink_wait(u, (int)rest);
    }
    (void)pthread_mutex_unlock(&u->lock);
}

/* There was nothing to read: sleeps until there is. */
static void wait_for_records(struct shipment *s)
{
    struct uplink *u = s->u;
    bool has_more = recorder_want_notice(u->recorder, recorder_reader_position(s->reader));
    s->empty_turns = has_more ? s->empty_turns + 1 : 0;
    (void)pthread_mutex_lock(&u->lock);
    if (s->empty_turns > EMPTY_TURNS) { /* written, but cannot be opened: no descriptors left */
        uplink_wait(u, NOTHING_READABLE_MS);
    }
    while (!has_more && !is_over(s) && !u->noticed && !is_stalled(u)) {
        uplink_wait(u, u->count > 0 ? STALL_CHECK_MS : -1);
    }
    u->noticed = false;
    (void)pthread_mutex_unlock(&u->lock);
    gather(s);
}

/* Waits for a place in the window. False: the stream is over, or gives no answers. */
static bool wait_for_window(struct shipment *s)
{
    struct uplink *u = s->u;
    (void)pthread_mutex_lock(&u->lock);
    while (!is_over(s) && u->count == UPLINK_WINDOW && !is_stalled(u)) {
        wait_for_stream(u, STALL_CHECK_MS);
    }
    bool is_fine = !is_over(s) && !is_stalled(u);
    (void)pthread_mutex_unlock(&u->lock);
    return is_fine;
}

static void wait_for_answers(struct shipment *s)
{
    struct uplink *u = s->u;
    (void)pthread_mutex_lock(&u->lock);
    while (!is_over(s) && u->count > 0 && !is_stalled(u)) {
        wait_for_stream(u, STALL_CHECK_MS);
    }
    (void)pthread_mutex_unlock(&u->lock);
}

static void ship_all(struct shipment *s)
{
    struct recorder_batch batch;
    while (wait_for_window(s)) {
        if (recorder_reader_next(s->reader, UPLINK_BATCH_RECORDS, UPLINK_BATCH_BYTES, &batch) !=
            OK) {
            wait_for_records(s);
        } else if (batch.sequences[0] != s->next) {
            /* Damage. The control plane takes no gap: what is behind needs new numbers, which
             * Resume sees to when everything before it has arrived. */
            wait_for_answers(s);
            return;
        } else if (send_batch(s, &batch)) {
            s->empty_turns = 0;
            s->gathered += batch.count;
            s->next = batch.sequences[batch.count - 1] + 1;
        } else {
            return;
        }
    }
}

static void begin(struct uplink *u, uint64_t sequence)
{
    (void)pthread_mutex_lock(&u->lock);
    u->ended = false;
    u->first = 0;
    u->count = 0;
    u->sent = sequence;
    u->acknowledged = sequence;
    u->shipping = true;
    (void)pthread_mutex_unlock(&u->lock);
}

/* Waits for the last callback: it refers to this object. */
static void end(struct shipment *s)
{
    struct uplink *u = s->u;
    (void)pthread_mutex_lock(&u->lock);
    bool is_ours = !u->ended;
    u->shipping = false;
    (void)pthread_mutex_unlock(&u->lock);
    if (is_ours) {
        rpc_stream_cancel(s->stream);
    }
    (void)pthread_mutex_lock(&u->lock);
    while (!u->ended) {
        uplink_wait(u, -1);
    }
    bool is_loud = !uplink_is_over(u, s->generation);
    (void)pthread_mutex_unlock(&u->lock);
    if (is_loud) {
        log_event(u->log, LOG_WARN, "audit_stream_ended", log_text("code", rpc_code_name(u->code)),
                  log_text("error", u->message));
    }
    rpc_stream_release(s->stream);
}

void uplink_ship(struct uplink *u, struct tunnel *tunnel, unsigned generation, uint64_t sequence)
{
    static const struct rpc_stream_events events = {
        .on_message = on_message, .on_drained = on_drained, .on_end = on_end};
    const struct rpc_call_options options = {.wait_for_ready = true};
    struct shipment s = {.u = u, .generation = generation, .next = sequence + 1};
    if (recorder_reader_create(u->recorder, sequence, &s.reader) != OK) {
        return;
    }
    begin(u, sequence);
    if (rpc_stream_open(tunnel_channel(tunnel), &chaperone__v1__audit_ingest__descriptor, "Ship",
                        &options, &events, u, &s.stream) == OK) {
        ship_all(&s);
        end(&s);
    }
    recorder_reader_destroy(s.reader);
}
