/* float4, float8 and numeric. */
#include "sidecar/protocol/postgres/pg_types_internal.h"

#include <float.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* ---- float4 and float8: the shortest decimal that reads back as the same number -------------- */

enum {
    FLOAT4_DIGITS = 9,
    FLOAT8_DIGITS = 17,
    /* From these exponents on PostgreSQL writes d.ddde+xx. */
    FLOAT4_FIXED_MAX = 6,
    FLOAT8_FIXED_MAX = 15,
    FIXED_MIN = -4,
    DECIMAL_SIZE = 40,
    MIDDLE_DIGITS = 40,
};

/* A positive finite number, rounded to so many digits. */
struct decimal {
    char digits[DECIMAL_SIZE]; /* without the point */
    int count;
    int exponent;
};

static struct decimal round_to(double x, int count)
{
    char text[DECIMAL_SIZE];
    struct decimal d = {.count = 0};
    (void)snprintf(text, sizeof(text), "%.*e", count - 1, x);
    const char *at = text;
    for (; *at != 'e'; at++) {
        if (*at >= '0' && *at <= '9') {
            d.digits[d.count++] = *at;
        }
    }
    d.exponent = (int)strtol(at + 1, NULL, 10);
    return d;
}

/* One up in the last digit; false when that would carry. */
static bool step_up(struct decimal *d)
{
    if (d->digits[d->count - 1] == '9') {
        return false;
    }
    d->digits[d->count - 1]++;
    return true;
}

/* Whether the decimal is just this number: no decimal of 17 digits comes so near to a number that
 * lies between two floats without being it that 40 digits could not tell them apart. */
static bool is_exactly(const struct decimal *d, long double x)
{
    char text[MIDDLE_DIGITS + 16];
    (void)snprintf(text, sizeof(text), "%.*Le", MIDDLE_DIGITS - 1, x);
    const char *at = text;
    for (int i = 0; *at != 'e'; at++) {
        if (*at == '.') {
            continue;
        }
        if (*at != (i < d->count ? d->digits[i] : '0')) {
            return false;
        }
        i++;
    }
    return strtol(at + 1, NULL, 10) == d->exponent;
}

/* Whether the decimal reads back as x. One just between x and a neighbour does not count, as
 * PostgreSQL does not rely on every reader to break that tie in the same way. */
static bool is_same(const struct decimal *d, double x, bool is_single)
{
    char text[DECIMAL_SIZE + 16];
    (void)snprintf(text, sizeof(text), "%c.%.*se%d", d->digits[0], d->count - 1, d->digits + 1,
                   d->exponent);
    double read = is_single ? (double)strtof(text, NULL) : strtod(text, NULL);
    if (read != x) {
        return false;
    }
    double below = is_single ? (double)nextafterf((float)x, 0) : nextafter(x, 0);
    double above = is_single ? (double)nextafterf((float)x, INFINITY) : nextafter(x, INFINITY);
    /* The next wider type holds the middle of two neighbours exactly. Above the largest number
     * there is no neighbour, and no middle that could be read as it. */
    return !is_exactly(d, ((long double)below + x) / 2) &&
           (isinf(above) || !is_exactly(d, ((long double)above + x) / 2));
}

static struct decimal shortest(double x, bool is_single)
{
    int most = is_single ? FLOAT4_DIGITS : FLOAT8_DIGITS;
    /* A decimal of up to DBL_DIG digits survives being read and rounded to them again, so that a
     * shorter one shows as zeroes at the end; not so where numbers lose precision near zero. */
    bool is_normal = x >= (is_single ? (double)FLT_MIN : DBL_MIN);
    int least = !is_normal ? 1 : is_single ? FLT_DIG : DBL_DIG;
    for (int count = least; count < most; count++) {
        struct decimal d = round_to(x, count);
        if (is_same(&d, x, is_single)) {
            return d;
        }
        /* The gap above a power of two is twice the gap below: the next decimal up may be
         * within it when the nearest one is not. */
        if (step_up(&d) && is_same(&d, x, is_single)) {
            return d;
        }
    }
    return round_to(x, most);
}

static void put_decimal(const struct decimal *d, int fixed_max, struct pg_sink *sink)
{
    int count = d->count;
    while (count > 1 && d->digits[count - 1] == '0') {
        count--;
    }
    if (d->exponent < FIXED_MIN || d->exponent >= fixed_max) {
        pg_sink_put_format(sink, "%c%s%.*se%c%02d", d->digits[0], count > 1 ? "." : "", count - 1,
                           d->digits + 1, d->exponent < 0 ? '-' : '+', abs(d->exponent));
    } else if (d->exponent < 0) {
        pg_sink_put_format(sink, "0.%.*s%.*s", -d->exponent - 1, "000", count, d->digits);
    } else if (d->exponent + 1 >= count) {
        pg_sink_put_format(sink, "%.*s%.*s", count, d->digits, d->exponent + 1 - count,
                           "000000000000000");
    } else {
        pg_sink_put_format(sink, "%.*s.%.*s", d->exponent + 1, d->digits, count - d->exponent - 1,
                           d->digits + d->exponent + 1);
    }
}

