#include "cli/replay/operations.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static void add(struct recording *r, Chaperone__V1__Record *record)
{
    Chaperone__V1__Entry entry = CHAPERONE__V1__ENTRY__INIT;
    uint8_t packed[2048];
    assert_true(chaperone__v1__record__get_packed_size(record) <= sizeof(packed));
    entry.record.len = chaperone__v1__record__pack(record, packed);
    entry.record.data = packed;
    assert_int_equal(recording_add(r, &entry), OK);
}

static Chaperone__V1__Intent intent_of(uint64_t operation, Chaperone__V1__Verdict verdict)
{
    Chaperone__V1__Intent i = CHAPERONE__V1__INTENT__INIT;
    i.operation = operation;
    i.verdict = verdict;
    i.verb = (char *)(uintptr_t) "execute";
    i.transaction = (char *)(uintptr_t) "open";
    i.text.data = (uint8_t *)(uintptr_t) "SELECT 1";
    i.text.len = 8;
    return i;
}

static void add_intent(struct recording *r, Chaperone__V1__Intent *intent)
{
    Chaperone__V1__Record record = CHAPERONE__V1__RECORD__INIT;
    record.event_case = CHAPERONE__V1__RECORD__EVENT_INTENT;
    record.intent = intent;
    add(r, &record);
}

static void add_outcome(struct recording *r, uint64_t operation, Chaperone__V1__Status status,
                        uint64_t bytes_in)
{
    Chaperone__V1__Record record = CHAPERONE__V1__RECORD__INIT;
    Chaperone__V1__Outcome outcome = CHAPERONE__V1__OUTCOME__INIT;
    outcome.operation = operation;
    outcome.status = status;
    outcome.bytes_in = bytes_in;
    record.event_case = CHAPERONE__V1__RECORD__EVENT_OUTCOME;
    record.outcome = &outcome;
    add(r, &record);
}

/* Why the one operation of a session is skipped; "" when it is executed. */
static void expect(Chaperone__V1__Intent intent, Chaperone__V1__Status status, uint64_t bytes_in,
                   const char *why, bool fails_transaction)
{
    struct recording *r = recording_create();
    struct operation *ops = NULL;
    size_t count = 0;
    assert_non_null(r);
    add_intent(r, &intent);
    if (status != CHAPERONE__V1__STATUS__STATUS_UNSPECIFIED) {
        add_outcome(r, intent.operation, status, bytes_in);
    }
    assert_int_equal(operations_list(r, &ops, &count), OK);
    assert_int_equal(count, 1);
    if (why[0] == '\0') {
        assert_null(ops[0].skipped);
    } else {
        assert_non_null(ops[0].skipped);
        assert_non_null(strstr(ops[0].skipped, why));
    }
    assert_int_equal(ops[0].fails_transaction, fails_transaction);
    free(ops);
    recording_destroy(r);
}

static void test_only_what_was_executed_is_executed(void **state)
{
    (void)state;
    Chaperone__V1__Intent allowed = intent_of(1, CHAPERONE__V1__VERDICT__ALLOW);
    Chaperone__V1__Intent denied = intent_of(1, CHAPERONE__V1__VERDICT__DENY);
    Chaperone__V1__Intent held = intent_of(1, CHAPERONE__V1__VERDICT__HOLD);
    Chaperone__V1__Intent odd = intent_of(1, (Chaperone__V1__Verdict)9);
    expect(allowed, CHAPERONE__V1__STATUS__SUCCESS, 0, "", false);
    expect(allowed, CHAPERONE__V1__STATUS__FAILED, 0, "", false);
    expect(allowed, CHAPERONE__V1__STATUS__UNKNOWN, 0, "unknown", false);
    expect(allowed, CHAPERONE__V1__STATUS__NOT_EXECUTED, 0, "not executed", false);
    expect(allowed, CHAPERONE__V1__STATUS__STATUS_UNSPECIFIED, 0, "unknown", false);
    expect(denied, CHAPERONE__V1__STATUS__REFUSED, 0, "refused", true);
    expect(held, CHAPERONE__V1__STATUS__REFUSED, 0, "not released", true);
    expect(held, CHAPERONE__V1__STATUS__STATUS_UNSPECIFIED, 0, "not released", false);
    expect(held, CHAPERONE__V1__STATUS__SUCCESS, 0, "", false);
    expect(odd, CHAPERONE__V1__STATUS__SUCCESS, 0, "not known", false);
}

static void test_only_what_is_recorded_whole_is_executed(void **state)
{
    (void)state;
    Chaperone__V1__Intent i = intent_of(1, CHAPERONE__V1__VERDICT__ALLOW);
    Chaperone__V1__Parameter value = CHAPERONE__V1__PARAMETER__INIT;
    Chaperone__V1__Parameter *values[] = {&value};
    expect(i, CHAPERONE__V1__STATUS__SUCCESS, 5, "what the agent sent", false);
    i.text_truncated = true;
    expect(i, CHAPERONE__V1__STATUS__SUCCESS, 0, "whole", false);
    i.text_truncated = false;
    i.parameters = values;
    i.n_parameters = 1;
    expect(i, CHAPERONE__V1__STATUS__SUCCESS, 0, "", false);
    value.truncated = true;
    expect(i, CHAPERONE__V1__STATUS__SUCCESS, 0, "whole", false);
    value.truncated = false;
    i.record = (char *)(uintptr_t) "no_values";
    expect(i, CHAPERONE__V1__STATUS__SUCCESS, 0, "values", false);
    i.record = (char *)(uintptr_t) "";
    i.verb = (char *)(uintptr_t) "function_call";
    expect(i, CHAPERONE__V1__STATUS__SUCCESS, 0, "no statement", false);
}

static void test_a_portal_is_run_once(void **state)
{
    (void)state;
    struct recording *r = recording_create();
    struct operation *ops = NULL;
    size_t count = 0;
    assert_non_null(r);
    for (uint64_t n = 1; n <= 4; n++) {
        Chaperone__V1__Intent i = intent_of(n, CHAPERONE__V1__VERDICT__ALLOW);
        i.portal = (char *)(uintptr_t)(n < 4 ? "p" : "q");
        add_intent(r, &i);
        add_outcome(r, n, n < 3 ? CHAPERONE__V1__STATUS__SUSPENDED : CHAPERONE__V1__STATUS__SUCCESS,
                    0);
    }
    assert_int_equal(operations_list(r, &ops, &count), OK);
    assert_int_equal(count, 4);
    assert_null(ops[0].skipped);
    assert_non_null(ops[1].skipped);
    assert_non_null(ops[2].skipped);
    assert_null(ops[3].skipped);
    free(ops);
    recording_destroy(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_only_what_was_executed_is_executed),
        cmocka_unit_test(test_only_what_is_recorded_whole_is_executed),
        cmocka_unit_test(test_a_portal_is_run_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
