#include "controlplane/grants/grants.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static const char text[] =
    "data: d\n"
    "identity_providers:\n"
    "  - {name: ci, issuer: 'https://ci', audience: a, gives_roles: false}\n"
    "  - {name: people, issuer: 'https://id', audience: a}\n"
    "roles: {admin: [ops], approver: [leads], auditor: [audit, ops]}\n"
    "credentials: [{name: c, user: u}]\n"
    "resources:\n"
    "  - {name: orders, protocol: postgres, address: 'h:1', databases: [shop, stock], "
    "credential: c}\n"
    "  - {name: billing, protocol: postgres, address: 'h:1', databases: ['*'], credential: c}\n"
    "  - {name: archive, protocol: postgres, address: 'h:1', databases: ['*', old], "
    "database: old, credential: c}\n"
    "  - {name: crm, protocol: http, address: 'https://api', credential: {none: true}}\n"
    "grants:\n"
    "  - {name: one, resources: [orders], subjects: [bot-1]}\n"
    "  - {name: bracket, resources: [orders], subjects: ['dependabot[bot]', 'CORP\\*']}\n"
    "  - {name: repos, resources: [orders, archive], subjects: ['repo:org/*'], providers: [ci]}\n"
    "  - {name: agents, resources: ['*'], groups: [agents, 'team-*']}\n";

static int setup(void **state)
{
    struct err_text why = {0};
    struct config *c = NULL;
    if (config_load_text("cp.yaml", bytes_of_string(text), &c, &why) != OK) {
        print_error("%s\n", why.text);
        return 1;
    }
    *state = c;
    return 0;
}

static int teardown(void **state)
{
    config_release(*state);
    return 0;
}

static struct grants_who who(const char *provider, const char *subject, const char *const *group)
{
    return (struct grants_who){.provider = provider,
                               .subject = subject,
                               .groups = group,
                               .group_count = group == NULL ? 0 : 1};
}

static struct grants_decision ask(void **state, struct grants_who by, const char *resource,
                                  const char *database, const char *user)
{
    const struct grants_request request = {
        .resource = resource, .protocol = "postgres", .database = database, .user = user};
    return grants_decide(*state, &by, &request);
}

static void assert_allowed(struct grants_decision d, const char *grant, const char *database)
{
    assert_int_equal(d.result, GRANTS_ALLOWED);
    assert_string_equal(d.grant->name, grant);
    assert_string_equal(d.database, database);
}

static void assert_refused(struct grants_decision d, enum grants_result result, const char *words)
{
    assert_int_equal(d.result, result);
    assert_null(d.resource);
    assert_null(d.grant);
    assert_null(d.database);
    if (strstr(d.reason.text, words) == NULL) {
        fail_msg("%s", d.reason.text);
    }
}

static void a_subject_or_a_group_lets_in(void **state)
{
    static const char *const agents[] = {"agents"}, *const team[] = {"team-x"};
    assert_allowed(ask(state, who("people", "bot-1", NULL), "orders", "shop", "x"), "one", "shop");
    assert_allowed(ask(state, who("ci", "x", agents), "billing", "b", "x"), "agents", "b");
    assert_allowed(ask(state, who("ci", "x", team), "orders", "stock", "x"), "agents", "stock");
}

static void what_looks_like_a_pattern_also_means_itself(void **state)
{
    assert_allowed(ask(state, who("people", "dependabot[bot]", NULL), "orders", "shop", "x"),
                   "bracket", "shop");
    assert_allowed(ask(state, who("people", "CORP\\eve", NULL), "orders", "shop", "x"), "bracket",
                   "shop");
    assert_refused(ask(state, who("people", "CORP*", NULL), "orders", "shop", "x"), GRANTS_REFUSED,
                   "has no grant");
}

static void nobody_else_is_let_in(void **state)
{
    static const char *const other[] = {"agentsx"};
    assert_refused(ask(state, who("people", "bot-2", NULL), "orders", "shop", "x"), GRANTS_REFUSED,
                   "\"bot-2\" has no grant for the resource \"orders\"");
    assert_refused(ask(state, who("people", "bot-1", NULL), "billing", "b", "x"), GRANTS_REFUSED,
                   "has no grant");
    assert_refused(ask(state, who("people", "x", other), "orders", "shop", "x"), GRANTS_REFUSED,
                   "has no grant");
    assert_refused(ask(state, who("people", "BOT-1", NULL), "orders", "shop", "x"), GRANTS_REFUSED,
                   "has no grant");
}

static void a_star_in_a_token_is_only_a_star(void **state)
{
    static const char *const star[] = {"*"};
    assert_refused(ask(state, who("people", "*", star), "orders", "shop", "x"), GRANTS_REFUSED,
                   "has no grant");
}

