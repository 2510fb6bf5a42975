#include "cli/output/held.h"

#include <cjson/cJSON.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "cli/output/held_json.h"
#include "cli/output/literals.h"

static const int64_t SECOND = 1000000000;
static const int64_t NOW = 1763712000LL * 1000000000;

/* A held UPDATE that says everything there is to say. */
struct sample {
    Chaperone__V1__HeldOperation held;
    Chaperone__V1__Identity agent, ann;
    Chaperone__V1__Delegate delegate, *delegates[1];
    Chaperone__V1__Stated stated, *reasons[1];
    Chaperone__V1__Intent intent;
    Chaperone__V1__Parameter parameter, binary, none, *parameters[3];
    Chaperone__V1__Object object, *objects[1];
    Chaperone__V1__HoldTerms terms;
    Chaperone__V1__StandingTerms standing;
    Chaperone__V1__Prediction prediction;
    Chaperone__V1__Decision decision, *decisions[1];
    char *commands[1], *locks[1], *groups[2];
};

static void fill_intent(struct sample *s)
{
    chaperone__v1__intent__init(&s->intent);
    chaperone__v1__parameter__init(&s->parameter);
    chaperone__v1__parameter__init(&s->binary);
    chaperone__v1__parameter__init(&s->none);
    chaperone__v1__object__init(&s->object);
    s->commands[0] = TEXT("UPDATE");
    s->intent.commands = s->commands;
    s->intent.n_commands = 1;
    s->intent.text = BYTES("UPDATE orders SET note = $1\nstate used \x1b[1A");
    s->parameter.type = TEXT("text");
    s->parameter.value = BYTES("a\x1b]0;x\x07");
    s->binary.raw = true;
    s->binary.size = 2;
    s->binary.value = BYTES("\x01\xff");
    s->none.is_null = true;
    s->parameters[0] = &s->parameter;
    s->parameters[1] = &s->binary;
    s->parameters[2] = &s->none;
    s->intent.parameters = s->parameters;
    s->intent.n_parameters = 3;
    s->object.name = TEXT("orders");
    s->object.access = TEXT("update");
    s->objects[0] = &s->object;
    s->intent.objects = s->objects;
    s->intent.n_objects = 1;
    s->intent.rule = TEXT("updates-need-two");
    s->intent.without_where = true;
    s->intent.transaction = TEXT("open");
}

static void fill_people(struct sample *s)
{
    chaperone__v1__identity__init(&s->agent);
    chaperone__v1__identity__init(&s->ann);
    chaperone__v1__delegate__init(&s->delegate);
    chaperone__v1__stated__init(&s->stated);
    chaperone__v1__decision__init(&s->decision);
    s->agent.subject = TEXT("agent-7");
    s->agent.issuer = TEXT("https://id.example");
    s->agent.assurance = CHAPERONE__V1__ASSURANCE__VERIFIED;
    s->delegate.subject = TEXT("alice");
    s->delegate.assurance = CHAPERONE__V1__ASSURANCE__VERIFIED;
    s->delegate.source = TEXT("token:sub");
    s->delegates[0] = &s->delegate;
    s->stated.text = TEXT("cleaning up \xe2\x80\xae"
                          "desrever");
    s->stated.assurance = CHAPERONE__V1__ASSURANCE__DECLARED;
    s->stated.source = TEXT("sql_comment");
    s->reasons[0] = &s->stated;
    s->ann.subject = TEXT("ann");
    s->decision.by = &s->ann;
    s->decision.approve = true;
    s->decision.reason = TEXT("ticket 4711");
    s->decision.from = TEXT("ipv4:10.0.0.7:55312");
    s->decision.time_unix_ns = NOW - 30 * SECOND;
    s->decisions[0] = &s->decision;
}

static void fill_terms(struct sample *s)
{
    chaperone__v1__hold_terms__init(&s->terms);
    chaperone__v1__standing_terms__init(&s->standing);
    chaperone__v1__prediction__init(&s->prediction);
    s->groups[0] = TEXT("dba");
    s->groups[1] = TEXT("security");
    s->terms.groups = s->groups;
    s->terms.n_groups = 2;
    s->terms.people = 2;
    s->terms.needs_reason = true;
    s->standing.seconds_max = 3600;
    s->standing.uses_max = 5;
    s->terms.standing = &s->standing;
    s->prediction.plan = TEXT("Update on orders\n  ->  Seq Scan \x1b[2J");
    s->prediction.estimated_rows = 4999.6;
    s->prediction.has_exact = true;
    s->prediction.exact_rows = 5000;
}

