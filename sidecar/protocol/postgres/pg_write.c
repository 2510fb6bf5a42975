#include "sidecar/protocol/postgres/pg_write.h"

#include "base/writer.h"

#include <inttypes.h>
#include <stdio.h>

/* A message that is being written. */
struct message {
    struct writer w;
    size_t length_at;
};

static struct message message_start(struct buffer *out, uint8_t type)
{
    struct message m = {.w = writer_start(out)};
    writer_put_u8(&m.w, type);
    m.length_at = writer_open_length(&m.w);
    return m;
}

static struct message packet_start(struct buffer *out, uint32_t code)
{
    struct message m = {.w = writer_start(out)};
    m.length_at = writer_open_length(&m.w);
    writer_put_u32(&m.w, code);
    return m;
}

static enum err MUST_USE message_finish(struct message *m)
{
    writer_close_length(&m->w, m->length_at);
    return writer_finish(&m->w);
}

static void put_text(struct message *m, struct bytes text)
{
    if (text.size > 0 && memchr(text.data, 0, text.size) != NULL && m->w.failed == OK) {
        m->w.failed = ERR_INVALID;
    }
    writer_put_bytes(&m->w, text);
    writer_put_u8(&m->w, 0);
}

/* A size of 32 bits before bytes; the protocol's are signed. */
static void put_sized(struct message *m, struct bytes data)
{
    if (data.size > PG_BODY_MAX && m->w.failed == OK) {
        m->w.failed = ERR_LIMIT;
    }
    writer_put_u32(&m->w, (uint32_t)data.size);
    writer_put_bytes(&m->w, data);
}

static enum err MUST_USE write_text(struct buffer *out, uint8_t type, struct bytes text)
{
    struct message m = message_start(out, type);
    put_text(&m, text);
    return message_finish(&m);
}

enum err pg_write_header(struct buffer *out, uint8_t type, uint32_t body_size)
{
    if (body_size > PG_BODY_MAX) {
        return ERR_LIMIT;
    }
    struct writer w = writer_start(out);
    writer_put_u8(&w, type);
    writer_put_u32(&w, body_size + 4);
    return writer_finish(&w);
}

enum err pg_write_empty(struct buffer *out, uint8_t type)
{
    return pg_write_header(out, type, 0);
}

enum err pg_write_body(struct buffer *out, uint8_t type, struct bytes body)
{
    struct message m = message_start(out, type);
    writer_put_bytes(&m.w, body);
    return message_finish(&m);
}

static void put_field(struct message *m, uint8_t type, const char *text)
{
    if (text != NULL) {
        writer_put_u8(&m->w, type);
        writer_put_string(&m->w, text);
    }
}

static enum err MUST_USE write_fields(struct buffer *out, uint8_t type,
                                      const struct pg_message *text)
{
    char position[16];
    (void)snprintf(position, sizeof(position), "%" PRIu32, text->position);
    struct message m = message_start(out, type);
    put_field(&m, 'S', text->severity);
    put_field(&m, 'V', text->severity);
    put_field(&m, 'C', text->sqlstate);
    put_field(&m, 'M', text->message);
    put_field(&m, 'D', text->detail);
    put_field(&m, 'H', text->hint);
    put_field(&m, 'P', text->position == 0 ? NULL : position);
    writer_put_u8(&m.w, 0);
    return message_finish(&m);
}

enum err pg_write_error(struct buffer *out, const struct pg_message *message)
{
    return write_fields(out, PG_BACKEND_ERROR, message);
}

enum err pg_write_notice(struct buffer *out, const struct pg_message *message)
{
    return write_fields(out, PG_BACKEND_NOTICE, message);
}

enum err pg_write_ready(struct buffer *out, uint8_t status)
{
    return pg_write_body(out, PG_BACKEND_READY, bytes_of(&status, 1));
}

static enum err MUST_USE write_authentication(struct buffer *out, enum pg_authentication_kind kind)
{
    struct message m = message_start(out, PG_BACKEND_AUTHENTICATION);
    writer_put_u32(&m.w, (uint32_t)kind);
    return message_finish(&m);
}

enum err pg_write_authentication_ok(struct buffer *out)
{
    return write_authentication(out, PG_AUTHENTICATION_OK);
}

enum err pg_write_authentication_cleartext(struct buffer *out)
{
    return write_authentication(out, PG_AUTHENTICATION_CLEARTEXT);
}

enum err pg_write_key_data(struct buffer *out, uint32_t process_id, struct bytes key)
{
    struct message m = message_start(out, PG_BACKEND_KEY_DATA);
    writer_put_u32(&m.w, process_id);
    writer_put_bytes(&m.w, key);
    return message_finish(&m);
}

enum err pg_write_parameter_status(struct buffer *out, struct bytes name, struct bytes value)
{
    struct message m = message_start(out, PG_BACKEND_PARAMETER_STATUS);
    put_text(&m, name);
    put_text(&m, value);
    return message_finish(&m);
}

