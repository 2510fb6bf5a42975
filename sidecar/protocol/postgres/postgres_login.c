#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include "sidecar/protocol/postgres/postgres_internal.h"

enum {
    OPTIONS_REFUSED_MAX = 16, /* protocol options that are named in NegotiateProtocolVersion */
    SETTINGS_MAX = 64,
    TOKEN_MAX = 16 << 10,
    LOGIN_SLICES_MAX =
        32, /* of PG_LOGIN_SLICE iterations: a target may not stop the loop for longer */
};

/* ---- the agent's startup ---- */

static enum protocol_step malformed(struct postgres *p)
{
    return postgres_fatal(p, PG_SQLSTATE_PROTOCOL_VIOLATION, "invalid startup packet", "error");
}

static enum protocol_step answer_ssl(struct postgres *p, bool is_alone)
{
    /* Bytes behind the request were sent in plaintext, and would be taken for the content of
     * the encrypted stream (CVE-2021-23222). */
    if (!is_alone) {
        return postgres_fatal(p, PG_SQLSTATE_PROTOCOL_VIOLATION,
                              "received unencrypted data after SSL request", "error");
    }
    p->link->ops->to_agent(p->link, bytes_of("S", 1));
    if (!p->link->ops->start_tls(p->link, SIDE_AGENT)) {
        return PROTOCOL_CLOSE;
    }
    return PROTOCOL_MORE;
}

static void answer_cancel(struct postgres *p, const struct pg_startup *startup)
{
    uint8_t key[4 + PG_KEY_MAX];
    const uint32_t id = startup->cancel.process_id;
    const uint8_t raw[] = {(uint8_t)(id >> 24), (uint8_t)(id >> 16), (uint8_t)(id >> 8),
                           (uint8_t)id};
    memcpy(key, raw, sizeof(raw));
    memcpy(key + 4, startup->cancel.key.data, startup->cancel.key.size);
    /* No answer either way: the protocol has none, so that keys cannot be guessed. */
    (void)p->link->ops->signal_key(p->link, bytes_of(key, 4 + startup->cancel.key.size));
}

/* We speak 3.0: a newer minor version and unknown options are negotiated down. */
static enum err negotiate(struct postgres *p, const struct pg_startup *startup)
{
    struct bytes names[OPTIONS_REFUSED_MAX];
    uint32_t count = 0;
    struct bytes rest = startup->parameters;
    struct pg_setting setting;
    while (pg_startup_next(&rest, &setting)) {
        if (setting.name.size > 5 && memcmp(setting.name.data, "_pq_.", 5) == 0 &&
            count < OPTIONS_REFUSED_MAX) {
            names[count++] = setting.name;
        }
    }
    if (startup->minor == 0 && count == 0) {
        return OK;
    }
    return pg_write_negotiate(&p->out, PG_VERSION_3_0, names, count);
}

static bool wants_replication(const struct pg_startup *startup)
{
    struct bytes value = {0};
    if (pg_startup_find(startup, "replication", &value) == 0) {
        return false;
    }
    char text[8];
    (void)snprintf(text, sizeof(text), "%.*s", (int)(value.size > 7 ? 7 : value.size), value.data);
    return strcasecmp(text, "off") != 0 && strcasecmp(text, "false") != 0 &&
           strcasecmp(text, "no") != 0 && strcmp(text, "0") != 0;
}

static struct bytes find_or(const struct pg_startup *s, const char *name, struct bytes otherwise)
{
    struct bytes value = otherwise;
    return pg_startup_find(s, name, &value) == 0 || value.size == 0 ? otherwise : value;
}

static enum err keep_settings(struct postgres *p, const struct pg_startup *startup)
{
    p->settings_size = startup->parameters.size;
    p->settings = malloc(p->settings_size + 1);
    if (p->settings == NULL) {
        return ERR_NO_MEMORY;
    }
    memcpy(p->settings, startup->parameters.data, p->settings_size);
    struct pg_startup own = *startup;
    own.parameters = bytes_of(p->settings, p->settings_size);
    p->user = find_or(&own, "user", (struct bytes){0});
    p->database = find_or(&own, "database", p->user);
    p->application_name = find_or(&own, "application_name", (struct bytes){0});
    return OK;
}

/* Values in the settings end with a NUL, so they are C strings as well. */
static const char *text_of(struct bytes b)
{
    return b.size == 0 ? "" : (const char *)b.data;
}

