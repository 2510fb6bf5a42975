#include <locale.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "cli/output/line.h"
#include "cli/output/transcript.h"
#include "formats/record_json.h"

#include <cjson/cJSON.h>

static const int64_t START = 1795250580LL * 1000000000;
static char session_id[] = "019f0000-0000-7000-8000-000000000001";

/* A session of one refused and one executed statement, as the control plane hands it out. */
struct sample {
    Chaperone__V1__Entry entry;
    Chaperone__V1__Record record;
    Chaperone__V1__Intent intent;
    Chaperone__V1__Outcome outcome;
    Chaperone__V1__Object object;
    Chaperone__V1__Object *objects[1];
    Chaperone__V1__Parameter parameters[2];
    Chaperone__V1__Parameter *parameter_list[2];
    Chaperone__V1__Stated stated;
    Chaperone__V1__Stated *reasons[1];
    Chaperone__V1__Column column;
    Chaperone__V1__Column *columns[1];
    char *commands[1];
};

static ProtobufCBinaryData data_of(const char *bytes, size_t size)
{
    return (ProtobufCBinaryData){.data = (uint8_t *)(uintptr_t)bytes, .len = size};
}

static void sample_common(struct sample *s, uint64_t sequence)
{
    chaperone__v1__entry__init(&s->entry);
    chaperone__v1__record__init(&s->record);
    s->entry.identity = (char *)(uintptr_t) "dev-agent";
    s->entry.resource = (char *)(uintptr_t) "shop";
    s->entry.protocol = (char *)(uintptr_t) "postgres";
    s->record.sidecar = (char *)(uintptr_t) "sidecar-1";
    s->record.session = session_id;
    s->record.sequence = sequence;
    s->record.time_unix_ns = START + (int64_t)sequence * 1000000;
}

static void sample_intent(struct sample *s, const char *text, size_t size)
{
    sample_common(s, 2);
    chaperone__v1__intent__init(&s->intent);
    chaperone__v1__object__init(&s->object);
    chaperone__v1__stated__init(&s->stated);
    s->object.kind = (char *)(uintptr_t) "table";
    s->object.name = (char *)(uintptr_t) "customers";
    s->object.access = (char *)(uintptr_t) "read";
    s->objects[0] = &s->object;
    s->stated.text = (char *)(uintptr_t) "ticket 42";
    s->stated.assurance = CHAPERONE__V1__ASSURANCE__DECLARED;
    s->stated.source = (char *)(uintptr_t) "sql_comment";
    s->reasons[0] = &s->stated;
    for (size_t i = 0; i < 2; i++) {
        chaperone__v1__parameter__init(&s->parameters[i]);
        s->parameter_list[i] = &s->parameters[i];
    }
    s->parameters[0].type = (char *)(uintptr_t) "int4";
    s->parameters[0].value = data_of("42", 2);
    s->parameters[1].is_null = true;
    s->commands[0] = (char *)(uintptr_t) "SELECT";
    s->intent.operation = 7;
    s->intent.verdict = CHAPERONE__V1__VERDICT__ALLOW;
    s->intent.rule = (char *)(uintptr_t) "everything";
    s->intent.policy_hash = (char *)(uintptr_t) "abc";
    s->intent.text = data_of(text, size);
    s->intent.n_commands = 1;
    s->intent.commands = s->commands;
    s->intent.n_objects = 1;
    s->intent.objects = s->objects;
    s->intent.n_parameters = 2;
    s->intent.parameters = s->parameter_list;
    s->intent.n_reasons = 1;
    s->intent.reasons = s->reasons;
    s->record.event_case = CHAPERONE__V1__RECORD__EVENT_INTENT;
    s->record.intent = &s->intent;
}

/* DataRow with one cell, "Ada". */
static const char row[] = "D\0\0\0\x0d\0\x01\0\0\0\x03"
                          "Ada";

static void sample_outcome(struct sample *s)
{
    sample_common(s, 3);
    chaperone__v1__outcome__init(&s->outcome);
    chaperone__v1__column__init(&s->column);
    s->column.name = (char *)(uintptr_t) "name";
    s->columns[0] = &s->column;
    s->outcome.operation = 7;
    s->outcome.status = CHAPERONE__V1__STATUS__SUCCESS;
    s->outcome.command_tag = (char *)(uintptr_t) "SELECT 1";
    s->outcome.rows = 1;
    s->outcome.bytes = 3;
    s->outcome.duration_us = 1500;
    s->outcome.response_encoding = (char *)(uintptr_t) "postgres";
    s->outcome.response = data_of(row, sizeof(row) - 1);
    s->outcome.n_columns = 1;
    s->outcome.columns = s->columns;
    s->record.event_case = CHAPERONE__V1__RECORD__EVENT_OUTCOME;
    s->record.outcome = &s->outcome;
}

