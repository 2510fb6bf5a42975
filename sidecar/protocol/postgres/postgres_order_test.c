/* What comes behind something whose answer is not here yet: it may mean another thing there than
 * here, and is not sent before that is known. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

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

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(test_##name, setup, teardown)
        TEST(a_query_waits_for_the_one_before_it_also_behind_flush),
        TEST(flush_between_two_queries_changes_nothing),
        TEST(a_parse_waits_for_the_query_before_its_batch),
        TEST(what_was_bound_long_ago_counts_when_it_is_executed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
