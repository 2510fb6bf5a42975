/* A witness's own key and name, in its directory: key.pem, and witness.pub with the verifier key
 * that others put into their configuration. Made at the first start, never replaced: whoever knows
 * the witness knows this key. */
#ifndef CHAPERONE_CLI_WITNESS_KEY_H
#define CHAPERONE_CLI_WITNESS_KEY_H

#include "base/tlog/key.h"

struct witness_key {
    struct crypto_ed25519 *key; /* owned */
    struct tlog_signer signer;  /* TLOG_KEY_COSIGNATURE; borrows the key */
};

/* Reads them, or makes them: the directory exists, and is the caller's alone (memory.h). `name` is
 * needed for the first time; NULL later: as it was. ERR_INVALID: no name, or another than before;
 * ERR_DENIED: others may read the key, or the two files do not belong together. */
enum err witness_key_open(const char *directory, const char *name, struct witness_key *out,
                          struct err_text *why) MUST_USE;
void witness_key_finish(struct witness_key *key);

/* The verifier key of witness.pub. ERR_NOT_FOUND: there is none yet. */
enum err witness_key_show(const char *directory, struct tlog_verifier *out,
                          struct err_text *why) MUST_USE;

#endif
