/* What an agent may send before the first ordinary message: a packet with a length and a code
 * but no type (PostgreSQL documentation, "Message Formats": SSLRequest, GSSENCRequest,
 * CancelRequest, StartupMessage). Pure; views borrow the input. */
#ifndef CHAPERONE_SIDECAR_PROTOCOL_POSTGRES_PG_STARTUP_H
#define CHAPERONE_SIDECAR_PROTOCOL_POSTGRES_PG_STARTUP_H

#include "sidecar/protocol/postgres/pg_wire.h"

enum {
    PG_STARTUP_SIZE_MIN = 8,
    PG_STARTUP_SIZE_MAX = 10000, /* the server's MAX_STARTUP_PACKET_LENGTH */
    PG_VERSION_3_0 = 3 << 16,
    PG_VERSION_3_2 = 3 << 16 | 2,
    PG_CODE_CANCEL = 80877102,
    PG_CODE_SSL = 80877103,
    PG_CODE_GSSENC = 80877104,
};

enum pg_startup_kind { PG_STARTUP_MESSAGE, PG_STARTUP_SSL, PG_STARTUP_GSSENC, PG_STARTUP_CANCEL };

struct pg_startup {
    enum pg_startup_kind kind;
    uint32_t size; /* of the whole packet, to be consumed */
    /* PG_STARTUP_MESSAGE. */
    uint16_t major, minor;
    struct bytes parameters; /* checked when major is 3, else empty; see pg_startup_next */
    /* PG_STARTUP_CANCEL. */
    struct pg_key_data cancel;
};

/* A version other than 3 is WIRE_OK, so that the client can be told; it is WIRE_MALFORMED
 * when the length is out of its bounds (which four bytes show) or does not fit the code, when a
 * string is not terminated, and when anything follows the last pair. */
enum wire_result pg_startup_read(struct bytes in, struct pg_startup *out) MUST_USE;

/* True when the client begins with a TLS handshake at once (sslnegotiation=direct). */
bool pg_startup_is_tls(struct bytes in);

/* The next pair, in order, duplicates and all; `parameters` is shortened. False at the end. */
bool pg_startup_next(struct bytes *parameters, struct pg_setting *out);

/* How often `name` is there; `*out` is its last value (the one that the server would take), and
 * untouched when there is none. */
size_t pg_startup_find(const struct pg_startup *startup, const char *name, struct bytes *out);

#endif
