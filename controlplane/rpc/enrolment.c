/* Enrolment: a certificate for a sidecar's key, against a token or against the certificate before.
 */
#include <stdio.h>
#include <stdlib.h>

#include "api/sidecar.pb-c.h"
#include "base/uuid.h"
#include "controlplane/credentials/join_token.h"
#include "controlplane/rpc/services_internal.h"

enum { NAME_MAX_SIZE = 255, BY_SIZE = 300, ARENA_BLOCK = 4 << 10, ARENA_CAP = 1 << 20 };

/* --- who may enrol -----------------------------------------------------------------------------
 */

static bool check_join_token(const struct call *call, struct bytes token, char by[BY_SIZE],
                             struct rpc_status *out_status)
{
    struct join_token_origin origin;
    struct err_text why = {0};
    if (!snapshot_config(call->snapshot)->enrolment.join_tokens) {
        rpc_status_set(out_status, RPC_PERMISSION_DENIED, "join tokens are switched off");
        return false;
    }
    enum err e = join_token_use(call->services->with.store, token, services_now(call->services),
                                &origin, &why);
    if (e != OK) {
        rpc_status_set(out_status, e == ERR_DENIED ? RPC_UNAUTHENTICATED : RPC_UNAVAILABLE, "%s",
                       e == ERR_DENIED ? why.text : "the join token cannot be checked now");
        return false;
    }
    (void)snprintf(by, BY_SIZE, "join token%s%s of %s", origin.name[0] == '\0' ? "" : " ",
                   origin.name, origin.created_by);
    return true;
}

static bool check_oidc_token(const struct call *call, struct bytes token, char by[BY_SIZE],
                             struct rpc_status *out_status)
{
    struct identity *identity = NULL;
    struct err_text why = {0};
    enum err e = identity_verify(snapshot_verifier(call->snapshot), token, &identity, &why);
    if (e != OK) {
        access_set_token_status(e, &why, out_status);
        return false;
    }
    struct grants_who who = snapshot_who(identity);
    bool may = grants_is_among(&snapshot_config(call->snapshot)->enrolment.oidc, &who);
    if (may) {
        (void)snprintf(by, BY_SIZE, "oidc %.280s", identity->subject);
    } else {
        rpc_status_set(out_status, RPC_PERMISSION_DENIED, "\"%.100s\" may not enrol a sidecar",
                       identity->subject);
    }
    identity_destroy(identity);
    return may;
}

static bool check_proof(const struct call *call, const Chaperone__V1__EnrolRequest *request,
                        char by[BY_SIZE], struct rpc_status *out_status)
{
    switch (request->proof_case) {
    case CHAPERONE__V1__ENROL_REQUEST__PROOF_JOIN_TOKEN:
        return check_join_token(call, bytes_of(request->join_token.data, request->join_token.len),
                                by, out_status);
    case CHAPERONE__V1__ENROL_REQUEST__PROOF_OIDC_TOKEN:
        return check_oidc_token(call, bytes_of(request->oidc_token.data, request->oidc_token.len),
                                by, out_status);
    default: break;
    }
    rpc_status_set(out_status, RPC_UNAUTHENTICATED, "a join token or an OIDC token is needed");
    return false;
}

/* Whoever has a key that was revoked: before the proof, which is not used up. */
static bool check_key(const struct call *call, const uint8_t *key_hash,
                      struct rpc_status *out_status)
{
    struct store_sidecar revoked;
    struct arena *arena = arena_create(ARENA_BLOCK, ARENA_CAP);
    enum err e = arena == NULL ? ERR_NO_MEMORY
                               : store_sidecar_find_revoked(call->services->with.store, key_hash,
                                                            arena, &revoked);
    if (e == OK) {
        access_set_revoked(&revoked, out_status);
    } else if (e != ERR_NOT_FOUND) {
        rpc_status_set(out_status, RPC_UNAVAILABLE, "the control plane cannot read its store");
    }
    arena_destroy(arena);
    return e == ERR_NOT_FOUND;
}

/* --- certificates ------------------------------------------------------------------------------
 */

