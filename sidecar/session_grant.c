/* Who the agent is and what it wants, asked of the control plane; and what its grant says of the
 * target. */
#include <stdio.h>

#include "sidecar/session_internal.h"
#include "sidecar/token_read.h"

static enum err error_of(enum rpc_code code)
{
    switch (code) {
    case RPC_OK: return OK;
    case RPC_UNAUTHENTICATED:
    case RPC_PERMISSION_DENIED: return ERR_DENIED;
    case RPC_NOT_FOUND: return ERR_NOT_FOUND;
    case RPC_INVALID_ARGUMENT: return ERR_INVALID;
    case RPC_DEADLINE_EXCEEDED:
    case RPC_UNAVAILABLE: return ERR_UNAVAILABLE;
    default: return ERR_INTERNAL;
    }
}

static void refused(struct session *s, enum err code, const char *why)
{
    s->shared->metrics->sessions_refused++;
    log_event(s->shared->log, LOG_WARN, "session_refused", log_text("session", s->id),
              log_text("resource", s->resource), log_text("code", err_name(code)),
              log_text("why", why));
    (void)session_record_refused(s, err_name(code), why);
    s->link.ops->set_end(&s->link, "refused", why);
    session_event(s, s->origin->protocol->on_refused(s->protocol, code, why));
}

static enum err use_target(struct session *s, const Chaperone__V1__OpenSessionResponse *grant,
                           struct err_text *why)
{
    const Chaperone__V1__Target *t = grant->target;
    if (t == NULL || grant->credential == NULL || grant->identity == NULL || t->port > UINT16_MAX) {
        return err_set(why, ERR_INTERNAL, "the control plane's grant is incomplete");
    }
    if (strlen(t->host) >= SESSION_NAME_MAX || strlen(t->server_name) >= SESSION_NAME_MAX) {
        return err_set(why, ERR_INTERNAL, "the target's name in the grant is too long");
    }
    s->target_port = (uint16_t)t->port;
    if (t->host[0] == '/') {
        s->origin->protocol->unix_path(t->host, s->target_port, s->target_host,
                                       sizeof(s->target_host));
    } else {
        (void)snprintf(s->target_host, sizeof(s->target_host), "%s", t->host);
    }
    (void)snprintf(s->server_name, sizeof(s->server_name), "%s",
                   t->server_name[0] != '\0' ? t->server_name : t->host);
    if (t->tls == CHAPERONE__V1__TLS_MODE__TLS_DISABLE || t->host[0] == '/') {
        return OK;
    }
    const struct tls_client_options options = {
        .verify = t->tls == CHAPERONE__V1__TLS_MODE__TLS_VERIFY_FULL ? TLS_CHECK_NAME
                  : t->tls == CHAPERONE__V1__TLS_MODE__TLS_VERIFY_CA ? TLS_CHECK_CHAIN
                                                                     : TLS_CHECK_NOTHING,
        .ca_pem = bytes_of(t->ca_pem.data, t->ca_pem.len),
        .certificate_pem = bytes_of(grant->credential->certificate_pem.data,
                                    grant->credential->certificate_pem.len),
        .key_pem = bytes_of(grant->credential->key_pem.data, grant->credential->key_pem.len),
        .alpn = s->origin->protocol->alpn,
    };
    return target_tls_get(&s->shared->target_tls, &options, &s->target_tls, why);
}

static void on_grant(void *context, const struct rpc_status *status,
                     const Chaperone__V1__OpenSessionResponse *grant)
{
    struct session *s = context;
    s->grant_call = NULL;
    struct err_text why = {0};
    if (status->code != RPC_OK) {
        refused(s, error_of(status->code), status->message);
        return;
    }
    enum err e = use_target(s, grant, &why);
    if (e != OK) {
        refused(s, e, why.text);
        return;
    }
    if (!session_record_opened(s, grant)) {
        refused(s, ERR_FULL, "the session cannot be recorded");
        return;
    }
    session_event(s, s->origin->protocol->on_granted(s->protocol, grant));
}

static void ask_for_grant(struct session *s, const struct protocol_request *request,
                          struct bytes token)
{
    Chaperone__V1__Process process = CHAPERONE__V1__PROCESS__INIT;
    process.pid = s->process.pid;
    process.uid = s->process.uid;
    process.gid = s->process.gid;
    process.executable = s->process.executable;
    Chaperone__V1__OpenSessionRequest m = CHAPERONE__V1__OPEN_SESSION_REQUEST__INIT;
    m.session = s->id;
    m.resource = (char *)s->resource;
    m.token.data = (uint8_t *)token.data;
    m.token.len = token.size;
    m.protocol = (char *)s->origin->protocol->name;
    m.database = (char *)request->database;
    m.user = (char *)request->user;
    m.application_name = (char *)request->application_name;
    m.agent_address = s->agent_address;
    m.process = &process;
    if (control_open_session(s->shared->control, &m, on_grant, s, &s->grant_call) != OK) {
        s->grant_call = NULL;
        loop_defer(s->shared->loop, &s->refuse_later);
    }
}

static void on_token(void *context, enum err result, struct bytes token, const char *why)
{
    struct session *s = context;
    s->token_read = NULL;
    if (result != OK) {
        refused(s, ERR_DENIED, why);
        return;
    }
    const struct protocol_request request = {
        .database = s->database, .user = s->user, .application_name = s->application_name};
    ask_for_grant(s, &request, token);
}

void session_link_identify(struct protocol_link *link, const struct protocol_request *request)
{
    struct session *s = session_of(link);
    (void)snprintf(s->database, sizeof(s->database), "%s", request->database);
    (void)snprintf(s->user, sizeof(s->user), "%s", request->user);
    (void)snprintf(s->application_name, sizeof(s->application_name), "%s",
                   request->application_name);
    if (request->token.size > 0) {
        ask_for_grant(s, request, request->token);
        return;
    }
    if (token_read_start(s->shared->loop, s->shared->tokens, on_token, s, &s->token_read) != OK) {
        loop_defer(s->shared->loop, &s->refuse_later);
    }
}

void session_refuse_request(void *context)
{
    struct session *s = context;
    if (s->state != SESSION_CLOSED) {
        refused(s, ERR_UNAVAILABLE, "the sidecar cannot ask for the session now");
    }
}
