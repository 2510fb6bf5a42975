/* Any text: what is spoken of it is found in it again, and its lexemes are what a tsvector takes.
 */
#include <stdlib.h>

#include "base/cursor.h"
#include "controlplane/store/postgres/pg_words.h"

static void check(bool is_true)
{
    if (!is_true) {
        abort();
    }
}

static bool is_lexeme(struct bytes text)
{
    for (size_t i = 0; i < text.size; i++) {
        bool is_word = (text.data[i] >= 'a' && text.data[i] <= 'z') || text.data[i] == '_' ||
                       (text.data[i] >= '0' && text.data[i] <= '9');
        if (!is_word) {
            return false;
        }
    }
    return text.size > 0 && text.size <= (size_t)3 * WORDS_KEPT;
}

static int compare(struct bytes a, struct bytes b)
{
    size_t size = a.size < b.size ? a.size : b.size;
    int order = memcmp(a.data, b.data, size);
    return order != 0 ? order : (a.size > b.size) - (a.size < b.size);
}

static void lexemes_check(struct bytes spoken)
{
    struct buffer out;
    struct bytes last = {0};
    uint32_t count = 0;
    buffer_init(&out, 16 << 20);
    check(words_lexemes(spoken, &out, &count) == OK);
    struct cursor c = cursor_of(buffer_bytes(&out));
    for (uint32_t i = 0; i < count; i++) {
        struct bytes text = cursor_read_string(&c);
        check(cursor_read_u16(&c) == 0 && is_lexeme(text));
        check(i == 0 || compare(last, text) < 0);
        last = text;
    }
    check(cursor_is_complete(&c));
    buffer_finish(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct words *words = NULL;
    struct buffer spoken, longer, again;
    buffer_init(&spoken, 16 << 20);
    buffer_init(&longer, 16 << 20);
    buffer_init(&again, 16 << 20);
    check(words_create(&words) == OK);
    check(words_speak(words, bytes_of(data, size), &spoken) == OK);
    struct bytes b = buffer_bytes(&spoken);
    check(b.size == 0 || (b.size >= 3 && b.data[0] == 0 && b.data[b.size - 1] == 0));
    lexemes_check(b);
    /* With one word more it is that run and the word: a search for it finds it. */
    check(buffer_append(&longer, bytes_of(data, size)) == OK);
    check(buffer_append_string(&longer, " x") == OK);
    check(words_speak(words, buffer_bytes(&longer), &again) == OK);
    check(buffer_append(&spoken, b.size == 0 ? bytes_of("\0x\0", 3) : bytes_of("x\0", 2)) == OK);
    check(bytes_equal(buffer_bytes(&spoken), buffer_bytes(&again)));
    buffer_finish(&longer);
    buffer_finish(&spoken);
    buffer_finish(&again);
    words_destroy(words);
    return 0;
}
