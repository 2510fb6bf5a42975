#include <stdio.h>
#include <stdlib.h>

#include "policies/policy.h"
#include "sidecar/operation/question.h"
#include "sidecar/rate/rate.h"
#include "sidecar/session_internal.h"

/* ---- writing ------------------------------------------------------------------------------------
 */

static bool write_record(struct session *s, Chaperone__V1__Record *record, uint64_t *out_sequence)
{
    record->session = s->id;
    enum err e = recorder_write(s->shared->recorder, record, out_sequence);
    if (e != OK) {
        s->shared->metrics->record_failures++;
        log_event(s->shared->log, LOG_ERROR, "record_failed", log_text("session", s->id),
                  log_text("why", err_name(e)));
    }
    return e == OK;
}

static void name_policy(const struct session *s, char **hash, uint64_t *revision)
{
    const struct policy *policy = s->shared->policy;
    if (policy != NULL) {
        *hash = (char *)policy_hash(policy);
        *revision = policy_revision(policy);
    }
}

/* ---- the session's beginning and end ---- */

static void describe_agent(struct session *s, Chaperone__V1__SessionOpened *m,
                           Chaperone__V1__Process *process)
{
    m->resource = (char *)s->resource;
    m->protocol = (char *)s->origin->protocol->name;
    m->agent_address = s->agent_address;
    m->application_name = s->application_name;
    process->pid = s->process.pid;
    process->uid = s->process.uid;
    process->gid = s->process.gid;
    process->executable = s->process.executable;
    m->process = process;
    name_policy(s, &m->policy_hash, &m->policy_revision);
}

bool session_record_refused(struct session *s, const char *code, const char *error)
{
    Chaperone__V1__Record record = CHAPERONE__V1__RECORD__INIT;
    Chaperone__V1__SessionOpened m = CHAPERONE__V1__SESSION_OPENED__INIT;
    Chaperone__V1__Process process = CHAPERONE__V1__PROCESS__INIT;
    describe_agent(s, &m, &process);
    m.verdict = CHAPERONE__V1__VERDICT__DENY;
    m.rule = "session";
    m.database = s->database;
    m.error_code = (char *)code;
    m.error = (char *)error;
    record.event_case = CHAPERONE__V1__RECORD__EVENT_SESSION_OPENED;
    record.session_opened = &m;
    s->refused = true;
    return write_record(s, &record, NULL);
}

/* One that ended before it was granted: of an agent that said nothing, or nothing that could be
 * understood, its refusal is all there is to record. Who just left asked for nothing. */
static void record_end_before_grant(struct session *s)
{
    if (s->refused || s->end_reason == NULL || strcmp(s->end_reason, "agent_disconnected") == 0) {
        return;
    }
    s->shared->metrics->sessions_refused++;
    log_event(s->shared->log, LOG_WARN, "session_refused", log_text("session", s->id),
              log_text("resource", s->resource), log_text("code", s->end_reason),
              log_text("why", s->end_error));
    (void)session_record_refused(s, s->end_reason, s->end_error);
}

/* Keeps what the grant says about the agent, without the credential. */
static bool keep_opened(struct session *s, const Chaperone__V1__SessionOpened *m)
{
    size_t size = chaperone__v1__session_opened__get_packed_size(m);
    uint8_t *packed = arena_alloc(s->shared->scratch, size);
    if (packed == NULL) {
        return false;
    }
    (void)chaperone__v1__session_opened__pack(m, packed);
    s->opened = chaperone__v1__session_opened__unpack(NULL, size, packed);
    arena_reset(s->shared->scratch);
    return s->opened != NULL;
}

bool session_record_opened(struct session *s, const Chaperone__V1__OpenSessionResponse *grant)
{
    Chaperone__V1__Record record = CHAPERONE__V1__RECORD__INIT;
    Chaperone__V1__SessionOpened m = CHAPERONE__V1__SESSION_OPENED__INIT;
    Chaperone__V1__Process process = CHAPERONE__V1__PROCESS__INIT;
    char target[SESSION_NAME_MAX + 8];
    (void)snprintf(target, sizeof(target), "%s:%u", s->target_host, s->target_port);
    describe_agent(s, &m, &process);
    m.verdict = CHAPERONE__V1__VERDICT__ALLOW;
    m.rule = grant->grant;
    m.identity = grant->identity;
    m.n_on_behalf_of = grant->n_on_behalf_of;
    m.on_behalf_of = grant->on_behalf_of;
    m.n_reasons = grant->n_reasons;
    m.reasons = grant->reasons;
    m.target_address = target;
    m.database = grant->target->database;
    m.target_user = grant->credential->user;
    record.event_case = CHAPERONE__V1__RECORD__EVENT_SESSION_OPENED;
    record.session_opened = &m;
    if (!keep_opened(s, &m) || !write_record(s, &record, NULL)) {
        return false;
    }
    s->granted = true;
    s->shared->metrics->sessions_opened++;
    s->shared->metrics->sessions_active++;
    return true;
}

