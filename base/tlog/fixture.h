/* For the tests here: the log that e2e/tlog/vectors.go makes ("record 0", "record 1", ...), its
 * keys, and what is made from them. */
#ifndef CHAPERONE_BASE_TLOG_FIXTURE_H
#define CHAPERONE_BASE_TLOG_FIXTURE_H

#include "base/tlog/grow.h"
#include "base/tlog/proof_file.h"

#define FIXTURE_ORIGIN "log.example/audit"

enum {
    FIXTURE_SIZE = 70000,
    FIXTURE_TIME = 1750000000,
    FIXTURE_TILES_MAX = 1024,
};

/* "record N", valid until the next call with the same memory. */
struct bytes fixture_record(uint64_t n, char room[32]);

/* Returns owned: the key whose seed is SHA-256("test key of NAME"). */
struct crypto_ed25519 *fixture_key(const char *name);
void fixture_verifier(const char *name, enum tlog_key_type type, struct tlog_verifier *out);

/* Every tile that was stored, in memory. */
struct fixture_store {
    struct tlog_tile tiles[FIXTURE_TILES_MAX];
    uint8_t *data[FIXTURE_TILES_MAX]; /* owned */
    size_t count;
    size_t fail_at; /* the n-th store from now fails with ERR_FULL; 0: none */
};

void fixture_store_finish(struct fixture_store *store);
struct tlog_tile_sink fixture_store_sink(struct fixture_store *store);
/* Gives the narrowest tile that is wide enough: a full tile stands for the partial ones. */
struct tlog_tile_source fixture_store_source(struct fixture_store *store);

/* Stores the tiles of leaves from..size, flushed at the end. */
void fixture_grow(struct fixture_store *store, uint64_t from, uint64_t size);

/* What the other implementation is to judge: the files ours.* of testdata. */
enum fixture_file { FIXTURE_OURS_TXT, FIXTURE_OURS_NOTE, FIXTURE_OURS_PROOF };
void fixture_make(enum fixture_file file, struct buffer *out);

/* Returns owned, with a terminator; the file of testdata. */
char *fixture_read(const char *name, size_t *out_size);

#endif
