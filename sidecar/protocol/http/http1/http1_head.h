/* What a head means, once it is parsed: how its message is framed, what belongs to the connection,
 * and what is left for the other side (RFC 9112 sections 3, 6 and 9, RFC 9110 section 7.6). */
#ifndef CHAPERONE_SIDECAR_PROTOCOL_HTTP1_HEAD_H
#define CHAPERONE_SIDECAR_PROTOCOL_HTTP1_HEAD_H

#include "sidecar/protocol/http/http1/http1_parser.h"
#include "sidecar/protocol/http/http_codec.h"

enum http1_framing {
    HTTP1_NOTHING, /* the message ends with its head */
    HTTP1_LENGTH,  /* more than 0 bytes */
    HTTP1_CHUNKED,
    HTTP1_UNTIL_END, /* of the connection; a response only */
    HTTP1_TUNNEL,    /* after a CONNECT that was accepted: no HTTP any more */
};

struct http1_head {
    enum http1_framing framing;
    bool closes; /* no other message follows on this connection */
    union {
        struct http_request request;
        struct http_response response;
    };
};

/* What a client asked for, as its response's meaning depends on it. */
struct http1_asked {
    bool is_head, is_connect, is_websocket;
};

/* Borrows `found`, whose fields it changes, and `names`, which holds those that had to be made
 * lower case: both as long as `out` is used. HTTP_PROBLEM_NONE, or a problem and a sentence. */
enum http_problem http1_head_of_request(struct http1_found *found, struct buffer *names,
                                        struct http1_head *out, const char **out_why) MUST_USE;
enum http_problem http1_head_of_response(struct http1_found *found, struct http1_asked asked,
                                         struct buffer *names, struct http1_head *out,
                                         const char **out_why) MUST_USE;
/* Trailers (RFC 9110 section 6.5.1): without framing, routing, credentials and what says how the
 * body is to be read. */
enum http_problem http1_head_of_trailers(struct http1_found *found, struct buffer *names,
                                         struct http_fields *out, const char **out_why) MUST_USE;

#endif