static void identify(struct postgres *p, struct bytes token)
{
    const struct protocol_request request = {
        .token = token,
        .database = text_of(p->database),
        .user = text_of(p->user),
        .application_name = text_of(p->application_name),
    };
    postgres_set_state(p, PG_GRANT);
    p->link->ops->identify(p->link, &request);
}

static enum protocol_step answer_startup(struct postgres *p, const struct pg_startup *startup)
{
    if (startup->major != 3) {
        char text[96];
        (void)snprintf(text, sizeof(text),
                       "unsupported frontend protocol %u.%u: server supports 3.0", startup->major,
                       startup->minor);
        return postgres_fatal(p, PG_SQLSTATE_FEATURE_NOT_SUPPORTED, text, "error");
    }
    if (wants_replication(startup)) {
        return postgres_fatal(p, PG_SQLSTATE_INSUFFICIENT_PRIVILEGE,
                              "replication connections are not permitted through Chaperone",
                              "refused");
    }
    if (keep_settings(p, startup) != OK) {
        return PROTOCOL_CLOSE;
    }
    if (p->user.size == 0) {
        return postgres_fatal(p, PG_SQLSTATE_INVALID_AUTHORIZATION,
                              "no PostgreSQL user name specified in startup packet", "error");
    }
    enum err e = negotiate(p, startup);
    if (p->shared->token_in_band && e == OK) {
        postgres_set_state(p, PG_TOKEN);
        return postgres_send(p, SIDE_AGENT, pg_write_authentication_cleartext(&p->out));
    }
    enum protocol_step step = postgres_send(p, SIDE_AGENT, e);
    if (step == PROTOCOL_MORE) {
        identify(p, (struct bytes){0});
        step = PROTOCOL_WAIT;
    }
    return step;
}

enum protocol_step postgres_startup_bytes(struct postgres *p, struct bytes in, size_t *out_used)
{
    struct pg_startup startup;
    if (pg_startup_is_tls(in)) {
        /* There is no one yet to say it to in plaintext. */
        p->link->ops->set_end(p->link, "error", "TLS without PostgreSQL's request for it");
        return PROTOCOL_CLOSE;
    }
    switch (pg_startup_read(in, &startup)) {
    case WIRE_NEED_MORE: return PROTOCOL_MORE;
    case WIRE_MALFORMED: return malformed(p);
    case WIRE_OK: break;
    }
    *out_used = startup.size;
    switch (startup.kind) {
    case PG_STARTUP_SSL:
        if (!p->link->ops->has_tls(p->link, SIDE_AGENT)) {
            p->link->ops->to_agent(p->link, bytes_of("N", 1));
            return PROTOCOL_MORE;
        }
        return answer_ssl(p, in.size == startup.size);
    case PG_STARTUP_GSSENC: p->link->ops->to_agent(p->link, bytes_of("N", 1)); return PROTOCOL_MORE;
    case PG_STARTUP_CANCEL: answer_cancel(p, &startup); return PROTOCOL_CLOSE;
    case PG_STARTUP_MESSAGE: break;
    }
    return answer_startup(p, &startup);
}

enum protocol_step postgres_token_bytes(struct postgres *p, struct bytes in, size_t *out_used)
{
    struct pg_header h;
    switch (pg_wire_read_header(in, &h)) {
    case WIRE_NEED_MORE: return PROTOCOL_MORE;
    case WIRE_MALFORMED: return malformed(p);
    case WIRE_OK: break;
    }
    if (h.type != PG_FRONTEND_PASSWORD || h.body_size > TOKEN_MAX) {
        return postgres_fatal(p, PG_SQLSTATE_PROTOCOL_VIOLATION,
                              "expected the OIDC token as the password, of at most 16 KiB",
                              "error");
    }
    if (in.size < PG_HEADER_SIZE + h.body_size) {
        return PROTOCOL_MORE;
    }
    struct bytes token = {0};
    if (pg_wire_read_string(bytes_of(in.data + PG_HEADER_SIZE, h.body_size), &token) != WIRE_OK ||
        token.size == 0) {
        return postgres_fatal(p, PG_SQLSTATE_INVALID_PASSWORD,
                              "the password must be the agent's OIDC token", "refused");
    }
    *out_used = PG_HEADER_SIZE + h.body_size;
    identify(p, token);
    return PROTOCOL_WAIT;
}

/* ---- the grant ---- */

