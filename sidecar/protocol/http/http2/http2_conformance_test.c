/* RFC 9113 section by section: frames that are not allowed, and some that must be.
 *
 * Each case is fed whole, and again byte by byte, and cut in two at every place. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "sidecar/protocol/http/http2/http2_testing.h"

/* What is expected: the frames that were written, then " | " and the failures that were told.
 * Error codes are those of section 7: 0 none, 1 protocol, 3 flow control, 5 stream closed, 6 frame
 * size, 7 refused, 8 cancel, 9 compression, 11 enhance your calm.
 *
 * Where the RFC asks for an error of the stream nghttp2 sometimes ends the connection, as section
 * 5.4.1 allows; and it ignores what comes for a stream that is closed, whoever closed it. */
struct test_case {
    const char *name;
    const char *frames;
    const char *expected;
};

#define PING "ping:0:0:*8:aa"
#define DEAD "goaway:0:1 | failed 0 protocol"

/* With a preface and SETTINGS before, which are answered. */
static const struct test_case server_cases[] = {
    {"4.1 a frame of an unknown type is ignored", "unknown:ff:0:*8:00 " PING, "ping-ack"},
    {"4.1 also on a stream", "unknown:0:1:*8:00 " PING, "ping-ack"},
    {"4.1 undefined flags are ignored", "ping:fe:0:*8:aa", "ping-ack"},
    {"4.1 the reserved bit is ignored", "ping:0:80000000:*8:aa", "ping-ack"},
    {"4.2 DATA of the largest size", "headers:4:1:@post data:0:1:*16384:61 " PING, "ping-ack"},
    {"4.2 DATA that is too large", "headers:4:1:@post data:0:1:*16385:61",
     "goaway:1:6 | failed 0 protocol"},
    {"4.2 HEADERS that is too large", "headers:4:1:*16385:00", "goaway:0:6 | failed 0 protocol"},
    {"4.2 a frame of 16 MiB", "unknown:0:0+16777215:00", "goaway:0:6 | failed 0 protocol"},

    {"4.3 an index that is not in the table", "headers:5:1:@getff00",
     "goaway:1:9 | failed 0 protocol"},
    {"4.3 index 0", "headers:5:1:80", "goaway:1:9 | failed 0 protocol"},
    {"4.3 a head that is cut off", "headers:5:1:@get0003", "goaway:1:9 | failed 0 protocol"},
    {"4.3 an integer without an end", "headers:5:1:@getffffffffffffffffffffff",
     "goaway:1:9 | failed 0 protocol"},
    {"4.3 a table that is larger than ours", "headers:5:1:3fe2ff03@get",
     "goaway:1:9 | failed 0 protocol"},
    {"4.3 the size of the table is not first", "headers:5:1:@get3fe11f",
     "goaway:1:9 | failed 0 protocol"},
    {"4.3 Huffman padding that is none", "headers:5:1:@get400185ffffffff000161",
     "goaway:1:9 | failed 0 protocol"},
    {"4.3 PRIORITY inside a head", "headers:1:1:@get priority:0:1:0000000010",
     "goaway:1:1 | failed 0 protocol"},
    {"4.3 HEADERS of another stream inside a head", "headers:1:1:@get headers:5:3:@get",
     "goaway:1:1 | failed 0 protocol"},
    {"4.3 PING inside a head", "headers:1:1:@get " PING, "goaway:1:1 | failed 0 protocol"},
    {"4.3 SETTINGS inside a head",
     "headers:1:1:@get settings:0:0:", "goaway:1:1 | failed 0 protocol"},
    {"4.3 DATA inside a head", "headers:0:1:@post data:1:1:61", "goaway:1:1 | failed 0 protocol"},
    {"5.5 an unknown frame inside a head", "headers:1:1:@get unknown:0:1:00",
     "goaway:1:1 | failed 0 protocol"},

    {"5.1 idle: DATA", "data:1:1:61", DEAD},
    {"5.1 idle: RST_STREAM", "rst:0:1:00000008", DEAD},
    {"5.1 idle: WINDOW_UPDATE", "window:0:1:00000001", DEAD},
    {"5.1 idle: CONTINUATION", "continuation:4:1:@get", DEAD},
    {"5.1 idle: PRIORITY may come", "priority:0:1:0000000010 " PING, "ping-ack"},
    {"5.1 half closed: DATA", "headers:5:1:@get data:1:1:61", "goaway:1:5 | failed 0 protocol"},
    {"5.1 half closed: HEADERS", "headers:5:1:@get headers:5:1:{a=b}",
     "goaway:1:5 | failed 0 protocol"},
    {"5.1 half closed: CONTINUATION", "headers:5:1:@get continuation:4:1:{a=b}",
     "goaway:1:1 | failed 0 protocol"},
    {"5.1 half closed: WINDOW_UPDATE may come", "headers:5:1:@get window:0:1:00000001 " PING,
     "ping-ack"},
    {"5.1 half closed: RST_STREAM may come", "headers:5:1:@get rst:0:1:00000008 " PING,
     "ping-ack | failed 1 cancelled"},
    {"5.1 closed by RST_STREAM: DATA is ignored", "headers:4:1:@post rst:0:1:00000008 data:1:1:61",
     " | failed 1 cancelled"},
    {"5.1 closed by RST_STREAM: HEADERS is ignored",
     "headers:4:1:@post rst:0:1:00000008 headers:5:1:{a=b}", " | failed 1 cancelled"},
    {"5.1 closed by RST_STREAM: CONTINUATION",
     "headers:4:1:@post rst:0:1:00000008 continuation:4:1:{a=b}",
     "goaway:1:1 | failed 1 cancelled failed 0 protocol"},
    {"5.1 closed by RST_STREAM: PRIORITY may come",
     "headers:4:1:@post rst:0:1:00000008 priority:0:1:0000000010 " PING,
     "ping-ack | failed 1 cancelled"},
    {"5.1.1 an even stream", "headers:5:2:@get", DEAD},
    {"5.1.1 a stream below the last one is ignored", "headers:5:5:@get headers:5:3:@get", ""},
    {"5.1.1 streams may be left out", "headers:5:1:@get headers:5:65:@get " PING, "ping-ack"},

    {"5.4.1 nothing is understood after a GOAWAY of ours", "data:0:0:61 headers:5:1:@get " PING,
     DEAD},

    {"6.1 DATA without a stream", "data:1:0:61", DEAD},
    {"6.1 padding as long as the payload", "headers:4:1:@post data:9:1:0561616161",
     "goaway:1:1 | failed 0 protocol"},
    {"6.1 padding without its length",
     "headers:4:1:@post data:9:1:", "goaway:1:1 | failed 0 protocol"},
    {"6.1 padding is not data", "headers:4:1:@post{content-length=1} data:9:1:0361000000 " PING,
     "ping-ack"},
    {"6.2 HEADERS without a stream", "headers:5:0:@get", DEAD},
    {"6.2 padding as long as the payload", "headers:d:1:ff@get", DEAD},
    {"6.2 padding and priority and a head", "headers:2d:1:020000000010@get0000 " PING, "ping-ack"},
    {"6.2 too short for its priority", "headers:25:1:00000000", "goaway:0:6 | failed 0 protocol"},
    {"6.3 PRIORITY without a stream", "priority:0:0:0000000010", DEAD},
    {"6.3 PRIORITY of a wrong size", "headers:4:1:@post priority:0:1:00000000",
     "goaway:1:6 | failed 0 protocol"},
    {"6.4 RST_STREAM without a stream", "rst:0:0:00000008", DEAD},
    {"6.4 RST_STREAM of a wrong size", "headers:4:1:@post rst:0:1:000008",
     "goaway:1:6 | failed 0 protocol"},
    {"6.5 an acknowledgement with content", "settings:1:0:000300000001",
     "goaway:0:6 | failed 0 protocol"},
    {"6.5 SETTINGS of a stream", "settings:0:1:000300000001", DEAD},
    {"6.5 SETTINGS of a wrong size", "settings:0:0:0003000000", "goaway:0:6 | failed 0 protocol"},
    {"6.5.2 ENABLE_PUSH of 2", "settings:0:0:000200000002", DEAD},
    {"6.5.2 INITIAL_WINDOW_SIZE of 2^31", "settings:0:0:000480000000",
     "goaway:0:3 | failed 0 protocol"},
    {"6.5.2 MAX_FRAME_SIZE below 2^14", "settings:0:0:000500003fff", DEAD},
    {"6.5.2 MAX_FRAME_SIZE of 2^24", "settings:0:0:000501000000", DEAD},
    {"6.5.2 an unknown setting is ignored", "settings:0:0:00ff00000001", "settings-ack"},
    {"6.5.3 the last value of several counts and is acknowledged",
     "settings:0:0:000400000001000400000002", "settings-ack"},
    {"6.5 an acknowledgement of nothing", "settings:1:0: settings:1:0:", DEAD},
    {"6.6 PUSH_PROMISE from an agent", "headers:4:1:@post push:4:1:00000002@get",
     "goaway:1:1 | failed 0 protocol"},
    {"6.7 PING is answered", PING, "ping-ack"},
    {"6.7 an answer is not", "ping:1:0:*8:aa", ""},
    {"6.7 PING of a stream", "ping:0:1:*8:aa", DEAD},
    {"6.7 PING of a wrong size", "ping:0:0:*6:aa", "goaway:0:6 | failed 0 protocol"},
    {"6.8 GOAWAY of a stream", "goaway:0:1:0000000000000000", DEAD},
    {"6.8 GOAWAY of a wrong size", "goaway:0:0:00000000", "goaway:0:6 | failed 0 protocol"},
    {"6.9 WINDOW_UPDATE by nothing", "window:0:0:00000000", DEAD},
    {"6.9 WINDOW_UPDATE of a stream by nothing", "headers:4:1:@post window:0:1:00000000",
     "goaway:1:1 | failed 0 protocol"},
    {"6.9 WINDOW_UPDATE of a wrong size", "window:0:0:000001", "goaway:0:6 | failed 0 protocol"},
    {"6.9.1 a window beyond 2^31-1", "window:0:0:7fffffff window:0:0:7fffffff",
     "goaway:0:3 | failed 0 protocol"},
    {"6.9.1 a stream's window beyond 2^31-1", "headers:4:1:@post window:0:1:7fffffff",
     "rst:1:3 | failed 1 malformed"},
    {"6.9.2 a first window that makes one too large",
     "headers:4:1:@post window:0:1:7fff0000 settings:0:0:00047fffffff",
     "settings-ack rst:1:3 | failed 1 malformed"},
    {"6.10 CONTINUATION without a stream", "headers:1:1:@get continuation:4:0:{a=b}",
     "goaway:1:1 | failed 0 protocol"},
    {"6.10 CONTINUATION of another stream", "headers:1:1:@get continuation:4:3:{a=b}",
     "goaway:1:1 | failed 0 protocol"},
    {"6.10 CONTINUATION behind the end of a head", "headers:4:1:@post continuation:4:1:{a=b}",
     "goaway:1:1 | failed 0 protocol"},
    {"6.10 CONTINUATION behind DATA", "headers:4:1:@post data:0:1:61 continuation:4:1:{a=b}",
     "goaway:1:1 | failed 0 protocol"},
    {"6.10 several of them",
     "headers:1:1:@get continuation:0:1:{a=b} continuation:0:1: continuation:4:1:{c=d} " PING,
     "ping-ack"},

    {"8.1 trailers without an end", "headers:4:1:@post headers:4:1:{a=b}",
     "rst:1:1 | failed 1 malformed"},
    {"8.1.1 more DATA than Content-Length", "headers:4:1:@post{content-length=1} data:1:1:6161",
     "rst:1:1 | failed 1 malformed"},
    {"8.1.1 less DATA than Content-Length", "headers:4:1:@post{content-length=3} data:1:1:6161",
     "rst:1:1 | failed 1 malformed"},
    {"8.1.1 less DATA in several frames",
     "headers:4:1:@post{content-length=3} data:0:1:61 data:1:1:61", "rst:1:1 | failed 1 malformed"},
    {"8.1.1 no DATA at all", "headers:5:1:@post{content-length=1}", "rst:1:1 | failed 1 malformed"},
    {"8.1.1 less DATA before trailers",
     "headers:4:1:@post{content-length=2} data:0:1:61 headers:5:1:{a=b}",
     "rst:1:1 | failed 1 malformed"},
    {"8.1.1 two lengths", "headers:4:1:@post{content-length=1}{content-length=1}",
     "rst:1:1 | failed 1 malformed"},
    {"8.1.1 a length with a sign", "headers:4:1:@post{content-length=+1}",
     "rst:1:1 | failed 1 malformed"},
    {"8.1.1 a length that is a list", "headers:4:1:@post{content-length=1,1}",
     "rst:1:1 | failed 1 malformed"},
    {"8.1.1 a length that is empty", "headers:4:1:@post{content-length=}",
     "rst:1:1 | failed 1 malformed"},
    {"8.1.1 a length beyond all bounds", "headers:4:1:@post{content-length=99999999999999999999}",
     "rst:1:1 | failed 1 malformed"},

    {"8.2.1 an upper-case name", "headers:5:1:@get{X-Team=a}", "rst:1:1 | failed 1 malformed"},
    {"8.2.1 an empty name", "headers:5:1:@get{=a}", " | failed 1 malformed"},
    {"8.2.1 a space in a name", "headers:5:1:@get{x team=a}", " | failed 1 malformed"},
    {"8.2.1 a colon in a name", "headers:5:1:@get{x:team=a}", " | failed 1 malformed"},
    {"8.2.1 a name that is not ASCII", "headers:5:1:@get{x\xc3\xa4=a}", " | failed 1 malformed"},
    {"8.2.1 a space before the value", "headers:5:1:@get{x= a}", " | failed 1 malformed"},
    {"8.2.1 a space behind the value", "headers:5:1:@get{x=a }", " | failed 1 malformed"},
    {"8.2.1 a line in a value", "headers:5:1:@get{x=a\r\nhost: b}", " | failed 1 malformed"},
    {"8.2.1 a line feed in a value", "headers:5:1:@get{x=a\nb}", " | failed 1 malformed"},
    {"8.2.1 a carriage return in a value", "headers:5:1:@get{x=a\rb}", " | failed 1 malformed"},
    {"8.2.1 NUL in a value", "headers:5:1:@get00017803610062", " | failed 1 malformed"},
    {"8.2.2 Connection", "headers:5:1:@get{connection=close}", "rst:1:1 | failed 1 malformed"},
    {"8.2.2 Keep-Alive", "headers:5:1:@get{keep-alive=1}", "rst:1:1 | failed 1 malformed"},
    {"8.2.2 Proxy-Connection", "headers:5:1:@get{proxy-connection=close}",
     "rst:1:1 | failed 1 malformed"},
    {"8.2.2 Transfer-Encoding", "headers:4:1:@post{transfer-encoding=chunked}",
     "rst:1:1 | failed 1 malformed"},
    {"8.2.2 Upgrade", "headers:5:1:@get{upgrade=websocket}", "rst:1:1 | failed 1 malformed"},
    {"8.2.2 HTTP2-Settings", "headers:5:1:@get{http2-settings=AAM}", " | failed 1 malformed"},
    {"8.2.2 TE", "headers:5:1:@get{te=gzip}", "rst:1:1 | failed 1 malformed"},
    {"8.2.2 TE with more", "headers:5:1:@get{te=trailers, deflate}",
     "rst:1:1 | failed 1 malformed"},
    {"8.2.2 TE: trailers", "headers:5:1:@get{te=trailers} " PING, "ping-ack"},
    {"8.2.3 an empty piece of a cookie", "headers:5:1:@get{cookie=a=1}{cookie=}",
     " | failed 1 malformed"},
    {"8.3 an unknown pseudo-header", "headers:5:1:@get{:x=a}", "rst:1:1 | failed 1 malformed"},
    {"8.3 a response's pseudo-header", "headers:5:1:@get{:status=200}",
     "rst:1:1 | failed 1 malformed"},
    {"8.3 a pseudo-header behind a field", "headers:5:1:8287{x=a}84410161",
     "rst:1:1 | failed 1 malformed"},
    {"8.3 a pseudo-header in trailers", "headers:4:1:@post headers:5:1:{:path=/b}",
     "rst:1:1 | failed 1 malformed"},
    {"8.3.1 no method", "headers:5:1:8784410161", "rst:1:1 | failed 1 malformed"},
    {"8.3.1 no scheme", "headers:5:1:8284410161", "rst:1:1 | failed 1 malformed"},
    {"8.3.1 no path", "headers:5:1:8287410161", "rst:1:1 | failed 1 malformed"},
    {"8.3.1 no authority and no Host", "headers:5:1:828784", "rst:1:1 | failed 1 malformed"},
    {"8.3.1 two methods", "headers:5:1:@get83", "rst:1:1 | failed 1 malformed"},
    {"8.3.1 two schemes", "headers:5:1:@get86", "rst:1:1 | failed 1 malformed"},
    {"8.3.1 two paths", "headers:5:1:@get{:path=/b}", "rst:1:1 | failed 1 malformed"},
    {"8.3.1 two authorities", "headers:5:1:@get{:authority=b}", "rst:1:1 | failed 1 malformed"},
    {"8.3.1 an empty path", "headers:5:1:8287410161{:path=}", "rst:1:1 | failed 1 malformed"},
    {"8.3.1 a path without a slash", "headers:5:1:8287410161{:path=b}",
     "rst:1:1 | failed 1 malformed"},
    {"8.3.1 a path with a fragment", "headers:5:1:8287410161{:path=/b#c}", " | failed 1 malformed"},
    {"8.3.1 a path with a space", "headers:5:1:8287410161{:path=/b HTTP/1.1}",
     "rst:1:1 | failed 1 malformed"},
    {"8.3.1 a path with a tab", "headers:5:1:8287410161{:path=/b\tc}",
     "rst:1:1 | failed 1 malformed"},
    {"8.3.1 a path with a backslash", "headers:5:1:8287410161{:path=/b\\c}",
     " | failed 1 malformed"},
    {"8.3.1 a path with a quote", "headers:5:1:8287410161{:path=/b<c>}", " | failed 1 malformed"},
    {"8.3.1 a port that is none", "headers:5:1:828784{:authority=b:0}", " | failed 1 malformed"},
    {"8.3.1 a port without digits", "headers:5:1:828784{:authority=b:}", " | failed 1 malformed"},
    {"8.3.1 an escape in the authority", "headers:5:1:828784{:authority=b%2ec}",
     " | failed 1 malformed"},
    {"8.3.1 a list of authorities", "headers:5:1:828784{:authority=b,c}", " | failed 1 malformed"},
    {"8.3.1 an IPv6 address", "headers:5:1:828784{:authority=[::1]:8080} " PING, "ping-ack"},
    {"8.5 CONNECT without a port", "headers:4:1:{:method=CONNECT}{:authority=b}",
     " | failed 1 malformed"},
    {"RFC 9110: Content-Type twice", "headers:4:1:@post{content-type=a}{content-type=b}",
     " | failed 1 malformed"},
    {"RFC 9110: Authorization twice", "headers:5:1:@get{authorization=a}{authorization=b}",
     " | failed 1 malformed"},
    {"RFC 9110: another expectation", "headers:4:1:@post{expect=a}", " | failed 1 malformed"},
    {"RFC 9110 6.5.1 Date in trailers", "headers:4:1:@post headers:5:1:{date=a}",
     " | failed 1 malformed"},
    {"8.3.1 a path that is not ASCII", "headers:5:1:8287410161{:path=/\xc3\xa4}",
     " | failed 1 malformed"},
    {"8.3.1 an absolute URI for a path", "headers:5:1:8287410161{:path=https://b/c}",
     "rst:1:1 | failed 1 malformed"},
    {"8.3.1 * without OPTIONS", "headers:5:1:8287410161{:path=*}", "rst:1:1 | failed 1 malformed"},
    {"8.3.1 * with OPTIONS", "headers:5:1:87410161{:method=OPTIONS}{:path=*} " PING, "ping-ack"},
    {"8.3.1 another scheme", "headers:5:1:8284410161{:scheme=ftp}", " | failed 1 malformed"},
    {"8.3.1 a scheme with more behind it", "headers:5:1:8284410161{:scheme=https://b/c?d=}",
     "rst:1:1 | failed 1 malformed"},
    {"8.3.1 userinfo", "headers:5:1:828784{:authority=user@b}", " | failed 1 malformed"},
    {"8.3.1 a path in the authority", "headers:5:1:828784{:authority=b/c}",
     "rst:1:1 | failed 1 malformed"},
    {"8.3.1 Host says something else", "headers:5:1:@get{host=b}", " | failed 1 malformed"},
    {"8.3.1 Host says the same, in other letters", "headers:5:1:@get{host=A} " PING, "ping-ack"},
    {"8.3.1 Host says a port more", "headers:5:1:@get{host=a:443}", " | failed 1 malformed"},
    {"8.3.1 Host alone", "headers:5:1:828784{host=b} " PING, "ping-ack"},
    {"8.3.1 Host twice", "headers:5:1:828784{host=b}{host=b}", "rst:1:1 | failed 1 malformed"},
    {"8.3.1 an empty Host", "headers:5:1:828784{host=}", "rst:1:1 | failed 1 malformed"},
    {"8.3.1 Host with userinfo", "headers:5:1:828784{host=user@b}", " | failed 1 malformed"},
    {"8.3.1 a method that is none", "headers:5:1:8784410161{:method=GET /b}",
     "rst:1:1 | failed 1 malformed"},
    {"8.5 CONNECT with a path", "headers:4:1:{:method=CONNECT}84{:authority=b:443}",
     "rst:1:1 | failed 1 malformed"},
    {"8.5 CONNECT with a scheme", "headers:4:1:{:method=CONNECT}87{:authority=b:443}",
     "rst:1:1 | failed 1 malformed"},
    {"8.5 CONNECT without an authority", "headers:4:1:{:method=CONNECT}{host=b:443}",
     "rst:1:1 | failed 1 malformed"},
    {"8.5 CONNECT", "headers:4:1:{:method=CONNECT}{:authority=b:443} " PING, "ping-ack"},
    {"RFC 8441: CONNECT with a protocol",
     "headers:4:1:{:method=CONNECT}{:protocol=websocket}8784410161",
     "rst:1:1 | failed 1 malformed"},
    {"RFC 9110 6.5.1 Content-Length in trailers",
     "headers:4:1:@post headers:5:1:{content-length=0}", " | failed 1 malformed"},
    {"RFC 9110 6.5.1 Host in trailers", "headers:4:1:@post headers:5:1:{host=a}",
     " | failed 1 malformed"},
    {"RFC 9110 6.5.1 Authorization in trailers", "headers:4:1:@post headers:5:1:{authorization=a}",
     " | failed 1 malformed"},
    {"RFC 9110 6.5.1 Transfer-Encoding in trailers",
     "headers:4:1:@post headers:5:1:{transfer-encoding=a}", "rst:1:1 | failed 1 malformed"},
};

