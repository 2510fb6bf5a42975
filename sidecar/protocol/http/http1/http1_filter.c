#include "sidecar/protocol/http/http1/http1_filter.h"

#include "sidecar/protocol/http/http_rules.h"

enum state {
    AT_START,
    IN_EMPTY_LINE, /* after its CR */
    AT_START_LINE, /* no empty line any more */
    IN_START_LINE,
    IN_START_LINE_END, /* after its CR */
    AT_FIELD,
    IN_NAME,
    IN_VALUE,
    IN_FIELD_END, /* after its CR */
    IN_END,       /* after the CR of the empty line */
    AT_END,
    REFUSED,
};

/* What a byte may be in a head. */
enum {
    TOKEN = 1, /* RFC 9110 section 5.6.2 */
    TEXT = 2,  /* of a value: visible, obs-text (section 5.5), space and tab */
};

static const uint8_t kinds[256] = {
    ['\t'] = TEXT,
    [' '] = TEXT,
    ['!'] = TOKEN | TEXT,
    ['"'] = TEXT,
    ['#' ... '\''] = TOKEN | TEXT,
    ['('] = TEXT,
    [')'] = TEXT,
    ['*' ... '+'] = TOKEN | TEXT,
    [','] = TEXT,
    ['-' ... '.'] = TOKEN | TEXT,
    ['/'] = TEXT,
    ['0' ... '9'] = TOKEN | TEXT,
    [':' ... '@'] = TEXT,
    ['A' ... 'Z'] = TOKEN | TEXT,
    ['[' ... ']'] = TEXT,
    ['^' ... 'z'] = TOKEN | TEXT,
    ['{'] = TEXT,
    ['|'] = TOKEN | TEXT,
    ['}'] = TEXT,
    ['~'] = TOKEN | TEXT,
    [0x80 ... 0xff] = TEXT,
};

bool http1_is_token_byte(uint8_t b)
{
    return (kinds[b] & TOKEN) != 0;
}

void http1_filter_init(struct http1_filter *f, enum http1_lines lines)
{
    *f = (struct http1_filter){.lines = lines,
                               .state = lines == HTTP1_TRAILER_LINES ? AT_FIELD : AT_START};
}

bool http1_filter_has_begun(const struct http1_filter *f)
{
    return f->scanned > 0;
}

static enum http1_filter_result refuse(struct http1_filter *f, enum http_problem problem,
                                       const char *why)
{
    f->state = REFUSED;
    f->problem = problem;
    f->why = why;
    return HTTP1_FILTER_REFUSED;
}

static enum http1_filter_result malformed(struct http1_filter *f, const char *why)
{
    return refuse(f, HTTP_PROBLEM_MALFORMED, why);
}

static bool is_digit(uint8_t b)
{
    return b >= '0' && b <= '9';
}

/* Exactly "HTTP/1.0" or "HTTP/1.1" (RFC 9112 section 2.3). */
static enum http1_filter_result check_version(struct http1_filter *f, struct bytes version)
{
    if (version.size != 8 || memcmp(version.data, "HTTP/", 5) != 0 || !is_digit(version.data[5]) ||
        version.data[6] != '.' || !is_digit(version.data[7])) {
        return malformed(f, "the start line has no version of HTTP in its place");
    }
    if (version.data[5] != '1' || version.data[7] > '1') {
        return refuse(f, HTTP_PROBLEM_UNSUPPORTED, "the version is neither HTTP/1.0 nor HTTP/1.1");
    }
    return HTTP1_FILTER_MORE;
}

/* method SP target SP version: two spaces and no more, or a part could be read as another. */
static enum http1_filter_result check_request_line(struct http1_filter *f, struct bytes line)
{
    const uint8_t *first = memchr(line.data, ' ', line.size);
    const uint8_t *last = memrchr(line.data, ' ', line.size);
    if (first == NULL || first == last) {
        return malformed(f, "the request line has no version");
    }
    if (!http_rules_is_token(bytes_of(line.data, (size_t)(first - line.data)))) {
        return malformed(f, "the method is not a token");
    }
    size_t target = (size_t)(last - first) - 1;
    if (target == 0 || memchr(first + 1, ' ', target) != NULL) {
        return malformed(f, "the request line has a space too many");
    }
    return check_version(f, bytes_of(last + 1, (size_t)(line.data + line.size - last) - 1));
}

/* version SP 3DIGIT [SP reason]; the last space is left out by many. */
static enum http1_filter_result check_status_line(struct http1_filter *f, struct bytes line)
{
    if (line.size < 12 || line.data[8] != ' ' || !is_digit(line.data[9]) ||
        !is_digit(line.data[10]) || !is_digit(line.data[11]) ||
        (line.size > 12 && line.data[12] != ' ')) {
        return malformed(f, "the status line has no status in its place");
    }
    return check_version(f, bytes_of(line.data, 8));
}

