/* Batches of the extended protocol in which an operation waits for people, as in
 * postgres_hold_test. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "sidecar/protocol/postgres/postgres_hold_testing.h"

static void answer_batch(struct test *t)
{
    answers(&t->b, "2n");
    target_completes(t, "DELETE 3", 'I');
}

static void test_a_batch_waits_in_its_middle(void **state)
{
    struct test *t = *state;
    struct buffer rest;
    batch(&t->b, statement);
    agent(t);
    assert_string_equal(types(&t->f.to_target), "PHCCPBECCH");
    buffer_clear(&t->f.to_target);
    answers(&t->b, "1"); /* the agent's own */
    answer_to_question(&t->b, plan, "EXPLAIN");
    target(t);
    assert_string_equal(types(&t->f.to_agent), "N1");
    answer(t, "EXPLAIN (FORMAT JSON) DELETE", json, "EXPLAIN", 0);
    assert_string_equal(t->f.asks[0].plan, "Delete on orders");
    approve(t);
    buffer_init(&rest, 1024);
    bind(&rest, "", "");
    ok(pg_write_target(&rest, 'D', 'P', (struct bytes){0}));
    execute(&rest);
    ok(pg_write_sync(&rest));
    assert_true(bytes_equal(buffer_bytes(&t->f.to_target), buffer_bytes(&rest)));
    buffer_finish(&rest);
    answer_batch(t);
    assert_string_equal(types(&t->f.to_agent), "N12nCZ");
    assert_int_equal(t->f.outcome_count, 2); /* of what was prepared, and of what was run */
    assert_int_equal(t->f.outcomes[1].status, CHAPERONE__V1__STATUS__SUCCESS);
}

/* Nothing of it leaves before people have decided: neither the Parse nor the Bind. */
static void test_a_statement_waits_with_its_parse(void **state)
{
    struct test *t = *state;
    struct buffer whole;
    buffer_init(&whole, 1024);
    sequence(&whole, statement);
    fixture_agent(&t->f, buffer_bytes(&whole));
    assert_int_equal(t->f.intent_count, 1);
    answer_plan(t, 'I');
    assert_string_equal(t->f.asks[0].plan, "Delete on orders");
    buffer_clear(&t->f.to_target);
    approve(t);
    assert_true(bytes_equal(buffer_bytes(&t->f.to_target), buffer_bytes(&whole)));
    assert_int_equal(t->f.intent_count, 1);
    assert_int_equal(t->f.others, 0);
    buffer_finish(&whole);
    answers(&t->b, "12");
    target_completes(t, "DELETE 3", 'I');
    assert_string_equal(types(&t->f.to_agent), "N12CZ");
    assert_int_equal(t->f.outcome_count, 1);
}

static void test_a_refused_statement_leaves_nothing_of_its_parse(void **state)
{
    struct test *t = *state;
    parse(&t->b, "s", statement);
    bind(&t->b, "", "s");
    execute(&t->b);
    ok(pg_write_sync(&t->b));
    agent(t);
    answer_plan(t, 'I');
    refuse(t);
    assert_string_equal(types(&t->f.to_target), "PS"); /* one that fails there */
    assert_false(holds(&t->f.to_target, "DELETE"));
    target_fails(t, "42601", 'I');
    assert_string_equal(types(&t->f.to_agent), "NEZ");
    buffer_clear(&t->f.to_target);
    bind(&t->b, "", "s"); /* no such statement */
    ok(pg_write_sync(&t->b));
    agent(t);
    assert_false(holds(&t->f.to_target, "DELETE"));
}

static void in_two_pieces(struct test *t, side_fn *side, struct bytes all, size_t at)
{
    side(&t->f, bytes_of(all.data, at));
    side(&t->f, bytes_of(all.data + at, all.size - at));
}

static void test_a_batch_in_any_two_pieces(void **state)
{
    struct test *t = *state;
    struct buffer asked, said;
    buffer_init(&asked, 1024);
    buffer_init(&said, 4096);
    batch(&asked, statement);
    answers(&said, "1");
    answers_to_plan(&said);
    for (size_t at = 0; at < buffer_size(&said); at++) {
        forget_sent(t);
        t->f.intent_count = t->f.outcome_count = t->f.ask_count = 0;
        in_two_pieces(t, fixture_agent, buffer_bytes(&asked), at % buffer_size(&asked));
        in_two_pieces(t, fixture_target, buffer_bytes(&said), at);
        assert_int_equal(t->f.ask_count, 1);
        assert_string_equal(t->f.asks[0].plan, "Delete on orders");
        assert_string_equal(types(&t->f.to_target), "PHCCPBECCHCCPBECCH");
        approve(t);
        assert_string_equal(types(&t->f.to_target), "PHCCPBECCHCCPBECCHBDES");
        answer_batch(t);
        assert_string_equal(types(&t->f.to_agent), "N12nCZ");
        assert_int_equal(t->f.outcome_count, 2);
    }
    assert_int_equal(t->f.others, 0);
    buffer_finish(&asked);
    buffer_finish(&said);
}

