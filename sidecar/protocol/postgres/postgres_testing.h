/* The state of a test of the conversation: a session that is logged in, and what is said in it
 * next. A failure is the test's. Include it behind cmocka.h. */
#ifndef CHAPERONE_SIDECAR_PROTOCOL_POSTGRES_POSTGRES_TESTING_H
#define CHAPERONE_SIDECAR_PROTOCOL_POSTGRES_POSTGRES_TESTING_H

#include <stdlib.h>

#include "sidecar/protocol/postgres/postgres_fixture.h"
#include "sidecar/protocol/postgres/postgres_messages.h"

struct test {
    struct fixture f;
    struct buffer b; /* messages that no side has said yet */
};

static inline int setup(void **state)
{
    struct test *t = calloc(1, sizeof(*t));
    assert_non_null(t);
    fixture_init(&t->f);
    buffer_init(&t->b, 16 << 20);
    fixture_login(&t->f);
    assert_true(t->f.opened);
    *state = t;
    return 0;
}

static inline int teardown(void **state)
{
    struct test *t = *state;
    fixture_finish(&t->f);
    buffer_finish(&t->b);
    free(t);
    return 0;
}

/* A side says what lies in `b`. */
static inline void agent(struct test *t)
{
    fixture_agent(&t->f, buffer_bytes(&t->b));
    buffer_clear(&t->b);
}

static inline void target(struct test *t)
{
    fixture_target(&t->f, buffer_bytes(&t->b));
    buffer_clear(&t->b);
}

static inline void ask(struct test *t, const char *text)
{
    query(&t->b, text);
    agent(t);
}

/* `status`: of the ReadyForQuery behind it. */
static inline void target_completes(struct test *t, const char *tag, char status)
{
    complete(&t->b, tag);
    ready(&t->b, status);
    target(t);
}

static inline void target_fails(struct test *t, const char *code, char status)
{
    server_error(&t->b, code);
    ready(&t->b, status);
    target(t);
}

static inline void forget_sent(struct test *t)
{
    buffer_clear(&t->f.to_agent);
    buffer_clear(&t->f.to_target);
}

static inline void begin(struct test *t)
{
    ask(t, "BEGIN");
    target_completes(t, "BEGIN", 'T');
    forget_sent(t);
}

typedef void side_fn(struct fixture *f, struct bytes b); /* fixture_agent or fixture_target */

static inline void in_pieces(struct fixture *f, side_fn *side, struct bytes b, size_t piece)
{
    while (b.size > 0) {
        size_t n = b.size < piece ? b.size : piece;
        side(f, bytes_of(b.data, n));
        b = bytes_of(b.data + n, b.size - n);
    }
}

#endif
