/* Both sides of ours, back to back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "sidecar/protocol/http/http2/http2_testing.h"

struct pair {
    struct testing_side client, server;
    struct http_field fields[8];
};

static void start(struct pair *p)
{
    testing_start(&p->client, false);
    testing_start(&p->server, true);
}

static void finish(struct pair *p)
{
    testing_finish(&p->client);
    testing_finish(&p->server);
}

static void exchange(struct pair *p)
{
    testing_exchange(&p->client, &p->server);
}

static uint32_t request(struct pair *p, const char *method, const char *target, const char *fields,
                        bool has_body)
{
    struct http_request r = testing_request(method, target);
    r.fields = testing_fields(fields, p->fields);
    return p->client.codec->ops->send_request(p->client.codec, &r, has_body);
}

static struct http_response response(struct pair *p, unsigned status, const char *fields,
                                     int64_t size, bool has_body)
{
    return (struct http_response){
        .version = HTTP_2,
        .status = status,
        .fields = testing_fields(fields, p->fields),
        .body_size = size,
        .has_body = has_body,
    };
}

static void respond(struct pair *p, uint32_t stream, unsigned status, const char *fields,
                    int64_t size, bool has_body)
{
    struct http_response r = response(p, status, fields, size, has_body);
    p->server.codec->ops->send_response(p->server.codec, stream, &r);
}

static void send_text(struct testing_side *side, uint32_t stream, const char *text)
{
    side->codec->ops->send_data(side->codec, stream, bytes_of_string(text));
}

static void send_end(struct testing_side *side, uint32_t stream, const char *trailers)
{
    struct http_field into[8];
    struct http_fields f = testing_fields(trailers, into);
    side->codec->ops->send_end(side->codec, stream, &f);
}

static void a_request_and_its_response(void **state)
{
    (void)state;
    struct pair p;
    start(&p);
    assert_int_equal(request(&p, "GET", "/a?b=c", "accept=x/y x-team=care", false), 1);
    exchange(&p);
    assert_string_equal(testing_log(&p.server), "request 1 GET https api.test /a?b=c size=0\n"
                                                "  accept: x/y\n"
                                                "  x-team: care\n"
                                                "end 1\n");
    respond(&p, 1, 200, "content-type=text/plain", 5, true);
    send_text(&p.server, 1, "hel");
    send_text(&p.server, 1, "lo");
    send_end(&p.server, 1, "");
    exchange(&p);
    assert_string_equal(testing_log(&p.client), "response 1 200 size=5 body\n"
                                                "  content-type: text/plain\n"
                                                "data 1 hello\n"
                                                "end 1\n");
    assert_int_equal(p.client.codec->ops->open_streams(p.client.codec), 0);
    assert_int_equal(p.server.codec->ops->open_streams(p.server.codec), 0);
    finish(&p);
}

static void bodies_and_trailers_go_both_ways(void **state)
{
    (void)state;
    struct pair p;
    start(&p);
    uint32_t id = request(&p, "POST", "/svc/M", "content-type=application/grpc", true);
    send_text(&p.client, id, "question");
    send_end(&p.client, id, "x-check=1");
    exchange(&p);
    assert_string_equal(testing_log(&p.server), "request 1 POST https api.test /svc/M size=-1\n"
                                                "  content-type: application/grpc\n"
                                                "data 1 question\n"
                                                "trailers 1\n"
                                                "  x-check: 1\n"
                                                "end 1\n");
    respond(&p, id, 200, "", -1, true);
    send_text(&p.server, id, "answer");
    send_end(&p.server, id, "grpc-status=0 grpc-message=fine");
    exchange(&p);
    assert_string_equal(testing_log(&p.client), "response 1 200 size=-1 body\n"
                                                "data 1 answer\n"
                                                "trailers 1\n"
                                                "  grpc-status: 0\n"
                                                "  grpc-message: fine\n"
                                                "end 1\n");
    finish(&p);
}

static void heads_that_end_the_message(void **state)
{
    (void)state;
    static const struct {
        const char *method;
        unsigned status;
        int64_t size;
        const char *log;
    } cases[] = {
        {"HEAD", 200, 1234, "response 1 200 size=1234\nend 1\n"},
        {"HEAD", 200, -1, "response 1 200 size=-1\nend 1\n"},
        {"GET", 304, 77, "response 1 304 size=77\nend 1\n"},
        {"GET", 204, 0, "response 1 204 size=-1\nend 1\n"},
        {"GET", 200, -1, "response 1 200 size=0\nend 1\n"},
        {"GET", 404, 0, "response 1 404 size=0\nend 1\n"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct pair p;
        start(&p);
        assert_int_equal(request(&p, cases[i].method, "/", "", false), 1);
        exchange(&p);
        respond(&p, 1, cases[i].status, "", cases[i].size, false);
        exchange(&p);
        assert_string_equal(testing_log(&p.client), cases[i].log);
        finish(&p);
    }
}

static void informational_responses_come_before(void **state)
{
    (void)state;
    struct pair p;
    start(&p);
    struct http_request r = testing_request("PUT", "/upload");
    r.expects_continue = true;
    r.body_size = 3;
    assert_int_equal(p.client.codec->ops->send_request(p.client.codec, &r, true), 1);
    exchange(&p);
    assert_string_equal(testing_log(&p.server),
                        "request 1 PUT https api.test /upload size=3 expects-continue\n");
    struct http_response go_on = response(&p, 100, "", -1, false);
    p.server.codec->ops->send_informational(p.server.codec, 1, &go_on);
    struct http_response hints = response(&p, 103, "link=</a>", -1, false);
    p.server.codec->ops->send_informational(p.server.codec, 1, &hints);
    respond(&p, 1, 201, "", 0, false);
    exchange(&p);
    assert_string_equal(testing_log(&p.client), "informational 1 100\n"
                                                "informational 1 103\n"
                                                "  link: </a>\n"
                                                "response 1 201 size=0\n"
                                                "end 1\n");
    send_text(&p.client, 1, "abc");
    send_end(&p.client, 1, "");
    exchange(&p);
    assert_int_equal(p.client.codec->ops->open_streams(p.client.codec), 0);
    assert_int_equal(p.server.codec->ops->open_streams(p.server.codec), 0);
    finish(&p);
}

static void connect_has_only_an_authority(void **state)
{
    (void)state;
    struct pair p;
    start(&p);
    struct http_request r = testing_request("CONNECT", "");
    r.authority = bytes_of_string("db.test:443");
    assert_int_equal(p.client.codec->ops->send_request(p.client.codec, &r, true), 1);
    exchange(&p);
    assert_string_equal(testing_log(&p.server), "request 1 CONNECT  db.test:443  size=-1\n");
    respond(&p, 1, 200, "", -1, true);
    send_text(&p.server, 1, "tunnel");
    send_text(&p.client, 1, "bytes");
    exchange(&p);
    assert_string_equal(testing_log(&p.client), "response 1 200 size=-1 body\ndata 1 tunnel");
    finish(&p);
}

/* What the window does not permit waits, and leaves in order. */
static void a_closed_window_holds_data_back(void **state)
{
    (void)state;
    struct pair p;
    start(&p);
    p.server.keeps_data = true;
    uint32_t id = request(&p, "POST", "/", "", true);
    exchange(&p);
    uint8_t block[10000];
    size_t sent = 0;
    for (; sent < 4 * HTTP_WINDOW; sent += sizeof(block)) {
        memset(block, (int)(sent / sizeof(block)), sizeof(block));
        p.client.codec->ops->send_data(p.client.codec, id, bytes_of(block, sizeof(block)));
    }
    send_end(&p.client, id, "");
    exchange(&p);
    assert_int_equal(p.server.received, HTTP_WINDOW);
    assert_int_equal(p.client.codec->ops->waiting(p.client.codec, id), sent - HTTP_WINDOW);
    assert_string_equal(testing_log(&p.client), "");

    size_t consumed = 0;
    while (consumed < p.server.received) {
        size_t n = p.server.received - consumed;
        consumed += n;
        p.server.codec->ops->consumed(p.server.codec, id, n);
        exchange(&p);
    }
    assert_int_equal(consumed, sent);
    assert_int_equal(p.client.codec->ops->waiting(p.client.codec, id), 0);
    assert_string_equal(testing_log(&p.client), "drained 1\n");
    assert_non_null(strstr(testing_log(&p.server), "end 1\n"));
    finish(&p);
}

