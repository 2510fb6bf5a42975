/* Looks at the raw lines of HTTP/1.1 before a parser does (RFC 9112 sections 2 to 5 and 7.1).
 *
 * A message that two readers may cut into lines or fields in two ways is refused here: a bare CR or
 * LF, a folded line, a control, white space before a colon, a name that is no token. The filter
 * finds where a head ends and says whether it is sane; what it means is for the parser.
 *
 * Pure: no allocation, nothing is kept but counts. It may be given a head in any pieces, as long as
 * each starts where the first one did. */
#ifndef CHAPERONE_SIDECAR_PROTOCOL_HTTP1_FILTER_H
#define CHAPERONE_SIDECAR_PROTOCOL_HTTP1_FILTER_H

#include "sidecar/protocol/http/http_codec.h"

enum http1_lines { HTTP1_REQUEST_LINES, HTTP1_RESPONSE_LINES, HTTP1_TRAILER_LINES };

enum http1_filter_result { HTTP1_FILTER_MORE, HTTP1_FILTER_WHOLE, HTTP1_FILTER_REFUSED };

enum {
    /* A request line: a target, and a method, a scheme and an authority around it. */
    HTTP1_LINE_MAX = HTTP_TARGET_MAX + 512,
    HTTP1_CHUNK_DIGITS_MAX = 15,      /* of hexadecimal: below 2^60 */
    HTTP1_CHUNK_EXTENSIONS_MAX = 256, /* bytes; nobody has a use for them */
    HTTP1_CHUNK_LINE_MAX = HTTP1_CHUNK_DIGITS_MAX + HTTP1_CHUNK_EXTENSIONS_MAX + 2,
};

struct http1_filter {
    enum http1_lines lines;
    unsigned state;
    size_t scanned; /* bytes that are understood */
    size_t skipped; /* the empty line before a request (RFC 9112 section 2.2): 0 or 2 bytes */
    size_t fields;
    enum http_problem problem; /* once it refused */
    const char *why;
};

void http1_filter_init(struct http1_filter *f, enum http1_lines lines);
/* `in` is all there is of the head so far. WHOLE: `scanned` bytes of it, with the empty line at its
 * end. REFUSED: `problem` and `why` say it, and it stays refused. */
enum http1_filter_result http1_filter_scan(struct http1_filter *f, struct bytes in) MUST_USE;
/* Something of a head was seen. */
bool http1_filter_has_begun(const struct http1_filter *f);

/* A chunk's first line, as http1_filter_scan; *out_size has its CR LF in it. */
enum http1_filter_result http1_filter_chunk_line(struct bytes in, size_t *out_size,
                                                 const char **out_why) MUST_USE;

/* RFC 9110 section 5.6.2. */
bool http1_is_token_byte(uint8_t b);

#endif
