/* How fast the log follows the store: keeper_bench DIRECTORY [RECORDS]. Prints one line of JSON. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "controlplane/tlog/keeper_fixture.h"

static int64_t spent_ns(const struct clock *clock, int64_t from)
{
    return clock_monotonic(clock) - from;
}

/* Turns until all is published. */
static enum err follow(struct keeper *keeper, uint64_t size)
{
    struct keeper_status status = {.published = 0};
    enum err e = OK;
    while (e == OK && status.published < size) {
        e = keeper_turn(keeper);
        keeper_read_status(keeper, &status);
    }
    return e;
}

static int run(const char *directory, size_t records)
{
    char path[300];
    struct clock clock = clock_system();
    struct log log = {.fd = STDERR_FILENO, .format = LOG_JSON, .level = LOG_WARN, .clock = clock};
    struct store *store = NULL;
    struct keeper *keeper = NULL;
    (void)snprintf(path, sizeof(path), "%s/controlplane.db", directory);
    const struct store_sqlite_options all = {.readers = 2};
    enum err e = store_open_sqlite(path, &all, &store, NULL);
    if (e == OK) {
        e = fixture_append(store, "s1", records);
    }
    const struct keeper_options options = {.store = store,
                                           .data = directory,
                                           .fallback = FIXTURE_ORIGIN,
                                           .key_overlap_ns = 1,
                                           .clock = clock,
                                           .log = &log};
    if (e == OK) {
        e = keeper_create(&options, &keeper, NULL);
    }
    int64_t began = clock_monotonic(&clock);
    e = e == OK ? follow(keeper, records) : e;
    double first = (double)spent_ns(&clock, began) / 1e9;
    keeper_destroy(keeper);
    keeper = NULL;
    /* Again, from what is there. */
    began = clock_monotonic(&clock);
    e = e == OK ? keeper_create(&options, &keeper, NULL) : e;
    e = e == OK ? follow(keeper, records) : e;
    double again = (double)spent_ns(&clock, began) / 1e9;
    printf("{\"records\": %zu, \"records_per_second\": %.0f, \"seconds\": %.2f, "
           "\"restart_seconds\": %.3f}\n",
           records, (double)records / first, first, again);
    keeper_destroy(keeper);
    store_close(store);
    return e == OK ? EXIT_SUCCESS : EXIT_FAILURE;
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        (void)fputs("usage: keeper_bench DIRECTORY [RECORDS]\n", stderr);
        return 2;
    }
    return run(argv[1], argc > 2 ? strtoul(argv[2], NULL, 10) : 200000);
}