static uint8_t pattern(size_t at)
{
    return (uint8_t)('a' + at % 23);
}

/* Through the queue and past it, in pieces of all sizes, every byte arrives in its place. */
static void data_stays_in_order(void **state)
{
    (void)state;
    struct pair p;
    start(&p);
    uint32_t id = request(&p, "POST", "/", "", true);
    exchange(&p);
    testing_forget(&p.server);
    size_t total = 0;
    uint8_t block[70000];
    for (size_t size = 1; size < sizeof(block); size = size * 3 + 1) {
        for (int again = 0; again < 4; again++) {
            for (size_t i = 0; i < size; i++) {
                block[i] = pattern(total + i);
            }
            p.client.codec->ops->send_data(p.client.codec, id, bytes_of(block, size));
            total += size;
        }
    }
    exchange(&p);
    struct bytes log = buffer_bytes(&p.server.log);
    assert_int_equal(log.size, total + strlen("data 1 "));
    for (size_t i = 0; i < total; i++) {
        assert_int_equal(log.data[strlen("data 1 ") + i], pattern(i));
    }
    finish(&p);
}

static void again_when_drained(struct testing_side *side, uint32_t stream)
{
    side->on_drained = NULL;
    send_text(side, stream, "the last words");
    side->codec->ops->send_end(side->codec, stream, NULL);
}

