#include "sidecar/protocol/http/http1/http1_target.h"

#include <strings.h>

#include "sidecar/protocol/http/http_rules.h"

bool http1_equal_ignoring_case(struct bytes a, struct bytes b)
{
    return a.size == b.size &&
           (a.size == 0 || strncasecmp((const char *)a.data, (const char *)b.data, a.size) == 0);
}

bool http1_authorities_agree(struct bytes a, struct bytes b, const char *default_port)
{
    struct bytes *both[] = {&a, &b};
    struct bytes ports[2];
    for (size_t i = 0; i < 2; i++) {
        size_t host = http_rules_host_size(*both[i]);
        ports[i] = host < both[i]->size
                       ? bytes_of(both[i]->data + host + 1, both[i]->size - host - 1)
                       : bytes_of_string(default_port);
        both[i]->size = host;
    }
    return http1_equal_ignoring_case(a, b) && bytes_equal(ports[0], ports[1]);
}

/* Visible ASCII without what no URI has and some readers take for something else: a fragment, a
 * backslash, a quote, angle brackets. */
static bool is_plain(struct bytes text)
{
    for (size_t i = 0; i < text.size; i++) {
        uint8_t b = text.data[i];
        if (b <= ' ' || b >= 0x7f || b == '#' || b == '\\' || b == '"' || b == '<' || b == '>') {
            return false;
        }
    }
    return true;
}

static enum http_problem malformed(const char **out_why, const char *why)
{
    *out_why = why;
    return HTTP_PROBLEM_MALFORMED;
}

static enum http_problem parse_connect(struct bytes text, struct http1_target *out,
                                       const char **out_why)
{
    if (!http_rules_is_authority(text, true)) {
        return malformed(out_why, "CONNECT needs a host and a port");
    }
    *out = (struct http1_target){.authority = text};
    return HTTP_PROBLEM_NONE;
}

/* RFC 9112 section 3.2.2. */
static enum http_problem parse_absolute(struct bytes method, struct bytes text,
                                        struct http1_target *out, const char **out_why)
{
    static const char *const schemes[] = {"http", "https"};
    struct http1_target t = {.is_absolute = true};
    size_t at = 0;
    for (size_t i = 0; i < sizeof(schemes) / sizeof(schemes[0]); i++) {
        struct bytes scheme = bytes_of_string(schemes[i]);
        if (text.size > scheme.size + 3 &&
            http1_equal_ignoring_case(bytes_of(text.data, scheme.size), scheme) &&
            memcmp(text.data + scheme.size, "://", 3) == 0) {
            t.scheme = scheme;
            at = scheme.size + 3;
        }
    }
    if (at == 0) {
        return malformed(out_why, "the target is neither a path nor a URL of http or https");
    }
    size_t end = at;
    while (end < text.size && text.data[end] != '/' && text.data[end] != '?') {
        end++;
    }
    t.authority = bytes_of(text.data + at, end - at);
    t.path = bytes_of(text.data + end, text.size - end);
    if (!http_rules_is_authority(t.authority, false)) {
        return malformed(out_why, "the target has no plain host");
    }
    if (t.path.size == 0) { /* section 3.2.4 */
        t.path = bytes_of_string(bytes_equal_string(method, "OPTIONS") ? "*" : "/");
    } else if (t.path.data[0] == '?') {
        return malformed(out_why, "the target has a query and no path");
    }
    *out = t;
    return HTTP_PROBLEM_NONE;
}

enum http_problem http1_target_parse(struct bytes method, struct bytes text,
                                     struct http1_target *out, const char **out_why)
{
    if (text.size == 0 || !is_plain(text)) {
        return malformed(out_why, "the target has a character that no target has");
    }
    struct http1_target t = {0};
    enum http_problem problem = HTTP_PROBLEM_NONE;
    if (bytes_equal_string(method, "CONNECT")) {
        problem = parse_connect(text, &t, out_why);
    } else if (text.data[0] == '/') {
        t.path = text;
    } else if (bytes_equal_string(text, "*")) {
        t.path = text;
        if (!bytes_equal_string(method, "OPTIONS")) {
            problem = malformed(out_why, "only OPTIONS has the target *");
        }
    } else {
        problem = parse_absolute(method, text, &t, out_why);
    }
    if (problem == HTTP_PROBLEM_NONE && t.path.size > HTTP_TARGET_MAX) {
        *out_why = "the target is too long";
        problem = HTTP_PROBLEM_TARGET_TOO_LONG;
    }
    if (problem == HTTP_PROBLEM_NONE) {
        *out = t;
    }
    return problem;
}
