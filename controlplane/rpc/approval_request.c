/* Sidecar.RequestApproval and EndApproval. */
#include "api/sidecar.pb-c.h"
#include "controlplane/rpc/services_internal.h"

enum { ARENA_BLOCK = 16 << 10 };

void approval_request(const struct call *call, const ProtobufCMessage *message,
                      ProtobufCMessage **out_reply, struct rpc_status *out_status)
{
    Chaperone__V1__RequestApprovalResponse response =
        CHAPERONE__V1__REQUEST_APPROVAL_RESPONSE__INIT;
    Chaperone__V1__ApprovalDecided decided = CHAPERONE__V1__APPROVAL_DECIDED__INIT;
    struct err_text why = {.text = ""};
    struct arena *arena = arena_create(ARENA_BLOCK, APPROVALS_ARENA_CAP);
    enum err e = arena == NULL
                     ? ERR_NO_MEMORY
                     : approvals_request(call->services->approvals, call->caller->sidecar,
                                         (const Chaperone__V1__RequestApprovalRequest *)message,
                                         arena, &decided, &why);
    if (e == OK) {
        response.decided = &decided;
        services_reply(&response.base, out_reply, out_status);
        log_event(call->services->with.log, LOG_INFO, "approval_requested",
                  log_text("sidecar", call->caller->sidecar), log_text("approval", decided.id),
                  log_number("state", decided.state));
    } else {
        services_set_approval_status(call, "approval_request", e, &why, out_status);
        log_event(call->services->with.log, LOG_WARN, "approval_request_refused",
                  log_text("sidecar", call->caller->sidecar), log_text("error", err_name(e)));
    }
    arena_destroy(arena);
}

void approval_end(const struct call *call, const ProtobufCMessage *message,
                  ProtobufCMessage **out_reply, struct rpc_status *out_status)
{
    const Chaperone__V1__EndApprovalRequest *request =
        (const Chaperone__V1__EndApprovalRequest *)message;
    Chaperone__V1__EndApprovalResponse response = CHAPERONE__V1__END_APPROVAL_RESPONSE__INIT;
    struct err_text why = {.text = ""};
    enum err e = approvals_end(call->services->approvals, call->caller->sidecar, request, &why);
    if (e == OK) {
        services_reply(&response.base, out_reply, out_status);
        return;
    }
    services_set_approval_status(call, "approval_end", e, &why, out_status);
    /* Closed: it says that it released what nobody approved. */
    log_event(call->services->with.log, e == ERR_CLOSED ? LOG_ERROR : LOG_WARN,
              "approval_end_refused", log_text("sidecar", call->caller->sidecar),
              log_number("state", request->state), log_text("error", err_name(e)));
}
