/* Hexadecimal digits, and escapes of RFC 3986 section 2.1. */
#ifndef CHAPERONE_BASE_HEX_H
#define CHAPERONE_BASE_HEX_H

#include "base/bytes.h"

/* The value of a digit of either case; -1: it is none. */
static inline int hex_value(uint8_t c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

/* The byte that "%XX" at this place stands for; -1: there is no such escape. */
static inline int hex_escape(struct bytes text, size_t at)
{
    if (at >= text.size || text.size - at < 3 || text.data[at] != '%') {
        return -1;
    }
    int high = hex_value(text.data[at + 1]);
    int low = hex_value(text.data[at + 2]);
    return high < 0 || low < 0 ? -1 : high << 4 | low;
}

#endif