static char *json_text(const struct sample *s, bool with_rows)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    struct record_view v;
    assert_non_null(out);
    record_view_init(&v, &s->entry, &s->record);
    assert_int_equal(record_json_write(out, &v, with_rows), OK);
    assert_int_equal(fclose(out), 0);
    return text;
}

static cJSON *json_of(const struct sample *s, bool with_rows)
{
    char *text = json_text(s, with_rows);
    /* One object, one line. */
    assert_ptr_equal(strchr(text, '\n'), text + strlen(text) - 1);
    cJSON *json = cJSON_Parse(text);
    assert_non_null(json);
    free(text);
    return json;
}

static const char *string_at(const cJSON *json, const char *key)
{
    const char *value = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(json, key));
    assert_non_null(value);
    return value;
}

static void assert_all_keys(const cJSON *json)
{
    static const char *const keys[] = {
        "time",     "kind",        "session", "sequence",  "identity",   "on_behalf_of",
        "resource", "protocol",    "command", "objects",   "text",       "parameters",
        "verdict",  "rule",        "policy",  "status",    "error",      "rows",
        "bytes",    "duration_us", "sidecar", "operation", "error_code", "reasons"};
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
        assert_true(cJSON_HasObjectItem(json, keys[i]));
    }
}

static void test_json_of_an_intent(void **state)
{
    (void)state;
    struct sample s = {0};
    static const char text[] = "select *\nfrom customers \x1b[2J\xff";
    sample_intent(&s, text, sizeof(text) - 1);
    cJSON *json = json_of(&s, false);
    assert_all_keys(json);
    assert_string_equal(string_at(json, "kind"), "intent");
    assert_string_equal(string_at(json, "time"), "2026-11-21T08:43:00.002000Z");
    assert_string_equal(string_at(json, "command"), "SELECT");
    assert_string_equal(string_at(json, "verdict"), "allow");
    assert_string_equal(string_at(json, "policy"), "abc");
    assert_string_equal(string_at(json, "text"), "select *\nfrom customers \x1b[2J\xef\xbf\xbd");
    assert_true(cJSON_IsNull(cJSON_GetObjectItem(json, "status")));
    assert_true(cJSON_IsNull(cJSON_GetObjectItem(json, "on_behalf_of")));
    const cJSON *objects = cJSON_GetObjectItem(json, "objects");
    assert_string_equal(string_at(cJSON_GetArrayItem(objects, 0), "name"), "customers");
    const cJSON *parameters = cJSON_GetObjectItem(json, "parameters");
    assert_string_equal(string_at(cJSON_GetArrayItem(parameters, 0), "value"), "42");
    assert_true(cJSON_IsNull(cJSON_GetObjectItem(cJSON_GetArrayItem(parameters, 1), "value")));
    const cJSON *reason = cJSON_GetArrayItem(cJSON_GetObjectItem(json, "reasons"), 0);
    assert_string_equal(string_at(reason, "assurance"), "declared");
    cJSON_Delete(json);
}

static void test_json_of_every_kind_has_all_keys(void **state)
{
    (void)state;
    Chaperone__V1__SessionOpened opened = CHAPERONE__V1__SESSION_OPENED__INIT;
    Chaperone__V1__SessionClosed closed = CHAPERONE__V1__SESSION_CLOSED__INIT;
    Chaperone__V1__Approval approval = CHAPERONE__V1__APPROVAL__INIT;
    Chaperone__V1__Heartbeat heartbeat = CHAPERONE__V1__HEARTBEAT__INIT;
    Chaperone__V1__Loss loss = CHAPERONE__V1__LOSS__INIT;
    Chaperone__V1__Action action = CHAPERONE__V1__ACTION__INIT;
    Chaperone__V1__Finding finding = CHAPERONE__V1__FINDING__INIT;
    Chaperone__V1__Message message = CHAPERONE__V1__MESSAGE__INIT;
    struct sample s = {0};
    for (size_t i = 0; record_kinds[i] != NULL; i++) {
        sample_intent(&s, "", 0);
        if (strcmp(record_kinds[i], "outcome") == 0) {
            sample_outcome(&s);
        } else if (strcmp(record_kinds[i], "intent") != 0) {
            s.record.event_case = (Chaperone__V1__Record__EventCase)(10 + i);
            s.record.session_opened = i == 0   ? &opened
                                      : i == 2 ? (void *)&approval
                                      : i == 4 ? (void *)&closed
                                      : i == 5 ? (void *)&heartbeat
                                      : i == 6 ? (void *)&loss
                                      : i == 8 ? (void *)&finding
                                      : i == 9 ? (void *)&message
                                               : (void *)&action;
        }
        cJSON *json = json_of(&s, true);
        assert_all_keys(json);
        assert_string_equal(string_at(json, "kind"), record_kinds[i]);
        cJSON_Delete(json);
    }
}

