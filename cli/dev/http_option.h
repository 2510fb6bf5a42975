/* A web service that a development stack leads to: --http NAME=URL.
 *
 * The URL is http:// or https:// with a host and a port. What stands in front of the host is the
 * credential: USER:PASSWORD, or a TOKEN alone. Read by libcurl. */
#ifndef CHAPERONE_CLI_DEV_HTTP_OPTION_H
#define CHAPERONE_CLI_DEV_HTTP_OPTION_H

#include "base/bytes.h"

enum { HTTP_OPTION_NAME_MAX = 64 };

/* All owned; NULL: not there. */
struct http_option {
    char *name;    /* letters, digits, '-', '_', '.'; it is part of a file's name */
    char *address; /* "https://api.internal:8443"; NULL: "NAME=", the service is not led to any more
                    */
    char *user;
    char *
        secret; /* the password, or the token where there is no user: http_option_finish wipes it */
};

/* ERR_INVALID with a sentence that never has the secret in it. */
enum err http_option_parse(const char *text, struct http_option *out,
                           struct err_text *error) MUST_USE;
void http_option_finish(struct http_option *o);

/* Overwrites the credential in an option that came by the command line, where every process of the
 * machine can read it. */
void http_option_hide_secret(char *text);

#endif
