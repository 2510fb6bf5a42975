/* Inside of sqlite_marks: what words and their beginnings are as numbers. */
#ifndef CHAPERONE_CONTROLPLANE_STORE_SQLITE_MARKS_BITS_H
#define CHAPERONE_CONTROLPLANE_STORE_SQLITE_MARKS_BITS_H

#include <endian.h>

#include "base/bytes.h"

enum {
    MARKS_VERSION = 1,
    MARKS_ALL = 0,
    MARKS_BITS = 64,
    MARKS_RUN_SIZE_MAX = 4, /* two numbers below 1,024 */
    MARKS_WORD_SIZE_MAX = 3 + 1 + 64,
    MARKS_PRINTS = 1 << 16,
    MARKS_SECOND = 38, /* none, 36 letters and digits, or any other */
    MARKS_BEGINNINGS = 36 * MARKS_SECOND + 1,
};

/* Of a folded word, of which `left` bytes may be read: at least its size. */
static inline uint16_t marks_print(struct bytes word, size_t left)
{
    uint64_t hash = word.size, block = 0;
    size_t i = 0;
    for (; word.size - i >= sizeof(block); i += sizeof(block)) {
        memcpy(&block, word.data + i, sizeof(block));
        hash = (hash ^ le64toh(block)) * UINT64_C(0x9e3779b97f4a7c15);
        hash ^= hash >> 29;
    }
    block = 0;
    if (left - i >= sizeof(block)) {
        memcpy(&block, word.data + i, sizeof(block));
    } else {
        memcpy(&block, word.data + i, word.size - i);
    }
    block = le64toh(block) & ((UINT64_C(1) << 8 * (word.size - i)) - 1);
    hash = (hash ^ block) * UINT64_C(0x9e3779b97f4a7c15);
    hash ^= hash >> 29;
    return (uint16_t)(hash * UINT64_C(0xbf58476d1ce4e5b9) >> 48);
}

/* 0 to 35; 36: it is none of them. */
static inline size_t marks_letter(uint8_t c)
{
    if (c >= 'a' && c <= 'z') {
        return (size_t)(c - 'a') + 10;
    }
    return c >= '0' && c <= '9' ? (size_t)(c - '0') : 36;
}

/* Its first two letters as a number; all that begin with another character have one. */
static inline size_t marks_beginning(struct bytes word)
{
    size_t first = word.size == 0 ? 36 : marks_letter(word.data[0]);
    if (first == 36) {
        return MARKS_BEGINNINGS - 1;
    }
    return first * MARKS_SECOND + (word.size == 1 ? 0 : 1 + marks_letter(word.data[1]));
}

#endif
