/* What makes a request over HTTP the target's user's: the header field that the sidecar puts in,
 * and what the agent must not see of it where the target gives it back. Pure. */
#ifndef CHAPERONE_CONTROLPLANE_CREDENTIALS_HTTP_CREDENTIAL_H
#define CHAPERONE_CONTROLPLANE_CREDENTIALS_HTTP_CREDENTIAL_H

#include "base/bytes.h"
#include "controlplane/config.h"

enum {
    /* A cookie header has several values. */
    HTTP_CREDENTIAL_SECRETS = 16,
    /* Shorter ones are no secrets, and removing them would remove what has nothing to do with them.
     */
    HTTP_CREDENTIAL_SECRET_MIN = 4,
};

struct http_credential {
    const char *name; /* of the field, in lower case; NULL: none. Static, or the configuration's */
    struct buffer value; /* of the field */
    struct buffer secrets[HTTP_CREDENTIAL_SECRETS];
    size_t secret_count;
};

/* Fills in `out`, which the caller finishes. `secret` is the token, the password or the value.
 * ERR_INVALID: it is empty, or cannot stand in a header; ERR_LIMIT: it is too long. `why` has
 * nothing of it. */
enum err http_credential_make(const struct config_credential *credential, struct bytes secret,
                              struct http_credential *out, struct err_text *why) MUST_USE;
void http_credential_finish(struct http_credential *credential); /* wipes; may be called again */

#endif
