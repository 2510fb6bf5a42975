#include "controlplane/store/sqlite_text.h"

/* Bytes beyond ASCII may be letters: the tokenizer decides. */
static bool is_word_byte(uint8_t c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c >= 0x80;
}

static bool is_space(uint8_t c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

/* Takes the next run without unquoted spaces off the front of `*in`. */
static struct bytes run_take(struct bytes *in)
{
    while (in->size > 0 && is_space(in->data[0])) {
        in->data++;
        in->size--;
    }
    size_t size = 0;
    bool quoted = false;
    while (size < in->size && (quoted || !is_space(in->data[size]))) {
        quoted ^= in->data[size] == '"';
        size++;
    }
    struct bytes run = bytes_of(in->data, size);
    in->data += size;
    in->size -= size;
    return run;
}

bool sqlite_text_phrase_next(struct bytes *in, struct bytes *out_run, bool *out_is_prefix)
{
    while (in->size > 0) {
        struct bytes run = run_take(in);
        bool any = false;
        for (size_t i = 0; i < run.size; i++) {
            any = any || is_word_byte(run.data[i]);
        }
        if (any) {
            *out_run = run;
            *out_is_prefix = run.size > 1 && run.data[run.size - 1] == '*' &&
                             is_word_byte(run.data[run.size - 2]);
            return true;
        }
    }
    return false;
}
