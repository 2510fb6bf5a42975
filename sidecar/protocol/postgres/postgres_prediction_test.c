/* The target is asked about an operation that waits for people: what it may say, what a dry run is,
 * and that nothing of the questions is left when it ends meanwhile. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "sidecar/protocol/postgres/postgres_hold_testing.h"

/* ---- it ends while the target is asked ---- */

static void cancel(struct test *t)
{
    protocol_postgres.on_signal(t->f.protocol);
    fixture_decide(&t->f, t->f.held);
}

static void test_cancelled_while_people_think(void **state)
{
    struct test *t = *state;
    ask(t, statement);
    answer_plan(t, 'I');
    cancel(t);
    assert_string_equal(types(&t->f.to_agent), "NEZ");
    assert_true(holds(&t->f.to_agent, "57014"));
    assert_int_equal(buffer_size(&t->f.to_target), 0);
    assert_false(t->f.second); /* there is nothing to cancel at the target */
}

static void test_cancelled_while_the_target_is_asked(void **state)
{
    struct test *t = *state;
    begin(t);
    query(&t->b, statement);
    ask(t, "SELECT 1");
    answer(t, "SAVEPOINT chaperone_prediction", NULL, "SAVEPOINT", 'T');
    answer(t, "SET LOCAL transaction_read_only", NULL, "SET", 'T');
    cancel(t);
    assert_true(t->f.second);
    assert_string_equal(types(&t->f.to_agent), "N");
    server_error(&t->b, "57014");
    ready(&t->b, 'E');
    buffer_clear(&t->f.to_target);
    target(t);
    answer(t, "ROLLBACK TO SAVEPOINT", NULL, "ROLLBACK", 'T');
    assert_string_equal(types(&t->f.to_agent), "N");
    assert_true(holds(&t->f.to_target, "RELEASE SAVEPOINT"));
    buffer_clear(&t->f.to_target);
    target_completes(t, "RELEASE", 'T');
    assert_string_equal(types(&t->f.to_target), "QQ"); /* one that fails, and the next one */
    assert_false(holds(&t->f.to_target, "DELETE"));
    assert_int_equal(t->f.ask_count, 0);
    target_fails(t, "42601", 'E');
    assert_string_equal(types(&t->f.to_agent), "NEZ");
    assert_true(holds(&t->f.to_agent, "57014"));
}

static void test_cancelled_in_a_batch(void **state)
{
    struct test *t = *state;
    batch(&t->b, statement);
    agent(t);
    buffer_clear(&t->f.to_target);
    cancel(t);
    assert_true(t->f.second);
    assert_int_equal(buffer_size(&t->f.to_target), 0);
    answers(&t->b, "1");
    server_error(&t->b, "57014");
    target(t);
    assert_string_equal(types(&t->f.to_agent), "N1E");
    assert_string_equal(types(&t->f.to_target), "S");
    ready(&t->b, 'I');
    target(t);
    assert_string_equal(types(&t->f.to_agent), "N1EZ");
    assert_false(t->f.closed);
}

static void start_dry_run(struct test *t)
{
    t->f.hold_runs_dry = true;
    query(&t->b, statement);
    ask(t, "SELECT 1");
    answer_plan(t, 'I');
    answer(t, "BEGIN", NULL, "BEGIN", 'T');
    assert_string_equal(types(&t->f.to_target), "CCPBECCS");
    assert_true(holds(&t->f.to_target, "DELETE"));
}

static void test_a_dry_run_counts_and_is_rolled_back(void **state)
{
    struct test *t = *state;
    start_dry_run(t);
    const struct pg_message told = {
        .severity = "NOTICE", .sqlstate = "00000", .message = "what a trigger says"};
    ok(pg_write_notice(&t->b, &told));
    target(t);
    answer(t, statement, NULL, "DELETE 3", 'T');
    answer(t, "ROLLBACK", NULL, "ROLLBACK", 'I');
    assert_int_equal(t->f.ask_count, 1);
    assert_true(t->f.asks[0].has_exact);
    assert_int_equal(t->f.asks[0].exact_rows, 3);
    assert_false(holds(&t->f.to_agent, "trigger")); /* before anybody has allowed it */
    assert_string_equal(types(&t->f.to_agent), "N");
}

/* Nothing of the agent's may become part of what is rolled back, nor be told its state. */
static void end_in_dry_run(struct test *t, enum fixture_held decision)
{
    start_dry_run(t);
    buffer_clear(&t->f.to_target);
    fixture_decide(&t->f, decision);
    assert_int_equal(buffer_size(&t->f.to_target), 0);
    assert_string_equal(types(&t->f.to_agent), "N");
    assert_true(t->f.second); /* the run is cancelled */
    target_fails(t, "57014", 'E');
    assert_string_equal(types(&t->f.to_target), "CCPBECCS");
    assert_true(holds(&t->f.to_target, "ROLLBACK"));
    assert_string_equal(types(&t->f.to_agent), "N");
    buffer_clear(&t->f.to_target);
    target_completes(t, "ROLLBACK", 'I');
}

