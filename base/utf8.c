#include "base/utf8.h"

#include <string.h>

size_t utf8_character_size(const uint8_t *at, size_t left)
{
    uint8_t first = at[0];
    uint8_t low = first == 0xe0 ? 0xa0 : first == 0xf0 ? 0x90 : 0x80;
    uint8_t high = first == 0xed ? 0x9f : first == 0xf4 ? 0x8f : 0xbf;
    size_t size = first < 0x80                    ? 1
                  : first >= 0xc2 && first < 0xe0 ? 2
                  : first >= 0xe0 && first < 0xf0 ? 3
                  : first >= 0xf0 && first < 0xf5 ? 4
                                                  : 0;
    if (size == 0 || size > left) {
        return 0;
    }
    for (size_t i = 1; i < size; i++) {
        if (at[i] < low || at[i] > high) {
            return 0;
        }
        low = 0x80;
        high = 0xbf;
    }
    return size;
}

void utf8_repair(char *text)
{
    size_t left = strlen(text);
    for (uint8_t *at = (uint8_t *)text; left > 0;) {
        size_t n = utf8_character_size(at, left);
        if (n == 0) {
            *at = '?';
            n = 1;
        }
        at += n;
        left -= n;
    }
}
