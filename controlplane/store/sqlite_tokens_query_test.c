/* Queries of words and phrases. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "controlplane/store/sqlite_text.h"
#include "controlplane/store/sqlite_tokens_fixture.h"

enum { WORD_SIZE_MAX = 32768, ROOM = 1 << 20 };

static bool matches(struct tokens_fixture *t, const char *text, const char *query)
{
    struct tokens_query *q = NULL;
    bool found = false;
    assert_int_equal(tokens_query_parse(t->tokens, query, &q), OK);
    assert_int_equal(tokens_query_match(t->tokens, q, bytes_of_string(text), &found), OK);
    tokens_query_destroy(q);
    return found;
}

static void test_a_query_matches_words_and_phrases(void **state)
{
    static const char text[] = "SELECT customer_id, caf\xc3\xa9 FROM public.orders WHERE id = 17";
    struct tokens_fixture *t = *state;
    assert_true(matches(t, text, "select"));
    assert_true(matches(t, text, "orders SELECT"));
    assert_true(matches(t, text, "customer_id"));
    assert_false(matches(t, text, "id_customer"));
    assert_false(matches(t, text, "custom"));
    assert_true(matches(t, text, "custom*"));
    assert_false(matches(t, text, "ustomer*"));
    assert_true(matches(t, text, "\"from public\""));
    assert_true(matches(t, text, "\"from publ*"));
    assert_true(matches(t, text, "\"from public"));
    assert_false(matches(t, text, "\"public from\""));
    assert_false(matches(t, text, "\"from orders\""));
    assert_true(matches(t, text, "CAF\xc3\x89"));
    assert_true(matches(t, text, "\xe2\x82\xac orders")); /* a symbol is passed over */
    assert_false(matches(t, text, "\xe2\x82\xac"));       /* and alone it is nowhere */
    assert_false(matches(t, text, "select OR nothing"));
    assert_true(matches(t, "a b a c", "\"a c\""));
    assert_true(matches(t, "a a a b", "\"a a b\""));
    assert_false(matches(t, "a b", "\"a b\" \"b a\""));
    assert_false(matches(t, "", "a"));
}

static void test_a_word_is_found_wherever_it_stands(void **state)
{
    static const char *const words[] = {"z", "ze", "zeb", "zebra", "7", "zebras*"};
    struct tokens_fixture *t = *state;
    char text[128];
    for (size_t before = 0; before < 70; before++) {
        for (size_t behind = 0; behind < 20; behind++) {
            for (size_t i = 0; i < 4; i++) {
                (void)snprintf(text, sizeof(text), "%*s%s%*s", (int)before, "", words[i],
                               (int)behind, "");
                assert_true(matches(t, text, words[i]));
                text[before] = '.';
                assert_false(matches(t, text, words[i]));
            }
        }
        (void)snprintf(text, sizeof(text), "%*s ZEBRAS7", (int)before, "");
        assert_true(matches(t, text, "zebras*"));
        assert_false(matches(t, text, "7"));
        (void)snprintf(text, sizeof(text), "%*s \xe2\x84\xaa", (int)before, "");
        assert_true(matches(t, text, "k"));
    }
}

static void test_a_query_without_a_word_or_too_long_is_refused(void **state)
{
    struct tokens_fixture *t = *state;
    struct tokens_query *q = NULL;
    char *text = malloc(4 << 20);
    assert_non_null(text);
    assert_int_equal(tokens_query_parse(t->tokens, " * \"\" ;-- ", &q), ERR_INVALID);
    assert_int_equal(tokens_query_parse(t->tokens, "", &q), ERR_INVALID);
    for (size_t i = 0; i < 4 << 20; i += 2) {
        memcpy(text + i, "a ", 2);
    }
    text[2 * 1024] = '\0';
    assert_int_equal(tokens_query_parse(t->tokens, text, &q), OK);
    tokens_query_destroy(q);
    text[2 * 1024] = 'a';
    text[2 * 1024 + 1] = '\0';
    assert_int_equal(tokens_query_parse(t->tokens, text, &q), ERR_LIMIT);
    text[2 * 1024 + 1] = ' ';
    text[(4 << 20) - 1] = '\0';
    assert_int_equal(tokens_query_parse(t->tokens, text, &q), ERR_LIMIT);
    free(text);
}

/* Longer than one lane of bits, and with a phrase across its end. */
static void test_a_long_query_matches(void **state)
{
    struct tokens_fixture *t = *state;
    struct buffer text;
    buffer_init(&text, ROOM);
    assert_int_equal(buffer_append_string(&text, "\""), OK);
    for (int i = 0; i < 300; i++) {
        assert_int_equal(buffer_append_format(&text, "w%d ", i % 7), OK);
    }
    assert_int_equal(buffer_append(&text, bytes_of("", 1)), OK);
    char *words = (char *)text.data + 1;
    assert_true(matches(t, words, (char *)text.data));
    words[64 * 3] = 'x';
    char *changed = bytes_to_string(bytes_of_string(words));
    assert_non_null(changed);
    words[64 * 3] = 'w';
    assert_false(matches(t, changed, (char *)text.data));
    assert_true(matches(t, changed, words)); /* each word by itself */
    free(changed);
    buffer_finish(&text);
}

