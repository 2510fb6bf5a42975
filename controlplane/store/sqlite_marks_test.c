/* Marks against the texts that they are of: they never hide what is there. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "controlplane/store/sqlite_marks.h"

enum { TEXTS_MAX = SECTION_RECORDS_MAX + 1, TEXT_SIZE = 64 };

struct test {
    struct marks *marks;
    struct buffer words, out;
    char texts[TEXTS_MAX][TEXT_SIZE]; /* words with a space between */
    size_t count;
    uint32_t random;
};

static int setup(void **state)
{
    struct test *t = calloc(1, sizeof(*t));
    assert_non_null(t);
    buffer_init(&t->words, 1 << 20);
    buffer_init(&t->out, MARKS_SIZE_MAX);
    assert_int_equal(marks_create(&t->marks), OK);
    *state = t;
    return 0;
}

static int teardown(void **state)
{
    struct test *t = *state;
    marks_destroy(t->marks);
    buffer_finish(&t->words);
    buffer_finish(&t->out);
    free(t);
    return 0;
}

/* The same numbers each time (Numerical Recipes' generator). */
static uint32_t next(struct test *t, uint32_t below)
{
    t->random = t->random * 1664525 + 1013904223;
    return (t->random >> 8) % below;
}

/* ---- making them ---- */

static size_t word_number(struct test *t, struct bytes word)
{
    struct bytes all = buffer_bytes(&t->words);
    size_t number = 0;
    for (const uint8_t *at = all.data, *end = at + all.size; at < end; number++) {
        const uint8_t *space = memchr(at, ' ', (size_t)(end - at));
        if (bytes_equal(bytes_of(at, (size_t)(space - at)), word)) {
            return number;
        }
        at = space + 1;
    }
    assert_int_equal(buffer_append(&t->words, word), OK);
    assert_int_equal(buffer_append_string(&t->words, " "), OK);
    return number;
}

static size_t word_size(const char *at)
{
    return strcspn(at, " ");
}

/* What two texts have in common at their front, and then at their end, in whole words. */
static void compare(const char *before, const char *text, size_t *out_front, size_t *out_end)
{
    size_t front = 0, end = 0, a = strlen(before), b = strlen(text);
    for (size_t i = 0; i < a && i < b && before[i] == text[i]; i++) {
        front = before[i] == ' ' ? i + 1 : front;
    }
    for (size_t i = 1; i <= a - front && i <= b - front && before[a - i] == text[b - i]; i++) {
        end = before[a - i] == ' ' ? i : end;
    }
    *out_front = front;
    *out_end = end;
}

static void make(struct test *t)
{
    marks_begin(t->marks);
    buffer_clear(&t->words);
    for (size_t i = 0; i < t->count; i++) {
        const char *text = t->texts[i];
        size_t front = 0, end = 0, size = strlen(text);
        if (i > 0) {
            compare(t->texts[i - 1], text, &front, &end);
        }
        marks_text(t->marks, size, front, end);
        for (size_t at = front; at < size - end; at += word_size(text + at) + 1) {
            struct bytes word = bytes_of(text + at, word_size(text + at));
            if (word.size > 0) {
                marks_word(t->marks, at, word_number(t, word));
            }
        }
    }
    assert_int_equal(marks_end(t->marks, buffer_bytes(&t->words), &t->out), OK);
}

static void add(struct test *t, const char *text)
{
    (void)snprintf(t->texts[t->count++], TEXT_SIZE, "%s", text);
}

/* ---- asking them ---- */

/* Words with a space between; what ends with a star is how one begins. */
static bool may_have(struct test *t, const char *words)
{
    struct marks_query query;
    marks_query_init(&query);
    for (const char *at = words; *at != '\0'; at += word_size(at) + (at[word_size(at)] != '\0')) {
        size_t size = word_size(at);
        bool is_beginning = at[size - 1] == '*';
        marks_query_add(&query, bytes_of(at, size - (is_beginning ? 1 : 0)), is_beginning);
    }
    return marks_may_have(&query, buffer_bytes(&t->out));
}

