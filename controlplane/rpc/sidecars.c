/* Revoking a sidecar: one whose host is not trusted any more. It is stored first, with its record;
 * from then on its certificate counts for nothing and its stream takes nothing (access.c, the
 * store). Then what it runs ends by order, over the connection that it still has, and that is
 * closed. */
#include <inttypes.h>
#include <stdio.h>

#include "api/operator.pb-c.h"
#include "base/uuid.h"
#include "controlplane/rpc/sidecars_internal.h"

enum {
    ARENA_BLOCK = 64 << 10,
    ARENA_CAP = 256 << 20,
    REASON_MAX = 1024,
    /* Each try loses only to a batch of the sidecar's that arrived meanwhile. */
    TRIES_MAX = 100,
    LINE_SIZE = 640,
};

/* One sidecar while it is being revoked. */
struct revoking {
    const struct call *call;
    const char *reason;
    struct arena *arena;
    char id[CA_ID_SIZE];
    char order[UUID_TEXT_SIZE];
    int64_t now_ns;
    struct store_audit_last last; /* of its stream */
    char **open;                  /* its open sessions, as far as the log knows; in the arena */
    size_t open_count;
    const char *not_confirmed; /* NULL: all is confirmed; in the arena */
    bool is_new;               /* it was not revoked before */
};

static char *text_of(const char *s)
{
    return (char *)(uintptr_t)s;
}

void sidecars_describe(const char *sidecar, char out[SIDECARS_OBJECT_SIZE])
{
    (void)snprintf(out, SIDECARS_OBJECT_SIZE, "sidecar %s", sidecar);
}

struct watchers_order sidecars_order(const char *id, int64_t ordered_ns)
{
    return (struct watchers_order){.id = id,
                                   .all = true,
                                   .ordered_by = "the control plane",
                                   .reason = "this sidecar has been revoked",
                                   .ordered_ns = ordered_ns};
}

static void fail(const struct call *call, const char *at, enum err e, struct rpc_status *out_status)
{
    log_event(call->services->with.log, LOG_ERROR, "store_failed", log_text("at", at),
              log_text("error", err_name(e)));
    rpc_status_set(out_status, RPC_UNAVAILABLE, "the control plane cannot use its store");
}

/* --- what is stored ----------------------------------------------------------------------------
 */

/* As many as a record may name: it is not to fail because the sidecar has said too much. */
static enum err list_open(struct revoking *r)
{
    const char **ids = NULL;
    size_t count = 0;
    enum err e = store_session_list_open(r->call->services->with.store, r->id, BLOCKS_RECORDED_MAX,
                                         r->arena, &ids, &count);
    if (e == OK) {
        r->open = (char **)(uintptr_t)ids;
        r->open_count = count;
    }
    return e;
}

static enum err write_revocation(void *context, const struct store_audit_write *audit)
{
    const struct revoking *r = context;
    const struct store_revocation revocation = {.sidecar = r->id,
                                                .by = r->call->caller->who->subject,
                                                .reason = r->reason,
                                                .now_ns = r->now_ns,
                                                .last_sequence = r->last.sequence,
                                                .audit = audit};
    return store_sidecar_revoke(r->call->services->with.store, &revocation);
}

/* The record says where the stream ends, and what was open then. */
static enum err store_once(struct revoking *r)
{
    char object[SIDECARS_OBJECT_SIZE];
    Chaperone__V1__Action action = CHAPERONE__V1__ACTION__INIT;
    enum err e = store_audit_last(r->call->services->with.store, r->id, &r->last);
    if (e == OK) {
        e = list_open(r);
    }
    if (e != OK) {
        return e;
    }
    sidecars_describe(r->id, object);
    action.action = "sidecar_revoke";
    action.object = object;
    action.reason = text_of(r->reason);
    action.order = r->order;
    action.ordered_unix_ns = r->now_ns;
    action.sessions = r->open;
    action.n_sessions = r->open_count;
    action.sidecar = r->id;
    action.last_sequence = r->last.sequence;
    if (r->last.sequence > 0) {
        action.last_hash = (ProtobufCBinaryData){.data = r->last.hash, .len = sizeof(r->last.hash)};
    }
    return services_record_action_with(r->call, &action, write_revocation, r);
}

