#include "sidecar/protocol/http/body/http_content.h"

#include <strings.h>

enum { VALUE_MAX = 32 /* the longest name of a character set that is looked for is shorter */ };

/* RFC 9110 section 5.6.2. */
static bool is_token_byte(uint8_t c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           (c != 0 && strchr("!#$%&'*+-.^_`|~", c) != NULL);
}

static struct bytes read_token(struct bytes *io)
{
    size_t n = 0;
    while (n < io->size && is_token_byte(io->data[n])) {
        n++;
    }
    struct bytes token = bytes_of(io->data, n);
    if (n > 0) { /* nothing may be at no address */
        *io = bytes_of(io->data + n, io->size - n);
    }
    return token;
}

static void skip_space(struct bytes *io)
{
    while (io->size > 0 && (io->data[0] == ' ' || io->data[0] == '\t')) {
        *io = bytes_of(io->data + 1, io->size - 1);
    }
}

static bool skip_byte(struct bytes *io, uint8_t c)
{
    if (io->size == 0 || io->data[0] != c) {
        return false;
    }
    *io = bytes_of(io->data + 1, io->size - 1);
    return true;
}

/* A token or a quoted string (RFC 9110 section 5.6.4); what does not fit is cut, and then is no
 * name that is known. */
static bool read_value(struct bytes *io, char out[VALUE_MAX])
{
    size_t n = 0;
    bool is_quoted = skip_byte(io, '"');
    for (;;) {
        if (io->size == 0) {
            break;
        }
        uint8_t c = io->data[0];
        if (is_quoted ? c == '"' : !is_token_byte(c)) {
            break;
        }
        (void)skip_byte(io, c);
        if (is_quoted && c == '\\') {
            if (io->size == 0) {
                return false;
            }
            c = io->data[0];
            (void)skip_byte(io, c);
        }
        if (n < VALUE_MAX - 1) {
            out[n++] = (char)c;
        }
    }
    out[n] = '\0';
    return is_quoted ? skip_byte(io, '"') : n > 0;
}

static bool is_name(struct bytes b, const char *name)
{
    return b.size == strlen(name) && strncasecmp((const char *)b.data, name, b.size) == 0;
}

static bool ends_with(struct bytes b, const char *end)
{
    size_t size = strlen(end);
    return b.size > size && is_name(bytes_of(b.data + b.size - size, size), end);
}

static bool is_any_of(struct bytes b, const char *const *names)
{
    for (; *names != NULL; names++) {
        if (is_name(b, *names)) {
            return true;
        }
    }
    return false;
}

static enum http_content classify(struct bytes type, struct bytes subtype)
{
    static const char *const json[] = {"json",     "x-ndjson",    "ndjson", "jsonl",
                                       "json-seq", "x-jsonlines", NULL};
    static const char *const text[] = {"xml",  "javascript", "x-javascript", "ecmascript",
                                       "yaml", "x-yaml",     "graphql",      NULL};
    bool is_application = is_name(type, "application");
    if (ends_with(subtype, "+json") || (is_application && is_any_of(subtype, json)) ||
        (is_name(type, "text") && is_name(subtype, "json"))) {
        return HTTP_CONTENT_JSON;
    }
    if (is_application && is_name(subtype, "x-www-form-urlencoded")) {
        return HTTP_CONTENT_FORM;
    }
    if (is_name(type, "text") || ends_with(subtype, "+xml") || ends_with(subtype, "+yaml") ||
        (is_application && is_any_of(subtype, text))) {
        return HTTP_CONTENT_TEXT;
    }
    return HTTP_CONTENT_OPAQUE;
}

/* `; name=value` up to the end. `*out_known`: no character set, or one that can be read. */
static bool read_parameters(struct bytes *io, bool *out_known)
{
    static const char *const known[] = {"utf-8",      "utf8",   "us-ascii", "ascii",
                                        "iso-8859-1", "latin1", NULL};
    bool has_charset = false;
    *out_known = true;
    for (skip_space(io); io->size > 0; skip_space(io)) {
        if (!skip_byte(io, ';')) {
            return false;
        }
        skip_space(io);
        if (io->size == 0 || io->data[0] == ';') {
            continue; /* RFC 9110 section 5.6.6 lets them be empty */
        }
        struct bytes name = read_token(io);
        char value[VALUE_MAX];
        if (name.size == 0 || !skip_byte(io, '=') || !read_value(io, value)) {
            return false;
        }
        if (is_name(name, "charset")) {
            if (has_charset) {
                return false; /* which one a reader takes is not said anywhere */
            }
            has_charset = true;
            *out_known = is_any_of(bytes_of_string(value), known);
        }
    }
    return true;
}

enum err http_content_parse(struct bytes field, enum http_content *out, struct err_text *why)
{
    skip_space(&field);
    if (field.size == 0) {
        *out = HTTP_CONTENT_UNTYPED;
        return OK;
    }
    struct bytes type = read_token(&field);
    bool has_slash = skip_byte(&field, '/');
    struct bytes subtype = has_slash ? read_token(&field) : (struct bytes){0};
    bool is_known = false;
    if (type.size == 0 || subtype.size == 0 || !read_parameters(&field, &is_known)) {
        return err_set(why, ERR_DENIED, "the body's Content-Type is malformed");
    }
    enum http_content content = classify(type, subtype);
    if (content != HTTP_CONTENT_OPAQUE && !is_known) {
        return err_set(why, ERR_DENIED,
                       "the body is in a character set other than UTF-8, US-ASCII or ISO-8859-1, "
                       "which cannot be masked");
    }
    *out = content;
    return OK;
}

bool http_content_is_json(struct bytes field)
{
    skip_space(&field);
    struct bytes type = read_token(&field);
    struct bytes subtype = skip_byte(&field, '/') ? read_token(&field) : (struct bytes){0};
    return type.size > 0 && subtype.size > 0 && classify(type, subtype) == HTTP_CONTENT_JSON;
}

bool http_content_is_binary(struct bytes text)
{
    static const bool is_binary[256] = {
        [0x00 ... 0x08] = true, [0x0b] = true, [0x0e ... 0x1a] = true, [0x1c ... 0x1f] = true};
    unsigned any = 0;
    for (size_t i = 0; i < text.size; i++) {
        any |= is_binary[text.data[i]];
    }
    return any != 0;
}
