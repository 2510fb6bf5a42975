#include <stdio.h>
#include <stdlib.h>

#include "base/crypto/crypto.h"
#include "sidecar/proxy.h"
#include "sidecar/session_internal.h"
#include "sidecar/token_read.h"

enum { RUN_LONG = 4096 }; /* bytes that are not copied to leave with others */

static struct session *session_of(struct protocol_link *link)
{
    return (struct session *)link;
}

/* ---- bytes ------------------------------------------------------------------------------------
 */

/* Nothing more goes to that side: bytes are never left out of the middle. The protocol hears of it
 * at the end of the turn. */
static void output_failed(struct session *s, enum protocol_side side, enum err e)
{
    struct side *x = &s->sides[side];
    if (e == ERR_CLOSED && (side != SIDE_AGENT || x->conn == NULL)) {
        return; /* gone: seen where it is read, where the target may have said why */
    }
    if (x->broken == OK && s->state != SESSION_CLOSED) {
        x->broken = e;
        conn_close(x->conn);
        x->conn = NULL;
        loop_defer(s->shared->loop, &s->broken_later);
    }
}

static void append(struct session *s, enum protocol_side side, struct bytes b)
{
    struct conn *conn = s->sides[side].conn;
    enum err e = side == SIDE_TARGET && s->gate.waiting ? buffer_append(&s->held, b)
                 : conn == NULL                         ? ERR_CLOSED
                                                        : conn_append(conn, b);
    if (e != OK) {
        output_failed(s, side, e);
    }
}

static void append_behind(struct session *s, enum protocol_side side)
{
    struct side *x = &s->sides[side];
    size_t size = x->behind_size;
    x->behind_size = 0;
    if (size > 0) {
        append(s, side, bytes_of(x->behind, size));
    }
}

static void put_run_aside(struct session *s, enum protocol_side side)
{
    struct side *x = &s->sides[side];
    if (x->run.size > 0) {
        struct bytes run = x->run;
        x->run = (struct bytes){0};
        append(s, side, run);
        append_behind(s, side);
    }
}

static bool is_in(struct bytes outer, struct bytes b)
{
    uintptr_t start = (uintptr_t)outer.data;
    uintptr_t at = (uintptr_t)b.data;
    return at >= start && at - start <= outer.size && b.size <= outer.size - (at - start);
}

static void send_bytes(struct session *s, enum protocol_side side, struct bytes b)
{
    struct side *x = &s->sides[side];
    if (b.size == 0) {
        return;
    }
    if (side == SIDE_AGENT && x->conn != NULL) {
        s->bytes_to_agent += b.size;
        s->shared->metrics->bytes_to_agents += b.size;
    }
    if (is_in(s->reading, b)) {
        if (x->run.size > 0 && x->behind_size == 0 && x->run.data + x->run.size == b.data) {
            x->run.size += b.size;
            return;
        }
        put_run_aside(s, side);
        x->run = b;
        return;
    }
    if (x->run.size >= RUN_LONG && b.size <= sizeof(x->behind) - x->behind_size) {
        memcpy(x->behind + x->behind_size, b.data, b.size);
        x->behind_size += b.size;
        return;
    }
    put_run_aside(s, side);
    append(s, side, b);
}

void session_flush(struct session *s)
{
    for (int i = 0; i < SIDES; i++) {
        struct side *x = &s->sides[i];
        if (i == SIDE_TARGET && s->gate.waiting) {
            put_run_aside(s, SIDE_TARGET);
            continue;
        }
        struct bytes run = x->run, behind = bytes_of(x->behind, x->behind_size);
        x->run = (struct bytes){0};
        x->behind_size = 0;
        if (x->conn == NULL) {
            continue;
        }
        if (run.size >= RUN_LONG && conn_queued(x->conn) + behind.size > 0) {
            enum err e = conn_write_two(x->conn, run, behind);
            if (e != OK) {
                output_failed(s, (enum protocol_side)i, e);
            }
        } else if (conn_queued(x->conn) > 0) {
            if (run.size > 0) {
                append(s, (enum protocol_side)i, run);
            }
            if (x->conn != NULL) {
                conn_flush(x->conn);
            }
        } else if (run.size > 0) {
            enum err e = conn_write(x->conn, run);
            if (e != OK) {
                output_failed(s, (enum protocol_side)i, e);
            }
        }
    }
}

