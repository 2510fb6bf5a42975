/* Legal holds, and what retention would erase. */
#include <stdio.h>

#include "api/operator.pb-c.h"
#include "base/uuid.h"
#include "controlplane/retention/retention.h"
#include "controlplane/rpc/services_internal.h"

enum {
    ARENA_BLOCK = 64 << 10,
    ARENA_CAP = 64 << 20,
    OBJECT_SIZE = STORE_NAME_SIZE_MAX + 16,
    REASON_MAX = 1024, /* in bytes, as of a kill */
    PREVIEW_MAX = 10000,
};

static char *text_of(const char *s)
{
    return (char *)(uintptr_t)s;
}

static void fail(const struct call *call, const char *at, enum err e, struct rpc_status *out_status)
{
    log_event(call->services->with.log, LOG_ERROR, "store_failed", log_text("at", at),
              log_text("error", err_name(e)));
    rpc_status_set(out_status, RPC_UNAVAILABLE, "the control plane cannot use its store");
}

static void describe(const struct store_legal_hold *h, char out[OBJECT_SIZE])
{
    bool is_identity = h->identity[0] != '\0', is_resource = h->resource[0] != '\0';
    (void)snprintf(out, OBJECT_SIZE, "%s %s",
                   is_identity   ? "identity"
                   : is_resource ? "resource"
                                 : "session",
                   is_identity   ? h->identity
                   : is_resource ? h->resource
                                 : h->session);
}

static enum err record(const struct call *call, const char *action,
                       const struct store_legal_hold *h, const char *reason)
{
    char object[OBJECT_SIZE];
    Chaperone__V1__Action what = CHAPERONE__V1__ACTION__INIT;
    describe(h, object);
    what.action = text_of(action);
    what.object = object;
    what.reason = text_of(reason);
    what.order = text_of(h->id);
    return services_record_action(call, &what, NULL, NULL);
}

static void message_make(const struct store_legal_hold *h, Chaperone__V1__LegalHold *out)
{
    chaperone__v1__legal_hold__init(out);
    out->id = text_of(h->id);
    out->resource = text_of(h->resource);
    out->identity = text_of(h->identity);
    out->session = text_of(h->session);
    out->reason = text_of(h->reason);
    out->created_by = text_of(h->created_by);
    out->created_unix_ns = h->created_ns;
    out->lifted_unix_ns = h->lifted_ns;
    out->lifted_by = text_of(h->lifted_by);
}

static void answer(const struct store_legal_hold *h, ProtobufCMessage **out_reply,
                   struct rpc_status *out_status)
{
    Chaperone__V1__LegalHold message;
    message_make(h, &message);
    services_reply(&message.base, out_reply, out_status);
}

/* ---- placing ---------------------------------------------------------------------------------
 */

static bool is_wellformed(const Chaperone__V1__PlaceHoldRequest *r, struct rpc_status *out_status)
{
    int things = (r->resource[0] != '\0') + (r->identity[0] != '\0') + (r->session[0] != '\0');
    bool fits = strlen(r->resource) <= STORE_NAME_SIZE_MAX &&
                strlen(r->identity) <= STORE_NAME_SIZE_MAX &&
                strlen(r->session) <= STORE_SESSION_SIZE_MAX;
    if (things != 1 || !fits) {
        rpc_status_set(out_status, RPC_INVALID_ARGUMENT,
                       "one of resource, identity and session is needed");
        return false;
    }
    if (r->reason[0] == '\0' || strlen(r->reason) > REASON_MAX) {
        rpc_status_set(out_status, RPC_INVALID_ARGUMENT, "a reason is needed, of at most %d bytes",
                       REASON_MAX);
        return false;
    }
    return true;
}

