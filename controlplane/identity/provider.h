/* A provider's configuration, checked and copied. */
#ifndef CHAPERONE_CONTROLPLANE_IDENTITY_PROVIDER_H
#define CHAPERONE_CONTROLPLANE_IDENTITY_PROVIDER_H

#include "base/arena.h"
#include "controlplane/identity/identity.h"

/* ERR_INVALID: `why` names the provider and the mistake. */
enum err provider_check(const struct identity_provider_config *config,
                        struct err_text *why) MUST_USE;

/* A copy with all its texts; valid as long as the arena. */
enum err provider_copy(const struct identity_provider_config *config, struct arena *arena,
                       struct identity_provider_config *out) MUST_USE;

#endif
