#include "sidecar/operation/operation_http.h"

#include <strings.h>

#include "sidecar/operation/operation_http_text.h"

/* ---- path and query --------------------------------------------------------------------- */

/* An escaped slash is a slash to some servers, and a character of a name to others. */
static bool has_encoded_slash(struct bytes path)
{
    for (size_t i = 0; i + 2 < path.size; i++) {
        if (path.data[i] == '%' && path.data[i + 1] == '2' && (path.data[i + 2] | 0x20) == 'f') {
            return true;
        }
    }
    return false;
}

static bool has_stray(struct bytes text)
{
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] <= ' ' || text.data[i] == 0x7f || text.data[i] == '#') {
            return true;
        }
    }
    return false;
}

static enum err target_read(struct arena *a, const char *text, struct policy_http *out)
{
    struct bytes whole = bytes_of_string(text);
    const char *mark = whole.size == 0 ? NULL : memchr(text, '?', whole.size);
    struct bytes path = bytes_of(text, mark == NULL ? whole.size : (size_t)(mark - text));
    struct policy_pair *query = NULL;
    size_t query_count = 0;
    if (has_stray(whole) || has_encoded_slash(path)) {
        return ERR_INVALID;
    }
    enum err e = operation_text_decode(a, path, false, &out->path);
    if (e == OK && !operation_text_is_utf8(bytes_of_string(out->path))) {
        return ERR_INVALID;
    }
    if (e == OK && mark != NULL) {
        e = operation_pairs_read(a, bytes_of_string(mark + 1), &query, &query_count);
    }
    out->query = query;
    out->query_count = query_count;
    return e;
}

/* "API.internal:8443" is api.internal, "[::1]:80" is ::1. */
static enum err host_read(struct arena *a, const char *authority, struct policy_http *out)
{
    bool is_address = authority[0] == '[';
    const char *start = authority + is_address;
    const char *end = strpbrk(start, is_address ? "]" : ":");
    size_t size = end == NULL ? strlen(start) : (size_t)(end - start);
    size -= size > 1 && start[size - 1] == '.'; /* the root of DNS */
    char *host = arena_copy_string(a, bytes_of(start, size));
    if (host == NULL) {
        return ERR_NO_MEMORY;
    }
    for (char *p = host; *p != '\0'; p++) {
        *p = *p >= 'A' && *p <= 'Z' ? (char)(*p | 0x20) : *p;
    }
    out->host = host;
    return OK;
}

static enum err headers_read(struct arena *a, const Chaperone__V1__HttpRequest *request,
                             struct policy_http *out)
{
    struct policy_pair *headers = arena_alloc(a, (request->n_fields + 1) * sizeof(*headers));
    if (headers == NULL) {
        return ERR_NO_MEMORY;
    }
    for (size_t i = 0; i < request->n_fields; i++) {
        const Chaperone__V1__HttpField *f = request->fields[i];
        struct bytes value = bytes_of(f->value.data, f->value.len);
        if (value.size > 0 && memchr(value.data, '\0', value.size) != NULL) {
            return ERR_INVALID;
        }
        headers[i] = (struct policy_pair){.name = f->name, .value = arena_copy_string(a, value)};
        if (headers[i].value == NULL) {
            return ERR_NO_MEMORY;
        }
    }
    out->headers = headers;
    out->header_count = request->n_fields;
    return OK;
}

/* ---- the body --------------------------------------------------------------------------- */

enum kind { KIND_OTHER, KIND_JSON, KIND_FORM };

/* NULL: there is none, or more than one. */
static const char *only_header(const struct policy_http *http, const char *name, size_t *out_count)
{
    const char *value = NULL;
    *out_count = 0;
    for (size_t i = 0; i < http->header_count; i++) {
        if (strcasecmp(http->headers[i].name, name) == 0) {
            value = http->headers[i].value;
            ++*out_count;
        }
    }
    return *out_count == 1 ? value : NULL;
}

static bool charset_is_utf8(const char *parameters)
{
    while (*parameters != '\0') {
        parameters += strspn(parameters, " \t;");
        size_t size = strcspn(parameters, ";");
        if (strncasecmp(parameters, "charset", 7) == 0) {
            const char *value = parameters + 7 + strspn(parameters + 7, " \t=\"");
            size_t value_size = strcspn(value, "\" \t;");
            if (value_size != 5 || strncasecmp(value, "utf-8", 5) != 0) {
                return false;
            }
        }
        parameters += size;
    }
    return true;
}

static enum kind kind_of(const struct policy_http *http)
{
    static const char json[] = "application/json", form[] = "application/x-www-form-urlencoded";
    size_t count = 0, codings = 0;
    const char *type = only_header(http, "content-type", &count);
    const char *coding = only_header(http, "content-encoding", &codings);
    bool is_coded = codings > 0 && (coding == NULL || strcasecmp(coding, "identity") != 0);
    if (type == NULL || is_coded || strchr(type, ',') != NULL) {
        return KIND_OTHER;
    }
    type += strspn(type, " \t");
    size_t size = strcspn(type, "; \t");
    if (!charset_is_utf8(type + size)) {
        return KIND_OTHER;
    }
    if (size == sizeof(form) - 1 && strncasecmp(type, form, size) == 0) {
        return KIND_FORM;
    }
    bool is_json = (size == sizeof(json) - 1 && strncasecmp(type, json, size) == 0) ||
                   (size > 5 && strncasecmp(type + size - 5, "+json", 5) == 0);
    return is_json ? KIND_JSON : KIND_OTHER;
}

static bool form_read(struct arena *a, struct bytes body, struct policy_pair **out,
                      size_t *out_count)
{
    struct policy_pair *pairs = NULL;
    size_t count = 0;
    if (operation_pairs_read(a, body, &pairs, &count) != OK) {
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        pairs[i].name = operation_pointer_join(a, "", pairs[i].name);
        if (pairs[i].name == NULL) {
            return false;
        }
    }
    *out = pairs;
    *out_count = count;
    return true;
}

static void body_read(struct arena *a, const Chaperone__V1__HttpRequest *request,
                      struct policy_http *out)
{
    struct bytes body = bytes_of(request->body.data, request->body.len);
    struct policy_pair *pairs = NULL;
    size_t count = 0;
    bool is_whole = !request->body_truncated && !request->body_follows;
    if (is_whole && request->body_size == 0 && body.size == 0) {
        out->body_state = POLICY_BODY_NONE;
        return;
    }
    out->body_state = POLICY_BODY_UNREAD;
    if (!is_whole || body.size == 0 || body.size > OPERATION_HTTP_BODY_MAX) {
        return;
    }
    enum kind kind = kind_of(out);
    if ((kind == KIND_JSON && operation_json_read(a, body, &pairs, &count)) ||
        (kind == KIND_FORM && form_read(a, body, &pairs, &count))) {
        out->body_state = POLICY_BODY_READ;
        out->body = pairs;
        out->body_count = count;
    }
}

enum err operation_http_fill(struct arena *a, const Chaperone__V1__HttpRequest *request,
                             struct policy_http *out)
{
    struct policy_http http = {.method = request->method,
                               .is_websocket = strcasecmp(request->upgrade, "websocket") == 0};
    if (request->upgrade[0] != '\0' && !http.is_websocket) {
        return ERR_INVALID; /* another protocol would follow */
    }
    enum err e = target_read(a, request->path, &http);
    e = e == OK ? host_read(a, request->authority, &http) : e;
    e = e == OK ? headers_read(a, request, &http) : e;
    if (e != OK) {
        return e;
    }
    body_read(a, request, &http);
    *out = http;
    return OK;
}
