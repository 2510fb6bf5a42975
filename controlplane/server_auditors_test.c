/* What people do and read at the control plane, and what they are refused, is in the log. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

#include "api/approvals.pb-c.h"
#include "api/policy.pb-c.h"
#include "controlplane/testing/fixture.h"

static char *text_of(const char *text)
{
    return (char *)(uintptr_t)text;
}

/* ---- what was recorded ---------------------------------------------------------------------- */

struct actions {
    Chaperone__V1__Record *items[64]; /* owned */
    size_t count;
};

/* All actions so far, oldest first. Who reads them is always the same one, once logged in. */
static struct actions read_actions(struct fixture *f, const char *token)
{
    struct actions all = {.count = 0};
    Chaperone__V1__SearchRequest request = CHAPERONE__V1__SEARCH_REQUEST__INIT;
    char *kinds[] = {text_of("action")};
    request.kinds = kinds;
    request.n_kinds = 1;
    struct listening *l = listen_to(f->channel, &chaperone__v1__audit__descriptor, "Search", token);
    listening_send(l, &request.base);
    listening_half_close(l);
    assert_int_equal(listening_end(l).code, RPC_OK);
    for (size_t m = 0; m < listening_count(l); m++) {
        const Chaperone__V1__SearchResponse *r =
            (const Chaperone__V1__SearchResponse *)listening_await(l, m);
        for (size_t i = 0; i < r->n_entries; i++) {
            assert_true(all.count < 64);
            all.items[all.count] = chaperone__v1__record__unpack(NULL, r->entries[i]->record.len,
                                                                 r->entries[i]->record.data);
            assert_non_null(all.items[all.count++]);
        }
    }
    listening_finish(l);
    return all;
}

static void actions_finish(struct actions *a)
{
    for (size_t i = 0; i < a->count; i++) {
        chaperone__v1__record__free_unpacked(a->items[i], NULL);
    }
}

static size_t count_of(const struct actions *a, const char *action, const char *subject)
{
    size_t count = 0;
    for (size_t i = 0; i < a->count; i++) {
        const Chaperone__V1__Action *one = a->items[i]->action;
        const char *by = one->by == NULL ? "" : one->by->subject;
        count += strcmp(one->action, action) == 0 && strcmp(by, subject) == 0 ? 1 : 0;
    }
    return count;
}

/* The only one. */
static const Chaperone__V1__Action *find(const struct actions *a, const char *action,
                                         const char *subject)
{
    const Chaperone__V1__Action *found = NULL;
    assert_int_equal(count_of(a, action, subject), 1);
    for (size_t i = 0; i < a->count; i++) {
        const Chaperone__V1__Action *one = a->items[i]->action;
        const char *by = one->by == NULL ? "" : one->by->subject;
        if (strcmp(one->action, action) == 0 && strcmp(by, subject) == 0) {
            found = one;
        }
    }
    if (found == NULL) { /* cannot be: there is one */
        fail_msg("no %s by %s", action, subject);
        abort();
    }
    assert_non_null(strstr(found->from, "127.0.0.1"));
    return found;
}

static enum rpc_code search(struct fixture *f, const char *method, const char *token,
                            const char *text)
{
    Chaperone__V1__SearchRequest request = CHAPERONE__V1__SEARCH_REQUEST__INIT;
    request.text = text_of(text);
    struct listening *l = listen_to(f->channel, &chaperone__v1__audit__descriptor, method, token);
    listening_send(l, &request.base);
    listening_half_close(l);
    enum rpc_code code = strcmp(method, "Tail") == 0 ? RPC_OK : listening_end(l).code;
    listening_finish(l);
    return code;
}

static enum rpc_code call(struct fixture *f, const ProtobufCServiceDescriptor *service,
                          const char *method, const ProtobufCMessage *request, const char *token)
{
    struct answer a = fixture_call(f->channel, service, method, request, token, 0);
    enum rpc_code code = a.status.code;
    answer_finish(&a);
    return code;
}

static enum rpc_code ask_status(struct fixture *f, const char *token)
{
    Chaperone__V1__StatusRequest request = CHAPERONE__V1__STATUS_REQUEST__INIT;
    return call(f, &chaperone__v1__administration__descriptor, "Status", &request.base, token);
}

/* ---- tests ---------------------------------------------------------------------------------- */

static void a_search_is_recorded_once_with_what_was_asked(void **state)
{
    struct fixture *f = *state;
    char *ann = fixture_token(f, "ann", "auditors"), *bob = fixture_token(f, "bob", "auditors");
    assert_int_equal(search(f, "Search", ann, "salary"), RPC_OK);
    struct actions all = read_actions(f, bob);
    const Chaperone__V1__Action *a = find(&all, "search", "ann");
    assert_string_equal(a->object, "text \"salary\"");
    assert_int_equal(a->by->assurance, CHAPERONE__V1__ASSURANCE__VERIFIED);
    assert_string_equal(a->by->groups[0], "auditors");
    assert_int_equal(count_of(&all, "search", "bob"), 0); /* it does not find itself */
    actions_finish(&all);
    all = read_actions(f, bob);
    assert_string_equal(find(&all, "search", "bob")->object, "kind \"action\"");
    actions_finish(&all);
    free(ann);
    free(bob);
}

