/* Sidecar.OpenSession: who is it, may it, where to, as whom. */
#include "api/sidecar.pb-c.h"
#include "controlplane/credentials/credentials.h"
#include "controlplane/credentials/http_credential.h"
#include "controlplane/files/files.h"
#include "controlplane/rpc/services_internal.h"

enum { ARENA_BLOCK = 8 << 10, ARENA_CAP = 1 << 20, CA_FILE_CAP = 1 << 20 };

/* Everything that the response points into. */
struct opening {
    const struct call *call;
    const Chaperone__V1__OpenSessionRequest *request;
    struct identity *identity;
    struct grants_decision decision;
    struct credentials_values credential;
    struct http_credential http; /* of an HTTP resource */
    int64_t credential_expires_ns;
    struct buffer ca_pem;
    struct arena *arena;
};

static void refuse(const struct opening *o, struct rpc_status *out_status, enum rpc_code code,
                   const char *sentence)
{
    rpc_status_set(out_status, code, "%s", sentence);
    /* The sentence repeats what the agent asked for, so it is for the agent, and not for the log.
     */
    log_event(o->call->services->with.log, LOG_WARN, "session_refused",
              log_text("sidecar", o->call->caller->sidecar),
              log_text("subject", o->identity == NULL ? "" : o->identity->subject),
              log_text("resource", o->decision.resource == NULL ? "" : o->decision.resource->name),
              log_text("code", rpc_code_name(code)));
}

/* What fails inside of us has its reason in our log; the agent learns that, not why. */
static void fail(const struct opening *o, struct rpc_status *out_status, const char *event,
                 enum err e, const struct err_text *why)
{
    log_event(o->call->services->with.log, LOG_ERROR, event,
              log_text("resource", o->decision.resource->name), log_text("error", err_name(e)),
              log_text("reason", why->text));
    rpc_status_set(
        out_status, RPC_UNAVAILABLE,
        "the resource \"%.100s\" cannot be reached for a reason that the control plane's "
        "log names",
        o->decision.resource->name);
}

static bool identify(struct opening *o, struct rpc_status *out_status)
{
    struct err_text why = {0};
    struct rpc_status status;
    struct bytes token = bytes_of(o->request->token.data, o->request->token.len);
    if (token.size == 0) {
        refuse(o, out_status, RPC_UNAUTHENTICATED, "the agent has no token");
        return false;
    }
    enum err e = identity_verify(snapshot_verifier(o->call->snapshot), token, &o->identity, &why);
    if (e != OK) {
        access_set_token_status(e, &why, &status);
        refuse(o, out_status, status.code, status.message);
        return false;
    }
    return true;
}

static bool decide(struct opening *o, struct rpc_status *out_status)
{
    const struct grants_who who = snapshot_who(o->identity);
    const struct grants_request request = {.resource = o->request->resource,
                                           .protocol = o->request->protocol,
                                           .database = o->request->database,
                                           .user = o->request->user};
    o->decision = grants_decide(snapshot_config(o->call->snapshot), &who, &request);
    switch (o->decision.result) {
    case GRANTS_ALLOWED: return true;
    case GRANTS_NO_RESOURCE:
        refuse(o, out_status, RPC_NOT_FOUND, o->decision.reason.text);
        return false;
    case GRANTS_REFUSED: break;
    }
    refuse(o, out_status, RPC_PERMISSION_DENIED, o->decision.reason.text);
    return false;
}

static bool check_blocks(struct opening *o, struct rpc_status *out_status)
{
    struct err_text why = {0};
    enum err e = blocks_check(o->call->services, o->identity, o->decision.resource->name, &why);
    if (e == ERR_DENIED) {
        refuse(o, out_status, RPC_PERMISSION_DENIED, why.text);
    } else if (e != OK) {
        fail(o, out_status, "blocks_unavailable", e, &why);
    }
    return e == OK;
}

