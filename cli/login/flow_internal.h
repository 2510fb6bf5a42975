/* Inside of cli/login: what the ways to log in share. */
#ifndef CHAPERONE_CLI_LOGIN_FLOW_INTERNAL_H
#define CHAPERONE_CLI_LOGIN_FLOW_INTERNAL_H

#include "cli/login/flow.h"

enum { LOGIN_FORM_MAX = 256 << 10, LOGIN_SCOPE_SIZE = 512 };

/* The request's scope, or what is asked for without one. */
enum err login_flow_scope(const struct login_flow *f, char out[LOGIN_SCOPE_SIZE],
                          struct err_text *why) MUST_USE;

/* Posts a form to the token endpoint. ERR_DENIED: it said no; `refusal` has its code. */
enum err login_flow_ask_tokens(struct login_flow *f, const struct buffer *form,
                               struct login_tokens *out, struct login_refusal *refusal,
                               struct err_text *why) MUST_USE;

/* "the issuer refuses ...: CODE: DESCRIPTION" */
enum err login_flow_refused(const char *what, const struct login_refusal *refusal, long status,
                            struct err_text *why);

struct login_expected {
    const char *nonce;   /* NULL: none was sent */
    const char *subject; /* NULL: any */
};

/* Takes the tokens (also on failure), checks them, fills the result. */
enum err login_flow_accept(struct login_flow *f, struct login_tokens *tokens,
                           const struct login_expected *expected, struct login_result *out,
                           struct err_text *why) MUST_USE;

#endif
