/* A TCP connection to a name, made without ever waiting longer than it should: neither for the
 * resolver nor for the other side, and not when the job is asked to stop. */
#ifndef CHAPERONE_CONTROLPLANE_EXPORT_DIAL_H
#define CHAPERONE_CONTROLPLANE_EXPORT_DIAL_H

#include <stdint.h>

#include "controlplane/export/stop.h"

/* `*out_fd` is a connected socket that does not block. ERR_CLOSED: asked to stop; ERR_TIMEOUT,
 * ERR_UNAVAILABLE with the reason. */
enum err export_dial(const char *host, uint16_t port, int64_t timeout_ns, struct export_stop *stop,
                     int *out_fd, struct err_text *why) MUST_USE;

#endif
