#include "sidecar/protocol/http/http1/http1_head.h"

#include "sidecar/protocol/http/http1/http1_fields.h"
#include "sidecar/protocol/http/http1/http1_target.h"
#include "sidecar/protocol/http/http_rules.h"

enum {
    LENGTH_DIGITS_MAX = 18,  /* below 2^63 whatever they are */
    WEBSOCKET_KEY_SIZE = 24, /* 16 bytes in base64 (RFC 6455 section 4.1) */
};

static enum http_problem problem_is(enum http_problem problem, const char **out_why,
                                    const char *why)
{
    *out_why = why;
    return problem;
}

static enum http_problem malformed(const char **out_why, const char *why)
{
    return problem_is(HTTP_PROBLEM_MALFORMED, out_why, why);
}

static bool is_word(struct bytes value, const char *word)
{
    return http1_equal_ignoring_case(value, bytes_of_string(word));
}

static bool read_length(struct bytes text, int64_t *out)
{
    int64_t length = 0;
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] < '0' || text.data[i] > '9' || i == LENGTH_DIGITS_MAX) {
            return false;
        }
        length = length * 10 + (text.data[i] - '0');
    }
    *out = length;
    return text.size > 0;
}

/* RFC 9112 section 6.3, for both kinds of messages. *out_size: HTTP_SIZE_UNKNOWN where nothing is
 * said; chunked: *out_chunked. */
static enum http_problem read_framing(const struct http1_found *found, const struct http1_taken *t,
                                      int64_t *out_size, bool *out_chunked, const char **out_why)
{
    int64_t size = HTTP_SIZE_UNKNOWN;
    if (t->lengths > 1) {
        return malformed(out_why, "there is more than one Content-Length");
    }
    if (t->lengths == 1 && !read_length(t->length, &size)) {
        return malformed(out_why, "Content-Length is not a number");
    }
    if (t->codings > 0 && t->lengths > 0) {
        return malformed(out_why, "there are both Content-Length and Transfer-Encoding");
    }
    if (t->codings > 0 && found->is_1_0) {
        return malformed(out_why, "HTTP/1.0 has no Transfer-Encoding");
    }
    if (t->codings > 1) {
        return malformed(out_why, "there is more than one Transfer-Encoding");
    }
    if (t->codings == 1 && !is_word(t->coding, "chunked")) {
        return problem_is(HTTP_PROBLEM_UNSUPPORTED, out_why,
                          "the transfer coding is another one than chunked");
    }
    if (found->is_chunked != (t->codings == 1) ||
        found->content_length != (uint64_t)(size > 0 ? size : 0)) {
        return malformed(out_why, "the message's length can be understood in two ways");
    }
    *out_size = size;
    *out_chunked = t->codings == 1;
    return HTTP_PROBLEM_NONE;
}

/* RFC 9112 section 3.2. */
static enum http_problem read_authority(const struct http1_found *found,
                                        const struct http1_taken *t,
                                        const struct http1_target *target, struct bytes *out,
                                        const char **out_why)
{
    if (t->hosts > 1 || (t->hosts == 0 && !found->is_1_0)) {
        return malformed(out_why,
                         t->hosts > 1 ? "there is more than one Host" : "there is no Host");
    }
    if (t->hosts == 1 && !http_rules_is_authority(t->host, false)) {
        return malformed(out_why, "Host is not a plain host and port");
    }
    if (target->authority.size == 0) {
        *out = t->host;
        return HTTP_PROBLEM_NONE;
    }
    const char *port = is_word(target->scheme, "http") ? "80" : "443";
    if (t->hosts == 1 && !http1_authorities_agree(target->authority, t->host, port)) {
        return malformed(out_why, "Host is another one than the target's");
    }
    *out = target->authority;
    return HTTP_PROBLEM_NONE;
}

static bool asks_for_websocket(const struct http1_found *found, const struct http1_taken *t,
                               const struct http1_head *head)
{
    struct bytes key, version;
    return bytes_equal_string(found->method, "GET") && !found->is_1_0 && !head->closes &&
           head->framing == HTTP1_NOTHING && t->upgrades_option && t->upgrades == 1 &&
           is_word(t->upgrade, "websocket") &&
           http1_fields_only(found, "sec-websocket-key", &key) && key.size == WEBSOCKET_KEY_SIZE &&
           http1_fields_only(found, "sec-websocket-version", &version) &&
           bytes_equal_string(version, "13");
}

static enum http_problem read_expectation(const struct http1_found *found,
                                          const struct http1_taken *t, struct http1_head *head,
                                          const char **out_why)
{
    if (t->expects == 1 && !is_word(t->expect, "100-continue")) {
        return malformed(out_why, "Expect is something else than 100-continue");
    }
    /* RFC 9110 section 10.1.1: not of HTTP/1.0, and of no use without a body. */
    head->request.expects_continue =
        t->expects == 1 && !found->is_1_0 && head->framing != HTTP1_NOTHING;
    return HTTP_PROBLEM_NONE;
}

static bool closes(const struct http1_found *found, const struct http1_taken *t)
{
    return t->closes || (found->is_1_0 && !t->keeps_alive);
}

