/* Where exports go to over a network: syslog, Kafka. */
#include <arpa/inet.h>

#include "controlplane/config_internal.h"

enum {
    FACILITY_AUDIT = 13, /* "log audit", RFC 5424 section 6.2.1 */
    SYSLOG_PORT_MIN = 1,
    /* RFC 5425 section 4.3.1: what a receiver should take. What stands in for a record that is
     * larger fits into it. */
    SYSLOG_MESSAGE_MIN = 8192,
};

static const int64_t second_ns = 1000000000;

/* --- syslog ------------------------------------------------------------------------------------
 */

/* An address of this machine; of the names only localhost (RFC 6761 section 6.3). */
static bool is_loopback(const char *host)
{
    struct in_addr address;
    return strcmp(host, "::1") == 0 || strcmp(host, "localhost") == 0 ||
           (inet_pton(AF_INET, host, &address) == 1 && ntohl(address.s_addr) >> 24 == 127);
}

static enum err read_syslog_tls(struct config_reader *r, const struct conf_node *map,
                                struct config_export *out)
{
    static const char *const keys[] = {"mode",        "ca_file", "server_name",
                                       "certificate", "key",     NULL};
    static const struct conf_choice modes[] = {{"disable", 0}, {"verify-full", 1}, {NULL, 0}};
    const struct conf_node *tls = NULL;
    int mode = 1;
    enum err e = conf_read_map(map, "tls", &tls, r->why);
    out->syslog.tls = true;
    if (e != OK || tls == NULL) {
        return e;
    }
    e = conf_check_keys(tls, keys, r->why);
    if (e == OK) {
        e = conf_read_choice(tls, "mode", modes, &mode, r->why);
    }
    out->syslog.tls = mode == 1;
    if (e == OK && !out->syslog.tls && !is_loopback(out->syslog.host)) {
        e = conf_fail(tls, r->why,
                      "expected TLS: without it records may go to this machine only (127.0.0.1, "
                      "[::1], localhost), found \"disable\"");
    }
    if (e == OK) {
        e = config_read_file(r, tls, "ca_file", &out->syslog.ca_file);
    }
    if (e == OK) {
        e = conf_read_string(tls, "server_name", &out->syslog.server_name, r->why);
    }
    if (e == OK) {
        e = config_read_secret(r, tls, "certificate", &out->syslog.certificate);
    }
    if (e == OK) {
        e = config_read_secret(r, tls, "key", &out->syslog.key);
    }
    if (e == OK && (out->syslog.certificate.source == CONFIG_SECRET_NONE) !=
                       (out->syslog.key.source == CONFIG_SECRET_NONE)) {
        e = conf_fail(tls, r->why, "expected `certificate` and `key` together, found one of them");
    }
    return e;
}

/* RFC 5424 section 6.2.3: printable ASCII, at most 255. */
static enum err check_hostname(struct config_reader *r, const struct conf_node *map,
                               const char *name)
{
    bool fits = name == NULL || strlen(name) <= 255;
    for (size_t i = 0; fits && name != NULL && name[i] != '\0'; i++) {
        fits = name[i] > ' ' && name[i] < 0x7f;
    }
    return fits ? OK
                : conf_fail(conf_get(map, "hostname"), r->why,
                            "expected at most 255 printable ASCII characters without spaces, "
                            "found others");
}

enum err config_read_export_syslog(struct config_reader *r, const struct conf_node *map,
                                   struct config_export *out)
{
    static const char *const keys[] = {"address",     "tls",     "facility", "hostname",
                                       "message_max", "timeout", NULL};
    static const struct conf_choice facilities[] = {
        {"user", 1},    {"daemon", 3},  {"auth", 4},    {"authpriv", 10}, {"audit", FACILITY_AUDIT},
        {"local0", 16}, {"local1", 17}, {"local2", 18}, {"local3", 19},   {"local4", 20},
        {"local5", 21}, {"local6", 22}, {"local7", 23}, {NULL, 0}};
    const char *address = NULL;
    out->syslog.facility = FACILITY_AUDIT;
    out->syslog.message_max = SYSLOG_MESSAGE_MIN; /* more would be cut by who takes no more */
    out->syslog.timeout_ns = 30 * second_ns;
    enum err e = conf_check_keys(map, keys, r->why);
    if (e == OK) {
        e = conf_require(map, "address", r->why);
    }
    if (e == OK) {
        e = conf_read_string(map, "address", &address, r->why);
    }
    if (e == OK) {
        e = config_split_address(r, conf_get(map, "address"), address, SYSLOG_PORT_MIN,
                                 &out->syslog.host, &out->syslog.port);
    }
    if (e == OK) {
        e = read_syslog_tls(r, map, out);
    }
    if (e == OK) {
        e = conf_read_choice(map, "facility", facilities, &out->syslog.facility, r->why);
    }
    if (e == OK) {
        e = conf_read_string(map, "hostname", &out->syslog.hostname, r->why);
    }
    if (e == OK) {
        e = check_hostname(r, map, out->syslog.hostname);
    }
    if (e == OK) {
        e = conf_read_size(map, "message_max", SYSLOG_MESSAGE_MIN, 16 << 20,
                           &out->syslog.message_max, r->why);
    }
    return e == OK ? conf_read_duration(map, "timeout", second_ns, 600 * second_ns,
                                        &out->syslog.timeout_ns, r->why)
                   : e;
}

