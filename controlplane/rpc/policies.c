/* Policies: publishing revisions and reading them. */
#include <inttypes.h>
#include <stdio.h>

#include "api/policy.pb-c.h"
#include "controlplane/policy/document.h"
#include "controlplane/rpc/describe.h"
#include "controlplane/rpc/services_internal.h"

enum {
    ARENA_BLOCK = 64 << 10,
    ARENA_CAP = 64 << 20,
    MESSAGE_SIZE_MAX = 1024, /* a reason, not a text */
    NAME_SIZE_MAX = 256,
    LIST_DEFAULT = 100,
    LIST_MAX = 1000,
    AUTHOR_SIZE = 1024,
};

static char *unconst(const char *text)
{
    return (char *)(uintptr_t)text;
}

static void store_failed(const struct call *call, const char *at, enum err e,
                         struct rpc_status *out_status)
{
    log_event(call->services->with.log, LOG_ERROR, "store_failed", log_text("at", at),
              log_text("error", err_name(e)));
    rpc_status_set(out_status, RPC_UNAVAILABLE, "the control plane cannot use its store");
}

static void no_revision(uint64_t revision, struct rpc_status *out_status)
{
    rpc_status_set(out_status, RPC_NOT_FOUND, "there is no policy revision %" PRIu64, revision);
}

/* --- publishing --------------------------------------------------------------------------------
 */

static bool fits(const char *message, struct rpc_status *out_status)
{
    if (strlen(message) <= MESSAGE_SIZE_MAX) {
        return true;
    }
    rpc_status_set(out_status, RPC_INVALID_ARGUMENT, "the message has more than %d bytes",
                   MESSAGE_SIZE_MAX);
    return false;
}

/* A subject alone might be one of the names that the configuration's revisions have. */
static void name_author(const struct call *call, char out[AUTHOR_SIZE])
{
    (void)snprintf(out, AUTHOR_SIZE, "%.480s (%.480s)", call->caller->who->subject,
                   call->caller->who->issuer);
}

/* The revision itself says who made it: where this fails, which is logged, it is still known. */
static void record_publication(const struct call *call, const struct publisher_result *result,
                               const char *message)
{
    char object[192], reason[DESCRIBE_SIZE];
    (void)snprintf(object, sizeof(object), "revision %" PRIu64 " (%s), %s", result->revision,
                   result->hash, result->changed ? "new" : "as before");
    describe_plain(message, reason);
    enum err e = services_record(call, "policy", object, reason);
    (void)e;
}

static void publish(const struct call *call, const struct policy_document *document,
                    const char *message, uint64_t expect, ProtobufCMessage **out_reply,
                    struct rpc_status *out_status)
{
    Chaperone__V1__PushPolicyResponse response = CHAPERONE__V1__PUSH_POLICY_RESPONSE__INIT;
    struct publisher_result result = {0};
    struct err_text why = {0};
    char author[AUTHOR_SIZE];
    name_author(call, author);
    const struct publisher_draft draft = {.document = buffer_bytes(&document->canonical),
                                          .source = document->source,
                                          .created_by = author,
                                          .message = message,
                                          .expect = expect};
    enum err e = publisher_publish(call->services->with.publisher, &draft, &result, &why);
    if (e == ERR_EXISTS) {
        rpc_status_set(out_status, RPC_ABORTED, "%s", why.text);
    } else if (e != OK) {
        store_failed(call, "policy_publish", e, out_status);
    } else {
        watchers_push_policy(call->services->watchers);
        record_publication(call, &result, message);
        response.revision = result.revision;
        response.hash = result.hash;
        response.changed = result.changed;
        log_event(call->services->with.log, LOG_INFO, "policy_published",
                  log_number("revision", (int64_t)result.revision), log_text("hash", result.hash),
                  log_text("revision_is", result.changed ? "new" : "as before"));
        services_reply(&response.base, out_reply, out_status);
    }
}

