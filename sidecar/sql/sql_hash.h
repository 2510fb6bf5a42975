/* SipHash-1-3: a keyed hash that is fast on short texts and whose collisions cannot be made without
 * the key (Aumasson and Bernstein 2012, with the round numbers that Rust and Python use). */
#ifndef CHAPERONE_SIDECAR_SQL_HASH_H
#define CHAPERONE_SIDECAR_SQL_HASH_H

#include "base/bytes.h"

static inline uint64_t sql_hash_rotate(uint64_t v, unsigned by)
{
    return v << by | v >> (64 - by);
}

static inline void sql_hash_round(uint64_t v[4])
{
    v[0] += v[1];
    v[2] += v[3];
    v[1] = sql_hash_rotate(v[1], 13) ^ v[0];
    v[3] = sql_hash_rotate(v[3], 16) ^ v[2];
    v[0] = sql_hash_rotate(v[0], 32);
    v[2] += v[1];
    v[0] += v[3];
    v[1] = sql_hash_rotate(v[1], 17) ^ v[2];
    v[3] = sql_hash_rotate(v[3], 21) ^ v[0];
    v[2] = sql_hash_rotate(v[2], 32);
}

static inline uint64_t sql_hash(const uint64_t key[2], struct bytes text)
{
    uint64_t v[4] = {
        key[0] ^ UINT64_C(0x736f6d6570736575),
        key[1] ^ UINT64_C(0x646f72616e646f6d),
        key[0] ^ UINT64_C(0x6c7967656e657261),
        key[1] ^ UINT64_C(0x7465646279746573),
    };
    size_t whole = text.size / 8;
    for (size_t i = 0; i < whole; i++) {
        uint64_t word;
        memcpy(&word, text.data + i * 8, 8);
        v[3] ^= word;
        sql_hash_round(v);
        v[0] ^= word;
    }
    uint64_t last = 0;
    if (text.size % 8 != 0) {
        memcpy(&last, text.data + whole * 8, text.size % 8);
    }
    last |= (uint64_t)text.size << 56;
    v[3] ^= last;
    sql_hash_round(v);
    v[0] ^= last;
    v[2] ^= 0xff;
    for (int i = 0; i < 3; i++) {
        sql_hash_round(v);
    }
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}

#endif
