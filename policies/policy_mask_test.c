#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "policies/policy.h"

static struct policy *compile(const char *text)
{
    struct policy *p = NULL;
    struct err_text why = {0};
    if (policy_compile(bytes_of_string(text), 1, &p, &why) != OK) {
        fail_msg("%s", why.text);
    }
    return p;
}

/* The one rule masks with these items. */
static struct policy *compile_masks(const char *items)
{
    char text[4096];
    (void)snprintf(text, sizeof(text),
                   "version: 1\n"
                   "tags: {pii: [public.customers.ssn, '*.*.password'], money: [shop.*.price]}\n"
                   "rules:\n- name: a\n  effect: allow\n  message: Not for agents.\n"
                   "  obligations:\n    mask:\n%s",
                   items);
    return compile(text);
}

static size_t masks_of(const struct policy *p, const struct policy_mask *out[POLICY_MASKS_MAX])
{
    const struct policy_request who = {.subject = "s", .resource = "r"};
    bool complete = false;
    size_t count = policy_masks(p, &who, out, &complete);
    assert_true(complete);
    return count;
}

static void test_every_redaction_is_read(void **state)
{
    (void)state;
    static const char columns[] = "columns: [public.t.c]";
    static const struct {
        const char *with;
        struct policy_mask wanted;
    } cases[] = {
        {"", {.redaction = POLICY_REDACT_NULL}},
        {", with: null", {.redaction = POLICY_REDACT_NULL}},
        {", with: ~", {.redaction = POLICY_REDACT_NULL}},
        {", with: \"null\"", {.redaction = POLICY_REDACT_NULL}},
        {", with: {fixed: \"***\"}", {.redaction = POLICY_REDACT_FIXED, .text = "***"}},
        {", with: {fixed: 0}", {.redaction = POLICY_REDACT_FIXED, .text = "0"}},
        {", with: {partial: {keep_first: 1, keep_last: 4, character: x, keep_separators: true}}",
         {.redaction = POLICY_REDACT_PARTIAL,
          .keep_first = 1,
          .keep_last = 4,
          .mask_character = 'x',
          .keep_separators = true}},
        {", with: {partial: {}}", {.redaction = POLICY_REDACT_PARTIAL}},
        {", with: hash", {.redaction = POLICY_REDACT_HASH}},
        {", with: {hash: {key: crm}}", {.redaction = POLICY_REDACT_HASH, .hash_key = "crm"}},
        {", with: digits", {.redaction = POLICY_REDACT_DIGITS}},
        {", with: {digits: {letters: true, key: crm}}",
         {.redaction = POLICY_REDACT_DIGITS, .replace_letters = true, .hash_key = "crm"}},
        {", with: {date: year}", {.redaction = POLICY_REDACT_DATE, .unit = POLICY_YEAR}},
        {", with: {date: month}", {.redaction = POLICY_REDACT_DATE, .unit = POLICY_MONTH}},
        {", with: {date: day}", {.redaction = POLICY_REDACT_DATE, .unit = POLICY_DAY}},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char items[512];
        const struct policy_mask *masks[POLICY_MASKS_MAX];
        (void)snprintf(items, sizeof(items), "    - {%s%s}\n", columns, cases[i].with);
        struct policy *p = compile_masks(items);
        assert_int_equal(masks_of(p, masks), 1);
        const struct policy_mask *m = masks[0], *w = &cases[i].wanted;
        assert_int_equal(m->redaction, w->redaction);
        assert_string_equal(m->text == NULL ? "-" : m->text, w->text == NULL ? "-" : w->text);
        assert_int_equal(m->keep_first, w->keep_first);
        assert_int_equal(m->keep_last, w->keep_last);
        assert_int_equal(m->mask_character, w->mask_character);
        assert_int_equal(m->keep_separators, w->keep_separators);
        assert_int_equal(m->replace_letters, w->replace_letters);
        assert_string_equal(m->hash_key, w->hash_key == NULL ? "" : w->hash_key);
        assert_int_equal(m->unit, w->unit);
        policy_destroy(p);
    }
}