static bool check_sidecar(struct opening *o, struct rpc_status *out_status)
{
    struct rpc_status status;
    if (!access_is_still_enrolled(o->call->services->with.store, o->call->caller->sidecar,
                                  &status)) {
        refuse(o, out_status, status.code, status.message);
        return false;
    }
    return true;
}

static enum err make_oauth2(struct opening *o, struct err_text *why)
{
    const struct config_credential *credential = o->decision.resource->credential;
    struct buffer token;
    buffer_init(&token, OAUTH2_TOKEN_CAP);
    enum err e = buffer_reserve(&token, OAUTH2_TOKEN_CAP) == NULL ? ERR_NO_MEMORY : OK;
    if (e == OK) {
        e = oauth2_get(o->call->services->oauth2, &credential->oauth2,
                       buffer_bytes(&o->credential.password), &token, &o->credential_expires_ns,
                       why);
    }
    if (e == OK) {
        e = http_credential_make(credential, buffer_bytes(&token), &o->http, why);
    }
    buffer_wipe(&token);
    return e;
}

/* What goes into requests, of an HTTP resource. */
static bool make_http(struct opening *o, struct rpc_status *out_status)
{
    const struct config_resource *resource = o->decision.resource;
    struct err_text why = {0};
    if (resource->authority == NULL) {
        return true;
    }
    bool is_oauth2 = resource->credential->http == CONFIG_HTTP_OAUTH2;
    enum err e = is_oauth2
                     ? make_oauth2(o, &why)
                     : http_credential_make(resource->credential,
                                            buffer_bytes(&o->credential.password), &o->http, &why);
    if (e != OK) {
        fail(o, out_status, is_oauth2 ? "oauth2_token_unavailable" : "credential_unusable", e,
             &why);
    }
    if (e != OK && is_oauth2) {
        rpc_status_set(out_status, RPC_UNAVAILABLE,
                       "the resource \"%.100s\" cannot be reached: there is no access token for it "
                       "at the moment (the control plane's log says why)",
                       resource->name);
    }
    return e == OK;
}

static bool read_secrets(struct opening *o, struct rpc_status *out_status)
{
    const struct services_options *with = &o->call->services->with;
    const struct config_resource *resource = o->decision.resource;
    struct err_text why = {0};
    enum err e =
        credentials_read(resource->credential, with->vault, with->store, &o->credential, &why);
    if (e != OK) {
        fail(o, out_status, "credential_unavailable", e, &why);
        return false;
    }
    e = resource->ca_file == NULL ? OK : files_read(resource->ca_file, &o->ca_pem, &why);
    if (e != OK) {
        fail(o, out_status, "ca_file_unavailable", e, &why);
    }
    return e == OK && make_http(o, out_status);
}

/* --- the response ------------------------------------------------------------------------------
 */

static char *text_of(const char *s)
{
    return (char *)(uintptr_t)s;
}

static ProtobufCBinaryData binary_of_bytes(struct bytes b)
{
    return (ProtobufCBinaryData){.data = (uint8_t *)(uintptr_t)b.data, .len = b.size};
}

static ProtobufCBinaryData binary_of(const struct buffer *b)
{
    return binary_of_bytes(buffer_bytes(b));
}

static bool fill_claims(const struct opening *o, Chaperone__V1__Identity *out)
{
    size_t count = o->identity->scalar_count;
    Chaperone__V1__Claim *items = arena_alloc(o->arena, (count + 1) * sizeof(*items));
    out->claims = arena_alloc(o->arena, (count + 1) * sizeof(void *));
    if (items == NULL || out->claims == NULL) {
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        chaperone__v1__claim__init(&items[i]);
        items[i].path = text_of(o->identity->scalars[i].path);
        items[i].value = text_of(o->identity->scalars[i].value);
        out->claims[i] = &items[i];
    }
    out->n_claims = count;
    return true;
}

static void fill_identity(const struct opening *o, Chaperone__V1__Identity *out)
{
    out->issuer = text_of(o->identity->issuer);
    out->subject = text_of(o->identity->subject);
    out->name = text_of(o->identity->name);
    out->groups = (char **)(uintptr_t)o->identity->groups;
    out->n_groups = o->identity->group_count;
    out->assurance = CHAPERONE__V1__ASSURANCE__VERIFIED;
}