static char *copy_secret(const ProtobufCBinaryData *data)
{
    return bytes_to_string(bytes_of(data->data, data->len));
}

enum protocol_step postgres_granted(struct postgres *p,
                                    const Chaperone__V1__OpenSessionResponse *grant)
{
    p->tls = grant->target->tls;
    p->target_is_local = grant->target->host[0] == '/';
    p->target_user = bytes_to_string(bytes_of_string(grant->credential->user));
    p->target_database = bytes_to_string(bytes_of_string(grant->target->database));
    p->target_password = copy_secret(&grant->credential->password);
    if (p->target_user == NULL || p->target_database == NULL || p->target_password == NULL ||
        !postgres_masking_start(p, grant)) {
        return PROTOCOL_CLOSE;
    }
    struct pg_refusal refusal;
    if (!postgres_decide_settings(p, &refusal)) {
        return postgres_fatal(p, refusal.sqlstate, refusal.message, "refused");
    }
    postgres_set_state(p, PG_CONNECTING);
    p->link->ops->connect_target(p->link);
    return PROTOCOL_MORE;
}

enum protocol_step postgres_refused(struct postgres *p, enum err code, const char *why)
{
    const char *sqlstate = PG_SQLSTATE_INVALID_AUTHORIZATION;
    if (code == ERR_UNAVAILABLE || code == ERR_TIMEOUT) {
        sqlstate = PG_SQLSTATE_CANNOT_CONNECT_NOW;
    } else if (code == ERR_FULL || code == ERR_IO) {
        sqlstate = PG_SQLSTATE_DISK_FULL;
    } else if (code == ERR_NOT_FOUND) {
        sqlstate = PG_SQLSTATE_INVALID_CATALOG_NAME;
    }
    char text[512];
    (void)snprintf(text, sizeof(text), "Chaperone refuses the session: %s", why);
    return postgres_fatal(p, sqlstate, text, "refused");
}

/* ---- the target's login ---- */

static enum protocol_step target_failed(struct postgres *p, const char *sqlstate, const char *why)
{
    char text[400];
    (void)snprintf(text, sizeof(text), "Chaperone cannot log in to the target: %.340s", why);
    return postgres_fatal(p, sqlstate, text, "target_login_failed");
}

static enum protocol_step send_startup(struct postgres *p)
{
    struct pg_setting settings[SETTINGS_MAX];
    size_t count = postgres_startup_settings(p, settings, SETTINGS_MAX);
    size_t hash_size =
        p->target_is_tls ? p->link->ops->end_point_hash(p->link, SIDE_TARGET, p->end_point) : 0;
    bool is_checked = p->target_is_tls && (p->tls == CHAPERONE__V1__TLS_MODE__TLS_VERIFY_FULL ||
                                           p->tls == CHAPERONE__V1__TLS_MODE__TLS_VERIFY_CA);
    const struct pg_login_options options = {
        .user = bytes_of_string(p->target_user),
        .password = bytes_of_string(p->target_password),
        .allow_cleartext = is_checked || p->target_is_local,
        .is_tls = p->target_is_tls,
        .server_end_point = bytes_of(p->end_point, hash_size),
        .random = crypto_random_system(),
    };
    if (pg_login_create(&options, &p->login) != OK) {
        return PROTOCOL_CLOSE;
    }
    postgres_set_state(p, PG_TARGET_LOGIN);
    return postgres_send(p, SIDE_TARGET,
                         pg_write_startup(&p->out, PG_VERSION_3_0, settings, count));
}

enum protocol_step postgres_target_connected(struct postgres *p)
{
    if (p->tls == CHAPERONE__V1__TLS_MODE__TLS_DISABLE || p->target_is_local) {
        return send_startup(p);
    }
    postgres_set_state(p, PG_TARGET_SSL);
    return postgres_send(p, SIDE_TARGET, pg_write_ssl_request(&p->out));
}

enum protocol_step postgres_target_secured(struct postgres *p)
{
    p->target_is_tls = true;
    return send_startup(p);
}

