/* numeric's binary format from its text (numeric_send: digits of base 10000). */
#include "sidecar/masking/value.h"

#include "base/writer.h"

enum {
    NUMERIC_NEGATIVE = 0x4000,
    NUMERIC_NAN = 0xc000,
    NUMERIC_POSITIVE_INFINITY = 0xd000,
    NUMERIC_NEGATIVE_INFINITY = 0xf000,
    /* What the type holds at most (NUMERIC_MAX_PRECISION and the like of the manual). */
    INTEGER_DIGITS_MAX = 131072,
    SCALE_MAX = 16383,
};

struct decimal {
    struct bytes whole, fraction;
    bool is_negative;
};

static bool split(struct bytes text, struct decimal *out)
{
    struct decimal d = {.is_negative = text.size > 0 && text.data[0] == '-'};
    size_t at = d.is_negative, start = at;
    while (at < text.size && text.data[at] >= '0' && text.data[at] <= '9') {
        at++;
    }
    d.whole = bytes_of(text.data + start, at - start);
    if (at < text.size && text.data[at] == '.') {
        start = ++at;
        while (at < text.size && text.data[at] >= '0' && text.data[at] <= '9') {
            at++;
        }
        d.fraction = bytes_of(text.data + start, at - start);
        if (d.fraction.size == 0) {
            return false;
        }
    }
    *out = d;
    return at == text.size && d.whole.size > 0 && d.whole.size <= INTEGER_DIGITS_MAX &&
           d.fraction.size <= SCALE_MAX;
}

bool value_is_decimal(struct bytes text)
{
    struct decimal d;
    return text.size > 0 && split(text, &d);
}

/* The decimal digit with the place value 10^place; zero outside of the text. */
static int digit_at(const struct decimal *d, long place)
{
    if (place >= 0) {
        size_t from_end = (size_t)place;
        return from_end < d->whole.size ? d->whole.data[d->whole.size - 1 - from_end] - '0' : 0;
    }
    size_t at = (size_t)(-place - 1);
    return at < d->fraction.size ? d->fraction.data[at] - '0' : 0;
}

static uint16_t group_at(const struct decimal *d, long weight)
{
    int group = 0;
    for (long i = 3; i >= 0; i--) {
        group = group * 10 + digit_at(d, 4 * weight + i);
    }
    return (uint16_t)group;
}

static enum err encode_special(uint16_t sign, struct buffer *out)
{
    struct writer w = writer_start(out);
    writer_put_u32(&w, 0); /* no digits, weight 0 */
    writer_put_u16(&w, sign);
    writer_put_u16(&w, 0);
    return writer_finish(&w);
}

enum err value_numeric_encode(struct bytes text, struct buffer *out)
{
    if (bytes_equal_string(text, "NaN")) {
        return encode_special(NUMERIC_NAN, out);
    }
    if (bytes_equal_string(text, "Infinity") || bytes_equal_string(text, "-Infinity")) {
        return encode_special(
            text.data[0] == '-' ? NUMERIC_NEGATIVE_INFINITY : NUMERIC_POSITIVE_INFINITY, out);
    }
    struct decimal d;
    if (text.size == 0 || !split(text, &d)) {
        return ERR_INVALID;
    }
    long first = ((long)d.whole.size + 3) / 4 - 1, last = -(((long)d.fraction.size + 3) / 4);
    while (first >= last && group_at(&d, first) == 0) {
        first--;
    }
    while (last <= first && group_at(&d, last) == 0) {
        last++;
    }
    bool is_zero = first < last;
    struct writer w = writer_start(out);
    writer_put_u16(&w, is_zero ? 0 : (uint16_t)(first - last + 1));
    writer_put_u16(&w, is_zero ? 0 : (uint16_t)(int16_t)first);
    writer_put_u16(&w, d.is_negative && !is_zero ? NUMERIC_NEGATIVE : 0);
    writer_put_u16(&w, (uint16_t)d.fraction.size);
    for (long weight = first; weight >= last && !is_zero; weight--) {
        writer_put_u16(&w, group_at(&d, weight));
    }
    return writer_finish(&w);
}
