/* `GET /healthz` (the process lives), `GET /readyz` (sessions can be opened and recorded), `GET
 * /metrics` (Prometheus), on a loopback port. HTTP is parsed by llhttp. */
#ifndef CHAPERONE_SIDECAR_HEALTH_H
#define CHAPERONE_SIDECAR_HEALTH_H

#include "base/bytes.h"
#include "base/net/loop.h"

struct health;

struct health_source {
    /* Appends the metrics. */
    enum err (*metrics)(void *context, struct buffer *out);
    /* Returns whether it is ready, and appends one line of JSON that says why not. */
    bool (*ready)(void *context, struct buffer *out);
    void *context;
};

enum err health_create(struct loop *loop, const char *address, const struct health_source *source,
                       struct health **out, struct err_text *why) MUST_USE;
void health_destroy(struct health *h); /* takes NULL */

#endif
