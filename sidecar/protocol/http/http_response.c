/* The way back: decode, mask, record, encode, agent. */
#include <stdio.h>

#include "sidecar/protocol/http/http_internal.h"

/* ---- the head ------------------------------------------------------------------------------- */

/* Says something of the bytes before masking: a hash, their length, ranges of them. */
static bool is_about_the_bytes(struct bytes name)
{
    static const char *const names[] = {"etag",           "content-md5",    "digest",
                                        "repr-digest",    "content-digest", "accept-ranges",
                                        "content-length", "last-modified"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (http_name_is(name, names[i])) {
            return true;
        }
    }
    return false;
}

static bool is_shown_as_it_is(const struct http_exchange *x, struct bytes value)
{
    const struct http_secrets *secrets = x->http->secrets;
    return x->masks->masker == NULL && (secrets == NULL || !http_secrets_are_in(secrets, value));
}

enum err http_field_show(struct http_exchange *x, const struct http_field *f, struct buffer *out,
                         bool *changed)
{
    struct http *p = x->http;
    struct bytes value = f->value;
    struct buffer between;
    bool found = false;
    enum err e = OK;
    buffer_init(&between, HTTP_HEAD_MAX * 4);
    if (p->secrets != NULL && http_secrets_are_in(p->secrets, value)) {
        e = http_secrets_replace(p->secrets, value, &between, &found);
        value = buffer_bytes(&between);
    }
    bool masked = false;
    if (e == OK && x->masks->masker != NULL) {
        e = masker_header(x->masks->masker, f->name, value, out, &masked);
    } else if (e == OK) {
        e = buffer_append(out, value);
    }
    *changed = found || masked;
    buffer_wipe(&between);
    return e;
}

static enum err show_fields(struct http_exchange *x, const struct http_fields *in, bool is_masked,
                            struct http_kept *out)
{
    struct buffer value;
    enum err e = OK;
    buffer_init(&value, HTTP_HEAD_MAX * 8);
    for (size_t i = 0; e == OK && i < in->count; i++) {
        const struct http_field *f = &in->items[i];
        if (is_masked && is_about_the_bytes(f->name)) {
            continue;
        }
        struct bytes shown = f->value;
        bool changed = false;
        if (!is_shown_as_it_is(x, shown)) {
            buffer_clear(&value);
            e = http_field_show(x, f, &value, &changed);
            shown = buffer_bytes(&value);
        }
        if (e == OK && !http_kept_add(out, f->name, shown, changed)) {
            e = ERR_NO_MEMORY;
        }
    }
    buffer_wipe(&value);
    http_receipt_take(x);
    return e;
}

static void on_plain(void *context, struct bytes plain)
{
    struct http_exchange *x = context;
    http_recorded_add(&x->record, plain);
}

static void on_shown(void *context, struct bytes bytes)
{
    struct http_exchange *x = context;
    if (!x->is_coded) {
        on_plain(x, bytes);
    }
}

/* Nothing of it is changed; the record has it decoded all the same. */
static void read_coded(struct http_exchange *x, struct bytes coding)
{
    const struct http_body_options options = {
        .content_encoding = coding, .only_plain = true, .on_plain = on_plain, .context = x};
    struct err_text why;
    if (http_body_create(&options, &x->reader, &why) != OK) {
        x->reader = NULL;
    }
    x->is_coded = true;
}

static void record_coded(struct http_exchange *x, struct bytes data)
{
    if (x->reader != NULL && !x->record.is_truncated) {
        buffer_clear(&x->http->out);
        if (http_body_feed(x->reader, data, &x->http->out) == OK) {
            return;
        }
    }
    x->record.is_truncated = true;
}

static enum err start_body(struct http_exchange *x, const struct http_response *r,
                           struct err_text *why)
{
    struct http *p = x->http;
    const struct http_body_options options = {
        .content_type = http_fields_find(&r->fields, "content-type"),
        .content_encoding = http_fields_find(&r->fields, "content-encoding"),
        .masker = x->masks->masker,
        .secrets = p->secrets,
        .is_part = (r->status == 206 || http_fields_find(&r->fields, "content-range").size > 0),
        .on_plain = on_shown,
        .context = x,
    };
    if (options.content_encoding.size > 0 && options.masker == NULL && options.secrets == NULL) {
        read_coded(x, options.content_encoding);
    }
    if (options.content_encoding.size > 0) {
        (void)snprintf(x->coding, sizeof(x->coding), "%.*s", (int)options.content_encoding.size,
                       (const char *)options.content_encoding.data);
    }
    return http_body_create(&options, &x->body, why);
}