static void what_drained_may_send_again(void **state)
{
    (void)state;
    struct pair p;
    start(&p);
    p.server.keeps_data = true;
    p.client.on_drained = again_when_drained;
    uint32_t id = request(&p, "POST", "/", "", true);
    exchange(&p);
    static uint8_t block[HTTP_WINDOW + 5];
    p.client.codec->ops->send_data(p.client.codec, id, bytes_of(block, sizeof(block)));
    exchange(&p);
    p.server.codec->ops->consumed(p.server.codec, id, HTTP_WINDOW);
    exchange(&p);
    assert_int_equal(p.server.received, sizeof(block) + strlen("the last words"));
    /* What an event sends is written after the event, and is told of as all that waited. */
    assert_string_equal(testing_log(&p.client), "drained 1\ndrained 1\n");
    assert_non_null(strstr(testing_log(&p.server), "end 1\n"));
    finish(&p);
}

/* Streams that nobody takes from do not use up the connection for good. */
static void broken_streams_give_the_window_back(void **state)
{
    (void)state;
    struct pair p;
    start(&p);
    p.server.keeps_data = true;
    static uint8_t block[HTTP_WINDOW];
    exchange(&p);
    for (int i = 0; i < 100; i++) {
        uint32_t id = request(&p, "POST", "/", "", true);
        assert_int_not_equal(id, 0);
        p.client.codec->ops->send_data(p.client.codec, id, bytes_of(block, sizeof(block)));
        exchange(&p);
        if (i % 2 == 0) {
            p.client.codec->ops->reset(p.client.codec, id, HTTP_PROBLEM_CANCELLED);
        } else {
            p.server.codec->ops->reset(p.server.codec, id, HTTP_PROBLEM_NO_MEMORY);
        }
        exchange(&p);
        p.server.codec->ops->consumed(p.server.codec, id, 1 << 30); /* late: nothing */
    }
    assert_int_equal(p.server.received, 100 * sizeof(block));
    assert_int_equal(p.server.codec->ops->open_streams(p.server.codec), 0);
    assert_int_equal(p.client.codec->ops->open_streams(p.client.codec), 0);
    finish(&p);
}

