/* The cases of testdata: who asks for what, and what a policy says. testdata/basics.yaml says how
 * they are written. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

#include "base/conf/conf.h"
#include "policies/policy.h"

enum { ITEMS_MAX = 16, TEXT_SIZE = 160 };

struct golden {
    struct policy_request request;
    const char *groups[ITEMS_MAX], *behalf[1], *commands[ITEMS_MAX], *accesses[ITEMS_MAX];
    struct policy_object objects[ITEMS_MAX];
    const char *columns[ITEMS_MAX][ITEMS_MAX];
    struct policy_claim claims[ITEMS_MAX];
    char text[ITEMS_MAX][TEXT_SIZE];
    char group_text[256];
    struct policy_http http;
    struct policy_pair pairs[3][ITEMS_MAX];
    char pair_text[3][ITEMS_MAX][TEXT_SIZE];
    char asked[TEXT_SIZE];
};

static const char *text_of(const struct conf_node *map, const char *key, const char *otherwise)
{
    const char *text = otherwise;
    assert_int_equal(conf_read_string(map, key, &text, NULL), OK);
    return text;
}

/* "read table public.orders", "read table public.orders : id total" */
static void read_object(const struct conf_node *n, struct golden *g)
{
    const char *text = NULL;
    assert_int_equal(conf_as_string(n, &text, NULL), OK);
    size_t i = g->request.object_count++;
    (void)snprintf(g->text[i], TEXT_SIZE, "%s", text);
    char *rest = g->text[i];
    struct policy_object *o = &g->objects[i];
    o->access = strsep(&rest, " ");
    o->kind = strsep(&rest, " ");
    assert_non_null(rest);
    o->name = rest;
    char *columns = strstr(rest, " : ");
    if (columns == NULL) {
        return;
    }
    *columns = '\0';
    rest = columns + 3;
    while (rest != NULL) {
        g->columns[i][o->column_count++] = strsep(&rest, " ");
    }
    o->columns = g->columns[i];
}

static size_t read_words(const struct conf_node *n, const char *key, const char *out[ITEMS_MAX])
{
    const struct conf_node *list = conf_get(n, key);
    size_t count = 0;
    for (n = list == NULL ? NULL : conf_first(list); n != NULL; n = conf_next(n)) {
        assert_int_equal(conf_as_string(n, &out[count++], NULL), OK);
    }
    return count;
}

static void read_claims(const struct conf_node *n, struct golden *g)
{
    const struct conf_node *map = conf_get(n, "claims");
    for (n = map == NULL ? NULL : conf_first(map); n != NULL; n = conf_next(n)) {
        const char *values[ITEMS_MAX];
        size_t count = read_words(map, conf_key(n), values);
        for (size_t i = 0; i < count; i++) {
            g->claims[g->request.claim_count++] =
                (struct policy_claim){.path = conf_key(n), .value = values[i]};
        }
    }
    g->request.claims = g->claims;
}

/* "name=value", each. */
static size_t read_pairs(const struct conf_node *n, const char *key, struct golden *g, size_t place)
{
    const char *words[ITEMS_MAX];
    size_t count = read_words(n, key, words);
    for (size_t i = 0; i < count; i++) {
        char *rest = g->pair_text[place][i];
        (void)snprintf(rest, TEXT_SIZE, "%s", words[i]);
        g->pairs[place][i].name = strsep(&rest, "=");
        g->pairs[place][i].value = rest == NULL ? "" : rest;
    }
    return count;
}

/* "GET api.internal /customers/42" */
static void read_http(const struct conf_node *n, struct golden *g)
{
    const char *text = text_of(n, "http", NULL);
    bool is_unread = false;
    if (text == NULL) {
        return;
    }
    struct policy_http *h = &g->http;
    (void)snprintf(g->asked, TEXT_SIZE, "%s", text);
    char *rest = g->asked;
    h->method = strsep(&rest, " ");
    h->host = strsep(&rest, " ");
    assert_non_null(rest);
    h->path = rest;
    h->query_count = read_pairs(n, "query", g, 0);
    h->query = g->pairs[0];
    h->header_count = read_pairs(n, "headers", g, 1);
    h->headers = g->pairs[1];
    h->body_count = read_pairs(n, "body", g, 2);
    h->body = g->pairs[2];
    assert_int_equal(conf_read_bool(n, "websocket", &h->is_websocket, NULL), OK);
    assert_int_equal(conf_read_bool(n, "unread", &is_unread, NULL), OK);
    h->body_state = is_unread           ? POLICY_BODY_UNREAD
                    : h->body_count > 0 ? POLICY_BODY_READ
                                        : POLICY_BODY_NONE;
    g->request.protocol = "http";
    g->request.http = h;
}

