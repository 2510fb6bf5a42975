/* Who may call what. */
#include <stdio.h>
#include <stdlib.h>

#include "api/log.pb-c.h"
#include "api/policy.pb-c.h"
#include "controlplane/rpc/access.h"
#include "controlplane/testing/fixture.h"

static const ProtobufCServiceDescriptor *const services[] = {
    &chaperone__v1__enrolment__descriptor,    &chaperone__v1__sidecar__descriptor,
    &chaperone__v1__audit_ingest__descriptor, &chaperone__v1__audit__descriptor,
    &chaperone__v1__sessions__descriptor,     &chaperone__v1__administration__descriptor,
    &chaperone__v1__approvals__descriptor,    &chaperone__v1__log__descriptor,
    &chaperone__v1__policies__descriptor,     &chaperone__v1__retention__descriptor,
};

static void every_method_has_a_rule_and_no_other_has(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(services) / sizeof(services[0]); i++) {
        for (unsigned m = 0; m < services[i]->n_methods; m++) {
            assert_non_null(access_find_rule(services[i]->name, services[i]->methods[m].name));
        }
        assert_null(access_find_rule(services[i]->name, "Other"));
    }
    assert_null(access_find_rule("chaperone.v1.Other", "Enrol"));
    assert_null(access_find_rule("", ""));
}

/* Of a stream, the status that ends it; "" what is asked for. */
static enum rpc_code call_any(struct rpc_channel *channel,
                              const ProtobufCServiceDescriptor *service, unsigned m,
                              const char *token)
{
    const ProtobufCMethodDescriptor *method = &service->methods[m];
    static const char *const streams[] = {"Watch", "Ship", "Search", "Tail", "ReadTiles", "Export"};
    uint8_t empty[512];
    ProtobufCMessage *request = (ProtobufCMessage *)(void *)empty;
    assert_true(method->input->sizeof_message <= sizeof(empty));
    method->input->message_init(request);
    for (size_t i = 0; i < sizeof(streams) / sizeof(streams[0]); i++) {
        if (strcmp(method->name, streams[i]) == 0) {
            struct listening *l = listen_to(channel, service, method->name, token);
            enum rpc_code code = listening_end(l).code;
            listening_finish(l);
            return code;
        }
    }
    struct answer a = fixture_call(channel, service, method->name, request, token, 0);
    enum rpc_code code = a.status.code;
    answer_finish(&a);
    return code;
}

static void nothing_is_open_to_who_has_no_proof(void **state)
{
    struct fixture *f = *state;
    for (size_t i = 0; i < sizeof(services) / sizeof(services[0]); i++) {
        for (unsigned m = 0; m < services[i]->n_methods; m++) {
            enum rpc_code code = call_any(f->channel, services[i], m, NULL);
            bool is_enrol = strcmp(services[i]->methods[m].name, "Enrol") == 0;
            /* Enrol looks at its request first, and there is none in it. */
            assert_int_equal(code, is_enrol ? RPC_INVALID_ARGUMENT : RPC_UNAUTHENTICATED);
        }
    }
}

static void a_sidecar_is_no_operator(void **state)
{
    struct fixture *f = *state;
    struct sidecar s = fixture_sidecar(f);
    for (size_t i = 3; i < sizeof(services) / sizeof(services[0]); i++) {
        for (unsigned m = 0; m < services[i]->n_methods; m++) {
            assert_int_equal(call_any(s.channel, services[i], m, NULL), RPC_UNAUTHENTICATED);
        }
    }
    sidecar_finish(&s);
}

static void an_operator_is_no_sidecar(void **state)
{
    struct fixture *f = *state;
    char *admin = fixture_token(f, "root", "admins");
    for (size_t i = 1; i < 3; i++) {
        for (unsigned m = 0; m < services[i]->n_methods; m++) {
            assert_int_equal(call_any(f->channel, services[i], m, admin), RPC_UNAUTHENTICATED);
        }
    }
    free(admin);
}

