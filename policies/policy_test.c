#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/conf/conf.h"
#include "policies/policy.h"

/* --- golden cases ---------------------------------------------------------------------- */

enum { ITEMS_MAX = 16 };

struct golden {
    struct policy_request request;
    const char *groups[ITEMS_MAX], *behalf[1], *commands[ITEMS_MAX];
    struct policy_object objects[ITEMS_MAX];
    char text[ITEMS_MAX][128];
    char group_text[256];
};

static const char *text_of(const struct conf_node *map, const char *key, const char *otherwise)
{
    const char *text = otherwise;
    assert_int_equal(conf_read_string(map, key, &text, NULL), OK);
    return text;
}

/* "read table public.orders" */
static struct policy_object object_of(const struct conf_node *n, char *copy, size_t size)
{
    const char *text = NULL;
    assert_int_equal(conf_as_string(n, &text, NULL), OK);
    (void)snprintf(copy, size, "%s", text);
    char *rest = copy;
    const char *access = strsep(&rest, " ");
    const char *kind = strsep(&rest, " ");
    assert_non_null(rest);
    return (struct policy_object){.access = access, .kind = kind, .name = rest};
}

static void golden_read(const struct conf_node *n, struct golden *g)
{
    *g = (struct golden){.request = {.protocol = "postgres"}};
    struct policy_request *r = &g->request;
    r->subject = text_of(n, "subject", "agent");
    r->resource = text_of(n, "resource", "shop");
    (void)snprintf(g->group_text, sizeof(g->group_text), "%s", text_of(n, "as", "nobody"));
    char *rest = g->group_text;
    while (rest != NULL) {
        g->groups[r->group_count++] = strsep(&rest, " ");
    }
    r->groups = g->groups;
    g->behalf[0] = text_of(n, "on_behalf_of", NULL);
    r->on_behalf_of = g->behalf;
    r->on_behalf_of_count = g->behalf[0] != NULL;
    const struct conf_node *list = conf_get(n, "commands");
    for (n = list == NULL ? NULL : conf_first(list); n != NULL; n = conf_next(n)) {
        assert_int_equal(conf_as_string(n, &g->commands[r->command_count++], NULL), OK);
    }
    r->commands = g->commands;
}

static void golden_read_objects(const struct conf_node *n, struct golden *g)
{
    const struct conf_node *list = conf_get(n, "objects");
    for (n = list == NULL ? NULL : conf_first(list); n != NULL; n = conf_next(n)) {
        size_t i = g->request.object_count++;
        g->objects[i] = object_of(n, g->text[i], sizeof(g->text[i]));
    }
    g->request.objects = g->objects;
}

static bool golden_holds(const struct policy *p, const struct conf_node *n)
{
    static const char *const effects[] = {"deny", "hold", "allow"};
    static const char *const levels[] = {"process", "host", "fleet"};
    struct golden g;
    golden_read(n, &g);
    golden_read_objects(n, &g);
    struct policy_verdict v = {0};
    policy_evaluate(p, &g.request, &v);
    const char *durability = text_of(n, "durability", levels[v.durability]);
    const char *message = text_of(n, "message", v.message == NULL ? "" : v.message);
    bool good = strcmp(effects[v.effect], text_of(n, "verdict", "")) == 0 &&
                strcmp(v.rule, text_of(n, "rule", "")) == 0 &&
                strcmp(levels[v.durability], durability) == 0 &&
                strcmp(v.message == NULL ? "" : v.message, message) == 0;
    if (!good) {
        print_message("%s:%u: got %s by %s (%s), \"%s\"\n", conf_file(n), conf_line(n),
                      effects[v.effect], v.rule, levels[v.durability],
                      v.message == NULL ? "" : v.message);
    }
    return good;
}

static void run_golden(const char *path, size_t at_least)
{
    struct conf *c = NULL;
    struct policy *p = NULL;
    struct err_text why = {0};
    if (conf_load_file(path, &c, &why) != OK ||
        policy_compile_conf(conf_get(conf_root(c), "policy"), 1, &p, &why) != OK) {
        fail_msg("%s", why.text);
    }
    const struct conf_node *cases = conf_get(conf_root(c), "cases");
    size_t wrong = 0;
    for (const struct conf_node *n = conf_first(cases); n != NULL; n = conf_next(n)) {
        wrong += !golden_holds(p, n);
    }
    assert_true(conf_count(cases) >= at_least);
    assert_int_equal(wrong, 0);
    policy_destroy(p);
    conf_destroy(c);
}

static void test_golden_basics(void **state)
{
    (void)state;
    run_golden("policies/testdata/basics.yaml", 50);
}

static void test_golden_names(void **state)
{
    (void)state;
    run_golden("policies/testdata/names.yaml", 25);
}

static void test_golden_read_only_analyst(void **state)
{
    (void)state;
    run_golden("policies/testdata/read-only-analyst.yaml", 10);
}

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_golden_basics),
        cmocka_unit_test(test_golden_names),
        cmocka_unit_test(test_golden_read_only_analyst),
        cmocka_unit_test(test_allow_all_allows_and_its_file_is_the_same_document),
        cmocka_unit_test(test_an_empty_policy_denies),
        cmocka_unit_test(test_revision_and_hash),
        cmocka_unit_test(test_a_name_that_is_too_long_to_read_is_not_allowed_but_forbidden),
        cmocka_unit_test(test_the_order_of_the_rules_does_not_matter),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
