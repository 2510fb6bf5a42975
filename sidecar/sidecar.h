/* The sidecar put together: what `main` starts, feeds with signals and stops. */
#ifndef CHAPERONE_SIDECAR_SIDECAR_H
#define CHAPERONE_SIDECAR_SIDECAR_H

#include "sidecar/config.h"

struct sidecar;

extern const char sidecar_version[];

/* Takes the configuration (also on failure). `path` is read again by a reload. Returns owned. */
enum err sidecar_create(struct config *config, const char *path, struct sidecar **out,
                        struct err_text *why) MUST_USE;
/* Runs until SIGTERM or SIGINT and what follows it: sessions drain, records are shipped. SIGHUP
 * reads the configuration again. Returns OK, or why it could not go on. */
enum err sidecar_run(struct sidecar *s) MUST_USE;
void sidecar_destroy(struct sidecar *s); /* takes NULL */

#endif
