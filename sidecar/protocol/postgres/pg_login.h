/* Logs in to the target with the session's credential: a state machine without I/O, fed with the
 * server's Authentication messages, that writes the answers.
 *
 * Knows AuthenticationOk (trust, or a client certificate in TLS), cleartext (only where the caller
 * says that the link keeps it secret), MD5, SCRAM-SHA-256 and SCRAM-SHA-256-PLUS. Each state has
 * a list of the messages that it takes; any other ends the login: no server can ask twice,
 * or end SCRAM with AuthenticationOk before it has proved that it knows the password.
 *
 * SASLprep (RFC 4013): a password of ASCII is its own result or prohibited, and for a prohibited
 * one PostgreSQL and libpq use the bytes as they are. So do we, also for every other password:
 * for UTF-8 that Unicode normalisation (NFKC) would change, log in as libpq does is not
 * possible, and such a password is refused by the server.
 *
 * What was derived from the password is wiped by destroy. The answers in `out` hold it (cleartext)
 * or a proof of it: a buffer for the target alone, to be wiped. No sentence names a secret. */
#ifndef CHAPERONE_SIDECAR_PROTOCOL_POSTGRES_PG_LOGIN_H
#define CHAPERONE_SIDECAR_PROTOCOL_POSTGRES_PG_LOGIN_H

#include "base/crypto/crypto.h"
#include "sidecar/protocol/postgres/pg_wire.h"

struct pg_login_options {
    struct bytes user;
    struct bytes password; /* empty: there is none */
    bool allow_cleartext;  /* the link is TLS to a verified server, or a unix socket */
    bool is_tls;
    /* RFC 5929 section 4.1: the server's certificate, in DER, under the hash of its signature (MD5
     * and SHA-1 become SHA-256). Empty: not known, no channel binding. */
    struct bytes server_end_point;
    struct crypto_random random;
};

enum pg_login_step {
    PG_LOGIN_CONTINUE, /* send what was written, feed the next message */
    PG_LOGIN_WORK,     /* call pg_login_work, now or in a later turn of the loop */
    PG_LOGIN_DONE,     /* the server said AuthenticationOk */
    PG_LOGIN_FAILED,   /* `why` says so; from here on always */
};

enum {
    /* SCRAM iterations between two returns, about two milliseconds. */
    PG_LOGIN_SLICE = 4096,
};

struct pg_login;

/* Returns owned. `options` is copied; the bytes that it names are borrowed until destroy. */
enum err pg_login_create(const struct pg_login_options *options, struct pg_login **out) MUST_USE;
void pg_login_destroy(struct pg_login *login); /* takes NULL */

/* `why` may be NULL. On PG_LOGIN_FAILED nothing is added to `out`. */
enum pg_login_step pg_login_feed(struct pg_login *login, const struct pg_authentication *message,
                                 struct buffer *out, struct err_text *why) MUST_USE;
enum pg_login_step pg_login_work(struct pg_login *login, struct buffer *out,
                                 struct err_text *why) MUST_USE;

/* The server has said that it is satisfied, after everything that it had to prove. */
bool pg_login_is_done(const struct pg_login *login);

/* How the server asked, for the record: "none", "cleartext", "md5", "scram-sha-256",
 * "scram-sha-256-plus". Static. */
const char *pg_login_method(const struct pg_login *login);

#endif
