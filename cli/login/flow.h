/* Logging in at an issuer: by a device code (RFC 8628), or by a code with PKCE on a loopback
 * address (RFC 6749 section 4.1, RFC 7636, RFC 8252); and going on with a refresh token.
 *
 * An ID token is checked before it is used: signature, issuer, audience, times, nonce (OpenID
 * Connect Core 1.0 section 3.1.3.7). */
#ifndef CHAPERONE_CLI_LOGIN_FLOW_H
#define CHAPERONE_CLI_LOGIN_FLOW_H

#include "base/clock.h"
#include "base/crypto/crypto.h"
#include "cli/login/answer.h"
#include "cli/login/http.h"
#include "cli/output/terminal.h"

struct login_request {
    const char *issuer, *client_id;
    const char *ca_file;  /* for the ID token's keys; NULL: the system's roots */
    const char *scope;    /* NULL: openid and what the issuer offers of what is useful */
    const char *audience; /* RFC 8707; NULL: not said */
    bool wants_access;    /* the access token goes to the control plane, not the ID token */
};

/* All borrowed, and the caller's to end. */
struct login_flow {
    struct login_request request;
    struct login_http *http;
    int interrupt_fd;
    struct clock clock;
    struct crypto_random random;
    struct terminal say; /* for the person */
    struct login_server server;
};

/* Fetches the issuer's discovery document into `server`. */
enum err login_flow_discover(struct login_flow *f, struct err_text *why) MUST_USE;
void login_flow_finish(struct login_flow *f);

/* What came of it. */
struct login_result {
    struct login_tokens tokens;
    char *subject, *name; /* owned; of the ID token; NULL: there is none */
    int64_t expires_ns;   /* of the token that goes to the control plane; 0: not known */
};
void login_result_finish(struct login_result *r);

/* After discover. ERR_DENIED: the issuer or the person said no; ERR_INVALID: the issuer does not
 * offer it, or answers what it may not; ERR_TIMEOUT; ERR_CLOSED: interrupted; ERR_UNAVAILABLE. */
enum err login_flow_device(struct login_flow *f, struct login_result *out,
                           struct err_text *why) MUST_USE;
enum err login_flow_browser(struct login_flow *f, bool opens_browser, struct login_result *out,
                            struct err_text *why) MUST_USE;

/* `subject` (NULL: any): whose tokens must come (OpenID Connect Core section 12.2). */
enum err login_flow_refresh(struct login_flow *f, const char *refresh_token, const char *subject,
                            struct login_result *out, struct err_text *why) MUST_USE;

/* RFC 7009. ERR_NOT_FOUND: the issuer does not offer it. */
enum err login_flow_revoke(struct login_flow *f, const char *refresh_token,
                           struct err_text *why) MUST_USE;

#endif