static void test_what_is_not_said_is_refused(void **state)
{
    (void)state;
    const struct policy_mask *masks[POLICY_MASKS_MAX];
    struct policy *p = compile_masks(
        "    - {columns: [public.t.c]}\n"
        "    - {columns: [public.t.c], computed: 'null', predicates: allow, unknown_origin: null}\n"
        "    - {columns: [public.t.c], computed: refuse, predicates: refuse, unknown_origin: "
        "allow}\n"
        "    - {columns: [public.t.c], computed: null, unknown_origin: refuse}\n");
    assert_int_equal(masks_of(p, masks), 4);
    assert_false(masks[0]->computed_null);
    assert_false(masks[0]->predicates);
    assert_int_equal(masks[0]->unknown_origin, POLICY_UNKNOWN_REFUSE);
    assert_string_equal(masks[0]->rule, "a");
    assert_string_equal(masks[0]->message, "Not for agents.");
    assert_true(masks[1]->computed_null);
    assert_true(masks[1]->predicates);
    assert_int_equal(masks[1]->unknown_origin, POLICY_UNKNOWN_NULL);
    assert_false(masks[2]->computed_null);
    assert_int_equal(masks[2]->unknown_origin, POLICY_UNKNOWN_ALLOW);
    assert_true(masks[3]->computed_null);
    policy_destroy(p);
}

static bool matches(const struct policy_mask *m, const char *column, const char *type)
{
    char copy[128];
    (void)snprintf(copy, sizeof(copy), "%s", column);
    char *rest = copy;
    const char *schema = strsep(&rest, "/");
    const char *table = strsep(&rest, "/");
    return policy_mask_matches(m, schema, table, rest, type);
}

static void test_columns_are_found_by_name_tag_and_type(void **state)
{
    (void)state;
    const struct policy_mask *m[POLICY_MASKS_MAX];
    struct policy *p =
        compile_masks("    - {columns: [public.customers.email, 'crm.*.*', 'public.\"T*\".\"A "
                      "b\"', Public.X.Y]}\n"
                      "    - {tags: [pii, money]}\n"
                      "    - {types: [bytea, varchar, mood, timestamp, 'character*']}\n"
                      "    - {detect: [email]}\n"
                      "    - {columns: [a.b.c], types: [xml]}\n");
    assert_int_equal(masks_of(p, m), 5);
    assert_true(matches(m[0], "public/customers/email", "text"));
    assert_false(matches(m[0], "public/customers/Email", "text"));
    assert_false(matches(m[0], "crm2/customers/email", "text"));
    assert_true(matches(m[0], "crm/anything/at all", "text"));
    assert_true(matches(m[0], "public/T*/A b", "text"));
    assert_false(matches(m[0], "public/Tx/A b", "text"));
    assert_true(matches(m[0], "public/x/y", "text"));
    assert_false(matches(m[0], "Public/X/Y", "text"));
    assert_true(matches(m[1], "public/customers/ssn", "text"));
    assert_true(matches(m[1], "any/users/password", "text"));
    assert_true(matches(m[1], "shop/items/price", "numeric"));
    assert_false(matches(m[1], "shop/items/priced", "numeric"));
    assert_true(matches(m[2], "a/b/c", "bytea"));
    assert_true(matches(m[2], "a/b/c", "bytea[]"));
    assert_true(matches(m[2], "a/b/c", "character varying"));
    assert_true(matches(m[2], "a/b/c", "mood"));
    assert_true(matches(m[2], "a/b/c", "public.mood"));
    assert_true(matches(m[2], "a/b/c", "public.mood[]"));
    assert_false(matches(m[2], "a/b/c", "public.moody"));
    assert_true(matches(m[2], "a/b/c", "timestamp without time zone"));
    assert_false(matches(m[2], "a/b/c", "timestamp with time zone"));
    assert_true(matches(m[2], "a/b/c", "character"));
    assert_false(matches(m[2], "a/b/c", "text"));
    assert_false(m[3]->names_columns);
    assert_false(matches(m[3], "public/customers/email", "text"));
    assert_true(matches(m[4], "a/b/c", "text"));
    assert_true(matches(m[4], "x/y/z", "xml"));
    assert_false(matches(m[4], "x/y/z", NULL));
    policy_destroy(p);
}

