#include "controlplane/rpc/access.h"

enum {
    ROLE_ANY = CONFIG_ADMIN | CONFIG_APPROVER | CONFIG_AUDITOR,
    ROLE_SEES_HELD = ROLE_ANY | CONFIG_BOT,
};

static const struct access_rule rules[] = {
    {"chaperone.v1.Enrolment", "Enrol", ACCESS_PROOF, 0},
    {"chaperone.v1.Enrolment", "Renew", ACCESS_SIDECAR, 0},
    {"chaperone.v1.Sidecar", "OpenSession", ACCESS_SIDECAR, 0},
    {"chaperone.v1.Sidecar", "RequestApproval", ACCESS_SIDECAR, 0},
    {"chaperone.v1.Sidecar", "EndApproval", ACCESS_SIDECAR, 0},
    {"chaperone.v1.Sidecar", "Watch", ACCESS_SIDECAR, 0},
    {"chaperone.v1.AuditIngest", "Resume", ACCESS_SIDECAR, 0},
    {"chaperone.v1.AuditIngest", "Ship", ACCESS_SIDECAR, 0},
    {"chaperone.v1.Audit", "Search", ACCESS_OPERATOR, CONFIG_ADMIN | CONFIG_AUDITOR},
    {"chaperone.v1.Audit", "Tail", ACCESS_OPERATOR, CONFIG_ADMIN | CONFIG_AUDITOR},
    {"chaperone.v1.Log", "GetCheckpoint", ACCESS_OPERATOR, CONFIG_ADMIN | CONFIG_AUDITOR},
    {"chaperone.v1.Log", "ProveInclusion", ACCESS_OPERATOR, CONFIG_ADMIN | CONFIG_AUDITOR},
    {"chaperone.v1.Log", "ProveConsistency", ACCESS_OPERATOR, CONFIG_ADMIN | CONFIG_AUDITOR},
    {"chaperone.v1.Log", "ReadTiles", ACCESS_OPERATOR, CONFIG_ADMIN | CONFIG_AUDITOR},
    {"chaperone.v1.Log", "Export", ACCESS_OPERATOR, CONFIG_ADMIN | CONFIG_AUDITOR},
    {"chaperone.v1.Sessions", "List", ACCESS_OPERATOR, ROLE_ANY},
    {"chaperone.v1.Sessions", "Kill", ACCESS_OPERATOR, CONFIG_ADMIN},
    {"chaperone.v1.Sessions", "Block", ACCESS_OPERATOR, CONFIG_ADMIN},
    {"chaperone.v1.Sessions", "Lift", ACCESS_OPERATOR, CONFIG_ADMIN},
    {"chaperone.v1.Sessions", "ListBlocks", ACCESS_OPERATOR, ROLE_ANY},
    {"chaperone.v1.Approvals", "List", ACCESS_OPERATOR, ROLE_SEES_HELD},
    {"chaperone.v1.Approvals", "Get", ACCESS_OPERATOR, ROLE_SEES_HELD},
    {"chaperone.v1.Approvals", "Watch", ACCESS_OPERATOR, ROLE_SEES_HELD},
    /* The groups of the rule that holds decide, not roles. */
    {"chaperone.v1.Approvals", "Decide", ACCESS_PERSON, 0},
    {"chaperone.v1.Approvals", "ListStanding", ACCESS_OPERATOR, ROLE_SEES_HELD},
    {"chaperone.v1.Approvals", "RevokeStanding", ACCESS_PERSON, 0},
    {"chaperone.v1.Approvals", "CreateLinkCode", ACCESS_OPERATOR, CONFIG_BOT},
    {"chaperone.v1.Approvals", "ConfirmLink", ACCESS_PERSON, 0},
    {"chaperone.v1.Approvals", "RemoveLink", ACCESS_PERSON, 0},
    {"chaperone.v1.Policies", "Push", ACCESS_OPERATOR, CONFIG_ADMIN},
    {"chaperone.v1.Policies", "Rollback", ACCESS_OPERATOR, CONFIG_ADMIN},
    {"chaperone.v1.Policies", "List", ACCESS_OPERATOR, CONFIG_ADMIN | CONFIG_AUDITOR},
    {"chaperone.v1.Policies", "Get", ACCESS_OPERATOR, CONFIG_ADMIN | CONFIG_AUDITOR},
    {"chaperone.v1.Administration", "CreateJoinToken", ACCESS_OPERATOR, CONFIG_ADMIN},
    {"chaperone.v1.Administration", "Status", ACCESS_OPERATOR, ROLE_ANY},
    {"chaperone.v1.Administration", "RevokeSidecar", ACCESS_OPERATOR, CONFIG_ADMIN},
    {"chaperone.v1.Administration", "ListExportJobs", ACCESS_OPERATOR,
     CONFIG_ADMIN | CONFIG_AUDITOR},
    {"chaperone.v1.Retention", "PlaceHold", ACCESS_OPERATOR, CONFIG_ADMIN},
    {"chaperone.v1.Retention", "LiftHold", ACCESS_OPERATOR, CONFIG_ADMIN},
    {"chaperone.v1.Retention", "ListHolds", ACCESS_OPERATOR, CONFIG_ADMIN | CONFIG_AUDITOR},
    {"chaperone.v1.Retention", "Preview", ACCESS_OPERATOR, CONFIG_ADMIN | CONFIG_AUDITOR},
};

