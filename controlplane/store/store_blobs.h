/* Large records in blobs: what store.c does with them before and after the backend.
 *
 * A record in a blob is compressed (zstd) and encrypted under a key of its own. In its row stands a
 * reference instead of its bytes, which is encrypted under the key of the session as the bytes
 * would be: with that key, the blob's is gone. A reference:
 *   u8 version, 32 bytes the blob's name, 32 bytes its key, u32 size of the canonical bytes */
#ifndef CHAPERONE_CONTROLPLANE_STORE_STORE_BLOBS_H
#define CHAPERONE_CONTROLPLANE_STORE_STORE_BLOBS_H

#include "controlplane/store/backend.h"

/* As store_audit_append. */
enum err store_blobs_append(struct store *store, const char *sidecar,
                            const struct store_audit_record *records, size_t count,
                            int64_t received_ns, struct store_audit_appended *out,
                            uint64_t *out_refused, struct err_text *why) MUST_USE;

/* Puts the bytes of records in the place of references to them. Of entries that have more than
 * `max_bytes` together those behind are left out: `*count` is less then. ERR_IO: a blob is missing
 * or was changed; ERR_UNAVAILABLE. */
enum err store_blobs_resolve(struct store *store, struct store_audit_entry *entries, size_t *count,
                             size_t max_bytes, struct arena *arena, struct err_text *why) MUST_USE;

#endif
