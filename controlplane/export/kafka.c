#include "controlplane/export/kafka.h"

#include <librdkafka/rdkafka.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "controlplane/credentials/credentials.h"

enum {
    /* A batch that is not delivered by then is reported, and sent again. */
    MESSAGE_TIMEOUT_MS = 15000,
    POLL_MS = 50,
    /* What a message has beside its value: key, headers, the protocol's own. */
    MESSAGE_OVERHEAD = 1024,
    DESTROY_POLL_MS = 5,
    DESTROY_WAIT_MS = 1000, /* when the job is to end */
};

struct kafka_sink {
    struct export_sink base;
    struct export_sink_options with;
    rd_kafka_t *producer; /* NULL: none */
    /* Of the batch under way. Reports of earlier batches carry another number. */
    uint64_t batch;
    size_t outstanding;
    rd_kafka_resp_err_t failed; /* the first that was reported */
    size_t refused;             /* a message that no broker will take; SIZE_MAX: none */
    char reason[256];           /* of the last error that librdkafka told */
};

/* --- options ------------------------------------------------------------------------------------
 */

static enum err set(rd_kafka_conf_t *conf, const char *name, const char *value,
                    const struct conf_node *node, bool is_secret, struct err_text *why)
{
    char text[256] = "";
    rd_kafka_conf_res_t result = rd_kafka_conf_set(conf, name, value, text, sizeof(text));
    if (result == RD_KAFKA_CONF_OK) {
        return OK;
    }
    if (result == RD_KAFKA_CONF_UNKNOWN) {
        return conf_fail(node, why, "expected an option of librdkafka, found \"%.64s\"", name);
    }
    return is_secret ? conf_fail(node, why, "expected another value: librdkafka refuses it")
                     : conf_fail(node, why, "expected another value: %.200s", text);
}

static enum err set_ours(rd_kafka_conf_t *conf, const struct config_export *config,
                         struct err_text *why)
{
    char timeout[16], brokers[4096] = "";
    size_t at = 0;
    (void)snprintf(timeout, sizeof(timeout), "%d", MESSAGE_TIMEOUT_MS);
    for (size_t i = 0; i < config->kafka.brokers.count && at < sizeof(brokers); i++) {
        int n = snprintf(brokers + at, sizeof(brokers) - at, "%s%s", i == 0 ? "" : ",",
                         config->kafka.brokers.items[i]);
        at += n < 0 ? 0 : (size_t)n;
    }
    if (at >= sizeof(brokers)) {
        return conf_fail(config->kafka.node, why, "expected brokers of 4 KiB in all, found more");
    }
    const struct {
        const char *name, *value;
    } ours[] = {{"bootstrap.servers", brokers},
                {"client.id", "chaperone"},
                {"acks", "all"},
                {"enable.idempotence", "true"},
                {"message.timeout.ms", timeout},
                /* A record is seen soon after it arrived, and a batch is still one request. */
                {"linger.ms", "5"},
                {"queue.buffering.max.kbytes", "65536"}};
    enum err e = OK;
    for (size_t i = 0; e == OK && i < sizeof(ours) / sizeof(ours[0]); i++) {
        e = set(conf, ours[i].name, ours[i].value, config->kafka.node, false, why);
    }
    return e;
}

/* `k` NULL: secrets are not read. */
static enum err set_options(rd_kafka_conf_t *conf, const struct config_export *config,
                            const struct kafka_sink *k, struct err_text *why)
{
    enum err e = OK;
    for (size_t i = 0; e == OK && i < config->kafka.option_count; i++) {
        const struct config_export_option *o = &config->kafka.options[i];
        if (o->value != NULL) {
            e = set(conf, o->name, o->value, o->node, false, why);
            continue;
        }
        char value[8];
        size_t size = sizeof(value);
        if (k == NULL) {
            e = rd_kafka_conf_get(conf, o->name, value, &size) == RD_KAFKA_CONF_UNKNOWN
                    ? conf_fail(o->node, why, "expected an option of librdkafka, found \"%.64s\"",
                                o->name)
                    : OK;
            continue;
        }
        const struct config_credential named = {.name = o->name, .user = "", .password = o->secret};
        struct credentials_values values = {0};
        e = credentials_read(&named, k->with.vault, k->with.store, &values, why);
        char *text = e == OK ? bytes_to_string(buffer_bytes(&values.password)) : NULL;
        if (e == OK) {
            e = text == NULL ? ERR_NO_MEMORY : set(conf, o->name, text, o->node, true, why);
        }
        if (text != NULL) {
            bytes_wipe(text, strlen(text));
        }
        free(text);
        credentials_finish(&values);
    }
    return e;
}

