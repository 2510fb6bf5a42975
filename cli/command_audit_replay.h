/* What the two ways of `audit replay` have in common. */
#ifndef CHAPERONE_CLI_COMMAND_AUDIT_REPLAY_H
#define CHAPERONE_CLI_COMMAND_AUDIT_REPLAY_H

#include "cli/remote.h"
#include "cli/replay/recording.h"

/* --into: is it clear where, and may it be asked for together with the other options? */
enum err replay_into_check(const struct invocation *i, struct err_text *error) MUST_USE;
/* Executes the session again in the database of `url`. The exit code; what is wrong has been said.
 */
int replay_into(const struct invocation *i, const char *url, const struct recording *recording,
                int signal_fd);

#endif