static int64_t read_time(const struct conf_node *n)
{
    const char *text = text_of(n, "at", "2026-11-23T12:00:00Z");
    struct tm t = {0};
    assert_non_null(strptime(text, "%Y-%m-%dT%H:%M:%SZ", &t));
    return timegm(&t);
}

static void read_who(const struct conf_node *n, struct golden *g)
{
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
    r->now_unix_s = read_time(n);
    read_claims(n, g);
}

static void golden_read(const struct conf_node *n, struct golden *g)
{
    static const char *const keys[] = {
        "as",       "subject",   "on_behalf_of",  "resource", "claims", "at",         "commands",
        "accesses", "objects",   "without_where", "verdict",  "rule",   "message",    "durability",
        "record",   "max_rows",  "shadow",        "http",     "query",  "headers",    "body",
        "unread",   "websocket", "path",          "rates",    "bytes",  "reads_body", NULL};
    assert_int_equal(conf_check_keys(n, keys, NULL), OK);
    *g = (struct golden){.request = {.protocol = "postgres"}};
    struct policy_request *r = &g->request;
    read_who(n, g);
    read_http(n, g);
    r->command_count = read_words(n, "commands", g->commands);
    r->commands = g->commands;
    r->access_count = read_words(n, "accesses", g->accesses);
    r->accesses = g->accesses;
    assert_int_equal(conf_read_bool(n, "without_where", &r->without_where, NULL), OK);
    const struct conf_node *list = conf_get(n, "objects");
    for (n = list == NULL ? NULL : conf_first(list); n != NULL; n = conf_next(n)) {
        read_object(n, g);
    }
    r->objects = g->objects;
}

/* ", path /a/{id}, bytes 1+2, rates a+b", of what there is. */
static void describe_http(const struct policy_verdict *v, char out[256])
{
    size_t at = 0;
    out[0] = '\0';
    if (v->path != NULL) {
        at += (size_t)snprintf(out + at, 256 - at, ", path %s", v->path);
    }
    if (v->max_request_bytes + v->max_response_bytes > 0) {
        at += (size_t)snprintf(out + at, 256 - at, ", bytes %u+%u", (unsigned)v->max_request_bytes,
                               (unsigned)v->max_response_bytes);
    }
    for (size_t i = 0; i < v->rate_count; i++) {
        at += (size_t)snprintf(out + at, 256 - at, "%s%s", i == 0 ? ", rates " : "+",
                               v->rates[i].rule);
    }
}

static void describe_http_wanted(const struct conf_node *n, char out[256])
{
    static const char *const keys[] = {"path", "bytes", "rates"};
    size_t at = 0;
    out[0] = '\0';
    for (size_t i = 0; i < 3; i++) {
        const char *text = text_of(n, keys[i], NULL);
        if (text != NULL) {
            at += (size_t)snprintf(out + at, 256 - at, ", %s %s", keys[i], text);
        }
    }
}

/* "allow by readers (process, full, 0 rows) shadow: -" with what the case leaves out as `found`. */
static void describe(const struct policy_verdict *v, char out[512])
{
    static const char *const effects[] = {"deny", "hold", "allow"};
    static const char *const levels[] = {"process", "host", "fleet"};
    static const char *const records[] = {"full", "no_results", "no_values"};
    char http[256];
    describe_http(v, http);
    (void)snprintf(out, 512, "%s by %s, %s, %s, %u rows%s, shadow %s%s%s: %s", effects[v->effect],
                   v->rule, levels[v->durability], records[v->record], (unsigned)v->max_rows, http,
                   v->shadow_rule == NULL ? "-" : effects[v->shadow_effect],
                   v->shadow_rule == NULL ? "" : " by ",
                   v->shadow_rule == NULL ? "" : v->shadow_rule,
                   v->message == NULL ? "" : v->message);
}

