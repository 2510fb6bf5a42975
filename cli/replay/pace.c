#include "cli/replay/pace.h"

#include <stdlib.h>
#include <string.h>

static const double speed_min = 0.1, speed_max = 100;
static const double seconds_max = 86400;
/* Longer waits end early and are made again. */
static const double wait_max_ns = 3600e9;

/* Digits and at most one point: no sign, exponent, hex digits, "nan" or "inf". */
static bool parse_decimal(const char *text, double *out)
{
    size_t size = strlen(text);
    const char *point = strchr(text, '.');
    if (size == 0 || size > 12 || strspn(text, "0123456789.") != size ||
        (point != NULL && strchr(point + 1, '.') != NULL) || strcmp(text, ".") == 0) {
        return false;
    }
    *out = strtod(text, NULL);
    return true;
}

enum err pace_parse_speed(const char *text, double *out, struct err_text *error)
{
    double speed = 0;
    if (strcmp(text, "max") == 0) {
        *out = 0;
        return OK;
    }
    if (!parse_decimal(text, &speed) || speed < speed_min || speed > speed_max) {
        return err_set(error, ERR_INVALID, "expected 0.1 to 100, or max, found \"%.32s\"", text);
    }
    *out = speed;
    return OK;
}

enum err pace_parse_seconds(const char *text, int64_t *out_ns, struct err_text *error)
{
    double seconds = 0;
    if (!parse_decimal(text, &seconds) || seconds < 0.001 || seconds > seconds_max) {
        return err_set(error, ERR_INVALID, "expected seconds, 0.001 to 86400, found \"%.32s\"",
                       text);
    }
    *out_ns = (int64_t)(seconds * 1e9);
    return OK;
}

int64_t pace_gaps_add(struct pace_gaps *g, int64_t at_ns)
{
    int64_t gap = 0;
    if (g->has_last && at_ns > g->last_ns) {
        /* Recorded times are an outsider's: their difference may not fit. */
        if (__builtin_sub_overflow(at_ns, g->last_ns, &gap)) {
            gap = INT64_MAX;
        }
    }
    if (!g->has_last || at_ns > g->last_ns) {
        g->last_ns = at_ns;
    }
    g->has_last = true;
    if (g->limit_ns > 0 && gap > g->limit_ns) {
        gap = g->limit_ns;
    }
    if (__builtin_add_overflow(g->due_ns, gap, &g->due_ns)) {
        g->due_ns = INT64_MAX;
    }
    return g->due_ns;
}

void pace_start(struct pace *p, double speed, int64_t now_ns)
{
    *p = (struct pace){.speed = speed, .since_ns = now_ns};
}

int64_t pace_position(const struct pace *p, int64_t now_ns)
{
    if (p->is_paused || p->speed <= 0) {
        return p->position_ns;
    }
    double position = (double)p->position_ns + (double)(now_ns - p->since_ns) * p->speed;
    return position < 9e18 ? (int64_t)position : INT64_MAX;
}

void pace_seek(struct pace *p, int64_t position_ns, int64_t now_ns)
{
    p->position_ns = position_ns;
    p->since_ns = now_ns;
}

void pace_pause(struct pace *p, int64_t now_ns)
{
    pace_seek(p, pace_position(p, now_ns), now_ns);
    p->is_paused = true;
}

void pace_resume(struct pace *p, int64_t now_ns)
{
    p->is_paused = false;
    p->since_ns = now_ns;
}

void pace_set_speed(struct pace *p, double speed, int64_t now_ns)
{
    pace_seek(p, pace_position(p, now_ns), now_ns);
    p->speed = speed;
}

int64_t pace_wait(const struct pace *p, int64_t due_ns, int64_t now_ns)
{
    if (p->is_paused) {
        return -1;
    }
    int64_t position = pace_position(p, now_ns);
    if (p->speed <= 0 || position >= due_ns) {
        return 0;
    }
    double wait = ((double)due_ns - (double)position) / p->speed;
    if (wait > wait_max_ns) {
        wait = wait_max_ns;
    }
    return wait < 1 ? 1 : (int64_t)wait;
}
