/* What `audit checkpoint` and `audit prove` have in common: a control plane, and what is kept of
 * its log. */
#ifndef CHAPERONE_CLI_COMMAND_AUDIT_LOG_H
#define CHAPERONE_CLI_COMMAND_AUDIT_LOG_H

#include "cli/log/believe.h"
#include "cli/remote.h"

struct audit_log {
    const struct invocation *invocation;
    struct remote remote;
    char *path; /* owned: where it is kept */
    struct kept_log kept;
};

/* EXIT_YES, or the exit code after the reason was printed; then there is nothing to close. */
int audit_log_open(const struct invocation *i, struct audit_log *out);
void audit_log_close(struct audit_log *log);

/* Checks the answer against what is kept, and keeps it. EXIT_YES, or the code after it was said. */
int audit_log_believe(const struct invocation *i, struct audit_log *log,
                      const Chaperone__V1__Checkpoint *answer, struct believe_result *out);
/* Says it, and keeps what contradicts beside what was kept: both are evidence. */
int audit_log_alarm(const struct invocation *i, struct audit_log *log,
                    const Chaperone__V1__Checkpoint *answer, enum err e,
                    const struct err_text *why);

/* believe_prove_fn; the context is a struct audit_log. */
enum err audit_log_prove(void *context, uint64_t from, uint64_t to, struct tlog_proof *out);

#endif
