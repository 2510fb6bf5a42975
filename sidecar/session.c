#include "sidecar/session.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "sidecar/session_internal.h"
#include "sidecar/token_read.h"

/* ---- the way of an operation: read, understand, (decide: session_decide.c), send --------------
 */

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

/* Backpressure: a side is read only while the other one takes what comes. */
static void update_reading(struct session *s)
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

static void close_second(struct session *s)
{
    ev_timer_stop(loop_ev(s->shared->loop), &s->second_timer);
    conn_close(s->sides[SIDE_SECOND].conn);
    s->sides[SIDE_SECOND].conn = NULL;
    s->sides[SIDE_SECOND].waiting = false;
    buffer_finish(&s->sides[SIDE_SECOND].in);
    if (s->state == SESSION_CLOSED && s->stops_left > 0) {
        s->stops_left--;
        session_timer_start(s, &s->second_timer, s->shared->times.stop_again,
                            SESSION_STOP_AGAIN_MS);
    } else if (s->state == SESSION_CLOSED) {
        loop_defer(s->shared->loop, &s->free_later); /* it was the last one */
    }
}

void session_timer_start(struct session *s, struct ev_timer *timer, int ms, int otherwise)
{
    ev_timer_stop(loop_ev(s->shared->loop), timer);
    ev_timer_set(timer, (ms > 0 ? ms : otherwise) / 1000.0, 0.0);
    ev_timer_start(loop_ev(s->shared->loop), timer);
}

