#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "sidecar/operation/question.h"

static void test_all_that_is_known_is_asked(void **state)
{
    (void)state;
    struct arena *arena = arena_create(1 << 12, 1 << 20);
    assert_non_null(arena);
    char *columns[] = {"id", "ssn"}, *groups[] = {"staff"}, *commands[] = {"SELECT"};
    char *accesses[] = {"read", "export"};
    Chaperone__V1__Claim claim = CHAPERONE__V1__CLAIM__INIT;
    Chaperone__V1__Claim *claims[] = {&claim};
    claim.path = "department";
    claim.value = "billing";
    Chaperone__V1__Identity identity = CHAPERONE__V1__IDENTITY__INIT;
    identity.subject = "agent-7";
    identity.groups = groups;
    identity.n_groups = 1;
    identity.claims = claims;
    identity.n_claims = 1;
    Chaperone__V1__Delegate delegate = CHAPERONE__V1__DELEGATE__INIT;
    Chaperone__V1__Delegate *delegates[] = {&delegate};
    delegate.subject = "ana";
    Chaperone__V1__SessionOpened opened = CHAPERONE__V1__SESSION_OPENED__INIT;
    opened.identity = &identity;
    opened.resource = "orders-db";
    opened.protocol = "postgres";
    opened.on_behalf_of = delegates;
    opened.n_on_behalf_of = 1;
    Chaperone__V1__Object object = CHAPERONE__V1__OBJECT__INIT;
    Chaperone__V1__Object *objects[] = {&object};
    object.kind = "table";
    object.name = "customers";
    object.access = "read";
    object.columns = columns;
    object.n_columns = 2;
    Chaperone__V1__Intent intent = CHAPERONE__V1__INTENT__INIT;
    intent.commands = commands;
    intent.n_commands = 1;
    intent.objects = objects;
    intent.n_objects = 1;
    intent.accesses = accesses;
    intent.n_accesses = 2;
    intent.without_where = true;

    struct policy_request request;
    assert_true(question_ask(arena, &opened, &intent, 1790000000, &request));
    assert_string_equal(request.subject, "agent-7");
    assert_string_equal(request.groups[0], "staff");
    assert_string_equal(request.on_behalf_of[0], "ana");
    assert_int_equal(request.claim_count, 1);
    assert_string_equal(request.claims[0].path, "department");
    assert_string_equal(request.claims[0].value, "billing");
    assert_string_equal(request.resource, "orders-db");
    assert_string_equal(request.protocol, "postgres");
    assert_int_equal(request.now_unix_s, 1790000000);
    assert_string_equal(request.commands[0], "SELECT");
    assert_int_equal(request.access_count, 2);
    assert_string_equal(request.accesses[1], "export");
    assert_true(request.without_where);
    assert_int_equal(request.object_count, 1);
    assert_string_equal(request.objects[0].name, "customers");
    assert_int_equal(request.objects[0].column_count, 2);
    assert_string_equal(request.objects[0].columns[1], "ssn");
    arena_destroy(arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_all_that_is_known_is_asked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
