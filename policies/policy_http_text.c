/* Texts and numbers of requests, as they surely are and as servers might take them. */
#include <stdlib.h>

#include "policies/policy_http.h"

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
}

/* As glob_matches, for bytes that no NUL ends. */
bool glob_matches_bytes(const char *pattern, struct bytes text, enum text_case which)
{
    const char *at = (const char *)text.data, *end = at + text.size;
    const char *star = NULL, *resume = NULL;
    while (at != end) {
        bool same = *pattern == *at || (which == CASE_IGNORED && lower(*pattern) == lower(*at));
        if (*pattern == '*') {
            star = pattern++;
            resume = at;
        } else if (*pattern != '\0' && (*pattern == '?' || same)) {
            pattern++;
            at++;
        } else if (star != NULL) {
            pattern = star + 1;
            at = ++resume;
        } else {
            return false;
        }
    }
    while (*pattern == '*') {
        pattern++;
    }
    return *pattern == '\0';
}

static char name_folded(char c)
{
    return c == '-' || c == '.' || c == ' ' ? '_' : lower(c);
}

bool name_may_be(const char *name, struct bytes text)
{
    size_t i = 0;
    while (i < text.size && text.data[i] == ' ') {
        i++; /* PHP drops them */
    }
    for (; *name != '\0'; name++, i++) {
        if (i == text.size || name_folded((char)text.data[i]) != name_folded(*name)) {
            return false;
        }
    }
    return i == text.size || text.data[i] == '[';
}

/* --- numbers --------------------------------------------------------------------------- */

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* Digits behind each other; zeros in front say nothing but where the point is. */
static bool digit_add(struct decimal *d, char c, bool is_fraction)
{
    if (d->digit_count == 0 && c == '0') {
        d->exponent -= is_fraction;
        return d->exponent > -DECIMAL_EXPONENT_MAX;
    }
    if (d->digit_count == DECIMAL_DIGITS_MAX) {
        return false;
    }
    d->digits[d->digit_count++] = c;
    d->exponent += !is_fraction;
    return true;
}

static bool digits_parse(const char **text, struct decimal *d, bool is_fraction)
{
    const char *start = *text;
    for (; is_digit(**text); ++*text) {
        if (!digit_add(d, **text, is_fraction)) {
            return false;
        }
    }
    return *text != start;
}

static bool exponent_parse(const char **text, int32_t *out)
{
    bool is_negative = **text == '-';
    int32_t value = 0;
    *text += **text == '-' || **text == '+';
    if (!is_digit(**text)) {
        return false;
    }
    for (; is_digit(**text); ++*text) {
        value = value * 10 + (**text - '0');
        if (value > DECIMAL_EXPONENT_MAX) {
            return false;
        }
    }
    *out = is_negative ? -value : value;
    return true;
}

bool decimal_parse(const char *text, struct decimal *out)
{
    struct decimal d = {.is_negative = text[0] == '-'};
    const char *rest = text + d.is_negative;
    int32_t exponent = 0;
    bool is_octal = rest[0] == '0' && is_digit(rest[1]); /* JSON has none, some servers do */
    if (is_octal || !digits_parse(&rest, &d, false)) {
        return false;
    }
    if (*rest == '.') {
        rest++;
        if (!digits_parse(&rest, &d, true)) {
            return false;
        }
    }
    if (*rest == 'e' || *rest == 'E') {
        rest++;
        if (!exponent_parse(&rest, &exponent)) {
            return false;
        }
    }
    if (*rest != '\0') {
        return false;
    }
    while (d.digit_count > 0 && d.digits[d.digit_count - 1] == '0') {
        d.digit_count--;
    }
    d.exponent = d.digit_count == 0 ? 0 : d.exponent + exponent;
    d.is_negative = d.is_negative && d.digit_count > 0;
    d.nearest = strtod(text, NULL);
    *out = d;
    return true;
}

static int magnitude_compare(const struct decimal *a, const struct decimal *b)
{
    if (a->digit_count == 0 || b->digit_count == 0) {
        return (a->digit_count != 0) - (b->digit_count != 0);
    }
    if (a->exponent != b->exponent) {
        return a->exponent < b->exponent ? -1 : 1;
    }
    size_t both = a->digit_count < b->digit_count ? a->digit_count : b->digit_count;
    int order = memcmp(a->digits, b->digits, both);
    return order != 0 ? order
                      : (a->digit_count > b->digit_count) - (a->digit_count < b->digit_count);
}

