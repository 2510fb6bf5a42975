#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include <cjson/cJSON.h>

#include "formats/ocsf.h"

static const int64_t START = 1795250580LL * 1000000000;

struct event {
    Chaperone__V1__Entry entry;
    Chaperone__V1__Record record;
    uint8_t hash[32];
    cJSON *json;
};

static char *text(const char *borrowed)
{
    return (char *)(uintptr_t)borrowed;
}

static void event_init(struct event *e, Chaperone__V1__Record__EventCase kind)
{
    chaperone__v1__entry__init(&e->entry);
    chaperone__v1__record__init(&e->record);
    memset(e->hash, 0xab, sizeof(e->hash));
    e->json = NULL;
    e->entry.position = 812;
    e->entry.hash = (ProtobufCBinaryData){.data = e->hash, .len = sizeof(e->hash)};
    e->entry.identity = text("dev-agent");
    e->entry.resource = text("shop");
    e->entry.protocol = text("postgres");
    e->entry.received_unix_ns = START + 5000000;
    e->record.sidecar = text("sidecar-1");
    e->record.session = text("019f0000-0000-7000-8000-000000000001");
    e->record.sequence = 7;
    e->record.time_unix_ns = START;
    e->record.event_case = kind;
}

static void event_make(struct event *e, bool erased)
{
    struct buffer out;
    buffer_init(&out, 1 << 16);
    assert_int_equal(ocsf_record(&e->entry, erased ? NULL : &e->record, &out), OK);
    e->json = cJSON_ParseWithLength((const char *)buffer_bytes(&out).data, buffer_size(&out));
    assert_non_null(e->json);
    assert_null(memchr(buffer_bytes(&out).data, '\n', buffer_size(&out)));
    buffer_finish(&out);
}

static const cJSON *at(const struct event *e, const char *path)
{
    const cJSON *item = e->json;
    char part[64];
    while (item != NULL && path[0] != '\0') {
        size_t n = strcspn(path, ".");
        memcpy(part, path, n);
        part[n] = '\0';
        item = part[0] >= '0' && part[0] <= '9' ? cJSON_GetArrayItem(item, atoi(part))
                                                : cJSON_GetObjectItemCaseSensitive(item, part);
        path += path[n] == '.' ? n + 1 : n;
    }
    return item;
}

static long number(const struct event *e, const char *path)
{
    const cJSON *item = at(e, path);
    assert_true(cJSON_IsNumber(item));
    return (long)item->valuedouble;
}

static const char *string(const struct event *e, const char *path)
{
    const cJSON *item = at(e, path);
    assert_true(cJSON_IsString(item));
    return item->valuestring;
}

static void expect_class(const struct event *e, long class, long activity)
{
    assert_int_equal(number(e, "class_uid"), class);
    assert_int_equal(number(e, "category_uid"), class / 1000);
    assert_int_equal(number(e, "activity_id"), activity);
    assert_int_equal(number(e, "type_uid"), class * 100 + activity);
    assert_string_equal(string(e, "metadata.version"), "1.3.0");
    assert_string_equal(string(e, "metadata.product.vendor_name"), "Chaperone");
    assert_int_equal(number(e, "time"), START / 1000000);
    assert_true(number(e, "severity_id") >= 1);
}

