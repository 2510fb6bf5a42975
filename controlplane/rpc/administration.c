/* Administration: join tokens, and how the fleet is. */
#include <stdio.h>
#include <stdlib.h>

#include "api/operator.pb-c.h"
#include "controlplane/credentials/join_token.h"
#include "controlplane/rpc/describe.h"
#include "controlplane/rpc/services_internal.h"

enum { ARENA_BLOCK = 64 << 10, ARENA_CAP = 64 << 20 };
static const int64_t second_ns = 1000000000;

static enum err record_join_token(const struct call *call, const char *name, int64_t lifetime_ns)
{
    char object[DESCRIBE_SIZE], reason[64];
    describe_one("sidecar", name, object);
    (void)snprintf(reason, sizeof(reason), "usable once, within %lld s",
                   (long long)(lifetime_ns / second_ns));
    return services_record(call, "join_token", object, reason);
}

void administration_create_join_token(const struct call *call, const ProtobufCMessage *message,
                                      ProtobufCMessage **out_reply, struct rpc_status *out_status)
{
    const Chaperone__V1__CreateJoinTokenRequest *request =
        (const Chaperone__V1__CreateJoinTokenRequest *)message;
    Chaperone__V1__CreateJoinTokenResponse response =
        CHAPERONE__V1__CREATE_JOIN_TOKEN_RESPONSE__INIT;
    char token[JOIN_TOKEN_SIZE];
    struct err_text why = {0};
    bool fits = request->lifetime_s <= JOIN_TOKEN_LIFETIME_MAX_NS / second_ns;
    int64_t lifetime = request->lifetime_s == 0 ? JOIN_TOKEN_LIFETIME_NS
                       : fits                   ? request->lifetime_s * second_ns
                                                : INT64_MAX;
    enum err e = join_token_create(
        call->services->with.store, request->name, call->caller->who->subject, lifetime,
        services_now(call->services), token, &response.expires_unix_ns, &why);
    if (e == OK && record_join_token(call, request->name, lifetime) != OK) {
        services_set_unrecorded(out_status); /* nobody has the token then */
    } else if (e == OK) {
        response.token = token;
        services_reply(&response.base, out_reply, out_status);
    } else if (e == ERR_INVALID) {
        rpc_status_set(out_status, RPC_INVALID_ARGUMENT, "%s", why.text);
    } else {
        log_event(call->services->with.log, LOG_ERROR, "store_failed", log_text("at", "join_token"),
                  log_text("error", err_name(e)));
        rpc_status_set(out_status, RPC_UNAVAILABLE, "the control plane cannot write its store");
    }
    services_log_action(call, "join_token_create", request->name, rpc_code_name(out_status->code));
    bytes_wipe(token, sizeof(token));
}

/* --- Status ------------------------------------------------------------------------------------
 */

static enum err fill_sidecar(const struct call *call, const struct store_sidecar *from,
                             Chaperone__V1__StatusResponse__Sidecar *out)
{
    struct store_audit_last last = {0};
    chaperone__v1__status_response__sidecar__init(out);
    out->sidecar = (char *)(uintptr_t)from->id;
    out->name = (char *)(uintptr_t)from->name;
    out->connected_since_unix_ns = watchers_connected_since(call->services->watchers, from->id);
    out->connected = out->connected_since_unix_ns != 0 ||
                     (from->revoked_ns == 0 && replicas_has_seen(call->services, from));
    out->last_seen_unix_ns = from->last_seen_ns;
    out->policy_revision = from->policy_revision;
    out->policy_state = (char *)(uintptr_t)from->policy_state;
    out->version = (char *)(uintptr_t)from->version;
    out->enrolled_by = (char *)(uintptr_t)from->enrolled_by;
    out->enrolled_unix_ns = from->enrolled_ns;
    out->certificate_not_after_unix_ns = from->certificate_not_after_ns;
    out->revoked_unix_ns = from->revoked_ns;
    out->revoked_by = (char *)(uintptr_t)from->revoked_by;
    out->revoke_reason = (char *)(uintptr_t)from->revoked_reason;
    enum err e = store_audit_last(call->services->with.store, from->id, &last);
    out->last_sequence = last.sequence;
    return e;
}