static void link_to_agent(struct protocol_link *link, struct bytes b)
{
    send_bytes(session_of(link), SIDE_AGENT, b);
}

static void link_to_target(struct protocol_link *link, struct bytes b)
{
    send_bytes(session_of(link), SIDE_TARGET, b);
}

static void link_to_second(struct protocol_link *link, struct bytes b)
{
    send_bytes(session_of(link), SIDE_SECOND, b);
}

/* ---- the gate: what follows an intent waits until the intent is durable ------------------------
 */

static void on_durable(void *context, enum err result)
{
    struct session *s = context;
    ev_timer_stop(loop_ev(s->shared->loop), &s->gate_timer);
    if (result != OK) {
        s->shared->metrics->record_failures++;
        buffer_wipe(&s->held);
        s->origin->protocol->on_terminate(s->protocol, ERR_FULL,
                                          "the operation could not be recorded durably", false);
        session_fail(s, "recording_failed", err_name(result));
        return;
    }
    struct bytes held = buffer_bytes(&s->held);
    if (held.size > 0 && s->sides[SIDE_TARGET].conn != NULL) {
        enum err e = conn_write(s->sides[SIDE_TARGET].conn, held);
        if (e != OK) {
            output_failed(s, SIDE_TARGET, e);
        }
    }
    buffer_finish(&s->held);
    session_event(s, PROTOCOL_MORE);
}

void session_gate_timeout(struct session *s)
{
    recorder_cancel_wait(s->shared->recorder, &s->gate);
    on_durable(s, ERR_TIMEOUT);
}

static void gate_close(struct session *s, uint64_t sequence, enum durability level)
{
    if (level == DURABILITY_PROCESS || recorder_is_durable(s->shared->recorder, sequence, level)) {
        return;
    }
    if (s->gate.waiting) {
        /* The later record is durable only when the earlier ones are; the stronger level counts. */
        recorder_cancel_wait(s->shared->recorder, &s->gate);
        level = s->gate.level > level ? s->gate.level : level;
    }
    s->gate.sequence = sequence;
    s->gate.level = level;
    s->gate.fn = on_durable;
    s->gate.context = s;
    recorder_wait(s->shared->recorder, &s->gate);
    if (!ev_is_active(&s->gate_timer)) { /* else the earliest one counts */
        session_timer_start(s, &s->gate_timer, s->shared->times.durable, SESSION_DURABLE_MS);
    }
}

void session_gate_cancel(struct session *s)
{
    recorder_cancel_wait(s->shared->recorder, &s->gate);
    ev_timer_stop(loop_ev(s->shared->loop), &s->gate_timer);
    buffer_wipe(&s->held);
}

/* ---- the grant ---------------------------------------------------------------------------------
 */

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

static void link_identify(struct protocol_link *link, const struct protocol_request *request)
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

/* A link function makes no callback: a request that failed at once is refused after it. */
void session_refuse_request(void *context)
{
    struct session *s = context;
    if (s->state != SESSION_CLOSED) {
        refused(s, ERR_UNAVAILABLE, "the sidecar cannot ask for the session now");
    }
}

/* ---- connections --------------------------------------------------------------------------------
 */

static void connect_side(struct session *s, enum protocol_side side)
{
    enum err e = conn_connect(s->shared->loop, s->target_host, s->target_port, SESSION_CONNECT_MS,
                              &session_conn_events[side], s, &s->sides[side].conn);
    if (e != OK) {
        output_failed(s, side, e);
    }
}

