/* Dates and times in the ISO style, and their truncation. */
#include "sidecar/masking/value.h"

#include "base/cursor.h"

#define US_PER_SECOND INT64_C(1000000)
#define US_PER_DAY (INT64_C(86400) * US_PER_SECOND)

enum {
    DAYS_PER_ERA = 146097,
    MARCH_0000_TO_2000 = 730425,
    YEAR_MAX = 6000000, /* beyond what a date can hold (5874897) */
};

/* ---- the calendar: proleptic Gregorian, in eras of 400 years that begin in March ------------- */

static int64_t days_of(int64_t year, int64_t month, int64_t day)
{
    year -= month <= 2;
    int64_t era = (year >= 0 ? year : year - 399) / 400;
    int64_t year_of_era = year - era * 400;
    int64_t of_year = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;
    int64_t of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + of_year;
    return era * DAYS_PER_ERA + of_era - MARCH_0000_TO_2000;
}

static void civil_of(int64_t days, int64_t *out_year, int64_t *out_month)
{
    int64_t shifted = days + MARCH_0000_TO_2000;
    int64_t era = (shifted >= 0 ? shifted : shifted - (DAYS_PER_ERA - 1)) / DAYS_PER_ERA;
    int64_t of_era = shifted - era * DAYS_PER_ERA;
    int64_t year_of_era = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    int64_t of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    int64_t from_march = (5 * of_year + 2) / 153;
    *out_month = from_march < 10 ? from_march + 3 : from_march - 9;
    *out_year = year_of_era + era * 400 + (*out_month <= 2);
}

static int64_t days_in(int64_t year, int64_t month)
{
    return month == 12 ? 31 : days_of(year, month + 1, 1) - days_of(year, month, 1);
}

int64_t value_days_truncate(int64_t days, enum value_unit unit)
{
    if (days == VALUE_INFINITY || days == VALUE_MINUS_INFINITY || unit == VALUE_DAY) {
        return days;
    }
    int64_t year = 0, month = 0;
    civil_of(days, &year, &month);
    return days_of(year, unit == VALUE_YEAR ? 1 : month, 1);
}

int64_t value_timestamp_truncate(int64_t us, enum value_unit unit)
{
    if (us == VALUE_INFINITY || us == VALUE_MINUS_INFINITY) {
        return us;
    }
    int64_t days = us / US_PER_DAY - (us % US_PER_DAY < 0);
    int64_t start = value_days_truncate(days, unit);
    /* No timestamp says when it began; PostgreSQL has none before 4714 BC. */
    return start < INT64_MIN / US_PER_DAY ? VALUE_MINUS_INFINITY : start * US_PER_DAY;
}

/* ---- reading ----------------------------------------------------------------------------------
 */

static bool peek(const struct cursor *c, uint8_t byte)
{
    return c->remaining > 0 && *c->at == byte;
}

static bool take(struct cursor *c, uint8_t byte)
{
    if (!peek(c, byte)) {
        return false;
    }
    (void)cursor_read_u8(c);
    return true;
}

/* Between `least` and `most` digits; returns how many, 0 when there are not so many. */
static size_t take_digits(struct cursor *c, size_t least, size_t most, int64_t *out)
{
    size_t count = 0;
    int64_t number = 0;
    while (count < most && c->remaining > 0 && *c->at >= '0' && *c->at <= '9') {
        number = number * 10 + (cursor_read_u8(c) - '0');
        count++;
    }
    *out = number;
    return count >= least ? count : 0;
}

/* The year as printed: that of " BC" is one more than its negative. */
static bool take_date(struct cursor *c, int64_t out[3])
{
    return take_digits(c, 4, 7, &out[0]) > 0 && take(c, '-') && take_digits(c, 2, 2, &out[1]) > 0 &&
           take(c, '-') && take_digits(c, 2, 2, &out[2]) > 0;
}

static bool finish_date(struct cursor *c, int64_t date[3], int64_t *out_days)
{
    if (take(c, ' ')) {
        if (!take(c, 'B') || !take(c, 'C')) {
            return false;
        }
        date[0] = 1 - date[0];
    }
    if (!cursor_is_complete(c) || date[0] > YEAR_MAX || date[1] < 1 || date[1] > 12 ||
        date[2] < 1 || date[2] > days_in(date[0], date[1])) {
        return false;
    }
    *out_days = days_of(date[0], date[1], date[2]);
    return true;
}

static bool take_time(struct cursor *c, int64_t *out_us)
{
    int64_t hours = 0, minutes = 0, seconds = 0, fraction = 0;
    if (take_digits(c, 2, 2, &hours) == 0 || !take(c, ':') || take_digits(c, 2, 2, &minutes) == 0 ||
        !take(c, ':') || take_digits(c, 2, 2, &seconds) == 0 || hours > 24 || minutes > 59 ||
        seconds > 60) {
        return false;
    }
    if (take(c, '.')) {
        size_t count = take_digits(c, 1, 6, &fraction);
        if (count == 0) {
            return false;
        }
        for (; count < 6; count++) {
            fraction *= 10;
        }
    }
    *out_us = ((hours * 60 + minutes) * 60 + seconds) * US_PER_SECOND + fraction;
    return *out_us <= US_PER_DAY;
}

/* +hh, +hh:mm or +hh:mm:ss, as EncodeTimezone prints. */
static bool take_zone(struct cursor *c, int64_t *out_us)
{
    bool is_west = peek(c, '-');
    int64_t hours = 0, minutes = 0, seconds = 0;
    if ((!take(c, '+') && !take(c, '-')) || take_digits(c, 2, 2, &hours) == 0 ||
        (take(c, ':') && take_digits(c, 2, 2, &minutes) == 0) ||
        (take(c, ':') && take_digits(c, 2, 2, &seconds) == 0)) {
        return false;
    }
    int64_t us = ((hours * 60 + minutes) * 60 + seconds) * US_PER_SECOND;
    *out_us = is_west ? -us : us;
    return true;
}

static bool take_infinity(struct bytes text, int64_t *out)
{
    bool is_infinite = bytes_equal_string(text, "infinity");
    if (is_infinite || bytes_equal_string(text, "-infinity")) {
        *out = is_infinite ? VALUE_INFINITY : VALUE_MINUS_INFINITY;
        return true;
    }
    return false;
}

bool value_date_parse(struct bytes text, int64_t *out_days)
{
    struct cursor c = cursor_of(text);
    int64_t date[3];
    return take_infinity(text, out_days) ||
           (take_date(&c, date) && finish_date(&c, date, out_days));
}

bool value_time_parse(struct bytes text, int64_t *out_us)
{
    struct cursor c = cursor_of(text);
    return take_time(&c, out_us) && cursor_is_complete(&c);
}

bool value_timestamp_parse(struct bytes text, bool has_zone, int64_t *out_us)
{
    if (take_infinity(text, out_us)) {
        return true;
    }
    struct cursor c = cursor_of(text);
    int64_t date[3], of_day = 0, zone = 0, days = 0;
    if (!take_date(&c, date) || !take(&c, ' ') || !take_time(&c, &of_day) ||
        (has_zone && !take_zone(&c, &zone)) || !finish_date(&c, date, &days)) {
        return false;
    }
    /* Days that a year of seven digits gives would not fit in microseconds. */
    int64_t whole = 0;
    return !__builtin_mul_overflow(days, US_PER_DAY, &whole) &&
           !__builtin_add_overflow(whole, of_day - zone, out_us);
}
