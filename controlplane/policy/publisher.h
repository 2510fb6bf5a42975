/* Gives policies their revisions and signatures.
 *
 * A revision is made when the document differs from the newest one (by the SHA-256 of its canonical
 * bytes), or when the signing key does; publishing the same again changes nothing. What is
 * published is in the store before anyone sees it, so that revisions never go back.
 *
 *   signature = Ed25519("chaperone policy v1\n" || revision, decimal || "\n" || hex SHA-256 of
 * document)
 *
 * Thread-safe. */
#ifndef CHAPERONE_CONTROLPLANE_POLICY_PUBLISHER_H
#define CHAPERONE_CONTROLPLANE_POLICY_PUBLISHER_H

#include "base/bytes.h"
#include "base/clock.h"
#include "base/crypto/crypto.h"
#include "controlplane/store/store.h"

enum { PUBLISHER_HASH_SIZE = 2 * CRYPTO_SHA256_SIZE + 1 }; /* hex, with its terminator */

/* One published policy; immutable, shared by reference count. */
struct publication {
    uint64_t revision;
    char hash[PUBLISHER_HASH_SIZE];
    struct bytes document; /* canonical JSON */
    uint8_t signature[CRYPTO_ED25519_SIGNATURE_SIZE];
    uint8_t public_key[CRYPTO_ED25519_DER_SIZE]; /* SubjectPublicKeyInfo, DER */
};

struct publisher;

/* Loads the signing key, or makes it (mode 0600). Borrows the store. Returns owned. */
enum err publisher_create(struct store *store, const char *key_path, const struct clock *clock,
                          struct publisher **out, struct err_text *why) MUST_USE;
void publisher_destroy(struct publisher *publisher); /* takes NULL */

/* `document` is canonical JSON, `source` what a person wrote (may be ""). `*out_changed` says
 * whether there is a new revision. */
enum err publisher_publish(struct publisher *publisher, struct bytes document, const char *source,
                           const char *created_by, bool *out_changed,
                           struct err_text *why) MUST_USE;

/* The newest one, with a reference that is the caller's; NULL before the first. */
const struct publication *publisher_current(struct publisher *publisher) MUST_USE;
void publication_release(const struct publication *publication); /* takes NULL */

#endif
