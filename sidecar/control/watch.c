/* The stream over which policies, orders and decisions come. */
#include <ev.h>
#include <stdio.h>
#include <stdlib.h>

#include "policies/policy.h"
#include "sidecar/control/control_internal.h"

enum { WATCH_FIRST_MS = 500, WATCH_MOST_MS = 10000 };

/* From gRPC's thread to the loop's: what came, or that the stream has ended. */
struct watch_letter {
    struct rpc_stream *stream; /* compared only; owned when `ended` */
    bool ended;
    enum rpc_code code;
    char message[RPC_MESSAGE_SIZE];

    bool is_policy;
    enum err result;
    struct policy *policy; /* owned */
    uint64_t revision;
    struct err_text why;

    Chaperone__V1__KillSession *kill;        /* owned */
    Chaperone__V1__ApprovalDecided *decided; /* owned */
};

/* The streams' context: outlives the control as long as gRPC may call back. */
struct watch_source {
    struct mail *mail;
    struct policy_keeper *keeper; /* lives until the runtime is gone */
    struct watch_letter *end;     /* made beforehand: the end must not get lost; owned */
};

static void letter_free(void *memory)
{
    struct watch_letter *l = memory;
    if (l->ended) {
        rpc_stream_release(l->stream);
    }
    policy_destroy(l->policy);
    if (l->kill != NULL) {
        chaperone__v1__kill_session__free_unpacked(l->kill, NULL);
    }
    if (l->decided != NULL) {
        chaperone__v1__approval_decided__free_unpacked(l->decided, NULL);
    }
    free(l);
}

/* ---- the loop's thread ---- */

static void send(struct control *c, const Chaperone__V1__WatchRequest *request)
{
    if (c->watch.stream != NULL && rpc_stream_send(c->watch.stream, &request->base) != OK) {
        log_event(c->log, LOG_WARN, "watch_answer_not_sent");
    }
}

static void answer_policy(struct control *c, uint64_t revision, const char *error)
{
    Chaperone__V1__WatchRequest request = CHAPERONE__V1__WATCH_REQUEST__INIT;
    Chaperone__V1__PolicyAck ack = CHAPERONE__V1__POLICY_ACK__INIT;
    ack.revision = revision;
    ack.active = error == NULL;
    ack.error =
        error == NULL ? (char *)(uintptr_t)protobuf_c_empty_string : (char *)(uintptr_t)error;
    request.policy = &ack;
    send(c, &request);
}

static void on_policy_letter(struct control *c, struct watch_letter *l)
{
    if (l->result != OK) {
        log_event(c->log, LOG_ERROR, "policy_rejected",
                  log_number("revision", (int64_t)l->revision), log_text("error", l->why.text));
        answer_policy(c, l->revision, l->why.text);
        return;
    }
    if (l->policy != NULL) {
        control_use_policy(c, l->policy, l->revision);
        l->policy = NULL;
    }
    bool is_active = c->policy_revision == l->revision;
    answer_policy(c, l->revision, is_active ? NULL : "it could not be handed to the sessions");
}

/* ---- lists of ids ---- */

static enum err ids_add(struct control_ids *list, const char *id)
{
    if (list->count == list->capacity) {
        size_t capacity = list->capacity == 0 ? 16 : 2 * list->capacity;
        char **all = reallocarray(list->all, capacity, sizeof(*all));
        if (all == NULL) {
            return ERR_NO_MEMORY;
        }
        list->all = all;
        list->capacity = capacity;
    }
    char *copy = strdup(id);
    if (copy == NULL) {
        return ERR_NO_MEMORY;
    }
    list->all[list->count++] = copy;
    return OK;
}

void control_ids_finish(struct control_ids *list)
{
    for (size_t i = 0; i < list->count; i++) {
        free(list->all[i]);
    }
    free(list->all);
}

enum err control_sessions_add(struct control_sessions *list, const char *session)
{
    return ids_add(&list->ids, session);
}

enum err control_held_add(struct control_held *list, const char *approval)
{
    return ids_add(&list->ids, approval);
}

/* ---- orders ---- */

/* In exactly one way: an order that is understood in part would end less than was meant. */
static bool is_understood(const Chaperone__V1__KillSession *kill)
{
    return (kill->session[0] != '\0') + (kill->identity[0] != '\0') + (kill->resource[0] != '\0') +
               (kill->all ? 1 : 0) ==
           1;
}