static bool is_event_stream(const struct http_response *r)
{
    static const char type[] = "text/event-stream";
    struct bytes value = http_fields_find(&r->fields, "content-type");
    return value.size >= sizeof(type) - 1 && memcmp(value.data, type, sizeof(type) - 1) == 0 &&
           http_fields_find(&r->fields, "content-encoding").size == 0;
}

/* Which of them a client believes is anybody's guess. */
static bool is_double(const struct http_fields *fields)
{
    return http_fields_count(fields, "content-type") > 1 ||
           http_fields_count(fields, "content-encoding") > 1;
}

/* The target did it, but what it says may not be shown. */
static void withhold(struct http_exchange *x, int64_t body_size, const char *why)
{
    struct http *p = x->http;
    char detail[HTTP_WHY_SIZE + 64];
    (void)snprintf(x->error_code, sizeof(x->error_code), "withheld");
    (void)snprintf(x->error, sizeof(x->error), "%s", why);
    (void)snprintf(detail, sizeof(detail), "the target's answer (%u) cannot be shown: %s",
                   x->status, why);
    uint64_t operation = x->operation;
    (void)http_record_outcome(x, CHAPERONE__V1__STATUS__FAILED);
    bool is_asking = x->is_streamed && !x->request_complete; /* it never gets the rest */
    if (is_asking || body_size < 0 || body_size > HTTP_DISCARD_MAX) {
        p->target->ops->reset(p->target, x->target_stream, HTTP_PROBLEM_CANCELLED);
    }
    http_refuse(x, &(struct http_refusal){
                       .status = 502, .detail = detail, .rule = "masking", .operation = operation});
}

static void send_head(struct http_exchange *x, const struct http_response *in, bool is_changed)
{
    struct http *p = x->http;
    struct http_response r = *in;
    r.fields = http_kept_fields(&x->response_fields);
    if (is_changed) {
        r.body_size = HTTP_SIZE_UNKNOWN;
    }
    if (is_changed && x->body != NULL && in->body_size >= 0 && in->body_size <= HTTP_DELAY_MAX) {
        x->is_delayed = true;
        x->head = r;
        return;
    }
    x->response_started = true;
    p->agent->ops->send_response(p->agent, x->agent_stream, &r);
}

void http_on_response(void *context, uint32_t stream, const struct http_response *response)
{
    struct http *p = context;
    struct http_exchange *x = http_find_target(p, stream);
    struct err_text why = {0};
    if (x == NULL || x->response_started) {
        return;
    }
    x->status = response->status;
    x->target_version = response->version;
    x->head_ns = p->link->ops->monotonic_ns(p->link);
    bool has_events = response->has_body && is_event_stream(response);
    enum err e = OK;
    if (http_looks_through(x) && is_double(&response->fields)) {
        withhold(x, response->has_body ? response->body_size : 0,
                 "it has two content types or codings");
        return;
    }
    if (response->is_websocket) {
        e = http_socket_start(x) ? OK : ERR_NO_MEMORY;
    } else if (has_events) {
        e = http_events_start(x) ? OK : ERR_NO_MEMORY;
    } else if (response->has_body) {
        e = start_body(x, response, &why);
    }
    if (e == ERR_DENIED || e == ERR_INVALID) {
        withhold(x, response->has_body ? response->body_size : 0, why.text);
        return;
    }
    bool masks = x->masks->masker != NULL && !response->is_websocket;
    bool is_changed = masks || has_events || (x->body != NULL && !http_body_is_unchanged(x->body));
    if (e == OK) {
        e = show_fields(x, &response->fields, masks, &x->response_fields);
    }
    if (e != OK) {
        withhold(x, response->has_body ? response->body_size : 0, "it cannot be masked");
        return;
    }
    send_head(x, response, is_changed);
    if (has_events && !p->target_is_http2 && x->request.version == HTTP_2) {
        http_take_no_more(p, "an endless answer has the target's connection for itself");
    }
}