static bool parse_csr(ProtobufCBinaryData der, struct csr **out, uint8_t *out_key_hash,
                      struct rpc_status *out_status)
{
    struct err_text why = {0};
    if (csr_parse(bytes_of(der.data, der.len), out, &why) != OK) {
        rpc_status_set(out_status, RPC_INVALID_ARGUMENT, "%s", why.text);
        return false;
    }
    crypto_sha256_of(csr_public_key_der(*out), out_key_hash);
    return true;
}

static void fail(const struct call *call, const char *at, enum err e, const struct err_text *why,
                 struct rpc_status *out_status)
{
    log_event(call->services->with.log, LOG_ERROR, "enrolment_failed", log_text("at", at),
              log_text("error", err_name(e)), log_text("reason", why->text));
    rpc_status_set(out_status, RPC_UNAVAILABLE, "the control plane cannot enrol a sidecar now");
}

static void reply_leaf(const struct call *call, const char *id, const struct ca_leaf *leaf,
                       ProtobufCMessage **out_reply, struct rpc_status *out_status)
{
    Chaperone__V1__EnrolResponse response = CHAPERONE__V1__ENROL_RESPONSE__INIT;
    struct bytes pem = buffer_bytes(&leaf->pem);
    struct bytes ca = call->services->with.server_ca_pem;
    response.sidecar = (char *)(uintptr_t)id;
    response.certificate_pem.data = (uint8_t *)(uintptr_t)pem.data;
    response.certificate_pem.len = pem.size;
    response.ca_pem.data = (uint8_t *)(uintptr_t)ca.data;
    response.ca_pem.len = ca.size;
    response.not_after_unix_ns = leaf->not_after_ns;
    services_reply(&response.base, out_reply, out_status);
}

/* --- Enrol -------------------------------------------------------------------------------------
 */

struct enrolling {
    const Chaperone__V1__EnrolRequest *request;
    struct csr *csr;
    uint8_t key_hash[CRYPTO_SHA256_SIZE];
    char id[CA_ID_SIZE];
    bool known; /* it keeps an id that it had */
    char by[BY_SIZE];
};

/* A sidecar may keep the id that its spool names when it still has the key that it was enrolled
 * with. */
static enum err choose_id(const struct call *call, struct enrolling *e)
{
    struct arena *arena = arena_create(ARENA_BLOCK, ARENA_CAP);
    if (arena == NULL) {
        return ERR_NO_MEMORY;
    }
    struct store_sidecar known;
    const char *asked = e->request->sidecar;
    enum err err = asked[0] == '\0' || strlen(asked) >= CA_ID_SIZE
                       ? ERR_NOT_FOUND
                       : store_sidecar_get(call->services->with.store, asked, arena, &known);
    if (err == OK && memcmp(known.key_hash, e->key_hash, sizeof(e->key_hash)) == 0) {
        e->known = true;
        (void)snprintf(e->id, sizeof(e->id), "%s", asked);
    } else if (err == OK || err == ERR_NOT_FOUND) {
        err = uuid_make_v7(&call->services->with.clock, e->id);
    }
    arena_destroy(arena);
    return err;
}

static enum err store_enrolled(const struct call *call, const struct enrolling *e,
                               const struct ca_leaf *leaf)
{
    struct store *store = call->services->with.store;
    if (e->known) {
        return store_sidecar_renew(store, e->id, leaf->serial, leaf->not_after_ns, e->request->name,
                                   e->request->version);
    }
    int64_t now = services_now(call->services);
    struct store_sidecar sidecar = {.id = e->id,
                                    .name = e->request->name,
                                    .version = e->request->version,
                                    .certificate_serial = leaf->serial,
                                    .certificate_not_after_ns = leaf->not_after_ns,
                                    .enrolled_ns = now,
                                    .last_seen_ns = now,
                                    .policy_state = "",
                                    .enrolled_by = e->by};
    memcpy(sidecar.key_hash, e->key_hash, sizeof(sidecar.key_hash));
    return store_sidecar_add(store, &sidecar);
}