static void a_reset_is_told_to_the_other_side_only(void **state)
{
    (void)state;
    struct pair p;
    start(&p);
    uint32_t id = request(&p, "POST", "/", "", true);
    exchange(&p);
    p.client.codec->ops->reset(p.client.codec, id, HTTP_PROBLEM_CANCELLED);
    testing_forget(&p.server);
    exchange(&p);
    assert_string_equal(testing_log(&p.server), "failed 1 cancelled\n");
    assert_string_equal(testing_log(&p.client), "");
    /* Late: dropped. */
    respond(&p, id, 200, "", -1, true);
    send_text(&p.server, id, "late");
    send_end(&p.server, id, "");
    p.server.codec->ops->reset(p.server.codec, id, HTTP_PROBLEM_CANCELLED);
    assert_int_equal(p.server.codec->ops->waiting(p.server.codec, id), 0);
    assert_int_equal(buffer_size(&p.server.out), 0);

    /* After its request came whole as well: the answer is not wanted any more. */
    id = request(&p, "GET", "/", "", false);
    exchange(&p);
    respond(&p, id, 200, "", -1, true);
    exchange(&p);
    testing_forget(&p.server);
    p.client.codec->ops->reset(p.client.codec, id, HTTP_PROBLEM_CANCELLED);
    exchange(&p);
    assert_string_equal(testing_log(&p.server), "failed 3 cancelled\n");

    id = request(&p, "GET", "/", "", false);
    exchange(&p);
    respond(&p, id, 200, "", -1, true);
    send_text(&p.server, id, "par");
    p.server.codec->ops->reset(p.server.codec, id, HTTP_PROBLEM_ENDED);
    testing_forget(&p.client);
    exchange(&p);
    assert_string_equal(testing_log(&p.client),
                        "response 5 200 size=-1 body\ndata 5 par\nfailed 5 cancelled\n");
    finish(&p);
}

static void reset_it(struct testing_side *side, uint32_t stream)
{
    side->codec->ops->reset(side->codec, stream, HTTP_PROBLEM_MALFORMED);
}

static void a_stream_may_be_reset_in_its_event(void **state)
{
    (void)state;
    struct pair p;
    start(&p);
    p.server.on_request = reset_it;
    uint32_t id = request(&p, "GET", "/", "", false);
    assert_int_equal(request(&p, "GET", "/two", "", false), id + 2);
    exchange(&p);
    assert_string_equal(testing_log(&p.server), "request 1 GET https api.test / size=0\n"
                                                "request 3 GET https api.test /two size=0\n");
    assert_string_equal(testing_log(&p.client), "failed 1 cancelled\nfailed 3 cancelled\n");
    finish(&p);
}

static void no_more_streams_than_allowed(void **state)
{
    (void)state;
    struct pair p;
    start(&p);
    p.server.codec->ops->allow_streams(p.server.codec, 1);
    exchange(&p);
    assert_int_equal(request(&p, "GET", "/1", "", false), 1);
    exchange(&p);
    assert_false(p.client.codec->ops->can_request(p.client.codec));
    assert_int_equal(request(&p, "GET", "/2", "", false), 0);
    p.server.codec->ops->allow_streams(p.server.codec, 2);
    exchange(&p);
    assert_int_equal(request(&p, "GET", "/3", "", false), 3);
    exchange(&p);
    assert_false(p.client.codec->ops->can_request(p.client.codec));
    respond(&p, 1, 200, "", 0, false);
    exchange(&p);
    assert_true(p.client.codec->ops->can_request(p.client.codec));
    finish(&p);
}

static void going_away_ends_when_all_is_answered(void **state)
{
    (void)state;
    struct pair p;
    start(&p);
    uint32_t id = request(&p, "GET", "/", "", false);
    exchange(&p);
    p.server.codec->ops->go_away(p.server.codec);
    assert_int_equal(request(&p, "GET", "/late", "", false), 3); /* crosses the GOAWAY */
    exchange(&p);
    assert_string_equal(testing_log(&p.client), "away 1\nfailed 3 cancelled\n");
    assert_false(p.client.codec->ops->can_request(p.client.codec));
    assert_false(p.server.codec->ops->is_over(p.server.codec));
    assert_false(p.client.codec->ops->is_over(p.client.codec));
    respond(&p, id, 200, "", 0, false);
    exchange(&p);
    assert_string_equal(testing_log(&p.client),
                        "away 1\nfailed 3 cancelled\nresponse 1 200 size=0\nend 1\n");
    assert_true(p.server.codec->ops->is_over(p.server.codec));
    assert_true(p.client.codec->ops->is_over(p.client.codec));
    assert_null(strstr(testing_log(&p.server), "late"));
    finish(&p);
}

