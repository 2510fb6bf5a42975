/* Sessions: what is open, and the order to end one. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "api/operator.pb-c.h"
#include "base/uuid.h"
#include "controlplane/audit/search.h"
#include "controlplane/rpc/services_internal.h"

enum { ARENA_BLOCK = 64 << 10, ARENA_CAP = 256 << 20, REASON_MAX = 1024 };

static void fail(const struct call *call, const char *at, enum err e, struct rpc_status *out_status)
{
    log_event(call->services->with.log, LOG_ERROR, "store_failed", log_text("at", at),
              log_text("error", err_name(e)));
    rpc_status_set(out_status, RPC_UNAVAILABLE, "the control plane cannot read its store");
}

/* --- List --------------------------------------------------------------------------------------
 */

/* A session whose sidecar is away may go on, or not: nobody here knows. */
static void mark_lost(const struct call *call, Chaperone__V1__SessionSummary **items, size_t count)
{
    static char lost[] = "lost";
    const char *asked = NULL; /* those of one sidecar often stand together */
    bool connected = false;
    for (size_t i = 0; i < count; i++) {
        if (strcmp(items[i]->state, "open") != 0) {
            continue;
        }
        if (asked == NULL || strcmp(asked, items[i]->sidecar) != 0) {
            asked = items[i]->sidecar;
            connected = replicas_is_connected(call->services, asked);
        }
        items[i]->state = connected ? items[i]->state : lost;
    }
}

void sessions_list(const struct call *call, const ProtobufCMessage *message,
                   ProtobufCMessage **out_reply, struct rpc_status *out_status)
{
    struct arena *arena = arena_create(ARENA_BLOCK, ARENA_CAP);
    Chaperone__V1__ListSessionsResponse response = CHAPERONE__V1__LIST_SESSIONS_RESPONSE__INIT;
    enum err e = arena == NULL
                     ? ERR_NO_MEMORY
                     : audit_sessions_list(call->services->with.store,
                                           (const Chaperone__V1__ListSessionsRequest *)message,
                                           arena, &response.sessions, &response.n_sessions);
    if (e == OK) {
        mark_lost(call, response.sessions, response.n_sessions);
        services_reply(&response.base, out_reply, out_status);
    } else {
        fail(call, "session_list", e, out_status);
    }
    arena_destroy(arena);
}

/* --- Kill --------------------------------------------------------------------------------------
 */

static enum rpc_code kill_code(enum err e)
{
    switch (e) {
    case ERR_TIMEOUT: return RPC_DEADLINE_EXCEEDED;
    case ERR_INVALID:
    case ERR_CLOSED: /* not UNAVAILABLE: that is for us, who are there */
    case ERR_UNAVAILABLE: return RPC_FAILED_PRECONDITION;
    default: return RPC_INTERNAL;
    }
}

static void record_kill(const struct call *call, const struct store_session *session,
                        const struct watchers_order *order, const struct err_text *why)
{
    char object[UUID_TEXT_SIZE + 16];
    char *sessions[] = {(char *)(uintptr_t)session->session};
    const struct store_audit_opened about = {.identity = bytes_of_string(session->identity),
                                             .on_behalf_of = bytes_of_string(session->on_behalf_of),
                                             .resource = bytes_of_string(session->resource),
                                             .protocol = bytes_of_string(session->protocol),
                                             .database = bytes_of_string(session->database),
                                             .agent_address =
                                                 bytes_of_string(session->agent_address)};
    Chaperone__V1__Action action = CHAPERONE__V1__ACTION__INIT;
    (void)snprintf(object, sizeof(object), "session %s", session->session);
    action.action = "kill";
    action.object = object;
    action.reason = (char *)(uintptr_t)order->reason;
    action.order = (char *)(uintptr_t)order->id;
    action.ordered_unix_ns = order->ordered_ns;
    action.error = (char *)(uintptr_t)why->text;
    if (why->text[0] == '\0') {
        action.done_unix_ns = services_now(call->services);
        action.sessions = sessions;
        action.n_sessions = 1;
    }
    /* Logged when it fails: the session has ended, and its own record says by which order. */
    enum err e = services_record_action(call, &action, session->session, &about);
    (void)e;
}

/* --- a sidecar that another control plane has ------------------------------------------------
 */

static bool has_ended(const struct call *call, const char *session, struct arena *arena)
{
    struct store_session now;
    arena_reset(arena);
    return store_session_get(call->services->with.store, session, arena, &now) == OK &&
           strcmp(now.state, "open") != 0;
}

/* Also where the sidecar seems to be connected here: its connection may be dead, and it elsewhere.
 */
static bool give_elsewhere(const struct call *call, const struct watchers_order *order)
{
    const struct store_block block = {.id = order->id,
                                      .identity = "",
                                      .resource = "",
                                      .is_order = true,
                                      .session = order->session,
                                      .reason = order->reason,
                                      .created_by = order->ordered_by,
                                      .created_ns = order->ordered_ns,
                                      .lifted_by = ""};
    if (call->services->replicas == NULL) {
        return false;
    }
    replicas_know(call->services->replicas, order->id);
    return store_block_add(call->services->with.store, &block) == OK;
}

