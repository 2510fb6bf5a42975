/* Mistakes in what a policy says of HTTP, and what its masks name. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/conf/conf.h"
#include "policies/policy.h"

#define RULE "version: 1\nrules:\n- name: a\n  effect: allow\n"

static enum err compile(const char *text, struct policy **out, struct err_text *why)
{
    struct conf *c = NULL;
    if (conf_load_text("p", bytes_of_string(text), &c, why) != OK) {
        fail_msg("%s", why->text);
    }
    enum err e = policy_compile_conf(conf_root(c), 1, out, why);
    conf_destroy(c);
    return e;
}

struct mistake {
    const char *text, *sentence;
};

/* `form` has one %s for the text. */
static void expect_mistakes(const char *form, const struct mistake *cases, size_t count)
{
    size_t wrong = 0;
    for (size_t i = 0; i < count; i++) {
        char text[1024];
        struct policy *p = NULL;
        struct err_text why = {0};
        (void)snprintf(text, sizeof(text), form, cases[i].text);
        enum err e = compile(text, &p, &why);
        if (e != ERR_INVALID) {
            fail_msg("%s: was taken", cases[i].text);
        }
        if (strcmp(why.text, cases[i].sentence) != 0) {
            print_message("expected %s\n   found %s\n", cases[i].sentence, why.text);
            wrong++;
        }
        assert_null(p);
    }
    assert_int_equal(wrong, 0);
}

#define EXPECT_MISTAKES(form, cases)                                                               \
    expect_mistakes(form, cases, sizeof(cases) / sizeof((cases)[0]))

static void test_mistakes_in_what_http_matches(void **state)
{
    (void)state;
    static const struct mistake cases[] = {
        {"{method: [GET]}", "p:5:18: rules[0].match.http: unknown key `method`; did you mean "
                            "`methods`?"},
        {"[]", "p:5:11: rules[0].match.http: expected a map, found a list"},
        {"{methods: []}", "p:5:18: rules[0].match.http.methods: expected at least one item; leave "
                          "`methods` out to match any"},
        {"{methods: [get]}",
         "p:5:28: rules[0].match.http.methods[0]: expected a class (read, write) or a method such "
         "as GET, found \"get\"; did you mean \"GET\"?"},
        {"{methods: [GET, DELTE]}",
         "p:5:33: rules[0].match.http.methods[1]: expected a class (read, write) or a method such "
         "as GET, found \"DELTE\"; did you mean \"DELETE\"?"},
        {"{methods: [\"*\"]}",
         "p:5:28: rules[0].match.http.methods[0]: expected a class (read, write) or a method such "
         "as GET, found \"*\""},
        {"{methods: [CONNECT]}", "p:5:28: rules[0].match.http.methods[0]: CONNECT asks for a way, "
                                 "not for a resource: the requests that come on it are decided"},
        {"{hosts: [\"https://a\"]}", "p:5:26: rules[0].match.http.hosts[0]: expected a host such "
                                     "as api.internal or *.internal, "
                                     "without scheme and port, found \"https://a\""},
        {"{hosts: [\"a:443\"]}", "p:5:26: rules[0].match.http.hosts[0]: expected a host such as "
                                 "api.internal or *.internal, "
                                 "without scheme and port, found \"a:443\""},
        {"{paths: [customers]}", "p:5:26: rules[0].match.http.paths[0]: expected a path such as "
                                 "/customers/{id} or /orders/**, found \"customers\""},
        {"{paths: [\"/a/**/b\"]}", "p:5:26: rules[0].match.http.paths[0]: `**` stands for any "
                                   "rest: only at the end of a path"},
        {"{paths: [\"/a/b*\"]}", "p:5:26: rules[0].match.http.paths[0]: expected a segment such as "
                                 "orders, {id} or *, found \"b*\""},
        {"{paths: [\"/a/{}\"]}", "p:5:26: rules[0].match.http.paths[0]: expected a segment such as "
                                 "orders, {id} or *, found \"{}\""},
        {"{paths: [\"/a/{id}x\"]}", "p:5:26: rules[0].match.http.paths[0]: expected a segment such "
                                    "as orders, {id} or *, found \"{id}x\""},
        {"{paths: [\"/a?b=1\"]}", "p:5:26: rules[0].match.http.paths[0]: expected a segment such "
                                  "as orders, {id} or *, found \"a?b=1\""},
        {"{paths: [\"/a/../b\"]}", "p:5:26: rules[0].match.http.paths[0]: no path has the segment "
                                   "\"..\"; it would never match"},
        {"{paths: [\"/a%2fb\"]}", "p:5:26: rules[0].match.http.paths[0]: paths are written as they "
                                  "are decoded: without %XX"},
        {"{query: {}}", "p:5:18: rules[0].match.http.query: expected at least one name; leave "
                        "`query` out to match any"},
        {"{query: {a: b}}", "p:5:29: rules[0].match.http.query.a: expected a list of texts, or "
                            "limits such as {min: 1, max: 100} or {max_length: 20}"},
        {"{query: {a: []}}",
         "p:5:26: rules[0].match.http.query.a: expected at least one value; [\"*\"] is any"},
        {"{headers: {\"x y\": [a]}}",
         "p:5:28: rules[0].match.http.headers.x y: expected a header's "
         "name such as x-team, found \"x y\""},
        {"{body: {amount: [a]}}",
         "p:5:25: rules[0].match.http.body.amount: expected a JSON pointer "
         "such as /customer/email or \"/items/*/sku\", found \"amount\""},
        {"{body: {\"/a*\": [a]}}", "p:5:25: rules[0].match.http.body./a*: `*` stands for a whole "
                                   "step, found \"a*\""},
        {"{body: {/a~b: [a]}}", "p:5:25: rules[0].match.http.body./a~b: in a JSON pointer `~` is "
                                "written ~0, and `/` in a name ~1"},
        {"{body: {/a: {}}}", "p:5:25: rules[0].match.http.body./a: expected min, max, min_length "
                             "or max_length"},
        {"{body: {/a: {maximum: 5}}}",
         "p:5:30: rules[0].match.http.body./a: unknown key `maximum`"},
        {"{body: {/a: {max: x}}}",
         "p:5:35: rules[0].match.http.body./a.max: expected a number such "
         "as 100 or 12.50, found \"x\""},
        {"{body: {/a: {max: 0x10}}}", "p:5:35: rules[0].match.http.body./a.max: expected a number "
                                      "such as 100 or 12.50, found \"0x10\""},
        {"{body: {/a: {min: 2, max: 1.5}}}",
         "p:5:43: rules[0].match.http.body./a.max: it is less than `min`"},
        {"{body: {/a: {min_length: 2, max_length: 1}}}",
         "p:5:57: rules[0].match.http.body./a.max_length: it is less than `min_length`"},
        {"{websocket: maybe}",
         "p:5:29: rules[0].match.http.websocket: expected true or false, found \"maybe\""},
        {"{methods: [write], websocket: true}",
         "p:5:47: rules[0].match.http.websocket: a WebSocket begins with GET, but `methods` does "
         "not have it"},
        {"{}, sql: {}", "p:5:11: rules[0].match.http: a rule is about `sql` or `http`; make two of "
                        "it"},
    };
    EXPECT_MISTAKES(RULE "  match: {http: %s}\n", cases);
}