static void a_client_goes_away(void **state)
{
    (void)state;
    struct pair p;
    start(&p);
    uint32_t id = request(&p, "GET", "/", "", false);
    p.client.codec->ops->go_away(p.client.codec);
    assert_int_equal(request(&p, "GET", "/", "", false), 0);
    exchange(&p);
    respond(&p, id, 200, "", 0, false);
    exchange(&p);
    assert_string_equal(testing_log(&p.client), "response 1 200 size=0\nend 1\n");
    assert_non_null(strstr(testing_log(&p.server), "away "));
    assert_true(p.server.codec->ops->is_over(p.server.codec));
    assert_true(p.client.codec->ops->is_over(p.client.codec));
    finish(&p);
}

static void the_end_of_the_connection_fails_what_is_open(void **state)
{
    (void)state;
    struct pair p;
    start(&p);
    (void)request(&p, "POST", "/1", "", true);
    (void)request(&p, "GET", "/2", "", false);
    (void)request(&p, "GET", "/3", "", false);
    exchange(&p);
    respond(&p, 3, 200, "", -1, true);
    send_text(&p.server, 3, "par");
    respond(&p, 5, 200, "", 0, false);
    exchange(&p);
    testing_forget(&p.client);
    testing_forget(&p.server);

    p.client.codec->ops->feed_end(p.client.codec);
    assert_non_null(strstr(testing_log(&p.client), "failed 3 ended\n"));
    assert_non_null(strstr(testing_log(&p.client), "failed 1 ended\n"));
    assert_null(strstr(testing_log(&p.client), "failed 5"));
    assert_true(p.client.codec->ops->is_over(p.client.codec));
    assert_false(p.client.codec->ops->can_request(p.client.codec));

    /* The second came whole, and its answer may still be heard. */
    p.server.codec->ops->feed_end(p.server.codec);
    assert_string_equal(testing_log(&p.server), "failed 1 ended\n");
    assert_false(p.server.codec->ops->is_over(p.server.codec));
    send_end(&p.server, 3, "");
    assert_true(p.server.codec->ops->is_over(p.server.codec));
    finish(&p);
}

static void cookies_become_one_field(void **state)
{
    (void)state;
    struct pair p;
    start(&p);
    (void)request(&p, "GET", "/", "cookie=a=1 x-one=1 cookie=b=2 x-two=2 cookie=c=3", false);
    (void)request(&p, "GET", "/", "cookie=only=1", false);
    exchange(&p);
    assert_string_equal(testing_log(&p.server), "request 1 GET https api.test / size=0\n"
                                                "  cookie: a=1; b=2; c=3\n"
                                                "  x-one: 1\n"
                                                "  x-two: 2\n"
                                                "end 1\n"
                                                "request 3 GET https api.test / size=0\n"
                                                "  cookie: only=1\n"
                                                "end 3\n");
    finish(&p);
}

static void what_http2_cannot_say_is_not_sent(void **state)
{
    (void)state;
    struct pair p;
    start(&p);
    struct http_request r = testing_request("GET", "/");
    r.is_websocket = true;
    assert_int_equal(p.client.codec->ops->send_request(p.client.codec, &r, false), 0);
    r = testing_request("GET", "/");
    struct http_field bad[] = {
        {bytes_of_string("a b"), bytes_of_string("x")},
        {bytes_of_string("x"), bytes_of_string("1\r\ny: 2")},
        {bytes_of_string("x"), bytes_of("1\0", 2)},
        {bytes_of_string(":path"), bytes_of_string("/other")},
        {bytes_of_string(""), bytes_of_string("x")},
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        r.fields = (struct http_fields){.items = &bad[i], .count = 1};
        assert_int_equal(p.client.codec->ops->send_request(p.client.codec, &r, false), 0);
    }
    /* What belongs to one connection stays there. */
    (void)request(&p, "GET", "/", "connection=close te=gzip upgrade=x host=other x=y", false);
    exchange(&p);
    assert_string_equal(testing_log(&p.server), "request 1 GET https api.test / size=0\n"
                                                "  x: y\n"
                                                "end 1\n");
    respond(&p, 1, 101, "", -1, true);
    exchange(&p);
    assert_string_equal(testing_log(&p.client), "failed 1 cancelled\n");
    finish(&p);
}

