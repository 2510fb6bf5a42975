/* The parts of `audit verify`: of a path, and of the control plane's log. */
#ifndef CHAPERONE_CLI_COMMAND_AUDIT_VERIFY_H
#define CHAPERONE_CLI_COMMAND_AUDIT_VERIFY_H

#include "cli/command.h"
#include "cli/verify/verify.h"

/* It could not be found out: neither whole nor wrong. */
enum { EXIT_UNCHECKED = 2 };

/* Prints what was found; the exit code. */
int command_audit_verify_conclude(const struct invocation *i, struct report *report,
                                  const struct verify_result *result);

#endif