/* Without a preface and SETTINGS before. */
static const struct test_case preface_cases[] = {
    {"3.4 a preface and SETTINGS", "preface settings:0:0:", "settings-ack"},
    {"3.4 another preface", "garbage", DEAD},
    {"3.4 no SETTINGS behind it", "preface " PING, DEAD},
    {"3.4 a request before SETTINGS", "preface headers:5:1:@get", DEAD},
    {"3.4 an acknowledgement instead of SETTINGS", "preface settings:1:0:", DEAD},
};

/* Streams 1 (GET), 3 (HEAD) and 5 (POST, its body has not ended) are open; SETTINGS came. */
static const struct test_case client_cases[] = {
    {"4.1 a frame of an unknown type is ignored", "unknown:ff:1:*8:00 " PING, "ping-ack"},
    {"5.1 idle: HEADERS", "headers:5:7:88", DEAD},
    {"5.1 idle: DATA", "data:1:7:61", DEAD},
    {"5.1.1 an even stream", "headers:5:2:88", DEAD},
    {"5.1 closed: DATA is ignored", "headers:5:1:88 data:1:1:61", ""},
    {"5.1 closed: HEADERS is ignored", "headers:5:1:88 headers:5:1:88", ""},
    {"5.4.2 the target resets a stream", "rst:0:1:00000002 " PING, "ping-ack | failed 1 cancelled"},
    {"5.4.2 NO_ERROR behind a whole response", "headers:5:5:88 rst:0:5:00000000 " PING, "ping-ack"},
    {"6.5.2 ENABLE_PUSH from a target", "settings:0:0:000200000001", DEAD},
    {"6.5.2 no streams allowed any more", "settings:0:0:000300000000", "settings-ack"},
    {"6.6 PUSH_PROMISE was not allowed", "push:4:1:00000002@get", DEAD},
    {"6.8 GOAWAY fails what it leaves out", "goaway:0:0:0000000100000000 " PING,
     "ping-ack | failed 3 cancelled failed 5 cancelled"},
    {"6.8 GOAWAY in two steps", "goaway:0:0:7fffffff00000000 " PING " goaway:0:0:0000000300000000",
     "ping-ack | failed 5 cancelled"},
    {"6.8 the last stream becomes higher",
     "goaway:0:0:0000000100000000 goaway:0:0:0000000500000000",
     "goaway:0:1 | failed 3 cancelled failed 5 cancelled failed 0 protocol"},
    {"6.9.1 a window beyond 2^31-1", "window:0:0:7fffffff window:0:0:7fffffff",
     "goaway:0:3 | failed 0 protocol"},
    {"8.1 DATA before HEADERS", "data:1:1:61", DEAD},
    {"8.1 trailers without an end", "headers:4:1:88 headers:4:1:{a=b}",
     "rst:1:1 | failed 1 malformed"},
    {"8.1 1xx that ends the message", "headers:5:1:{:status=103}", "rst:1:1 | failed 1 malformed"},
    {"8.1 1xx and then DATA", "headers:4:1:{:status=103} data:1:1:61",
     "rst:1:1 | failed 1 malformed"},
    {"8.1.1 more DATA than Content-Length", "headers:4:1:88{content-length=1} data:1:1:6161",
     "rst:1:1 | failed 1 malformed"},
    {"8.1.1 less DATA than Content-Length", "headers:4:1:88{content-length=3} data:1:1:6161",
     "rst:1:1 | failed 1 malformed"},
    {"8.1.1 Content-Length and no DATA", "headers:5:1:88{content-length=3}",
     "rst:1:1 | failed 1 malformed"},
    {"8.1.1 Content-Length of HEAD", "headers:5:3:88{content-length=3} " PING, "ping-ack"},
    {"8.1.1 DATA to HEAD", "headers:4:3:88 data:1:3:61", "rst:3:1 | failed 3 malformed"},
    {"8.1.1 DATA with 204", "headers:4:1:{:status=204} data:1:1:61",
     "rst:1:1 | failed 1 malformed"},
    {"8.1.1 DATA with 304", "headers:4:1:{:status=304} data:1:1:61",
     "rst:1:1 | failed 1 malformed"},
    {"8.2.1 an upper-case name", "headers:5:1:88{X-Team=a}", "rst:1:1 | failed 1 malformed"},
    {"8.2.1 a line in a value", "headers:5:1:88{x=a\r\nb: c}", "rst:1:1 | failed 1 malformed"},
    {"8.2.2 Connection", "headers:5:1:88{connection=close}", "rst:1:1 | failed 1 malformed"},
    {"8.2.2 Transfer-Encoding", "headers:5:1:88{transfer-encoding=chunked}",
     "rst:1:1 | failed 1 malformed"},
    {"8.3 a request's pseudo-header", "headers:5:1:88{:path=/}", "rst:1:1 | failed 1 malformed"},
    {"8.3 a pseudo-header behind a field", "headers:5:1:{x=a}88", "rst:1:1 | failed 1 malformed"},
    {"8.3 a status in trailers", "headers:4:1:88 headers:5:1:88", "rst:1:1 | failed 1 malformed"},
    {"8.3.2 no status", "headers:5:1:{x=a}", "rst:1:1 | failed 1 malformed"},
    {"8.3.2 two of them", "headers:5:1:8888", "rst:1:1 | failed 1 malformed"},
    {"8.3.2 a status of two digits", "headers:5:1:{:status=20}", "rst:1:1 | failed 1 malformed"},
    {"8.3.2 a status that is no number", "headers:5:1:{:status=2x0}",
     "rst:1:1 | failed 1 malformed"},
    {"8.3.2 a status beyond 599", "headers:5:1:{:status=600}", "rst:1:1 | failed 1 malformed"},
    {"8.6 101 is not of HTTP/2", "headers:4:1:{:status=101}", "rst:1:1 | failed 1 malformed"},
    {"RFC 9110 6.5.1 Set-Cookie in trailers", "headers:4:1:88 headers:5:1:{set-cookie=a}",
     "rst:1:1 | failed 1 malformed"},
};

