/* The configuration of a sidecar that lives as long as one command: the user's file, with what
 * it leaves open filled in.
 *
 * The file is read for mistakes by the sidecar itself; here only the parts that are filled in
 * are looked at. */
#ifndef CHAPERONE_CLI_RUN_RUN_CONFIG_H
#define CHAPERONE_CLI_RUN_RUN_CONFIG_H

#include <limits.h>

#include "base/bytes.h"

struct run_config_options {
    const char *file;
    const char *resource;  /* for a file without listeners; NULL: none was given */
    const char *directory; /* private, for sockets */
    bool use_socket;       /* a unix socket in place of a port */
};

struct run_config {
    char *text; /* the whole configuration: owned, free() */
    char host[PATH_MAX];
    char port[8];
    bool has_tls;     /* the listener speaks TLS to the agent: the client's choice stands */
    char health[128]; /* "127.0.0.1:9100" */
};

/* ERR_INVALID with the file and the line; ERR_NOT_FOUND, ERR_IO. */
enum err run_config_make(const struct run_config_options *options, struct run_config *out,
                         struct err_text *error) MUST_USE;

#endif
