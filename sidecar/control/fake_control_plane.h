/* A control plane in the test's own process: base/rpc servers behind a fake_door. What it shall
 * answer and what it has seen are fields under `lock`. */
#ifndef CHAPERONE_SIDECAR_CONTROL_FAKE_CONTROL_PLANE_H
#define CHAPERONE_SIDECAR_CONTROL_FAKE_CONTROL_PLANE_H

#include <pthread.h>
#include <stdint.h>

#include "api/sidecar.pb-c.h"
#include "base/crypto/crypto.h"
#include "base/rpc/rpc.h"
#include "sidecar/control/fake_ca.h"
#include "sidecar/control/fake_door.h"

enum { FAKE_TEXT = 256, FAKE_HASH = 32 };

struct fake {
    struct fake_ca ca;
    struct fake_door *door;
    struct rpc_runtime *runtime;
    struct rpc_server *servers[2]; /* without and with a client certificate */
    struct crypto_ed25519 *policy_key;

    pthread_mutex_t lock;
    /* enrolment */
    char join_token[FAKE_TEXT], oidc_token[FAKE_TEXT]; /* what is taken; "": none */
    char sidecar[FAKE_TEXT];                           /* the id that is given */
    int lifetime_s;
    bool wrong_key;
    int enrolled, renewed, refused;
    char seen_name[FAKE_TEXT], seen_version[FAKE_TEXT], seen_sidecar[FAKE_TEXT];
    uint8_t seen_key[CRYPTO_ED25519_PUBLIC_SIZE];
    /* sessions */
    enum rpc_code open_code;
    int opened;
    bool open_hangs;
    char seen_token[FAKE_TEXT];
    /* approvals */
    enum rpc_code approval_code, end_code;
    bool approval_hangs;
    int approvals, ends, end_attempts; /* ends: those that were taken */
    char seen_approval[FAKE_TEXT], seen_end[FAKE_TEXT], seen_end_reason[FAKE_TEXT];
    Chaperone__V1__ApprovalState seen_end_state;
    /* watch */
    struct rpc_stream *watch;
    int watches, hellos, acks, dones;
    uint64_t hello_revision, ack_revision;
    size_t hello_resources, hello_sessions;
    char hello_held[FAKE_TEXT]; /* the first; "": none */
    bool ack_active;
    size_t done_sessions;
    int64_t done_ns;
    char ack_error[512], done_order[FAKE_TEXT], done_session[FAKE_TEXT], done_error[FAKE_TEXT];
    /* audit */
    uint64_t last; /* sequence of the last record */
    uint8_t last_hash[FAKE_HASH];
    /* Breaks: a wrong previous hash or a gap, which is refused. */
    uint64_t records, intents, duplicates, breaks, losses;
    int resumes, streams, batches;
    bool no_acknowledgements, wild_acknowledgements;
};

void fake_start(struct fake *f, const char *names);
void fake_stop(struct fake *f);

/* Pushes to the open watch; false: there is none. */
bool fake_push_policy(struct fake *f, uint64_t revision, const char *document);
/* As signed by `key`; `spoil` flips a bit of the signature. */
bool fake_push_policy_by(struct fake *f, uint64_t revision, const char *document,
                         const struct crypto_ed25519 *key, bool spoil);
bool fake_push_kill(struct fake *f, const char *order, const char *session);
/* An order as it is. */
bool fake_push_order(struct fake *f, const Chaperone__V1__KillSession *order);
bool fake_push_decided(struct fake *f, const char *approval, Chaperone__V1__ApprovalState state);
bool fake_push_nothing(struct fake *f); /* a message without content */
/* Ends the open watch with PERMISSION_DENIED. */
bool fake_revoke(struct fake *f, const char *message);

#endif
