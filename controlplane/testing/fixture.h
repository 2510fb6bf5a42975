/* A whole control plane in the test's process: on a free port, in a directory of its own, with a
 * development issuer beside it, and clients that call it as sidecars and operators do. Fails the
 * test on any surprise. */
#ifndef CHAPERONE_CONTROLPLANE_TESTING_FIXTURE_H
#define CHAPERONE_CONTROLPLANE_TESTING_FIXTURE_H

#include <openssl/evp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "api/operator.pb-c.h"
#include "api/sidecar.pb-c.h"
#include "base/rpc/rpc.h"
#include "cli/issuer/issuer.h"
#include "controlplane/server.h"

#define FIXTURE_PASSWORD "s3cret-of-the-target"

struct fixture {
    char directory[64];
    struct issuer *issuer;
    struct server *server;
    struct log log;      /* to a file in the directory */
    int64_t clock_shift; /* of the server's clock from the system's, in ns */
    struct rpc_runtime *runtime;
    struct rpc_channel *channel; /* without a client certificate */
};

/* cmocka's setup and teardown of one test. Teardown fails when the log holds a secret. */
int fixture_setup(void **state);
int fixture_teardown(void **state);

/* What differs from the usual one; NULL: nothing. */
struct fixture_config {
    const char *leeway;    /* of the identity provider */
    const char *agents;    /* the group that the grant is for */
    const char *resources; /* more of them: "  - {...}\n" */
    const char *extra;     /* at the end */
};

/* Writes the configuration. Credential "orders" has FIXTURE_PASSWORD; "broken" names a variable
 * that is not set. */
void fixture_write_config(struct fixture *f, const struct fixture_config *config);
/* Stops the server and starts one on the same directory; `channel` leads to it. */
void fixture_restart(struct fixture *f);
/* How far the server's clock is from the system's. */
void fixture_set_clock(struct fixture *f, int64_t shift_ns);
/* The log so far; owned. */
char *fixture_read_log(struct fixture *f);

/* A token that lives for an hour; returns owned. `group` may be NULL. */
char *fixture_token(struct fixture *f, const char *subject, const char *group);
char *fixture_special_token(struct fixture *f, const struct issuer_token *token);

/* --- calls ----------------------------------------------------------------------------------- */

struct answer {
    struct rpc_status status;
    ProtobufCMessage *reply; /* owned; NULL unless RPC_OK */
};

/* `token` goes into `authorization`; may be NULL. */
struct answer fixture_call(struct rpc_channel *channel, const ProtobufCServiceDescriptor *service,
                           const char *method, const ProtobufCMessage *request, const char *token,
                           int deadline_ms);
void answer_finish(struct answer *answer);
/* Finishes it. */
void assert_answer(struct answer answer, enum rpc_code code, const char *words);

/* --- sidecars -------------------------------------------------------------------------------- */

struct sidecar {
    EVP_PKEY *key;
    char *id;
    struct buffer certificate_pem;
    struct rpc_channel *channel;
};

EVP_PKEY *make_key(const char *type); /* "ED25519", "P-256" */
/* Owned (OPENSSL_free its data). */
ProtobufCBinaryData make_csr(EVP_PKEY *key);
char *fixture_join_token(struct fixture *f); /* owned */
/* The answer of Enrol. `keep_id` may be NULL. */
struct answer fixture_enrol(struct fixture *f, EVP_PKEY *key, const char *join_token,
                            const char *oidc_token, const char *keep_id);
/* Enrolled, with a channel over mutual TLS. */
struct sidecar fixture_sidecar(struct fixture *f);
void sidecar_finish(struct sidecar *s);
struct rpc_channel *fixture_channel(struct fixture *f, struct bytes certificate_pem, EVP_PKEY *key);

/* --- streams --------------------------------------------------------------------------------- */

/* A client's stream that keeps what arrives. */
struct listening;

struct listening *listen_to(struct rpc_channel *channel, const ProtobufCServiceDescriptor *service,
                            const char *method, const char *token);
void listening_send(struct listening *l, const ProtobufCMessage *message);
void listening_half_close(struct listening *l);
/* Waits for the n-th message (from 0); valid until finish. Fails when the stream ends before. */
const ProtobufCMessage *listening_await(struct listening *l, size_t n);
/* Waits for the end. */
struct rpc_status listening_end(struct listening *l);
size_t listening_count(struct listening *l);
void listening_finish(struct listening *l); /* cancels */

/* --- records --------------------------------------------------------------------------------- */

/* A sidecar's stream as it writes it. */
struct records {
    const char *sidecar;
    uint64_t sequence;
    uint8_t hash[32];
};

/* Both return canonical bytes, owned (free() the data). */
ProtobufCBinaryData records_opened(struct records *r, const char *session, const char *subject);
ProtobufCBinaryData records_intent(struct records *r, const char *session, const char *text);
ProtobufCBinaryData records_closed(struct records *r, const char *session);
/* Ships and waits until all is acknowledged. Frees the records. */
void fixture_ship(struct sidecar *s, ProtobufCBinaryData *records, size_t count);

#endif
