#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/conf/conf.h"
#include "policies/policy.h"

static void expect_refused(const char *text, enum err code, const char *sentence)
{
    struct conf *c = NULL;
    struct policy *p = NULL;
    struct err_text why = {0};
    assert_int_equal(conf_load_text("p.yaml", bytes_of_string(text), &c, &why), OK);
    assert_int_equal(policy_compile_conf(conf_root(c), 1, &p, &why), code);
    assert_string_equal(why.text, sentence);
    assert_null(p);
    conf_destroy(c);
}

#define RULE "version: 1\nrules:\n  - name: a\n    effect: allow\n"
#define DENY "version: 1\nrules:\n  - name: a\n    effect: deny\n"

static void test_each_mistake_is_named_where_it_was_made(void **state)
{
    (void)state;
    static const struct {
        const char *text, *sentence;
    } cases[] = {
        {"", "p.yaml:1:1: expected a map with the key `version` and others"},
        {"rules: []\n", "p.yaml:1:1: version: required, but missing"},
        {"version: 2\nrules: []\n",
         "p.yaml:1:10: version: expected a version between 1 and 1, found \"2\""},
        {"version: 1\n", "p.yaml:1:1: rules: required, but missing"},
        {"version: 1\nrules: {}\n", "p.yaml:2:1: rules: expected a list, found a map"},
        {"version: 1\nrule: []\n", "p.yaml:2:1: unknown key `rule`; did you mean `rules`?"},
        {"version: 1\ndefault: allow\nrules: []\n",
         "p.yaml:2:10: default: expected one of \"deny\", found \"allow\""},
        {"version: 1\nrules:\n  - effect: allow\n",
         "p.yaml:3:5: rules[0].name: required, but missing"},
        {"version: 1\nrules:\n  - name: a\n", "p.yaml:3:5: rules[0].effect: required, but missing"},
        {"version: 1\nrules:\n  - name: a\n    effect: alow\n",
         "p.yaml:4:13: rules[0].effect: expected one of \"allow\", \"deny\", \"hold\", found "
         "\"alow\"; "
         "did you mean \"allow\"?"},
        {"version: 1\nrules:\n  - name: a\n    effect: hold\n",
         "p.yaml:4:13: rules[0].effect: `hold` needs approvals, which this version does not have; "
         "use "
         "deny"},
        {"version: 1\nrules:\n  - name: A b\n    effect: deny\n",
         "p.yaml:3:11: rules[0].name: expected a name of at most 64 lower-case letters, digits and "
         "-_. , found \"A b\""},
        {"version: 1\nrules:\n  - name: default\n    effect: deny\n",
         "p.yaml:3:11: rules[0].name: \"default\" is the name of the refusal when no rule matches"},
        {RULE "  - name: b\n    effect: deny\n  - name: a\n    effect: deny\n",
         "p.yaml:7:11: rules[2].name: another rule has the name \"a\" already"},
        {RULE "    message: hello\n", "p.yaml:5:14: rules[0].message: a rule with `effect: allow` "
                                      "and without `mask` has nothing to say to the agent"},
        {RULE "    matches: {}\n",
         "p.yaml:5:5: rules[0]: unknown key `matches`; did you mean `match`?"},
        {RULE "    match: {identity: {}}\n",
         "p.yaml:5:13: rules[0].match: unknown key `identity`; did you mean `identities`?"},
        {RULE "    match: {identities: {group: [a]}}\n",
         "p.yaml:5:26: rules[0].match.identities: unknown key `group`; did you mean `groups`?"},
        {RULE "    match: {identities: {groups: a}}\n",
         "p.yaml:5:34: rules[0].match.identities.groups: expected a list, found \"a\""},
        {RULE "    match: {identities: {groups: [[a]]}}\n",
         "p.yaml:5:35: rules[0].match.identities.groups[0]: expected a string, found a list"},
        {RULE "    match: {resources: []}\n", "p.yaml:5:13: rules[0].match.resources: expected at "
                                              "least one item; leave `resources` out to "
                                              "match any"},
        {RULE "    match: {sql: {columns: [a]}}\n",
         "p.yaml:5:29: rules[0].match.sql.columns[0]: expected SCHEMA.TABLE.COLUMN such as "
         "public.customers.ssn, public.customers.* or \"*.*.password\", found \"a\""},
        {RULE "    match: {sql: {colour: [a]}}\n",
         "p.yaml:5:19: rules[0].match.sql: unknown key `colour`"},
        {RULE "    match: {sql: {commands: [SELEKT]}}\n",
         "p.yaml:5:30: rules[0].match.sql.commands[0]: expected a class (read, write, ddl, admin, "
         "privilege, maintenance, transaction, session, lock, notify, call, procedural, unsafe_io) "
         "or a command such as SELECT or CREATE TABLE, found \"SELEKT\"; did you mean \"SELECT\"?"},
        {RULE
         "    match:\n      sql:\n        tables:\n          - public.orders\n          - a.b.c\n",
         "p.yaml:9:13: rules[0].match.sql.tables[1]: expected a name such as public.orders, "
         "public.* "
         "or "
         "\"Sales\".\"Order Lines\", found \"a.b.c\""},
        {RULE "    match: {sql: {tables: ['a b']}}\n",
         "p.yaml:5:28: rules[0].match.sql.tables[0]: expected a name such as public.orders, "
         "public.* "
         "or "
         "\"Sales\".\"Order Lines\", found \"a b\""},
        {RULE "    obligations: {masks: [ssn]}\n",
         "p.yaml:5:19: rules[0].obligations: unknown key `masks`; did you mean `mask`?"},
        {RULE "    obligations: {durability: disk}\n",
         "p.yaml:5:31: rules[0].obligations.durability: expected one of \"process\", \"host\", "
         "\"fleet\", found \"disk\""},
        {DENY "    obligations: {durability: host}\n",
         "p.yaml:5:5: rules[0].obligations: only a rule with `effect: allow` has obligations"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        expect_refused(cases[i].text, ERR_INVALID, cases[i].sentence);
    }
}

static void test_names_that_are_no_patterns(void **state)
{
    (void)state;
    static const char *const names[] = {".",      "a.",  ".a",  "a..b",     "\\\"a", "\\\"a\\\"b",
                                        "a.\\\"", "a;b", "a-b", "\\\"\\\"", "(a)",   "a,b"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        char text[256];
        (void)snprintf(text, sizeof(text), RULE "    match: {sql: {tables: [\"%s\"]}}\n", names[i]);
        struct policy *p = NULL;
        struct err_text why = {0};
        assert_int_equal(policy_compile(bytes_of_string(text), 1, &p, &why), ERR_INVALID);
        assert_non_null(
            strstr(why.text, "policy:5:28: rules[0].match.sql.tables[0]: expected a name"));
    }
}

static void test_too_many_rules_are_refused(void **state)
{
    (void)state;
    struct buffer b;
    buffer_init(&b, CONF_SIZE_MAX);
    assert_int_equal(buffer_append_string(&b, "version: 1\nrules:\n"), OK);
    for (int i = 0; i <= POLICY_RULES_MAX; i++) {
        assert_int_equal(buffer_append_format(&b, "- {name: r%d, effect: deny}\n", i), OK);
    }
    struct policy *p = NULL;
    struct err_text why = {0};
    assert_int_equal(policy_compile(buffer_bytes(&b), 1, &p, &why), ERR_LIMIT);
    assert_string_equal(why.text, "policy:2:1: rules: 4097 rules, at most 4096 are allowed");
    buffer_finish(&b);
    /* A million of them are refused by their size before anything is built. */
    buffer_init(&b, 64 << 20);
    for (int i = 0; i < 1000000; i++) {
        assert_int_equal(buffer_append_format(&b, "- {name: r%d, effect: deny}\n", i), OK);
    }
    assert_int_equal(policy_compile(buffer_bytes(&b), 1, &p, &why), ERR_LIMIT);
    assert_string_equal(why.text, "policy: larger than 4194304 bytes");
    assert_null(p);
    buffer_finish(&b);
}

static void test_the_shipped_policies_compile_and_so_do_their_canonical_forms(void **state)
{
    (void)state;
    static const char *const files[] = {"policies/library/allow-all.yaml",
                                        "policies/library/read-only-analyst.yaml"};
    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
        struct conf *c = NULL;
        struct policy *p = NULL;
        struct err_text why = {0};
        assert_int_equal(conf_load_file(files[i], &c, &why), OK);
        assert_int_equal(policy_compile_conf(conf_root(c), 1, &p, &why), OK);
        policy_destroy(p);
        char *json = conf_to_json(conf_root(c));
        assert_non_null(json);
        assert_int_equal(policy_compile(bytes_of_string(json), 1, &p, &why), OK);
        policy_destroy(p);
        free(json);
        conf_destroy(c);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_mistake_is_named_where_it_was_made),
        cmocka_unit_test(test_names_that_are_no_patterns),
        cmocka_unit_test(test_too_many_rules_are_refused),
        cmocka_unit_test(test_the_shipped_policies_compile_and_so_do_their_canonical_forms),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
