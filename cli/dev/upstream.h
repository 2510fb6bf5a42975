/* The database that a development stack leads to, read from a connection URL.
 *
 * The URL is read by libpq itself, so that it means what it means to psql: percent-encoding,
 * IPv6 addresses, `?host=/run/postgresql`, also `key=value` strings. Environment variables and
 * password files are not looked at, but for PGPASSWORD where the URL has no password. */
#ifndef CHAPERONE_CLI_DEV_UPSTREAM_H
#define CHAPERONE_CLI_DEV_UPSTREAM_H

#include "base/bytes.h"

/* All owned; NULL: not there. */
struct upstream {
    char *host; /* a name, an address without brackets, or the absolute directory of a socket */
    char *user;
    char *password; /* a secret: upstream_finish wipes it */
    char *database;
    char *tls;     /* "verify-full", "verify-ca", "require", "prefer", "disable" */
    char *ca_file; /* an absolute path */
    uint16_t port;
    bool tls_by_default; /* the URL did not say */
};

/* ERR_INVALID with a sentence that never has the password in it. `note` is filled with a sentence
 * about what is ignored, or left empty. */
enum err upstream_parse(const char *url, struct upstream *out, struct err_text *note,
                        struct err_text *error) MUST_USE;
void upstream_finish(struct upstream *u);

/* A name for the resource: the database's, in the characters that names have. */
char *upstream_resource_name(const struct upstream *u) MUST_USE;

/* Overwrites the password in a URL that came by the command line, where every process of the
 * machine can read it. */
void upstream_hide_password(char *url);

#endif