static void on_side_end(struct session *s, enum protocol_side side)
{
    if (side == SIDE_SECOND) {
        close_second(s);
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
    update_reading(s);
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
        close_second(s);
        return;
    }
    if (side == SIDE_AGENT && (s->state == SESSION_OPEN || s->state == SESSION_ENDING)) {
        /* The answers are still awaited, for the record. */
        conn_close(s->sides[side].conn);
        s->sides[side].conn = NULL;
        if (!s->sides[side].ended) {
            on_side_end(s, side);
        }
        update_reading(s);
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

/* A link function makes no callback: what it could not send is told after it. */
static void on_broken(void *context)
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
    update_reading(s);
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
    update_reading(s);
}

static void on_timer(struct ev_loop *ev, struct ev_timer *w, int events)
{
    (void)ev;
    (void)events;
    struct session *s = w->data;
    if (s->state == SESSION_OPENING) {
        s->link.ops->set_end(&s->link, "login_timeout", "the login took too long");
        s->origin->protocol->on_terminate(s->protocol, ERR_TIMEOUT, "the login took too long",
                                          false);
        session_flush(s);
    }
    session_close(s);
}

static void on_gate_timer(struct ev_loop *ev, struct ev_timer *w, int events)
{
    (void)ev;
    (void)events;
    session_gate_timeout(w->data);
}

static void on_second_timer(struct ev_loop *ev, struct ev_timer *w, int events)
{
    (void)ev;
    (void)events;
    struct session *s = w->data;
    bool is_again = s->state == SESSION_CLOSED && s->sides[SIDE_SECOND].conn == NULL;
    if (is_again && s->link.ops->connect_second(&s->link)) {
        return;
    }
    close_second(s);
}

/* ---- life ----------------------------------------------------------------------------------- */

static const char *const state_names[] = {"opening", "open", "ending", "closed"};

void session_set_state(struct session *s, enum session_state state)
{
    static const bool allowed[4][4] = {
        [SESSION_OPENING] =
            {[SESSION_OPEN] = true, [SESSION_ENDING] = true, [SESSION_CLOSED] = true},
        [SESSION_OPEN] = {[SESSION_ENDING] = true, [SESSION_CLOSED] = true},
        [SESSION_ENDING] = {[SESSION_CLOSED] = true},
    };
    if (s->state == state || !allowed[s->state][state]) {
        return;
    }
    log_event(s->shared->log, LOG_DEBUG, "session_state", log_text("session", s->id),
              log_text("from", state_names[s->state]), log_text("to", state_names[state]));
    s->state = state;
    if (state == SESSION_OPEN) {
        ev_timer_stop(loop_ev(s->shared->loop), &s->timer);
    }
}

static void free_releases(struct session *s)
{
    while (s->released != NULL) {
        struct session_release *release = s->released;
        s->released = release->next;
        free(release);
    }
}

static void session_free(void *context)
{
    struct session *s = context;
    if (s->sides[SIDE_SECOND].conn != NULL || ev_is_active(&s->second_timer)) {
        return; /* a cancel request is still on its way, or will be; its end comes back here */
    }
    struct session_shared *shared = s->shared;
    s->origin->protocol->destroy(s->protocol);
    directory_remove(shared->directory, &s->entry);
    for (int i = 0; i < SIDES; i++) {
        buffer_wipe(&s->sides[i].in);
    }
    buffer_wipe(&s->held);
    free_releases(s);
    session_verdicts_forget(s);
    tls_context_destroy(s->target_tls);
    tls_context_destroy(s->chosen_tls);
    if (s->opened != NULL) {
        chaperone__v1__session_opened__free_unpacked(s->opened, NULL);
    }
    free(s);
    trim_count(&shared->trim, directory_count(shared->directory));
    if (shared->draining && directory_count(shared->directory) == 0 && shared->on_empty != NULL) {
        shared->on_empty(shared->context);
    }
}

void session_close(struct session *s)
{
    if (s->state == SESSION_CLOSED) {
        return;
    }
    session_flush(s);
    session_gate_cancel(s);
    control_call_cancel(s->grant_call);
    s->grant_call = NULL;
    token_read_cancel(s->token_read);
    s->token_read = NULL;
    loop_cancel_deferred(s->shared->loop, &s->refuse_later);
    loop_cancel_deferred(s->shared->loop, &s->broken_later);
    session_hold_abandon(s, s->end_reason == NULL ? "the session ended" : s->end_reason);
    s->origin->protocol->on_close(s->protocol);
    session_record_closed(s);
    session_set_state(s, SESSION_CLOSED);
    ev_timer_stop(loop_ev(s->shared->loop), &s->timer);
    conn_close_after_flush(s->sides[SIDE_AGENT].conn, SESSION_FLUSH_MS);
    conn_close_after_flush(s->sides[SIDE_TARGET].conn, SESSION_FLUSH_MS);
    s->sides[SIDE_AGENT].conn = NULL;
    s->sides[SIDE_TARGET].conn = NULL;
    loop_defer(s->shared->loop, &s->free_later);
}

void session_fail(struct session *s, const char *reason, const char *error)
{
    s->link.ops->set_end(&s->link, reason, error);
    session_close(s);
}

static void look_at_peer(struct session *s)
{
    conn_format_peer(s->sides[SIDE_AGENT].conn, s->agent_address, sizeof(s->agent_address));
    s->process = (struct peer){.pid = -1, .uid = -1, .gid = -1};
    if (peer_find(s->shared->holders, conn_fd(s->sides[SIDE_AGENT].conn), &s->process) != OK) {
        log_event(s->shared->log, LOG_DEBUG, "peer_unknown", log_text("session", s->id),
                  log_text("agent_address", s->agent_address));
    }
}

static void start_timers(struct session *s)
{
    ev_init(&s->timer, on_timer);
    s->timer.data = s;
    session_timer_start(s, &s->timer, s->shared->times.login, SESSION_LOGIN_MS);
    ev_init(&s->second_timer, on_second_timer);
    s->second_timer.data = s;
    ev_init(&s->gate_timer, on_gate_timer);
    s->gate_timer.data = s;
    session_hold_init(s);
}

static enum err session_init(struct session *s, int fd)
{
    const struct protocol *p = s->origin->protocol;
    enum err e = uuid_make_v7(s->shared->clock, s->id);
    if (e != OK) {
        return e;
    }
    s->protocol = p->create(&s->link, &s->shared->protocol);
    if (s->protocol == NULL) {
        return ERR_NO_MEMORY;
    }
    e = conn_create(s->shared->loop, fd, &session_conn_events[SIDE_AGENT], s,
                    &s->sides[SIDE_AGENT].conn);
    if (e != OK) {
        p->destroy(s->protocol);
    }
    return e;
}

enum err session_start(struct session_shared *shared, const struct session_origin *origin, int fd)
{
    struct session *s = calloc(1, sizeof(*s));
    if (s == NULL) {
        (void)close(fd);
        return ERR_NO_MEMORY;
    }
    s->link.ops = &session_link_ops;
    s->shared = shared;
    s->origin = origin;
    s->resource = origin->resource == NULL ? "" : origin->resource;
    s->started_ns = clock_monotonic(shared->clock);
    enum err e = session_init(s, fd);
    if (e != OK) {
        free(s);
        (void)close(fd);
        return e;
    }
    for (int i = 0; i < SIDES; i++) {
        buffer_init(&s->sides[i].in, origin->protocol->buffer_max + SESSION_READ_CHUNK);
    }
    buffer_init(&s->held, CONN_QUEUE_CAP);
    s->entry = (struct directory_entry){.session = s, .id = s->id};
    s->free_later = (struct loop_deferred){.fn = session_free, .context = s};
    s->refuse_later = (struct loop_deferred){.fn = session_refuse_request, .context = s};
    s->broken_later = (struct loop_deferred){.fn = on_broken, .context = s};
    directory_add(shared->directory, &s->entry);
    trim_count(&shared->trim, directory_count(shared->directory));
    look_at_peer(s);
    start_timers(s);
    if (origin->protocol->starts_with_tls && origin->agent_tls != NULL) {
        (void)s->link.ops->start_tls(&s->link, SIDE_AGENT);
    }
    update_reading(s);
    return OK;
}

const char *session_id(const struct session *s)
{
    return s->id;
}

void session_terminate(struct session *s, enum err code, const char *reason, const char *why,
                       bool stop_running)
{
    if (s->state == SESSION_CLOSED) {
        return;
    }
    if (s->end_reason == NULL) {
        s->end_reason = reason;
        (void)snprintf(s->end_error, sizeof(s->end_error), "%s", why);
    }
    s->origin->protocol->on_terminate(s->protocol, code, why, stop_running);
    session_close(s);
}

void session_drain(struct session *s)
{
    if (s->state == SESSION_OPENING || s->origin->protocol->is_idle(s->protocol)) {
        session_terminate(s, ERR_CLOSED, "shutdown", "the sidecar is shutting down", false);
    }
}

void session_abort(struct session *s)
{
    session_terminate(s, ERR_CLOSED, "shutdown", "the sidecar is shutting down", true);
}
