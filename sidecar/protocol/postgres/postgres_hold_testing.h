/* A session whose DELETEs wait for people's decision, and a target that is asked about them
 * meanwhile. A failure is the test's. Include it behind cmocka.h. */
#ifndef CHAPERONE_SIDECAR_PROTOCOL_POSTGRES_POSTGRES_HOLD_TESTING_H
#define CHAPERONE_SIDECAR_PROTOCOL_POSTGRES_POSTGRES_HOLD_TESTING_H

#include <stdio.h>

#include "sidecar/protocol/postgres/postgres_testing.h"

static const char statement[] = "DELETE FROM orders WHERE id = 7";

static inline int setup_hold(void **state)
{
    (void)setup(state);
    struct test *t = *state;
    t->f.hold = "DELETE";
    t->f.hold_tells = t->f.hold_explains = true;
    return 0;
}

static inline void approve(struct test *t)
{
    fixture_decide(&t->f, FIXTURE_APPROVED);
}

static inline void refuse(struct test *t)
{
    fixture_decide(&t->f, FIXTURE_REFUSED);
}

static inline void batch(struct buffer *b, const char *text)
{
    parse(b, "", text);
    ok(pg_write_empty(b, PG_FRONTEND_FLUSH)); /* the Parse leaves by itself */
    bind(b, "", "");
    ok(pg_write_target(b, 'D', 'P', (struct bytes){0}));
    execute(b);
    ok(pg_write_sync(b));
}

/* ---- the target, when it is asked for a prediction ---- */

static const char plan[] = "Delete on orders";
static const char json[] = "[{\"Plan\":{\"Node Type\":\"ModifyTable\",\"Operation\":\"Delete\","
                           "\"Plan Rows\":0,\"Plans\":[{\"Node Type\":\"Seq Scan\","
                           "\"Plan Rows\":3}]}}]";

/* The answer to one question; `value` NULL: no row. */
static inline void answer_to_question(struct buffer *b, const char *value, const char *tag)
{
    answers(b, "3312");
    if (value != NULL) {
        row(b, value);
    }
    complete(b, tag);
    answers(b, "33");
}

/* The answers to both questions about a plan. */
static inline void answers_to_plan(struct buffer *b)
{
    answer_to_question(b, plan, "EXPLAIN");
    answer_to_question(b, json, "EXPLAIN");
}

/* The question `text` was asked, and nothing else; its answer ends with `status`, or without a
 * ReadyForQuery: in a batch. */
static inline void answer(struct test *t, const char *text, const char *value, const char *tag,
                          char status)
{
    assert_true(holds(&t->f.to_target, text));
    assert_string_equal(types(&t->f.to_target), status == 0 ? "CCPBECCH" : "CCPBECCS");
    buffer_clear(&t->f.to_target);
    answer_to_question(&t->b, value, tag);
    if (status != 0) {
        ready(&t->b, status);
    }
    target(t);
}

/* Outside of a transaction the plan has one of its own. */
static inline void answer_plan_of(struct test *t, const char *verb, const char *as_text,
                                  const char *as_json, char status)
{
    char text[80];
    if (status == 'I') {
        answer(t, "BEGIN READ ONLY", NULL, "BEGIN", 'T');
    }
    (void)snprintf(text, sizeof(text), "EXPLAIN %s", verb);
    answer(t, text, as_text, "EXPLAIN", 'T');
    (void)snprintf(text, sizeof(text), "EXPLAIN (FORMAT JSON) %s", verb);
    answer(t, text, as_json, "EXPLAIN", 'T');
    if (status == 'I') {
        answer(t, "ROLLBACK", NULL, "ROLLBACK", 'I');
    }
}

static inline void answer_plan(struct test *t, char status)
{
    answer_plan_of(t, "DELETE", plan, json, status);
}

#endif
