/* Makes streams of audit records for tests of the store: their hashes are chained as the real ones
 * are, their bytes are any. */
#ifndef CHAPERONE_CONTROLPLANE_STORE_STORE_RECORDS_H
#define CHAPERONE_CONTROLPLANE_STORE_STORE_RECORDS_H

#include "controlplane/store/store.h"

static const int64_t records_start_ns = INT64_C(1700000000000000000);

/* Any hash, the same for the same arguments; zero bytes for sequence 0. */
static inline void records_hash(uint64_t stream, uint64_t sequence, uint8_t out[STORE_HASH_SIZE])
{
    memset(out, 0, STORE_HASH_SIZE);
    if (sequence > 0) {
        memcpy(out, &sequence, sizeof(sequence));
        memcpy(out + 8, &stream, sizeof(stream));
        out[31] = 1;
    }
}

/* A record of a session, `sequence` seconds after the start. */
static inline struct store_audit_record
records_make(uint64_t stream, uint64_t sequence, enum store_audit_kind kind, const char *session)
{
    struct store_audit_record r = {
        .sequence = sequence,
        .canonical = bytes_of("any\0bytes", 9),
        .index = {.kind = kind,
                  .time_ns = records_start_ns + (int64_t)sequence * 1000000000,
                  .session = bytes_of_string(session)},
    };
    records_hash(stream, sequence, r.hash);
    records_hash(stream, sequence - 1, r.previous);
    return r;
}

/* When all of them have arrived. */
static const int64_t records_received_ns = INT64_C(1800000000000000000);

#endif