static void a_login_is_recorded_once_with_its_roles(void **state)
{
    struct fixture *f = *state;
    char *ann = fixture_token(f, "ann", "admins"), *bob = fixture_token(f, "bob", "auditors");
    for (int i = 0; i < 3; i++) {
        assert_int_equal(ask_status(f, ann), RPC_OK);
    }
    struct actions all = read_actions(f, bob);
    assert_string_equal(find(&all, "login", "ann")->object, "roles admin");
    assert_string_equal(find(&all, "login", "bob")->object, "roles auditor");
    actions_finish(&all);
    free(ann);
    free(bob);
}

/* Who looks at the status reads nothing of what agents did, however often. */
static void polling_records_nothing(void **state)
{
    struct fixture *f = *state;
    char *ann = fixture_token(f, "ann", "admins");
    Chaperone__V1__ListSessionsRequest list = CHAPERONE__V1__LIST_SESSIONS_REQUEST__INIT;
    for (int i = 0; i < 5; i++) {
        assert_int_equal(ask_status(f, ann), RPC_OK);
        assert_int_equal(call(f, &chaperone__v1__sessions__descriptor, "List", &list.base, ann),
                         RPC_OK);
    }
    struct actions all = read_actions(f, ann);
    size_t own = count_of(&all, "start", "") + count_of(&all, "policy", "");
    assert_int_equal(all.count - own, 1); /* the login */
    actions_finish(&all);
    free(ann);
}

static void reading_what_is_held_is_recorded(void **state)
{
    struct fixture *f = *state;
    char *ann = fixture_token(f, "ann", "approvers"), *bob = fixture_token(f, "bob", "auditors");
    Chaperone__V1__ListApprovalsRequest list = CHAPERONE__V1__LIST_APPROVALS_REQUEST__INIT;
    Chaperone__V1__GetApprovalRequest get = CHAPERONE__V1__GET_APPROVAL_REQUEST__INIT;
    list.resource = text_of("orders");
    get.id = text_of("0199");
    assert_int_equal(call(f, &chaperone__v1__approvals__descriptor, "List", &list.base, ann),
                     RPC_OK);
    assert_int_equal(call(f, &chaperone__v1__approvals__descriptor, "Get", &get.base, ann),
                     RPC_NOT_FOUND);
    struct actions all = read_actions(f, bob);
    assert_string_equal(find(&all, "approvals_list", "ann")->object,
                        "waiting, resource \"orders\"");
    assert_string_equal(find(&all, "approvals_get", "ann")->object, "approval \"0199\"");
    actions_finish(&all);
    free(ann);
    free(bob);
}

static void what_changes_is_recorded(void **state)
{
    struct fixture *f = *state;
    char *root = fixture_token(f, "root", "admins");
    Chaperone__V1__PushPolicyRequest push = CHAPERONE__V1__PUSH_POLICY_REQUEST__INIT;
    Chaperone__V1__CreateJoinTokenRequest join = CHAPERONE__V1__CREATE_JOIN_TOKEN_REQUEST__INIT;
    static const char policy[] = "version: 1\nrules:\n  - {name: reads, effect: allow, "
                                 "match: {sql: {commands: [read]}}}\n";
    push.source.data = (uint8_t *)(uintptr_t)policy;
    push.source.len = sizeof(policy) - 1;
    push.message = text_of("reads only");
    join.name = text_of("web-1");
    struct answer a =
        fixture_call(f->channel, &chaperone__v1__policies__descriptor, "Push", &push.base, root, 0);
    assert_int_equal(a.status.code, RPC_OK);
    const Chaperone__V1__PushPolicyResponse *pushed =
        (const Chaperone__V1__PushPolicyResponse *)a.reply;
    assert_int_equal(
        call(f, &chaperone__v1__administration__descriptor, "CreateJoinToken", &join.base, root),
        RPC_OK);
    struct actions all = read_actions(f, root);
    const Chaperone__V1__Action *policy_action = find(&all, "policy", "root");
    assert_non_null(strstr(policy_action->object, pushed->hash));
    assert_non_null(strstr(policy_action->object, "revision 2"));
    assert_string_equal(policy_action->reason, "reads only");
    assert_string_equal(find(&all, "join_token", "root")->object, "sidecar \"web-1\"");
    actions_finish(&all);
    answer_finish(&a);
    free(root);
}

static const char *reason_of(const struct actions *a, const char *action)
{
    for (size_t i = 0; i < a->count; i++) {
        if (strcmp(a->items[i]->action->action, action) == 0) {
            assert_non_null(strstr(a->items[i]->action->object, "configuration "));
            assert_non_null(strstr(a->items[i]->action->from, "file /"));
            return a->items[i]->action->reason;
        }
    }
    fail_msg("no %s", action);
    return NULL;
}