/* The failures in the log, with a space between. */
static void failures(struct testing_side *side, char *out, size_t size)
{
    out[0] = '\0';
    for (const char *at = testing_log(side); (at = strstr(at, "failed ")) != NULL; at++) {
        size_t length = strlen(out), n = strcspn(at, "\n");
        assert_true(length + n + 2 < size);
        (void)snprintf(out + length, size - length, "%s%.*s", length > 0 ? " " : "", (int)n, at);
    }
}

static void discard(struct testing_side *side)
{
    buffer_clear(&side->out);
    testing_forget(side);
}

static void feed_text(struct testing_side *side, const char *text)
{
    struct buffer in;
    buffer_init(&in, 1 << 20);
    testing_frames(&in, text);
    testing_feed(side, buffer_bytes(&in), SIZE_MAX);
    buffer_finish(&in);
}

static void prepare_server(struct testing_side *side)
{
    testing_start(side, true);
    feed_text(side, "preface settings:0:0:");
    feed_text(side, "settings:1:0:");
    discard(side);
}

static void prepare_preface(struct testing_side *side)
{
    testing_start(side, true);
}

static void prepare_client(struct testing_side *side)
{
    static const char *const methods[] = {"GET", "HEAD", "POST"};
    testing_start(side, false);
    for (size_t i = 0; i < 3; i++) {
        struct http_request r = testing_request(methods[i], "/");
        assert_int_equal(side->codec->ops->send_request(side->codec, &r, i == 2), 2 * i + 1);
    }
    feed_text(side, "settings:0:0: settings:1:0:");
    discard(side);
}