void policies_push(const struct call *call, const ProtobufCMessage *message,
                   ProtobufCMessage **out_reply, struct rpc_status *out_status)
{
    const Chaperone__V1__PushPolicyRequest *request =
        (const Chaperone__V1__PushPolicyRequest *)message;
    struct policy_document document;
    struct err_text why = {0};
    char name[NAME_SIZE_MAX];
    (void)snprintf(name, sizeof(name), "%.200s",
                   request->name[0] == '\0' ? "policy" : request->name);
    if (fits(request->message, out_status)) {
        enum err e = policy_document_parse(
            name, bytes_of(request->source.data, request->source.len), &document, &why);
        if (e == OK) {
            publish(call, &document, request->message, request->expect_revision, out_reply,
                    out_status);
            policy_document_finish(&document);
        } else {
            rpc_status_set(out_status,
                           e == ERR_NO_MEMORY ? RPC_RESOURCE_EXHAUSTED : RPC_INVALID_ARGUMENT, "%s",
                           why.text[0] == '\0' ? err_name(e) : why.text);
        }
    }
    services_log_action(call, "policy_push", request->message, rpc_code_name(out_status->code));
}

/* What was a policy when it was pushed need not be one for this version. */
static void publish_again(const struct call *call, const struct store_policy *old,
                          const Chaperone__V1__RollbackPolicyRequest *request,
                          ProtobufCMessage **out_reply, struct rpc_status *out_status)
{
    struct policy_document document;
    struct err_text why = {0};
    char name[64], message[64];
    (void)snprintf(name, sizeof(name), "revision %" PRIu64, old->revision);
    (void)snprintf(message, sizeof(message), "rollback to revision %" PRIu64, old->revision);
    struct bytes text = old->source[0] == '\0' ? old->document : bytes_of_string(old->source);
    enum err e = policy_document_parse(name, text, &document, &why);
    if (e != OK) {
        rpc_status_set(out_status, RPC_FAILED_PRECONDITION, "%s",
                       why.text[0] == '\0' ? err_name(e) : why.text);
        return;
    }
    publish(call, &document, request->message[0] == '\0' ? message : request->message,
            request->expect_revision, out_reply, out_status);
    policy_document_finish(&document);
}

void policies_rollback(const struct call *call, const ProtobufCMessage *message,
                       ProtobufCMessage **out_reply, struct rpc_status *out_status)
{
    const Chaperone__V1__RollbackPolicyRequest *request =
        (const Chaperone__V1__RollbackPolicyRequest *)message;
    struct arena *arena = arena_create(ARENA_BLOCK, ARENA_CAP);
    struct store_policy old;
    char object[32];
    enum err e = arena == NULL ? ERR_NO_MEMORY
                 : request->revision == 0
                     ? ERR_NOT_FOUND
                     : store_policy_get(call->services->with.store, request->revision, arena, &old);
    if (e == ERR_NOT_FOUND || e == ERR_INVALID) {
        no_revision(request->revision, out_status);
    } else if (e != OK) {
        store_failed(call, "policy_get", e, out_status);
    } else if (fits(request->message, out_status)) {
        publish_again(call, &old, request, out_reply, out_status);
    }
    (void)snprintf(object, sizeof(object), "%" PRIu64, request->revision);
    services_log_action(call, "policy_rollback", object, rpc_code_name(out_status->code));
    arena_destroy(arena);
}

/* --- reading -----------------------------------------------------------------------------------
 */

static void fill(const struct store_policy *policy, Chaperone__V1__PolicyRevision *out)
{
    chaperone__v1__policy_revision__init(out);
    out->revision = policy->revision;
    out->hash = unconst(policy->hash);
    out->created_by = unconst(policy->created_by);
    out->created_unix_ns = policy->created_ns;
    out->message = unconst(policy->message);
}

