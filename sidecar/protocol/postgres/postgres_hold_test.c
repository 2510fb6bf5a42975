/* Operations that people decide about, without people and without a network: what the target is
 * asked meanwhile, and that it gets what was approved, whole, once, and not before. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "sidecar/protocol/postgres/postgres_fixture.h"
#include "sidecar/protocol/postgres/postgres_messages.h"

/* ---- messages ---- */

/* To the unnamed portal; `values` with their formats and those of the results. */
static void bind(struct buffer *b, const char *name, struct bytes values)
{
    struct buffer body;
    buffer_init(&body, 1 << 20);
    ok(buffer_append(&body, bytes_of("", 1)));
    ok(buffer_append(&body, bytes_of(name, strlen(name) + 1)));
    ok(buffer_append(&body, values));
    ok(pg_write_body(b, 'B', buffer_bytes(&body)));
    buffer_finish(&body);
}

static const struct bytes no_values = {(const uint8_t *)"\0\0\0\0\0\0", 6};

static void batch(struct buffer *b, const char *text)
{
    parse(b, "", text);
    ok(pg_write_empty(b, PG_FRONTEND_FLUSH)); /* the Parse leaves by itself */
    bind(b, "", no_values);
    ok(pg_write_target(b, 'D', 'P', (struct bytes){0}));
    ok(pg_write_execute(b, (struct bytes){0}, 0));
    ok(pg_write_sync(b));
}

/* ---- a session ---- */

struct test {
    struct fixture f;
    struct buffer b;
};

static int setup(void **state)
{
    struct test *t = calloc(1, sizeof(*t));
    assert_non_null(t);
    fixture_init(&t->f);
    buffer_init(&t->b, 16 << 20);
    t->f.hold = "DELETE";
    t->f.hold_tells = t->f.hold_explains = true;
    fixture_login(&t->f);
    *state = t;
    return 0;
}

static int teardown(void **state)
{
    struct test *t = *state;
    fixture_finish(&t->f);
    buffer_finish(&t->b);
    free(t);
    return 0;
}

static void agent(struct test *t)
{
    fixture_agent(&t->f, buffer_bytes(&t->b));
    buffer_clear(&t->b);
}

static void target(struct test *t)
{
    fixture_target(&t->f, buffer_bytes(&t->b));
    buffer_clear(&t->b);
}

static void forget_sent(struct test *t)
{
    buffer_clear(&t->f.to_agent);
    buffer_clear(&t->f.to_target);
}

static void approve(struct test *t)
{
    fixture_decide(&t->f, FIXTURE_APPROVED);
}

static void refuse(struct test *t)
{
    fixture_decide(&t->f, FIXTURE_REFUSED);
}

static void begin(struct test *t)
{
    query(&t->b, "BEGIN");
    agent(t);
    complete(&t->b, "BEGIN");
    ok(pg_write_ready(&t->b, 'T'));
    target(t);
    forget_sent(t);
}

static void cancel(struct test *t)
{
    protocol_postgres.on_signal(t->f.protocol);
    fixture_decide(&t->f, t->f.held);
}

/* ---- the target, when it is asked for a prediction ---- */

static const char json[] = "[{\"Plan\":{\"Node Type\":\"ModifyTable\",\"Operation\":\"Delete\","
                           "\"Plan Rows\":0,\"Plans\":[{\"Node Type\":\"Seq Scan\","
                           "\"Plan Rows\":3}]}}]";

/* The question `text` was asked, and nothing else; its answer ends with `status`, or without a
 * ReadyForQuery: in a batch. */
static void answer(struct test *t, const char *text, const char *value, const char *tag,
                   char status)
{
    assert_true(holds(&t->f.to_target, text));
    assert_string_equal(types(&t->f.to_target), status == 0 ? "CCPBECCH" : "CCPBECCS");
    buffer_clear(&t->f.to_target);
    ok(pg_write_empty(&t->b, '3'));
    ok(pg_write_empty(&t->b, '3'));
    ok(pg_write_empty(&t->b, '1'));
    ok(pg_write_empty(&t->b, '2'));
    if (value != NULL) {
        row(&t->b, value);
    }
    complete(&t->b, tag);
    ok(pg_write_empty(&t->b, '3'));
    ok(pg_write_empty(&t->b, '3'));
    if (status != 0) {
        ok(pg_write_ready(&t->b, (uint8_t)status));
    }
    target(t);
}

