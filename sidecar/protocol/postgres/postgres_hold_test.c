/* Operations that people decide about, without people and without a network: what the target is
 * asked meanwhile, and that it gets what was approved, whole, once, and not before. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "sidecar/protocol/postgres/postgres_hold_testing.h"

/* ---- one Query ---- */

static void test_a_query_waits_and_goes_as_it_came(void **state)
{
    struct test *t = *state;
    struct buffer original;
    buffer_init(&original, 1024);
    query(&original, statement);
    ask(t, statement);
    assert_string_equal(types(&t->f.to_agent), "N");
    assert_true(holds(&t->f.to_agent, "approval-1"));
    assert_true(holds(&t->f.to_agent, "one of dba"));
    assert_int_equal(t->f.ask_count, 0);
    answer_plan(t, 'I');
    assert_int_equal(t->f.ask_count, 1);
    assert_string_equal(t->f.asks[0].plan, "Delete on orders");
    assert_true(t->f.asks[0].rows > 2.5 && t->f.asks[0].rows < 3.5);
    assert_string_equal(t->f.asks[0].unavailable, "");
    assert_int_equal(buffer_size(&t->f.to_target), 0);
    approve(t);
    assert_true(bytes_equal(buffer_bytes(&t->f.to_target), buffer_bytes(&original)));
    assert_string_equal(types(&t->f.to_agent), "N"); /* nothing of our questions */
    target_completes(t, "DELETE 3", 'I');
    assert_string_equal(types(&t->f.to_agent), "NCZ");
    assert_int_equal(t->f.intent_count, 1);
    assert_int_equal(t->f.outcome_count, 1);
    assert_int_equal(t->f.outcomes[0].rows, 3);
    buffer_finish(&original);
}

static void test_who_is_sent_away_hears_no_notice(void **state)
{
    struct test *t = *state;
    t->f.hold_tells = false;
    t->f.hold_explains = false;
    ask(t, statement);
    assert_int_equal(t->f.ask_count, 1);
    assert_int_equal(buffer_size(&t->f.to_agent), 0);
    assert_int_equal(buffer_size(&t->f.to_target), 0);
}

static void test_a_denied_query_leaves_the_session(void **state)
{
    struct test *t = *state;
    ask(t, statement);
    answer_plan(t, 'I');
    refuse(t);
    assert_string_equal(types(&t->f.to_agent), "NEZ");
    assert_true(holds(&t->f.to_agent, "42501"));
    assert_true(holds(&t->f.to_agent, "denied by somebody"));
    assert_true(holds(&t->f.to_agent, "Approval approval-1."));
    assert_int_equal(buffer_size(&t->f.to_target), 0);
    assert_int_equal(t->f.outcomes[0].status, CHAPERONE__V1__STATUS__REFUSED);
    ask(t, "SELECT 1");
    assert_string_equal(types(&t->f.to_target), "Q");
}

/* The savepoint keeps an error of ours from being the agent's; what it is told is the server's own
 * state. */
static void test_in_a_transaction_the_locks_are_shown(void **state)
{
    struct test *t = *state;
    begin(t);
    ask(t, statement);
    assert_true(t->f.may_hold_locks);
    answer(t, "SAVEPOINT chaperone_prediction", NULL, "SAVEPOINT", 'T');
    answer(t, "SET LOCAL transaction_read_only", NULL, "SET", 'T');
    answer(t, "pg_locks", "RowExclusiveLock on public.orders", "SELECT 1", 'T');
    answer_plan(t, 'T');
    answer(t, "ROLLBACK TO SAVEPOINT chaperone_prediction", NULL, "ROLLBACK", 'T');
    assert_int_equal(t->f.ask_count, 0);
    answer(t, "RELEASE SAVEPOINT chaperone_prediction", NULL, "RELEASE", 'T');
    assert_int_equal(t->f.ask_count, 1);
    assert_string_equal(t->f.asks[0].locks, "RowExclusiveLock on public.orders");
    refuse(t);
    assert_string_equal(types(&t->f.to_target), "Q"); /* one that fails there */
    assert_false(holds(&t->f.to_target, "DELETE"));
    target_fails(t, "42601", 'E');
    assert_string_equal(types(&t->f.to_agent), "NEZ");
    assert_true(holds(&t->f.to_agent, "denied by somebody"));
    assert_false(holds(&t->f.to_agent, "server's own"));
}