/* RFC 7541 section 6.2.3: 0x1X is a literal that is never indexed. */
static void credentials_are_never_indexed(void **state)
{
    (void)state;
    struct pair p;
    start(&p);
    exchange(&p);
    char once[600] = "", twice[600] = "";
    for (int i = 0; i < 2; i++) {
        (void)request(&p, "GET", "/",
                      "authorization=Bearer-of-a-long-secret-text x-api-key=0123456789", false);
        struct bytes b = buffer_bytes(&p.client.out);
        char *into = i == 0 ? once : twice;
        for (size_t at = 9; at < b.size && at < 250; at++) {
            (void)snprintf(into + strlen(into), 4, "%02x", b.data[at]);
        }
        exchange(&p);
    }
    /* 1f08: never indexed, name 23 (authorization); 10: never indexed, a new name. */
    assert_non_null(strstr(once, "1f08"));
    assert_non_null(strstr(twice, "1f08"));
    assert_non_null(strstr(twice + strlen("1f08"), "10"));
    /* :authority is in the table by the second time, the credentials are not. */
    assert_true(strlen(twice) < strlen(once));
    assert_true(strlen(twice) > 2 * strlen("0123456789"));
    finish(&p);
}

static void one_feed_writes_once(void **state)
{
    (void)state;
    struct pair p;
    start(&p);
    for (int i = 0; i < 20; i++) {
        (void)request(&p, "GET", "/", "", false);
    }
    p.server.on_request = reset_it;
    struct buffer all = p.client.out;
    buffer_init(&p.client.out, all.cap);
    testing_feed(&p.server, buffer_bytes(&all), SIZE_MAX);
    assert_int_equal(p.server.writes, 1);
    buffer_finish(&all);
    finish(&p);
}

static void large_heads_go_through(void **state)
{
    (void)state;
    struct pair p;
    start(&p);
    struct http_field many[200];
    char values[200][250];
    for (size_t i = 0; i < 200; i++) {
        memset(values[i], 'a' + (int)(i % 26), sizeof(values[i]));
        many[i] = (struct http_field){bytes_of_string("x-long"), bytes_of(values[i], 250)};
    }
    struct http_request r = testing_request("GET", "/");
    r.fields = (struct http_fields){.items = many, .count = 200};
    assert_int_equal(p.client.codec->ops->send_request(p.client.codec, &r, false), 1);
    exchange(&p);
    assert_non_null(strstr(testing_log(&p.server), "end 1\n"));
    testing_forget(&p.server);

    /* 431 and the stream is over; the connection is not. */
    struct http_field too_many[300];
    for (size_t i = 0; i < 300; i++) {
        too_many[i] = many[i % 200];
    }
    r.fields = (struct http_fields){.items = too_many, .count = 250};
    assert_int_equal(p.client.codec->ops->send_request(p.client.codec, &r, true), 3);
    exchange(&p);
    assert_string_equal(testing_log(&p.server), "failed 3 too-large\n");
    respond(&p, 3, 431, "", 0, false);
    send_text(&p.client, 3, "a body that nobody wants");
    exchange(&p);
    assert_string_equal(testing_log(&p.client), "response 3 431 size=0\nend 3\n");
    assert_int_equal(p.client.codec->ops->open_streams(p.client.codec), 1);
    assert_int_equal(p.server.codec->ops->open_streams(p.server.codec), 1);
    finish(&p);
}

static void answer_with_trailers(struct testing_side *side, uint32_t stream)
{
    struct http_field field;
    struct http_response r = {
        .version = HTTP_2,
        .status = 200,
        .fields = testing_fields("x-answer=yes", &field),
        .body_size = HTTP_SIZE_UNKNOWN,
        .has_body = true,
    };
    side->codec->ops->send_response(side->codec, stream, &r);
    send_text(side, stream, "answer");
    send_end(side, stream, "x-check=1");
}

