/* COPY FROM STDIN: what the agent sends reaches the target as it is, and its digest is recorded. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/crypto/crypto.h"
#include "sidecar/protocol/postgres/postgres_testing.h"

enum { LINES = 5 };

static void target_says_copy_in(struct fixture *f)
{
    struct buffer b;
    buffer_init(&b, 1024);
    ok(pg_write_body(&b, PG_BACKEND_COPY_IN, bytes_of("\0\0\1\0\0", 5)));
    fixture_target(f, buffer_bytes(&b));
    buffer_finish(&b);
}

static void target_says_done(struct fixture *f)
{
    struct buffer b;
    buffer_init(&b, 1024);
    complete(&b, "COPY 5");
    ready(&b, 'I');
    fixture_target(f, buffer_bytes(&b));
    buffer_finish(&b);
}

/* Lines of different lengths, one of them empty, each a message of its own. */
static void write_lines(struct buffer *b)
{
    static const char text[] = "abcdefghijklmnopqrstuvwxyz\n";
    for (size_t i = 0; i < LINES; i++) {
        size_t size = i * 6;
        ok(pg_write_body(b, PG_FRONTEND_COPY_DATA, bytes_of(text + sizeof(text) - 1 - size, size)));
    }
}

static void copies_in(size_t piece)
{
    struct fixture f;
    struct buffer b;
    uint8_t digest[CRYPTO_SHA256_SIZE];
    fixture_init(&f);
    fixture_login(&f);
    buffer_init(&b, 1 << 16);
    query(&b, "COPY people FROM STDIN");
    fixture_agent(&f, buffer_bytes(&b));
    target_says_copy_in(&f);
    buffer_clear(&b);
    buffer_clear(&f.to_target);
    write_lines(&b);
    size_t data_size = buffer_size(&b);
    crypto_sha256_of(buffer_bytes(&b), digest);
    ok(pg_write_empty(&b, PG_FRONTEND_COPY_DONE));
    in_pieces(&f, fixture_agent, buffer_bytes(&b), piece);
    assert_true(bytes_equal(buffer_bytes(&f.to_target), buffer_bytes(&b)));
    target_says_done(&f);
    assert_int_equal(f.outcome_count, 1);
    assert_int_equal(f.outcomes[0].rows, 5);
    assert_int_equal(f.outcomes[0].bytes_in, data_size);
    assert_memory_equal(f.outcomes[0].digest_in, digest, sizeof(digest));
    buffer_finish(&b);
    fixture_finish(&f);
}

static void test_data_of_a_copy_is_the_same_however_it_comes(void **state)
{
    (void)state;
    for (size_t piece = 1; piece < 100; piece++) {
        copies_in(piece);
    }
}

/* What comes in one go with data may ask for something. */
static void test_a_statement_right_behind_the_data_is_decided(void **state)
{
    (void)state;
    struct fixture f;
    struct buffer b;
    fixture_init(&f);
    fixture_login(&f);
    f.deny = "DROP";
    buffer_init(&b, 1 << 16);
    query(&b, "COPY people FROM STDIN");
    fixture_agent(&f, buffer_bytes(&b));
    target_says_copy_in(&f);
    buffer_clear(&b);
    write_lines(&b);
    query(&b, "DROP TABLE people");
    write_lines(&b);
    fixture_agent(&f, buffer_bytes(&b));
    assert_int_equal(f.intent_count, 2);
    assert_false(f.intents[1].allowed);
    assert_false(holds(&f.to_target, "DROP"));
    buffer_finish(&b);
    fixture_finish(&f);
}

/* ---- Sync, which the target ignores while it reads data ---------------------------------------
 */

static void start(struct fixture *f, struct buffer *b)
{
    fixture_init(f);
    fixture_login(f);
    buffer_init(b, 1 << 16);
}

static void finish(struct fixture *f, struct buffer *b)
{
    buffer_finish(b);
    fixture_finish(f);
}

static void say(struct buffer *b, struct fixture *f, side_fn *side)
{
    side(f, buffer_bytes(b));
    buffer_clear(b);
}

/* Another statement is answered as its own. */
static void is_in_step(struct fixture *f, struct buffer *b)
{
    size_t outcomes = f->outcome_count, intents = f->intent_count;
    query(b, "SELECT 1");
    say(b, f, fixture_agent);
    assert_int_equal(f->intent_count, intents + 1);
    row(b, "1");
    complete(b, "SELECT 1");
    ready(b, 'I');
    say(b, f, fixture_target);
    assert_false(f->closed);
    assert_int_equal(f->outcome_count, outcomes + 1);
    assert_int_equal(f->outcomes[outcomes].operation, outcomes + 1);
}

/* libpq sends Sync with Execute, and once more behind CopyDone; the first comes before the target
 * has said that it copies, or after that. */
