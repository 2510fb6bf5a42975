/* A peer that keeps us busy, and one that only looks like it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "sidecar/protocol/http/http2/http2_testing.h"

static void feed_text(struct testing_side *side, const char *text)
{
    struct buffer in;
    buffer_init(&in, 4 << 20);
    testing_frames(&in, text);
    testing_feed(side, buffer_bytes(&in), SIZE_MAX);
    buffer_finish(&in);
}

static void start_server(struct testing_side *side)
{
    testing_start(side, true);
    feed_text(side, "preface settings:0:0: settings:1:0:");
    buffer_clear(&side->out);
}

static void start_client(struct testing_side *side)
{
    testing_start(side, false);
    struct http_request r = testing_request("GET", "/");
    assert_int_equal(side->codec->ops->send_request(side->codec, &r, false), 1);
    feed_text(side, "settings:0:0: settings:1:0:");
    buffer_clear(&side->out);
}

static bool is_told_to_calm_down(struct testing_side *side)
{
    static char text[1 << 20];
    if (buffer_size(&side->out) == 0) {
        return false;
    }
    testing_describe(buffer_bytes(&side->out), text, sizeof(text));
    buffer_clear(&side->out);
    size_t n = strlen(text);
    bool is_last = n > 3 && strcmp(text + n - 3, ":11") == 0 && strstr(text, "goaway") != NULL;
    assert_int_equal(is_last, side->codec->ops->is_over(side->codec));
    return is_last;
}

/* Feeds `text`, with %u being the next stream where it has one, until it is too much; how often. */
static uint32_t feed_until_refused(struct testing_side *side, const char *text, uint32_t first,
                                   uint32_t limit)
{
    for (uint32_t i = 0; i < limit; i++) {
        char frames[512];
        char stream[16];
        (void)snprintf(stream, sizeof(stream), "%x", first + 2 * i);
        size_t at = 0;
        for (const char *c = text; *c != '\0'; c++) {
            at += (size_t)(*c == '#' ? snprintf(frames + at, sizeof(frames) - at, "%s", stream)
                                     : snprintf(frames + at, sizeof(frames) - at, "%c", *c));
        }
        feed_text(side, frames);
        if (is_told_to_calm_down(side)) {
            assert_non_null(strstr(testing_log(side), "failed 0 protocol\n"));
            return i + 1;
        }
        testing_forget(side);
    }
    return limit;
}

static void floods_end_the_connection(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        const char *frames; /* # is the next stream */
        uint32_t limit;     /* after how many of them at the latest */
    } cases[] = {
        {"rapid reset", "headers:4:#:@post rst:0:#:00000008", 202},
        {"rapid reset of whole requests", "headers:5:#:@get rst:0:#:00000008", 202},
        {"resets that we are made to do", "headers:4:#:@post window:0:#:7fffffff", 202},
        {"heads that are malformed", "headers:5:#:@get{connection=close}", 202},
        {"PING", "ping:0:0:*8:00", 62000},
        {"answers to no PING", "ping:1:0:*8:00", 62000},
        {"SETTINGS", "settings:0:0:", 1100},
        {"SETTINGS with values", "settings:0:0:000400000001000400000002", 1100},
        {"WINDOW_UPDATE", "window:0:0:00000001", 90000},
        {"PRIORITY", "priority:0:#:0000000010", 80000},
        {"unknown frames", "unknown:0:0:*200:00", 5100},
        {"empty frames of an unknown type", "unknown:0:0:", 120000},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct testing_side side;
        start_server(&side);
        uint32_t count = feed_until_refused(&side, cases[i].frames, 1, cases[i].limit + 1);
        if (count > cases[i].limit) {
            fail_msg("%s: not refused after %u", cases[i].name, count);
        }
        assert_true(count > 100);
        testing_finish(&side);
    }
}

static void floods_in_one_stream(void **state)
{
    (void)state;
    static const struct {
        const char *name, *frames;
        uint32_t limit;
    } cases[] = {
        {"empty DATA", "data:0:1:", 200000},
        {"DATA that is only padding", "data:8:1:ff*255:00", 6000},
        {"a window that opens byte by byte", "window:0:1:00000001", 160000},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct testing_side side;
        start_server(&side);
        feed_text(&side, "settings:0:0:000400000000 headers:4:1:@post");
        struct http_response r = {
            .version = HTTP_2, .status = 200, .body_size = HTTP_SIZE_UNKNOWN, .has_body = true};
        static uint8_t body[1 << 20];
        side.codec->ops->send_response(side.codec, 1, &r);
        side.codec->ops->send_data(side.codec, 1, bytes_of(body, sizeof(body)));
        buffer_clear(&side.out);
        uint32_t count = feed_until_refused(&side, cases[i].frames, 1, cases[i].limit + 1);
        if (count > cases[i].limit) {
            fail_msg("%s: not refused after %u", cases[i].name, count);
        }
        testing_finish(&side);
    }
}

static void continuations_end(void **state)
{
    (void)state;
    struct testing_side side;
    start_server(&side);
    feed_text(&side, "headers:1:1:@get");
    uint32_t count = feed_until_refused(&side, "continuation:0:1:{a=b}", 1, 1000);
    assert_in_range(count, 9, 100);
    testing_finish(&side);
}

