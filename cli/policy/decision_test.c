#include "cli/policy/decision.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

static const char document[] =
    "{version: 1, rules: ["
    "{name: reads, effect: allow, match: {identities: {groups: [analysts]}, resources: [shop],"
    " sql: {commands: [read, transaction], tables: [public.*, hr.*]}}},"
    "{name: no-salaries, effect: deny, message: never, match: {sql: {tables: [hr.salaries]}}},"
    "{name: for-bob, effect: allow, match: {identities: {on_behalf_of: [bob]}}}]}";

static struct decision *decide(const char *as, const char *resource, const char *sql,
                               struct policy **out_policy)
{
    struct identity_option who;
    struct decision *d = NULL;
    assert_int_equal(policy_compile(bytes_of_string(document), 1, out_policy, NULL), OK);
    assert_int_equal(decision_parse_identity("--as", as, &who, NULL), OK);
    assert_int_equal(decision_make(*out_policy, &who, resource, NULL, sql, &d), OK);
    return d;
}

static void assert_decided(const char *as, const char *resource, const char *sql,
                           const char *effect, const char *rule)
{
    struct policy *policy = NULL;
    struct decision *d = decide(as, resource, sql, &policy);
    assert_string_equal(decision_effect_name(decision_verdict(d)->effect), effect);
    assert_string_equal(decision_verdict(d)->rule, rule);
    decision_destroy(d);
    policy_destroy(policy);
}

static void who_asks_where_counts(void **state)
{
    (void)state;
    assert_decided("sub=a,groups=analysts", "shop", "SELECT * FROM orders", "allow", "reads");
    assert_decided("sub=a,groups=analysts", "bank", "SELECT * FROM orders", "deny", "default");
    assert_decided("sub=a,groups=others+analysts", "shop", "BEGIN", "allow", "reads");
    assert_decided("sub=a", "shop", "SELECT * FROM orders", "deny", "default");
    assert_decided("sub=a,on_behalf_of=bob", "bank", "DROP TABLE orders", "allow", "for-bob");
}

static void each_part_has_its_rule(void **state)
{
    (void)state;
    struct policy *policy = NULL;
    struct decision *d = decide("sub=a,groups=analysts", "shop",
                                "SELECT * FROM orders, hr.salaries; DELETE FROM orders", &policy);
    static const struct {
        size_t statement;
        const char *name, *effect, *rule;
    } wanted[] = {
        {1, "SELECT", "allow", "reads"},           {1, "orders", "allow", "reads"},
        {1, "hr.salaries", "deny", "no-salaries"}, {2, "DELETE", "deny", "default"},
        {2, "orders", "deny", "default"},
    };
    assert_int_equal(decision_part_count(d), sizeof(wanted) / sizeof(wanted[0]));
    for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++) {
        const struct decision_part *p = decision_part(d, i);
        assert_int_equal(p->statement, wanted[i].statement);
        assert_string_equal(p->name, wanted[i].name);
        assert_string_equal(decision_effect_name(p->verdict.effect), wanted[i].effect);
        assert_string_equal(p->verdict.rule, wanted[i].rule);
    }
    assert_string_equal(decision_verdict(d)->rule, "no-salaries");
    assert_string_equal(decision_verdict(d)->message, "never");
    decision_destroy(d);
    policy_destroy(policy);
}

static void what_is_no_sql_is_refused(void **state)
{
    (void)state;
    assert_decided("sub=a,groups=analysts", "shop", "SELEC 1", "deny", "understanding");
}

static void an_identity_needs_a_subject(void **state)
{
    (void)state;
    struct identity_option who;
    struct err_text why = {0};
    assert_int_equal(decision_parse_identity("--as", "nobody=x", &who, &why), ERR_INVALID);
    assert_int_equal(strncmp(why.text, "--as: expected sub", 18), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_asks_where_counts),
        cmocka_unit_test(each_part_has_its_rule),
        cmocka_unit_test(what_is_no_sql_is_refused),
        cmocka_unit_test(an_identity_needs_a_subject),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
