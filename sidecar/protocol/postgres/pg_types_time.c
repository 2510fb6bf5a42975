/* date, time, timestamp and timestamptz; inet and cidr. */
#include "sidecar/protocol/postgres/pg_types_internal.h"

#include <arpa/inet.h>
#include <inttypes.h>

/* ---- dates and times: ISO style ------------------------------------------------------------- */

#define US_PER_SECOND INT64_C(1000000)
#define US_PER_DAY (INT64_C(86400) * US_PER_SECOND)

/* The bounds that PostgreSQL has (datatype/timestamp.h), relative to 2000-01-01. */
#define DATE_MIN INT64_C(-2451545)                 /* 4714-11-24 BC */
#define DATE_END INT64_C(2145031949)               /* 5874898-01-01 */
#define TIMESTAMP_MIN INT64_C(-211813488000000000) /* 4714-11-24 BC */
#define TIMESTAMP_END INT64_C(9223371331200000000) /* 294277-01-01 */

enum { DAYS_1970_TO_2000 = 10957 };

/* Proleptic Gregorian; the year may be 0 or below. By eras of 400 years, which begin in March so
 * that the day that leap years add is the last one. */
static void put_date(int64_t days_since_2000, struct pg_sink *sink, bool *out_is_bc)
{
    enum { DAYS_PER_ERA = 146097, MARCH_0000_TO_1970 = 719468 };
    int64_t days = days_since_2000 + DAYS_1970_TO_2000 + MARCH_0000_TO_1970;
    int64_t era = (days >= 0 ? days : days - (DAYS_PER_ERA - 1)) / DAYS_PER_ERA;
    int64_t of_era = days - era * DAYS_PER_ERA;
    int64_t year_of_era = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    int64_t of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    int64_t month_from_march = (5 * of_year + 2) / 153;
    int64_t day = of_year - (153 * month_from_march + 2) / 5 + 1;
    int64_t month = month_from_march < 10 ? month_from_march + 3 : month_from_march - 9;
    int64_t year = year_of_era + era * 400 + (month <= 2);
    *out_is_bc = year <= 0;
    pg_sink_put_format(sink, "%04" PRId64 "-%02" PRId64 "-%02" PRId64, year > 0 ? year : 1 - year,
                       month, day);
}

/* Microseconds without the zeroes at their end. */
static void put_time(int64_t us, struct pg_sink *sink)
{
    int64_t seconds = us / US_PER_SECOND, fraction = us % US_PER_SECOND;
    pg_sink_put_format(sink, "%02" PRId64 ":%02" PRId64 ":%02" PRId64, seconds / 3600,
                       seconds / 60 % 60, seconds % 60);
    if (fraction > 0) {
        int width = 6;
        for (; fraction % 10 == 0; fraction /= 10) {
            width--;
        }
        pg_sink_put_format(sink, ".%0*" PRId64, width, fraction);
    }
}

bool pg_print_date(struct bytes value, struct pg_sink *sink)
{
    struct cursor c = cursor_of(value);
    int32_t days = cursor_read_i32(&c);
    if (!cursor_is_complete(&c)) {
        return false;
    }
    if (days == INT32_MIN || days == INT32_MAX) {
        pg_sink_put_text(sink, days < 0 ? "-infinity" : "infinity");
        return true;
    }
    if (days < DATE_MIN || days >= DATE_END) {
        return false;
    }
    bool is_bc;
    put_date(days, sink, &is_bc);
    pg_sink_put_text(sink, is_bc ? " BC" : "");
    return true;
}

bool pg_print_time(struct bytes value, struct pg_sink *sink)
{
    struct cursor c = cursor_of(value);
    int64_t us = cursor_read_i64(&c);
    if (!cursor_is_complete(&c) || us < 0 || us > US_PER_DAY) {
        return false;
    }
    put_time(us, sink);
    return true;
}

static bool print_timestamp(struct bytes value, const char *zone, struct pg_sink *sink)
{
    struct cursor c = cursor_of(value);
    int64_t us = cursor_read_i64(&c);
    if (!cursor_is_complete(&c)) {
        return false;
    }
    if (us == INT64_MIN || us == INT64_MAX) {
        pg_sink_put_text(sink, us < 0 ? "-infinity" : "infinity");
        return true;
    }
    if (us < TIMESTAMP_MIN || us >= TIMESTAMP_END) {
        return false;
    }
    int64_t days = us / US_PER_DAY, of_day = us % US_PER_DAY;
    if (of_day < 0) {
        of_day += US_PER_DAY;
        days--;
    }
    bool is_bc;
    put_date(days, sink, &is_bc);
    pg_sink_put_text(sink, " ");
    put_time(of_day, sink);
    pg_sink_put_text(sink, zone);
    pg_sink_put_text(sink, is_bc ? " BC" : "");
    return true;
}

bool pg_print_timestamp(struct bytes value, struct pg_sink *sink)
{
    return print_timestamp(value, "", sink);
}

bool pg_print_timestamptz(struct bytes value, struct pg_sink *sink)
{
    return print_timestamp(value, "+00", sink);
}

/* ---- inet and cidr (network_recv) ----------------------------------------------------------- */

enum { PGSQL_AF_INET = 2, PGSQL_AF_INET6 = 3 };

static bool print_network(struct bytes value, bool is_cidr, struct pg_sink *sink)
{
    struct cursor c = cursor_of(value);
    uint8_t family = cursor_read_u8(&c);
    uint8_t bits = cursor_read_u8(&c);
    (void)cursor_read_u8(&c); /* is_cidr: the server ignores it too */
    uint8_t size = cursor_read_u8(&c);
    struct bytes address = cursor_read_bytes(&c, size);
    bool is_v4 = family == PGSQL_AF_INET && size == 4;
    bool is_v6 = family == PGSQL_AF_INET6 && size == 16;
    if (!cursor_is_complete(&c) || (!is_v4 && !is_v6) || bits > 8 * size) {
        return false;
    }
    char text[INET6_ADDRSTRLEN];
    if (inet_ntop(is_v4 ? AF_INET : AF_INET6, address.data, text, sizeof(text)) == NULL) {
        return false;
    }
    pg_sink_put_text(sink, text);
    if (is_cidr || bits != 8 * size) {
        pg_sink_put_format(sink, "/%u", (unsigned)bits);
    }
    return true;
}

bool pg_print_inet(struct bytes value, struct pg_sink *sink)
{
    return print_network(value, false, sink);
}

bool pg_print_cidr(struct bytes value, struct pg_sink *sink)
{
    return print_network(value, true, sink);
}
