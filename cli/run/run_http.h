/* Listeners for web services, and the explicit proxy, in the configuration of `chaperone run`. */
#ifndef CHAPERONE_CLI_RUN_RUN_HTTP_H
#define CHAPERONE_CLI_RUN_RUN_HTTP_H

#include <cjson/cJSON.h>

#include "cli/run/run_config.h"

bool run_http_is(const cJSON *listener);

/* Where the command finds it: fills in `http`, or `proxy` and `proxy_ca`. `address` is what the
 * sidecar will listen on. What has no port (a unix socket) has no URL. ERR_LIMIT: too many. */
enum err run_http_take(const cJSON *root, const cJSON *listener, const char *address,
                       const char *file, struct run_config *out, struct err_text *error) MUST_USE;

#endif
