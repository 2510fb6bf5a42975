/* Time windows. Pure: the time is passed in. */
#include "policies/policy_internal.h"

enum { DAY_S = 86400, WEEK = 7 };

static int64_t floor_divide(int64_t a, int64_t b)
{
    return a / b - (a % b < 0);
}

static bool has_day(const struct window *w, int64_t day)
{
    /* 1970-01-01 was a Thursday. */
    int64_t weekday = (day + 3) - floor_divide(day + 3, WEEK) * WEEK;
    return (w->days >> weekday & 1) != 0;
}

static int64_t clamp(int64_t value, int64_t low, int64_t high)
{
    return value < low ? low : value > high ? high : value;
}

bool window_contains(const struct window *w, int64_t now_unix_s)
{
    if (!w->is_given) {
        return true;
    }
    if (now_unix_s < w->not_before || now_unix_s > w->not_after) {
        return false;
    }
    int64_t local = clamp(now_unix_s, INT64_MIN / 2, INT64_MAX / 2) + w->offset_s;
    int64_t day = floor_divide(local, DAY_S);
    int64_t second = local - day * DAY_S;
    if (w->from_s < w->until_s) {
        return second >= w->from_s && second < w->until_s && has_day(w, day);
    }
    return (second >= w->from_s && has_day(w, day)) || (second < w->until_s && has_day(w, day - 1));
}

bool window_is_possible(const struct window *w)
{
    if (w->from_s == w->until_s || w->not_before > w->not_after) {
        return false;
    }
    /* Windows come every week: it is in one when it begins, or one begins before it ends. */
    if (window_contains(w, w->not_before)) {
        return true;
    }
    int64_t first = clamp(w->not_before, INT64_MIN / 2, INT64_MAX / 2);
    int64_t today = floor_divide(first + w->offset_s, DAY_S);
    for (int64_t day = today; day <= today + WEEK; day++) {
        if (window_contains(w, day * DAY_S + w->from_s - w->offset_s)) {
            return true;
        }
    }
    return false;
}
