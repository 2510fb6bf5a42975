#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/utf8.h"
#include "controlplane/store/sqlite_text.h"
#include "controlplane/store/sqlite_tokens.h"

enum { WORD_SIZE_MAX = 32768, ROOM = 1 << 20, MANY = 64 << 20 };

/* The index itself stands beside, with the same tokenizer: it is right. */
struct test {
    sqlite3 *handle;
    sqlite3_stmt *put, *drop, *terms, *ask;
    struct tokens *tokens;
    struct buffer set, terms_found;
    uint32_t seed;
};

static sqlite3_stmt *statement(struct test *t, const char *sql)
{
    sqlite3_stmt *made = NULL;
    assert_int_equal(sqlite3_prepare_v2(t->handle, sql, -1, &made, NULL), SQLITE_OK);
    return made;
}

static int setup(void **state)
{
    struct test *t = calloc(1, sizeof(*t));
    assert_non_null(t);
    assert_int_equal(sqlite3_open(":memory:", &t->handle), SQLITE_OK);
    assert_int_equal(sqlite3_exec(t->handle,
                                  "CREATE VIRTUAL TABLE words USING fts5 (text,"
                                  " tokenize = 'unicode61 remove_diacritics 0');"
                                  "CREATE VIRTUAL TABLE terms USING fts5vocab (words, row);",
                                  NULL, NULL, NULL),
                     SQLITE_OK);
    t->put = statement(t, "INSERT INTO words (text) VALUES (?1)");
    t->drop = statement(t, "DELETE FROM words");
    t->terms = statement(t, "SELECT term FROM terms");
    t->ask = statement(t, "SELECT count(*) FROM words WHERE words MATCH ?1");
    assert_int_equal(tokens_create(t->handle, &t->tokens), OK);
    buffer_init(&t->set, MANY);
    buffer_init(&t->terms_found, MANY);
    t->seed = 7;
    *state = t;
    return 0;
}

static int teardown(void **state)
{
    struct test *t = *state;
    sqlite3_stmt *all[] = {t->put, t->drop, t->terms, t->ask};
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        (void)sqlite3_finalize(all[i]);
    }
    tokens_destroy(t->tokens);
    assert_int_equal(sqlite3_close(t->handle), SQLITE_OK);
    buffer_finish(&t->set);
    buffer_finish(&t->terms_found);
    free(t);
    return 0;
}

static uint32_t random_below(struct test *t, uint32_t bound)
{
    t->seed = t->seed * 1664525 + 1013904223;
    return (uint32_t)((uint64_t)t->seed * bound >> 32);
}

static void step(sqlite3_stmt *s, int wanted)
{
    assert_int_equal(sqlite3_step(s), wanted);
    assert_int_equal(sqlite3_reset(s), SQLITE_OK);
}

/* The index has this text, and no other. */
static void index_put(struct test *t, struct bytes text)
{
    step(t->drop, SQLITE_DONE);
    assert_int_equal(sqlite3_bind_text64(t->put, 1, text.size == 0 ? "" : (const char *)text.data,
                                         text.size, SQLITE_STATIC, SQLITE_UTF8),
                     SQLITE_OK);
    step(t->put, SQLITE_DONE);
}

/* ---- sets ------------------------------------------------------------------------------------ */

static struct bytes set_of(struct test *t, const struct bytes *texts, size_t count)
{
    assert_int_equal(tokens_set_begin(t->tokens), OK);
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(tokens_set_add(t->tokens, texts[i]), OK);
    }
    assert_int_equal(tokens_set_end(t->tokens, &t->set), OK);
    return buffer_bytes(&t->set);
}