static void link_connect_target(struct protocol_link *link)
{
    struct session *s = session_of(link);
    struct side *x = &s->sides[SIDE_TARGET];
    conn_close(x->conn);
    x->conn = NULL;
    x->run = (struct bytes){0};
    x->behind_size = 0;
    x->ended = false;
    x->waiting = false;
    buffer_clear(&s->held);
    if (!is_in(buffer_bytes(&x->in), s->reading)) {
        buffer_clear(&x->in); /* else the protocol has just used it, and says so */
    }
    connect_side(s, SIDE_TARGET);
}

static bool link_connect_second(struct protocol_link *link)
{
    struct session *s = session_of(link);
    if (s->sides[SIDE_SECOND].conn != NULL || s->target_host[0] == '\0') {
        return false;
    }
    s->shared->metrics->cancels++;
    session_timer_start(s, &s->second_timer, s->shared->times.second, SESSION_SECOND_MS);
    connect_side(s, SIDE_SECOND);
    return s->sides[SIDE_SECOND].conn != NULL;
}

static bool link_is_proxy(struct protocol_link *link)
{
    return session_of(link)->origin->proxy != NULL;
}

static bool link_choose(struct protocol_link *link, const char *host, uint16_t port, bool is_secure)
{
    struct session *s = session_of(link);
    struct proxy *proxy = s->origin->proxy;
    const char *resource = proxy == NULL ? NULL : proxy_find(proxy, host, port);
    if (resource == NULL || s->resource[0] != '\0') {
        return false;
    }
    if (is_secure && proxy_issue(proxy, host, &s->chosen_tls) != OK) {
        return false;
    }
    s->resource = resource;
    return true;
}

static struct tls_context *agent_tls(const struct session *s)
{
    return s->chosen_tls != NULL ? s->chosen_tls : s->origin->agent_tls;
}

static bool link_has_tls(struct protocol_link *link, enum protocol_side side)
{
    struct session *s = session_of(link);
    return (side == SIDE_AGENT ? agent_tls(s) : s->target_tls) != NULL;
}

static bool link_start_tls(struct protocol_link *link, enum protocol_side side)
{
    struct session *s = session_of(link);
    struct tls_context *tls = side == SIDE_AGENT ? agent_tls(s) : s->target_tls;
    if (tls == NULL || s->sides[side].conn == NULL) {
        return false;
    }
    session_flush(s);
    enum err e = conn_start_tls(s->sides[side].conn, tls,
                                side == SIDE_AGENT ? NULL : s->server_name, SESSION_CONNECT_MS);
    if (e != OK) {
        output_failed(s, side, e);
    }
    return e == OK;
}

static struct bytes link_alpn(struct protocol_link *link, enum protocol_side side)
{
    struct session *s = session_of(link);
    return s->sides[side].conn == NULL ? (struct bytes){0} : conn_alpn(s->sides[side].conn);
}

static size_t link_end_point_hash(struct protocol_link *link, enum protocol_side side, uint8_t *out)
{
    struct session *s = session_of(link);
    return s->sides[side].conn == NULL ? 0 : conn_end_point_hash(s->sides[side].conn, out);
}

/* ---- operations
 * ---------------------------------------------------------------------------------- */

/* What was given before the record may leave; what comes behind it may not. */
static void wait_for_record(struct session *s, uint64_t sequence, enum durability level)
{
    if (level != DURABILITY_PROCESS && !s->gate.waiting) {
        put_run_aside(s, SIDE_TARGET);
    }
    gate_close(s, sequence, level);
    if (level != DURABILITY_PROCESS) {
        s->is_unsettled = false; /* the disk takes records in their order */
    }
}

/* All that is recorded, since there is no intent to wait for. */
static void link_settle(struct protocol_link *link)
{
    struct session *s = session_of(link);
    if (s->is_unsettled) {
        wait_for_record(s, recorder_last_sequence(s->shared->recorder), DURABILITY_HOST);
    }
}