static bool text_has(const char *text, const char *word)
{
    for (size_t at = 0; at < strlen(text); at += word_size(text + at) + 1) {
        if (word_size(text + at) == strlen(word) && strncmp(text + at, word, strlen(word)) == 0) {
            return true;
        }
    }
    return false;
}

static bool any_has_both(const struct test *t, const char *a, const char *b)
{
    for (size_t i = 0; i < t->count; i++) {
        if (text_has(t->texts[i], a) && text_has(t->texts[i], b)) {
            return true;
        }
    }
    return false;
}

static void test_words_that_never_meet_are_told(void **state)
{
    struct test *t = *state;
    char text[TEXT_SIZE];
    for (size_t i = 0; i < 200; i++) {
        (void)snprintf(text, sizeof(text), "select order%zu from %s where %s", 70000 + i,
                       i % 2 == 0 ? "north" : "south", i < 100 ? "old" : "new");
        add(t, text);
    }
    make(t);
    assert_true(buffer_size(&t->out) > 0);
    assert_true(buffer_size(&t->out) < 200);
    assert_true(may_have(t, "select from where"));
    assert_true(may_have(t, "north new"));
    assert_true(may_have(t, "south"));
    assert_false(may_have(t, "north south"));
    assert_false(may_have(t, "select south where north"));
    assert_false(may_have(t, "new old"));
    /* Which text has it is not kept. */
    assert_true(may_have(t, "order70000 south"));
}

static void test_how_words_begin_is_told(void **state)
{
    struct test *t = *state;
    const char *const texts[] = {"alpha",     "a",    "b2b",       "7up", "9", "\xc3\xa9t\xc3\xa9",
                                 "n\xc3\xa9", "zulu", "alpha zulu"};
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        add(t, texts[i]);
    }
    make(t);
    const char *const there[] = {"a*", "al*",        "b*", "b2*", "7*",        "7u*",   "9*",
                                 "n*", "n\xc3\xa9*", "z*", "zu*", "\xc3\xa9*", "a* zu*"};
    for (size_t i = 0; i < sizeof(there) / sizeof(there[0]); i++) {
        assert_true(may_have(t, there[i]));
    }
    const char *const not_there[] = {"c*",  "aa*", "bb*", "b3*", "8*",
                                     "70*", "99*", "nn*", "za*", "a* aa*"};
    for (size_t i = 0; i < sizeof(not_there) / sizeof(not_there[0]); i++) {
        assert_false(may_have(t, not_there[i]));
    }
}

static void texts_choose(struct test *t)
{
    static const char *const kinds[] = {"w%u", "long%u", "x%u", "%u", "\xc3\xa9%u", "n\xc3\xa9%u"};
    size_t texts = MARKS_TEXTS_MIN + next(t, SECTION_RECORDS_MAX - MARKS_TEXTS_MIN + 1);
    uint32_t most = 1 + next(t, 300), kinds_used = 1 + next(t, 6);
    for (t->count = 0; t->count < texts; t->count++) {
        size_t size = 0;
        char *text = t->texts[t->count];
        if (t->count > 0 && next(t, 4) == 0) {
            memcpy(text, t->texts[t->count - 1], TEXT_SIZE);
            continue;
        }
        for (uint32_t words = 1 + next(t, 6); words > 0 && size < TEXT_SIZE - 16; words--) {
            size += (size_t)snprintf(text + size, TEXT_SIZE - size, size == 0 ? "" : " ");
            size += (size_t)snprintf(text + size, TEXT_SIZE - size, kinds[next(t, kinds_used)],
                                     next(t, most));
        }
    }
}