static void roles_allow_what_they_are_for(void **state)
{
    struct fixture *f = *state;
    Chaperone__V1__ListSessionsRequest list = CHAPERONE__V1__LIST_SESSIONS_REQUEST__INIT;
    Chaperone__V1__KillSessionRequest kill = CHAPERONE__V1__KILL_SESSION_REQUEST__INIT;
    Chaperone__V1__CreateJoinTokenRequest join = CHAPERONE__V1__CREATE_JOIN_TOKEN_REQUEST__INIT;
    Chaperone__V1__StatusRequest status = CHAPERONE__V1__STATUS_REQUEST__INIT;
    Chaperone__V1__SearchRequest search = CHAPERONE__V1__SEARCH_REQUEST__INIT;
    kill.session = (char *)(uintptr_t) "none";
    static const char *const groups[] = {"admins", "approvers", "auditors", "agents", NULL};
    const struct {
        const ProtobufCServiceDescriptor *service;
        const char *method;
        const ProtobufCMessage *request;
        enum rpc_code expected[5];
    } table[] = {
        {&chaperone__v1__sessions__descriptor,
         "List",
         &list.base,
         {RPC_OK, RPC_OK, RPC_OK, RPC_PERMISSION_DENIED, RPC_PERMISSION_DENIED}},
        {&chaperone__v1__sessions__descriptor,
         "Kill",
         &kill.base,
         {RPC_NOT_FOUND, RPC_PERMISSION_DENIED, RPC_PERMISSION_DENIED, RPC_PERMISSION_DENIED,
          RPC_PERMISSION_DENIED}},
        {&chaperone__v1__administration__descriptor,
         "CreateJoinToken",
         &join.base,
         {RPC_OK, RPC_PERMISSION_DENIED, RPC_PERMISSION_DENIED, RPC_PERMISSION_DENIED,
          RPC_PERMISSION_DENIED}},
        {&chaperone__v1__administration__descriptor,
         "Status",
         &status.base,
         {RPC_OK, RPC_OK, RPC_OK, RPC_PERMISSION_DENIED, RPC_PERMISSION_DENIED}},
        {&chaperone__v1__audit__descriptor,
         "Search",
         &search.base,
         {RPC_OK, RPC_PERMISSION_DENIED, RPC_OK, RPC_PERMISSION_DENIED, RPC_PERMISSION_DENIED}},
    };
    for (size_t g = 0; g < 5; g++) {
        char *token = fixture_token(f, "somebody", groups[g]);
        for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
            enum rpc_code code;
            if (strcmp(table[i].method, "Search") == 0) {
                struct listening *l =
                    listen_to(f->channel, table[i].service, table[i].method, token);
                enum err e = table[i].expected[g] == RPC_OK ? OK : ERR_CLOSED;
                if (e == OK) {
                    listening_send(l, table[i].request);
                    listening_half_close(l);
                }
                code = listening_end(l).code;
                listening_finish(l);
            } else {
                struct answer a = fixture_call(f->channel, table[i].service, table[i].method,
                                               table[i].request, token, 0);
                code = a.status.code;
                answer_finish(&a);
            }
            if (code != table[i].expected[g]) {
                fail_msg("%s for %s: %s", table[i].method, groups[g] == NULL ? "-" : groups[g],
                         rpc_code_name(code));
            }
        }
        free(token);
    }
}

/* Who may call what people call; a method that is not here is of nobody. Whoever may is told
 * something else than that he may not: requests are empty. */
enum { ADMIN = 1 << 0, APPROVER = 1 << 1, AUDITOR = 1 << 2, BOT = 1 << 3, ANYBODY = 1 << 4 };
static const struct {
    const char *service, *method;
    unsigned who;
} permitted[] = {
    {"Audit", "Search", ADMIN | AUDITOR},
    {"Audit", "Tail", ADMIN | AUDITOR},
    {"Log", "GetCheckpoint", ADMIN | AUDITOR},
    {"Log", "ProveInclusion", ADMIN | AUDITOR},
    {"Log", "ProveConsistency", ADMIN | AUDITOR},
    {"Log", "ReadTiles", ADMIN | AUDITOR},
    {"Log", "Export", ADMIN | AUDITOR},
    {"Sessions", "List", ADMIN | APPROVER | AUDITOR},
    {"Sessions", "Kill", ADMIN},
    {"Sessions", "Block", ADMIN},
    {"Sessions", "Lift", ADMIN},
    {"Sessions", "ListBlocks", ADMIN | APPROVER | AUDITOR},
    {"Approvals", "List", ADMIN | APPROVER | AUDITOR | BOT},
    {"Approvals", "Get", ADMIN | APPROVER | AUDITOR | BOT},
    {"Approvals", "Watch", ADMIN | APPROVER | AUDITOR | BOT},
    {"Approvals", "Decide", ANYBODY}, /* the groups of the rule that holds decide */
    {"Approvals", "ListStanding", ADMIN | APPROVER | AUDITOR | BOT},
    {"Approvals", "RevokeStanding", ANYBODY}, /* the same, and admins */
    {"Approvals", "CreateLinkCode", BOT},
    {"Approvals", "ConfirmLink", ANYBODY},
    {"Approvals", "RemoveLink", ANYBODY},
    {"Policies", "Push", ADMIN},
    {"Policies", "Rollback", ADMIN},
    {"Policies", "List", ADMIN | AUDITOR},
    {"Policies", "Get", ADMIN | AUDITOR},
    {"Administration", "CreateJoinToken", ADMIN},
    {"Administration", "Status", ADMIN | APPROVER | AUDITOR},
    {"Administration", "RevokeSidecar", ADMIN},
    {"Administration", "ListExportJobs", ADMIN | AUDITOR},
    {"Retention", "PlaceHold", ADMIN},
    {"Retention", "LiftHold", ADMIN},
    {"Retention", "ListHolds", ADMIN | AUDITOR},
    {"Retention", "Preview", ADMIN | AUDITOR},
};