static void test_mistakes_in_obligations_of_http(void **state)
{
    (void)state;
    static const struct mistake of_http[] = {
        {"max_rows: 5", "p:6:27: rules[0].obligations.max_rows: HTTP has no rows; use "
                        "`max_response_bytes`"},
        {"rate: 5", "p:6:23: rules[0].obligations.rate: expected a map, found \"5\""},
        {"rate: {requests: 5}", "p:6:17: rules[0].obligations.rate.per: required, but missing"},
        {"rate: {requests: 0, per: 1m}", "p:6:34: rules[0].obligations.rate.requests: expected a "
                                         "number of requests between 1 and 1000000000, found "
                                         "\"0\""},
        {"rate: {requests: 1, per: 1500ms}",
         "p:6:42: rules[0].obligations.rate.per: expected whole seconds"},
        {"mask: [{columns: [a.b.c]}]",
         "p:6:25: rules[0].obligations.mask[0].columns: it is about SQL, and the rule is about "
         "HTTP: expected `fields`, `json`, `headers` or `detect`"},
        {"mask: [{fields: []}]", "p:6:25: rules[0].obligations.mask[0].fields: expected at least "
                                 "one item; leave `fields` out to match any"},
        {"mask: [{json: [ssn]}]",
         "p:6:32: rules[0].obligations.mask[0].json[0]: expected a JSON pointer such as "
         "/customer/email or \"/items/*/sku\", found \"ssn\""},
        {"mask: [{headers: [\"a b\"]}]", "p:6:35: rules[0].obligations.mask[0].headers[0]: "
                                         "expected a header's name such as x-team, "
                                         "found \"a b\""},
        {"mask: [{fields: [a], unknown_origin: \"null\"}]",
         "p:6:54: rules[0].obligations.mask[0].unknown_origin: what is no JSON and no form cannot "
         "become null: expected \"refuse\" or \"allow\""},
        {"mask: [{fields: [a], predicates: allow}]",
         "p:6:50: rules[0].obligations.mask[0].predicates: it is about SQL, and the rule is about "
         "HTTP: expected `fields`, `json`, `headers` or `detect`"},
        {"mask: [{with: hash}]",
         "p:6:24: rules[0].obligations.mask[0]: it masks nothing: expected `columns`, `tags` or "
         "`types`, `fields`, `json` or `headers`, or `detect`"},
    };
    static const struct mistake of_sql[] = {
        {"rate: {requests: 1, per: 1m}",
         "p:6:17: rules[0].obligations.rate: it is about HTTP: the rule's `match` needs `http`, "
         "which may be {}"},
        {"max_request_bytes: 5", "p:6:36: rules[0].obligations.max_request_bytes: it is about "
                                 "HTTP: the rule's `match` needs `http`, which may be {}"},
        {"mask: [{fields: [a]}]", "p:6:25: rules[0].obligations.mask[0].fields: it is about HTTP, "
                                  "and the rule is about SQL: expected `columns`, `tags`, `types` "
                                  "or `detect`"},
    };
    static const struct mistake of_both[] = {
        {"max_response_bytes: 5", "p:6:37: rules[0].obligations.max_response_bytes: it is about "
                                  "HTTP: the rule's `match` needs `http`, which may be {}"},
    };
    EXPECT_MISTAKES(RULE "  match: {http: {}}\n  obligations: {%s}\n", of_http);
    EXPECT_MISTAKES(RULE "  match: {sql: {}}\n  obligations: {%s}\n", of_sql);
    EXPECT_MISTAKES(RULE "  match: {resources: [a]}\n  obligations: {%s}\n", of_both);
}

