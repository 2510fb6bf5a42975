#include "cli/evidence/sample.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/crypto/crypto.h"

enum { POPULATION = 500 };

static void hash_of(uint32_t number, uint8_t out[SAMPLE_HASH_SIZE])
{
    crypto_sha256_of(bytes_of(&number, sizeof(number)), out);
}

/* As the definition has it: SHA-256(seed || 0x00 || hash). */
static void rank_of(const char *seed, uint32_t number, uint8_t out[SAMPLE_HASH_SIZE])
{
    uint8_t text[128];
    size_t size = strlen(seed);
    memcpy(text, seed, size);
    text[size] = 0;
    hash_of(number, text + size + 1);
    crypto_sha256_of(bytes_of(text, size + 1 + SAMPLE_HASH_SIZE), out);
}

static struct sample *draw(uint32_t size, const char *seed, uint32_t population)
{
    struct sample *s = sample_create(size, seed);
    assert_non_null(s);
    for (uint32_t i = 0; i < population; i++) {
        uint8_t hash[SAMPLE_HASH_SIZE];
        hash_of(i, hash);
        sample_offer(s, hash, i);
    }
    sample_sort(s);
    return s;
}

static void test_the_smallest_are_drawn(void **state)
{
    enum { SIZE = 20 };
    static const char seed[] = "audit 2026 Q4";
    uint8_t last[SAMPLE_HASH_SIZE] = {0}, rank[SAMPLE_HASH_SIZE];
    size_t below = 0;
    (void)state;
    struct sample *s = draw(SIZE, seed, POPULATION);
    assert_int_equal(sample_population(s), POPULATION);
    assert_int_equal(sample_count(s), SIZE);
    for (size_t i = 0; i < SIZE; i++) {
        rank_of(seed, sample_get(s, i), rank);
        assert_true(memcmp(last, rank, sizeof(rank)) < 0); /* in order, none twice */
        memcpy(last, rank, sizeof(last));
    }
    for (uint32_t n = 0; n < POPULATION; n++) {
        rank_of(seed, n, rank);
        below += memcmp(rank, last, sizeof(rank)) <= 0;
    }
    assert_int_equal(below, SIZE); /* nothing smaller was left out */
    sample_destroy(s);
}

static void test_the_seed_decides(void **state)
{
    (void)state;
    struct sample *a = draw(5, "a", POPULATION), *again = draw(5, "a", POPULATION);
    struct sample *b = draw(5, "b", POPULATION);
    size_t same = 0;
    for (size_t i = 0; i < 5; i++) {
        assert_int_equal(sample_get(a, i), sample_get(again, i));
        same += sample_get(a, i) == sample_get(b, i);
    }
    assert_true(same < 5);
    sample_destroy(a);
    sample_destroy(again);
    sample_destroy(b);
}

static void test_of_few_all_are_drawn(void **state)
{
    (void)state;
    struct sample *s = draw(10, "x", 3);
    assert_int_equal(sample_count(s), 3);
    sample_destroy(s);
    s = draw(10, "x", 0);
    assert_int_equal(sample_count(s), 0);
    sample_destroy(s);
    sample_destroy(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_smallest_are_drawn),
        cmocka_unit_test(test_the_seed_decides),
        cmocka_unit_test(test_of_few_all_are_drawn),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
