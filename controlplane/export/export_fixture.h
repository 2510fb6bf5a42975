/* What the tests of this folder share: a store in a directory of its own, a feed, a stream that is
 * appended to, and jobs of a configuration. Include cmocka.h before. */
#ifndef CHAPERONE_CONTROLPLANE_EXPORT_EXPORT_FIXTURE_H
#define CHAPERONE_CONTROLPLANE_EXPORT_EXPORT_FIXTURE_H

#include <pthread.h>

#include "base/testing/scratch.h"
#include "controlplane/audit/ingest.h"
#include "controlplane/audit/record.h"
#include "controlplane/audit/stream_maker.h"
#include "controlplane/export/export.h"

struct test {
    char directory[SCRATCH_SIZE];
    struct store *store;
    struct audit_feed *feed;
    struct audit_ingest ingest;
    struct arena *arena;
    struct stream_maker maker;
    struct log log;     /* to the file "log" */
    int64_t wall_shift; /* of the jobs' clock */
    struct exports *exports;
};

int export_setup(void **state);
int export_teardown(void **state);
#define EXPORT_TEST(name) cmocka_unit_test_setup_teardown(name, export_setup, export_teardown)

/* "DIRECTORY/name", in the arena. */
char *export_path(struct test *t, const char *name);
/* Appends this many intents of session `session` (opened with the first), and tells the feed. */
void export_ship(struct test *t, const char *session, size_t count);
/* `exports` is a list in YAML; "@" stands for the directory. Ends what ran before. */
void export_configure(struct test *t, const char *exports);
void export_end(struct test *t); /* stops all jobs */
/* Waits until the first job is so; fails after some seconds. */
void export_await_position(struct test *t, uint64_t position);
void export_await_state(struct test *t, enum export_state state);
struct exports_job export_first(struct test *t);
/* A file, owned; NULL: there is none. */
char *export_read(const char *path);

#endif
