/* Which control plane a command talks to, and as whom.
 *
 * Each of the three is taken from the first of these that has it: the command line, the
 * environment (CHAPERONE_SERVER, CHAPERONE_CA, CHAPERONE_TOKEN or CHAPERONE_TOKEN_FILE), the
 * user's file (~/.config/chaperone/config.yaml, or below XDG_CONFIG_HOME). `--dir` names a
 * development stack and replaces all of them but --token-file. */
#ifndef CHAPERONE_CLI_SETTINGS_H
#define CHAPERONE_CLI_SETTINGS_H

#include "base/bytes.h"
#include "cli/options.h"

struct settings {
    char *server;  /* "HOST:PORT" */
    char *ca_file; /* NULL: the system's roots */
    char *token;   /* a secret: settings_finish wipes it */
    char *hint;    /* what to do when the server cannot be reached */
};

/* ERR_INVALID: nothing says which server, or a file is wrong; the sentence says what to do. */
enum err settings_find(const struct options *options, struct settings *out,
                       struct err_text *error) MUST_USE;
void settings_finish(struct settings *s);

/* A token's file: one line, white space around it is not part of it. Returns owned. */
enum err settings_read_token(const char *path, char **out, struct err_text *error) MUST_USE;

#endif
