/* What the files of `chaperone policy` share. */
#ifndef CHAPERONE_CLI_COMMAND_POLICY_H
#define CHAPERONE_CLI_COMMAND_POLICY_H

#include "cli/command.h"

/* 1, 2, 3, ...; false: misuse, which was said with the exit code. */
bool command_policy_read_revision(const struct invocation *i, const char *text, uint64_t *out,
                                  int *out_code);

struct policy;

/* Compiles a policy's file. EXIT_YES and `*out` (owned), or the exit code after the reason was
 * printed. */
int command_policy_load_file(const struct invocation *i, const char *path, struct policy **out);

#endif
