/* A byte stream to a receiver: TCP, or TLS over it (OpenSSL). Waits only with a limit, and never
 * when the job is asked to stop. */
#ifndef CHAPERONE_CONTROLPLANE_EXPORT_STREAM_H
#define CHAPERONE_CONTROLPLANE_EXPORT_STREAM_H

#include "controlplane/export/sink.h"

struct export_stream;

/* How to connect: certificates are read now, so that a mistake in them is found early, and one that
 * was renewed counts from the next connection on. */
enum err export_stream_open(const struct export_sink_options *options, struct export_stream **out,
                            struct err_text *why) MUST_USE;
void export_stream_close(struct export_stream *s); /* takes NULL */

/* Returns when the other side's TCP has acknowledged all of it. ERR_TIMEOUT: it took nothing for
 * the configured time; ERR_UNAVAILABLE: the connection broke; ERR_CLOSED: asked to stop. */
enum err export_stream_write(struct export_stream *s, struct bytes content,
                             struct err_text *why) MUST_USE;
/* ERR_UNAVAILABLE: the other side has ended the connection. */
enum err export_stream_check(struct export_stream *s, struct err_text *why) MUST_USE;

#endif
