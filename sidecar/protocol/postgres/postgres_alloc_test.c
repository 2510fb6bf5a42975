/* A statement whose shape was seen before takes no memory: not on its way to the target, and not
 * its answer, in no mode of the protocol. Counted, not measured. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/testing/alloc_fail.h"
#include "sidecar/protocol/postgres/postgres_fixture.h"
#include "sidecar/protocol/postgres/postgres_messages.h"

enum { WARM = 200, COUNTED = 100 };

struct test {
    struct fixture f;
    struct buffer ask, answer;
};

static int setup(void **state)
{
    struct test *t = calloc(1, sizeof(*t));
    assert_non_null(t);
    fixture_init(&t->f);
    buffer_init(&t->ask, 1 << 20);
    buffer_init(&t->answer, 1 << 20);
    fixture_login(&t->f);
    *state = t;
    return 0;
}

static int teardown(void **state)
{
    struct test *t = *state;
    fixture_finish(&t->f);
    buffer_finish(&t->ask);
    buffer_finish(&t->answer);
    free(t);
    return 0;
}

typedef void ask_fn(struct test *t, int n);

static void ask_simply(struct test *t, int n)
{
    char text[80];
    (void)snprintf(text, sizeof(text), "SELECT abalance FROM pgbench_accounts WHERE aid = %d;",
                   100000 + n);
    query(&t->ask, text);
    row(&t->answer, "0");
    complete(&t->answer, "SELECT 1");
    ready(&t->answer, 'I');
}

/* Of a statement with one parameter, in text. */
static void bind_and_execute(struct test *t, const char *name, int n)
{
    static const uint8_t before[] = {0, 0, 0, 1, 0, 0, 0, 6}, behind[] = {0, 0};
    uint8_t body[64] = {0};
    char value[8];
    size_t size = strlen(name) + 1;
    (void)snprintf(value, sizeof(value), "%06d", n);
    memcpy(body + 1, name, size);
    memcpy(body + 1 + size, before, sizeof(before));
    memcpy(body + 1 + size + sizeof(before), value, 6);
    memcpy(body + 1 + size + sizeof(before) + 6, behind, sizeof(behind));
    ok(pg_write_body(&t->ask, 'B', bytes_of(body, 1 + size + sizeof(before) + 6 + sizeof(behind))));
    execute(&t->ask);
    ok(pg_write_sync(&t->ask));
    answers(&t->answer, "2");
    row(&t->answer, "0");
    complete(&t->answer, "SELECT 1");
    ready(&t->answer, 'I');
}

static const char parameter[] = "SELECT abalance FROM pgbench_accounts WHERE aid = $1;";

static void ask_extended(struct test *t, int n)
{
    parse(&t->ask, "", parameter);
    answers(&t->answer, "1");
    bind_and_execute(t, "", n);
}

static void ask_prepared(struct test *t, int n)
{
    if (n == 0) {
        parse(&t->ask, "p", parameter);
        answers(&t->answer, "1");
    }
    bind_and_execute(t, "p", n);
}

/* Allocations of one statement: the way there, and back. */
static size_t run(struct test *t, ask_fn *ask, int n)
{
    buffer_clear(&t->ask);
    buffer_clear(&t->answer);
    ask(t, n);
    buffer_clear(&t->f.to_agent);
    buffer_clear(&t->f.to_target);
    size_t outcomes = t->f.outcome_count;
    alloc_fail_start(0);
    fixture_agent(&t->f, buffer_bytes(&t->ask));
    fixture_target(&t->f, buffer_bytes(&t->answer));
    size_t count = alloc_fail_stop();
    assert_true(holds(&t->f.to_target, "abalance") || ask == ask_prepared);
    assert_true(buffer_size(&t->f.to_agent) > 0);
    assert_int_equal(t->f.outcome_count, outcomes + 1);
    return count;
}

static void check(struct test *t, ask_fn *ask, size_t expected)
{
    size_t counted = 0;
    for (int n = 0; n < WARM; n++) {
        (void)run(t, ask, n);
    }
    for (int n = WARM; n < WARM + COUNTED; n++) {
        counted += run(t, ask, n);
    }
    assert_int_equal(counted, expected * COUNTED);
}

static void test_simple(void **state)
{
    check(*state, ask_simply, 0);
}

static void test_extended(void **state)
{
    check(*state, ask_extended, 0);
}

static void test_prepared(void **state)
{
    check(*state, ask_prepared, 0);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {CASE(test_simple), CASE(test_extended), CASE(test_prepared)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
