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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_data_of_a_copy_is_the_same_however_it_comes),
        cmocka_unit_test(test_a_statement_right_behind_the_data_is_decided),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
