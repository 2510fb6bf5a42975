#include "sidecar/protocol/postgres/pg_wire_text.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

void pg_text_put(struct pg_text *t, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int n = vsnprintf(t->data + t->size, sizeof(t->data) - t->size, format, args);
    va_end(args);
    assert_true(n >= 0 && (size_t)n < sizeof(t->data) - t->size);
    t->size += (size_t)n;
}

#define S(b) (int)(b).size, (const char *)(b).data

static void put_formats(struct pg_text *t, const struct pg_formats *formats)
{
    pg_text_put(t, " formats=");
    for (size_t i = 0; i < pg_formats_count(formats); i++) {
        pg_text_put(t, "%c", pg_formats_is_binary(formats, i) ? 'b' : 't');
    }
}

static void put_values(struct pg_text *t, struct pg_values values)
{
    pg_text_put(t, " %u(", values.count);
    struct pg_value value;
    unsigned count = 0;
    for (; pg_values_next(&values, &value); count++) {
        if (value.is_null) {
            pg_text_put(t, "NULL;");
        } else {
            pg_text_put(t, "%.*s;", S(value.data));
        }
    }
    pg_text_put(t, ")");
    assert_int_equal(count, values.count);
}

static void put_oids(struct pg_text *t, const struct pg_oids *oids)
{
    pg_text_put(t, " oids=");
    for (size_t i = 0; i < pg_oids_count(oids); i++) {
        pg_text_put(t, "%" PRIu32 ";", pg_oids_get(oids, i));
    }
    assert_int_equal(pg_oids_get(oids, pg_oids_count(oids)), 0);
}

enum wire_result pg_text_parse(struct bytes body, struct pg_text *t)
{
    struct pg_parse parse;
    enum wire_result r = pg_wire_read_parse(body, &parse);
    if (r == WIRE_OK) {
        pg_text_put(t, "name=%.*s text=%.*s", S(parse.name), S(parse.text));
        put_oids(t, &parse.types);
    }
    return r;
}

enum wire_result pg_text_target(struct bytes body, struct pg_text *t)
{
    struct pg_target target;
    enum wire_result r = pg_wire_read_target(body, &target);
    if (r == WIRE_OK) {
        pg_text_put(t, "%c %.*s", target.kind, S(target.name));
    }
    return r;
}

enum wire_result pg_text_execute(struct bytes body, struct pg_text *t)
{
    struct pg_execute execute;
    enum wire_result r = pg_wire_read_execute(body, &execute);
    if (r == WIRE_OK) {
        pg_text_put(t, "portal=%.*s max=%" PRId32, S(execute.portal), execute.max_rows);
    }
    return r;
}

enum wire_result pg_text_function_call(struct bytes body, struct pg_text *t)
{
    struct pg_function_call call;
    enum wire_result r = pg_wire_read_function_call(body, &call);
    if (r == WIRE_OK) {
        pg_text_put(t, "function=%" PRIu32, call.function);
        put_formats(t, &call.formats);
        put_values(t, call.arguments);
        pg_text_put(t, " result=%c", call.binary_result ? 'b' : 't');
    }
    return r;
}

enum wire_result pg_text_string(struct bytes body, struct pg_text *t)
{
    struct bytes text;
    enum wire_result r = pg_wire_read_string(body, &text);
    if (r == WIRE_OK) {
        pg_text_put(t, "%.*s", S(text));
    }
    return r;
}

enum wire_result pg_text_empty(struct bytes body, struct pg_text *t)
{
    (void)t;
    return pg_wire_read_empty(body);
}

enum wire_result pg_text_authentication(struct bytes body, struct pg_text *t)
{
    struct pg_authentication a;
    enum wire_result r = pg_wire_read_authentication(body, &a);
    if (r == WIRE_OK && a.kind == PG_AUTHENTICATION_SASL) {
        pg_text_put(t, "sasl");
        struct bytes name;
        while (pg_wire_next_string(&a.data, &name)) {
            pg_text_put(t, " %.*s", S(name));
        }
        assert_int_equal(a.data.size, 0);
    } else if (r == WIRE_OK) {
        pg_text_put(t, "%d %.*s", (int)a.kind, S(a.data));
    }
    return r;
}

