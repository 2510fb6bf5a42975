#include "cli/policy/decision_http.h"

#include <stdlib.h>
#include <strings.h>

#include "base/clock.h"
#include "cli/policy/decision_internal.h"
#include "sidecar/operation/operation_http.h"
#include "sidecar/operation/question.h"
#include "sidecar/protocol/http/http_target.h"

static enum err misread(struct err_text *error, const char *found)
{
    return err_set(error, ERR_INVALID,
                   "expected a request such as \"GET https://api.internal/customers/42\", found "
                   "\"%.200s\"",
                   found);
}

/* ---- as it was written ------------------------------------------------------------------ */

/* METHOD SCHEME://AUTHORITY[/TARGET]; the arena's copies. */
static enum err request_read(struct arena *a, const char *text, Chaperone__V1__HttpRequest *m,
                             struct bytes *out_target, struct err_text *error)
{
    const char *space = strchr(text, ' ');
    const char *url = space == NULL ? "" : space + 1 + strspn(space + 1, " ");
    const char *colon = strstr(url, "://");
    if (space == NULL || space == text || colon == NULL || colon == url) {
        return misread(error, text);
    }
    const char *authority = colon + 3;
    size_t size = strcspn(authority, "/?");
    m->method = arena_copy_string(a, bytes_of(text, (size_t)(space - text)));
    m->scheme = arena_copy_string(a, bytes_of(url, (size_t)(colon - url)));
    m->authority = arena_copy_string(a, bytes_of(authority, size));
    if (m->method == NULL || m->scheme == NULL || m->authority == NULL) {
        return ERR_NO_MEMORY;
    }
    char host[HTTP_HOST_SIZE];
    uint16_t port = 0;
    bool is_http = strcasecmp(m->scheme, "http") == 0 || strcasecmp(m->scheme, "https") == 0;
    if (!is_http || http_authority_read(bytes_of_string(m->authority), host, &port) != OK ||
        authority[size] == '?') {
        return misread(error, text);
    }
    *out_target = bytes_of_string(authority[size] == '\0' ? "/" : authority + size);
    return OK;
}

static enum err header_read(struct arena *a, const char *text, Chaperone__V1__HttpField *out,
                            struct err_text *error)
{
    const char *colon = strchr(text, ':');
    if (colon == NULL || colon == text) {
        return err_set(error, ERR_INVALID,
                       "expected a header such as \"x-team: care\", found \"%.200s\"", text);
    }
    const char *value = colon + 1 + strspn(colon + 1, " \t");
    *out = (Chaperone__V1__HttpField)CHAPERONE__V1__HTTP_FIELD__INIT;
    out->name = arena_copy_string(a, bytes_of(text, (size_t)(colon - text)));
    out->value = (ProtobufCBinaryData){strlen(value), (uint8_t *)(uintptr_t)value};
    for (char *p = out->name; p != NULL && *p != '\0'; p++) {
        *p = *p >= 'A' && *p <= 'Z' ? (char)(*p | 0x20) : *p;
    }
    return out->name == NULL ? ERR_NO_MEMORY : OK;
}

static enum err headers_read(struct arena *a, const struct decision_http *asked,
                             Chaperone__V1__HttpRequest *m, struct err_text *error)
{
    size_t most = asked->header_count + 1;
    Chaperone__V1__HttpField *items = arena_alloc(a, most * sizeof(*items));
    m->fields = arena_alloc(a, most * sizeof(*m->fields));
    bool has_type = false;
    if (items == NULL || m->fields == NULL) {
        return ERR_NO_MEMORY;
    }
    for (size_t i = 0; i < asked->header_count; i++) {
        enum err e = header_read(a, asked->headers[i], &items[i], error);
        if (e != OK) {
            return e;
        }
        has_type = has_type || strcmp(items[i].name, "content-type") == 0;
        m->fields[m->n_fields++] = &items[i];
    }
    if (!has_type && asked->body.size > 0) {
        enum err e = header_read(a, "content-type: application/json", &items[m->n_fields], error);
        m->fields[m->n_fields] = &items[m->n_fields];
        m->n_fields++;
        return e;
    }
    return OK;
}

/* ---- the decision ----------------------------------------------------------------------- */

static struct policy_verdict refused(struct arena *a, const char *why)
{
    return (struct policy_verdict){.effect = POLICY_DENY,
                                   .rule = "protocol",
                                   .message = arena_copy_string(a, bytes_of_string(why))};
}

static enum err decide(struct decision *d, const struct policy *policy,
                       const struct identity_option *as, const char *resource,
                       const Chaperone__V1__HttpRequest *m)
{
    Chaperone__V1__SessionOpened opened = CHAPERONE__V1__SESSION_OPENED__INIT;
    Chaperone__V1__Intent intent = CHAPERONE__V1__INTENT__INIT;
    struct policy_request request;
    struct policy_http http;
    const struct clock clock = clock_system();
    enum err e = operation_http_fill(d->arena, m, &http);
    if (e == ERR_INVALID || e == ERR_LIMIT) {
        d->verdict = refused(d->arena, "the request's path or query cannot be read in one way");
        return OK;
    }
    if (e != OK || !decision_describe_session(d->arena, as, resource, "http", &opened) ||
        !question_ask(d->arena, &opened, &intent, clock_wall(&clock) / 1000000000, &request)) {
        return ERR_NO_MEMORY;
    }
    request.http = &http;
    policy_evaluate(policy, &request, &d->verdict);
    return OK;
}

static enum err make(struct decision *d, const struct policy *policy,
                     const struct identity_option *as, const char *resource,
                     const struct decision_http *asked, struct err_text *error)
{
    Chaperone__V1__HttpRequest m = CHAPERONE__V1__HTTP_REQUEST__INIT;
    struct bytes target = {0};
    struct http_target read = {0};
    struct err_text why = {0};
    enum err e = request_read(d->arena, asked->request, &m, &target, error);
    e = e == OK ? headers_read(d->arena, asked, &m, error) : e;
    if (e != OK) {
        return e;
    }
    e = http_target_read(d->arena, target, &read, &why);
    if (e == ERR_INVALID) {
        d->verdict = refused(d->arena, why.text);
        return OK;
    }
    m.path = e == OK ? arena_copy_string(d->arena, read.forwarded) : NULL;
    if (m.path == NULL) {
        return ERR_NO_MEMORY;
    }
    m.body = (ProtobufCBinaryData){asked->body.size, (uint8_t *)(uintptr_t)asked->body.data};
    m.body_size = asked->body.size;
    if (asked->is_websocket) {
        m.upgrade = (char *)(uintptr_t) "websocket";
    }
    return decide(d, policy, as, resource, &m);
}

enum err decision_make_http(const struct policy *policy, const struct identity_option *as,
                            const char *resource, const struct decision_http *asked,
                            struct decision **out, struct err_text *error)
{
    struct decision *d = decision_create();
    enum err e = d == NULL ? ERR_NO_MEMORY : make(d, policy, as, resource, asked, error);
    if (e != OK) {
        decision_destroy(d);
        return e;
    }
    *out = d;
    return OK;
}
