/* A Kafka for tests: librdkafka's mock cluster, which speaks the real protocol, and a consumer that
 * prints what arrived.
 *
 *   kafka_mock TOPIC PARTITIONS
 *
 * Prints "ready HOST:PORT", then for each message "PARTITION KEY VALUE". Reads orders, a line each:
 * "down", "up" (the broker's connections), "refuse N" (the next N produce requests fail). Ends
 * with its standard input. */
#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { POLL_MS = 20, BROKER = 1, KEY_PRODUCE = 0, REFUSALS_MAX = 100 };

struct mock {
    rd_kafka_t *host, *consumer;
    rd_kafka_mock_cluster_t *cluster;
};

static int failed(const char *what, const char *why)
{
    (void)fprintf(stderr, "kafka_mock: %s: %s\n", what, why);
    return EXIT_FAILURE;
}

static bool create_cluster(struct mock *m, const char *topic, int partitions)
{
    char text[256] = "";
    m->host = rd_kafka_new(RD_KAFKA_PRODUCER, rd_kafka_conf_new(), text, sizeof(text));
    m->cluster = m->host == NULL ? NULL : rd_kafka_mock_cluster_new(m->host, 1);
    return m->cluster != NULL && rd_kafka_mock_topic_create(m->cluster, topic, partitions, 1) ==
                                     RD_KAFKA_RESP_ERR_NO_ERROR;
}

static bool create_consumer(struct mock *m, const char *topic, int partitions)
{
    char text[256] = "";
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    (void)rd_kafka_conf_set(conf, "bootstrap.servers", rd_kafka_mock_cluster_bootstraps(m->cluster),
                            text, sizeof(text));
    (void)rd_kafka_conf_set(conf, "group.id", "test", text, sizeof(text));
    (void)rd_kafka_conf_set(conf, "log_level", "0", text, sizeof(text));
    (void)rd_kafka_conf_set(conf, "reconnect.backoff.max.ms", "200", text, sizeof(text));
    m->consumer = rd_kafka_new(RD_KAFKA_CONSUMER, conf, text, sizeof(text));
    if (m->consumer == NULL) {
        return false;
    }
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(partitions);
    for (int i = 0; i < partitions; i++) {
        rd_kafka_topic_partition_list_add(list, topic, i)->offset = RD_KAFKA_OFFSET_BEGINNING;
    }
    (void)rd_kafka_poll_set_consumer(m->consumer);
    rd_kafka_resp_err_t error = rd_kafka_assign(m->consumer, list);
    rd_kafka_topic_partition_list_destroy(list);
    return error == RD_KAFKA_RESP_ERR_NO_ERROR;
}

static void print_messages(struct mock *m)
{
    for (rd_kafka_message_t *message = rd_kafka_consumer_poll(m->consumer, POLL_MS);
         message != NULL; message = rd_kafka_consumer_poll(m->consumer, 0)) {
        if (message->err == RD_KAFKA_RESP_ERR_NO_ERROR) {
            printf("%d %.*s %.*s\n", (int)message->partition, (int)message->key_len,
                   (const char *)message->key, (int)message->len, (const char *)message->payload);
        }
        rd_kafka_message_destroy(message);
    }
    (void)fflush(stdout);
}

static void refuse(struct mock *m, int count)
{
    rd_kafka_resp_err_t errors[REFUSALS_MAX];
    count = count > REFUSALS_MAX ? REFUSALS_MAX : count;
    for (int i = 0; i < count; i++) {
        errors[i] = RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE;
    }
    rd_kafka_mock_push_request_errors_array(m->cluster, KEY_PRODUCE, (size_t)count, errors);
}

static void obey(struct mock *m, const char *order)
{
    if (strncmp(order, "down", 4) == 0) {
        (void)rd_kafka_mock_broker_set_down(m->cluster, BROKER);
    } else if (strncmp(order, "up", 2) == 0) {
        (void)rd_kafka_mock_broker_set_up(m->cluster, BROKER);
    } else if (strncmp(order, "refuse ", 7) == 0) {
        refuse(m, atoi(order + 7));
    }
    printf("done\n");
}

static void serve(struct mock *m)
{
    char order[128];
    struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};
    for (;;) {
        print_messages(m);
        if (poll(&input, 1, 0) > 0) {
            ssize_t n = read(STDIN_FILENO, order, sizeof(order) - 1);
            if (n <= 0) {
                return;
            }
            order[n] = '\0';
            obey(m, order);
        }
    }
}

int main(int argc, char **argv)
{
    struct mock m = {0};
    int partitions = argc == 3 ? atoi(argv[2]) : 0;
    if (partitions < 1) {
        return failed("usage", "kafka_mock TOPIC PARTITIONS");
    }
    if (!create_cluster(&m, argv[1], partitions) || !create_consumer(&m, argv[1], partitions)) {
        return failed("start", "the cluster cannot be made");
    }
    printf("ready %s\n", rd_kafka_mock_cluster_bootstraps(m.cluster));
    (void)fflush(stdout);
    serve(&m);
    (void)rd_kafka_consumer_close(m.consumer);
    rd_kafka_destroy(m.consumer);
    rd_kafka_mock_cluster_destroy(m.cluster);
    rd_kafka_destroy(m.host);
    return EXIT_SUCCESS;
}
