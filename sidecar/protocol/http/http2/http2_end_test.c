/* How streams and connections end between both sides of ours, and which do not begin. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "sidecar/protocol/http/http2/http2_pair.h"

static void a_reset_is_told_to_the_other_side_only(void **state)
{
    struct pair *p = *state;
    uint32_t id = begin_upload(p);
    reset(&p->client, id, HTTP_PROBLEM_CANCELLED);
    testing_forget(&p->server);
    exchange(p);
    assert_log(&p->server, "failed 1 cancelled\n");
    assert_log(&p->client, "");
    /* Late: dropped. */
    respond(p, id, 200, "", -1, true);
    send_text(&p->server, id, "late");
    send_end(&p->server, id, "");
    reset(&p->server, id, HTTP_PROBLEM_CANCELLED);
    assert_int_equal(waiting(&p->server, id), 0);
    assert_int_equal(buffer_size(&p->server.out), 0);

    /* After its request came whole as well: the answer is not wanted any more. */
    id = ask(p);
    respond(p, id, 200, "", -1, true);
    exchange(p);
    testing_forget(&p->server);
    reset(&p->client, id, HTTP_PROBLEM_CANCELLED);
    exchange(p);
    assert_log(&p->server, "failed 3 cancelled\n");

    id = ask(p);
    respond(p, id, 200, "", -1, true);
    send_text(&p->server, id, "par");
    reset(&p->server, id, HTTP_PROBLEM_ENDED);
    testing_forget(&p->client);
    exchange(p);
    assert_log(&p->client, "response 5 200 size=-1 body\ndata 5 par\nfailed 5 cancelled\n");
}

static void a_stream_may_be_reset_in_its_event(void **state)
{
    struct pair *p = *state;
    p->server.on_request = reset_it;
    uint32_t id = request(p, "GET", "/", "", false);
    assert_int_equal(request(p, "GET", "/two", "", false), id + 2);
    exchange(p);
    assert_log(&p->server, "request 1 GET https api.test / size=0\n"
                           "request 3 GET https api.test /two size=0\n");
    assert_log(&p->client, "failed 1 cancelled\nfailed 3 cancelled\n");
}

static void no_more_streams_than_allowed(void **state)
{
    struct pair *p = *state;
    allow_streams(&p->server, 1);
    exchange(p);
    assert_int_equal(request(p, "GET", "/1", "", false), 1);
    exchange(p);
    assert_false(can_request(&p->client));
    assert_int_equal(request(p, "GET", "/2", "", false), 0);
    allow_streams(&p->server, 2);
    exchange(p);
    assert_int_equal(request(p, "GET", "/3", "", false), 3);
    exchange(p);
    assert_false(can_request(&p->client));
    answer(p, 1, 200);
    assert_true(can_request(&p->client));
}

/* Returns what it writes in answer, described; valid until the next call. */
static const char *give_frames(struct testing_side *side, const char *frames)
{
    static char text[1024];
    struct buffer in;
    buffer_init(&in, 1 << 20);
    testing_frames(&in, frames);
    testing_feed(side, buffer_bytes(&in), SIZE_MAX);
    testing_describe(buffer_bytes(&side->out), text, sizeof(text));
    buffer_clear(&side->out);
    buffer_finish(&in);
    return text;
}

/* Streams that an agent began before it could know how many it may are refused, not lost. */
static void streams_beyond_the_limit_are_refused(void **state)
{
    struct testing_side *server = &((struct pair *)*state)->server;
    allow_streams(server, 2);
    assert_string_equal(give_frames(server, "preface settings:0:0: headers:5:1:@get "
                                            "headers:5:3:@get headers:5:5:@get"),
                        "settings-ack rst:5:7");
    assert_int_equal(open_streams(server), 2);
    assert_not_logged(server, "failed");

    /* Once it has said that it knows it is an error of the connection. */
    assert_non_null(strstr(give_frames(server, "settings:1:0: headers:5:7:@get"), "goaway"));
    assert_logged(server, "failed 0 protocol\n");
}

static void going_away_ends_when_all_is_answered(void **state)
{
    struct pair *p = *state;
    uint32_t id = ask(p);
    go_away(&p->server);
    assert_int_equal(request(p, "GET", "/late", "", false), 3); /* crosses the GOAWAY */
    exchange(p);
    assert_log(&p->client, "away 1\nfailed 3 cancelled\n");
    assert_false(can_request(&p->client));
    assert_false(is_over(&p->server));
    assert_false(is_over(&p->client));
    answer(p, id, 200);
    assert_log(&p->client, "away 1\nfailed 3 cancelled\nresponse 1 200 size=0\nend 1\n");
    assert_over(p);
    assert_not_logged(&p->server, "late");
}

static void a_client_goes_away(void **state)
{
    struct pair *p = *state;
    uint32_t id = request(p, "GET", "/", "", false);
    go_away(&p->client);
    assert_int_equal(request(p, "GET", "/", "", false), 0);
    exchange(p);
    answer(p, id, 200);
    assert_log(&p->client, "response 1 200 size=0\nend 1\n");
    assert_logged(&p->server, "away ");
    assert_over(p);
}

static void the_end_of_the_connection_fails_what_is_open(void **state)
{
    struct pair *p = *state;
    (void)request(p, "POST", "/1", "", true);
    (void)request(p, "GET", "/2", "", false);
    (void)request(p, "GET", "/3", "", false);
    exchange(p);
    respond(p, 3, 200, "", -1, true);
    send_text(&p->server, 3, "par");
    answer(p, 5, 200);
    testing_forget(&p->client);
    testing_forget(&p->server);

    feed_end(&p->client);
    assert_logged(&p->client, "failed 3 ended\n");
    assert_logged(&p->client, "failed 1 ended\n");
    assert_not_logged(&p->client, "failed 5");
    assert_true(is_over(&p->client));
    assert_false(can_request(&p->client));

    /* The second came whole, and its answer may still be heard. */
    feed_end(&p->server);
    assert_log(&p->server, "failed 1 ended\n");
    assert_false(is_over(&p->server));
    send_end(&p->server, 3, "");
    assert_true(is_over(&p->server));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_reset_is_told_to_the_other_side_only),
        TEST(a_stream_may_be_reset_in_its_event),
        TEST(no_more_streams_than_allowed),
        TEST(streams_beyond_the_limit_are_refused),
        TEST(going_away_ends_when_all_is_answered),
        TEST(a_client_goes_away),
        TEST(the_end_of_the_connection_fails_what_is_open),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
