/* What explains the entries. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "controlplane/evidence/export_internal.h"

enum {
    /* One part stays below what a message may have (base/rpc: 16 MiB): a policy goes without its
     * source where it would not. */
    POLICY_PART_MAX = 15 << 20,
};

static ProtobufCBinaryData binary(struct bytes data)
{
    return (ProtobufCBinaryData){.data = (uint8_t *)(uintptr_t)data.data, .len = data.size};
}

static enum err send_approval(void *context, const char *id)
{
    struct export *x = context;
    struct store_approval approval;
    arena_reset(x->page);
    enum err e = store_approval_get(x->with->store, id, x->page, &approval);
    if (e == ERR_NOT_FOUND || e == ERR_EXISTS || (e == OK && strcmp(approval.id, id) != 0)) {
        return OK; /* a record named it that the store does not know */
    }
    Chaperone__V1__HeldOperation *held =
        e != OK
            ? NULL
            : chaperone__v1__held_operation__unpack(NULL, approval.held.size, approval.held.data);
    if (held == NULL) {
        return e == OK ? ERR_INTERNAL : e;
    }
    Chaperone__V1__ExportPart part = CHAPERONE__V1__EXPORT_PART__INIT;
    part.part_case = CHAPERONE__V1__EXPORT_PART__PART_APPROVAL;
    part.approval = held;
    e = export_send(x, &part) ? OK : ERR_CLOSED;
    chaperone__v1__held_operation__free_unpacked(held, NULL);
    return e;
}

/* --- policies ----------------------------------------------------------------------------------
 */

static enum err send_policy(struct export *x, const struct store_policy *policy)
{
    Chaperone__V1__ExportPart part = CHAPERONE__V1__EXPORT_PART__INIT;
    Chaperone__V1__ExportPolicy message = CHAPERONE__V1__EXPORT_POLICY__INIT;
    message.revision = policy->revision;
    message.hash = export_text(policy->hash);
    message.document = binary(policy->document);
    message.signature = binary(policy->signature);
    message.public_key = binary(policy->public_key);
    bool fits = strlen(policy->source) + policy->document.size < POLICY_PART_MAX;
    message.source = export_text(fits ? policy->source : "");
    message.created_by = export_text(policy->created_by);
    message.message = export_text(policy->message == NULL ? "" : policy->message);
    message.created_unix_ns = policy->created_ns;
    part.part_case = CHAPERONE__V1__EXPORT_PART__PART_POLICY;
    part.policy = &message;
    return export_send(x, &part) ? OK : ERR_CLOSED;
}

/* Those that were in force within the time asked for: made in it, and the last one before it. */
static bool was_in_force(const struct export *x, const struct store_policy *policy,
                         bool *found_first)
{
    int64_t until = x->filter.until_ns == 0 ? INT64_MAX : x->filter.until_ns;
    if (policy->created_ns > until || *found_first) {
        return false;
    }
    *found_first = policy->created_ns <= x->filter.since_ns;
    return true;
}

static enum err send_policies(struct export *x)
{
    struct store_policy policy;
    bool found_first = false;
    arena_reset(x->page);
    enum err e = store_policy_latest(x->with->store, x->page, &policy);
    uint64_t newest = e == OK ? policy.revision : 0;
    e = e == ERR_NOT_FOUND ? OK : e;
    for (uint64_t revision = newest; e == OK && revision > 0; revision--) {
        char name[24];
        arena_reset(x->page);
        e = store_policy_get(x->with->store, revision, x->page, &policy);
        if (e == ERR_NOT_FOUND) {
            e = OK; /* revisions may leave numbers out */
            continue;
        }
        (void)snprintf(name, sizeof(name), "%" PRIu64, revision);
        if (e == OK &&
            (was_in_force(x, &policy, &found_first) || text_set_has(&x->policies, name))) {
            e = send_policy(x, &policy);
        }
    }
    return e;
}

/* --- sidecars, issuers -------------------------------------------------------------------------
 */

static enum err send_sidecar(void *context, const char *id)
{
    struct export *x = context;
    struct store_sidecar sidecar;
    arena_reset(x->page);
    enum err e = store_sidecar_get(x->with->store, id, x->page, &sidecar);
    if (e != OK) {
        return e == ERR_NOT_FOUND ? OK : e; /* the control plane's own stream is no sidecar's */
    }
    Chaperone__V1__ExportPart part = CHAPERONE__V1__EXPORT_PART__INIT;
    Chaperone__V1__ExportSidecar message = CHAPERONE__V1__EXPORT_SIDECAR__INIT;
    message.sidecar = export_text(sidecar.id);
    message.name = export_text(sidecar.name);
    message.key_hash = binary(bytes_of(sidecar.key_hash, sizeof(sidecar.key_hash)));
    message.enrolled_by = export_text(sidecar.enrolled_by);
    message.enrolled_unix_ns = sidecar.enrolled_ns;
    part.part_case = CHAPERONE__V1__EXPORT_PART__PART_SIDECAR;
    part.sidecar = &message;
    return export_send(x, &part) ? OK : ERR_CLOSED;
}

static enum err send_issuer_keys(struct export *x)
{
    struct store_issuer_key *keys = NULL;
    size_t count = 0;
    arena_reset(x->page);
    enum err e = store_issuer_key_list(x->with->store, x->page, &keys, &count);
    for (size_t i = 0; e == OK && i < count; i++) {
        Chaperone__V1__ExportPart part = CHAPERONE__V1__EXPORT_PART__INIT;
        Chaperone__V1__ExportIssuerKey message = CHAPERONE__V1__EXPORT_ISSUER_KEY__INIT;
        message.issuer = export_text(keys[i].issuer);
        message.key_id = export_text(keys[i].key_id);
        message.jwk = export_text(keys[i].jwk);
        message.first_seen_unix_ns = keys[i].first_seen_ns;
        message.last_seen_unix_ns = keys[i].last_seen_ns;
        part.part_case = CHAPERONE__V1__EXPORT_PART__PART_ISSUER_KEY;
        part.issuer_key = &message;
        e = export_send(x, &part) ? OK : ERR_CLOSED;
    }
    return e;
}

enum err export_send_context(struct export *x)
{
    enum err e = text_set_each(&x->approvals, send_approval, x);
    e = e == OK ? send_policies(x) : e;
    e = e == OK ? text_set_each(&x->sidecars, send_sidecar, x) : e;
    return e == OK ? send_issuer_keys(x) : e;
}
