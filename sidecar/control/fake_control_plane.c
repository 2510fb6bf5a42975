#include "sidecar/control/fake_control_plane.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "api/audit.pb-c.h"
#include "sidecar/control/uplink.h"

static void need(bool ok)
{
    if (!ok) {
        abort();
    }
}

static void lock(struct fake *f)
{
    (void)pthread_mutex_lock(&f->lock);
}

static void unlock(struct fake *f)
{
    (void)pthread_mutex_unlock(&f->lock);
}

static bool is_token(const ProtobufCBinaryData *b, const char *expected)
{
    return expected[0] != '\0' && bytes_equal_string(bytes_of(b->data, b->len), expected);
}

static void copy_text(char *out, const ProtobufCBinaryData *b)
{
    (void)snprintf(out, FAKE_TEXT, "%.*s", (int)b->len, (const char *)b->data);
}

/* ---- enrolment ---- */

static void certify(struct fake *f, const ProtobufCBinaryData *csr, ProtobufCMessage **out,
                    struct rpc_status *status)
{
    struct buffer pem;
    buffer_init(&pem, 64 << 10);
    if (!fake_ca_sign(&f->ca, bytes_of(csr->data, csr->len), f->lifetime_s, f->wrong_key, &pem,
                      f->seen_key)) {
        rpc_status_set(status, RPC_INVALID_ARGUMENT, "the request is not signed");
    } else {
        Chaperone__V1__EnrolResponse r = CHAPERONE__V1__ENROL_RESPONSE__INIT;
        r.sidecar = f->sidecar;
        r.certificate_pem = (ProtobufCBinaryData){.data = pem.data, .len = buffer_size(&pem)};
        r.ca_pem = (ProtobufCBinaryData){.data = f->ca.pem.data, .len = buffer_size(&f->ca.pem)};
        *out = rpc_reply_copy(&r.base);
        need(*out != NULL);
        rpc_status_set(status, RPC_OK, "%s", "");
    }
    buffer_finish(&pem);
}

static void enrol(void *context, const struct rpc_peer *peer, const ProtobufCMessage *message,
                  ProtobufCMessage **out, struct rpc_status *status)
{
    (void)peer;
    struct fake *f = context;
    const Chaperone__V1__EnrolRequest *r = (const Chaperone__V1__EnrolRequest *)message;
    bool by_join = r->proof_case == CHAPERONE__V1__ENROL_REQUEST__PROOF_JOIN_TOKEN;
    lock(f);
    (void)snprintf(f->seen_name, FAKE_TEXT, "%s", r->name);
    (void)snprintf(f->seen_version, FAKE_TEXT, "%s", r->version);
    (void)snprintf(f->seen_sidecar, FAKE_TEXT, "%s", r->sidecar);
    if (by_join ? is_token(&r->join_token, f->join_token)
                : is_token(&r->oidc_token, f->oidc_token)) {
        certify(f, &r->csr, out, status);
        f->enrolled++;
    } else {
        rpc_status_set(status, RPC_UNAUTHENTICATED, "this token is not known");
        f->refused++;
    }
    unlock(f);
}

static void renew(void *context, const struct rpc_peer *peer, const ProtobufCMessage *message,
                  ProtobufCMessage **out, struct rpc_status *status)
{
    (void)peer;
    struct fake *f = context;
    lock(f);
    certify(f, &((const Chaperone__V1__RenewRequest *)message)->csr, out, status);
    f->renewed++;
    unlock(f);
}

/* ---- sessions ---- */

