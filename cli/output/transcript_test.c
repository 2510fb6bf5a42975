/* Statements and their outcomes as lines and as a transcript. */
#include <locale.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "cli/output/line.h"
#include "cli/output/statement_fixture.h"
#include "cli/output/transcript.h"

static char *lines_of(struct statement *s, bool is_terminal)
{
    char *text = NULL;
    size_t size = 0;
    struct terminal terminal = {.is_terminal = is_terminal, .width = is_terminal ? 100 : 0};
    terminal.out = open_memstream(&text, &size);
    struct line_printer printer;
    struct record_view v;
    assert_non_null(terminal.out);
    line_printer_init(&printer, &terminal);
    statement_intent(s, "select *\n  from customers", 25);
    record_view_init(&v, &s->shown.entry, &s->shown.record);
    line_print(&printer, &v);
    statement_outcome(s);
    record_view_init(&v, &s->shown.entry, &s->shown.record);
    line_print(&printer, &v);
    assert_int_equal(fclose(terminal.out), 0);
    return text;
}

static void test_lines(void **state)
{
    (void)state;
    struct statement s = {0};
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

static char *transcript_of(struct statement *s, bool with_outcome)
{
    struct shown_transcript t;
    shown_transcript_begin(&t);
    statement_intent(s, "select *\nfrom customers", 23);
    shown_transcript_add(&t, &s->shown);
    if (with_outcome) {
        statement_outcome(s);
        shown_transcript_add(&t, &s->shown);
    }
    transcript_end(t.transcript);
    return shown_transcript_end(&t);
}

static void test_a_conversation(void **state)
{
    (void)state;
    struct statement s = {0};
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
    struct statement s = {0};
    char *text = transcript_of(&s, false);
    assert_non_null(strstr(text, "#7 no outcome is recorded: whether it was executed is unknown"));
    free(text);
}

static void test_what_shadow_rules_would_have_said(void **state)
{
    (void)state;
    struct statement s = {0};
    statement_intent(&s, "select 1", 8);
    s.intent.shadow_rule = TEXT("no-customers");
    s.intent.shadow_verdict = CHAPERONE__V1__VERDICT__DENY;
    shown_assert_says(shown_told(&s.shown), "    in shadow: deny by rule no-customers\n");
    shown_assert_says(shown_json(&s.shown, false),
                      "\"shadow_verdict\":\"deny\",\"shadow_rule\":\"no-customers\"");
    statement_intent(&s, "select 1", 8);
    char *text = shown_told(&s.shown);
    assert_null(strstr(text, "shadow"));
    free(text);
}

static void test_whose_claims(void **state)
{
    (void)state;
    struct statement s = {0};
    Chaperone__V1__SessionOpened opened = CHAPERONE__V1__SESSION_OPENED__INIT;
    Chaperone__V1__Identity who = CHAPERONE__V1__IDENTITY__INIT;
    Chaperone__V1__Claim claims[] = {CHAPERONE__V1__CLAIM__INIT, CHAPERONE__V1__CLAIM__INIT};
    Chaperone__V1__Claim *list[] = {&claims[0], &claims[1]};
    char *groups[] = {TEXT("analysts"), TEXT("night")};
    statement_init(&s, 1);
    who.subject = TEXT("dev-agent");
    who.groups = groups;
    who.n_groups = 2;
    who.claims = list;
    who.n_claims = 2;
    claims[0].path = TEXT("department");
    claims[0].value = TEXT("sup\x1b[2Jport");
    claims[1].path = TEXT("realm_access.roles");
    claims[1].value = TEXT("a");
    opened.identity = &who;
    s.shown.record.event_case = CHAPERONE__V1__RECORD__EVENT_SESSION_OPENED;
    s.shown.record.session_opened = &opened;
    shown_assert_says(shown_told(&s.shown),
                      "    groups: analysts, night\n"
                      "    claims: department=sup\\x1b[2Jport, realm_access.roles=a\n");
    shown_assert_says(shown_json(&s.shown, false),
                      "\"claims\":[{\"path\":\"department\",\"value\":\"sup"
                      "\\u001b[2Jport\"},{\"path\":\"realm_access.roles\","
                      "\"value\":\"a\"}]");
}

static void test_a_masking_receipt(void **state)
{
    (void)state;
    struct statement s = {0};
    Chaperone__V1__MaskingReceipt receipt = CHAPERONE__V1__MASKING_RECEIPT__INIT;
    Chaperone__V1__MaskingReceipt__Masked masked = CHAPERONE__V1__MASKING_RECEIPT__MASKED__INIT;
    Chaperone__V1__MaskingReceipt__Masked *list[] = {&masked};
    masked.rule = TEXT("personal-data");
    masked.column = TEXT("ssn");
    masked.rows = 3;
    receipt.masked = list;
    receipt.n_masked = 1;
    receipt.withheld_messages = 1;
    receipt.rows_cut = 2;
    statement_outcome(&s);
    s.outcome.masking = &receipt;
    shown_assert_says(shown_told(&s.shown), "    masked: ssn in 3 rows by rule personal-data\n"
                                            "    messages withheld: 1\n"
                                            "    rows beyond the limit: 2\n");
    masked.by_content = true;
    shown_assert_says(shown_told(&s.shown),
                      "masked: ssn in 3 rows, found by content, by rule personal-data\n");
    shown_assert_says(shown_json(&s.shown, false),
                      "\"masked\":[{\"rule\":\"personal-data\",\"column\":\"ssn\",\"rows\":3,"
                      "\"by_content\":true}],\"withheld_messages\":1,\"rows_cut\":2");
}

int main(void)
{
    (void)setlocale(LC_CTYPE, "C.UTF-8");
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lines),
        cmocka_unit_test(test_a_conversation),
        cmocka_unit_test(test_an_intent_without_an_outcome_is_unknown),
        cmocka_unit_test(test_what_shadow_rules_would_have_said),
        cmocka_unit_test(test_whose_claims),
        cmocka_unit_test(test_a_masking_receipt),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