/* Outside of a transaction the plan has one of its own. */
static void answer_plan_of(struct test *t, const char *verb, const char *plan, const char *as_json,
                           char status)
{
    char text[80];
    if (status == 'I') {
        answer(t, "BEGIN READ ONLY", NULL, "BEGIN", 'T');
    }
    (void)snprintf(text, sizeof(text), "EXPLAIN %s", verb);
    answer(t, text, plan, "EXPLAIN", 'T');
    (void)snprintf(text, sizeof(text), "EXPLAIN (FORMAT JSON) %s", verb);
    answer(t, text, as_json, "EXPLAIN", 'T');
    if (status == 'I') {
        answer(t, "ROLLBACK", NULL, "ROLLBACK", 'I');
    }
}

static void answer_plan(struct test *t, char status)
{
    answer_plan_of(t, "DELETE", "Delete on orders", json, status);
}

/* ---- one Query ---- */

static const char statement[] = "DELETE FROM orders WHERE id = 7";

static void test_a_query_waits_and_goes_as_it_came(void **state)
{
    struct test *t = *state;
    struct buffer original;
    buffer_init(&original, 1024);
    query(&original, statement);
    query(&t->b, statement);
    agent(t);
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
    complete(&t->b, "DELETE 3");
    ok(pg_write_ready(&t->b, 'I'));
    target(t);
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
    query(&t->b, statement);
    agent(t);
    assert_int_equal(t->f.ask_count, 1);
    assert_int_equal(buffer_size(&t->f.to_agent), 0);
    assert_int_equal(buffer_size(&t->f.to_target), 0);
}

static void test_a_denied_query_leaves_the_session(void **state)
{
    struct test *t = *state;
    query(&t->b, statement);
    agent(t);
    answer_plan(t, 'I');
    refuse(t);
    assert_string_equal(types(&t->f.to_agent), "NEZ");
    assert_true(holds(&t->f.to_agent, "42501"));
    assert_true(holds(&t->f.to_agent, "denied by somebody"));
    assert_true(holds(&t->f.to_agent, "Approval approval-1."));
    assert_int_equal(buffer_size(&t->f.to_target), 0);
    assert_int_equal(t->f.outcomes[0].status, CHAPERONE__V1__STATUS__REFUSED);
    query(&t->b, "SELECT 1");
    agent(t);
    assert_string_equal(types(&t->f.to_target), "Q");
}

/* The savepoint keeps an error of ours from being the agent's; what it is told is the server's own
 * state. */
static void test_in_a_transaction_the_locks_are_shown(void **state)
{
    struct test *t = *state;
    begin(t);
    query(&t->b, statement);
    agent(t);
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
    server_error(&t->b, "42601");
    ok(pg_write_ready(&t->b, 'E'));
    target(t);
    assert_string_equal(types(&t->f.to_agent), "NEZ");
    assert_true(holds(&t->f.to_agent, "denied by somebody"));
    assert_false(holds(&t->f.to_agent, "server's own"));
}

static void test_a_plan_that_fails_leaves_the_transaction(void **state)
{
    struct test *t = *state;
    begin(t);
    query(&t->b, statement);
    agent(t);
    answer(t, "SAVEPOINT chaperone_prediction", NULL, "SAVEPOINT", 'T');
    answer(t, "SET LOCAL transaction_read_only", NULL, "SET", 'T');
    answer(t, "pg_locks", NULL, "SELECT 0", 'T');
    buffer_clear(&t->f.to_target);
    server_error(&t->b, "42501");
    ok(pg_write_ready(&t->b, 'E'));
    target(t);
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
    query(&t->b, "SELECT 2");
    agent(t);
    assert_string_equal(types(&t->f.to_target), "Q");
    assert_true(t->f.may_hold_locks);
    assert_string_equal(t->f.asks[0].unavailable, "other statements are under way");
    complete(&t->b, "BEGIN");
    ok(pg_write_ready(&t->b, 'T'));
    target(t);
    assert_string_equal(types(&t->f.to_target), "Q");
    approve(t);
    assert_string_equal(types(&t->f.to_target), "QQQ");
    assert_int_equal(t->f.others, 0);
    assert_int_equal(t->f.hold_count, 1);
}