/* Feeds the first `cut` bytes at once, and the rest in pieces. */
static void run(void (*prepare)(struct testing_side *side), struct bytes in, size_t cut,
                size_t piece, char *out, size_t size)
{
    struct testing_side side;
    char failed[256];
    prepare(&side);
    testing_feed(&side, bytes_of(in.data, cut), SIZE_MAX);
    testing_feed(&side, bytes_of(in.data + cut, in.size - cut), piece);
    testing_describe(buffer_bytes(&side.out), out, size);
    failures(&side, failed, sizeof(failed));
    size_t length = strlen(out);
    (void)snprintf(out + length, size - length, "%s%s", failed[0] != '\0' ? " | " : "", failed);
    bool is_dead = strstr(out, "failed 0") != NULL;
    assert_int_equal(side.codec->ops->is_over(side.codec), is_dead);
    if (is_dead) {
        discard(&side);
        feed_text(&side, "headers:5:77:@get " PING);
        assert_string_equal(testing_log(&side), "");
        assert_int_equal(buffer_size(&side.out), 0);
    }
    testing_finish(&side);
}

static size_t check(void (*prepare)(struct testing_side *side), const struct test_case *t)
{
    struct buffer in;
    char whole[512], again[512];
    buffer_init(&in, 1 << 20);
    testing_frames(&in, t->frames);
    run(prepare, buffer_bytes(&in), 0, SIZE_MAX, whole, sizeof(whole));
    if (strcmp(whole, t->expected) != 0) {
        print_error("%s:\n  expected \"%s\"\n       got \"%s\"\n", t->name, t->expected, whole);
        buffer_finish(&in);
        return 1;
    }
    size_t size = buffer_size(&in), failed = 0;
    for (size_t cut = 0; cut <= (size < 600 ? size : 60); cut++) {
        run(prepare, buffer_bytes(&in), cut, cut == 0 ? 1 : SIZE_MAX, again, sizeof(again));
        if (strcmp(again, whole) != 0) {
            print_error("%s: cut at %zu:\n  \"%s\"\n", t->name, cut, again);
            failed = 1;
        }
    }
    buffer_finish(&in);
    return failed;
}

static void check_all(void (*prepare)(struct testing_side *side), const struct test_case *cases,
                      size_t count)
{
    size_t failed = 0;
    for (size_t i = 0; i < count; i++) {
        failed += check(prepare, &cases[i]);
    }
    assert_int_equal(failed, 0);
}

static void a_connection_begins(void **state)
{
    (void)state;
    check_all(prepare_preface, preface_cases, sizeof(preface_cases) / sizeof(preface_cases[0]));
}

static void agents_frames(void **state)
{
    (void)state;
    check_all(prepare_server, server_cases, sizeof(server_cases) / sizeof(server_cases[0]));
}

static void targets_frames(void **state)
{
    (void)state;
    check_all(prepare_client, client_cases, sizeof(client_cases) / sizeof(client_cases[0]));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_connection_begins),
        cmocka_unit_test(agents_frames),
        cmocka_unit_test(targets_frames),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