/* RFC 7541: a field of 4000 bytes goes into the table, and is then named by one byte again and
 * again. */
static void a_bomb_of_references_ends(void **state)
{
    (void)state;
    struct testing_side side;
    struct buffer frames;
    start_server(&side);
    buffer_init(&frames, 1 << 20);
    /* 40: literal, indexed; 01 'x'; 7f a11e: 4000 bytes. */
    testing_frames(&frames, "headers:0:1:@get4001787fa11e*4000:61*3000:be");
    testing_feed(&side, buffer_bytes(&frames), SIZE_MAX);
    assert_true(is_told_to_calm_down(&side));
    assert_string_equal(testing_log(&side), "failed 0 protocol\n");
    buffer_finish(&frames);
    testing_finish(&side);

    /* A head that is only too large is answered. */
    start_server(&side);
    buffer_init(&frames, 1 << 20);
    testing_frames(&frames, "headers:5:1:@get4001787fa11e*4000:61*100:be ping:0:0:*8:00");
    testing_feed(&side, buffer_bytes(&frames), SIZE_MAX);
    assert_false(is_told_to_calm_down(&side));
    assert_string_equal(testing_log(&side), "failed 1 too-large\n");
    struct http_response r = {.version = HTTP_2, .status = 431};
    side.codec->ops->send_response(side.codec, 1, &r);
    char text[64];
    testing_describe(buffer_bytes(&side.out), text, sizeof(text));
    assert_string_equal(text, "headers:1:end");
    buffer_finish(&frames);
    testing_finish(&side);
}

static void a_target_that_only_informs_ends(void **state)
{
    (void)state;
    struct testing_side side;
    start_client(&side);
    uint32_t count = feed_until_refused(&side, "headers:4:1:{:status=103}", 1, 100);
    assert_in_range(count, 10, 20);
    testing_finish(&side);
}

static void answer(struct testing_side *side, uint32_t stream)
{
    struct http_response r = {.version = HTTP_2, .status = 204};
    side->codec->ops->send_response(side->codec, stream, &r);
}

static void busy_agents_are_served(void **state)
{
    (void)state;
    static const struct {
        const char *name, *frames;
        uint32_t count;
    } cases[] = {
        {"requests", "headers:5:#:@get", 5000},
        {"requests with a PING each", "headers:5:#:@get ping:0:0:*8:00", 5000},
        {"requests with bodies in small pieces",
         "headers:4:#:@post data:0:#:61 data:0:#:61 data:0:#:61 data:1:#:61", 3000},
        {"padded bodies", "headers:4:#:@post data:9:#:ff61*255:00", 3000},
        {"pings for a day", "ping:0:0:*8:00", 8640},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct testing_side side;
        start_server(&side);
        side.on_end = answer;
        assert_int_equal(feed_until_refused(&side, cases[i].frames, 1, cases[i].count),
                         cases[i].count);
        assert_false(side.codec->ops->is_over(side.codec));
        testing_finish(&side);
    }
}

/* As many streams broken off as came to an end: a client with deadlines. */
static void every_second_request_is_broken_off(void **state)
{
    (void)state;
    struct testing_side side;
    start_server(&side);
    side.on_end = answer;
    for (uint32_t i = 0; i < 2000; i++) {
        char frames[256];
        (void)snprintf(frames, sizeof(frames),
                       "headers:5:%x:@get headers:4:%x:@post rst:0:%x:00000008", 4 * i + 1,
                       4 * i + 3, 4 * i + 3);
        feed_text(&side, frames);
        assert_false(is_told_to_calm_down(&side));
        testing_forget(&side);
    }
    testing_finish(&side);
}

/* A download whose reader opens its windows after every frame. */
static void a_long_download_goes_on(void **state)
{
    (void)state;
    struct testing_side side;
    start_server(&side);
    feed_text(&side, "headers:5:1:@get");
    struct http_response r = {
        .version = HTTP_2, .status = 200, .body_size = HTTP_SIZE_UNKNOWN, .has_body = true};
    side.codec->ops->send_response(side.codec, 1, &r);
    static uint8_t piece[1000];
    for (uint32_t i = 0; i < 50000; i++) {
        side.codec->ops->send_data(side.codec, 1, bytes_of(piece, sizeof(piece)));
        feed_text(&side, "window:0:0:000003e8 window:0:1:000003e8");
        assert_int_equal(side.codec->ops->waiting(side.codec, 1), 0);
        buffer_clear(&side.out);
    }
    assert_false(side.codec->ops->is_over(side.codec));
    testing_finish(&side);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(floods_end_the_connection),
        cmocka_unit_test(floods_in_one_stream),
        cmocka_unit_test(continuations_end),
        cmocka_unit_test(a_bomb_of_references_ends),
        cmocka_unit_test(a_target_that_only_informs_ends),
        cmocka_unit_test(busy_agents_are_served),
        cmocka_unit_test(every_second_request_is_broken_off),
        cmocka_unit_test(a_long_download_goes_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
