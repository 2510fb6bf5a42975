#include "sidecar/sql/sql_skeleton.h"

#include <strings.h>

#include "sidecar/sql/sql.h"

enum class {
    UNUSUAL, /* control bytes, the backslash */
    SPACE,
    LETTER, /* begins a word; also every byte of a character beyond ASCII */
    DIGIT,
    PLAIN,   /* stands beside a constant without becoming a part of it */
    OPEN,    /* so does what can only stand before it */
    SIGN,    /* any other byte */
    QUOTE,   /* ' */
    IDQUOTE, /* " */
    DOLLAR,
};

/* scan.l: space, ident_start, self, op_chars. The vertical tab is no space there. */
static const uint8_t classes[256] = {
    [' '] = SPACE,          ['\t'] = SPACE, ['\n'] = SPACE,
    ['\f'] = SPACE,         ['\r'] = SPACE, ['A' ... 'Z'] = LETTER,
    ['a' ... 'z'] = LETTER, ['_'] = LETTER, [0x80 ... 0xff] = LETTER,
    ['0' ... '9'] = DIGIT,  [','] = PLAIN,  ['='] = PLAIN,
    ['<'] = PLAIN,          ['>'] = PLAIN,  ['+'] = PLAIN,
    ['-'] = PLAIN,          ['*'] = PLAIN,  ['/'] = PLAIN,
    ['%'] = PLAIN,          ['|'] = PLAIN,  [':'] = PLAIN,
    [';'] = PLAIN,          ['('] = OPEN,   ['['] = OPEN,
    [')'] = SIGN,           [']'] = SIGN,   ['.'] = SIGN,
    ['&'] = SIGN,           ['^'] = SIGN,   ['#'] = SIGN,
    ['~'] = SIGN,           ['!'] = SIGN,   ['@'] = SIGN,
    ['?'] = SIGN,           ['`'] = SIGN,   ['{'] = SIGN,
    ['}'] = SIGN,           ['\''] = QUOTE, ['"'] = IDQUOTE,
    ['$'] = DOLLAR,
};

struct maker {
    const uint8_t *at, *end;
    uint8_t *out;
    uint8_t before; /* the byte before `at`; a space for a comment or the begin */
    unsigned depth; /* what all tokens so far can add to depth_check's bound */
    size_t marks;
    bool has_named_constants;
    bool names_columns; /* after BY, up to another word: 1 is a column, no constant */
};

static bool may_begin(const struct maker *m)
{
    uint8_t class = classes[m->before];
    return class == SPACE || class == PLAIN || class == OPEN;
}

static bool may_end(const struct maker *m, const uint8_t *at)
{
    return at == m->end || classes[*at] == SPACE || classes[*at] == PLAIN || *at == ')' ||
           *at == ']';
}

static void keep_up_to(struct maker *m, const uint8_t *to)
{
    size_t size = (size_t)(to - m->at);
    memcpy(m->out, m->at, size);
    m->out += size;
    m->before = to[-1];
    m->at = to;
}

static void mark_up_to(struct maker *m, const uint8_t *to, enum skeleton_mark mark)
{
    *m->out++ = (uint8_t)mark;
    m->marks++;
    m->before = to[-1];
    m->at = to;
}

static bool is_same_word(const uint8_t *word, size_t size, const char *other)
{
    return strlen(other) == size && strncasecmp((const char *)word, other, size) == 0;
}

static bool is_named_constant(const uint8_t *word, size_t size)
{
    return is_same_word(word, size, "null") || is_same_word(word, size, "true") ||
           is_same_word(word, size, "false");
}

static bool take_word(struct maker *m)
{
    const uint8_t *to = m->at + 1;
    while (to < m->end &&
           (classes[*to] == LETTER || classes[*to] == DIGIT || classes[*to] == DOLLAR)) {
        to++;
    }
    size_t size = (size_t)(to - m->at);
    uint8_t first = *m->at | 0x20;
    /* SELECT makes its brackets three deep, CASE is a bracket of two. */
    m->depth += first == 's' ? 3 : first == 'c' ? 2 : 1;
    m->has_named_constants =
        m->has_named_constants || ((size == 4 || size == 5) && strchr("ntf", first) != NULL &&
                                   is_named_constant(m->at, size));
    m->names_columns = is_same_word(m->at, size, "by") ||
                       (m->names_columns &&
                        (is_same_word(m->at, size, "asc") || is_same_word(m->at, size, "desc")));
    keep_up_to(m, to);
    return true;
}

/* Beyond 2147483647 the scanner makes an FCONST of it. */
static bool is_integer(const uint8_t *digits, size_t size)
{
    return size < 10 || (size == 10 && memcmp(digits, "2147483647", 10) <= 0);
}

static bool take_digits(struct maker *m)
{
    const uint8_t *to = m->at;
    while (to < m->end && classes[*to] == DIGIT) {
        to++;
    }
    size_t size = (size_t)(to - m->at);
    enum skeleton_mark mark = is_integer(m->at, size) ? SKELETON_INTEGER : SKELETON_NUMBER;
    if (m->end - to >= 2 && to[0] == '.' && classes[to[1]] == DIGIT) {
        mark = SKELETON_NUMBER;
        to++;
        while (to < m->end && classes[*to] == DIGIT) {
            to++;
        }
    } else if (size > 10 && *m->at == '0') {
        mark = 0; /* leading zeros: it may be small */
    }
    if (mark != 0 && !m->names_columns && may_begin(m) && may_end(m, to)) {
        mark_up_to(m, to, mark);
    } else {
        keep_up_to(m, to);
    }
    return true;
}