/* ERR_DENIED: it was revoked before. */
static enum err store_it(struct revoking *r)
{
    enum err e = uuid_make_v7(&r->call->services->with.clock, r->order);
    r->now_ns = services_now(r->call->services);
    if (e != OK) {
        return e;
    }
    e = ERR_EXISTS;
    for (int tries = 0; e == ERR_EXISTS && tries < TRIES_MAX; tries++) {
        e = store_once(r);
    }
    return e == ERR_EXISTS ? ERR_UNAVAILABLE : e;
}

/* --- what is ended -----------------------------------------------------------------------------
 */

/* Nobody decides for what cannot be released any more. In retry mode no sidecar waits. */
static enum err withdraw(struct services *services, const char *sidecar)
{
    const struct store_approval_filter filter = {
        .sidecar = sidecar, .limit = APPROVALS_WAITING_MAX, .max_bytes = APPROVALS_ARENA_CAP / 4};
    struct store_approval *items = NULL;
    const Chaperone__V1__HeldOperation *held = NULL;
    size_t count = 0;
    struct arena *arena = arena_create(ARENA_BLOCK, APPROVALS_ARENA_CAP);
    enum err e = arena == NULL
                     ? ERR_NO_MEMORY
                     : store_approval_list(services->with.store, &filter, arena, &items, &count);
    for (size_t i = 0; e == OK && i < count; i++) {
        Chaperone__V1__EndApprovalRequest end = CHAPERONE__V1__END_APPROVAL_REQUEST__INIT;
        end.id = text_of(items[i].id);
        end.state = CHAPERONE__V1__APPROVAL_STATE__WITHDRAWN;
        end.reason = (char *)"its sidecar was revoked";
        e = approvals_unpack(&items[i], arena, &held);
        if (e == OK && !held->terms->is_retry) {
            e = approvals_end(services->approvals, sidecar, &end, NULL);
            e = e == ERR_CLOSED || e == ERR_EXISTS ? OK : e; /* somebody was faster */
        }
    }
    arena_destroy(arena);
    return e;
}

void sidecars_end_streams(struct services *services, const struct store_sidecar *sidecar)
{
    struct rpc_status status;
    access_set_revoked(sidecar, &status);
    streams_end_of(&services->streams, sidecar->id, &status);
}

void sidecars_close(struct services *services, const struct store_sidecar *sidecar)
{
    sidecars_end_streams(services, sidecar);
    enum err e = withdraw(services, sidecar->id);
    if (e != OK) { /* they end by themselves */
        log_event(services->with.log, LOG_WARN, "approvals_not_withdrawn",
                  log_text("sidecar", sidecar->id), log_text("error", err_name(e)));
    }
}

enum err sidecars_fill_end(const struct watchers_order *order, const struct watchers_answer *answer,
                           int64_t now_ns, const char *object, struct arena *arena,
                           Chaperone__V1__Action *action)
{
    size_t count =
        answer->session_count < BLOCKS_RECORDED_MAX ? answer->session_count : BLOCKS_RECORDED_MAX;
    action->sessions = arena_alloc(arena, (count + 1) * sizeof(*action->sessions));
    if (action->sessions == NULL) {
        return ERR_NO_MEMORY;
    }
    for (size_t i = 0; i < count; i++) {
        action->sessions[i] = answer->sessions[i];
    }
    action->n_sessions = count;
    action->action = text_of("kill");
    action->object = text_of(object);
    action->reason = text_of(order->reason);
    action->order = text_of(order->id);
    action->ordered_unix_ns = order->ordered_ns;
    action->done_unix_ns = answer->result == OK ? now_ns : 0;
    action->error = text_of(answer->why.text);
    return OK;
}

static enum err set_not_confirmed(struct revoking *r, const char *why)
{
    char line[LINE_SIZE];
    (void)snprintf(line, sizeof(line), "sidecar %s: %s", r->id, why);
    r->not_confirmed = arena_copy_string(r->arena, bytes_of_string(line));
    return r->not_confirmed == NULL ? ERR_NO_MEMORY : OK;
}

/* Over the connection that it has here. */
static enum err give_order(struct revoking *r)
{
    struct services *services = r->call->services;
    const struct watchers_order order = sidecars_order(r->order, r->now_ns);
    Chaperone__V1__Action action = CHAPERONE__V1__ACTION__INIT;
    struct watchers_answers answers = {0};
    char object[SIDECARS_OBJECT_SIZE];
    enum err e = watchers_order(services->watchers, r->id, &order, services_order_timeout(r->call),
                                &answers);
    if (e != OK) {
        return e;
    }
    const struct watchers_answer *answer = &answers.items[0];
    sidecars_describe(r->id, object);
    e = sidecars_fill_end(&order, answer, services_now(services), object, r->arena, &action);
    if (e == OK) {
        e = services_record_action(r->call, &action, NULL, NULL);
    }
    if (e == OK && answer->result != OK) {
        e = set_not_confirmed(r, answer->why.text);
    }
    watchers_answers_finish(&answers);
    return e;
}