enum wire_result pg_text_key_data(struct bytes body, struct pg_text *t)
{
    struct pg_key_data key;
    enum wire_result r = pg_wire_read_key_data(body, &key);
    if (r == WIRE_OK) {
        pg_text_put(t, "pid=%" PRIu32 " key=%.*s", key.process_id, S(key.key));
    }
    return r;
}

enum wire_result pg_text_parameter_status(struct bytes body, struct pg_text *t)
{
    struct pg_setting setting;
    enum wire_result r = pg_wire_read_parameter_status(body, &setting);
    if (r == WIRE_OK) {
        pg_text_put(t, "%.*s=%.*s", S(setting.name), S(setting.value));
    }
    return r;
}

enum wire_result pg_text_ready(struct bytes body, struct pg_text *t)
{
    uint8_t status;
    enum wire_result r = pg_wire_read_ready(body, &status);
    if (r == WIRE_OK) {
        pg_text_put(t, "%c", status);
    }
    return r;
}

enum wire_result pg_text_negotiate(struct bytes body, struct pg_text *t)
{
    struct pg_negotiate negotiate;
    enum wire_result r = pg_wire_read_negotiate(body, &negotiate);
    if (r == WIRE_OK) {
        pg_text_put(t, "version=%" PRIx32 " %" PRIu32 ":", negotiate.version, negotiate.count);
        struct bytes name;
        while (pg_wire_next_string(&negotiate.options, &name)) {
            pg_text_put(t, " %.*s", S(name));
        }
    }
    return r;
}

enum wire_result pg_text_notification(struct bytes body, struct pg_text *t)
{
    struct pg_notification n;
    enum wire_result r = pg_wire_read_notification(body, &n);
    if (r == WIRE_OK) {
        pg_text_put(t, "pid=%" PRIu32 " %.*s: %.*s", n.process_id, S(n.channel), S(n.payload));
    }
    return r;
}

enum wire_result pg_text_parameter_description(struct bytes body, struct pg_text *t)
{
    struct pg_oids oids;
    enum wire_result r = pg_wire_read_parameter_description(body, &oids);
    if (r == WIRE_OK) {
        put_oids(t, &oids);
    }
    return r;
}

enum wire_result pg_text_row_description(struct bytes body, struct pg_text *t)
{
    struct pg_columns columns;
    enum wire_result r = pg_wire_read_row_description(body, &columns);
    struct pg_column c;
    unsigned count = 0;
    for (; r == WIRE_OK && pg_columns_next(&columns, &c); count++) {
        pg_text_put(t, "%.*s table=%" PRIu32 ".%d type=%" PRIu32 " size=%d mod=%" PRId32 " %c;",
                    S(c.name), c.table, c.attribute, c.type, c.type_size, c.type_modifier,
                    c.is_binary ? 'b' : 't');
    }
    assert_true(r != WIRE_OK || count == columns.count);
    return r;
}

enum wire_result pg_text_row(struct bytes body, struct pg_text *t)
{
    struct pg_values values;
    enum wire_result r = pg_wire_read_row(body, &values);
    if (r == WIRE_OK) {
        put_values(t, values);
    }
    return r;
}

enum wire_result pg_text_function_result(struct bytes body, struct pg_text *t)
{
    struct pg_value value;
    enum wire_result r = pg_wire_read_function_result(body, &value);
    if (r == WIRE_OK) {
        pg_text_put(t, value.is_null ? "NULL" : "%.*s", S(value.data));
    }
    return r;
}

enum wire_result pg_text_copy(struct bytes body, struct pg_text *t)
{
    struct pg_copy copy;
    enum wire_result r = pg_wire_read_copy(body, &copy);
    if (r == WIRE_OK) {
        pg_text_put(t, "%c", copy.is_binary ? 'b' : 't');
        put_formats(t, &copy.formats);
    }
    return r;
}

enum wire_result pg_text_fields(struct bytes body, struct pg_text *t)
{
    struct pg_fields fields;
    enum wire_result r = pg_wire_read_fields(body, &fields);
    if (r == WIRE_OK) {
        struct bytes state = pg_fields_find(&fields, 'C');
        pg_text_put(t, "[%.*s]", S(state));
        assert_int_equal(pg_fields_find(&fields, 'z').size, 0);
        uint8_t type;
        struct bytes text;
        while (pg_fields_next(&fields, &type, &text)) {
            pg_text_put(t, " %c=%.*s", type, S(text));
        }
    }
    return r;
}
