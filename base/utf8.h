/* UTF-8 as RFC 3629, section 4, has it: no overlong forms, no surrogates, nothing beyond U+10FFFF.
 */
#ifndef CHAPERONE_BASE_UTF8_H
#define CHAPERONE_BASE_UTF8_H

#include <stddef.h>
#include <stdint.h>

/* Bytes of the well-formed character at `at`, of which `left` bytes are there, at least one; 0:
 * there is none. */
size_t utf8_character_size(const uint8_t *at, size_t left);

/* In place: each byte that is part of no character becomes a question mark. */
void utf8_repair(char *text);

#endif
