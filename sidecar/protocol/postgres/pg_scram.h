/* The client's half of SCRAM-SHA-256 and SCRAM-SHA-256-PLUS (RFC 5802, RFC 7677), with the channel
 * binding tls-server-end-point (RFC 5929 section 4). Only messages, in this order:
 *
 *     write_first, read_server_first, work until it is done, write_final, read_server_final
 *
 * A call out of order returns ERR_INVALID. Nothing is sent, and the password leaves in no form
 * but the proof. All that was derived from it is wiped by destroy. */
#ifndef CHAPERONE_SIDECAR_PROTOCOL_POSTGRES_PG_SCRAM_H
#define CHAPERONE_SIDECAR_PROTOCOL_POSTGRES_PG_SCRAM_H

#include "base/bytes.h"

enum {
    PG_SCRAM_MESSAGE_MAX = 4096, /* bytes of a server's message; PostgreSQL's have about 100 */
    PG_SCRAM_NONCE_MAX = 256,    /* bytes of ours */
    PG_SCRAM_BINDING_MAX = 64,   /* bytes of the longest hash of a certificate, SHA-512 */
    /* RFC 7677 section 4 asks for 4096 at least; below, the proof we send is too cheap to
     * guess passwords from. */
    PG_SCRAM_ITERATIONS_MIN = 4096,
    /* About five seconds of a core. */
    PG_SCRAM_ITERATIONS_MAX = 10000000,
};

/* The gs2 flag of RFC 5802 section 6. */
enum pg_scram_binding {
    PG_SCRAM_UNSUPPORTED, /* n: this link has nothing to bind to */
    PG_SCRAM_NOT_OFFERED, /* y: we could, but the server says that it cannot */
    PG_SCRAM_END_POINT,   /* p: bound to the server's certificate */
};

struct pg_scram_options {
    struct bytes user;     /* PostgreSQL ignores it (it has the startup packet's) */
    struct bytes password; /* as it is: see pg_login.h on SASLprep */
    struct bytes nonce;    /* printable, without a comma; unique for each login */
    enum pg_scram_binding binding;
    struct bytes end_point; /* for PG_SCRAM_END_POINT: the hash of the certificate */
};

struct pg_scram;

/* Returns owned. `options` and what it names are copied, but for the password, which is borrowed
 * until read_server_first has returned. */
enum err pg_scram_create(const struct pg_scram_options *options, struct pg_scram **out) MUST_USE;
void pg_scram_destroy(struct pg_scram *scram); /* takes NULL */

/* Each write appends to `out`; each read takes the whole message of the server. ERR_INVALID with
 * a sentence for a message that is malformed, of another login or too costly; ERR_DENIED when
 * the server refuses, or cannot prove that it knows the password. */
enum err pg_scram_write_first(struct pg_scram *scram, struct buffer *out) MUST_USE;
enum err pg_scram_read_server_first(struct pg_scram *scram, struct bytes message,
                                    struct err_text *why) MUST_USE;
/* At most `slice` of the iterations; true when all are done. */
bool pg_scram_work(struct pg_scram *scram, uint32_t slice) MUST_USE;
enum err pg_scram_write_final(struct pg_scram *scram, struct buffer *out) MUST_USE;
enum err pg_scram_read_server_final(struct pg_scram *scram, struct bytes message,
                                    struct err_text *why) MUST_USE;

#endif
