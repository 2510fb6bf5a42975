/* Asking an authorization server for a token: the client credentials grant (RFC 6749 section 4.4).
 */
#ifndef CHAPERONE_CONTROLPLANE_CREDENTIALS_OAUTH2_REQUEST_H
#define CHAPERONE_CONTROLPLANE_CREDENTIALS_OAUTH2_REQUEST_H

#include "base/bytes.h"
#include "controlplane/config.h"

enum {
    /* Bytes of an answer; tokens with many groups are a few KiB. */
    OAUTH2_ANSWER_CAP = 64 << 10,
    /* Bytes of a token: with the other fields of a request it stays below what servers take. */
    OAUTH2_TOKEN_CAP = 16 << 10,
};

/* What is answered. */
struct oauth2_token {
    struct buffer text; /* the caller finishes it: oauth2_token_finish */
    int64_t lifetime_s; /* 0: not said */
};

/* Fills in `out`. https, or http to this machine itself; no redirects; blocks for the timeout at
 * most. `why` has nothing of the answer but an error code of RFC 6749 section 5.2, and nothing of
 * the secret. ERR_UNAVAILABLE, ERR_TIMEOUT, ERR_DENIED: the server does not take the client;
 * ERR_LIMIT, ERR_INVALID: an answer that is not understood. */
enum err oauth2_request_token(const struct config_oauth2 *client, struct bytes secret,
                              struct oauth2_token *out, struct err_text *why) MUST_USE;
void oauth2_token_finish(struct oauth2_token *token); /* wipes; may be called again */

/* What an answer says. Pure. */
enum err oauth2_read_answer(long status, struct bytes body, struct oauth2_token *out,
                            struct err_text *why) MUST_USE;

#endif
