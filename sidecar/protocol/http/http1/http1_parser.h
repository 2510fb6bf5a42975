/* llhttp, given what the filter has passed: whole heads, whole lines of a chunked body and pieces
 * of its data. Strict, with no lenient flag. One parser reads one message.
 *
 * What it finds is borrowed from its input. */
#ifndef CHAPERONE_SIDECAR_PROTOCOL_HTTP1_PARSER_H
#define CHAPERONE_SIDECAR_PROTOCOL_HTTP1_PARSER_H

#include <llhttp.h>

#include "sidecar/protocol/http/http_codec.h"

struct http1_parser {
    llhttp_t llhttp;
    bool skips_body; /* the message ends with its head, whatever that says */
};

struct http1_found {
    struct bytes method, target;
    unsigned status;
    bool is_1_0;
    struct http_field fields[HTTP_FIELDS_MAX]; /* names as they came */
    size_t count;
    bool is_chunked;         /* as the parser understood the framing */
    uint64_t content_length; /* likewise; 0 without one */
};

void http1_parser_init(struct http1_parser *p, bool is_request, bool skips_body);

/* HTTP_PROBLEM_NONE, or a problem and a sentence: unsupported is a method that it does not know. */
enum http_problem http1_parser_read_head(struct http1_parser *p, struct bytes head,
                                         struct http1_found *out, const char **out_why) MUST_USE;
/* The others give false: refused. */
/* A chunk's first line. The parser does not get its extensions: it takes two of them for an error,
 * and they go no further. */
bool http1_parser_read_chunk(struct http1_parser *p, struct bytes line, uint64_t *out_size,
                             const char **out_why) MUST_USE;
/* Of a chunk's data, or the CR LF behind it. */
bool http1_parser_read_data(struct http1_parser *p, struct bytes data,
                            const char **out_why) MUST_USE;
/* What follows the last chunk's line, whole: only fields and count are filled in. */
bool http1_parser_read_trailers(struct http1_parser *p, struct bytes lines, struct http1_found *out,
                                const char **out_why) MUST_USE;

#endif
