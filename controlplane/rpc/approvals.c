/* Approvals: what is held, and people's words about it. */
#include <stdio.h>

#include "base/uuid.h"
#include "controlplane/rpc/services_internal.h"

enum {
    ARENA_BLOCK = 64 << 10,
    LIST_ARENA_CAP = 256 << 20,
    LIST_BYTES_MAX = 4 << 20, /* of one answer */
    LIST_DEFAULT = 100,
    LIST_MAX = 1000,
};

/* --- errors ------------------------------------------------------------------------------------
 */

static enum rpc_code code_of(enum err e)
{
    switch (e) {
    case ERR_INVALID: return RPC_INVALID_ARGUMENT;
    case ERR_NOT_FOUND: return RPC_NOT_FOUND;
    case ERR_DENIED: return RPC_PERMISSION_DENIED;
    case ERR_CLOSED: return RPC_FAILED_PRECONDITION;
    case ERR_EXISTS: return RPC_ABORTED;
    case ERR_NO_MEMORY:
    case ERR_LIMIT: return RPC_RESOURCE_EXHAUSTED;
    default: return RPC_UNAVAILABLE;
    }
}

void services_set_approval_status(const struct call *call, const char *at, enum err e,
                                  const struct err_text *why, struct rpc_status *out_status)
{
    enum rpc_code code = code_of(e);
    if (code == RPC_UNAVAILABLE) {
        log_event(call->services->with.log, LOG_ERROR, "store_failed", log_text("at", at),
                  log_text("error", err_name(e)));
        rpc_status_set(out_status, code, "the control plane cannot use its store now");
    } else {
        rpc_status_set(out_status, code, "%s", why->text[0] == '\0' ? err_name(e) : why->text);
    }
}

/* --- who sees what -----------------------------------------------------------------------------
 */

static bool sees_all(unsigned roles)
{
    return (roles & (CONFIG_ADMIN | CONFIG_AUDITOR | CONFIG_BOT)) != 0;
}

bool services_may_see(unsigned roles, const char *const *groups, size_t group_count,
                      const Chaperone__V1__HeldOperation *held)
{
    if (sees_all(roles)) {
        return true;
    }
    for (size_t i = 0; i < held->terms->n_groups; i++) {
        for (size_t k = 0; k < group_count; k++) {
            if (strcmp(held->terms->groups[i], groups[k]) == 0) {
                return true;
            }
        }
    }
    return false;
}

static bool may_see(const struct call *call, const Chaperone__V1__HeldOperation *held)
{
    return services_may_see(call->caller->roles, call->caller->who->groups,
                            call->caller->who->group_count, held);
}

/* --- List, Get ---------------------------------------------------------------------------------
 */

static enum err list(const struct call *call, const Chaperone__V1__ListApprovalsRequest *request,
                     struct arena *arena, Chaperone__V1__ListApprovalsResponse *out)
{
    struct store_approval *items = NULL;
    size_t count = 0, limit = request->limit == 0 ? LIST_DEFAULT : request->limit;
    limit = limit > LIST_MAX ? LIST_MAX : limit;
    const struct store_approval_filter filter = {.include_ended = request->include_ended,
                                                 .resource = request->resource,
                                                 .identity = request->identity,
                                                 .limit = sees_all(call->caller->roles) ? limit
                                                                                        : LIST_MAX,
                                                 .max_bytes = LIST_BYTES_MAX};
    enum err e = store_approval_list(call->services->with.store, &filter, arena, &items, &count);
    if (e == OK) {
        out->approvals = arena_alloc(arena, (limit + 1) * sizeof(*out->approvals));
        e = out->approvals == NULL ? ERR_NO_MEMORY : OK;
    }
    for (size_t i = 0; e == OK && i < count && out->n_approvals < limit; i++) {
        const Chaperone__V1__HeldOperation *held = NULL;
        e = approvals_unpack(&items[i], arena, &held);
        if (e == OK && may_see(call, held)) {
            out->approvals[out->n_approvals++] = (Chaperone__V1__HeldOperation *)(uintptr_t)held;
        }
    }
    return e;
}

void approvals_list(const struct call *call, const ProtobufCMessage *message,
                    ProtobufCMessage **out_reply, struct rpc_status *out_status)
{
    static const struct err_text nothing = {.text = ""};
    Chaperone__V1__ListApprovalsResponse response = CHAPERONE__V1__LIST_APPROVALS_RESPONSE__INIT;
    struct arena *arena = arena_create(ARENA_BLOCK, LIST_ARENA_CAP);
    enum err e = arena == NULL ? ERR_NO_MEMORY
                               : list(call, (const Chaperone__V1__ListApprovalsRequest *)message,
                                      arena, &response);
    if (e == OK) {
        services_reply(&response.base, out_reply, out_status);
    } else {
        services_set_approval_status(call, "approval_list", e, &nothing, out_status);
    }
    arena_destroy(arena);
}