/* The client's part of a conversation of three streams. */
static void ask_three_things(struct pair *p)
{
    uint32_t id = request(p, "POST", "/one", "cookie=a=1 cookie=b=2", true);
    (void)request(p, "GET", "/two", "x-team=care", false);
    send_text(&p->client, id, "some body");
    send_end(&p->client, id, "x-sum=9");
    id = request(p, "POST", "/three", "", true);
    p->client.codec->ops->reset(p->client.codec, id, HTTP_PROBLEM_CANCELLED);
}

static struct bytes take_out(struct testing_side *side, struct buffer *into)
{
    *into = side->out;
    buffer_init(&side->out, into->cap);
    return buffer_bytes(into);
}

/* However the network cuts it, each side is told the same. */
static void a_cut_makes_no_difference(void **state)
{
    (void)state;
    struct pair p;
    struct buffer asked, answered;
    start(&p);
    p.server.on_end = answer_with_trailers;
    p.server.hides_drained = true;
    ask_three_things(&p);
    struct bytes in = take_out(&p.client, &asked);
    testing_feed(&p.server, in, SIZE_MAX);
    struct bytes out = take_out(&p.server, &answered);
    testing_feed(&p.client, out, SIZE_MAX);
    assert_non_null(
        strstr(testing_log(&p.server), "data 1 some body\ntrailers 1\n  x-sum: 9\nend 1"));
    assert_non_null(strstr(testing_log(&p.server), "failed 5 cancelled\n"));
    assert_non_null(
        strstr(testing_log(&p.client), "data 3 answer\ntrailers 3\n  x-check: 1\nend 3"));

    for (size_t cut = 0; cut <= in.size || cut <= out.size; cut++) {
        struct pair again;
        start(&again);
        again.server.on_end = answer_with_trailers;
        again.server.hides_drained = true;
        ask_three_things(&again);
        /* Cut in two, and at 0 byte by byte. */
        size_t first = cut < in.size ? cut : in.size;
        testing_feed(&again.server, bytes_of(in.data, first), SIZE_MAX);
        testing_feed(&again.server, bytes_of(in.data + first, in.size - first),
                     cut == 0 ? 1 : SIZE_MAX);
        assert_string_equal(testing_log(&again.server), testing_log(&p.server));
        first = cut < out.size ? cut : out.size;
        testing_feed(&again.client, bytes_of(out.data, first), SIZE_MAX);
        testing_feed(&again.client, bytes_of(out.data + first, out.size - first),
                     cut == 0 ? 1 : SIZE_MAX);
        assert_string_equal(testing_log(&again.client), testing_log(&p.client));
        finish(&again);
    }
    buffer_finish(&asked);
    buffer_finish(&answered);
    finish(&p);
}

/* Who waits to send more does not wait for a stream that is gone. */
static void what_waits_for_a_broken_stream_is_let_go(void **state)
{
    (void)state;
    struct pair p;
    start(&p);
    p.server.keeps_data = true;
    uint32_t id = request(&p, "POST", "/", "", true);
    exchange(&p);
    static uint8_t block[2 * HTTP_WINDOW];
    p.client.codec->ops->send_data(p.client.codec, id, bytes_of(block, sizeof(block)));
    exchange(&p);
    /* The response is whole before the request, and then the rest of that is not wanted. */
    respond(&p, id, 413, "", 0, false);
    p.server.codec->ops->reset(p.server.codec, id, HTTP_PROBLEM_NONE);
    exchange(&p);
    assert_string_equal(testing_log(&p.client), "response 1 413 size=0\nend 1\ndrained 1\n");
    assert_int_equal(p.client.codec->ops->waiting(p.client.codec, id), 0);
    p.client.codec->ops->send_data(p.client.codec, id, bytes_of(block, sizeof(block)));
    assert_int_equal(p.client.codec->ops->waiting(p.client.codec, id), 0);
    assert_int_equal(p.client.codec->ops->open_streams(p.client.codec), 0);
    finish(&p);
}

