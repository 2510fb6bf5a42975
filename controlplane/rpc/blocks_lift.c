/* What refuses new sessions: lifted, and listed. */
#include "controlplane/rpc/blocks_internal.h"

static char *text_of(const char *s)
{
    return (char *)(uintptr_t)s;
}

static Chaperone__V1__Block **blocks_of(const struct store_block *from, size_t count,
                                        struct arena *arena)
{
    Chaperone__V1__Block **pointers = arena_alloc(arena, (count + 1) * sizeof(*pointers));
    Chaperone__V1__Block *items = arena_alloc(arena, (count + 1) * sizeof(*items));
    for (size_t i = 0; pointers != NULL && items != NULL && i < count; i++) {
        Chaperone__V1__Block *out = &items[i];
        chaperone__v1__block__init(out);
        out->id = text_of(from[i].id);
        out->identity = text_of(from[i].identity);
        out->resource = text_of(from[i].resource);
        out->everything = from[i].everything;
        out->reason = text_of(from[i].reason);
        out->created_by = text_of(from[i].created_by);
        out->created_unix_ns = from[i].created_ns;
        pointers[i] = out;
    }
    return items == NULL ? NULL : pointers;
}

static enum err record_lift(const struct call *call, const struct store_block *block,
                            const char *reason, int64_t now_ns)
{
    char object[BLOCKS_OBJECT_SIZE];
    Chaperone__V1__Action action = CHAPERONE__V1__ACTION__INIT;
    blocks_describe(block->identity, block->resource, block->everything, object);
    action.action = "lift";
    action.object = object;
    action.reason = text_of(reason);
    action.order = text_of(block->id);
    action.ordered_unix_ns = now_ns;
    action.done_unix_ns = now_ns;
    return services_record_action(call, &action, NULL, NULL);
}

static void lift(const struct call *call, const Chaperone__V1__LiftRequest *request,
                 struct arena *arena, ProtobufCMessage **out_reply, struct rpc_status *out_status)
{
    const struct store_block_what what = {.id = request->id,
                                          .identity = request->identity,
                                          .resource = request->resource,
                                          .everything = request->everything};
    struct store_block *items = NULL;
    Chaperone__V1__LiftResponse response = CHAPERONE__V1__LIFT_RESPONSE__INIT;
    int64_t now_ns = services_now(call->services);
    enum err e = store_block_lift(call->services->with.store, &what, call->caller->who->subject,
                                  now_ns, arena, &items, &response.n_lifted);
    if (e == OK) {
        response.lifted = blocks_of(items, response.n_lifted, arena);
        e = response.lifted == NULL ? ERR_NO_MEMORY : OK;
    }
    if (e != OK) {
        blocks_fail(call, "block_lift", e, out_status);
        return;
    }
    services_reply(&response.base, out_reply, out_status);
    for (size_t i = 0; i < response.n_lifted; i++) {
        if (record_lift(call, &items[i], request->reason, now_ns) != OK) {
            rpc_status_set(out_status, RPC_INTERNAL, "it was lifted, but could not be recorded");
        }
    }
}

void sessions_lift(const struct call *call, const ProtobufCMessage *message,
                   ProtobufCMessage **out_reply, struct rpc_status *out_status)
{
    const Chaperone__V1__LiftRequest *request = (const Chaperone__V1__LiftRequest *)message;
    const struct blocks_meant meant = {.identity = request->identity,
                                       .resource = request->resource,
                                       .everything = request->everything};
    bool has_none = meant.identity[0] == '\0' && meant.resource[0] == '\0' && !meant.everything;
    char object[BLOCKS_OBJECT_SIZE];
    if (!(request->id[0] == '\0' ? blocks_is_one(&meant) : has_none) ||
        !blocks_fits(&meant, request->reason) || strlen(request->id) > BLOCKS_TEXT_MAX) {
        rpc_status_set(out_status, RPC_INVALID_ARGUMENT,
                       "one of id, identity, resource and everything is needed, each text with at "
                       "most %d bytes",
                       BLOCKS_TEXT_MAX);
        return;
    }
    struct arena *arena = arena_create(BLOCKS_ARENA_BLOCK, BLOCKS_ARENA_CAP);
    if (arena == NULL) {
        rpc_status_set(out_status, RPC_RESOURCE_EXHAUSTED, "no memory");
        return;
    }
    lift(call, request, arena, out_reply, out_status);
    blocks_describe(meant.identity, meant.resource, meant.everything, object);
    services_log_action(call, "sessions_lift", request->id[0] == '\0' ? object : request->id,
                        rpc_code_name(out_status->code));
    arena_destroy(arena);
}

static size_t without_orders(struct store_block *items, size_t count)
{
    size_t kept = 0;
    for (size_t i = 0; i < count; i++) {
        if (!items[i].is_order) {
            items[kept++] = items[i];
        }
    }
    return kept;
}

void sessions_list_blocks(const struct call *call, const ProtobufCMessage *message,
                          ProtobufCMessage **out_reply, struct rpc_status *out_status)
{
    (void)message;
    struct arena *arena = arena_create(BLOCKS_ARENA_BLOCK, BLOCKS_ARENA_CAP);
    struct store_block *items = NULL;
    Chaperone__V1__ListBlocksResponse response = CHAPERONE__V1__LIST_BLOCKS_RESPONSE__INIT;
    enum err e = arena == NULL ? ERR_NO_MEMORY
                               : store_block_list(call->services->with.store, arena, &items,
                                                  &response.n_blocks);
    if (e == OK) {
        response.n_blocks = without_orders(items, response.n_blocks);
        response.blocks = blocks_of(items, response.n_blocks, arena);
        e = response.blocks == NULL ? ERR_NO_MEMORY : OK;
    }
    if (e == OK) {
        services_reply(&response.base, out_reply, out_status);
    } else {
        blocks_fail(call, "block_list", e, out_status);
    }
    arena_destroy(arena);
}
