/* Jobs that send to Kafka: librdkafka's mock cluster, in this process. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "controlplane/export/export_fixture.h"

/* Far below what a broker is given to answer (a minute), far above what a busy machine takes. */
#define ENDS_WITHIN_NS INT64_C(20000000000)

enum { KEY_PRODUCE = 0, CONSUME_MS = 60000 };

struct cluster {
    rd_kafka_t *host;
    rd_kafka_mock_cluster_t *mock;
};

static struct cluster start_cluster(void)
{
    struct cluster c = {.host = rd_kafka_new(RD_KAFKA_PRODUCER, rd_kafka_conf_new(), NULL, 0)};
    assert_non_null(c.host);
    c.mock = rd_kafka_mock_cluster_new(c.host, 1);
    assert_non_null(c.mock);
    assert_int_equal(rd_kafka_mock_topic_create(c.mock, "audit", 1, 1), 0);
    return c;
}

static void end_cluster(struct cluster *c)
{
    rd_kafka_mock_cluster_destroy(c->mock);
    rd_kafka_destroy(c->host);
}

static void configure(struct test *t, const struct cluster *c, const char *more)
{
    char text[512];
    (void)snprintf(text, sizeof(text),
                   "- {name: k, from: beginning, kafka: {brokers: ['%s'], topic: audit%s}}\n",
                   rd_kafka_mock_cluster_bootstraps(c->mock), more);
    export_configure(t, text);
}

/* The first `count` messages as "KEY VALUE\n", owned. */
static char *consume(const struct cluster *c, size_t count)
{
    char text[256];
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    (void)rd_kafka_conf_set(conf, "bootstrap.servers", rd_kafka_mock_cluster_bootstraps(c->mock),
                            text, sizeof(text));
    (void)rd_kafka_conf_set(conf, "group.id", "test", text, sizeof(text));
    rd_kafka_t *consumer = rd_kafka_new(RD_KAFKA_CONSUMER, conf, text, sizeof(text));
    assert_non_null(consumer);
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(list, "audit", 0)->offset = RD_KAFKA_OFFSET_BEGINNING;
    assert_int_equal(rd_kafka_assign(consumer, list), 0);
    rd_kafka_topic_partition_list_destroy(list);
    struct buffer out;
    buffer_init(&out, 1 << 24);
    for (size_t i = 0; i < count; i++) {
        rd_kafka_message_t *m = rd_kafka_consumer_poll(consumer, CONSUME_MS);
        assert_non_null(m);
        assert_int_equal(m->err, 0);
        assert_int_equal(buffer_append(&out, bytes_of(m->key, m->key_len)), OK);
        assert_int_equal(buffer_append_string(&out, " "), OK);
        assert_int_equal(buffer_append(&out, bytes_of(m->payload, m->len)), OK);
        assert_int_equal(buffer_append_string(&out, "\n"), OK);
        rd_kafka_message_destroy(m);
    }
    (void)rd_kafka_consumer_close(consumer);
    rd_kafka_destroy(consumer);
    char *all = bytes_to_string(buffer_bytes(&out));
    buffer_finish(&out);
    return all;
}

static void records_are_delivered_in_order_with_their_session(void **state)
{
    struct test *t = *state;
    struct cluster c = start_cluster();
    export_ship(t, "session-a", 2);
    configure(t, &c, "");
    export_await_position(t, 3);
    export_ship(t, "session-b", 1);
    export_await_position(t, 5);
    char *all = consume(&c, 5);
    const char *at = all;
    for (int i = 1; i <= 5; i++) {
        char expected[32];
        (void)snprintf(expected, sizeof(expected), "\"position\":%d,", i);
        assert_non_null(strstr(at, expected));
        assert_int_equal(strncmp(at, i <= 3 ? "session-a " : "session-b ", 10), 0);
        at = strchr(at, '\n') + 1;
    }
    free(all);
    export_end(t);
    end_cluster(&c);
}

static void a_broker_that_is_away_is_waited_for(void **state)
{
    struct test *t = *state;
    struct cluster c = start_cluster();
    export_ship(t, "session-a", 1);
    configure(t, &c, "");
    export_await_position(t, 2);
    (void)rd_kafka_mock_broker_set_down(c.mock, 1);
    export_ship(t, "session-b", 1);
    (void)usleep(500000); /* while nothing can arrive */
    assert_int_equal(export_first(t).status.position, 2);
    (void)rd_kafka_mock_broker_set_up(c.mock, 1);
    export_await_position(t, 4);
    char *all = consume(&c, 4);
    assert_non_null(strstr(all, "\"position\":4,"));
    free(all);
    export_end(t);
    end_cluster(&c);
}

