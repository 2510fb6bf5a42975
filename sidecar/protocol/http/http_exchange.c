/* The way of a request: its head is copied, its target read in the one form that counts, its body
 * awaited where that is needed; then it is decided, recorded, and written anew to the target. */
#include <stdio.h>
#include <stdlib.h>

#include "sidecar/protocol/http/http_internal.h"

enum { RETRY_HELD_S = 10 }; /* people take longer; who waits for them asks now and then */

/* ---- it comes ------------------------------------------------------------------------------- */

static struct http_exchange *create(struct http *p, uint32_t stream, const struct http_request *r)
{
    struct http_exchange *x = calloc(1, sizeof(*x));
    if (x == NULL || !http_request_copy(r, &x->request, &x->block)) {
        free(x);
        return NULL;
    }
    x->http = p;
    x->agent_stream = stream;
    buffer_init(&x->gathered, p->shared->statement_max + HTTP_WINDOW);
    buffer_init(&x->request_record.bytes, p->shared->response_max);
    buffer_init(&x->record.bytes, p->shared->response_max);
    buffer_init(&x->delayed, 4 * HTTP_DELAY_MAX);
    crypto_sha256_init(&x->digest);
    crypto_sha256_init(&x->digest_in);
    if (p->last == NULL) {
        p->first = x;
    } else {
        p->last->next = x;
    }
    p->last = x;
    return x;
}

/* What waits behind a held one goes on with it, and that is decided again when these bytes are
 * used: not with each message among them. */
static void advance_unheld(struct http *p)
{
    if (p->held == NULL) {
        http_advance(p);
    }
}

void http_on_request(void *context, uint32_t stream, const struct http_request *request)
{
    struct http *p = context;
    if (create(p, stream, request) == NULL) {
        http_no_memory(p);
        return;
    }
    advance_unheld(p);
}

/* ---- it is decided -------------------------------------------------------------------------- */

static bool may_be_small(const struct http_exchange *x)
{
    return x->request.body_size > 0 && x->request.body_size <= HTTP_GATHER_SMALL &&
           !x->request.expects_continue;
}

static void tell_to_continue(struct http_exchange *x)
{
    if (x->request.expects_continue) {
        const struct http_response response = {.status = 100};
        x->request.expects_continue = false;
        x->http->agent->ops->send_informational(x->http->agent, x->agent_stream, &response);
    }
}

static size_t gathered_by_all(const struct http *p)
{
    size_t sum = 0;
    for (const struct http_exchange *x = p->first; x != NULL; x = x->next) {
        sum += buffer_size(&x->gathered);
    }
    return sum;
}

/* Beyond the limits nobody looks at it: the policy hears that it was not read. */
bool http_exchange_is_there(const struct http_exchange *x)
{
    const struct http *p = x->http;
    return x->request_complete || x->request.body_size == 0 ||
           buffer_size(&x->gathered) > p->shared->statement_max ||
           gathered_by_all(p) > HTTP_GATHER_MAX;
}

/* Whether it can be decided now, or more of its body has to come. */
static bool has_enough(struct http_exchange *x)
{
    struct http *p = x->http;
    struct http_question q;
    struct err_text why = {0};
    if (http_exchange_is_there(x)) {
        return true;
    }
    if (x->state == EXCHANGE_GATHERING) {
        return false; /* that more has to come was found out before */
    }
    if (!x->needs_body) {
        arena_reset(p->shared->scratch);
        if (http_question_fill(x, false, &q, &why) != OK) {
            return true; /* it is refused when it is decided */
        }
        p->link->http = &q.policy;
        x->needs_body = p->link->ops->needs_body(p->link, &q.intent);
        p->link->http = NULL;
        if (x->needs_body) {
            tell_to_continue(x);
        }
    }
    return !x->needs_body && !may_be_small(x);
}

static void refuse_by_policy(struct http_exchange *x, const struct protocol_verdict *v)
{
    bool is_rate = v->retry_after_ms > 0;
    bool says_why = v->message != NULL && v->message[0] != '\0';
    (void)snprintf(x->error_code, sizeof(x->error_code), "%s", is_rate ? "rate_limit" : "denied");
    (void)snprintf(x->error, sizeof(x->error), "%s",
                   says_why ? v->message : "no rule of the policy allows it");
    x->operation = v->operation;
    x->intent_sequence = v->intent_sequence;
    const struct http_refusal refusal = {
        .status = v->operation == 0 ? 503
                  : is_rate         ? 429
                                    : 403, /* 503: it was not recorded */
        .detail = x->error,
        .rule = v->rule,
        .approval = v->approval,
        .operation = v->operation,
        .retry_after_s = is_rate               ? (v->retry_after_ms + 999) / 1000
                         : v->approval != NULL ? RETRY_HELD_S
                                               : 0,
    };
    (void)http_record_outcome(x, CHAPERONE__V1__STATUS__REFUSED);
    http_refuse(x, &refusal);
}

