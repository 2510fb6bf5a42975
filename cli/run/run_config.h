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

enum { RUN_HTTP_MAX = 64, RUN_HTTP_URL_SIZE = 192, RUN_HTTP_VARIABLE_SIZE = 160 };

/* A listener that speaks HTTP, as the command finds it. */
struct run_http {
    char variable[RUN_HTTP_VARIABLE_SIZE]; /* "CHAPERONE_HTTP_CRM" */
    char url[RUN_HTTP_URL_SIZE];           /* "http://127.0.0.1:41234" */
};

struct run_config {
    char *text; /* the whole configuration: owned, free() */
    /* Of the first listener that speaks PostgreSQL; no host: there is none. */
    char host[PATH_MAX];
    char port[8];
    bool has_tls;     /* the listener speaks TLS to the agent: the client's choice stands */
    char health[128]; /* "127.0.0.1:9100" */
    struct run_http http[RUN_HTTP_MAX];
    size_t http_count;
    char proxy[RUN_HTTP_URL_SIZE]; /* of the first explicit proxy; "": none */
    char proxy_ca[PATH_MAX];       /* the file with its CA's certificate, absolute */
};

/* ERR_INVALID with the file and the line; ERR_NOT_FOUND, ERR_IO. */
enum err run_config_make(const struct run_config_options *options, struct run_config *out,
                         struct err_text *error) MUST_USE;

#endif
