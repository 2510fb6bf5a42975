/* Eight bytes looked at at once. Each test gives a mask with the high bit of every byte that it is
 * true of; behind the first one there may be too many, so only the first counts: words_index. Pure.
 */
#ifndef CHAPERONE_BASE_WORDS_H
#define CHAPERONE_BASE_WORDS_H

#include <endian.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum { WORDS_SIZE = 8 };

#define WORDS_ONES UINT64_C(0x0101010101010101)
#define WORDS_HIGHS UINT64_C(0x8080808080808080)

static inline uint64_t words_load(const uint8_t *at)
{
    uint64_t word;
    memcpy(&word, at, sizeof(word));
    return le64toh(word);
}

/* `limit`: at most 128. */
static inline uint64_t words_below(uint64_t word, uint8_t limit)
{
    return (word - WORDS_ONES * limit) & ~word & WORDS_HIGHS;
}

static inline uint64_t words_equal(uint64_t word, uint8_t b)
{
    return words_below(word ^ WORDS_ONES * b, 1);
}

/* Of what is not ASCII; exact. */
static inline uint64_t words_high(uint64_t word)
{
    return word & WORDS_HIGHS;
}

/* Of the first byte; the mask is not 0. */
static inline size_t words_index(uint64_t mask)
{
    return (size_t)__builtin_ctzll(mask) / 8;
}

#endif