static void test_an_intent_is_a_datastore_activity(void **state)
{
    (void)state;
    struct event e;
    Chaperone__V1__Intent intent = CHAPERONE__V1__INTENT__INIT;
    Chaperone__V1__Object object = CHAPERONE__V1__OBJECT__INIT, *objects[] = {&object};
    char *commands[] = {text("SELECT")};
    event_init(&e, CHAPERONE__V1__RECORD__EVENT_INTENT);
    e.record.intent = &intent;
    object.kind = text("table");
    object.name = text("orders");
    object.access = text("read");
    intent.n_objects = 1;
    intent.objects = objects;
    intent.n_commands = 1;
    intent.commands = commands;
    intent.verdict = CHAPERONE__V1__VERDICT__DENY;
    intent.rule = text("no-orders");
    intent.text = (ProtobufCBinaryData){.data = (uint8_t *)text("SELECT 1\x1b"), .len = 9};
    event_make(&e, false);
    expect_class(&e, 6005, 4);
    assert_int_equal(number(&e, "status_id"), 2);
    assert_string_equal(string(&e, "actor.user.name"), "dev-agent");
    assert_string_equal(string(&e, "actor.authorizations.0.decision"), "deny");
    assert_string_equal(string(&e, "actor.authorizations.0.policy.name"), "no-orders");
    assert_string_equal(string(&e, "database.name"), "shop");
    assert_int_equal(number(&e, "database.type_id"), 1);
    assert_string_equal(string(&e, "table.name"), "orders");
    assert_string_equal(string(&e, "query_info.query_string"), "SELECT 1\x1b");
    assert_string_equal(string(&e, "src_endpoint.uid"), "sidecar-1");
    assert_string_equal(string(&e, "metadata.event_code"), "intent");
    assert_string_equal(string(&e, "metadata.correlation_uid"), e.record.session);
    assert_string_equal(string(&e, "metadata.uid"),
                        "abababababababababababababababababababababababababababababababab");
    assert_int_equal(number(&e, "metadata.logged_time"), START / 1000000 + 5);
    cJSON_Delete(e.json);
}

static void test_what_statements_are(void **state)
{
    (void)state;
    static const struct {
        const char *command;
        long activity;
    } cases[] = {{"SELECT", 4}, {"UPDATE", 2}, {"INSERT", 5},       {"DELETE", 7},
                 {"DROP", 7},   {"SHOW", 8},   {"CREATE TABLE", 6}, {"VACUUM", 99}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct event e;
        Chaperone__V1__Intent intent = CHAPERONE__V1__INTENT__INIT;
        char *commands[] = {text(cases[i].command)};
        event_init(&e, CHAPERONE__V1__RECORD__EVENT_INTENT);
        e.record.intent = &intent;
        intent.verdict = CHAPERONE__V1__VERDICT__ALLOW;
        intent.n_commands = 1;
        intent.commands = commands;
        event_make(&e, false);
        expect_class(&e, 6005, cases[i].activity);
        /* Allowed is not yet done. */
        assert_int_equal(number(&e, "status_id"), 0);
        cJSON_Delete(e.json);
    }
}

static void test_an_outcome_says_how_it_ended(void **state)
{
    (void)state;
    static const struct {
        Chaperone__V1__Status status;
        long id;
    } cases[] = {{CHAPERONE__V1__STATUS__SUCCESS, 1},
                 {CHAPERONE__V1__STATUS__FAILED, 2},
                 {CHAPERONE__V1__STATUS__REFUSED, 2},
                 {CHAPERONE__V1__STATUS__UNKNOWN, 0},
                 {(Chaperone__V1__Status)77, 0}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct event e;
        Chaperone__V1__Outcome outcome = CHAPERONE__V1__OUTCOME__INIT;
        event_init(&e, CHAPERONE__V1__RECORD__EVENT_OUTCOME);
        e.record.outcome = &outcome;
        outcome.status = cases[i].status;
        outcome.command_tag = text("SELECT 5");
        outcome.duration_us = 12345;
        event_make(&e, false);
        expect_class(&e, 6005, 4);
        assert_int_equal(number(&e, "status_id"), cases[i].id);
        assert_int_equal(number(&e, "duration"), 12);
        cJSON_Delete(e.json);
    }
}

