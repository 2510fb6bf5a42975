/* One side of an HTTP connection: bytes to messages and messages to bytes, of one version.
 *
 * The agent's side is a server, the target's side a client. Both know streams: HTTP/2's own; HTTP/1
 * has one at a time and numbers them 1, 3, 5, ... Codecs are pure: no socket, no clock. What they
 * are given and cannot understand, or could be understood in two ways, fails the stream or the
 * connection; nothing is repaired (RFC 9112 section 11.2, RFC 9113 section 8.1.1).
 *
 * Flow: `feed` calls the events as bytes are understood. Every body byte that on_data gave is
 * outstanding until `consumed` is told of it; with more than HTTP_WINDOW outstanding a stream gives
 * no more (HTTP/2 keeps its window closed, HTTP/1 stops using bytes). `send_data` takes everything:
 * what the peer's window does not allow yet waits inside, `waiting` says how much, and on_drained
 * says when all of it has left.
 *
 * No event is called from inside a send function, except on_drained. A stream may be reset inside
 * an event; the codec is destroyed outside of its own calls only. */
#ifndef CHAPERONE_SIDECAR_PROTOCOL_HTTP_CODEC_H
#define CHAPERONE_SIDECAR_PROTOCOL_HTTP_CODEC_H

#include "sidecar/protocol/http/http_message.h"

enum {
    HTTP_WINDOW = 256 << 10,     /* bytes of a stream's body on their way */
    HTTP_STREAMS_MAX = 100,      /* that an agent may have open at a time */
    HTTP_FEED_BUFFER = 80 << 10, /* `feed` may leave this much unused and wait for more */
};

/* Why a stream or connection failed; names of RFC 9113 section 7 where there is one. */
enum http_problem {
    HTTP_PROBLEM_NONE,
    HTTP_PROBLEM_MALFORMED,       /* 400 */
    HTTP_PROBLEM_TOO_LARGE,       /* a head: 431 */
    HTTP_PROBLEM_TARGET_TOO_LONG, /* 414 */
    HTTP_PROBLEM_UNSUPPORTED,     /* a transfer coding, a version: 501, 505 */
    HTTP_PROBLEM_CANCELLED,       /* the peer reset the stream, or refused it */
    HTTP_PROBLEM_REFUSED,  /* of reset: nothing was done for it, it may be sent again elsewhere */
    HTTP_PROBLEM_PROTOCOL, /* the connection cannot go on */
    HTTP_PROBLEM_ENDED,    /* the connection ended within the message */
    HTTP_PROBLEM_NO_MEMORY,
};

struct http_codec;

struct http_codec_events {
    /* Bytes for the peer. Those of a body may point into what `feed` or `send_data` was given. */
    void (*write)(void *context, struct bytes b);

    /* A server's. A head may already have the end of its message: on_end follows then. */
    void (*on_request)(void *context, uint32_t stream, const struct http_request *request);
    /* A client's. */
    void (*on_informational)(void *context, uint32_t stream, const struct http_response *response);
    void (*on_response)(void *context, uint32_t stream, const struct http_response *response);

    /* Both. */
    void (*on_data)(void *context, uint32_t stream, struct bytes data);
    void (*on_trailers)(void *context, uint32_t stream, const struct http_fields *trailers);
    void (*on_end)(void *context, uint32_t stream); /* of the peer's message */
    /* Instead of on_end: the message will never be whole. `why` is a sentence. With stream 0 it is
     * the connection: nothing more will be understood. A server's stream may still be answered,
     * unless the peer has cancelled it or ended the connection; one that failed in its head was not
     * announced by on_request. */
    void (*on_failed)(void *context, uint32_t stream, enum http_problem problem, const char *why);
    /* All that send_data was given has left. */
    void (*on_drained)(void *context, uint32_t stream);
    /* A client's: the target will take no streams after this one (GOAWAY, Connection: close). A
     * server's: the agent will send no more. */
    void (*on_going_away)(void *context, uint32_t last_stream);
};

struct http_codec_ops {
    void (*destroy)(struct http_codec *c); /* wipes heads that it held */

    /* Understands what it can; returns how much it used. Uses nothing while `is_blocked`. */
    size_t (*feed)(struct http_codec *c, struct bytes in);
    /* HTTP/1: the next message may not be read yet, because this exchange is not over or its body
     * is not consumed. Call `feed` again after anything was sent or consumed. HTTP/2: never. */
    bool (*is_blocked)(const struct http_codec *c);
    /* The peer said its last byte: on_failed for what is not complete; a response without a length
     * is. */
    void (*feed_end)(struct http_codec *c);
    void (*consumed)(struct http_codec *c, uint32_t stream, size_t count);

    /* A client's: begins a stream; 0: not now (`can_request`), or no memory. `has_body` false: the
     * message ends with its head. The head's fields as http_field says; `body_size` decides about
     * Content-Length (it is not to be among the fields) or chunked. */
    uint32_t (*send_request)(struct http_codec *c, const struct http_request *request,
                             bool has_body);
    bool (*can_request)(const struct http_codec *c);
    /* A server's. 1xx likewise by send_informational. `has_body` as in http_response. To HEAD, and
     * with 204 and 304, body_size is declared and nothing follows. */
    void (*send_informational)(struct http_codec *c, uint32_t stream,
                               const struct http_response *response);
    void (*send_response)(struct http_codec *c, uint32_t stream,
                          const struct http_response *response);

    void (*send_data)(struct http_codec *c, uint32_t stream, struct bytes data);
    /* Ends the message; trailers NULL or empty: none. HTTP/1 drops them where the body has a
     * length. */
    void (*send_end)(struct http_codec *c, uint32_t stream, const struct http_fields *trailers);
    /* The message cannot go on: RST_STREAM, or HTTP/1's connection is over (is_over). */
    void (*reset)(struct http_codec *c, uint32_t stream, enum http_problem problem);
    size_t (*waiting)(const struct http_codec *c, uint32_t stream);

    /* No more streams: GOAWAY, or Connection: close with the next head. What is open goes on. */
    void (*go_away)(struct http_codec *c);
    /* Nothing is open and nothing more can come: close the connection when all is written. */
    bool (*is_over)(const struct http_codec *c);
    size_t (*open_streams)(const struct http_codec *c);
    /* HTTP/2 server: how many streams the agent may have open; HTTP_STREAMS_MAX if it is never
     * said. HTTP/1: nothing. */
    void (*allow_streams)(struct http_codec *c, uint32_t count);
};

struct http_codec {
    const struct http_codec_ops *ops;
};

/* Return owned; NULL when memory is short. The events are borrowed. Nothing is written before the
 * first feed or send, except HTTP/2's preface and SETTINGS.
 *
 * Of HTTP/1.1: the request for a WebSocket ends with its head (on_end); 101 opens both directions
 * again, as bodies, until send_end, which closes it, or the connection's end: on_end of a target's,
 * on_failed of an agent's, which should have said that it goes. After a
 * CONNECT that was accepted nothing is read: the server is blocked, and what it did not use is the
 * tunnel's. A stream that failed or was reset takes its connection with it (is_over), after the
 * answer to it where there is one; an agent that waits for 100 and gets a final status instead
 * loses its connection, too. feed_end is for when all that came was offered, and used where it
 * could be. */
struct http_codec *http1_server_create(const struct http_codec_events *events, void *context);
struct http_codec *http1_client_create(const struct http_codec_events *events, void *context);
struct http_codec *http2_server_create(const struct http_codec_events *events, void *context);
struct http_codec *http2_client_create(const struct http_codec_events *events, void *context);

#endif