static bool fill_delegates(const struct opening *o, Chaperone__V1__OpenSessionResponse *out)
{
    size_t count = o->identity->on_behalf_of_count;
    Chaperone__V1__Delegate *items = arena_alloc(o->arena, (count + 1) * sizeof(*items));
    out->on_behalf_of = arena_alloc(o->arena, (count + 1) * sizeof(void *));
    if (items == NULL || out->on_behalf_of == NULL) {
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        const struct identity_actor *actor = &o->identity->on_behalf_of[i];
        chaperone__v1__delegate__init(&items[i]);
        items[i].subject = text_of(actor->subject);
        items[i].issuer = text_of(actor->issuer);
        items[i].source = text_of(actor->source);
        items[i].assurance = CHAPERONE__V1__ASSURANCE__VERIFIED;
        out->on_behalf_of[i] = &items[i];
    }
    out->n_on_behalf_of = count;
    return true;
}

static bool fill_reasons(const struct opening *o, Chaperone__V1__OpenSessionResponse *out)
{
    size_t count = o->identity->reason_count;
    Chaperone__V1__Stated *items = arena_alloc(o->arena, (count + 1) * sizeof(*items));
    out->reasons = arena_alloc(o->arena, (count + 1) * sizeof(void *));
    if (items == NULL || out->reasons == NULL) {
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        chaperone__v1__stated__init(&items[i]);
        items[i].text = text_of(o->identity->reasons[i].text);
        items[i].source = text_of(o->identity->reasons[i].source);
        items[i].assurance = CHAPERONE__V1__ASSURANCE__VERIFIED;
        out->reasons[i] = &items[i];
    }
    out->n_reasons = count;
    return true;
}

static void fill_target(const struct opening *o, Chaperone__V1__Target *out)
{
    static const Chaperone__V1__TlsMode modes[] = {
        [CONFIG_TLS_VERIFY_FULL] = CHAPERONE__V1__TLS_MODE__TLS_VERIFY_FULL,
        [CONFIG_TLS_VERIFY_CA] = CHAPERONE__V1__TLS_MODE__TLS_VERIFY_CA,
        [CONFIG_TLS_REQUIRE] = CHAPERONE__V1__TLS_MODE__TLS_REQUIRE,
        [CONFIG_TLS_PREFER] = CHAPERONE__V1__TLS_MODE__TLS_PREFER,
        [CONFIG_TLS_DISABLE] = CHAPERONE__V1__TLS_MODE__TLS_DISABLE,
    };
    const struct config_resource *resource = o->decision.resource;
    out->host = text_of(resource->host);
    out->port = resource->port;
    out->database = text_of(o->decision.database);
    out->tls = modes[resource->tls];
    out->ca_pem = binary_of(&o->ca_pem);
    out->server_name = text_of(resource->server_name == NULL ? "" : resource->server_name);
    out->authority = text_of(resource->authority == NULL ? "" : resource->authority);
}

/* Of what a server gave. One that does not say how long it lasts is asked for anew every minute
 * (oauth2.c), so it counts for as long. */
static int64_t lifetime_ms(const struct opening *o)
{
    if (o->decision.resource->credential->http != CONFIG_HTTP_OAUTH2) {
        return 0;
    }
    int64_t left_ns = o->credential_expires_ns - services_now(o->call->services);
    return o->credential_expires_ns == 0 ? 60000 : left_ns < 1000000 ? 1 : left_ns / 1000000;
}

/* What HTTP requests get; the password itself stays here: an OAuth2 client's secret is none of the
 * sidecar's. */
