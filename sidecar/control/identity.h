/* Who this sidecar is: its key, which is made here and never leaves, its certificate, and its id.
 *
 * In the state directory (0700), each file with mode 0600 and replaced atomically: key.pem,
 * certificate.pem, sidecar (the id). One process has the directory (flock). The loop's thread
 * only. */
#ifndef CHAPERONE_SIDECAR_CONTROL_IDENTITY_H
#define CHAPERONE_SIDECAR_CONTROL_IDENTITY_H

#include "api/sidecar.pb-c.h"
#include "base/bytes.h"
#include "base/clock.h"
#include "base/log.h"

struct crypto_ed25519;
struct identity;

enum {
    IDENTITY_ID_SIZE = 64,       /* with its terminator; an UUID has 36 characters */
    IDENTITY_PEM_CAP = 64 << 10, /* a certificate and its chain */
};

/* Loads what there is, makes the key when there is none. A certificate that cannot be used is
 * logged and taken as none. Returns owned. */
enum err identity_open(const char *dir, const struct clock *clock, const struct log *log,
                       struct identity **out, struct err_text *why) MUST_USE;
void identity_close(struct identity *identity); /* takes NULL */

const char *identity_sidecar(const struct identity *identity); /* NULL: never enrolled */
const struct crypto_ed25519 *identity_key(const struct identity *identity);
struct bytes identity_key_pem(const struct identity *identity);
/* Empty: none. */
struct bytes identity_certificate_pem(const struct identity *identity);
int64_t identity_not_after(const struct identity *identity); /* unix ns; 0: no certificate */
/* There is a certificate, and it has not ended. */
bool identity_is_valid(const struct identity *identity);
/* Nanoseconds from now until it should be renewed (two thirds of its life); 0: at once. */
int64_t identity_renew_in(const struct identity *identity);

/* A PKCS#10 request for the key, DER; appends. */
enum err identity_make_csr(const struct identity *identity, const char *name,
                           struct buffer *out) MUST_USE;
/* Checks that the answer is a certificate for our key and a usable id (the one we have, if we have
 * one and `keep` says so), and keeps both. */
enum err identity_accept(struct identity *identity, const Chaperone__V1__EnrolResponse *response,
                         bool keep, struct err_text *why) MUST_USE;

/* The state directory, borrowed: what else is kept there. */
int identity_directory(const struct identity *identity);

#endif