static void test_functions_are_trusted_by_name(void **state)
{
    (void)state;
    const struct policy_mask *m[POLICY_MASKS_MAX];
    struct policy *p = compile_masks(
        "    - {columns: [a.b.c], trusted_functions: [public.format_*, 'util.\"Odd\"']}\n"
        "    - {columns: [a.b.c]}\n");
    assert_int_equal(masks_of(p, m), 2);
    assert_true(policy_mask_trusts(m[0], "public", "format_phone"));
    assert_true(policy_mask_trusts(m[0], NULL, "format_phone"));
    assert_true(policy_mask_trusts(m[0], "", "format_phone"));
    assert_false(policy_mask_trusts(m[0], "evil", "format_phone"));
    assert_false(policy_mask_trusts(m[0], "public", "reformat_phone"));
    assert_true(policy_mask_trusts(m[0], "util", "Odd"));
    assert_false(policy_mask_trusts(m[0], "util", "odd"));
    assert_false(policy_mask_trusts(m[0], NULL, "Odd"));
    assert_false(policy_mask_trusts(m[1], "public", "format_phone"));
    char name[600];
    memset(name, 'x', sizeof(name) - 1);
    memcpy(name, "format_", 7);
    name[sizeof(name) - 1] = '\0';
    assert_false(policy_mask_trusts(m[0], "public", name));
    policy_destroy(p);
}

static void test_detectors_are_built_in_or_brought(void **state)
{
    (void)state;
    const struct policy_mask *m[POLICY_MASKS_MAX];
    struct policy *p = compile_masks(
        "    - {detect: [email, api_key, {name: employee_no, pattern: 'E-[0-9]{6}', caseless: "
        "true}]}\n"
        "    - {columns: [a.b.c], detect: [{name: employee_no, pattern: 'E-[0-9]{6}', caseless: "
        "true}]}\n");
    assert_int_equal(masks_of(p, m), 2);
    assert_int_equal(m[0]->detector_count, 3);
    assert_string_equal(m[0]->detectors[0].name, "email");
    assert_null(m[0]->detectors[0].pattern);
    assert_string_equal(m[0]->detectors[1].name, "api_key");
    assert_string_equal(m[0]->detectors[2].name, "employee_no");
    assert_string_equal(m[0]->detectors[2].pattern, "E-[0-9]{6}");
    assert_true(m[0]->detectors[2].is_caseless);
    assert_false(m[0]->names_columns);
    assert_true(m[1]->names_columns);
    assert_int_equal(m[1]->detector_count, 1);
    policy_destroy(p);
}

/* Whatever the statement, and whoever it is that the rule is for. */
static void test_masks_hold_for_whom_the_rule_is(void **state)
{
    (void)state;
    struct policy *p = compile(
        "version: 1\nrules:\n"
        "- {name: care, effect: allow, match: {identities: {groups: [care]}, sql: {tables: [x.y]}},"
        " obligations: {mask: [{columns: [a.b.c]}, {columns: [a.b.d]}]}}\n"
        "- {name: nights, effect: allow, match: {when: {from: '22:00', until: '06:00'}},"
        " obligations: {mask: [{columns: [a.b.e]}]}}\n"
        "- {name: tried, effect: allow, mode: shadow, obligations: {mask: [{columns: [a.b.f]}]}}\n"
        "- {name: there, effect: allow, match: {resources: [there]},"
        " obligations: {mask: [{columns: [a.b.g]}]}}\n");
    const char *const groups[] = {"care"};
    const struct policy_mask *out[POLICY_MASKS_MAX];
    bool complete = false;
    struct policy_request who = {.subject = "s", .resource = "here", .now_unix_s = 12 * 3600};
    assert_true(policy_has_masks(p));
    assert_int_equal(policy_masks(p, &who, out, &complete), 0);
    assert_true(complete);
    who.groups = groups;
    who.group_count = 1;
    assert_int_equal(policy_masks(p, &who, out, &complete), 2);
    assert_string_equal(out[0]->rule, "care");
    assert_true(policy_mask_matches(out[1], "a", "b", "d", "text"));
    who.now_unix_s = 23 * 3600;
    who.resource = "there";
    assert_int_equal(policy_masks(p, &who, out, &complete), 4);
    assert_string_equal(out[2]->rule, "nights");
    assert_string_equal(out[3]->rule, "there");
    policy_destroy(p);
}

