/* Inside of sqlite_section: numbers as they are written where there is room for them already. */
#ifndef CHAPERONE_CONTROLPLANE_STORE_SQLITE_SECTION_BYTES_H
#define CHAPERONE_CONTROLPLANE_STORE_SQLITE_SECTION_BYTES_H

#include "base/bytes.h"

static inline void section_put_u32(uint8_t **at, size_t v)
{
    *(*at)++ = (uint8_t)(v >> 24);
    *(*at)++ = (uint8_t)(v >> 16);
    *(*at)++ = (uint8_t)(v >> 8);
    *(*at)++ = (uint8_t)v;
}

static inline void section_put_u64(uint8_t **at, uint64_t v)
{
    section_put_u32(at, (size_t)(v >> 32));
    section_put_u32(at, (size_t)(v & UINT32_MAX));
}

#endif