static int compare_open(const void *a, const void *b)
{
    return strcmp(((const struct store_open_sessions *)a)->sidecar,
                  ((const struct store_open_sessions *)b)->sidecar);
}

static enum err count_sessions(const struct call *call, struct arena *arena,
                               Chaperone__V1__StatusResponse *out)
{
    struct store_open_sessions *items = NULL;
    size_t count = 0;
    enum err e = store_session_count_open(call->services->with.store, arena, &items, &count);
    for (size_t i = 0; e == OK && count > 0 && i < out->n_sidecars; i++) {
        const struct store_open_sessions key = {.sidecar = out->sidecars[i]->sidecar};
        const struct store_open_sessions *found =
            bsearch(&key, items, count, sizeof(*items), compare_open);
        out->sidecars[i]->open_sessions = found == NULL ? 0 : found->count;
    }
    return e;
}

static enum err fill_sidecars(const struct call *call, struct arena *arena,
                              Chaperone__V1__StatusResponse *out)
{
    struct store_sidecar *sidecars = NULL;
    size_t count = 0;
    news_flush(call->services->news);
    enum err e = store_sidecar_list(call->services->with.store, arena, &sidecars, &count);
    if (e != OK) {
        return e;
    }
    Chaperone__V1__StatusResponse__Sidecar *items =
        arena_alloc(arena, (count + 1) * sizeof(*items));
    out->sidecars = arena_alloc(arena, (count + 1) * sizeof(void *));
    if (items == NULL || out->sidecars == NULL) {
        return ERR_NO_MEMORY;
    }
    for (size_t i = 0; e == OK && i < count; i++) {
        e = fill_sidecar(call, &sidecars[i], &items[i]);
        out->sidecars[i] = &items[i];
    }
    out->n_sidecars = count;
    return e == OK ? count_sessions(call, arena, out) : e;
}

static void fill_log(const struct keeper_status *status, Chaperone__V1__StatusResponse__Log *out)
{
    chaperone__v1__status_response__log__init(out);
    out->state = (char *)(uintptr_t)keeper_state_name(status->state);
    out->detail = (char *)(uintptr_t)status->detail;
    out->size = status->size;
    out->published = status->published;
    out->published_unix_ns = status->published_ns;
    out->cosigned = (uint32_t)status->cosigned;
    out->quorum = (uint32_t)status->quorum;
}

void administration_status(const struct call *call, const ProtobufCMessage *message,
                           ProtobufCMessage **out_reply, struct rpc_status *out_status)
{
    (void)message;
    Chaperone__V1__StatusResponse response = CHAPERONE__V1__STATUS_RESPONSE__INIT;
    struct arena *arena = arena_create(ARENA_BLOCK, ARENA_CAP);
    const struct publication *policy = publisher_current(call->services->with.publisher);
    struct keeper_status log_status;
    Chaperone__V1__StatusResponse__Log log;
    keeper_read_status(call->services->with.keeper, &log_status);
    fill_log(&log_status, &log);
    response.log = &log;
    response.version = (char *)(uintptr_t)call->services->with.version;
    if (policy != NULL) {
        response.policy_revision = policy->revision;
        response.policy_hash = (char *)(uintptr_t)policy->hash;
    }
    enum err e = arena == NULL ? ERR_NO_MEMORY : fill_sidecars(call, arena, &response);
    if (e == OK) {
        e = store_audit_count(call->services->with.store, &response.records);
    }
    if (e == OK) {
        e = findings_count(call->services->findings,
                           services_now(call->services) - 86400 * second_ns, &response.findings);
    }
    if (e == OK) {
        services_reply(&response.base, out_reply, out_status);
    } else {
        log_event(call->services->with.log, LOG_ERROR, "store_failed", log_text("at", "status"),
                  log_text("error", err_name(e)));
        rpc_status_set(out_status, RPC_UNAVAILABLE, "the control plane cannot read its store");
    }
    publication_release(policy);
    arena_destroy(arena);
}
