/* The HTTP side of a witness: POST /add-checkpoint, and GET / says what it is. */
#ifndef CHAPERONE_CLI_WITNESS_HTTP_H
#define CHAPERONE_CLI_WITNESS_HTTP_H

#include <sys/socket.h>

#include "cli/witness/cosigner.h"

struct witness_http_options {
    const struct sockaddr *address; /* its port may be 0 */
    const char *certificate, *key;  /* PEM texts; NULL: no TLS */
    struct clock clock;
};

struct witness_http;

/* Listens and answers with threads of its own. Borrows the cosigner until stop, and the texts.
 * ERR_IO with the cause. */
enum err witness_http_start(struct cosigner *cosigner, const struct witness_http_options *options,
                            struct witness_http **out, uint16_t *out_port,
                            struct err_text *why) MUST_USE;
/* Takes NULL. A connection may be cut off before its answer: what was signed stays written down,
 * and the log may ask again. */
void witness_http_stop(struct witness_http *http);

#endif