static void answer_order(struct control *c, const Chaperone__V1__KillSession *kill,
                         const struct control_ids *ended, const char *error)
{
    Chaperone__V1__WatchRequest request = CHAPERONE__V1__WATCH_REQUEST__INIT;
    Chaperone__V1__OrderDone done = CHAPERONE__V1__ORDER_DONE__INIT;
    done.order = kill->order;
    done.sessions = ended->all;
    done.n_sessions = ended->count;
    done.error = (char *)(uintptr_t)error;
    done.done_unix_ns = clock_wall(c->clock);
    request.done = &done;
    send(c, &request);
}

/* Takes the order. */
static void on_kill_letter(struct control *c, Chaperone__V1__KillSession *kill)
{
    const struct control_kill order = {.order = kill->order,
                                       .session = kill->session,
                                       .identity = kill->identity,
                                       .resource = kill->resource,
                                       .all = kill->all,
                                       .ordered_by = kill->ordered_by,
                                       .reason = kill->reason,
                                       .ordered_unix_ns = kill->ordered_unix_ns};
    struct control_sessions ended = {.ids.count = 0};
    const char *error = protobuf_c_empty_string;
    bool is_one = kill->session[0] != '\0';
    if (!is_understood(kill)) {
        error = "the order does not say in one way which sessions it is about";
    } else if (c->events.on_kill != NULL) {
        c->events.on_kill(c->context, &order, &ended);
    }
    if (error[0] == '\0' && is_one && ended.ids.count == 0) {
        error = "there is no such session here";
    }
    log_event(c->log, LOG_INFO, "kill_ordered", log_text("order", kill->order),
              log_text("session", kill->session), log_text("identity", kill->identity),
              log_text("resource", kill->resource), log_text("ordered_by", kill->ordered_by),
              log_number("ended", (int64_t)ended.ids.count), log_text("error", error));
    answer_order(c, kill, &ended.ids, error);
    control_ids_finish(&ended.ids);
    if (is_understood(kill) && !is_one) {
        orders_add(&c->orders, kill);
    } else {
        chaperone__v1__kill_session__free_unpacked(kill, NULL);
    }
}

static void on_ended(struct control *c, const struct watch_letter *l)
{
    if (c->watch.stream != l->stream) {
        return; /* another one took its place */
    }
    c->watch.stream = NULL; /* the letter owns it */
    log_event(c->log, LOG_WARN, "watch_ended", log_text("code", rpc_code_name(l->code)),
              log_text("error", l->message));
    if (l->code == RPC_PERMISSION_DENIED) {
        control_set_revoked(c, l->message);
        return;
    }
    ev_timer_stop(loop_ev(c->loop), &c->watch.timer);
    ev_timer_set(&c->watch.timer, backoff_next_ms(&c->watch.backoff) / 1000.0, 0.0);
    ev_timer_start(loop_ev(c->loop), &c->watch.timer);
}

static void on_letter(void *owner, void *letter)
{
    struct control *c = owner;
    struct watch_letter *l = letter;
    if (l->ended) {
        on_ended(c, l);
        return;
    }
    backoff_reset(&c->watch.backoff);
    approvals_retry(c);
    if (l->is_policy) {
        on_policy_letter(c, l);
    } else if (l->kill != NULL) {
        Chaperone__V1__KillSession *kill = l->kill;
        l->kill = NULL;
        on_kill_letter(c, kill);
    } else if (l->decided != NULL && c->events.on_decided != NULL) {
        c->events.on_decided(c->context, l->decided);
    }
}

/* ---- gRPC's thread ---- */

static void read_policy(struct watch_source *source, const Chaperone__V1__PolicyBundle *bundle,
                        struct watch_letter *l)
{
    l->is_policy = true;
    l->revision = bundle->revision;
    l->result = policy_keeper_take(source->keeper, bundle, &l->policy, &l->why);
}

static void on_message(void *context, struct rpc_stream *stream, const ProtobufCMessage *message)
{
    struct watch_source *source = context;
    const Chaperone__V1__WatchResponse *push = (const Chaperone__V1__WatchResponse *)message;
    struct watch_letter *l = calloc(1, sizeof(*l));
    if (l == NULL) {
        rpc_stream_cancel(stream); /* what was pushed comes again with the next stream */
        return;
    }
    l->stream = stream;
    bool has_copy = true;
    if (push->push_case == CHAPERONE__V1__WATCH_RESPONSE__PUSH_POLICY) {
        read_policy(source, push->policy, l);
    } else if (push->push_case == CHAPERONE__V1__WATCH_RESPONSE__PUSH_KILL) {
        l->kill = (Chaperone__V1__KillSession *)rpc_reply_copy(&push->kill->base);
        has_copy = l->kill != NULL;
    } else if (push->push_case == CHAPERONE__V1__WATCH_RESPONSE__PUSH_DECIDED) {
        l->decided = (Chaperone__V1__ApprovalDecided *)rpc_reply_copy(&push->decided->base);
        has_copy = l->decided != NULL;
    }
    if (!has_copy) {
        rpc_stream_cancel(stream);
    }
    if (mail_post(source->mail, on_letter, l, letter_free) != OK) {
        rpc_stream_cancel(stream);
    }
}

