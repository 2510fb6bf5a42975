/* The bodies that a server sends; the frontend's are in pg_wire.c. */
#include "sidecar/protocol/postgres/pg_wire.h"

#include "sidecar/protocol/postgres/pg_wire_internal.h"

bool pg_wire_next_string(struct bytes *strings, struct bytes *out)
{
    struct cursor c = cursor_of(*strings);
    struct bytes text = cursor_read_string(&c);
    if (c.failed) {
        return false;
    }
    *strings = bytes_of(c.at, c.remaining);
    *out = text;
    return true;
}

/* The names of mechanisms, ended by an empty one: gives them without that end. */
static struct bytes read_mechanisms(struct cursor *c)
{
    struct bytes all = bytes_of(c->at, c->remaining);
    struct bytes name;
    do {
        name = cursor_read_string(c);
    } while (name.size > 0);
    return bytes_of(all.data, c->failed ? 0 : all.size - c->remaining - 1);
}

static struct bytes read_authentication_data(struct cursor *c, uint32_t kind)
{
    switch (kind) {
    case PG_AUTHENTICATION_OK:
    case PG_AUTHENTICATION_KERBEROS_V5:
    case PG_AUTHENTICATION_CLEARTEXT:
    case PG_AUTHENTICATION_SCM:
    case PG_AUTHENTICATION_GSS:
    case PG_AUTHENTICATION_SSPI: return (struct bytes){0};
    case PG_AUTHENTICATION_MD5: return cursor_read_bytes(c, 4);
    case PG_AUTHENTICATION_SASL: return read_mechanisms(c);
    case PG_AUTHENTICATION_GSS_CONTINUE:
    case PG_AUTHENTICATION_SASL_CONTINUE:
    case PG_AUTHENTICATION_SASL_FINAL: return cursor_read_bytes(c, c->remaining);
    default: c->failed = true; return (struct bytes){0};
    }
}

enum wire_result pg_wire_read_authentication(struct bytes body, struct pg_authentication *out)
{
    struct cursor c = cursor_of(body);
    uint32_t kind = cursor_read_u32(&c);
    struct bytes data = read_authentication_data(&c, kind);
    if (!cursor_is_complete(&c)) {
        return WIRE_MALFORMED;
    }
    *out = (struct pg_authentication){.kind = (enum pg_authentication_kind)kind, .data = data};
    return WIRE_OK;
}

enum wire_result pg_wire_read_key_data(struct bytes body, struct pg_key_data *out)
{
    struct cursor c = cursor_of(body);
    uint32_t process_id = cursor_read_u32(&c);
    struct bytes key = cursor_read_bytes(&c, c.remaining);
    if (!cursor_is_complete(&c) || key.size < PG_KEY_MIN || key.size > PG_KEY_MAX) {
        return WIRE_MALFORMED;
    }
    *out = (struct pg_key_data){.process_id = process_id, .key = key};
    return WIRE_OK;
}

enum wire_result pg_wire_read_parameter_status(struct bytes body, struct pg_setting *out)
{
    struct cursor c = cursor_of(body);
    struct pg_setting setting = {0};
    setting.name = cursor_read_string(&c);
    setting.value = cursor_read_string(&c);
    if (!cursor_is_complete(&c)) {
        return WIRE_MALFORMED;
    }
    *out = setting;
    return WIRE_OK;
}

enum wire_result pg_wire_read_ready(struct bytes body, uint8_t *out_status)
{
    struct cursor c = cursor_of(body);
    uint8_t status = cursor_read_u8(&c);
    if (!cursor_is_complete(&c) || (status != 'I' && status != 'T' && status != 'E')) {
        return WIRE_MALFORMED;
    }
    *out_status = status;
    return WIRE_OK;
}

enum wire_result pg_wire_read_negotiate(struct bytes body, struct pg_negotiate *out)
{
    struct cursor c = cursor_of(body);
    struct pg_negotiate negotiate = {0};
    negotiate.version = cursor_read_u32(&c);
    negotiate.count = cursor_read_u32(&c);
    negotiate.options = bytes_of(c.at, c.remaining);
    for (uint32_t i = 0; i < negotiate.count && !c.failed; i++) {
        (void)cursor_read_string(&c);
    }
    if (!cursor_is_complete(&c)) {
        return WIRE_MALFORMED;
    }
    *out = negotiate;
    return WIRE_OK;
}

enum wire_result pg_wire_read_notification(struct bytes body, struct pg_notification *out)
{
    struct cursor c = cursor_of(body);
    struct pg_notification notification = {0};
    notification.process_id = cursor_read_u32(&c);
    notification.channel = cursor_read_string(&c);
    notification.payload = cursor_read_string(&c);
    if (!cursor_is_complete(&c)) {
        return WIRE_MALFORMED;
    }
    *out = notification;
    return WIRE_OK;
}