static void put_float(double x, bool is_single, struct pg_sink *sink)
{
    if (isnan(x)) {
        pg_sink_put_text(sink, "NaN");
        return;
    }
    pg_sink_put_text(sink, signbit(x) ? "-" : "");
    if (isinf(x)) {
        pg_sink_put_text(sink, "Infinity");
    } else if (x == 0) {
        pg_sink_put_text(sink, "0");
    } else {
        struct decimal d = shortest(fabs(x), is_single);
        put_decimal(&d, is_single ? FLOAT4_FIXED_MAX : FLOAT8_FIXED_MAX, sink);
    }
}

bool pg_print_float4(struct bytes value, struct pg_sink *sink)
{
    struct cursor c = cursor_of(value);
    uint32_t bits = cursor_read_u32(&c);
    float x;
    memcpy(&x, &bits, sizeof(x));
    put_float((double)x, true, sink);
    return cursor_is_complete(&c);
}

bool pg_print_float8(struct bytes value, struct pg_sink *sink)
{
    struct cursor c = cursor_of(value);
    uint64_t bits = cursor_read_u64(&c);
    double x;
    memcpy(&x, &bits, sizeof(x));
    put_float(x, false, sink);
    return cursor_is_complete(&c);
}

/* ---- numeric: digits of base 10000 (numeric_recv, get_str_from_var) ------------------------- */

enum {
    NUMERIC_POSITIVE = 0x0000,
    NUMERIC_NEGATIVE = 0x4000,
    NUMERIC_NAN = 0xc000,
    NUMERIC_POSITIVE_INFINITY = 0xd000,
    NUMERIC_NEGATIVE_INFINITY = 0xf000,
    NUMERIC_SCALE_MAX = 0x3fff,
    NUMERIC_BASE = 10000,
};

struct numeric {
    struct bytes digits; /* two bytes each */
    int weight;          /* of the first digit, in powers of the base */
    uint16_t sign;
    int scale; /* decimal digits behind the point to be shown */
};

/* The digit of a weight; 0 where none was sent. */
static int digit_at(const struct numeric *n, int weight)
{
    int at = n->weight - weight;
    if (at < 0 || (size_t)at >= n->digits.size / 2) {
        return 0;
    }
    const uint8_t *digit = n->digits.data + 2 * (size_t)at;
    return digit[0] << 8 | digit[1];
}

static bool digits_are_valid(const struct numeric *n)
{
    for (int i = 0; (size_t)i < n->digits.size / 2; i++) {
        if (digit_at(n, n->weight - i) >= NUMERIC_BASE) {
            return false;
        }
    }
    return true;
}

/* The decimals of a digit that are within the scale, when it starts at `decimals` of them. */
static int digit_shown(const struct numeric *n, int weight, int decimals)
{
    static const int powers[] = {1, 10, 100, 1000, NUMERIC_BASE};
    int cut = decimals + 4 - n->scale;
    return digit_at(n, weight) / powers[cut < 0 ? 0 : cut > 4 ? 4 : cut];
}

/* There is no negative zero: what is cut off behind the scale does not count. */
static bool is_zero(const struct numeric *n)
{
    for (int i = 0; (size_t)i < n->digits.size / 2; i++) {
        int weight = n->weight - i;
        int shown = weight >= 0 ? digit_at(n, weight) : digit_shown(n, weight, 4 * (-weight - 1));
        if (shown != 0) {
            return false;
        }
    }
    return true;
}

static void put_digits(const struct numeric *n, struct pg_sink *sink)
{
    int weight = n->weight > 0 ? n->weight : 0;
    while (weight > 0 && digit_at(n, weight) == 0) {
        weight--;
    }
    pg_sink_put_format(sink, "%d", digit_at(n, weight));
    for (weight--; weight >= 0 && !sink->is_full; weight--) {
        pg_sink_put_format(sink, "%04d", digit_at(n, weight));
    }
    pg_sink_put_text(sink, n->scale > 0 ? "." : "");
    for (int decimals = 0; decimals < n->scale && !sink->is_full; decimals += 4, weight--) {
        int width = n->scale - decimals < 4 ? n->scale - decimals : 4;
        pg_sink_put_format(sink, "%0*d", width, digit_shown(n, weight, decimals));
    }
}

bool pg_print_numeric(struct bytes value, struct pg_sink *sink)
{
    struct cursor c = cursor_of(value);
    struct numeric n = {0};
    size_t count = cursor_read_u16(&c);
    n.weight = cursor_read_i16(&c);
    n.sign = cursor_read_u16(&c);
    n.scale = cursor_read_u16(&c);
    n.digits = cursor_read_bytes(&c, 2 * count);
    if (!cursor_is_complete(&c) || n.scale > NUMERIC_SCALE_MAX || !digits_are_valid(&n)) {
        return false;
    }
    switch (n.sign) {
    case NUMERIC_NAN: pg_sink_put_text(sink, "NaN"); return true;
    case NUMERIC_POSITIVE_INFINITY: pg_sink_put_text(sink, "Infinity"); return true;
    case NUMERIC_NEGATIVE_INFINITY: pg_sink_put_text(sink, "-Infinity"); return true;
    case NUMERIC_NEGATIVE: pg_sink_put_text(sink, is_zero(&n) ? "" : "-"); break;
    case NUMERIC_POSITIVE: break;
    default: return false;
    }
    put_digits(&n, sink);
    return true;
}
