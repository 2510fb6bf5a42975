#include <stddef.h>
#include <strings.h>

#include "sidecar/protocol/http/http2/http2_head.h"

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

static bool is_one_of(struct bytes name, const char *const *list)
{
    for (; *list != NULL; list++) {
        if (bytes_equal_string(name, *list)) {
            return true;
        }
    }
    return false;
}

static bool is_tchar(uint8_t c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           (c != '\0' && strchr("!#$%&'*+-.^_`|~", c) != NULL);
}

static bool is_token(struct bytes b)
{
    for (size_t i = 0; i < b.size; i++) {
        if (!is_tchar(b.data[i])) {
            return false;
        }
    }
    return b.size > 0;
}

/* RFC 3986 section 3.2 without the userinfo, which RFC 9113 section 8.3.1 forbids. */
static bool is_authority(struct bytes b)
{
    for (size_t i = 0; i < b.size; i++) {
        uint8_t c = b.data[i];
        bool is_allowed = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') ||
                          (c >= 'A' && c <= 'Z') ||
                          (c != '\0' && strchr("-._~%!$&'()*+,;=:[]", c) != NULL);
        if (!is_allowed) {
            return false;
        }
    }
    return b.size > 0;
}

/* Visible ASCII and no fragment: what more there is to say about a path is not the codec's. */
static bool is_path(struct bytes b)
{
    for (size_t i = 0; i < b.size; i++) {
        if (b.data[i] <= ' ' || b.data[i] >= 0x7f || b.data[i] == '#') {
            return false;
        }
    }
    return b.size > 0 && b.data[0] == '/';
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

/* RFC 9113 section 8.2.2. nghttp2 refuses the first five; HTTP2-Settings has a meaning in an
 * upgrade from HTTP/1.1 only. */
static const char *const connection_fields[] = {
    "connection",     "keep-alive", "proxy-connection", "transfer-encoding", "upgrade",
    "http2-settings", NULL,
};

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
                return refuse(h, "A pseudo-header field is there twice.");
            }
            *into = value;
            p->has_authority = p->has_authority || into == &p->authority;
            return true;
        }
    }
    return refuse(h, "A pseudo-header field is not known.");
}