static unsigned permitted_to(const char *service, const char *method)
{
    for (size_t i = 0; i < sizeof(permitted) / sizeof(permitted[0]); i++) {
        if (strcmp(strrchr(service, '.') + 1, permitted[i].service) == 0 &&
            strcmp(method, permitted[i].method) == 0) {
            return permitted[i].who;
        }
    }
    fail_msg("%s.%s: who may?", service, method);
    return 0;
}

static void nobody_calls_what_his_role_is_not_for(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *group;
        unsigned role;
    } people[] = {{"admins", ADMIN}, {"approvers", APPROVER}, {"auditors", AUDITOR},
                  {"bots", BOT},     {"agents", 0},           {NULL, 0}};
    size_t refused = 0;
    for (size_t p = 0; p < sizeof(people) / sizeof(people[0]); p++) {
        char *token = fixture_token(f, "somebody", people[p].group);
        for (size_t i = 3; i < sizeof(services) / sizeof(services[0]); i++) {
            for (unsigned m = 0; m < services[i]->n_methods; m++) {
                const char *method = services[i]->methods[m].name;
                unsigned who = permitted_to(services[i]->name, method);
                bool may = (who & people[p].role) != 0 || (who & ANYBODY) != 0;
                if (may) {
                    continue; /* what he does is in the tests of each */
                }
                enum rpc_code code = call_any(f->channel, services[i], m, token);
                if (code != RPC_PERMISSION_DENIED) {
                    fail_msg("%s for %s: %s", method,
                             people[p].group == NULL ? "-" : people[p].group, rpc_code_name(code));
                }
                refused++;
            }
        }
        free(token);
    }
    assert_int_equal(refused, 115);
}

static void a_bad_token_is_refused_and_the_refusal_logged(void **state)
{
    struct fixture *f = *state;
    Chaperone__V1__StatusRequest request = CHAPERONE__V1__STATUS_REQUEST__INIT;
    const char *admins = "admins";
    const struct issuer_token expired = {
        .subject = "root", .groups = &admins, .group_count = 1, .lifetime_s = -60};
    const struct issuer_token elsewhere = {
        .subject = "root", .groups = &admins, .group_count = 1, .audience = "other"};
    char *late = fixture_special_token(f, &expired), *other = fixture_special_token(f, &elsewhere);
    const ProtobufCServiceDescriptor *service = &chaperone__v1__administration__descriptor;
    assert_answer(fixture_call(f->channel, service, "Status", &request.base, late, 0),
                  RPC_UNAUTHENTICATED, "expired");
    assert_answer(fixture_call(f->channel, service, "Status", &request.base, other, 0),
                  RPC_UNAUTHENTICATED, "");
    assert_answer(fixture_call(f->channel, service, "Status", &request.base, "garbage", 0),
                  RPC_UNAUTHENTICATED, "");
    char *log = fixture_read_log(f);
    assert_non_null(strstr(log, "\"event\":\"call_refused\""));
    assert_non_null(strstr(log, "\"method\":\"Status\""));
    free(log);
    free(late);
    free(other);
}

static void what_an_operator_does_is_logged_with_the_name(void **state)
{
    struct fixture *f = *state;
    free(fixture_join_token(f));
    char *log = fixture_read_log(f);
    const char *line = strstr(log, "\"event\":\"operator_action\"");
    assert_non_null(line);
    assert_non_null(strstr(line, "\"action\":\"join_token_create\""));
    assert_non_null(strstr(line, "\"subject\":\"root\""));
    free(log);
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, fixture_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_method_has_a_rule_and_no_other_has),
        CASE(nothing_is_open_to_who_has_no_proof),
        CASE(a_sidecar_is_no_operator),
        CASE(an_operator_is_no_sidecar),
        CASE(roles_allow_what_they_are_for),
        CASE(nobody_calls_what_his_role_is_not_for),
        CASE(a_bad_token_is_refused_and_the_refusal_logged),
        CASE(what_an_operator_does_is_logged_with_the_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
