/* Sets of the words of texts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/utf8.h"
#include "controlplane/store/sqlite_tokens_fixture.h"

enum { WORD_SIZE_MAX = 32768, ROOM = 1 << 20 };

#define SET(t, words, ...)                                                                         \
    do {                                                                                           \
        const char *texts_[] = {__VA_ARGS__};                                                      \
        struct bytes list_[sizeof(texts_) / sizeof(texts_[0])];                                    \
        for (size_t i_ = 0; i_ < sizeof(texts_) / sizeof(texts_[0]); i_++) {                       \
            list_[i_] = bytes_of_string(texts_[i_]);                                               \
        }                                                                                          \
        struct bytes set_ = tokens_set_of((t), list_, sizeof(texts_) / sizeof(texts_[0]));         \
        assert_int_equal(set_.size, strlen(words));                                                \
        assert_memory_equal(set_.data, (words), set_.size);                                        \
    } while (0)

static void test_a_set_has_each_word_once_as_it_came(void **state)
{
    struct tokens_fixture *t = *state;
    SET(t, "select a from orders b where ", "SELECT a FROM orders", "select B from Orders where a");
    SET(t, "customer id ", "customer_id = customer");
    SET(t, "", "");
    SET(t, "", " ;-- ()", "\xe2\x82\xac");
    SET(t, "x1 ", "x1", "x1", "", "x1", "X1");
    SET(t,
        "gr\xc3\xbc\xc3\x9f"
        "e k ",
        "GR\xc3\x9c\xc3\x9f"
        "E k \xe2\x84\xaa"); /* the sign of Kelvin is a k */
    SET(t, "a b ",
        "a\xff\xfe"
        "b");
    SET(t, "a a\xcc\x88 ", "a a\xcc\x88"); /* diacritics stay */
}

/* Words of the index and of the set, sorted: a space behind each. */
static int word_compare(const void *a, const void *b)
{
    const struct bytes *x = a, *y = b;
    int order = memcmp(x->data, y->data, x->size < y->size ? x->size : y->size);
    return order != 0 ? order : x->size < y->size ? -1 : x->size > y->size;
}

static struct bytes terms_of_index(struct tokens_fixture *t)
{
    buffer_clear(&t->terms_found);
    while (sqlite3_step(t->terms) == SQLITE_ROW) {
        struct bytes term =
            bytes_of(sqlite3_column_text(t->terms, 0), (size_t)sqlite3_column_bytes(t->terms, 0));
        assert_int_equal(buffer_append(&t->terms_found, term), OK);
        assert_int_equal(buffer_append_string(&t->terms_found, " "), OK);
    }
    assert_int_equal(sqlite3_reset(t->terms), SQLITE_OK);
    return buffer_bytes(&t->terms_found);
}

static void words_sort(struct bytes set)
{
    struct bytes *words = calloc(set.size + 1, sizeof(*words));
    uint8_t *sorted = malloc(set.size + 1), *at = sorted;
    size_t count = 0;
    assert_non_null(words);
    assert_non_null(sorted);
    for (size_t i = 0, start = 0; i < set.size; i++) {
        if (set.data[i] == ' ') {
            words[count++] = bytes_of(set.data + start, i + 1 - start);
            start = i + 1;
        }
    }
    qsort(words, count, sizeof(*words), word_compare);
    for (size_t i = 0; i < count; i++) {
        memcpy(at, words[i].data, words[i].size);
        at += words[i].size;
    }
    assert_int_equal(at - sorted, set.size);
    memcpy((uint8_t *)(uintptr_t)set.data, sorted, set.size);
    free(sorted);
    free(words);
}

static void text_print(struct bytes text)
{
    for (size_t i = 0; i < text.size; i++) {
        print_error("%02x ", text.data[i]);
    }
    print_error("\n");
}

/* With a space in the place of each byte that is not UTF-8. */
static struct bytes text_repair(struct bytes text, uint8_t *room)
{
    for (size_t at = 0, size; at < text.size; at += size) {
        size = utf8_character_size(text.data + at, text.size - at);
        memcpy(room + at, size == 0 ? (const uint8_t *)" " : text.data + at, size == 0 ? 1 : size);
        size = size == 0 ? 1 : size;
    }
    return bytes_of(room, text.size);
}

