#include "sidecar/control/approvals.h"

#include <stdlib.h>

#include "sidecar/control/control_internal.h"

enum {
    TELLING_MAX =
        16, /* calls at once: a thousand ends must not fill the connection's 1,000 calls */
    RETRY_FIRST_MS = 250,
    RETRY_MOST_MS = 10000,
};

struct approval_end {
    struct control *control;
    struct approval_end *next, *previous;
    struct control_call *call; /* while it is being told */
    char *id, *reason;
    Chaperone__V1__ApprovalState state;
};

/* ---- asking ---- */

struct asking {
    control_approval_fn *fn;
    void *context;
};

static void on_asked(void *context, const struct rpc_status *status, const ProtobufCMessage *reply)
{
    struct asking *a = context;
    const Chaperone__V1__RequestApprovalResponse *r =
        (const Chaperone__V1__RequestApprovalResponse *)reply;
    struct rpc_status told = *status;
    if (r != NULL && r->decided == NULL) {
        rpc_status_set(&told, RPC_INTERNAL, "the control plane's answer says nothing");
    }
    a->fn(a->context, &told, told.code == RPC_OK && r != NULL ? r->decided : NULL);
}

enum err control_request_approval(struct control *c,
                                  const Chaperone__V1__RequestApprovalRequest *request,
                                  control_approval_fn *fn, void *context, struct control_call **out)
{
    const struct asking asking = {.fn = fn, .context = context};
    const struct call_options options = {
        .mail = c->mail,
        .tunnel = c->tunnel,
        .refusal = "the sidecar is not enrolled with the control plane yet",
        .service = &chaperone__v1__sidecar__descriptor,
        .method = "RequestApproval",
        .request = &request->base,
        .deadline_ms = CONTROL_APPROVAL_TIMEOUT_MS,
        .fn = on_asked,
        .context = &asking,
        .context_size = sizeof(asking),
    };
    return call_start(&options, out);
}

/* ---- telling ---- */

static void end_free(struct approval_end *e)
{
    if (e != NULL) {
        free(e->id);
        free(e->reason);
        free(e);
    }
}

static struct approval_end *end_create(struct control *c, const char *approval,
                                       Chaperone__V1__ApprovalState state, const char *reason)
{
    struct approval_end *e = calloc(1, sizeof(*e));
    if (e == NULL) {
        return NULL;
    }
    e->control = c;
    e->state = state;
    e->id = strdup(approval);
    e->reason = strdup(reason);
    if (e->id == NULL || e->reason == NULL) {
        end_free(e);
        return NULL;
    }
    return e;
}

static void append(struct approval_ends *ends, struct approval_end *e)
{
    e->next = NULL;
    e->previous = ends->last;
    if (ends->last != NULL) {
        ends->last->next = e;
    } else {
        ends->first = e;
    }
    ends->last = e;
}

static struct approval_end *take_first(struct approval_ends *ends)
{
    struct approval_end *e = ends->first;
    ends->first = e->next;
    if (ends->first != NULL) {
        ends->first->previous = NULL;
    } else {
        ends->last = NULL;
    }
    return e;
}

static void begin_telling(struct approval_ends *ends, struct approval_end *e)
{
    e->previous = NULL;
    e->next = ends->telling;
    if (e->next != NULL) {
        e->next->previous = e;
    }
    ends->telling = e;
    ends->telling_count++;
}

static void end_telling(struct approval_ends *ends, struct approval_end *e)
{
    if (e->previous != NULL) {
        e->previous->next = e->next;
    } else {
        ends->telling = e->next;
    }
    if (e->next != NULL) {
        e->next->previous = e->previous;
    }
    ends->telling_count--;
    e->call = NULL;
}

static void wait_and_retry(struct control *c)
{
    if (!ev_is_active(&c->ends.timer)) {
        ev_timer_set(&c->ends.timer, backoff_next_ms(&c->ends.backoff) / 1000.0, 0.0);
        ev_timer_start(loop_ev(c->loop), &c->ends.timer);
    }
}

