/* The life of a session: how it is made, its states and timers, and how it ends and is freed. What
 * happens in between is in session.c. */
#include "sidecar/session.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "sidecar/session_internal.h"
#include "sidecar/token_read.h"

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

/* ---- the end -------------------------------------------------------------------------------- */

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

/* ---- the second connection ------------------------------------------------------------------ */

void session_close_second(struct session *s)
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

/* ---- timers --------------------------------------------------------------------------------- */

void session_timer_start(struct session *s, struct ev_timer *timer, int ms, int otherwise)
{
    ev_timer_stop(loop_ev(s->shared->loop), timer);
    ev_timer_set(timer, (ms > 0 ? ms : otherwise) / 1000.0, 0.0);
    ev_timer_start(loop_ev(s->shared->loop), timer);
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
    session_close_second(s);
}

/* ---- the beginning -------------------------------------------------------------------------- */

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
    s->broken_later = (struct loop_deferred){.fn = session_tell_broken, .context = s};
    directory_add(shared->directory, &s->entry);
    trim_count(&shared->trim, directory_count(shared->directory));
    look_at_peer(s);
    start_timers(s);
    if (origin->protocol->starts_with_tls && origin->agent_tls != NULL) {
        (void)s->link.ops->start_tls(&s->link, SIDE_AGENT);
    }
    session_update_reading(s);
    return OK;
}

const char *session_id(const struct session *s)
{
    return s->id;
}