/* --- Kafka --------------------------------------------------------------------------------------
 */

/* What at-least-once and the order stand on is not the configuration's. */
static enum err check_option(const struct conf_node *n, bool is_secret, struct err_text *why)
{
    static const char *const secrets[] = {"sasl.password",
                                          "ssl.key.password",
                                          "ssl.key.pem",
                                          "ssl.keystore.password",
                                          "sasl.oauthbearer.client.secret",
                                          NULL};
    for (size_t i = 0; !is_secret && secrets[i] != NULL; i++) {
        if (strcmp(conf_key(n), secrets[i]) == 0) {
            return conf_fail(n, why,
                             "expected it under `secrets` (a secret is never written into "
                             "the configuration), found it here");
        }
    }
    static const char *const ours[] = {"acks",
                                       "request.required.acks",
                                       "enable.idempotence",
                                       "bootstrap.servers",
                                       "metadata.broker.list",
                                       "message.timeout.ms",
                                       "delivery.timeout.ms",
                                       "transactional.id",
                                       "enable.gapless.guarantee",
                                       "dr_cb",
                                       "dr_msg_cb",
                                       "plugin.library.paths",
                                       NULL};
    for (size_t i = 0; ours[i] != NULL; i++) {
        if (strcmp(conf_key(n), ours[i]) == 0) {
            return conf_fail(n, why,
                             "expected another option: `%s` is set by the control plane, "
                             "found it here",
                             ours[i]);
        }
    }
    return OK;
}

static enum err read_options(struct config_reader *r, const struct conf_node *map,
                             struct config_export *out)
{
    const struct conf_node *values = NULL, *secrets = NULL;
    enum err e = conf_read_map(map, "options", &values, r->why);
    if (e == OK) {
        e = conf_read_map(map, "secrets", &secrets, r->why);
    }
    if (e != OK) {
        return e;
    }
    size_t count =
        (values == NULL ? 0 : conf_count(values)) + (secrets == NULL ? 0 : conf_count(secrets));
    struct config_export_option *items = arena_alloc(r->arena, (count + 1) * sizeof(*items));
    if (items == NULL) {
        return ERR_NO_MEMORY;
    }
    size_t i = 0;
    for (const struct conf_node *n = values == NULL ? NULL : conf_first(values);
         e == OK && n != NULL; n = conf_next(n)) {
        items[i].name = conf_key(n);
        items[i].node = n;
        e = check_option(n, false, r->why);
        e = e == OK ? conf_as_string(n, &items[i++].value, r->why) : e;
    }
    for (const struct conf_node *n = secrets == NULL ? NULL : conf_first(secrets);
         e == OK && n != NULL; n = conf_next(n)) {
        items[i].name = conf_key(n);
        items[i].node = n;
        e = check_option(n, true, r->why);
        e = e == OK ? config_read_secret(r, secrets, conf_key(n), &items[i++].secret) : e;
    }
    out->kafka.options = items;
    out->kafka.option_count = i;
    return e;
}

enum err config_read_export_kafka(struct config_reader *r, const struct conf_node *map,
                                  struct config_export *out)
{
    static const char *const keys[] = {"brokers", "topic", "options", "secrets", NULL};
    out->kafka.node = map;
    enum err e = conf_check_keys(map, keys, r->why);
    if (e == OK) {
        e = conf_require(map, "brokers", r->why);
    }
    if (e == OK) {
        e = config_read_strings(r, map, "brokers", &out->kafka.brokers);
    }
    if (e == OK && out->kafka.brokers.count == 0) {
        e = conf_fail(conf_get(map, "brokers"), r->why, "expected HOST:PORT, found none");
    }
    for (size_t i = 0; e == OK && i < out->kafka.brokers.count; i++) {
        const char *host = NULL;
        uint16_t port = 0;
        e = config_split_address(r, conf_get(map, "brokers"), out->kafka.brokers.items[i], 1, &host,
                                 &port);
    }
    if (e == OK) {
        e = conf_require(map, "topic", r->why);
    }
    if (e == OK) {
        e = conf_read_string(map, "topic", &out->kafka.topic, r->why);
    }
    if (e == OK && strlen(out->kafka.topic) > 249) {
        e = conf_fail(conf_get(map, "topic"), r->why,
                      "expected a topic's name of at most 249 bytes, found %zu",
                      strlen(out->kafka.topic));
    }
    return e == OK ? read_options(r, map, out) : e;
}
