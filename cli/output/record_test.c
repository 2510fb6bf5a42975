/* What a record says as JSON and in a line. */
#include <locale.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cjson/cJSON.h>
#include <cmocka.h>

#include "cli/output/line.h"
#include "cli/output/statement_fixture.h"
#include "formats/record_json.h"

static cJSON *json_of(const struct statement *s, bool with_rows)
{
    char *text = shown_json(&s->shown, with_rows);
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
    struct statement s = {0};
    static const char text[] = "select *\nfrom customers \x1b[2J\xff";
    statement_intent(&s, text, sizeof(text) - 1);
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
    struct statement s = {0};
    for (size_t i = 0; record_kinds[i] != NULL; i++) {
        statement_intent(&s, "", 0);
        if (strcmp(record_kinds[i], "outcome") == 0) {
            statement_outcome(&s);
        } else if (strcmp(record_kinds[i], "intent") != 0) {
            s.shown.record.event_case = (Chaperone__V1__Record__EventCase)(10 + i);
            s.shown.record.session_opened = i == 0   ? &opened
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
    struct statement s = {0};
    char *sessions[] = {TEXT("019f0000-0000-7000-8000-000000000001")};
    Chaperone__V1__Identity by = CHAPERONE__V1__IDENTITY__INIT;
    Chaperone__V1__Action action = CHAPERONE__V1__ACTION__INIT;
    by.subject = TEXT("alice");
    action.action = TEXT("kill");
    action.object = TEXT("identity agent-7");
    action.by = &by;
    action.reason = TEXT("runs wild");
    action.order = TEXT("019f0000-0000-7000-8000-00000000000a");
    action.ordered_unix_ns = 1795250580001000000;
    action.done_unix_ns = 1795250580002500000;
    action.sessions = sessions;
    action.n_sessions = 1;
    statement_init(&s, 4);
    s.shown.record.event_case = CHAPERONE__V1__RECORD__EVENT_ACTION;
    s.shown.record.action = &action;
    cJSON *json = json_of(&s, false);
    assert_string_equal(string_at(json, "kind"), "action");
    assert_string_equal(string_at(json, "action"), "kill");
    assert_string_equal(string_at(json, "object"), "identity agent-7");
    assert_string_equal(string_at(json, "by"), "alice");
    assert_string_equal(string_at(json, "ordered"), "2026-11-21T08:43:00.001000Z");
    assert_string_equal(string_at(json, "done"), "2026-11-21T08:43:00.002500Z");
    assert_int_equal(cJSON_GetArraySize(cJSON_GetObjectItem(json, "sessions")), 1);
    cJSON_Delete(json);
    shown_assert_described(&s.shown, "kill identity agent-7 by alice, 1 session in 1.500 ms: runs"
                                     " wild");
}

static void test_what_people_did_is_told_with_who_and_from_where(void **state)
{
    (void)state;
    struct statement s = {0};
    Chaperone__V1__Identity by = CHAPERONE__V1__IDENTITY__INIT;
    Chaperone__V1__Action action = CHAPERONE__V1__ACTION__INIT;
    by.subject = TEXT("ann");
    action.action = TEXT("search");
    action.object = TEXT("text=salary");
    action.by = &by;
    action.from = TEXT("ipv4:10.0.0.7:5312");
    statement_init(&s, 4);
    s.shown.record.event_case = CHAPERONE__V1__RECORD__EVENT_ACTION;
    s.shown.record.action = &action;
    shown_assert_described(&s.shown, "search text=salary by ann (ipv4:10.0.0.7:5312)");
    action.action = TEXT("refused");
    action.object = TEXT("");
    action.by = NULL;
    action.error = TEXT("no token");
    shown_assert_described(&s.shown, "refused by nobody (ipv4:10.0.0.7:5312); no token");
}

static void test_a_finding(void **state)
{
    (void)state;
    struct statement s = {0};
    Chaperone__V1__Finding finding = CHAPERONE__V1__FINDING__INIT;
    finding.kind = TEXT("gap");
    finding.sidecar = TEXT("s1");
    finding.first_sequence = 7;
    finding.last_sequence = 9;
    finding.detail = TEXT("they never came");
    statement_init(&s, 4);
    s.shown.record.event_case = CHAPERONE__V1__RECORD__EVENT_FINDING;
    s.shown.record.finding = &finding;
    shown_assert_described(&s.shown, "gap, sidecar s1, record 7 to 9: they never came");
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
    struct statement s = {0};
    statement_outcome(&s);
    s.outcome.bytes = 9007199254740993ULL; /* 2^53 + 1: no double */
    char *text = shown_json(&s.shown, true);
    assert_non_null(strstr(text, "\"bytes\":9007199254740993,"));
    assert_non_null(strstr(text, "\"command\":\"SELECT\""));
    assert_non_null(strstr(text, "\"status\":\"success\""));
    assert_non_null(strstr(text, "\"duration_us\":1500"));
    assert_non_null(strstr(text, "\"results\":[{\"columns\":[\"name\"],\"rows\":[[\"Ada\"]]}]"));
    free(text);
    text = shown_json(&s.shown, false);
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
    entry.erased_unix_ns = SHOWN_START_NS;
    entry.time_unix_ns = SHOWN_START_NS;
    entry.sequence = 7;
    entry.kind = TEXT("intent");
    entry.session = TEXT("019f");
    entry.sidecar = TEXT("sidecar-1");
    entry.identity = TEXT("dev-agent");
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
        cmocka_unit_test(test_command_of_a_tag),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
