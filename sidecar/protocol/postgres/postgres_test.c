/* The conversation without a network: what is forwarded, what is recorded, what is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "sidecar/protocol/postgres/postgres_testing.h"

static void test_query_is_forwarded_unchanged_and_recorded(void **state)
{
    struct test *t = *state;
    query(&t->b, "SELECT 1");
    struct buffer sent;
    buffer_init(&sent, 1024);
    query(&sent, "SELECT 1");
    agent(t);
    assert_true(bytes_equal(buffer_bytes(&t->f.to_target), buffer_bytes(&sent)));
    buffer_finish(&sent);
    assert_int_equal(t->f.intent_count, 1);
    assert_string_equal(t->f.intents[0].text, "SELECT 1");
    assert_int_equal(t->f.outcome_count, 0);
    row(&t->b, "1");
    complete(&t->b, "SELECT 1");
    target(t);
    assert_int_equal(t->f.outcome_count, 0); /* more statements of the text may follow */
    ready(&t->b, 'I');
    target(t);
    assert_string_equal(types(&t->f.to_agent), "DCZ");
    assert_int_equal(t->f.outcome_count, 1);
    assert_int_equal(t->f.outcomes[0].status, CHAPERONE__V1__STATUS__SUCCESS);
    assert_int_equal(t->f.outcomes[0].rows, 1);
    assert_string_equal(t->f.outcomes[0].tag, "SELECT 1");
}

static void test_denied_query_in_idle_is_answered_here(void **state)
{
    struct test *t = *state;
    t->f.deny = "DROP";
    ask(t, "DROP TABLE x");
    assert_int_equal(buffer_size(&t->f.to_target), 0);
    assert_string_equal(types(&t->f.to_agent), "EZ");
    assert_true(holds(&t->f.to_agent, "42501"));
    assert_true(holds(&t->f.to_agent, "test-rule"));
    assert_int_equal(t->f.outcomes[0].status, CHAPERONE__V1__STATUS__REFUSED);
    ask(t, "SELECT 1");
    assert_string_equal(types(&t->f.to_target), "Q");
}

static void test_denied_query_in_a_transaction_fails_at_the_target(void **state)
{
    struct test *t = *state;
    t->f.deny = "DROP";
    begin(t);
    ask(t, "DROP TABLE x");
    assert_string_equal(types(&t->f.to_target), "Q");
    assert_false(holds(&t->f.to_target, "DROP"));
    target_fails(t, "42601", 'E');
    assert_string_equal(types(&t->f.to_agent), "EZ");
    assert_true(holds(&t->f.to_agent, "42501"));
    assert_false(holds(&t->f.to_agent, "server's own"));
    assert_int_equal(t->f.outcome_count, 2);
}

static void test_denied_in_a_pipeline_skips_to_sync(void **state)
{
    struct test *t = *state;
    t->f.deny = "DROP";
    sequence(&t->b, "SELECT 1");
    sequence(&t->b, "DROP TABLE x");
    sequence(&t->b, "SELECT 3");
    agent(t);
    assert_string_equal(types(&t->f.to_target), "PBESPSPBES");
    assert_false(holds(&t->f.to_target, "DROP")); /* nor is it parsed */
    assert_false(t->f.intents[1].allowed);
    assert_string_equal(t->f.intents[1].verb, "prepare");
    answers(&t->b, "12");
    complete(&t->b, "SELECT 0");
    ready(&t->b, 'I');
    target_fails(t, "42601", 'I');
    assert_string_equal(types(&t->f.to_agent), "12CZEZ");
    assert_true(holds(&t->f.to_agent, "test-rule"));
    assert_int_equal(t->f.intent_count, 3);
}

static void test_after_an_error_what_is_not_executed_is_not_forwarded(void **state)
{
    struct test *t = *state;
    parse(&t->b, "", "SELECT 1/0");
    bind(&t->b, "", "");
    agent(t);
    answers(&t->b, "1");
    server_error(&t->b, "22012");
    target(t);
    buffer_clear(&t->f.to_target);
    execute(&t->b);
    query(&t->b, "DELETE FROM orders");
    ok(pg_write_sync(&t->b));
    agent(t);
    assert_string_equal(types(&t->f.to_target), "S");
    assert_int_equal(t->f.intent_count, 1);
    assert_int_equal(t->f.outcomes[0].status, CHAPERONE__V1__STATUS__FAILED);
    assert_string_equal(t->f.outcomes[0].error_code, "22012");
}

