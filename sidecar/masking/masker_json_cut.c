#include "sidecar/masking/masker_json_cut.h"

/* ---- tokens --------------------------------------------------------------------------------- */

enum { BARE = 0, BETWEEN = 1, QUOTE = 2, BACKSLASH = 3 };

static const uint8_t classes[256] = {
    [' '] = BETWEEN,  ['\t'] = BETWEEN, ['\n'] = BETWEEN, ['\r'] = BETWEEN,
    [0x1e] = BETWEEN, /* RFC 7464 */
    [','] = BETWEEN,  [':'] = BETWEEN,  ['['] = BETWEEN,  [']'] = BETWEEN,
    ['{'] = BETWEEN,  ['}'] = BETWEEN,  ['"'] = QUOTE,    ['\\'] = BACKSLASH,
};

/* From within a string to behind what ends it, or to the piece's end. */
static size_t skip_string(struct masker_json_cut *c, struct bytes in, size_t at)
{
    while (at < in.size && c->state != CUT_BETWEEN) {
        if (c->state == CUT_ESCAPE) {
            c->state = CUT_STRING;
            at++;
            continue;
        }
        while (at < in.size && classes[in.data[at]] < QUOTE) {
            at++;
        }
        if (at < in.size) {
            c->state = classes[in.data[at]] == QUOTE ? CUT_BETWEEN : CUT_ESCAPE;
            at++;
        }
    }
    return at;
}

static size_t skip_bare(struct masker_json_cut *c, struct bytes in, size_t at)
{
    while (at < in.size && (classes[in.data[at]] == BARE || classes[in.data[at]] == BACKSLASH)) {
        at++;
    }
    if (at < in.size) {
        c->state = CUT_BETWEEN;
    }
    return at;
}

static size_t skip_between(struct masker_json_cut *c, struct bytes in, size_t at)
{
    while (at < in.size && classes[in.data[at]] == BETWEEN) {
        at++;
    }
    if (at < in.size) {
        c->state = classes[in.data[at]] == QUOTE ? CUT_STRING : CUT_BARE;
    }
    return at;
}

/* Past the token's rest. */
static enum err skip_token(struct masker_json_cut *c, struct bytes in, size_t string_max,
                           size_t *io_at)
{
    bool is_bare = c->state == CUT_BARE;
    size_t from = *io_at;
    /* The quote that a string begins with is no end of it. */
    size_t start = !is_bare && c->open == 0 ? from + 1 : from;
    *io_at = is_bare ? skip_bare(c, in, start) : skip_string(c, in, start);
    c->open += *io_at - from;
    if (c->open > (is_bare ? (size_t)MASKER_JSON_BARE_MAX : string_max)) {
        return ERR_LIMIT;
    }
    if (c->state == CUT_BETWEEN) {
        c->open = 0;
    }
    return OK;
}

enum err masker_json_cut_next(struct masker_json_cut *c, struct bytes in, size_t string_max,
                              size_t *out_first, size_t *out_last)
{
    size_t at = 0, first = in.size, last = 0;
    bool has_first = false;
    while (at < in.size) {
        if (c->state != CUT_BETWEEN) {
            enum err e = skip_token(c, in, string_max, &at);
            if (e != OK) {
                return e;
            }
            if (c->state != CUT_BETWEEN) {
                break; /* it goes on */
            }
        }
        first = has_first ? first : at;
        has_first = true;
        at = skip_between(c, in, at);
        last = at;
    }
    *out_first = first;
    *out_last = last;
    return OK;
}

/* ---- surrogates ----------------------------------------------------------------------------- */

/* The code of an escape \uXXXX at `at`, or -1. */
static int code_at(struct bytes text, size_t at)
{
    int code = 0;
    if (text.size - at < 6 || text.data[at] != '\\' || text.data[at + 1] != 'u') {
        return -1;
    }
    for (size_t i = 2; i < 6; i++) {
        uint8_t c = text.data[at + i], low = c | 0x20;
        int digit = c >= '0' && c <= '9' ? c - '0' : low >= 'a' && low <= 'f' ? low - 'a' + 10 : -1;
        if (digit < 0) {
            return -1;
        }
        code = code << 4 | digit;
    }
    return code;
}

static bool is_high(int code)
{
    return code >= 0xd800 && code < 0xdc00;
}

static bool is_low(int code)
{
    return code >= 0xdc00 && code < 0xe000;
}

enum err masker_json_pair(struct bytes text, struct buffer *out)
{
    enum { ESCAPE = 6 };
    enum err e = OK;
    size_t done = 0;
    for (size_t at = 0; e == OK && at < text.size;) {
        const uint8_t *found = memchr(text.data + at, '\\', text.size - at);
        if (found == NULL) {
            break;
        }
        at = (size_t)(found - text.data);
        int code = code_at(text, at);
        bool is_pair =
            is_high(code) && text.size - at > ESCAPE && is_low(code_at(text, at + ESCAPE));
        if (!is_pair && (is_high(code) || is_low(code))) {
            e = buffer_append(out, bytes_of(text.data + done, at - done));
            e = e == OK ? buffer_append_string(out, "\\ufffd") : e;
            done = at + ESCAPE;
        }
        at += is_pair ? 2 * ESCAPE : code >= 0 ? ESCAPE : 2;
    }
    return e == OK && done > 0 ? buffer_append(out, bytes_of(text.data + done, text.size - done))
                               : e;
}
