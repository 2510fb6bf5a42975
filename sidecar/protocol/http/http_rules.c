#include "sidecar/protocol/http/http_rules.h"

enum {
    HOST_MAX = 255, /* a name of DNS (RFC 1035 section 3.1) */
    PORT_DIGITS_MAX = 5,
    PORT_MAX = 65535,
};

static const struct {
    const char *name;
    uint8_t size;
    uint8_t rules;
} rules[] = {
#define RULE(name, rules)                                                                          \
    {                                                                                              \
        name, sizeof(name) - 1, rules                                                              \
    }
    RULE("accept", HTTP_RULE_NO_TRAILER | HTTP_RULE_NO_OPTION),
    RULE("accept-encoding", HTTP_RULE_NO_TRAILER | HTTP_RULE_NO_OPTION),
    RULE("age", HTTP_RULE_NO_TRAILER),
    RULE("authorization", HTTP_RULE_ONCE | HTTP_RULE_NO_TRAILER | HTTP_RULE_NO_OPTION),
    RULE("cache-control", HTTP_RULE_NO_TRAILER | HTTP_RULE_NO_OPTION),
    RULE("connection", HTTP_RULE_OF_CONNECTION | HTTP_RULE_NO_TRAILER | HTTP_RULE_NO_OPTION),
    RULE("content-encoding", HTTP_RULE_NO_TRAILER | HTTP_RULE_NO_OPTION),
    RULE("content-length", HTTP_RULE_OF_FRAMING | HTTP_RULE_NO_TRAILER | HTTP_RULE_NO_OPTION),
    RULE("content-range", HTTP_RULE_ONCE | HTTP_RULE_NO_TRAILER | HTTP_RULE_NO_OPTION),
    RULE("content-type", HTTP_RULE_ONCE | HTTP_RULE_NO_TRAILER | HTTP_RULE_NO_OPTION),
    RULE("cookie", HTTP_RULE_NO_TRAILER | HTTP_RULE_NO_OPTION),
    RULE("date", HTTP_RULE_NO_TRAILER | HTTP_RULE_NO_OPTION),
    RULE("expect", HTTP_RULE_ONCE | HTTP_RULE_NO_TRAILER | HTTP_RULE_NO_OPTION),
    RULE("expires", HTTP_RULE_NO_TRAILER),
    RULE("forwarded", HTTP_RULE_NO_TRAILER | HTTP_RULE_NO_OPTION),
    RULE("host", HTTP_RULE_NO_TRAILER | HTTP_RULE_NO_OPTION),
    RULE("http2-settings", HTTP_RULE_OF_CONNECTION | HTTP_RULE_NO_TRAILER),
    RULE("if-match", HTTP_RULE_NO_TRAILER | HTTP_RULE_NO_OPTION),
    RULE("if-modified-since", HTTP_RULE_NO_TRAILER | HTTP_RULE_NO_OPTION),
    RULE("if-none-match", HTTP_RULE_NO_TRAILER | HTTP_RULE_NO_OPTION),
    RULE("if-range", HTTP_RULE_NO_TRAILER | HTTP_RULE_NO_OPTION),
    RULE("if-unmodified-since", HTTP_RULE_NO_TRAILER | HTTP_RULE_NO_OPTION),
    RULE("keep-alive", HTTP_RULE_OF_CONNECTION | HTTP_RULE_NO_TRAILER),
    RULE("location", HTTP_RULE_ONCE | HTTP_RULE_NO_TRAILER | HTTP_RULE_NO_OPTION),
    RULE("max-forwards", HTTP_RULE_NO_TRAILER | HTTP_RULE_NO_OPTION),
    RULE("origin", HTTP_RULE_NO_TRAILER | HTTP_RULE_NO_OPTION),
    RULE("pragma", HTTP_RULE_NO_TRAILER),
    RULE("proxy-authenticate", HTTP_RULE_NO_TRAILER | HTTP_RULE_NO_OPTION),
    RULE("proxy-authorization", HTTP_RULE_ONCE | HTTP_RULE_NO_TRAILER | HTTP_RULE_NO_OPTION),
    RULE("proxy-connection", HTTP_RULE_OF_CONNECTION | HTTP_RULE_NO_TRAILER),
    RULE("range", HTTP_RULE_ONCE | HTTP_RULE_NO_TRAILER | HTTP_RULE_NO_OPTION),
    RULE("retry-after", HTTP_RULE_NO_TRAILER),
    RULE("sec-websocket-accept", HTTP_RULE_ONCE | HTTP_RULE_NO_TRAILER | HTTP_RULE_NO_OPTION),
    RULE("sec-websocket-extensions", HTTP_RULE_NO_TRAILER | HTTP_RULE_NO_OPTION),
    RULE("sec-websocket-key", HTTP_RULE_ONCE | HTTP_RULE_NO_TRAILER | HTTP_RULE_NO_OPTION),
    RULE("sec-websocket-protocol", HTTP_RULE_NO_TRAILER | HTTP_RULE_NO_OPTION),
    RULE("sec-websocket-version", HTTP_RULE_NO_TRAILER | HTTP_RULE_NO_OPTION),
    RULE("set-cookie", HTTP_RULE_NO_TRAILER | HTTP_RULE_NO_OPTION),
    RULE("te", HTTP_RULE_OF_FRAMING | HTTP_RULE_NO_TRAILER),
    RULE("trailer", HTTP_RULE_NO_TRAILER),
    RULE("transfer-encoding", HTTP_RULE_OF_CONNECTION | HTTP_RULE_NO_TRAILER | HTTP_RULE_NO_OPTION),
    RULE("upgrade", HTTP_RULE_OF_CONNECTION | HTTP_RULE_NO_TRAILER),
    RULE("vary", HTTP_RULE_NO_TRAILER),
    RULE("via", HTTP_RULE_NO_TRAILER | HTTP_RULE_NO_OPTION),
    RULE("www-authenticate", HTTP_RULE_NO_TRAILER | HTTP_RULE_NO_OPTION),
    RULE("x-forwarded-for", HTTP_RULE_NO_TRAILER | HTTP_RULE_NO_OPTION),
    RULE("x-forwarded-host", HTTP_RULE_NO_TRAILER | HTTP_RULE_NO_OPTION),
    RULE("x-forwarded-proto", HTTP_RULE_NO_TRAILER | HTTP_RULE_NO_OPTION),
    RULE("x-http-method-override", HTTP_RULE_NO_TRAILER | HTTP_RULE_NO_OPTION),
#undef RULE
};