static void test_a_plan_that_fails_leaves_the_transaction(void **state)
{
    struct test *t = *state;
    begin(t);
    ask(t, statement);
    answer(t, "SAVEPOINT chaperone_prediction", NULL, "SAVEPOINT", 'T');
    answer(t, "SET LOCAL transaction_read_only", NULL, "SET", 'T');
    answer(t, "pg_locks", NULL, "SELECT 0", 'T');
    buffer_clear(&t->f.to_target);
    target_fails(t, "42501", 'E');
    answer(t, "ROLLBACK TO SAVEPOINT", NULL, "ROLLBACK", 'T');
    answer(t, "RELEASE SAVEPOINT", NULL, "RELEASE", 'T');
    assert_string_equal(t->f.asks[0].unavailable, "the target says no to it (SQLSTATE 42501)");
    assert_string_equal(types(&t->f.to_agent), "N");
}

/* What is under way may have begun a transaction: the agent cannot pipeline around its limit. */
static void test_behind_others_it_may_hold_locks(void **state)
{
    struct test *t = *state;
    query(&t->b, "BEGIN");
    query(&t->b, statement);
    ask(t, "SELECT 2");
    assert_string_equal(types(&t->f.to_target), "Q");
    assert_true(t->f.may_hold_locks);
    assert_string_equal(t->f.asks[0].unavailable, "other statements are under way");
    target_completes(t, "BEGIN", 'T');
    assert_string_equal(types(&t->f.to_target), "Q");
    approve(t);
    assert_string_equal(types(&t->f.to_target), "QQQ");
    assert_int_equal(t->f.others, 0);
    assert_int_equal(t->f.hold_count, 1);
}

static void test_alone_it_holds_no_locks(void **state)
{
    struct test *t = *state;
    ask(t, statement);
    assert_int_equal(t->f.hold_count, 1);
    assert_false(t->f.may_hold_locks);
}

/* ---- values ---- */

/* The agent's formats of results are not for our questions: a plan is read as text. */
static void test_the_values_are_asked_about_as_text_is_read(void **state)
{
    struct test *t = *state;
    static const char binary[] = "\0\1\0\1\0\1\0\0\0\4\0\0\0\7\0\1\0\1";
    static const char own[] = "chaperone_prediction\0chaperone_prediction\0"
                              "\0\1\0\1\0\1\0\0\0\4\0\0\0\7\0\0";
    struct buffer original;
    buffer_init(&original, 1024);
    bind_values(&original, "", "", bytes_of(binary, sizeof(binary) - 1));
    parse(&t->b, "", "DELETE FROM orders WHERE id = $1 RETURNING id");
    ok(pg_write_empty(&t->b, PG_FRONTEND_FLUSH));
    bind_values(&t->b, "", "", bytes_of(binary, sizeof(binary) - 1));
    agent(t);
    assert_true(holds_bytes(&t->f.to_target, bytes_of(own, sizeof(own) - 1)));
    assert_false(holds_bytes(&t->f.to_target, buffer_bytes(&original)));
    answers(&t->b, "1");
    answers_to_plan(&t->b);
    target(t);
    buffer_clear(&t->f.to_target);
    approve(t);
    assert_true(bytes_equal(buffer_bytes(&t->f.to_target), buffer_bytes(&original)));
    buffer_finish(&original);
}

/* Values, or their formats, make another operation. */
static void digest_of(struct bytes values, uint8_t out[32])
{
    void *state = NULL;
    assert_int_equal(setup_hold(&state), 0);
    struct test *t = state;
    parse(&t->b, "", "DELETE FROM orders WHERE id = $1");
    bind_values(&t->b, "", "", values);
    agent(t);
    assert_int_equal(t->f.hold_count, 1);
    memcpy(out, t->f.held_digest, 32);
    (void)teardown(&state);
}

