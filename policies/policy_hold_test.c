/* The terms of hold rules: what they mean, and every mistake in them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "policies/policy.h"

#define HOLD "version: 1\nrules:\n  - name: a\n    effect: hold\n"
#define TERMS(items) HOLD "    hold: {approvers: {groups: [dba]}, " items "}\n"

static struct policy *compile(const char *text)
{
    struct policy *p = NULL;
    struct err_text why = {0};
    if (policy_compile(bytes_of_string(text), 1, &p, &why) != OK) {
        fail_msg("%s", why.text);
    }
    return p;
}

/* Of whatever is asked. Valid as long as the policy. */
static const struct policy_hold *terms_of(const struct policy *p)
{
    static const char *const commands[] = {"DELETE"};
    const struct policy_request r = {.subject = "s",
                                     .resource = "r",
                                     .protocol = "postgres",
                                     .commands = commands,
                                     .command_count = 1};
    struct policy_verdict v;
    policy_evaluate(p, &r, &v);
    assert_int_equal(v.effect, POLICY_HOLD);
    assert_string_equal(v.rule, "a");
    assert_non_null(v.hold);
    return v.hold;
}

static void test_what_is_not_said_is_careful(void **state)
{
    (void)state;
    struct policy *p = compile(HOLD "    hold: {approvers: {groups: [dba]}}\n");
    const struct policy_hold *h = terms_of(p);
    assert_int_equal(h->group_count, 1);
    assert_string_equal(h->groups[0], "dba");
    assert_int_equal(h->people, 1);
    assert_int_equal(h->lifetime_s, 15 * 60);
    assert_int_equal(h->in_transaction_s, 60);
    assert_true(h->excludes_requester);
    assert_false(h->needs_reason);
    assert_false(h->is_retry);
    assert_int_equal(h->retry_window_s, 10 * 60);
    assert_false(h->forbids_linked);
    assert_false(h->has_standing);
    assert_true(h->explains);
    assert_false(h->runs_dry);
    policy_destroy(p);
}

static void test_every_term_is_read(void **state)
{
    (void)state;
    struct policy *p = compile(HOLD "    message: Ask first.\n"
                                    "    hold:\n"
                                    "      approvers: {groups: [dba, 'Security Team']}\n"
                                    "      people: 2\n"
                                    "      expires: 7d\n"
                                    "      in_transaction: 90s\n"
                                    "      requester: allow\n"
                                    "      reason: required\n"
                                    "      mode: retry\n"
                                    "      retry_window: 2h\n"
                                    "      linked_accounts: forbid\n"
                                    "      standing: {for: 1h, uses: 20}\n"
                                    "      predict: exact\n");
    const struct policy_hold *h = terms_of(p);
    assert_int_equal(h->group_count, 2);
    assert_string_equal(h->groups[1], "Security Team");
    assert_int_equal(h->people, 2);
    assert_int_equal(h->lifetime_s, 7 * 24 * 3600);
    assert_int_equal(h->in_transaction_s, 90);
    assert_false(h->excludes_requester);
    assert_true(h->needs_reason);
    assert_true(h->is_retry);
    assert_int_equal(h->retry_window_s, 2 * 3600);
    assert_true(h->forbids_linked);
    assert_true(h->has_standing);
    assert_int_equal(h->standing_s_max, 3600);
    assert_int_equal(h->standing_uses_max, 20);
    assert_true(h->explains);
    assert_true(h->runs_dry);
    policy_destroy(p);
    p = compile(TERMS("requester: exclude, reason: optional, mode: wait, linked_accounts: allow, "
                      "predict: none"));
    h = terms_of(p);
    assert_true(h->excludes_requester);
    assert_false(h->explains);
    assert_false(h->runs_dry);
    policy_destroy(p);
}

static void test_a_transaction_waits_no_longer_than_anything(void **state)
{
    (void)state;
    struct policy *p = compile(TERMS("expires: 20s"));
    assert_int_equal(terms_of(p)->in_transaction_s, 20);
    policy_destroy(p);
    p = compile(TERMS("expires: 20s, in_transaction: 20s"));
    assert_int_equal(terms_of(p)->in_transaction_s, 20);
    policy_destroy(p);
}

