/* A stream of messages of one side: the first byte says which. */
#include "sidecar/protocol/postgres/pg_wire.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Views must lie within the body; reading each byte lets ASan see one that does not. */
static volatile uint8_t seen;

static void touch(struct bytes b)
{
    for (size_t i = 0; i < b.size; i++) {
        seen ^= b.data[i];
    }
}

static void touch_values(struct pg_values values)
{
    struct pg_value value;
    size_t count = 0;
    for (; pg_values_next(&values, &value); count++) {
        touch(value.data);
    }
    if (count != values.count) {
        abort();
    }
}

static void touch_formats(const struct pg_formats *formats)
{
    for (size_t i = 0; i <= pg_formats_count(formats); i++) {
        seen ^= pg_formats_is_binary(formats, i);
    }
}

static void touch_strings(struct bytes strings)
{
    struct bytes text;
    while (pg_wire_next_string(&strings, &text)) {
        touch(text);
    }
}

static void read_frontend(uint8_t type, struct bytes body)
{
    struct bytes text;
    struct pg_parse parse;
    struct pg_target target;
    struct pg_execute execute;
    struct pg_function_call call;
    switch (type) {
    case PG_FRONTEND_PARSE:
        if (pg_wire_read_parse(body, &parse) == WIRE_OK) {
            touch(parse.name);
            touch(parse.text);
            touch(parse.types.raw);
        }
        break;
    case PG_FRONTEND_DESCRIBE:
    case PG_FRONTEND_CLOSE:
        if (pg_wire_read_target(body, &target) == WIRE_OK) {
            touch(target.name);
        }
        break;
    case PG_FRONTEND_EXECUTE:
        if (pg_wire_read_execute(body, &execute) == WIRE_OK) {
            touch(execute.portal);
        }
        break;
    case PG_FRONTEND_FUNCTION_CALL:
        if (pg_wire_read_function_call(body, &call) == WIRE_OK) {
            touch_formats(&call.formats);
            touch_values(call.arguments);
        }
        break;
    default:
        if (pg_wire_read_string(body, &text) == WIRE_OK) {
            touch(text);
        }
    }
}

static void read_login(uint8_t type, struct bytes body)
{
    struct pg_authentication authentication;
    struct pg_key_data key;
    struct pg_setting setting;
    struct pg_negotiate negotiate;
    if (type == PG_BACKEND_AUTHENTICATION &&
        pg_wire_read_authentication(body, &authentication) == WIRE_OK) {
        touch(authentication.data);
        touch_strings(authentication.data);
    }
    if (type == PG_BACKEND_KEY_DATA && pg_wire_read_key_data(body, &key) == WIRE_OK) {
        touch(key.key);
    }
    if (type == PG_BACKEND_PARAMETER_STATUS &&
        pg_wire_read_parameter_status(body, &setting) == WIRE_OK) {
        touch(setting.name);
        touch(setting.value);
    }
    if (type == PG_BACKEND_NEGOTIATE && pg_wire_read_negotiate(body, &negotiate) == WIRE_OK) {
        touch_strings(negotiate.options);
    }
}

static void read_rows(uint8_t type, struct bytes body)
{
    struct pg_columns columns;
    struct pg_column column;
    struct pg_values values;
    struct pg_value value;
    struct pg_copy copy;
    struct pg_oids oids;
    if (type == PG_BACKEND_ROW_DESCRIPTION &&
        pg_wire_read_row_description(body, &columns) == WIRE_OK) {
        while (pg_columns_next(&columns, &column)) {
            touch(column.name);
        }
    }
    if (type == PG_BACKEND_DATA_ROW && pg_wire_read_row(body, &values) == WIRE_OK) {
        touch_values(values);
    }
    if (type == PG_BACKEND_FUNCTION_RESULT &&
        pg_wire_read_function_result(body, &value) == WIRE_OK) {
        touch(value.data);
    }
    if (type == PG_BACKEND_COPY_IN && pg_wire_read_copy(body, &copy) == WIRE_OK) {
        touch_formats(&copy.formats);
    }
    if (type == PG_BACKEND_PARAMETER_DESCRIPTION &&
        pg_wire_read_parameter_description(body, &oids) == WIRE_OK) {
        for (size_t i = 0; i <= pg_oids_count(&oids); i++) {
            seen ^= (uint8_t)pg_oids_get(&oids, i);
        }
    }
}

static void read_other(uint8_t type, struct bytes body)
{
    struct pg_fields fields;
    struct pg_notification notification;
    struct bytes text;
    uint8_t letter;
    uint64_t rows;
    if (type == PG_BACKEND_ERROR && pg_wire_read_fields(body, &fields) == WIRE_OK) {
        touch(pg_fields_find(&fields, 'C'));
        while (pg_fields_next(&fields, &letter, &text)) {
            touch(text);
        }
    }
    if (type == PG_BACKEND_NOTIFICATION &&
        pg_wire_read_notification(body, &notification) == WIRE_OK) {
        touch(notification.channel);
        touch(notification.payload);
    }
    if (type == PG_BACKEND_COMMAND_COMPLETE && pg_wire_read_string(body, &text) == WIRE_OK) {
        touch(pg_tag_command(text));
        seen ^= pg_tag_rows(text, &rows);
    }
    if (type == PG_BACKEND_READY && pg_wire_read_ready(body, &letter) == WIRE_OK) {
        seen ^= letter;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) {
        return 0;
    }
    bool is_frontend = (data[0] & 1) == 0;
    struct bytes in = bytes_of(data + 1, size - 1);
    struct pg_header header;
    while (pg_wire_read_header(in, &header) == WIRE_OK &&
           header.body_size <= in.size - PG_HEADER_SIZE) {
        struct bytes body = bytes_of(in.data + PG_HEADER_SIZE, header.body_size);
        if (is_frontend && pg_wire_frontend_kind(header.type) != NULL) {
            read_frontend(header.type, body);
        } else if (!is_frontend && pg_wire_backend_kind(header.type) != NULL) {
            read_login(header.type, body);
            read_rows(header.type, body);
            read_other(header.type, body);
        }
        size_t used = PG_HEADER_SIZE + header.body_size;
        in = bytes_of(in.data + used, in.size - used);
    }
    return 0;
}