/* Drivers send Parse, Bind and Execute at once: whichever fails, the operation has. */
static void test_an_error_is_the_operations_whichever_message_fails(void **state)
{
    struct test *t = *state;
    for (size_t answered = 0; answered < 3; answered++) {
        t->f.outcome_count = 0;
        parse(&t->b, "", "SELECT * FROM nowhere");
        bind(&t->b, "", "");
        execute(&t->b);
        sequence(&t->b, "SELECT 'skipped'");
        agent(t);
        for (size_t i = 0; i < answered; i++) {
            ok(pg_write_empty(&t->b, (uint8_t)('1' + i)));
        }
        target_fails(t, "42P01", 'I');
        assert_int_equal(t->f.outcome_count, 2);
        assert_int_equal(t->f.outcomes[0].operation, 2 * answered + 1);
        assert_int_equal(t->f.outcomes[0].status, CHAPERONE__V1__STATUS__FAILED);
        assert_string_equal(t->f.outcomes[0].error_code, "42P01");
        assert_int_equal(t->f.outcomes[1].operation, 2 * answered + 2);
        assert_int_equal(t->f.outcomes[1].status, CHAPERONE__V1__STATUS__NOT_EXECUTED);
        assert_string_equal(t->f.outcomes[1].error_code, "");
    }
}

static void test_rows_are_counted_without_a_tag(void **state)
{
    struct test *t = *state;
    ask(t, "SELECT 1; SELECT 1/x FROM y");
    row(&t->b, "1");
    complete(&t->b, "SELECT 1");
    row(&t->b, "2");
    row(&t->b, "3");
    target_fails(t, "22012", 'I');
    assert_int_equal(t->f.outcomes[0].status, CHAPERONE__V1__STATUS__FAILED);
    assert_int_equal(t->f.outcomes[0].rows, 3);
    sequence(&t->b, "SELECT 2");
    agent(t);
    answers(&t->b, "12");
    row(&t->b, "4");
    answers(&t->b, "s");
    ready(&t->b, 'I');
    target(t);
    assert_int_equal(t->f.outcomes[1].status, CHAPERONE__V1__STATUS__SUSPENDED);
    assert_int_equal(t->f.outcomes[1].rows, 1);
}

static void test_portal_that_is_never_executed(void **state)
{
    struct test *t = *state;
    parse(&t->b, "", "SELECT 1");
    bind(&t->b, "", "");
    ok(pg_write_sync(&t->b));
    agent(t);
    answers(&t->b, "12");
    ready(&t->b, 'I');
    target(t);
    assert_int_equal(t->f.outcome_count, 1);
    assert_int_equal(t->f.outcomes[0].status, CHAPERONE__V1__STATUS__NOT_EXECUTED);
}

static void test_failed_parse_gives_the_name_back(void **state)
{
    struct test *t = *state;
    parse(&t->b, "s", "SELECT 'first'");
    ok(pg_write_sync(&t->b));
    agent(t);
    answers(&t->b, "1");
    ready(&t->b, 'I');
    target(t);
    parse(&t->b, "s", "SELECT 'second'");
    ok(pg_write_sync(&t->b));
    agent(t);
    target_fails(t, "42P05", 'I');
    bind(&t->b, "", "s");
    agent(t);
    assert_string_equal(t->f.intents[0].text, "SELECT 'first'");
}

static void test_nothing_is_forwarded_that_cannot_be_recorded(void **state)
{
    struct test *t = *state;
    t->f.recorder_fails = true;
    query(&t->b, "DELETE FROM orders");
    sequence(&t->b, "DELETE FROM orders");
    agent(t);
    assert_false(holds(&t->f.to_target, "DELETE FROM orders") && t->f.intent_count > 0);
    assert_true(holds(&t->f.to_agent, "53100"));
    for (const char *p = types(&t->f.to_target); *p != '\0'; p++) {
        assert_true(*p == 'P' || *p == 'E' || *p == 'S'); /* never a Query, never a Bind */
    }
}