static void test_a_session_is_an_authentication(void **state)
{
    (void)state;
    struct event e;
    Chaperone__V1__SessionOpened opened = CHAPERONE__V1__SESSION_OPENED__INIT;
    Chaperone__V1__Identity identity = CHAPERONE__V1__IDENTITY__INIT;
    event_init(&e, CHAPERONE__V1__RECORD__EVENT_SESSION_OPENED);
    e.record.session_opened = &opened;
    identity.subject = text("agent-7");
    identity.issuer = text("https://issuer.example");
    opened.identity = &identity;
    opened.verdict = CHAPERONE__V1__VERDICT__ALLOW;
    opened.agent_address = text("127.0.0.1:51234");
    opened.target_address = text("[::1]:5432");
    event_make(&e, false);
    expect_class(&e, 3002, 1);
    assert_int_equal(number(&e, "status_id"), 1);
    assert_string_equal(string(&e, "user.uid"), "agent-7");
    assert_string_equal(string(&e, "src_endpoint.ip"), "127.0.0.1");
    assert_int_equal(number(&e, "src_endpoint.port"), 51234);
    assert_string_equal(string(&e, "dst_endpoint.ip"), "::1");
    assert_string_equal(string(&e, "session.uid"), e.record.session);
    cJSON_Delete(e.json);
    opened.verdict = CHAPERONE__V1__VERDICT__DENY;
    opened.identity = NULL;
    opened.error = text("the token has expired");
    e.entry.identity = text("");
    opened.agent_address = text("unix:/run/x");
    opened.target_address = text("db.internal:5432");
    event_make(&e, false);
    assert_int_equal(number(&e, "status_id"), 2);
    assert_string_equal(string(&e, "status_detail"), "the token has expired");
    assert_string_equal(string(&e, "user.name"), "unknown");
    assert_string_equal(string(&e, "src_endpoint.name"), "unix:/run/x");
    assert_string_equal(string(&e, "dst_endpoint.hostname"), "db.internal");
    cJSON_Delete(e.json);
}

static void test_what_people_did(void **state)
{
    (void)state;
    static const struct {
        const char *action;
        long class, activity;
    } cases[] = {{"login", 3002, 1}, {"kill", 3004, 12},  {"search", 3004, 2},
                 {"erase", 3004, 4}, {"policy", 3004, 3}, {"something new", 3004, 99}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct event e;
        Chaperone__V1__Action action = CHAPERONE__V1__ACTION__INIT;
        Chaperone__V1__Identity by = CHAPERONE__V1__IDENTITY__INIT;
        event_init(&e, CHAPERONE__V1__RECORD__EVENT_ACTION);
        e.record.action = &action;
        by.subject = text("carol");
        action.action = text(cases[i].action);
        action.object = text("session 1");
        action.by = &by;
        event_make(&e, false);
        expect_class(&e, cases[i].class, cases[i].activity);
        assert_int_equal(number(&e, "status_id"), 1);
        assert_string_equal(string(&e, cases[i].class == 3002 ? "user.uid" : "actor.user.uid"),
                            "carol");
        cJSON_Delete(e.json);
    }
}

static void test_a_finding_and_a_loss(void **state)
{
    (void)state;
    struct event e;
    Chaperone__V1__Finding finding = CHAPERONE__V1__FINDING__INIT;
    Chaperone__V1__Loss loss = CHAPERONE__V1__LOSS__INIT;
    event_init(&e, CHAPERONE__V1__RECORD__EVENT_FINDING);
    e.record.finding = &finding;
    finding.kind = text("log_forked");
    finding.detail = text("two roots of size 5");
    event_make(&e, false);
    expect_class(&e, 2004, 1);
    assert_int_equal(number(&e, "severity_id"), 5);
    assert_string_equal(string(&e, "finding_info.desc"), "two roots of size 5");
    assert_string_equal(string(&e, "finding_info.types.0"), "log_forked");
    cJSON_Delete(e.json);
    e.record.event_case = CHAPERONE__V1__RECORD__EVENT_LOSS;
    e.record.loss = &loss;
    event_make(&e, false);
    expect_class(&e, 2004, 1);
    assert_string_equal(string(&e, "resources.0.uid"), "sidecar-1");
    cJSON_Delete(e.json);
}

static void test_the_others_are_base_events(void **state)
{
    (void)state;
    struct event e;
    Chaperone__V1__Heartbeat heartbeat = CHAPERONE__V1__HEARTBEAT__INIT;
    event_init(&e, CHAPERONE__V1__RECORD__EVENT_HEARTBEAT);
    e.record.heartbeat = &heartbeat;
    event_make(&e, false);
    expect_class(&e, 0, 99);
    cJSON_Delete(e.json);
    e.record.event_case = CHAPERONE__V1__RECORD__EVENT__NOT_SET;
    event_make(&e, false);
    expect_class(&e, 0, 99);
    cJSON_Delete(e.json);
    e.entry.is_erased = true;
    e.entry.kind = text("intent");
    e.entry.time_unix_ns = START;
    event_make(&e, true);
    expect_class(&e, 0, 99);
    assert_true(cJSON_IsTrue(at(&e, "unmapped.erased")));
    assert_string_equal(string(&e, "metadata.event_code"), "intent");
    cJSON_Delete(e.json);
}

