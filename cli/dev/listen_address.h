/* Where agents connect: "127.0.0.1:6432", "[::1]:6432", "unix:/DIR/.s.PGSQL.6432". */
#ifndef CHAPERONE_CLI_DEV_LISTEN_ADDRESS_H
#define CHAPERONE_CLI_DEV_LISTEN_ADDRESS_H

#include <limits.h>
#include <stdio.h>

#include "base/bytes.h"

struct listen_address {
    bool is_unix;
    char host[PATH_MAX]; /* an address without brackets, or the socket's directory */
    uint16_t port;       /* 0: any free one (not for unix) */
};

/* ERR_INVALID. Addresses, not names, which may mean several; "localhost" is 127.0.0.1. */
enum err listen_address_parse(const char *text, struct listen_address *out,
                              struct err_text *error) MUST_USE;
bool listen_address_is_local(const struct listen_address *a);
/* The form above. */
void listen_address_format(const struct listen_address *a, char *out, size_t size);
/* What a client is told as its host: an address that listens on all is reached by loopback. */
const char *listen_address_client_host(const struct listen_address *a);

/* A whole psql command, its words quoted for a shell where they must be. */
void listen_address_print_psql(FILE *out, const struct listen_address *a, const char *user,
                               const char *database);

#endif
