/* Gives policies their revisions and signatures.
 *
 * A revision is made when the document differs from the newest one (by the SHA-256 of its canonical
 * bytes), or when the signing key does; publishing the same again changes nothing. What is
 * published is in the store before anyone sees it, so that revisions never go back.
 *
 * People publish, and the configuration does. The newest revision counts, whoever made it; the
 * configuration makes one only when its document is another than the one it gave last.
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

struct publisher_draft {
    struct bytes document;  /* canonical JSON */
    const char *source;     /* what a person wrote; may be "" */
    const char *created_by; /* not PUBLISHER_CONFIGURATION */
    const char *message;    /* NULL: none */
    uint64_t expect;        /* the newest revision that the author knows; 0: any */
};

struct publisher_result {
    uint64_t revision; /* that has this document now */
    char hash[PUBLISHER_HASH_SIZE];
    bool changed;    /* it is a new one */
    bool is_default; /* nobody ever gave one: the configuration's default is in force */
};

/* Of any number at the same time, each gets a revision of its own. ERR_EXISTS: the newest revision
 * is another than `expect`; nothing is changed then. */
enum err publisher_publish(struct publisher *publisher, const struct publisher_draft *draft,
                           struct publisher_result *out, struct err_text *why) MUST_USE;

/* Who made the configuration's revisions. */
#define PUBLISHER_CONFIGURATION "configuration"

/* What the configuration says, at the start and at each reload. It becomes a new revision when it
 * is another than the last one the configuration gave, also over what people published since;
 * otherwise the newest revision stays. `is_default`: the configuration says nothing, and the
 * document is only for a store without any. */
enum err publisher_configure(struct publisher *publisher, struct bytes document, const char *source,
                             bool is_default, struct publisher_result *out,
                             struct err_text *why) MUST_USE;

/* Takes over what another control plane has published meanwhile on the same store. */
enum err publisher_refresh(struct publisher *publisher, bool *out_changed) MUST_USE;

/* The newest one, with a reference that is the caller's; NULL before the first. */
const struct publication *publisher_current(struct publisher *publisher) MUST_USE;
void publication_release(const struct publication *publication); /* takes NULL */

#endif
