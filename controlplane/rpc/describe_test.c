#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "controlplane/rpc/describe.h"

static char *text_of(const char *text)
{
    return (char *)(uintptr_t)text;
}

static void test_a_search(void **state)
{
    (void)state;
    char out[DESCRIBE_SIZE];
    char *kinds[] = {text_of("intent"), text_of("outcome")};
    Chaperone__V1__SearchRequest request = CHAPERONE__V1__SEARCH_REQUEST__INIT;
    describe_search(&request, out);
    assert_string_equal(out, "everything");
    request.limit = 5;
    describe_search(&request, out);
    assert_string_equal(out, "everything, newest 5");
    request.identity = text_of("agent-7");
    request.since_unix_ns = INT64_C(1795250580000000000);
    request.text = text_of("salary of ann");
    request.verdict = CHAPERONE__V1__VERDICT__DENY;
    request.kinds = kinds;
    request.n_kinds = 2;
    describe_search(&request, out);
    assert_string_equal(out,
                        "identity \"agent-7\", since 2026-11-21T08:43:00.000000Z, text \"salary "
                        "of ann\", verdict deny, kind \"intent\", kind \"outcome\", newest 5");
}

static void test_hostile_texts_are_one_line_of_utf8(void **state)
{
    (void)state;
    char out[DESCRIBE_SIZE];
    Chaperone__V1__SearchRequest request = CHAPERONE__V1__SEARCH_REQUEST__INIT;
    request.text = text_of("a\nb\x1b[2J\xff");
    describe_search(&request, out);
    assert_string_equal(out, "text \"a\\nb\\x1b[2J\xef\xbf\xbd\"");
}

static void test_long_texts_are_cut(void **state)
{
    (void)state;
    char out[DESCRIBE_SIZE];
    char *long_one = malloc(100001);
    char *kinds[64];
    Chaperone__V1__SearchRequest request = CHAPERONE__V1__SEARCH_REQUEST__INIT;
    assert_non_null(long_one);
    memset(long_one, 'x', 100000);
    long_one[100000] = '\0';
    for (size_t i = 0; i < 64; i++) {
        kinds[i] = long_one;
    }
    request.identity = request.resource = request.session = request.text = request.table = long_one;
    request.kinds = kinds;
    request.n_kinds = 64;
    describe_search(&request, out);
    assert_true(strlen(out) < DESCRIBE_SIZE);
    assert_true(strlen(out) > 5 * DESCRIBE_TEXT_MAX);
    assert_non_null(strstr(out, "...\", resource"));
    free(long_one);
}

static void test_approvals(void **state)
{
    (void)state;
    char out[DESCRIBE_SIZE];
    Chaperone__V1__ListApprovalsRequest request = CHAPERONE__V1__LIST_APPROVALS_REQUEST__INIT;
    describe_approvals(&request, out);
    assert_string_equal(out, "waiting");
    request.include_ended = true;
    request.resource = text_of("orders");
    describe_approvals(&request, out);
    assert_string_equal(out, "all, resource \"orders\"");
    Chaperone__V1__ListStandingRequest standing = CHAPERONE__V1__LIST_STANDING_REQUEST__INIT;
    describe_standing(&standing, out);
    assert_string_equal(out, "standing");
    standing.include_ended = true;
    standing.identity = text_of("agent-7");
    standing.before = text_of("0192");
    describe_standing(&standing, out);
    assert_string_equal(out, "all standing, identity \"agent-7\", before \"0192\"");
    describe_one("approval", "0192", out);
    assert_string_equal(out, "approval \"0192\"");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_search),
        cmocka_unit_test(test_hostile_texts_are_one_line_of_utf8),
        cmocka_unit_test(test_long_texts_are_cut),
        cmocka_unit_test(test_approvals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