void session_record_closed(struct session *s)
{
    if (!s->granted) {
        record_end_before_grant(s);
        return; /* a refusal is its own end */
    }
    Chaperone__V1__Record record = CHAPERONE__V1__RECORD__INIT;
    Chaperone__V1__SessionClosed m = CHAPERONE__V1__SESSION_CLOSED__INIT;
    m.reason = (char *)(s->end_reason == NULL ? "agent_disconnected" : s->end_reason);
    m.error = s->end_error;
    m.ordered_by = s->ordered_by;
    m.order = s->order;
    m.ordered_unix_ns = s->ordered_unix_ns;
    m.operations = s->operations;
    m.bytes_from_agent = s->bytes_from_agent;
    m.bytes_to_agent = s->bytes_to_agent;
    m.duration_us = (clock_monotonic(s->shared->clock) - s->started_ns) / 1000;
    record.event_case = CHAPERONE__V1__RECORD__EVENT_SESSION_CLOSED;
    record.session_closed = &m;
    (void)write_record(s, &record, NULL);
    s->shared->metrics->sessions_closed++;
    s->shared->metrics->sessions_active--;
    log_event(s->shared->log, LOG_INFO, "session_closed", log_text("session", s->id),
              log_text("reason", m.reason), log_number("operations", (int64_t)s->operations),
              log_number("duration_us", m.duration_us));
}

/* ---- an operation ---- */

void session_ask_policy(struct session *s, const Chaperone__V1__Intent *intent,
                        struct policy_verdict *out)
{
    struct policy_request request;
    int64_t second = clock_late_wall(s->shared->clock) / 1000000000;
    *out = (struct policy_verdict){.effect = POLICY_DENY, .rule = "default"};
    if (intent->verdict == CHAPERONE__V1__VERDICT__DENY) {
        out->rule = intent->rule;
        out->message = intent->error;
    } else if (intent->verdict == CHAPERONE__V1__VERDICT__ALLOW) {
        out->effect = POLICY_ALLOW; /* part of the protocol itself, no rule is asked */
        out->rule = intent->rule;
    } else if (s->shared->policy == NULL) {
        out->message = "there is no policy yet";
    } else if (session_verdict_find(s, intent, second, out)) {
        return;
    } else if (!question_ask(s->shared->scratch, s->opened, intent, second, &request)) {
        out->message = "out of memory";
    } else {
        request.http = s->link.http;
        policy_evaluate(s->shared->policy, &request, out);
        session_verdict_keep(s, second, out);
    }
}

bool session_needs_body(struct session *s, const Chaperone__V1__Intent *intent)
{
    struct policy_request request;
    struct policy_verdict verdict;
    session_ask_policy(s, intent, &verdict);
    if (verdict.effect == POLICY_HOLD) {
        return true;
    }
    int64_t second = clock_wall(s->shared->clock) / 1000000000;
    if (s->shared->policy == NULL ||
        !question_ask(s->shared->scratch, s->opened, intent, second, &request)) {
        return false; /* it is refused anyway */
    }
    request.http = s->link.http;
    bool reads = policy_reads_body(s->shared->policy, &request);
    arena_reset(s->shared->scratch);
    return reads;
}

int64_t session_take_rate(struct session *s, struct policy_verdict *policy)
{
    int64_t retry_after_ms = 0;
    if (policy->effect != POLICY_ALLOW || policy->rate_count == 0) {
        return 0;
    }
    enum rate_result result =
        rate_take(s->shared->rates, s->opened->identity->subject, policy->rates, policy->rate_count,
                  clock_monotonic(s->shared->clock), &retry_after_ms);
    if (result != RATE_TAKEN) {
        policy->effect = POLICY_DENY;
        policy->message = result == RATE_EXCEEDED
                              ? "the rate limit of the rule is reached"
                              : "too many identities have rate limits at the moment";
    }
    return retry_after_ms;
}

/* What the policy wants left out of the record. */
static void leave_out(Chaperone__V1__Intent *intent, enum policy_record record,
                      struct protocol_verdict *verdict)
{
    verdict->without_results = record != POLICY_RECORD_FULL;
    if (record == POLICY_RECORD_FULL) {
        return;
    }
    intent->record = (char *)(record == POLICY_RECORD_NO_RESULTS ? "no_results" : "no_values");
    if (record == POLICY_RECORD_NO_VALUES && intent->http != NULL) {
        intent->http->body_truncated = intent->http->body_truncated || intent->http->body.len > 0;
        intent->http->body.len = 0;
    }
    for (size_t i = 0; record == POLICY_RECORD_NO_VALUES && i < intent->n_parameters; i++) {
        Chaperone__V1__Parameter *parameter = intent->parameters[i];
        parameter->truncated = parameter->truncated || parameter->value.len > 0;
        parameter->value.len = 0;
    }
}

void session_apply_obligations(Chaperone__V1__Intent *intent, const struct policy_verdict *policy,
                               struct protocol_verdict *verdict)
{
    verdict->max_rows = policy->max_rows;
    verdict->max_request_bytes = policy->max_request_bytes;
    verdict->max_response_bytes = policy->max_response_bytes;
    if (intent->http != NULL && policy->path != NULL) {
        intent->http->template_ = (char *)policy->path;
    }
    leave_out(intent, policy->record, verdict);
}

