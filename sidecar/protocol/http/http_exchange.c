/* The way of a request: its head is copied, its target read in the one form that counts, its body
 * awaited where that is needed; then it is decided, recorded, and written anew to the target. */
#include <ctype.h>
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

void http_on_request(void *context, uint32_t stream, const struct http_request *request)
{
    struct http *p = context;
    if (create(p, stream, request) == NULL) {
        http_no_memory(p);
        return;
    }
    http_advance(p);
}

/* ---- what is looked at before the policy ---------------------------------------------------- */

static void refuse_malformed(struct http_exchange *x, unsigned status, const char *why)
{
    struct http *p = x->http;
    char text[HTTP_WHY_SIZE];
    (void)snprintf(text, sizeof(text), "%.*s (refused before it was decided)",
                   (int)(x->request.method.size < 32 ? x->request.method.size : 32),
                   (const char *)x->request.method.data);
    http_record_malformed(p, text, why);
    http_refuse(x, &(struct http_refusal){.status = status, .detail = why, .rule = "protocol"});
}

/* A web page may make a browser on this host send requests here: under the page's own name. */
static bool host_is_ours(const struct http *p, struct bytes authority)
{
    char host[HTTP_HOST_SIZE], own[HTTP_HOST_SIZE];
    uint16_t port;
    if (authority.size == 0) {
        return true; /* HTTP/1.0 */
    }
    if (http_authority_read(authority, host, &port) != OK) {
        return false;
    }
    if (p->host[0] != '\0') {
        return strcmp(host, p->host) == 0; /* of a proxy: the one that was chosen */
    }
    if (strcmp(host, "localhost") == 0 || strcmp(host, "::1") == 0 ||
        strncmp(host, "127.", 4) == 0) {
        return true;
    }
    return http_authority_read(bytes_of_string(p->authority), own, &port) == OK &&
           strcmp(host, own) == 0;
}

static struct bytes bearer(struct bytes value)
{
    static const char scheme[] = "bearer ";
    if (value.size < sizeof(scheme) - 1) {
        return (struct bytes){0};
    }
    for (size_t i = 0; i < sizeof(scheme) - 1; i++) {
        if (tolower(value.data[i]) != scheme[i]) {
            return (struct bytes){0};
        }
    }
    size_t at = sizeof(scheme) - 1;
    while (at < value.size && value.data[at] == ' ') {
        at++;
    }
    return bytes_of(value.data + at, value.size - at);
}

static bool is_alike(struct bytes a, struct bytes b)
{
    bool is = a.size == b.size;
    for (size_t i = 0; is && i < a.size; i++) {
        is = a.data[i] == b.data[i] || (a.data[i] == '_' && b.data[i] == '-');
    }
    return is;
}

/* Many servers turn both "x-team" and "x_team" into HTTP_X_TEAM: which one counts is anybody's
 * guess. */
static bool has_double_name(const struct http *p, const struct http_fields *fields)
{
    for (size_t i = 0; i < fields->count; i++) {
        struct bytes name = fields->items[i].name;
        if (memchr(name.data, '_', name.size) == NULL) {
            continue;
        }
        for (size_t k = 0; k < fields->count; k++) {
            if (k != i && !bytes_equal(name, fields->items[k].name) &&
                is_alike(name, fields->items[k].name)) {
                return true;
            }
        }
        for (size_t k = 0; k < p->credential.count; k++) {
            if (is_alike(name, p->credential.items[k].name)) {
                return true;
            }
        }
    }
    return false;
}

/* A connection is of one identity: another token would have to open a session of its own. */
static bool is_same_agent(struct http *p, const struct http_exchange *x)
{
    uint8_t digest[CRYPTO_SHA256_SIZE];
    if (!p->shared->token_in_band || p->link->ops->is_proxy(p->link)) {
        return true;
    }
    crypto_sha256_of(bearer(http_fields_find(&x->request.fields, "authorization")), digest);
    return p->has_token && memcmp(digest, p->token, sizeof(digest)) == 0;
}

