/* The content of audit records at rest: encrypted under a key of its session, so that it is
 * destroyed with the key (crypto-shredding).
 *
 * AES-256-GCM with a random nonce; what is encrypted is bound to the hash of the record, so that
 * the content of one cannot be put in another's place. Not thread-safe: one for each connection.
 * Keys are wiped. */
#ifndef CHAPERONE_CONTROLPLANE_STORE_CONTENT_H
#define CHAPERONE_CONTROLPLANE_STORE_CONTENT_H

#include "base/arena.h"
#include "base/bytes.h"
#include "controlplane/store/store.h"

enum {
    CONTENT_KEY_SIZE = 32,
    CONTENT_OVERHEAD = 12 + 16, /* nonce and tag */
    CONTENT_WRAPPED_SIZE = CONTENT_KEY_SIZE + CONTENT_OVERHEAD,
};

struct content;

/* `master` is CONTENT_KEY_SIZE bytes, copied; or none: keys are not encrypted then. Returns owned.
 * ERR_INVALID: of another size. */
enum err content_create(struct bytes master, struct content **out) MUST_USE;
void content_destroy(struct content *content); /* takes NULL */

/* A new key, and how it is kept. `session` binds it to its place. */
enum err content_key_make(struct content *content, struct bytes session,
                          uint8_t out_key[CONTENT_KEY_SIZE],
                          uint8_t out_wrapped[CONTENT_WRAPPED_SIZE]) MUST_USE;
/* ERR_DENIED: of another session, or encrypted with another master. */
enum err content_key_open(struct content *content, struct bytes session, struct bytes wrapped,
                          uint8_t out_key[CONTENT_KEY_SIZE]) MUST_USE;

/* Replaces what is in `out`. */
enum err content_seal(struct content *content, const uint8_t key[CONTENT_KEY_SIZE],
                      const uint8_t hash[STORE_HASH_SIZE], struct bytes canonical,
                      struct buffer *out) MUST_USE;
/* The key of the last content_seal is kept for the next one until this is called. */
void content_forget(struct content *content);
/* In the arena. ERR_DENIED: not what was sealed under this key for this record. */
enum err content_open(struct content *content, const uint8_t key[CONTENT_KEY_SIZE],
                      const uint8_t hash[STORE_HASH_SIZE], struct bytes sealed, struct arena *arena,
                      struct bytes *out) MUST_USE;

/* What sections are passed over by (sqlite_marks.h), under a key that is made of the master: no
 * search could look up the keys of all sessions. `place` is where it belongs, the section's key.
 * Replaces what is in `out`. */
enum err content_seal_marks(struct content *content, int64_t place, struct bytes marks,
                            struct buffer *out) MUST_USE;
/* ERR_DENIED: not what was sealed for this place. */
enum err content_open_marks(struct content *content, int64_t place, struct bytes sealed,
                            struct buffer *out) MUST_USE;

#endif
