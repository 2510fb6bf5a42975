#include <stddef.h>
#include <strings.h>

#include "sidecar/protocol/http/http2/http2_head.h"
#include "sidecar/protocol/http/http_rules.h"

/* HTTP/2 does not have it. */
static bool is_of_connection(struct bytes name)
{
    return (http_rules_of(name) & HTTP_RULE_OF_CONNECTION) != 0;
}

static bool may_trail(struct bytes name)
{
    return (http_rules_of(name) & HTTP_RULE_NO_TRAILER) == 0;
}

/* Begins with a slash; visible ASCII without what no URI has and some readers take for something
 * else: a fragment, a backslash, a quote, angle brackets. */
static bool is_path(struct bytes text)
{
    for (size_t i = 0; i < text.size; i++) {
        uint8_t b = text.data[i];
        if (b <= ' ' || b >= 0x7f || (b != 0 && strchr("#\\\"<>", b) != NULL)) {
            return false;
        }
    }
    return text.size > 0 && text.data[0] == '/';
}

/* What is not among the fields of a message. */
struct parts {
    struct bytes method, scheme, authority, path, status;
    struct bytes host, content_length;
    bool has_authority, has_host, has_content_length;
    size_t fields;
};

static bool refuse(struct http2_head *h, const char *why)
{
    http2_head_fail(h, HTTP_PROBLEM_MALFORMED, why);
    return false;
}

/* Digits only, and no more than an int64_t holds. */
static bool parse_size(struct bytes b, int64_t *out)
{
    int64_t size = 0;
    for (size_t i = 0; i < b.size; i++) {
        if (b.data[i] < '0' || b.data[i] > '9' || size > (INT64_MAX - 9) / 10) {
            return false;
        }
        size = 10 * size + (b.data[i] - '0');
    }
    *out = size;
    return b.size > 0;
}

/* A field is kept; false: it may not be there so often. */
static bool take_field(struct http2_head *h, struct parts *p, struct http_field f)
{
    if ((http_rules_of(f.name) & HTTP_RULE_ONCE) != 0) {
        for (size_t i = 0; i < p->fields; i++) {
            if (bytes_equal(h->fields[i].name, f.name)) {
                return refuse(h, "a field that may be there once is there twice");
            }
        }
    }
    if (p->fields == HTTP_FIELDS_MAX) {
        http2_head_fail(h, HTTP_PROBLEM_TOO_LARGE, "the head has too many fields");
        return false;
    }
    h->fields[p->fields++] = f;
    return true;
}

static bool take_pseudo(struct http2_head *h, struct parts *p, struct bytes name,
                        struct bytes value)
{
    static const struct {
        const char *name;
        size_t offset;
    } known[] = {
        {":method", offsetof(struct parts, method)},
        {":scheme", offsetof(struct parts, scheme)},
        {":authority", offsetof(struct parts, authority)},
        {":path", offsetof(struct parts, path)},
        {":status", offsetof(struct parts, status)},
    };
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        struct bytes *into = (struct bytes *)(void *)((char *)p + known[i].offset);
        if (bytes_equal_string(name, known[i].name)) {
            if (into->data != NULL) {
                return refuse(h, "a pseudo-header field is there twice");
            }
            *into = value;
            p->has_authority = p->has_authority || into == &p->authority;
            return true;
        }
    }
    return refuse(h, "a pseudo-header field is not known");
}

static bool take_once(struct http2_head *h, struct bytes *into, bool *has, struct bytes value)
{
    if (*has) {
        return refuse(h, "a field that may be there once is there twice");
    }
    *into = value;
    *has = true;
    return true;
}

/* Sorts the pieces into what is the frame of the message and its fields. */
static bool take(struct http2_head *h, struct parts *p)
{
    if (h->problem != HTTP_PROBLEM_NONE) {
        return false;
    }
    if (!http2_head_join_cookies(h)) {
        return false;
    }
    for (size_t i = 0; i < h->count; i++) {
        struct bytes name = http2_head_name(h, &h->pieces[i]);
        struct bytes value = http2_head_value(h, &h->pieces[i]);
        bool ok = true;
        if (name.size > 0 && name.data[0] == ':') {
            ok = p->fields == 0 ? take_pseudo(h, p, name, value)
                                : refuse(h, "a pseudo-header field is behind the fields");
        } else if (bytes_equal_string(name, "host")) {
            ok = take_once(h, &p->host, &p->has_host, value);
        } else if (bytes_equal_string(name, "content-length")) {
            ok = take_once(h, &p->content_length, &p->has_content_length, value);
        } else if (is_of_connection(name)) {
            ok = refuse(h, "a field belongs to the connection, which HTTP/2 does not allow");
        } else if (bytes_equal_string(name, "te")) {
            ok = (value.size == 8 && strncasecmp((const char *)value.data, "trailers", 8) == 0) ||
                 refuse(h, "TE may say nothing but trailers");
        } else {
            ok = take_field(h, p, (struct http_field){.name = name, .value = value});
        }
        if (!ok) {
            return false;
        }
    }
    return true;
}

