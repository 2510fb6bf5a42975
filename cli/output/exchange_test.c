/* A payment, its answer, and a WebSocket: as the transcript, a line, JSON and an approver see them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "cli/output/exchange.h"
#include "cli/output/held.h"
#include "cli/output/held_json.h"
#include "cli/output/shown_fixture.h"
#include "cli/output/transcript.h"

enum { FIELDS = 3 };

struct sample {
    struct shown shown;
    Chaperone__V1__Intent intent;
    Chaperone__V1__HttpRequest request;
    Chaperone__V1__Outcome outcome;
    Chaperone__V1__HttpResponse response;
    Chaperone__V1__Message message;
    Chaperone__V1__HttpField fields[FIELDS];
    Chaperone__V1__HttpField *list[FIELDS];
    Chaperone__V1__HttpField trailer, *trailers[1];
    Chaperone__V1__MaskingReceipt receipt;
    Chaperone__V1__MaskingReceipt__Masked masked, again, *maskeds[2];
    char *commands[1];
};

static void set_field(Chaperone__V1__HttpField *f, const char *name, const char *value, bool masked)
{
    chaperone__v1__http_field__init(f);
    f->name = TEXT(name);
    f->value = (ProtobufCBinaryData){.data = (uint8_t *)TEXT(value), .len = strlen(value)};
    f->masked = masked;
}

static void sample_common(struct sample *s, uint64_t sequence)
{
    *s = (struct sample){0};
    shown_init(&s->shown, "crm", "http", sequence);
    for (size_t i = 0; i < FIELDS; i++) {
        s->list[i] = &s->fields[i];
    }
    s->trailers[0] = &s->trailer;
}

static void sample_intent(struct sample *s)
{
    sample_common(s, 2);
    chaperone__v1__intent__init(&s->intent);
    chaperone__v1__http_request__init(&s->request);
    set_field(&s->fields[0], "content-type", "application/json", false);
    set_field(&s->fields[1], "x-customer-email", "***@example.com", true);
    set_field(&s->fields[2], "x-note", "a\x1b[2Jb", false);
    s->request.method = TEXT("POST");
    s->request.scheme = TEXT("https");
    s->request.authority = TEXT("api.internal:8443");
    s->request.path = TEXT("/payments?dry=1");
    s->request.template_ = TEXT("/payments");
    s->request.version = TEXT("1.1");
    s->request.fields = s->list;
    s->request.n_fields = FIELDS;
    s->request.body = BYTES("{\"amount\":120.10,\"to\":[\"a\\nb\"]}");
    s->request.body_size = 32;
    s->request.traceparent = TEXT("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
    s->request.idempotency_key = TEXT("key-1");
    s->commands[0] = TEXT("POST");
    s->intent.operation = 7;
    s->intent.verdict = CHAPERONE__V1__VERDICT__ALLOW;
    s->intent.rule = TEXT("payments");
    s->intent.verb = TEXT("request");
    s->intent.commands = s->commands;
    s->intent.n_commands = 1;
    s->intent.text = BYTES("POST /payments?dry=1");
    s->intent.http = &s->request;
    s->shown.record.event_case = CHAPERONE__V1__RECORD__EVENT_INTENT;
    s->shown.record.intent = &s->intent;
}

static void sample_outcome(struct sample *s)
{
    sample_common(s, 3);
    chaperone__v1__outcome__init(&s->outcome);
    chaperone__v1__http_response__init(&s->response);
    chaperone__v1__masking_receipt__init(&s->receipt);
    chaperone__v1__masking_receipt__masked__init(&s->masked);
    set_field(&s->fields[0], "content-type", "application/json", false);
    set_field(&s->fields[1], "set-cookie", "[masked]", true);
    set_field(&s->trailer, "grpc-status", "0", false);
    s->masked.rule = TEXT("personal-data");
    s->masked.rows = 1;
    s->again = s->masked; /* another mask of the same rule */
    s->maskeds[0] = &s->masked;
    s->maskeds[1] = &s->again;
    s->receipt.masked = s->maskeds;
    s->receipt.n_masked = 2;
    s->response.status = 201;
    s->response.version = TEXT("2");
    s->response.fields = s->list;
    s->response.n_fields = 2;
    s->response.trailers = s->trailers;
    s->response.n_trailers = 1;
    s->response.coding = TEXT("gzip");
    s->response.first_byte_us = 10100;
    s->outcome.operation = 7;
    s->outcome.status = CHAPERONE__V1__STATUS__SUCCESS;
    s->outcome.command_tag = TEXT("POST 201");
    s->outcome.bytes = 512;
    s->outcome.duration_us = 12300;
    s->outcome.digest = BYTES("\x01\xab");
    s->outcome.response = BYTES("{\"id\":1}");
    s->outcome.masking = &s->receipt;
    s->outcome.http = &s->response;
    s->shown.record.event_case = CHAPERONE__V1__RECORD__EVENT_OUTCOME;
    s->shown.record.outcome = &s->outcome;
}

