/* A request that may go: written anew, with the target's credential. */
#include <ctype.h>
#include <stdio.h>

#include "sidecar/protocol/http/http_internal.h"

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

void http_forward_data(struct http_exchange *x, struct bytes data)
{
    struct http *p = x->http;
    x->bytes_in += data.size;
    crypto_sha256_update(&x->digest_in, data);
    p->target->ops->send_data(p->target, x->target_stream, data);
}

/* Of a body that the intent does not have. */
void http_record_data(struct http_exchange *x, struct bytes data)
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

/* What was held back, because more might have followed. */
static void record_end(struct http_exchange *x)
{
    if (x->request_plain == NULL) {
        return;
    }
    buffer_clear(&x->http->out);
    if (http_body_finish(x->request_plain, &x->http->out) != OK) {
        x->request_record.is_left_out = true;
    }
    http_receipt_take(x);
    http_body_destroy(x->request_plain);
    x->request_plain = NULL;
}

void http_forward_end(struct http_exchange *x)
{
    struct http *p = x->http;
    record_end(x);
    struct http_fields trailers = http_kept_fields(&x->request_trailers);
    p->target->ops->send_end(p->target, x->target_stream, &trailers);
}

void http_forward(struct http_exchange *x)
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
    x->is_reusing = p->target_was_used;
    p->target_was_used = true;
    x->state = EXCHANGE_RELAYING;
    x->is_streamed = !is_whole;
    if (gathered > 0) {
        http_forward_data(x, buffer_bytes(&x->gathered));
        http_record_data(x, buffer_bytes(&x->gathered));
        buffer_finish(&x->gathered);
        p->agent->ops->consumed(p->agent, x->agent_stream, gathered - x->gathered_consumed);
        x->gathered_consumed = 0;
    }
    if (is_whole && has_body) {
        http_forward_end(x);
    }
}
