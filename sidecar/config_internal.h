/* What the readers of the configuration's parts share. */
#ifndef CHAPERONE_SIDECAR_CONFIG_INTERNAL_H
#define CHAPERONE_SIDECAR_CONFIG_INTERNAL_H

#include "sidecar/config.h"

/* `proxy` of a listener, which it has. ERR_INVALID with the sentence; ERR_NO_MEMORY. */
enum err config_read_proxy(const struct conf_node *listener, struct config *c,
                           struct config_proxy *out, struct err_text *why) MUST_USE;

#endif