static void test_observables_name_what_is_in_the_event(void **state)
{
    (void)state;
    struct event e;
    Chaperone__V1__Outcome outcome = CHAPERONE__V1__OUTCOME__INIT;
    event_init(&e, CHAPERONE__V1__RECORD__EVENT_OUTCOME);
    e.record.outcome = &outcome;
    event_make(&e, false);
    const cJSON *item;
    cJSON_ArrayForEach(item, at(&e, "observables"))
    {
        const char *name = cJSON_GetObjectItemCaseSensitive(item, "name")->valuestring;
        const char *value = cJSON_GetObjectItemCaseSensitive(item, "value")->valuestring;
        assert_string_equal(string(&e, name), value);
    }
    assert_int_equal(cJSON_GetArraySize(at(&e, "observables")), 2);
    cJSON_Delete(e.json);
}

static ProtobufCBinaryData data_of(const char *value)
{
    return (ProtobufCBinaryData){.data = (uint8_t *)text(value), .len = strlen(value)};
}

static void request_init(Chaperone__V1__HttpRequest *r, Chaperone__V1__HttpField *field,
                         Chaperone__V1__HttpField **fields)
{
    chaperone__v1__http_request__init(r);
    chaperone__v1__http_field__init(field);
    field->name = text("user-agent");
    field->value = data_of("curl/8");
    fields[0] = field;
    r->method = text("DELETE");
    r->scheme = text("https");
    r->authority = text("api.internal");
    r->path = text("/customers/42?force=1");
    r->template_ = text("/customers/{id}");
    r->version = text("1.1");
    r->traceparent = text("00-1-2-01");
    r->fields = fields;
    r->n_fields = 1;
    r->body = data_of("secret");
}

static void test_a_request_is_an_api_activity(void **state)
{
    (void)state;
    struct event e;
    Chaperone__V1__Intent intent = CHAPERONE__V1__INTENT__INIT;
    Chaperone__V1__HttpRequest request;
    Chaperone__V1__HttpField field, *fields[1];
    event_init(&e, CHAPERONE__V1__RECORD__EVENT_INTENT);
    e.entry.protocol = text("http");
    request_init(&request, &field, fields);
    e.record.intent = &intent;
    intent.http = &request;
    intent.verdict = CHAPERONE__V1__VERDICT__DENY;
    intent.error = text("no rule allows it");
    event_make(&e, false);
    expect_class(&e, 6003, 4);
    assert_int_equal(number(&e, "status_id"), 2);
    assert_string_equal(string(&e, "api.operation"), "DELETE /customers/{id}");
    assert_string_equal(string(&e, "api.service.name"), "shop");
    assert_string_equal(string(&e, "actor.user.name"), "dev-agent");
    assert_string_equal(string(&e, "http_request.http_method"), "DELETE");
    assert_string_equal(string(&e, "http_request.url.hostname"), "api.internal");
    assert_int_equal(number(&e, "http_request.url.port"), 443);
    assert_string_equal(string(&e, "http_request.url.path"), "/customers/42");
    assert_string_equal(string(&e, "http_request.url.query_string"), "force=1");
    assert_string_equal(string(&e, "http_request.url.url_string"),
                        "https://api.internal/customers/42?force=1");
    assert_string_equal(string(&e, "http_request.user_agent"), "curl/8");
    assert_string_equal(string(&e, "http_request.http_headers.0.value"), "curl/8");
    assert_string_equal(string(&e, "dst_endpoint.hostname"), "api.internal");
    assert_string_equal(string(&e, "unmapped.traceparent"), "00-1-2-01");
    assert_null(at(&e, "database"));
    char *all = cJSON_PrintUnformatted(e.json);
    assert_null(strstr(all, "secret")); /* a body is for the log alone */
    cJSON_free(all);
    cJSON_Delete(e.json);
    request.authority = text("[::1]:8443");
    request.path = text("/");
    request.method = text("PURGE");
    event_make(&e, false);
    expect_class(&e, 6003, 99);
    assert_string_equal(string(&e, "activity_name"), "PURGE");
    assert_string_equal(string(&e, "http_request.url.hostname"), "[::1]");
    assert_int_equal(number(&e, "http_request.url.port"), 8443);
    assert_string_equal(string(&e, "dst_endpoint.ip"), "::1");
    assert_null(at(&e, "http_request.url.query_string"));
    cJSON_Delete(e.json);
    request.authority = text("[::1]");
    event_make(&e, false);
    assert_string_equal(string(&e, "dst_endpoint.ip"), "::1");
    assert_int_equal(number(&e, "http_request.url.port"), 443);
    cJSON_Delete(e.json);
}

