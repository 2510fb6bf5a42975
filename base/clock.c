#include "base/clock.h"

#include <stdio.h>
#include <time.h>

static int64_t read_clock(clockid_t id)
{
    struct timespec t = {0};
    (void)clock_gettime(id, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static int64_t system_wall(void *context)
{
    (void)context;
    return read_clock(CLOCK_REALTIME);
}

static int64_t system_monotonic(void *context)
{
    (void)context;
    return read_clock(CLOCK_MONOTONIC);
}

/* Without a look at the processor's counter: what the kernel wrote down at its last tick. */
static int64_t system_late_wall(void *context)
{
    (void)context;
    return read_clock(CLOCK_REALTIME_COARSE);
}

struct clock clock_system(void)
{
    return (struct clock){
        .wall_ns = system_wall, .monotonic_ns = system_monotonic, .late_wall_ns = system_late_wall};
}

void clock_format_rfc3339(int64_t wall_ns, char *out)
{
    time_t seconds = (time_t)(wall_ns / 1000000000);
    long micros = (long)(wall_ns % 1000000000 / 1000);
    struct tm tm = {0};
    (void)gmtime_r(&seconds, &tm);
    char date[CLOCK_RFC3339_SIZE];
    (void)strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%S", &tm);
    (void)snprintf(out, CLOCK_RFC3339_SIZE, "%.20s.%06ldZ", date, micros);
}
