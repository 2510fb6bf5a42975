#include "cli/policy/decision.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "cli/policy/tables.h"

static const char document[] =
    "{version: 1, rules: ["
    "{name: reads, effect: allow, match: {identities: {groups: [analysts]}, resources: [shop],"
    " sql: {commands: [read, transaction], tables: [public.*, hr.*]}}},"
    "{name: no-salaries, effect: deny, message: never, match: {sql: {tables: [hr.salaries]}}},"
    "{name: for-bob, effect: allow, match: {identities: {on_behalf_of: [bob]}}},"
    "{name: deletes, effect: hold, match: {identities: {groups: [analysts]}, resources: [shop],"
    " sql: {commands: [DELETE], tables: [public.items]}}, hold: {approvers: {groups: [dba]}}},"
    "{name: care, effect: allow, match: {identities: {groups: [care]}, sql: {commands: [read],"
    " tables: [public.*]}}, obligations: {mask: [{columns: [public.people.ssn], computed: null},"
    " {types: [date], unknown_origin: refuse}]}}]}";

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

/* Also those that alone would be refused: the read of the table that is changed. */
static void each_part_of_what_is_held_is_held_or_allowed(void **state)
{
    (void)state;
    struct policy *policy = NULL;
    struct decision *d =
        decide("sub=a,groups=analysts", "shop", "DELETE FROM items WHERE id = 1", &policy);
    assert_int_equal(decision_verdict(d)->effect, POLICY_HOLD);
    assert_string_equal(decision_verdict(d)->hold->groups[0], "dba");
    assert_int_equal(decision_part_count(d), 3);
    for (size_t i = 0; i < 3; i++) {
        assert_int_not_equal(decision_part(d, i)->verdict.effect, POLICY_DENY);
    }
    decision_destroy(d);
    policy_destroy(policy);
    d = decide("sub=a,groups=analysts", "shop", "DELETE FROM items; DROP TABLE items", &policy);
    assert_int_equal(decision_verdict(d)->effect, POLICY_DENY);
    assert_null(decision_verdict(d)->hold);
    assert_int_equal(decision_part(d, 2)->verdict.effect, POLICY_DENY);
    decision_destroy(d);
    policy_destroy(policy);
}

/* ---- masks --------------------------------------------------------------------------------- */

static struct masking *people(void)
{
    static const char text[] = "public.people: {id: int4, name: text, ssn: text, born: date}\n"
                               "public.pets: {id: int4, owner: int4}\n";
    struct conf *c = NULL;
    struct catalog *catalog = NULL;
    struct err_text why = {0};
    assert_int_equal(conf_load_text("t", bytes_of_string(text), &c, &why), OK);
    if (tables_read(conf_root(c), &catalog, &why) != OK) {
        fail_msg("%s", why.text);
    }
    conf_destroy(c);
    struct masking *m = masking_create(catalog);
    assert_non_null(m);
    catalog_unref(catalog);
    return m;
}

/* "2 ssn public.people.ssn care; 3 ? - care null", or "refused by care: ..." */
static void assert_masked(struct masking *m, const char *sql, const char *wanted)
{
    struct policy *policy = NULL;
    struct identity_option who;
    struct decision *d = NULL;
    char found[600] = "";
    assert_int_equal(policy_compile(bytes_of_string(document), 1, &policy, NULL), OK);
    assert_int_equal(decision_parse_identity("--as", "sub=s,groups=care", &who, NULL), OK);
    assert_int_equal(decision_make(policy, &who, "shop", m, sql, &d), OK);
    const struct masking_result *r = decision_masking(d);
    for (size_t i = 0; i < r->column_count; i++) {
        const struct masking_column *c = &r->columns[i];
        size_t used = strlen(found);
        (void)snprintf(found + used, sizeof(found) - used, "%s%zu.%zu %s %s %s%s",
                       i == 0 ? "" : "; ", c->statement, c->number, c->name,
                       c->origin == NULL ? "-" : c->origin, c->rule, c->is_null ? " null" : "");
    }
    if (decision_verdict(d)->effect == POLICY_DENY) {
        (void)snprintf(found, sizeof(found), "refused by %s: %s", decision_verdict(d)->rule,
                       decision_verdict(d)->message);
        assert_int_equal(r->column_count, 0);
    }
    assert_string_equal(found, wanted);
    decision_destroy(d);
    policy_destroy(policy);
}

static void what_is_masked_is_said_by_name_origin_and_rule(void **state)
{
    (void)state;
    struct masking *m = people();
    assert_masked(m, "SELECT id, name FROM people", "");
    assert_masked(m, "SELECT * FROM people",
                  "1.3 ssn public.people.ssn care; 1.4 born public.people.born care");
    assert_masked(m, "SELECT p.ssn AS n, 1 FROM public.people p", "1.1 n public.people.ssn care");
    assert_masked(m, "SELECT upper(ssn) FROM people", "1.1 upper - care null");
    assert_masked(m, "SELECT 1; SELECT t.id, p.*, 'x' AS y FROM pets t, people p",
                  "2.4 ssn public.people.ssn care; 2.5 born public.people.born care");
    assert_masked(m, "SELECT name FROM people UNION ALL SELECT ssn FROM people",
                  "1.1 name - care null");
    assert_masked(m, "BEGIN", "refused by default: no rule allows this command");
    masking_destroy(m);
}

static void what_masks_refuse_is_refused_by_their_rule(void **state)
{
    (void)state;
    struct masking *m = people();
    assert_masked(m, "SELECT id FROM people WHERE ssn = '1'",
                  "refused by care: public.people.ssn is used in WHERE");
    assert_masked(m, "SELECT extract(year FROM born) FROM people",
                  "refused by care: public.people.born is used in the function extract");
    assert_masked(m, "SELECT * FROM nowhere",
                  "refused by care: the relation nowhere is not known: where its values come from "
                  "cannot be known");
    /* The policy's own word comes first. */
    assert_masked(m, "SELECT ssn FROM people, hr.salaries", "refused by no-salaries: never");
    masking_destroy(m);
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
        cmocka_unit_test(each_part_of_what_is_held_is_held_or_allowed),
        cmocka_unit_test(what_is_masked_is_said_by_name_origin_and_rule),
        cmocka_unit_test(what_masks_refuse_is_refused_by_their_rule),
        cmocka_unit_test(what_is_no_sql_is_refused),
        cmocka_unit_test(an_identity_needs_a_subject),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