enum protocol_step postgres_target_ssl_bytes(struct postgres *p, struct bytes in, size_t *out_used)
{
    if (in.size == 0) {
        return PROTOCOL_MORE;
    }
    if (in.size > 1 && in.data[0] != 'E') {
        return target_failed(p, PG_SQLSTATE_PROTOCOL_VIOLATION,
                             "it sent plaintext after its answer to the TLS request");
    }
    *out_used = 1;
    if (in.data[0] == 'S') {
        postgres_set_state(p, PG_TARGET_TLS);
        return p->link->ops->start_tls(p->link, SIDE_TARGET)
                   ? PROTOCOL_MORE
                   : target_failed(p, PG_SQLSTATE_CANNOT_CONNECT, "TLS could not be started");
    }
    if (in.data[0] == 'N' && p->tls == CHAPERONE__V1__TLS_MODE__TLS_PREFER) {
        return send_startup(p);
    }
    return target_failed(p, PG_SQLSTATE_CANNOT_CONNECT,
                         in.data[0] == 'N' ? "it does not offer TLS, which its resource demands"
                                           : "it does not understand the request for TLS");
}

void postgres_watch_setting(struct postgres *p, struct bytes name, struct bytes value)
{
    if (bytes_equal_string(name, "client_encoding")) {
        /* In these encodings a byte of a character may look like a quote or a backslash. */
        static const char *const unsafe[] = {"BIG5", "GB18030",        "GBK", "JOHAB",
                                             "SJIS", "SHIFT_JIS_2004", "UHC"};
        p->is_ascii_safe = true;
        for (size_t i = 0; i < sizeof(unsafe) / sizeof(unsafe[0]); i++) {
            p->is_ascii_safe = p->is_ascii_safe && !bytes_equal_string(value, unsafe[i]);
        }
    } else if (bytes_equal_string(name, "standard_conforming_strings")) {
        p->standard_strings = bytes_equal_string(value, "on");
    }
}

static enum protocol_step on_authentication(struct postgres *p, struct bytes body)
{
    struct pg_authentication m;
    struct err_text why = {0};
    if (pg_wire_read_authentication(body, &m) != WIRE_OK) {
        return target_failed(p, PG_SQLSTATE_FEATURE_NOT_SUPPORTED,
                             "it asks for an unknown kind of authentication");
    }
    enum pg_login_step step = pg_login_feed(p->login, &m, &p->out, &why);
    for (int i = 0; step == PG_LOGIN_WORK; i++) {
        if (i == LOGIN_SLICES_MAX) {
            return target_failed(p, PG_SQLSTATE_LIMIT_EXCEEDED, "it asks for too many iterations");
        }
        step = pg_login_work(p->login, &p->out, &why);
    }
    if (step == PG_LOGIN_FAILED) {
        return target_failed(p, PG_SQLSTATE_INVALID_PASSWORD, why.text);
    }
    if (step == PG_LOGIN_DONE) {
        return postgres_send(p, SIDE_AGENT, pg_write_authentication_ok(&p->out));
    }
    enum protocol_step sent = postgres_send(p, SIDE_TARGET, OK);
    buffer_wipe(&p->out);
    return sent;
}

/* The server's words about a login that failed may name the target's user: for those of class 28
 * only their code is given on. */
static enum protocol_step on_login_error(struct postgres *p, struct bytes body)
{
    struct pg_fields fields;
    char code[6] = "", text[256];
    if (pg_wire_read_fields(body, &fields) != WIRE_OK) {
        return target_failed(p, PG_SQLSTATE_PROTOCOL_VIOLATION, "it sent a malformed error");
    }
    struct bytes c = pg_fields_find(&fields, 'C');
    struct bytes message = pg_fields_find(&fields, 'M');
    (void)snprintf(code, sizeof(code), "%.*s", (int)c.size, c.data);
    if (code[0] == '2' && code[1] == '8') {
        (void)snprintf(
            text, sizeof(text),
            "it refuses the resource's credential (SQLSTATE %s); an administrator must look at it",
            code);
    } else {
        size_t size = message.size < 160 ? message.size : 160;
        (void)snprintf(text, sizeof(text), "%.*s (SQLSTATE %s)", (int)size, message.data, code);
    }
    return target_failed(p, code[0] == '\0' ? PG_SQLSTATE_CANNOT_CONNECT : code, text);
}