static void test_an_action_says_what_was_ordered_and_done(void **state)
{
    (void)state;
    struct sample s = {0};
    char *sessions[] = {(char *)(uintptr_t) "019f0000-0000-7000-8000-000000000001"};
    Chaperone__V1__Identity by = CHAPERONE__V1__IDENTITY__INIT;
    Chaperone__V1__Action action = CHAPERONE__V1__ACTION__INIT;
    by.subject = (char *)(uintptr_t) "alice";
    action.action = (char *)(uintptr_t) "kill";
    action.object = (char *)(uintptr_t) "identity agent-7";
    action.by = &by;
    action.reason = (char *)(uintptr_t) "runs wild";
    action.order = (char *)(uintptr_t) "019f0000-0000-7000-8000-00000000000a";
    action.ordered_unix_ns = 1795250580001000000;
    action.done_unix_ns = 1795250580002500000;
    action.sessions = sessions;
    action.n_sessions = 1;
    sample_common(&s, 4);
    s.record.event_case = CHAPERONE__V1__RECORD__EVENT_ACTION;
    s.record.action = &action;
    cJSON *json = json_of(&s, false);
    assert_string_equal(string_at(json, "kind"), "action");
    assert_string_equal(string_at(json, "action"), "kill");
    assert_string_equal(string_at(json, "object"), "identity agent-7");
    assert_string_equal(string_at(json, "by"), "alice");
    assert_string_equal(string_at(json, "ordered"), "2026-11-21T08:43:00.001000Z");
    assert_string_equal(string_at(json, "done"), "2026-11-21T08:43:00.002500Z");
    assert_int_equal(cJSON_GetArraySize(cJSON_GetObjectItem(json, "sessions")), 1);
    cJSON_Delete(json);
    struct buffer line;
    struct record_view v;
    buffer_init(&line, 4096);
    record_view_init(&v, &s.entry, &s.record);
    assert_int_equal(line_describe(&v, &line), OK);
    assert_true(bytes_equal_string(buffer_bytes(&line),
                                   "kill identity agent-7 by alice, 1 session in"
                                   " 1.500 ms: runs wild"));
    buffer_finish(&line);
}

static void assert_described(const struct sample *s, const char *expected)
{
    struct buffer line;
    struct record_view v;
    buffer_init(&line, 4096);
    record_view_init(&v, &s->entry, &s->record);
    assert_int_equal(line_describe(&v, &line), OK);
    char *text = bytes_to_string(buffer_bytes(&line));
    assert_string_equal(text, expected);
    free(text);
    buffer_finish(&line);
}

static void test_what_people_did_is_told_with_who_and_from_where(void **state)
{
    (void)state;
    struct sample s = {0};
    Chaperone__V1__Identity by = CHAPERONE__V1__IDENTITY__INIT;
    Chaperone__V1__Action action = CHAPERONE__V1__ACTION__INIT;
    by.subject = (char *)(uintptr_t) "ann";
    action.action = (char *)(uintptr_t) "search";
    action.object = (char *)(uintptr_t) "text=salary";
    action.by = &by;
    action.from = (char *)(uintptr_t) "ipv4:10.0.0.7:5312";
    sample_common(&s, 4);
    s.record.event_case = CHAPERONE__V1__RECORD__EVENT_ACTION;
    s.record.action = &action;
    assert_described(&s, "search text=salary by ann (ipv4:10.0.0.7:5312)");
    action.action = (char *)(uintptr_t) "refused";
    action.object = (char *)(uintptr_t) "";
    action.by = NULL;
    action.error = (char *)(uintptr_t) "no token";
    assert_described(&s, "refused by nobody (ipv4:10.0.0.7:5312); no token");
}