static void fill(struct sample *s)
{
    *s = (struct sample){0};
    chaperone__v1__held_operation__init(&s->held);
    fill_intent(s);
    fill_people(s);
    fill_terms(s);
    s->held.id = TEXT("0192f3a4-5b6c-7d8e-9f00-112233445566");
    s->held.state = CHAPERONE__V1__APPROVAL_STATE__WAITING;
    s->held.version = 2;
    s->held.identity = &s->agent;
    s->held.on_behalf_of = s->delegates;
    s->held.n_on_behalf_of = 1;
    s->held.reasons = s->reasons;
    s->held.n_reasons = 1;
    s->held.resource = TEXT("shop");
    s->held.protocol = TEXT("postgres");
    s->held.intent = &s->intent;
    s->held.terms = &s->terms;
    s->held.prediction = &s->prediction;
    s->locks[0] = TEXT("RowExclusiveLock on public.orders");
    s->held.locks = s->locks;
    s->held.n_locks = 1;
    s->held.digest = BYTES("\x01\xab");
    s->held.requested_unix_ns = NOW - 60 * SECOND;
    s->held.expires_unix_ns = NOW + 252 * SECOND;
    s->held.decisions = s->decisions;
    s->held.n_decisions = 1;
}

static char *printed(const Chaperone__V1__HeldOperation *h)
{
    char *text = NULL;
    size_t size = 0;
    FILE *f = open_memstream(&text, &size);
    assert_non_null(f);
    struct terminal t = {.out = f};
    held_print(&t, h, NOW);
    assert_int_equal(fclose(f), 0);
    return text;
}

static void assert_has(const char *text, const char *part)
{
    if (strstr(text, part) == NULL) {
        fail_msg("\"%s\" is not in:\n%s", part, text);
    }
}

static void test_a_page_has_all_that_a_decision_needs(void **state)
{
    static const char *const parts[] = {
        "approval 0192f3a4-5b6c-7d8e-9f00-112233445566\n",
        "state           waiting\n",
        "expires         in 4 min 12 s (2025-11-21T08:04:12.000Z)\n",
        "agent           agent-7 (verified: https://id.example)\n",
        "on behalf of    alice (verified: token:sub)\n",
        "(declared: sql_comment)\n",
        "resource        shop (postgres)\n",
        "transaction     open\n",
        "holds lock      RowExclusiveLock on public.orders\n",
        "    $1 text = a\\x1b]0;x\\x07\n",
        "    $2 = (2 bytes in binary form)\n",
        "    $3 = NULL\n",
        "touches         orders (update)\n",
        "warning         without WHERE",
        "held by rule    updates-need-two\n",
        "exact rows      5000 (of a run that was rolled back)\n",
        "estimated rows  5000\n",
        "approvers       dba or security\n",
        "missing         1 of 2 people, each with a reason\n",
        "standing        allowed, for 3600 s and 5 uses at most\n",
        "approved by     ann, 30 s ago, from ipv4:10.0.0.7:55312: ticket 4711\n",
        "digest          01ab\n",
    };
    (void)state;
    struct sample s;
    fill(&s);
    char *text = printed(&s.held);
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        assert_has(text, parts[i]);
    }
    free(text);
}

/* What an agent writes neither moves the cursor nor looks like one of our lines. */
static void test_the_agents_texts_stay_in_their_place(void **state)
{
    (void)state;
    struct sample s;
    fill(&s);
    char *text = printed(&s.held);
    assert_null(strchr(text, '\x1b'));
    assert_null(strchr(text, '\x07'));
    assert_null(strstr(text, "\xe2\x80\xae"));
    assert_has(text, "\n    state used \\x1b[1A\n");
    assert_null(strstr(text, "\nstate used"));
    free(text);
}

