#include "formats/body.h"

#include "formats/text.h"

enum {
    STEP = 2,
    DEPTH_SHOWN = 40, /* deeper levels are not indented further: 512 of them would be all blanks */
    CHARACTER_MAX = 4,
};

/* ---- what it is ---- */

static bool is_blank(uint8_t c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static bool is_text(struct bytes body, bool is_truncated)
{
    while (body.size > 0) {
        size_t taken = text_character_size(body);
        if (taken == 0) {
            return is_truncated && body.size < CHARACTER_MAX && body.data[0] >= 0xc2;
        }
        if (body.data[0] == '\0') {
            return false;
        }
        body = bytes_of(body.data + taken, body.size - taken);
    }
    return true;
}

/* An object or an array whose last byte closes it: no parser is asked, since nothing but white
 * space depends on it. */
static bool is_json(struct bytes body, bool is_truncated)
{
    while (body.size > 0 && is_blank(body.data[0])) {
        body = bytes_of(body.data + 1, body.size - 1);
    }
    while (body.size > 0 && is_blank(body.data[body.size - 1])) {
        body.size--;
    }
    if (body.size < 2 || (body.data[0] != '{' && body.data[0] != '[')) {
        return false;
    }
    return is_truncated || body.data[body.size - 1] == (body.data[0] == '{' ? '}' : ']');
}

enum body_form body_form_of(struct bytes body, bool is_truncated)
{
    if (body.size == 0) {
        return BODY_EMPTY;
    }
    if (!is_text(body, is_truncated)) {
        return BODY_BINARY;
    }
    return is_json(body, is_truncated) ? BODY_JSON : BODY_TEXT;
}

/* ---- white space between tokens ---- */

static enum err new_line(struct buffer *out, size_t depth)
{
    size_t blanks = STEP * (depth < DEPTH_SHOWN ? depth : DEPTH_SHOWN);
    uint8_t *at = buffer_reserve(out, blanks + 1);
    if (at == NULL) {
        return ERR_LIMIT;
    }
    at[0] = '\n';
    memset(at + 1, ' ', blanks);
    buffer_commit(out, blanks + 1);
    return OK;
}

static struct bytes skip_blanks(struct bytes rest)
{
    while (rest.size > 0 && is_blank(rest.data[0])) {
        rest = bytes_of(rest.data + 1, rest.size - 1);
    }
    return rest;
}

/* The size of what is at the front: a string to its end, else up to the next punctuation. */
static size_t token_size(struct bytes rest)
{
    size_t n = 1;
    if (rest.data[0] == '"') {
        while (n < rest.size && rest.data[n] != '"') {
            n += rest.data[n] == '\\' && n + 1 < rest.size ? 2 : 1;
        }
        return n < rest.size ? n + 1 : n;
    }
    if (strchr("{}[],:", rest.data[0]) != NULL) {
        return 1;
    }
    while (n < rest.size && !is_blank(rest.data[n]) && rest.data[n] != 0 &&
           strchr("{}[],:\"", rest.data[n]) == NULL) {
        n++;
    }
    return n;
}

static bool is_one_of(struct bytes token, const char *these)
{
    return token.size == 1 && token.data[0] != 0 && strchr(these, token.data[0]) != NULL;
}

static enum err append_token(struct bytes token, struct bytes rest, size_t *depth,
                             struct buffer *out)
{
    bool opens = is_one_of(token, "{["), closes = is_one_of(token, "}]");
    bool is_empty = opens && rest.size > 0 && is_one_of(bytes_of(rest.data, 1), "}]");
    enum err e = buffer_append(out, token);
    *depth += opens ? 1 : 0;
    *depth -= closes && *depth > 0 ? 1 : 0;
    if (e != OK) {
        return e;
    }
    if (is_one_of(token, ":")) {
        return buffer_append_string(out, " ");
    }
    if ((opens && !is_empty) || is_one_of(token, ",")) {
        return new_line(out, *depth);
    }
    /* Before what closes; one value after another (NDJSON) begins a line. */
    if (!opens && rest.size > 0 && is_one_of(bytes_of(rest.data, 1), "}]")) {
        return new_line(out, *depth > 0 ? *depth - 1 : 0);
    }
    bool is_last = rest.size == 0 || is_one_of(bytes_of(rest.data, 1), "{}[],:");
    if (!opens && !closes && !is_last) {
        return buffer_append_string(out, " "); /* no JSON: two values with nothing between */
    }
    return closes && *depth == 0 && rest.size > 0 ? new_line(out, 0) : OK;
}

enum err body_append_indented(struct bytes json, struct buffer *out)
{
    struct bytes rest = skip_blanks(json);
    size_t depth = 0;
    enum err e = OK;
    while (e == OK && rest.size > 0) {
        struct bytes token = bytes_of(rest.data, token_size(rest));
        rest = skip_blanks(bytes_of(rest.data + token.size, rest.size - token.size));
        e = append_token(token, rest, &depth, out);
    }
    return e;
}