static void test_a_finding(void **state)
{
    (void)state;
    struct sample s = {0};
    Chaperone__V1__Finding finding = CHAPERONE__V1__FINDING__INIT;
    finding.kind = (char *)(uintptr_t) "gap";
    finding.sidecar = (char *)(uintptr_t) "s1";
    finding.first_sequence = 7;
    finding.last_sequence = 9;
    finding.detail = (char *)(uintptr_t) "they never came";
    sample_common(&s, 4);
    s.record.event_case = CHAPERONE__V1__RECORD__EVENT_FINDING;
    s.record.finding = &finding;
    assert_described(&s, "gap, sidecar s1, record 7 to 9: they never came");
    cJSON *json = json_of(&s, false);
    assert_string_equal(string_at(json, "kind"), "finding");
    assert_string_equal(string_at(json, "finding"), "gap");
    assert_string_equal(string_at(json, "of_sidecar"), "s1");
    assert_string_equal(string_at(json, "detail"), "they never came");
    cJSON_Delete(json);
}

static void test_json_of_an_outcome(void **state)
{
    (void)state;
    struct sample s = {0};
    sample_outcome(&s);
    s.outcome.bytes = 9007199254740993ULL; /* 2^53 + 1: no double */
    char *text = json_text(&s, true);
    assert_non_null(strstr(text, "\"bytes\":9007199254740993,"));
    assert_non_null(strstr(text, "\"command\":\"SELECT\""));
    assert_non_null(strstr(text, "\"status\":\"success\""));
    assert_non_null(strstr(text, "\"duration_us\":1500"));
    assert_non_null(strstr(text, "\"results\":[{\"columns\":[\"name\"],\"rows\":[[\"Ada\"]]}]"));
    free(text);
    text = json_text(&s, false);
    assert_null(strstr(text, "Ada"));
    free(text);
}

static void test_an_erased_record_says_who_where_and_when(void **state)
{
    (void)state;
    Chaperone__V1__Entry entry = CHAPERONE__V1__ENTRY__INIT;
    struct record_view v;
    struct buffer what;
    char *text = NULL;
    size_t size = 0;
    entry.is_erased = true;
    entry.erased_unix_ns = START;
    entry.time_unix_ns = START;
    entry.sequence = 7;
    entry.kind = (char *)(uintptr_t) "intent";
    entry.session = (char *)(uintptr_t) "019f";
    entry.sidecar = (char *)(uintptr_t) "sidecar-1";
    entry.identity = (char *)(uintptr_t) "dev-agent";
    Chaperone__V1__Record *record = record_unpack(&entry);
    assert_non_null(record);
    record_view_init(&v, &entry, record);
    buffer_init(&what, 1000);
    assert_int_equal(line_describe(&v, &what), OK);
    assert_true(bytes_equal_string(buffer_bytes(&what), "erased on 2026-11-21T08:43:00.000Z"));
    FILE *out = open_memstream(&text, &size);
    assert_int_equal(record_json_write(out, &v, true), OK);
    assert_int_equal(fclose(out), 0);
    cJSON *json = cJSON_Parse(text);
    assert_all_keys(json);
    assert_string_equal(string_at(json, "kind"), "intent");
    assert_string_equal(string_at(json, "session"), "019f");
    assert_string_equal(string_at(json, "sidecar"), "sidecar-1");
    assert_string_equal(string_at(json, "identity"), "dev-agent");
    assert_string_equal(string_at(json, "time"), "2026-11-21T08:43:00.000000Z");
    assert_string_equal(string_at(json, "erased"), "2026-11-21T08:43:00.000000Z");
    cJSON_Delete(json);
    free(text);
    buffer_finish(&what);
    chaperone__v1__record__free_unpacked(record, NULL);
}

static char *lines_of(struct sample *s, bool is_terminal)
{
    char *text = NULL;
    size_t size = 0;
    struct terminal terminal = {.is_terminal = is_terminal, .width = is_terminal ? 100 : 0};
    terminal.out = open_memstream(&text, &size);
    struct line_printer printer;
    struct record_view v;
    assert_non_null(terminal.out);
    line_printer_init(&printer, &terminal);
    sample_intent(s, "select *\n  from customers", 25);
    record_view_init(&v, &s->entry, &s->record);
    line_print(&printer, &v);
    sample_outcome(s);
    record_view_init(&v, &s->entry, &s->record);
    line_print(&printer, &v);
    assert_int_equal(fclose(terminal.out), 0);
    return text;
}

