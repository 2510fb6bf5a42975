/* Any bytes as what is searched for (the first line) and as a text. The index must be asked for
 * words that it was told, or it hides what is there. */
#include <stdlib.h>

#include "controlplane/store/sqlite_tokens.h"

static struct tokens *tokens_get(void)
{
    static sqlite3 *handle;
    static struct tokens *tokens;
    if (tokens == NULL &&
        (sqlite3_open(":memory:", &handle) != SQLITE_OK || tokens_create(handle, &tokens) != OK)) {
        abort();
    }
    return tokens;
}

static void require(bool holds)
{
    if (!holds) {
        abort();
    }
}

static void set_make(struct bytes text, struct buffer *out)
{
    require(tokens_set_begin(tokens_get()) == OK);
    require(tokens_set_add(tokens_get(), text) == OK);
    require(tokens_set_end(tokens_get(), out) == OK);
}

static bool set_has(struct bytes set, const struct tokens_word *wanted)
{
    struct bytes w = wanted->word;
    while (set.size > 0) {
        const uint8_t *space = memchr(set.data, ' ', set.size);
        require(space != NULL);
        size_t size = (size_t)(space - set.data);
        if ((wanted->is_prefix ? size >= w.size : size == w.size) &&
            memcmp(set.data, w.data, w.size) == 0) {
            return true;
        }
        set = bytes_of(space + 1, set.size - size - 1);
    }
    return false;
}

static void query_try(const char *line, struct bytes text, struct bytes set)
{
    const struct tokens_word *words = NULL;
    struct tokens_query *query = NULL;
    bool found = false, found_in_set = false, all = true;
    enum err err = tokens_query_parse(tokens_get(), line, &query);
    require(err == OK || err == ERR_INVALID || err == ERR_LIMIT);
    if (err != OK) {
        return;
    }
    size_t count = tokens_query_words(query, &words);
    for (size_t i = 0; i < count; i++) {
        all = all && set_has(set, &words[i]);
    }
    require(tokens_query_match(tokens_get(), query, text, &found) == OK);
    require(!found || (all && count > 0));
    require(tokens_query_match(tokens_get(), query, set, &found_in_set) == OK);
    require(!found_in_set || all);
    tokens_query_destroy(query);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *input = bytes_to_string(bytes_of(data, size));
    struct buffer set, again;
    buffer_init(&set, 64 << 20);
    buffer_init(&again, 64 << 20);
    if (input != NULL) {
        char *end = memchr(input, '\n', size);
        struct bytes text = end == NULL ? bytes_of(input, size)
                                        : bytes_of(end + 1, size - (size_t)(end + 1 - input));
        if (end != NULL) {
            *end = '\0';
        }
        set_make(text, &set);
        set_make(buffer_bytes(&set), &again);
        require(bytes_equal(buffer_bytes(&set), buffer_bytes(&again)));
        query_try(input, text, buffer_bytes(&set));
    }
    free(input);
    buffer_finish(&set);
    buffer_finish(&again);
    return 0;
}
