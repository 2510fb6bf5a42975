/* How the sidecar gets its certificate, and the next one before that ends. */
#include <ev.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "sidecar/control/control_internal.h"

enum {
    ENROL_DEADLINE_MS = 15000,
    ENROL_FIRST_MS = 1000,
    ENROL_MOST_MS = 30000,
    TOKEN_CAP = 64 << 10,
    CSR_CAP = 16 << 10,
    /* A timer does not wait longer: the wall clock may be set. */
    RENEW_CHECK_MS = 60000,
};

static void begin(struct control *c);

static void wait_ms(struct control *c, int ms)
{
    struct enrolment *e = &c->enrolment;
    e->state = ENROL_WAITING;
    ev_timer_stop(loop_ev(c->loop), &e->timer);
    ev_timer_set(&e->timer, ms / 1000.0, 0.0);
    ev_timer_start(loop_ev(c->loop), &e->timer);
}

static void failed(struct control *c, const char *event, const char *code, const char *why)
{
    log_event(c->log, LOG_WARN, event, log_text("code", code), log_text("error", why));
    wait_ms(c, backoff_next_ms(&c->enrolment.backoff));
}

static void wait_for_renewal(struct control *c)
{
    int64_t ms = identity_renew_in(c->identity) / 1000000;
    wait_ms(c, ms > RENEW_CHECK_MS ? RENEW_CHECK_MS : (int)ms);
}

/* ---- the reply ---- */

/* It has done its work, and no other enrolment would be granted for it. */
static void forget_join_token(struct control *c)
{
    if (c->join_token != NULL) {
        bytes_wipe(c->join_token, strlen(c->join_token));
        free(c->join_token);
        c->join_token = NULL;
    }
}

static void take_reply(struct control *c, const Chaperone__V1__EnrolResponse *response)
{
    struct err_text why = {.text = ""};
    /* The id is in every record: while this process runs it stays what it was. */
    enum err result = identity_accept(c->identity, response, c->announced, &why);
    if (result != OK) {
        failed(c, "certificate_not_usable", err_name(result), why.text);
        return;
    }
    backoff_reset(&c->enrolment.backoff);
    forget_join_token(c);
    tunnel_release(c->enrolment.tunnel);
    c->enrolment.tunnel = NULL;
    log_event(c->log, LOG_INFO, "certificate_issued",
              log_text("sidecar", identity_sidecar(c->identity)),
              log_number("not_after", identity_not_after(c->identity) / 1000000000));
    wait_for_renewal(c);
    control_use_identity(c);
}

static void on_enrol_reply(void *context, const struct rpc_status *status,
                           const ProtobufCMessage *reply)
{
    struct control *c = context;
    c->enrolment.call = NULL;
    if (status->code == RPC_OK) {
        take_reply(c, (const Chaperone__V1__EnrolResponse *)reply);
        return;
    }
    bool is_refused = status->code == RPC_UNAUTHENTICATED || status->code == RPC_PERMISSION_DENIED;
    if (is_refused && c->token != NULL) {
        c->enrolment.join_token_refused = true; /* it is taken once; the agent's own may do */
    }
    const char *reason = c->enrolment.tunnel == NULL ? "" : tunnel_error(c->enrolment.tunnel);
    failed(c, "enrolment_failed", rpc_code_name(status->code),
           status->code == RPC_UNAVAILABLE && reason[0] != '\0' ? reason : status->message);
}

static void on_renew_reply(void *context, const struct rpc_status *status,
                           const ProtobufCMessage *reply)
{
    struct control *c = context;
    c->enrolment.call = NULL;
    if (status->code == RPC_OK) {
        take_reply(c, (const Chaperone__V1__EnrolResponse *)reply);
    } else {
        failed(c, "renewal_failed", rpc_code_name(status->code), status->message);
    }
}

/* ---- the call ---- */

static void call(struct control *c, struct tunnel *tunnel, const char *method,
                 const ProtobufCMessage *request, call_fn *fn)
{
    const struct call_options options = {.mail = c->mail,
                                         .tunnel = tunnel,
                                         .service = &chaperone__v1__enrolment__descriptor,
                                         .method = method,
                                         .request = request,
                                         .deadline_ms = ENROL_DEADLINE_MS,
                                         .wait_for_ready = true,
                                         .fn = fn,
                                         .context = c};
    enum err result = call_start(&options, &c->enrolment.call);
    c->enrolment.state = ENROL_CALLING;
    if (result != OK) {
        failed(c, "enrolment_failed", err_name(result), "the call cannot be started");
    }
}

static void enrol(struct control *c, struct bytes proof, bool is_join_token)
{
    struct buffer csr;
    buffer_init(&csr, CSR_CAP);
    enum err result = identity_make_csr(c->identity, c->name, &csr);
    if (result == OK && c->enrolment.tunnel == NULL) {
        result = control_make_tunnel(c, false, &c->enrolment.tunnel);
    }
    if (result != OK) {
        buffer_finish(&csr);
        failed(c, "enrolment_failed", err_name(result), "the request cannot be made");
        return;
    }
    const char *id = identity_sidecar(c->identity);
    ProtobufCBinaryData raw = {.data = (uint8_t *)(uintptr_t)proof.data, .len = proof.size};
    Chaperone__V1__EnrolRequest request;
    chaperone__v1__enrol_request__init(&request);
    if (is_join_token) {
        request.proof_case = CHAPERONE__V1__ENROL_REQUEST__PROOF_JOIN_TOKEN;
        request.join_token = raw;
    } else {
        request.proof_case = CHAPERONE__V1__ENROL_REQUEST__PROOF_OIDC_TOKEN;
        request.oidc_token = raw;
    }
    request.csr = (ProtobufCBinaryData){.data = csr.data + csr.start, .len = buffer_size(&csr)};
    request.name = c->name;
    request.version = c->version;
    request.sidecar =
        id == NULL ? (char *)(uintptr_t)protobuf_c_empty_string : (char *)(uintptr_t)id;
    call(c, c->enrolment.tunnel, "Enrol", &request.base, on_enrol_reply);
    buffer_finish(&csr);
}

