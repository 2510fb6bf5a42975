/* Legal holds: who may place and lift them, and what they must say. */
#include <stdlib.h>

#include "controlplane/testing/fixture.h"

static char *text_of(const char *text)
{
    return (char *)(uintptr_t)text;
}

static struct answer call(struct fixture *f, const char *method, const ProtobufCMessage *request,
                          const char *token)
{
    return fixture_call(f->channel, &chaperone__v1__retention__descriptor, method, request, token,
                        0);
}

static struct answer place(struct fixture *f, const char *token, const char *resource,
                           const char *identity, const char *reason)
{
    Chaperone__V1__PlaceHoldRequest request = CHAPERONE__V1__PLACE_HOLD_REQUEST__INIT;
    request.resource = text_of(resource);
    request.identity = text_of(identity);
    request.reason = text_of(reason);
    return call(f, "PlaceHold", &request.base, token);
}

static struct answer lift(struct fixture *f, const char *token, const char *id, const char *reason)
{
    Chaperone__V1__LiftHoldRequest request = CHAPERONE__V1__LIFT_HOLD_REQUEST__INIT;
    request.id = text_of(id);
    request.reason = text_of(reason);
    return call(f, "LiftHold", &request.base, token);
}

static size_t count(struct fixture *f, const char *token, bool include_lifted)
{
    Chaperone__V1__ListHoldsRequest request = CHAPERONE__V1__LIST_HOLDS_REQUEST__INIT;
    request.include_lifted = include_lifted;
    struct answer a = call(f, "ListHolds", &request.base, token);
    assert_int_equal(a.status.code, RPC_OK);
    size_t n = ((const Chaperone__V1__ListHoldsResponse *)a.reply)->n_holds;
    answer_finish(&a);
    return n;
}

static void only_an_admin_places_and_lifts(void **state)
{
    struct fixture *f = *state;
    static const char *const groups[] = {"approvers", "auditors", "agents", NULL};
    char *admin = fixture_token(f, "ann", "admins");
    for (size_t i = 0; groups[i] != NULL; i++) {
        char *token = fixture_token(f, "somebody", groups[i]);
        assert_answer(place(f, token, "orders", "", "why"), RPC_PERMISSION_DENIED, "");
        assert_answer(lift(f, token, "id", "why"), RPC_PERMISSION_DENIED, "");
        free(token);
    }
    assert_answer(place(f, NULL, "orders", "", "why"), RPC_UNAUTHENTICATED, "");
    assert_int_equal(count(f, admin, true), 0);
    char *auditor = fixture_token(f, "aud", "auditors");
    assert_answer(place(f, admin, "orders", "", "why"), RPC_OK, "");
    assert_int_equal(count(f, auditor, false), 1);
    free(auditor);
    free(admin);
}

static void a_hold_names_one_thing_and_a_reason(void **state)
{
    struct fixture *f = *state;
    char *admin = fixture_token(f, "ann", "admins");
    char *long_text = calloc(1, 5000);
    assert_non_null(long_text);
    memset(long_text, 'x', 4999);
    assert_answer(place(f, admin, "", "", "why"), RPC_INVALID_ARGUMENT, "one of");
    assert_answer(place(f, admin, "orders", "agent", "why"), RPC_INVALID_ARGUMENT, "one of");
    assert_answer(place(f, admin, long_text, "", "why"), RPC_INVALID_ARGUMENT, "one of");
    assert_answer(place(f, admin, "orders", "", ""), RPC_INVALID_ARGUMENT, "reason");
    assert_answer(place(f, admin, "orders", "", long_text), RPC_INVALID_ARGUMENT, "reason");
    assert_int_equal(count(f, admin, true), 0);
    free(long_text);
    free(admin);
}

static void a_hold_is_lifted_once(void **state)
{
    struct fixture *f = *state;
    char *admin = fixture_token(f, "ann", "admins");
    struct answer placed = place(f, admin, "", "agent-7", "case 7");
    assert_int_equal(placed.status.code, RPC_OK);
    const Chaperone__V1__LegalHold *hold = (const Chaperone__V1__LegalHold *)placed.reply;
    assert_string_equal(hold->identity, "agent-7");
    assert_string_equal(hold->created_by, "ann");
    fixture_restart(f);
    assert_int_equal(count(f, admin, false), 1);
    assert_answer(lift(f, admin, hold->id, ""), RPC_INVALID_ARGUMENT, "reason");
    assert_answer(lift(f, admin, "another", "over"), RPC_NOT_FOUND, "no such hold");
    assert_answer(lift(f, admin, hold->id, "over"), RPC_OK, "");
    assert_answer(lift(f, admin, hold->id, "over"), RPC_NOT_FOUND, "no such hold");
    assert_int_equal(count(f, admin, false), 0);
    assert_int_equal(count(f, admin, true), 1);
    answer_finish(&placed);
    free(admin);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(only_an_admin_places_and_lifts),
        TEST(a_hold_names_one_thing_and_a_reason),
        TEST(a_hold_is_lifted_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
