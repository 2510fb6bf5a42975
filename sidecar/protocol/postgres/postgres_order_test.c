/* What comes behind something whose answer is not here yet: it may mean another thing there than
 * here, and is not sent before that is known. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "sidecar/protocol/postgres/postgres_testing.h"

/* ---- where a quote ends ---------------------------------------------------------------------- */

static const char off[] = "SET standard_conforming_strings = off";
/* With them on it is two strings; with them off one, and a DELETE behind it. */
static const char two_ways[] = "SELECT '\\', '; DELETE FROM people --'";

static void target_turns_strings_off(struct test *t)
{
    complete(&t->b, "SET");
    ok(pg_write_parameter_status(&t->b, bytes_of_string("standard_conforming_strings"),
                                 bytes_of_string("off")));
    ready(&t->b, 'I');
    target(t);
}

static void is_refused_when_it_is_known(struct test *t)
{
    assert_false(holds(&t->f.to_target, "DELETE"));
    target_turns_strings_off(t);
    assert_false(holds(&t->f.to_target, "DELETE"));
    assert_false(t->f.intents[t->f.intent_count - 1].allowed);
    assert_false(t->f.closed);
}

static void test_a_query_waits_for_the_one_before_it_also_behind_flush(void **state)
{
    struct test *t = *state;
    ok(pg_write_empty(&t->b, PG_FRONTEND_FLUSH));
    query(&t->b, off);
    query(&t->b, two_ways);
    agent(t);
    is_refused_when_it_is_known(t);
}

static void test_flush_between_two_queries_changes_nothing(void **state)
{
    struct test *t = *state;
    query(&t->b, off);
    ok(pg_write_empty(&t->b, PG_FRONTEND_FLUSH));
    query(&t->b, two_ways);
    agent(t);
    is_refused_when_it_is_known(t);
}

static void test_a_parse_waits_for_the_query_before_its_batch(void **state)
{
    struct test *t = *state;
    query(&t->b, off);
    parse(&t->b, "", "BEGIN");
    bind(&t->b, "", "");
    execute(&t->b);
    sequence(&t->b, two_ways);
    agent(t);
    is_refused_when_it_is_known(t);
}

static void test_what_was_bound_long_ago_counts_when_it_is_executed(void **state)
{
    struct test *t = *state;
    begin(t);
    parse(&t->b, "", off);
    bind(&t->b, "off", "");
    ok(pg_write_sync(&t->b));
    agent(t);
    answers(&t->b, "12");
    ready(&t->b, 'T');
    target(t);
    ok(pg_write_execute(&t->b, bytes_of_string("off"), 0));
    sequence(&t->b, two_ways);
    agent(t);
    assert_false(holds(&t->f.to_target, "DELETE"));
    assert_false(t->f.intents[t->f.intent_count - 1].allowed);
}

/* A policy that came since the Bind decides; its masks' version says that there is one. */
static void test_what_was_bound_under_another_policy_is_decided_anew(void **state)
{
    struct test *t = *state;
    begin(t);
    parse(&t->b, "", "DELETE FROM people");
    bind(&t->b, "old", "");
    ok(pg_write_sync(&t->b));
    agent(t);
    answers(&t->b, "12");
    ready(&t->b, 'T');
    target(t);
    forget_sent(t);
    t->f.masks.version++;
    t->f.deny = "DELETE";
    ok(pg_write_execute(&t->b, bytes_of_string("old"), 0));
    ok(pg_write_sync(&t->b));
    agent(t);
    assert_null(memchr(types(&t->f.to_target), 'E', strlen(types(&t->f.to_target))));
    assert_int_equal(t->f.outcome_count, 3); /* of BEGIN, of the Bind, of the Execute */
    assert_int_equal(t->f.outcomes[1].status, CHAPERONE__V1__STATUS__NOT_EXECUTED);
    assert_int_equal(t->f.outcomes[2].status, CHAPERONE__V1__STATUS__REFUSED);
    assert_false(t->f.intents[t->f.intent_count - 1].allowed);
    assert_string_equal(t->f.intents[t->f.intent_count - 1].verb, "execute");
}

/* ---- what a name stands for ------------------------------------------------------------------ */

static void prepare_delete(struct test *t)
{
    parse(&t->b, "s", "DELETE FROM people");
    ok(pg_write_sync(&t->b));
    agent(t);
    answers(&t->b, "1");
    ready(&t->b, 'I');
    target(t);
    forget_sent(t);
}

static void close_statement(struct test *t)
{
    ok(pg_write_target(&t->b, 'C', 'S', bytes_of_string("s")));
}

static const char *last_text(const struct test *t)
{
    return t->f.intents[t->f.intent_count - 1].text;
}

