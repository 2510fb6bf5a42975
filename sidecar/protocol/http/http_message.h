/* Messages of HTTP without their version: what RFC 9110 calls semantics.
 *
 * Everything is borrowed; what a codec gives is valid during the call. */
#ifndef CHAPERONE_SIDECAR_PROTOCOL_HTTP_MESSAGE_H
#define CHAPERONE_SIDECAR_PROTOCOL_HTTP_MESSAGE_H

#include "base/bytes.h"

enum {
    /* Of one head, in both versions: names, values, and 32 bytes for each field (RFC 9113 section
     * 6.5.2). */
    HTTP_HEAD_MAX = 64 << 10,
    HTTP_FIELDS_MAX = 256,
    HTTP_TARGET_MAX = 16 << 10, /* path and query */
};

/* RFC 9110 section 5. A codec gives names in lower case, and no field that belongs to the
 * connection (Connection and what it names, Keep-Alive, Proxy-Connection, Transfer-Encoding, TE,
 * Upgrade, HTTP2-Settings) or is a pseudo-header. Host is in `authority`, not among the fields.
 * Values have no white space at their ends, and no NUL, CR or LF inside. */
struct http_field {
    struct bytes name, value;
};

struct http_fields {
    const struct http_field *items;
    size_t count;
};

enum http_version { HTTP_1_0, HTTP_1_1, HTTP_2 };

/* A body's size as its head declares it. */
enum { HTTP_SIZE_UNKNOWN = -1 };

struct http_request {
    enum http_version version;
    struct bytes method;    /* a token of RFC 9110; case counts */
    struct bytes scheme;    /* "http", "https"; empty: not said (origin-form) */
    struct bytes authority; /* of the target's absolute form or :authority, else of Host */
    struct bytes target;    /* origin-form: path and query; "*"; empty for CONNECT */
    struct http_fields fields;
    int64_t body_size;     /* 0: none; HTTP_SIZE_UNKNOWN: chunked, or HTTP/2 without a length */
    bool is_websocket;     /* asks for the upgrade of RFC 6455 section 4.1; HTTP/1.1 only */
    bool expects_continue; /* Expect: 100-continue; not among the fields then */
    bool is_absolute;      /* HTTP/1.1's absolute-form, as a proxy gets it */
};

struct http_response {
    enum http_version version;
    unsigned status; /* 200 to 599, or 101; 100 to 199 by on_informational */
    struct http_fields fields;
    int64_t body_size; /* declared, also where no body follows (HEAD, 304) */
    bool has_body;     /* false: the message ends with its head */
    bool is_websocket; /* 101: what follows are frames of RFC 6455, as body */
};

#endif