static void test_lines(void **state)
{
    (void)state;
    struct sample s = {0};
    char *text = lines_of(&s, false);
    assert_string_equal(
        text,
        "2026-11-21T08:43:00.002Z\tintent\t019f0000-0000-7000-8000-000000000001\tdev-agent\tshop\t"
        "allow\tselect *\\n  from customers\n"
        "2026-11-21T08:43:00.003Z\toutcome\t019f0000-0000-7000-8000-000000000001\tdev-agent\tshop\t"
        "success\tSELECT 1, 1 row, 3 bytes, 1.500 ms\n");
    free(text);
    text = lines_of(&s, true);
    assert_string_equal(
        text, "2026-11-21 UTC\n"
              "session 019f0000-0000-7000-8000-000000000001 dev-agent on shop\n"
              "  08:43:00.002Z  intent          allow       select * from customers\n"
              "  08:43:00.003Z  outcome         success     SELECT 1, 1 row, 3 bytes, 1.500 ms\n");
    free(text);
}

static char *transcript_of(struct sample *s, bool with_outcome)
{
    char *text = NULL;
    size_t size = 0;
    struct terminal terminal = {.out = open_memstream(&text, &size)};
    struct transcript *t = transcript_create(&terminal, 5);
    struct record_view v;
    assert_non_null(t);
    sample_intent(s, "select *\nfrom customers", 23);
    record_view_init(&v, &s->entry, &s->record);
    assert_int_equal(transcript_add(t, &v), OK);
    if (with_outcome) {
        sample_outcome(s);
        record_view_init(&v, &s->entry, &s->record);
        assert_int_equal(transcript_add(t, &v), OK);
    }
    transcript_end(t);
    transcript_destroy(t);
    assert_int_equal(fclose(terminal.out), 0);
    return text;
}

static void test_a_conversation(void **state)
{
    (void)state;
    struct sample s = {0};
    char *text = transcript_of(&s, true);
    assert_string_equal(text, "+00:00:00.000  #7 SELECT  allow by rule everything\n"
                              "    select *\n"
                              "    from customers\n"
                              "    $1 int4 = 42\n"
                              "    $2 = NULL\n"
                              "    touches: customers (read)\n"
                              "    reason: ticket 42 (declared: sql_comment)\n"
                              "+00:00:00.001  #7 success: SELECT 1, 1 row, 3 bytes, 1.500 ms\n"
                              "    name\n"
                              "    Ada\n"
                              "\n"
                              "the session's end is not recorded: it is open, or its sidecar is "
                              "away\n");
    free(text);
}

static void test_an_intent_without_an_outcome_is_unknown(void **state)
{
    (void)state;
    struct sample s = {0};
    char *text = transcript_of(&s, false);
    assert_non_null(strstr(text, "#7 no outcome is recorded: whether it was executed is unknown"));
    free(text);
}

/* What the transcript says of a single record. */
static char *told_of(const struct sample *s)
{
    char *text = NULL;
    size_t size = 0;
    struct terminal terminal = {.out = open_memstream(&text, &size)};
    struct transcript *t = transcript_create(&terminal, 5);
    struct record_view v;
    assert_non_null(t);
    record_view_init(&v, &s->entry, &s->record);
    assert_int_equal(transcript_add(t, &v), OK);
    transcript_destroy(t);
    assert_int_equal(fclose(terminal.out), 0);
    return text;
}

static void assert_says(char *text, const char *words)
{
    if (strstr(text, words) == NULL) {
        fail_msg("\"%s\" is not in: %s", words, text);
    }
    free(text);
}

static void test_what_shadow_rules_would_have_said(void **state)
{
    (void)state;
    struct sample s = {0};
    sample_intent(&s, "select 1", 8);
    s.intent.shadow_rule = (char *)(uintptr_t) "no-customers";
    s.intent.shadow_verdict = CHAPERONE__V1__VERDICT__DENY;
    assert_says(told_of(&s), "    in shadow: deny by rule no-customers\n");
    assert_says(json_text(&s, false),
                "\"shadow_verdict\":\"deny\",\"shadow_rule\":\"no-customers\"");
    sample_intent(&s, "select 1", 8);
    char *text = told_of(&s);
    assert_null(strstr(text, "shadow"));
    free(text);
}