static void enrol(const struct call *call, struct enrolling *e, ProtobufCMessage **out_reply,
                  struct rpc_status *out_status)
{
    struct err_text why = {0};
    struct ca_leaf leaf = {0};
    enum err err = choose_id(call, e);
    if (err == OK) {
        err = ca_sign_sidecar(call->services->with.ca, e->csr, e->id,
                              snapshot_config(call->snapshot)->enrolment.certificate_lifetime_ns,
                              &leaf, &why);
    }
    if (err == OK) {
        err = store_enrolled(call, e, &leaf);
    }
    if (err != OK) {
        fail(call, "enrol", err, &why, out_status);
    } else {
        log_event(call->services->with.log, LOG_INFO, "sidecar_enrolled",
                  log_text("sidecar", e->id), log_text("by", e->by),
                  log_text("serial", leaf.serial), log_text("peer", call->peer->address),
                  log_text("identity", e->known ? "kept" : "new"));
        reply_leaf(call, e->id, &leaf, out_reply, out_status);
    }
    buffer_finish(&leaf.pem);
}

void enrolment_enrol(const struct call *call, const ProtobufCMessage *message,
                     ProtobufCMessage **out_reply, struct rpc_status *out_status)
{
    struct enrolling e = {.request = (const Chaperone__V1__EnrolRequest *)message};
    if (strlen(e.request->name) > NAME_MAX_SIZE || strlen(e.request->version) > NAME_MAX_SIZE) {
        rpc_status_set(out_status, RPC_INVALID_ARGUMENT, "name and version have at most %d bytes",
                       NAME_MAX_SIZE);
        return;
    }
    /* The request first: a join token is not used up by a broken one. */
    if (!parse_csr(e.request->csr, &e.csr, e.key_hash, out_status)) {
        return;
    }
    if (check_key(call, e.key_hash, out_status) && check_proof(call, e.request, e.by, out_status)) {
        enrol(call, &e, out_reply, out_status);
    } else {
        log_event(call->services->with.log, LOG_WARN, "enrolment_refused",
                  log_text("peer", call->peer->address),
                  log_text("code", rpc_code_name(out_status->code)),
                  log_text("reason", out_status->message));
    }
    csr_destroy(e.csr);
}

/* --- Renew -------------------------------------------------------------------------------------
 */

static bool is_enrolled_key(const struct call *call, const uint8_t *key_hash)
{
    struct ca_sidecar presented;
    return ca_read_sidecar(call->peer->certificate_pem, services_now(call->services), &presented) ==
               OK &&
           memcmp(presented.key_hash, key_hash, CRYPTO_SHA256_SIZE) == 0;
}

void enrolment_renew(const struct call *call, const ProtobufCMessage *message,
                     ProtobufCMessage **out_reply, struct rpc_status *out_status)
{
    const Chaperone__V1__RenewRequest *request = (const Chaperone__V1__RenewRequest *)message;
    const char *id = call->caller->sidecar;
    uint8_t key_hash[CRYPTO_SHA256_SIZE];
    struct csr *csr = NULL;
    struct err_text why = {0};
    struct ca_leaf leaf = {0};
    if (!parse_csr(request->csr, &csr, key_hash, out_status)) {
        return;
    }
    /* access_check has compared the certificate's key with the enrolled one. */
    if (!is_enrolled_key(call, key_hash)) {
        rpc_status_set(out_status, RPC_PERMISSION_DENIED,
                       "a certificate is renewed for the same key; enrol to use another one");
        csr_destroy(csr);
        return;
    }
    enum err e = ca_sign_sidecar(call->services->with.ca, csr, id,
                                 snapshot_config(call->snapshot)->enrolment.certificate_lifetime_ns,
                                 &leaf, &why);
    if (e == OK) {
        e = store_sidecar_renew(call->services->with.store, id, leaf.serial, leaf.not_after_ns,
                                NULL, NULL);
    }
    if (e != OK) {
        fail(call, "renew", e, &why, out_status);
    } else {
        log_event(call->services->with.log, LOG_INFO, "sidecar_renewed", log_text("sidecar", id),
                  log_text("serial", leaf.serial));
        reply_leaf(call, id, &leaf, out_reply, out_status);
    }
    buffer_finish(&leaf.pem);
    csr_destroy(csr);
}
