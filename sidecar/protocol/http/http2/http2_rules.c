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
    uint8_t rules;
} rules[] = {
    {"accept", NO_TRAILER},
    {"accept-encoding", NO_TRAILER},
    {"age", NO_TRAILER},
    {"authorization", ONCE | NO_TRAILER},
    {"cache-control", NO_TRAILER},
    {"connection", OF_CONNECTION},
    {"content-encoding", NO_TRAILER},
    {"content-length", NO_TRAILER},
    {"content-range", ONCE | NO_TRAILER},
    {"content-type", ONCE | NO_TRAILER},
    {"cookie", NO_TRAILER},
    {"date", NO_TRAILER},
    {"expect", ONCE | NO_TRAILER},
    {"expires", NO_TRAILER},
    {"forwarded", NO_TRAILER},
    {"host", NO_TRAILER},
    {"http2-settings", OF_CONNECTION},
    {"if-match", NO_TRAILER},
    {"if-modified-since", NO_TRAILER},
    {"if-none-match", NO_TRAILER},
    {"if-range", NO_TRAILER},
    {"if-unmodified-since", NO_TRAILER},
    {"keep-alive", OF_CONNECTION},
    {"location", ONCE | NO_TRAILER},
    {"max-forwards", NO_TRAILER},
    {"origin", NO_TRAILER},
    {"pragma", NO_TRAILER},
    {"proxy-authenticate", NO_TRAILER},
    {"proxy-authorization", ONCE | NO_TRAILER},
    {"proxy-connection", OF_CONNECTION},
    {"range", ONCE | NO_TRAILER},
    {"retry-after", NO_TRAILER},
    {"set-cookie", NO_TRAILER},
    {"te", NO_TRAILER},
    {"trailer", NO_TRAILER},
    {"transfer-encoding", OF_CONNECTION},
    {"upgrade", OF_CONNECTION},
    {"vary", NO_TRAILER},
    {"via", NO_TRAILER},
    {"www-authenticate", NO_TRAILER},
    {"x-forwarded-for", NO_TRAILER},
    {"x-forwarded-host", NO_TRAILER},
    {"x-forwarded-proto", NO_TRAILER},
    {"x-http-method-override", NO_TRAILER},
};

static unsigned rules_of(struct bytes name)
{
    for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++) {
        if (bytes_equal_string(name, rules[i].name)) {
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