static void set_check(struct tokens_fixture *t, struct bytes text)
{
    uint8_t *room = malloc(text.size + 1);
    assert_non_null(room);
    tokens_index_put(t, text_repair(text, room));
    free(room);
    struct bytes set = tokens_set_of(t, &text, 1), terms = terms_of_index(t);
    words_sort(set);
    words_sort(terms); /* by bytes and space, as the other */
    if (!bytes_equal(set, terms)) {
        text_print(text);
        text_print(set);
        text_print(terms);
        fail();
    }
}

static size_t character_put(uint32_t c, uint8_t *out)
{
    if (c < 0x80) {
        out[0] = (uint8_t)c;
        return 1;
    }
    if (c < 0x800) {
        out[0] = (uint8_t)(0xc0 | c >> 6);
        out[1] = (uint8_t)(0x80 | (c & 0x3f));
        return 2;
    }
    if (c < 0x10000) {
        out[0] = (uint8_t)(0xe0 | c >> 12);
        out[1] = (uint8_t)(0x80 | (c >> 6 & 0x3f));
        out[2] = (uint8_t)(0x80 | (c & 0x3f));
        return 3;
    }
    out[0] = (uint8_t)(0xf0 | c >> 18);
    out[1] = (uint8_t)(0x80 | (c >> 12 & 0x3f));
    out[2] = (uint8_t)(0x80 | (c >> 6 & 0x3f));
    out[3] = (uint8_t)(0x80 | (c & 0x3f));
    return 4;
}

/* A piece of text: a word, what parts words, a character of any script, any bytes. */
static size_t piece_put(struct tokens_fixture *t, bool is_utf8_only, uint8_t *out)
{
    static const char letters[] = "abcdefABCDEF0189zZ";
    static const char others[] = " \t\n\"'_-.,;()[]{}@`/:=<>!~^|\\\x7f";
    size_t size = 0;
    switch (tokens_random(t, is_utf8_only ? 5 : 6)) {
    case 0:
    case 1:
        for (uint32_t i = tokens_random(t, 12) + 1; i > 0; i--) {
            out[size++] = (uint8_t)letters[tokens_random(t, sizeof(letters) - 1)];
        }
        return size;
    case 2: out[0] = (uint8_t)others[tokens_random(t, sizeof(others))]; return 1; /* a NUL, too */
    case 3: return character_put(0x80 + tokens_random(t, 0x600), out);
    case 4: {
        uint32_t c = 0x80 + tokens_random(t, tokens_random(t, 2) == 0 ? 0xd700 : 0x10ff80);
        return character_put(c >= 0xd800 && c < 0xe000 ? 0xe9 : c, out);
    }
    default: out[0] = (uint8_t)tokens_random(t, 256); return 1;
    }
}

static struct bytes text_make(struct tokens_fixture *t, bool is_utf8_only, uint8_t room[512])
{
    size_t size = 0;
    for (uint32_t pieces = tokens_random(t, 30); pieces > 0; pieces--) {
        size += piece_put(t, is_utf8_only, room + size);
    }
    return bytes_of(room, size);
}

static void test_a_set_has_the_words_of_the_index(void **state)
{
    struct tokens_fixture *t = *state;
    uint8_t room[512];
    for (int i = 0; i < 3000; i++) {
        set_check(t, text_make(t, i % 2 == 0, room));
    }
}

static void test_a_set_has_the_words_of_bytes_that_are_no_text(void **state)
{
    struct tokens_fixture *t = *state;
    uint8_t room[64];
    for (int i = 0; i < 3000; i++) {
        size_t size = tokens_random(t, sizeof(room));
        for (size_t k = 0; k < size; k++) {
            room[k] = (uint8_t)(tokens_random(t, 4) == 0 ? ' ' : 0x80 + tokens_random(t, 128));
        }
        set_check(t, bytes_of(room, size));
    }
}

/* All characters, each as a word of its own and inside of one; few of the planes in which there is
 * nothing, or only what is alike. */
