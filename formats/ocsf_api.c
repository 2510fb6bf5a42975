#include "formats/ocsf_api.h"

#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include "formats/record_json.h"

enum { US_PER_MS = 1000, WORD_SIZE = 32, HOST_SIZE = 256 };

/* Reading, writing: what RFC 9110 section 9.3 (and RFC 5789) means by a method. */
static const struct {
    const char *method;
    int id;
    const char *name;
} methods[] = {
    {"GET", 2, "Read"},    {"HEAD", 2, "Read"},  {"OPTIONS", 2, "Read"}, {"TRACE", 2, "Read"},
    {"POST", 1, "Create"}, {"PUT", 3, "Update"}, {"PATCH", 3, "Update"}, {"DELETE", 4, "Delete"},
};

static void set_activity(struct ocsf_event *e, const char *method)
{
    for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++) {
        if (strcmp(method, methods[i].method) == 0) {
            ocsf_set_class(e, OCSF_API_ACTIVITY, methods[i].id, methods[i].name);
            return;
        }
    }
    ocsf_set_class(e, OCSF_API_ACTIVITY, OCSF_ACTIVITY_OTHER, method[0] == '\0' ? "Other" : method);
}

/* What all of them have: what was called, on which resource, by whom, from where. */
static void add_place(struct ocsf_event *e, const char *operation, const char *authority)
{
    struct json *j = &e->json;
    const struct record_view *v = e->view;
    const char *resource = v->resource == NULL ? "unknown" : v->resource;
    cJSON *api = json_add_object(j, j->root, "api");
    json_add_string(j, api, "operation", operation[0] == '\0' ? "unknown" : operation);
    json_add_string(j, json_add_object(j, api, "service"), "name", resource);
    cJSON *item = json_add_object(j, json_add_array(j, j->root, "resources"), NULL);
    json_add_string(j, item, "uid", resource);
    json_add_string(j, item, "name", resource);
    json_add_string(j, item, "type", "HTTP API");
    ocsf_observe(e, "resources.0.uid", OCSF_RESOURCE_UID, v->resource);
    ocsf_add_endpoint(e, "src_endpoint", NULL);
    if (authority[0] != '\0') {
        ocsf_add_endpoint(e, "dst_endpoint", authority);
    }
    ocsf_add_actor(e, NULL);
    ocsf_add(e, e->unmapped, "protocol", v->protocol);
    if (v->operation.known) {
        json_add_unsigned(j, e->unmapped, "operation", v->operation.value);
    }
}

/* ---- the request ---- */

static void add_headers(struct ocsf_event *e, cJSON *to, Chaperone__V1__HttpField *const *fields,
                        size_t count)
{
    cJSON *list = json_add_array(&e->json, to, "http_headers");
    for (size_t i = 0; i < count; i++) {
        cJSON *item = json_add_object(&e->json, list, NULL);
        json_add_string(&e->json, item, "name", fields[i]->name);
        json_add_text(&e->json, item, "value", record_bytes(fields[i]->value));
    }
}

/* The value of the first field with this name. */
static void add_field(struct ocsf_event *e, cJSON *to, const char *key, const char *name,
                      Chaperone__V1__HttpField *const *fields, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (strcasecmp(fields[i]->name, name) == 0) {
            json_add_text(&e->json, to, key, record_bytes(fields[i]->value));
            return;
        }
    }
}

/* "api.internal:8443": the brackets of an IPv6 address stay, as in a URL. */
static void add_host(struct ocsf_event *e, cJSON *url, const char *authority, const char *scheme)
{
    const char *colon = strrchr(authority, ':');
    bool has_port = colon != NULL && strchr(colon, ']') == NULL;
    size_t size = has_port ? (size_t)(colon - authority) : strlen(authority);
    long port = has_port ? strtol(colon + 1, NULL, 10) : strcmp(scheme, "https") == 0 ? 443 : 80;
    json_add_text(&e->json, url, "hostname", bytes_of(authority, size));
    if (port > 0 && port <= UINT16_MAX) {
        json_add_signed(&e->json, url, "port", port);
    }
}

static void add_url(struct ocsf_event *e, cJSON *to, const Chaperone__V1__HttpRequest *r)
{
    struct json *j = &e->json;
    size_t path = strcspn(r->path, "?");
    struct buffer text;
    cJSON *url = json_add_object(j, to, "url");
    add_host(e, url, r->authority, r->scheme);
    json_add_text(j, url, "path", bytes_of(r->path, path));
    if (r->path[path] == '?') {
        json_add_string(j, url, "query_string", r->path + path + 1);
    }
    json_add_string(j, url, "scheme", r->scheme);
    buffer_init(&text, SIZE_MAX);
    if (buffer_append_format(&text, "%s://%s%s", r->scheme, r->authority, r->path) == OK) {
        json_add_text(j, url, "url_string", buffer_bytes(&text));
    } else {
        j->failed = true;
    }
    buffer_finish(&text);
}

static void add_request(struct ocsf_event *e, const Chaperone__V1__HttpRequest *r)
{
    struct json *j = &e->json;
    cJSON *request = json_add_object(j, j->root, "http_request");
    json_add_string(j, request, "http_method", r->method);
    ocsf_add(e, request, "version", r->version);
    add_url(e, request, r);
    add_field(e, request, "user_agent", "user-agent", r->fields, r->n_fields);
    add_field(e, request, "referrer", "referer", r->fields, r->n_fields);
    add_headers(e, request, r->fields, r->n_fields);
    ocsf_add(e, e->unmapped, "path_of_rule", r->template_);
    ocsf_add(e, e->unmapped, "traceparent", r->traceparent);
    ocsf_add(e, e->unmapped, "idempotency_key", r->idempotency_key);
    ocsf_add(e, e->unmapped, "upgrade", r->upgrade);
    json_add_unsigned(j, e->unmapped, "body_size", r->body_size);
}

