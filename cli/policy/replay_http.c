#include "cli/policy/replay_http.h"

#include <stdlib.h>

#include "sidecar/operation/operation_http.h"

enum replay_http replay_http_ask(const struct policy *policy, struct arena *arena,
                                 const Chaperone__V1__HttpRequest *recorded,
                                 struct policy_request *request, struct policy_verdict *out)
{
    struct policy_http *http = arena_alloc(arena, sizeof(*http));
    enum err e = http == NULL ? ERR_NO_MEMORY : operation_http_fill(arena, recorded, http);
    if (e == ERR_INVALID || e == ERR_LIMIT) {
        return REPLAY_HTTP_REFUSED;
    }
    if (e != OK) {
        return REPLAY_HTTP_NO_MEMORY;
    }
    request->http = http;
    bool is_whole = !recorded->body_truncated && !recorded->body_follows &&
                    (recorded->body.len > 0 || recorded->body_size == 0);
    if (!is_whole && policy_reads_body(policy, request)) {
        return REPLAY_HTTP_TRUNCATED;
    }
    policy_evaluate(policy, request, out);
    return REPLAY_HTTP_ASKED;
}

bool replay_http_limits(const struct policy_verdict *verdict, const char *rule)
{
    bool has_limit = verdict->max_request_bytes > 0 || verdict->max_response_bytes > 0;
    for (size_t i = 0; i < verdict->rate_count; i++) {
        if (strcmp(verdict->rates[i].rule, rule) == 0) {
            return true;
        }
    }
    return has_limit && strcmp(verdict->rule, rule) == 0;
}

/* Numbers, UUIDs, hexadecimal digests: what has a digit, and nothing but hexadecimal digits and
 * hyphens. */
static bool is_number(struct bytes segment)
{
    bool has_digit = false;
    for (size_t i = 0; i < segment.size; i++) {
        uint8_t c = segment.data[i];
        bool is_digit = c >= '0' && c <= '9';
        has_digit = has_digit || is_digit;
        if (!is_digit && c != '-' && !((c | 0x20) >= 'a' && (c | 0x20) <= 'f')) {
            return false;
        }
    }
    return has_digit;
}

static enum err append_segment(struct buffer *b, struct bytes segment)
{
    return is_number(segment) ? buffer_append_string(b, "{}") : buffer_append(b, segment);
}

static enum err append_path(struct buffer *b, const char *path)
{
    enum err e = OK;
    size_t size = strcspn(path, "?");
    for (size_t at = 0; at < size && e == OK;) {
        size_t segment = strcspn(path + at, "/?");
        e = append_segment(b, bytes_of(path + at, segment));
        at += segment;
        if (e == OK && at < size) {
            e = buffer_append_string(b, "/");
            at++;
        }
    }
    return e;
}

char *replay_http_shape(const Chaperone__V1__HttpRequest *recorded, size_t max)
{
    struct buffer b;
    buffer_init(&b, max);
    enum err e = buffer_append_string(&b, recorded->method);
    e = e == OK ? buffer_append_string(&b, " ") : e;
    e = e == OK ? append_path(&b, recorded->path) : e;
    /* What does not fit is left out. */
    char *text = e == OK || e == ERR_LIMIT ? bytes_to_string(buffer_bytes(&b)) : NULL;
    buffer_finish(&b);
    return text;
}