static bool check(struct http_exchange *x)
{
    struct http *p = x->http;
    struct err_text why = {0};
    x->arena = arena_create(4096, 16 * HTTP_TARGET_MAX);
    if (x->arena == NULL) {
        http_no_memory(p);
        return false;
    }
    if (bytes_equal_string(x->request.method, "CONNECT")) {
        http_go_away(p); /* what comes next may be meant for the tunnel */
        refuse_malformed(x, 501, "CONNECT is for the explicit proxy");
        return false;
    }
    if (http_target_read(x->arena, x->request.target, &x->target, &why) != OK) {
        refuse_malformed(x, 400, why.text);
        return false;
    }
    if (!host_is_ours(p, x->request.authority)) {
        refuse_malformed(x, 421, "the request names another host than this connection's");
        return false;
    }
    if (has_double_name(p, &x->request.fields)) {
        refuse_malformed(x, 400, "two header fields differ only in '_' and '-'");
        return false;
    }
    if (http_fields_count(&x->request.fields, "content-type") > 1) {
        refuse_malformed(x, 400, "the request has two Content-Types");
        return false;
    }
    if (!is_same_agent(p, x)) {
        http_go_away(p);
        refuse_malformed(x, 401,
                         "the request's token is not the one that this connection was opened "
                         "with; open another connection");
        return false;
    }
    x->is_checked = true;
    return true;
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

/* Whether it can be decided now, or more of its body has to come. */
static bool has_enough(struct http_exchange *x)
{
    struct http *p = x->http;
    struct http_question q;
    struct err_text why = {0};
    if (x->request_complete || x->request.body_size == 0 ||
        buffer_size(&x->gathered) > p->shared->statement_max ||
        gathered_by_all(p) > HTTP_GATHER_MAX) {
        return true; /* longer than anybody looks at: the policy hears that it was not read */
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

/* ---- it is forwarded ------------------------------------------------------------------------ */

/* Of what the agent accepts, what can be decoded here: something else could not be looked through.
 */
static struct bytes acceptable(struct arena *a, struct bytes value)
{
    static const char *const known[] = {"gzip", "br", "zstd", "deflate"};
    char *lower = arena_copy_string(a, value);
    char *out = arena_alloc(a, 40);
    if (lower == NULL || out == NULL) {
        return (struct bytes){0};
    }
    for (char *c = lower; *c != '\0'; c++) {
        *c = (char)tolower((unsigned char)*c);
    }
    out[0] = '\0';
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        const char *at = strstr(lower, known[i]);
        if (at != NULL && strstr(at, ";q=0") != at + strlen(known[i])) {
            (void)snprintf(out + strlen(out), 40 - strlen(out), "%s%s", out[0] == '\0' ? "" : ", ",
                           known[i]);
        }
    }
    return bytes_of_string(out[0] == '\0' ? "identity" : out);
}

static bool fill_fields(struct http_exchange *x, struct http_fields *out)
{
    struct http *p = x->http;
    const struct http_fields *in = &x->request.fields;
    struct http_field *fields =
        arena_alloc(x->arena, (in->count + p->credential.count + 1) * sizeof(*fields));
    size_t n = 0;
    if (fields == NULL) {
        return false;
    }
    for (size_t i = 0; i < in->count; i++) {
        struct http_field f = in->items[i];
        if (http_is_kept_back(x, f.name)) {
            continue;
        }
        if (http_name_is(f.name, "accept-encoding") && http_looks_through(x)) {
            f.value = acceptable(x->arena, f.value);
        }
        fields[n++] = f;
    }
    for (size_t i = 0; i < p->credential.count; i++) {
        fields[n++] = p->credential.items[i];
    }
    *out = (struct http_fields){.items = fields, .count = n};
    return true;
}

static void forward_data(struct http_exchange *x, struct bytes data)
{
    struct http *p = x->http;
    x->bytes_in += data.size;
    crypto_sha256_update(&x->digest_in, data);
    p->target->ops->send_data(p->target, x->target_stream, data);
}

/* Of a body that the intent does not have. */
static void record_data(struct http_exchange *x, struct bytes data)
{
    if (x->request_plain == NULL) {
        return;
    }
    buffer_clear(&x->http->out);
    if (http_body_feed(x->request_plain, data, &x->http->out) != OK) {
        x->request_record.is_left_out = true;
    }
    http_receipt_take(x);
}

static void forward_end(struct http_exchange *x)
{
    struct http *p = x->http;
    struct http_fields trailers = http_kept_fields(&x->request_trailers);
    p->target->ops->send_end(p->target, x->target_stream, &trailers);
}

static void forward(struct http_exchange *x)
{
    struct http *p = x->http;
    struct http_request r = x->request;
    size_t gathered = buffer_size(&x->gathered);
    bool is_whole = x->request_complete || x->request.body_size == 0;
    bool has_body = !is_whole || gathered > 0 || x->request_trailers.count > 0;
    if (is_whole) {
        /* Only a body without a length can have trailers. */
        r.body_size = x->request_trailers.count > 0 ? HTTP_SIZE_UNKNOWN : (int64_t)gathered;
        r.expects_continue = false;
    }
    r.scheme = bytes_of_string(p->target_is_secure ? "https" : "http");
    r.authority = bytes_of_string(p->authority);
    r.target = x->target.forwarded;
    r.is_absolute = false;
    x->started_ns = p->link->ops->monotonic_ns(p->link);
    if (p->renew_ns != 0 && x->started_ns >= p->renew_ns) {
        http_go_away(p); /* the next request gets a credential that lasts */
    }
    if (!fill_fields(x, &r.fields)) {
        http_no_memory(p);
        return;
    }
    x->target_stream = p->target->ops->send_request(p->target, &r, has_body);
    if (x->target_stream == 0) {
        http_no_memory(p);
        return;
    }
    x->state = EXCHANGE_RELAYING;
    x->is_streamed = !is_whole;
    if (gathered > 0) {
        forward_data(x, buffer_bytes(&x->gathered));
        record_data(x, buffer_bytes(&x->gathered));
        buffer_finish(&x->gathered);
        p->agent->ops->consumed(p->agent, x->agent_stream, gathered - x->gathered_consumed);
    }
    if (is_whole && has_body) {
        forward_end(x);
    }
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
        refuse_malformed(x, 403, why.text);
        return;
    }
    arena_reset(p->shared->scratch);
    enum err e = http_question_fill(x, true, &q, &why);
    if (e != OK) {
        refuse_malformed(x, 400, e == ERR_INVALID ? why.text : "the request cannot be masked");
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
    forward(x);
}

void http_exchange_start(struct http_exchange *x)
{
    struct http *p = x->http;
    if (!x->is_checked && !check(x)) {
        return;
    }
    if (!p->target->ops->can_request(p->target)) {
        return; /* those before it first */
    }
    if (!has_enough(x)) {
        x->state = EXCHANGE_GATHERING;
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
    record_data(x, data);
    forward_data(x, data);
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
    } else if (x->socket != NULL) {
        http_socket_from_agent(x, data);
    } else if (x->state == EXCHANGE_REFUSED) {
        discard(x, data.size);
    } else if (x->state == EXCHANGE_RELAYING) {
        relay_data(x, data);
    } else if (buffer_append(&x->gathered, data) != OK) {
        http_no_memory(p);
    } else if (x->state == EXCHANGE_GATHERING) {
        /* What is gathered is beyond the window: more has to come before it is decided. */
        if (x->needs_body && buffer_size(&x->gathered) <= p->shared->statement_max) {
            size_t past = buffer_size(&x->gathered) - x->gathered_consumed;
            x->gathered_consumed += past;
            p->agent->ops->consumed(p->agent, stream, past);
        }
        http_advance(p);
    }
}

void http_on_request_trailers(void *context, uint32_t stream, const struct http_fields *trailers)
{
    struct http *p = context;
    struct http_exchange *x = http_find_agent(p, stream);
    if (x != NULL && x->state != EXCHANGE_REFUSED &&
        !http_fields_keep(trailers, &x->request_trailers)) {
        http_no_memory(p);
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
        if (x->is_streamed) {
            forward_end(x);
        }
        http_exchange_settle(x);
    } else if (x->state == EXCHANGE_REFUSED) {
        http_exchange_settle(x);
    }
    http_advance(p);
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
    if (x == NULL && problem != HTTP_PROBLEM_CANCELLED && problem != HTTP_PROBLEM_ENDED) {
        if (p->target_state >= HTTP_TARGET_CONNECTING) {
            http_record_malformed(p, "(malformed request)", why);
        } else {
            p->link->ops->set_end(p->link, "protocol_violation", why);
        }
        http_refuse_stream(p, stream,
                           &(struct http_refusal){.status = http_problem_status(problem),
                                                  .detail = why,
                                                  .rule = "protocol"});
    } else if (x != NULL) {
        http_exchange_abandon(x, why);
    }
}