void approvals_get_one(const struct call *call, const ProtobufCMessage *message,
                       ProtobufCMessage **out_reply, struct rpc_status *out_status)
{
    const Chaperone__V1__GetApprovalRequest *request =
        (const Chaperone__V1__GetApprovalRequest *)message;
    const Chaperone__V1__HeldOperation *held = NULL;
    struct err_text why = {.text = ""};
    struct arena *arena = arena_create(ARENA_BLOCK, APPROVALS_ARENA_CAP);
    enum err e = arena == NULL
                     ? ERR_NO_MEMORY
                     : approvals_get(call->services->approvals, request->id, arena, &held, &why);
    if (e == OK && !may_see(call, held)) {
        e = err_set(&why, ERR_NOT_FOUND, "no held operation \"%.64s\" is known", request->id);
    }
    if (e == OK) {
        services_reply(&held->base, out_reply, out_status);
    } else {
        services_set_approval_status(call, "approval_get", e, &why, out_status);
    }
    arena_destroy(arena);
}

/* --- Decide ------------------------------------------------------------------------------------
 */

/* Every word and every attempt at one: by whom, for whom, and what became of it. */
static void log_decision(const struct call *call, const Chaperone__V1__DecideRequest *request,
                         const struct approvals_person *person, const struct rpc_status *status)
{
    const struct identity *caller = call->caller->who;
    char id[UUID_TEXT_SIZE];
    (void)snprintf(id, sizeof(id), "%s", request->id); /* cut: it may be anything */
    log_event(
        call->services->with.log, status->code == RPC_OK ? LOG_INFO : LOG_WARN, "approval_decision",
        log_text("approval", id), log_text("word", request->approve ? "approve" : "deny"),
        log_text("issuer", person->issuer == NULL ? caller->issuer : person->issuer),
        log_text("subject", person->subject == NULL ? caller->subject : person->subject),
        log_text("caller", caller->subject), log_number("is_linked", person->is_linked),
        log_text("outcome", rpc_code_name(status->code)), log_text("peer", call->peer->address));
}

enum err services_find_person(const struct call *call, const Chaperone__V1__ChatAccount *account,
                              struct arena *arena, struct approvals_person *out,
                              struct err_text *why)
{
    const struct identity *who = call->caller->who;
    bool is_bot = (call->caller->roles & CONFIG_BOT) != 0;
    if (account != NULL) {
        return is_bot ? links_find_person(call, account, arena, out, why)
                      : err_set(why, ERR_DENIED, "only a bot decides for a chat account");
    }
    if (is_bot) {
        return err_set(why, ERR_DENIED,
                       "a bot decides only for a person whose chat account is linked");
    }
    *out = (struct approvals_person){.issuer = who->issuer,
                                     .subject = who->subject,
                                     .name = who->name,
                                     .groups = who->groups,
                                     .group_count = who->group_count,
                                     .is_admin = (call->caller->roles & CONFIG_ADMIN) != 0,
                                     .is_delegated = who->on_behalf_of_count > 0,
                                     .from = call->peer->address};
    return OK;
}

void approvals_decide_one(const struct call *call, const ProtobufCMessage *message,
                          ProtobufCMessage **out_reply, struct rpc_status *out_status)
{
    const Chaperone__V1__DecideRequest *request = (const Chaperone__V1__DecideRequest *)message;
    const Chaperone__V1__HeldOperation *held = NULL;
    Chaperone__V1__DecideResponse response = CHAPERONE__V1__DECIDE_RESPONSE__INIT;
    struct approvals_person person = {.subject = NULL};
    struct err_text why = {.text = ""};
    struct arena *arena = arena_create(ARENA_BLOCK, APPROVALS_ARENA_CAP);
    enum err e = arena == NULL ? ERR_NO_MEMORY
                               : services_find_person(call, request->account, arena, &person, &why);
    if (e == OK) {
        e = approvals_decide(call->services->approvals, &person, request, arena, &held, &why);
    }
    if (e == OK) {
        response.approval = (Chaperone__V1__HeldOperation *)(uintptr_t)held;
        services_reply(&response.base, out_reply, out_status);
    } else {
        services_set_approval_status(call, "approval_decide", e, &why, out_status);
    }
    log_decision(call, request, &person, out_status);
    arena_destroy(arena);
}
