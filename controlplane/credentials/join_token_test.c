#include "controlplane/credentials/join_token.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/testing/scratch.h"

struct fixture {
    char directory[SCRATCH_SIZE];
    struct store *store;
};

static const int64_t minute = INT64_C(60000000000);

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    char path[96];
    scratch_create(f->directory);
    (void)snprintf(path, sizeof(path), "%s/db", f->directory);
    assert_int_equal(store_open_sqlite(path, NULL, &f->store, NULL), OK);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    store_close(f->store);
    scratch_remove(f->directory);
    free(f);
    return 0;
}

static void make(struct fixture *f, char token[JOIN_TOKEN_SIZE])
{
    int64_t expires = 0;
    assert_int_equal(
        join_token_create(f->store, "node", "test", 10 * minute, minute, token, &expires, NULL),
        OK);
    assert_int_equal(expires, 11 * minute);
}

static void assert_refused(struct fixture *f, struct bytes token, int64_t now, const char *words)
{
    struct join_token_origin origin;
    struct err_text why = {0};
    assert_int_equal(join_token_use(f->store, token, now, &origin, &why), ERR_DENIED);
    assert_non_null(strstr(why.text, words));
}

static void it_opens_once(void **state)
{
    char token[JOIN_TOKEN_SIZE];
    struct join_token_origin origin;
    make(*state, token);
    struct fixture *f = *state;
    assert_int_equal(join_token_use(f->store, bytes_of_string(token), 2 * minute, &origin, NULL),
                     OK);
    assert_string_equal(origin.name, "node");
    assert_string_equal(origin.created_by, "test");
    assert_refused(*state, bytes_of_string(token), 2 * minute, "used before");
}

static void it_expires(void **state)
{
    char token[JOIN_TOKEN_SIZE];
    make(*state, token);
    assert_refused(*state, bytes_of_string(token), 12 * minute, "has expired");
}

static void any_other_is_unknown(void **state)
{
    char token[JOIN_TOKEN_SIZE];
    make(*state, token);
    token[20] ^= 1;
    assert_refused(*state, bytes_of_string(token), minute, "unknown");
    assert_refused(*state, bytes_of_string(""), minute, "unknown");
    assert_refused(*state, bytes_of(token, 30), minute, "unknown");
}

static void each_is_another(void **state)
{
    char one[JOIN_TOKEN_SIZE], two[JOIN_TOKEN_SIZE];
    make(*state, one);
    make(*state, two);
    assert_string_not_equal(one, two);
}

static void a_wrong_lifetime_is_refused(void **state)
{
    struct fixture *f = *state;
    char token[JOIN_TOKEN_SIZE];
    int64_t expires = 0;
    struct err_text why = {0};
    assert_int_equal(
        join_token_create(f->store, "n", "t", INT64_C(25) * 60 * minute, 0, token, &expires, &why),
        ERR_INVALID);
    assert_non_null(strstr(why.text, "24 hours"));
    assert_int_equal(join_token_create(f->store, "n", "t", -1, 0, token, &expires, &why),
                     ERR_INVALID);
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        CASE(it_opens_once),
        CASE(it_expires),
        CASE(any_other_is_unknown),
        CASE(each_is_another),
        CASE(a_wrong_lifetime_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