static void test_expired_in_a_dry_run(void **state)
{
    struct test *t = *state;
    end_in_dry_run(t, FIXTURE_REFUSED);
    assert_string_equal(types(&t->f.to_agent), "NEZ");
    assert_string_equal(types(&t->f.to_target), "Q");
    assert_true(holds(&t->f.to_target, "SELECT 1"));
    assert_int_equal(t->f.ask_count, 0);
}

static void test_allowed_in_a_dry_run(void **state)
{
    struct test *t = *state;
    end_in_dry_run(t, FIXTURE_APPROVED);
    assert_string_equal(types(&t->f.to_target), "QQ");
    assert_true(holds(&t->f.to_target, statement));
}

static void test_an_agent_that_leaves_while_the_target_is_asked(void **state)
{
    struct test *t = *state;
    start_dry_run(t);
    buffer_clear(&t->f.to_target);
    t->f.held = FIXTURE_NOT_HELD; /* as the session does */
    assert_int_equal(protocol_postgres.on_end(t->f.protocol, SIDE_AGENT), PROTOCOL_MORE);
    fixture_decide(&t->f, FIXTURE_NOT_HELD); /* what waited is offered again */
    assert_string_equal(types(&t->f.to_target), "X");
    target_completes(t, "DELETE 3", 'T');
    assert_string_equal(types(&t->f.to_target), "X");
    assert_true(t->f.closed);
    assert_int_equal(t->f.hold_count, 1);
    assert_int_equal(t->f.intent_count, 1);
}

/* ---- what a target may say ---- */

static void test_a_plan_that_cannot_be_read(void **state)
{
    struct test *t = *state;
    ask(t, statement);
    answer_plan_of(t, "DELETE", NULL, "[{\"Plan\": 7", 'I');
    assert_int_equal(t->f.ask_count, 1);
    assert_string_equal(t->f.asks[0].plan, "");
    assert_true(t->f.asks[0].rows < 0);
}

static void test_a_plan_without_an_end(void **state)
{
    struct test *t = *state;
    static char line[10001];
    memset(line, 'x', sizeof(line) - 1);
    ask(t, statement);
    answer(t, "BEGIN READ ONLY", NULL, "BEGIN", 'T');
    for (int i = 0; i < 1000; i++) { /* 10 MB */
        row(&t->b, line);
        target(t);
    }
    answer(t, "EXPLAIN DELETE", "the end", "EXPLAIN", 'T');
    answer(t, "EXPLAIN (FORMAT JSON)", json, "EXPLAIN", 'T');
    answer(t, "ROLLBACK", NULL, "ROLLBACK", 'I');
    assert_int_equal(t->f.ask_count, 1);
    assert_string_equal(t->f.asks[0].unavailable, "the plan is longer than is shown");
    assert_true(t->f.asks[0].plan[0] == 'x');
}

static void test_rows_that_are_none(void **state)
{
    struct test *t = *state;
    ask(t, statement);
    ok(pg_write_body(&t->b, 'D', bytes_of("\0\1\0\0\0\x09x", 7)));
    ok(pg_write_body(&t->b, 'D', bytes_of("\0\0", 2)));
    ok(pg_write_body(&t->b, 'D', bytes_of("\0\1\xff\xff\xff\xff", 6)));
    target(t);
    answer_plan(t, 'I');
    assert_int_equal(t->f.ask_count, 1);
    assert_string_equal(t->f.asks[0].plan, "Delete on orders");
}

/* People's tools read it as UTF-8, whatever the agent's client_encoding is. */
static void test_a_plan_in_another_encoding(void **state)
{
    struct test *t = *state;
    ask(t, statement);
    answer_plan_of(t, "DELETE", "Delete on b\374cher \303\274 \355\240\200 \303", json, 'I');
    assert_string_equal(t->f.asks[0].plan, "Delete on b?cher \303\274 ??? ?");
}

static void test_a_ready_that_is_none(void **state)
{
    struct test *t = *state;
    ask(t, statement);
    ok(pg_write_body(&t->b, 'Z', bytes_of("II", 2)));
    target(t);
    assert_true(t->f.closed);
    assert_int_equal(t->f.ask_count, 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup_hold, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_cancelled_while_people_think),
        TEST(test_cancelled_while_the_target_is_asked),
        TEST(test_cancelled_in_a_batch),
        TEST(test_a_dry_run_counts_and_is_rolled_back),
        TEST(test_expired_in_a_dry_run),
        TEST(test_allowed_in_a_dry_run),
        TEST(test_an_agent_that_leaves_while_the_target_is_asked),
        TEST(test_a_plan_that_cannot_be_read),
        TEST(test_a_plan_without_an_end),
        TEST(test_rows_that_are_none),
        TEST(test_a_plan_in_another_encoding),
        TEST(test_a_ready_that_is_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
