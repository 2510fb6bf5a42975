/* protobuf-c in an arena; for this folder only. */
#ifndef CHAPERONE_SIDECAR_SQL_PARSE_H
#define CHAPERONE_SIDECAR_SQL_PARSE_H

#include <protobuf-c/protobuf-c.h>

#include "base/arena.h"

/* What is unpacked with it is valid until the arena is reset; it need not be freed. */
ProtobufCAllocator parse_allocator(struct arena *arena);

enum {
    SCRATCH_BLOCK = 64 << 10,
    /* A megabyte of the densest text gives a tree of some 150 MiB. */
    SCRATCH_MAX = 384 << 20,
};

#endif