/* The documents are read one at a time and dropped: many of them may be large. */
static enum err fill_one(const struct call *call, struct arena *arena, uint64_t revision,
                         Chaperone__V1__PolicyRevision **out)
{
    struct arena *scratch = arena_create(ARENA_BLOCK, ARENA_CAP);
    struct store_policy policy;
    enum err e = scratch == NULL
                     ? ERR_NO_MEMORY
                     : store_policy_get(call->services->with.store, revision, scratch, &policy);
    Chaperone__V1__PolicyRevision *item = e == OK ? arena_alloc(arena, sizeof(*item)) : NULL;
    if (item != NULL) {
        policy.hash = arena_copy_string(arena, bytes_of_string(policy.hash));
        policy.created_by = arena_copy_string(arena, bytes_of_string(policy.created_by));
        policy.message = arena_copy_string(arena, bytes_of_string(policy.message));
        fill(&policy, item);
    }
    if (e == OK &&
        (item == NULL || item->hash == NULL || item->created_by == NULL || item->message == NULL)) {
        e = ERR_NO_MEMORY;
    }
    arena_destroy(scratch);
    *out = e == OK ? item : *out;
    return e;
}

static enum err fill_list(const struct call *call, struct arena *arena, uint64_t newest,
                          size_t limit, Chaperone__V1__ListPoliciesResponse *out)
{
    enum err e = OK;
    out->policies = arena_alloc(arena, (limit + 1) * sizeof(void *));
    if (out->policies == NULL) {
        return ERR_NO_MEMORY;
    }
    for (uint64_t r = newest; e == OK && r > 0 && out->n_policies < limit; r--) {
        e = fill_one(call, arena, r, &out->policies[out->n_policies]);
        out->n_policies += e == OK ? 1 : 0;
        e = e == ERR_NOT_FOUND ? OK : e;
    }
    return e;
}

void policies_list(const struct call *call, const ProtobufCMessage *message,
                   ProtobufCMessage **out_reply, struct rpc_status *out_status)
{
    const Chaperone__V1__ListPoliciesRequest *request =
        (const Chaperone__V1__ListPoliciesRequest *)message;
    Chaperone__V1__ListPoliciesResponse response = CHAPERONE__V1__LIST_POLICIES_RESPONSE__INIT;
    struct arena *arena = arena_create(ARENA_BLOCK, ARENA_CAP);
    const struct publication *newest = publisher_current(call->services->with.publisher);
    size_t limit = request->limit == 0         ? LIST_DEFAULT
                   : request->limit > LIST_MAX ? LIST_MAX
                                               : request->limit;
    enum err e = arena == NULL ? ERR_NO_MEMORY
                               : fill_list(call, arena, newest == NULL ? 0 : newest->revision,
                                           limit, &response);
    if (e == OK) {
        services_reply(&response.base, out_reply, out_status);
    } else {
        store_failed(call, "policy_list", e, out_status);
    }
    publication_release(newest);
    arena_destroy(arena);
}

void policies_get(const struct call *call, const ProtobufCMessage *message,
                  ProtobufCMessage **out_reply, struct rpc_status *out_status)
{
    const Chaperone__V1__GetPolicyRequest *request =
        (const Chaperone__V1__GetPolicyRequest *)message;
    Chaperone__V1__GetPolicyResponse response = CHAPERONE__V1__GET_POLICY_RESPONSE__INIT;
    Chaperone__V1__PolicyRevision revision;
    struct store *store = call->services->with.store;
    struct arena *arena = arena_create(ARENA_BLOCK, ARENA_CAP);
    struct store_policy policy;
    enum err e = arena == NULL ? ERR_NO_MEMORY
                 : request->revision == 0
                     ? store_policy_latest(store, arena, &policy)
                     : store_policy_get(store, request->revision, arena, &policy);
    if (e == ERR_NOT_FOUND || e == ERR_INVALID) {
        no_revision(request->revision, out_status);
    } else if (e != OK) {
        store_failed(call, "policy_get", e, out_status);
    } else {
        struct bytes source =
            policy.source[0] == '\0' ? policy.document : bytes_of_string(policy.source);
        fill(&policy, &revision);
        response.policy = &revision;
        response.source.data = (uint8_t *)(uintptr_t)source.data;
        response.source.len = source.size;
        response.document.data = (uint8_t *)(uintptr_t)policy.document.data;
        response.document.len = policy.document.size;
        services_reply(&response.base, out_reply, out_status);
    }
    arena_destroy(arena);
}