static void test_another_value_is_another_operation(void **state)
{
    (void)state;
    uint8_t first[32], again[32], value[32], format[32], null[32], result[32];
    digest_of(bytes_of("\0\0\0\1\0\0\0\1\x37\0\0", 11), first);
    digest_of(bytes_of("\0\0\0\1\0\0\0\1\x37\0\0", 11), again);
    digest_of(bytes_of("\0\0\0\1\0\0\0\1\x38\0\0", 11), value);
    digest_of(bytes_of("\0\1\0\1\0\1\0\0\0\1\x37\0\0", 13), format);
    digest_of(bytes_of("\0\0\0\1\xff\xff\xff\xff\0\0", 10), null);
    digest_of(bytes_of("\0\0\0\1\0\0\0\1\x37\0\1\0\1", 13), result);
    assert_memory_equal(first, again, 32);
    assert_memory_not_equal(first, value, 32);
    assert_memory_not_equal(first, format, 32);
    assert_memory_not_equal(first, null, 32);
    assert_memory_not_equal(first, result, 32);
}

/* Not all of it can be shown, nor kept while people think. */
static void test_a_bind_that_is_streamed_is_refused(void **state)
{
    struct test *t = *state;
    static char values[80000] = "\0\0\0\1\0\1\x38\x76"; /* 79,990 bytes */
    parse(&t->b, "", "DELETE FROM orders WHERE id = $1");
    bind_values(&t->b, "", "", bytes_of(values, 8 + 79990 + 2));
    ok(pg_write_sync(&t->b));
    agent(t);
    assert_int_equal(t->f.hold_count, 0);
    assert_int_equal(t->f.outcomes[0].status, CHAPERONE__V1__STATUS__REFUSED);
    assert_string_equal(types(&t->f.to_target), "PS");
    assert_true(buffer_size(&t->f.to_target) < 1000);
}

/* ---- names ---- */

static void prepare(struct test *t, const char *text)
{
    ask(t, text);
    target_completes(t, "PREPARE", 'I');
    forget_sent(t);
}

static void digest_of_execute(const char *prepared, uint8_t out[32])
{
    void *state = NULL;
    assert_int_equal(setup_hold(&state), 0);
    struct test *t = state;
    t->f.hold = "EXECUTE";
    prepare(t, prepared);
    ask(t, "EXECUTE s");
    assert_int_equal(t->f.hold_count, 1);
    answer(t, "BEGIN READ ONLY", NULL, "BEGIN", 'T');
    assert_true(holds(&t->f.to_target, "EXPLAIN EXECUTE s"));
    memcpy(out, t->f.held_digest, 32);
    (void)teardown(&state);
}

/* An agent that was sent away cannot give the name to something else meanwhile. */
static void test_what_a_name_stands_for_is_approved(void **state)
{
    (void)state;
    uint8_t first[32], again[32], other[32];
    digest_of_execute("PREPARE s AS DELETE FROM orders WHERE id = 1", first);
    digest_of_execute("PREPARE s AS DELETE FROM orders WHERE id = 1", again);
    digest_of_execute("PREPARE s AS DELETE FROM orders", other);
    assert_memory_equal(first, again, 32);
    assert_memory_not_equal(first, other, 32);
}

static void test_a_name_is_not_run_dry(void **state)
{
    struct test *t = *state;
    t->f.hold = "EXECUTE";
    t->f.hold_runs_dry = true;
    prepare(t, "PREPARE s AS DELETE FROM orders");
    ask(t, "EXECUTE s");
    answer_plan_of(t, "EXECUTE", plan, json, 'I');
    assert_int_equal(t->f.ask_count, 1);
    assert_string_equal(t->f.asks[0].unavailable, "no dry run of what a name stands for");
    assert_string_equal(t->f.asks[0].plan, "Delete on orders");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup_hold, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_a_query_waits_and_goes_as_it_came),
        TEST(test_who_is_sent_away_hears_no_notice),
        TEST(test_a_denied_query_leaves_the_session),
        TEST(test_in_a_transaction_the_locks_are_shown),
        TEST(test_a_plan_that_fails_leaves_the_transaction),
        TEST(test_behind_others_it_may_hold_locks),
        TEST(test_alone_it_holds_no_locks),
        TEST(test_the_values_are_asked_about_as_text_is_read),
        TEST(test_another_value_is_another_operation),
        TEST(test_a_bind_that_is_streamed_is_refused),
        TEST(test_what_a_name_stands_for_is_approved),
        TEST(test_a_name_is_not_run_dry),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