static void what_the_configuration_changes_is_recorded_by_name(void **state)
{
    struct fixture *f = *state;
    const struct fixture_config changed = {.agents = "others",
                                           .extra = "watch: {silent_after: 1m}\n"};
    char *bob = fixture_token(f, "bob", "auditors");
    struct err_text why = {.text = ""};
    fixture_write_config(f, &changed);
    assert_int_equal(server_reload(f->server, &why), OK);
    struct actions all = read_actions(f, bob);
    assert_non_null(strstr(reason_of(&all, "start"), "resource orders added"));
    const char *reason = reason_of(&all, "reload");
    assert_non_null(strstr(reason, "watch added"));
    assert_non_null(strstr(reason, " changed"));
    assert_null(strstr(reason, "resource orders"));
    assert_null(strstr(reason, "removed"));
    actions_finish(&all);
    free(bob);
}

static void a_refusal_says_who_and_what(void **state)
{
    struct fixture *f = *state;
    char *eve = fixture_token(f, "eve", "agents"), *bob = fixture_token(f, "bob", "auditors");
    struct listening *l = listen_to(f->channel, &chaperone__v1__audit__descriptor, "Search", eve);
    assert_int_equal(listening_end(l).code, RPC_PERMISSION_DENIED);
    listening_finish(l);
    assert_int_equal(ask_status(f, NULL), RPC_UNAUTHENTICATED);
    struct actions all = read_actions(f, bob);
    const Chaperone__V1__Action *known = find(&all, "refused", "eve");
    assert_string_equal(known->object, "Audit.Search");
    assert_non_null(strstr(known->error, "has no role"));
    const Chaperone__V1__Action *stranger = find(&all, "refused", "");
    assert_string_equal(stranger->object, "Administration.Status");
    assert_non_null(strstr(stranger->error, "a token is needed"));
    assert_int_equal(count_of(&all, "login", "eve"), 0);
    actions_finish(&all);
    free(eve);
    free(bob);
}

/* The disk takes nothing any more, sockets do. */
static void limit_files(rlim_t size)
{
    struct rlimit limit;
    (void)signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
    limit.rlim_cur = size;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

static void what_cannot_be_recorded_is_not_read(void **state)
{
    struct fixture *f = *state;
    char *ann = fixture_token(f, "ann", "auditors");
    Chaperone__V1__ListApprovalsRequest list = CHAPERONE__V1__LIST_APPROVALS_REQUEST__INIT;
    assert_int_equal(search(f, "Search", ann, "salary"), RPC_OK);
    limit_files(1);
    enum rpc_code searched = search(f, "Search", ann, "salary");
    enum rpc_code listed = call(f, &chaperone__v1__approvals__descriptor, "List", &list.base, ann);
    enum rpc_code looked = ask_status(f, ann);
    limit_files(RLIM_INFINITY);
    assert_int_equal(searched, RPC_UNAVAILABLE);
    assert_int_equal(listed, RPC_UNAVAILABLE);
    assert_int_equal(looked, RPC_OK);
    struct actions all = read_actions(f, ann);
    assert_int_equal(count_of(&all, "search", "ann"), 1);
    assert_int_equal(count_of(&all, "approvals_list", "ann"), 0);
    actions_finish(&all);
    free(ann);
}

enum { FLOOD = 2000 };

static void a_flood_of_bad_tokens_makes_few_records(void **state)
{
    struct fixture *f = *state;
    char *bob = fixture_token(f, "bob", "auditors"), bad[64];
    for (int i = 0; i < FLOOD; i++) {
        (void)snprintf(bad, sizeof(bad), "not-a-token-%d", i);
        assert_int_equal(ask_status(f, bad), RPC_UNAUTHENTICATED);
    }
    fixture_restart(f); /* counts that are not due yet are recorded at the end */
    struct actions all = read_actions(f, bob);
    size_t refused = 0;
    bool is_counted = false;
    for (size_t i = 0; i < all.count; i++) {
        const Chaperone__V1__Action *a = all.items[i]->action;
        refused += strcmp(a->action, "refused") == 0 ? 1 : 0;
        is_counted = is_counted || strcmp(a->object, "1999 more calls: Administration.Status") == 0;
    }
    assert_int_equal(refused, 2);
    assert_true(is_counted);
    actions_finish(&all);
    free(bob);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_search_is_recorded_once_with_what_was_asked),
        TEST(a_login_is_recorded_once_with_its_roles),
        TEST(polling_records_nothing),
        TEST(reading_what_is_held_is_recorded),
        TEST(what_changes_is_recorded),
        TEST(what_the_configuration_changes_is_recorded_by_name),
        TEST(a_refusal_says_who_and_what),
        TEST(what_cannot_be_recorded_is_not_read),
        TEST(a_flood_of_bad_tokens_makes_few_records),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