/* What people read in Git and what is signed is the same policy. */
static void test_the_canonical_form_has_the_same_terms(void **state)
{
    (void)state;
    struct conf *c = NULL;
    assert_int_equal(
        conf_load_text("p", bytes_of_string(TERMS("people: 3, standing: {for: 2d, uses: 4}")), &c,
                       NULL),
        OK);
    char *json = conf_to_json(conf_root(c));
    struct policy *p = compile(json);
    assert_int_equal(terms_of(p)->people, 3);
    assert_int_equal(terms_of(p)->standing_s_max, 2 * 24 * 3600);
    policy_destroy(p);
    free(json);
    conf_destroy(c);
}

static void test_every_mistake_is_named_where_it_was_made(void **state)
{
    (void)state;
#define AT(column) "p.yaml:5:" column ": rules[0].hold"
    static const struct {
        const char *text, *sentence;
    } cases[] = {
        {HOLD, "p.yaml:3:5: rules[0].hold: required, but missing"},
        {HOLD "    hold: yes\n", AT("11") ": expected a map, found \"yes\""},
        {HOLD "    hold: {}\n", AT("5") ".approvers: required, but missing"},
        {HOLD "    hold: {approver: {groups: [a]}}\n",
         AT("12") ": unknown key `approver`; did you mean `approvers`?"},
        {HOLD "    hold: {approvers: [dba]}\n",
         AT("12") ".approvers: expected a map, found a list"},
        {HOLD "    hold: {approvers: {}}\n", AT("12") ".approvers.groups: required, but missing"},
        {HOLD "    hold: {approvers: {group: [dba]}}\n",
         AT("24") ".approvers: unknown key `group`; did you mean `groups`?"},
        {HOLD "    hold: {approvers: {groups: dba}}\n",
         AT("32") ".approvers.groups: expected a list, found \"dba\""},
        {HOLD "    hold: {approvers: {groups: []}}\n",
         AT("24") ".approvers.groups: expected at least one group: somebody has to decide"},
        {HOLD "    hold: {approvers: {groups: [dba, dba]}}\n",
         AT("38") ".approvers.groups[1]: \"dba\" is in this list already"},
        {HOLD "    hold: {approvers: {groups: ['*']}}\n",
         AT("33") ".approvers.groups[0]: expected the name of a group, found the pattern \"*\": "
                  "who may approve is said by name"},
        {TERMS("people: 0"),
         AT("48") ".people: expected a number of people between 1 and 8, found \"0\""},
        {TERMS("people: 9"),
         AT("48") ".people: expected a number of people between 1 and 8, found \"9\""},
        {TERMS("peple: 2"), AT("40") ": unknown key `peple`; did you mean `people`?"},
        {TERMS("expires: 9s"), AT("49") ".expires: expected a duration between 10s and 7d, such as "
                                        "\"30s\", \"5m\", \"2h\" or \"7d\", found \"9s\""},
        {TERMS("expires: 8d"), AT("49") ".expires: expected a duration between 10s and 7d, such as "
                                        "\"30s\", \"5m\", \"2h\" or \"7d\", found \"8d\""},
        {TERMS("expires: 10500ms"), AT("49") ".expires: expected whole seconds"},
        {TERMS("expires: 30s, in_transaction: 31s"),
         AT("70") ".in_transaction: expected a duration between 1s and 30s, such as \"30s\", "
                  "\"5m\", \"2h\" or \"7d\", found \"31s\""},
        {TERMS("requester: excluded"),
         AT("51") ".requester: expected one of \"exclude\", \"allow\", found \"excluded\"; did you "
                  "mean \"exclude\"?"},
        {TERMS("reason: true"), AT("48") ".reason: expected one of \"optional\", \"required\", "
                                         "found \"true\""},
        {TERMS("mode: shadow"),
         AT("46") ".mode: expected one of \"wait\", \"retry\", found \"shadow\""},
        {TERMS("retry_window: 5m"),
         AT("54") ".retry_window: it is about `mode: retry`; in the mode `wait` what is approved "
                  "goes at once"},
        {TERMS("linked_accounts: no"), AT("57") ".linked_accounts: expected one of \"allow\", "
                                                "\"forbid\", found \"no\""},
        {TERMS("standing: {for: 1h}"), AT("40") ".standing.uses: required, but missing"},
        {TERMS("standing: {uses: 3}"), AT("40") ".standing.for: required, but missing"},
        {TERMS("standing: {for: 1h, uses: 0}"),
         AT("66") ".standing.uses: expected a number of uses between 1 and 1000000, found \"0\""},
        {TERMS("standing: {for: 31d, uses: 1}"),
         AT("56") ".standing.for: expected a duration between 10s and 30d, such as \"30s\", "
                  "\"5m\", \"2h\" or \"7d\", found \"31d\""},
        {TERMS("predict: rows"),
         AT("49") ".predict: expected one of \"none\", \"plan\", \"exact\", found \"rows\""},
        {"version: 1\nrules:\n  - name: a\n    effect: deny\n    hold: {}\n",
         AT("5") ": only a rule with `effect: hold` has people to ask"},
        {"version: 1\nrules:\n  - name: a\n    effect: allow\n    hold: {approvers: {groups: "
         "[dba]}}\n",
         AT("5") ": only a rule with `effect: hold` has people to ask"},
        {TERMS("people: 1") "    obligations: {durability: process}\n",
         "p.yaml:6:31: rules[0].obligations.durability: what is held is on disk at least: use "
         "\"host\" or \"fleet\""},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct conf *c = NULL;
        struct policy *p = NULL;
        struct err_text why = {0};
        assert_int_equal(conf_load_text("p.yaml", bytes_of_string(cases[i].text), &c, &why), OK);
        assert_int_equal(policy_compile_conf(conf_root(c), 1, &p, &why), ERR_INVALID);
        assert_string_equal(why.text, cases[i].sentence);
        assert_null(p);
        conf_destroy(c);
    }
}