static void test_nothing_is_needed(void **state)
{
    (void)state;
    Chaperone__V1__HeldOperation empty = CHAPERONE__V1__HELD_OPERATION__INIT;
    char *line = NULL;
    size_t size = 0;
    char *text = printed(&empty);
    assert_has(text, "agent           not identified\n");
    assert_has(text, "state           unknown");
    free(text);
    FILE *f = open_memstream(&line, &size);
    assert_non_null(f);
    assert_int_equal(held_json_write(f, &empty), OK);
    assert_int_equal(fclose(f), 0);
    assert_has(line, "\"identity\":null");
    free(line);
}

static void test_an_end_says_why(void **state)
{
    (void)state;
    struct sample s;
    fill(&s);
    s.held.state = CHAPERONE__V1__APPROVAL_STATE__WITHDRAWN;
    s.held.ended_unix_ns = NOW - 3700 * SECOND;
    s.held.end_reason = TEXT("the agent went away");
    char *text = printed(&s.held);
    assert_has(text, "state           withdrawn, 1 h 1 min ago: the agent went away\n");
    assert_null(strstr(text, "expires"));
    assert_null(strstr(text, "missing"));
    free(text);
}

static void test_who_is_missing(void **state)
{
    (void)state;
    struct sample s;
    fill(&s);
    assert_int_equal(held_missing(&s.held), 1);
    s.decision.approve = false;
    assert_int_equal(held_missing(&s.held), 2);
    s.decision.approve = true;
    s.terms.people = 1;
    assert_int_equal(held_missing(&s.held), 0);
    s.terms.people = 2;
    s.held.state = CHAPERONE__V1__APPROVAL_STATE__EXPIRED;
    assert_int_equal(held_missing(&s.held), 0);
}

static void test_json(void **state)
{
    (void)state;
    struct sample s;
    char *line = NULL;
    size_t size = 0;
    fill(&s);
    FILE *f = open_memstream(&line, &size);
    assert_non_null(f);
    assert_int_equal(held_json_write(f, &s.held), OK);
    assert_int_equal(fclose(f), 0);
    assert_null(strchr(line, '\x1b'));
    assert_int_equal(strchr(line, '\n') - line, (long)size - 1);
    cJSON *json = cJSON_Parse(line);
    assert_non_null(json);
    const cJSON *parameters = cJSON_GetObjectItem(json, "parameters");
    assert_string_equal(
        cJSON_GetStringValue(cJSON_GetObjectItem(cJSON_GetArrayItem(parameters, 0), "value")),
        "a\x1b]0;x\x07");
    assert_string_equal(
        cJSON_GetStringValue(cJSON_GetObjectItem(cJSON_GetArrayItem(parameters, 1), "value")),
        "\\x01ff");
    assert_true(cJSON_IsNull(cJSON_GetObjectItem(cJSON_GetArrayItem(parameters, 2), "value")));
    assert_string_equal(cJSON_GetStringValue(cJSON_GetObjectItem(json, "state")), "waiting");
    assert_string_equal(cJSON_GetStringValue(cJSON_GetObjectItem(json, "digest")), "\\x01ab");
    assert_true(cJSON_IsNull(cJSON_GetObjectItem(json, "ended")));
    cJSON_Delete(json);
    free(line);
}

static void test_when(void **state)
{
    (void)state;
    static const struct {
        int64_t seconds;
        const char *said;
    } cases[] = {
        {0, "0 s ago"},
        {5, "in 5 s"},
        {-59, "59 s ago"},
        {60, "in 1 min 0 s"},
        {-3599, "59 min 59 s ago"},
        {3600, "in 1 h 0 min"},
        {172800, "in 2 days"},
    };
    char out[HELD_WHEN_SIZE];
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        held_format_when(NOW + cases[i].seconds * SECOND, NOW, out);
        assert_string_equal(out, cases[i].said);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_page_has_all_that_a_decision_needs),
        cmocka_unit_test(test_the_agents_texts_stay_in_their_place),
        cmocka_unit_test(test_nothing_is_needed),
        cmocka_unit_test(test_an_end_says_why),
        cmocka_unit_test(test_who_is_missing),
        cmocka_unit_test(test_json),
        cmocka_unit_test(test_when),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
