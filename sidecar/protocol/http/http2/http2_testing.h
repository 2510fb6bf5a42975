/* One side of a connection under test: what it tells as text, what it writes as bytes.
 *
 * Frames are written as text as well: see testing_frames. */
#ifndef CHAPERONE_SIDECAR_PROTOCOL_HTTP_HTTP2_TESTING_H
#define CHAPERONE_SIDECAR_PROTOCOL_HTTP_HTTP2_TESTING_H

#include "sidecar/protocol/http/http_codec.h"

struct testing_side {
    struct http_codec *codec;
    /* What it was told, a line each:
     *   request 1 GET https api.test /a size=-1        fields: "  name: value"
     *   response 1 200 size=3 body | informational 1 103 | data 1 text | trailers 1 | end 1
     *   failed 1 malformed | drained 1 | away 3
     * Pieces of data that follow one another are one line. */
    struct buffer log;
    struct buffer out; /* what it wrote and testing_take did not take */
    size_t writes;
    size_t received;    /* bytes of data, of all streams */
    uint32_t last_data; /* the stream that the log's last line is data of; 0: none */
    bool hides_drained; /* in the log: when it comes depends on how the input was cut */
    bool keeps_data;    /* `consumed` is not called, and data is not in the log */
    /* Called at the end of an event; NULL: nothing. */
    void (*on_request)(struct testing_side *side, uint32_t stream);
    void (*on_end)(struct testing_side *side, uint32_t stream);
    void (*on_drained)(struct testing_side *side, uint32_t stream);
};

void testing_start(struct testing_side *side, bool is_server);
void testing_finish(struct testing_side *side);

/* The log so far, NUL-terminated; valid until the next event. */
const char *testing_log(struct testing_side *side);
void testing_forget(struct testing_side *side);

/* Gives each what the other wrote, until both are silent. */
void testing_exchange(struct testing_side *a, struct testing_side *b);
/* Feeds in pieces of `piece` bytes. */
void testing_feed(struct testing_side *side, struct bytes in, size_t piece);

/* Appends frames to `out`. The text has one frame behind another, with a space between:
 *
 *   TYPE:FLAGS:STREAM:PAYLOAD      FLAGS and STREAM in hexadecimal; +LENGTH behind STREAM says
 * another length than the payload has
 *
 * A payload is a run of hexadecimal digits, @get and @post (the pseudo-headers of such a request to
 * https://a/), {name=value} (a literal that is not indexed), *COUNT:HH (a byte again and again).
 * "preface" is the client's magic, "garbage" something else. */
void testing_frames(struct buffer *out, const char *text);

/* What a peer reads in `in`, without initial SETTINGS and without window updates:
 * "settings-ack ping-ack headers:1 data:1 rst:1:8 goaway:0:1", flags of an end as "headers:1:end".
 */
void testing_describe(struct bytes in, char *out, size_t size);

/* http_field's of a text like "a=b c=d"; at most 8. Borrows the text. */
struct http_fields testing_fields(const char *text, struct http_field *into);
struct http_request testing_request(const char *method, const char *target);

#endif