static bool take_once(struct http2_head *h, struct bytes *into, bool *has, struct bytes value)
{
    if (*has) {
        return refuse(h, "A field that may be there once is there twice.");
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
                                : refuse(h, "A pseudo-header field is behind the fields.");
        } else if (bytes_equal_string(name, "host")) {
            ok = take_once(h, &p->host, &p->has_host, value);
        } else if (bytes_equal_string(name, "content-length")) {
            ok = take_once(h, &p->content_length, &p->has_content_length, value);
        } else if (is_one_of(name, connection_fields)) {
            ok = refuse(h, "A field belongs to the connection, which HTTP/2 does not allow.");
        } else if (bytes_equal_string(name, "te")) {
            ok = (value.size == 8 && strncasecmp((const char *)value.data, "trailers", 8) == 0) ||
                 refuse(h, "TE may say nothing but trailers.");
        } else if (p->fields == HTTP_FIELDS_MAX) {
            http2_head_fail(h, HTTP_PROBLEM_TOO_LARGE, "The head has too many fields.");
            ok = false;
        } else {
            h->fields[p->fields++] = (struct http_field){.name = name, .value = value};
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
           refuse(h, "The Content-Length is no number.");
}

/* RFC 9113 section 8.3.1: where both are there they must say the same. */
static bool take_authority(struct http2_head *h, const struct parts *p, struct bytes *out)
{
    if (p->has_authority && p->has_host &&
        (p->authority.size != p->host.size ||
         strncasecmp((const char *)p->authority.data, (const char *)p->host.data, p->host.size) !=
             0)) {
        return refuse(h, "Host and :authority do not say the same.");
    }
    *out = p->has_authority ? p->authority : p->host;
    return is_authority(*out) || refuse(h, "The authority is missing, or is none.");
}

static bool take_target(struct http2_head *h, const struct parts *p)
{
    if (p->path.size > HTTP_TARGET_MAX) {
        http2_head_fail(h, HTTP_PROBLEM_TARGET_TOO_LONG, "The path is too long.");
        return false;
    }
    if (!bytes_equal_string(p->scheme, "http") && !bytes_equal_string(p->scheme, "https")) {
        return refuse(h, "The scheme is neither http nor https.");
    }
    bool is_whole_server =
        bytes_equal_string(p->path, "*") && bytes_equal_string(p->method, "OPTIONS");
    return is_whole_server || is_path(p->path) || refuse(h, "The path is none.");
}

/* Expect: 100-continue becomes a flag; any other expectation stays a field. */
static bool take_expectation(struct http2_head *h, size_t *count)
{
    size_t kept = 0;
    bool found = false;
    for (size_t i = 0; i < *count; i++) {
        struct http_field f = h->fields[i];
        if (bytes_equal_string(f.name, "expect") && f.value.size == 12 &&
            strncasecmp((const char *)f.value.data, "100-continue", 12) == 0) {
            found = true;
        } else {
            h->fields[kept++] = f;
        }
    }
    *count = kept;
    return found;
}

bool http2_head_to_request(struct http2_head *h, bool ends, struct http_request *out)
{
    struct parts p = {0};
    struct http_request r = {.version = HTTP_2};
    if (!take(h, &p) || !take_size(h, &p, ends, &r.body_size) ||
        !take_authority(h, &p, &r.authority)) {
        return false;
    }
    if (!is_token(p.method) || p.status.data != NULL) {
        return refuse(h, "The method is missing, or is none.");
    }
    if (bytes_equal_string(p.method, "CONNECT")) {
        if (p.path.data != NULL || p.scheme.data != NULL || p.has_content_length) {
            return refuse(h, "CONNECT has an authority and nothing else.");
        }
    } else if (!take_target(h, &p)) {
        return false;
    }
    r.method = p.method;
    r.scheme = p.scheme;
    r.target = p.path;
    r.expects_continue = take_expectation(h, &p.fields);
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
        return refuse(h, "The status is missing, or is none.");
    }
    bool is_informational = status < 200;
    if (p.method.data != NULL || p.scheme.data != NULL || p.path.data != NULL || p.has_authority ||
        (is_informational && (ends || p.has_content_length))) {
        return refuse(h, "The head of the response has what only requests or other ones have.");
    }
    bool is_bodiless = to_head_request || status == 204 || status == 304 || is_informational;
    if (!take_size(h, &p, ends && !is_bodiless, &r.body_size)) {
        return false;
    }
    if (p.has_host) {
        return refuse(h, "A response has no Host.");
    }
    r.status = (unsigned)status;
    r.has_body = !ends && !is_bodiless;
    r.fields = (struct http_fields){.items = h->fields, .count = p.fields};
    *out = r;
    return true;
}

/* RFC 9110 section 6.5.1: what frames, routes or unlocks a message comes before it. */
static const char *const head_only_fields[] = {
    "authorization",    "content-encoding", "content-range",       "content-type", "cookie",
    "set-cookie",       "trailer",          "proxy-authorization", "te",           "expect",
    "www-authenticate", "cache-control",    "max-forwards",        "range",        NULL,
};

bool http2_head_to_trailers(struct http2_head *h, struct http_fields *out)
{
    for (size_t i = 0; i < h->count; i++) {
        if (is_one_of(http2_head_name(h, &h->pieces[i]), head_only_fields)) {
            return refuse(h, "A trailer is a field that only a head may have.");
        }
    }
    struct parts p = {0};
    if (!take(h, &p)) {
        return false;
    }
    if (p.has_host || p.has_content_length || p.method.data != NULL || p.scheme.data != NULL ||
        p.has_authority || p.path.data != NULL || p.status.data != NULL) {
        return refuse(h, "A trailer is a field that only a head may have.");
    }
    *out = (struct http_fields){.items = h->fields, .count = p.fields};
    return true;
}