/* What needs approval where nothing can wait for it. */
static void deny_hold(struct policy_verdict *policy)
{
    policy->effect = POLICY_DENY;
    policy->message = "it needs approval, and cannot wait for it in this form; send it as a "
                      "statement of its own, with values of at most 64 KiB";
}

static bool decide_held(struct session *s, Chaperone__V1__Intent *intent,
                        const struct policy_verdict *policy, struct protocol_verdict *verdict,
                        bool *out_new)
{
    uint64_t sequence = 0;
    bool allowed = session_hold_continue(s, policy, verdict, &sequence, out_new);
    if (allowed) {
        session_apply_obligations(intent, policy, verdict);
        enum durability level = (enum durability)policy->durability;
        wait_for_record(s, sequence, level < DURABILITY_HOST ? DURABILITY_HOST : level);
        s->shared->metrics->operations_allowed++;
    } else if (!*out_new && verdict->hold == NULL) {
        s->shared->metrics->operations_refused++;
    }
    return allowed;
}

static bool record_decision(struct session *s, Chaperone__V1__Intent *intent,
                            const struct policy_verdict *policy, struct protocol_verdict *verdict)
{
    enum durability level = DURABILITY_PROCESS;
    bool recorded = session_record_intent(s, intent, policy, verdict, &level);
    if (recorded && verdict->allowed) {
        s->shared->metrics->operations_allowed++;
        wait_for_record(s, verdict->intent_sequence, level);
    } else {
        s->shared->metrics->operations_refused++;
    }
    return recorded && verdict->allowed;
}

static bool link_prepare(struct protocol_link *link, Chaperone__V1__Intent *intent,
                         struct protocol_verdict *verdict)
{
    struct session *s = session_of(link);
    struct policy_verdict policy;
    session_ask_policy(s, intent, &policy);
    session_hold_abandon(s, "it is another operation now");
    if (policy.effect == POLICY_HOLD) {
        policy.effect = POLICY_ALLOW;
    }
    return record_decision(s, intent, &policy, verdict);
}

static bool link_needs_body(struct protocol_link *link, const Chaperone__V1__Intent *intent)
{
    return session_needs_body(session_of(link), intent);
}

static bool link_denies(struct protocol_link *link, const Chaperone__V1__Intent *intent)
{
    struct policy_verdict policy;
    session_ask_policy(session_of(link), intent, &policy);
    return policy.effect == POLICY_DENY;
}

static bool link_decide(struct protocol_link *link, Chaperone__V1__Intent *intent,
                        struct protocol_binding *binding, struct protocol_verdict *verdict)
{
    struct session *s = session_of(link);
    struct policy_verdict policy;
    bool is_new = true;
    session_ask_policy(s, intent, &policy);
    if (session_hold_is_about(s, binding)) {
        bool allowed = decide_held(s, intent, &policy, verdict, &is_new);
        if (!is_new) {
            arena_reset(s->shared->scratch);
            return allowed;
        }
    } else if (intent->verdict != CHAPERONE__V1__VERDICT__ALLOW) {
        /* Messages are decided in their order: the one that was held is not what it was. What the
         * protocol itself allows (a cancel) comes beside them. */
        session_hold_abandon(s, "it is another operation now");
    }
    if (policy.effect == POLICY_HOLD && binding != NULL) {
        session_hold_start(s, intent, binding, &policy, verdict);
        if (verdict->hold != NULL) {
            /* Also where it was not bytes of the agent that led here: it is offered again. */
            s->sides[SIDE_AGENT].waiting = true;
            wait_for_record(s, verdict->intent_sequence, DURABILITY_HOST);
        }
        return false;
    }
    if (policy.effect == POLICY_HOLD) {
        deny_hold(&policy);
    }
    int64_t retry_after_ms = session_take_rate(s, &policy);
    bool allowed = record_decision(s, intent, &policy, verdict);
    verdict->retry_after_ms = retry_after_ms;
    return allowed;
}