static void test_whose_claims(void **state)
{
    (void)state;
    struct sample s = {0};
    Chaperone__V1__SessionOpened opened = CHAPERONE__V1__SESSION_OPENED__INIT;
    Chaperone__V1__Identity who = CHAPERONE__V1__IDENTITY__INIT;
    Chaperone__V1__Claim claims[] = {CHAPERONE__V1__CLAIM__INIT, CHAPERONE__V1__CLAIM__INIT};
    Chaperone__V1__Claim *list[] = {&claims[0], &claims[1]};
    char *groups[] = {(char *)(uintptr_t) "analysts", (char *)(uintptr_t) "night"};
    sample_common(&s, 1);
    who.subject = (char *)(uintptr_t) "dev-agent";
    who.groups = groups;
    who.n_groups = 2;
    who.claims = list;
    who.n_claims = 2;
    claims[0].path = (char *)(uintptr_t) "department";
    claims[0].value = (char *)(uintptr_t) "sup\x1b[2Jport";
    claims[1].path = (char *)(uintptr_t) "realm_access.roles";
    claims[1].value = (char *)(uintptr_t) "a";
    opened.identity = &who;
    s.record.event_case = CHAPERONE__V1__RECORD__EVENT_SESSION_OPENED;
    s.record.session_opened = &opened;
    assert_says(told_of(&s), "    groups: analysts, night\n"
                             "    claims: department=sup\\x1b[2Jport, realm_access.roles=a\n");
    assert_says(json_text(&s, false), "\"claims\":[{\"path\":\"department\",\"value\":\"sup"
                                      "\\u001b[2Jport\"},{\"path\":\"realm_access.roles\","
                                      "\"value\":\"a\"}]");
}

static void test_a_masking_receipt(void **state)
{
    (void)state;
    struct sample s = {0};
    Chaperone__V1__MaskingReceipt receipt = CHAPERONE__V1__MASKING_RECEIPT__INIT;
    Chaperone__V1__MaskingReceipt__Masked masked = CHAPERONE__V1__MASKING_RECEIPT__MASKED__INIT;
    Chaperone__V1__MaskingReceipt__Masked *list[] = {&masked};
    masked.rule = (char *)(uintptr_t) "personal-data";
    masked.column = (char *)(uintptr_t) "ssn";
    masked.rows = 3;
    receipt.masked = list;
    receipt.n_masked = 1;
    receipt.withheld_messages = 1;
    receipt.rows_cut = 2;
    sample_outcome(&s);
    s.outcome.masking = &receipt;
    assert_says(told_of(&s), "    masked: ssn in 3 rows by rule personal-data\n"
                             "    messages withheld: 1\n"
                             "    rows beyond the limit: 2\n");
    masked.by_content = true;
    assert_says(told_of(&s), "masked: ssn in 3 rows, found by content, by rule personal-data\n");
    assert_says(json_text(&s, false),
                "\"masked\":[{\"rule\":\"personal-data\",\"column\":\"ssn\",\"rows\":3,"
                "\"by_content\":true}],\"withheld_messages\":1,\"rows_cut\":2");
}

static void test_command_of_a_tag(void **state)
{
    (void)state;
    assert_true(bytes_equal_string(record_tag_command("INSERT 0 1"), "INSERT"));
    assert_true(bytes_equal_string(record_tag_command("CREATE TABLE"), "CREATE TABLE"));
    assert_true(bytes_equal_string(record_tag_command(""), ""));
}

int main(void)
{
    (void)setlocale(LC_CTYPE, "C.UTF-8");
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_json_of_an_intent),
        cmocka_unit_test(test_json_of_every_kind_has_all_keys),
        cmocka_unit_test(test_an_action_says_what_was_ordered_and_done),
        cmocka_unit_test(test_what_people_did_is_told_with_who_and_from_where),
        cmocka_unit_test(test_a_finding),
        cmocka_unit_test(test_json_of_an_outcome),
        cmocka_unit_test(test_an_erased_record_says_who_where_and_when),
        cmocka_unit_test(test_lines),
        cmocka_unit_test(test_a_conversation),
        cmocka_unit_test(test_an_intent_without_an_outcome_is_unknown),
        cmocka_unit_test(test_what_shadow_rules_would_have_said),
        cmocka_unit_test(test_whose_claims),
        cmocka_unit_test(test_a_masking_receipt),
        cmocka_unit_test(test_command_of_a_tag),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
