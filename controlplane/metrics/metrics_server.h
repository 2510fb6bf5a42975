/* Serves `GET /metrics` and `GET /healthz` over plain HTTP (libmicrohttpd), on a port of its own.
 * Who reaches that port may read the numbers: there is nothing else to be had. */
#ifndef CHAPERONE_CONTROLPLANE_METRICS_METRICS_SERVER_H
#define CHAPERONE_CONTROLPLANE_METRICS_METRICS_SERVER_H

#include <stdint.h>

#include "controlplane/metrics/metrics.h"

struct metrics_server;

/* Borrows `metrics`. `host` is an address or a name; port 0: any free one. Returns owned. */
enum err metrics_server_start(struct metrics *metrics, const char *host, uint16_t port,
                              struct metrics_server **out, struct err_text *why) MUST_USE;
int metrics_server_port(const struct metrics_server *server);
/* Takes NULL. No source is called after it returned. */
void metrics_server_stop(struct metrics_server *server);

#endif