static void test_a_hold_of_http_has_no_plan(void **state)
{
    (void)state;
    static const struct mistake cases[] = {
        {"predict: plan", "p:6:47: rules[0].hold.predict: a request of HTTP has no plan that could "
                          "be shown: expected \"none\""},
        {"in_transaction: 10s", "p:6:54: rules[0].hold.in_transaction: HTTP has no transactions"},
        {"predict: exact", "p:6:47: rules[0].hold.predict: a request of HTTP has no plan that "
                           "could be shown: expected \"none\""},
    };
    EXPECT_MISTAKES("version: 1\nrules:\n- name: a\n  effect: hold\n  match: {http: {}}\n"
                    "  hold: {approvers: {groups: [ops]}, %s}\n",
                    cases);
    struct policy *p = NULL;
    struct err_text why = {0};
    struct policy_verdict v = {0};
    const struct policy_http http = {.method = "GET", .host = "x", .path = "/"};
    const struct policy_request r = {.subject = "s", .resource = "r", .http = &http};
    assert_int_equal(compile("version: 1\nrules:\n- name: a\n  effect: hold\n  match: {http: {}}\n"
                             "  hold: {approvers: {groups: [ops]}}\n",
                             &p, &why),
                     OK);
    policy_evaluate(p, &r, &v);
    assert_int_equal(v.effect, POLICY_HOLD);
    assert_false(v.hold->explains);
    assert_false(v.hold->runs_dry);
    assert_int_equal(v.hold->in_transaction_s, v.hold->lifetime_s);
    policy_destroy(p);
}

static struct bytes b(const char *text)
{
    return bytes_of_string(text);
}

static void test_what_masks_of_http_name(void **state)
{
    (void)state;
    struct policy *p = NULL;
    struct err_text why = {0};
    const struct policy_mask *m[POLICY_MASKS_MAX];
    bool complete = false;
    if (compile(RULE "  match: {http: {}}\n  obligations:\n    mask:\n"
                     "      - {fields: [email, \"*_token\"], with: {fixed: x}}\n"
                     "      - {json: [\"/customers/*/ssn\", /a~1b], headers: [X-Customer-Email]}\n"
                     "      - {detect: [email]}\n"
                     "      - {fields: [x], unknown_origin: allow}\n",
                &p, &why) != OK) {
        fail_msg("%s", why.text);
    }
    const struct policy_request who = {.subject = "s", .resource = "r", .protocol = "http"};
    assert_int_equal(policy_masks(p, &who, m, &complete), 4);
    assert_true(complete && m[0]->names_http && m[1]->names_http && !m[2]->names_http);
    assert_int_equal(m[3]->unknown_origin, POLICY_UNKNOWN_ALLOW);
    assert_false(m[0]->names_columns);
    assert_true(policy_mask_matches_field(m[0], b("email")));
    assert_true(policy_mask_matches_field(m[0], b("Email")));
    assert_true(policy_mask_matches_field(m[0], b("refresh_token")));
    assert_false(policy_mask_matches_field(m[0], b("emails")));
    assert_false(policy_mask_matches_field(m[0], bytes_of(NULL, 0)));
    assert_false(policy_mask_matches_field(m[0], bytes_of("email\0", 6)));
    assert_false(policy_mask_matches_field(m[1], b("email")));
    assert_true(policy_mask_matches_pointer(m[1], b("/customers/17/ssn")));
    assert_true(policy_mask_matches_pointer(m[1], b("/Customers//SSN")));
    assert_true(policy_mask_matches_pointer(m[1], b("/a~1b")));
    assert_false(policy_mask_matches_pointer(m[1], b("/customers/17/ssn/x")));
    assert_false(policy_mask_matches_pointer(m[1], b("/customers/ssn")));
    assert_false(policy_mask_matches_pointer(m[1], b("customers/17/ssn")));
    assert_false(policy_mask_matches_pointer(m[1], b("")));
    assert_false(policy_mask_matches_pointer(m[0], b("/customers/17/ssn")));
    assert_true(policy_mask_matches_header(m[1], b("x-customer-email")));
    assert_false(policy_mask_matches_header(m[1], b("x-customer")));
    assert_false(policy_mask_matches_header(m[2], b("x-customer-email")));
    assert_false(policy_mask_matches(m[0], "public", "email", "email", NULL));
    policy_destroy(p);
}