static void test_too_many_groups_are_a_limit(void **state)
{
    (void)state;
    struct policy *p = NULL;
    struct err_text why = {0};
    assert_int_equal(
        policy_compile(bytes_of_string(HOLD "    hold: {approvers: {groups: [a, b, c, d, "
                                            "e, f, g, h, i, j, k, l, m, n, o, p, q]}}\n"),
                       1, &p, &why),
        ERR_LIMIT);
    assert_non_null(strstr(why.text, "17 groups, at most 16 are allowed"));
}

/* ---- what holding can never do ----------------------------------------------------------------
 */

#define ALLOWS                                                                                     \
    "version: 1\nrules:\n"                                                                         \
    "- {name: reads, effect: allow, match: {sql: {commands: [read], tables: [public.*]}}}\n"       \
    "- {name: never, effect: deny, match: {sql: {tables: [public.log]}}}\n"
#define HOLD_TERMS "effect: hold, hold: {approvers: {groups: [dba]}}, "
#define RULES(terms)                                                                               \
    "- {name: deletes, " terms "match: {sql: {commands: [DELETE], tables: [public.*]}}}\n"         \
    "- {name: updates, " terms "match: {sql: {commands: [UPDATE], tables: [hr.pay]}}}\n"           \
    "- {name: plans, " terms "match: {sql: {commands: [EXPLAIN]}}}\n"                              \
    "- {name: calls, " terms "match: {sql: {commands: [call], functions: ['app.*']}}}\n"

/* Each combination of one or two commands and up to all objects. */
static const char *const all_commands[] = {"SELECT",     "DELETE", "UPDATE", "EXPLAIN",
                                           "DROP TABLE", "COPY",   "CALL",   "UNKNOWN"};
static const struct policy_object all_objects[] = {
    {.kind = "table", .name = "public.t", .access = "read"},
    {.kind = "table", .name = "public.t", .access = "delete"},
    {.kind = "table", .name = "hr.pay", .access = "read"},
    {.kind = "table", .name = "hr.pay", .access = "update"},
    {.kind = "table", .name = "pay", .access = "read"},
    {.kind = "table", .name = "public.log", .access = "read"},
    {.kind = "table", .name = "public.t", .access = "drop"},
    {.kind = "function", .name = "app.f", .access = "call"},
};
enum { COMMANDS = 8, OBJECTS = 8 };

typedef void compare_verdicts(const struct policy_verdict *held,
                              const struct policy_verdict *other);