void ocsf_api_add_intent(struct ocsf_event *e, const Chaperone__V1__Intent *intent)
{
    const Chaperone__V1__HttpRequest *r = intent->http;
    bool held = intent->verdict == CHAPERONE__V1__VERDICT__HOLD;
    bool denied = !held && intent->verdict != CHAPERONE__V1__VERDICT__ALLOW;
    const char *method = r != NULL ? r->method : intent->n_commands > 0 ? intent->commands[0] : "";
    char operation[HOST_SIZE];
    set_activity(e, method);
    ocsf_set_severity(e, denied ? OCSF_MEDIUM : held ? OCSF_LOW : OCSF_INFORMATIONAL);
    /* What became of it, the outcome says. */
    ocsf_set_status(e, denied ? OCSF_STATUS_FAILURE : OCSF_STATUS_UNKNOWN, NULL, intent->error,
                    NULL);
    /* The rule's pattern has no values in it, so that the same calls have the same name. */
    (void)snprintf(operation, sizeof(operation), "%s%s%s", method,
                   r != NULL && r->template_[0] != '\0' ? " " : "", r != NULL ? r->template_ : "");
    add_place(e, operation, r == NULL ? "" : r->authority);
    if (r != NULL) {
        add_request(e, r);
    } else {
        json_add_text(&e->json, e->unmapped, "text", record_bytes(intent->text));
    }
    record_json_add_objects(&e->json, e->unmapped, intent);
    ocsf_add(e, e->unmapped, "approval", intent->approval);
}

/* ---- the response ---- */

static void add_response(struct ocsf_event *e, const Chaperone__V1__HttpResponse *r)
{
    struct json *j = &e->json;
    cJSON *response = json_add_object(j, j->root, "http_response");
    json_add_unsigned(j, response, "code", r->status);
    add_field(e, response, "content_type", "content-type", r->fields, r->n_fields);
    json_add_signed(j, response, "latency", r->first_byte_us / US_PER_MS);
    add_headers(e, response, r->fields, r->n_fields);
    if (r->messages_from_agent > 0 || r->messages_to_agent > 0) {
        json_add_unsigned(j, e->unmapped, "messages_from_agent", r->messages_from_agent);
        json_add_unsigned(j, e->unmapped, "messages_to_agent", r->messages_to_agent);
    }
}

static enum ocsf_status outcome_status(Chaperone__V1__Status status)
{
    switch (status) {
    case CHAPERONE__V1__STATUS__SUCCESS: return OCSF_STATUS_SUCCESS;
    case CHAPERONE__V1__STATUS__FAILED:
    case CHAPERONE__V1__STATUS__REFUSED: return OCSF_STATUS_FAILURE;
    case CHAPERONE__V1__STATUS__NOT_EXECUTED:
    case CHAPERONE__V1__STATUS__SUSPENDED: return OCSF_STATUS_OTHER;
    default: return OCSF_STATUS_UNKNOWN;
    }
}

void ocsf_api_add_outcome(struct ocsf_event *e, const Chaperone__V1__Outcome *outcome)
{
    struct json *j = &e->json;
    const Chaperone__V1__HttpResponse *r = outcome->http;
    enum ocsf_status status = outcome_status(outcome->status);
    struct bytes command = record_tag_command(outcome->command_tag);
    char method[WORD_SIZE] = "", code[16] = "";
    (void)snprintf(method, sizeof(method), "%.*s",
                   (int)(command.size < sizeof(method) ? command.size : sizeof(method) - 1),
                   (const char *)command.data);
    if (r != NULL && r->status != 0) {
        (void)snprintf(code, sizeof(code), "%u", r->status);
    }
    set_activity(e, method);
    ocsf_set_severity(e, status == OCSF_STATUS_FAILURE ? OCSF_LOW : OCSF_INFORMATIONAL);
    ocsf_set_status(e, status, status == OCSF_STATUS_OTHER ? e->view->status : NULL, outcome->error,
                    outcome->error_code[0] != '\0' ? outcome->error_code : code);
    add_place(e, method, "");
    if (outcome->duration_us >= 0) {
        json_add_signed(j, j->root, "duration", outcome->duration_us / US_PER_MS);
    }
    if (r != NULL) {
        add_response(e, r);
    }
    json_add_unsigned(j, e->unmapped, "bytes", outcome->bytes);
    ocsf_add(e, e->unmapped, "approval", outcome->approval);
    if (outcome->masking != NULL) {
        record_json_add_receipt(j, e->unmapped, outcome->masking);
    }
}

/* ---- a message ---- */

void ocsf_api_add_message(struct ocsf_event *e, const Chaperone__V1__Message *message)
{
    struct json *j = &e->json;
    ocsf_set_class(e, OCSF_API_ACTIVITY, OCSF_ACTIVITY_OTHER,
                   message->from_agent ? "Send" : "Receive");
    ocsf_set_severity(e, OCSF_INFORMATIONAL);
    ocsf_set_status(e, OCSF_STATUS_SUCCESS, NULL, NULL, NULL);
    add_place(e, message->from_agent ? "message from the agent" : "message to the agent", "");
    json_add_unsigned(j, e->unmapped, "number", message->number);
    json_add_string(j, e->unmapped, "message", message->kind);
    ocsf_add(e, e->unmapped, "name", message->name);
    json_add_unsigned(j, e->unmapped, "bytes", message->size);
    if (message->masking != NULL) {
        record_json_add_receipt(j, e->unmapped, message->masking);
    }
}