static void a_grant_of_one_provider_is_not_anothers(void **state)
{
    assert_allowed(ask(state, who("ci", "repo:org/a", NULL), "orders", "shop", "x"), "repos",
                   "shop");
    assert_refused(ask(state, who("people", "repo:org/a", NULL), "orders", "shop", "x"),
                   GRANTS_REFUSED, "has no grant");
}

static void an_unknown_resource_is_named(void **state)
{
    assert_refused(ask(state, who("people", "bot-1", NULL), "none", "shop", "x"),
                   GRANTS_NO_RESOURCE, "no resource named \"none\"");
    const struct grants_request mysql = {
        .resource = "orders", .protocol = "mysql", .database = "shop", .user = "x"};
    struct grants_who by = who("people", "bot-1", NULL);
    assert_refused(grants_decide(*state, &by, &mysql), GRANTS_NO_RESOURCE, "speaks postgres");
}

static void the_users_own_name_means_the_default_database(void **state)
{
    static const char *const agents[] = {"agents"};
    struct grants_who by = who("ci", "x", agents);
    assert_allowed(ask(state, by, "orders", "me", "me"), "agents", "shop");
    assert_allowed(ask(state, by, "orders", "", "me"), "agents", "shop");
    /* One that is allowed is meant. */
    assert_allowed(ask(state, by, "orders", "stock", "stock"), "agents", "stock");
    assert_allowed(ask(state, by, "archive", "me", "me"), "agents", "me");
    assert_allowed(ask(state, by, "archive", "", "me"), "agents", "old");
}

static void another_database_is_refused(void **state)
{
    static const char *const agents[] = {"agents"};
    struct grants_who by = who("ci", "x", agents);
    assert_refused(ask(state, by, "orders", "payroll", "me"), GRANTS_REFUSED,
                   "the database \"payroll\" of the resource \"orders\"");
    assert_refused(ask(state, by, "orders", "*", "me"), GRANTS_REFUSED, "\"*\"");
    assert_refused(ask(state, by, "billing", "", "me"), GRANTS_REFUSED, "one must be named");
}

static void http_has_no_databases(void **state)
{
    static const char *const agents[] = {"agents"};
    struct grants_who by = who("ci", "x", agents);
    struct grants_request request = {
        .resource = "crm", .protocol = "http", .database = "", .user = ""};
    assert_allowed(grants_decide(*state, &by, &request), "agents", "");
    request.database = "shop";
    assert_refused(grants_decide(*state, &by, &request), GRANTS_REFUSED, "\"shop\"");
    request.database = "";
    request.protocol = "postgres";
    assert_refused(grants_decide(*state, &by, &request), GRANTS_NO_RESOURCE, "speaks http");
}

static void roles_come_from_groups_of_providers_that_give_them(void **state)
{
    static const char *const ops[] = {"ops"}, *const leads[] = {"leads"}, *const x[] = {"o*"};
    struct grants_who by = who("people", "alice", ops);
    assert_int_equal(grants_roles(*state, &by), CONFIG_ADMIN | CONFIG_AUDITOR);
    by = who("people", "alice", leads);
    assert_int_equal(grants_roles(*state, &by), CONFIG_APPROVER);
    by = who("people", "ops", x);
    assert_int_equal(grants_roles(*state, &by), 0);
    by = who("ci", "alice", ops);
    assert_int_equal(grants_roles(*state, &by), 0);
    by = who("unknown", "alice", ops);
    assert_int_equal(grants_roles(*state, &by), 0);
}

static void whom_that_names_nobody_is_nobody(void **state)
{
    (void)state;
    const struct config_whom nobody = {0};
    static const char *const agents[] = {"agents"};
    struct grants_who by = who("ci", "x", agents);
    assert_false(grants_is_among(&nobody, &by));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_subject_or_a_group_lets_in),
        cmocka_unit_test(what_looks_like_a_pattern_also_means_itself),
        cmocka_unit_test(nobody_else_is_let_in),
        cmocka_unit_test(a_star_in_a_token_is_only_a_star),
        cmocka_unit_test(a_grant_of_one_provider_is_not_anothers),
        cmocka_unit_test(an_unknown_resource_is_named),
        cmocka_unit_test(the_users_own_name_means_the_default_database),
        cmocka_unit_test(another_database_is_refused),
        cmocka_unit_test(http_has_no_databases),
        cmocka_unit_test(roles_come_from_groups_of_providers_that_give_them),
        cmocka_unit_test(whom_that_names_nobody_is_nobody),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