enum err export_kafka_check(const struct config_export *config, struct err_text *why)
{
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    enum err e = set_ours(conf, config, why);
    e = e == OK ? set_options(conf, config, NULL, why) : e;
    rd_kafka_conf_destroy(conf);
    return e;
}

/* --- callbacks: on our thread, in rd_kafka_poll -------------------------------------------------
 */

/* The number of the batch, and of the line in it. */
static void *opaque_of(uint64_t batch, size_t line)
{
    return (void *)(uintptr_t)(batch << 20 | line);
}

static void on_delivery(rd_kafka_t *producer, const rd_kafka_message_t *message, void *context)
{
    (void)producer;
    struct kafka_sink *k = context;
    uint64_t opaque = (uint64_t)(uintptr_t)message->_private;
    if (opaque >> 20 != k->batch) {
        return;
    }
    k->outstanding--;
    if (message->err == RD_KAFKA_RESP_ERR_NO_ERROR) {
        return;
    }
    if (message->err == RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE ||
        message->err == RD_KAFKA_RESP_ERR_INVALID_RECORD) {
        size_t line = (size_t)(opaque & 0xfffff);
        k->refused = line < k->refused ? line : k->refused;
    } else if (k->failed == RD_KAFKA_RESP_ERR_NO_ERROR) {
        k->failed = message->err;
    }
}

static void on_error(rd_kafka_t *producer, int error, const char *reason, void *context)
{
    (void)producer, (void)error;
    struct kafka_sink *k = context;
    (void)snprintf(k->reason, sizeof(k->reason), "%s", reason);
}

/* It would write to standard error. What matters comes as an error, or with a report. */
static void on_log(const rd_kafka_t *producer, int level, const char *facility, const char *text)
{
    (void)producer, (void)level, (void)facility, (void)text;
}

/* --- life ---------------------------------------------------------------------------------------
 */

static void *destroy_producer(void *producer)
{
    rd_kafka_destroy(producer);
    return NULL;
}

/* Its threads may be in the resolver, which may take long: nobody waits for that who is to end.
 * No callback of ours runs there but on_log, which needs nothing. */
static void discard(struct kafka_sink *k)
{
    rd_kafka_t *producer = k->producer;
    pthread_t thread;
    if (producer == NULL) {
        return;
    }
    k->producer = NULL;
    (void)rd_kafka_purge(producer, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT |
                                       RD_KAFKA_PURGE_F_NON_BLOCKING);
    (void)rd_kafka_poll(producer, 0);
    if (pthread_create(&thread, NULL, destroy_producer, producer) != 0) {
        rd_kafka_destroy(producer);
        return;
    }
    for (int waited = 0; pthread_tryjoin_np(thread, NULL) != 0; waited += DESTROY_POLL_MS) {
        if (export_stop_asked(k->with.stop) && waited >= DESTROY_WAIT_MS) {
            (void)pthread_detach(thread);
            return;
        }
        (void)poll(NULL, 0, DESTROY_POLL_MS);
    }
}

static enum err make_producer(struct kafka_sink *k, struct err_text *why)
{
    char text[256] = "";
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    enum err e = set_ours(conf, k->with.config, why);
    e = e == OK ? set_options(conf, k->with.config, k, why) : e;
    if (e != OK) {
        rd_kafka_conf_destroy(conf);
        return e;
    }
    size_t size = sizeof(text);
    if (rd_kafka_conf_get(conf, "message.max.bytes", text, &size) == RD_KAFKA_CONF_OK) {
        size_t max = (size_t)strtoul(text, NULL, 10);
        k->base.line_max = max > 2 * MESSAGE_OVERHEAD ? max - MESSAGE_OVERHEAD : MESSAGE_OVERHEAD;
    }
    rd_kafka_conf_set_opaque(conf, k);
    rd_kafka_conf_set_dr_msg_cb(conf, on_delivery);
    rd_kafka_conf_set_error_cb(conf, on_error);
    rd_kafka_conf_set_log_cb(conf, on_log);
    k->reason[0] = '\0';
    k->producer = rd_kafka_new(RD_KAFKA_PRODUCER, conf, text, sizeof(text));
    if (k->producer == NULL) {
        rd_kafka_conf_destroy(conf);
        return conf_fail(k->with.config->kafka.node, why, "expected other options: %.200s", text);
    }
    return OK;
}

/* --- sending ------------------------------------------------------------------------------------
 */

