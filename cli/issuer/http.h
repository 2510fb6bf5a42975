/* The issuer's HTTP side. */
#ifndef CHAPERONE_CLI_ISSUER_HTTP_H
#define CHAPERONE_CLI_ISSUER_HTTP_H

#include <sys/socket.h>

#include "cli/issuer/issuer.h"

struct http;

/* Listens and answers with a thread of its own. Borrows the issuer until http_stop. The address is
 * a loopback one; its port may be 0. ERR_IO with the cause. */
enum err http_start(struct issuer *issuer, const struct sockaddr *address, struct http **out,
                    uint16_t *out_port, struct err_text *why) MUST_USE;
void http_stop(struct http *h); /* takes NULL */

/* What http asks of the issuer. Return owned (free()); NULL when memory is short. */
char *issuer_discovery(struct issuer *s) MUST_USE;
char *issuer_jwks(struct issuer *s) MUST_USE;

#endif