static void describe_wanted(const struct conf_node *n, const struct policy_verdict *found,
                            char out[512])
{
    static const char *const levels[] = {"process", "host", "fleet"};
    int64_t rows = 0;
    char http[256];
    describe_http_wanted(n, http);
    assert_int_equal(conf_read_integer(n, "max_rows", "rows", 0, 1000000, &rows, NULL), OK);
    (void)snprintf(out, 512, "%s by %s, %s, %s, %u rows%s, shadow %s: %s",
                   text_of(n, "verdict", "?"), text_of(n, "rule", "?"),
                   text_of(n, "durability", levels[found->durability]),
                   text_of(n, "record", "full"), (unsigned)rows, http, text_of(n, "shadow", "-"),
                   text_of(n, "message", found->message == NULL ? "" : found->message));
}

static bool golden_holds(const struct policy *p, const struct conf_node *n)
{
    struct golden g;
    struct policy_verdict v = {0};
    char found[512], wanted[512];
    golden_read(n, &g);
    policy_evaluate(p, &g.request, &v);
    bool reads_body = policy_reads_body(p, &g.request);
    assert_int_equal(conf_read_bool(n, "reads_body", &reads_body, NULL), OK);
    assert_true(reads_body == policy_reads_body(p, &g.request));
    assert_true((v.hold != NULL) == (v.effect == POLICY_HOLD));
    describe(&v, found);
    describe_wanted(n, &v, wanted);
    if (strcmp(found, wanted) != 0) {
        print_message("%s:%u: expected %s\n  found    %s\n", conf_file(n), conf_line(n), wanted,
                      found);
    }
    return strcmp(found, wanted) == 0;
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

static void test_golden_effects(void **state)
{
    (void)state;
    run_golden("policies/testdata/effects.yaml", 45);
}

static void test_golden_columns(void **state)
{
    (void)state;
    run_golden("policies/testdata/columns.yaml", 40);
}

static void test_golden_who_and_when(void **state)
{
    (void)state;
    run_golden("policies/testdata/who-and-when.yaml", 35);
}

static void test_golden_shadow_rules(void **state)
{
    (void)state;
    run_golden("policies/testdata/shadow-rules.yaml", 8);
}

static void test_golden_shadow_policy(void **state)
{
    (void)state;
    run_golden("policies/testdata/shadow-policy.yaml", 7);
}

static void test_golden_obligations(void **state)
{
    (void)state;
    run_golden("policies/testdata/obligations.yaml", 10);
}

static void test_golden_hold(void **state)
{
    (void)state;
    run_golden("policies/testdata/hold.yaml", 50);
}

static void test_golden_hold_in_shadow(void **state)
{
    (void)state;
    run_golden("policies/testdata/hold-shadow.yaml", 5);
}

static void test_golden_http(void **state)
{
    (void)state;
    run_golden("policies/testdata/http.yaml", 60);
}

static void test_golden_http_conditions(void **state)
{
    (void)state;
    run_golden("policies/testdata/http-conditions.yaml", 60);
}

static void test_golden_http_effects(void **state)
{
    (void)state;
    run_golden("policies/testdata/http-effects.yaml", 25);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_golden_basics),
        cmocka_unit_test(test_golden_names),
        cmocka_unit_test(test_golden_read_only_analyst),
        cmocka_unit_test(test_golden_effects),
        cmocka_unit_test(test_golden_columns),
        cmocka_unit_test(test_golden_who_and_when),
        cmocka_unit_test(test_golden_shadow_rules),
        cmocka_unit_test(test_golden_shadow_policy),
        cmocka_unit_test(test_golden_obligations),
        cmocka_unit_test(test_golden_hold),
        cmocka_unit_test(test_golden_hold_in_shadow),
        cmocka_unit_test(test_golden_http),
        cmocka_unit_test(test_golden_http_conditions),
        cmocka_unit_test(test_golden_http_effects),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