/* Stored first: when it cannot be recorded after that, too much is kept and not too little. */
void retention_place_hold(const struct call *call, const ProtobufCMessage *message,
                          ProtobufCMessage **out_reply, struct rpc_status *out_status)
{
    const Chaperone__V1__PlaceHoldRequest *request =
        (const Chaperone__V1__PlaceHoldRequest *)message;
    char id[UUID_TEXT_SIZE];
    if (!is_wellformed(request, out_status)) {
        return;
    }
    enum err e = uuid_make_v7(&call->services->with.clock, id);
    const struct store_legal_hold hold = {.id = id,
                                          .resource = request->resource,
                                          .identity = request->identity,
                                          .session = request->session,
                                          .reason = request->reason,
                                          .created_by = call->caller->who->subject,
                                          .created_ns = services_now(call->services),
                                          .lifted_by = ""};
    if (e == OK) {
        e = store_legal_hold_add(call->services->with.store, &hold);
    }
    if (e != OK) {
        fail(call, "place_hold", e, out_status);
    } else if (record(call, "legal_hold", &hold, request->reason) != OK) {
        rpc_status_set(out_status, RPC_UNAVAILABLE,
                       "the hold %s is in force, but it could not be recorded", id);
    } else {
        answer(&hold, out_reply, out_status);
    }
    services_log_action(call, "legal_hold", id, rpc_code_name(out_status->code));
}

/* ---- lifting ---------------------------------------------------------------------------------
 */

static const struct store_legal_hold *find(const struct store_legal_hold *items, size_t count,
                                           const char *id)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(items[i].id, id) == 0) {
            return &items[i];
        }
    }
    return NULL;
}

/* Recorded first: nothing becomes erasable unrecorded. */
static void lift(const struct call *call, const struct store_legal_hold *hold, const char *reason,
                 ProtobufCMessage **out_reply, struct rpc_status *out_status)
{
    struct store_legal_hold lifted = *hold;
    lifted.lifted_ns = services_now(call->services);
    lifted.lifted_by = call->caller->who->subject;
    if (record(call, "legal_hold_lift", hold, reason) != OK) {
        services_set_unrecorded(out_status);
        return;
    }
    enum err e = store_legal_hold_lift(call->services->with.store, hold->id, lifted.lifted_by,
                                       lifted.lifted_ns);
    if (e == ERR_NOT_FOUND) {
        rpc_status_set(out_status, RPC_NOT_FOUND, "somebody else has lifted it");
    } else if (e != OK) {
        fail(call, "lift_hold", e, out_status);
    } else {
        answer(&lifted, out_reply, out_status);
    }
}

void retention_lift_hold(const struct call *call, const ProtobufCMessage *message,
                         ProtobufCMessage **out_reply, struct rpc_status *out_status)
{
    const Chaperone__V1__LiftHoldRequest *request = (const Chaperone__V1__LiftHoldRequest *)message;
    struct store_legal_hold *items = NULL;
    size_t count = 0;
    if (request->reason[0] == '\0' || strlen(request->reason) > REASON_MAX) {
        rpc_status_set(out_status, RPC_INVALID_ARGUMENT, "a reason is needed, of at most %d bytes",
                       REASON_MAX);
        return;
    }
    struct arena *arena = arena_create(ARENA_BLOCK, ARENA_CAP);
    enum err e = arena == NULL ? ERR_NO_MEMORY
                               : store_legal_hold_list(call->services->with.store, false, arena,
                                                       &items, &count);
    const struct store_legal_hold *hold = e == OK ? find(items, count, request->id) : NULL;
    if (e != OK) {
        fail(call, "lift_hold", e, out_status);
    } else if (hold == NULL) {
        rpc_status_set(out_status, RPC_NOT_FOUND, "no such hold is in force");
    } else {
        lift(call, hold, request->reason, out_reply, out_status);
        services_log_action(call, "legal_hold_lift", hold->id, rpc_code_name(out_status->code));
    }
    arena_destroy(arena);
}

/* ---- reading ---------------------------------------------------------------------------------
 */

