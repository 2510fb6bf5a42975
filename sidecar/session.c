/* The way of an operation: read, understand, (decide: session_decide.c), send; and what else the
 * connections tell. How a session begins and ends is in session_life.c. */
#include "sidecar/session.h"

#include <string.h>

#include "sidecar/session_internal.h"

typedef enum protocol_step bytes_fn(void *p, struct bytes in, size_t *out_used);

static bytes_fn *bytes_fn_of(const struct session *s, enum protocol_side side)
{
    const struct protocol *p = s->origin->protocol;
    return side == SIDE_AGENT    ? p->on_agent_bytes
           : side == SIDE_TARGET ? p->on_target_bytes
                                 : p->on_second_bytes;
}

/* Gives bytes to the protocol; returns how many it used. */
static size_t understand(struct session *s, enum protocol_side side, struct bytes in)
{
    size_t used = 0;
    s->reading = in;
    enum protocol_step step = bytes_fn_of(s, side)(s->protocol, in, &used);
    session_flush(s);
    s->reading = (struct bytes){0};
    if (s->state != SESSION_CLOSED) {
        s->sides[side].waiting = step == PROTOCOL_WAIT;
        if (step == PROTOCOL_CLOSE) {
            session_close(s);
        }
    }
    return used;
}

/* Offers what was kept from earlier reads again; returns how much of it was used. */
static size_t understand_kept(struct session *s, enum protocol_side side)
{
    struct side *x = &s->sides[side];
    bool is_nothing = buffer_size(&x->in) == 0 && !s->origin->protocol->is_offered_nothing;
    if (is_nothing || s->state == SESSION_CLOSED) {
        return 0;
    }
    size_t used = understand(s, side, buffer_bytes(&x->in));
    buffer_consume(&x->in, used);
    if (buffer_size(&x->in) == 0) {
        buffer_finish(&x->in);
    }
    return used;
}

/* What happened on one side (`except`; -1: neither) may be what the other one waited for, and what
 * that one does then may be what the first one waits for. */
static void retry_waiting(struct session *s, int except)
{
    size_t used;
    do {
        used = 0;
        for (int i = 0; i < SIDE_SECOND && s->state != SESSION_CLOSED; i++) {
            if (i != except && s->sides[i].waiting) {
                s->sides[i].waiting = false;
                used += understand_kept(s, (enum protocol_side)i);
            }
        }
        except = -1;
    } while (used > 0);
}

static void keep(struct session *s, enum protocol_side side, struct bytes rest)
{
    if (s->state == SESSION_CLOSED || rest.size == 0) {
        return;
    }
    enum err e = buffer_append(&s->sides[side].in, rest);
    if (e != OK) {
        session_fail(s, "error",
                     e == ERR_LIMIT ? "a message is longer than it may be" : "out of memory");
    }
}

/* `count`: how many of them were just read; before those are what was kept. */
static void take_bytes(struct session *s, enum protocol_side side, struct bytes in, size_t count)
{
    struct side *x = &s->sides[side];
    if (side == SIDE_AGENT) {
        s->bytes_from_agent += count;
        s->shared->metrics->bytes_from_agents += count;
        s->hold.read_meanwhile += s->hold.state == HOLD_NONE ? 0 : count;
    }
    if (x->waiting) {
        keep(s, side, in);
    } else if (buffer_size(&x->in) > 0) {
        keep(s, side, in);
        (void)understand_kept(s, side);
    } else {
        size_t used = understand(s, side, in);
        keep(s, side, bytes_of(in.data + used, in.size - used));
        if (buffer_size(&x->in) == 0 && x->in.capacity > 0) {
            buffer_finish(&x->in);
        }
    }
    retry_waiting(s, (int)side);
}

static bool takes_more(const struct session *s, enum protocol_side side)
{
    const struct conn *conn = s->sides[side].conn;
    return conn == NULL || conn_queued(conn) <= CONN_HIGH_WATER;
}

static bool may_read(const struct session *s, enum protocol_side side)
{
    const struct side *x = &s->sides[side];
    if (s->state == SESSION_CLOSED || x->conn == NULL || x->ended) {
        return false;
    }
    if (x->waiting) {
        /* An agent that goes away while people decide is to be noticed. */
        return side == SIDE_AGENT && s->hold.state != HOLD_NONE &&
               s->hold.read_meanwhile < HOLD_READ_MAX;
    }
    switch (side) {
    /* What it asks for may also be answered here: refusals. */
    case SIDE_AGENT:
        return !s->gate.waiting && takes_more(s, SIDE_TARGET) && takes_more(s, SIDE_AGENT);
    case SIDE_TARGET: return takes_more(s, SIDE_AGENT);
    case SIDE_SECOND: break;
    }
    return true;
}

void session_update_reading(struct session *s)
{
    for (int i = 0; i < SIDES && s->state != SESSION_CLOSED; i++) {
        struct conn *conn = s->sides[i].conn;
        if (conn == NULL) {
            continue;
        }
        if (may_read(s, (enum protocol_side)i)) {
            conn_resume(conn);
        } else {
            conn_pause(conn);
        }
    }
}

