/* Which rules name a value of HTTP, and what becomes of it. */
#include "sidecar/masking/masker_body_internal.h"

#include <stdlib.h>
#include <strings.h>

enum { NUMBER_MAX = 128, EXPONENT_MAX = 64 };
enum { TYPE_BOOL = 16, TYPE_TEXT = 25, TYPE_DATE = 1082, TYPE_NUMERIC = 1700 };
enum { TYPE_TIMESTAMP = 1114, TYPE_TIMESTAMPTZ = 1184 };

/* ---- which rules ---------------------------------------------------------------------------- */

static bool names(const struct policy_mask *mask, enum masker_name kind, struct bytes name)
{
    switch (kind) {
    case MASKER_FIELD: return policy_mask_matches_field(mask, name);
    case MASKER_POINTER: return policy_mask_matches_pointer(mask, name);
    case MASKER_HEADER: return policy_mask_matches_header(mask, name);
    }
    return true;
}

enum err masker_find_rules(const struct masker *m, enum masker_name kind, struct bytes name,
                           uint64_t *io_rules)
{
    uint64_t left = (kind == MASKER_HEADER ? m->http_rules : m->field_rules) & ~*io_rules;
    if (left == 0) {
        return OK;
    }
    if (name.size > MASKER_BODY_PATH_MAX) {
        return ERR_LIMIT;
    }
    for (size_t i = 0; left != 0; i++, left >>= 1) {
        if ((left & 1) != 0 && names(m->masks[i], kind, name)) {
            *io_rules |= UINT64_C(1) << i;
        }
    }
    return OK;
}

enum err masker_put_step(struct bytes step, struct buffer *path)
{
    size_t escapes = 0;
    for (size_t i = 0; i < step.size; i++) {
        escapes += step.data[i] == '~' || step.data[i] == '/';
    }
    uint8_t *begin = buffer_reserve(path, 1 + step.size + escapes);
    if (begin == NULL) {
        return ERR_LIMIT;
    }
    uint8_t *to = begin;
    *to++ = '/';
    if (escapes == 0 && step.size > 0) {
        memcpy(to, step.data, step.size);
        to += step.size;
    }
    for (size_t i = 0; escapes > 0 && i < step.size; i++) {
        bool is_escaped = step.data[i] == '~' || step.data[i] == '/';
        *to++ = is_escaped ? '~' : step.data[i];
        if (is_escaped) {
            *to++ = step.data[i] == '~' ? '0' : '1';
        }
    }
    buffer_commit(path, (size_t)(to - begin));
    return OK;
}

enum err masker_find_form_rules(struct masker *m, struct bytes name, uint64_t *io_rules)
{
    if (m->field_rules == 0) {
        return OK;
    }
    struct buffer path;
    buffer_init(&path, MASKER_BODY_PATH_MAX);
    enum err e = masker_put_step(name, &path);
    e = e == OK ? masker_find_rules(m, MASKER_POINTER, buffer_bytes(&path), io_rules) : e;
    buffer_finish(&path);
    e = e == OK ? masker_find_rules(m, MASKER_FIELD, name, io_rules) : e;
    for (size_t start = 0, i = 0; e == OK && i <= name.size; i++) {
        bool is_end =
            i == name.size || name.data[i] == '[' || name.data[i] == ']' || name.data[i] == '.';
        if (is_end && i > start && i - start < name.size) {
            e = masker_find_rules(m, MASKER_FIELD, bytes_of(name.data + start, i - start),
                                  io_rules);
        }
        start = is_end ? i + 1 : start;
    }
    return e;
}

/* ---- values that are named ------------------------------------------------------------------ */

static enum err count(struct masker *m, uint64_t rules, bool by_content)
{
    enum err e = OK;
    for (uint8_t rule = 0; e == OK && rules != 0; rule++, rules >>= 1) {
        if ((rules & 1) != 0) {
            e = masker_count_one(m, rule, MASKER_BODY_COLUMN, by_content);
        }
    }
    return e;
}

/* Into m->value. `*out_made` is false where the redactor has no such value. */
static enum err apply(struct masker *m, size_t rule, uint32_t type, struct bytes text,
                      bool *out_made)
{
    buffer_clear(&m->value);
    switch (redactor_apply(m->redactors[rule], type, false, text, &m->value)) {
    case REDACTOR_VALUE: *out_made = true; return OK;
    case REDACTOR_FAILED: return ERR_LIMIT;
    default: *out_made = false; return OK;
    }
}

/* Dates are strings in JSON, written as in RFC 3339 section 5.6; the redactor's are those of
 * PostgreSQL. */
