/* Records to a syslog receiver: over TLS (RFC 5425), or over plain TCP to this machine (RFC 6587),
 * octets counted.
 *
 * Syslog has no acknowledgement. What comes nearest: a batch counts as taken when the receiver's
 * TCP has acknowledged every byte of it, and as arrived when the connection has lived for a while
 * after that (`settle_ns`). When the connection breaks, what had not settled is sent again. */
#ifndef CHAPERONE_CONTROLPLANE_EXPORT_SYSLOG_H
#define CHAPERONE_CONTROLPLANE_EXPORT_SYSLOG_H

#include "controlplane/export/sink.h"

/* Returns owned; connects with the first send. ERR_INVALID, ERR_NOT_FOUND: certificates. */
enum err export_syslog_create(const struct export_sink_options *options, struct export_sink **out,
                              struct err_text *why) MUST_USE;

#endif
