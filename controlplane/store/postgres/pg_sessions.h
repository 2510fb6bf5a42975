/* audit_session.state. */
#ifndef CHAPERONE_CONTROLPLANE_STORE_POSTGRES_PG_SESSIONS_H
#define CHAPERONE_CONTROLPLANE_STORE_POSTGRES_PG_SESSIONS_H

enum session_state {
    SESSION_OPEN = 1,
    SESSION_CLOSED = 2,
    SESSION_REFUSED = 3,
    /* Its records are in another stream, which also lists it; here it is only a name. */
    SESSION_ABOUT = 4,
};

#endif