/* Another control plane has it, which gives the order when it hears of the revocation. */
static enum err await_elsewhere(struct revoking *r)
{
    const char *why = NULL;
    enum err e = sidecars_await_elsewhere(r->call, r->id, r->now_ns, r->arena, &why);
    if (e == ERR_TIMEOUT) {
        return set_not_confirmed(r, "another control plane, which has its connection, has not said "
                                    "yet that it was closed");
    }
    return e == OK && why != NULL ? set_not_confirmed(r, why) : e;
}

static enum err end_what_runs(struct revoking *r)
{
    struct services *services = r->call->services;
    if (watchers_is_connected(services->watchers, r->id)) {
        return give_order(r);
    }
    if (replicas_is_connected(services, r->id)) {
        return await_elsewhere(r);
    }
    return r->open_count == 0
               ? OK
               : set_not_confirmed(r,
                                   "away: what it runs goes on until it is back, or stopped there");
}

/* --- Administration.RevokeSidecar --------------------------------------------------------------
 */

/* By its id or a beginning of it that no other one has. */
static enum err find(const struct store_sidecar *items, size_t count, const char *id,
                     const struct store_sidecar **out)
{
    const struct store_sidecar *found = NULL;
    for (size_t i = 0; i < count; i++) {
        if (strcmp(items[i].id, id) == 0) {
            *out = &items[i];
            return OK;
        }
        if (strncmp(items[i].id, id, strlen(id)) == 0) {
            if (found != NULL) {
                return ERR_EXISTS;
            }
            found = &items[i];
        }
    }
    *out = found;
    return found == NULL ? ERR_NOT_FOUND : OK;
}

/* One that was revoked before stays as it is. */
static enum err store_one(struct revoking *r)
{
    enum err e = store_it(r);
    r->is_new = e == OK;
    if (r->is_new) {
        log_event(r->call->services->with.log, LOG_WARN, "sidecar_revoked",
                  log_text("sidecar", r->id), log_text("by", r->call->caller->who->subject),
                  log_number("last_sequence", (int64_t)r->last.sequence));
    }
    return e == ERR_DENIED ? OK : e;
}

/* What fails once it is stored keeps nothing from being closed. */
static enum err end_one(struct revoking *r, struct store_sidecar *out)
{
    struct services *services = r->call->services;
    enum err ended = r->is_new ? end_what_runs(r) : OK;
    enum err e = store_sidecar_get(services->with.store, r->id, r->arena, out);
    if (e == OK) {
        sidecars_close(services, out);
    }
    return e == OK ? ended : e;
}

static enum err first_of(enum err before, enum err e)
{
    return before == OK ? e : before;
}

/* The same key under another id, which it was enrolled with, too: nobody enrols it any more, so
 * that those which are listed now are all. */
static enum err store_twins(const struct revoking *first, const struct store_sidecar *found,
                            struct revoking **out, size_t *out_count)
{
    struct store_sidecar *items = NULL;
    size_t count = 0;
    enum err e =
        store_sidecar_list(first->call->services->with.store, first->arena, &items, &count);
    struct revoking *twins =
        e == OK ? arena_alloc(first->arena, (count + 1) * sizeof(*twins)) : NULL;
    if (twins == NULL) {
        return e == OK ? ERR_NO_MEMORY : e;
    }
    *out = twins;
    for (size_t i = 0; i < count; i++) {
        if (items[i].revoked_ns == 0 && strcmp(items[i].id, first->id) != 0 &&
            memcmp(items[i].key_hash, found->key_hash, sizeof(found->key_hash)) == 0) {
            struct revoking *r = &twins[*out_count];
            *r = (struct revoking){
                .call = first->call, .reason = first->reason, .arena = first->arena};
            (void)snprintf(r->id, sizeof(r->id), "%s", items[i].id);
            enum err stored = store_one(r);
            *out_count += stored == OK ? 1 : 0;
            e = first_of(e, stored);
        }
    }
    return e;
}

