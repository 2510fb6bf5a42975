/* The first byte chooses the side and what it is asked, the second how the rest is cut. The cut
 * must not matter; and what a server understood, written anew, must be understood as the same. */
#include <stdlib.h>

#include "sidecar/protocol/http/http1/http1_peer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { IS_CLIENT = 1, ENDS = 2, ASKS_HEAD = 4, ASKS_WEBSOCKET = 8, ASKS_CONNECT = 16 };

static void expect(bool holds)
{
    if (!holds) {
        abort();
    }
}

static void begin(struct http1_peer *p, uint8_t choice)
{
    if ((choice & IS_CLIENT) == 0) {
        http1_peer_init_server(p);
        p->answers = true;
        return;
    }
    http1_peer_init_client(p);
    const struct http_request r = {
        .method = bytes_of_string((choice & ASKS_HEAD) != 0      ? "HEAD"
                                  : (choice & ASKS_CONNECT) != 0 ? "CONNECT"
                                                                 : "GET"),
        .authority = bytes_of_string("a.example:80"),
        .target = bytes_of_string("/"),
        .is_websocket = (choice & ASKS_WEBSOCKET) != 0,
    };
    expect(p->codec->ops->send_request(p->codec, &r, false) == 1);
}

/* What a session would keep of unused bytes is bounded. */
static void check(const struct http1_peer *p)
{
    bool waits = p->codec->ops->is_blocked(p->codec);
    expect(waits || buffer_size(&p->unused) <= HTTP_FEED_BUFFER);
    expect(!p->codec->ops->is_over(p->codec) || p->codec->ops->open_streams(p->codec) == 0);
}

static void run(struct http1_peer *p, uint8_t choice, struct bytes in, size_t piece)
{
    begin(p, choice);
    for (size_t at = 0; at < in.size; at += piece) {
        size_t n = in.size - at < piece ? in.size - at : piece;
        http1_peer_feed(p, bytes_of(in.data + at, n));
        check(p);
    }
    if ((choice & ENDS) != 0) {
        http1_peer_feed_end(p);
        check(p);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2) {
        return 0;
    }
    struct bytes in = bytes_of(data + 2, size - 2);
    struct http1_peer whole, cut;
    run(&whole, data[0], in, in.size + 1);
    run(&cut, data[0], in, (size_t)data[1] % 64 + 1);
    /* A response with more behind it is told from one without only when both come at once. */
    bool is_client = (data[0] & IS_CLIENT) != 0;
    if (!is_client || whole.failed == cut.failed) {
        expect(strcmp(http1_peer_log(&whole), http1_peer_log(&cut)) == 0);
        expect(strcmp(http1_peer_out(&whole), http1_peer_out(&cut)) == 0);
    }
    http1_peer_finish(&whole);
    http1_peer_finish(&cut);
    return 0;
}