enum wire_result pg_wire_read_parameter_description(struct bytes body, struct pg_oids *out)
{
    struct cursor c = cursor_of(body);
    struct bytes raw = pg_read_counted(&c, 4);
    if (!cursor_is_complete(&c)) {
        return WIRE_MALFORMED;
    }
    *out = (struct pg_oids){.raw = raw};
    return WIRE_OK;
}

static struct pg_column read_column(struct cursor *c)
{
    struct pg_column column = {0};
    column.name = cursor_read_string(c);
    column.table = cursor_read_u32(c);
    column.attribute = cursor_read_i16(c);
    column.type = cursor_read_u32(c);
    column.type_size = cursor_read_i16(c);
    column.type_modifier = cursor_read_i32(c);
    column.is_binary = pg_read_format(c) == PG_FORMAT_BINARY;
    return column;
}

enum wire_result pg_wire_read_row_description(struct bytes body, struct pg_columns *out)
{
    struct cursor c = cursor_of(body);
    struct pg_columns columns = {.count = cursor_read_u16(&c)};
    columns.c = c;
    for (uint16_t i = 0; i < columns.count && !c.failed; i++) {
        (void)read_column(&c);
    }
    if (!cursor_is_complete(&c)) {
        return WIRE_MALFORMED;
    }
    *out = columns;
    return WIRE_OK;
}

bool pg_columns_next(struct pg_columns *columns, struct pg_column *out)
{
    if (columns->c.remaining == 0) {
        return false;
    }
    *out = read_column(&columns->c);
    return true;
}

enum wire_result pg_wire_read_row(struct bytes body, struct pg_values *out)
{
    struct cursor c = cursor_of(body);
    struct pg_values values = pg_read_values(&c);
    if (!cursor_is_complete(&c)) {
        return WIRE_MALFORMED;
    }
    *out = values;
    return WIRE_OK;
}

enum wire_result pg_wire_read_function_result(struct bytes body, struct pg_value *out)
{
    struct cursor c = cursor_of(body);
    struct pg_value value = pg_read_value(&c);
    if (!cursor_is_complete(&c)) {
        return WIRE_MALFORMED;
    }
    *out = value;
    return WIRE_OK;
}

enum wire_result pg_wire_read_copy(struct bytes body, struct pg_copy *out)
{
    struct cursor c = cursor_of(body);
    struct pg_copy copy = {0};
    uint8_t whole = cursor_read_u8(&c);
    copy.is_binary = whole == PG_FORMAT_BINARY;
    copy.formats = pg_read_formats(&c);
    if (!cursor_is_complete(&c) || whole > PG_FORMAT_BINARY) {
        return WIRE_MALFORMED;
    }
    *out = copy;
    return WIRE_OK;
}

static bool is_digit(uint8_t c)
{
    return c >= '0' && c <= '9';
}

/* Where the number at the end of a tag begins; the tag's size when there is none. */
static size_t tag_number_at(struct bytes tag)
{
    size_t at = tag.size;
    while (at > 0 && is_digit(tag.data[at - 1])) {
        at--;
    }
    return at > 0 && tag.data[at - 1] == ' ' ? at : tag.size;
}

bool pg_tag_rows(struct bytes tag, uint64_t *out)
{
    uint64_t rows = 0;
    size_t at = tag_number_at(tag);
    if (at == tag.size) {
        return false;
    }
    for (; at < tag.size; at++) {
        uint64_t digit = (uint64_t)(tag.data[at] - '0');
        if (rows > (UINT64_MAX - digit) / 10) {
            return false;
        }
        rows = rows * 10 + digit;
    }
    *out = rows;
    return true;
}

struct bytes pg_tag_command(struct bytes tag)
{
    /* "INSERT 0 5" has two numbers, the first of them a relic of row oids. */
    for (int i = 0; i < 2; i++) {
        size_t at = tag_number_at(tag);
        if (at < tag.size) {
            tag.size = at - 1;
        }
    }
    return tag;
}

enum wire_result pg_wire_read_fields(struct bytes body, struct pg_fields *out)
{
    struct cursor c = cursor_of(body);
    while (cursor_read_u8(&c) != 0) {
        (void)cursor_read_string(&c);
    }
    if (!cursor_is_complete(&c)) {
        return WIRE_MALFORMED;
    }
    *out = (struct pg_fields){.c = cursor_of(bytes_of(body.data, body.size - 1))};
    return WIRE_OK;
}

bool pg_fields_next(struct pg_fields *fields, uint8_t *out_type, struct bytes *out)
{
    if (fields->c.remaining == 0) {
        return false;
    }
    *out_type = cursor_read_u8(&fields->c);
    *out = cursor_read_string(&fields->c);
    return true;
}

struct bytes pg_fields_find(const struct pg_fields *fields, uint8_t type)
{
    struct pg_fields walk = *fields;
    uint8_t found;
    struct bytes text;
    while (pg_fields_next(&walk, &found, &text)) {
        if (found == type) {
            return text;
        }
    }
    return (struct bytes){0};
}