static void copies_in_by_a_batch(bool is_early)
{
    struct fixture f;
    struct buffer b;
    start(&f, &b);
    sequence(&b, "COPY people FROM STDIN");
    b.end -= is_early ? 0 : PG_HEADER_SIZE;
    say(&b, &f, fixture_agent);
    answers(&b, "12");
    say(&b, &f, fixture_target);
    target_says_copy_in(&f);
    if (!is_early) {
        ok(pg_write_sync(&b));
        say(&b, &f, fixture_agent);
    }
    write_lines(&b);
    ok(pg_write_empty(&b, PG_FRONTEND_COPY_DONE));
    ok(pg_write_sync(&b));
    say(&b, &f, fixture_agent);
    target_says_done(&f);
    assert_int_equal(f.outcome_count, 1);
    is_in_step(&f, &b);
    finish(&f, &b);
}

static void test_a_sync_that_is_ignored_has_no_answer(void **state)
{
    (void)state;
    copies_in_by_a_batch(true);
    copies_in_by_a_batch(false);
}

/* So that no answer is taken for that of an earlier statement, with its masks. */
static void test_a_sync_amid_the_data_of_a_query_puts_nothing_out_of_step(void **state)
{
    (void)state;
    struct fixture f;
    struct buffer b;
    start(&f, &b);
    query(&b, "COPY people FROM STDIN");
    say(&b, &f, fixture_agent);
    target_says_copy_in(&f);
    ok(pg_write_sync(&b));
    ok(pg_write_empty(&b, PG_FRONTEND_COPY_DONE));
    say(&b, &f, fixture_agent);
    target_says_done(&f);
    is_in_step(&f, &b);
    finish(&f, &b);
}

static void test_a_sync_behind_a_copy_that_failed_is_answered(void **state)
{
    (void)state;
    struct fixture f;
    struct buffer b;
    start(&f, &b);
    sequence(&b, "COPY people FROM STDIN");
    say(&b, &f, fixture_agent);
    answers(&b, "12");
    say(&b, &f, fixture_target);
    target_says_copy_in(&f);
    write_lines(&b);
    say(&b, &f, fixture_agent);
    server_error(&b, "22P04");
    say(&b, &f, fixture_target);
    ok(pg_write_empty(&b, PG_FRONTEND_COPY_DONE));
    ok(pg_write_sync(&b));
    say(&b, &f, fixture_agent);
    ready(&b, 'I');
    say(&b, &f, fixture_target);
    is_in_step(&f, &b);
    finish(&f, &b);
}

/* Whoever does not wait for the target's word sends all of it at once. */
static void test_all_of_a_copy_at_once(void **state)
{
    (void)state;
    struct fixture f;
    struct buffer b;
    start(&f, &b);
    parse(&b, "", "COPY people FROM STDIN");
    bind(&b, "", "");
    execute(&b);
    write_lines(&b);
    ok(pg_write_empty(&b, PG_FRONTEND_COPY_DONE));
    ok(pg_write_sync(&b));
    say(&b, &f, fixture_agent);
    assert_string_equal(types(&f.to_target), "PBEH"); /* the target is asked to say it */
    answers(&b, "12");
    say(&b, &f, fixture_target);
    target_says_copy_in(&f);
    assert_true(holds(&f.to_target, "xyz\n"));
    target_says_done(&f);
    is_in_step(&f, &b);
    finish(&f, &b);
}

/* Servers differ in whether they answer it. */
static void test_a_statement_amid_a_copy_ends_the_session_when_the_copy_fails(void **state)
{
    (void)state;
    struct fixture f;
    struct buffer b;
    start(&f, &b);
    query(&b, "COPY people FROM STDIN");
    say(&b, &f, fixture_agent);
    target_says_copy_in(&f);
    query(&b, "SELECT 1");
    say(&b, &f, fixture_agent);
    server_error(&b, "08P01");
    say(&b, &f, fixture_target);
    assert_true(f.closed);
    finish(&f, &b);
}

/* Its wait would have no end, and nobody would notice that the agent went away. */
static void test_what_would_wait_amid_a_copy_ends_the_session(void **state)
{
    (void)state;
    struct fixture f;
    struct buffer b;
    start(&f, &b);
    query(&b, "COPY people FROM STDIN");
    say(&b, &f, fixture_agent);
    target_says_copy_in(&f);
    query(&b, "SELECT '\\'");
    say(&b, &f, fixture_agent);
    assert_true(f.closed);
    finish(&f, &b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_data_of_a_copy_is_the_same_however_it_comes),
        cmocka_unit_test(test_a_statement_right_behind_the_data_is_decided),
        cmocka_unit_test(test_a_sync_that_is_ignored_has_no_answer),
        cmocka_unit_test(test_a_sync_amid_the_data_of_a_query_puts_nothing_out_of_step),
        cmocka_unit_test(test_a_sync_behind_a_copy_that_failed_is_answered),
        cmocka_unit_test(test_all_of_a_copy_at_once),
        cmocka_unit_test(test_what_would_wait_amid_a_copy_ends_the_session),
        cmocka_unit_test(test_a_statement_amid_a_copy_ends_the_session_when_the_copy_fails),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