static void open_session(void *context, const struct rpc_peer *peer,
                         const ProtobufCMessage *message, ProtobufCMessage **out,
                         struct rpc_status *status)
{
    struct fake *f = context;
    const Chaperone__V1__OpenSessionRequest *request =
        (const Chaperone__V1__OpenSessionRequest *)message;
    lock(f);
    f->opened++;
    copy_text(f->seen_token, &request->token);
    enum rpc_code code = f->open_code;
    bool hangs = f->open_hangs;
    unlock(f);
    while (hangs && !peer->is_cancelled(peer)) {
        struct timespec moment = {.tv_nsec = 5000000};
        (void)nanosleep(&moment, NULL);
        lock(f);
        hangs = f->open_hangs;
        unlock(f);
    }
    if (code != RPC_OK) {
        rpc_status_set(status, code, "no grant covers this");
        return;
    }
    Chaperone__V1__OpenSessionResponse r = CHAPERONE__V1__OPEN_SESSION_RESPONSE__INIT;
    Chaperone__V1__Target target = CHAPERONE__V1__TARGET__INIT;
    Chaperone__V1__Credential credential = CHAPERONE__V1__CREDENTIAL__INIT;
    Chaperone__V1__Identity identity = CHAPERONE__V1__IDENTITY__INIT;
    Chaperone__V1__Delegate delegate = CHAPERONE__V1__DELEGATE__INIT, *delegates[] = {&delegate};
    target.host = "db.internal";
    target.port = 5432;
    credential.user = "app";
    credential.password = (ProtobufCBinaryData){.data = (uint8_t *)"hunter2", .len = 7};
    identity.subject = "agent-7";
    delegate.subject = "alice";
    r.identity = &identity;
    r.on_behalf_of = delegates;
    r.n_on_behalf_of = 1;
    r.target = &target;
    r.credential = &credential;
    r.grant = "orders";
    *out = rpc_reply_copy(&r.base);
    need(*out != NULL);
    rpc_status_set(status, RPC_OK, "%s", "");
}

/* ---- approvals ---- */

static void request_approval(void *context, const struct rpc_peer *peer,
                             const ProtobufCMessage *message, ProtobufCMessage **out,
                             struct rpc_status *status)
{
    struct fake *f = context;
    const Chaperone__V1__RequestApprovalRequest *request =
        (const Chaperone__V1__RequestApprovalRequest *)message;
    Chaperone__V1__RequestApprovalResponse r = CHAPERONE__V1__REQUEST_APPROVAL_RESPONSE__INIT;
    Chaperone__V1__ApprovalDecided decided = CHAPERONE__V1__APPROVAL_DECIDED__INIT;
    lock(f);
    f->approvals++;
    (void)snprintf(f->seen_approval, FAKE_TEXT, "%s",
                   request->held == NULL ? "" : request->held->id);
    enum rpc_code code = f->approval_code;
    bool hangs = f->approval_hangs;
    unlock(f);
    while (hangs && !peer->is_cancelled(peer)) {
        struct timespec moment = {.tv_nsec = 5000000};
        (void)nanosleep(&moment, NULL);
    }
    if (code != RPC_OK) {
        rpc_status_set(status, code, "not now");
        return;
    }
    decided.id = request->held == NULL ? decided.id : request->held->id;
    decided.state = CHAPERONE__V1__APPROVAL_STATE__WAITING;
    r.decided = &decided;
    *out = rpc_reply_copy(&r.base);
    need(*out != NULL);
    rpc_status_set(status, RPC_OK, "%s", "");
}

static void end_approval(void *context, const struct rpc_peer *peer,
                         const ProtobufCMessage *message, ProtobufCMessage **out,
                         struct rpc_status *status)
{
    (void)peer;
    struct fake *f = context;
    const Chaperone__V1__EndApprovalRequest *request =
        (const Chaperone__V1__EndApprovalRequest *)message;
    Chaperone__V1__EndApprovalResponse r = CHAPERONE__V1__END_APPROVAL_RESPONSE__INIT;
    lock(f);
    f->end_attempts++;
    enum rpc_code code = f->end_code;
    if (code == RPC_OK) {
        f->ends++;
        f->seen_end_state = request->state;
        (void)snprintf(f->seen_end, FAKE_TEXT, "%s", request->id);
        (void)snprintf(f->seen_end_reason, FAKE_TEXT, "%s", request->reason);
    }
    unlock(f);
    if (code != RPC_OK) {
        rpc_status_set(status, code, "not now");
        return;
    }
    *out = rpc_reply_copy(&r.base);
    need(*out != NULL);
    rpc_status_set(status, RPC_OK, "%s", "");
}

/* ---- watch ---- */