static bool take_size(struct http2_head *h, const struct parts *p, bool ends, int64_t *out)
{
    *out = ends ? 0 : HTTP_SIZE_UNKNOWN;
    return !p->has_content_length || parse_size(p->content_length, out) ||
           refuse(h, "the Content-Length is no number");
}

/* RFC 9113 section 8.3.1: where both are there they must say the same. */
static bool take_authority(struct http2_head *h, const struct parts *p, struct bytes *out)
{
    if (p->has_authority && p->has_host &&
        (p->authority.size != p->host.size ||
         strncasecmp((const char *)p->authority.data, (const char *)p->host.data, p->host.size) !=
             0)) {
        return refuse(h, "Host and :authority do not say the same");
    }
    *out = p->has_authority ? p->authority : p->host;
    return http_rules_is_authority(*out, bytes_equal_string(p->method, "CONNECT")) ||
           refuse(h, "the authority is missing, or is none");
}

static bool take_target(struct http2_head *h, const struct parts *p)
{
    if (p->path.size > HTTP_TARGET_MAX) {
        http2_head_fail(h, HTTP_PROBLEM_TARGET_TOO_LONG, "the path is too long");
        return false;
    }
    if (!bytes_equal_string(p->scheme, "http") && !bytes_equal_string(p->scheme, "https")) {
        return refuse(h, "the scheme is neither http nor https");
    }
    bool is_whole_server =
        bytes_equal_string(p->path, "*") && bytes_equal_string(p->method, "OPTIONS");
    return is_whole_server || is_path(p->path) || refuse(h, "the path is none");
}

/* Expect: 100-continue becomes a flag, which says nothing where no body follows. There is no other
 * expectation (RFC 9110 section 10.1.1). */
static bool take_expectation(struct http2_head *h, struct parts *p, bool ends, bool *out)
{
    size_t kept = 0;
    bool found = false;
    for (size_t i = 0; i < p->fields; i++) {
        struct http_field f = h->fields[i];
        if (!bytes_equal_string(f.name, "expect")) {
            h->fields[kept++] = f;
        } else if (f.value.size == 12 &&
                   strncasecmp((const char *)f.value.data, "100-continue", 12) == 0) {
            found = !ends;
        } else {
            return refuse(h, "an expectation is not known");
        }
    }
    p->fields = kept;
    *out = found;
    return true;
}

bool http2_head_to_request(struct http2_head *h, bool ends, struct http_request *out)
{
    struct parts p = {0};
    struct http_request r = {.version = HTTP_2};
    if (!take(h, &p) || !take_size(h, &p, ends, &r.body_size) ||
        !take_authority(h, &p, &r.authority)) {
        return false;
    }
    if (!http_rules_is_token(p.method) || p.status.data != NULL) {
        return refuse(h, "the method is missing, or is none");
    }
    if (bytes_equal_string(p.method, "CONNECT")) {
        if (p.path.data != NULL || p.scheme.data != NULL || p.has_content_length) {
            return refuse(h, "CONNECT has an authority and nothing else");
        }
    } else if (!take_target(h, &p)) {
        return false;
    }
    r.method = p.method;
    r.scheme = p.scheme;
    r.target = p.path;
    if (!take_expectation(h, &p, ends, &r.expects_continue)) {
        return false;
    }
    r.fields = (struct http_fields){.items = h->fields, .count = p.fields};
    *out = r;
    return true;
}

bool http2_head_to_response(struct http2_head *h, bool ends, bool to_head_request,
                            struct http_response *out)
{
    struct parts p = {0};
    struct http_response r = {.version = HTTP_2};
    int64_t status = 0;
    if (!take(h, &p)) {
        return false;
    }
    if (p.status.size != 3 || !parse_size(p.status, &status) || status < 100 || status > 599 ||
        status == 101) {
        return refuse(h, "the status is missing, or is none");
    }
    bool is_informational = status < 200;
    if (p.method.data != NULL || p.scheme.data != NULL || p.path.data != NULL || p.has_authority ||
        (is_informational && (ends || p.has_content_length))) {
        return refuse(h, "the head of the response has what only requests or other ones have");
    }
    bool is_bodiless = to_head_request || status == 204 || status == 304 || is_informational;
    if (!take_size(h, &p, ends && !is_bodiless, &r.body_size)) {
        return false;
    }
    if (p.has_host) {
        return refuse(h, "a response has no Host");
    }
    r.status = (unsigned)status;
    r.has_body = !ends && !is_bodiless;
    r.fields = (struct http_fields){.items = h->fields, .count = p.fields};
    *out = r;
    return true;
}

bool http2_head_to_trailers(struct http2_head *h, struct http_fields *out)
{
    for (size_t i = 0; i < h->count; i++) {
        struct bytes name = http2_head_name(h, &h->pieces[i]);
        if (!may_trail(name) && !is_of_connection(name)) {
            return refuse(h, "a trailer is a field that only a head may have");
        }
    }
    struct parts p = {0};
    if (!take(h, &p)) {
        return false;
    }
    if (p.has_host || p.has_content_length || p.method.data != NULL || p.scheme.data != NULL ||
        p.has_authority || p.path.data != NULL || p.status.data != NULL) {
        return refuse(h, "a trailer is a field that only a head may have");
    }
    *out = (struct http_fields){.items = h->fields, .count = p.fields};
    return true;
}
