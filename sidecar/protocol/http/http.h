/* HTTP as a protocol of the sidecar (protocol.h): HTTP/1.1 and HTTP/2, each side its own.
 *
 * Requests of one agent connection go over one connection to the target. What is decided is what is
 * forwarded: heads are written anew from what was understood. Read http_exchange.c for the way of a
 * request, http_response.c for the way back. */
#ifndef CHAPERONE_SIDECAR_PROTOCOL_HTTP_HTTP_H
#define CHAPERONE_SIDECAR_PROTOCOL_HTTP_HTTP_H

#include "sidecar/protocol/protocol.h"

extern const struct protocol protocol_http;

#endif