static void sample_message(struct sample *s, bool from_agent, const char *kind)
{
    sample_common(s, 4);
    chaperone__v1__message__init(&s->message);
    s->message.operation = 7;
    s->message.number = 1;
    s->message.from_agent = from_agent;
    s->message.kind = TEXT(kind);
    s->message.data = BYTES("hello\nfrom rule everything");
    s->message.size = 26;
    s->shown.record.event_case = CHAPERONE__V1__RECORD__EVENT_MESSAGE;
    s->shown.record.message = &s->message;
}

/* ---- as they are shown ---- */

static void assert_told(const struct sample *s, const char *expected)
{
    char *text = shown_told(&s->shown);
    assert_string_equal(text, expected);
    free(text);
}

static void test_a_request(void **state)
{
    (void)state;
    struct sample s;
    sample_intent(&s);
    assert_told(&s, "+00:00:00.000  #7 POST  allow by rule payments\n"
                    "    > POST /payments?dry=1 HTTP/1.1\n"
                    "    > content-type: application/json\n"
                    "    > x-customer-email: ***@example.com\n"
                    "    > x-note: a\\x1b[2Jb\n"
                    "    >\n"
                    "    > {\n"
                    "    >   \"amount\": 120.10,\n"
                    "    >   \"to\": [\n"
                    "    >     \"a\\nb\"\n"
                    "    >   ]\n"
                    "    > }\n"
                    "    to: https://api.internal:8443\n"
                    "    path of the rule: /payments\n"
                    "    body: 32 bytes\n"
                    "    masked fields: x-customer-email\n"
                    "    traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\n"
                    "    idempotency key: key-1\n");
}

static void test_a_response(void **state)
{
    (void)state;
    struct sample s;
    sample_outcome(&s);
    assert_told(&s, "+00:00:00.000  #7 success: 201, 512 bytes, 12.3 ms, first byte after "
                    "10.1 ms\n"
                    "    masked: 2 values by rule personal-data\n"
                    "    < HTTP/2 201\n"
                    "    < content-type: application/json\n"
                    "    < set-cookie: [masked]\n"
                    "    <\n"
                    "    < {\n"
                    "    <   \"id\": 1\n"
                    "    < }\n"
                    "    trailer: grpc-status: 0\n"
                    "    body: 512 bytes in gzip, sha256 01ab\n"
                    "    masked fields: set-cookie\n"
                    "\n");
}

/* A body cannot look like a line of ours: each of its lines has a mark before it. */
static void test_a_body_does_not_speak_for_the_command(void **state)
{
    (void)state;
    struct sample s;
    sample_intent(&s);
    s.request.n_fields = 0;
    s.request.body = BYTES("x\n+00:00:09.000  #8 success: 200\r\n\x09tab");
    s.request.body_size = 40;
    shown_assert_says(shown_told(&s.shown), "    >\n"
                                            "    > x\n"
                                            "    > +00:00:09.000  #8 success: 200\n"
                                            "    > \ttab\n"
                                            "    to: https://");
    s.request.body = BYTES("a\x1b]0;owned\x07");
    shown_assert_says(shown_told(&s.shown), "    > a\\x1b]0;owned\\x07\n");
    s.request.body = BYTES("a\0b");
    shown_assert_says(shown_told(&s.shown), "    (3 bytes that are no text)\n");
}

static void test_what_is_not_there_is_said(void **state)
{
    (void)state;
    struct sample s;
    sample_intent(&s);
    s.request.body_truncated = true;
    s.request.body = BYTES("{\"amount\":120.10,\"note\":\"caf\xc3");
    s.request.body_size = 1000000;
    shown_assert_says(shown_told(&s.shown), "    >   \"note\": \"caf\xef\xbf\xbd\n");
    shown_assert_says(shown_told(&s.shown),
                      "    body: 1000000 bytes; only the first 29 are recorded\n");
    sample_intent(&s);
    s.request.body.len = 0;
    s.request.body_follows = true;
    s.request.body_size = 5;
    shown_assert_says(shown_told(&s.shown),
                      "    body: it came after this was recorded, 5 bytes by then or as "
                      "declared\n");
    /* What was decided on is not what the first line would show: both are shown. */
    s.intent.text = BYTES("GET /other");
    s.request.version = TEXT("");
    shown_assert_says(shown_told(&s.shown), "    GET /other\n    > POST /payments?dry=1\n");
}

