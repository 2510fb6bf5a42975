/* The commands that administer a data directory, beside a running server or without one. */
#ifndef CHAPERONE_CONTROLPLANE_COMMANDS_H
#define CHAPERONE_CONTROLPLANE_COMMANDS_H

#include "base/clock.h"
#include "controlplane/config.h"

struct commands_context {
    const struct config *config;
    struct clock clock;
};

/* Each prints to standard output, and returns OK or an error with its sentence. */

/* Reads the secret from `fd` to its end; one line end at its end does not belong to it. */
enum err commands_credential_set(const struct commands_context *context, const char *name, int fd,
                                 struct err_text *why) MUST_USE;
enum err commands_credential_list(const struct commands_context *context,
                                  struct err_text *why) MUST_USE;
enum err commands_credential_remove(const struct commands_context *context, const char *name,
                                    struct err_text *why) MUST_USE;
/* Prints the token alone. */
enum err commands_join_token_create(const struct commands_context *context, const char *name,
                                    int64_t lifetime_ns, struct err_text *why) MUST_USE;

/* A new key signs the audit log from now on, the old one beside it for `audit_log.key_overlap`;
 * also beside a running server. Prints the new verifier key. */
enum err commands_log_rotate_key(const struct commands_context *context,
                                 struct err_text *why) MUST_USE;
/* Ends the log and begins the next one, with another origin; no server may be running. Recorded
 * with the reason. Prints the origin. */
enum err commands_log_restart(const struct commands_context *context, const char *reason,
                              struct err_text *why) MUST_USE;

/* Deletes blobs that no record names: of sessions that were erased, and what appends left over that
 * failed more than `wait_ns` ago. Also beside a running server. Prints how many. */
enum err commands_blobs_sweep(const struct commands_context *context, int64_t wait_ns,
                              struct err_text *why) MUST_USE;

#endif
