/* Help, made from the table of commands. */
#ifndef CHAPERONE_CLI_HELP_H
#define CHAPERONE_CLI_HELP_H

#include "cli/command.h"

void help_print_overview(const struct terminal *t);
/* The commands of a group: "audit". */
void help_print_group(const struct terminal *t, const char *group);
void help_print_command(const struct terminal *t, const struct command *command);

#endif