#define SET(t, words, ...)                                                                         \
    do {                                                                                           \
        const char *texts_[] = {__VA_ARGS__};                                                      \
        struct bytes list_[sizeof(texts_) / sizeof(texts_[0])];                                    \
        for (size_t i_ = 0; i_ < sizeof(texts_) / sizeof(texts_[0]); i_++) {                       \
            list_[i_] = bytes_of_string(texts_[i_]);                                               \
        }                                                                                          \
        struct bytes set_ = set_of((t), list_, sizeof(texts_) / sizeof(texts_[0]));                \
        assert_int_equal(set_.size, strlen(words));                                                \
        assert_memory_equal(set_.data, (words), set_.size);                                        \
    } while (0)

static void test_a_set_has_each_word_once_as_it_came(void **state)
{
    struct test *t = *state;
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

static struct bytes terms_of_index(struct test *t)
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

static void set_check(struct test *t, struct bytes text)
{
    uint8_t *room = malloc(text.size + 1);
    assert_non_null(room);
    index_put(t, text_repair(text, room));
    free(room);
    struct bytes set = set_of(t, &text, 1), terms = terms_of_index(t);
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
static size_t piece_put(struct test *t, bool is_utf8_only, uint8_t *out)
{
    static const char letters[] = "abcdefABCDEF0189zZ";
    static const char others[] = " \t\n\"'_-.,;()[]{}@`/:=<>!~^|\\\x7f";
    size_t size = 0;
    switch (random_below(t, is_utf8_only ? 5 : 6)) {
    case 0:
    case 1:
        for (uint32_t i = random_below(t, 12) + 1; i > 0; i--) {
            out[size++] = (uint8_t)letters[random_below(t, sizeof(letters) - 1)];
        }
        return size;
    case 2: out[0] = (uint8_t)others[random_below(t, sizeof(others))]; return 1; /* a NUL, too */
    case 3: return character_put(0x80 + random_below(t, 0x600), out);
    case 4: {
        uint32_t c = 0x80 + random_below(t, random_below(t, 2) == 0 ? 0xd700 : 0x10ff80);
        return character_put(c >= 0xd800 && c < 0xe000 ? 0xe9 : c, out);
    }
    default: out[0] = (uint8_t)random_below(t, 256); return 1;
    }
}

static struct bytes text_make(struct test *t, bool is_utf8_only, uint8_t room[512])
{
    size_t size = 0;
    for (uint32_t pieces = random_below(t, 30); pieces > 0; pieces--) {
        size += piece_put(t, is_utf8_only, room + size);
    }
    return bytes_of(room, size);
}

static void test_a_set_has_the_words_of_the_index(void **state)
{
    struct test *t = *state;
    uint8_t room[512];
    for (int i = 0; i < 3000; i++) {
        set_check(t, text_make(t, i % 2 == 0, room));
    }
}

static void test_a_set_has_the_words_of_bytes_that_are_no_text(void **state)
{
    struct test *t = *state;
    uint8_t room[64];
    for (int i = 0; i < 3000; i++) {
        size_t size = random_below(t, sizeof(room));
        for (size_t k = 0; k < size; k++) {
            room[k] = (uint8_t)(random_below(t, 4) == 0 ? ' ' : 0x80 + random_below(t, 128));
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
    struct test *t = *state;
    for (int i = 0; i < 2; i++) {
        struct bytes all = all_characters(i == 1);
        set_check(t, all);
        free((void *)(uintptr_t)all.data);
    }
}

/* What is told to the index is the set: it must find the same words in it again. */
static void test_a_set_has_itself_as_its_words(void **state)
{
    struct test *t = *state;
    for (int i = 0; i < 2; i++) {
        struct bytes all = all_characters(i == 1);
        struct bytes set = set_of(t, &all, 1);
        char *first = bytes_to_string(set);
        size_t size = set.size;
        assert_non_null(first);
        struct bytes text = bytes_of(first, size);
        struct bytes again = set_of(t, &text, 1);
        assert_int_equal(again.size, size);
        assert_memory_equal(again.data, first, size);
        free(first);
        free((void *)(uintptr_t)all.data);
    }
    uint8_t room[512];
    for (int i = 0; i < 3000; i++) {
        struct bytes text = text_make(t, false, room);
        struct bytes set = set_of(t, &text, 1);
        char *first = bytes_to_string(set);
        size_t size = set.size;
        assert_non_null(first);
        text = bytes_of(first, size);
        struct bytes again = set_of(t, &text, 1);
        assert_int_equal(again.size, size);
        assert_memory_equal(again.data, first, size);
        free(first);
    }
}

static void test_a_long_word_is_cut_as_in_the_index(void **state)
{
    struct test *t = *state;
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
    assert_int_equal(set_of(t, &one, 1).size, WORD_SIZE_MAX - 1 + 1);
    free(text);
}

static void test_a_small_set_after_a_large_one_is_right(void **state)
{
    enum { WORDS = 400000 };
    struct test *t = *state;
    struct buffer text;
    buffer_init(&text, MANY);
    for (int i = 0; i < WORDS; i++) {
        assert_int_equal(buffer_append_format(&text, "w%d ", i), OK);
    }
    for (int i = 0; i < 2; i++) {
        struct bytes all = buffer_bytes(&text);
        struct bytes set = set_of(t, &all, 1);
        assert_true(bytes_equal(set, all));
        SET(t, "w17 b ", "w17", "b");
    }
    buffer_finish(&text);
}

/* ---- queries --------------------------------------------------------------------------------- */

static bool matches(struct test *t, const char *text, const char *query)
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
    struct test *t = *state;
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
    struct test *t = *state;
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
    struct test *t = *state;
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
    struct test *t = *state;
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
    struct test *t = *state;
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
static bool index_matches(struct test *t, const char *query)
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
static size_t sentence_make(struct test *t, uint32_t words, bool is_query, char *out)
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
        at = stpcpy(at, is_query && random_below(t, 5) == 0 ? "\"" : "");
        at = stpcpy(at, some[random_below(t, sizeof(some) / sizeof(some[0]))]);
        at = stpcpy(at, is_query && random_below(t, 4) == 0 ? "*" : "");
        at = stpcpy(at, is_query && random_below(t, 5) == 0 ? "\"" : "");
        at = stpcpy(at, between[random_below(t, sizeof(between) / sizeof(between[0]))]);
    }
    return (size_t)(at - out);
}

/* Where the set has not all words of a query, no text of it has the query: or the index of sets
 * would hide what is there. */
static void words_are_in_set(struct test *t, const struct tokens_query *q, struct bytes text)
{
    const struct tokens_word *words = NULL;
    size_t count = tokens_query_words(q, &words);
    struct bytes set = set_of(t, &text, 1);
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
    struct test *t = *state;
    char text[512], query[512];
    int found = 0;
    for (int i = 0; i < 20000; i++) {
        struct tokens_query *q = NULL;
        bool is_found = false;
        size_t size = sentence_make(t, random_below(t, 14), false, text);
        (void)sentence_make(t, random_below(t, 5) + 1, true, query);
        enum err err = tokens_query_parse(t->tokens, query, &q);
        if (err == ERR_INVALID) {
            continue;
        }
        assert_int_equal(err, OK);
        index_put(t, bytes_of(text, size));
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
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_a_set_has_each_word_once_as_it_came),
        TEST(test_a_set_has_the_words_of_the_index),
        TEST(test_a_set_has_the_words_of_bytes_that_are_no_text),
        TEST(test_all_characters_are_those_of_the_index),
        TEST(test_a_set_has_itself_as_its_words),
        TEST(test_a_long_word_is_cut_as_in_the_index),
        TEST(test_a_small_set_after_a_large_one_is_right),
        TEST(test_a_query_matches_words_and_phrases),
        TEST(test_a_word_is_found_wherever_it_stands),
        TEST(test_a_query_without_a_word_or_too_long_is_refused),
        TEST(test_a_long_query_matches),
        TEST(test_the_words_of_a_query_are_told_once_and_folded),
        TEST(test_a_query_matches_what_the_index_finds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
