/* A recorder in a directory of its own, with a clock and a disk that the test commands. */
#ifndef CHAPERONE_SIDECAR_AUDIT_RECORDER_FIXTURE_H
#define CHAPERONE_SIDECAR_AUDIT_RECORDER_FIXTURE_H

#include <stdatomic.h>

#include "base/net/loop.h"
#include "sidecar/audit/recorder.h"
#include "sidecar/audit/spool.h"

enum { FIXTURE_SEGMENT = 16384 };

struct fixture {
    char dir[256];
    struct loop *loop; /* NULL unless the test made it */
    struct recorder *recorder;
    struct recorder_options options;
    struct spool_system system;
    struct clock clock;
    _Atomic int64_t wall, monotonic;
    _Atomic int allocate_fails, sync_fails; /* the errno to fail with */
    _Atomic int syncs;                      /* that succeeded */
    _Atomic int maps_left;                  /* that will succeed; less than 0: all */
};

int fixture_setup(void **state);
int fixture_teardown(void **state);

void fixture_open(struct fixture *f); /* asserts that it works */
void fixture_close(struct fixture *f);
/* As if the process had been killed: what is mapped stays on the disk, nothing is tidied up. */
void fixture_reopen(struct fixture *f);

/* A statement of `size` bytes of text. */
enum err fixture_write_intent(struct fixture *f, size_t size, uint64_t *out_sequence) MUST_USE;
enum err fixture_write_outcome(struct fixture *f, size_t size, uint64_t *out_sequence) MUST_USE;
/* Intents of 40 bytes; asserts that each is taken. */
void fixture_write_many(struct fixture *f, size_t count);

/* Reads everything that is not acknowledged and asserts that the chain is whole, but for gaps in
 * the numbers; returns the number of records, and copies of those that are losses. */
struct fixture_stream {
    size_t count;
    uint64_t first, last;
    size_t gaps;                    /* places where numbers are missing */
    uint64_t missing;               /* numbers that are missing */
    size_t losses;                  /* Loss records */
    uint64_t loss_first, loss_last; /* of the last one */
};

struct fixture_stream fixture_read_all(struct fixture *f);

/* The name of the n-th segment file (0: the oldest). */
void fixture_segment_path(const struct fixture *f, size_t n, char *out, size_t size);
size_t fixture_segment_count(const struct fixture *f);
/* Writes over a file's bytes. */
void fixture_poke(const char *path, long offset, const void *bytes, size_t size);
long fixture_find(const char *path, const char *text); /* its offset in a file; asserts */

#endif
