/* Two control planes on one database of a server of their own. What fails, fails the test. */
#ifndef CHAPERONE_CONTROLPLANE_STORE_POSTGRES_PAIR_FIXTURE_H
#define CHAPERONE_CONTROLPLANE_STORE_POSTGRES_PAIR_FIXTURE_H

#include <pthread.h>

#include "controlplane/store/postgres/postgres.h"
#include "controlplane/store/postgres/test_server.h"
#include "controlplane/store/store_statements.h"

struct pair {
    struct test_server *server;
    struct store *a, *b; /* NULL: closed by the test */
    struct arena *arena;
};

/* Around a test whose initial state is a struct test_server that runs. */
int pair_setup(void **state);
int pair_teardown(void **state);
#define PAIR_TEST(name, server)                                                                    \
    {                                                                                              \
#name, name, pair_setup, pair_teardown, (server)                                           \
    }
void pair_close(struct pair *t);

/* One more control plane; returns owned. */
struct store *pair_open(const struct test_server *server);
enum err pair_try_open(const struct test_server *server,
                       const struct store_postgres_options *options, struct store **out,
                       struct err_text *why) MUST_USE;

/* As statements_append_batch; tries again while the database is away, for as long as it may take a
 * server to come back. */
enum err pair_append(struct store *store, uint64_t stream, uint64_t first, uint64_t count,
                     struct store_audit_appended *out) MUST_USE;
/* The log has every position once, in each stream's order, and so does the index. */
void pair_log_check(struct pair *t, struct store *store, uint64_t total);

/* Whether the duty is the store's, which it asks for; false also where the database is away. */
bool pair_has(struct store *store, enum store_duty duty);
/* Asks until it is. */
bool pair_has_in_time(struct store *store, enum store_duty duty);

/* Appends batches of ten to a stream, in a thread of its own. */
struct pair_worker {
    struct store *store;
    uint64_t stream, batches;
    enum err failed;
    pthread_t thread;
};
void pair_workers_start(struct pair_worker *workers, size_t count);
/* Waits until all of them have appended what they have to. */
void pair_workers_join(struct pair_worker *workers, size_t count);

#endif
