/* The address of a control plane: HOST:PORT, or several with commas between that serve the same.
 *
 * Of several, the first that takes a connection is used: a command is short, and asks again the
 * next time. */
#ifndef CHAPERONE_CLI_SERVERS_H
#define CHAPERONE_CLI_SERVERS_H

#include <stdbool.h>

#include "base/err.h"

enum {
    SERVERS_MAX = 8,
    SERVERS_ADDRESS_SIZE = 300, /* a name of 255 bytes, a port, and a NUL */
    SERVERS_PROBE_MS = 2000,    /* for each */
};

/* Whether each of them is HOST:PORT. */
bool servers_are_valid(const char *text);

/* A single one as it is; else the first that takes a connection, or where none does the first.
 * `text` is valid. */
void servers_choose(const char *text, char out[SERVERS_ADDRESS_SIZE]);

#endif