/* A batch that fails leaves the name as it was, and the next batch comes right behind it. */
static void test_a_bind_waits_for_the_batch_that_renames(void **state)
{
    struct test *t = *state;
    prepare_delete(t);
    sequence(&t->b, "SELECT 1/0");
    t->b.end -= PG_HEADER_SIZE; /* the Sync comes later */
    close_statement(t);
    parse(&t->b, "s", "SELECT 1");
    ok(pg_write_sync(&t->b));
    bind(&t->b, "", "s");
    execute(&t->b);
    ok(pg_write_sync(&t->b));
    agent(t);
    assert_string_equal(types(&t->f.to_target), "PBECPS");
    answers(&t->b, "12");
    target_fails(t, "22012", 'I');
    assert_string_equal(types(&t->f.to_target), "PBECPSBES");
    assert_string_equal(last_text(t), "DELETE FROM people");
}

/* Two statements cannot have one name: the server refuses the second. */
static void test_a_bind_waits_for_a_parse_of_a_name_that_is_taken(void **state)
{
    struct test *t = *state;
    prepare_delete(t);
    parse(&t->b, "s", "SELECT 1");
    ok(pg_write_sync(&t->b));
    bind(&t->b, "", "s");
    execute(&t->b);
    ok(pg_write_sync(&t->b));
    agent(t);
    target_fails(t, "42P05", 'I');
    assert_string_equal(last_text(t), "DELETE FROM people");
}

static void test_sql_waits_for_what_a_name_stands_for(void **state)
{
    struct test *t = *state;
    prepare_delete(t);
    t->f.hold = "EXECUTE";
    parse(&t->b, "s", "SELECT 1");
    ok(pg_write_sync(&t->b));
    query(&t->b, "EXECUTE s");
    agent(t);
    assert_false(holds(&t->f.to_target, "EXECUTE"));
    assert_int_equal(t->f.hold_count, 0);
    target_fails(t, "42P05", 'I');
    assert_int_equal(t->f.hold_count, 1);
}

/* Two batches that both failed, each with the same name in it. */
static void test_what_two_batches_took_away_is_there_again(void **state)
{
    struct test *t = *state;
    prepare_delete(t);
    for (int i = 0; i < 2; i++) {
        parse(&t->b, "", "SELECT nothing");
        close_statement(t);
        parse(&t->b, "s", i == 0 ? "SELECT 1" : "SELECT 2");
        ok(pg_write_sync(&t->b));
    }
    agent(t);
    target_fails(t, "42703", 'I');
    target_fails(t, "42703", 'I');
    bind(&t->b, "", "s");
    agent(t);
    assert_string_equal(last_text(t), "DELETE FROM people");
}

static void test_an_execute_waits_for_the_batch_that_binds(void **state)
{
    struct test *t = *state;
    begin(t);
    parse(&t->b, "", "SELECT 1");
    bind(&t->b, "c", "");
    ok(pg_write_sync(&t->b));
    ok(pg_write_execute(&t->b, bytes_of_string("c"), 0));
    ok(pg_write_target(&t->b, 'D', 'P', bytes_of_string("c")));
    agent(t);
    assert_string_equal(types(&t->f.to_target), "PBS");
    answers(&t->b, "12");
    ready(&t->b, 'T');
    target(t);
    assert_string_equal(types(&t->f.to_target), "PBSED");
}

/* EXECUTE finds its statement when it is executed. */
static void test_a_bound_execute_runs_what_it_was_decided_for(void **state)
{
    struct test *t = *state;
    parse(&t->b, "s", "SELECT 1");
    ok(pg_write_sync(&t->b));
    agent(t);
    answers(&t->b, "1");
    ready(&t->b, 'I');
    target(t);
    parse(&t->b, "", "EXECUTE s");
    bind(&t->b, "", "");
    close_statement(t);
    parse(&t->b, "s", "DELETE FROM people");
    execute(&t->b);
    ok(pg_write_sync(&t->b));
    forget_sent(t);
    agent(t);
    assert_string_equal(types(&t->f.to_target), "PBCPPS"); /* the last Parse fails for it */
    assert_false(t->f.closed);
}

static void test_a_bound_execute_runs_when_nothing_has_changed(void **state)
{
    struct test *t = *state;
    parse(&t->b, "s", "SELECT 1");
    ok(pg_write_sync(&t->b));
    agent(t);
    answers(&t->b, "1");
    ready(&t->b, 'I');
    target(t);
    forget_sent(t);
    sequence(&t->b, "EXECUTE s");
    agent(t);
    assert_string_equal(types(&t->f.to_target), "PBES");
}

/* SQL's own names change when the server says so, and those of the protocol when they are sent. */
static void test_a_name_of_sql_does_not_come_back_over_a_later_parse(void **state)
{
    struct test *t = *state;
    sequence(&t->b, "PREPARE s AS SELECT 1");
    t->b.end -= PG_HEADER_SIZE; /* the Sync comes later */
    close_statement(t);
    parse(&t->b, "s", "DELETE FROM people");
    ok(pg_write_sync(&t->b));
    agent(t);
    answers(&t->b, "12");
    complete(&t->b, "PREPARE");
    answers(&t->b, "31");
    ready(&t->b, 'I');
    target(t);
    bind(&t->b, "", "s");
    agent(t);
    assert_string_equal(last_text(t), "DELETE FROM people");
}