/* gRPC's way to say that a call failed: no DATA between the head and the trailers. */
static void trailers_may_follow_the_head(void **state)
{
    (void)state;
    struct pair p;
    start(&p);
    uint32_t id = request(&p, "POST", "/svc/M", "", true);
    send_end(&p.client, id, "x-sum=0");
    exchange(&p);
    assert_string_equal(testing_log(&p.server), "request 1 POST https api.test /svc/M size=-1\n"
                                                "trailers 1\n"
                                                "  x-sum: 0\n"
                                                "end 1\n");
    respond(&p, id, 200, "", -1, true);
    exchange(&p); /* the head is on its way before the rest is known */
    send_end(&p.server, id, "grpc-status=5");
    exchange(&p);
    assert_string_equal(testing_log(&p.client), "response 1 200 size=-1 body\n"
                                                "trailers 1\n"
                                                "  grpc-status: 5\n"
                                                "end 1\n");

    id = request(&p, "POST", "/", "", true);
    send_end(&p.client, id, "");
    exchange(&p);
    respond(&p, id, 200, "", 0, true);
    send_end(&p.server, id, "");
    testing_forget(&p.client);
    exchange(&p);
    assert_string_equal(testing_log(&p.client), "response 3 200 size=0 body\nend 3\n");
    finish(&p);
}

/* Streams that an agent began before it could know how many it may are refused, not lost. */
static void streams_beyond_the_limit_are_refused(void **state)
{
    (void)state;
    struct testing_side server;
    struct buffer in;
    char text[1024];
    testing_start(&server, true);
    server.codec->ops->allow_streams(server.codec, 2);
    buffer_init(&in, 1 << 20);
    testing_frames(&in, "preface settings:0:0: headers:5:1:@get headers:5:3:@get headers:5:5:@get");
    testing_feed(&server, buffer_bytes(&in), SIZE_MAX);
    testing_describe(buffer_bytes(&server.out), text, sizeof(text));
    assert_string_equal(text, "settings-ack rst:5:7");
    assert_int_equal(server.codec->ops->open_streams(server.codec), 2);
    assert_null(strstr(testing_log(&server), "failed"));

    /* Once it has said that it knows it is an error of the connection. */
    buffer_clear(&server.out);
    buffer_clear(&in);
    testing_frames(&in, "settings:1:0: headers:5:7:@get");
    testing_feed(&server, buffer_bytes(&in), SIZE_MAX);
    testing_describe(buffer_bytes(&server.out), text, sizeof(text));
    assert_non_null(strstr(text, "goaway"));
    assert_non_null(strstr(testing_log(&server), "failed 0 protocol\n"));
    buffer_finish(&in);
    testing_finish(&server);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_request_and_its_response),
        cmocka_unit_test(bodies_and_trailers_go_both_ways),
        cmocka_unit_test(heads_that_end_the_message),
        cmocka_unit_test(informational_responses_come_before),
        cmocka_unit_test(connect_has_only_an_authority),
        cmocka_unit_test(a_closed_window_holds_data_back),
        cmocka_unit_test(data_stays_in_order),
        cmocka_unit_test(what_drained_may_send_again),
        cmocka_unit_test(broken_streams_give_the_window_back),
        cmocka_unit_test(a_reset_is_told_to_the_other_side_only),
        cmocka_unit_test(a_stream_may_be_reset_in_its_event),
        cmocka_unit_test(no_more_streams_than_allowed),
        cmocka_unit_test(going_away_ends_when_all_is_answered),
        cmocka_unit_test(a_client_goes_away),
        cmocka_unit_test(the_end_of_the_connection_fails_what_is_open),
        cmocka_unit_test(cookies_become_one_field),
        cmocka_unit_test(what_http2_cannot_say_is_not_sent),
        cmocka_unit_test(credentials_are_never_indexed),
        cmocka_unit_test(one_feed_writes_once),
        cmocka_unit_test(large_heads_go_through),
        cmocka_unit_test(trailers_may_follow_the_head),
        cmocka_unit_test(streams_beyond_the_limit_are_refused),
        cmocka_unit_test(a_cut_makes_no_difference),
        cmocka_unit_test(what_waits_for_a_broken_stream_is_let_go),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