static bool take_string(struct maker *m)
{
    if (!may_begin(m)) {
        return false; /* E'', B'', X'', N'', U&'' */
    }
    const uint8_t *to = m->at + 1;
    for (;; to++) {
        if (to == m->end || *to == '\\') {
            return false;
        }
        if (*to == '\'') {
            if (m->end - to >= 2 && to[1] == '\'') {
                to++;
                continue;
            }
            break;
        }
    }
    to++;
    if (!may_end(m, to)) {
        return false;
    }
    mark_up_to(m, to, SKELETON_STRING);
    return true;
}

static bool take_quoted_name(struct maker *m)
{
    if (m->before == '&') {
        return false;
    }
    const uint8_t *to = m->at + 1;
    while (to < m->end && *to != '"') {
        if (*to < ' ') {
            return false; /* it could be taken for a mark */
        }
        to++;
    }
    if (to == m->end) {
        return false;
    }
    /* A doubled quote goes on as if another name began: the bytes are the same. */
    m->depth++;
    keep_up_to(m, to + 1);
    return true;
}

static bool take_dollar(struct maker *m)
{
    const uint8_t *to = m->at + 1;
    while (to < m->end && classes[*to] == DIGIT) {
        to++;
    }
    /* $$, $a$ */
    if (!may_begin(m) || to == m->at + 1 || !may_end(m, to)) {
        return false;
    }
    keep_up_to(m, to);
    return true;
}

static bool is_pair(const struct maker *m, const uint8_t *at, char first, char second)
{
    return m->end - at >= 2 && at[0] == (uint8_t)first && at[1] == (uint8_t)second;
}

static bool take_comment(struct maker *m)
{
    const uint8_t *to = m->at + 2;
    bool is_line = m->at[0] == '-';
    for (unsigned open = 1; open > 0;) {
        if (to == m->end) {
            if (!is_line) {
                return false;
            }
            break;
        }
        if (is_line ? *to == '\n' || *to == '\r' : is_pair(m, to, '*', '/')) {
            open--;
            to += is_line ? 0 : 2;
        } else if (!is_line && is_pair(m, to, '/', '*')) {
            open++;
            to += 2;
        } else if (classes[*to] == UNUSUAL && *to != '\\') {
            return false;
        } else {
            to++;
        }
    }
    keep_up_to(m, to);
    m->before = ' ';
    return true;
}

static bool take_sign(struct maker *m)
{
    if (is_pair(m, m->at, '-', '-') || is_pair(m, m->at, '/', '*')) {
        return take_comment(m);
    }
    m->depth += *m->at != ',';
    m->names_columns = m->names_columns && *m->at == ',';
    keep_up_to(m, m->at + 1);
    return true;
}

static bool take(struct maker *m)
{
    switch ((enum class)classes[*m->at]) {
    case UNUSUAL: break;
    case SPACE: *m->out++ = m->before = *m->at++; return true;
    case LETTER: return take_word(m);
    case DIGIT: return take_digits(m);
    case PLAIN:
    case OPEN:
    case SIGN: return take_sign(m);
    case QUOTE: return take_string(m);
    case IDQUOTE: return take_quoted_name(m);
    case DOLLAR: return take_dollar(m);
    }
    return false;
}

bool skeleton_make(struct bytes text, uint8_t *out, struct skeleton *s)
{
    if (text.size == 0) {
        return false;
    }
    struct maker m = {.at = text.data, .end = text.data + text.size, .out = out, .before = ' '};
    m.depth = 3; /* the text's own frame */
    while (m.at < m.end) {
        if (!take(&m) || m.depth > SQL_DEPTH_MAX) {
            return false;
        }
    }
    *s = (struct skeleton){.out = out,
                           .size = (size_t)(m.out - out),
                           .marks = m.marks,
                           .has_named_constants = m.has_named_constants};
    return m.marks > 0;
}

/* --- the proof ------------------------------------------------------------------------- */

static bool is_mark(const struct skeleton *s, size_t at)
{
    return at < s->size && s->out[at] >= SKELETON_STRING && s->out[at] <= SKELETON_MARK_LAST;
}

/* What `$1` of the normal form may stand for; where it ends, 0 when it is something else. A minus
 * is a part of the constant, NULL and its kin are kept in the skeleton as they are. */
static size_t constant_end(const struct skeleton *s, size_t at)
{
    if (at < s->size && s->out[at] == '-') {
        at++;
        while (at < s->size && classes[s->out[at]] == SPACE) {
            at++;
        }
        return is_mark(s, at) ? at + 1 : 0;
    }
    if (is_mark(s, at)) {
        return at + 1;
    }
    size_t end = at;
    while (end < s->size && classes[s->out[end]] == LETTER) {
        end++;
    }
    return is_named_constant(s->out + at, end - at) ? end : 0;
}

bool skeleton_is_proved(const struct skeleton *s, const char *normal)
{
    size_t at = 0;
    while (at < s->size) {
        size_t end = normal[0] == '$' ? constant_end(s, at) : 0;
        if (end != 0) {
            normal++;
            if (classes[(uint8_t)*normal] != DIGIT) {
                return false;
            }
            while (classes[(uint8_t)*normal] == DIGIT) {
                normal++;
            }
            at = end;
        } else if (!is_mark(s, at) && s->out[at] == (uint8_t)*normal) {
            at++;
            normal++;
        } else {
            return false; /* also at the end of `normal`, for no byte of a skeleton is 0 */
        }
    }
    return *normal == '\0';
}