/* That it was carried out is seen in the log. */
static bool await_end(const struct call *call, const char *session, struct arena *arena)
{
    const struct clock *clock = &call->services->with.clock;
    const struct timespec pause = {.tv_nsec = REPLICAS_POLL_MS * 1000000L};
    int64_t wait_ns = (int64_t)REPLICAS_ORDER_WAIT_MS * 1000000;
    int64_t most_ns = services_order_timeout(call);
    int64_t until = clock_monotonic(clock) + (most_ns < wait_ns ? most_ns : wait_ns);
    bool ended = has_ended(call, session, arena);
    while (!ended && clock_monotonic(clock) < until) {
        (void)nanosleep(&pause, NULL);
        ended = has_ended(call, session, arena);
    }
    return ended;
}

static void confirm_elsewhere(const struct call *call, const struct watchers_order *order,
                              struct watchers_answer *answer)
{
    const struct store_block_what what = {.id = order->id, .identity = "", .resource = ""};
    struct arena *arena = arena_create(ARENA_BLOCK, ARENA_CAP);
    struct store_block *items = NULL;
    size_t count = 0;
    if (arena != NULL && answer->result != OK && await_end(call, order->session, arena)) {
        answer->result = OK;
        answer->why.text[0] = '\0';
    }
    enum err e = arena == NULL
                     ? ERR_NO_MEMORY
                     : store_block_lift(call->services->with.store, &what, order->ordered_by,
                                        services_now(call->services), arena, &items, &count);
    if (e != OK) { /* it is too old soon */
        log_event(call->services->with.log, LOG_WARN, "order_not_dropped",
                  log_text("order", order->id), log_text("error", err_name(e)));
    }
    arena_destroy(arena);
}

static void order_kill(const struct call *call, const struct store_session *session,
                       const char *reason, ProtobufCMessage **out_reply,
                       struct rpc_status *out_status)
{
    char id[UUID_TEXT_SIZE];
    struct watchers_answers answers = {0};
    const struct clock *clock = &call->services->with.clock;
    const struct watchers_order order = {.id = id,
                                         .session = session->session,
                                         .ordered_by = call->caller->who->subject,
                                         .reason = reason,
                                         .ordered_ns = services_now(call->services)};
    int64_t begin = clock_monotonic(clock);
    enum err e = uuid_make_v7(clock, id);
    bool is_given = e == OK && give_elsewhere(call, &order);
    if (e == OK) {
        e = watchers_order(call->services->watchers, session->sidecar, &order,
                           services_order_timeout(call), &answers);
    }
    if (e != OK) {
        rpc_status_set(out_status, RPC_UNAVAILABLE, "the order cannot be given: %s", err_name(e));
        return;
    }
    Chaperone__V1__KillSessionResponse response = CHAPERONE__V1__KILL_SESSION_RESPONSE__INIT;
    struct watchers_answer *answer = &answers.items[0];
    if (is_given) {
        confirm_elsewhere(call, &order, answer);
    }
    response.took_us = (clock_monotonic(clock) - begin) / 1000;
    record_kill(call, session, &order, &answer->why);
    if (answer->result == OK) {
        response.killed = true;
        services_reply(&response.base, out_reply, out_status);
    } else {
        rpc_status_set(out_status, kill_code(answer->result), "%s", answer->why.text);
    }
    watchers_answers_finish(&answers);
}

static void kill_found(const struct call *call, const struct store_session *session,
                       const char *reason, ProtobufCMessage **out_reply,
                       struct rpc_status *out_status)
{
    if (strcmp(session->state, "open") == 0) {
        order_kill(call, session, reason, out_reply, out_status);
    } else {
        Chaperone__V1__KillSessionResponse response = CHAPERONE__V1__KILL_SESSION_RESPONSE__INIT;
        services_reply(&response.base, out_reply, out_status); /* it had ended already */
    }
    services_log_action(call, "session_kill", session->session, rpc_code_name(out_status->code));
}

void sessions_kill(const struct call *call, const ProtobufCMessage *message,
                   ProtobufCMessage **out_reply, struct rpc_status *out_status)
{
    const Chaperone__V1__KillSessionRequest *request =
        (const Chaperone__V1__KillSessionRequest *)message;
    struct arena *arena = arena_create(ARENA_BLOCK, ARENA_CAP);
    struct store_session session;
    if (strlen(request->reason) > REASON_MAX) {
        rpc_status_set(out_status, RPC_INVALID_ARGUMENT, "a reason has at most %d bytes",
                       REASON_MAX);
        arena_destroy(arena);
        return;
    }
    enum err e = arena == NULL ? ERR_NO_MEMORY
                               : store_session_get(call->services->with.store, request->session,
                                                   arena, &session);
    if (e == OK) {
        kill_found(call, &session, request->reason, out_reply, out_status);
    } else if (e == ERR_NOT_FOUND || e == ERR_INVALID) {
        rpc_status_set(out_status, RPC_NOT_FOUND, "no session \"%.64s\" is known",
                       request->session);
    } else {
        fail(call, "session_get", e, out_status);
    }
    arena_destroy(arena);
}
