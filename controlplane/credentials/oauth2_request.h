/* Asking an authorization server for a token: the client credentials grant (RFC 6749 section 4.4).
 */
#ifndef CHAPERONE_CONTROLPLANE_CREDENTIALS_OAUTH2_REQUEST_H
#define CHAPERONE_CONTROLPLANE_CREDENTIALS_OAUTH2_REQUEST_H

#include "controlplane/config.h"
#include "controlplane/credentials/oauth2_answer.h"

/* Bytes of an answer; tokens with many groups are a few KiB. */
enum { OAUTH2_ANSWER_CAP = 64 << 10 };

/* Fills in `out`, which the caller finishes. https, or http to this machine itself; no redirects;
 * blocks for the timeout at most. `why` has nothing of the secret. As oauth2_read_answer, and
 * ERR_UNAVAILABLE, ERR_TIMEOUT, ERR_LIMIT (OAUTH2_ANSWER_CAP). */
enum err oauth2_request_token(const struct config_oauth2 *client, struct bytes secret,
                              struct oauth2_token *out, struct err_text *why) MUST_USE;

#endif
