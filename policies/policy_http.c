/* Whether a rule is about a request of HTTP. */
#include "policies/policy_http.h"

#include <strings.h>

const char *const http_read_methods[] = {"GET", "HEAD", "OPTIONS", NULL};
const char *const http_write_methods[] = {"POST", "PUT", "PATCH", "DELETE", NULL};

static const char *text_of(const char *text)
{
    return text == NULL ? "" : text;
}

/* --- the request by itself ------------------------------------------------------------- */

static bool is_among(const char *text, const char *const *list)
{
    for (; *list != NULL; list++) {
        if (strcmp(*list, text) == 0) {
            return true;
        }
    }
    return false;
}

/* Frameworks of servers take the method from these where they find them. */
static bool is_override(const char *name)
{
    static const char *const names[] = {"x-http-method-override", "x-http-method",
                                        "x-method-override"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (name_may_be(names[i], bytes_of_string(text_of(name)))) {
            return true;
        }
    }
    return false;
}

/* Calls for the method and for each that a header puts in its place, until one says true. */
static bool any_method(const struct policy_http *http,
                       bool (*says)(const void *context, const char *method), const void *context)
{
    if (says(context, text_of(http->method))) {
        return true;
    }
    for (size_t i = 0; i < http->header_count; i++) {
        if (is_override(http->headers[i].name) && says(context, text_of(http->headers[i].value))) {
            return true;
        }
    }
    return false;
}

static bool changes(const void *context, const char *method)
{
    (void)context;
    return !is_among(method, http_read_methods);
}

bool http_is_lasting(const struct policy_http *http)
{
    return http->is_websocket || any_method(http, changes, NULL);
}

/* "." and "..", also with parameters: some servers drop those first. */
static bool is_dots(const char *segment)
{
    size_t dots = strspn(segment, ".");
    return (dots == 1 || dots == 2) &&
           (segment[dots] == '\0' || segment[dots] == '/' || segment[dots] == ';');
}

/* What is left of an encoding after it was decoded: a server that decodes again sees a slash, a
 * dot, or the end. */
static bool is_encoded_twice(const char *at)
{
    static const char *const codes[] = {"%2f", "%5c", "%2e", "%00"};
    for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
        if (strncasecmp(at, codes[i], 3) == 0) {
            return true;
        }
    }
    return false;
}

bool http_is_plain(const struct policy_http *http)
{
    const char *path = text_of(http->path);
    if (text_of(http->method)[0] == '\0') {
        return false;
    }
    if (path[0] != '/') {
        /* RFC 9110 section 9.3.7: of the server as a whole. */
        return strcmp(path, "*") == 0 && strcmp(http->method, "OPTIONS") == 0;
    }
    for (const char *at = path; *at != '\0'; at++) {
        unsigned char c = (unsigned char)*at;
        if (c < ' ' || c == 0x7f || c == '\\' || (c == '/' && is_dots(at + 1)) ||
            (c == '%' && is_encoded_twice(at))) {
            return false;
        }
    }
    return true;
}

/* --- rules that let through ------------------------------------------------------------ */

/* A method that nobody has named is not understood. */
static bool is_left_out(const void *context, const char *method)
{
    const struct http_match *m = context;
    for (size_t i = 0; m != NULL && i < m->methods.count; i++) {
        if (strcmp(m->methods.items[i], method) == 0) {
            return false;
        }
    }
    return (m != NULL && m->methods.count > 0) ||
           (!is_among(method, http_read_methods) && !is_among(method, http_write_methods));
}

static bool any_host_matches(const struct texts *hosts, const char *host)
{
    for (size_t i = 0; i < hosts->count; i++) {
        if (glob_matches(hosts->items[i], host)) {
            return true;
        }
    }
    return hosts->count == 0;
}

/* Every pair that may have the name has such a value, and one surely has the name. */
static bool pairs_cover(const struct http_conditions *wanted, const struct policy_pair *pairs,
                        size_t count)
{
    for (size_t i = 0; i < wanted->count; i++) {
        const struct http_condition *c = &wanted->items[i];
        bool is_there = false;
        for (size_t j = 0; j < count; j++) {
            if (!name_may_be(c->name, bytes_of_string(pairs[j].name))) {
                continue;
            }
            if (!value_is(&c->value, text_of(pairs[j].value))) {
                return false;
            }
            is_there = is_there || strcmp(c->name, pairs[j].name) == 0;
        }
        if (!is_there) {
            return false;
        }
    }
    return true;
}

static bool body_covers(const struct http_conditions *wanted, const struct policy_http *http)
{
    if (wanted->count > 0 && http->body_state != POLICY_BODY_READ) {
        return false;
    }
    for (size_t i = 0; i < wanted->count; i++) {
        const struct http_condition *c = &wanted->items[i];
        bool is_there = false;
        for (size_t j = 0; j < http->body_count; j++) {
            struct bytes pointer = bytes_of_string(http->body[j].name);
            if (!pointer_may_be(&c->pointer, pointer)) {
                continue;
            }
            if (!value_is(&c->value, text_of(http->body[j].value))) {
                return false;
            }
            is_there = is_there || pointer_is(&c->pointer, pointer, CASE_COUNTS);
        }
        if (!is_there) {
            return false;
        }
    }
    return true;
}

