/* What an authorization server answers to a request for a token (RFC 6749 section 5). Pure. */
#ifndef CHAPERONE_CONTROLPLANE_CREDENTIALS_OAUTH2_ANSWER_H
#define CHAPERONE_CONTROLPLANE_CREDENTIALS_OAUTH2_ANSWER_H

#include "base/bytes.h"

enum {
    /* Bytes of a token: with the other fields of a request it stays below what servers take. */
    OAUTH2_TOKEN_CAP = 16 << 10,
};

struct oauth2_token {
    struct buffer text; /* the caller finishes it: oauth2_token_finish */
    int64_t lifetime_s; /* 0: not said */
};

/* Fills in `out`, which may stand in a header as it is. `why` has nothing of the answer but an
 * error code of section 5.2. ERR_DENIED: the server does not take the client; ERR_UNAVAILABLE:
 * another status than 200; ERR_INVALID: an answer that is not understood. */
enum err oauth2_read_answer(long status, struct bytes body, struct oauth2_token *out,
                            struct err_text *why) MUST_USE;
void oauth2_token_finish(struct oauth2_token *token); /* wipes; may be called again */

#endif
