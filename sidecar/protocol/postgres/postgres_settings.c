/* What an agent sets in its startup packet: a setting there does what SET would do (search_path,
 * role, row_security), so it is decided and recorded as one. */
#include <ctype.h>
#include <strings.h>

#include "sidecar/protocol/postgres/postgres_internal.h"

/* How a client shows and reads values: these change nothing that a rule could be about, and most
 * drivers send some of them. */
static const char *const harmless[] = {
    "application_name", "client_encoding",    "datestyle", "timezone",
    "intervalstyle",    "extra_float_digits", "geqo",
};

static bool is_own(struct bytes name)
{
    return bytes_equal_string(name, "user") || bytes_equal_string(name, "database") ||
           bytes_equal_string(name, "replication") ||
           (name.size >= 5 && memcmp(name.data, "_pq_.", 5) == 0);
}

static bool is_harmless(struct bytes name)
{
    for (size_t i = 0; i < sizeof(harmless) / sizeof(harmless[0]); i++) {
        if (name.size == strlen(harmless[i]) &&
            strncasecmp((const char *)name.data, harmless[i], name.size) == 0) {
            return true;
        }
    }
    return false;
}

static enum err append_quoted(struct buffer *out, struct bytes text, char quote, bool lower)
{
    enum err e = buffer_append(out, bytes_of(&quote, 1));
    for (size_t i = 0; e == OK && i < text.size; i++) {
        char c = (char)(lower ? tolower(text.data[i]) : text.data[i]);
        e = buffer_append(out, bytes_of(&c, 1));
        if (e == OK && c == quote) {
            e = buffer_append(out, bytes_of(&c, 1));
        }
    }
    return e == OK ? buffer_append(out, bytes_of(&quote, 1)) : e;
}

static bool decide_one(struct postgres *p, struct bytes name, struct bytes value,
                       struct pg_refusal *out_refusal)
{
    struct buffer text;
    buffer_init(&text, 4 * PG_STARTUP_SIZE_MAX);
    arena_reset(p->shared->scratch);
    bool allowed = false;
    *out_refusal = (struct pg_refusal){.sqlstate = PG_SQLSTATE_LIMIT_EXCEEDED,
                                       .message = "too many settings in the startup packet"};
    if (p->setting_count < PG_SETTINGS_DECIDED_MAX && buffer_append_string(&text, "SET ") == OK &&
        append_quoted(&text, name, '"', true) == OK && buffer_append_string(&text, " TO ") == OK &&
        append_quoted(&text, value, '\'', false) == OK) {
        const struct pg_operation op = {
            .verb = "startup", .text = buffer_bytes(&text), .cannot_wait = true};
        struct protocol_verdict verdict;
        allowed = postgres_decide(p, &op, &verdict, out_refusal) == PG_ALLOWED;
        if (allowed) {
            p->settings_decided[p->setting_count++] = (struct pg_decided){
                .operation = verdict.operation, .intent_sequence = verdict.intent_sequence};
        }
    }
    buffer_finish(&text);
    return allowed;
}

/* One word of `options`, as the server splits them: white space separates, a backslash takes what
 * follows it literally. False at the end. */
static bool next_word(struct bytes *in, struct buffer *out)
{
    buffer_clear(out);
    while (in->size > 0 && isspace(in->data[0])) {
        *in = bytes_of(in->data + 1, in->size - 1);
    }
    bool any = false;
    while (in->size > 0 && !isspace(in->data[0])) {
        if (in->data[0] == '\\' && in->size > 1) {
            *in = bytes_of(in->data + 1, in->size - 1);
        }
        if (buffer_append(out, bytes_of(in->data, 1)) != OK) {
            return false;
        }
        *in = bytes_of(in->data + 1, in->size - 1);
        any = true;
    }
    return any;
}

/* "name=value"; a dash in the name stands for an underscore there. */
static bool decide_assignment(struct postgres *p, struct bytes word, struct pg_refusal *out_refusal)
{
    uint8_t *equals = word.size == 0 ? NULL : memchr(word.data, '=', word.size);
    uint8_t name[64];
    size_t size = equals == NULL ? 0 : (size_t)(equals - word.data);
    if (size == 0 || size > sizeof(name)) {
        *out_refusal = (struct pg_refusal){
            .sqlstate = PG_SQLSTATE_FEATURE_NOT_SUPPORTED,
            .message =
                "of the startup packet's options Chaperone takes -c NAME=VALUE and --NAME=VALUE"};
        return false;
    }
    for (size_t i = 0; i < size; i++) {
        name[i] = word.data[i] == '-' ? '_' : word.data[i];
    }
    struct bytes value = bytes_of(equals + 1, word.size - size - 1);
    return is_harmless(bytes_of(name, size)) ||
           decide_one(p, bytes_of(name, size), value, out_refusal);
}

static bool decide_options(struct postgres *p, struct bytes options, struct pg_refusal *out_refusal)
{
    struct buffer word;
    buffer_init(&word, PG_STARTUP_SIZE_MAX);
    bool allowed = true;
    while (allowed && next_word(&options, &word)) {
        struct bytes w = buffer_bytes(&word);
        if (bytes_equal_string(w, "-c")) {
            allowed = next_word(&options, &word) &&
                      decide_assignment(p, buffer_bytes(&word), out_refusal);
        } else if (w.size > 2 && w.data[0] == '-' && (w.data[1] == 'c' || w.data[1] == '-')) {
            allowed = decide_assignment(p, bytes_of(w.data + 2, w.size - 2), out_refusal);
        } else {
            allowed = decide_assignment(p, (struct bytes){0}, out_refusal);
        }
    }
    buffer_finish(&word);
    return allowed;
}

bool postgres_decide_settings(struct postgres *p, struct pg_refusal *out_refusal)
{
    struct bytes rest = bytes_of(p->settings, p->settings_size);
    struct pg_setting s;
    bool allowed = true;
    *out_refusal = (struct pg_refusal){.sqlstate = PG_SQLSTATE_PROTOCOL_VIOLATION,
                                       .message = "malformed options in the startup packet"};
    /* Before the server has said otherwise, these texts of ours are read as it reads them. */
    p->is_ascii_safe = true;
    p->standard_strings = true;
    while (allowed && pg_startup_next(&rest, &s)) {
        if (is_own(s.name) || is_harmless(s.name)) {
            continue;
        }
        allowed = bytes_equal_string(s.name, "options")
                      ? decide_options(p, s.value, out_refusal)
                      : decide_one(p, s.name, s.value, out_refusal);
    }
    return allowed;
}

size_t postgres_startup_settings(const struct postgres *p, struct pg_setting *out, size_t max)
{
    size_t count = 0;
    struct bytes rest = bytes_of(p->settings, p->settings_size);
    struct pg_setting s;
    out[count++] = (struct pg_setting){bytes_of_string("user"), bytes_of_string(p->target_user)};
    out[count++] =
        (struct pg_setting){bytes_of_string("database"), bytes_of_string(p->target_database)};
    while (count < max && pg_startup_next(&rest, &s)) {
        if (!is_own(s.name)) {
            out[count++] = s;
        }
    }
    return count;
}

bool postgres_settings_outcome(struct postgres *p, Chaperone__V1__Status status)
{
    bool recorded = true;
    for (size_t i = 0; i < p->setting_count; i++) {
        recorded = postgres_outcome(p, p->settings_decided[i].operation,
                                    p->settings_decided[i].intent_sequence, 0, status) &&
                   recorded;
    }
    p->setting_count = 0;
    return recorded;
}