static bool paths_cover(const struct step_patterns *paths, const char *path, const char **out_path)
{
    for (size_t i = 0; i < paths->count; i++) {
        if (path_is(&paths->items[i], path)) {
            *out_path = paths->items[i].text;
            return true;
        }
    }
    return paths->count == 0;
}

bool http_covers(const struct rule *rule, const struct policy_http *http, const char **out_path)
{
    const struct http_match *m = rule->http;
    const char *path = NULL;
    if (any_method(http, is_left_out, m)) {
        return false;
    }
    if (m == NULL) {
        return true;
    }
    /* What is said in a WebSocket is not decided any more: it has to be asked for. */
    if ((http->is_websocket && !m->websocket) ||
        !any_host_matches(&m->hosts, text_of(http->host)) ||
        !paths_cover(&m->paths, text_of(http->path), &path) ||
        !pairs_cover(&m->query, http->query, http->query_count) ||
        !pairs_cover(&m->headers, http->headers, http->header_count) ||
        !body_covers(&m->body, http)) {
        return false;
    }
    *out_path = path == NULL ? *out_path : path;
    return true;
}

/* --- rules that stop ------------------------------------------------------------------- */

static bool is_named(const void *context, const char *method)
{
    const struct http_match *m = context;
    for (size_t i = 0; i < m->methods.count; i++) {
        if (strcasecmp(m->methods.items[i], method) == 0) {
            return true;
        }
    }
    return m->methods.count == 0;
}

static bool any_path_may_be(const struct step_patterns *paths, const char *path)
{
    for (size_t i = 0; i < paths->count; i++) {
        if (path_may_be(&paths->items[i], path)) {
            return true;
        }
    }
    return paths->count == 0;
}

/* Some servers take `;` for `&`: `a=1;b=2` is then two parameters. */
static bool hidden_pair_may_be(const struct http_condition *c, const char *text)
{
    const char *at = text;
    while (at != NULL) {
        const char *end = strchr(at, ';');
        size_t size = end == NULL ? strlen(at) : (size_t)(end - at);
        const char *equals = size == 0 ? NULL : memchr(at, '=', size);
        size_t name_size = equals == NULL ? size : (size_t)(equals - at);
        struct bytes value =
            equals == NULL ? bytes_of(NULL, 0) : bytes_of(equals + 1, size - name_size - 1);
        if (name_may_be(c->name, bytes_of(at, name_size)) && value_may_be(&c->value, value)) {
            return true;
        }
        at = end == NULL ? NULL : end + 1;
    }
    return false;
}

static bool pair_may_be(const struct http_condition *c, const struct policy_pair *pair)
{
    return name_may_be(c->name, bytes_of_string(pair->name)) &&
           value_may_be(&c->value, bytes_of_string(text_of(pair->value)));
}

static bool parameter_may_be(const struct http_condition *c, const struct policy_pair *pair)
{
    const char *hidden = strchr(text_of(pair->value), ';');
    return pair_may_be(c, pair) || (hidden != NULL && hidden_pair_may_be(c, hidden + 1));
}

typedef bool may_be(const struct http_condition *c, const struct policy_pair *pair);

static bool pairs_stop(const struct http_conditions *wanted, const struct policy_pair *pairs,
                       size_t count, may_be *says)
{
    for (size_t i = 0; i < wanted->count; i++) {
        bool is_there = false;
        for (size_t j = 0; j < count && !is_there; j++) {
            is_there = says(&wanted->items[i], &pairs[j]);
        }
        if (!is_there) {
            return false;
        }
    }
    return true;
}

static bool field_may_be(const struct http_condition *c, const struct policy_pair *field)
{
    return pointer_may_be(&c->pointer, bytes_of_string(field->name)) &&
           value_may_be(&c->value, bytes_of_string(text_of(field->value)));
}

static bool body_stops(const struct http_conditions *wanted, const struct policy_http *http)
{
    size_t count = http->body_state == POLICY_BODY_READ ? http->body_count : 0;
    return http->body_state == POLICY_BODY_UNREAD ||
           pairs_stop(wanted, http->body, count, field_may_be);
}

/* All but the body; first what tells most rules apart. */
static bool head_stops(const struct http_match *m, const struct policy_http *http)
{
    return (!m->websocket || http->is_websocket) &&
           any_path_may_be(&m->paths, text_of(http->path)) && any_method(http, is_named, m) &&
           any_host_matches(&m->hosts, text_of(http->host)) &&
           pairs_stop(&m->query, http->query, http->query_count, parameter_may_be) &&
           pairs_stop(&m->headers, http->headers, http->header_count, pair_may_be);
}

bool http_stops(const struct rule *rule, const struct policy_http *http)
{
    return rule->http == NULL ||
           (head_stops(rule->http, http) && body_stops(&rule->http->body, http));
}

bool http_asks_for_body(const struct rule *rule, const struct policy_http *http)
{
    return rule->http != NULL && rule->http->body.count > 0 && head_stops(rule->http, http);
}