static void test_a_body_that_came_later_is_with_the_outcome(void **state)
{
    (void)state;
    struct sample s;
    sample_outcome(&s);
    s.response.request_body = BYTES("a=1&b=2");
    s.response.request_trailers = s.trailers;
    s.response.n_request_trailers = 1;
    s.response.request_body_truncated = true;
    s.outcome.bytes_in = 9;
    s.outcome.digest_in = BYTES("\x02");
    s.outcome.response_truncated = true;
    char *text = shown_told(&s.shown);
    assert_non_null(strstr(text, "    > a=1&b=2\n"
                                 "    request body: 9 bytes, sha256 02; only the first 7 are "
                                 "recorded\n"
                                 "    request trailer: grpc-status: 0\n"
                                 "    < HTTP/2 201\n"));
    shown_assert_says(text,
                      "    body: 512 bytes in gzip, sha256 01ab; only the first 8 are recorded\n");
}

static void test_long_bodies_are_cut(void **state)
{
    (void)state;
    struct sample s;
    char body[300];
    sample_outcome(&s);
    for (size_t i = 0; i < sizeof(body); i++) {
        body[i] = i % 2 == 0 ? 'x' : '\n';
    }
    s.outcome.response = (ProtobufCBinaryData){.data = (uint8_t *)body, .len = sizeof(body)};
    shown_assert_says(shown_told(&s.shown), "    < x\n    ... 110 more lines\n");
}

static void test_messages_have_a_direction(void **state)
{
    (void)state;
    struct sample s;
    sample_message(&s, true, "text");
    assert_told(&s, "+00:00:00.000  #7 -> text, 26 bytes\n"
                    "    > hello\n"
                    "    > from rule everything\n");
    sample_message(&s, false, "event");
    s.message.name = TEXT("pri\"ce\x1b");
    s.message.data = BYTES("{\"eur\":1}");
    s.message.size = 2000;
    s.message.truncated = true;
    s.message.digest = BYTES("\x03");
    assert_told(&s, "+00:00:00.000  #7 <- event \"pri\"ce\\x1b\", 2000 bytes\n"
                    "    < {\n"
                    "    <   \"eur\": 1\n"
                    "    < }\n"
                    "    message: 2000 bytes, sha256 03; only the first 9 are recorded\n");
}

/* ---- as lines and as JSON ---- */

static void test_lines(void **state)
{
    (void)state;
    struct sample s;
    sample_intent(&s);
    shown_assert_described(&s.shown, "POST /payments?dry=1");
    sample_outcome(&s);
    shown_assert_described(&s.shown, "201, 512 bytes, 12.3 ms, first byte after 10.1 ms");
    s.response.messages_from_agent = 2;
    s.response.messages_to_agent = 3;
    s.response.first_byte_us = 0;
    shown_assert_described(&s.shown,
                           "201, 512 bytes, 12.3 ms, messages: 2 from the agent, 3 to it");
    s.outcome.http = NULL; /* it never reached the target */
    s.outcome.error_code = TEXT("denied");
    s.outcome.error = TEXT("no rule allows it");
    s.outcome.bytes = 0;
    shown_assert_described(&s.shown, "denied: no rule allows it, 0 bytes, 12.3 ms");
    sample_message(&s, true, "text");
    shown_assert_described(&s.shown, "-> text, 26 bytes: hello\nfrom rule everything");
    sample_message(&s, false, "binary");
    s.message.data = BYTES("\x01\x00\x02");
    shown_assert_described(&s.shown, "<- binary, 26 bytes");
}

