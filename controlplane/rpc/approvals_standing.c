/* Approvals: what people approved for later, listed and revoked. */
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

/* --- ListStanding ------------------------------------------------------------------------------
 */

static bool may_see(const struct call *call, const Chaperone__V1__StandingApproval *standing)
{
    return services_may_see(call->caller->roles, call->caller->who->groups,
                            call->caller->who->group_count, standing->approval);
}

/* The page that was read ended because it was full, not because there is no more. */
static bool is_full(const struct store_standing_filter *filter,
                    const struct store_standing_item *items, size_t count)
{
    size_t bytes = 0;
    for (size_t i = 0; i < count; i++) {
        bytes += items[i].held.size;
    }
    return count == filter->limit || bytes >= filter->max_bytes;
}

static enum err list(const struct call *call, const Chaperone__V1__ListStandingRequest *request,
                     struct arena *arena, Chaperone__V1__ListStandingResponse *out)
{
    const struct store_standing_filter filter = {.now_ns = services_now(call->services),
                                                 .include_ended = request->include_ended,
                                                 .resource = request->resource,
                                                 .identity = request->identity,
                                                 .before = request->before,
                                                 .limit = request->limit == 0 ? LIST_DEFAULT
                                                          : request->limit > LIST_MAX
                                                              ? LIST_MAX
                                                              : request->limit,
                                                 .max_bytes = LIST_BYTES_MAX};
    struct store_standing_item *items = NULL;
    size_t count = 0;
    enum err e = store_standing_list(call->services->with.store, &filter, arena, &items, &count);
    if (e == OK) {
        out->standing = arena_alloc(arena, (count + 1) * sizeof(*out->standing));
        e = out->standing == NULL ? ERR_NO_MEMORY : OK;
    }
    for (size_t i = 0; e == OK && i < count; i++) {
        Chaperone__V1__StandingApproval *standing = NULL;
        e = approvals_unpack_standing(&items[i], filter.now_ns, arena, &standing);
        if (e == OK && may_see(call, standing)) {
            out->standing[out->n_standing++] = standing;
        }
    }
    if (e == OK && count > 0 && is_full(&filter, items, count)) {
        out->next = (char *)(uintptr_t)items[count - 1].standing.id;
    }
    return e;
}

void standing_list(const struct call *call, const ProtobufCMessage *message,
                   ProtobufCMessage **out_reply, struct rpc_status *out_status)
{
    static const struct err_text nothing = {.text = ""};
    Chaperone__V1__ListStandingResponse response = CHAPERONE__V1__LIST_STANDING_RESPONSE__INIT;
    struct arena *arena = arena_create(ARENA_BLOCK, LIST_ARENA_CAP);
    enum err e = arena == NULL ? ERR_NO_MEMORY
                               : list(call, (const Chaperone__V1__ListStandingRequest *)message,
                                      arena, &response);
    if (e == OK) {
        services_reply(&response.base, out_reply, out_status);
    } else {
        services_set_approval_status(call, "standing_list", e, &nothing, out_status);
    }
    arena_destroy(arena);
}

/* --- RevokeStanding ----------------------------------------------------------------------------
 */

/* Every revocation and every attempt at one. */
static void log_revocation(const struct call *call,
                           const Chaperone__V1__RevokeStandingRequest *request,
                           const struct approvals_person *person, const struct rpc_status *status)
{
    const struct identity *caller = call->caller->who;
    char id[UUID_TEXT_SIZE];
    (void)snprintf(id, sizeof(id), "%s", request->id); /* cut: it may be anything */
    log_event(call->services->with.log, status->code == RPC_OK ? LOG_INFO : LOG_WARN,
              "standing_revocation", log_text("standing", id),
              log_text("issuer", person->issuer == NULL ? caller->issuer : person->issuer),
              log_text("subject", person->subject == NULL ? caller->subject : person->subject),
              log_text("caller", caller->subject), log_number("is_linked", person->is_linked),
              log_text("outcome", rpc_code_name(status->code)),
              log_text("peer", call->peer->address));
}

void standing_revoke(const struct call *call, const ProtobufCMessage *message,
                     ProtobufCMessage **out_reply, struct rpc_status *out_status)
{
    const Chaperone__V1__RevokeStandingRequest *request =
        (const Chaperone__V1__RevokeStandingRequest *)message;
    Chaperone__V1__RevokeStandingResponse response = CHAPERONE__V1__REVOKE_STANDING_RESPONSE__INIT;
    struct approvals_person person = {.subject = NULL};
    struct err_text why = {.text = ""};
    struct arena *arena = arena_create(ARENA_BLOCK, APPROVALS_ARENA_CAP);
    enum err e = arena == NULL ? ERR_NO_MEMORY
                               : services_find_person(call, request->account, arena, &person, &why);
    if (e == OK) {
        e = approvals_revoke_standing(call->services->approvals, &person, request, arena, &response,
                                      &why);
    }
    if (e == OK) {
        services_reply(&response.base, out_reply, out_status);
    } else {
        services_set_approval_status(call, "standing_revoke", e, &why, out_status);
    }
    log_revocation(call, request, &person, out_status);
    arena_destroy(arena);
}
