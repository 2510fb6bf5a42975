/* UUIDv7 (RFC 9562 section 5.7): sortable by time, unguessable by its 74 random bits. */
#ifndef CHAPERONE_BASE_UUID_H
#define CHAPERONE_BASE_UUID_H

#include "base/clock.h"
#include "base/err.h"

enum { UUID_TEXT_SIZE = 37 };

/* Writes 36 characters and a terminator. ERR_IO when the system gives no randomness. */
enum err uuid_make_v7(const struct clock *clock, char *out) MUST_USE;

#endif
