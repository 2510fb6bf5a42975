#include "cli/output/moment.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

static const int64_t SECOND = 1000000000;

enum { YEAR_MAX = 2261 };

/* The year 2262 is the end of 64 bits of nanoseconds; nothing asked for is that long ago. */
static const int64_t SPAN_MAX = INT64_MAX / 2;

static bool read_digits(const char **at, int count, int *out)
{
    int value = 0;
    for (int i = 0; i < count; i++) {
        char c = (*at)[i];
        if (c < '0' || c > '9') {
            return false;
        }
        value = value * 10 + (c - '0');
    }
    *at += count;
    *out = value;
    return true;
}

static bool read_char(const char **at, const char *any_of)
{
    if (**at == '\0' || strchr(any_of, **at) == NULL) {
        return false;
    }
    (*at)++;
    return true;
}

static int days_in_month(int year, int month)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return month == 2 && leap ? 29 : days[month - 1];
}

static bool read_date(const char **at, struct tm *out)
{
    int year = 0;
    int month = 0;
    int day = 0;
    if (!read_digits(at, 4, &year) || !read_char(at, "-") || !read_digits(at, 2, &month) ||
        !read_char(at, "-") || !read_digits(at, 2, &day)) {
        return false;
    }
    if (year < 1970 || year > YEAR_MAX || month < 1 || month > 12 || day < 1 ||
        day > days_in_month(year, month)) {
        return false;
    }
    out->tm_year = year - 1900;
    out->tm_mon = month - 1;
    out->tm_mday = day;
    return true;
}

static bool read_fraction(const char **at, int64_t *out_ns)
{
    *out_ns = 0;
    if (!read_char(at, ".")) {
        return true;
    }
    int64_t unit = SECOND / 10;
    const char *start = *at;
    while (isdigit((unsigned char)**at)) {
        *out_ns += (**at - '0') * unit;
        unit /= 10;
        (*at)++;
    }
    return *at > start;
}

static bool read_zone(const char **at, int64_t *out_seconds)
{
    *out_seconds = 0;
    if (read_char(at, "Zz")) {
        return true;
    }
    int sign = **at == '-' ? -1 : 1;
    int hours = 0;
    int minutes = 0;
    if (!read_char(at, "+-") || !read_digits(at, 2, &hours) || !read_char(at, ":") ||
        !read_digits(at, 2, &minutes) || hours > 23 || minutes > 59) {
        return false;
    }
    *out_seconds = (int64_t)sign * (hours * 3600 + minutes * 60);
    return true;
}

/* RFC 3339 section 5.6, and a date alone. */
static bool parse_rfc3339(const char *text, int64_t *out_ns)
{
    struct tm tm = {0};
    int64_t fraction = 0;
    int64_t zone = 0;
    if (!read_date(&text, &tm)) {
        return false;
    }
    if (*text != '\0' &&
        (!read_char(&text, "Tt ") || !read_digits(&text, 2, &tm.tm_hour) ||
         !read_char(&text, ":") || !read_digits(&text, 2, &tm.tm_min) || !read_char(&text, ":") ||
         !read_digits(&text, 2, &tm.tm_sec) || !read_fraction(&text, &fraction) ||
         !read_zone(&text, &zone) || *text != '\0')) {
        return false;
    }
    if (tm.tm_hour > 23 || tm.tm_min > 59 || tm.tm_sec > 60) {
        return false;
    }
    *out_ns = ((int64_t)timegm(&tm) - zone) * SECOND + fraction;
    return true;
}

static int64_t unit_seconds(char unit)
{
    switch (unit) {
    case 's': return 1;
    case 'm': return 60;
    case 'h': return 3600;
    case 'd': return 86400;
    case 'w': return 604800;
    default: return 0;
    }
}

static bool parse_span(const char *at, int64_t *out_ns)
{
    int64_t total = 0;
    const char *start = at;
    while (*at != '\0') {
        int64_t number = 0;
        const char *digits = at;
        while (isdigit((unsigned char)*at)) {
            if (number > SPAN_MAX / 10 - 10) {
                return false;
            }
            number = number * 10 + (*at - '0');
            at++;
        }
        int64_t unit = unit_seconds(*at) * SECOND;
        if (at == digits || unit == 0 || number > (SPAN_MAX - total) / unit) {
            return false;
        }
        total += number * unit;
        at++;
    }
    *out_ns = total;
    return at > start;
}

enum err moment_parse_span(const char *text, int64_t *out_ns, struct err_text *error)
{
    int64_t span = 0;
    if (!parse_span(text, &span)) {
        return err_set(error, ERR_INVALID, "expected a span such as 15m, 2h or 7d, found \"%s\"",
                       text);
    }
    *out_ns = span;
    return OK;
}

enum err moment_parse(const char *text, int64_t now_ns, int64_t *out_ns, struct err_text *error)
{
    int64_t value = 0;
    if (strcmp(text, "now") == 0) {
        value = now_ns;
    } else if (parse_span(text, &value)) {
        /* 0 stands for "from the beginning" on the wire, and nothing was before 1970. */
        value = value >= now_ns ? 1 : now_ns - value;
    } else if (!parse_rfc3339(text, &value)) {
        return err_set(error, ERR_INVALID,
                       "expected a time such as 2026-11-21T08:43:00Z, or how long ago, such as "
                       "15m, 2h or 7d; found \"%s\"",
                       text);
    }
    *out_ns = value;
    return OK;
}

void moment_format(int64_t wall_ns, char out[MOMENT_SIZE])
{
    time_t seconds = (time_t)(wall_ns / SECOND);
    int millis = (int)(wall_ns % SECOND / 1000000);
    if (millis < 0) {
        millis += 1000;
        seconds--;
    }
    struct tm tm = {0};
    char date[MOMENT_SIZE];
    if (gmtime_r(&seconds, &tm) == NULL ||
        strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%S", &tm) == 0) {
        date[0] = '\0';
    }
    (void)snprintf(out, MOMENT_SIZE, "%.32s.%03dZ", date, millis);
}

void moment_format_duration(int64_t duration_us, char out[MOMENT_SIZE])
{
    double ms = (double)duration_us / 1000;
    if (ms < 10) {
        (void)snprintf(out, MOMENT_SIZE, "%.3f ms", ms);
    } else if (ms < 1000) {
        (void)snprintf(out, MOMENT_SIZE, "%.1f ms", ms);
    } else if (ms < 60000) {
        (void)snprintf(out, MOMENT_SIZE, "%.2f s", ms / 1000);
    } else {
        int64_t seconds = duration_us / 1000000;
        (void)snprintf(out, MOMENT_SIZE, "%lld min %lld s", (long long)(seconds / 60),
                       (long long)(seconds % 60));
    }
}

void moment_format_offset(int64_t ns, char out[MOMENT_SIZE])
{
    /* Sidecars' clocks may be set back in mid-session. */
    char sign = ns < 0 ? '-' : '+';
    uint64_t ms = (ns < 0 ? 0 - (uint64_t)ns : (uint64_t)ns) / 1000000;
    (void)snprintf(out, MOMENT_SIZE, "%c%02llu:%02llu:%02llu.%03llu", sign,
                   (unsigned long long)(ms / 3600000), (unsigned long long)(ms / 60000 % 60),
                   (unsigned long long)(ms / 1000 % 60), (unsigned long long)(ms % 1000));
}
