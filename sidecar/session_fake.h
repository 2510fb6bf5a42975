/* The fixture's protocol of lines; see session_fixture.h. */
#ifndef CHAPERONE_SIDECAR_SESSION_FAKE_H
#define CHAPERONE_SIDECAR_SESSION_FAKE_H

#include "sidecar/protocol/protocol.h"

struct fixture;

/* Static; all its sessions belong to that fixture from now on. */
const struct protocol *fake_protocol(struct fixture *f);

#endif