static enum http1_filter_result check_start_line(struct http1_filter *f, struct bytes line)
{
    if (memchr(line.data, '\t', line.size) != NULL) {
        return malformed(f, "the start line has a tab");
    }
    return f->lines == HTTP1_REQUEST_LINES ? check_request_line(f, line)
                                           : check_status_line(f, line);
}

static const char *why_no_text(uint8_t b)
{
    switch (b) {
    case '\n': return "a line ends in a bare LF";
    case '\0': return "the head has a NUL";
    default: return "the head has a control character";
    }
}

static enum http1_filter_result scan_start(struct http1_filter *f, uint8_t b)
{
    if (b == '\r' && f->state == AT_START && f->lines == HTTP1_REQUEST_LINES) {
        f->state = IN_EMPTY_LINE;
        return HTTP1_FILTER_MORE;
    }
    if (!http1_is_token_byte(b)) {
        return malformed(f, b == '\r' ? "there is an empty line before the start line"
                                      : "the start line starts with something else");
    }
    f->state = IN_START_LINE;
    return HTTP1_FILTER_MORE;
}

static enum http1_filter_result scan_field_start(struct http1_filter *f, uint8_t b)
{
    if (b == '\r') {
        f->state = IN_END;
        return HTTP1_FILTER_MORE;
    }
    if (b == ' ' || b == '\t') {
        return malformed(f, "a field's line is folded"); /* RFC 9112 section 5.2 */
    }
    if (b == ':') {
        return malformed(f, "a field has no name");
    }
    if (!http1_is_token_byte(b)) {
        return malformed(f, b == '\n' ? why_no_text(b) : "a field's name is not a token");
    }
    if (++f->fields > HTTP_FIELDS_MAX) {
        return refuse(f, HTTP_PROBLEM_TOO_LARGE, "the head has too many fields");
    }
    f->state = IN_NAME;
    return HTTP1_FILTER_MORE;
}

static enum http1_filter_result scan_name(struct http1_filter *f, uint8_t b)
{
    if (b == ':') {
        f->state = IN_VALUE;
        return HTTP1_FILTER_MORE;
    }
    if (http1_is_token_byte(b)) {
        return HTTP1_FILTER_MORE;
    }
    switch (b) {
    case ' ':
    case '\t': return malformed(f, "there is white space before a colon"); /* section 5.1 */
    case '\r':
    case '\n': return malformed(f, "a field has no colon");
    default: return malformed(f, "a field's name is not a token");
    }
}

static enum http1_filter_result scan_text(struct http1_filter *f, uint8_t b, enum state line_end)
{
    if (b == '\r') {
        f->state = line_end;
        return HTTP1_FILTER_MORE;
    }
    return (kinds[b] & TEXT) != 0 ? HTTP1_FILTER_MORE : malformed(f, why_no_text(b));
}

/* A CR was read: an LF must follow it (section 2.2). */
static enum http1_filter_result scan_line_end(struct http1_filter *f, uint8_t b, struct bytes in)
{
    if (b != '\n') {
        return malformed(f, "there is a bare CR");
    }
    switch ((enum state)f->state) {
    case IN_EMPTY_LINE:
        f->skipped = f->scanned + 1;
        f->state = AT_START_LINE;
        return HTTP1_FILTER_MORE;
    case IN_START_LINE_END:
        f->state = AT_FIELD;
        return check_start_line(f, bytes_of(in.data + f->skipped, f->scanned - 1 - f->skipped));
    case IN_END: f->state = AT_END; return HTTP1_FILTER_WHOLE;
    default: f->state = AT_FIELD; return HTTP1_FILTER_MORE;
    }
}

static enum http1_filter_result scan_byte(struct http1_filter *f, uint8_t b, struct bytes in)
{
    switch ((enum state)f->state) {
    case AT_START:
    case AT_START_LINE: return scan_start(f, b);
    case IN_START_LINE:
        if (f->scanned - f->skipped > HTTP1_LINE_MAX) {
            return refuse(f, HTTP_PROBLEM_TARGET_TOO_LONG, "the start line is too long");
        }
        return scan_text(f, b, IN_START_LINE_END);
    case AT_FIELD: return scan_field_start(f, b);
    case IN_NAME: return scan_name(f, b);
    case IN_VALUE: return scan_text(f, b, IN_FIELD_END);
    case IN_EMPTY_LINE:
    case IN_START_LINE_END:
    case IN_FIELD_END:
    case IN_END: return scan_line_end(f, b, in);
    case AT_END: return HTTP1_FILTER_WHOLE;
    case REFUSED: break;
    }
    return HTTP1_FILTER_REFUSED;
}

