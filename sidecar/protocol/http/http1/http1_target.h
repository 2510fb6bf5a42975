/* The target of a request in its four forms, and the authority (RFC 9112 section 3, RFC 3986). */
#ifndef CHAPERONE_SIDECAR_PROTOCOL_HTTP1_TARGET_H
#define CHAPERONE_SIDECAR_PROTOCOL_HTTP1_TARGET_H

#include "sidecar/protocol/http/http_codec.h"

struct http1_target {
    struct bytes scheme;    /* "http" or "https"; empty: not said */
    struct bytes authority; /* empty: not said */
    struct bytes path;      /* with its query; "*"; empty for CONNECT */
    bool is_absolute;
};

/* Borrows `text`. HTTP_PROBLEM_NONE, or a problem and a sentence. */
enum http_problem http1_target_parse(struct bytes method, struct bytes text,
                                     struct http1_target *out, const char **out_why) MUST_USE;

/* Whether they name the same host and port; a port that is left out is `default_port`. */
bool http1_authorities_agree(struct bytes a, struct bytes b, const char *default_port);

/* Letters of ASCII only. */
bool http1_equal_ignoring_case(struct bytes a, struct bytes b);

#endif
