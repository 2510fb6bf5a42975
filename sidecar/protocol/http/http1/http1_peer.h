/* A codec with everything around it that a test looks at: what it told, as text, and what it wrote.
 */
#ifndef CHAPERONE_SIDECAR_PROTOCOL_HTTP1_PEER_H
#define CHAPERONE_SIDECAR_PROTOCOL_HTTP1_PEER_H

#include "sidecar/protocol/http/http_codec.h"

struct http1_peer {
    struct http_codec *codec;
    struct buffer log;    /* events, a line each; adjoining data is one event */
    struct buffer data;   /* of the running data event */
    struct buffer out;    /* what the codec wrote */
    struct buffer unused; /* what it has not used yet */
    uint32_t stream;      /* of the last event */
    uint32_t failed;      /* how many failures there were */
    enum http_problem problem;
    char why[160];
    size_t given, drained;
    bool holds;   /* data is not consumed */
    bool answers; /* a server: each request gets "ok" as soon as it ended or failed */
};

void http1_peer_init_server(struct http1_peer *p);
void http1_peer_init_client(struct http1_peer *p);
void http1_peer_finish(struct http1_peer *p);

/* As a session does it: keeps what is not used. */
void http1_peer_feed(struct http1_peer *p, struct bytes in);
void http1_peer_feed_text(struct http1_peer *p, const char *text);
/* Offers again what was not used. */
void http1_peer_retry(struct http1_peer *p);
void http1_peer_feed_end(struct http1_peer *p);

/* Valid until the next event; they end with a NUL. */
const char *http1_peer_log(struct http1_peer *p);
const char *http1_peer_out(struct http1_peer *p);
void http1_peer_clear(struct http1_peer *p);

/* A client asks; a server answers "ok". The stream. */
uint32_t http1_peer_ask(struct http1_peer *p, const char *method, const char *target);
void http1_peer_answer(struct http1_peer *p, uint32_t stream, unsigned status, const char *body);

#endif
