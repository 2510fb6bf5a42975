/* Which control plane a command talks to, and as whom.
 *
 * Each of the three is taken from the first of these that has it: the command line, the
 * environment (CHAPERONE_SERVER, CHAPERONE_CA, CHAPERONE_TOKEN or CHAPERONE_TOKEN_FILE), the
 * user's file (~/.config/chaperone/config.yaml, or below XDG_CONFIG_HOME). A token that none of
 * them has is that of the login which is stored for the server (`chaperone login`). `--dir` names a
 * development stack and replaces all of them but --token-file. */
#ifndef CHAPERONE_CLI_SETTINGS_H
#define CHAPERONE_CLI_SETTINGS_H

#include "base/bytes.h"
#include "base/clock.h"
#include "cli/options.h"

struct settings {
    char *server;       /* "HOST:PORT" */
    char *ca_file;      /* NULL: the system's roots */
    char *token;        /* a secret: settings_finish wipes it */
    char *hint;         /* what to do when the server cannot be reached */
    const char *origin; /* where the token is from: "--token-file", "login" */
};

/* ERR_INVALID: nothing says which server, or a file is wrong; the sentence says what to do.
 * ERR_DENIED: the stored login has run out; ERR_UNAVAILABLE, ERR_TIMEOUT: its issuer cannot be
 * asked for a new token. */
enum err settings_find(const struct options *options, const struct clock *clock,
                       struct settings *out, struct err_text *error) MUST_USE;
void settings_finish(struct settings *s);

/* What `chaperone login` needs. From the command line (--server, --issuer, --client-id, --ca-file,
 * --scope, --audience), CHAPERONE_SERVER and the user's file (server, issuer, client_id, issuer_ca,
 * scope, audience). */
struct settings_login {
    char *server;
    char *issuer, *client_id;
    char *ca_file;          /* of the issuer, absolute; NULL: the system's roots */
    char *scope, *audience; /* NULL: not said */
};

/* ERR_INVALID, as above; without `needs_issuer` only the server must be known. */
enum err settings_find_login(const struct options *options, bool needs_issuer,
                             struct settings_login *out, struct err_text *error) MUST_USE;
void settings_login_finish(struct settings_login *s);

/* A token's file: one line, white space around it is not part of it. Returns owned. */
enum err settings_read_token(const char *path, char **out, struct err_text *error) MUST_USE;

#endif