static void on_side_end(struct session *s, enum protocol_side side)
{
    if (side == SIDE_SECOND) {
        session_close_second(s);
        return;
    }
    s->sides[side].ended = true;
    if (side == SIDE_AGENT) {
        session_hold_abandon(s, "the agent went away");
    }
    session_event(s, s->origin->protocol->on_end(s->protocol, side));
    if (side == SIDE_TARGET && s->state != SESSION_CLOSED && s->sides[side].ended) {
        conn_close(s->sides[side].conn); /* the protocol goes on without it */
        s->sides[side].conn = NULL;
    }
    if (side == SIDE_AGENT && s->state != SESSION_CLOSED) {
        session_set_state(s, SESSION_ENDING);
        session_timer_start(s, &s->timer, s->shared->times.answer, SESSION_ANSWER_MS);
    }
}

/* The beginning of a message that was cut off by the end of the last read, put in front of what
 * comes now: little is copied, and not the whole chunk behind that little. Returns how much. */
static size_t put_kept_in_front(struct session *s, enum protocol_side side)
{
    struct side *x = &s->sides[side];
    size_t size = buffer_size(&x->in);
    if (x->waiting || size == 0 || size > SESSION_READ_FRONT) {
        return 0;
    }
    memcpy(s->shared->chunk + SESSION_READ_FRONT - size, buffer_bytes(&x->in).data, size);
    buffer_clear(&x->in);
    return size;
}

static void read_side(struct session *s, enum protocol_side side)
{
    size_t count = 0, front = 0;
    bool is_login = s->state == SESSION_OPENING;
    uint8_t *chunk = s->shared->chunk + SESSION_READ_FRONT;
    switch (conn_read(s->sides[side].conn, chunk, SESSION_READ_CHUNK, &count)) {
    case CONN_OK:
        front = put_kept_in_front(s, side);
        take_bytes(s, side, bytes_of(chunk - front, front + count), count);
        if (is_login) {
            /* The agent's token may be in it. */
            bytes_wipe(chunk - front, front + count);
        }
        break;
    case CONN_AGAIN: return;
    case CONN_EOF:
    case CONN_FAILED: on_side_end(s, side); break;
    }
    if (s->shared->draining && s->state == SESSION_OPEN) {
        session_drain(s);
    }
    session_update_reading(s);
}

/* ---- events --------------------------------------------------------------------------------- */

static void on_ready(struct session *s, enum protocol_side side)
{
    const struct protocol *p = s->origin->protocol;
    bool secured = conn_is_tls(s->sides[side].conn);
    if (side == SIDE_SECOND) {
        conn_resume(s->sides[side].conn); /* its end is awaited even after the session's own */
    }
    session_event(s,
                  secured ? p->on_secured(s->protocol, side) : p->on_connected(s->protocol, side));
}

static void on_failed(struct session *s, enum protocol_side side, enum err error, const char *why)
{
    if (side == SIDE_SECOND) {
        session_close_second(s);
        return;
    }
    if (side == SIDE_AGENT && (s->state == SESSION_OPEN || s->state == SESSION_ENDING)) {
        /* The answers are still awaited, for the record. */
        conn_close(s->sides[side].conn);
        s->sides[side].conn = NULL;
        if (!s->sides[side].ended) {
            on_side_end(s, side);
        }
        session_update_reading(s);
        return;
    }
    s->sides[side].ended = true;
    session_event(s, s->origin->protocol->on_failed(s->protocol, side, error, why));
    session_close(s);
}

static const char *why_broken(enum err e)
{
    switch (e) {
    case ERR_NO_MEMORY: return "the sidecar is out of memory";
    case ERR_LIMIT: return "the sidecar has reached a limit";
    case ERR_CLOSED: return "the peer is gone";
    default: return err_name(e);
    }
}

void session_tell_broken(void *context)
{
    struct session *s = context;
    for (int i = 0; i < SIDES && s->state != SESSION_CLOSED; i++) {
        enum err e = s->sides[i].broken;
        s->sides[i].broken = OK;
        if (e != OK) {
            if (i == SIDE_AGENT && e != ERR_CLOSED) {
                s->link.ops->set_end(&s->link, "error", why_broken(e));
            }
            on_failed(s, (enum protocol_side)i, e, why_broken(e));
        }
    }
}

static void on_drained(struct session *s)
{
    session_update_reading(s);
}

#define SIDE_EVENTS(name, side)                                                                    \
    static void name##_ready(void *context)                                                        \
    {                                                                                              \
        on_ready(context, side);                                                                   \
    }                                                                                              \
    static void name##_readable(void *context)                                                     \
    {                                                                                              \
        read_side(context, side);                                                                  \
    }                                                                                              \
    static void name##_drained(void *context)                                                      \
    {                                                                                              \
        on_drained(context);                                                                       \
    }                                                                                              \
    static void name##_failed(void *context, enum err error, const char *why)                      \
    {                                                                                              \
        on_failed(context, side, error, why);                                                      \
    }

SIDE_EVENTS(agent, SIDE_AGENT)
SIDE_EVENTS(target, SIDE_TARGET)
SIDE_EVENTS(second, SIDE_SECOND)

const struct conn_events session_conn_events[SIDES] = {
    [SIDE_AGENT] = {agent_ready, agent_readable, agent_drained, agent_failed},
    [SIDE_TARGET] = {target_ready, target_readable, target_drained, target_failed},
    [SIDE_SECOND] = {second_ready, second_readable, second_drained, second_failed},
};

void session_event(struct session *s, enum protocol_step step)
{
    session_flush(s);
    if (s->state == SESSION_CLOSED) {
        return;
    }
    if (step == PROTOCOL_CLOSE) {
        session_close(s);
        return;
    }
    retry_waiting(s, -1);
    session_update_reading(s);
}
