#include "sidecar/masking/checks.h"

static int digit(struct bytes b, size_t i)
{
    return b.data[i] - '0';
}

static bool are_digits(struct bytes b)
{
    for (size_t i = 0; i < b.size; i++) {
        if (b.data[i] < '0' || b.data[i] > '9') {
            return false;
        }
    }
    return b.size > 0;
}

static uint8_t upper(uint8_t c)
{
    return c >= 'a' && c <= 'z' ? (uint8_t)(c - 'a' + 'A') : c;
}

static int number(struct bytes digits, size_t start, size_t count)
{
    int n = 0;
    for (size_t i = start; i < start + count; i++) {
        n = n * 10 + digit(digits, i);
    }
    return n;
}

bool check_luhn(struct bytes digits)
{
    int sum = 0;
    if (!are_digits(digits)) {
        return false;
    }
    for (size_t i = 0; i < digits.size; i++) {
        int d = digit(digits, digits.size - 1 - i) * (i % 2 == 1 ? 2 : 1);
        sum += d > 9 ? d - 9 : d;
    }
    return sum % 10 == 0;
}

bool check_card(struct bytes digits)
{
    if (digits.size < 13 || digits.size > 19 || !are_digits(digits)) {
        return false;
    }
    int first = digit(digits, 0), four = number(digits, 0, 4);
    return ((first >= 3 && first <= 6) || (four >= 2200 && four <= 2720)) && check_luhn(digits);
}

/* The IBAN registry's lengths. */
static const struct {
    char country[3];
    uint8_t length;
} ibans[] = {
    {"AD", 24}, {"AE", 23}, {"AL", 28}, {"AT", 20}, {"AZ", 28}, {"BA", 20}, {"BE", 16}, {"BG", 22},
    {"BH", 22}, {"BI", 27}, {"BR", 29}, {"BY", 28}, {"CH", 21}, {"CR", 22}, {"CY", 28}, {"CZ", 24},
    {"DE", 22}, {"DJ", 27}, {"DK", 18}, {"DO", 28}, {"EE", 20}, {"EG", 29}, {"ES", 24}, {"FI", 18},
    {"FK", 18}, {"FO", 18}, {"FR", 27}, {"GB", 22}, {"GE", 22}, {"GI", 23}, {"GL", 18}, {"GR", 27},
    {"GT", 28}, {"HR", 21}, {"HU", 28}, {"IE", 22}, {"IL", 23}, {"IQ", 23}, {"IS", 26}, {"IT", 27},
    {"JO", 30}, {"KW", 30}, {"KZ", 20}, {"LB", 28}, {"LC", 32}, {"LI", 21}, {"LT", 20}, {"LU", 20},
    {"LV", 21}, {"LY", 25}, {"MC", 27}, {"MD", 24}, {"ME", 22}, {"MK", 19}, {"MN", 20}, {"MR", 27},
    {"MT", 31}, {"MU", 30}, {"NI", 28}, {"NL", 18}, {"NO", 15}, {"OM", 23}, {"PK", 24}, {"PL", 28},
    {"PS", 29}, {"PT", 25}, {"QA", 29}, {"RO", 24}, {"RS", 22}, {"RU", 33}, {"SA", 24}, {"SC", 31},
    {"SD", 18}, {"SE", 24}, {"SI", 19}, {"SK", 24}, {"SM", 27}, {"SO", 23}, {"ST", 25}, {"SV", 28},
    {"TL", 23}, {"TN", 24}, {"TR", 26}, {"UA", 29}, {"VA", 22}, {"VG", 24}, {"XK", 20}, {"YE", 30},
};

size_t check_iban_length(struct bytes country)
{
    for (size_t i = 0; country.size >= 2 && i < sizeof(ibans) / sizeof(ibans[0]); i++) {
        if (upper(country.data[0]) == ibans[i].country[0] &&
            upper(country.data[1]) == ibans[i].country[1]) {
            return ibans[i].length;
        }
    }
    return 0;
}

bool check_iban(struct bytes compact)
{
    if (compact.size < 5 || compact.size != check_iban_length(compact)) {
        return false;
    }
    int rest = 0;
    for (size_t i = 0; i < compact.size; i++) { /* with the first four characters at the end */
        uint8_t c = upper(compact.data[(i + 4) % compact.size]);
        if (c >= '0' && c <= '9') {
            rest = (rest * 10 + c - '0') % 97;
        } else if (c >= 'A' && c <= 'Z') {
            rest = (rest * 100 + c - 'A' + 10) % 97;
        } else {
            return false;
        }
    }
    return rest == 1;
}

bool check_ssn(struct bytes digits)
{
    if (digits.size != 9 || !are_digits(digits)) {
        return false;
    }
    int area = number(digits, 0, 3);
    return area != 0 && area != 666 && area < 900 && number(digits, 3, 2) != 0 &&
           number(digits, 5, 4) != 0;
}

bool check_dni(struct bytes compact)
{
    static const char letters[] = "TRWAGMYFPDXBNJZSQVHLCKE";
    if (compact.size != 9 || !are_digits(bytes_of(compact.data + 1, 7))) {
        return false;
    }
    uint8_t first = upper(compact.data[0]);
    bool is_foreigner = first >= 'X' && first <= 'Z';
    int head = is_foreigner ? first - 'X' : first - '0';
    if (head < 0 || head > 9) {
        return false;
    }
    return letters[(head * 10000000 + number(compact, 1, 7)) % 23] == upper(compact.data[8]);
}

bool check_codice_fiscale(struct bytes code)
{
    /* The values of 0 to 9 and A to J, and then on, at odd places (counted from one). */
    static const uint8_t odd[] = {1,  0,  5, 7, 9, 13, 15, 17, 19, 21, 2,  4,  18,
                                  20, 11, 3, 6, 8, 12, 14, 16, 10, 22, 25, 24, 23};
    int sum = 0;
    if (code.size != 16) {
        return false;
    }
    for (size_t i = 0; i < 15; i++) {
        uint8_t c = upper(code.data[i]);
        int at = c >= '0' && c <= '9' ? c - '0' : c >= 'A' && c <= 'Z' ? c - 'A' : -1;
        if (at < 0) {
            return false;
        }
        sum += i % 2 == 0 ? odd[at] : at;
    }
    return upper(code.data[15]) == 'A' + sum % 26;
}

bool check_steuer_id(struct bytes digits)
{
    int counts[10] = {0}, repeated = 0, product = 10;
    if (digits.size != 11 || !are_digits(digits) || digit(digits, 0) == 0) {
        return false;
    }
    for (size_t i = 0; i < 10; i++) {
        int d = digit(digits, i), sum = (d + product) % 10;
        counts[d]++;
        product = 2 * (sum == 0 ? 10 : sum) % 11;
    }
    /* Of the first ten, one digit is there twice or thrice, the others once at most. */
    for (size_t d = 0; d < 10; d++) {
        repeated += counts[d] > 3 ? 10 : counts[d] > 1;
    }
    return repeated == 1 && (11 - product) % 10 == digit(digits, 10);
}

bool check_ahv(struct bytes digits)
{
    int sum = 0;
    if (digits.size != 13 || !are_digits(digits) || number(digits, 0, 3) != 756) {
        return false;
    }
    for (size_t i = 0; i < 12; i++) {
        sum += digit(digits, i) * (i % 2 == 0 ? 1 : 3);
    }
    return (10 - sum % 10) % 10 == digit(digits, 12);
}
