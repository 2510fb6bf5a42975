/* A session's grant: one call, with a reason that an agent understands when there is none. */
#include <stdio.h>
#include <stdlib.h>

#include "sidecar/control/control_internal.h"

enum { RESOURCE_SIZE = 256 };

struct opening {
    struct control *control;
    control_open_fn *fn;
    void *context;
    uint64_t mark; /* of the orders, when it was asked */
    char resource[RESOURCE_SIZE];
};

/* A grant that crossed an order which ends its session. */
static bool is_ended(const struct opening *o, const Chaperone__V1__OpenSessionResponse *grant,
                     struct rpc_status *status)
{
    struct err_text why = {.text = ""};
    if (!orders_find(&o->control->orders, o->mark, o->resource, grant, &why)) {
        return false;
    }
    rpc_status_set(status, RPC_PERMISSION_DENIED, "%s", why.text);
    return true;
}

static void on_reply(void *context, const struct rpc_status *status, const ProtobufCMessage *reply)
{
    struct opening *o = context;
    struct rpc_status told = *status;
    const struct tunnel *tunnel = o->control->tunnel;
    const char *reason = tunnel == NULL ? "" : tunnel_error(tunnel);
    bool is_away = status->code == RPC_UNAVAILABLE || status->code == RPC_DEADLINE_EXCEEDED;
    if (reason[0] == '\0' && status->code == RPC_DEADLINE_EXCEEDED) {
        reason = "it does not answer"; /* the connection stands, as far as anybody knows */
    } else if (reason[0] == '\0' && tunnel != NULL && !tunnel_is_connected(tunnel)) {
        reason = "the connection was lost";
    }
    if (is_away && reason[0] != '\0') {
        /* gRPC only knows that its own socket was closed. */
        rpc_status_set(&told, status->code, "the control plane cannot be reached: %s", reason);
    }
    const Chaperone__V1__OpenSessionResponse *grant =
        (const Chaperone__V1__OpenSessionResponse *)reply;
    if (control_is_revoked(o->control)) {
        rpc_status_set(&told, RPC_PERMISSION_DENIED, "%s", o->control->revoked);
        grant = NULL;
    }
    if (grant != NULL && is_ended(o, grant, &told)) {
        grant = NULL;
    }
    o->fn(o->context, &told, grant);
}

enum err control_open_session(struct control *c, const Chaperone__V1__OpenSessionRequest *request,
                              control_open_fn *fn, void *context, struct control_call **out)
{
    struct opening opening = {
        .control = c, .fn = fn, .context = context, .mark = orders_mark(&c->orders)};
    if (strlen(request->resource) >= sizeof(opening.resource)) {
        return ERR_LIMIT;
    }
    (void)snprintf(opening.resource, sizeof(opening.resource), "%s", request->resource);
    const struct call_options options = {
        .mail = c->mail,
        .tunnel = c->tunnel,
        .refusal = "the sidecar is not enrolled with the control plane yet",
        .service = &chaperone__v1__sidecar__descriptor,
        .method = "OpenSession",
        .request = &request->base,
        .deadline_ms = c->open_timeout_ms,
        /* gRPC hears of a connection that stands a moment later than we: until then it would still
         * refuse, because the attempt before failed. */
        .wait_for_ready = c->tunnel != NULL && tunnel_is_connected(c->tunnel),
        .fn = on_reply,
        .context = &opening,
        .context_size = sizeof(opening),
    };
    return call_start(&options, out);
}

void control_call_cancel(struct control_call *call)
{
    call_cancel(call);
}