static bool exceeds(const struct http_exchange *x, const struct protocol_verdict *v)
{
    uint64_t size = x->request.body_size > 0 ? (uint64_t)x->request.body_size : 0;
    size = buffer_size(&x->gathered) > size ? buffer_size(&x->gathered) : size;
    return v->max_request_bytes > 0 && size > v->max_request_bytes;
}

static void refuse_too_large(struct http_exchange *x)
{
    (void)snprintf(x->error_code, sizeof(x->error_code), "too_large");
    (void)snprintf(x->error, sizeof(x->error), "the request is larger than the policy allows");
    (void)http_record_outcome(x, CHAPERONE__V1__STATUS__REFUSED);
    http_refuse(x, &(struct http_refusal){.status = 413, .detail = x->error});
}

static void take_verdict(struct http_exchange *x, const struct protocol_verdict *v)
{
    x->operation = v->operation;
    x->intent_sequence = v->intent_sequence;
    x->max_request = v->max_request_bytes;
    x->max_response = v->max_response_bytes;
    x->without_results = v->without_results;
    x->record.is_left_out = v->without_results;
}

static void hold(struct http_exchange *x, const struct protocol_hold *h)
{
    struct http *p = x->http;
    x->state = EXCHANGE_HELD;
    p->held = x;
    if (h->is_new) {
        const Chaperone__V1__Prediction nothing = CHAPERONE__V1__PREDICTION__INIT;
        p->link->ops->ask(p->link, &nothing, NULL, 0);
    }
}

static void decide(struct http_exchange *x)
{
    struct http *p = x->http;
    struct http_question q;
    struct protocol_verdict verdict;
    struct err_text why = {0};
    http_masks_release(x->masks); /* of a request that was held: the policy may be another one */
    x->masks = http_masks_take(p, &why);
    if (x->masks == NULL) {
        http_refuse_malformed(x, 403, why.text);
        return;
    }
    arena_reset(p->shared->scratch);
    enum err e = http_question_fill(x, true, &q, &why);
    if (e != OK) {
        http_refuse_malformed(x, 400, e == ERR_INVALID ? why.text : "the request cannot be masked");
        return;
    }
    bool can_wait = x->request_complete || x->request.body_size == 0;
    p->held = NULL;
    p->link->http = &q.policy;
    bool allowed = p->link->ops->decide(p->link, &q.intent, can_wait ? &q.binding : NULL, &verdict);
    p->link->http = NULL;
    if (verdict.hold != NULL) {
        hold(x, verdict.hold);
        return;
    }
    if (!allowed) {
        refuse_by_policy(x, &verdict);
        return;
    }
    take_verdict(x, &verdict);
    if (exceeds(x, &verdict)) {
        refuse_too_large(x);
        return;
    }
    http_forward(x);
}

/* What is gathered may be all of the window: more has to come before it is decided. */
static void take_more(struct http_exchange *x)
{
    struct http *p = x->http;
    size_t past = buffer_size(&x->gathered) - x->gathered_consumed;
    if (x->needs_body && past > 0 && buffer_size(&x->gathered) <= p->shared->statement_max) {
        x->gathered_consumed += past;
        p->agent->ops->consumed(p->agent, x->agent_stream, past);
    }
}

void http_exchange_start(struct http_exchange *x)
{
    struct http *p = x->http;
    if (x->broken_status != 0) {
        http_refuse_malformed(x, x->broken_status, x->error);
        return;
    }
    if (!x->is_checked && !http_check(x)) {
        return;
    }
    if (!p->target->ops->can_request(p->target)) {
        return; /* those before it first */
    }
    if (!has_enough(x)) {
        x->state = EXCHANGE_GATHERING;
        take_more(x); /* it may have come before anybody wanted it */
        return;
    }
    decide(x);
}

/* ---- its body ------------------------------------------------------------------------------- */

static void discard(struct http_exchange *x, size_t count)
{
    struct http *p = x->http;
    x->discarded += count;
    p->agent->ops->consumed(p->agent, x->agent_stream, count);
    if (x->discarded > HTTP_DISCARD_MAX) {
        p->agent->ops->reset(p->agent, x->agent_stream, HTTP_PROBLEM_NONE);
        x->request_complete = true;
        http_exchange_settle(x);
    }
}

static void relay_data(struct http_exchange *x, struct bytes data)
{
    struct http *p = x->http;
    if (x->max_request > 0 && x->bytes_in + data.size > x->max_request) {
        http_break_response(x, "too_large", "the request is larger than the policy allows");
        return;
    }
    http_record_data(x, data);
    http_forward_data(x, data);
    if (p->target->ops->waiting(p->target, x->target_stream) == 0) {
        p->agent->ops->consumed(p->agent, x->agent_stream, data.size);
    } else {
        x->request_unconsumed += data.size;
    }
}

