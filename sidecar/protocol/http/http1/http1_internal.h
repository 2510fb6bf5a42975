/* The two sides of HTTP/1.1 and what they share. Only the codec's own files include it.
 *
 * One exchange at a time. Each direction of it is in a state of its own; the exchange is over when
 * reading is READ_ENDED and writing is WRITE_ENDED, and then the next may begin:
 *
 *   reading:  READ_HEAD ─▶ READ_LENGTH | READ_CHUNK_LINE ⇄ .._DATA ─▶ .._DATA_END | READ_TRAILERS
 *                 └──────────────▶ READ_RAW ──────────────────────────────▶ READ_ENDED
 *   writing:  WRITE_NOTHING ─▶ WRITE_HEAD ─▶ WRITE_LENGTH | WRITE_CHUNKED | WRITE_RAW |
 *             WRITE_SKIPPED ─▶ WRITE_ENDED
 *
 * READ_OVER is the end of the connection: it is never left, and whatever comes is thrown away. */
#ifndef CHAPERONE_SIDECAR_PROTOCOL_HTTP1_INTERNAL_H
#define CHAPERONE_SIDECAR_PROTOCOL_HTTP1_INTERNAL_H

#include "sidecar/protocol/http/http1/http1_filter.h"
#include "sidecar/protocol/http/http1/http1_head.h"

enum http1_reading {
    READ_HEAD,
    READ_LENGTH,
    READ_CHUNK_LINE,
    READ_CHUNK_DATA,
    READ_CHUNK_DATA_END,
    READ_TRAILERS,
    READ_RAW,    /* all of it is body, to the connection's end */
    READ_ENDED,  /* the message is; the exchange may not be */
    READ_TUNNEL, /* after CONNECT: what comes is not ours */
    READ_OVER,
};

enum http1_writing {
    WRITE_NOTHING, /* a client without a request, a server without one to answer */
    WRITE_HEAD,    /* a server's response is awaited */
    WRITE_LENGTH,
    WRITE_CHUNKED,
    WRITE_RAW,
    WRITE_SKIPPED, /* a body that may not be there: to HEAD */
    WRITE_ENDED,
};

struct http1;

/* How a side differs. */
struct http1_side {
    enum http1_lines lines;
    /* A whole head, which the filter has passed. */
    void (*on_head)(struct http1 *c, struct bytes head);
    /* The filter refused. */
    void (*on_bad_head)(struct http1 *c, enum http_problem problem, const char *why);
    /* The message being read will never be whole. */
    void (*fail)(struct http1 *c, enum http_problem problem, const char *why);
    /* A message ended, or the other side's did: begins the next exchange where it may. */
    void (*settle)(struct http1 *c);
    /* What is behind a message has no right to be there: a server's are answers to one request at
     * a time, an agent may ask ahead. */
    bool ends_alone;
};

struct http1 {
    struct http_codec codec; /* first: it is what others hold */
    const struct http1_side *side;
    const struct http_codec_events *events;
    void *context;

    enum http1_reading reading;
    enum http1_writing writing;
    bool closes; /* no exchange after this one */

    uint32_t stream;    /* of the exchange, or of the last one; 0: none yet */
    int64_t to_read;    /* of a body with a length, or of a chunk */
    int64_t to_write;   /* of a body with a length */
    size_t outstanding; /* body bytes that were given and not consumed */
    size_t behind;      /* bytes of this feed that follow those being understood */

    struct http1_filter filter;
    struct http1_parser parser;
    struct buffer names; /* those of a head that were not lower case */
    struct buffer out;   /* the head being written; wiped after each */

    /* A server's. */
    enum http_version peer; /* of the request being answered */
    bool peer_keeps_alive;
    bool awaits_continue; /* the agent may leave the body out */
    struct http1_asked asked;
    unsigned informational; /* a client's: how many came for this request */
};

struct http_codec *http1_create(const struct http_codec_ops *ops, const struct http1_side *side,
                                const struct http_codec_events *events, void *context);

/* The operations that both have alike. */
void http1_destroy(struct http_codec *codec);
size_t http1_feed(struct http_codec *codec, struct bytes in);
void http1_consumed(struct http_codec *codec, uint32_t stream, size_t count);
void http1_send_data(struct http_codec *codec, uint32_t stream, struct bytes data);
void http1_send_end(struct http_codec *codec, uint32_t stream, const struct http_fields *trailers);
void http1_reset(struct http_codec *codec, uint32_t stream, enum http_problem problem);
size_t http1_waiting(const struct http_codec *codec, uint32_t stream);
void http1_go_away(struct http_codec *codec);
bool http1_is_blocked(const struct http_codec *codec);
bool http1_is_over(const struct http_codec *codec);
size_t http1_open_streams(const struct http_codec *codec);
void http1_allow_streams(struct http_codec *codec, uint32_t count);

static inline struct http1 *http1_of(struct http_codec *codec)
{
    return (struct http1 *)codec;
}

static inline const struct http1 *http1_of_const(const struct http_codec *codec)
{
    return (const struct http1 *)codec;
}

/* The peer's message is framed like this from here on; http1_end_head follows when it was told. */
void http1_begin_body(struct http1 *c, enum http1_framing framing, int64_t size);
/* Ends the message where nothing follows its head. */
void http1_end_head(struct http1 *c);
/* The peer's message is whole. */
void http1_end_message(struct http1 *c);
/* Nothing more is read or written. */
void http1_close(struct http1 *c);

/* Gives the head in `out` to the peer and wipes it. */
void http1_flush_head(struct http1 *c);
/* Gives memory back that is more than an idle connection may hold. */
void http1_trim(struct buffer *b);
/* An exchange is open. */
bool http1_has_exchange(const struct http1 *c);

#endif
