/* Takes the escapes of JSON strings out of a text that comes in pieces (RFC 8259 section 7), so
 * that \u0034 is scanned as the 4 that it is. Pure.
 *
 * What stands outside of strings passes unchanged, as does a backslash that begins no escape: it
 * is for scanning, not for parsing, and works on any text. A lone surrogate becomes U+FFFD. One
 * level only: JSON within a string of JSON is not unescaped twice. */
#ifndef CHAPERONE_SIDECAR_MASKING_JSON_UNESCAPE_H
#define CHAPERONE_SIDECAR_MASKING_JSON_UNESCAPE_H

#include "base/bytes.h"

struct json_unescape {
    uint8_t held[12]; /* of an escape that is not complete: at most a pair of surrogates */
    size_t count;
};

enum { JSON_UNESCAPE_OUT_MAX = 12 };

/* Takes one byte of the text; returns how many bytes became known (0 while within an escape) and
 * writes them, and for each the number of bytes of the text that it was made of: the first of a
 * character has them all, the further ones 0. With `is_end` gives what is held; `byte` is then not
 * looked at. */
size_t json_unescape_push(struct json_unescape *j, uint8_t byte, bool is_end,
                          uint8_t out[JSON_UNESCAPE_OUT_MAX],
                          uint8_t widths[JSON_UNESCAPE_OUT_MAX]);

#endif
