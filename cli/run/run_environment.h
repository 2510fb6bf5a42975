/* The environment that leads clients of databases and of web services to the sidecar. */
#ifndef CHAPERONE_CLI_RUN_RUN_ENVIRONMENT_H
#define CHAPERONE_CLI_RUN_RUN_ENVIRONMENT_H

#include "cli/run/run_config.h"

/* Changes the process's own environment: PGHOST and PGPORT are set; PGSSLMODE is set where none is,
 * or where the one that is set could not connect; what would lead past the sidecar (PGHOSTADDR,
 * PGSERVICE) is removed; nothing of these where no listener speaks PostgreSQL. CHAPERONE_HTTP_NAME
 * is the URL of each listener for a web service. An explicit proxy is in HTTP_PROXY and
 * HTTPS_PROXY, its CA in what the usual programs read their roots from, and NO_PROXY has this
 * machine only. All else stays. `note` tells of what had to be overridden, or is empty. */
enum err run_environment_set(const struct run_config *config, struct err_text *note) MUST_USE;

#endif