const struct access_rule *access_find_rule(const char *service, const char *method)
{
    for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++) {
        if (strcmp(rules[i].service, service) == 0 && strcmp(rules[i].method, method) == 0) {
            return &rules[i];
        }
    }
    return NULL;
}

void access_set_revoked(const struct store_sidecar *sidecar, struct rpc_status *out_status)
{
    char since[CLOCK_RFC3339_SIZE];
    clock_format_rfc3339(sidecar->revoked_ns, since);
    rpc_status_set(out_status, RPC_PERMISSION_DENIED,
                   "this sidecar has been revoked (%.64s, %s): it must be set up anew, with a new "
                   "key",
                   sidecar->id, since);
}

bool access_is_still_enrolled(struct store *store, const char *sidecar,
                              struct rpc_status *out_status)
{
    struct store_sidecar known;
    struct arena *arena = arena_create(4096, 1 << 20);
    enum err e = arena == NULL ? ERR_NO_MEMORY : store_sidecar_get(store, sidecar, arena, &known);
    if (e != OK) {
        rpc_status_set(out_status, RPC_UNAVAILABLE, "the control plane cannot read its store");
    } else if (known.revoked_ns != 0) {
        access_set_revoked(&known, out_status);
    } else {
        rpc_status_set(out_status, RPC_OK, "%s", "");
    }
    arena_destroy(arena);
    return out_status->code == RPC_OK;
}

static void check_sidecar(const struct access_context *context, const struct rpc_peer *peer,
                          struct access_caller *out, struct rpc_status *out_status)
{
    struct ca_sidecar presented;
    struct store_sidecar known;
    if (ca_read_sidecar(peer->certificate_pem, clock_wall(&context->clock), &presented) != OK) {
        rpc_status_set(out_status, RPC_UNAUTHENTICATED,
                       "the client certificate of an enrolled sidecar is needed");
        return;
    }
    struct arena *arena = arena_create(4096, 1 << 20);
    enum err e = arena == NULL ? ERR_NO_MEMORY
                               : store_sidecar_get(context->store, presented.id, arena, &known);
    if (e == ERR_NOT_FOUND ||
        (e == OK && memcmp(known.key_hash, presented.key_hash, sizeof(known.key_hash)) != 0)) {
        rpc_status_set(out_status, RPC_UNAUTHENTICATED,
                       "the sidecar %s is not enrolled here, or not with this key", presented.id);
    } else if (e != OK) {
        rpc_status_set(out_status, RPC_UNAVAILABLE, "the control plane cannot read its store");
    } else if (known.revoked_ns != 0) {
        access_set_revoked(&known, out_status);
    } else {
        memcpy(out->sidecar, presented.id, sizeof(out->sidecar));
        rpc_status_set(out_status, RPC_OK, "%s", "");
    }
    arena_destroy(arena);
}