static void on_watch_message(void *context, struct rpc_stream *stream,
                             const ProtobufCMessage *message)
{
    (void)stream;
    struct fake *f = context;
    const Chaperone__V1__WatchRequest *r = (const Chaperone__V1__WatchRequest *)message;
    lock(f);
    if (r->hello != NULL) {
        f->hellos++;
        f->hello_revision = r->hello->policy_revision;
        f->hello_resources = r->hello->n_resources;
        f->hello_sessions = r->hello->n_open_sessions;
        (void)snprintf(f->hello_held, FAKE_TEXT, "%s",
                       r->hello->n_held > 0 ? r->hello->held[0] : "");
    }
    if (r->policy != NULL) {
        f->acks++;
        f->ack_revision = r->policy->revision;
        f->ack_active = r->policy->active;
        (void)snprintf(f->ack_error, sizeof(f->ack_error), "%s", r->policy->error);
    }
    if (r->done != NULL) {
        f->dones++;
        f->done_sessions = r->done->n_sessions;
        f->done_ns = r->done->done_unix_ns;
        (void)snprintf(f->done_order, FAKE_TEXT, "%s", r->done->order);
        (void)snprintf(f->done_session, FAKE_TEXT, "%s",
                       r->done->n_sessions > 0 ? r->done->sessions[0] : "");
        (void)snprintf(f->done_error, FAKE_TEXT, "%s", r->done->error);
    }
    unlock(f);
}

static void on_half_close(void *context, struct rpc_stream *stream)
{
    (void)context;
    rpc_stream_finish(stream, RPC_OK, "");
}

static void on_watch_end(void *context, struct rpc_stream *stream, const struct rpc_status *status)
{
    (void)status;
    struct fake *f = context;
    lock(f);
    if (f->watch == stream) {
        f->watch = NULL;
    }
    unlock(f);
    rpc_stream_release(stream);
}

static void watch(void *context, const struct rpc_peer *peer, struct rpc_stream *stream,
                  struct rpc_stream_events *events, void **out_context, struct rpc_status *status)
{
    (void)peer;
    struct fake *f = context;
    *events = (struct rpc_stream_events){
        .on_message = on_watch_message, .on_half_close = on_half_close, .on_end = on_watch_end};
    *out_context = f;
    lock(f);
    f->watch = stream;
    f->watches++;
    unlock(f);
    rpc_status_set(status, RPC_OK, "%s", "");
}

/* ---- audit ---- */

static void resume(void *context, const struct rpc_peer *peer, const ProtobufCMessage *message,
                   ProtobufCMessage **out, struct rpc_status *status)
{
    (void)peer;
    (void)message;
    struct fake *f = context;
    Chaperone__V1__ResumeResponse r = CHAPERONE__V1__RESUME_RESPONSE__INIT;
    lock(f);
    f->resumes++;
    r.sequence = f->last;
    if (f->last > 0) {
        r.hash = (ProtobufCBinaryData){.data = f->last_hash, .len = FAKE_HASH};
    }
    *out = rpc_reply_copy(&r.base);
    unlock(f);
    need(*out != NULL);
    rpc_status_set(status, RPC_OK, "%s", "");
}

/* False: refused, as the real one does. */
static bool take_record(struct fake *f, const ProtobufCBinaryData *bytes)
{
    static const uint8_t leaf = 0;
    Chaperone__V1__Record *r = chaperone__v1__record__unpack(NULL, bytes->len, bytes->data);
    need(r != NULL);
    bool is_next = r->sequence == f->last + 1 && r->previous.len == FAKE_HASH &&
                   memcmp(r->previous.data, f->last_hash, FAKE_HASH) == 0;
    if (r->sequence <= f->last) {
        f->duplicates++;
    } else if (!is_next) {
        f->breaks++;
    } else {
        f->losses += r->event_case == CHAPERONE__V1__RECORD__EVENT_LOSS ? 1 : 0;
        f->records++;
        f->intents += r->event_case == CHAPERONE__V1__RECORD__EVENT_INTENT ? 1 : 0;
        f->last = r->sequence;
        struct crypto_sha256 hash;
        crypto_sha256_init(&hash);
        crypto_sha256_update(&hash, bytes_of(&leaf, 1));
        crypto_sha256_update(&hash, bytes_of(bytes->data, bytes->len));
        crypto_sha256_finish(&hash, f->last_hash);
    }
    bool is_taken = is_next || r->sequence <= f->last;
    chaperone__v1__record__free_unpacked(r, NULL);
    return is_taken;
}