static void test_alone_it_holds_no_locks(void **state)
{
    struct test *t = *state;
    query(&t->b, statement);
    agent(t);
    assert_int_equal(t->f.hold_count, 1);
    assert_false(t->f.may_hold_locks);
}

/* ---- batches ---- */

static void answer_batch(struct test *t)
{
    ok(pg_write_empty(&t->b, '2'));
    ok(pg_write_empty(&t->b, 'n'));
    complete(&t->b, "DELETE 3");
    ok(pg_write_ready(&t->b, 'I'));
    target(t);
}

static void test_a_batch_waits_in_its_middle(void **state)
{
    struct test *t = *state;
    struct buffer rest;
    batch(&t->b, statement);
    agent(t);
    assert_string_equal(types(&t->f.to_target), "PHCCPBECCH");
    buffer_clear(&t->f.to_target);
    ok(pg_write_empty(&t->b, '1')); /* the agent's own */
    ok(pg_write_empty(&t->b, '3'));
    ok(pg_write_empty(&t->b, '3'));
    ok(pg_write_empty(&t->b, '1'));
    ok(pg_write_empty(&t->b, '2'));
    row(&t->b, "Delete on orders");
    complete(&t->b, "EXPLAIN");
    ok(pg_write_empty(&t->b, '3'));
    ok(pg_write_empty(&t->b, '3'));
    target(t);
    assert_string_equal(types(&t->f.to_agent), "N1");
    answer(t, "EXPLAIN (FORMAT JSON) DELETE", json, "EXPLAIN", 0);
    assert_string_equal(t->f.asks[0].plan, "Delete on orders");
    approve(t);
    buffer_init(&rest, 1024);
    bind(&rest, "", no_values);
    ok(pg_write_target(&rest, 'D', 'P', (struct bytes){0}));
    ok(pg_write_execute(&rest, (struct bytes){0}, 0));
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
    parse(&whole, "", statement);
    bind(&whole, "", no_values);
    ok(pg_write_execute(&whole, (struct bytes){0}, 0));
    ok(pg_write_sync(&whole));
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
    ok(pg_write_empty(&t->b, '1'));
    ok(pg_write_empty(&t->b, '2'));
    complete(&t->b, "DELETE 3");
    ok(pg_write_ready(&t->b, 'I'));
    target(t);
    assert_string_equal(types(&t->f.to_agent), "N12CZ");
    assert_int_equal(t->f.outcome_count, 1);
}

static void test_a_refused_statement_leaves_nothing_of_its_parse(void **state)
{
    struct test *t = *state;
    parse(&t->b, "s", statement);
    bind(&t->b, "s", no_values);
    ok(pg_write_execute(&t->b, (struct bytes){0}, 0));
    ok(pg_write_sync(&t->b));
    agent(t);
    answer_plan(t, 'I');
    refuse(t);
    assert_string_equal(types(&t->f.to_target), "PS"); /* one that fails there */
    assert_false(holds(&t->f.to_target, "DELETE"));
    server_error(&t->b, "42601");
    ok(pg_write_ready(&t->b, 'I'));
    target(t);
    assert_string_equal(types(&t->f.to_agent), "NEZ");
    buffer_clear(&t->f.to_target);
    bind(&t->b, "s", no_values); /* no such statement */
    ok(pg_write_sync(&t->b));
    agent(t);
    assert_false(holds(&t->f.to_target, "DELETE"));
}