static enum err add_not_confirmed(const struct revoking *r, char **all)
{
    if (r->not_confirmed == NULL) {
        return OK;
    }
    size_t size = strlen(*all) + strlen(r->not_confirmed) + 3;
    char *both = arena_alloc(r->arena, size);
    if (both == NULL) {
        return ERR_NO_MEMORY;
    }
    (void)snprintf(both, size, "%s%s%s", *all, (*all)[0] == '\0' ? "" : "; ", r->not_confirmed);
    *all = both;
    return OK;
}

/* All of its ids count for nothing before it is waited for what one of them runs: whoever has the
 * key could go on with another meanwhile. */
static enum err revoke_all(struct revoking *r, const struct store_sidecar *found,
                           struct store_sidecar *out,
                           Chaperone__V1__RevokeSidecarResponse *response)
{
    struct revoking *twins = NULL;
    struct store_sidecar twin;
    size_t count = 0;
    (void)snprintf(r->id, sizeof(r->id), "%s", found->id);
    enum err e = store_one(r);
    if (e != OK) {
        return e;
    }
    e = store_twins(r, found, &twins, &count);
    response->also = arena_alloc(r->arena, (count + 1) * sizeof(*response->also));
    e = first_of(e, response->also == NULL ? ERR_NO_MEMORY : OK);
    e = first_of(e, end_one(r, out));
    e = first_of(e, add_not_confirmed(r, &response->not_confirmed));
    for (size_t i = 0; i < count; i++) {
        e = first_of(e, end_one(&twins[i], &twin));
        e = first_of(e, add_not_confirmed(&twins[i], &response->not_confirmed));
        if (response->also != NULL) {
            response->also[response->n_also++] = twins[i].id;
        }
    }
    return e;
}

static void carry_out(const struct call *call, const Chaperone__V1__RevokeSidecarRequest *request,
                      struct arena *arena, ProtobufCMessage **out_reply,
                      struct rpc_status *out_status)
{
    const struct clock *clock = &call->services->with.clock;
    Chaperone__V1__RevokeSidecarResponse response = CHAPERONE__V1__REVOKE_SIDECAR_RESPONSE__INIT;
    struct revoking r = {.call = call, .reason = request->reason, .arena = arena};
    const struct store_sidecar *found = NULL;
    struct store_sidecar *items = NULL, revoked;
    size_t count = 0;
    int64_t begin = clock_monotonic(clock);
    enum err e = store_sidecar_list(call->services->with.store, arena, &items, &count);
    enum err which = e == OK ? find(items, count, request->sidecar, &found) : OK;
    if (which != OK) {
        rpc_status_set(out_status, which == ERR_EXISTS ? RPC_INVALID_ARGUMENT : RPC_NOT_FOUND,
                       which == ERR_EXISTS ? "more than one sidecar begins with \"%.64s\""
                                           : "no sidecar \"%.64s\" is known",
                       request->sidecar);
        return;
    }
    if (e == OK) {
        e = revoke_all(&r, found, &revoked, &response);
    }
    if (e != OK) {
        fail(call, "sidecar_revoke", e, out_status);
        return;
    }
    response.sidecar = text_of(revoked.id);
    response.revoked = r.is_new;
    response.revoked_unix_ns = revoked.revoked_ns;
    response.revoked_by = text_of(revoked.revoked_by);
    response.reason = text_of(revoked.revoked_reason);
    response.last_sequence = r.last.sequence;
    response.sessions = r.is_new ? r.open : NULL;
    response.n_sessions = r.is_new ? r.open_count : 0;
    response.took_us = (clock_monotonic(clock) - begin) / 1000;
    services_reply(&response.base, out_reply, out_status);
}

void administration_revoke_sidecar(const struct call *call, const ProtobufCMessage *message,
                                   ProtobufCMessage **out_reply, struct rpc_status *out_status)
{
    const Chaperone__V1__RevokeSidecarRequest *request =
        (const Chaperone__V1__RevokeSidecarRequest *)message;
    if (request->sidecar[0] == '\0' || strlen(request->sidecar) >= CA_ID_SIZE ||
        strlen(request->reason) > REASON_MAX) {
        rpc_status_set(out_status, RPC_INVALID_ARGUMENT,
                       "a sidecar is needed, and a reason of at most %d bytes", REASON_MAX);
        return;
    }
    struct arena *arena = arena_create(ARENA_BLOCK, ARENA_CAP);
    if (arena == NULL) {
        rpc_status_set(out_status, RPC_RESOURCE_EXHAUSTED, "no memory");
        return;
    }
    carry_out(call, request, arena, out_reply, out_status);
    services_log_action(call, "sidecar_revoke", request->sidecar, rpc_code_name(out_status->code));
    arena_destroy(arena);
}
