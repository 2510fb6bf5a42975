/* A client and a server of ours, back to back, and what tests do with them: the state of a test,
 * which begins with none of their bytes exchanged. A failure is the test's. Include it behind
 * cmocka.h. */
#ifndef CHAPERONE_SIDECAR_PROTOCOL_HTTP_HTTP2_PAIR_H
#define CHAPERONE_SIDECAR_PROTOCOL_HTTP_HTTP2_PAIR_H

#include <stdlib.h>

#include "sidecar/protocol/http/http2/http2_testing.h"

struct pair {
    struct testing_side client, server;
    struct http_field fields[8];
};

static inline void start(struct pair *p)
{
    testing_start(&p->client, false);
    testing_start(&p->server, true);
}

static inline void finish(struct pair *p)
{
    testing_finish(&p->client);
    testing_finish(&p->server);
}

static inline int setup(void **state)
{
    struct pair *p = calloc(1, sizeof(*p));
    assert_non_null(p);
    start(p);
    *state = p;
    return 0;
}

static inline int teardown(void **state)
{
    finish(*state);
    free(*state);
    return 0;
}

static inline void exchange(struct pair *p)
{
    testing_exchange(&p->client, &p->server);
}

/* ---- what a side does ------------------------------------------------------------------------ */

static inline void send_data(struct testing_side *side, uint32_t stream, struct bytes data)
{
    side->codec->ops->send_data(side->codec, stream, data);
}

static inline void send_text(struct testing_side *side, uint32_t stream, const char *text)
{
    send_data(side, stream, bytes_of_string(text));
}

static inline void send_end(struct testing_side *side, uint32_t stream, const char *trailers)
{
    struct http_field into[8];
    struct http_fields f = testing_fields(trailers, into);
    side->codec->ops->send_end(side->codec, stream, &f);
}

static inline void consume(struct testing_side *side, uint32_t stream, size_t size)
{
    side->codec->ops->consumed(side->codec, stream, size);
}

static inline void reset(struct testing_side *side, uint32_t stream, enum http_problem problem)
{
    side->codec->ops->reset(side->codec, stream, problem);
}

/* For testing_side.on_request. */
static inline void reset_it(struct testing_side *side, uint32_t stream)
{
    reset(side, stream, HTTP_PROBLEM_MALFORMED);
}

static inline void allow_streams(struct testing_side *side, uint32_t count)
{
    side->codec->ops->allow_streams(side->codec, count);
}

static inline void go_away(struct testing_side *side)
{
    side->codec->ops->go_away(side->codec);
}

static inline void feed_end(struct testing_side *side)
{
    side->codec->ops->feed_end(side->codec);
}

static inline size_t waiting(struct testing_side *side, uint32_t stream)
{
    return side->codec->ops->waiting(side->codec, stream);
}

static inline size_t open_streams(struct testing_side *side)
{
    return side->codec->ops->open_streams(side->codec);
}

static inline bool can_request(struct testing_side *side)
{
    return side->codec->ops->can_request(side->codec);
}

static inline bool is_over(struct testing_side *side)
{
    return side->codec->ops->is_over(side->codec);
}

/* ---- requests and responses ------------------------------------------------------------------ */

/* Return the stream; 0: it is not sent. */
static inline uint32_t send_request(struct pair *p, const struct http_request *r, bool has_body)
{
    return p->client.codec->ops->send_request(p->client.codec, r, has_body);
}

static inline uint32_t request(struct pair *p, const char *method, const char *target,
                               const char *fields, bool has_body)
{
    struct http_request r = testing_request(method, target);
    r.fields = testing_fields(fields, p->fields);
    return send_request(p, &r, has_body);
}

/* Requests that have arrived, whole and without what will be their bodies. */
static inline uint32_t ask(struct pair *p)
{
    uint32_t id = request(p, "GET", "/", "", false);
    exchange(p);
    return id;
}

static inline uint32_t begin_upload(struct pair *p)
{
    uint32_t id = request(p, "POST", "/", "", true);
    exchange(p);
    return id;
}

/* Borrows `fields`, and the pair's room for them. */
static inline struct http_response response(struct pair *p, unsigned status, const char *fields,
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

static inline void respond(struct pair *p, uint32_t stream, unsigned status, const char *fields,
                           int64_t size, bool has_body)
{
    struct http_response r = response(p, status, fields, size, has_body);
    p->server.codec->ops->send_response(p->server.codec, stream, &r);
}

static inline void inform(struct pair *p, uint32_t stream, unsigned status, const char *fields)
{
    struct http_response r = response(p, status, fields, HTTP_SIZE_UNKNOWN, false);
    p->server.codec->ops->send_informational(p->server.codec, stream, &r);
}

/* A response without a body, which arrives. */
static inline void answer(struct pair *p, uint32_t stream, unsigned status)
{
    respond(p, stream, status, "", 0, false);
    exchange(p);
}

/* ---- what is expected ------------------------------------------------------------------------ */

#define assert_log(side, text) assert_string_equal(testing_log(side), text)
#define assert_logged(side, text) assert_non_null(strstr(testing_log(side), text))
#define assert_not_logged(side, text) assert_null(strstr(testing_log(side), text))

/* Of both. */
static inline void assert_open_streams(struct pair *p, size_t count)
{
    assert_int_equal(open_streams(&p->client), count);
    assert_int_equal(open_streams(&p->server), count);
}

static inline void assert_over(struct pair *p)
{
    assert_true(is_over(&p->server));
    assert_true(is_over(&p->client));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

#endif