/* Answers of the agent's Parse, of the plan, and of the rest. */
static void answers_of_batch(struct buffer *b)
{
    ok(pg_write_empty(b, '1'));
    for (int i = 0; i < 2; i++) {
        ok(pg_write_empty(b, '3'));
        ok(pg_write_empty(b, '3'));
        ok(pg_write_empty(b, '1'));
        ok(pg_write_empty(b, '2'));
        row(b, i == 0 ? "Delete on orders" : json);
        complete(b, "EXPLAIN");
        ok(pg_write_empty(b, '3'));
        ok(pg_write_empty(b, '3'));
    }
}

static void feed(struct test *t, struct bytes all, size_t at,
                 void (*fn)(struct fixture *f, struct bytes b))
{
    fn(&t->f, bytes_of(all.data, at));
    fn(&t->f, bytes_of(all.data + at, all.size - at));
}

static void test_a_batch_in_any_two_pieces(void **state)
{
    struct test *t = *state;
    struct buffer asked, answers;
    buffer_init(&asked, 1024);
    buffer_init(&answers, 4096);
    batch(&asked, statement);
    answers_of_batch(&answers);
    for (size_t at = 0; at < buffer_size(&answers); at++) {
        forget_sent(t);
        t->f.intent_count = t->f.outcome_count = t->f.ask_count = 0;
        feed(t, buffer_bytes(&asked), at % buffer_size(&asked), fixture_agent);
        feed(t, buffer_bytes(&answers), at, fixture_target);
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
    buffer_finish(&answers);
}

/* There the error of the plan is the statement's: the server skips the rest, and so do we. */
static void test_a_plan_that_fails_in_a_batch_is_its_error(void **state)
{
    struct test *t = *state;
    batch(&t->b, statement);
    agent(t);
    buffer_clear(&t->f.to_target);
    ok(pg_write_empty(&t->b, '1'));
    server_error(&t->b, "42P01");
    target(t);
    assert_string_equal(types(&t->f.to_agent), "N1E");
    assert_true(holds(&t->f.to_agent, "server's own"));
    assert_true(t->f.is_forgotten);
    assert_string_equal(types(&t->f.to_target), "S");
    ok(pg_write_ready(&t->b, 'I'));
    target(t);
    assert_string_equal(types(&t->f.to_agent), "N1EZ");
    query(&t->b, "SELECT 1");
    agent(t);
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
    ok(pg_write_ready(&t->b, 'I'));
    target(t);
    assert_string_equal(types(&t->f.to_agent), "NEZ");
    assert_false(t->f.closed);
}

/* What a batch did before is not committed before its Sync. */
static void test_behind_an_execute_it_may_hold_locks(void **state)
{
    struct test *t = *state;
    parse(&t->b, "", "UPDATE orders SET n = 1");
    bind(&t->b, "", no_values);
    ok(pg_write_execute(&t->b, (struct bytes){0}, 0));
    agent(t);
    ok(pg_write_empty(&t->b, '1'));
    ok(pg_write_empty(&t->b, '2'));
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
    bind(&t->b, "", bytes_of("\0\0\0\1\0\0\0\1\x37\0\0", 11));
    ok(pg_write_execute(&t->b, (struct bytes){0}, 0));
    ok(pg_write_sync(&t->b));
    agent(t);
    assert_int_equal(t->f.hold_count, 1);
    buffer_clear(&t->f.to_target);
    ok(pg_write_empty(&t->b, '1'));
    ok(pg_write_body(&t->b, 't', bytes_of(one_parameter, sizeof(one_parameter))));
    ok(pg_write_empty(&t->b, 'n'));
    for (int i = 0; i < 2; i++) {
        ok(pg_write_empty(&t->b, '3'));
        ok(pg_write_empty(&t->b, '3'));
        ok(pg_write_empty(&t->b, '1'));
        ok(pg_write_empty(&t->b, '2'));
        row(&t->b, i == 0 ? "Delete on orders" : json);
        complete(&t->b, "EXPLAIN");
        ok(pg_write_empty(&t->b, '3'));
        ok(pg_write_empty(&t->b, '3'));
    }
    target(t);
    buffer_clear(&t->f.to_target);
    approve(t);
    assert_string_equal(types(&t->f.to_target), "BES");
    assert_int_equal(t->f.hold_count, 1);
    assert_int_equal(t->f.others, 0);
}

/* A name that means something else once an earlier message has failed: another operation. */
static void test_a_name_that_changes_its_meaning_is_decided_anew(void **state)
{
    struct test *t = *state;
    parse(&t->b, "s", "DELETE FROM orders");
    ok(pg_write_sync(&t->b));
    agent(t);
    ok(pg_write_empty(&t->b, '1'));
    ok(pg_write_ready(&t->b, 'I'));
    target(t);
    ok(pg_write_target(&t->b, 'C', 'S', bytes_of_string("s")));
    parse(&t->b, "s", "DELETE FROM nothing");
    ok(pg_write_sync(&t->b));
    bind(&t->b, "s", no_values);
    agent(t);
    assert_int_equal(t->f.hold_count, 1);
    assert_string_equal(t->f.intents[2].text, "DELETE FROM nothing");
    server_error(&t->b, "42601");
    ok(pg_write_ready(&t->b, 'I'));
    target(t);
    assert_int_equal(t->f.others, 1);
    assert_int_equal(t->f.hold_count, 2);
    assert_string_equal(t->f.intents[3].text, "DELETE FROM orders");
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
    bind(&original, "", bytes_of(binary, sizeof(binary) - 1));
    parse(&t->b, "", "DELETE FROM orders WHERE id = $1 RETURNING id");
    ok(pg_write_empty(&t->b, PG_FRONTEND_FLUSH));
    bind(&t->b, "", bytes_of(binary, sizeof(binary) - 1));
    agent(t);
    assert_true(holds_bytes(&t->f.to_target, bytes_of(own, sizeof(own) - 1)));
    assert_false(holds_bytes(&t->f.to_target, buffer_bytes(&original)));
    answers_of_batch(&t->b);
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
    assert_int_equal(setup(&state), 0);
    struct test *t = state;
    parse(&t->b, "", "DELETE FROM orders WHERE id = $1");
    bind(&t->b, "", values);
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
    bind(&t->b, "", bytes_of(values, 8 + 79990 + 2));
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
    query(&t->b, text);
    agent(t);
    complete(&t->b, "PREPARE");
    ok(pg_write_ready(&t->b, 'I'));
    target(t);
    forget_sent(t);
}

static void digest_of_execute(const char *prepared, uint8_t out[32])
{
    void *state = NULL;
    assert_int_equal(setup(&state), 0);
    struct test *t = state;
    t->f.hold = "EXECUTE";
    prepare(t, prepared);
    query(&t->b, "EXECUTE s");
    agent(t);
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
    query(&t->b, "EXECUTE s");
    agent(t);
    answer_plan_of(t, "EXECUTE", "Delete on orders", json, 'I');
    assert_int_equal(t->f.ask_count, 1);
    assert_string_equal(t->f.asks[0].unavailable, "no dry run of what a name stands for");
    assert_string_equal(t->f.asks[0].plan, "Delete on orders");
}

/* ---- it ends while the target is asked ---- */

static void test_cancelled_while_people_think(void **state)
{
    struct test *t = *state;
    query(&t->b, statement);
    agent(t);
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
    query(&t->b, "SELECT 1");
    agent(t);
    answer(t, "SAVEPOINT chaperone_prediction", NULL, "SAVEPOINT", 'T');
    answer(t, "SET LOCAL transaction_read_only", NULL, "SET", 'T');
    cancel(t);
    assert_true(t->f.second);
    assert_string_equal(types(&t->f.to_agent), "N");
    server_error(&t->b, "57014");
    ok(pg_write_ready(&t->b, 'E'));
    buffer_clear(&t->f.to_target);
    target(t);
    answer(t, "ROLLBACK TO SAVEPOINT", NULL, "ROLLBACK", 'T');
    assert_string_equal(types(&t->f.to_agent), "N");
    assert_true(holds(&t->f.to_target, "RELEASE SAVEPOINT"));
    buffer_clear(&t->f.to_target);
    complete(&t->b, "RELEASE");
    ok(pg_write_ready(&t->b, 'T'));
    target(t);
    assert_string_equal(types(&t->f.to_target), "QQ"); /* one that fails, and the next one */
    assert_false(holds(&t->f.to_target, "DELETE"));
    assert_int_equal(t->f.ask_count, 0);
    server_error(&t->b, "42601");
    ok(pg_write_ready(&t->b, 'E'));
    target(t);
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
    ok(pg_write_empty(&t->b, '1'));
    server_error(&t->b, "57014");
    target(t);
    assert_string_equal(types(&t->f.to_agent), "N1E");
    assert_string_equal(types(&t->f.to_target), "S");
    ok(pg_write_ready(&t->b, 'I'));
    target(t);
    assert_string_equal(types(&t->f.to_agent), "N1EZ");
    assert_false(t->f.closed);
}

static void start_dry_run(struct test *t)
{
    t->f.hold_runs_dry = true;
    query(&t->b, statement);
    query(&t->b, "SELECT 1");
    agent(t);
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
    server_error(&t->b, "57014");
    ok(pg_write_ready(&t->b, 'E'));
    target(t);
    assert_string_equal(types(&t->f.to_target), "CCPBECCS");
    assert_true(holds(&t->f.to_target, "ROLLBACK"));
    assert_string_equal(types(&t->f.to_agent), "N");
    buffer_clear(&t->f.to_target);
    complete(&t->b, "ROLLBACK");
    ok(pg_write_ready(&t->b, 'I'));
    target(t);
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
    complete(&t->b, "DELETE 3");
    ok(pg_write_ready(&t->b, 'T'));
    target(t);
    assert_string_equal(types(&t->f.to_target), "X");
    assert_true(t->f.closed);
    assert_int_equal(t->f.hold_count, 1);
    assert_int_equal(t->f.intent_count, 1);
}

/* ---- what a target may say ---- */

static void test_a_plan_that_cannot_be_read(void **state)
{
    struct test *t = *state;
    query(&t->b, statement);
    agent(t);
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
    query(&t->b, statement);
    agent(t);
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
    query(&t->b, statement);
    agent(t);
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
    query(&t->b, statement);
    agent(t);
    answer_plan_of(t, "DELETE", "Delete on b\374cher \303\274 \355\240\200 \303", json, 'I');
    assert_string_equal(t->f.asks[0].plan, "Delete on b?cher \303\274 ??? ?");
}

static void test_a_ready_that_is_none(void **state)
{
    struct test *t = *state;
    query(&t->b, statement);
    agent(t);
    ok(pg_write_body(&t->b, 'Z', bytes_of("II", 2)));
    target(t);
    assert_true(t->f.closed);
    assert_int_equal(t->f.ask_count, 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_a_query_waits_and_goes_as_it_came),
        TEST(test_who_is_sent_away_hears_no_notice),
        TEST(test_a_denied_query_leaves_the_session),
        TEST(test_in_a_transaction_the_locks_are_shown),
        TEST(test_a_plan_that_fails_leaves_the_transaction),
        TEST(test_behind_others_it_may_hold_locks),
        TEST(test_alone_it_holds_no_locks),
        TEST(test_a_batch_waits_in_its_middle),
        TEST(test_a_statement_waits_with_its_parse),
        TEST(test_a_refused_statement_leaves_nothing_of_its_parse),
        TEST(test_a_batch_in_any_two_pieces),
        TEST(test_a_plan_that_fails_in_a_batch_is_its_error),
        TEST(test_an_earlier_error_of_the_batch_withdraws_it),
        TEST(test_behind_an_execute_it_may_hold_locks),
        TEST(test_types_that_become_known_while_it_waits),
        TEST(test_a_name_that_changes_its_meaning_is_decided_anew),
        TEST(test_the_values_are_asked_about_as_text_is_read),
        TEST(test_another_value_is_another_operation),
        TEST(test_a_bind_that_is_streamed_is_refused),
        TEST(test_what_a_name_stands_for_is_approved),
        TEST(test_a_name_is_not_run_dry),
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
