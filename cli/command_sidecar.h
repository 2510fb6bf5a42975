/* What the commands that show sidecars have in common. */
#ifndef CHAPERONE_CLI_COMMAND_SIDECAR_H
#define CHAPERONE_CLI_COMMAND_SIDECAR_H

#include "api/operator.pb-c.h"

/* "connected", "away", "revoked": static. */
const char *sidecar_state(const Chaperone__V1__StatusResponse__Sidecar *sidecar);

#endif
