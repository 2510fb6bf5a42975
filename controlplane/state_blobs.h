/* The place of large records, as it is configured. */
#ifndef CHAPERONE_CONTROLPLANE_STATE_BLOBS_H
#define CHAPERONE_CONTROLPLANE_STATE_BLOBS_H

#include "controlplane/blobs/blobs.h"
#include "controlplane/config.h"

/* Returns owned; NULL where none is configured. Reads the keys; does not connect. `why` names what
 * is wrong, and never says a key. */
enum err state_open_blobs(const struct config_blobs *config, struct blobs **out,
                          struct err_text *why) MUST_USE;

#endif
