#include "base/words.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>

#include <cmocka.h>

/* Every byte at every place, among others that come near to it. */
static void each_test_finds_the_first_byte(void **state)
{
    (void)state;
    static const uint8_t around[] = {0x21, 0x7e, 0x80, 0xff};
    for (unsigned b = 0; b < 256; b++) {
        for (size_t at = 0; at < WORDS_SIZE; at++) {
            for (size_t i = 0; i < sizeof(around); i++) {
                uint8_t text[WORDS_SIZE];
                memset(text, around[i], sizeof(text));
                text[at] = (uint8_t)b;
                uint64_t word = words_load(text);
                uint64_t below = words_below(word, 0x20), equal = words_equal(word, 0x7f);
                assert_int_equal(below != 0, b < 0x20);
                assert_int_equal(equal != 0, b == 0x7f);
                assert_true(below == 0 || words_index(below) == at);
                assert_true(equal == 0 || words_index(equal) == at);
                if (around[i] < 0x80) {
                    assert_int_equal(words_high(word) != 0, b >= 0x80);
                }
            }
        }
    }
}

/* What is told of a byte behind the first may be wrong, never what is told of the first. */
static void the_first_of_two_is_found(void **state)
{
    (void)state;
    for (size_t first = 0; first < WORDS_SIZE; first++) {
        for (size_t second = first + 1; second < WORDS_SIZE; second++) {
            uint8_t text[WORDS_SIZE];
            memset(text, 'x', sizeof(text));
            text[first] = text[second] = '"';
            assert_int_equal(words_index(words_equal(words_load(text), '"')), first);
            text[second] = '#'; /* one more than it */
            assert_int_equal(words_index(words_equal(words_load(text), '"')), first);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_test_finds_the_first_byte),
        cmocka_unit_test(the_first_of_two_is_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
