/* Where the browser comes back to: a loopback address with a free port (RFC 8252 section 7.3).
 *
 * Any page and any program on this machine can ask it, so it takes one answer only: that with our
 * `state`, and where the issuer names itself, with its name. What has another state is refused and
 * waits on: else any page could end the login. */
#ifndef CHAPERONE_CLI_LOGIN_CALLBACK_H
#define CHAPERONE_CLI_LOGIN_CALLBACK_H

#include "base/bytes.h"

struct login_callback;

struct login_callback_expected {
    const char *state;
    const char *issuer; /* what `iss` must be, where it is there (RFC 9207) */
    bool needs_issuer;
};

/* Borrows what is expected until stop. Answers with a thread of its own. Returns owned. */
enum err login_callback_start(const struct login_callback_expected *expected,
                              struct login_callback **out, struct err_text *why) MUST_USE;
void login_callback_stop(struct login_callback *c); /* takes NULL */

/* "http://127.0.0.1:PORT/callback"; valid until stop. */
const char *login_callback_uri(const struct login_callback *c);

/* `*out_code` is owned, a secret. ERR_DENIED: the issuer said no, `why` has its words; ERR_CLOSED:
 * `interrupt_fd` (-1: none) became readable; ERR_TIMEOUT. */
enum err login_callback_wait(struct login_callback *c, int interrupt_fd, int timeout_ms,
                             char **out_code, struct err_text *why) MUST_USE;

/* How many answers were refused so far. */
unsigned login_callback_refused(struct login_callback *c);

#endif