static enum err list(const struct call *call, bool include_lifted, struct arena *arena,
                     Chaperone__V1__ListHoldsResponse *response)
{
    struct store_legal_hold *items = NULL;
    size_t count = 0;
    enum err e =
        store_legal_hold_list(call->services->with.store, include_lifted, arena, &items, &count);
    if (e != OK) {
        return e;
    }
    Chaperone__V1__LegalHold *messages = arena_alloc(arena, (count + 1) * sizeof(*messages));
    response->holds = arena_alloc(arena, (count + 1) * sizeof(*response->holds));
    if (messages == NULL || response->holds == NULL) {
        return ERR_NO_MEMORY;
    }
    for (size_t i = 0; i < count; i++) {
        message_make(&items[i], &messages[i]);
        response->holds[i] = &messages[i];
    }
    response->n_holds = count;
    return OK;
}

void retention_list_holds(const struct call *call, const ProtobufCMessage *message,
                          ProtobufCMessage **out_reply, struct rpc_status *out_status)
{
    const Chaperone__V1__ListHoldsRequest *request =
        (const Chaperone__V1__ListHoldsRequest *)message;
    Chaperone__V1__ListHoldsResponse response = CHAPERONE__V1__LIST_HOLDS_RESPONSE__INIT;
    struct arena *arena = arena_create(ARENA_BLOCK, ARENA_CAP);
    enum err e =
        arena == NULL ? ERR_NO_MEMORY : list(call, request->include_lifted, arena, &response);
    if (e == OK) {
        services_reply(&response.base, out_reply, out_status);
    } else {
        fail(call, "list_holds", e, out_status);
    }
    arena_destroy(arena);
}

typedef Chaperone__V1__PreviewResponse__Resource preview_item;

static enum err preview_one(const struct call *call, const char *resource, struct arena *arena,
                            preview_item *out)
{
    const char **sessions = NULL;
    size_t count = 0;
    int64_t keep_ns = retention_keep(snapshot_config(call->snapshot), resource);
    int64_t now_ns = services_now(call->services);
    const struct store_erase what = {.resource = resource,
                                     .closed_before_ns = now_ns - keep_ns,
                                     .max = PREVIEW_MAX,
                                     .is_preview = true};
    chaperone__v1__preview_response__resource__init(out);
    out->resource = text_of(resource);
    out->keep_s = keep_ns / 1000000000;
    enum err e = keep_ns == 0 ? OK
                              : store_audit_erase(call->services->with.store, &what, now_ns, arena,
                                                  &sessions, &count);
    out->sessions = count;
    out->more = count == PREVIEW_MAX;
    return e;
}

static enum err preview(const struct call *call, struct arena *arena,
                        Chaperone__V1__PreviewResponse *response)
{
    const char **names = NULL;
    size_t count = 0;
    enum err e = store_audit_resources(call->services->with.store, arena, &names, &count);
    if (e != OK) {
        return e;
    }
    preview_item *items = arena_alloc(arena, (count + 1) * sizeof(*items));
    response->resources = arena_alloc(arena, (count + 1) * sizeof(*response->resources));
    if (items == NULL || response->resources == NULL) {
        return ERR_NO_MEMORY;
    }
    /* The ids are not needed: an arena for each. */
    for (size_t i = 0; e == OK && i < count; i++) {
        struct arena *ids = arena_create(ARENA_BLOCK, ARENA_CAP);
        e = ids == NULL ? ERR_NO_MEMORY : preview_one(call, names[i], ids, &items[i]);
        arena_destroy(ids);
        response->resources[i] = &items[i];
    }
    response->n_resources = count;
    return e;
}

void retention_preview(const struct call *call, const ProtobufCMessage *message,
                       ProtobufCMessage **out_reply, struct rpc_status *out_status)
{
    Chaperone__V1__PreviewResponse response = CHAPERONE__V1__PREVIEW_RESPONSE__INIT;
    struct arena *arena = arena_create(ARENA_BLOCK, ARENA_CAP);
    enum err e = arena == NULL ? ERR_NO_MEMORY : preview(call, arena, &response);
    (void)message;
    if (e == OK) {
        services_reply(&response.base, out_reply, out_status);
    } else {
        fail(call, "retention_preview", e, out_status);
    }
    arena_destroy(arena);
}
