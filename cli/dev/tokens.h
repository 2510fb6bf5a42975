/* The development stack's issuer, and the two tokens that it keeps fresh: the agent's, which the
 * sidecar reads, and the operator's, which the command reads. */
#ifndef CHAPERONE_CLI_DEV_TOKENS_H
#define CHAPERONE_CLI_DEV_TOKENS_H

#include "base/clock.h"
#include "cli/dev/identity_option.h"
#include "cli/dev/stack.h"

struct tokens;

enum {
    TOKENS_LIFETIME_S = 3600,
    /* Well before they end: a machine that slept an hour is the worst that is expected. */
    TOKENS_REFRESH_S = 900,
};

/* Starts the issuer on the stack's port, or on another one, which is set in the stack. `identity`
 * is borrowed. Returns owned. */
enum err tokens_start(struct stack *stack, const struct identity_option *identity,
                      struct clock clock, struct tokens **out, struct err_text *error) MUST_USE;
void tokens_stop(struct tokens *t); /* takes NULL */

const char *tokens_issuer_url(const struct tokens *t);

/* Writes agent.token and operator.token anew. `*out_operator` (may be NULL) is owned: a secret. */
enum err tokens_refresh(struct tokens *t, char **out_operator, struct err_text *error) MUST_USE;

#endif