int decimal_compare(const struct decimal *a, const struct decimal *b)
{
    if (a->is_negative != b->is_negative) {
        return a->is_negative ? -1 : 1;
    }
    return a->is_negative ? magnitude_compare(b, a) : magnitude_compare(a, b);
}

/* --- values ---------------------------------------------------------------------------- */

static bool number_is_within(const struct value_pattern *p, const struct decimal *d)
{
    return (!p->has_min || decimal_compare(d, &p->min) >= 0) &&
           (!p->has_max || decimal_compare(d, &p->max) <= 0);
}

/* For a server that reads doubles, 99.99999999999999999999 is 100. */
static bool double_is_within(const struct value_pattern *p, const struct decimal *d)
{
    return (!p->has_min || d->nearest >= p->min.nearest) &&
           (!p->has_max || d->nearest <= p->max.nearest);
}

static bool length_is_within(const struct value_pattern *p, struct bytes value)
{
    uint64_t length = 0;
    for (size_t i = 0; i < value.size; i++) {
        length += (value.data[i] & 0xc0) != 0x80; /* UTF-8: not those that continue */
    }
    return !p->has_lengths || (length >= p->min_length && length <= p->max_length);
}

bool value_is(const struct value_pattern *p, const char *value)
{
    struct decimal d;
    bool is_listed = p->texts.count == 0;
    for (size_t i = 0; i < p->texts.count && !is_listed; i++) {
        is_listed = glob_matches(p->texts.items[i], value);
    }
    if (!is_listed || !length_is_within(p, bytes_of_string(value))) {
        return false;
    }
    return (!p->has_min && !p->has_max) ||
           (decimal_parse(value, &d) && number_is_within(p, &d) && double_is_within(p, &d));
}

static struct bytes trimmed(struct bytes text)
{
    while (text.size > 0 && (text.data[0] == ' ' || text.data[0] == '\t')) {
        text = bytes_of(text.data + 1, text.size - 1);
    }
    while (text.size > 0 && (text.data[text.size - 1] == ' ' || text.data[text.size - 1] == '\t')) {
        text.size--;
    }
    return text;
}

static bool any_text_may_be(const struct texts *texts, struct bytes value)
{
    for (size_t i = 0; i < texts->count; i++) {
        if (glob_matches_bytes(texts->items[i], value, CASE_IGNORED)) {
            return true;
        }
    }
    return false;
}

/* The whole, or an item of what may be a list: `X-Team: a, b`, `fields=name,ssn`. */
static bool texts_may_be(const struct texts *texts, struct bytes value)
{
    if (any_text_may_be(texts, value) || any_text_may_be(texts, trimmed(value))) {
        return true;
    }
    struct bytes rest = value;
    const uint8_t *comma = NULL;
    while (rest.size > 0 && (comma = memchr(rest.data, ',', rest.size)) != NULL) {
        size_t size = (size_t)(comma - rest.data);
        if (any_text_may_be(texts, trimmed(bytes_of(rest.data, size)))) {
            return true;
        }
        rest = bytes_of(comma + 1, rest.size - size - 1);
    }
    return rest.size != value.size && any_text_may_be(texts, trimmed(rest));
}

/* What is no number to us may be one to the server: "1,000", "0x10", " 5". */
static bool number_may_be(const struct value_pattern *p, struct bytes value)
{
    enum { NUMBER_SIZE_MAX = 256 };
    char text[NUMBER_SIZE_MAX];
    struct decimal d;
    if (value.size >= sizeof(text)) {
        return true;
    }
    if (value.size > 0) {
        memcpy(text, value.data, value.size);
    }
    text[value.size] = '\0';
    return !decimal_parse(text, &d) || number_is_within(p, &d) || double_is_within(p, &d);
}

bool value_may_be(const struct value_pattern *p, struct bytes value)
{
    return (p->texts.count == 0 || texts_may_be(&p->texts, value)) && length_is_within(p, value) &&
           ((!p->has_min && !p->has_max) || number_may_be(p, value));
}