static void test_a_response_and_a_message_are_api_activities(void **state)
{
    (void)state;
    struct event e;
    Chaperone__V1__Outcome outcome = CHAPERONE__V1__OUTCOME__INIT;
    Chaperone__V1__HttpResponse response = CHAPERONE__V1__HTTP_RESPONSE__INIT;
    Chaperone__V1__HttpField field = CHAPERONE__V1__HTTP_FIELD__INIT, *fields[] = {&field};
    Chaperone__V1__Message message = CHAPERONE__V1__MESSAGE__INIT;
    event_init(&e, CHAPERONE__V1__RECORD__EVENT_OUTCOME);
    e.entry.protocol = text("http");
    e.record.outcome = &outcome;
    outcome.status = CHAPERONE__V1__STATUS__FAILED;
    outcome.command_tag = text("PUT 404");
    outcome.duration_us = 12345;
    outcome.http = &response;
    field.name = text("Content-Type");
    field.value = data_of("text/html");
    response.status = 404;
    response.first_byte_us = 9999;
    response.fields = fields;
    response.n_fields = 1;
    event_make(&e, false);
    expect_class(&e, 6003, 3);
    assert_int_equal(number(&e, "status_id"), 2);
    assert_string_equal(string(&e, "status_code"), "404");
    assert_int_equal(number(&e, "http_response.code"), 404);
    assert_int_equal(number(&e, "http_response.latency"), 9);
    assert_string_equal(string(&e, "http_response.content_type"), "text/html");
    assert_int_equal(number(&e, "duration"), 12);
    cJSON_Delete(e.json);
    outcome.http = NULL; /* refused: no answer, no tag */
    outcome.status = CHAPERONE__V1__STATUS__REFUSED;
    outcome.command_tag = text("");
    event_make(&e, false);
    expect_class(&e, 6003, 99);
    assert_string_equal(string(&e, "api.operation"), "unknown");
    cJSON_Delete(e.json);
    e.record.event_case = CHAPERONE__V1__RECORD__EVENT_MESSAGE;
    e.record.message = &message;
    message.kind = text("text");
    message.from_agent = true;
    message.data = data_of("hello");
    message.size = 5;
    event_make(&e, false);
    expect_class(&e, 6003, 99);
    assert_string_equal(string(&e, "activity_name"), "Send");
    assert_int_equal(number(&e, "unmapped.bytes"), 5);
    cJSON_Delete(e.json);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_intent_is_a_datastore_activity),
        cmocka_unit_test(test_what_statements_are),
        cmocka_unit_test(test_a_request_is_an_api_activity),
        cmocka_unit_test(test_a_response_and_a_message_are_api_activities),
        cmocka_unit_test(test_an_outcome_says_how_it_ended),
        cmocka_unit_test(test_a_session_is_an_authentication),
        cmocka_unit_test(test_what_people_did),
        cmocka_unit_test(test_a_finding_and_a_loss),
        cmocka_unit_test(test_the_others_are_base_events),
        cmocka_unit_test(test_observables_name_what_is_in_the_event),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
