/* Blobs: bytes kept under their SHA-256, outside of the store, in a directory or in an
 * S3-compatible store.
 *
 * A blob is what the caller made of it (the store: compressed and encrypted); nothing here looks
 * into it, but what is read is always what the name says. Every function may be called from any
 * thread, also at the same time, and may take as long as the other side does. */
#ifndef CHAPERONE_CONTROLPLANE_BLOBS_BLOBS_H
#define CHAPERONE_CONTROLPLANE_BLOBS_BLOBS_H

#include "base/bytes.h"

struct blobs;

enum {
    BLOBS_NAME_SIZE = 32,
    BLOBS_NAME_TEXT_SIZE = 2 * BLOBS_NAME_SIZE + 1,
    /* Of one blob: more than the largest record, and what compressing and encrypting add. */
    BLOBS_SIZE_MAX = 8 << 20,
};

void blobs_destroy(struct blobs *blobs); /* takes NULL; no call may be under way */

/* Durable when it returned OK; the name is the SHA-256 of `content` (ERR_INVALID: it is not). One
 * that is there already is written again. ERR_FULL: no space; ERR_UNAVAILABLE: cannot be reached,
 * or refuses now; ERR_LIMIT: too large; ERR_IO. */
enum err blobs_put(struct blobs *blobs, const uint8_t name[BLOBS_NAME_SIZE], struct bytes content,
                   struct err_text *why) MUST_USE;
/* Replaces what is in `out`. ERR_NOT_FOUND: there is none; ERR_DENIED: what is there is not what
 * the name says; ERR_UNAVAILABLE, ERR_IO. */
enum err blobs_get(struct blobs *blobs, const uint8_t name[BLOBS_NAME_SIZE], struct buffer *out,
                   struct err_text *why) MUST_USE;
/* One that is not there is OK. */
enum err blobs_delete(struct blobs *blobs, const uint8_t name[BLOBS_NAME_SIZE],
                      struct err_text *why) MUST_USE;

void blobs_name_of(struct bytes content, uint8_t out[BLOBS_NAME_SIZE]);
/* Lower-case hex, as it is in paths. */
void blobs_name_text(const uint8_t name[BLOBS_NAME_SIZE], char out[BLOBS_NAME_TEXT_SIZE]);

#endif
