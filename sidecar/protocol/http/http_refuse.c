/* Answers of the sidecar's own: problem documents of RFC 9457. */
#include <cjson/cJSON.h>
#include <stdio.h>
#include <stdlib.h>

#include "sidecar/protocol/http/http_internal.h"
#include "sidecar/protocol/http/http_status.h"

static const char *title_of(unsigned status)
{
    const char *reason = http_status_reason(status);
    return reason[0] == '\0' ? "Refused" : reason;
}

unsigned http_problem_status(enum http_problem problem)
{
    switch (problem) {
    case HTTP_PROBLEM_TOO_LARGE: return 431;
    case HTTP_PROBLEM_TARGET_TOO_LONG: return 414;
    case HTTP_PROBLEM_UNSUPPORTED: return 501;
    default: return 400;
    }
}

/* Returns owned; NULL: no memory. */
static char *document(const struct http_refusal *r)
{
    cJSON *root = cJSON_CreateObject();
    bool ok = root != NULL && cJSON_AddStringToObject(root, "type", "about:blank") != NULL &&
              cJSON_AddStringToObject(root, "title", title_of(r->status)) != NULL &&
              cJSON_AddNumberToObject(root, "status", r->status) != NULL &&
              cJSON_AddStringToObject(root, "detail", r->detail) != NULL;
    if (r->rule != NULL && r->rule[0] != '\0') {
        ok = ok && cJSON_AddStringToObject(root, "rule", r->rule) != NULL;
    }
    if (r->operation != 0) {
        ok = ok && cJSON_AddNumberToObject(root, "operation", (double)r->operation) != NULL;
    }
    if (r->approval != NULL && r->approval[0] != '\0') {
        ok = ok && cJSON_AddStringToObject(root, "approval", r->approval) != NULL;
    }
    char *text = ok ? cJSON_PrintUnformatted(root) : NULL;
    cJSON_Delete(root);
    return text;
}

void http_refuse_stream(struct http *p, uint32_t stream, const struct http_refusal *r)
{
    char *text = document(r);
    char retry_after[24];
    (void)snprintf(retry_after, sizeof(retry_after), "%lld", (long long)r->retry_after_s);
    struct http_field fields[4] = {
        {bytes_of_string("content-type"), bytes_of_string("application/problem+json")},
        {bytes_of_string("cache-control"), bytes_of_string("no-store")},
    };
    size_t count = 2;
    if (r->retry_after_s > 0) {
        fields[count++] =
            (struct http_field){bytes_of_string("retry-after"), bytes_of_string(retry_after)};
    }
    if (r->status == 401 || r->status == 407) { /* RFC 9110 sections 15.5.2 and 15.5.8 */
        fields[count++] = (struct http_field){
            bytes_of_string(r->status == 401 ? "www-authenticate" : "proxy-authenticate"),
            bytes_of_string(r->status == 401 ? "Bearer" : "Basic realm=\"chaperone\"")};
    }
    struct bytes body = bytes_of_string(text == NULL ? "" : text);
    const struct http_response response = {
        .status = r->status,
        .fields = {.items = fields, .count = count},
        .body_size = (int64_t)body.size,
        .has_body = body.size > 0,
    };
    p->agent->ops->send_response(p->agent, stream, &response);
    if (body.size > 0) {
        p->agent->ops->send_data(p->agent, stream, body);
    }
    p->agent->ops->send_end(p->agent, stream, NULL);
    cJSON_free(text);
}

void http_refuse(struct http_exchange *x, const struct http_refusal *r)
{
    struct http *p = x->http;
    x->state = EXCHANGE_REFUSED;
    size_t left = buffer_size(&x->gathered) - x->gathered_consumed + x->request_unconsumed;
    buffer_wipe(&x->gathered);
    x->gathered_consumed = x->request_unconsumed = 0;
    bool is_long = x->request.body_size > HTTP_DISCARD_MAX || x->request.expects_continue;
    if (!x->request_complete && is_long && x->request.version != HTTP_2) {
        http_go_away(p); /* it is not worth reading */
    }
    x->response_started = true;
    x->response_complete = true;
    http_refuse_stream(p, x->agent_stream, r);
    x->discarded += left;
    if (left > 0 && !x->request_complete) {
        p->agent->ops->consumed(p->agent, x->agent_stream, left);
    }
    http_exchange_settle(x);
}
