/* What a token, an authority, a path may look like, and which fields have a place of their own: the
 * same for both versions, so that a message is not refused in one and let pass in the other. Pure.
 */
#ifndef CHAPERONE_SIDECAR_PROTOCOL_HTTP_HTTP_RULES_H
#define CHAPERONE_SIDECAR_PROTOCOL_HTTP_HTTP_RULES_H

#include "base/bytes.h"
#include "base/words.h"

enum http_rule {
    /* Goes no further (RFC 9110 section 7.6.1); HTTP/2 does not have it (RFC 9113 section 8.2.2).
     */
    HTTP_RULE_OF_CONNECTION = 1,
    HTTP_RULE_OF_FRAMING = 2, /* HTTP/1 writes it itself */
    HTTP_RULE_ONCE = 4,       /* two of them could be read as either one */
    /* RFC 9110 section 6.5.1: says how to route, frame or read a message, or who asks. */
    HTTP_RULE_NO_TRAILER = 8,
    HTTP_RULE_NO_OPTION = 16, /* Connection may not take it away */
};

enum { HTTP_RULES_MAX = 64, HTTP_RULES_NONE = HTTP_RULES_MAX };

/* Which of the fields with rules it is, below HTTP_RULES_MAX; HTTP_RULES_NONE: of no rule. Case
 * does not count. */
size_t http_rules_find(struct bytes name);
/* The bits of enum http_rule; 0: none. */
unsigned http_rules_at(size_t index);
unsigned http_rules_of(struct bytes name);

/* From `at` on over visible bytes, spaces and those from 0x80 on, eight at a time: stops at the
 * first other one, or up to seven bytes before the end. */
static inline size_t http_rules_skip_text(struct bytes text, size_t at)
{
    for (; at < text.size && text.size - at >= WORDS_SIZE; at += WORDS_SIZE) {
        uint64_t word = words_load(text.data + at);
        uint64_t stops = words_below(word, 0x20) | words_equal(word, 0x7f);
        if (stops != 0) {
            return at + words_index(stops);
        }
    }
    return at;
}

/* RFC 9110 section 5.6.2. */
bool http_rules_is_token_byte(uint8_t b);
bool http_rules_is_token(struct bytes text);
/* host [":" port]: a name of letters, digits, "-", "_" and ".", an IPv4 address, or an IPv6 address
 * in brackets. No userinfo, and nothing percent-encoded: what a name means is then plain. */
bool http_rules_is_authority(struct bytes text, bool needs_port);
/* How many bytes of an authority are its host; 0: it has none. */
size_t http_rules_host_size(struct bytes text);

#endif