static void on_end(void *context, struct rpc_stream *stream, const struct rpc_status *status)
{
    struct watch_source *source = context;
    struct watch_letter *l = source->end;
    l->stream = stream;
    l->ended = true;
    l->code = status->code;
    (void)snprintf(l->message, sizeof(l->message), "%s", status->message);
    enum err posted = mail_post(source->mail, on_letter, l, letter_free);
    (void)posted; /* without memory for it the stream stays closed until the next certificate */
    mail_release(source->mail);
    free(source);
}

/* ---- opening ---- */

static void say_hello(struct control *c)
{
    struct control_sessions sessions = {.ids.count = 0};
    struct control_held held = {.ids.count = 0};
    if (c->events.on_list_sessions != NULL) {
        c->events.on_list_sessions(c->context, &sessions);
    }
    if (c->events.on_list_held != NULL) {
        c->events.on_list_held(c->context, &held);
    }
    Chaperone__V1__WatchRequest request = CHAPERONE__V1__WATCH_REQUEST__INIT;
    Chaperone__V1__Hello hello = CHAPERONE__V1__HELLO__INIT;
    hello.version = c->version;
    hello.policy_revision = c->policy_revision;
    hello.resources = c->resources;
    hello.n_resources = c->resources_count;
    hello.open_sessions = sessions.ids.all;
    hello.n_open_sessions = sessions.ids.count;
    hello.held = held.ids.all;
    hello.n_held = held.ids.count;
    request.hello = &hello;
    send(c, &request);
    control_ids_finish(&sessions.ids);
    control_ids_finish(&held.ids);
}

static void open_stream(struct control *c)
{
    static const struct rpc_stream_events events = {.on_message = on_message, .on_end = on_end};
    const struct rpc_call_options options = {.wait_for_ready = true};
    struct watch_source *source = calloc(1, sizeof(*source));
    struct watch_letter *end = calloc(1, sizeof(*end));
    enum err result = source == NULL || end == NULL ? ERR_NO_MEMORY : OK;
    if (result == OK) {
        *source =
            (struct watch_source){.mail = mail_retain(c->mail), .keeper = c->keeper, .end = end};
        result = rpc_stream_open(tunnel_channel(c->tunnel), &chaperone__v1__sidecar__descriptor,
                                 "Watch", &options, &events, source, &c->watch.stream);
        if (result != OK) {
            mail_release(source->mail);
        }
    }
    if (result != OK) {
        free(end);
        free(source);
        ev_timer_set(&c->watch.timer, backoff_next_ms(&c->watch.backoff) / 1000.0, 0.0);
        ev_timer_start(loop_ev(c->loop), &c->watch.timer);
        return;
    }
    say_hello(c);
}

static void on_timer(struct ev_loop *ev, ev_timer *timer, int events)
{
    (void)ev;
    (void)events;
    struct control *c = timer->data;
    if (c->watch.stream == NULL && c->tunnel != NULL) {
        open_stream(c);
    }
}

void watch_init(struct control *c)
{
    ev_init(&c->watch.timer, on_timer);
    c->watch.timer.data = c;
    c->watch.backoff = (struct backoff){.first_ms = WATCH_FIRST_MS, .most_ms = WATCH_MOST_MS};
}

void watch_restart(struct control *c)
{
    ev_timer_stop(loop_ev(c->loop), &c->watch.timer);
    if (c->watch.stream != NULL) {
        rpc_stream_cancel(c->watch.stream); /* its end letter releases it */
        c->watch.stream = NULL;
    }
    open_stream(c);
}

void watch_stop(struct control *c)
{
    ev_timer_stop(loop_ev(c->loop), &c->watch.timer);
    if (c->watch.stream != NULL) {
        rpc_stream_cancel(c->watch.stream);
        c->watch.stream = NULL;
    }
}
