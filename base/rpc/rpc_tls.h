/* Transport credentials for gRPC by gRPC's own TLS (OpenSSL). Not for the sidecar, which links
 * libgrpc_unsecure and carries the bytes through base/net/tls. */
#ifndef CHAPERONE_BASE_RPC_RPC_TLS_H
#define CHAPERONE_BASE_RPC_RPC_TLS_H

#include "base/rpc/rpc.h"

/* A client's: `ca_pem` empty means the system's roots; certificate and key are optional (both or
 * neither). Everything is copied. Returns owned. */
enum err rpc_credentials_client(struct bytes ca_pem, struct bytes certificate_pem,
                                struct bytes key_pem, struct rpc_credentials **out) MUST_USE;
/* A server's: asks for a client certificate and checks it against `client_ca_pem`, but lets a
 * client without one in; the handlers look at `rpc_peer.certificate_pem`. */
enum err rpc_credentials_server(struct bytes certificate_pem, struct bytes key_pem,
                                struct bytes client_ca_pem, struct rpc_credentials **out) MUST_USE;
void rpc_credentials_destroy(struct rpc_credentials *credentials); /* takes NULL */

#endif
