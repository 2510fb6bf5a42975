/* What the files of `chaperone policy` share. */
#ifndef CHAPERONE_CLI_COMMAND_POLICY_H
#define CHAPERONE_CLI_COMMAND_POLICY_H

#include "cli/command.h"

/* 1, 2, 3, ...; false: misuse, which was said with the exit code. */
bool command_policy_read_revision(const struct invocation *i, const char *text, uint64_t *out,
                                  int *out_code);

#endif
