#include "sidecar/protocol/http/http_target.h"

#include <ctype.h>

#include "base/hex.h"
#include "sidecar/protocol/http/http_rules.h"

static const char hex_digits[] = "0123456789ABCDEF";

static bool is_unreserved(uint8_t c)
{
    return (c < 0x80 && isalnum(c) != 0) || c == '-' || c == '.' || c == '_' || c == '~';
}

/* RFC 3986 section 3.3: pchar, without ';' and without '%'. */
static bool is_path_character(uint8_t c)
{
    return is_unreserved(c) || (c != '\0' && strchr("!$&'()*+,=:@", c) != NULL);
}

static bool is_query_character(uint8_t c)
{
    return is_path_character(c) || c == '/' || c == '?' || c == ';';
}

struct out {
    uint8_t *data;
    size_t size;
};

static void put(struct out *o, uint8_t c)
{
    o->data[o->size++] = c;
}

static void put_escaped(struct out *o, uint8_t c)
{
    put(o, '%');
    put(o, (uint8_t)hex_digits[c >> 4]);
    put(o, (uint8_t)hex_digits[c & 15]);
}

static enum err refuse(struct err_text *why, const char *what)
{
    return err_set(why, ERR_INVALID, "%s", what);
}

/* One escape of the path: what it stands for is what a server will see after decoding once. */
static enum err put_path_escape(struct out *o, struct bytes in, size_t at, struct err_text *why)
{
    uint8_t c = (uint8_t)hex_escape(in, at);
    if (c == '/' || c == '\\') {
        return refuse(why, "the path has an escaped slash or backslash");
    }
    if (c < 0x20 || c == 0x7f) {
        return refuse(why, "the path has an escaped control character");
    }
    if (c == ';') {
        return refuse(why, "the path has parameters (';')");
    }
    if (is_unreserved(c)) {
        put(o, c);
    } else {
        put_escaped(o, c);
    }
    return OK;
}

/* Looked for in what is forwarded: a digit of the escape within may have been escaped itself. */
static bool is_escaped_twice(const struct out *path)
{
    struct bytes in = bytes_of(path->data, path->size);
    for (size_t i = 0; i + 4 < in.size; i++) {
        if (hex_escape(in, i) == '%' && hex_value(in.data[i + 3]) >= 0 &&
            hex_value(in.data[i + 4]) >= 0) {
            return true;
        }
    }
    return false;
}

static enum err put_path(struct out *o, struct bytes in, struct err_text *why)
{
    enum err e = OK;
    for (size_t i = 0; e == OK && i < in.size; i++) {
        uint8_t c = in.data[i];
        if (c == '%') {
            e = hex_escape(in, i) >= 0 ? put_path_escape(o, in, i, why)
                                       : refuse(why, "the path has an escape that is none");
            i += 2;
        } else if (c == ';') {
            e = refuse(why, "the path has parameters (';')");
        } else if (c == '\\' || c == '#' || c <= 0x20 || c >= 0x7f) {
            e = refuse(why, "the path has a character that no path has");
        } else if (c == '/' || is_path_character(c)) {
            put(o, c);
        } else {
            put_escaped(o, c);
        }
    }
    return e == OK && is_escaped_twice(o) ? refuse(why, "the path is escaped twice") : e;
}

static enum err put_query(struct out *o, struct bytes in, struct err_text *why)
{
    for (size_t i = 0; i < in.size; i++) {
        uint8_t c = in.data[i];
        if (c == '\\' || c == '#' || c <= 0x20 || c >= 0x7f) {
            return refuse(why, "the query has a character that no query has");
        }
        if (c == '%') {
            int escaped = hex_escape(in, i);
            if (escaped < 0) {
                return refuse(why, "the query has an escape that is none");
            }
            uint8_t decoded = (uint8_t)escaped;
            if (is_unreserved(decoded)) {
                put(o, decoded);
            } else {
                put_escaped(o, decoded);
            }
            i += 2;
        } else if (is_query_character(c)) {
            put(o, c);
        } else {
            put_escaped(o, c);
        }
    }
    return OK;
}

