#include "formats/http_json.h"

#include "formats/body.h"
#include "formats/record_json.h"

/* "" is what protobuf has for absent. */
static void add_present(struct json *j, cJSON *to, const char *name, const char *text)
{
    if (text[0] != '\0') {
        json_add_string(j, to, name, text);
    }
}

static void add_fields(struct json *j, cJSON *to, const char *name,
                       Chaperone__V1__HttpField *const *fields, size_t count)
{
    cJSON *list = json_add_array(j, to, name);
    for (size_t i = 0; i < count; i++) {
        cJSON *item = json_add_object(j, list, NULL);
        json_add_string(j, item, "name", fields[i]->name);
        json_add_text(j, item, "value", record_bytes(fields[i]->value));
        if (fields[i]->masked) {
            json_add_bool(j, item, "masked", true);
        }
    }
}

static void add_bytes(struct json *j, cJSON *to, const char *name, const char *hex_name,
                      ProtobufCBinaryData data, bool is_truncated)
{
    struct bytes body = record_bytes(data);
    if (body_form_of(body, is_truncated) == BODY_BINARY) {
        json_add_hex(j, to, hex_name, body);
    } else {
        json_add_text(j, to, name, body);
    }
}

void http_json_add_request(struct json *j, cJSON *to, const Chaperone__V1__HttpRequest *request)
{
    cJSON *http = json_add_object(j, to, "http");
    json_add_string(j, http, "method", request->method);
    json_add_string(j, http, "scheme", request->scheme);
    json_add_string(j, http, "authority", request->authority);
    json_add_string(j, http, "path", request->path);
    add_present(j, http, "template", request->template_);
    json_add_string(j, http, "version", request->version);
    add_fields(j, http, "fields", request->fields, request->n_fields);
    if (request->body.len > 0) {
        add_bytes(j, http, "body", "body_hex", request->body, request->body_truncated);
    }
    json_add_unsigned(j, http, "body_size", request->body_size);
    json_add_bool(j, http, "body_truncated", request->body_truncated);
    json_add_bool(j, http, "body_follows", request->body_follows);
    add_present(j, http, "traceparent", request->traceparent);
    add_present(j, http, "idempotency_key", request->idempotency_key);
    add_present(j, http, "upgrade", request->upgrade);
}

/* Of a body that came after the intent. */
static void add_late_request(struct json *j, cJSON *http,
                             const Chaperone__V1__HttpResponse *response)
{
    if (response->request_body.len > 0) {
        add_bytes(j, http, "request_body", "request_body_hex", response->request_body,
                  response->request_body_truncated);
        json_add_bool(j, http, "request_body_truncated", response->request_body_truncated);
    }
    if (response->n_request_trailers > 0) {
        add_fields(j, http, "request_trailers", response->request_trailers,
                   response->n_request_trailers);
    }
}

void http_json_add_response(struct json *j, cJSON *to, const Chaperone__V1__Outcome *outcome,
                            bool with_body)
{
    const Chaperone__V1__HttpResponse *response = outcome->http;
    cJSON *http = json_add_object(j, to, "http");
    json_add_unsigned(j, http, "status", response->status);
    json_add_string(j, http, "version", response->version);
    add_fields(j, http, "fields", response->fields, response->n_fields);
    if (response->n_trailers > 0) {
        add_fields(j, http, "trailers", response->trailers, response->n_trailers);
    }
    add_present(j, http, "coding", response->coding);
    json_add_signed(j, http, "first_byte_us", response->first_byte_us);
    if (response->messages_from_agent > 0 || response->messages_to_agent > 0) {
        json_add_unsigned(j, http, "messages_from_agent", response->messages_from_agent);
        json_add_unsigned(j, http, "messages_to_agent", response->messages_to_agent);
    }
    add_late_request(j, http, response);
    if (with_body && outcome->response.len > 0) {
        add_bytes(j, http, "body", "body_hex", outcome->response, outcome->response_truncated);
    }
}

void http_json_add_message(struct json *j, cJSON *to, const Chaperone__V1__Message *message)
{
    json_add_unsigned(j, to, "number", message->number);
    json_add_bool(j, to, "from_agent", message->from_agent);
    json_add_string(j, to, "message", message->kind);
    add_present(j, to, "name", message->name);
    add_bytes(j, to, "data", "data_hex", message->data, message->truncated);
    json_add_bool(j, to, "truncated", message->truncated);
    if (message->digest.len > 0) {
        json_add_hex(j, to, "digest", record_bytes(message->digest));
    }
    if (message->masking != NULL) {
        record_json_add_receipt(j, to, message->masking);
    }
}
