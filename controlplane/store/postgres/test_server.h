/* A real PostgreSQL of its own for tests: a fresh cluster in a temporary directory, reached by its
 * unix socket. As root it runs as the user postgres: PostgreSQL refuses to run as root. A failure
 * ends the test. */
#ifndef CHAPERONE_CONTROLPLANE_STORE_POSTGRES_TEST_SERVER_H
#define CHAPERONE_CONTROLPLANE_STORE_POSTGRES_TEST_SERVER_H

#include <stdbool.h>
#include <stddef.h>

struct test_server {
    char directory[64];
    char database[32]; /* the last one that was made */
    int databases;
};

/* `is_durable`: with fsync. */
void test_server_start(struct test_server *server, bool is_durable);
void test_server_stop(struct test_server *server); /* and removes everything */

/* At once, as after a loss of power; and up again. */
void test_server_halt(struct test_server *server);
void test_server_run(struct test_server *server);

/* An empty database, and its URL. */
void test_server_create_database(struct test_server *server, const char *options);
void test_server_drop_database(struct test_server *server);
void test_server_url(const struct test_server *server, char *out, size_t size);
/* As an administrator, in the last database that was made. */
void test_server_sql(const struct test_server *server, const char *sql);
long long test_server_number(const struct test_server *server, const char *sql);

/* kill -9 of a backend that writes, or of any: the server ends all of them and recovers. */
void test_server_kill_writer(const struct test_server *server);

#endif
