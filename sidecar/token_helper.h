/* Runs the agent's token command for a sidecar that may start no program itself.
 *
 * A process that is made before the sidecar is confined (base/hardening) and lives as long as it:
 * it runs the one command that it was made for, whenever it is asked, and takes nothing else from
 * whoever asks. An intruder in the sidecar gets from it the token that is the sidecar's anyway.
 *
 * Counted: a thread that waits for a token holds it. */
#ifndef CHAPERONE_SIDECAR_TOKEN_HELPER_H
#define CHAPERONE_SIDECAR_TOKEN_HELPER_H

#include "base/bytes.h"
#include "sidecar/token_source.h"

struct token_helper;

/* Forks, for `options->command`: before any thread is made. Returns owned. */
enum err token_helper_start(const struct token_source_options *options, struct token_helper **out,
                            struct err_text *why) MUST_USE;
struct token_helper *token_helper_hold(struct token_helper *helper); /* returns it; takes NULL */
/* The last one ends it; what it runs at the time goes on to its own end. Takes NULL. */
void token_helper_release(struct token_helper *helper);

/* ERR_INVALID: `options` have a command that is not that of their helper, or have no helper for
 * it. */
enum err token_helper_check(const struct token_source_options *options,
                            struct err_text *why) MUST_USE;

/* As token_source_read of the command; from any thread. ERR_CLOSED: the helper has ended. */
enum err token_helper_read(struct token_helper *helper, struct buffer *out,
                           struct err_text *why) MUST_USE;

#endif
