/* A log of which there are branches, and a client that asks a witness, real or not, to cosign it.
 * What fails, fails the test. */
#ifndef CHAPERONE_CONTROLPLANE_WITNESS_WITNESS_FIXTURE_H
#define CHAPERONE_CONTROLPLANE_WITNESS_WITNESS_FIXTURE_H

#include <microhttpd.h>

#include "base/testing/scratch.h"
#include "base/tlog/checkpoint.h"
#include "base/tlog/witness_request.h"
#include "cli/witness/cosigner.h"
#include "cli/witness/http.h"
#include "controlplane/witness/witness.h"

#define ORIGIN "log.example/audit"
#define NAME "w.example/w1"

enum { NOW_S = 1750000000, TIMEOUT_MS = 60000, SCRIPT_MAX = 8 };

/* Two branches have the first `fork_at` leaves in common. */
struct branch {
    uint64_t fork_at; /* UINT64_MAX: the honest one */
    uint32_t number;
};

static const struct branch honest = {.fork_at = UINT64_MAX};

struct reply {
    unsigned status;
    const char *type, *body;
};

struct fixture {
    struct crypto_ed25519 *log_key, *witness_key, *other_key;
    struct tlog_signer log, self, other; /* self: the witness as the fake plays it */
    struct tlog_verifier trusted;        /* the witness that the client is told of */
    int64_t now_ns;
    char directory[SCRATCH_SIZE];
    struct cosigner *cosigner;
    struct witness_http *http;
    struct MHD_Daemon *fake;
    struct reply script[SCRIPT_MAX];
    size_t asked;
    uint64_t asked_old[SCRIPT_MAX];
    struct buffer request;
    uint16_t port;
    struct witness *client;
    struct buffer note, line, body;
    uint64_t seen;
    struct err_text why;
};

int witness_fixture_set_up(void **state);
int witness_fixture_tear_down(void **state);
#define WITNESS_TEST(name)                                                                         \
    cmocka_unit_test_setup_teardown(name, witness_fixture_set_up, witness_fixture_tear_down)

/* That stands still. */
struct clock witness_fixture_clock(struct fixture *f);
enum err witness_fixture_client(struct fixture *f, const char *url, int64_t timeout_ms) MUST_USE;
/* Of `port`, on this machine. */
void witness_fixture_client_to_port(struct fixture *f, const char *path);
/* Signs a checkpoint of the branch into `note`. */
void witness_fixture_note(struct fixture *f, const struct branch *b, uint64_t size);
/* Asks for a cosignature. OK means that it is one, on this checkpoint; else there is no line. */
enum err witness_fixture_cosign(struct fixture *f, const struct branch *b, uint64_t size) MUST_USE;

#endif
