/* The TLS side of a fake control plane: takes connections, and passes their bytes to one of two
 * plaintext ports, by whether the client had a certificate of the CA. Can be shut, and can
 * misbehave. */
#ifndef CHAPERONE_SIDECAR_CONTROL_FAKE_DOOR_H
#define CHAPERONE_SIDECAR_CONTROL_FAKE_DOOR_H

#include "sidecar/control/fake_ca.h"

struct fake_door;

enum fake_door_mood {
    DOOR_HONEST,
    DOOR_GARBAGE, /* noise after the handshake */
    DOOR_PLAIN,   /* noise instead of a handshake */
    DOOR_OLD_TLS, /* 1.2 at most */
    DOOR_NO_ALPN,
    DOOR_SILENT, /* takes the connection and says nothing */
};

/* Listens on 127.0.0.1 at a free port. */
struct fake_door *fake_door_open(const struct fake_ca *ca, const char *names, int port_without,
                                 int port_with);
int fake_door_port(const struct fake_door *door);
/* Ends all connections; with `shut` takes no new ones until fake_door_reopen. */
void fake_door_cut(struct fake_door *door, bool shut);
void fake_door_reopen(struct fake_door *door);
void fake_door_set_mood(struct fake_door *door, enum fake_door_mood mood);
int fake_door_count(struct fake_door *door); /* connections taken since it was opened */
void fake_door_close(struct fake_door *door);

#endif