static void compare_everything(const char *document, compare_verdicts *compare)
{
    struct policy *with = compile(ALLOWS RULES(HOLD_TERMS)), *other = compile(document);
    for (size_t n = 0; n < (size_t)COMMANDS * COMMANDS << OBJECTS; n++) {
        struct policy_object objects[OBJECTS];
        const char *commands[2] = {all_commands[n % COMMANDS],
                                   all_commands[n / COMMANDS % COMMANDS]};
        struct policy_request r = {.subject = "s",
                                   .resource = "r",
                                   .commands = commands,
                                   .command_count = commands[0] == commands[1] ? 1 : 2,
                                   .objects = objects};
        for (size_t i = 0; i < OBJECTS; i++) {
            if ((n / COMMANDS / COMMANDS >> i & 1) != 0) {
                objects[r.object_count++] = all_objects[i];
            }
        }
        struct policy_verdict v, w;
        policy_evaluate(with, &r, &v);
        policy_evaluate(other, &r, &w);
        compare(&v, &w);
    }
    policy_destroy(with);
    policy_destroy(other);
}

static void check_without_holds(const struct policy_verdict *held,
                                const struct policy_verdict *without)
{
    if (held->effect == POLICY_ALLOW) {
        assert_int_equal(without->effect, POLICY_ALLOW);
        assert_string_equal(held->rule, without->rule);
    }
    if (without->effect == POLICY_ALLOW) {
        assert_int_not_equal(held->effect, POLICY_DENY);
    }
    if (strcmp(without->rule, "never") == 0) {
        assert_int_equal(held->effect, POLICY_DENY);
    }
}

static void test_nothing_is_allowed_because_of_a_hold_rule(void **state)
{
    (void)state;
    compare_everything(ALLOWS, check_without_holds);
}

static void check_as_allowed(const struct policy_verdict *held,
                             const struct policy_verdict *allowed)
{
    if (held->effect != POLICY_DENY) {
        assert_int_equal(allowed->effect, POLICY_ALLOW);
    }
}

/* The same rules as if nobody had to be asked, and what is changed may be read. */
static void test_nothing_is_held_that_the_same_rules_would_not_allow(void **state)
{
    (void)state;
    compare_everything(ALLOWS RULES("effect: allow, ") "- {name: pay, effect: allow, match: {sql: "
                                                       "{commands: [SELECT], tables: "
                                                       "[hr.pay]}}}\n",
                       check_as_allowed);
}

/* Masks of hold rules hold for the whole session, as those of allow rules. */
static void test_masks_of_hold_rules_hold(void **state)
{
    (void)state;
    const struct policy_mask *out[POLICY_MASKS_MAX];
    const struct policy_request who = {.subject = "s", .resource = "r"};
    bool complete = false;
    struct policy *p =
        compile(TERMS("people: 1") "    obligations: {mask: [{columns: [a.b.c]}]}\n");
    assert_true(policy_has_masks(p));
    assert_int_equal(policy_masks(p, &who, out, &complete), 1);
    assert_string_equal(out[0]->rule, "a");
    policy_destroy(p);
}

/* Or a trusted name without a schema could be another function, though a person agreed. */
static void test_the_search_path_stays_where_a_hold_rule_trusts(void **state)
{
    (void)state;
    static const struct policy_object objects[] = {
        {.kind = "setting", .name = "search_path", .access = "session"}};
    static const char *const commands[] = {"SET"};
    const struct policy_request r = {.subject = "s",
                                     .resource = "r",
                                     .commands = commands,
                                     .command_count = 1,
                                     .objects = objects,
                                     .object_count = 1};
    struct policy_verdict v;
    struct policy *p = compile(TERMS("people: 1") "    obligations: {mask: [{columns: [a.b.c], "
                                                  "trusted_functions: [public.f]}]}\n");
    policy_evaluate(p, &r, &v);
    assert_int_equal(v.effect, POLICY_DENY);
    assert_null(v.hold);
    policy_destroy(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_not_said_is_careful),
        cmocka_unit_test(test_every_term_is_read),
        cmocka_unit_test(test_a_transaction_waits_no_longer_than_anything),
        cmocka_unit_test(test_the_canonical_form_has_the_same_terms),
        cmocka_unit_test(test_every_mistake_is_named_where_it_was_made),
        cmocka_unit_test(test_too_many_groups_are_a_limit),
        cmocka_unit_test(test_nothing_is_allowed_because_of_a_hold_rule),
        cmocka_unit_test(test_nothing_is_held_that_the_same_rules_would_not_allow),
        cmocka_unit_test(test_masks_of_hold_rules_hold),
        cmocka_unit_test(test_the_search_path_stays_where_a_hold_rule_trusts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