/* There the error of the plan is the statement's: the server skips the rest, and so do we. */
static void test_a_plan_that_fails_in_a_batch_is_its_error(void **state)
{
    struct test *t = *state;
    batch(&t->b, statement);
    agent(t);
    buffer_clear(&t->f.to_target);
    answers(&t->b, "1");
    server_error(&t->b, "42P01");
    target(t);
    assert_string_equal(types(&t->f.to_agent), "N1E");
    assert_true(holds(&t->f.to_agent, "server's own"));
    assert_true(t->f.is_forgotten);
    assert_string_equal(types(&t->f.to_target), "S");
    ready(&t->b, 'I');
    target(t);
    assert_string_equal(types(&t->f.to_agent), "N1EZ");
    ask(t, "SELECT 1");
    assert_string_equal(types(&t->f.to_target), "SQ");
    assert_int_equal(t->f.ask_count, 0);
}

static void test_an_earlier_error_of_the_batch_withdraws_it(void **state)
{
    struct test *t = *state;
    batch(&t->b, statement);
    agent(t);
    buffer_clear(&t->f.to_target);
    server_error(&t->b, "42P01"); /* of its Parse; our question is skipped with the rest */
    target(t);
    assert_string_equal(types(&t->f.to_agent), "NE");
    assert_true(t->f.is_forgotten);
    assert_string_equal(t->f.why_withdrawn, "an earlier statement of the batch failed");
    assert_string_equal(types(&t->f.to_target), "S");
    ready(&t->b, 'I');
    target(t);
    assert_string_equal(types(&t->f.to_agent), "NEZ");
    assert_false(t->f.closed);
}

/* What a batch did before is not committed before its Sync. */
static void test_behind_an_execute_it_may_hold_locks(void **state)
{
    struct test *t = *state;
    parse(&t->b, "", "UPDATE orders SET n = 1");
    bind(&t->b, "", "");
    execute(&t->b);
    agent(t);
    answers(&t->b, "12");
    complete(&t->b, "UPDATE 1");
    target(t);
    batch(&t->b, statement);
    buffer_clear(&t->f.to_target);
    agent(t);
    assert_true(t->f.may_hold_locks);
    assert_true(holds(&t->f.to_target, "pg_locks"));
}

/* pgjdbc describes the statement in the same batch: what becomes known of it meanwhile makes no
 * other operation of it. */
static void test_types_that_become_known_while_it_waits(void **state)
{
    struct test *t = *state;
    static const uint8_t one_parameter[] = {0, 1, 0, 0, 0, 23};
    parse(&t->b, "", "DELETE FROM orders WHERE id = $1");
    ok(pg_write_target(&t->b, 'D', 'S', (struct bytes){0}));
    bind_values(&t->b, "", "", bytes_of("\0\0\0\1\0\0\0\1\x37\0\0", 11));
    execute(&t->b);
    ok(pg_write_sync(&t->b));
    agent(t);
    assert_int_equal(t->f.hold_count, 1);
    buffer_clear(&t->f.to_target);
    answers(&t->b, "1");
    ok(pg_write_body(&t->b, 't', bytes_of(one_parameter, sizeof(one_parameter))));
    answers(&t->b, "n");
    answers_to_plan(&t->b);
    target(t);
    buffer_clear(&t->f.to_target);
    approve(t);
    assert_string_equal(types(&t->f.to_target), "BES");
    assert_int_equal(t->f.hold_count, 1);
    assert_int_equal(t->f.others, 0);
}

/* A name that means something else once an earlier message has failed: nobody is asked about what
 * it may never have meant. */
static void test_a_name_that_may_change_its_meaning_is_decided_when_it_is_known(void **state)
{
    struct test *t = *state;
    parse(&t->b, "s", "DELETE FROM orders");
    ok(pg_write_sync(&t->b));
    agent(t);
    answers(&t->b, "1");
    ready(&t->b, 'I');
    target(t);
    ok(pg_write_target(&t->b, 'C', 'S', bytes_of_string("s")));
    parse(&t->b, "s", "DELETE FROM nothing");
    ok(pg_write_sync(&t->b));
    bind(&t->b, "", "s");
    agent(t);
    assert_int_equal(t->f.hold_count, 0);
    target_fails(t, "42601", 'I');
    assert_int_equal(t->f.others, 0);
    assert_int_equal(t->f.hold_count, 1);
    assert_string_equal(t->f.intents[t->f.intent_count - 1].text, "DELETE FROM orders");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup_hold, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_a_batch_waits_in_its_middle),
        TEST(test_a_statement_waits_with_its_parse),
        TEST(test_a_refused_statement_leaves_nothing_of_its_parse),
        TEST(test_a_batch_in_any_two_pieces),
        TEST(test_a_plan_that_fails_in_a_batch_is_its_error),
        TEST(test_an_earlier_error_of_the_batch_withdraws_it),
        TEST(test_behind_an_execute_it_may_hold_locks),
        TEST(test_types_that_become_known_while_it_waits),
        TEST(test_a_name_that_may_change_its_meaning_is_decided_when_it_is_known),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