/* A rule about one protocol has nothing to mask in sessions of the other. */
static void test_masks_are_those_of_the_protocol(void **state)
{
    (void)state;
    struct policy *p = NULL;
    struct err_text why = {0};
    const struct policy_mask *m[POLICY_MASKS_MAX];
    bool complete = false;
    struct policy_request who = {.subject = "s", .resource = "r", .protocol = "http"};
    assert_int_equal(
        compile(
            "version: 1\nrules:\n"
            "- {name: h, effect: allow, match: {http: {}}, obligations: {mask: [{fields: [a]}]}}\n"
            "- {name: s, effect: allow, match: {sql: {}}, obligations: {mask: [{columns: "
            "[a.b.c]}]}}\n"
            "- {name: b, effect: allow, obligations: {mask: [{columns: [a.b.c], fields: [a]}]}}\n",
            &p, &why),
        OK);
    assert_int_equal(policy_masks(p, &who, m, &complete), 2);
    assert_string_equal(m[0]->rule, "h");
    assert_string_equal(m[1]->rule, "b");
    who.protocol = "postgres";
    assert_int_equal(policy_masks(p, &who, m, &complete), 2);
    assert_string_equal(m[0]->rule, "s");
    who.protocol = "other";
    assert_int_equal(policy_masks(p, &who, m, &complete), 3);
    who.protocol = NULL;
    assert_int_equal(policy_masks(p, &who, m, &complete), 3);
    policy_destroy(p);
}

/* The canonical form is what is signed; of numbers with a point it makes texts. */
static void test_the_canonical_form_means_the_same(void **state)
{
    (void)state;
    static const char text[] =
        RULE "  match: {http: {body: {/amount: {max: 12.50}}}}\n"
             "  obligations: {rate: {requests: 5, per: 1m}, max_request_bytes: 1MiB}\n";
    struct conf *c = NULL;
    struct policy *p = NULL;
    struct err_text why = {0};
    assert_int_equal(conf_load_text("p", b(text), &c, &why), OK);
    char *json = conf_to_json(conf_root(c));
    if (policy_compile(b(json), 1, &p, &why) != OK) {
        fail_msg("%s", why.text);
    }
    const struct policy_pair body[] = {{"/amount", "12.5"}};
    const struct policy_http http = {.method = "POST",
                                     .host = "x",
                                     .path = "/",
                                     .body_state = POLICY_BODY_READ,
                                     .body = body,
                                     .body_count = 1};
    const struct policy_request r = {.subject = "s", .resource = "r", .http = &http};
    struct policy_verdict v = {0};
    policy_evaluate(p, &r, &v);
    assert_int_equal(v.effect, POLICY_ALLOW);
    assert_int_equal(v.rate_count, 1);
    assert_string_equal(v.rates[0].rule, "a");
    assert_int_equal(v.rates[0].requests, 5);
    assert_int_equal(v.rates[0].per_s, 60);
    assert_int_equal(v.max_request_bytes, 1 << 20);
    assert_int_equal(v.max_response_bytes, 0);
    policy_destroy(p);
    free(json);
    conf_destroy(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_mistakes_in_what_http_matches),
        cmocka_unit_test(test_mistakes_in_obligations_of_http),
        cmocka_unit_test(test_a_hold_of_http_has_no_plan),
        cmocka_unit_test(test_what_masks_of_http_name),
        cmocka_unit_test(test_masks_are_those_of_the_protocol),
        cmocka_unit_test(test_the_canonical_form_means_the_same),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
