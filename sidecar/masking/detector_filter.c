#include "sidecar/masking/detector_filter.h"

enum {
    /* The least that each needs: an e-mail address its @, a JWT "eyJ", a PEM header its dashes, an
     * IBAN two letters before two digits; of the numbers, a NIE has seven digits, all others more;
     * all that is left (codice fiscale, keys) is made of an unbroken run of characters, of which
     * Slack's tokens have the fewest. */
    DIGITS_LEAST = 7,
    RUN_LEAST = 15,
    TEXT_LEAST = 6, /* a@b.co */
};

enum { OTHER = 0, LETTER = 1, DIGIT = 2, MARK = 3, SIGNAL = 4 };

/* MARK: what keys have beside letters and digits. SIGNAL: what alone is reason to look. */
static const uint8_t classes[256] = {
    ['0'] = DIGIT,  ['1'] = DIGIT,  ['2'] = DIGIT,  ['3'] = DIGIT,  ['4'] = DIGIT,  ['5'] = DIGIT,
    ['6'] = DIGIT,  ['7'] = DIGIT,  ['8'] = DIGIT,  ['9'] = DIGIT,  ['A'] = LETTER, ['B'] = LETTER,
    ['C'] = LETTER, ['D'] = LETTER, ['E'] = LETTER, ['F'] = LETTER, ['G'] = LETTER, ['H'] = LETTER,
    ['I'] = LETTER, ['J'] = LETTER, ['K'] = LETTER, ['L'] = LETTER, ['M'] = LETTER, ['N'] = LETTER,
    ['O'] = LETTER, ['P'] = LETTER, ['Q'] = LETTER, ['R'] = LETTER, ['S'] = LETTER, ['T'] = LETTER,
    ['U'] = LETTER, ['V'] = LETTER, ['W'] = LETTER, ['X'] = LETTER, ['Y'] = LETTER, ['Z'] = LETTER,
    ['a'] = LETTER, ['b'] = LETTER, ['c'] = LETTER, ['d'] = LETTER, ['e'] = LETTER, ['f'] = LETTER,
    ['g'] = LETTER, ['h'] = LETTER, ['i'] = LETTER, ['j'] = LETTER, ['k'] = LETTER, ['l'] = LETTER,
    ['m'] = LETTER, ['n'] = LETTER, ['o'] = LETTER, ['p'] = LETTER, ['q'] = LETTER, ['r'] = LETTER,
    ['s'] = LETTER, ['t'] = LETTER, ['u'] = LETTER, ['v'] = LETTER, ['w'] = LETTER, ['x'] = LETTER,
    ['y'] = LETTER, ['z'] = LETTER, ['-'] = MARK,   ['_'] = MARK,   ['+'] = MARK,   ['/'] = MARK,
    ['@'] = SIGNAL,
};

bool detector_filter(struct bytes text)
{
    static const unsigned iban = LETTER << 6 | LETTER << 4 | DIGIT << 2 | DIGIT;
    unsigned last = 0, digits = 0, run = 0;
    if (text.size < TEXT_LEAST) {
        return false;
    }
    for (size_t i = 0; i < text.size; i++) {
        uint8_t c = text.data[i];
        unsigned class = classes[c];
        if (class == SIGNAL) {
            return true;
        }
        last = (last << 2 | class) & 0xff;
        digits += class == DIGIT;
        run = class == OTHER ? 0 : run + 1;
        if (last == iban || digits == DIGITS_LEAST || run == RUN_LEAST) {
            return true;
        }
        if (c == 'J' && i >= 2 && text.data[i - 1] == 'y' && text.data[i - 2] == 'e') {
            return true;
        }
        if (c == '-' && i > 0 && text.data[i - 1] == '-') {
            return true;
        }
    }
    return false;
}
