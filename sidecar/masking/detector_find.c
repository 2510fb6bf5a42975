#include "sidecar/masking/detector_find.h"

#include "sidecar/masking/checks.h"
#include "sidecar/masking/detector.h"

static bool is_digit(int c)
{
    return c >= '0' && c <= '9';
}

static bool is_alnum(int c)
{
    return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_one_of(int c, const char *set)
{
    return c > 0 && strchr(set, c) != NULL;
}

static int byte_at(struct bytes text, size_t at)
{
    return at < text.size ? text.data[at] : -1;
}

static int byte_before(struct bytes text, size_t at)
{
    return at > 0 ? text.data[at - 1] : -1;
}

/* ---- e-mail ------------------------------------------------------------------------------------
 */

static bool is_local(int c)
{
    return is_alnum(c) || c >= 0x80 || is_one_of(c, ".!#$%&'*+/=?^_`{|}~-");
}

/* The match ends behind the first character after the @. */
static bool find_email(struct bytes text, size_t at, size_t match, size_t *out_start,
                       size_t *out_end)
{
    enum { LOCAL_MAX = 64, DOMAIN_MAX = 255 }; /* RFC 5321 section 4.5.3.1 */
    (void)match;
    size_t start = at - 2, end = at - 1, last_dot = 0;
    while (start > 0 && at - start < LOCAL_MAX && is_local(text.data[start - 1])) {
        start--;
    }
    for (; end < at + DOMAIN_MAX; end++) {
        int c = byte_at(text, end);
        bool goes_on = is_alnum(c) || c == '-' || c >= 0x80;
        if (!goes_on && (c != '.' || text.data[end - 1] == '.')) {
            break;
        }
    }
    while (end > at && (text.data[end - 1] == '.' || text.data[end - 1] == '-')) {
        end--; /* the sentence's */
    }
    for (size_t i = at; i < end; i++) {
        last_dot = text.data[i] == '.' ? i : last_dot;
    }
    *out_start = start;
    *out_end = end;
    return last_dot > 0 && end - last_dot > 2 && !is_digit(text.data[end - 1]);
}

/* ---- numbers ------------------------------------------------------------------------------------
 */

/* Digits before `at`, backwards, with single separators between; every start that is not within a
 * longer number is tried, the longest wins. */
static bool find_card(struct bytes text, size_t at, size_t match, size_t *out_start,
                      size_t *out_end)
{
    enum { MOST = 19 };
    (void)match;
    uint8_t digits[MOST];
    size_t count = 0, i = at;
    bool found = false;
    if (is_digit(byte_at(text, at))) {
        return false;
    }
    while (count < MOST && i > 0 && is_digit(text.data[i - 1])) {
        digits[MOST - 1 - count++] = text.data[--i];
        int before = byte_before(text, i);
        if (!is_digit(before) && check_card(bytes_of(digits + MOST - count, count))) {
            *out_start = i;
            found = true;
        }
        if (is_one_of(before, " -.") && i > 1 && is_digit(text.data[i - 2])) {
            i--;
        }
    }
    *out_end = at;
    return found;
}

/* What matched, without its separators, when it is not part of something longer. */
static bool take_compact(struct bytes text, size_t at, size_t match, uint8_t *out, size_t most,
                         size_t *out_size)
{
    size_t n = 0;
    if (at < match || is_alnum(byte_before(text, at - match)) || is_alnum(byte_at(text, at))) {
        return false;
    }
    for (size_t i = at - match; i < at && n < most; i++) {
        if (is_alnum(text.data[i])) {
            out[n++] = text.data[i];
        }
    }
    *out_size = n;
    return true;
}

typedef bool check_fn(struct bytes compact);

static bool find_checked(struct bytes text, size_t at, size_t match, check_fn *check,
                         size_t *out_start, size_t *out_end)
{
    uint8_t compact[32];
    size_t size = 0;
    if (!take_compact(text, at, match, compact, sizeof(compact), &size) ||
        !check(bytes_of(compact, size))) {
        return false;
    }
    *out_start = at - match;
    *out_end = at;
    return true;
}

#define FINDER(name)                                                                               \
    static bool find_##name(struct bytes text, size_t at, size_t match, size_t *out_start,         \
                            size_t *out_end)                                                       \
    {                                                                                              \
        return find_checked(text, at, match, check_##name, out_start, out_end);                    \
    }
FINDER(ssn)
FINDER(dni)
FINDER(codice_fiscale)
FINDER(steuer_id)
FINDER(ahv)

/* The match is the country and the check digits. */
static bool find_iban(struct bytes text, size_t at, size_t match, size_t *out_start,
                      size_t *out_end)
{
    uint8_t compact[40];
    size_t start = at - match, end = at, count = match;
    size_t length = check_iban_length(bytes_of(text.data + start, 2));
    if (is_alnum(byte_before(text, start)) || length == 0) {
        return false;
    }
    memcpy(compact, text.data + start, match);
    while (count < length) {
        if (is_one_of(byte_at(text, end), " -") && is_alnum(byte_at(text, end + 1))) {
            end++;
        }
        if (!is_alnum(byte_at(text, end))) {
            return false;
        }
        compact[count++] = text.data[end++];
    }
    *out_start = start;
    *out_end = end;
    return !is_alnum(byte_at(text, end)) && check_iban(bytes_of(compact, count));
}

/* E.164: the match is + and two digits; up to 15 in all, with what people put between. */
static bool find_phone(struct bytes text, size_t at, size_t match, size_t *out_start,
                       size_t *out_end)
{
    size_t count = 2, end = at, next = at;
    if (is_alnum(byte_before(text, at - match))) {
        return false;
    }
    for (;;) {
        size_t between = 0;
        while (between < 2 && is_one_of(byte_at(text, next), " ()./-")) {
            next++;
            between++;
        }
        if (!is_digit(byte_at(text, next))) {
            break;
        }
        count++;
        end = ++next;
    }
    *out_start = at - match;
    *out_end = end;
    return count >= 8 && count <= 15 && !is_alnum(byte_at(text, end));
}

/* ---- secrets ------------------------------------------------------------------------------------
 */

/* The match has a fixed beginning and as much as there must be; more of the same belongs to it. */
static bool find_key(struct bytes text, size_t at, size_t match, size_t *out_start, size_t *out_end)
{
    size_t end = at;
    while (end < at + FIND_AHEAD - 1 &&
           (is_alnum(byte_at(text, end)) || is_one_of(byte_at(text, end), "_-"))) {
        end++;
    }
    *out_start = at - match;
    *out_end = end;
    return true;
}

/* AWS: exactly so long, or it is something else. */
static bool find_exact_key(struct bytes text, size_t at, size_t match, size_t *out_start,
                           size_t *out_end)
{
    *out_start = at - match;
    *out_end = at;
    return !is_alnum(byte_before(text, at - match)) && !is_alnum(byte_at(text, at));
}

/* Ends with the 40 characters of a secret, after its name. */
static bool find_named_secret(struct bytes text, size_t at, size_t match, size_t *out_start,
                              size_t *out_end)
{
    (void)match;
    *out_start = at - 40;
    *out_end = at;
    return !is_alnum(byte_at(text, at)) && !is_one_of(byte_at(text, at), "+/=");
}

/* The match ends within the payload; the stream goes on to its end. */
static bool find_jwt(struct bytes text, size_t at, size_t match, size_t *out_start, size_t *out_end)
{
    (void)match;
    size_t start = at - 4; /* the dot is before it */
    size_t least = at > FIND_BACK - 1 ? at - (FIND_BACK - 1) : 0;
    while (start > least &&
           (is_alnum(text.data[start - 1]) || is_one_of(text.data[start - 1], "_-"))) {
        start--;
    }
    *out_start = start;
    *out_end = at;
    return true;
}

static bool find_pem(struct bytes text, size_t at, size_t match, size_t *out_start, size_t *out_end)
{
    static const char head[] = "-----BEGIN ";
    (void)match;
    for (size_t back = sizeof(head) - 1; back <= at && back < 100; back++) {
        if (memcmp(text.data + at - back, head, sizeof(head) - 1) == 0) {
            *out_start = at - back;
            *out_end = at;
            return true;
        }
    }
    return false;
}

const struct detector_pattern detector_patterns[] = {
    {DETECTOR_EMAIL, "[^\\s@<>()\\[\\],;:\"\\\\]@[A-Za-z0-9\\x80-\\xff]", 0, find_email},
    {DETECTOR_CARD, "[0-9](?:[ .\\-]?[0-9]){12}", 0, find_card},
    {DETECTOR_IBAN, "[A-Za-z]{2}[0-9]{2}", 4, find_iban},
    {DETECTOR_SSN, "[0-9]{3}[ \\-][0-9]{2}[ \\-][0-9]{4}", 11, find_ssn},
    {DETECTOR_DNI, "[0-9XYZxyz][0-9]{7}[A-Za-z]", 9, find_dni},
    {DETECTOR_DNI, "[0-9XYZxyz][0-9]{7}[ \\-][A-Za-z]", 10, find_dni},
    {DETECTOR_CODICE_FISCALE,
     "(?i)[A-Z]{6}[0-9LMNP-V]{2}[A-EHLMPRST][0-9LMNP-V]{2}[A-Z][0-9LMNP-V]{3}[A-Z]", 16,
     find_codice_fiscale},
    {DETECTOR_STEUER_ID, "[1-9][0-9]{10}", 11, find_steuer_id},
    {DETECTOR_STEUER_ID, "[1-9][0-9](?: [0-9]{3}){3}", 14, find_steuer_id},
    {DETECTOR_AHV, "756[0-9]{10}", 13, find_ahv},
    {DETECTOR_AHV, "756\\.[0-9]{4}\\.[0-9]{4}\\.[0-9]{2}", 16, find_ahv},
    {DETECTOR_PHONE, "\\+[1-9][0-9]", 3, find_phone},
    {DETECTOR_PRIVATE_KEY, "-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----", 0, find_pem},
    {DETECTOR_JWT, "eyJ[A-Za-z0-9_\\-]+\\.ey[A-Za-z0-9]", 0, find_jwt},
    {DETECTOR_API_KEY, "A(?:KIA|SIA)[A-Z0-9]{16}", 20, find_exact_key},
    {DETECTOR_API_KEY, "(?i)secret[_ \\-]?(?:access)?[_ \\-]?key[\"' \\t:=>]{1,8}[A-Za-z0-9/+]{40}",
     0, find_named_secret},
    {DETECTOR_API_KEY, "gh[pousr]_[A-Za-z0-9]{36}", 40, find_key},
    {DETECTOR_API_KEY, "github_pat_[A-Za-z0-9_]{50}", 61, find_key},
    {DETECTOR_API_KEY, "xox[abeoprs]-[A-Za-z0-9\\-]{10}", 15, find_key},
    {DETECTOR_API_KEY, "AIza[A-Za-z0-9_\\-]{35}", 39, find_key},
    {DETECTOR_API_KEY, "[sr]k_(?:live|test)_[A-Za-z0-9]{16}", 24, find_key},
    {DETECTOR_API_KEY, "npm_[A-Za-z0-9]{36}", 40, find_key},
    {DETECTOR_API_KEY, "glpat-[A-Za-z0-9_\\-]{20}", 26, find_key},
};

const size_t detector_pattern_count = sizeof(detector_patterns) / sizeof(detector_patterns[0]);
