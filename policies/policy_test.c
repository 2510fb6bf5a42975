#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/conf/conf.h"
#include "policies/policy.h"

/* --- single promises ------------------------------------------------------------------- */

static struct policy *compile(const char *text)
{
    struct policy *p = NULL;
    struct err_text why = {0};
    if (policy_compile(bytes_of_string(text), 7, &p, &why) != OK) {
        fail_msg("%s", why.text);
    }
    return p;
}

static void test_allow_all_allows_and_its_file_is_the_same_document(void **state)
{
    (void)state;
    struct conf *c = NULL;
    assert_int_equal(conf_load_file("policies/library/allow-all.yaml", &c, NULL), OK);
    char *json = conf_to_json(conf_root(c));
    assert_string_equal(json, policy_allow_all());
    free(json);
    conf_destroy(c);
    struct policy *p = compile(policy_allow_all());
    const char *const commands[] = {"DROP TABLE", "DO", "ALTER SYSTEM"};
    const struct policy_object objects[] = {
        {.kind = "table", .name = "\"x\".y", .access = "drop"},
        {.kind = "code", .name = "plpgsql", .access = "procedural"},
        {.kind = "something", .name = "new", .access = "alter"}};
    const struct policy_request r = {.subject = "anyone",
                                     .resource = "anything",
                                     .protocol = "postgres",
                                     .commands = commands,
                                     .command_count = 3,
                                     .objects = objects,
                                     .object_count = 3};
    struct policy_verdict v;
    policy_evaluate(p, &r, &v);
    assert_int_equal(v.effect, POLICY_ALLOW);
    assert_string_equal(v.rule, "allow-all");
    assert_int_equal(v.durability, POLICY_HOST);
    policy_destroy(p);
}

static void test_an_empty_policy_denies(void **state)
{
    (void)state;
    struct policy *p = compile("{\"version\": 1, \"rules\": []}");
    const char *const commands[] = {"SELECT"};
    const struct policy_request r = {.subject = "a",
                                     .resource = "r",
                                     .protocol = "postgres",
                                     .commands = commands,
                                     .command_count = 1};
    struct policy_verdict v;
    policy_evaluate(p, &r, &v);
    assert_int_equal(v.effect, POLICY_DENY);
    assert_string_equal(v.rule, "default");
    assert_string_equal(v.message, "no rule allows this command");
    policy_destroy(p);
}

static void test_revision_and_hash(void **state)
{
    (void)state;
    struct policy *p = compile(policy_allow_all());
    assert_int_equal(policy_revision(p), 7);
    assert_string_equal(policy_hash(p), "");
    policy_set_hash(p, "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08");
    assert_string_equal(policy_hash(p),
                        "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08");
    policy_destroy(p);
}

static void test_a_name_that_is_too_long_to_read_is_not_allowed_but_forbidden(void **state)
{
    (void)state;
    char name[600];
    memset(name, 'x', sizeof(name));
    memcpy(name, "public.", 7);
    name[599] = '\0';
    const struct policy_object objects[] = {{.kind = "table", .name = name, .access = "read"}};
    const struct policy_request r = {
        .subject = "a", .resource = "r", .objects = objects, .object_count = 1};
    struct policy_verdict v;
    struct policy *p = compile(
        "{version: 1, rules: [{name: a, effect: allow, match: {sql: {tables: ['public.*']}}}]}");
    policy_evaluate(p, &r, &v);
    assert_int_equal(v.effect, POLICY_DENY);
    assert_string_equal(v.rule, "default");
    policy_destroy(p);
    p = compile("{version: 1, rules: [{name: a, effect: allow}, {name: d, effect: deny, match: "
                "{sql: {tables: ['s.t']}}}]}");
    policy_evaluate(p, &r, &v);
    assert_string_equal(v.rule, "d");
    policy_destroy(p);
}

