/* What is sent to a side, in as few writes as possible; and the gate, behind which it is held until
 * the intent before it is durable. */
#include "sidecar/session_internal.h"

enum { RUN_LONG = 4096 }; /* bytes that are not copied to leave with others */

void session_output_failed(struct session *s, enum protocol_side side, enum err e)
{
    struct side *x = &s->sides[side];
    if (e == ERR_CLOSED && (side != SIDE_AGENT || x->conn == NULL)) {
        return; /* gone: seen where it is read, where the target may have said why */
    }
    if (x->broken == OK && s->state != SESSION_CLOSED) {
        x->broken = e;
        conn_close(x->conn);
        x->conn = NULL;
        loop_defer(s->shared->loop, &s->broken_later);
    }
}

static void append(struct session *s, enum protocol_side side, struct bytes b)
{
    struct conn *conn = s->sides[side].conn;
    enum err e = side == SIDE_TARGET && s->gate.waiting ? buffer_append(&s->held, b)
                 : conn == NULL                         ? ERR_CLOSED
                                                        : conn_append(conn, b);
    if (e != OK) {
        session_output_failed(s, side, e);
    }
}

static void append_behind(struct session *s, enum protocol_side side)
{
    struct side *x = &s->sides[side];
    size_t size = x->behind_size;
    x->behind_size = 0;
    if (size > 0) {
        append(s, side, bytes_of(x->behind, size));
    }
}

static void put_run_aside(struct session *s, enum protocol_side side)
{
    struct side *x = &s->sides[side];
    if (x->run.size > 0) {
        struct bytes run = x->run;
        x->run = (struct bytes){0};
        append(s, side, run);
        append_behind(s, side);
    }
}

static void send_bytes(struct session *s, enum protocol_side side, struct bytes b)
{
    struct side *x = &s->sides[side];
    if (b.size == 0) {
        return;
    }
    if (side == SIDE_AGENT && x->conn != NULL) {
        s->bytes_to_agent += b.size;
        s->shared->metrics->bytes_to_agents += b.size;
    }
    if (session_is_in(s->reading, b)) {
        if (x->run.size > 0 && x->behind_size == 0 && x->run.data + x->run.size == b.data) {
            x->run.size += b.size;
            return;
        }
        put_run_aside(s, side);
        x->run = b;
        return;
    }
    if (x->run.size >= RUN_LONG && b.size <= sizeof(x->behind) - x->behind_size) {
        memcpy(x->behind + x->behind_size, b.data, b.size);
        x->behind_size += b.size;
        return;
    }
    put_run_aside(s, side);
    append(s, side, b);
}

void session_flush(struct session *s)
{
    for (int i = 0; i < SIDES; i++) {
        struct side *x = &s->sides[i];
        if (i == SIDE_TARGET && s->gate.waiting) {
            put_run_aside(s, SIDE_TARGET);
            continue;
        }
        struct bytes run = x->run, behind = bytes_of(x->behind, x->behind_size);
        x->run = (struct bytes){0};
        x->behind_size = 0;
        if (x->conn == NULL) {
            continue;
        }
        if (run.size >= RUN_LONG && conn_queued(x->conn) + behind.size > 0) {
            enum err e = conn_write_two(x->conn, run, behind);
            if (e != OK) {
                session_output_failed(s, (enum protocol_side)i, e);
            }
        } else if (conn_queued(x->conn) > 0) {
            if (run.size > 0) {
                append(s, (enum protocol_side)i, run);
            }
            if (x->conn != NULL) {
                conn_flush(x->conn);
            }
        } else if (run.size > 0) {
            enum err e = conn_write(x->conn, run);
            if (e != OK) {
                session_output_failed(s, (enum protocol_side)i, e);
            }
        }
    }
}

void session_link_to_agent(struct protocol_link *link, struct bytes b)
{
    send_bytes(session_of(link), SIDE_AGENT, b);
}

void session_link_to_target(struct protocol_link *link, struct bytes b)
{
    send_bytes(session_of(link), SIDE_TARGET, b);
}

void session_link_to_second(struct protocol_link *link, struct bytes b)
{
    send_bytes(session_of(link), SIDE_SECOND, b);
}

/* ---- the gate: what follows an intent waits until the intent is durable ------------------------
 */

static void on_durable(void *context, enum err result)
{
    struct session *s = context;
    ev_timer_stop(loop_ev(s->shared->loop), &s->gate_timer);
    if (result != OK) {
        s->shared->metrics->record_failures++;
        buffer_wipe(&s->held);
        s->origin->protocol->on_terminate(s->protocol, ERR_FULL,
                                          "the operation could not be recorded durably", false);
        session_fail(s, "recording_failed", err_name(result));
        return;
    }
    struct bytes held = buffer_bytes(&s->held);
    if (held.size > 0 && s->sides[SIDE_TARGET].conn != NULL) {
        enum err e = conn_write(s->sides[SIDE_TARGET].conn, held);
        if (e != OK) {
            session_output_failed(s, SIDE_TARGET, e);
        }
    }
    buffer_finish(&s->held);
    session_event(s, PROTOCOL_MORE);
}

void session_gate_timeout(struct session *s)
{
    recorder_cancel_wait(s->shared->recorder, &s->gate);
    on_durable(s, ERR_TIMEOUT);
}

static void gate_close(struct session *s, uint64_t sequence, enum durability level)
{
    if (level == DURABILITY_PROCESS || recorder_is_durable(s->shared->recorder, sequence, level)) {
        return;
    }
    if (s->gate.waiting) {
        /* The later record is durable only when the earlier ones are; the stronger level counts. */
        recorder_cancel_wait(s->shared->recorder, &s->gate);
        level = s->gate.level > level ? s->gate.level : level;
    }
    s->gate.sequence = sequence;
    s->gate.level = level;
    s->gate.fn = on_durable;
    s->gate.context = s;
    recorder_wait(s->shared->recorder, &s->gate);
    if (!ev_is_active(&s->gate_timer)) { /* else the earliest one counts */
        session_timer_start(s, &s->gate_timer, s->shared->times.durable, SESSION_DURABLE_MS);
    }
}

void session_wait_for_record(struct session *s, uint64_t sequence, enum durability level)
{
    if (level != DURABILITY_PROCESS && !s->gate.waiting) {
        put_run_aside(s, SIDE_TARGET);
    }
    gate_close(s, sequence, level);
    if (level != DURABILITY_PROCESS) {
        s->is_unsettled = false; /* the disk takes records in their order */
    }
}

void session_gate_cancel(struct session *s)
{
    recorder_cancel_wait(s->shared->recorder, &s->gate);
    ev_timer_stop(loop_ev(s->shared->loop), &s->gate_timer);
    buffer_wipe(&s->held);
}