enum { RULES = sizeof(rules) / sizeof(rules[0]) };
_Static_assert((int)RULES <= (int)HTTP_RULES_MAX, "a bit each says which were seen");

/* The names above are of lower case letters, digits and '-'. */
static bool is_name(struct bytes name, const char *lower)
{
    if (memcmp(name.data, lower, name.size) == 0) {
        return true;
    }
    for (size_t i = 0; i < name.size; i++) {
        uint8_t b = name.data[i];
        b = b >= 'A' && b <= 'Z' ? b | 0x20 : b;
        if (b != (uint8_t)lower[i]) {
            return false;
        }
    }
    return true;
}

/* The rules are sorted: those that begin with one letter lie together. */
static struct {
    uint8_t from, to;
} const by_first[26] = {
    ['a' - 'a'] = {0, 4},   ['c' - 'a'] = {4, 11},  ['d' - 'a'] = {11, 12}, ['e' - 'a'] = {12, 14},
    ['f' - 'a'] = {14, 15}, ['h' - 'a'] = {15, 17}, ['i' - 'a'] = {17, 22}, ['k' - 'a'] = {22, 23},
    ['l' - 'a'] = {23, 24}, ['m' - 'a'] = {24, 25}, ['o' - 'a'] = {25, 26}, ['p' - 'a'] = {26, 30},
    ['r' - 'a'] = {30, 32}, ['s' - 'a'] = {32, 38}, ['t' - 'a'] = {38, 41}, ['u' - 'a'] = {41, 42},
    ['v' - 'a'] = {42, 44}, ['w' - 'a'] = {44, 45}, ['x' - 'a'] = {45, 49},
};

size_t http_rules_find(struct bytes name)
{
    uint8_t first = name.size == 0 ? 0 : name.data[0] | 0x20;
    if (first < 'a' || first > 'z') {
        return HTTP_RULES_NONE;
    }
    for (size_t i = by_first[first - 'a'].from; i < by_first[first - 'a'].to; i++) {
        if (rules[i].size == name.size && is_name(name, rules[i].name)) {
            return i;
        }
    }
    return HTTP_RULES_NONE;
}

unsigned http_rules_at(size_t index)
{
    return index < RULES ? rules[index].rules : 0;
}

unsigned http_rules_of(struct bytes name)
{
    return http_rules_at(http_rules_find(name));
}

static bool is_digit(uint8_t b)
{
    return b >= '0' && b <= '9';
}

static bool is_letter(uint8_t b)
{
    b |= 0x20;
    return b >= 'a' && b <= 'z';
}

static bool is_in(uint8_t b, const char *set)
{
    return b != '\0' && strchr(set, b) != NULL;
}

static const bool token_bytes[256] = {
    ['!'] = true,         ['#' ... '\''] = true, ['*' ... '+'] = true,
    ['-' ... '.'] = true, ['0' ... '9'] = true,  ['A' ... 'Z'] = true,
    ['^' ... 'z'] = true, ['|'] = true,          ['~'] = true,
};

bool http_rules_is_token_byte(uint8_t b)
{
    return token_bytes[b];
}

bool http_rules_is_token(struct bytes text)
{
    for (size_t i = 0; i < text.size; i++) {
        if (!http_rules_is_token_byte(text.data[i])) {
            return false;
        }
    }
    return text.size > 0;
}

size_t http_rules_host_size(struct bytes text)
{
    size_t n = 0;
    if (text.size > 0 && text.data[0] == '[') {
        for (n = 1; n < text.size && text.data[n] != ']'; n++) {
            if (!is_digit(text.data[n]) && !is_in(text.data[n], "abcdefABCDEF:.")) {
                return 0;
            }
        }
        return n < text.size && n > 2 ? n + 1 : 0;
    }
    while (n < text.size &&
           (is_digit(text.data[n]) || is_letter(text.data[n]) || is_in(text.data[n], "-_."))) {
        n++;
    }
    return n;
}

bool http_rules_is_authority(struct bytes text, bool needs_port)
{
    size_t host = http_rules_host_size(text);
    if (host == 0 || host > HOST_MAX) {
        return false;
    }
    if (host == text.size) {
        return !needs_port;
    }
    size_t digits = text.size - host - 1;
    if (text.data[host] != ':' || digits == 0 || digits > PORT_DIGITS_MAX) {
        return false;
    }
    unsigned port = 0;
    for (size_t i = host + 1; i < text.size; i++) {
        if (!is_digit(text.data[i])) {
            return false;
        }
        port = port * 10 + (unsigned)(text.data[i] - '0');
    }
    return port > 0 && port <= PORT_MAX;
}