static void test_a_policy_in_shadow_masks_nothing(void **state)
{
    (void)state;
    const struct policy_mask *out[POLICY_MASKS_MAX];
    struct policy *p = compile("{version: 1, mode: shadow, rules: [{name: a, effect: allow, "
                               "obligations: {mask: [{columns: [a.b.c]}]}}]}");
    assert_false(policy_has_masks(p));
    assert_int_equal(masks_of(p, out), 0);
    policy_destroy(p);
    p = compile("{version: 1, rules: [{name: a, effect: allow}]}");
    assert_false(policy_has_masks(p));
    policy_destroy(p);
}

static void test_more_masks_than_can_hold_are_told(void **state)
{
    (void)state;
    struct buffer b;
    buffer_init(&b, 1 << 20);
    assert_int_equal(buffer_append_string(&b, "version: 1\nrules:\n"), OK);
    for (int rule = 0; rule < 2; rule++) {
        assert_int_equal(buffer_append_format(&b,
                                              "- name: r%d\n  effect: allow\n  match: {resources: "
                                              "[%s]}\n  obligations:\n    mask:\n",
                                              rule, rule == 0 ? "'*'" : "both"),
                         OK);
        for (int i = 0; i < (rule == 0 ? POLICY_MASKS_MAX : 1); i++) {
            assert_int_equal(buffer_append_format(&b, "    - {columns: [a.b.c%d]}\n", i), OK);
        }
    }
    struct policy *p = NULL;
    const struct policy_mask *out[POLICY_MASKS_MAX];
    struct policy_request who = {.subject = "s", .resource = "one"};
    bool complete = false;
    assert_int_equal(policy_compile(buffer_bytes(&b), 1, &p, NULL), OK);
    assert_int_equal(policy_masks(p, &who, out, &complete), POLICY_MASKS_MAX);
    assert_true(complete);
    who.resource = "both";
    assert_int_equal(policy_masks(p, &who, out, &complete), POLICY_MASKS_MAX);
    assert_false(complete);
    policy_destroy(p);
    buffer_finish(&b);
}

/* Or a trusted name without a schema could be another function. */
static void test_the_search_path_stays_where_functions_are_trusted_by_name(void **state)
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
    struct policy *p = compile_masks("    - {columns: [a.b.c]}\n");
    policy_evaluate(p, &r, &v);
    assert_int_equal(v.effect, POLICY_ALLOW);
    assert_null(v.message);
    policy_destroy(p);
    p = compile_masks("    - {columns: [a.b.c], trusted_functions: [public.f]}\n");
    policy_evaluate(p, &r, &v);
    assert_int_equal(v.effect, POLICY_DENY);
    policy_destroy(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_redaction_is_read),
        cmocka_unit_test(test_what_is_not_said_is_refused),
        cmocka_unit_test(test_columns_are_found_by_name_tag_and_type),
        cmocka_unit_test(test_functions_are_trusted_by_name),
        cmocka_unit_test(test_detectors_are_built_in_or_brought),
        cmocka_unit_test(test_masks_hold_for_whom_the_rule_is),
        cmocka_unit_test(test_a_policy_in_shadow_masks_nothing),
        cmocka_unit_test(test_more_masks_than_can_hold_are_told),
        cmocka_unit_test(test_the_search_path_stays_where_functions_are_trusted_by_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