static bool fill_http(const struct opening *o, Chaperone__V1__Credential *out)
{
    size_t count = o->http.secret_count;
    Chaperone__V1__HttpField *field = arena_alloc(o->arena, sizeof(*field));
    out->fields = arena_alloc(o->arena, sizeof(*out->fields));
    out->secrets = arena_alloc(o->arena, (count + 1) * sizeof(*out->secrets));
    if (field == NULL || out->fields == NULL || out->secrets == NULL) {
        return false;
    }
    if (o->http.name != NULL) {
        chaperone__v1__http_field__init(field);
        field->name = text_of(o->http.name);
        field->value = binary_of(&o->http.value);
        out->fields[0] = field;
        out->n_fields = 1;
    }
    for (size_t i = 0; i < count; i++) {
        out->secrets[i] = binary_of(&o->http.secrets[i]);
    }
    out->n_secrets = count;
    out->expires_unix_ns = o->credential_expires_ns;
    out->lifetime_ms = lifetime_ms(o);
    return true;
}

static bool fill_credential(const struct opening *o, Chaperone__V1__Credential *out)
{
    out->user = text_of(o->decision.resource->credential->user);
    out->certificate_pem = binary_of(&o->credential.certificate_pem);
    out->key_pem = binary_of(&o->credential.key_pem);
    if (o->decision.resource->authority != NULL) {
        return fill_http(o, out);
    }
    out->password = binary_of(&o->credential.password);
    return true;
}

static void answer(const struct opening *o, ProtobufCMessage **out_reply,
                   struct rpc_status *out_status)
{
    Chaperone__V1__OpenSessionResponse response = CHAPERONE__V1__OPEN_SESSION_RESPONSE__INIT;
    Chaperone__V1__Identity identity = CHAPERONE__V1__IDENTITY__INIT;
    Chaperone__V1__Target target = CHAPERONE__V1__TARGET__INIT;
    Chaperone__V1__Credential credential = CHAPERONE__V1__CREDENTIAL__INIT;
    if (!fill_delegates(o, &response) || !fill_reasons(o, &response) ||
        !fill_claims(o, &identity) || !fill_credential(o, &credential)) {
        rpc_status_set(out_status, RPC_RESOURCE_EXHAUSTED, "no memory");
        return;
    }
    fill_identity(o, &identity);
    fill_target(o, &target);
    const struct publication *policy = publisher_current(o->call->services->with.publisher);
    response.identity = &identity;
    response.target = &target;
    response.credential = &credential;
    response.policy_revision = policy == NULL ? 0 : policy->revision;
    response.grant = text_of(o->decision.grant->name);
    response.expires_unix_ns = o->identity->expires_ns;
    response.masking_key = binary_of_bytes(o->call->services->with.masking_key);
    publication_release(policy);
    services_reply(&response.base, out_reply, out_status);
    log_event(o->call->services->with.log, LOG_INFO, "session_granted",
              log_text("sidecar", o->call->caller->sidecar),
              log_text("subject", o->identity->subject),
              log_text("resource", o->decision.resource->name),
              log_text("grant", o->decision.grant->name));
}

void session_open(const struct call *call, const ProtobufCMessage *message,
                  ProtobufCMessage **out_reply, struct rpc_status *out_status)
{
    struct opening o = {.call = call,
                        .request = (const Chaperone__V1__OpenSessionRequest *)message,
                        .arena = arena_create(ARENA_BLOCK, ARENA_CAP)};
    buffer_init(&o.ca_pem, CA_FILE_CAP);
    if (o.arena == NULL) {
        rpc_status_set(out_status, RPC_RESOURCE_EXHAUSTED, "no memory");
    } else if (identify(&o, out_status) && decide(&o, out_status) && read_secrets(&o, out_status) &&
               check_blocks(&o, out_status) && check_sidecar(&o, out_status)) {
        /* The last checks: a block or a revocation that is stored after them sends its order after
         * this answer was begun, and the sidecar refuses a grant that an order overtakes. */
        answer(&o, out_reply, out_status);
    }
    credentials_finish(&o.credential);
    http_credential_finish(&o.http);
    buffer_finish(&o.ca_pem);
    identity_destroy(o.identity);
    arena_destroy(o.arena);
}