static void test_the_words_of_a_query_are_told_once_and_folded(void **state)
{
    struct tokens_fixture *t = *state;
    const struct tokens_word *words = NULL;
    struct tokens_query *q = NULL;
    assert_int_equal(tokens_query_parse(t->tokens, "Ab* \"c AB\" d* c*", &q), OK);
    assert_int_equal(tokens_query_words(q, &words), 3);
    assert_true(bytes_equal_string(words[0].word, "ab") && !words[0].is_prefix);
    assert_true(bytes_equal_string(words[1].word, "c") && !words[1].is_prefix);
    assert_true(bytes_equal_string(words[2].word, "d") && words[2].is_prefix);
    tokens_query_destroy(q);
    assert_int_equal(tokens_query_parse(t->tokens, "\xe2\x82\xac", &q), OK);
    assert_int_equal(tokens_query_words(q, &words), 0);
    tokens_query_destroy(q);
}

/* The same query in the index's own language. */
static bool index_matches(struct tokens_fixture *t, const char *query)
{
    struct buffer expression;
    struct bytes in = bytes_of_string(query), run;
    bool is_prefix = false;
    buffer_init(&expression, ROOM);
    while (sqlite_text_phrase_next(&in, &run, &is_prefix)) {
        assert_int_equal(buffer_append_string(&expression, "\""), OK);
        for (size_t i = 0; i < run.size; i++) {
            struct bytes c = run.data[i] == '"' ? bytes_of(" ", 1) : bytes_of(run.data + i, 1);
            assert_int_equal(buffer_append(&expression, c), OK);
        }
        assert_int_equal(buffer_append_string(&expression, is_prefix ? "\" * " : "\" "), OK);
    }
    struct bytes whole = buffer_bytes(&expression);
    assert_int_equal(sqlite3_bind_text64(t->ask, 1, (const char *)whole.data, whole.size,
                                         SQLITE_STATIC, SQLITE_UTF8),
                     SQLITE_OK);
    assert_int_equal(sqlite3_step(t->ask), SQLITE_ROW);
    bool found = sqlite3_column_int(t->ask, 0) == 1;
    assert_int_equal(sqlite3_reset(t->ask), SQLITE_OK);
    buffer_finish(&expression);
    return found;
}

/* Few words in many ways, so that phrases are found and missed by one word. */
static size_t sentence_make(struct tokens_fixture *t, uint32_t words, bool is_query, char *out)
{
    static const char *const some[] = {"a",
                                       "ab",
                                       "B",
                                       "abc",
                                       "\xc3\xa4",
                                       "\xc3\x84"
                                       "b",
                                       "\xe2\x82\xac",
                                       "\xff",
                                       "\xe2\x84\xaa",
                                       "k"};
    static const char *const between[] = {" ", " ", " ", "_", ".", "-"};
    char *at = out;
    for (uint32_t i = 0; i < words; i++) {
        at = stpcpy(at, is_query && tokens_random(t, 5) == 0 ? "\"" : "");
        at = stpcpy(at, some[tokens_random(t, sizeof(some) / sizeof(some[0]))]);
        at = stpcpy(at, is_query && tokens_random(t, 4) == 0 ? "*" : "");
        at = stpcpy(at, is_query && tokens_random(t, 5) == 0 ? "\"" : "");
        at = stpcpy(at, between[tokens_random(t, sizeof(between) / sizeof(between[0]))]);
    }
    return (size_t)(at - out);
}

/* Where the set has not all words of a query, no text of it has the query: or the index of sets
 * would hide what is there. */
static void words_are_in_set(struct tokens_fixture *t, const struct tokens_query *q,
                             struct bytes text)
{
    const struct tokens_word *words = NULL;
    size_t count = tokens_query_words(q, &words);
    struct bytes set = tokens_set_of(t, &text, 1);
    for (size_t i = 0; i < count; i++) {
        const uint8_t *at = set.data, *end = set.data + set.size;
        bool found = false;
        while (at < end && !found) {
            const uint8_t *space = memchr(at, ' ', (size_t)(end - at));
            struct bytes word = bytes_of(at, (size_t)(space - at));
            found = words[i].is_prefix
                        ? word.size >= words[i].word.size &&
                              memcmp(word.data, words[i].word.data, words[i].word.size) == 0
                        : bytes_equal(word, words[i].word);
            at = space + 1;
        }
        assert_true(found);
    }
}

static void test_a_query_matches_what_the_index_finds(void **state)
{
    struct tokens_fixture *t = *state;
    char text[512], query[512];
    int found = 0;
    for (int i = 0; i < 20000; i++) {
        struct tokens_query *q = NULL;
        bool is_found = false;
        size_t size = sentence_make(t, tokens_random(t, 14), false, text);
        (void)sentence_make(t, tokens_random(t, 5) + 1, true, query);
        enum err err = tokens_query_parse(t->tokens, query, &q);
        if (err == ERR_INVALID) {
            continue;
        }
        assert_int_equal(err, OK);
        tokens_index_put(t, bytes_of(text, size));
        assert_int_equal(tokens_query_match(t->tokens, q, bytes_of(text, size), &is_found), OK);
        if (is_found != index_matches(t, query)) {
            fail_msg("<%s> in <%s>", query, text);
        }
        if (is_found) {
            words_are_in_set(t, q, bytes_of(text, size));
            found++;
        }
        tokens_query_destroy(q);
    }
    assert_in_range(found, 2000, 18000); /* both happen */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TOKENS_TEST(test_a_query_matches_words_and_phrases),
        TOKENS_TEST(test_a_word_is_found_wherever_it_stands),
        TOKENS_TEST(test_a_query_without_a_word_or_too_long_is_refused),
        TOKENS_TEST(test_a_long_query_matches),
        TOKENS_TEST(test_the_words_of_a_query_are_told_once_and_folded),
        TOKENS_TEST(test_a_query_matches_what_the_index_finds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
