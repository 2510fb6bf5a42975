/* Where the agent's OIDC token comes from when it does not give one in-band: a file that is read
 * again for each session (Kubernetes and CI rotate theirs), an environment variable, or a command.
 *
 * Counted: who reads on another thread holds it, so that a reload may replace it meanwhile. hold,
 * read and release may be called from any thread; read blocks while a command runs. */
#ifndef CHAPERONE_SIDECAR_TOKEN_SOURCE_H
#define CHAPERONE_SIDECAR_TOKEN_SOURCE_H

#include "base/bytes.h"
#include "base/net/loop.h"

enum {
    TOKEN_MAX = 16 << 10, /* bytes; the control plane takes no longer one */
    TOKEN_COMMAND_TIMEOUT_MS = 10000,
};

struct token_source;
struct token_helper;

/* At most one of the three is given; none: ERR_NOT_FOUND at every read. `command` is an argument
 * vector, NULL-terminated; all are copied. Returns owned. */
struct token_source_options {
    const char *file, *environment;
    const char *const *command;
    int command_timeout_ms; /* 0: TOKEN_COMMAND_TIMEOUT_MS */
    /* Runs the command; NULL: this process does. */
    struct token_helper *helper;
};

enum err token_source_create(const struct token_source_options *options,
                             struct token_source **out) MUST_USE;
struct token_source *token_source_hold(struct token_source *source); /* returns it, owned */
void token_source_release(struct token_source *source);              /* takes NULL */

/* Appends the token, without white space around it. `why` names the file, the variable or the
 * command, and never holds what they gave. ERR_NOT_FOUND: nothing is there; ERR_LIMIT: longer than
 * TOKEN_MAX; ERR_DENIED: the command failed; ERR_TIMEOUT: it did not end in time, and was killed
 * with all its children. */
enum err token_source_read(struct token_source *source, struct buffer *out,
                           struct err_text *why) MUST_USE;
/* True when token_source_read does not block for long: no command is run. */
bool token_source_is_quick(const struct token_source *source);

#endif
