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

/* The run as a phrase: in quotes, its own quotes left out. */
static enum err phrase_append(struct bytes run, bool is_prefix, struct buffer *out)
{
    enum err err = buffer_append_string(out, "\"");
    for (size_t i = 0; err == OK && i < run.size; i++) {
        err = buffer_append(out, run.data[i] == '"' ? bytes_of(" ", 1) : bytes_of(run.data + i, 1));
    }
    return err == OK ? buffer_append_string(out, is_prefix ? "\" * " : "\" ") : err;
}

struct expression {
    sqlite_text_expand_fn *expand; /* may be NULL */
    void *context;
    struct buffer *out;
    bool any; /* phrases so far */
};

/* Phrases without AND between them: one in which the tokenizer finds no word (a symbol beyond
 * ASCII) is passed over by FTS5 then, and finds nothing with AND. */
static enum err phrases_append(struct expression *e, struct bytes in, bool are_expanded)
{
    struct bytes run;
    bool is_prefix = false;
    enum err err = OK;
    while (err == OK && sqlite_text_phrase_next(&in, &run, &is_prefix)) {
        bool done = false;
        size_t before = buffer_size(e->out);
        if (is_prefix && e->expand != NULL) {
            err = e->any && are_expanded ? buffer_append_string(e->out, "AND ") : OK;
            err = err == OK ? e->expand(e->context, bytes_of(run.data, run.size - 1), e->out, &done)
                            : err;
        }
        if (err == OK && done != are_expanded) {
            e->out->end = e->out->start + before; /* in the other pass */
            continue;
        }
        if (err == OK && !done) {
            err = phrase_append(run, is_prefix, e->out);
        }
        e->any = true;
    }
    return err;
}

enum err sqlite_text_expression(const char *text, sqlite_text_expand_fn *expand, void *context,
                                struct buffer *out)
{
    struct expression e = {.expand = expand, .context = context, .out = out};
    enum err err = buffer_append_string(out, "{text} : (");
    if (err == OK) {
        err = phrases_append(&e, bytes_of_string(text), false);
    }
    if (err == OK && expand != NULL) {
        err = phrases_append(&e, bytes_of_string(text), true);
    }
    if (err == OK && !e.any) {
        err = ERR_INVALID;
    }
    return err == OK ? buffer_append_string(out, ")") : err;
}
