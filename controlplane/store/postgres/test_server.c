#include "controlplane/store/postgres/test_server.h"

#include <postgresql/libpq-fe.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static void fail(const char *what, const char *why)
{
    (void)fprintf(stderr, "%s: %s\n", what, why);
    exit(1);
}

/* Runs a program of PostgreSQL's, as its user. */
static void run(const char *program, const char *const *arguments)
{
    char path[128];
    const char *all[32] = {"/usr/sbin/runuser", "-u", "postgres", "--", path};
    size_t count = 5;
    (void)snprintf(path, sizeof(path), "/usr/lib/postgresql/15/bin/%s", program);
    for (; *arguments != NULL; arguments++) {
        all[count++] = *arguments;
    }
    pid_t child = fork();
    if (child == 0) {
        bool is_root = geteuid() == 0;
        if (chdir("/") != 0 || freopen("/dev/null", "w", stdout) == NULL) {
            _exit(126);
        }
        /* What the server inherits must not keep the test's own ends of pipes open. */
        for (int fd = 3; fd < 256; fd++) {
            (void)close(fd);
        }
        const char *const *start = is_root ? all : all + 4;
        (void)execvp(is_root ? all[0] : path, (char *const *)(const void *)start);
        _exit(127);
    }
    int status = 0;
    if (child < 0 || waitpid(child, &status, 0) != child || status != 0) {
        fail(program, "has failed");
    }
}

void test_server_run(struct test_server *server)
{
    char data[96], log[96];
    (void)snprintf(data, sizeof(data), "%s/data", server->directory);
    (void)snprintf(log, sizeof(log), "%s/log", server->directory);
    const char *const arguments[] = {"-D", data, "-l", log, "-w", "start", NULL};
    run("pg_ctl", arguments);
}

void test_server_halt(struct test_server *server)
{
    char data[96];
    (void)snprintf(data, sizeof(data), "%s/data", server->directory);
    const char *const arguments[] = {"-D", data, "-m", "immediate", "-w", "stop", NULL};
    run("pg_ctl", arguments);
}

static void settings_write(const struct test_server *server, bool is_durable)
{
    char path[128];
    (void)snprintf(path, sizeof(path), "%s/data/postgresql.auto.conf", server->directory);
    FILE *out = fopen(path, "a");
    if (out == NULL) {
        fail(path, "cannot be written");
        return;
    }
    (void)fprintf(out,
                  "listen_addresses=''\nunix_socket_directories='%s'\nfsync=%s\n"
                  "max_connections=100\nshared_buffers=256MB\nmax_wal_size=4GB\n",
                  server->directory, is_durable ? "on" : "off");
    if (fclose(out) != 0) {
        fail(path, "cannot be written");
    }
}

void test_server_start(struct test_server *server, bool is_durable)
{
    char data[96];
    *server = (struct test_server){.directory = "/tmp/chaperone-pg-XXXXXX"};
    if (mkdtemp(server->directory) == NULL || chmod(server->directory, 0755) != 0) {
        fail(server->directory, "cannot be made");
    }
    const struct passwd *user = getpwnam("postgres");
    if (geteuid() == 0 &&
        (user == NULL || chown(server->directory, user->pw_uid, user->pw_gid) != 0)) {
        fail("postgres", "there is no such user");
    }
    (void)snprintf(data, sizeof(data), "%s/data", server->directory);
    const char *const arguments[] = {"-D",    data, "-U",   "postgres",         "-A",
                                     "trust", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync",
                                     NULL};
    run("initdb", arguments);
    settings_write(server, is_durable);
    test_server_run(server);
}

void test_server_stop(struct test_server *server)
{
    test_server_halt(server);
    const char *const arguments[] = {"-rf", server->directory, NULL};
    pid_t child = fork();
    if (child == 0) {
        (void)execlp("rm", "rm", "-rf", arguments[1], (char *)NULL);
        _exit(127);
    }
    (void)waitpid(child, NULL, 0);
}

void test_server_url(const struct test_server *server, char *out, size_t size)
{
    (void)snprintf(out, size, "host=%s user=postgres dbname=%s", server->directory,
                   server->database[0] == '\0' ? "postgres" : server->database);
}

long long test_server_number(const struct test_server *server, const char *sql)
{
    char url[200];
    test_server_url(server, url, sizeof(url));
    PGconn *handle = PQconnectdb(url);
    PGresult *result = PQexec(handle, sql);
    ExecStatusType status = PQresultStatus(result);
    if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK) {
        fail(sql, PQerrorMessage(handle));
    }
    long long number = PQntuples(result) > 0 ? strtoll(PQgetvalue(result, 0, 0), NULL, 10) : 0;
    PQclear(result);
    PQfinish(handle);
    return number;
}

void test_server_sql(const struct test_server *server, const char *sql)
{
    (void)test_server_number(server, sql);
}

void test_server_create_database(struct test_server *server, const char *options)
{
    char sql[200];
    server->database[0] = '\0';
    server->databases++;
    (void)snprintf(sql, sizeof(sql), "CREATE DATABASE t%d %s", server->databases, options);
    test_server_sql(server, sql);
    (void)snprintf(server->database, sizeof(server->database), "t%d", server->databases);
}

void test_server_drop_database(struct test_server *server)
{
    char sql[100];
    (void)snprintf(sql, sizeof(sql), "DROP DATABASE %s WITH (FORCE)", server->database);
    server->database[0] = '\0';
    test_server_sql(server, sql);
}

static long long writer_find(const char *url)
{
    PGconn *handle = PQconnectdb(url);
    PGresult *result =
        PQexec(handle, "SELECT pid FROM pg_stat_activity WHERE application_name = 'chaperone'"
                       " AND datname = current_database()"
                       " ORDER BY state = 'idle', query_start DESC LIMIT 1");
    long long pid = PQntuples(result) > 0 ? strtoll(PQgetvalue(result, 0, 0), NULL, 10) : 0;
    PQclear(result);
    PQfinish(handle);
    return pid;
}

void test_server_kill_writer(const struct test_server *server)
{
    char url[200];
    const struct timespec moment = {.tv_nsec = 10000000};
    test_server_url(server, url, sizeof(url));
    for (int i = 0; i < 3000; i++) { /* it may still be coming up after the last time */
        long long pid = writer_find(url);
        if (pid > 0 && kill((pid_t)pid, SIGKILL) == 0) {
            return;
        }
        (void)nanosleep(&moment, NULL);
    }
    fail("kill", "there is no backend");
}
