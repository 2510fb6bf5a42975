/* Reads records/NNNNNN.rec of an evidence package (docs/evidence.md), in pieces of any size.
 *
 *   u64 position, u32 size, `size` bytes, and where size is 0 a hash of 32 bytes; big-endian
 *
 * Holds at most one record. Pure but for the callback. */
#ifndef CHAPERONE_CLI_VERIFY_REC_H
#define CHAPERONE_CLI_VERIFY_REC_H

#include "base/bytes.h"

/* A record is at most 1 MiB (the control plane takes no larger one). */
enum { REC_HASH_SIZE = 32, REC_RECORD_MAX = 1 << 20 };

struct rec_item {
    uint64_t position;
    struct bytes canonical; /* no bytes: erased */
    struct bytes hash;      /* of an erased one; else no bytes */
};

/* What it gives is valid during the call. An error ends the reading. */
typedef enum err rec_fn(void *context, const struct rec_item *item);

struct rec_reader {
    struct buffer pending;
    rec_fn *on_item;
    void *context;
    enum err failed; /* stays */
};

void rec_init(struct rec_reader *reader, rec_fn *on_item, void *context);
void rec_finish(struct rec_reader *reader);

/* The next bytes of the file. ERR_INVALID: a size or a position that no record has; else what the
 * callback said. */
enum err rec_feed(struct rec_reader *reader, struct bytes more) MUST_USE;
/* At the end of the file. ERR_INVALID: it ends in the middle of a record. */
enum err rec_end(struct rec_reader *reader) MUST_USE;

#endif