enum http_problem http1_head_of_request(struct http1_found *found, struct buffer *names,
                                        struct http1_head *out, const char **out_why)
{
    struct http1_taken t;
    struct http1_target target;
    struct http1_head h = {0};
    int64_t size = 0;
    bool chunked = false;
    enum http_problem problem = http1_fields_take(found, true, names, &t, out_why);
    if (problem == HTTP_PROBLEM_NONE) {
        problem = http1_target_parse(found->method, found->target, &target, out_why);
    }
    if (problem == HTTP_PROBLEM_NONE) {
        problem = read_authority(found, &t, &target, &h.request.authority, out_why);
    }
    if (problem == HTTP_PROBLEM_NONE) {
        problem = read_framing(found, &t, &size, &chunked, out_why);
    }
    if (problem != HTTP_PROBLEM_NONE) {
        return problem;
    }
    /* RFC 9110 sections 9.3.6 and 9.3.8. */
    if ((bytes_equal_string(found->method, "CONNECT") ||
         bytes_equal_string(found->method, "TRACE")) &&
        (chunked || size > 0)) {
        return malformed(out_why, "CONNECT and TRACE have no body");
    }
    h.closes = closes(found, &t);
    h.framing = chunked ? HTTP1_CHUNKED : size > 0 ? HTTP1_LENGTH : HTTP1_NOTHING;
    h.request.version = found->is_1_0 ? HTTP_1_0 : HTTP_1_1;
    h.request.method = found->method;
    h.request.scheme = target.scheme;
    h.request.target = target.path;
    h.request.is_absolute = target.is_absolute;
    h.request.fields = (struct http_fields){found->fields, found->count};
    h.request.body_size = chunked ? HTTP_SIZE_UNKNOWN : size > 0 ? size : 0;
    h.request.is_websocket = asks_for_websocket(found, &t, &h);
    problem = read_expectation(found, &t, &h, out_why);
    if (problem == HTTP_PROBLEM_NONE) {
        *out = h;
    }
    return problem;
}

/* RFC 9110 section 15.2, and RFC 6455 section 4.1 for 101. */
static enum http_problem check_informational(const struct http1_found *found,
                                             const struct http1_taken *t, struct http1_asked asked,
                                             const char **out_why)
{
    if (t->lengths > 0 || t->codings > 0) {
        return malformed(out_why, "an informational response has a length");
    }
    if (found->is_1_0) {
        return malformed(out_why, "HTTP/1.0 has no informational responses");
    }
    if (found->status == 101 && (!asked.is_websocket || !t->upgrades_option || t->upgrades != 1 ||
                                 !is_word(t->upgrade, "websocket"))) {
        return problem_is(HTTP_PROBLEM_PROTOCOL, out_why,
                          "the protocol is switched to one that was not asked for");
    }
    return HTTP_PROBLEM_NONE;
}

/* RFC 9112 section 6.3. */
static enum http_problem frame_response(const struct http1_found *found,
                                        const struct http1_taken *t, struct http1_asked asked,
                                        struct http1_head *h, const char **out_why)
{
    bool chunked = false;
    enum http_problem problem = read_framing(found, t, &h->response.body_size, &chunked, out_why);
    if (problem != HTTP_PROBLEM_NONE) {
        return problem;
    }
    int64_t size = h->response.body_size;
    if (asked.is_connect && found->status / 100 == 2) {
        h->framing = HTTP1_TUNNEL;
        return size == HTTP_SIZE_UNKNOWN && !chunked
                   ? HTTP_PROBLEM_NONE
                   : malformed(out_why, "an accepted CONNECT has a length");
    }
    if (found->status == 204) {
        h->response.body_size = 0;
        return size <= 0 && !chunked
                   ? HTTP_PROBLEM_NONE
                   : malformed(out_why, "a response without content has a length");
    }
    if (asked.is_head || found->status == 304) {
        h->framing = HTTP1_NOTHING;
    } else if (chunked) {
        h->framing = HTTP1_CHUNKED;
    } else if (size == HTTP_SIZE_UNKNOWN) {
        h->framing = HTTP1_UNTIL_END;
        h->closes = true;
    } else {
        h->framing = size > 0 ? HTTP1_LENGTH : HTTP1_NOTHING;
    }
    return HTTP_PROBLEM_NONE;
}

enum http_problem http1_head_of_response(struct http1_found *found, struct http1_asked asked,
                                         struct buffer *names, struct http1_head *out,
                                         const char **out_why)
{
    struct http1_taken t;
    struct http1_head h = {0};
    enum http_problem problem = http1_fields_take(found, false, names, &t, out_why);
    if (problem != HTTP_PROBLEM_NONE) {
        return problem;
    }
    if (found->status < 100 || found->status > 599) {
        return malformed(out_why, "the status is none of HTTP");
    }
    /* A target that speaks HTTP/1.0 is asked once: what it keeps alive it has to say in a way that
     * proxies got wrong (RFC 9112 appendix C.2.2). */
    h.closes = t.closes || found->is_1_0;
    if (found->status < 200) {
        problem = check_informational(found, &t, asked, out_why);
        h.response.is_websocket = found->status == 101;
        h.response.body_size = found->status == 101 ? HTTP_SIZE_UNKNOWN : 0;
        h.framing = found->status == 101 ? HTTP1_UNTIL_END : HTTP1_NOTHING;
    } else {
        problem = frame_response(found, &t, asked, &h, out_why);
    }
    if (problem == HTTP_PROBLEM_NONE) {
        h.response.version = found->is_1_0 ? HTTP_1_0 : HTTP_1_1;
        h.response.status = found->status;
        h.response.fields = (struct http_fields){found->fields, found->count};
        h.response.has_body = h.framing != HTTP1_NOTHING && h.framing != HTTP1_TUNNEL;
        *out = h;
    }
    return problem;
}

enum http_problem http1_head_of_trailers(struct http1_found *found, struct buffer *names,
                                         struct http_fields *out, const char **out_why)
{
    enum http_problem problem = http1_fields_check_trailers(found, names, out_why);
    if (problem == HTTP_PROBLEM_NONE) {
        *out = (struct http_fields){found->fields, found->count};
    }
    return problem;
}