static void test_the_order_of_the_rules_does_not_matter(void **state)
{
    (void)state;
    static const char *const documents[] = {
        "{version: 1, rules: [{name: a, effect: allow}, {name: d, effect: deny, match: {resources: "
        "[r]}}]}",
        "{version: 1, rules: [{name: d, effect: deny, match: {resources: [r]}}, {name: a, effect: "
        "allow}]}",
    };
    const struct policy_request r = {.subject = "s", .resource = "r"};
    const struct policy_request other = {.subject = "s", .resource = "q"};
    for (size_t i = 0; i < 2; i++) {
        struct policy *p = compile(documents[i]);
        struct policy_verdict v;
        policy_evaluate(p, &r, &v);
        assert_string_equal(v.rule, "d");
        policy_evaluate(p, &other, &v);
        assert_string_equal(v.rule, "a");
        policy_destroy(p);
    }
}

/* ---- durability ----------------------------------------------------------------------- */

struct durable {
    const char *obligations; /* of two rules, "" or a value of `durability` */
    const char *more;
    const char *access;
    enum policy_durability level;
    bool is_default;
};

static void expect_durability(const struct durable *d, const char *mode)
{
    char text[512], one[64] = "", two[64] = "";
    if (d->obligations[0] != '\0') {
        (void)snprintf(one, sizeof(one), ",\"obligations\":{\"durability\":\"%s\"}",
                       d->obligations);
    }
    if (d->more[0] != '\0') {
        (void)snprintf(two, sizeof(two), ",\"obligations\":{\"durability\":\"%s\"}", d->more);
    }
    (void)snprintf(
        text, sizeof(text),
        "{\"version\":1,\"mode\":\"%s\",\"rules\":[{\"name\":\"one\",\"effect\":\"allow\"%s},"
        "{\"name\":\"two\",\"effect\":\"allow\"%s}]}",
        mode, one, two);
    struct policy *p = compile(text);
    bool reads = strcmp(d->access, "read") == 0;
    const char *const commands[] = {reads ? "SELECT" : "UPDATE"};
    const struct policy_object objects[] = {
        {.kind = "table", .name = "public.t", .access = d->access}};
    const struct policy_request r = {.subject = "a",
                                     .resource = "r",
                                     .protocol = "postgres",
                                     .commands = commands,
                                     .command_count = 1,
                                     .objects = objects,
                                     .object_count = 1};
    struct policy_verdict v;
    policy_evaluate(p, &r, &v);
    assert_int_equal(v.effect, POLICY_ALLOW);
    assert_int_equal(v.durability, d->level);
    assert_int_equal(v.is_default_durability, d->is_default);
    policy_destroy(p);
}

static void test_a_default_is_not_what_a_rule_asks_for(void **state)
{
    (void)state;
    static const struct durable cases[] = {
        {"", "", "update", POLICY_HOST, true},
        {"", "process", "update", POLICY_HOST, true},
        {"host", "", "update", POLICY_HOST, false},
        {"", "host", "update", POLICY_HOST, false},
        {"process", "host", "update", POLICY_HOST, false},
        {"fleet", "", "update", POLICY_FLEET, false},
        {"", "", "read", POLICY_PROCESS, false},
        {"host", "", "read", POLICY_HOST, false},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        expect_durability(&cases[i], "enforce");
        expect_durability(&cases[i], "shadow");
    }
    /* In shadow nothing makes it less safe than what lasts is by default. */
    const struct durable less = {"process", "process", "update", POLICY_PROCESS, false};
    expect_durability(&less, "enforce");
    const struct durable shadow = {"process", "process", "update", POLICY_HOST, true};
    expect_durability(&shadow, "shadow");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_allow_all_allows_and_its_file_is_the_same_document),
        cmocka_unit_test(test_an_empty_policy_denies),
        cmocka_unit_test(test_revision_and_hash),
        cmocka_unit_test(test_a_name_that_is_too_long_to_read_is_not_allowed_but_forbidden),
        cmocka_unit_test(test_the_order_of_the_rules_does_not_matter),
        cmocka_unit_test(test_a_default_is_not_what_a_rule_asks_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
