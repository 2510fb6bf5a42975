/* What the commands about held operations share. */
#ifndef CHAPERONE_CLI_COMMAND_APPROVALS_H
#define CHAPERONE_CLI_COMMAND_APPROVALS_H

#include "cli/command.h"
#include "cli/output/held.h"
#include "cli/remote.h"

enum {
    APPROVALS_RETRY_FIRST_MS = 500,
    APPROVALS_RETRY_MAX_MS = 10000,
};

/* By its id or the beginning of it. EXIT_YES and `*out` (owned: protobuf_c_message_free_unpacked),
 * or the exit code after the reason was printed. */
int approvals_fetch(const struct invocation *i, struct remote *r, const char *id,
                    Chaperone__V1__HeldOperation **out);

/* Waits; true when Ctrl-C came instead. */
bool approvals_pause(const struct remote *r, int ms);

/* Reads the options' and arguments' texts into messages, whose strings are not const. */
static inline char *approvals_text(const char *text)
{
    return (char *)(uintptr_t)(text == NULL ? "" : text);
}

#endif
