/* The login that is stored for a control plane, as a command uses it. */
#ifndef CHAPERONE_CLI_LOGIN_CURRENT_H
#define CHAPERONE_CLI_LOGIN_CURRENT_H

#include "base/clock.h"
#include "cli/login/flow.h"
#include "cli/login/store.h"

/* Its token, owned, a secret; refreshed and stored when it has run out or is about to.
 * ERR_NOT_FOUND: nobody logged in there; ERR_DENIED: it has run out and cannot be refreshed;
 * ERR_UNAVAILABLE, ERR_TIMEOUT: the issuer cannot be asked. */
enum err login_current_token(const char *server, const struct clock *clock, char **out,
                             struct err_text *why) MUST_USE;

/* Writes down what came of a login or a refresh; `s` has server, issuer and client already. Takes
 * the tokens out of the result. */
enum err login_current_keep(struct login_stored *s, struct login_result *result,
                            struct err_text *why) MUST_USE;

/* Makes the issuer forget the refresh token, where it offers that. */
enum err login_current_revoke(const struct login_stored *s, const struct clock *clock,
                              struct err_text *why) MUST_USE;

#endif