static void test_json(void **state)
{
    (void)state;
    struct sample s;
    sample_intent(&s);
    shown_assert_says(
        shown_json(&s.shown, false),
        "\"http\":{\"method\":\"POST\",\"scheme\":\"https\",\"authority\":"
        "\"api.internal:8443\",\"path\":\"/payments?dry=1\",\"template\":\"/payments\","
        "\"version\":\"1.1\",\"fields\":[{\"name\":\"content-type\",\"value\":"
        "\"application/json\"},{\"name\":\"x-customer-email\",\"value\":\"***@example.com\","
        "\"masked\":true},{\"name\":\"x-note\",\"value\":\"a\\u001b[2Jb\"}],\"body\":"
        "\"{\\\"amount\\\":120.10,\\\"to\\\":[\\\"a\\\\nb\\\"]}\",\"body_size\":32,"
        "\"body_truncated\":false,\"body_follows\":false,\"traceparent\":"
        "\"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\","
        "\"idempotency_key\":\"key-1\"}");
    s.request.body = BYTES("\x00\xff");
    shown_assert_says(shown_json(&s.shown, false), "\"body_hex\":\"\\\\x00ff\"");
    sample_outcome(&s);
    shown_assert_says(shown_json(&s.shown, false), "\"command\":\"POST\"");
    shown_assert_says(
        shown_json(&s.shown, true),
        "\"http\":{\"status\":201,\"version\":\"2\",\"fields\":[{\"name\":\"content-type\","
        "\"value\":\"application/json\"},{\"name\":\"set-cookie\",\"value\":\"[masked]\","
        "\"masked\":true}],\"trailers\":[{\"name\":\"grpc-status\",\"value\":\"0\"}],"
        "\"coding\":\"gzip\",\"first_byte_us\":10100,\"body\":\"{\\\"id\\\":1}\"}");
    char *without = shown_json(&s.shown, false);
    assert_null(strstr(without, "\"body\":"));
    free(without);
    sample_message(&s, true, "text");
    s.message.masking = &s.receipt;
    chaperone__v1__masking_receipt__init(&s.receipt);
    shown_assert_says(shown_json(&s.shown, false),
                      "\"number\":1,\"from_agent\":true,\"message\":\"text\",\"data\":"
                      "\"hello\\nfrom rule everything\",\"truncated\":false,\"masked\":[]");
}

/* ---- as an approver sees it ---- */

static void test_who_approves_sees_the_whole_request(void **state)
{
    (void)state;
    struct sample s;
    Chaperone__V1__HeldOperation held = CHAPERONE__V1__HELD_OPERATION__INIT;
    char body[400], *text = NULL;
    size_t size = 0;
    sample_intent(&s);
    for (size_t i = 0; i < sizeof(body); i++) {
        body[i] = i % 2 == 0 ? 'x' : '\n';
    }
    s.request.body = (ProtobufCBinaryData){.data = (uint8_t *)body, .len = sizeof(body)};
    s.request.body_follows = true;
    held.intent = &s.intent;
    struct terminal terminal = {.out = open_memstream(&text, &size)};
    held_print(&terminal, &held, SHOWN_START_NS);
    assert_int_equal(fclose(terminal.out), 0);
    assert_non_null(strstr(text, "request         POST\n"
                                 "    > POST /payments?dry=1 HTTP/1.1\n"
                                 "    > content-type: application/json\n"));
    assert_null(strstr(text, "more line"));
    shown_assert_says(text, "    body: not complete when this was recorded");
    for (size_t i = 0; i < sizeof(body); i++) {
        body[i] = (char)i;
    }
    terminal.out = open_memstream(&text, &size);
    held_print(&terminal, &held, SHOWN_START_NS);
    assert_int_equal(fclose(terminal.out), 0);
    shown_assert_says(text,
                      "    (400 bytes that are no text)\n"
                      "    > 000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\n"
                      "    > 2021");
    text = NULL;
    FILE *out = open_memstream(&text, &size);
    assert_int_equal(held_json_write(out, &held), OK);
    assert_int_equal(fclose(out), 0);
    shown_assert_says(text, "\"http\":{\"method\":\"POST\"");
}

static void test_what_was_refused_has_no_outcome_and_needs_none(void **state)
{
    (void)state;
    struct sample s;
    struct shown_transcript t;
    Chaperone__V1__Object object = CHAPERONE__V1__OBJECT__INIT, *objects[] = {&object};
    sample_intent(&s);
    s.intent.verdict = CHAPERONE__V1__VERDICT__DENY;
    object.kind = TEXT("path");
    object.name = TEXT("/payments");
    object.access = TEXT("write");
    s.intent.objects = objects;
    s.intent.n_objects = 1;
    shown_transcript_begin(&t);
    shown_transcript_add(&t, &s.shown);
    transcript_end_part(t.transcript);
    char *text = shown_transcript_end(&t);
    assert_null(strstr(text, "no outcome"));
    assert_null(strstr(text, "touches")); /* the first line says it */
    free(text);
    object.name = TEXT("/pay ments");
    shown_assert_says(shown_told(&s.shown), "    touches: /pay ments (write)\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_request),
        cmocka_unit_test(test_a_response),
        cmocka_unit_test(test_a_body_does_not_speak_for_the_command),
        cmocka_unit_test(test_what_is_not_there_is_said),
        cmocka_unit_test(test_a_body_that_came_later_is_with_the_outcome),
        cmocka_unit_test(test_long_bodies_are_cut),
        cmocka_unit_test(test_messages_have_a_direction),
        cmocka_unit_test(test_what_was_refused_has_no_outcome_and_needs_none),
        cmocka_unit_test(test_lines),
        cmocka_unit_test(test_json),
        cmocka_unit_test(test_who_approves_sees_the_whole_request),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