void access_set_token_status(enum err e, const struct err_text *why, struct rpc_status *out_status)
{
    if (e == ERR_DENIED || e == ERR_INVALID || e == ERR_LIMIT) {
        rpc_status_set(out_status, RPC_UNAUTHENTICATED, "%s", why->text);
    } else if (e == ERR_UNAVAILABLE || e == ERR_TIMEOUT) {
        rpc_status_set(out_status, RPC_UNAVAILABLE, "%s", why->text);
    } else {
        rpc_status_set(out_status, RPC_UNAVAILABLE, "the token cannot be checked now");
    }
}

struct bytes access_find_token(const struct rpc_peer *peer)
{
    static const char scheme[] = "Bearer ";
    struct bytes value = peer->metadata(peer, "authorization");
    size_t n = sizeof(scheme) - 1;
    if (value.size <= n || strncasecmp((const char *)value.data, scheme, n) != 0) {
        return bytes_of(NULL, 0);
    }
    return bytes_of(value.data + n, value.size - n);
}

static bool is_person(const struct snapshot *snapshot, const struct identity *who)
{
    const struct config_identity_provider *provider =
        config_find_provider(snapshot_config(snapshot), who->issuer);
    return provider != NULL && provider->gives_roles && who->group_count > 0;
}

static void check_operator(const struct access_context *context, const struct access_rule *rule,
                           const struct rpc_peer *peer, struct access_caller *out,
                           struct rpc_status *out_status)
{
    struct err_text why = {0};
    struct bytes token = access_find_token(peer);
    if (token.size == 0) {
        rpc_status_set(out_status, RPC_UNAUTHENTICATED,
                       "a token is needed: authorization: Bearer TOKEN");
        return;
    }
    enum err e = identity_verify(snapshot_verifier(context->snapshot), token, &out->who, &why);
    if (e != OK) {
        access_set_token_status(e, &why, out_status);
        return;
    }
    struct grants_who who = snapshot_who(out->who);
    out->roles = grants_roles(snapshot_config(context->snapshot), &who);
    if (rule->who == ACCESS_PERSON && !is_person(context->snapshot, out->who)) {
        rpc_status_set(out_status, RPC_PERMISSION_DENIED,
                       "a token is needed with a group, of a provider whose groups count here; "
                       "\"%.100s\" has another one",
                       out->who->subject);
        return;
    }
    if (rule->who == ACCESS_OPERATOR && (out->roles & rule->roles) == 0) {
        rpc_status_set(out_status, RPC_PERMISSION_DENIED, "\"%.100s\" has no role that may do this",
                       out->who->subject);
        return;
    }
    rpc_status_set(out_status, RPC_OK, "%s", "");
}

bool access_check(const struct access_context *context, const char *service, const char *method,
                  const struct rpc_peer *peer, struct access_caller *out,
                  struct rpc_status *out_status)
{
    const struct access_rule *rule = access_find_rule(service, method);
    struct access_caller caller = {0};
    switch (rule == NULL ? ACCESS_NOBODY : rule->who) {
    case ACCESS_PROOF: rpc_status_set(out_status, RPC_OK, "%s", ""); break;
    case ACCESS_SIDECAR: check_sidecar(context, peer, &caller, out_status); break;
    case ACCESS_PERSON:
    case ACCESS_OPERATOR: check_operator(context, rule, peer, &caller, out_status); break;
    case ACCESS_NOBODY:
    default:
        rpc_status_set(out_status, RPC_PERMISSION_DENIED, "nobody may call this method");
        break;
    }
    if (out_status->code != RPC_OK) {
        log_event(context->log, LOG_WARN, "call_refused", log_text("service", service),
                  log_text("method", method), log_text("peer", peer->address),
                  log_text("code", rpc_code_name(out_status->code)),
                  log_text("reason", out_status->message));
    }
    *out = caller;
    return out_status->code == RPC_OK;
}

void access_caller_finish(struct access_caller *caller)
{
    identity_destroy(caller->who);
    caller->who = NULL;
}
