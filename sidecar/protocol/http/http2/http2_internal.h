/* The parts of the HTTP/2 codec among themselves.
 *
 * nghttp2 may not be asked to send from within its callbacks, and no event may come from within a
 * send function, except on_drained. So all work is between http2_enter and http2_leave; the
 * outermost leave writes what there is to write, and then tells what came of that. */
#ifndef CHAPERONE_SIDECAR_PROTOCOL_HTTP_HTTP2_INTERNAL_H
#define CHAPERONE_SIDECAR_PROTOCOL_HTTP_HTTP2_INTERNAL_H

#include <nghttp2/nghttp2.h>

#include "sidecar/protocol/http/http2/http2_fields.h"
#include "sidecar/protocol/http/http2/http2_guard.h"
#include "sidecar/protocol/http/http2/http2_head.h"
#include "sidecar/protocol/http/http2/http2_memory.h"
#include "sidecar/protocol/http/http_codec.h"

enum {
    /* All streams together may have so many bytes on their way: enough that some that nobody takes
     * from do not hold up the others, and a bound for what one session holds. */
    HTTP2_CONNECTION_WINDOW = 16 * HTTP_WINDOW,
    /* A head of HTTP_HEAD_MAX fits into five frames of 16 KiB (CVE-2024-28182). nghttp2 counts a
     * frame again each time its header is cut by the end of what was fed: up to nine times. */
    HTTP2_CONTINUATIONS_MAX = 80,
    /* Entries of one SETTINGS frame; there are nine that are defined. */
    HTTP2_SETTINGS_MAX = 32,
    /* Answers to PING and SETTINGS that nghttp2 keeps within one feed (CVE-2019-9512, 9515). */
    HTTP2_ACKS_MAX = 1000,
    /* For nghttp2's estimate, which is beyond what it is of; the head itself was looked at. */
    HTTP2_HEAD_BLOCK_MAX = 4 * HTTP_HEAD_MAX,
    /* Of one stream, waiting for the peer's window. What lets bytes in is the other side's
     * HTTP_WINDOW; a body that is decoded and masked on its way may become larger. */
    HTTP2_QUEUE_MAX = 64 << 20,
    /* Small frames are written together; a DATA frame from this size on is not copied. */
    HTTP2_COPY_MAX = 4 << 10,
    HTTP2_BATCH_MAX = 64 << 10,
};

enum http2_receiving {
    HTTP2_AWAITS_HEAD,
    HTTP2_AWAITS_BODY,
    HTTP2_RECEIVED,
    HTTP2_RECEIVE_FAILED, /* and told so; what still comes is dropped */
};

enum http2_sending {
    HTTP2_SENDS_NOTHING, /* no head yet: a server's */
    HTTP2_SENDS_BODY,
    HTTP2_SENDS_END, /* send_end was called, and something may wait */
    HTTP2_SENT,
};

struct http2_stream {
    struct http2_stream *previous, *next;
    uint32_t id;
    enum http2_receiving receiving;
    enum http2_sending sending;
    bool is_to_head;           /* a client's: the request was HEAD */
    bool is_silent;            /* reset by its user: no more events */
    bool is_peer_reset;        /* RST_STREAM came */
    bool is_closed;            /* nghttp2 has forgotten it */
    bool has_drained;          /* to be told */
    enum http_problem problem; /* to be told; NONE: nothing */
    const char *why;
    size_t outstanding;  /* bytes that on_data gave and `consumed` was not told of */
    struct bytes direct; /* what send_data was called with, during that call; borrowed */
    struct buffer queue; /* goes before `direct` */
    struct bytes chunk;  /* of `queue` or `direct`: the DATA frame that is being made */
    struct http2_trailers *trailers;
};

struct http2 {
    struct http_codec codec; /* first: what the user holds */
    const struct http_codec_events *events;
    void *context;
    nghttp2_session *session;
    struct http2_memory memory; /* the session's */
    bool is_server;

    unsigned depth; /* of enter and leave */
    bool is_started, is_feeding;
    bool is_ended;                    /* the peer said its last byte */
    bool is_leaving, is_peer_leaving; /* GOAWAY: ours, theirs */
    enum http_problem problem;        /* of the connection; NONE: it goes on */
    const char *why;
    bool is_problem_told;

    struct http2_stream *first, *last; /* oldest first */
    size_t open;                       /* streams that are not closed */
    bool has_notices;                  /* there may be streams with something to be told */
    uint32_t last_id;                  /* the highest that the peer began */
    uint32_t allowed;                  /* streams of the agent at a time */
    struct http2_guard guard;
    struct http2_head head;
    struct http2_stream *head_of; /* NULL: of no stream that is still listened to */
    struct buffer batch;
};

static inline struct http2 *http2_of(struct http_codec *c)
{
    return (struct http2 *)c;
}

/* http2.c */
void http2_enter(struct http2 *c);
void http2_leave(struct http2 *c);
/* The connection is over. Tells the peer `code` (enum nghttp2_error_code), and the user at the next
 * opportunity. */
void http2_fail(struct http2 *c, uint32_t code, enum http_problem problem, const char *why);

/* http2_stream.c */
/* The codec's own, until nghttp2 closes it and that is told. NULL: no memory. */
struct http2_stream *http2_stream_create(struct http2 *c, uint32_t id);
/* NULL: there is none (any more), or its user has reset it. */
struct http2_stream *http2_stream_find(const struct http2 *c, uint32_t id);
void http2_stream_destroy(struct http2 *c, struct http2_stream *s);
/* nghttp2 has forgotten it. What its user has to know is told later, outside of nghttp2. */
void http2_stream_close(struct http2 *c, struct http2_stream *s, uint32_t code);
/* Tells one thing; false: there was nothing that may be told now. */
bool http2_stream_tell(struct http2 *c);
size_t http2_stream_waiting(const struct http2_stream *s);

/* http2_events.c */
nghttp2_session_callbacks *http2_events_create(void); /* returns owned; NULL: no memory */

/* http2_output.c */
/* Writes all that nghttp2 has to say now. No events. */
void http2_output_pump(struct http2 *c);
ssize_t http2_output_read(nghttp2_session *session, int32_t id, uint8_t *into, size_t size,
                          uint32_t *flags, nghttp2_data_source *source, void *context);
int http2_output_data(nghttp2_session *session, nghttp2_frame *frame, const uint8_t *head,
                      size_t size, nghttp2_data_source *source, void *context);

/* http2_send.c */
struct http2_trailers;
int http2_trailers_submit(struct http2 *c, uint32_t id, const struct http2_trailers *t);
void http2_trailers_destroy(struct http2_trailers *t); /* takes NULL */
uint32_t http2_send_request(struct http_codec *codec, const struct http_request *request,
                            bool has_body);
bool http2_can_request(const struct http_codec *codec);
void http2_send_informational(struct http_codec *codec, uint32_t id,
                              const struct http_response *response);
void http2_send_response(struct http_codec *codec, uint32_t id,
                         const struct http_response *response);
void http2_send_data(struct http_codec *codec, uint32_t id, struct bytes data);
void http2_send_end(struct http_codec *codec, uint32_t id, const struct http_fields *trailers);
void http2_send_reset(struct http_codec *codec, uint32_t id, enum http_problem problem);

#endif