static enum err make_date(struct masker *m, size_t rule, struct bytes text, enum masker_made *out)
{
    enum { LONGEST = 40, TIME_AT = 10 };
    static const uint32_t types[] = {TYPE_DATE, TYPE_TIMESTAMPTZ, TYPE_TIMESTAMP};
    uint8_t plain[LONGEST + 3];
    bool is_made = false;
    size_t size = text.size;
    *out = MADE_NULL;
    if (size > LONGEST || size < TIME_AT) {
        return OK;
    }
    memcpy(plain, text.data, size);
    bool is_rfc = size > TIME_AT && (plain[TIME_AT] == 'T' || plain[TIME_AT] == 't');
    if (is_rfc) {
        plain[TIME_AT] = ' ';
        if (plain[size - 1] == 'Z' || plain[size - 1] == 'z') {
            memcpy(plain + size - 1, "+00", 3);
            size += 2;
        }
    }
    enum err e = OK;
    for (size_t i = 0; e == OK && !is_made && i < sizeof(types) / sizeof(types[0]); i++) {
        e = apply(m, rule, types[i], bytes_of(plain, size), &is_made);
    }
    if (e != OK || !is_made) {
        return e;
    }
    *out = MADE_STRING;
    size_t made = buffer_size(&m->value);
    uint8_t *at = m->value.data + m->value.start;
    if (is_rfc && made > TIME_AT && at[TIME_AT] == ' ') {
        at[TIME_AT] = 'T';
        if (memcmp(at + made - 3, "+00", 3) == 0) {
            m->value.end -= 3;
            e = buffer_append_string(&m->value, "Z");
        }
    }
    return e;
}

/* RFC 8259 section 6, of what has a plain decimal form: the redactor gives no exponents. */
static bool is_json_number(struct bytes text)
{
    size_t at = text.size > 0 && text.data[0] == '-', digits = 0, fraction = 0;
    bool starts_with_zero = at < text.size && text.data[at] == '0';
    for (; at < text.size && text.data[at] >= '0' && text.data[at] <= '9'; at++) {
        digits++;
    }
    bool has_point = at < text.size && text.data[at] == '.';
    for (at += has_point; at < text.size && text.data[at] >= '0' && text.data[at] <= '9'; at++) {
        fraction++;
    }
    return at == text.size && digits > 0 && (digits == 1 || !starts_with_zero) &&
           has_point == (fraction > 0);
}

static enum err make_number(struct masker *m, size_t rule, struct bytes text, enum masker_made *out)
{
    bool is_made = false;
    enum err e = apply(m, rule, TYPE_NUMERIC, text, &is_made);
    *out = is_made && is_json_number(buffer_bytes(&m->value)) ? MADE_NUMBER : MADE_NULL;
    return e;
}

static enum err make_bool(struct masker *m, size_t rule, struct bytes text, enum masker_made *out)
{
    bool is_made = false;
    enum err e = apply(m, rule, TYPE_BOOL, text, &is_made);
    *out = !is_made                                           ? MADE_NULL
           : bytes_equal_string(buffer_bytes(&m->value), "t") ? MADE_TRUE
                                                              : MADE_FALSE;
    return e;
}

static enum err make_string(struct masker *m, size_t rule, struct bytes text, enum masker_made *out)
{
    bool is_made = false;
    if (m->redactions[rule] == POLICY_REDACT_DATE) {
        return make_date(m, rule, text, out);
    }
    enum err e = apply(m, rule, TYPE_TEXT, text, &is_made);
    *out = is_made ? MADE_STRING : MADE_NULL;
    return e;
}

static enum err make_one(struct masker *m, size_t rule, enum masker_sort sort, struct bytes text,
                         enum masker_made *out)
{
    enum err e = sort == MASKER_STRING   ? make_string(m, rule, text, out)
                 : sort == MASKER_NUMBER ? make_number(m, rule, text, out)
                                         : make_bool(m, rule, text, out);
    bool is_fixed = m->redactions[rule] == POLICY_REDACT_FIXED;
    if (e == OK && *out == MADE_NULL && is_fixed && sort != MASKER_STRING) {
        return make_string(m, rule, text, out); /* it does not depend on the value */
    }
    return e;
}

enum err masker_make(struct masker *m, uint64_t rules, enum masker_sort sort, struct bytes text,
                     enum masker_made *out)
{
    enum err e = count(m, rules, false);
    /* Several rules for one value: what each would leave may add up to it. */
    bool is_one = rules != 0 && (rules & (rules - 1)) == 0;
    enum masker_made made = MADE_NULL;
    if (e == OK && is_one) {
        e = make_one(m, (size_t)__builtin_ctzll(rules), sort, text, &made);
    }
    if (e == OK) {
        *out = made;
    }
    return e;
}