/* What is most of a head changes nothing: it is passed over without a look at the state. */
static void skip_plain(struct http1_filter *f, struct bytes in)
{
    uint8_t kind = f->state == IN_NAME                                 ? TOKEN
                   : f->state == IN_VALUE || f->state == IN_START_LINE ? TEXT
                                                                       : 0;
    size_t at = f->scanned, line_end = f->skipped + HTTP1_LINE_MAX;
    size_t end = f->state == IN_START_LINE && line_end < in.size ? line_end : in.size;
    if (kind == TEXT) {
        at = http_rules_skip_text(bytes_of(in.data, end), at);
    }
    while (at < end && (kinds[in.data[at]] & kind) != 0) {
        at++;
    }
    f->scanned = at;
}

enum http1_filter_result http1_filter_scan(struct http1_filter *f, struct bytes in)
{
    if (f->state == AT_END || f->state == REFUSED) {
        return f->state == AT_END ? HTTP1_FILTER_WHOLE : HTTP1_FILTER_REFUSED;
    }
    enum http1_filter_result r = HTTP1_FILTER_MORE;
    size_t end = f->skipped + HTTP_HEAD_MAX;
    while (r == HTTP1_FILTER_MORE && f->scanned < in.size) {
        skip_plain(f, bytes_of(in.data, in.size < end ? in.size : end));
        if (f->scanned == in.size) {
            break;
        }
        if (f->scanned - f->skipped >= HTTP_HEAD_MAX) {
            return refuse(f, HTTP_PROBLEM_TOO_LARGE, "the head is too large");
        }
        r = scan_byte(f, in.data[f->scanned], in);
        f->scanned++;
    }
    return r;
}

static bool is_hex(uint8_t b)
{
    return is_digit(b) || (b >= 'a' && b <= 'f') || (b >= 'A' && b <= 'F');
}

static size_t skip_token(struct bytes line, size_t at)
{
    while (at < line.size && http1_is_token_byte(line.data[at])) {
        at++;
    }
    return at;
}

/* *( ";" token [ "=" token ] ): without the white space that RFC 9112 section 7.1.1 has for old
 * senders, and without quoted strings, where readers do not agree on what ends them. */
static bool are_sane_extensions(struct bytes line, size_t at)
{
    while (at < line.size) {
        size_t name = at + 1;
        size_t end = line.data[at] == ';' ? skip_token(line, name) : name;
        if (end == name) {
            return false;
        }
        if (end < line.size && line.data[end] == '=') {
            size_t value = end + 1;
            end = skip_token(line, value);
            if (end == value) {
                return false;
            }
        }
        at = end;
    }
    return true;
}

static enum http1_filter_result refuse_chunk(const char **out_why, const char *why)
{
    *out_why = why;
    return HTTP1_FILTER_REFUSED;
}

enum http1_filter_result http1_filter_chunk_line(struct bytes in, size_t *out_size,
                                                 const char **out_why)
{
    size_t digits = 0;
    while (digits < in.size && is_hex(in.data[digits])) {
        if (++digits > HTTP1_CHUNK_DIGITS_MAX) {
            return refuse_chunk(out_why, "a chunk's size has too many digits");
        }
    }
    if (digits == in.size) {
        return HTTP1_FILTER_MORE;
    }
    if (digits == 0 || (in.data[digits] != '\r' && in.data[digits] != ';')) {
        return refuse_chunk(out_why, in.data[digits] == '\n' ? "a chunk's line ends in a bare LF"
                                                             : "a chunk's size is not a number");
    }
    size_t look = in.size < HTTP1_CHUNK_LINE_MAX ? in.size : HTTP1_CHUNK_LINE_MAX;
    const uint8_t *cr = memchr(in.data + digits, '\r', look - digits);
    size_t line = cr == NULL ? look : (size_t)(cr - in.data);
    if (line - digits > HTTP1_CHUNK_EXTENSIONS_MAX) {
        return refuse_chunk(out_why, "a chunk's extensions are too long");
    }
    for (size_t i = digits; i < line; i++) {
        if ((kinds[in.data[i]] & TEXT) == 0 || in.data[i] >= 0x80) {
            return refuse_chunk(out_why, "a chunk's line has a bare LF, or no text");
        }
    }
    if (cr == NULL || line + 1 == in.size) {
        return HTTP1_FILTER_MORE;
    }
    if (in.data[line + 1] != '\n') {
        return refuse_chunk(out_why, "there is a bare CR in a chunk's line");
    }
    if (!are_sane_extensions(bytes_of(in.data, line), digits)) {
        return refuse_chunk(out_why, "a chunk's extensions are not understood");
    }
    *out_size = line + 2;
    return HTTP1_FILTER_WHOLE;
}
