/* Completion scripts, made from the table of commands: what can be completed is always what
 * there is. */
#ifndef CHAPERONE_CLI_COMPLETION_H
#define CHAPERONE_CLI_COMPLETION_H

#include <stdio.h>

#include "base/err.h"

/* "bash", "zsh" or "fish"; ERR_INVALID for another shell. */
enum err completion_print(FILE *out, const char *shell, struct err_text *error) MUST_USE;

#endif
