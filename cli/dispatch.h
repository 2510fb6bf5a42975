/* From a command line to the command that it names. */
#ifndef CHAPERONE_CLI_DISPATCH_H
#define CHAPERONE_CLI_DISPATCH_H

#include "cli/command.h"

/* Runs the command, or prints help, the version, or what is wrong. `argv` is without the
 * program's name and ends with NULL; `i` has its outputs and its clock. Returns the exit code. */
int dispatch_run(struct invocation *i, char **argv);

#endif