/* ---- values that are looked through --------------------------------------------------------- */

static enum err look(struct masker *m, struct bytes text, enum masker_made *out)
{
    enum masker_outcome outcome = MASKER_SAME;
    uint64_t rules = 0;
    enum err e = masker_scan(m, TYPE_TEXT, false, text, &m->value, &outcome, &rules);
    e = e == OK && rules != 0 ? count(m, rules, true) : e;
    if (e == OK) {
        *out = outcome == MASKER_SAME      ? MADE_SAME
               : outcome == MASKER_CHANGED ? MADE_STRING
                                           : MADE_NULL;
    }
    return e;
}

static bool has_word(struct bytes text, const char *word)
{
    size_t size = strlen(word);
    for (size_t i = 0; text.size >= size && i <= text.size - size; i++) {
        if (strncasecmp((const char *)text.data + i, word, size) == 0) {
            return true;
        }
    }
    return false;
}

/* Some secrets are known by the name before them, which is no part of the value here: the two are
 * seen together, as they would be in a text. What is found then is masked whole. */
static enum err look_behind_name(struct masker *m, struct bytes name, struct bytes text,
                                 enum masker_made *out)
{
    enum { SECRET_MAX = 1024 };
    struct detector_result found;
    if (name.size > SECRET_MAX || text.size > SECRET_MAX || !has_word(name, "secret")) {
        return OK;
    }
    buffer_clear(&m->text);
    enum err e = buffer_append(&m->text, name);
    e = e == OK ? buffer_append_string(&m->text, ": ") : e;
    e = e == OK ? buffer_append(&m->text, text) : e;
    e = e == OK ? detector_scan(m->stream, buffer_bytes(&m->text), false, &found) : e;
    for (size_t i = 0; e == OK && i < found.count; i++) {
        if (found.spans[i].end > name.size) {
            size_t rule = m->owners[found.spans[i].id];
            e = masker_count_one(m, (uint8_t)rule, MASKER_BODY_COLUMN, true);
            return e == OK ? make_string(m, rule, text, out) : e;
        }
    }
    return e;
}

enum err masker_look(struct masker *m, struct bytes name, struct bytes text, enum masker_made *out)
{
    enum masker_made made = MADE_SAME;
    enum err e = m->set == NULL ? OK : look(m, text, &made);
    if (e == OK && m->set != NULL && made == MADE_SAME) {
        e = look_behind_name(m, name, text, &made);
    }
    if (e == OK) {
        *out = made;
    }
    return e;
}

/* RFC 8259 section 6. With `out` large enough for what EXPONENT_MAX allows. */
static size_t put_plain(struct bytes text, size_t mantissa, long exponent, char *out)
{
    size_t n = 0, point = 0, whole = 0;
    bool has_point = false;
    char number[NUMBER_MAX];
    for (size_t i = 0; i < mantissa; i++) {
        char c = (char)text.data[i];
        has_point = has_point || c == '.';
        if (c >= '0' && c <= '9') {
            number[n++] = c;
            point += !has_point;
        }
    }
    long end = (long)point + exponent;
    for (long at = end < 0 ? end : 0; at < (long)n || at < end; at++) {
        if (at == end) {
            out[whole++] = '.';
        }
        out[whole++] = at >= 0 && at < (long)n ? number[at] : '0';
    }
    return whole;
}

enum err masker_look_number(struct masker *m, struct bytes name, struct bytes text,
                            enum masker_made *out)
{
    char plain[2 * NUMBER_MAX];
    enum masker_made made = MADE_SAME;
    size_t mantissa = 0;
    while (mantissa < text.size && (text.data[mantissa] | 0x20) != 'e') {
        mantissa++;
    }
    if (m->set != NULL && mantissa < text.size && text.size < NUMBER_MAX) {
        char digits[NUMBER_MAX];
        memcpy(digits, text.data + mantissa + 1, text.size - mantissa - 1);
        digits[text.size - mantissa - 1] = '\0';
        long exponent = strtol(digits, NULL, 10);
        if (exponent > -EXPONENT_MAX && exponent < EXPONENT_MAX) {
            size_t size = put_plain(text, mantissa, exponent, plain);
            enum err e = look(m, bytes_of(plain, size), &made);
            if (e != OK || made != MADE_SAME) {
                *out = made;
                return e;
            }
        }
    }
    return masker_look(m, name, text, out);
}