/* What another attempt would not change. */
static bool is_final(enum rpc_code code)
{
    switch (code) {
    case RPC_OK:
    case RPC_NOT_FOUND:
    case RPC_INVALID_ARGUMENT:
    case RPC_FAILED_PRECONDITION:
    case RPC_PERMISSION_DENIED:
    case RPC_ALREADY_EXISTS:
    case RPC_OUT_OF_RANGE:
    case RPC_UNIMPLEMENTED: return true;
    default: return false;
    }
}

static void tell_next(struct control *c);

static void on_told(void *context, const struct rpc_status *status, const ProtobufCMessage *reply)
{
    (void)reply;
    struct approval_end *e = context;
    struct control *c = e->control;
    end_telling(&c->ends, e);
    if (!is_final(status->code)) {
        append(&c->ends, e);
        wait_and_retry(c);
        return;
    }
    if (status->code != RPC_OK) {
        log_event(c->log, LOG_WARN, "approval_end_not_taken", log_text("approval", e->id),
                  log_text("code", rpc_code_name(status->code)),
                  log_text("error", status->message));
    }
    backoff_reset(&c->ends.backoff);
    c->ends.count--;
    end_free(e);
    tell_next(c);
}

static enum err tell(struct control *c, struct approval_end *e)
{
    Chaperone__V1__EndApprovalRequest request = CHAPERONE__V1__END_APPROVAL_REQUEST__INIT;
    request.id = e->id;
    request.state = e->state;
    request.reason = e->reason;
    const struct call_options options = {
        .mail = c->mail,
        .tunnel = c->tunnel,
        .refusal = "the sidecar is not enrolled with the control plane yet",
        .service = &chaperone__v1__sidecar__descriptor,
        .method = "EndApproval",
        .request = &request.base,
        .deadline_ms = CONTROL_APPROVAL_TIMEOUT_MS,
        .fn = on_told,
        .context = e,
    };
    return call_start(&options, &e->call);
}

static void tell_next(struct control *c)
{
    struct approval_ends *ends = &c->ends;
    while (ends->first != NULL && ends->telling_count < TELLING_MAX &&
           !ev_is_active(&ends->timer)) {
        struct approval_end *e = take_first(ends);
        begin_telling(ends, e);
        if (tell(c, e) != OK) {
            end_telling(ends, e);
            append(ends, e);
            wait_and_retry(c);
        }
    }
}

void control_end_approval(struct control *c, const char *approval,
                          Chaperone__V1__ApprovalState state, const char *reason)
{
    struct approval_end *e = NULL;
    if (control_is_revoked(c)) {
        return; /* nobody there listens */
    }
    if (c->ends.count < CONTROL_ENDS_MAX) {
        e = end_create(c, approval, state, reason == NULL ? "" : reason);
    }
    if (e == NULL) {
        log_event(c->log, LOG_WARN, "approval_end_dropped", log_text("approval", approval),
                  log_number("waiting", (int64_t)c->ends.count));
        return;
    }
    append(&c->ends, e);
    c->ends.count++;
    tell_next(c);
}

/* ---- life ---- */

static void on_timer(struct ev_loop *ev, ev_timer *timer, int events)
{
    (void)ev;
    (void)events;
    tell_next(timer->data);
}

void approvals_init(struct control *c)
{
    ev_init(&c->ends.timer, on_timer);
    c->ends.timer.data = c;
    c->ends.backoff = (struct backoff){.first_ms = RETRY_FIRST_MS, .most_ms = RETRY_MOST_MS};
}

void approvals_retry(struct control *c)
{
    backoff_reset(&c->ends.backoff);
    ev_timer_stop(loop_ev(c->loop), &c->ends.timer);
    tell_next(c);
}

void approvals_stop(struct control *c)
{
    ev_timer_stop(loop_ev(c->loop), &c->ends.timer);
    while (c->ends.telling != NULL) {
        struct approval_end *e = c->ends.telling;
        call_cancel(e->call);
        end_telling(&c->ends, e);
        end_free(e);
    }
    while (c->ends.first != NULL) {
        end_free(take_first(&c->ends));
    }
    c->ends.count = 0;
}