/* One record too large for the broker must not hold up the others, nor vanish. */
static void a_record_that_is_too_large_is_said_to_be(void **state)
{
    struct test *t = *state;
    struct cluster c = start_cluster();
    export_ship(t, "session-a", 1);
    char *text = malloc(20001);
    assert_non_null(text);
    memset(text, 'x', 20000);
    text[20000] = '\0';
    ProtobufCBinaryData bytes =
        stream_maker_intent(&t->maker, "session-a", text, "orders", CHAPERONE__V1__VERDICT__ALLOW);
    struct audit_record record;
    struct store_audit_appended appended;
    assert_int_equal(audit_record_parse(bytes_of(bytes.data, bytes.len), t->arena, &record, NULL),
                     OK);
    assert_int_equal(store_audit_append(t->store, "s1", &record.stored, 1,
                                        clock_wall(&t->ingest.clock), &appended, NULL, NULL),
                     OK);
    free(text);
    configure(t, &c, ", options: {message.max.bytes: 10000}");
    export_await_position(t, 3);
    assert_int_equal(export_first(t).status.omitted, 1);
    char *all = consume(&c, 3);
    assert_non_null(strstr(all, "\"position\":3,"));
    assert_non_null(strstr(all, "\"omitted\":\"too_large\""));
    free(all);
    export_end(t);
    end_cluster(&c);
}

static void what_a_broker_refuses_is_said_to_be_left_out(void **state)
{
    struct test *t = *state;
    struct cluster c = start_cluster();
    export_ship(t, "session-a", 1);
    rd_kafka_mock_push_request_errors(c.mock, KEY_PRODUCE, 1, RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE);
    configure(t, &c, "");
    export_await_position(t, 2);
    assert_true(export_first(t).status.omitted > 0);
    char *log = export_read(export_path(t, "log"));
    assert_non_null(strstr(log, "export_record_omitted"));
    free(log);
    export_end(t);
    end_cluster(&c);
}

static void nobody_listens_and_it_ends_in_time(void **state)
{
    struct test *t = *state;
    export_ship(t, "session-a", 1);
    export_configure(t, "- {name: k, from: beginning, kafka: {brokers: ['127.0.0.1:1'], topic: "
                        "audit}}\n");
    (void)usleep(300000); /* it has begun to connect */
    const struct clock clock = clock_system();
    int64_t began = clock_monotonic(&clock);
    export_end(t);
    assert_true(clock_monotonic(&clock) - began < ENDS_WITHIN_NS);
}

static void options_that_cannot_be_are_found_before_anything_runs(void **state)
{
    (void)state;
    static const struct {
        const char *more, *expected;
    } mistakes[] = {
        {"options: {compression.typ: lz4}",
         "x.yaml:3:78: exports[0].kafka.options.compression.typ"},
        {"options: {compression.type: lz5}", "expected another value"},
        {"secrets: {sasl.pasword: {env: P}}", "expected an option of librdkafka"},
    };
    for (size_t i = 0; i < sizeof(mistakes) / sizeof(mistakes[0]); i++) {
        char text[512];
        struct config *config = NULL;
        struct err_text why = {0};
        (void)snprintf(
            text, sizeof(text),
            "data: d\nexports:\n  - {name: k, kafka: {brokers: ['a:1'], topic: t, %s}}\n",
            mistakes[i].more);
        assert_int_equal(config_load_text("x.yaml", bytes_of_string(text), &config, &why), OK);
        assert_int_equal(exports_check(config, &why), ERR_INVALID);
        if (strstr(why.text, mistakes[i].expected) == NULL) {
            fail_msg("%s: %s", mistakes[i].more, why.text);
        }
        config_release(config);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        EXPORT_TEST(records_are_delivered_in_order_with_their_session),
        EXPORT_TEST(a_broker_that_is_away_is_waited_for),
        EXPORT_TEST(a_record_that_is_too_large_is_said_to_be),
        EXPORT_TEST(what_a_broker_refuses_is_said_to_be_left_out),
        EXPORT_TEST(nobody_listens_and_it_ends_in_time),
        cmocka_unit_test(options_that_cannot_be_are_found_before_anything_runs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
