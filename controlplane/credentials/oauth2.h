/* The access tokens of OAuth 2.0 clients (RFC 6749 section 4.4), for as long as they are good.
 *
 * One that a client has is given to all who ask, until 30 seconds before its end or the last tenth
 * of its life, whichever is shorter; then one caller fetches the next one, and the others get the
 * old one for as long as it lasts. Where there is none, callers wait for the one that fetches. A
 * failure holds for a moment, so that a server that does not answer is not what all threads wait
 * for. Tokens are in memory only and are wiped.
 *
 * A client is the whole of what is sent, with its secret: a changed file is another client.
 * May be used from several threads. */
#ifndef CHAPERONE_CONTROLPLANE_CREDENTIALS_OAUTH2_H
#define CHAPERONE_CONTROLPLANE_CREDENTIALS_OAUTH2_H

#include "base/clock.h"
#include "controlplane/credentials/oauth2_request.h"

struct oauth2;

enum {
    OAUTH2_CLIENTS_MAX = 256, /* more: what was used least recently is forgotten */
    /* Threads that wait at a time, for all clients; the server has 16, and others need some. */
    OAUTH2_WAITING_MAX = 10,
    OAUTH2_FAILURE_HOLDS_MS = 2000,
};

/* Returns owned. */
enum err oauth2_create(const struct clock *clock, struct oauth2 **out) MUST_USE;
void oauth2_destroy(struct oauth2 *oauth2); /* nobody may be in a call; takes NULL */

/* Appends the token to `out`, whose cap is OAUTH2_TOKEN_CAP at least; `*out_expires_ns` is when it
 * ends (wall clock), or 0 where the server does not say. As oauth2_request_token, and
 * ERR_UNAVAILABLE when too many wait. May block for the client's timeout. */
enum err oauth2_get(struct oauth2 *oauth2, const struct config_oauth2 *client, struct bytes secret,
                    struct buffer *out, int64_t *out_expires_ns, struct err_text *why) MUST_USE;

#endif
