/* The clock as an argument: `main` passes the system's, a test one of its own. */
#ifndef CHAPERONE_BASE_CLOCK_H
#define CHAPERONE_BASE_CLOCK_H

#include <stddef.h>
#include <stdint.h>

struct clock {
    /* Nanoseconds since 1970-01-01T00:00:00Z. */
    int64_t (*wall_ns)(void *context);
    /* Nanoseconds since some fixed point; never goes back. For durations. */
    int64_t (*monotonic_ns)(void *context);
    /* As wall_ns, but up to ten milliseconds late and for less; NULL: wall_ns. */
    int64_t (*late_wall_ns)(void *context);
    void *context;
};

struct clock clock_system(void);

static inline int64_t clock_wall(const struct clock *c)
{
    return c->wall_ns(c->context);
}

static inline int64_t clock_monotonic(const struct clock *c)
{
    return c->monotonic_ns(c->context);
}

/* For what is asked often and goes by seconds. */
static inline int64_t clock_late_wall(const struct clock *c)
{
    return c->late_wall_ns == NULL ? clock_wall(c) : c->late_wall_ns(c->context);
}

enum { CLOCK_RFC3339_SIZE = 32 };
/* "2026-11-21T08:43:00.123456Z"; `out` has CLOCK_RFC3339_SIZE bytes. */
void clock_format_rfc3339(int64_t wall_ns, char *out);

#endif