enum err pg_write_negotiate(struct buffer *out, uint32_t version, const struct bytes *names,
                            uint32_t count)
{
    struct message m = message_start(out, PG_BACKEND_NEGOTIATE);
    writer_put_u32(&m.w, version);
    writer_put_u32(&m.w, count);
    for (uint32_t i = 0; i < count; i++) {
        put_text(&m, names[i]);
    }
    return message_finish(&m);
}

enum err pg_write_command_complete(struct buffer *out, struct bytes tag)
{
    return write_text(out, PG_BACKEND_COMMAND_COMPLETE, tag);
}

enum err pg_write_row(struct buffer *out, const struct pg_value *values, uint16_t count)
{
    struct message m = message_start(out, PG_BACKEND_DATA_ROW);
    writer_put_u16(&m.w, count);
    for (uint16_t i = 0; i < count; i++) {
        if (values[i].is_null) {
            writer_put_u32(&m.w, UINT32_MAX);
        } else {
            put_sized(&m, values[i].data);
        }
    }
    return message_finish(&m);
}

enum err pg_write_startup(struct buffer *out, uint32_t version, const struct pg_setting *settings,
                          size_t count)
{
    struct message m = packet_start(out, version);
    for (size_t i = 0; i < count; i++) {
        /* An empty name would end the list. */
        if (settings[i].name.size == 0 && m.w.failed == OK) {
            m.w.failed = ERR_INVALID;
        }
        put_text(&m, settings[i].name);
        put_text(&m, settings[i].value);
    }
    writer_put_u8(&m.w, 0);
    if (m.w.failed == OK && buffer_size(out) - m.length_at > PG_STARTUP_SIZE_MAX) {
        m.w.failed = ERR_LIMIT; /* the server would close without a word */
    }
    return message_finish(&m);
}

enum err pg_write_ssl_request(struct buffer *out)
{
    struct message m = packet_start(out, PG_CODE_SSL);
    return message_finish(&m);
}

enum err pg_write_cancel(struct buffer *out, uint32_t process_id, struct bytes key)
{
    struct message m = packet_start(out, PG_CODE_CANCEL);
    writer_put_u32(&m.w, process_id);
    writer_put_bytes(&m.w, key);
    return message_finish(&m);
}

enum err pg_write_password(struct buffer *out, struct bytes password)
{
    /* All its room at once: growing would leave a copy of the password in freed memory. Where
     * there is none, the writer says why. */
    if (password.size <= PG_BODY_MAX) {
        (void)!buffer_reserve(out, PG_HEADER_SIZE + password.size + 1);
    }
    return write_text(out, PG_FRONTEND_PASSWORD, password);
}

enum err pg_write_sasl_initial(struct buffer *out, const char *mechanism, struct bytes data)
{
    struct message m = message_start(out, PG_FRONTEND_PASSWORD);
    writer_put_string(&m.w, mechanism);
    put_sized(&m, data);
    return message_finish(&m);
}

enum err pg_write_sasl_response(struct buffer *out, struct bytes data)
{
    return pg_write_body(out, PG_FRONTEND_PASSWORD, data);
}

enum err pg_write_query(struct buffer *out, struct bytes text)
{
    return write_text(out, PG_FRONTEND_QUERY, text);
}

enum err pg_write_parse(struct buffer *out, struct bytes name, struct bytes text,
                        const uint32_t *types, uint16_t count)
{
    struct message m = message_start(out, PG_FRONTEND_PARSE);
    put_text(&m, name);
    put_text(&m, text);
    writer_put_u16(&m.w, count);
    for (uint16_t i = 0; i < count; i++) {
        writer_put_u32(&m.w, types[i]);
    }
    return message_finish(&m);
}

enum err pg_write_target(struct buffer *out, uint8_t type, uint8_t kind, struct bytes name)
{
    struct message m = message_start(out, type);
    writer_put_u8(&m.w, kind);
    put_text(&m, name);
    return message_finish(&m);
}

enum err pg_write_bind(struct buffer *out, struct bytes name, struct bytes values)
{
    static const uint8_t none[4] = {0}; /* no formats, no values */
    struct message m = message_start(out, PG_FRONTEND_BIND);
    put_text(&m, name);
    put_text(&m, name);
    writer_put_bytes(&m.w, values.size == 0 ? bytes_of(none, sizeof(none)) : values);
    writer_put_u16(&m.w, 0); /* formats of results */
    return message_finish(&m);
}

enum err pg_write_execute(struct buffer *out, struct bytes portal, int32_t max_rows)
{
    struct message m = message_start(out, PG_FRONTEND_EXECUTE);
    put_text(&m, portal);
    writer_put_u32(&m.w, (uint32_t)max_rows);
    return message_finish(&m);
}

enum err pg_write_sync(struct buffer *out)
{
    return pg_write_empty(out, PG_FRONTEND_SYNC);
}

enum err pg_write_copy_fail(struct buffer *out, const char *reason)
{
    return write_text(out, PG_FRONTEND_COPY_FAIL, bytes_of_string(reason));
}

enum err pg_write_terminate(struct buffer *out)
{
    return pg_write_empty(out, PG_FRONTEND_TERMINATE);
}
