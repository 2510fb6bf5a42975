/* For the tests here: a store with records in it, a keeper on it without a thread, and a fake
 * witness. Fails the test on any surprise. Include cmocka.h before. */
#ifndef CHAPERONE_CONTROLPLANE_TLOG_KEEPER_FIXTURE_H
#define CHAPERONE_CONTROLPLANE_TLOG_KEEPER_FIXTURE_H

#include "base/testing/scratch.h"
#include "controlplane/store/store.h"
#include "controlplane/tlog/keeper.h"

#define FIXTURE_ORIGIN "log.example/audit"

enum { FIXTURE_WITNESSES = 3 };

/* A witness that remembers one tree head, and can be told to misbehave. */
struct fake_witness {
    struct crypto_ed25519 *key;
    struct tlog_verifier verifier;
    uint64_t size;
    struct tlog_hash root;
    enum err answer; /* instead of looking; OK: looks */
    uint64_t claims; /* with ERR_EXISTS, ERR_INVALID: what it says it has seen */
    bool lies;       /* its signature is of something else */
    int asked;
};

struct fixture {
    char directory[SCRATCH_SIZE];
    char database[SCRATCH_SIZE + 32];
    struct store *store;
    struct keeper *keeper;
    struct log log;
    int64_t shift_ns; /* of the clocks */
    /* In memory that child processes share: what a witness has seen outlives them. */
    struct fake_witness *fakes;
    struct keeper_witness witnesses[FIXTURE_WITNESSES];
    size_t witness_count, quorum;
    const char *origin;
    int reports;
    char reported[64]; /* the last kind */
    void (*on_step)(void *context, const char *step);
    void *step_context;
    struct arena *arena;
};

int fixture_setup(void **state);
int fixture_teardown(void **state);
#define FIXTURE_TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

void fixture_open(struct fixture *f);
void fixture_close(struct fixture *f); /* of store and keeper */
/* The keeper's creation; the store is open. */
enum err fixture_create_keeper(struct fixture *f, struct err_text *why);

/* Appends records to the stream of `sidecar`; their content depends on it, and on their number. */
enum err fixture_append(struct store *store, const char *sidecar, size_t count);
void fixture_add(struct fixture *f, size_t count);
/* Some turns, seconds apart. */
void fixture_turn(struct fixture *f);
struct keeper_status fixture_status(struct fixture *f);
void assert_state(struct fixture *f, enum keeper_state state);

/* The published checkpoint: signed, and of the tree that the store's records make. */
struct keeper_checkpoint fixture_checked(struct fixture *f, uint64_t size);
/* The root of the store's first `size` records. */
void fixture_root(struct store *store, uint64_t size, struct tlog_hash *out);

/* Copies the database, as a backup: nothing may have it open. `from` and `to` are names in the
 * directory. */
void fixture_copy(struct fixture *f, const char *from, const char *to);
/* Flips a bit of a file of the directory. */
void fixture_flip(struct fixture *f, const char *name, long offset);
void fixture_path(struct fixture *f, const char *name, char out[256]);

#endif
