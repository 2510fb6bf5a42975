/* What both sides of ours say to each other: messages, whole and in pieces. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "sidecar/protocol/http/http2/http2_pair.h"

static void a_request_and_its_response(void **state)
{
    struct pair *p = *state;
    assert_int_equal(request(p, "GET", "/a?b=c", "accept=x/y x-team=care", false), 1);
    exchange(p);
    assert_log(&p->server, "request 1 GET https api.test /a?b=c size=0\n"
                           "  accept: x/y\n"
                           "  x-team: care\n"
                           "end 1\n");
    respond(p, 1, 200, "content-type=text/plain", 5, true);
    send_text(&p->server, 1, "hel");
    send_text(&p->server, 1, "lo");
    send_end(&p->server, 1, "");
    exchange(p);
    assert_log(&p->client, "response 1 200 size=5 body\n"
                           "  content-type: text/plain\n"
                           "data 1 hello\n"
                           "end 1\n");
    assert_open_streams(p, 0);
}

static void bodies_and_trailers_go_both_ways(void **state)
{
    struct pair *p = *state;
    uint32_t id = request(p, "POST", "/svc/M", "content-type=application/grpc", true);
    send_text(&p->client, id, "question");
    send_end(&p->client, id, "x-check=1");
    exchange(p);
    assert_log(&p->server, "request 1 POST https api.test /svc/M size=-1\n"
                           "  content-type: application/grpc\n"
                           "data 1 question\n"
                           "trailers 1\n"
                           "  x-check: 1\n"
                           "end 1\n");
    respond(p, id, 200, "", -1, true);
    send_text(&p->server, id, "answer");
    send_end(&p->server, id, "grpc-status=0 grpc-message=fine");
    exchange(p);
    assert_log(&p->client, "response 1 200 size=-1 body\n"
                           "data 1 answer\n"
                           "trailers 1\n"
                           "  grpc-status: 0\n"
                           "  grpc-message: fine\n"
                           "end 1\n");
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
        assert_log(&p.client, cases[i].log);
        finish(&p);
    }
}

static void informational_responses_come_before(void **state)
{
    struct pair *p = *state;
    struct http_request r = testing_request("PUT", "/upload");
    r.expects_continue = true;
    r.body_size = 3;
    assert_int_equal(send_request(p, &r, true), 1);
    exchange(p);
    assert_log(&p->server, "request 1 PUT https api.test /upload size=3 expects-continue\n");
    inform(p, 1, 100, "");
    inform(p, 1, 103, "link=</a>");
    answer(p, 1, 201);
    assert_log(&p->client, "informational 1 100\n"
                           "informational 1 103\n"
                           "  link: </a>\n"
                           "response 1 201 size=0\n"
                           "end 1\n");
    send_text(&p->client, 1, "abc");
    send_end(&p->client, 1, "");
    exchange(p);
    assert_open_streams(p, 0);
}

static void connect_has_only_an_authority(void **state)
{
    struct pair *p = *state;
    struct http_request r = testing_request("CONNECT", "");
    r.authority = bytes_of_string("db.test:443");
    assert_int_equal(send_request(p, &r, true), 1);
    exchange(p);
    assert_log(&p->server, "request 1 CONNECT  db.test:443  size=-1\n");
    respond(p, 1, 200, "", -1, true);
    send_text(&p->server, 1, "tunnel");
    send_text(&p->client, 1, "bytes");
    exchange(p);
    assert_log(&p->client, "response 1 200 size=-1 body\ndata 1 tunnel");
}

/* gRPC's way to say that a call failed: no DATA between the head and the trailers. */
static void trailers_may_follow_the_head(void **state)
{
    struct pair *p = *state;
    uint32_t id = request(p, "POST", "/svc/M", "", true);
    send_end(&p->client, id, "x-sum=0");
    exchange(p);
    assert_log(&p->server, "request 1 POST https api.test /svc/M size=-1\n"
                           "trailers 1\n"
                           "  x-sum: 0\n"
                           "end 1\n");
    respond(p, id, 200, "", -1, true);
    exchange(p); /* the head is on its way before the rest is known */
    send_end(&p->server, id, "grpc-status=5");
    exchange(p);
    assert_log(&p->client, "response 1 200 size=-1 body\n"
                           "trailers 1\n"
                           "  grpc-status: 5\n"
                           "end 1\n");

    id = request(p, "POST", "/", "", true);
    send_end(&p->client, id, "");
    exchange(p);
    respond(p, id, 200, "", 0, true);
    send_end(&p->server, id, "");
    testing_forget(&p->client);
    exchange(p);
    assert_log(&p->client, "response 3 200 size=0 body\nend 3\n");
}

static void cookies_become_one_field(void **state)
{
    struct pair *p = *state;
    (void)request(p, "GET", "/", "cookie=a=1 x-one=1 cookie=b=2 x-two=2 cookie=c=3", false);
    (void)request(p, "GET", "/", "cookie=only=1", false);
    exchange(p);
    assert_log(&p->server, "request 1 GET https api.test / size=0\n"
                           "  cookie: a=1; b=2; c=3\n"
                           "  x-one: 1\n"
                           "  x-two: 2\n"
                           "end 1\n"
                           "request 3 GET https api.test / size=0\n"
                           "  cookie: only=1\n"
                           "end 3\n");
}

static void what_http2_cannot_say_is_not_sent(void **state)
{
    struct pair *p = *state;
    struct http_request r = testing_request("GET", "/");
    r.is_websocket = true;
    assert_int_equal(send_request(p, &r, false), 0);
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
        assert_int_equal(send_request(p, &r, false), 0);
    }
    /* What belongs to one connection stays there. */
    (void)request(p, "GET", "/", "connection=close te=gzip upgrade=x host=other x=y", false);
    exchange(p);
    assert_log(&p->server, "request 1 GET https api.test / size=0\n"
                           "  x: y\n"
                           "end 1\n");
    respond(p, 1, 101, "", -1, true);
    exchange(p);
    assert_log(&p->client, "failed 1 cancelled\n");
}

