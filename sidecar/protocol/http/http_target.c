#include "sidecar/protocol/http/http_target.h"

#include <ctype.h>

static const char hex_digits[] = "0123456789ABCDEF";

static int hex_value(uint8_t c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

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

static bool is_escape(struct bytes b, size_t at)
{
    return at + 2 < b.size && b.data[at] == '%' && hex_value(b.data[at + 1]) >= 0 &&
           hex_value(b.data[at + 2]) >= 0;
}

static uint8_t escaped(struct bytes b, size_t at)
{
    return (uint8_t)(hex_value(b.data[at + 1]) * 16 + hex_value(b.data[at + 2]));
}

static enum err refuse(struct err_text *why, const char *what)
{
    return err_set(why, ERR_INVALID, "%s", what);
}

/* One escape of the path: what it stands for is what a server will see after decoding once. */
static enum err put_path_escape(struct out *o, struct bytes in, size_t at, struct err_text *why)
{
    uint8_t c = escaped(in, at);
    if (c == '/' || c == '\\') {
        return refuse(why, "the path has an escaped slash or backslash");
    }
    if (c < 0x20 || c == 0x7f) {
        return refuse(why, "the path has an escaped control character");
    }
    if (c == '%' && at + 4 < in.size && hex_value(in.data[at + 3]) >= 0 &&
        hex_value(in.data[at + 4]) >= 0) {
        return refuse(why, "the path is escaped twice");
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

static enum err put_path(struct out *o, struct bytes in, struct err_text *why)
{
    enum err e = OK;
    for (size_t i = 0; e == OK && i < in.size; i++) {
        uint8_t c = in.data[i];
        if (c == '%') {
            e = is_escape(in, i) ? put_path_escape(o, in, i, why)
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
    return e;
}

static enum err put_query(struct out *o, struct bytes in, struct err_text *why)
{
    for (size_t i = 0; i < in.size; i++) {
        uint8_t c = in.data[i];
        if (c == '\\' || c == '#' || c <= 0x20 || c >= 0x7f) {
            return refuse(why, "the query has a character that no query has");
        }
        if (c == '%') {
            if (!is_escape(in, i)) {
                return refuse(why, "the query has an escape that is none");
            }
            uint8_t decoded = escaped(in, i);
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
        bool is = is_escape(in, i);
        text[n++] = (char)(is ? escaped(in, i) : in.data[i]);
        i += is ? 2 : 0;
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

static bool is_host_character(uint8_t c, bool is_address)
{
    return (c < 0x80 && isalnum(c) != 0) || c == '-' || c == '.' || c == '_' ||
           (is_address && c == ':');
}

static bool read_port(struct bytes text, uint16_t *out)
{
    uint32_t port = 0;
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] < '0' || text.data[i] > '9' || port > UINT16_MAX) {
            return false;
        }
        port = port * 10 + text.data[i] - '0';
    }
    *out = (uint16_t)port;
    return text.size > 0 && port > 0 && port <= UINT16_MAX;
}

enum err http_authority_read(struct bytes authority, char out_host[HTTP_HOST_SIZE],
                             uint16_t *out_port)
{
    bool is_address = authority.size > 0 && authority.data[0] == '[';
    size_t start = is_address ? 1 : 0;
    size_t at = start;
    *out_port = 0;
    while (at < authority.size && is_host_character(authority.data[at], is_address)) {
        at++;
    }
    size_t size = at - start;
    if (is_address) {
        if (at == authority.size || authority.data[at] != ']') {
            return ERR_INVALID;
        }
        at++;
    }
    if (size == 0 || size >= HTTP_HOST_SIZE) {
        return ERR_INVALID;
    }
    for (size_t i = 0; i < size; i++) {
        out_host[i] = (char)tolower(authority.data[start + i]);
    }
    out_host[size] = '\0';
    if (at == authority.size) {
        return OK;
    }
    bool has_port = authority.data[at] == ':' &&
                    read_port(bytes_of(authority.data + at + 1, authority.size - at - 1), out_port);
    return has_port ? OK : ERR_INVALID;
}
