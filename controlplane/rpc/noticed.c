/* What is recorded of a call by itself: who comes, who reads what agents did, who is refused. */
#include <inttypes.h>
#include <stdio.h>

#include "api/log.pb-c.h"
#include "controlplane/rpc/describe.h"
#include "controlplane/rpc/services_internal.h"

/* ---- reading -------------------------------------------------------------------------------- */

static void describe_list(const ProtobufCMessage *request, char out[DESCRIBE_SIZE])
{
    describe_approvals((const Chaperone__V1__ListApprovalsRequest *)request, out);
}

static void describe_list_standing(const ProtobufCMessage *request, char out[DESCRIBE_SIZE])
{
    describe_standing((const Chaperone__V1__ListStandingRequest *)request, out);
}

static void describe_get(const ProtobufCMessage *request, char out[DESCRIBE_SIZE])
{
    describe_one("approval", ((const Chaperone__V1__GetApprovalRequest *)request)->id, out);
}

static void describe_proof(const ProtobufCMessage *request, char out[DESCRIBE_SIZE])
{
    (void)snprintf(out, DESCRIBE_SIZE, "the record at position %" PRIu64,
                   ((const Chaperone__V1__ProveInclusionRequest *)request)->position);
}

/* Methods whose answers show statements and values of agents. Streams record what they are asked
 * for themselves: it arrives later. Who, when and how much (status, sessions, policies, hashes) is
 * no content. */
static const struct content {
    const char *service, *method, *action;
    void (*describe)(const ProtobufCMessage *request, char out[DESCRIBE_SIZE]);
} contents[] = {
    {"chaperone.v1.Approvals", "List", "approvals_list", describe_list},
    {"chaperone.v1.Approvals", "Get", "approvals_get", describe_get},
    {"chaperone.v1.Approvals", "ListStanding", "approvals_standing", describe_list_standing},
    {"chaperone.v1.Log", "ProveInclusion", "prove", describe_proof},
};

static const struct content *find_content(const char *service, const char *method)
{
    for (size_t i = 0; i < sizeof(contents) / sizeof(contents[0]); i++) {
        if (strcmp(contents[i].service, service) == 0 && strcmp(contents[i].method, method) == 0) {
            return &contents[i];
        }
    }
    return NULL;
}

static bool record_reading(const struct call *call, const char *service, const char *method,
                           const ProtobufCMessage *request, struct rpc_status *out_status)
{
    char object[DESCRIBE_SIZE];
    const struct content *content = request == NULL ? NULL : find_content(service, method);
    if (content == NULL) {
        return true;
    }
    content->describe(request, object);
    if (services_record(call, content->action, object, "") != OK) {
        services_set_unrecorded(out_status);
        return false;
    }
    return true;
}

/* ---- logins --------------------------------------------------------------------------------- */

static void name_roles(unsigned roles, char *out, size_t size)
{
    static const char *const names[CONFIG_ROLES] = {"admin", "approver", "auditor", "bot"};
    size_t at = 0;
    out[0] = '\0';
    for (unsigned i = 0; i < CONFIG_ROLES; i++) {
        if ((roles & 1U << i) != 0) {
            at +=
                (size_t)snprintf(out + at, size - at, "%s%s", at == 0 ? "roles " : ", ", names[i]);
        }
    }
    if (at == 0) {
        (void)snprintf(out, size, "no role");
    }
}

/* Where it cannot be recorded the call goes on, and the next one is the login: all that matters is
 * recorded by itself, and a person must be able to look at the status of what is broken. */
static void record_login(const struct call *call)
{
    char roles[64];
    struct bytes token = access_find_token(call->peer);
    if (call->caller->who == NULL || !logins_is_first(call->services->logins, token)) {
        return;
    }
    name_roles(call->caller->roles, roles, sizeof(roles));
    if (services_record(call, "login", roles, "") != OK) {
        logins_forget(call->services->logins, token);
    }
}

bool services_notice_call(const struct call *call, const char *service, const char *method,
                          const ProtobufCMessage *request, struct rpc_status *out_status)
{
    record_login(call);
    return record_reading(call, service, method, request, out_status);
}

/* ---- refusals ------------------------------------------------------------------------------- */

static char *text_of(const char *s)
{
    return (char *)(uintptr_t)s;
}

static void record_refusal(struct services *services, const char *object, const char *from,
                           const char *error, const Chaperone__V1__Identity *by)
{
    Chaperone__V1__Action action = CHAPERONE__V1__ACTION__INIT;
    char plain[DESCRIBE_SIZE];
    describe_plain(error, plain);
    action.action = text_of("refused");
    action.object = text_of(object);
    action.from = text_of(from);
    action.error = plain;
    if (by->subject[0] != '\0') {
        action.by = (Chaperone__V1__Identity *)(uintptr_t)by;
    }
    enum err e = services_record_own(services, &action);
    (void)e; /* logged; the call is refused all the same */
}

static const char *short_name(const char *service)
{
    const char *dot = strrchr(service, '.');
    return dot == NULL ? service : dot + 1;
}

/* A sidecar that is refused a session records that itself. */
static bool is_noticed(const struct access_caller *caller, const struct rpc_status *status)
{
    return caller->sidecar[0] == '\0' &&
           (status->code == RPC_UNAUTHENTICATED || status->code == RPC_PERMISSION_DENIED);
}

void services_notice_refusal(struct services *services, const char *service, const char *method,
                             const struct rpc_peer *peer, const struct access_caller *caller,
                             const struct rpc_status *status)
{
    Chaperone__V1__Identity by = CHAPERONE__V1__IDENTITY__INIT;
    char name[REFUSALS_METHOD_SIZE];
    struct refusal refusal = {.from = peer->address, .method = name, .error = status->message};
    if (!is_noticed(caller, status)) {
        return;
    }
    (void)snprintf(name, sizeof(name), "%s.%s", short_name(service), method);
    if (caller->who != NULL) {
        refusal.issuer = by.issuer = text_of(caller->who->issuer);
        refusal.subject = by.subject = text_of(caller->who->subject);
        by.groups = (char **)(uintptr_t)caller->who->groups;
        by.n_groups = caller->who->group_count;
        by.assurance = CHAPERONE__V1__ASSURANCE__VERIFIED;
    }
    if (refusals_add(services->refusals, &refusal, clock_monotonic(&services->with.clock))) {
        record_refusal(services, name, peer->address, status->message, &by);
    }
}

static void record_count(struct services *services, const struct refusals_count *count)
{
    char object[64 + REFUSALS_METHODS * (REFUSALS_METHOD_SIZE + 2)];
    char issuer[DESCRIBE_SIZE], subject[DESCRIBE_SIZE];
    Chaperone__V1__Identity by = CHAPERONE__V1__IDENTITY__INIT;
    int at = snprintf(object, sizeof(object), "%" PRIu64 " more call%s", count->calls,
                      count->calls == 1 ? "" : "s");
    for (size_t i = 0; i < count->method_count; i++) {
        at += snprintf(object + at, sizeof(object) - (size_t)at, "%s%s", i == 0 ? ": " : ", ",
                       count->methods[i]);
    }
    describe_plain(count->issuer, issuer);
    describe_plain(count->subject, subject);
    by.issuer = issuer;
    by.subject = subject;
    by.assurance = CHAPERONE__V1__ASSURANCE__VERIFIED;
    record_refusal(services, object, count->from, count->error, &by);
}

void services_record_refusals(struct services *services, bool all)
{
    struct refusals_count count;
    int64_t now = clock_monotonic(&services->with.clock);
    while (refusals_next(services->refusals, now, all, &count)) {
        record_count(services, &count);
    }
}
