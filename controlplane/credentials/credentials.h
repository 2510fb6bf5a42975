/* The secrets behind a resource: read when a grant needs them, from where the configuration says.
 *
 * Nothing is cached: a file that a secret manager rewrites, and a secret set anew, count from the
 * next session on. */
#ifndef CHAPERONE_CONTROLPLANE_CREDENTIALS_CREDENTIALS_H
#define CHAPERONE_CONTROLPLANE_CREDENTIALS_CREDENTIALS_H

#include "base/bytes.h"
#include "controlplane/config.h"
#include "controlplane/credentials/vault.h"
#include "controlplane/store/store.h"

struct credentials_values {
    struct buffer password, certificate_pem, key_pem; /* empty where there is none */
};

/* Fills in `out`, which the caller finishes. Passwords lose one line end, which editors and `echo`
 * leave behind. `why` names variable, file or secret and is for the operator's log, never for an
 * agent. ERR_NOT_FOUND, ERR_LIMIT (VAULT_SECRET_CAP), ERR_INVALID (does not open), ERR_IO, ... */
enum err credentials_read(const struct config_credential *credential, const struct vault *vault,
                          struct store *store, struct credentials_values *out,
                          struct err_text *why) MUST_USE;
void credentials_finish(struct credentials_values *values); /* wipes; may be called again */

/* Seals and stores. The name is what `{store: NAME}` refers to. */
enum err credentials_put(const struct vault *vault, struct store *store, const char *name,
                         struct bytes secret, int64_t now_ns, struct err_text *why) MUST_USE;

#endif