static void link_ask(struct protocol_link *link, const Chaperone__V1__Prediction *prediction,
                     char *const *locks, size_t lock_count)
{
    session_hold_ask(session_of(link), prediction, locks, lock_count);
}

static bool link_withdraw(struct protocol_link *link, const char *why, bool forget)
{
    return session_hold_withdraw(session_of(link), why, forget);
}

static bool link_is_held(struct protocol_link *link)
{
    return session_hold_is_open(session_of(link));
}

static const struct protocol_masks *link_masks(struct protocol_link *link)
{
    return session_masks(session_of(link));
}

static bool link_outcome(struct protocol_link *link, Chaperone__V1__Outcome *outcome)
{
    struct session *s = session_of(link);
    if (outcome->status == CHAPERONE__V1__STATUS__FAILED) {
        s->shared->metrics->outcomes_failed++;
    } else if (outcome->status == CHAPERONE__V1__STATUS__UNKNOWN) {
        s->shared->metrics->outcomes_unknown++;
    }
    return session_record_outcome(s, outcome);
}

static bool link_message(struct protocol_link *link, Chaperone__V1__Message *message)
{
    return session_record_message(session_of(link), message);
}

static void link_opened(struct protocol_link *link)
{
    struct session *s = session_of(link);
    session_set_state(s, SESSION_OPEN);
    log_event(s->shared->log, LOG_INFO, "session_opened", log_text("session", s->id),
              log_text("identity", s->opened->identity->subject), log_text("resource", s->resource),
              log_text("database", s->opened->database),
              log_text("agent_address", s->agent_address));
}

static bool link_publish_key(struct protocol_link *link, struct bytes key)
{
    struct session *s = session_of(link);
    return directory_publish(s->shared->directory, &s->entry, key) == OK;
}

static bool link_signal_key(struct protocol_link *link, struct bytes key)
{
    struct session *other = directory_find_key(session_of(link)->shared->directory, key);
    if (other == NULL || other->state == SESSION_CLOSED) {
        return false;
    }
    other->origin->protocol->on_signal(other->protocol);
    return true;
}

static int64_t link_monotonic_ns(struct protocol_link *link)
{
    return clock_monotonic(session_of(link)->shared->clock);
}

static bool link_random(struct protocol_link *link, uint8_t *out, size_t size)
{
    (void)link;
    const struct crypto_random random = crypto_random_system();
    return crypto_random_fill(&random, out, size) == OK;
}

static void link_set_end(struct protocol_link *link, const char *reason, const char *error)
{
    struct session *s = session_of(link);
    if (s->end_reason == NULL) {
        s->end_reason = reason;
        (void)snprintf(s->end_error, sizeof(s->end_error), "%s", error == NULL ? "" : error);
    }
}

const struct protocol_link_ops session_link_ops = {
    .to_agent = link_to_agent,
    .to_target = link_to_target,
    .to_second = link_to_second,
    .identify = link_identify,
    .connect_target = link_connect_target,
    .connect_second = link_connect_second,
    .is_proxy = link_is_proxy,
    .choose = link_choose,
    .has_tls = link_has_tls,
    .start_tls = link_start_tls,
    .alpn = link_alpn,
    .end_point_hash = link_end_point_hash,
    .decide = link_decide,
    .prepare = link_prepare,
    .needs_body = link_needs_body,
    .denies = link_denies,
    .ask = link_ask,
    .withdraw = link_withdraw,
    .is_held = link_is_held,
    .settle = link_settle,
    .masks = link_masks,
    .outcome = link_outcome,
    .message = link_message,
    .opened = link_opened,
    .publish_key = link_publish_key,
    .signal_key = link_signal_key,
    .monotonic_ns = link_monotonic_ns,
    .random = link_random,
    .set_end = link_set_end,
};
