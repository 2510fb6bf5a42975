#include "controlplane/store/postgres/pg_words.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

static int setup(void **state)
{
    struct words *w = NULL;
    assert_int_equal(words_create(&w), OK);
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    words_destroy(*state);
    return 0;
}

static void speak(struct words *w, struct bytes text, const char *spoken, size_t size)
{
    struct buffer out;
    buffer_init(&out, 1 << 20);
    assert_int_equal(words_speak(w, text, &out), OK);
    assert_true(bytes_equal(buffer_bytes(&out), bytes_of(spoken, size)));
    buffer_finish(&out);
}
#define SPEAK(text, spoken)                                                                        \
    speak(*state, bytes_of(text, sizeof(text) - 1), spoken, sizeof(spoken) - 1)

static void test_words_are_letters_and_digits_in_lower_case(void **state)
{
    SPEAK("", "");
    SPEAK("-- ;", "");
    SPEAK("SELECT customer_id=17", "\0select\0customer\0id\0"
                                   "17\0");
    SPEAK("GR\xc3\x9c\xc3\x9f"
          "E caf\xc3\xa9",
          "\0gr\xc3\xbc\xc3\x9f"
          "e\0caf\xc3\xa9\0");
    SPEAK("a\0b", "\0a\0b\0");
    SPEAK("\xff\xfe \xf0\x9f\x98\x80 x", "\0x\0");
}

static void lexemes(const char *spoken, size_t size, const char *expected, size_t expected_size,
                    uint32_t expected_count)
{
    struct buffer out;
    uint32_t count = 9;
    buffer_init(&out, 1 << 20);
    assert_int_equal(words_lexemes(bytes_of(spoken, size), &out, &count), OK);
    assert_int_equal(count, expected_count);
    assert_true(bytes_equal(buffer_bytes(&out), bytes_of(expected, expected_size)));
    buffer_finish(&out);
}
#define LEXEMES(spoken, expected, count)                                                           \
    lexemes(spoken, sizeof(spoken) - 1, expected, sizeof(expected) - 1, count)

static void test_lexemes_are_sorted_once_and_in_ascii(void **state)
{
    (void)state;
    LEXEMES("", "", 0);
    LEXEMES("\0b\0a\0b\0", "a\0\0\0b\0\0\0", 2);
    LEXEMES("\0\xc3\xa9t\0", "_c3_a9t\0\0\0", 1);
}

static void query(const char *spoken, size_t size, bool is_prefix, const char *expected)
{
    struct buffer out;
    buffer_init(&out, 1 << 20);
    assert_int_equal(words_query(bytes_of(spoken, size), is_prefix, &out), OK);
    assert_true(bytes_equal_string(buffer_bytes(&out), expected));
    buffer_finish(&out);
}

static void test_a_query_is_of_all_words(void **state)
{
    (void)state;
    query("\0a\0b\0", 5, false, "('*' | 'a' & 'b')");
    query("\0a\0\xc3\xa9\0", 6, true, "('*' | 'a' & '_c3_a9':*)");
}

/* A longer word is cut, in what is indexed and in what is asked for alike. */
static void test_a_long_word_is_cut(void **state)
{
    char word[502] = "", expected[80] = "";
    (void)state;
    memset(word + 1, 'x', 500);
    memset(expected, 'x', WORDS_KEPT);
    lexemes(word, 502, expected, WORDS_KEPT + 3, 1);
}

/* More than a tsvector takes: one word that every search looks at. */
static void test_too_many_words_are_always_a_candidate(void **state)
{
    struct words *w = *state;
    struct buffer text, spoken;
    buffer_init(&text, 8 << 20);
    buffer_init(&spoken, 8 << 20);
    for (int i = 0; i < 150000; i++) {
        assert_int_equal(buffer_append_format(&text, "w%d\xc3\xa9 ", i), OK);
    }
    assert_int_equal(words_speak(w, buffer_bytes(&text), &spoken), OK);
    lexemes((const char *)buffer_bytes(&spoken).data, buffer_size(&spoken), "*\0\0", 4, 1);
    buffer_finish(&text);
    buffer_finish(&spoken);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_words_are_letters_and_digits_in_lower_case, setup,
                                        teardown),
        cmocka_unit_test(test_lexemes_are_sorted_once_and_in_ascii),
        cmocka_unit_test(test_a_query_is_of_all_words),
        cmocka_unit_test(test_a_long_word_is_cut),
        cmocka_unit_test_setup_teardown(test_too_many_words_are_always_a_candidate, setup,
                                        teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