/* Of two words that any texts have. */
static void test_nothing_that_is_there_is_hidden(void **state)
{
    enum { SECTIONS = 150, PAIRS = 200 };
    struct test *t = *state;
    size_t told = 0, apart = 0;
    for (size_t n = 0; n < SECTIONS; n++) {
        texts_choose(t);
        make(t);
        assert_true(buffer_size(&t->out) > 0);
        for (size_t i = 0; i < PAIRS; i++) {
            char words[2][TEXT_SIZE], both[2 * TEXT_SIZE + 1];
            for (size_t k = 0; k < 2; k++) {
                const char *text = t->texts[next(t, (uint32_t)t->count)];
                const char *last = strrchr(text, ' ');
                const char *at = next(t, 2) == 0 || last == NULL ? text : last + 1;
                (void)snprintf(words[k], TEXT_SIZE, "%.*s", (int)word_size(at), at);
            }
            (void)snprintf(both, sizeof(both), "%s %s", words[0], words[1]);
            if (any_has_both(t, words[0], words[1])) {
                assert_true(may_have(t, both));
            } else {
                apart++;
                told += may_have(t, both) ? 0 : 1;
            }
            words[0][next(t, 2) + 1] = '\0';
            (void)snprintf(both, sizeof(both), "%s*", words[0]);
            assert_true(may_have(t, both));
        }
    }
    assert_true(told > apart / 2);
}

static void test_a_section_without_marks_is_looked_into(void **state)
{
    struct test *t = *state;
    for (size_t i = 0; i < MARKS_TEXTS_MIN - 1; i++) {
        add(t, i % 2 == 0 ? "north" : "south");
    }
    make(t);
    assert_int_equal(buffer_size(&t->out), 0);
    assert_true(may_have(t, "north south"));
    assert_true(may_have(t, "x*"));
    while (t->count < TEXTS_MAX) {
        add(t, "north");
    }
    make(t);
    assert_int_equal(buffer_size(&t->out), 0);
    t->count = TEXTS_MAX - 1;
    make(t);
    assert_false(may_have(t, "north south"));
}

/* As many different words as there are letters for: a section keeps no marks rather than large
 * ones, and the next one has its own. */
static void test_too_many_words_are_no_marks(void **state)
{
    struct test *t = *state;
    marks_begin(t->marks);
    buffer_clear(&t->words);
    for (size_t text = 0, n = 0; text < 64; text++) {
        marks_text(t->marks, 1 << 16, 0, 0);
        for (size_t i = 0; i < 128; i++, n++) {
            assert_int_equal(buffer_append_format(&t->words, "w%c%c%c ", (int)('a' + n / 676 % 26),
                                                  (int)('a' + n / 26 % 26), (int)('a' + n % 26)),
                             OK);
            marks_word(t->marks, 8 * i, n);
        }
    }
    assert_int_equal(marks_end(t->marks, buffer_bytes(&t->words), &t->out), OK);
    assert_int_equal(buffer_size(&t->out), 0);
    test_words_that_never_meet_are_told(state);
}

/* Whatever is there: an answer, and of what is cut short or of another version yes. */
static void test_what_was_changed_is_looked_into(void **state)
{
    struct test *t = *state;
    test_words_that_never_meet_are_told(state);
    struct bytes whole = buffer_bytes(&t->out);
    struct marks_query query;
    marks_query_init(&query);
    marks_query_add(&query, bytes_of_string("north"), false);
    marks_query_add(&query, bytes_of_string("south"), false);
    marks_query_add(&query, bytes_of_string("se"), true);
    for (size_t size = 0; size < 5; size++) {
        assert_true(marks_may_have(&query, bytes_of(whole.data, size)));
    }
    for (size_t i = 0; i < whole.size * 8; i++) {
        uint8_t *at = t->out.data + t->out.start + i / 8;
        *at ^= (uint8_t)(1U << i % 8);
        bool may = marks_may_have(&query, whole);
        assert_true(i >= 8 || may); /* the version */
        *at ^= (uint8_t)(1U << i % 8);
    }
    assert_false(marks_may_have(&query, whole));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_words_that_never_meet_are_told, setup, teardown),
        cmocka_unit_test_setup_teardown(test_how_words_begin_is_told, setup, teardown),
        cmocka_unit_test_setup_teardown(test_nothing_that_is_there_is_hidden, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_section_without_marks_is_looked_into, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_too_many_words_are_no_marks, setup, teardown),
        cmocka_unit_test_setup_teardown(test_what_was_changed_is_looked_into, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
