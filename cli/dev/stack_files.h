/* The configuration files of a development stack, written anew at every start. */
#ifndef CHAPERONE_CLI_DEV_STACK_FILES_H
#define CHAPERONE_CLI_DEV_STACK_FILES_H

#include "cli/dev/identity_option.h"
#include "cli/dev/stack.h"

/* The group whose members may do everything with the development control plane. */
#define STACK_OPERATORS "chaperone-operators"

/* Where the control plane publishes its CA, below the stack's directory. */
#define STACK_CA "controlplane/ca/ca.pem"

enum err stack_write_controlplane(const struct stack *s, const struct identity_option *identity,
                                  const char *issuer_url, struct err_text *error) MUST_USE;
enum err stack_write_sidecar(const struct stack *s, struct err_text *error) MUST_USE;
enum err stack_write_cli(const struct stack *s, struct err_text *error) MUST_USE;

#endif
