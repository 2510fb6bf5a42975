/* How fast jobs are: `bazel run -c opt //controlplane/export:export_bench -- [RECORDS]`.
 *
 * A backlog of records (100,000 when not said) in SQLite, sent by one job to files, to a syslog
 * receiver on loopback TCP, and to Kafka's mock cluster in this process; then one record at a time,
 * and how long it took until the destination had it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "controlplane/export/export_fixture.h"

enum { SINGLES = 200 };

static int64_t now_ns(void)
{
    const struct clock clock = clock_system();
    return clock_monotonic(&clock);
}

static int compare(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return x < y ? -1 : x > y;
}

static void await_records(struct test *t, uint64_t records)
{
    while (export_first(t).status.records < records) {
        (void)usleep(200);
    }
}

static void measure(struct test *t, const char *what, const char *config, size_t records)
{
    static int64_t times[SINGLES];
    int64_t began = now_ns();
    export_configure(t, config);
    await_records(t, records);
    double took = (double)(now_ns() - began) / 1e9;
    for (size_t i = 0; i < SINGLES; i++) {
        uint64_t before = export_first(t).status.records;
        export_ship(t, "single", 0);
        began = now_ns();
        await_records(t, before + 1);
        times[i] = now_ns() - began;
    }
    export_configure(t, " []\n");
    qsort(times, SINGLES, sizeof(times[0]), compare);
    printf("%-12s %7.0f records/s   one record: median %.1f ms, p99 %.1f ms\n", what,
           (double)records / took, (double)times[SINGLES / 2] / 1e6,
           (double)times[SINGLES * 99 / 100] / 1e6);
    (void)fflush(stdout);
}

static void *swallow(void *argument)
{
    static char scratch[1 << 16];
    int fd = accept(*(int *)argument, NULL, NULL);
    while (fd >= 0 && read(fd, scratch, sizeof(scratch)) > 0) {
    }
    (void)close(fd);
    return NULL;
}

static void measure_syslog(struct test *t, size_t records)
{
    char config[256];
    pthread_t thread;
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t size = sizeof(address);
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(bind(listener, (struct sockaddr *)&address, size), 0);
    assert_int_equal(listen(listener, 1), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&address, &size), 0);
    assert_int_equal(pthread_create(&thread, NULL, swallow, &listener), 0);
    (void)snprintf(config, sizeof(config),
                   "- {name: s, from: beginning, syslog: {address: '127.0.0.1:%d', tls: {mode: "
                   "disable}}}\n",
                   ntohs(address.sin_port));
    measure(t, "syslog", config, records);
    (void)pthread_join(thread, NULL);
    (void)close(listener);
}

static void measure_kafka(struct test *t, size_t records)
{
    char config[256];
    rd_kafka_t *host = rd_kafka_new(RD_KAFKA_PRODUCER, rd_kafka_conf_new(), NULL, 0);
    rd_kafka_mock_cluster_t *mock = rd_kafka_mock_cluster_new(host, 1);
    (void)snprintf(config, sizeof(config),
                   "- {name: k, from: beginning, kafka: {brokers: ['%s'], topic: audit}}\n",
                   rd_kafka_mock_cluster_bootstraps(mock));
    measure(t, "kafka (mock)", config, records);
    rd_kafka_mock_cluster_destroy(mock);
    rd_kafka_destroy(host);
}

int main(int argc, char **argv)
{
    size_t records = argc > 1 ? strtoul(argv[1], NULL, 10) : 100000;
    void *state = NULL;
    (void)export_setup(&state);
    struct test *t = state;
    export_ship(t, "backlog", records - 1);
    measure(t, "file", "- {name: f, from: beginning, file: {directory: '@/a'}}\n", records);
    measure(t, "file, zstd",
            "- {name: z, from: beginning, file: {directory: '@/b', compress: zstd}}\n", records);
    measure(t, "file, ocsf",
            "- {name: o, format: ocsf, from: beginning, file: {directory: '@/c'}}\n", records);
    measure_syslog(t, records);
    measure_kafka(t, records);
    return export_teardown(&state);
}