/* RFC 3986 section 5.2.4, in place; `p` begins with '/'. */
static enum err remove_dot_segments(struct out *p, struct err_text *why)
{
    size_t to = 0;
    for (size_t at = 0; at < p->size;) {
        size_t end = at + 1;
        while (end < p->size && p->data[end] != '/') {
            end++;
        }
        size_t size = end - at - 1;
        const uint8_t *segment = p->data + at + 1;
        bool is_last = end == p->size;
        if (size == 0 && !is_last) {
            return refuse(why, "the path has an empty segment ('//')");
        }
        bool is_up = size == 2 && segment[0] == '.' && segment[1] == '.';
        if (is_up) {
            if (to == 0) {
                return refuse(why, "the path leads above its root");
            }
            do {
                to--;
            } while (p->data[to] != '/');
        } else if (!(size == 1 && segment[0] == '.')) {
            memmove(p->data + to, p->data + at, size + 1);
            to += size + 1;
            at = end;
            continue;
        }
        if (is_last) {
            p->data[to++] = '/';
        }
        at = end;
    }
    p->size = to;
    return OK;
}

static const char *decode(struct arena *arena, const struct out *path)
{
    char *text = arena_alloc(arena, path->size + 1);
    if (text == NULL) {
        return NULL;
    }
    struct bytes in = bytes_of(path->data, path->size);
    size_t n = 0;
    for (size_t i = 0; i < in.size; i++) {
        int escaped = hex_escape(in, i);
        text[n++] = (char)(escaped < 0 ? in.data[i] : escaped);
        i += escaped < 0 ? 0 : 2;
    }
    text[n] = '\0';
    return text;
}

enum err http_target_read(struct arena *arena, struct bytes target, struct http_target *out,
                          struct err_text *why)
{
    *out = (struct http_target){0};
    if (bytes_equal_string(target, "*")) {
        *out = (struct http_target){.forwarded = target, .path = "*"};
        return OK;
    }
    if (target.size == 0 || target.data[0] != '/') {
        return refuse(why, "the request's target is no path");
    }
    const uint8_t *mark = memchr(target.data, '?', target.size);
    size_t path_size = mark == NULL ? target.size : (size_t)(mark - target.data);
    struct out o = {.data = arena_alloc(arena, target.size * 3 + 2)};
    if (o.data == NULL) {
        return ERR_NO_MEMORY;
    }
    enum err e = put_path(&o, bytes_of(target.data, path_size), why);
    if (e == OK) {
        e = remove_dot_segments(&o, why);
    }
    if (e != OK) {
        return e;
    }
    out->path = decode(arena, &o);
    if (out->path == NULL) {
        return ERR_NO_MEMORY;
    }
    if (mark != NULL) {
        put(&o, '?');
        size_t start = o.size;
        e = put_query(&o, bytes_of(mark + 1, target.size - path_size - 1), why);
        out->has_query = true;
        out->query = bytes_of(o.data + start, o.size - start);
    }
    out->forwarded = bytes_of(o.data, o.size);
    return e;
}

enum err http_authority_read(struct bytes authority, char out_host[HTTP_HOST_SIZE],
                             uint16_t *out_port)
{
    *out_port = 0;
    if (!http_rules_is_authority(authority, false) && !http_rules_is_authority(authority, true)) {
        return ERR_INVALID;
    }
    size_t host = http_rules_host_size(authority);
    size_t start = authority.data[0] == '[' ? 1 : 0;
    size_t size = host - 2 * start;
    for (size_t i = 0; i < size; i++) {
        out_host[i] = (char)tolower(authority.data[start + i]);
    }
    out_host[size] = '\0';
    for (size_t i = host + 1; i < authority.size; i++) {
        *out_port = (uint16_t)(*out_port * 10 + authority.data[i] - '0');
    }
    return OK;
}