static void on_shipped(void *context, struct rpc_stream *stream, const ProtobufCMessage *message)
{
    struct fake *f = context;
    const Chaperone__V1__ShipRequest *r = (const Chaperone__V1__ShipRequest *)message;
    Chaperone__V1__ShipResponse answer = CHAPERONE__V1__SHIP_RESPONSE__INIT;
    lock(f);
    f->batches++;
    need(r->n_records <= UPLINK_BATCH_RECORDS);
    bool is_taken = true;
    for (size_t i = 0; i < r->n_records && is_taken; i++) {
        is_taken = take_record(f, &r->records[i]);
    }
    answer.sequence = f->wild_acknowledgements ? f->last + 1000 : f->last;
    bool silent = f->no_acknowledgements;
    unlock(f);
    if (!is_taken) {
        rpc_stream_finish(stream, RPC_INVALID_ARGUMENT, "a gap");
    } else if (!silent) {
        enum err sent = rpc_stream_send(stream, &answer.base);
        (void)sent;
    }
}

static void on_ship_end(void *context, struct rpc_stream *stream, const struct rpc_status *status)
{
    (void)context;
    (void)status;
    rpc_stream_release(stream);
}

static void ship(void *context, const struct rpc_peer *peer, struct rpc_stream *stream,
                 struct rpc_stream_events *events, void **out_context, struct rpc_status *status)
{
    (void)peer;
    (void)stream;
    struct fake *f = context;
    *events = (struct rpc_stream_events){
        .on_message = on_shipped, .on_half_close = on_half_close, .on_end = on_ship_end};
    *out_context = f;
    lock(f);
    f->streams++;
    unlock(f);
    rpc_status_set(status, RPC_OK, "%s", "");
}

/* ---- the servers ---- */

static const struct rpc_method enrolment_methods[] = {
    {.name = "Enrol", .unary = enrol}, {.name = "Renew", .unary = renew}, {0}};
static const struct rpc_method sidecar_methods[] = {
    {.name = "OpenSession", .unary = open_session},
    {.name = "RequestApproval", .unary = request_approval},
    {.name = "EndApproval", .unary = end_approval},
    {.name = "Watch", .stream = watch},
    {0}};
static const struct rpc_method audit_methods[] = {
    {.name = "Resume", .unary = resume}, {.name = "Ship", .stream = ship}, {0}};

static struct rpc_server *start_server(struct fake *f, bool with_certificate)
{
    struct rpc_server *s = NULL;
    struct err_text why;
    const struct rpc_server_options options = {.address = "127.0.0.1:0"};
    need(rpc_server_create(f->runtime, &options, &s, &why) == OK);
    need(rpc_server_add(s, &chaperone__v1__enrolment__descriptor, enrolment_methods, f) == OK);
    if (with_certificate) {
        need(rpc_server_add(s, &chaperone__v1__sidecar__descriptor, sidecar_methods, f) == OK);
        need(rpc_server_add(s, &chaperone__v1__audit_ingest__descriptor, audit_methods, f) == OK);
    }
    need(rpc_server_start(s, &why) == OK);
    return s;
}

void fake_start(struct fake *f, const char *names)
{
    memset(f, 0, sizeof(*f));
    (void)pthread_mutex_init(&f->lock, NULL);
    (void)snprintf(f->join_token, FAKE_TEXT, "join-me");
    (void)snprintf(f->sidecar, FAKE_TEXT, "0193a3c2-0000-7000-8000-000000000001");
    f->lifetime_s = 86400;
    fake_ca_init(&f->ca);
    need(crypto_ed25519_generate(&f->policy_key) == OK);
    need(rpc_runtime_create(2, NULL, &f->runtime) == OK);
    f->servers[0] = start_server(f, false);
    f->servers[1] = start_server(f, true);
    f->door = fake_door_open(&f->ca, names, rpc_server_port(f->servers[0]),
                             rpc_server_port(f->servers[1]));
}

void fake_stop(struct fake *f)
{
    fake_door_close(f->door);
    for (int i = 0; i < 2; i++) {
        rpc_server_shutdown(f->servers[i], 0);
        rpc_server_destroy(f->servers[i]);
    }
    rpc_runtime_destroy(f->runtime);
    crypto_ed25519_destroy(f->policy_key);
    fake_ca_finish(&f->ca);
    (void)pthread_mutex_destroy(&f->lock);
}