/* RFC 7541 section 6.2.3: 0x1X is a literal that is never indexed. */
static void credentials_are_never_indexed(void **state)
{
    struct pair *p = *state;
    exchange(p);
    char once[600] = "", twice[600] = "";
    for (int i = 0; i < 2; i++) {
        (void)request(p, "GET", "/",
                      "authorization=Bearer-of-a-long-secret-text x-api-key=0123456789", false);
        struct bytes b = buffer_bytes(&p->client.out);
        char *into = i == 0 ? once : twice;
        for (size_t at = 9; at < b.size && at < 250; at++) {
            (void)snprintf(into + strlen(into), 4, "%02x", b.data[at]);
        }
        exchange(p);
    }
    /* 1f08: never indexed, name 23 (authorization); 10: never indexed, a new name. */
    assert_non_null(strstr(once, "1f08"));
    assert_non_null(strstr(twice, "1f08"));
    assert_non_null(strstr(twice + strlen("1f08"), "10"));
    /* :authority is in the table by the second time, the credentials are not. */
    assert_true(strlen(twice) < strlen(once));
    assert_true(strlen(twice) > 2 * strlen("0123456789"));
}

static void large_heads_go_through(void **state)
{
    struct pair *p = *state;
    struct http_field many[200];
    char values[200][250];
    for (size_t i = 0; i < 200; i++) {
        memset(values[i], 'a' + (int)(i % 26), sizeof(values[i]));
        many[i] = (struct http_field){bytes_of_string("x-long"), bytes_of(values[i], 250)};
    }
    struct http_request r = testing_request("GET", "/");
    r.fields = (struct http_fields){.items = many, .count = 200};
    assert_int_equal(send_request(p, &r, false), 1);
    exchange(p);
    assert_logged(&p->server, "end 1\n");
    testing_forget(&p->server);

    /* 431 and the stream is over; the connection is not. */
    struct http_field too_many[300];
    for (size_t i = 0; i < 300; i++) {
        too_many[i] = many[i % 200];
    }
    r.fields = (struct http_fields){.items = too_many, .count = 250};
    assert_int_equal(send_request(p, &r, true), 3);
    exchange(p);
    assert_log(&p->server, "failed 3 too-large\n");
    respond(p, 3, 431, "", 0, false);
    send_text(&p->client, 3, "a body that nobody wants");
    exchange(p);
    assert_log(&p->client, "response 3 431 size=0\nend 3\n");
    assert_open_streams(p, 1);
}

static struct bytes take_out(struct testing_side *side, struct buffer *into)
{
    *into = side->out;
    buffer_init(&side->out, into->cap);
    return buffer_bytes(into);
}

static void one_feed_writes_once(void **state)
{
    struct pair *p = *state;
    for (int i = 0; i < 20; i++) {
        (void)request(p, "GET", "/", "", false);
    }
    p->server.on_request = reset_it;
    struct buffer all;
    testing_feed(&p->server, take_out(&p->client, &all), SIZE_MAX);
    assert_int_equal(p->server.writes, 1);
    buffer_finish(&all);
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
    reset(&p->client, id, HTTP_PROBLEM_CANCELLED);
}

static void start_conversation(struct pair *p)
{
    p->server.on_end = answer_with_trailers;
    p->server.hides_drained = true;
    ask_three_things(p);
}

/* Cut in two, and at 0 byte by byte. */
static void feed_cut(struct testing_side *side, struct bytes in, size_t cut)
{
    size_t first = cut < in.size ? cut : in.size;
    testing_feed(side, bytes_of(in.data, first), SIZE_MAX);
    testing_feed(side, bytes_of(in.data + first, in.size - first), cut == 0 ? 1 : SIZE_MAX);
}

/* However the network cuts it, each side is told the same. */
static void a_cut_makes_no_difference(void **state)
{
    struct pair *p = *state;
    struct buffer asked, answered;
    start_conversation(p);
    struct bytes in = take_out(&p->client, &asked);
    testing_feed(&p->server, in, SIZE_MAX);
    struct bytes out = take_out(&p->server, &answered);
    testing_feed(&p->client, out, SIZE_MAX);
    assert_logged(&p->server, "data 1 some body\ntrailers 1\n  x-sum: 9\nend 1");
    assert_logged(&p->server, "failed 5 cancelled\n");
    assert_logged(&p->client, "data 3 answer\ntrailers 3\n  x-check: 1\nend 3");

    for (size_t cut = 0; cut <= in.size || cut <= out.size; cut++) {
        struct pair again;
        start(&again);
        start_conversation(&again);
        feed_cut(&again.server, in, cut);
        assert_log(&again.server, testing_log(&p->server));
        feed_cut(&again.client, out, cut);
        assert_log(&again.client, testing_log(&p->client));
        finish(&again);
    }
    buffer_finish(&asked);
    buffer_finish(&answered);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_request_and_its_response),
        TEST(bodies_and_trailers_go_both_ways),
        cmocka_unit_test(heads_that_end_the_message),
        TEST(informational_responses_come_before),
        TEST(connect_has_only_an_authority),
        TEST(trailers_may_follow_the_head),
        TEST(cookies_become_one_field),
        TEST(what_http2_cannot_say_is_not_sent),
        TEST(credentials_are_never_indexed),
        TEST(large_heads_go_through),
        TEST(one_feed_writes_once),
        TEST(a_cut_makes_no_difference),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
