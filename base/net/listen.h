/* Listening sockets for this host only: TCP on loopback, unix sockets. */
#ifndef CHAPERONE_BASE_NET_LISTEN_H
#define CHAPERONE_BASE_NET_LISTEN_H

#include "base/err.h"

enum { LISTEN_ADDRESS_SIZE = 128 };

/* "127.0.0.1:6432", "localhost:0" (any free port), "[::1]:80", "unix:/PATH". `out_address` has
 * LISTEN_ADDRESS_SIZE bytes: as bound. The socket is non-blocking. ERR_DENIED: an address that is
 * not loopback; ERR_EXISTS: in use (a unix socket that nobody listens on any more is replaced). */
enum err listen_open(const char *address, int *out_fd, char *out_address,
                     struct err_text *why) MUST_USE;

#endif
