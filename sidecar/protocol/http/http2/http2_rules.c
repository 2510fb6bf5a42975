#include "sidecar/protocol/http/http2/http2_rules.h"

enum {
    HOST_MAX = 255, /* a name of DNS (RFC 1035 section 3.1) */
    PORT_DIGITS_MAX = 5,
    PORT_MAX = 65535,
};

enum rule {
    OF_CONNECTION = 1,
    ONCE = 2,
    NO_TRAILER = 4,
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
    RULE("accept", NO_TRAILER),
    RULE("accept-encoding", NO_TRAILER),
    RULE("age", NO_TRAILER),
    RULE("authorization", ONCE | NO_TRAILER),
    RULE("cache-control", NO_TRAILER),
    RULE("connection", OF_CONNECTION),
    RULE("content-encoding", NO_TRAILER),
    RULE("content-length", NO_TRAILER),
    RULE("content-range", ONCE | NO_TRAILER),
    RULE("content-type", ONCE | NO_TRAILER),
    RULE("cookie", NO_TRAILER),
    RULE("date", NO_TRAILER),
    RULE("expect", ONCE | NO_TRAILER),
    RULE("expires", NO_TRAILER),
    RULE("forwarded", NO_TRAILER),
    RULE("host", NO_TRAILER),
    RULE("http2-settings", OF_CONNECTION),
    RULE("if-match", NO_TRAILER),
    RULE("if-modified-since", NO_TRAILER),
    RULE("if-none-match", NO_TRAILER),
    RULE("if-range", NO_TRAILER),
    RULE("if-unmodified-since", NO_TRAILER),
    RULE("keep-alive", OF_CONNECTION),
    RULE("location", ONCE | NO_TRAILER),
    RULE("max-forwards", NO_TRAILER),
    RULE("origin", NO_TRAILER),
    RULE("pragma", NO_TRAILER),
    RULE("proxy-authenticate", NO_TRAILER),
    RULE("proxy-authorization", ONCE | NO_TRAILER),
    RULE("proxy-connection", OF_CONNECTION),
    RULE("range", ONCE | NO_TRAILER),
    RULE("retry-after", NO_TRAILER),
    RULE("set-cookie", NO_TRAILER),
    RULE("te", NO_TRAILER),
    RULE("trailer", NO_TRAILER),
    RULE("transfer-encoding", OF_CONNECTION),
    RULE("upgrade", OF_CONNECTION),
    RULE("vary", NO_TRAILER),
    RULE("via", NO_TRAILER),
    RULE("www-authenticate", NO_TRAILER),
    RULE("x-forwarded-for", NO_TRAILER),
    RULE("x-forwarded-host", NO_TRAILER),
    RULE("x-forwarded-proto", NO_TRAILER),
    RULE("x-http-method-override", NO_TRAILER),
#undef RULE
};

static unsigned rules_of(struct bytes name)
{
    for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++) {
        if (name.size == rules[i].size && memcmp(name.data, rules[i].name, name.size) == 0) {
            return rules[i].rules;
        }
    }
    return 0;
}

bool http2_rules_is_of_connection(struct bytes name)
{
    return (rules_of(name) & OF_CONNECTION) != 0;
}

bool http2_rules_is_once(struct bytes name)
{
    return (rules_of(name) & ONCE) != 0;
}

bool http2_rules_may_trail(struct bytes name)
{
    return (rules_of(name) & (NO_TRAILER | OF_CONNECTION)) == 0;
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

bool http2_rules_is_token(struct bytes text)
{
    for (size_t i = 0; i < text.size; i++) {
        uint8_t b = text.data[i];
        if (!is_digit(b) && !is_letter(b) && !is_in(b, "!#$%&'*+-.^_`|~")) {
            return false;
        }
    }
    return text.size > 0;
}

/* How many bytes of it are the host; 0: it is none. */
static size_t host_size(struct bytes text)
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

bool http2_rules_is_authority(struct bytes text, bool needs_port)
{
    size_t host = host_size(text);
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

bool http2_rules_is_path(struct bytes text)
{
    for (size_t i = 0; i < text.size; i++) {
        uint8_t b = text.data[i];
        if (b <= ' ' || b >= 0x7f || is_in(b, "#\\\"<>")) {
            return false;
        }
    }
    return text.size > 0 && text.data[0] == '/';
}