/* ---- pushes ---- */

static bool push(struct fake *f, const Chaperone__V1__WatchResponse *message)
{
    lock(f);
    bool sent = f->watch != NULL && rpc_stream_send(f->watch, &message->base) == OK;
    unlock(f);
    return sent;
}

bool fake_push_policy_by(struct fake *f, uint64_t revision, const char *document,
                         const struct crypto_ed25519 *key, bool spoil)
{
    uint8_t hash[CRYPTO_SHA256_SIZE];
    char hex[2 * CRYPTO_SHA256_SIZE + 1];
    char message[160];
    uint8_t signature[CRYPTO_ED25519_SIGNATURE_SIZE];
    uint8_t raw[CRYPTO_ED25519_PUBLIC_SIZE];
    uint8_t der[CRYPTO_ED25519_DER_SIZE];
    crypto_sha256_of(bytes_of_string(document), hash);
    crypto_hex_encode(bytes_of(hash, sizeof(hash)), hex);
    int n =
        snprintf(message, sizeof(message), "chaperone policy v1\n%" PRIu64 "\n%s", revision, hex);
    need(crypto_ed25519_sign(key, bytes_of(message, (size_t)n), signature) == OK);
    signature[0] ^= spoil ? 1 : 0;
    crypto_ed25519_public(key, raw);
    need(crypto_ed25519_public_to_der(raw, der) == OK);
    Chaperone__V1__PolicyBundle bundle = CHAPERONE__V1__POLICY_BUNDLE__INIT;
    Chaperone__V1__WatchResponse response = CHAPERONE__V1__WATCH_RESPONSE__INIT;
    bundle.revision = revision;
    bundle.document =
        (ProtobufCBinaryData){.data = (uint8_t *)(uintptr_t)document, .len = strlen(document)};
    bundle.signature = (ProtobufCBinaryData){.data = signature, .len = sizeof(signature)};
    bundle.public_key = (ProtobufCBinaryData){.data = der, .len = sizeof(der)};
    bundle.hash = hex;
    response.push_case = CHAPERONE__V1__WATCH_RESPONSE__PUSH_POLICY;
    response.policy = &bundle;
    return push(f, &response);
}

bool fake_push_policy(struct fake *f, uint64_t revision, const char *document)
{
    return fake_push_policy_by(f, revision, document, f->policy_key, false);
}

bool fake_push_kill(struct fake *f, const char *order, const char *session)
{
    Chaperone__V1__KillSession kill = CHAPERONE__V1__KILL_SESSION__INIT;
    kill.order = (char *)(uintptr_t)order;
    kill.session = (char *)(uintptr_t)session;
    kill.ordered_by = "alice";
    kill.reason = "it went too far";
    return fake_push_order(f, &kill);
}

bool fake_push_order(struct fake *f, const Chaperone__V1__KillSession *order)
{
    Chaperone__V1__WatchResponse response = CHAPERONE__V1__WATCH_RESPONSE__INIT;
    response.push_case = CHAPERONE__V1__WATCH_RESPONSE__PUSH_KILL;
    response.kill = (Chaperone__V1__KillSession *)(uintptr_t)order;
    return push(f, &response);
}

bool fake_push_decided(struct fake *f, const char *approval, Chaperone__V1__ApprovalState state)
{
    Chaperone__V1__ApprovalDecided decided = CHAPERONE__V1__APPROVAL_DECIDED__INIT;
    Chaperone__V1__WatchResponse response = CHAPERONE__V1__WATCH_RESPONSE__INIT;
    decided.id = (char *)(uintptr_t)approval;
    decided.state = state;
    response.push_case = CHAPERONE__V1__WATCH_RESPONSE__PUSH_DECIDED;
    response.decided = &decided;
    return push(f, &response);
}

bool fake_push_nothing(struct fake *f)
{
    Chaperone__V1__WatchResponse response = CHAPERONE__V1__WATCH_RESPONSE__INIT;
    return push(f, &response);
}

bool fake_revoke(struct fake *f, const char *message)
{
    lock(f);
    bool is_open = f->watch != NULL;
    if (is_open) {
        rpc_stream_finish(f->watch, RPC_PERMISSION_DENIED, message);
    }
    unlock(f);
    return is_open;
}