static rd_kafka_resp_err_t produce_one(struct kafka_sink *k, const struct export_line *line,
                                       size_t number)
{
    const char *session = line->entry->session;
    const char *key = session[0] == '\0' ? line->entry->sidecar : session;
    return rd_kafka_producev(k->producer, RD_KAFKA_V_TOPIC(k->with.config->kafka.topic),
                             RD_KAFKA_V_KEY((void *)(uintptr_t)key, strlen(key)),
                             RD_KAFKA_V_VALUE((void *)(uintptr_t)line->text.data, line->text.size),
                             RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
                             RD_KAFKA_V_OPAQUE(opaque_of(k->batch, number)), RD_KAFKA_V_END);
}

static enum err failed(const struct kafka_sink *k, rd_kafka_resp_err_t error, struct err_text *why)
{
    return err_set(why, ERR_UNAVAILABLE, "topic %s: %s%s%s", k->with.config->kafka.topic,
                   rd_kafka_err2str(error), k->reason[0] == '\0' ? "" : ": ", k->reason);
}

static enum err produce(struct kafka_sink *k, const struct export_line *lines, size_t count,
                        size_t *out_refused, struct err_text *why)
{
    for (size_t i = 0; i < count; i++) {
        rd_kafka_resp_err_t error = produce_one(k, &lines[i], i);
        while (error == RD_KAFKA_RESP_ERR__QUEUE_FULL && !export_stop_asked(k->with.stop)) {
            (void)rd_kafka_poll(k->producer, POLL_MS);
            error = produce_one(k, &lines[i], i);
        }
        if (export_stop_asked(k->with.stop)) {
            return ERR_CLOSED;
        }
        if (error == RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE) {
            *out_refused = i;
            return err_set(why, ERR_LIMIT, "topic %s: the message is too large",
                           k->with.config->kafka.topic);
        }
        if (error != RD_KAFKA_RESP_ERR_NO_ERROR) {
            return failed(k, error, why);
        }
        k->outstanding++;
    }
    return OK;
}

static enum err await_reports(struct kafka_sink *k, size_t *out_refused, struct err_text *why)
{
    while (k->outstanding > 0) {
        (void)rd_kafka_poll(k->producer, POLL_MS);
        if (export_stop_asked(k->with.stop)) {
            return ERR_CLOSED;
        }
        if (k->failed != RD_KAFKA_RESP_ERR_NO_ERROR) {
            return failed(k, k->failed, why);
        }
    }
    if (k->refused != SIZE_MAX) {
        *out_refused = k->refused;
        return err_set(why, ERR_LIMIT, "topic %s: a broker refuses the message",
                       k->with.config->kafka.topic);
    }
    return k->failed == RD_KAFKA_RESP_ERR_NO_ERROR ? OK : failed(k, k->failed, why);
}

static enum err kafka_send(struct export_sink *sink, const struct export_line *lines, size_t count,
                           size_t *out_refused, struct err_text *why)
{
    struct kafka_sink *k = (struct kafka_sink *)sink;
    enum err e = k->producer != NULL ? OK : make_producer(k, why);
    k->batch++;
    k->outstanding = 0;
    k->failed = RD_KAFKA_RESP_ERR_NO_ERROR;
    k->refused = SIZE_MAX;
    if (e == OK) {
        e = produce(k, lines, count, out_refused, why);
    }
    if (e == OK) {
        e = await_reports(k, out_refused, why);
    }
    if (e != OK) {
        /* With it goes what it still has queued, which is sent again in its order. */
        discard(k);
    }
    return e;
}

static enum err kafka_tend(struct export_sink *sink, struct err_text *why)
{
    struct kafka_sink *k = (struct kafka_sink *)sink;
    (void)why;
    if (k->producer != NULL) {
        (void)rd_kafka_poll(k->producer, 0);
    }
    return OK;
}

static void kafka_destroy(struct export_sink *sink)
{
    struct kafka_sink *k = (struct kafka_sink *)sink;
    discard(k);
    free(k);
}

enum err export_kafka_create(const struct export_sink_options *options, struct export_sink **out,
                             struct err_text *why)
{
    static const struct export_sink_ops ops = {
        .send = kafka_send, .tend = kafka_tend, .destroy = kafka_destroy};
    struct kafka_sink *k = calloc(1, sizeof(*k));
    if (k == NULL) {
        return ERR_NO_MEMORY;
    }
    k->base = (struct export_sink){.ops = &ops};
    k->with = *options;
    enum err e = make_producer(k, why);
    if (e != OK) {
        free(k);
        return e;
    }
    *out = &k->base;
    return OK;
}