static void renew(struct control *c)
{
    struct buffer csr;
    buffer_init(&csr, CSR_CAP);
    enum err result = identity_make_csr(c->identity, c->name, &csr);
    if (result != OK) {
        failed(c, "renewal_failed", err_name(result), "the request cannot be made");
    } else {
        Chaperone__V1__RenewRequest request = CHAPERONE__V1__RENEW_REQUEST__INIT;
        request.csr = (ProtobufCBinaryData){.data = csr.data + csr.start, .len = buffer_size(&csr)};
        call(c, c->tunnel, "Renew", &request.base, on_renew_reply);
    }
    buffer_finish(&csr);
}

/* ---- the token ---- */

/* Between the thread that asks for the token and the loop. */
struct token_errand {
    enum err (*token)(void *context, struct buffer *out, struct err_text *why);
    void *token_context;
    struct mail *mail;
    struct buffer text;
    struct err_text why;
    enum err result;
};

static void errand_free(void *letter)
{
    struct token_errand *errand = letter;
    buffer_wipe(&errand->text);
    mail_release(errand->mail);
    free(errand);
}

static void on_token(void *owner, void *letter)
{
    struct control *c = owner;
    struct token_errand *errand = letter;
    (void)pthread_join(c->enrolment.thread, NULL);
    c->enrolment.state = ENROL_IDLE;
    if (control_is_revoked(c)) {
        return; /* that was heard while it was asked for */
    }
    if (errand->result != OK) {
        failed(c, "no_token_for_enrolment", err_name(errand->result), errand->why.text);
    } else {
        enrol(c, buffer_bytes(&errand->text), false);
    }
}

static void *fetch_token(void *context)
{
    struct token_errand *errand = context;
    errand->result = errand->token(errand->token_context, &errand->text, &errand->why);
    enum err posted = mail_post(errand->mail, on_token, errand, errand_free);
    (void)posted; /* without memory there is no enrolment before a restart */
    return NULL;
}

static void begin_token(struct control *c)
{
    struct token_errand *errand = calloc(1, sizeof(*errand));
    if (errand == NULL) {
        failed(c, "enrolment_failed", err_name(ERR_NO_MEMORY), "no memory");
        return;
    }
    errand->token = c->token;
    errand->token_context = c->token_context;
    errand->mail = mail_retain(c->mail);
    buffer_init(&errand->text, TOKEN_CAP);
    sigset_t all;
    sigset_t before;
    (void)sigfillset(&all); /* signals belong to the loop's thread */
    (void)pthread_sigmask(SIG_BLOCK, &all, &before);
    bool is_started = pthread_create(&c->enrolment.thread, NULL, fetch_token, errand) == 0;
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (is_started) {
        c->enrolment.state = ENROL_TOKEN;
    } else {
        errand_free(errand);
        failed(c, "enrolment_failed", err_name(ERR_NO_MEMORY), "no thread for the token");
    }
}

/* ---- when ---- */

static void begin(struct control *c)
{
    bool has_join_token = c->join_token != NULL && !c->enrolment.join_token_refused;
    if (identity_is_valid(c->identity)) {
        if (identity_renew_in(c->identity) > 0) {
            wait_for_renewal(c);
        } else {
            renew(c);
        }
    } else if (has_join_token) {
        enrol(c, bytes_of_string(c->join_token), true);
    } else if (c->token != NULL) {
        begin_token(c);
    } else {
        failed(c, "enrolment_failed", "no_token", "there is no join token and no agent's token");
    }
}

static void on_timer(struct ev_loop *ev, ev_timer *timer, int events)
{
    (void)ev;
    (void)events;
    begin(timer->data);
}

void enrolment_init(struct control *c)
{
    ev_init(&c->enrolment.timer, on_timer);
    c->enrolment.timer.data = c;
    c->enrolment.backoff = (struct backoff){.first_ms = ENROL_FIRST_MS, .most_ms = ENROL_MOST_MS};
}

void enrolment_start(struct control *c)
{
    wait_ms(c, 0);
}

void enrolment_halt(struct control *c)
{
    ev_timer_stop(loop_ev(c->loop), &c->enrolment.timer);
    call_cancel(c->enrolment.call);
    c->enrolment.call = NULL;
}

void enrolment_stop(struct control *c)
{
    ev_timer_stop(loop_ev(c->loop), &c->enrolment.timer);
    call_cancel(c->enrolment.call);
    if (c->enrolment.state == ENROL_TOKEN) {
        (void)pthread_join(c->enrolment.thread, NULL);
    }
    if (c->enrolment.tunnel != NULL) {
        tunnel_close(c->enrolment.tunnel);
        tunnel_release(c->enrolment.tunnel);
    }
}