static struct bytes all_characters(bool are_inside)
{
    uint8_t *all = malloc(8UL * 0x110000), *at = all;
    assert_non_null(all);
    for (uint32_t c = 0; c < 0x110000; c += c < 0x20000 ? 1 : 61) {
        if (c < 0xd800 || c >= 0xe000) {
            *at = 'x';
            at += are_inside ? 1 : 0;
            at += character_put(c, at);
            *at++ = ' ';
        }
    }
    return bytes_of(all, (size_t)(at - all));
}

static void test_all_characters_are_those_of_the_index(void **state)
{
    struct tokens_fixture *t = *state;
    for (int i = 0; i < 2; i++) {
        struct bytes all = all_characters(i == 1);
        set_check(t, all);
        free((void *)(uintptr_t)all.data);
    }
}

/* What is told to the index is the set: it must find the same words in it again. */
static void test_a_set_has_itself_as_its_words(void **state)
{
    struct tokens_fixture *t = *state;
    for (int i = 0; i < 2; i++) {
        struct bytes all = all_characters(i == 1);
        struct bytes set = tokens_set_of(t, &all, 1);
        char *first = bytes_to_string(set);
        size_t size = set.size;
        assert_non_null(first);
        struct bytes text = bytes_of(first, size);
        struct bytes again = tokens_set_of(t, &text, 1);
        assert_int_equal(again.size, size);
        assert_memory_equal(again.data, first, size);
        free(first);
        free((void *)(uintptr_t)all.data);
    }
    uint8_t room[512];
    for (int i = 0; i < 3000; i++) {
        struct bytes text = text_make(t, false, room);
        struct bytes set = tokens_set_of(t, &text, 1);
        char *first = bytes_to_string(set);
        size_t size = set.size;
        assert_non_null(first);
        text = bytes_of(first, size);
        struct bytes again = tokens_set_of(t, &text, 1);
        assert_int_equal(again.size, size);
        assert_memory_equal(again.data, first, size);
        free(first);
    }
}

static void test_a_long_word_is_cut_as_in_the_index(void **state)
{
    struct tokens_fixture *t = *state;
    char *text = malloc(ROOM);
    assert_non_null(text);
    for (size_t size = WORD_SIZE_MAX - 1; size <= WORD_SIZE_MAX + 1; size++) {
        memset(text, 'a', size);
        set_check(t, bytes_of(text, size));
        assert_int_equal(buffer_size(&t->set), (size > WORD_SIZE_MAX ? WORD_SIZE_MAX : size) + 1);
    }
    /* Not within a character. */
    for (size_t i = 0; i + 1 < ROOM; i += 2) {
        memcpy(text + i, "\xc3\xa4", 2);
    }
    text[0] = 'x';
    text[1] = 'y';
    text[2] = 'z';
    memmove(text + 3, text + 4, ROOM - 4);
    struct bytes one = bytes_of(text, ROOM - 3);
    assert_int_equal(tokens_set_of(t, &one, 1).size, WORD_SIZE_MAX - 1 + 1);
    free(text);
}

static void test_a_small_set_after_a_large_one_is_right(void **state)
{
    enum { WORDS = 400000 };
    struct tokens_fixture *t = *state;
    struct buffer text;
    buffer_init(&text, TOKENS_TEXT_MAX);
    for (int i = 0; i < WORDS; i++) {
        assert_int_equal(buffer_append_format(&text, "w%d ", i), OK);
    }
    for (int i = 0; i < 2; i++) {
        struct bytes all = buffer_bytes(&text);
        struct bytes set = tokens_set_of(t, &all, 1);
        assert_true(bytes_equal(set, all));
        SET(t, "w17 b ", "w17", "b");
    }
    buffer_finish(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TOKENS_TEST(test_a_set_has_each_word_once_as_it_came),
        TOKENS_TEST(test_a_set_has_the_words_of_the_index),
        TOKENS_TEST(test_a_set_has_the_words_of_bytes_that_are_no_text),
        TOKENS_TEST(test_all_characters_are_those_of_the_index),
        TOKENS_TEST(test_a_set_has_itself_as_its_words),
        TOKENS_TEST(test_a_long_word_is_cut_as_in_the_index),
        TOKENS_TEST(test_a_small_set_after_a_large_one_is_right),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