void http_on_informational(void *context, uint32_t stream, const struct http_response *response)
{
    struct http *p = context;
    struct http_exchange *x = http_find_target(p, stream);
    bool is_continue = response->status == 100;
    if (x == NULL || x->response_started || (is_continue && !x->request.expects_continue)) {
        return;
    }
    struct http_response r = {.status = response->status};
    struct http_kept fields = {0};
    bool masks = x->masks->masker != NULL;
    enum err e = is_continue ? OK : show_fields(x, &response->fields, masks, &fields);
    x->request.expects_continue = x->request.expects_continue && !is_continue;
    r.fields = http_kept_fields(&fields);
    if (e == OK) {
        p->agent->ops->send_informational(p->agent, x->agent_stream, &r);
    }
    http_kept_free(&fields);
}

/* ---- the body ------------------------------------------------------------------------------- */

static void count_shown(struct http_exchange *x, struct bytes data)
{
    x->bytes_out += data.size;
    crypto_sha256_update(&x->digest, data);
}

static void send_delayed(struct http_exchange *x)
{
    struct http *p = x->http;
    struct bytes data = buffer_bytes(&x->delayed);
    x->is_delayed = false;
    x->response_started = true;
    p->agent->ops->send_response(p->agent, x->agent_stream, &x->head);
    if (data.size > 0) {
        p->agent->ops->send_data(p->agent, x->agent_stream, data);
    }
    buffer_wipe(&x->delayed);
}

void http_give(struct http_exchange *x, struct bytes data)
{
    struct http *p = x->http;
    if (data.size == 0 || x->response_complete) {
        return;
    }
    if (x->is_delayed && buffer_append(&x->delayed, data) == OK) {
        return;
    }
    if (x->is_delayed) { /* it became much longer: its length is not known before its end */
        count_shown(x, buffer_bytes(&x->delayed));
        send_delayed(x);
    }
    count_shown(x, data);
    p->agent->ops->send_data(p->agent, x->agent_stream, data);
}

static bool is_too_long(struct http_exchange *x, size_t more)
{
    return x->max_response > 0 && x->bytes_out + buffer_size(&x->delayed) + more > x->max_response;
}

static void show_data(struct http_exchange *x, struct bytes data)
{
    struct http *p = x->http;
    struct bytes rest;
    if (x->is_coded) {
        record_coded(x, data);
    }
    buffer_clear(&p->out);
    enum err e = http_body_feed_in_place(x->body, data, &p->out, &rest);
    http_receipt_take(x);
    if (e != OK) {
        http_break_response(x, "withheld",
                            e == ERR_INVALID ? "the answer is not what its head says, and cannot "
                                               "be looked through"
                                             : "the answer cannot be looked through");
    } else if (is_too_long(x, buffer_size(&p->out) + rest.size)) {
        http_break_response(x, "answer_too_large", "the answer is larger than the policy allows");
    } else {
        http_give(x, buffer_bytes(&p->out));
        http_give(x, rest);
    }
}

void http_on_response_data(void *context, uint32_t stream, struct bytes data)
{
    struct http *p = context;
    struct http_exchange *x = http_find_target(p, stream);
    if (x == NULL || x->response_complete) {
        p->target->ops->consumed(p->target, stream, data.size);
        return;
    }
    if (x->socket != NULL) {
        http_socket_from_target(x, data);
    } else if (x->events != NULL) {
        http_events_take(x, data);
    } else if (x->body != NULL) {
        show_data(x, data);
    }
    if (x->response_complete || p->agent->ops->waiting(p->agent, x->agent_stream) == 0) {
        p->target->ops->consumed(p->target, stream, data.size);
    } else {
        x->response_unconsumed += data.size;
    }
}

void http_on_response_trailers(void *context, uint32_t stream, const struct http_fields *trailers)
{
    struct http *p = context;
    struct http_exchange *x = http_find_target(p, stream);
    if (x != NULL && !x->response_complete &&
        show_fields(x, trailers, x->masks->masker != NULL, &x->response_trailers) != OK) {
        http_break_response(x, "withheld", "the trailers cannot be masked");
    }
}

/* ---- its end -------------------------------------------------------------------------------- */

static Chaperone__V1__Status status_of(const struct http_exchange *x)
{
    return x->status >= 400 ? CHAPERONE__V1__STATUS__FAILED : CHAPERONE__V1__STATUS__SUCCESS;
}

void http_finish_response(struct http_exchange *x, const struct http_fields *trailers)
{
    struct http *p = x->http;
    count_shown(x, buffer_bytes(&x->delayed));
    if (!http_record_outcome(x, status_of(x))) {
        return; /* the session ends; the agent does not get the end of it */
    }
    if (x->is_delayed) {
        x->head.body_size = (int64_t)buffer_size(&x->delayed);
        x->head.has_body = x->head.body_size > 0;
        send_delayed(x);
    }
    x->response_complete = true;
    p->agent->ops->send_end(p->agent, x->agent_stream, trailers);
}