void http_on_request_data(void *context, uint32_t stream, struct bytes data)
{
    struct http *p = context;
    struct http_exchange *x = http_find_agent(p, stream);
    if (x == NULL) {
        p->agent->ops->consumed(p->agent, stream, data.size);
    } else if (x->state == EXCHANGE_REFUSED) {
        discard(x, data.size);
    } else if (x->target_is_done) {
        p->agent->ops->consumed(p->agent, stream, data.size);
    } else if (x->socket != NULL) {
        http_socket_from_agent(x, data);
    } else if (x->state == EXCHANGE_RELAYING) {
        relay_data(x, data);
    } else if (buffer_append(&x->gathered, data) != OK) {
        http_no_memory(p);
    } else if (x->state == EXCHANGE_GATHERING) {
        take_more(x); /* it goes on when these bytes are used, not with each piece among them */
    }
}

void http_on_request_trailers(void *context, uint32_t stream, const struct http_fields *trailers)
{
    struct http *p = context;
    struct http_exchange *x = http_find_agent(p, stream);
    if (x == NULL || x->state == EXCHANGE_REFUSED) {
        return;
    }
    if (!http_fields_keep(trailers, &x->request_trailers)) {
        http_no_memory(p);
    }
    if (x->is_checked) { /* else the credential may not be known yet */
        http_kept_take_back(x, &x->request_trailers);
    }
}

void http_on_request_end(void *context, uint32_t stream)
{
    struct http *p = context;
    struct http_exchange *x = http_find_agent(p, stream);
    if (x == NULL) {
        return;
    }
    x->request_complete = true;
    if (x->state == EXCHANGE_RELAYING) {
        if (x->is_streamed && !x->target_is_done) {
            http_forward_end(x);
        }
        http_exchange_settle(x);
    } else if (x->state == EXCHANGE_REFUSED) {
        http_exchange_settle(x);
    }
    advance_unheld(p);
}

/* The target has some of it and never gets the rest. */
static void break_request(struct http_exchange *x)
{
    struct http *p = x->http;
    uint64_t operation = x->operation;
    (void)snprintf(x->error_code, sizeof(x->error_code), "malformed");
    (void)http_record_outcome(x, CHAPERONE__V1__STATUS__UNKNOWN);
    p->target->ops->reset(p->target, x->target_stream, HTTP_PROBLEM_CANCELLED);
    x->target_is_done = true;
    if (x->response_started) {
        x->response_complete = true;
        p->agent->ops->reset(p->agent, x->agent_stream, HTTP_PROBLEM_CANCELLED);
        http_exchange_settle(x);
    } else {
        http_refuse(x, &(struct http_refusal){.status = x->broken_status,
                                              .detail = x->error,
                                              .rule = "protocol",
                                              .operation = operation});
    }
}

/* What follows its head cannot be understood. The agent is there, and hears so: where the session
 * has not begun yet, when it has; where people decide about one before it, when they have. */
static void spoil(struct http_exchange *x, enum http_problem problem, const char *why)
{
    struct http *p = x->http;
    x->request_complete = true;
    x->broken_status = http_problem_status(problem);
    (void)snprintf(x->error, sizeof(x->error), "%s", why);
    if (x->state == EXCHANGE_RELAYING && !x->response_complete && !x->target_is_done) {
        break_request(x);
    } else if (x->state == EXCHANGE_RELAYING || x->state == EXCHANGE_REFUSED) {
        http_exchange_settle(x);
    } else if (p->authority != NULL && p->held == NULL) {
        http_refuse_malformed(x, x->broken_status, x->error);
    }
}

/* A head that cannot be understood, while people decide: requests are decided in their order. */
static void refuse_later(struct http *p, uint32_t stream, enum http_problem problem,
                         const char *why)
{
    const struct http_request unknown = {.version = HTTP_2};
    struct http_exchange *x = create(p, stream, &unknown);
    if (x == NULL) {
        http_no_memory(p);
    } else {
        spoil(x, problem, why);
    }
}

static bool is_gone(const struct http_exchange *x, enum http_problem problem)
{
    return problem == HTTP_PROBLEM_CANCELLED || problem == HTTP_PROBLEM_ENDED ||
           x->state == EXCHANGE_HELD || x->socket != NULL;
}

void http_on_request_failed(void *context, uint32_t stream, enum http_problem problem,
                            const char *why)
{
    struct http *p = context;
    struct http_exchange *x = http_find_agent(p, stream);
    if (stream == 0) {
        p->is_closing = true;
        p->link->ops->set_end(p->link, "protocol_violation", why);
        return;
    }
    bool is_away = problem == HTTP_PROBLEM_CANCELLED || problem == HTTP_PROBLEM_ENDED;
    if (x == NULL && !is_away && p->held != NULL) {
        refuse_later(p, stream, problem, why);
    } else if (x == NULL && !is_away) {
        if (p->authority != NULL) { /* the session has begun */
            http_record_malformed(p, "(malformed request)", why);
        } else {
            p->link->ops->set_end(p->link, "protocol_violation", why);
        }
        http_refuse_stream(p, stream,
                           &(struct http_refusal){.status = http_problem_status(problem),
                                                  .detail = why,
                                                  .rule = "protocol"});
    } else if (x != NULL && is_gone(x, problem)) {
        http_exchange_abandon(x, why);
    } else if (x != NULL) {
        spoil(x, problem, why);
    }
}