/* The agent gets a key of ours: the target's would let it cancel around us. */
static enum protocol_step on_key(struct postgres *p, struct bytes body)
{
    struct pg_key_data data;
    uint8_t own[8];
    if (pg_wire_read_key_data(body, &data) != WIRE_OK) {
        return target_failed(p, PG_SQLSTATE_PROTOCOL_VIOLATION, "it sent a malformed key");
    }
    p->target_process = data.process_id;
    memcpy(p->target_key, data.key.data, data.key.size);
    p->target_key_size = data.key.size;
    do {
        if (!p->link->ops->random(p->link, own, sizeof(own))) {
            return PROTOCOL_CLOSE;
        }
        own[0] &= 0x7f; /* process ids are positive numbers to some drivers */
    } while (!p->link->ops->publish_key(p->link, bytes_of(own, sizeof(own))));
    struct cursor c = cursor_of(bytes_of(own, sizeof(own)));
    uint32_t process = cursor_read_u32(&c);
    return postgres_send(p, SIDE_AGENT, pg_write_key_data(&p->out, process, bytes_of(own + 4, 4)));
}

static enum protocol_step on_login_ready(struct postgres *p, struct bytes message,
                                         struct bytes body)
{
    if (pg_wire_read_ready(body, &p->transaction) != WIRE_OK) {
        return target_failed(p, PG_SQLSTATE_PROTOCOL_VIOLATION, "it was ready out of place");
    }
    pg_login_destroy(p->login);
    p->login = NULL;
    bytes_wipe(p->target_password, strlen(p->target_password));
    free(p->target_password);
    p->target_password = NULL;
    p->statements = pg_names_create(PG_NAMES_STATEMENTS);
    p->portals = pg_names_create(PG_NAMES_PORTALS);
    if (p->statements == NULL || p->portals == NULL) {
        return PROTOCOL_CLOSE;
    }
    postgres_set_state(p, PG_RELAY);
    if (!postgres_settings_outcome(p, CHAPERONE__V1__STATUS__SUCCESS)) {
        return PROTOCOL_CLOSE;
    }
    p->link->ops->opened(p->link);
    p->link->ops->to_agent(p->link, message);
    return PROTOCOL_MORE;
}

static enum protocol_step on_login_message(struct postgres *p, uint8_t type, struct bytes message,
                                           struct bytes body)
{
    struct pg_setting setting;
    /* A server that skips its part of SCRAM has not proved that it knows the password. */
    if (!pg_login_is_done(p->login) && (type == PG_BACKEND_KEY_DATA || type == PG_BACKEND_READY ||
                                        type == PG_BACKEND_PARAMETER_STATUS)) {
        return target_failed(p, PG_SQLSTATE_PROTOCOL_VIOLATION, "it went on before the login");
    }
    switch (type) {
    case PG_BACKEND_AUTHENTICATION: return on_authentication(p, body);
    case PG_BACKEND_ERROR: return on_login_error(p, body);
    case PG_BACKEND_KEY_DATA: return on_key(p, body);
    case PG_BACKEND_READY: return on_login_ready(p, message, body);
    case PG_BACKEND_NEGOTIATE: return PROTOCOL_MORE;
    case PG_BACKEND_PARAMETER_STATUS:
        if (pg_wire_read_parameter_status(body, &setting) == WIRE_OK) {
            postgres_watch_setting(p, setting.name, setting.value);
        }
        p->link->ops->to_agent(p->link, message);
        return PROTOCOL_MORE;
    case PG_BACKEND_NOTICE: p->link->ops->to_agent(p->link, message); return PROTOCOL_MORE;
    default:
        return target_failed(p, PG_SQLSTATE_PROTOCOL_VIOLATION, "it sent something unexpected");
    }
}

enum protocol_step postgres_login_bytes(struct postgres *p, struct bytes in, size_t *out_used)
{
    enum protocol_step step = PROTOCOL_MORE;
    while (step == PROTOCOL_MORE && p->state == PG_TARGET_LOGIN) {
        struct bytes rest = bytes_of(in.data + *out_used, in.size - *out_used);
        struct pg_header h;
        enum wire_result r = pg_wire_read_header(rest, &h);
        if (r == WIRE_MALFORMED || (r == WIRE_OK && (pg_wire_backend_kind(h.type) == NULL ||
                                                     h.body_size > PG_GATHER_MAX))) {
            return target_failed(p, PG_SQLSTATE_PROTOCOL_VIOLATION,
                                 "it does not speak PostgreSQL's protocol");
        }
        if (r == WIRE_NEED_MORE || rest.size - PG_HEADER_SIZE < h.body_size) {
            break;
        }
        size_t size = PG_HEADER_SIZE + h.body_size;
        *out_used += size;
        step = on_login_message(p, h.type, bytes_of(rest.data, size),
                                bytes_of(rest.data + PG_HEADER_SIZE, h.body_size));
    }
    return step;
}