void http_on_response_end(void *context, uint32_t stream)
{
    struct http *p = context;
    struct http_exchange *x = http_find_target(p, stream);
    if (x == NULL) { /* what was withheld is over */
        http_advance(p);
        return;
    }
    if (x->events != NULL) {
        http_events_end(x);
    } else if (x->body != NULL && !x->response_complete) {
        buffer_clear(&p->out);
        enum err e = http_body_finish(x->body, &p->out);
        http_receipt_take(x);
        if (e != OK) {
            http_break_response(x, "withheld", "the answer is not complete");
        } else {
            http_give(x, buffer_bytes(&p->out));
        }
    }
    if (!x->response_complete) {
        struct http_fields trailers = http_kept_fields(&x->response_trailers);
        http_finish_response(x, &trailers);
    }
    x->target_is_done = true;
    if (!x->request_complete && x->socket == NULL) {
        /* It answered before it had heard all. */
        p->target->ops->reset(p->target, stream, HTTP_PROBLEM_NONE);
        x->state = EXCHANGE_REFUSED;
        p->agent->ops->consumed(p->agent, x->agent_stream, x->request_unconsumed);
        x->request_unconsumed = 0;
    }
    http_exchange_settle(x);
    http_advance(p);
}

void http_break_response(struct http_exchange *x, const char *code, const char *why)
{
    struct http *p = x->http;
    if (x->response_complete) {
        return;
    }
    (void)snprintf(x->error_code, sizeof(x->error_code), "%s", code);
    (void)snprintf(x->error, sizeof(x->error), "%s", why);
    uint64_t operation = x->operation;
    bool is_large = strcmp(code, "too_large") == 0;
    (void)http_record_outcome(x, CHAPERONE__V1__STATUS__FAILED);
    p->target->ops->reset(p->target, x->target_stream, HTTP_PROBLEM_CANCELLED);
    if (x->response_started) {
        x->response_complete = true;
        x->request_complete = true;
        p->agent->ops->reset(p->agent, x->agent_stream, HTTP_PROBLEM_CANCELLED);
    } else {
        http_refuse(x, &(struct http_refusal){
                           .status = is_large ? 413 : 502, .detail = why, .operation = operation});
    }
    x->target_is_done = true;
    http_exchange_settle(x);
}

static void fail_response(struct http_exchange *x, enum http_problem problem, const char *why)
{
    struct http *p = x->http;
    if (!x->response_complete) {
        (void)snprintf(x->error_code, sizeof(x->error_code), "%s",
                       problem == HTTP_PROBLEM_ENDED ? "target_disconnected" : "target_failed");
        (void)snprintf(x->error, sizeof(x->error), "%s", why);
        uint64_t operation = x->operation;
        /* Whether the target did it is not known. */
        (void)http_record_outcome(x, CHAPERONE__V1__STATUS__UNKNOWN);
        /* A connection that was in use before, and ends without a word: so it looks to the agent,
         * too. Clients know that from idle connections, and what they ask again is an operation
         * of its own. */
        bool is_silent =
            problem == HTTP_PROBLEM_ENDED && x->is_reusing && x->request.version != HTTP_2;
        if (x->response_started || is_silent) {
            x->response_complete = true;
            x->request_complete = true;
            p->agent->ops->reset(p->agent, x->agent_stream, HTTP_PROBLEM_CANCELLED);
        } else {
            http_refuse(x, &(struct http_refusal){
                               .status = 502, .detail = x->error, .operation = operation});
        }
    }
    x->target_is_done = true;
    http_exchange_settle(x);
}

void http_lose_target(struct http *p, enum http_problem problem, const char *why)
{
    for (struct http_exchange *x = p->first; x != NULL; x = x->next) {
        if (x->target_stream != 0 && !x->target_is_done) {
            fail_response(x, problem, why);
        }
    }
}

void http_on_response_failed(void *context, uint32_t stream, enum http_problem problem,
                             const char *why)
{
    struct http *p = context;
    if (stream == 0) {
        http_lose_target(p, problem, why);
        return;
    }
    struct http_exchange *x = http_find_target(p, stream);
    if (x != NULL) {
        fail_response(x, problem, why);
    }
    http_advance(p);
}
