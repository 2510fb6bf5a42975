/* Heap memory that is wiped when it is given back.
 *
 * A secret passes through memory that is not ours to wipe: gRPC keeps the bytes of a message in
 * slices, and frees them as they are. What was freed is not overwritten for as long as nobody
 * else needs that much, and would be in a core file. A process that links this library has
 * a free() and a realloc() that overwrite each block first, for all of its libraries too; glibc
 * promises that a program may do so ("Replacing malloc"). Nothing has to be called.
 *
 * What lives on is not touched: an owner of a secret still wipes its own copies in time.
 *
 * Under a sanitizer, which has a heap of its own, it does nothing. */
#ifndef CHAPERONE_BASE_HEAP_HEAP_H
#define CHAPERONE_BASE_HEAP_HEAP_H

#include <stdbool.h>

/* False under a sanitizer. */
bool heap_is_wiped(void);

#endif