/* The end of a transaction ends the portals that are there, not those on their way. */
static void test_a_portal_on_its_way_outlives_the_transaction_before_it(void **state)
{
    struct test *t = *state;
    sequence(&t->b, "SELECT 1");
    parse(&t->b, "", "SELECT 2");
    bind(&t->b, "", "");
    agent(t);
    answers(&t->b, "12");
    row(&t->b, "1");
    target_completes(t, "SELECT 1", 'I');
    execute(&t->b);
    ok(pg_write_sync(&t->b));
    agent(t);
    assert_string_equal(types(&t->f.to_target), "PBESPBES");
    answers(&t->b, "12");
    row(&t->b, "2");
    target_completes(t, "SELECT 1", 'I');
    assert_int_equal(t->f.outcome_count, 2);
    assert_int_equal(t->f.outcomes[1].status, CHAPERONE__V1__STATUS__SUCCESS);
}

/* The target answers many Parses at once, and until then each of their texts is kept. */
static void test_texts_that_are_not_answered_are_not_kept_without_end(void **state)
{
    enum { TEXT = 60 << 10, ENOUGH = 2 * (8 << 20) / TEXT };
    struct test *t = *state;
    static char text[TEXT];
    (void)snprintf(text, sizeof(text), "SELECT '%0*d'", TEXT - 20, 1);
    for (size_t i = 0; i < ENOUGH; i++) {
        parse(&t->b, "", text);
    }
    agent(t);
    assert_in_range(buffer_size(&t->f.to_target), 7 << 20, 9 << 20);
    size_t sent = buffer_size(&t->f.to_target) / TEXT;
    assert_int_equal(buffer_bytes(&t->f.to_target).data[buffer_size(&t->f.to_target) - 5],
                     PG_FRONTEND_FLUSH);
    for (size_t i = 0; i < sent; i++) {
        answers(&t->b, "1");
    }
    target(t);
    assert_true(buffer_size(&t->f.to_target) / TEXT > sent + sent / 2); /* it goes on */
    assert_false(t->f.closed);
}

/* Each portal of a PREPARE keeps what is to be prepared. */
static void test_what_is_to_be_named_is_not_kept_without_end(void **state)
{
    enum { TEXT = 60 << 10, ENOUGH = 2 * (8 << 20) / TEXT };
    struct test *t = *state;
    static char text[TEXT];
    (void)snprintf(text, sizeof(text), "PREPARE s AS SELECT '%0*d'", TEXT - 40, 1);
    parse(&t->b, "", text);
    agent(t);
    answers(&t->b, "1");
    target(t);
    size_t bound = 0;
    forget_sent(t);
    for (size_t i = 0; i < ENOUGH && !t->f.closed; i++) {
        char name[16];
        (void)snprintf(name, sizeof(name), "p%zu", i);
        bind(&t->b, name, "");
        agent(t);
        bound += strcmp(types(&t->f.to_target), "B") == 0;
        forget_sent(t);
    }
    assert_in_range(bound, ENOUGH / 3, ENOUGH / 2 + 2);
}

/* What a batch has done is not committed before its Sync: an error takes it back. */
static void test_a_refusal_within_a_batch_fails_at_the_target_too(void **state)
{
    struct test *t = *state;
    t->f.deny = "DROP";
    sequence(&t->b, "INSERT INTO people VALUES (1)");
    t->b.end -= PG_HEADER_SIZE; /* the Sync comes later */
    ok(pg_write_empty(&t->b, PG_FRONTEND_FLUSH));
    agent(t);
    answers(&t->b, "12");
    complete(&t->b, "INSERT 0 1");
    target(t);
    forget_sent(t);
    ask(t, "DROP TABLE people");
    assert_string_equal(types(&t->f.to_target), "Q");
    assert_false(holds(&t->f.to_target, "DROP"));
    assert_string_equal(types(&t->f.to_agent), "");
    target_fails(t, "42601", 'I');
    assert_string_equal(types(&t->f.to_agent), "EZ");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(test_##name, setup, teardown)
        TEST(a_query_waits_for_the_one_before_it_also_behind_flush),
        TEST(flush_between_two_queries_changes_nothing),
        TEST(a_parse_waits_for_the_query_before_its_batch),
        TEST(what_was_bound_long_ago_counts_when_it_is_executed),
        TEST(what_was_bound_under_another_policy_is_decided_anew),
        TEST(a_bind_waits_for_the_batch_that_renames),
        TEST(a_bind_waits_for_a_parse_of_a_name_that_is_taken),
        TEST(sql_waits_for_what_a_name_stands_for),
        TEST(what_two_batches_took_away_is_there_again),
        TEST(an_execute_waits_for_the_batch_that_binds),
        TEST(a_bound_execute_runs_what_it_was_decided_for),
        TEST(a_bound_execute_runs_when_nothing_has_changed),
        TEST(a_name_of_sql_does_not_come_back_over_a_later_parse),
        TEST(a_portal_on_its_way_outlives_the_transaction_before_it),
        TEST(texts_that_are_not_answered_are_not_kept_without_end),
        TEST(what_is_to_be_named_is_not_kept_without_end),
        TEST(a_refusal_within_a_batch_fails_at_the_target_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