static Chaperone__V1__Verdict verdict_of(enum policy_effect effect)
{
    return effect == POLICY_ALLOW  ? CHAPERONE__V1__VERDICT__ALLOW
           : effect == POLICY_HOLD ? CHAPERONE__V1__VERDICT__HOLD
                                   : CHAPERONE__V1__VERDICT__DENY;
}

static void add_shadow(Chaperone__V1__Intent *intent, const struct policy_verdict *policy)
{
    if (policy->shadow_rule != NULL) {
        intent->shadow_rule = (char *)policy->shadow_rule;
        intent->shadow_verdict = verdict_of(policy->shadow_effect);
    }
}

/* How safe the record of an operation has to be before it is done, and what the record says of it.
 * What lasts only by a later operation waits with its record for that one
 * (docs/adr/0014-commit.md), unless a rule asks for more than the default. */
static enum durability choose_level(struct session *s, const struct policy_verdict *policy,
                                    const char **out_name)
{
    enum durability level = (enum durability)policy->durability;
    bool is_provisional = s->link.is_provisional && policy->effect == POLICY_ALLOW;
    if (policy->effect == POLICY_DENY) {
        level = DURABILITY_PROCESS;
    } else if (is_provisional && policy->is_default_durability) {
        s->is_unsettled = true;
        *out_name = "commit";
        return DURABILITY_PROCESS;
    } else if ((policy->effect == POLICY_HOLD || (s->is_unsettled && !is_provisional)) &&
               level < DURABILITY_HOST) {
        level = DURABILITY_HOST;
    }
    *out_name = durability_name(level);
    return level;
}

bool session_record_intent(struct session *s, Chaperone__V1__Intent *intent,
                           const struct policy_verdict *policy, struct protocol_verdict *verdict,
                           enum durability *out_level)
{
    bool denied = policy->effect == POLICY_DENY;
    const char *durability = "";
    *out_level = choose_level(s, policy, &durability);
    *verdict = (struct protocol_verdict){.allowed = policy->effect == POLICY_ALLOW,
                                         .rule = policy->rule,
                                         .message = policy->message};
    if (!denied) {
        session_apply_obligations(intent, policy, verdict);
    }
    add_shadow(intent, policy);
    Chaperone__V1__Record record = CHAPERONE__V1__RECORD__INIT;
    intent->operation = s->operations + 1;
    intent->verdict = verdict_of(policy->effect);
    intent->rule = (char *)policy->rule;
    intent->durability = (char *)durability;
    if (denied) {
        intent->error = (char *)policy->message;
    }
    name_policy(s, &intent->policy_hash, &intent->policy_revision);
    record.event_case = CHAPERONE__V1__RECORD__EVENT_INTENT;
    record.intent = intent;
    bool recorded = write_record(s, &record, &verdict->intent_sequence);
    if (recorded) {
        verdict->operation = ++s->operations;
    } else {
        *verdict = (struct protocol_verdict){
            .rule = "recorder", .message = "the operation cannot be recorded, so it is not done"};
    }
    arena_reset(s->shared->scratch);
    return recorded;
}

bool session_record_approval(struct session *s, Chaperone__V1__Approval *approval,
                             uint64_t *out_sequence)
{
    Chaperone__V1__Record record = CHAPERONE__V1__RECORD__INIT;
    record.event_case = CHAPERONE__V1__RECORD__EVENT_APPROVAL;
    record.approval = approval;
    return write_record(s, &record, out_sequence);
}

bool session_record_message(struct session *s, Chaperone__V1__Message *message)
{
    Chaperone__V1__Record record = CHAPERONE__V1__RECORD__INIT;
    record.event_case = CHAPERONE__V1__RECORD__EVENT_MESSAGE;
    record.message = message;
    return write_record(s, &record, NULL);
}

/* Takes it out of the list; NULL: nobody was asked about that operation. */
static struct session_release *take_release(struct session *s, uint64_t operation)
{
    struct session_release **at = &s->released;
    while (*at != NULL && (*at)->operation != operation) {
        at = &(*at)->next;
    }
    struct session_release *found = *at;
    if (found != NULL) {
        *at = found->next;
    }
    return found;
}

bool session_record_outcome(struct session *s, Chaperone__V1__Outcome *outcome)
{
    Chaperone__V1__Record record = CHAPERONE__V1__RECORD__INIT;
    struct session_release *release = take_release(s, outcome->operation);
    if (release != NULL) {
        outcome->approval = release->approval;
        outcome->has_predicted_rows = release->has_predicted_rows;
        outcome->predicted_rows = release->predicted_rows;
    }
    record.event_case = CHAPERONE__V1__RECORD__EVENT_OUTCOME;
    record.outcome = outcome;
    bool recorded = write_record(s, &record, NULL);
    free(release);
    return recorded;
}
