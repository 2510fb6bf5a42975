#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "cli/policy/replay.h"

static const char document[] =
    "{version: 1, rules: ["
    "{name: reads, effect: allow, match: {http: {methods: [read], paths: ['/customers/{id}']}},"
    " obligations: {rate: {requests: 5, per: 1m}}},"
    "{name: small, effect: allow, match: {http: {methods: [POST], paths: [/orders],"
    " body: {/amount: {max: 100}}}}},"
    "{name: deletes, effect: hold, match: {http: {methods: [DELETE]}},"
    " hold: {approvers: {groups: [ops]}}}]}";

struct fixture {
    struct policy *policy;
    struct replay *replay;
    uint64_t operation;
};

static char *text_of(const char *s)
{
    return (char *)(uintptr_t)s;
}

static void add(struct fixture *f, Chaperone__V1__Record *r)
{
    r->sidecar = text_of("s1");
    r->session = text_of("a");
    r->time_unix_ns = 1795250580LL * 1000000000;
    assert_int_equal(replay_add(f->replay, r), OK);
}

static int setup(void **state)
{
    struct fixture *f = test_calloc(1, sizeof(*f));
    struct err_text why = {0};
    if (policy_compile(bytes_of_string(document), 1, &f->policy, &why) != OK) {
        fail_msg("%s", why.text);
    }
    f->replay = replay_create(f->policy, 0, 0);
    assert_non_null(f->replay);
    Chaperone__V1__Record r = CHAPERONE__V1__RECORD__INIT;
    Chaperone__V1__SessionOpened opened = CHAPERONE__V1__SESSION_OPENED__INIT;
    Chaperone__V1__Identity who = CHAPERONE__V1__IDENTITY__INIT;
    who.subject = text_of("ann");
    opened.identity = &who;
    opened.resource = text_of("crm");
    opened.protocol = text_of("http");
    r.event_case = CHAPERONE__V1__RECORD__EVENT_SESSION_OPENED;
    r.session_opened = &opened;
    add(f, &r);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    replay_destroy(f->replay);
    policy_destroy(f->policy);
    test_free(f);
    return 0;
}

struct recorded {
    const char *method, *path, *body, *rule;
    bool truncated, without_http;
    Chaperone__V1__Verdict was;
};

static void add_request(struct fixture *f, struct recorded recorded)
{
    Chaperone__V1__Record r = CHAPERONE__V1__RECORD__INIT;
    Chaperone__V1__Intent m = CHAPERONE__V1__INTENT__INIT;
    Chaperone__V1__HttpRequest http = CHAPERONE__V1__HTTP_REQUEST__INIT;
    Chaperone__V1__HttpField type = CHAPERONE__V1__HTTP_FIELD__INIT, *fields[] = {&type};
    type.name = text_of("content-type");
    type.value = (ProtobufCBinaryData){16, (uint8_t *)text_of("application/json")};
    http.method = text_of(recorded.method);
    http.path = text_of(recorded.path);
    http.authority = text_of("api.internal");
    http.fields = fields;
    http.n_fields = 1;
    http.body_truncated = recorded.truncated;
    if (recorded.body != NULL) {
        http.body_size = http.body.len = strlen(recorded.body);
        http.body.data = (uint8_t *)text_of(recorded.body);
    }
    m.verb = text_of("request");
    m.operation = ++f->operation;
    m.verdict = recorded.was;
    m.rule = text_of(recorded.rule);
    m.text.data = (uint8_t *)text_of(recorded.path);
    m.text.len = strlen(recorded.path);
    m.http = recorded.without_http ? NULL : &http;
    r.event_case = CHAPERONE__V1__RECORD__EVENT_INTENT;
    r.intent = &m;
    add(f, &r);
}

#define ALLOWED CHAPERONE__V1__VERDICT__ALLOW
#define DENIED CHAPERONE__V1__VERDICT__DENY

static const struct replay_change *first_change(struct fixture *f)
{
    const struct replay_change *const *changes = NULL;
    size_t count = 0;
    assert_int_equal(replay_changes(f->replay, &changes, &count), OK);
    assert_true(count > 0);
    return changes[0];
}

static void requests_are_decided_as_requests(void **state)
{
    struct fixture *f = *state;
    add_request(
        f, (struct recorded){.method = "GET", .path = "/customers/1", .was = ALLOWED, .rule = "x"});
    add_request(f, (struct recorded){
                       .method = "GET", .path = "/orders/17?a=b", .was = ALLOWED, .rule = "x"});
    add_request(
        f, (struct recorded){.method = "GET", .path = "/orders/18", .was = ALLOWED, .rule = "x"});
    add_request(f, (struct recorded){
                       .method = "DELETE", .path = "/orders/18", .was = DENIED, .rule = "default"});
    const struct replay_counts *c = replay_counts(f->replay);
    assert_int_equal(c->operations, 4);
    assert_int_equal(c->same, 1);
    assert_int_equal(c->newly_refused, 2);
    assert_int_equal(c->newly_held, 1);
    const struct replay_change *change = first_change(f);
    assert_string_equal(change->shape, "GET /orders/{}");
    assert_string_equal(change->identity, "ann");
    assert_int_equal(change->count, 2);
    assert_string_equal(change->rule, "default");
}

static void bodies_count_where_they_are_recorded(void **state)
{
    struct fixture *f = *state;
    const struct replay_counts *c = replay_counts(f->replay);
    struct recorded r = {.method = "POST", .path = "/orders", .was = ALLOWED, .rule = "x"};
    r.body = "{\"amount\":5}";
    add_request(f, r);
    assert_int_equal(c->same, 1);
    r.body = "{\"amount\":500}";
    add_request(f, r);
    assert_int_equal(c->newly_refused, 1);
    r.body = "{\"amo";
    r.truncated = true;
    add_request(f, r);
    assert_int_equal(c->truncated, 1);
    /* No rule asks for this one's body. */
    r.path = "/other";
    add_request(f, r);
    assert_int_equal(c->newly_refused, 2);
    assert_int_equal(c->operations, 3);
}

static void what_no_policy_decided_stays_refused(void **state)
{
    struct fixture *f = *state;
    const struct replay_counts *c = replay_counts(f->replay);
    struct recorded r = {.method = "GET", .path = "/customers/1", .was = DENIED};
    r.rule = "protocol";
    add_request(f, r);
    r.without_http = true;
    add_request(f, r);
    r.without_http = false;
    r.path = "/customers/%2f";
    r.rule = "default";
    add_request(f, r);
    /* Too often. */
    r.path = "/customers/1";
    r.rule = "reads";
    add_request(f, r);
    assert_int_equal(c->same, 4);
    /* But by another rule it was refused for what it is. */
    r.rule = "default";
    add_request(f, r);
    assert_int_equal(c->newly_allowed, 1);
    assert_string_equal(first_change(f)->shape, "GET /customers/{}");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(requests_are_decided_as_requests, setup, teardown),
        cmocka_unit_test_setup_teardown(bodies_count_where_they_are_recorded, setup, teardown),
        cmocka_unit_test_setup_teardown(what_no_policy_decided_stays_refused, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