static void test_connection_lost_in_mid_answer_is_unknown(void **state)
{
    struct test *t = *state;
    ask(t, "UPDATE orders SET amount = 0");
    (void)protocol_postgres.on_end(t->f.protocol, SIDE_TARGET);
    protocol_postgres.on_close(t->f.protocol);
    assert_int_equal(t->f.outcome_count, 1);
    assert_int_equal(t->f.outcomes[0].status, CHAPERONE__V1__STATUS__UNKNOWN);
    assert_string_equal(types(&t->f.to_agent), "E");
    assert_true(holds(&t->f.to_agent, "FATAL"));
}

static void test_unasked_answers_end_the_session(void **state)
{
    struct test *t = *state;
    row(&t->b, "planted");
    target(t);
    assert_true(t->f.closed);
    assert_false(holds(&t->f.to_agent, "planted"));
}

/* The same conversation, cut at every byte on both sides, gives the same bytes and records. */
static void talk(struct test *t, size_t piece)
{
    struct buffer in;
    buffer_init(&in, 1 << 20);
    sequence(&in, "SELECT 1 /* reason: cut */");
    query(&in, "SELECT 2; SELECT 3");
    in_pieces(&t->f, fixture_agent, buffer_bytes(&in), piece);
    buffer_clear(&in);
    answers(&in, "12");
    row(&in, "one");
    complete(&in, "SELECT 1");
    ready(&in, 'I');
    row(&in, "two");
    complete(&in, "SELECT 1");
    row(&in, "three");
    complete(&in, "SELECT 1");
    ready(&in, 'I');
    in_pieces(&t->f, fixture_target, buffer_bytes(&in), piece);
    buffer_finish(&in);
}

static void test_every_cut_is_the_same(void **state)
{
    (void)state;
    struct test *whole = NULL;
    const size_t parse_end = 35, bind_end = 48;
    assert_int_equal(setup((void **)&whole), 0);
    talk(whole, 1 << 20);
    assert_int_equal(whole->f.outcome_count, 2);
    assert_int_equal(whole->f.outcomes[1].rows, 2);
    for (size_t piece = 1; piece < 70; piece++) {
        struct test *cut = NULL;
        assert_int_equal(setup((void **)&cut), 0);
        talk(cut, piece);
        assert_true(bytes_equal(buffer_bytes(&cut->f.to_agent), buffer_bytes(&whole->f.to_agent)));
        assert_true(
            bytes_equal(buffer_bytes(&cut->f.to_target), buffer_bytes(&whole->f.to_target)));
        /* A Parse without its Bind is an operation of its own; the others are the same. */
        size_t more = cut->f.intent_count - whole->f.intent_count;
        assert_true(more <= 1 && (more == 1) == ((bind_end - 1) / piece * piece >= parse_end));
        assert_string_equal(cut->f.intents[0].verb, more == 1 ? "prepare" : "execute");
        for (size_t i = 0; i < whole->f.outcome_count; i++) {
            const struct fixture_outcome *a = &cut->f.outcomes[more + i];
            const struct fixture_outcome *b = &whole->f.outcomes[i];
            assert_int_equal(a->status, b->status);
            assert_int_equal(a->rows, b->rows);
            assert_string_equal(a->tag, b->tag);
        }
        (void)teardown((void **)&cut);
    }
    (void)teardown((void **)&whole);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_query_is_forwarded_unchanged_and_recorded),
        TEST(test_denied_query_in_idle_is_answered_here),
        TEST(test_denied_query_in_a_transaction_fails_at_the_target),
        TEST(test_denied_in_a_pipeline_skips_to_sync),
        TEST(test_after_an_error_what_is_not_executed_is_not_forwarded),
        TEST(test_an_error_is_the_operations_whichever_message_fails),
        TEST(test_rows_are_counted_without_a_tag),
        TEST(test_portal_that_is_never_executed),
        TEST(test_failed_parse_gives_the_name_back),
        TEST(test_nothing_is_forwarded_that_cannot_be_recorded),
        TEST(test_connection_lost_in_mid_answer_is_unknown),
        TEST(test_unasked_answers_end_the_session),
        cmocka_unit_test(test_every_cut_is_the_same),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
